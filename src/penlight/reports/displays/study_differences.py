"""Differences between recipes with their intervals, about zero."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from penlight.evaluation.comparison import Difference
from penlight.reports.displays.base import Display, Layout, margin_for, shorten
from penlight.reports.displays.shared import draw_lane, name_lanes
from penlight.reports.displays.study_cost import ROUND_STEPS
from penlight.reports.palette import ACCENT, MUTED
from penlight.reports.words import interval, metric_words, number

_LANE = 28
_LONGEST = 34


@dataclass(frozen=True)
class DifferenceBars(Display):
    """The difference of each recipe to one other, by name of the recipe; a filled dot is more than chance."""

    metric: str
    against: str
    lanes: tuple[tuple[str, Difference], ...]

    section: ClassVar[str] = "scores"

    @classmethod
    def from_differences(cls, metric: str, against: str, lanes: Sequence[tuple[str, Difference]]) -> "DifferenceBars":
        """Take (title, difference) of each recipe, the highest first; `against` is what all are compared with."""
        return cls(metric, against, tuple(sorted(lanes, key=lambda lane: -lane[1].value)))

    @property
    def title(self) -> str:
        """Say what is compared with what."""
        return f"Against {self.against}"

    @property
    def caption(self) -> str:
        """Count what is more than chance."""
        above = sum(d.more_than_chance and d.value > 0 for _, d in self.lanes)
        below = sum(d.more_than_chance and d.value < 0 for _, d in self.lanes)
        return (
            f"Of {len(self.lanes)}, {above or 'none'} above and {below or 'none'} below by more than chance (filled "
            "dots); bars are intervals of the paired difference, corrected for all that are compared."
        )

    @property
    def description(self) -> str:
        """Say every difference."""
        own = (f"{name}: {number(d.value)} {interval(d.low, d.high)}, p {number(d.p_holm)}" for name, d in self.lanes)
        return f"Differences of {metric_words(self.metric).short} to {self.against}. " + "; ".join(own) + "."

    @property
    def layout(self) -> Layout:
        """One lane per recipe."""
        left = margin_for([shorten(name, _LONGEST) for name, _ in self.lanes], 240)
        return Layout(left + 296, _LANE * len(self.lanes) + 64, left=left, right=16, top=10, bottom=54)

    def frame(self) -> pd.DataFrame:
        """One line per recipe: title, value, low, high, p, p_holm."""
        lines = [(name, d.value, d.low, d.high, d.p, d.p_holm) for name, d in self.lanes]
        return pd.DataFrame(lines, columns=["title", "value", "low", "high", "p", "p_holm"])

    def draw(self, ax: Axes) -> None:
        """A dot with its interval per lane, zero marked."""
        ax.axvline(0, color=MUTED, linewidth=1)
        for y, (_, found) in enumerate(self.lanes):
            # A hollow dot is drawn as a ring over nothing, so that it shows on any ground.
            colour, face = (ACCENT, "") if found.more_than_chance else (MUTED, "none")
            draw_lane(ax, y, found.value, found.low, found.high, colour=colour, face=face)
        name_lanes(ax, [shorten(name, _LONGEST) for name, _ in self.lanes])
        ends = [v for _, d in self.lanes for v in (d.low, d.high, d.value) if np.isfinite(v)]
        low, high = min([0.0, *ends]), max([0.0, *ends])
        room = 0.08 * (high - low) or 0.05
        ax.set_xlim(low - room, high + room)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=ROUND_STEPS))
        ax.set_xlabel(f"difference of {metric_words(self.metric).short}")
