"""What the tables of a report hold beyond what its templates write: scores by line and by label, and provenance."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.rows import Score, class_of, find_row
from penlight.reports.content import ComparedBaseline, RunContent
from penlight.reports.displays.base import columns_shown
from penlight.reports.words import NO_VALUE, duration, interval, metric_words, number, plain, sentence, threshold
from penlight.runs.provenance import without_names
from penlight.tasks import Task

_TIMES = {"fit": "training", "total": "in all, with baselines and scores"}


@dataclass(frozen=True)
class ScoreLine:
    """One line of the score table, as text; `others` are the baselines' values."""

    title: str
    official: bool
    lower_is_better: bool
    value: str
    sd: str
    interval: str
    others: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class LabelTable:
    """Scores of each label: `metrics` head the columns, each line has the label, n, and its scores, None where one
    is missing.

    `thresholds` has for each line the threshold and, where it was not tuned as asked, why; none for tasks without.
    """

    metrics: tuple[str, ...]
    lines: tuple[tuple[str, int, tuple[Score | None, ...]], ...]
    thresholds: tuple[tuple[str, str], ...] = ()


def score_lines(rows: Iterable[Score], baselines: Sequence[ComparedBaseline]) -> list[ScoreLine]:
    """Make a line of each score of the whole, in their order; what is undefined is a dash with its reason."""
    found = list(rows)
    return [_line(row, found, baselines) for row in found if row.label is None]


def _line(row: Score, rows: Sequence[Score], baselines: Sequence[ComparedBaseline]) -> ScoreLine:
    words = metric_words(row.name)
    others = (find_row(baseline.rows, row.name) for baseline in baselines)
    return ScoreLine(
        sentence(_title(row.name, rows)),
        words.official,
        not words.higher_is_better,
        number(row.value),
        number(row.sd),
        interval(row.low, row.high) or NO_VALUE,
        tuple(NO_VALUE if other is None else number(other.value) for other in others),
        row.note or ("" if math.isfinite(row.value) else "undefined, no reason was kept"),
    )


def _title(name: str, rows: Sequence[Score]) -> str:
    """Give the title of a row of the whole: with the class that it is of, and as it is meant of two classes."""
    if name == "auc" and class_of("sensitivity", rows):
        return metric_words(name).short
    of_class, title = class_of(name, rows), metric_words(name).title
    return f"{title} ({of_class})" if of_class else title


def label_table(
    rows: Sequence[Score], task: Task, thresholds: NDArray[np.float64] | None = None, notes: Sequence[str] = ()
) -> LabelTable:
    """Arrange the rows of labels: a line per label, a column per metric, and its threshold with its note."""
    found = {(row.name, row.label): row for row in rows if row.label is not None}
    names = tuple(dict.fromkeys(name for name, _ in found))
    cuts = dict(zip(task.labels, _thresholds(task, thresholds, notes), strict=False))
    lines = []
    for label in task.labels:
        own = tuple(found.get((name, label)) for name in names)
        if any(own):
            lines.append((label, next(row.n for row in own if row), own))
    return LabelTable(
        tuple(sentence(metric_words(name, "").title) for name in names),
        tuple(lines),
        tuple(cuts[label] for label, _, _ in lines) if cuts else (),
    )


def _thresholds(task: Task, thresholds: NDArray[np.float64] | None, notes: Sequence[str]) -> list[tuple[str, str]]:
    """Write each label's threshold, and why it is not what was asked for; a dash where no answer depends on it."""
    if thresholds is None:
        return []
    used = columns_shown(task.labels, task.exclusive)
    reasons = dict(note.split(": ", 1) for note in notes if ": " in note)
    return [
        (threshold(float(cut)), reasons.get(label, "")) if column in used else (NO_VALUE, "")
        for column, (label, cut) in enumerate(zip(task.labels, thresholds, strict=True))
    ]


def provenance_groups(content: RunContent) -> list[tuple[str, list[tuple[str, str]]]]:
    """Group how a run was made: title, then name and value; what is unknown is said to be."""
    about = without_names(content.provenance)
    rest = [(name.capitalize(), _pairs(about.get(name, {}))) for name in ("machine", "versions", "hashes")]
    if content.made_elsewhere:
        return rest
    parameters = about.get("parameters")
    run = [("seed", plain(about.get("seed"))), ("parameters", f"{parameters:,}" if parameters else "not counted")]
    times = [(_TIMES.get(name, name), duration(float(s))) for name, s in about.get("durations", {}).items()]
    groups = [("Run", run), ("Durations", times), *rest]
    return [(title, lines or [("", "not recorded")]) for title, lines in groups]


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_gib", ", GiB").replace("_", " "), plain(value)) for name, value in values.items()]
