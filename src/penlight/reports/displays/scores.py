"""Scores with their 95 % intervals, a lane each: headline metrics, labels, subgroups, seeds, and rates of labels."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.escaping import quoted
from penlight.evaluation.proportions import share_interval
from penlight.evaluation.rows import Score, find_row
from penlight.evaluation.subgroups import Subgroup
from penlight.numbers import counted
from penlight.reports.content import ComparedBaseline
from penlight.reports.displays.base import Display, Floats, Layout, margin_for, rate_axis, ratio, shorten
from penlight.reports.displays.shared import draw_lane, leave_lane_empty, mark_value, name_lanes, write_in_lane
from penlight.reports.palette import ACCENT, ALARM, INK, MUTED, PAPER, RULE
from penlight.reports.words import count, interval, listed, metric_words, number, sentence
from penlight.runs.predictions import Predictions
from penlight.tasks.base import absent

MOST_LEADING = 4
"""So many metrics lead a report."""

_SIGNS = {"linear": "D", "majority": "|"}
_BAR_LANE = 20
_HEAD = 24
_BAR_GAP = 12


def headline_rows(rows: Iterable[Score]) -> list[Score]:
    """Choose the rows that lead a report: the first few of the whole that are said to lead."""
    return [row for row in rows if row.label is None and metric_words(row.name).leads][:MOST_LEADING]


@dataclass(frozen=True)
class Bar:
    """One model's value of one metric."""

    metric: str
    model: str
    row: Score


@dataclass(frozen=True)
class ScoreBars(Display):
    """Headline metrics with their 95 % intervals on one axis, this model first, its baselines below it."""

    bars: tuple[Bar, ...]
    metrics: tuple[str, ...]
    models: tuple[str, ...]

    title: ClassVar[str] = "Headline scores and baselines"

    @classmethod
    def from_rows(cls, rows: Sequence[Score], baselines: Sequence[ComparedBaseline], model: str) -> "ScoreBars":
        """Take the headline rows, and for each the same row of every baseline that has it."""
        chosen = headline_rows(rows)
        bars = []
        for row in chosen:
            bars.append(Bar(row.name, model, row))
            found = ((baseline.name, find_row(baseline.rows, row.name)) for baseline in baselines)
            bars += [Bar(row.name, name, other) for name, other in found if other is not None]
        models = tuple(dict.fromkeys(bar.model for bar in bars))
        return cls(tuple(bars), tuple(row.name for row in chosen), models)

    @property
    def caption(self) -> str:
        clear = 0
        for name in self.metrics:
            own, *others = (b.row for b in self.bars if b.metric == name)
            clear += all(own.low > (row.high if np.isfinite(row.high) else row.value) for row in others)
        rest = "each dot a score, each bar its 95 % interval"
        if len(self.models) < 2:
            return f"No baseline was scored: {rest}."
        share = f"all {clear}" if clear == len(self.metrics) else f"{clear or 'none'} of {len(self.metrics)}"
        return f"On {share} metrics the interval clears every baseline; {rest}."

    @property
    def description(self) -> str:
        parts = (
            f"{metric_words(b.metric).short}, {b.model}: {number(b.row.value, 2)} "
            f"{interval(b.row.low, b.row.high, 2)}".strip()
            for b in self.bars
        )
        return "Bars of 95 % intervals. " + "; ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        height = len(self.metrics) * (_HEAD + _BAR_GAP) + len(self.bars) * _BAR_LANE
        return Layout(464, height + 40, left=84, right=56, top=4, bottom=36)

    def frame(self) -> pd.DataFrame:
        """One line per metric and model: metric, model, value, low, high."""
        lines = [(b.metric, b.model, b.row.value, b.row.low, b.row.high) for b in self.bars]
        return pd.DataFrame(lines, columns=["metric", "model", "value", "low", "high"])

    def draw(self, ax: Axes) -> None:
        """Draw lanes from top to bottom, one group per metric."""
        y = 0.0
        for name in self.metrics:
            ax.annotate(metric_words(name).short, (0, y + _HEAD / 2), (-80, 0), ("axes fraction", "data"),
                        "offset points", va="center", weight="bold", color=INK)  # fmt: skip
            y += _HEAD
            for bar in (b for b in self.bars if b.metric == name):
                self._draw_lane(ax, bar, y + _BAR_LANE / 2)
                y += _BAR_LANE
            y += _BAR_GAP
        ax.set_ylim(y - _BAR_GAP / 2, 0)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        low = min([0.0, *(b.row.low for b in self.bars if np.isfinite(b.row.low))])
        ax.set_xlim(np.floor(low * 5) / 5, 1)
        ax.tick_params(length=3)

    def _draw_lane(self, ax: Axes, bar: Bar, y: float) -> None:
        own = bar.model == self.models[0]
        colour = ACCENT if own else MUTED
        sign = "o" if own else _SIGNS.get(bar.model, "s")
        size = 8 if own else 12 if sign == "|" else 6
        draw_lane(ax, y, bar.row.value, bar.row.low, bar.row.high, colour=colour, sign=sign, size=size,
                  width=9 if own else 5)  # fmt: skip
        write_in_lane(ax, y, bar.model, colour=colour, left=80)
        write_in_lane(ax, y, number(bar.row.value, 2), colour=INK if own else MUTED)


