"""The tables of a report, as plain lines for the templates: what is undefined is a dash with its reason."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penlight.evaluation.rows import MetricRow, SeedsRow, find_row
from penlight.report.content import Rival, RunContent
from penlight.report.words import NO_VALUE, duration, interval, metric_words, number, plain, sentence
from penlight.tasks import Task


@dataclass(frozen=True)
class ScoreLine:
    """One line of the score table, as text; `others` are the rivals' values."""

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
    """Scores of each label: `metrics` head the columns, each line has the label, n, and (value, interval, note)."""

    metrics: tuple[str, ...]
    lines: tuple[tuple[str, int, tuple[tuple[str, str, str], ...]], ...]


def score_lines(rows: Iterable[MetricRow], rivals: Sequence[Rival]) -> list[ScoreLine]:
    """Make a line of each row of the whole, in the order of the rows."""
    return [_line(row, row.value, math.nan, rivals) for row in rows if row.label is None]


def seeds_lines(rows: Iterable[SeedsRow], rivals: Sequence[Rival]) -> list[ScoreLine]:
    """Make a line of each row of the whole: mean, standard deviation, interval."""
    return [_line(row, row.mean, row.sd, rivals) for row in rows if row.label is None]


def label_table(rows: Sequence[MetricRow], task: Task) -> LabelTable:
    """Arrange the rows of labels: a line per label, a column per metric."""
    of_labels = [row for row in rows if row.label is not None]
    names = tuple(dict.fromkeys(row.name for row in of_labels))
    found = {(row.name, row.label): row for row in of_labels}
    lines = []
    for label in task.labels:
        own = [found.get((name, label)) for name in names]
        if any(own):
            lines.append((label, next(row.n for row in own if row), tuple(map(_cell, own))))
    return LabelTable(tuple(sentence(metric_words(name, "").title) for name in names), tuple(lines))


def seeds_as_rows(rows: Iterable[SeedsRow]) -> list[MetricRow]:
    """Read means over seeds as values, for tables that show no deviation."""
    return [MetricRow(r.name, r.label, r.mean, r.low, r.high, r.n, r.note) for r in rows]


def difference_lines(differences: Mapping[str, tuple[Any, Any]]) -> list[tuple[str, str, str]]:
    """Write what a recipe changes: key, default, this."""
    return [(key, plain(default), plain(this)) for key, (default, this) in differences.items()]


def provenance_groups(content: RunContent) -> list[tuple[str, list[tuple[str, str]]]]:
    """Group how a run was made: title, then name and value; what is unknown is said to be."""
    about = content.provenance
    parameters = about.get("parameters")
    run = [("seed", plain(about.get("seed"))), ("parameters", f"{parameters:,}" if parameters else "not counted")]
    times = [(name.replace("_", " "), duration(float(s))) for name, s in about.get("durations", {}).items()]
    rest = [(name, about.get(name, {})) for name in ("machine", "versions", "hashes")]
    groups = [("Run", run), ("Durations", times), *((name.capitalize(), _pairs(values)) for name, values in rest)]
    return [(title, lines or [("", "not recorded")]) for title, lines in groups]


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), plain(value)) for name, value in values.items()]


def split_lines(content: RunContent) -> list[tuple[str, list[str]]]:
    """Write the images of each split, then the count of each label in it."""
    splits = list(content.class_counts.columns)
    images = ("images", [f"{content.split_sizes[split]:,}" for split in splits])
    of_labels = [
        (str(label), [f"{int(row[split]):,}" for split in splits]) for label, row in content.class_counts.iterrows()
    ]
    return [images, *of_labels]


def _line(row: MetricRow | SeedsRow, value: float, sd: float, rivals: Sequence[Rival]) -> ScoreLine:
    words = metric_words(row.name)
    others = (find_row(rival.rows, row.name) for rival in rivals)
    note = row.note or ("" if math.isfinite(value) else "undefined, no reason was kept")
    return ScoreLine(
        sentence(words.title),
        words.official,
        not words.higher_is_better,
        number(value),
        number(sd),
        interval(row.low, row.high) or NO_VALUE,
        tuple(NO_VALUE if other is None else number(other.value) for other in others),
        note,
    )


def _cell(row: MetricRow | None) -> tuple[str, str, str]:
    if row is None:
        return NO_VALUE, "", "not scored"
    return number(row.value), interval(row.low, row.high), "" if math.isfinite(row.value) else row.note
