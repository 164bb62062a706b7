"""The headline score of each group beside that of the whole: a forest plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penlight.evaluation.rows import Score, find_row
from penlight.evaluation.subgroups import Subgroup
from penlight.numbers import counted
from penlight.reports.displays.base import Layout, is_number, margin_for, shorten
from penlight.reports.palette import ACCENT, ALARM, INK, MUTED, PAPER, RULE
from penlight.reports.words import count, interval, listed, metric_words, number

_LANE = 24
_GAP = 14


@dataclass(frozen=True)
class SubgroupForest:
    """The groups of each column with their 95 % intervals, and the score of the whole, NaN where it has none."""

    groups: tuple[Subgroup, ...]
    whole: float

    section: ClassVar[str] = "scores"
    title: ClassVar[str] = "Score of each subgroup"

    @classmethod
    def from_groups(cls, groups: Sequence[Subgroup], rows: Sequence[Score]) -> "SubgroupForest":
        """Take the groups, and the score of the whole from the rows."""
        row = find_row(rows, groups[0].metric) if groups else None
        return cls(tuple(groups), np.nan if row is None else row.value)

    @property
    def caption(self) -> str:
        """Say which groups differ, how many were asked, and what the marks are."""
        asked = [group for group in self.groups if is_number(group.p_holm)]
        apart = [f"{_name(g)} ({number(g.value, 2)}, all others {number(g.others, 2)})" for g in self._apart()]
        if not asked:
            return "No group has enough images and cases for a score."
        said = f"None of {count(len(asked))} groups differs from all others by more than chance"
        if apart:
            said = f"More than chance apart, drawn as diamonds: {listed(apart)}"
        return (
            f"{said}. Each bar is a 95 % interval, the dashed line the whole; "
            "in a small group only a large difference can be seen."
        )

    @property
    def description(self) -> str:
        """Say every group's value and interval, or why there is none."""
        parts = (
            f"{_name(g)}, {counted(g.n, 'image')}: {number(g.value)} {interval(g.low, g.high)}"
            f"{', differs from all others' if g.more_than_chance else ''}"
            if not g.note else f"{_name(g)}: {g.note}"
            for g in self.groups
        )  # fmt: skip
        whole = f"{metric_words(self.groups[0].metric).short} of the whole: {number(self.whole)}"
        return f"{whole}. {'; '.join(parts)}."

    @property
    def layout(self) -> Layout:
        """One lane per group, a gap between columns."""
        left = margin_for([_label(group) for group in self.groups], 260)
        height = _LANE * len(self.groups) + _GAP * (len(self._columns()) - 1)
        return Layout(left + 400, height + 78, left=left, right=54, top=24, bottom=54)

    def frame(self) -> pd.DataFrame:
        """One line per group: column, group, n, value, low, high, differs, note."""
        lines = [(g.column, g.group, g.n, g.value, g.low, g.high, g.more_than_chance, g.note) for g in self.groups]
        return pd.DataFrame(lines, columns=["column", "group", "n", "value", "low", "high", "differs", "note"])

    def plot(self, ax: Axes) -> None:
        """A dot, or a diamond where it differs, and a bar per group; the whole as a dashed line."""
        if is_number(self.whole):
            ax.axvline(self.whole, color=MUTED, linewidth=1, dashes=(4, 3), zorder=1)
            ax.annotate(f"whole {number(self.whole, 2)}", (self.whole, 1), (0, 6), ("data", "axes fraction"),
                        "offset points", ha="center", color=MUTED, fontsize=12)  # fmt: skip
        places = self._places()
        for y, group in zip(places, self.groups, strict=True):
            self._draw_lane(ax, y, group)
        ax.set_ylim(places[-1] + _LANE / 2, -_LANE / 2)
        ax.set_yticks(places, [_label(group) for group in self.groups], color=INK)
        values = [self.whole, *(end for g in self.groups for end in (g.low, g.high, g.value))]
        ends = [value for value in values if is_number(value)]
        low, high = min([*ends, 0.9]), max([*ends, 1.0])
        ax.set_xlim(np.floor(low * 10) / 10, high)
        ax.set_xlabel(metric_words(self.groups[0].metric).short)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="x", length=3)
        ax.tick_params(axis="y", length=0)

    def _draw_lane(self, ax: Axes, y: float, group: Subgroup) -> None:
        side: dict[str, Any] = {"va": "center", "fontsize": 12, "annotation_clip": False}
        ax.axhline(y, color=RULE, linewidth=0.6, zorder=0)
        if not is_number(group.value):
            ax.annotate(group.note, (0, y), (4, 0), ("axes fraction", "data"), "offset points", color=MUTED,
                        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1}, **side)  # fmt: skip
            return
        colour = ALARM if group.more_than_chance else ACCENT
        if is_number(group.low):
            ax.plot([group.low, group.high], [y, y], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
        ax.plot([group.value], [y], "D" if group.more_than_chance else "o", color=colour, markersize=7, clip_on=False)
        ax.annotate(number(group.value, 2), (1, y), (50, 0), ("axes fraction", "data"), "offset points", ha="right",
                    color=INK, weight="bold" if group.more_than_chance else "normal", **side)  # fmt: skip

    def _places(self) -> list[float]:
        columns = self._columns()
        return [float(_LANE * i + _GAP * columns.index(g.column)) for i, g in enumerate(self.groups)]

    def _columns(self) -> list[str]:
        return list(dict.fromkeys(group.column for group in self.groups))

    def _apart(self) -> list[Subgroup]:
        return [group for group in self.groups if group.more_than_chance]


def _name(group: Subgroup) -> str:
    return f"{group.column} {group.group}"


def _label(group: Subgroup) -> str:
    return f"{shorten(_name(group), 26)} ({count(group.n)})"
