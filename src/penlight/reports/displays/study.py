"""Score against cost: one labelled dot per recipe, with intervals both ways."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from penlight.evaluation import Score
from penlight.numbers import decimal_text
from penlight.reports.displays.base import Display, Floats, Layout, margin_for, ratio, shorten
from penlight.reports.displays.shared import divide, label_ends, name_cells, scale_of_shades, shade_cells
from penlight.reports.palette import ACCENT, INK, MUTED, RULE, Colour, palette
from penlight.reports.study_content import MAJORITY, StudyRowResult, StudyTable
from penlight.reports.words import duration, interval, label_words, metric_words, number, percent
from penlight.runs.studies import Cost
from penlight.tasks import MultiClass

KINDS = {
    "baseline": ("baseline", "D"),
    "custom": ("custom network", "o"),
    "pre-trained": ("pre-trained network", "s"),
    "features": ("model on features", "^"),
}
"""Each kind of entry: what it is called, and its sign. Colours are those of the entries, as in every other figure."""

_TICKS = {0.01: "0.01 s", 0.1: "0.1 s", 0.3: "0.3 s", 1.0: "1 s", 3.0: "3 s", 10.0: "10 s", 30.0: "30 s",
          60.0: "1 min", 180.0: "3 min", 600.0: "10 min", 1800.0: "30 min", 3600.0: "1 h", 10800.0: "3 h",
          36000.0: "10 h"}  # fmt: skip
ROUND_STEPS = (1, 2, 5, 10)
"""Ticks of scores have few decimals: a tick of 0.675 takes more room than it says."""

_WIDTH, _HEIGHT, _LEFT, _RIGHT = 960, 420, 64, 24
_CHARACTER, _LINE = 6.6, 17
_MATRIX_GAP, _MATRIX_HEAD = 22, 52


@dataclass(frozen=True)
class Dot:
    """One recipe: its score with interval, and its mean training time in seconds with the least and the most; it has
    the colour of its learning curve."""

    title: str
    kind: str
    colour: str
    score: float
    low: float
    high: float
    cost: float
    least: float
    most: float


@dataclass(frozen=True)
class CostPlot(Display):
    """The headline score of every recipe against what it costs to train."""

    metric: str
    dots: tuple[Dot, ...]

    title: ClassVar[str] = "Score against training time"

    @classmethod
    def from_table(cls, table: StudyTable) -> "CostPlot":
        """Take every entry whose score and training time are known, but the majority-class baseline, which takes
        none."""
        colours = entry_colours(table.entries)
        dots = (_dot(e, table.headline, colours[e.id].day) for e in table.entries if e.backbone != MAJORITY)
        return cls(table.headline, tuple(d for d in dots if math.isfinite(d.score) and d.cost > 0))

    @property
    def caption(self) -> str:
        bars = "bars up and down are 95 % intervals, bars sideways the range of training times over seeds"
        if not self.dots:
            return "No recipe has both a score and a training time."
        best = max(self.dots, key=lambda d: d.score)
        fastest = min(self.dots, key=lambda d: d.cost)
        if best is fastest:
            return f"{best.title} is both the highest and the fastest to train; {bars}."
        return (
            f"Up is better, left is cheaper: {best.title} is highest at {number(best.score)} and trains in "
            f"{duration(best.cost)} a seed; {bars}."
        )

    @property
    def description(self) -> str:
        own = (
            f"{d.title}: {number(d.score)} {interval(d.low, d.high)}, trained in {duration(d.cost)}"
            for d in self.dots
        )
        return f"{metric_words(self.metric).short} against training time per seed. " + "; ".join(own) + "."

    layout: ClassVar[Layout] = Layout(_WIDTH, _HEIGHT, left=_LEFT, right=_RIGHT, top=34, bottom=52)

    def frame(self) -> pd.DataFrame:
        """One line per recipe: title, kind, score, low, high, cost, least, most."""
        names = ["title", "kind", "score", "low", "high", "cost", "least", "most"]
        return pd.DataFrame([[getattr(d, name) for name in names] for d in self.dots], columns=names)

    def draw(self, ax: Axes) -> None:
        """A dot with bars both ways, its name where it covers nothing; time runs by factors of ten."""
        self._style(ax)
        for dot in self.dots:
            colour, (_, sign) = dot.colour, KINDS[dot.kind]
            ax.plot([dot.cost] * 2, [dot.low, dot.high], color=colour, linewidth=1.6, alpha=0.55)
            ax.plot([dot.least, dot.most], [dot.score] * 2, color=colour, linewidth=1.6, alpha=0.55)
            ax.plot([dot.cost], [dot.score], sign, color=colour, markersize=8)
        _write_names(ax, self.dots)
        _write_key(ax, self.dots)

    def _style(self, ax: Axes) -> None:
        ends = [v for d in self.dots for v in (d.low, d.high, d.score) if math.isfinite(v)]
        times = [v for d in self.dots for v in (d.least, d.most)]
        ax.set_xscale("log")
        if ends:
            room = 0.08 * (max(ends) - min(ends)) or 0.05
            ax.set_ylim(min(ends) - room, max(ends) + room)
            ax.set_xlim(min(times) / 2, max(times) * 4)
        shown = [t for t in _TICKS if ax.get_xlim()[0] <= t <= ax.get_xlim()[1]]
        ax.set_xticks(shown, [_TICKS[t] for t in shown])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND_STEPS))
        ax.set_xlabel("training time of a seed")
        ax.annotate(metric_words(self.metric).short, (0, 1), (-52, 18), "axes fraction", "offset points",
                    weight="bold", color=INK)  # fmt: skip
        ax.grid(axis="y", color=RULE, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.tick_params(length=3)


@dataclass(frozen=True)
class SizePlot(Display):
    """The headline score of a recipe at each size of the images, that of the linear baseline there, and the cost."""

    metric: str
    recipe: str
    sizes: tuple[int, ...]
    scores: tuple[Score, ...]
    linear: tuple[float, ...]
    costs: tuple[Cost, ...]

    title: ClassVar[str] = "Score against size"
    layout: ClassVar[Layout] = Layout(_WIDTH, _HEIGHT, left=_LEFT, right=150, top=34, bottom=86)

    @classmethod
    def from_table(cls, table: StudyTable) -> "SizePlot":
        """Take the entries of the recipe that stands at several sizes; see `StudyTable.sizes`."""
        found = table.sizes
        return cls(
            table.headline,
            found[0].title.removesuffix(f" at {found[0].size} px"),
            tuple(entry.size or 0 for entry in found),
            tuple(entry.row(table.headline) for entry in found),
            tuple(entry.baseline for entry in found),
            tuple(entry.cost for entry in found),
        )

    @property
    def caption(self) -> str:
        scored = zip((row.value for row in self.scores), self.sizes, strict=True)
        score, size = max((own for own in scored if math.isfinite(own[0])), default=(math.nan, 0))
        if not size:
            return "The score is undefined at every size."
        return (
            f"Highest on test at {size} px, with {number(score)}; bars are 95 % intervals of each score by itself; "
            "sizes are compared by paired differences below. Under each size: training time of a seed, and "
            "milliseconds an image."
        )

    @property
    def description(self) -> str:
        own = (
            f"{size} px: {number(row.value)} {interval(row.low, row.high)}, linear {number(linear)}, {cost}"
            for size, row, linear, cost in zip(
                self.sizes, self.scores, self.linear, map(_cost_words, self.costs), strict=True
            )
        )
        return (
            f"{metric_words(self.metric).short} of {self.recipe} against the size of images. " + "; ".join(own) + "."
        )

    def frame(self) -> pd.DataFrame:
        """One line per size: size, score, low, high, linear, seconds of training, milliseconds an image."""
        names = ["size", "score", "low", "high", "linear", "seconds", "ms_per_image"]
        lines = [
            (size, row.value, row.low, row.high, linear, cost.fit_mean, cost.predict_mean)
            for size, row, linear, cost in zip(self.sizes, self.scores, self.linear, self.costs, strict=True)
        ]
        return pd.DataFrame(lines, columns=names)

    def draw(self, ax: Axes) -> None:
        """A dot with its interval at each size, joined by a line; linear dashed; costs below the sizes."""
        places = np.arange(len(self.sizes))
        values = [row.value for row in self.scores]
        for place, row in zip(places, self.scores, strict=True):
            ax.plot([place, place], [row.low, row.high], color=ACCENT, linewidth=1.6, alpha=0.55)
        ax.plot(places, values, "o-", color=ACCENT, markersize=8)
        ax.plot(places, self.linear, "D--", color=MUTED, markersize=5, linewidth=1.4)
        ends = [v for row in self.scores for v in (row.low, row.high, row.value)]
        known = [v for v in (*ends, *self.linear) if math.isfinite(v)]
        if known:
            room = 0.08 * (max(known) - min(known)) or 0.05
            ax.set_ylim(min(known) - room, max(known) + room)
        ax.set_xlim(-0.3, len(places) - 0.7)
        costs = [_cost_words(cost, "\n") for cost in self.costs]
        ax.set_xticks(places, [f"{size} px\n{cost}" for size, cost in zip(self.sizes, costs, strict=True)])
        ax.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND_STEPS))
        ax.annotate(metric_words(self.metric).short, (0, 1), (-52, 18), "axes fraction", "offset points",
                    weight="bold", color=INK)  # fmt: skip
        names = (values[-1], self.recipe, ACCENT), (self.linear[-1], "linear baseline", MUTED)
        label_ends(ax, [own for own in names if math.isfinite(own[0])], places[-1] + 0.03)
        ax.grid(axis="y", color=RULE, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.tick_params(length=3)


def _cost_words(cost: Cost, between: str = ", ") -> str:
    """Say what a seed takes to train and an image to answer."""
    trained = duration(cost.fit_mean) if math.isfinite(cost.fit_mean) else "time not known"
    answered = f"{decimal_text(cost.predict_mean, 2)} ms an image" if math.isfinite(cost.predict_mean) else ""
    return between.join(filter(None, (trained, answered)))


def entry_colours(entries: Sequence[StudyRowResult]) -> dict[str, Colour]:
    """Give the colour of every entry of a study, the same in each of its figures.

    One that is trained by epochs and is no variant has a colour of its own, a variant that of its original; the
    others, which have no curve, have none.
    """
    trained = [entry for entry in entries if entry.histories]
    ids = {entry.id for entry in trained}
    own = [entry.id for entry in trained if entry.compare_with not in ids]
    found = dict(zip(own, palette(MultiClass(tuple(own))), strict=True)) if own else {}
    plain = Colour(MUTED, MUTED)
    found |= {e.id: found.get(e.compare_with or "", plain) for e in trained if e.id not in found}
    return {entry.id: found.get(entry.id, plain) for entry in entries}


def _dot(entry: StudyRowResult, headline: str, colour: str) -> Dot:
    row, fit = entry.row(headline), [value for value in entry.cost.fit if math.isfinite(value)]
    return Dot(
        entry.title,
        entry.kind,
        colour,
        row.value,
        row.low,
        row.high,
        entry.cost.fit_mean,
        min(fit, default=math.nan),
        max(fit, default=math.nan),
    )


def _write_names(ax: Axes, dots: Sequence[Dot]) -> None:
    """Write each name at the place beside its dot where it covers least of dots, bars and other names."""
    figure = ax.get_figure(root=True)
    points = 72 / figure.dpi if figure is not None else 1.0
    places = points * ax.transData.transform(np.reshape([(d.cost, d.score) for d in dots], (-1, 2)))
    bars = [
        points * ax.transData.transform([(d.cost, _or(d.low, d.score)), (d.cost, _or(d.high, d.score))]) for d in dots
    ]
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in places]
    taken += [(low[0] - 2, low[1], high[0] + 2, high[1]) for low, high in bars]
    edge = points * ax.get_window_extent().x1
    for dot, (x, y) in zip(dots, places, strict=True):
        width = _CHARACTER * len(dot.title)
        chosen = min(_CANDIDATES, key=lambda c: _cover(_box(x, y, width, c), taken, edge) + 0.01 * abs(c[1]))
        taken.append(_box(x, y, width, chosen))
        side, rise = chosen
        ax.annotate(dot.title, (dot.cost, dot.score), (11 * side, rise), "data", "offset points",
                    ha="left" if side > 0 else "right", va="center", fontsize=12, color=INK,
                    annotation_clip=False)  # fmt: skip


_CANDIDATES = tuple((side, rise) for rise in (0, 14, -14, 28, -28, 44, -44, 60, -60) for side in (1, -1))


def _box(x: float, y: float, width: float, place: tuple[int, int]) -> tuple[float, float, float, float]:
    side, rise = place
    left = x + 11 if side > 0 else x - 11 - width
    return left, y + rise - _LINE / 2, left + width, y + rise + _LINE / 2


def _cover(
    box: tuple[float, float, float, float], taken: Sequence[tuple[float, float, float, float]], edge: float
) -> float:
    """Area of a box that others occupy, and of what runs over the right edge."""
    covered = sum(
        max(0.0, min(box[2], b[2]) - max(box[0], b[0])) * max(0.0, min(box[3], b[3]) - max(box[1], b[1]))
        for b in taken
    )
    return covered + max(0.0, box[2] - edge) * _LINE


def _write_key(ax: Axes, dots: Sequence[Dot]) -> None:
    """Name the signs of the kinds that occur, on one line above the axes."""
    x = 60.0
    for kind in [kind for kind in KINDS if any(d.kind == kind for d in dots)]:
        name, sign = KINDS[kind]
        at = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
        ax.plot([x / (_WIDTH - _LEFT - _RIGHT)], [1.06], sign, color=MUTED, markersize=7, clip_on=False,
                transform=ax.transAxes)  # fmt: skip
        ax.annotate(name, (x / (_WIDTH - _LEFT - _RIGHT), 1.06), (9, 0), va="center", fontsize=12, color=MUTED, **at)  # type: ignore[arg-type]
        x += 40 + _CHARACTER * len(name)


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other


_LONGEST = 20


_MANY = 8


_IN_A_ROW = 4


@dataclass(frozen=True)
class ConfusionGrid(Display):
    """Row rates (M, C, C) of M recipes: of the images of a class, summed over seeds, the share answered as each."""

    titles: tuple[str, ...]
    labels: tuple[str, ...]
    rates: Floats
    noun: str

    title: ClassVar[str] = "Confusion matrices side by side"

    @classmethod
    def from_table(cls, table: StudyTable) -> "ConfusionGrid":
        """Take the counts of every entry; for tasks with one answer per image."""
        entries = _shown(table)
        counts = np.stack([entry.confusion for entry in entries]).astype(float)
        rates = ratio(counts, np.broadcast_to(counts.sum(axis=2, keepdims=True), counts.shape))
        titles = tuple(entry.title for entry in entries)
        return cls(titles, table.task.labels, rates, label_words(table.task, 1))

    @property
    def caption(self) -> str:
        found = self.rates[:, np.arange(len(self.labels)), np.arange(len(self.labels))]
        known = np.where(np.isfinite(found), found, -1).max(axis=0)
        hardest = int(np.argmin(np.where(known < 0, 2, known)))
        best = self.titles[int(np.nanargmax(found[:, hardest]))] if known[hardest] >= 0 else ""
        head = f"Rows are the true {self.noun}, columns the answer, numbers per cent of the row over all seeds"
        if len(self.labels) > _MANY:
            head = f"Rows are the true {self.noun}, columns the answer in the same order, over all seeds"
        if known[hardest] <= 0:
            return f"{head}. No recipe ever answers {self.labels[hardest]} rightly."
        return (
            f"{head}. Hardest for all: {self.labels[hardest]}, found in {percent(known[hardest])} at best ({best})."
        )

    @property
    def description(self) -> str:
        own = []
        for title, rates in zip(self.titles, self.rates, strict=True):
            shares = (f"{name} {percent(rates[i, i])}" for i, name in enumerate(self.labels))
            own.append(f"{title}: {', '.join(shares)}")
        return f"One matrix per recipe, shaded by the share of the row. Right: {'; '.join(own)}."

    @property
    def layout(self) -> Layout:
        rows, columns = self._grid
        left = margin_for([shorten(name, _LONGEST) for name in self.labels]) + 6
        side = (990 - left - (_IN_A_ROW - 1) * _MATRIX_GAP) / _IN_A_ROW
        width, height = columns * side + (columns - 1) * _MATRIX_GAP, rows * side + (rows - 1) * _MATRIX_HEAD
        return Layout(
            round(left + width + 10),
            round(height + _MATRIX_HEAD + 70),
            left=left,
            right=10,
            top=_MATRIX_HEAD,
            bottom=70,
        )

    @property
    def _grid(self) -> tuple[int, int]:
        return -(-len(self.titles) // _IN_A_ROW), min(_IN_A_ROW, len(self.titles))

    def frame(self) -> pd.DataFrame:
        """One line per recipe and pair of classes: title, true, answered, rate."""
        lines = [
            (title, true, answered, self.rates[m, i, j])
            for m, title in enumerate(self.titles)
            for i, true in enumerate(self.labels)
            for j, answered in enumerate(self.labels)
        ]
        return pd.DataFrame(lines, columns=["title", "true", "answered", "rate"])

    def draw(self, ax: Axes) -> None:
        """One panel per recipe, its name above it."""
        _, columns = self._grid
        panels = divide(ax, len(self.titles), columns, self.layout.share(_MATRIX_GAP, _MATRIX_HEAD))
        for m, panel in enumerate(panels):
            few, title = len(self.labels) <= _MANY, textwrap.wrap(self.titles[m], 26, max_lines=2, placeholder="…")
            _shade(panel, self.rates[m], self.labels, with_text=few, named=m % columns == 0)
            panel.set_title("\n".join(title), loc="left", fontsize=12.5, color=INK, pad=6)
        scale_of_shades(ax, "share of the row")


@dataclass(frozen=True)
class FindingGrid(Display):
    """Shares (M, C) of M recipes and C findings, over all seeds: `found`, of the images that have the finding, and
    `alarms`, of those that do not. NaN where there is no such image."""

    titles: tuple[str, ...]
    labels: tuple[str, ...]
    found: Floats
    alarms: Floats

    title: ClassVar[str] = "Sensitivity and false positive rate by recipe"

    @classmethod
    def from_table(cls, table: StudyTable) -> "FindingGrid":
        """Take the four counts of every entry; for tasks with any number of findings."""
        entries = _shown(table)
        counts = np.stack([entry.confusion for entry in entries]).astype(float)
        have, clear = counts[..., 0] + counts[..., 1], counts[..., 2] + counts[..., 3]
        titles = tuple(entry.title for entry in entries)
        return cls(titles, table.task.labels, ratio(counts[..., 0], have), ratio(counts[..., 2], clear))

    @property
    def caption(self) -> str:
        best = np.where(np.isfinite(self.found), self.found, -1).max(axis=0)
        hardest = int(np.argmin(np.where(best < 0, 2, best)))
        least = f"{self.labels[hardest]}, {percent(best[hardest])} at best" if best[hardest] >= 0 else "none measured"
        return f"A recipe is good where the left is high and the right is low. Found least: {least}."

    @property
    def description(self) -> str:
        own = (
            f"{title}: {percent(float(np.nanmean(f)))} found, {percent(float(np.nanmean(a)))} false alarms"
            for title, f, a in zip(self.titles, self.found, self.alarms, strict=True)
        )
        return "Shares of each finding by recipe; means over findings. " + "; ".join(own) + "."

    @property
    def layout(self) -> Layout:
        left = margin_for([shorten(name) for name in self.labels])
        below = round(0.62 * margin_for([shorten(title, 26) for title in self.titles], 220)) + 66
        return Layout(1000, 26 * len(self.labels) + below + 30, left=left, right=10, top=30, bottom=below)

    def frame(self) -> pd.DataFrame:
        """One line per recipe and finding: title, label, found, alarms."""
        lines = [
            (title, label, self.found[m, c], self.alarms[m, c])
            for m, title in enumerate(self.titles)
            for c, label in enumerate(self.labels)
        ]
        return pd.DataFrame(lines, columns=["title", "label", "found", "alarms"])

    def draw(self, ax: Axes) -> None:
        """Two panels shaded alike, per cent as text."""
        panels = divide(ax, 2, 2, (0.06, 0))
        for panel, shares, name in zip(
            panels, (self.found, self.alarms), ("found (sensitivity)", "false alarms (1 − specificity)"), strict=True
        ):
            _shade(panel, shares.T, self.labels, named=panel is panels[0])
            panel.set_title(name, loc="left", fontsize=12.5, color=INK, pad=6)
            places = np.arange(len(self.titles)) + 0.5
            names = [shorten(title, 26) for title in self.titles]
            panel.set_xticks(places, names, rotation=38, ha="right", rotation_mode="anchor")
        scale_of_shades(ax, "share of those with, or without, the finding")


def _shown(table: StudyTable) -> list[StudyRowResult]:
    """The entries whose errors say something: not the majority-class baseline, unless there is nothing else."""
    return [entry for entry in table.entries if entry.backbone != MAJORITY] or list(table.entries)


def _shade(panel: Axes, rates: Floats, labels: tuple[str, ...], *, with_text: bool = True, named: bool) -> None:
    """Shade cells (R, K) from 0 to 1, with whole per cents as text, and the labels at the left where `named`."""
    texts = [["–" if np.isnan(rate) else decimal_text(100 * rate, 0) for rate in row] for row in rates]
    shade_cells(panel, rates, texts if with_text else None)
    panel.set_xlim(0, rates.shape[1])
    panel.set_xticks([])
    panel.set_yticks([])
    if named:
        name_cells(panel, [shorten(name, _LONGEST) for name in labels])
        panel.tick_params(axis="y", labelsize=12)
