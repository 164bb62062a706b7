"""The headline score of every seed, beside the baselines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penlight.evaluation.rows import Score, find_row
from penlight.reports.content import ComparedBaseline
from penlight.reports.displays.base import Display, Layout
from penlight.reports.displays.shared import draw_lane, name_lanes, write_in_lane
from penlight.reports.palette import ACCENT, INK, MUTED
from penlight.reports.words import interval, metric_words, number


@dataclass(frozen=True)
class SeedDots(Display):
    """One row of the headline metric per seed, their mean and standard deviation, and the rivals' rows."""

    metric: str
    seeds: tuple[str, ...]
    rows: tuple[Score, ...]
    mean: float
    sd: float
    rivals: tuple[tuple[str, Score], ...]
    noun: str = "seed"

    section: ClassVar[str] = "verdict"

    @classmethod
    def from_rows(
        cls,
        seeds: Sequence[str],
        rows: Sequence[Score],
        overall: Score,
        rivals: Sequence[ComparedBaseline],
        noun: str = "seed",
    ) -> "SeedDots":
        """Take one row per seed, the row over seeds, and the same row of each rival; or those of folds, the `noun`,
        whose overall value is that of all their predictions together."""
        found = ((rival.name, find_row(rival.rows, overall.name)) for rival in rivals)
        others = tuple((name, row) for name, row in found if row is not None)
        sd = np.nan if overall.sd is None else overall.sd
        return cls(overall.name, tuple(seeds), tuple(rows), overall.value, sd, others, noun)

    @property
    def title(self) -> str:
        """Name what is drawn."""
        return f"The headline score of every {self.noun}"

    @property
    def caption(self) -> str:
        """Say how far apart chance alone puts the seeds."""
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
        """Say every seed's value."""
        own = (f"{seed}: {number(row.value)} {interval(row.low, row.high)}" for seed, row in self._lanes())
        return f"{metric_words(self.metric).short} by {self.noun} and of the baselines. " + "; ".join(own) + "."

    @property
    def layout(self) -> Layout:
        """One lane per seed and rival."""
        return Layout(440, 26 * len(self._lanes()) + 66, left=84, right=56, top=10, bottom=48)

    def frame(self) -> pd.DataFrame:
        """One line per seed, then per rival: name, value, low, high."""
        lines = [(name, row.value, row.low, row.high) for name, row in self._lanes()]
        return pd.DataFrame(lines, columns=["name", "value", "low", "high"])

    def draw(self, ax: Axes) -> None:
        """A dot with its interval per lane, the mean and one standard deviation behind those of the seeds."""
        lanes = self._lanes()
        if np.isfinite(self.mean):
            half = self.sd if np.isfinite(self.sd) else 0.0
            bottom = len(self.seeds) - 0.5
            ax.fill_betweenx(
                [-0.5, bottom], self.mean - half, self.mean + half, color=ACCENT, alpha=0.15, linewidth=0
            )
            ax.plot([self.mean] * 2, [-0.5, bottom], color=ACCENT, linewidth=1)
        for y, (name, row) in enumerate(lanes):
            own = y < len(self.seeds)
            colour, ink = (ACCENT, INK) if own else (MUTED, MUTED)
            draw_lane(
                ax, y, row.value, row.low, row.high, colour=colour, sign="o" if own else "D", size=7 if own else 6
            )
            write_in_lane(ax, y, name, colour=ink, left=78)
            write_in_lane(ax, y, number(row.value), colour=ink)
        name_lanes(ax, [""] * len(lanes))
        ax.set_xlabel(metric_words(self.metric).short)

    def _lanes(self) -> list[tuple[str, Score]]:
        own = [(f"{self.noun} {seed}", row) for seed, row in zip(self.seeds, self.rows, strict=True)]
        return own + list(self.rivals)