GUESSING = 0.5


FEWEST = 10
"""A label of fewer patients with a positive image (positive images, where patients are not known) has an open dot:
so few make its interval uncertain."""


@dataclass(frozen=True)
class LabelScores(Display):
    """The AUC of each label against the rest with its 95 % interval, the best first, undefined ones last.

    `patients` counts those with a positive image of each label, by its name; None where they are not known.
    """

    rows: tuple[Score, ...]
    patients: Mapping[str, int] | None = None

    title: ClassVar[str] = "AUC of each label"

    @classmethod
    def from_rows(cls, rows: Iterable[Score], patients: Mapping[str, int] | None = None) -> "LabelScores":
        """Choose the AUCs of labels among rows, and sort them."""
        own = [row for row in rows if row.name == "auc" and row.label is not None]
        return cls(tuple(sorted(own, key=lambda row: -row.value if math.isfinite(row.value) else np.inf)), patients)

    @property
    def caption(self) -> str:
        known = [row for row in self.rows if math.isfinite(row.value)]
        if not known:
            return "No label has an AUC with an interval."
        what = "positive images" if self.patients is None else "patients with a positive image"
        few = f" Open dots rest on fewer than {FEWEST} {what}."
        said = _against_guessing([row for row in known if not self._is_rare(row)], what)
        if wide := [row for row in known if math.isfinite(row.low)]:
            widest = max(wide, key=lambda row: row.high - row.low)
            said += f"; widest: {widest.label}, with {counted(widest.n, 'positive image')}"
        return f"{said}." + (few if any(map(self._is_rare, known)) else "")

    def _is_rare(self, row: Score) -> bool:
        return (row.n if self.patients is None else self.patients[str(row.label)]) < FEWEST

    @property
    def description(self) -> str:
        parts = (
            f"{row.label}: {number(row.value, 2)} {interval(row.low, row.high, 2)}".strip()
            if math.isfinite(row.value)
            else f"{row.label}: {row.note or 'undefined'}"
            for row in self.rows
        )
        return "Dots with 95 % intervals. " + "; ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        left = margin_for(self._names(), 220)
        return Layout(left + 400, 26 * len(self.rows) + 58, left=left, right=54, top=22, bottom=36)

    def frame(self) -> pd.DataFrame:
        """One line per label: label, n, value, low, high, note."""
        lines = [(r.label, r.n, r.value, r.low, r.high, r.note) for r in self.rows]
        return pd.DataFrame(lines, columns=["label", "n", "value", "low", "high", "note"])

    def draw(self, ax: Axes) -> None:
        """A dot and a bar per label, the value at the right, guessing as a dashed line."""
        low = min([0.4, *(row.low for row in self.rows if math.isfinite(row.low))])
        mark_value(ax, GUESSING, "guessing")
        for y, row in enumerate(self.rows):
            if not math.isfinite(row.value):
                leave_lane_empty(ax, y, row.note or "undefined")
                continue
            draw_lane(ax, y, row.value, row.low, row.high, face=PAPER if self._is_rare(row) else "")
            write_in_lane(ax, y, number(row.value, 2))
        name_lanes(ax, self._names())
        ax.set_xlim(np.floor(low * 5) / 5, 1)

    def _names(self) -> list[str]:
        return [f"{shorten(str(row.label), 22)} ({count(row.n)})" for row in self.rows]


