"""Differences between recipes with their intervals, about zero."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from penlight.evaluation.comparison import Compared, Comparison, Difference
from penlight.reports.displays.base import Display, Layout, margin_for, shorten
from penlight.reports.displays.shared import draw_lane, name_lanes
from penlight.reports.displays.study import ROUND_STEPS
from penlight.reports.palette import ACCENT, INK, MUTED
from penlight.reports.words import interval, listed, metric_words, number

_LANE = 28
_LONGEST = 34


@dataclass(frozen=True)
class DifferenceBars(Display):
    """The difference of each recipe to one other, by name of the recipe; a filled dot is more than chance."""

    metric: str
    against: str
    lanes: tuple[tuple[str, Difference], ...]

    @classmethod
    def from_differences(cls, metric: str, against: str, lanes: Sequence[tuple[str, Difference]]) -> "DifferenceBars":
        """Take (title, difference) of each recipe, the highest first; `against` is what all are compared with."""
        return cls(metric, against, tuple(sorted(lanes, key=lambda lane: -lane[1].value)))

    @property
    def title(self) -> str:
        return f"Against {self.against}"

    @property
    def caption(self) -> str:
        above = sum(d.more_than_chance and d.value > 0 for _, d in self.lanes)
        below = sum(d.more_than_chance and d.value < 0 for _, d in self.lanes)
        return (
            f"Of {len(self.lanes)}, {above or 'none'} above and {below or 'none'} below by more than chance (filled "
            "dots); bars are intervals of the paired difference, corrected for all that are compared."
        )

    @property
    def description(self) -> str:
        own = (f"{name}: {number(d.value)} {interval(d.low, d.high)}, p {number(d.p_holm)}" for name, d in self.lanes)
        return f"Differences of {metric_words(self.metric).short} to {self.against}. " + "; ".join(own) + "."

    @property
    def layout(self) -> Layout:
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


_GROUP = 14


_AXES = 280


@dataclass(frozen=True)
class SimilarImages(Display):
    """Scores of models, the best first, and `groups` of them: lanes of which no pair differs by more than chance.

    After the critical difference diagram of Demsar (2006), with paired differences for ranks. Seeds far apart leave
    much open, so a group need not be a stretch of the order.
    """

    metric: str
    models: tuple[Compared, ...]
    groups: tuple[tuple[int, ...], ...]

    title: ClassVar[str] = "Models that do not differ by more than chance"

    @classmethod
    def from_comparison(cls, found: Comparison) -> "SimilarImages":
        """Take a comparison of all pairs; models whose score is undefined are left out."""
        sign = -1 if metric_words(found.metric).higher_is_better else 1
        known = sorted((m for m in found.models if np.isfinite(m.mean)), key=lambda m: sign * m.mean)
        apart = {frozenset((d.row, d.against)) for d in found.differences if d.more_than_chance}
        return cls(found.metric, tuple(known), tuple(_groups([m.name for m in known], apart)))

    @property
    def caption(self) -> str:
        if not self.models:
            return "No model has a defined score."
        near = sorted({i for group in self.groups if 0 in group for i in group} - {0})
        best, others = self.models[0].name, [self.models[i].name for i in near]
        said = f"{listed(others)} cannot be told from {best}, the best" if others else f"{best} stands alone"
        return f"{said}; squares joined at the right are models of which no pair differs by more than chance."

    @property
    def description(self) -> str:
        own = (f"{m.name}: {number(m.mean)} {interval(m.low, m.high)}".strip() for m in self.models)
        alike = (listed([self.models[i].name for i in group], 99) for group in self.groups)
        said = "; alike are ".join(["; ".join(own), *alike])
        return f"{metric_words(self.metric).short} of each model. {said}."

    @property
    def layout(self) -> Layout:
        left = margin_for([shorten(m.name, _LONGEST) for m in self.models], 240)
        right = 24 + _GROUP * len(self.groups)
        return Layout(left + _AXES + right, _LANE * len(self.models) + 64, left=left, right=right, top=10, bottom=54)

    def frame(self) -> pd.DataFrame:
        """One line per model: name, value, low, high, and the numbers of the groups it is in."""
        lines = [
            (m.name, m.mean, m.low, m.high, tuple(g for g, group in enumerate(self.groups) if i in group))
            for i, m in enumerate(self.models)
        ]
        return pd.DataFrame(lines, columns=["name", "value", "low", "high", "groups"])

    def draw(self, ax: Axes) -> None:
        """A dot with its interval per lane; squares beside the axes join those alike."""
        for y, m in enumerate(self.models):
            draw_lane(ax, y, m.mean, m.low, m.high)
        for g, group in enumerate(self.groups):
            x = 1 + (12 + _GROUP * g) / _AXES
            ax.plot([x] * len(group), group, "s-", color=INK, linewidth=1.5, markersize=6, clip_on=False,
                    transform=ax.get_yaxis_transform())  # fmt: skip
        name_lanes(ax, [shorten(m.name, _LONGEST) for m in self.models])
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=ROUND_STEPS))
        ax.set_xlabel(metric_words(self.metric).short)


def _groups(names: list[str], apart: set[frozenset[str]]) -> list[tuple[int, ...]]:
    """Give the largest sets of models of which no pair is apart, two or more in each (Bron and Kerbosch 1973)."""
    near = {
        i: {j for j in range(len(names)) if j != i and frozenset((names[i], names[j])) not in apart}
        for i in range(len(names))
    }

    def grown(group: set[int], open_: set[int], closed: set[int]) -> Iterator[tuple[int, ...]]:
        if not open_ and not closed and len(group) > 1:
            yield tuple(sorted(group))
        # The member with most neighbours is in a largest set, or one of those that are not its neighbours is.
        pivot = max(open_ | closed, key=lambda i: len(near[i] & open_), default=0)
        for i in sorted(open_ - near.get(pivot, set())):
            yield from grown(group | {i}, open_ & near[i], closed & near[i])
            open_, closed = open_ - {i}, closed | {i}

    return sorted(grown(set(), set(near), set()))
