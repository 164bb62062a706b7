"""ROC and precision-recall curves of each label against the rest, with the operating point of the decisions."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.reports.displays.base import (
    Display,
    Floats,
    Layout,
    columns_shown,
    rate_axis,
    shorten,
    thinned,
)
from penlight.reports.displays.shared import divide
from penlight.reports.palette import INK, MUTED, PAPER, RULE, marker, palette
from penlight.reports.words import number
from penlight.runs.predictions import Predictions
from penlight.tasks.base import among

_ONE_PANEL = 7
"""So many curves share one panel; more take one each."""

_GAP_X, _GAP_Y = 14, 48


@dataclass(frozen=True)
class LabelCurve:
    """One label's curve: `x`, `y` (P,) with their `threshold` (answers are positive at or above it), the `area`,
    the `point` (x, y) of the decisions, the share of positives `prevalence`; `note` says why there is no curve."""

    label: str
    colour: str
    sign: str
    prevalence: float
    x: Floats = field(default_factory=partial(np.empty, 0))
    y: Floats = field(default_factory=partial(np.empty, 0))
    threshold: Floats = field(default_factory=partial(np.empty, 0))
    area: float = math.nan
    point: tuple[float, float] = (math.nan, math.nan)
    note: str = ""


Reference = Callable[[Axes, LabelCurve | None], None]
"""Draws what guessing would give."""


@dataclass(frozen=True)
class _LabelCurves(Display):
    """Curves of each label against the rest; `axes` name `x` and `y` in a frame."""

    curves: tuple[LabelCurve, ...]

    axes: ClassVar[tuple[str, str]]
    area: ClassVar[str]

    @classmethod
    def from_predictions(cls, predictions: Predictions, decided: NDArray[np.uint8]) -> Self:
        """Compute the curve of each label from its truth, probabilities and decisions; one without the cases that
        its axes need has none."""
        task, colours, curves = predictions.task, palette(predictions.task), []
        for c in columns_shown(task.labels, task.exclusive):
            rows = among(predictions.known, c)
            y, prob, called = predictions.y_true[rows, c], predictions.prob[rows, c], decided[rows, c].astype(bool)
            own = LabelCurve(
                task.labels[c], colours[c].day, marker(c, len(task.labels)), float(y.sum()) / max(len(y), 1)
            )
            curves.append(cls._curve(own, y == 1, prob, called))
        return cls(tuple(curves))

    @staticmethod
    @abstractmethod
    def _curve(own: LabelCurve, there: NDArray[np.bool_], prob: Floats, called: NDArray[np.bool_]) -> LabelCurve:
        """Compute one curve, or say in its note why there is none."""

    @property
    def description(self) -> str:
        x, y = (name.replace("_", " ") for name in self.axes)
        parts = (
            f"{c.label}: {c.note}"
            if c.note
            else f"{c.label}: {self.area} {number(c.area, 2)}, decisions at {x} {number(c.point[0], 2)} "
            f"and {y} {number(c.point[1], 2)}"
            for c in self.curves
        )
        return f"Curves of {y} against {x}. " + "; ".join(parts) + "."

    def frame(self) -> pd.DataFrame:
        """One line per point: label, the two axes, threshold."""
        x, y = self.axes
        parts = [
            pd.DataFrame({"label": c.label, x: c.x, y: c.y, "threshold": c.threshold})
            for c in self.curves
            if len(c.x)
        ]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["label", x, y, "threshold"])

    def drawn_numbers(self) -> pd.DataFrame:
        """One line per label and point drawn: label, the two axes."""
        drawn = ((c.label, *point) for c in self.curves for point in zip(*thinned(c.x, c.y), strict=True))
        return pd.DataFrame(drawn, columns=["label", *self.axes])


def _tally(there: NDArray[np.bool_], prob: Floats) -> tuple[Floats, Floats, Floats]:
    """Count at each distinct probability from high to low, (P,): positives and all images at or above it, and give
    these probabilities."""
    order = np.argsort(-prob, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(prob[order]) != 0, True])
    return np.cumsum(there[order], dtype=float)[last], (last + 1).astype(float), prob[order][last]


class RocCurves(_LabelCurves):
    """Sensitivity against the false positive rate."""

    title: ClassVar[str] = "ROC curves"
    axes: ClassVar[tuple[str, str]] = ("false_positive_rate", "sensitivity")
    area: ClassVar[str] = "AUC"

    @staticmethod
    def _curve(own: LabelCurve, there: NDArray[np.bool_], prob: Floats, called: NDArray[np.bool_]) -> LabelCurve:
        positive, n = float(there.sum()), len(there)
        if positive in (0, n):
            return replace(own, note="no positive case" if positive == 0 else "no negative case")
        found, of, threshold = _tally(there, prob)
        tpr, fpr = np.r_[0, found / positive], np.r_[0, (of - found) / (n - positive)]
        point = (float(called[~there].mean()), float(called[there].mean()))
        area = float(np.trapezoid(tpr, fpr))
        return replace(own, x=fpr, y=tpr, threshold=np.r_[np.inf, threshold], area=area, point=point)

    @property
    def caption(self) -> str:
        return f"{_extremes(self.curves)} Signs mark where the decisions stand; the diagonal is guessing."

    @property
    def layout(self) -> Layout:
        if len(self.curves) <= _ONE_PANEL:
            return Layout(420, 416, left=52, right=12, top=10, bottom=50)
        return _grid_layout(len(self.curves))

    def draw(self, ax: Axes) -> None:
        """Draw all in one panel where they stay readable, else one panel each over the others in grey."""
        if len(self.curves) > _ONE_PANEL:
            _plot_grid(ax, self.curves, "AUC", ("false positive rate", "sensitivity"), _diagonal)
            return
        _diagonal(ax, None)
        for curve in self.curves:
            _draw(ax, curve)
        rate_axis(ax)
        ax.set_aspect("equal")
        ax.set_xlabel("false positive rate (1 − specificity)")
        ax.set_ylabel("sensitivity")
        _key(ax, self.curves)


class PrecisionRecallCurves(_LabelCurves):
    """Precision against recall; guessing has the prevalence as its precision."""

    title: ClassVar[str] = "Precision and recall"
    axes: ClassVar[tuple[str, str]] = ("recall", "precision")
    area: ClassVar[str] = "average precision"

    @staticmethod
    def _curve(own: LabelCurve, there: NDArray[np.bool_], prob: Floats, called: NDArray[np.bool_]) -> LabelCurve:
        positive = float(there.sum())
        if positive == 0:
            return replace(own, note="no positive case")
        found, of, threshold = _tally(there, prob)
        recall, precision = found / positive, found / of
        right = float(called[there].sum())
        point = (right / positive, right / float(called.sum()) if called.any() else math.nan)
        area = float(np.sum(np.diff(recall, prepend=0) * precision))
        x, y = np.r_[0, recall], np.r_[1, precision]
        return replace(own, x=x, y=y, threshold=np.r_[np.inf, threshold], area=area, point=point)

    @property
    def caption(self) -> str:
        known = sorted((c for c in self.curves if math.isfinite(c.area)), key=lambda c: c.area - c.prevalence)
        if not known:
            return "No label has a positive case, so there is no curve."
        most, least = (
            f"{c.label} (average precision {number(c.area, 2)} against {number(c.prevalence, 2)} by guessing)"
            for c in (known[-1], known[0])
        )
        rest = "" if len(known) == 1 else f", least by {least}"
        return f"Most is gained by {most}{rest}; the thin line is guessing, the sign the decisions."

    @property
    def layout(self) -> Layout:
        return _grid_layout(len(self.curves))

    def draw(self, ax: Axes) -> None:
        """Draw one panel per label over the others in grey, since each has its own reference."""
        _plot_grid(ax, self.curves, "AP", ("recall", "precision"), _prevalence_line)


def _extremes(curves: Sequence[LabelCurve]) -> str:
    known = sorted((c for c in curves if math.isfinite(c.area)), key=lambda c: c.area)
    if not known:
        return "No label has both positive and negative cases, so there is no curve."
    if len(known) == 1:
        return f"{known[0].label}: AUC {number(known[0].area, 2)}."
    best, worst = known[-1], known[0]
    return f"Ranked best: {best.label} (AUC {number(best.area, 2)}); worst: {worst.label} ({number(worst.area, 2)})."


def _grid_shape(n: int) -> tuple[int, int]:
    columns = 1 if n == 1 else 2 if n <= 4 else 3
    return -(-n // columns), columns


def _grid_layout(n: int) -> Layout:
    rows, columns = _grid_shape(n)
    side = {1: 340, 2: 178, 3: 118}[columns]
    width, height = columns * side + (columns - 1) * _GAP_X, rows * side + (rows - 1) * _GAP_Y
    return Layout(width + 60, height + 94, left=52, right=8, top=44, bottom=50)


def _plot_grid(
    ax: Axes, curves: Sequence[LabelCurve], area: str, names: tuple[str, str], reference: Reference
) -> None:
    n, (_, columns) = len(curves), _grid_shape(len(curves))
    for i, panel in enumerate(divide(ax, n, columns, _grid_layout(n).share(_GAP_X, _GAP_Y))):
        _draw_panel(panel, curves, i, area, reference)
        panel.tick_params(labelleft=i % columns == 0, labelbottom=i + columns >= n)
    ax.annotate(names[0], (0.5, 0), (0, -34), "axes fraction", "offset points", ha="center", va="top", color=MUTED)
    ax.annotate(names[1], (0, 0.5), (-36, 0), "axes fraction", "offset points", ha="center", va="center",
                rotation=90, color=MUTED)  # fmt: skip


def _draw_panel(panel: Axes, curves: Sequence[LabelCurve], own: int, area: str, reference: Reference) -> None:
    curve = curves[own]
    for other in curves:
        if other is not curve:
            panel.plot(*thinned(other.x, other.y), color=RULE, linewidth=0.6, alpha=0.7, zorder=1)
    rate_axis(panel)
    name = shorten(curve.label, 16 if _grid_shape(len(curves))[1] > 2 else 24)
    panel.annotate(name, (0, 1), (0, 20), "axes fraction", "offset points", color=INK)
    told = f"{area} {number(curve.area, 2)}" if math.isfinite(curve.area) else curve.note
    panel.annotate(told, (0, 1), (0, 6), "axes fraction", "offset points", color=MUTED, fontsize=12)
    if math.isfinite(curve.area):
        reference(panel, curve)
        _draw(panel, curve)


def _draw(ax: Axes, curve: LabelCurve) -> None:
    ax.plot(*thinned(curve.x, curve.y), color=curve.colour, zorder=2)
    ax.plot(*curve.point, curve.sign, color=curve.colour, markeredgecolor=PAPER, markersize=9, zorder=4,
            clip_on=False)  # fmt: skip


def _diagonal(ax: Axes, curve: LabelCurve | None) -> None:
    ax.plot([0, 1], [0, 1], color=RULE, linewidth=1, zorder=0)


def _prevalence_line(ax: Axes, curve: LabelCurve | None) -> None:
    if curve is not None:
        ax.axhline(curve.prevalence, color=MUTED, linewidth=1, dashes=(4, 3), zorder=0)


def _key(ax: Axes, curves: Sequence[LabelCurve]) -> None:
    """List the curves with their signs in the corner that ROC curves leave free, best ranked first."""
    ranked = sorted(curves, key=lambda c: -c.area if math.isfinite(c.area) else 2)
    for line, curve in enumerate(ranked):
        y = 0.05 + 0.062 * (len(ranked) - 1 - line)
        ax.plot([0.5, 0.57], [y, y], color=curve.colour, solid_capstyle="butt")
        ax.plot(0.535, y, curve.sign, color=curve.colour, markeredgecolor=PAPER, markersize=9)
        told = number(curve.area, 2) if math.isfinite(curve.area) else curve.note
        ax.text(0.6, y, f"{shorten(curve.label, 16)} {told}", va="center_baseline", fontsize=12)
