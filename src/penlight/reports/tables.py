"""The tables of a report, as plain lines for the templates: what is undefined is a dash with its reason."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.escaping import label_list
from penlight.evaluation.comparison import Difference
from penlight.evaluation.operating import OperatingPoint, Rate
from penlight.evaluation.rows import Score, class_of, find_row
from penlight.evaluation.subgroups import Subgroup
from penlight.reports.content import ComparedBaseline, RunContent
from penlight.reports.displays.base import columns_shown
from penlight.reports.words import (
    NO_VALUE,
    duration,
    interval,
    metric_words,
    number,
    p_value,
    percent,
    plain,
    sentence,
    signed,
)
from penlight.tasks import Task

_TIMES = {"fit": "training", "total": "in all, with baselines and scores"}


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
class DifferenceLine:
    """One line of a table of differences, as text: the score of `row` less that of `against`."""

    row: str
    against: str
    value: str
    interval: str
    p: str
    p_holm: str
    more_than_chance: str


@dataclass(frozen=True)
class LabelTable:
    """Scores of each label: `metrics` head the columns, each line has the label, n, and (value, interval, note).

    `thresholds` has for each line the threshold and, where it was not tuned as asked, why; none for tasks without.
    """

    metrics: tuple[str, ...]
    lines: tuple[tuple[str, int, tuple[tuple[str, str, str], ...]], ...]
    thresholds: tuple[tuple[str, str], ...] = ()


RATES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "Pos. pred. value",
    "npv": "Neg. pred. value",
    "likelihood_ratio_positive": "Likelihood ratio +",
    "likelihood_ratio_negative": "Likelihood ratio −",
    "ppv_stated": "Pos. pred. value",
    "npv_stated": "Neg. pred. value",
}
"""The rates of an operating point, as columns are headed; the last two at the prevalence that was stated."""


@dataclass(frozen=True)
class PointLine:
    """One operating point as text; a cell is (value, what stands below it)."""

    question: str
    prevalence: str
    threshold: str
    chosen: str
    cells: tuple[tuple[str, str], ...]


def point_heads(points: Sequence[OperatingPoint]) -> list[str]:
    """Head the columns of rates."""
    shown = points[0].rates if points else {}
    return [
        f"{head} at prevalence {percent(points[0].stated)}" if name.endswith("_stated") else head
        for name, head in RATES.items()
        if name in shown
    ]


def point_lines(points: Iterable[OperatingPoint]) -> list[PointLine]:
    """Make a line of each point."""
    return [
        PointLine(
            point.question,
            f"prevalence {percent(point.prevalence)}",
            _cut(point.threshold),
            point.chosen,
            tuple(_rate_cell(point.rates[name]) for name in RATES if name in point.rates),
        )
        for point in points
    ]


def _rate_cell(rate: Rate) -> tuple[str, str]:
    return number(rate.value, 2), rate.note or interval(rate.low, rate.high, 2)


def score_lines(rows: Iterable[Score], rivals: Sequence[ComparedBaseline]) -> list[ScoreLine]:
    """Make a line of each score of the whole, in their order."""
    found = list(rows)
    return [_line(row, found, rivals) for row in found if row.label is None]


def label_table(
    rows: Sequence[Score], task: Task, thresholds: NDArray[np.float64] | None = None, notes: Sequence[str] = ()
) -> LabelTable:
    """Arrange the rows of labels: a line per label, a column per metric, and its threshold with its note."""
    of_labels = [row for row in rows if row.label is not None]
    names = tuple(dict.fromkeys(row.name for row in of_labels))
    found = {(row.name, row.label): row for row in of_labels}
    cuts = dict(zip(task.labels, threshold_cells(task, thresholds, notes), strict=False))
    lines = []
    for label in task.labels:
        own = [found.get((name, label)) for name in names]
        if any(own):
            lines.append((label, next(row.n for row in own if row), tuple(map(_cell, own))))
    return LabelTable(
        tuple(sentence(metric_words(name, "").title) for name in names),
        tuple(lines),
        tuple(cuts[label] for label, _, _ in lines) if cuts else (),
    )


def threshold_cells(
    task: Task, thresholds: NDArray[np.float64] | None, notes: Sequence[str]
) -> list[tuple[str, str]]:
    """Write each label's threshold, and why it is not what was asked for; a dash where no answer depends on it."""
    if thresholds is None:
        return []
    used = columns_shown(task.labels, task.exclusive)
    reasons = dict(note.split(": ", 1) for note in notes if ": " in note)
    return [
        (_cut(float(cut)), reasons.get(label, "")) if column in used else (NO_VALUE, "")
        for column, (label, cut) in enumerate(zip(task.labels, thresholds, strict=True))
    ]