def _against_guessing(rows: Sequence[Score], what: str) -> str:
    if not rows:
        return f"No label has {FEWEST} {what} or more"
    below = [str(row.label) for row in rows if row.ends[1] < GUESSING]
    unclear = [str(row.label) for row in rows if row.ends[0] <= GUESSING <= row.ends[1]]
    said = [f"not clear of guessing: {listed(list(map(quoted, unclear)))}"] * bool(unclear)
    said += [f"worse than guessing: {listed(list(map(quoted, below)))}"] * bool(below)
    return sentence("; ".join(said) or "every interval is above guessing")


_GROUP_LANE = 24


_GROUP_GAP = 14


@dataclass(frozen=True)
class SubgroupForest(Display):
    """The groups of each column with their 95 % intervals, and the score of the whole, NaN where it has none."""

    groups: tuple[Subgroup, ...]
    whole: float

    title: ClassVar[str] = "Score of each subgroup"

    @classmethod
    def from_groups(cls, groups: Sequence[Subgroup], rows: Sequence[Score]) -> "SubgroupForest":
        """Take the groups, and the score of the whole from the rows."""
        row = find_row(rows, groups[0].metric) if groups else None
        return cls(tuple(groups), np.nan if row is None else row.value)

    @property
    def caption(self) -> str:
        asked = [group for group in self.groups if math.isfinite(group.p_holm)]
        differing = [group for group in self.groups if group.more_than_chance]
        apart = [f"{_name(g)} ({number(g.value, 2)}, all others {number(g.others, 2)})" for g in differing]
        if not asked:
            return "No group has enough images and cases for a score."
        said = f"None of {count(len(asked))} groups differs from all others by more than chance"
        if apart:
            said = f"More than chance apart, drawn as diamonds: {listed(apart)}"
        return (
            f"{said}. Each bar is a 95 % interval, the dashed line the whole; "
            "in a small group only a large difference can be seen."
        )

    @property
    def description(self) -> str:
        parts = (
            f"{_name(g)}, {counted(g.n, 'image')}: {number(g.value)} {interval(g.low, g.high)}"
            f"{', differs from all others' if g.more_than_chance else ''}"
            if not g.note else f"{_name(g)}: {g.note}"
            for g in self.groups
        )  # fmt: skip
        whole = f"{metric_words(self.groups[0].metric).short} of the whole: {number(self.whole)}"
        return f"{whole}. {'; '.join(parts)}."

    @property
    def layout(self) -> Layout:
        left = margin_for([_label(group) for group in self.groups], 260)
        height = _GROUP_LANE * len(self.groups) + _GROUP_GAP * (len(self._columns()) - 1)
        return Layout(left + 400, height + 78, left=left, right=54, top=24, bottom=54)

    def frame(self) -> pd.DataFrame:
        """One line per group: column, group, n, value, low, high, differs, note."""
        lines = [(g.column, g.group, g.n, g.value, g.low, g.high, g.more_than_chance, g.note) for g in self.groups]
        return pd.DataFrame(lines, columns=["column", "group", "n", "value", "low", "high", "differs", "note"])

    def draw(self, ax: Axes) -> None:
        """A dot, or a diamond where it differs, and a bar per group; the whole as a dashed line."""
        if math.isfinite(self.whole):
            mark_value(ax, self.whole, f"whole {number(self.whole, 2)}")
        columns = self._columns()
        places = [float(_GROUP_LANE * i + _GROUP_GAP * columns.index(g.column)) for i, g in enumerate(self.groups)]
        for y, group in zip(places, self.groups, strict=True):
            if not math.isfinite(group.value):
                leave_lane_empty(ax, y, group.note)
                continue
            apart = group.more_than_chance
            colour, sign = (ALARM, "D") if apart else (ACCENT, "o")
            draw_lane(ax, y, group.value, group.low, group.high, colour=colour, sign=sign)
            write_in_lane(ax, y, number(group.value, 2), bold=apart)
        ax.set_ylim(places[-1] + _GROUP_LANE / 2, -_GROUP_LANE / 2)
        name_lanes(ax, [_label(group) for group in self.groups], places)
        values = [self.whole, *(end for g in self.groups for end in (g.low, g.high, g.value))]
        ends = [value for value in values if math.isfinite(value)]
        low, high = min([*ends, 0.9]), max([*ends, 1.0])
        ax.set_xlim(np.floor(low * 10) / 10, high)
        ax.set_xlabel(metric_words(self.groups[0].metric).short)

    def _columns(self) -> list[str]:
        return list(dict.fromkeys(group.column for group in self.groups))


