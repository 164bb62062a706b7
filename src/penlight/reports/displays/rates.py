"""Sensitivity and specificity of each label, at the decisions that were made."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.evaluation.proportions import share_interval
from penlight.reports.displays.base import Display, Floats, Layout, margin_for, rate_axis, ratio, shorten
from penlight.reports.displays.shared import name_lanes
from penlight.reports.palette import ACCENT, MUTED, PAPER, RULE
from penlight.reports.words import count, number
from penlight.runs.predictions import Predictions


@dataclass(frozen=True)
class LabelRates(Display):
    """Sensitivity and specificity (C,) of each label against the rest, with Wilson 95 % intervals (C, 2)."""

    labels: tuple[str, ...]
    positives: NDArray[np.int64]
    sensitivity: Floats
    specificity: Floats
    sensitivity_interval: Floats
    specificity_interval: Floats

    section: ClassVar[str] = "errors"
    title: ClassVar[str] = "Sensitivity and specificity"

    @classmethod
    def from_predictions(cls, predictions: Predictions, decided: NDArray[np.uint8]) -> "LabelRates":
        """Compute from 0/1 truth and decisions, each label against the rest."""
        y, d = predictions.y_true.astype(bool), decided.astype(bool)
        positives, negatives = y.sum(axis=0).astype(float), (~y).sum(axis=0).astype(float)
        found, clear = (y & d).sum(axis=0).astype(float), (~y & ~d).sum(axis=0).astype(float)
        return cls(
            predictions.task.labels,
            positives.astype(np.int64),
            ratio(found, positives),
            ratio(clear, negatives),
            np.stack(share_interval(y & d, y, predictions.units), axis=1),
            np.stack(share_interval(~y & ~d, ~y, predictions.units), axis=1),
        )

    @property
    def caption(self) -> str:
        """Name the label most often missed."""
        if np.isnan(self.sensitivity).all():
            return "No label has a positive case, so sensitivity is undefined."
        worst = int(np.nanargmin(self.sensitivity))
        n = int(self.positives[worst])
        if self.sensitivity[worst] == 1:
            return "No positive case of any label is missed; bars are 95 % intervals (Wilson)."
        found = f"found in {count(round(self.sensitivity[worst] * n))} of {count(n)}"
        return f"Most often missed: {self.labels[worst]}, {found}; bars are 95 % intervals (Wilson)."

    @property
    def description(self) -> str:
        """Say both rates of each label."""
        rows = (
            f"{label}: sensitivity {number(a, 2)}, specificity {number(b, 2)}"
            for label, a, b in zip(self.labels, self.sensitivity, self.specificity, strict=True)
        )
        return "Dots for each label on an axis from 0 to 1. " + "; ".join(rows) + "."

    @property
    def layout(self) -> Layout:
        """Two lanes per label."""
        left = margin_for([shorten(label) for label in self.labels])
        return Layout(440, 36 * len(self.labels) + 68, left=left, right=14, top=30, bottom=38)

    def frame(self) -> pd.DataFrame:
        """One line per label: its rates and their intervals."""
        return pd.DataFrame(
            {
                "label": self.labels,
                "positives": self.positives,
                "sensitivity": self.sensitivity,
                "sensitivity_low": self.sensitivity_interval[:, 0],
                "sensitivity_high": self.sensitivity_interval[:, 1],
                "specificity": self.specificity,
                "specificity_low": self.specificity_interval[:, 0],
                "specificity_high": self.specificity_interval[:, 1],
            }
        )

    def draw(self, ax: Axes) -> None:
        """Filled dots for sensitivity, open diamonds for specificity."""
        y = np.arange(len(self.labels), dtype=float)
        ax.hlines(y, 0, 1, color=RULE, linewidth=0.6, zorder=0)
        _dots(ax, self.sensitivity, self.sensitivity_interval, y - 0.14, ACCENT, "o", ACCENT)
        _dots(ax, self.specificity, self.specificity_interval, y + 0.14, MUTED, "D", PAPER)
        for row in np.flatnonzero(np.isnan(self.sensitivity)):
            ax.text(0, row - 0.14, "no positive case", color=MUTED, fontsize=12, va="center")
        rate_axis(ax, "x")
        name_lanes(ax, [shorten(label) for label in self.labels])
        _key(ax)


def _dots(ax: Axes, values: Floats, bounds: Floats, y: Floats, colour: str, sign: str, face: str) -> None:
    ax.hlines(y, bounds[:, 0], bounds[:, 1], color=colour, linewidth=4, alpha=0.35)
    ax.plot(values, y, sign, color=colour, markerfacecolor=face, markersize=6.5, markeredgewidth=1.5)


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
