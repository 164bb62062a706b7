"""Several sets, each score beside a published one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penlight.evaluation.rows import MetricRow
from penlight.report.displays.base import Layout, margin_for
from penlight.report.palette import ACCENT, INK, MUTED, RULE
from penlight.report.words import listed, metric_words, number

_LANE = 30


@dataclass(frozen=True)
class Lane:
    """One set: its own score with interval, the linear baseline's (NaN where there is none), the published one."""

    name: str
    own: MetricRow
    linear: float
    published: float

    @property
    def stands(self) -> str:
        """Say "above", "below" or "level": where the published value lies to the interval of one's own."""
        if self.own.low > self.published:
            return "above"
        return "below" if self.own.high < self.published else "level"


@dataclass(frozen=True)
class BesidePublished:
    """Scores of sets with their 95 % intervals, and the published score of each as a ring."""

    lanes: tuple[Lane, ...]
    metric: str
    model: str

    section: ClassVar[str] = "verdict"

    @classmethod
    def from_lanes(cls, lanes: Sequence[Lane], metric: str, model: str) -> "BesidePublished":
        """Take the sets in their order; `model` is who made the published scores."""
        return cls(tuple(lanes), metric, model)

    @property
    def title(self) -> str:
        """The metric beside the published model."""
        return f"{metric_words(self.metric).short} beside {self.model}"

    @property
    def caption(self) -> str:
        """Name the sets whose interval leaves the published value out."""
        parts = []
        for word in ("above", "below"):
            names = [lane.name for lane in self.lanes if lane.stands == word]
            parts += [f"{word} it on {listed(names)}"] if names else []
        level = sum(lane.stands == "level" for lane in self.lanes)
        sets = "1 set" if level == 1 else f"{level} sets"
        parts += [f"level with it on {sets}"] if level else []
        return (
            f"Dot and bar: Penlight's plan with its 95 % interval, {', '.join(parts)}. Ring: {self.model} as "
            "published, without an interval. Tick: the linear baseline."
        )

    @property
    def description(self) -> str:
        """Say every set."""
        parts = (
            f"{lane.name}: {number(lane.own.value)} ({number(lane.own.low)} to {number(lane.own.high)}), "
            f"published {number(lane.published)}, linear {number(lane.linear)}"
            for lane in self.lanes
        )
        return "; ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        """As tall as the sets need."""
        left = margin_for([lane.name for lane in self.lanes])
        return Layout(560, _LANE * len(self.lanes) + 56, left=left, right=16, top=8, bottom=44)

    def frame(self) -> pd.DataFrame:
        """One line per set: name, value, low, high, linear, published, stands."""
        lines = [(x.name, x.own.value, x.own.low, x.own.high, x.linear, x.published, x.stands) for x in self.lanes]
        return pd.DataFrame(lines, columns=["name", "value", "low", "high", "linear", "published", "stands"])

    def plot(self, ax: Axes) -> None:
        """Draw a lane for each set, the first on top."""
        for y, lane in enumerate(self.lanes):
            ax.axhline(y, color=RULE, linewidth=0.6, zorder=0)
            if np.isfinite([lane.own.low, lane.own.high]).all():
                ends: dict[str, Any] = {"color": ACCENT, "linewidth": 7, "alpha": 0.35, "solid_capstyle": "butt"}
                ax.plot([lane.own.low, lane.own.high], [y, y], **ends)
            ax.plot([lane.linear], [y], "|", color=MUTED, markersize=13, markeredgewidth=1.6)
            ax.plot([lane.own.value], [y], "o", color=ACCENT, markersize=7)
            ax.plot([lane.published], [y], "o", color=INK, markersize=11, markerfacecolor="none", markeredgewidth=1.5)
        ax.set_ylim(len(self.lanes) - 0.5, -0.5)
        ax.set_yticks(range(len(self.lanes)), [lane.name for lane in self.lanes])
        ax.set_xlim(*self._range())
        ax.set_xlabel(metric_words(self.metric).short)
        ax.spines["left"].set_visible(False)
        ax.tick_params(length=0)

    def _range(self) -> tuple[float, float]:
        values = [v for x in self.lanes for v in (x.own.low, x.own.value, x.linear, x.published) if np.isfinite(v)]
        return np.floor(10 * min(values, default=0.0)) / 10, 1.01