def _cut(threshold: float) -> str:
    return "< 0.001" if 0 < threshold < 0.0005 else number(threshold)


def difference_lines(differences: Mapping[str, tuple[Any, Any]]) -> list[tuple[str, str, str]]:
    """Write what a recipe changes: key, default, this."""
    return [(key, plain(default), plain(this)) for key, (default, this) in differences.items()]


def provenance_groups(content: RunContent) -> list[tuple[str, list[tuple[str, str]]]]:
    """Group how a run was made: title, then name and value; what is unknown is said to be."""
    about = content.provenance
    parameters = about.get("parameters")
    run = [("seed", plain(about.get("seed"))), ("parameters", f"{parameters:,}" if parameters else "not counted")]
    times = [(_TIMES.get(name, name), duration(float(s))) for name, s in about.get("durations", {}).items()]
    rest = [(name, about.get(name, {})) for name in ("machine", "versions", "hashes")]
    groups = [("Run", run), ("Durations", times), *((name.capitalize(), _pairs(values)) for name, values in rest)]
    return [(title, lines or [("", "not recorded")]) for title, lines in groups]


def lines_of_differences(found: Iterable[Difference], titles: Mapping[str, str]) -> list[DifferenceLine]:
    """Make a line of each difference; `titles` are by name of the model."""
    return [
        DifferenceLine(
            titles[d.row],
            titles[d.against],
            signed(d.value),
            interval(d.low, d.high) or NO_VALUE,
            p_value(d.p),
            p_value(d.p_holm),
            "not known" if math.isnan(d.p_holm) else "yes" if d.more_than_chance else "no",
        )
        for d in found
    ]


@dataclass(frozen=True)
class SubgroupLine:
    """One line of the table of subgroups, as text; `more_than_chance` is yes or no, a dash where it was not asked."""

    column: str
    group: str
    n: str
    value: str
    interval: str
    difference: str
    difference_interval: str
    p: str
    p_holm: str
    more_than_chance: str
    note: str


def subgroup_lines(groups: Iterable[Subgroup]) -> list[SubgroupLine]:
    """Make a line of each group."""
    return [
        SubgroupLine(
            g.column,
            g.group,
            f"{g.n:,}" if g.n == g.units else f"{g.n:,} ({g.units:,})",
            number(g.value),
            interval(g.low, g.high) or NO_VALUE,
            signed(g.difference),
            interval(g.difference_low, g.difference_high) or NO_VALUE,
            p_value(g.p),
            p_value(g.p_holm),
            NO_VALUE if math.isnan(g.p_holm) else "yes" if g.more_than_chance else "no",
            g.note or (f"without {label_list(g.left_out)}: too few cases" if g.left_out else ""),
        )
        for g in groups
    ]


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_gib", ", GiB").replace("_", " "), plain(value)) for name, value in values.items()]


def split_lines(content: RunContent) -> list[tuple[str, list[str]]]:
    """Write the images of each split, then the count of each label in it."""
    data = content.data
    images = ("images", [f"{n:,}" for n in data.images.values()])
    return [images, *((row, [f"{data.counts[s][i]:,}" for s in data.images]) for i, row in enumerate(data.rows))]


def title_of(name: str, rows: Sequence[Score]) -> str:
    """Give the title of a row of the whole: with the class that it is of, and as it is meant of two classes."""
    of_class, title = class_of(name, rows), metric_words(name).title
    if name == "auc" and class_of("sensitivity", rows):
        return metric_words(name).short
    return f"{title} ({of_class})" if of_class else title


def _line(row: Score, rows: Sequence[Score], rivals: Sequence[ComparedBaseline]) -> ScoreLine:
    words = metric_words(row.name)
    others = (find_row(rival.rows, row.name) for rival in rivals)
    note = row.note or ("" if math.isfinite(row.value) else "undefined, no reason was kept")
    return ScoreLine(
        sentence(title_of(row.name, rows)),
        words.official,
        not words.higher_is_better,
        number(row.value),
        number(row.sd),
        interval(row.low, row.high) or NO_VALUE,
        tuple(NO_VALUE if other is None else number(other.value) for other in others),
        note,
    )


def _cell(row: Score | None) -> tuple[str, str, str]:
    if row is None:
        return NO_VALUE, "", "not scored"
    return number(row.value), interval(row.low, row.high), "" if math.isfinite(row.value) else row.note