def _name(group: Subgroup) -> str:
    return f"{group.column} {group.group}"


def _label(group: Subgroup) -> str:
    return f"{shorten(_name(group), 26)} ({count(group.n)})"


@dataclass(frozen=True)
class SeedDots(Display):
    """One row of the headline metric per seed, their mean and standard deviation, and the baselines' rows."""

    metric: str
    seeds: tuple[str, ...]
    rows: tuple[Score, ...]
    mean: float
    sd: float
    baselines: tuple[tuple[str, Score], ...]
    noun: str = "seed"

    @classmethod
    def from_rows(
        cls,
        seeds: Sequence[str],
        rows: Sequence[Score],
        overall: Score,
        baselines: Sequence[ComparedBaseline],
        noun: str = "seed",
    ) -> "SeedDots":
        """Take a row per seed, the row over seeds, and the same row of each baseline; or those of folds, the `noun`,
        whose overall value is that of all their predictions together."""
        found = ((baseline.name, find_row(baseline.rows, overall.name)) for baseline in baselines)
        others = tuple((name, row) for name, row in found if row is not None)
        sd = np.nan if overall.sd is None else overall.sd
        return cls(overall.name, tuple(seeds), tuple(rows), overall.value, sd, others, noun)

    @property
    def title(self) -> str:
        return f"The headline score of every {self.noun}"

    @property
    def caption(self) -> str:
        values = [row.value for row in self.rows if np.isfinite(row.value)]
        if not values:
            return f"The headline metric is undefined for every {self.noun}."
        low, high = number(min(values), 3), number(max(values), 3)
        ends = f"at {low}" if low == high else f"between {low} and {high}"
        lie = f"The {self.noun} lies" if len(values) == 1 else f"The {self.noun}s lie"
        if self.noun == "fold":
            why = "" if low == high else ", as their images and what they were trained on differ"
            return (
                f"{lie} {ends}{why}; the line is the score of all their answers together, each bar a 95 % interval."
            )
        said = f"{lie} {ends}" if low == high else f"Chance alone puts the seeds {ends}"
        return f"{said}; each bar is the 95 % interval."

    @property
    def description(self) -> str:
        own = (f"{seed}: {number(row.value)} {interval(row.low, row.high)}" for seed, row in self._lanes())
        return f"{metric_words(self.metric).short} by {self.noun} and of the baselines. " + "; ".join(own) + "."

    @property
    def layout(self) -> Layout:
        return Layout(440, 26 * len(self._lanes()) + 66, left=84, right=56, top=10, bottom=48)

    def frame(self) -> pd.DataFrame:
        """One line per seed, then per baseline: name, value, low, high."""
        lines = [(name, row.value, row.low, row.high) for name, row in self._lanes()]
        return pd.DataFrame(lines, columns=["name", "value", "low", "high"])

    def draw(self, ax: Axes) -> None:
        """A dot with its interval per lane, the mean and one standard deviation behind those of the seeds."""
        lanes = self._lanes()
        if np.isfinite(self.mean):
            half = self.sd if np.isfinite(self.sd) else 0.0
            bottom = len(self.seeds) - 0.5
            ends = (self.mean - half, self.mean + half)
            ax.fill_betweenx([-0.5, bottom], *ends, color=ACCENT, alpha=0.15, linewidth=0)
            ax.plot([self.mean] * 2, [-0.5, bottom], color=ACCENT, linewidth=1)
        for y, (name, row) in enumerate(lanes):
            colour, ink, sign, size = (ACCENT, INK, "o", 7) if y < len(self.seeds) else (MUTED, MUTED, "D", 6)
            draw_lane(ax, y, row.value, row.low, row.high, colour=colour, sign=sign, size=size)
            write_in_lane(ax, y, name, colour=ink, left=78)
            write_in_lane(ax, y, number(row.value), colour=ink)
        name_lanes(ax, [""] * len(lanes))
        ax.set_xlabel(metric_words(self.metric).short)

    def _lanes(self) -> list[tuple[str, Score]]:
        own = [(f"{self.noun} {seed}", row) for seed, row in zip(self.seeds, self.rows, strict=True)]
        return own + list(self.baselines)


