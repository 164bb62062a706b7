"""Models in the order of their score, those that chance alone may part joined."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from penlight.evaluation.comparison import Compared, Comparison
from penlight.reports.displays.base import Display, Layout, margin_for, shorten
from penlight.reports.displays.shared import draw_lane, name_lanes
from penlight.reports.displays.study_cost import ROUND_STEPS
from penlight.reports.palette import INK
from penlight.reports.words import interval, listed, metric_words, number

_LANE = 28
_LONGEST = 34
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

    section: ClassVar[str] = "scores"
    title: ClassVar[str] = "Which are alike"

    @classmethod
    def from_comparison(cls, found: Comparison) -> "SimilarImages":
        """Take a comparison of all pairs; models whose score is undefined are left out."""
        sign = -1 if metric_words(found.metric).higher_is_better else 1
        known = sorted((m for m in found.models if np.isfinite(m.mean)), key=lambda m: sign * m.mean)
        apart = {frozenset((d.row, d.against)) for d in found.differences if d.more_than_chance}
        return cls(found.metric, tuple(known), tuple(_groups([m.name for m in known], apart)))

    @property
    def caption(self) -> str:
        """Say which cannot be told from the best."""
        if not self.models:
            return "No model has a defined score."
        near = sorted({i for group in self.groups if 0 in group for i in group} - {0})
        best, others = self.models[0].name, [self.models[i].name for i in near]
        said = f"{listed(others)} cannot be told from {best}, the best" if others else f"{best} stands alone"
        return f"{said}; squares joined at the right are models of which no pair differs by more than chance."

    @property
    def description(self) -> str:
        """Say every score and group."""
        own = (f"{m.name}: {number(m.mean)} {interval(m.low, m.high)}".strip() for m in self.models)
        alike = (listed([self.models[i].name for i in group], 99) for group in self.groups)
        said = "; alike are ".join(["; ".join(own), *alike])
        return f"{metric_words(self.metric).short} of each model. {said}."

    @property
    def layout(self) -> Layout:
        """One lane per model, and a column per group at the right."""
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
