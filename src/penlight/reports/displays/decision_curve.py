"""Decision curve: what acting on the answers is worth, beside treating all and treating none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penlight.evaluation.operating import NetBenefit, net_benefits
from penlight.reports.displays.base import Display, Layout, shorten
from penlight.reports.displays.shared import divide
from penlight.reports.palette import ACCENT, INK, MUTED, PAPER, RULE
from penlight.reports.words import number
from penlight.runs.predictions import Predictions

MOST = 4
"""So many questions are drawn, those with the most positives; the others are in the frame."""

_SIDE, _GAP_X, _GAP_Y = 210, 56, 64


@dataclass(frozen=True)
class DecisionCurve(Display):
    """Net benefit of each yes-or-no question over threshold probabilities, with its 95 % interval (Vickers and Elkin,
    2006); `curves` of all, in the order of the labels, of which those of `shown` are drawn."""

    curves: tuple[NetBenefit, ...]
    shown: tuple[NetBenefit, ...]

    title: ClassVar[str] = "Decision curve"

    @classmethod
    def from_predictions(cls, predictions: Predictions, questions: Sequence[str] = ()) -> "DecisionCurve":
        """Compute from calibrated predictions; draw `questions` by name or, without any, the MOST commonest."""
        p = predictions
        curves = tuple(net_benefits(p.task, p.y_true, p.prob, groups=p.units, known=p.known))
        known = [curve for curve in curves if not curve.note]
        commonest = sorted(known, key=lambda curve: -curve.positives)[:MOST]
        wanted = set(questions) or {curve.question for curve in commonest}
        return cls(curves, tuple(curve for curve in known if curve.question in wanted))

    @property
    def caption(self) -> str:
        if not self.shown:
            return "No question has both positive and negative cases, so there is no net benefit."
        rest = len(self.curves) - len(self.shown)
        others = f" The {len(self.shown)} commonest of {len(self.curves)} are drawn." if rest else ""
        return (
            f"Clearly worth more than treating all or none: {'; '.join(map(_gain, self.shown))}. Net benefit is true "
            "positives less false positives, these weighed by the odds of the threshold, per image; bands are 95 % "
            f"intervals.{others}"
        )

    @property
    def description(self) -> str:
        parts = []
        for curve in self.shown:
            at = int(np.argmin(np.abs(curve.threshold - curve.prevalence)))
            parts.append(
                f"{curve.question}: at threshold {number(curve.threshold[at], 2)} {number(curve.model[at])}, "
                f"treating all {number(curve.treat_all[at])}"
            )
        return "Net benefit against threshold probability. " + "; ".join(parts or ["nothing is drawn"]) + "."

    @property
    def layout(self) -> Layout:
        if len(self.shown) <= 1:
            return Layout(460, 340, left=66, right=14, top=12, bottom=50)
        rows = -(-len(self.shown) // 2)
        return Layout(
            2 * _SIDE + _GAP_X + 74, rows * _SIDE + (rows - 1) * _GAP_Y + 90, left=66, right=8, top=30, bottom=50
        )

    def frame(self) -> pd.DataFrame:
        """One line per question and threshold: net benefit, its interval, that of treating all."""
        names = ["question", "positives", "threshold", "net_benefit", "low", "high", "treat_all", "gain_low"]
        parts = [pd.DataFrame({**vars(c), "net_benefit": c.model, "treat_none": 0.0}) for c in self.curves]
        return pd.concat(parts, ignore_index=True)[[*names, "treat_none", "note"]]

    def draw(self, ax: Axes) -> None:
        """Draw each question in a panel."""
        if len(self.shown) <= 1:
            for curve in self.shown:
                _draw(ax, curve)
                ax.set_xlabel(f"threshold probability of {curve.question}")
                ax.set_ylabel("net benefit")
            return
        panels = divide(ax, len(self.shown), 2, self.layout.share(_GAP_X, _GAP_Y))
        for i, (panel, curve) in enumerate(zip(panels, self.shown, strict=True)):
            _draw(panel, curve)
            panel.set_title(shorten(curve.question, 26), fontsize=13, color=INK, loc="left")
            if i >= len(self.shown) - 2:
                panel.set_xlabel("threshold probability")
            if i % 2 == 0:
                panel.set_ylabel("net benefit")


_MOST_STRETCHES = 3


def _gain(curve: NetBenefit) -> str:
    """Between which thresholds the gain over the better of treating all and none is more than chance."""
    better = np.flatnonzero(curve.gain_low > 0)
    if not len(better):
        return f"{curve.question} at no threshold"
    stretches = np.split(better, np.flatnonzero(np.diff(better) > 1) + 1)
    ends = [tuple(number(curve.threshold[at], 2) for at in (own[0], own[-1])) for own in stretches]
    if len(ends) > _MOST_STRETCHES:
        return f"{curve.question} in {len(ends)} stretches from {ends[0][0]} to {ends[-1][1]}"
    said = (f"between {low} and {high}" if low != high else f"at {low}" for low, high in ends)
    return f"{curve.question} {' and '.join(said)}"


def _draw(ax: Axes, curve: NetBenefit) -> None:
    top = max(float(np.nanmax(curve.high)), curve.prevalence) if not math.isnan(curve.high[0]) else curve.prevalence
    ax.axhline(0, color=RULE, linewidth=1.2, zorder=0)
    ax.plot(curve.threshold, curve.treat_all, color=MUTED, linewidth=1.3, linestyle=(0, (4, 3)))
    ax.fill_between(curve.threshold, curve.low, curve.high, color=ACCENT, alpha=0.22, linewidth=0)
    ax.plot(curve.threshold, curve.model, color=ACCENT, linewidth=1.8)
    ax.set_xlim(0, curve.threshold[-1])
    ax.set_ylim(-0.25 * top, 1.12 * top)
    ax.tick_params(length=3)
    ax.locator_params(axis="both", nbins=4)
    where = curve.threshold[-1]
    # On paper of their own: bands and lines lie below them.
    paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.5, "alpha": 0.85}
    label: dict[str, Any] = {"fontsize": 12, "bbox": paper}
    ax.text(0.98 * where, -0.15 * top, "treat none", color=MUTED, ha="right", va="center", **label)
    at = int(np.argmin(np.abs(curve.treat_all + 0.16 * top)))
    # At the right there may be no room beside "treat none".
    side, shift = ("left", 0.02) if curve.threshold[at] < 0.5 * where else ("right", -0.02)
    ax.text(curve.threshold[at] + shift * where, -0.15 * top, "treat all", color=MUTED, ha=side, va="center", **label)
    third = len(curve.model) // 4
    ax.annotate("this model", (curve.threshold[third], curve.high[third] if top else 0), (4, 6),
                textcoords="offset points", color=ACCENT, **label)  # fmt: skip