@dataclass(frozen=True)
class LabelRates(Display):
    """Sensitivity and specificity (C,) of each label against the rest, with Wilson 95 % intervals (C, 2)."""

    labels: tuple[str, ...]
    positives: NDArray[np.int64]
    sensitivity: Floats
    specificity: Floats
    sensitivity_interval: Floats
    specificity_interval: Floats

    title: ClassVar[str] = "Sensitivity and specificity"

    @classmethod
    def from_predictions(cls, predictions: Predictions, decided: NDArray[np.uint8]) -> "LabelRates":
        """Compute from 0/1 truth and decisions, each label against the rest."""
        y, d = predictions.y_true.astype(bool), decided.astype(bool)
        lacks = absent(predictions.y_true, predictions.known).astype(bool)
        positives, negatives = y.sum(axis=0).astype(float), lacks.sum(axis=0).astype(float)
        found, clear = (y & d).sum(axis=0).astype(float), (lacks & ~d).sum(axis=0).astype(float)
        return cls(
            predictions.task.labels,
            positives.astype(np.int64),
            ratio(found, positives),
            ratio(clear, negatives),
            np.stack(share_interval(y & d, y, predictions.units), axis=1),
            np.stack(share_interval(lacks & ~d, lacks, predictions.units), axis=1),
        )

    @property
    def caption(self) -> str:
        if np.isnan(self.sensitivity).all():
            return "No label has a positive case, so sensitivity is undefined."
        worst = int(np.nanargmin(self.sensitivity))
        n = int(self.positives[worst])
        if self.sensitivity[worst] == 1:
            return "No label has a false negative; bars are 95 % intervals (Wilson)."
        found = f"found in {count(round(self.sensitivity[worst] * n))} of {count(n)}"
        return f"Most often missed: {self.labels[worst]}, {found}; bars are 95 % intervals (Wilson)."

    @property
    def description(self) -> str:
        rows = (
            f"{label}: sensitivity {number(a, 2)}, specificity {number(b, 2)}"
            for label, a, b in zip(self.labels, self.sensitivity, self.specificity, strict=True)
        )
        return "Dots for each label on an axis from 0 to 1. " + "; ".join(rows) + "."

    @property
    def layout(self) -> Layout:
        left = margin_for([shorten(label) for label in self.labels])
        return Layout(440, 36 * len(self.labels) + 68, left=left, right=14, top=30, bottom=38)

    def frame(self) -> pd.DataFrame:
        """One line per label: its rates and their intervals."""
        found = {"label": self.labels, "positives": self.positives}
        for name in ("sensitivity", "specificity"):
            low, high = getattr(self, f"{name}_interval").T
            found |= {name: getattr(self, name), f"{name}_low": low, f"{name}_high": high}
        return pd.DataFrame(found)

    def draw(self, ax: Axes) -> None:
        """Filled dots for sensitivity, open diamonds for specificity."""
        for y in range(len(self.labels)):
            ax.axhline(y, color=RULE, linewidth=0.6, zorder=0)
            if math.isfinite(self.sensitivity[y]):
                draw_lane(ax, y - 0.14, self.sensitivity[y], *self.sensitivity_interval[y], width=4, ruled=False)
            else:
                leave_lane_empty(ax, y - 0.14, "no positive case", ruled=False)
            draw_lane(ax, y + 0.14, self.specificity[y], *self.specificity_interval[y], colour=MUTED, sign="D",
                      face=PAPER, size=6.5, width=4, ruled=False)  # fmt: skip
        rate_axis(ax, "x")
        name_lanes(ax, [shorten(label) for label in self.labels])
        _key(ax)


def _key(ax: Axes) -> None:
    """Name the two signs above the axes, in place of a legend."""
    where: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "center",
        "fontsize": 12,
    }
    ax.annotate("● sensitivity", (0, 1), (0, 16), color=ACCENT, **where)
    ax.annotate("◇ specificity", (0, 1), (100, 16), color=MUTED, **where)
