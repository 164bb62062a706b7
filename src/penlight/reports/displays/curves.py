"""ROC and precision-recall curves of each label against the rest, with the operating point of the decisions."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

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
    ratio,
    shorten,
    thinned,
)
from penlight.reports.displays.shared import divide
from penlight.reports.palette import INK, MUTED, PAPER, RULE, marker, palette
from penlight.reports.words import number
from penlight.runs.predictions import Predictions

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
    x: Floats
    y: Floats
    threshold: Floats
    area: float
    point: tuple[float, float]
    prevalence: float
    note: str = ""


Reference = Callable[[Axes, LabelCurve | None], None]
"""Draws what guessing would give."""


@dataclass(frozen=True)
class _Tally:
    """Counts at each distinct probability from high to low, (P,): positives and all images at or above it."""

    true_positive: Floats
    called: Floats
    threshold: Floats


def _tally(y: NDArray[np.uint8], prob: Floats) -> _Tally:
    order = np.argsort(-prob, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(prob[order]) != 0, True])
    return _Tally(np.cumsum(y[order], dtype=float)[last], (last + 1).astype(float), prob[order][last])


@dataclass(frozen=True)
class RocCurves(Display):
    """Sensitivity against the false positive rate."""

    curves: tuple[LabelCurve, ...]

    title: ClassVar[str] = "ROC curves"

    @classmethod
    def from_predictions(cls, predictions: Predictions, decided: NDArray[np.uint8]) -> "RocCurves":
        """Compute the curve of each label; one without positive or without negative cases has none."""
        return cls(tuple(_roc(*args) for args in _per_label(predictions, decided)))

    @property
    def caption(self) -> str:
        return f"{_extremes(self.curves, 'AUC')} Signs mark where the decisions stand; the diagonal is guessing."

    @property
    def description(self) -> str:
        return _described(self.curves, "AUC", "false positive rate", "sensitivity")

    @property
    def layout(self) -> Layout:
        if len(self.curves) <= _ONE_PANEL:
            return Layout(420, 416, left=52, right=12, top=10, bottom=50)
        return _grid_layout(len(self.curves))

    def frame(self) -> pd.DataFrame:
        """One line per point: label, false_positive_rate, sensitivity, threshold."""
        return _points(self.curves, "false_positive_rate", "sensitivity")

    def drawn_numbers(self) -> pd.DataFrame:
        """One line per label and point drawn: label, false_positive_rate, sensitivity."""
        return _drawn_points(self.curves, "false_positive_rate", "sensitivity")

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


@dataclass(frozen=True)
class PrecisionRecallCurves(Display):
    """Precision against recall; guessing has the prevalence as its precision."""

    curves: tuple[LabelCurve, ...]

    title: ClassVar[str] = "Precision and recall"

    @classmethod
    def from_predictions(cls, predictions: Predictions, decided: NDArray[np.uint8]) -> "PrecisionRecallCurves":
        """Compute the curve of each label; one without positive cases has none."""
        return cls(tuple(_precision_recall(*args) for args in _per_label(predictions, decided)))

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
    def description(self) -> str:
        return _described(self.curves, "average precision", "recall", "precision")

    @property
    def layout(self) -> Layout:
        return _grid_layout(len(self.curves))

    def frame(self) -> pd.DataFrame:
        """One line per point: label, recall, precision, threshold."""
        return _points(self.curves, "recall", "precision")

    def drawn_numbers(self) -> pd.DataFrame:
        """One line per label and point drawn: label, recall, precision."""
        return _drawn_points(self.curves, "recall", "precision")

    def draw(self, ax: Axes) -> None:
        """Draw one panel per label over the others in grey, since each has its own reference."""
        _plot_grid(ax, self.curves, "AP", ("recall", "precision"), _prevalence_line)


_PerLabel = tuple[str, str, str, NDArray[np.uint8], Floats, NDArray[np.uint8]]


def _per_label(predictions: Predictions, decided: NDArray[np.uint8]) -> Iterator[_PerLabel]:
    task = predictions.task
    colours = palette(task)
    for c in columns_shown(task.labels, task.exclusive):
        sign = marker(c, len(task.labels))
        y, prob = predictions.y_true[:, c], predictions.prob[:, c]
        yield task.labels[c], colours[c].day, sign, y, prob, decided[:, c]


def _roc(
    label: str, colour: str, sign: str, y: NDArray[np.uint8], prob: Floats, decided: NDArray[np.uint8]
) -> LabelCurve:
    positive, n = float(y.sum()), len(y)
    if positive in (0, n):
        return _no_curve(
            label, colour, sign, positive / max(n, 1), "no positive case" if positive == 0 else "no negative case"
        )
    t = _tally(y, prob)
    tpr = np.r_[0, t.true_positive / positive]
    fpr = np.r_[0, (t.called - t.true_positive) / (n - positive)]
    called = decided.astype(bool)
    point = (float(called[y == 0].mean()), float(called[y == 1].mean()))
    area = float(np.trapezoid(tpr, fpr))
    return LabelCurve(label, colour, sign, fpr, tpr, np.r_[np.inf, t.threshold], area, point, positive / n)


def _precision_recall(
    label: str, colour: str, sign: str, y: NDArray[np.uint8], prob: Floats, decided: NDArray[np.uint8]
) -> LabelCurve:
    positive, n = float(y.sum()), len(y)
    if positive == 0:
        return _no_curve(label, colour, sign, 0.0, "no positive case")
    t = _tally(y, prob)
    recall, precision = t.true_positive / positive, t.true_positive / t.called
    area = float(np.sum(np.diff(recall, prepend=0) * precision))
    called = decided.astype(bool)
    right = np.array([float(called[y == 1].sum())])
    point = (float(right[0] / positive), float(ratio(right, np.array([float(called.sum())]))[0]))
    return LabelCurve(label, colour, sign, np.r_[0, recall], np.r_[1, precision], np.r_[np.inf, t.threshold], area,
                 point, positive / n)  # fmt: skip


def _no_curve(label: str, colour: str, sign: str, prevalence: float, note: str) -> LabelCurve:
    empty: Floats = np.empty(0)
    nowhere = (float("nan"), float("nan"))
    return LabelCurve(label, colour, sign, empty, empty, empty, float("nan"), nowhere, prevalence, note)


def _points(curves: Sequence[LabelCurve], x: str, y: str) -> pd.DataFrame:
    parts = [pd.DataFrame({"label": c.label, x: c.x, y: c.y, "threshold": c.threshold}) for c in curves if len(c.x)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["label", x, y, "threshold"])


def _drawn_points(curves: Sequence[LabelCurve], x: str, y: str) -> pd.DataFrame:
    drawn = ((curve.label, *point) for curve in curves for point in zip(*thinned(curve.x, curve.y), strict=True))
    return pd.DataFrame(drawn, columns=["label", x, y])


def _extremes(curves: Sequence[LabelCurve], area: str) -> str:
    known = sorted((c for c in curves if math.isfinite(c.area)), key=lambda c: c.area)
    if not known:
        return "No label has both positive and negative cases, so there is no curve."
    if len(known) == 1:
        return f"{known[0].label}: {area} {number(known[0].area, 2)}."
    best, worst = known[-1], known[0]
    return (
        f"Ranked best: {best.label} ({area} {number(best.area, 2)}); worst: {worst.label} ({number(worst.area, 2)})."
    )


def _described(curves: Sequence[LabelCurve], area: str, x: str, y: str) -> str:
    parts = (
        f"{c.label}: {area} {number(c.area, 2)}, decisions at {x} {number(c.point[0], 2)} "
        f"and {y} {number(c.point[1], 2)}"
        if math.isfinite(c.area)
        else f"{c.label}: {c.note}"
        for c in curves
    )
    return f"Curves of {y} against {x}. " + "; ".join(parts) + "."


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
    rows, columns = _grid_shape(len(curves))
    box = _grid_layout(len(curves))
    gap = (_GAP_X / (box.width - box.left - box.right), _GAP_Y / (box.height - box.top - box.bottom))
    panels = divide(ax, rows, columns, gap)
    for i, panel in enumerate(panels[: len(curves)]):
        _draw_panel(panel, curves, i, area, reference)
        panel.tick_params(labelleft=i % columns == 0, labelbottom=i + columns >= len(curves))
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
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
