"""The headline score of each group beside that of the whole: a forest plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penlight.evaluation.rows import Score, find_row
from penlight.evaluation.subgroups import Subgroup
from penlight.numbers import counted
from penlight.reports.displays.base import Display, Layout, is_number, margin_for, shorten
from penlight.reports.displays.shared import draw_lane, leave_lane_empty, name_lanes, write_in_lane
from penlight.reports.palette import ACCENT, ALARM, MUTED
from penlight.reports.words import count, interval, listed, metric_words, number

_LANE = 24
_GAP = 14


@dataclass(frozen=True)
class SubgroupForest(Display):
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

    def draw(self, ax: Axes) -> None:
        """A dot, or a diamond where it differs, and a bar per group; the whole as a dashed line."""
        if is_number(self.whole):
            ax.axvline(self.whole, color=MUTED, linewidth=1, dashes=(4, 3), zorder=1)
            ax.annotate(f"whole {number(self.whole, 2)}", (self.whole, 1), (0, 6), ("data", "axes fraction"),
                        "offset points", ha="center", color=MUTED, fontsize=12)  # fmt: skip
        places = self._places()
        for y, group in zip(places, self.groups, strict=True):
            self._draw_lane(ax, y, group)
        ax.set_ylim(places[-1] + _LANE / 2, -_LANE / 2)
        name_lanes(ax, [_label(group) for group in self.groups], places)
        values = [self.whole, *(end for g in self.groups for end in (g.low, g.high, g.value))]
        ends = [value for value in values if is_number(value)]
        low, high = min([*ends, 0.9]), max([*ends, 1.0])
        ax.set_xlim(np.floor(low * 10) / 10, high)
        ax.set_xlabel(metric_words(self.groups[0].metric).short)

    def _draw_lane(self, ax: Axes, y: float, group: Subgroup) -> None:
        if not is_number(group.value):
            leave_lane_empty(ax, y, group.note)
            return
        apart = group.more_than_chance
        draw_lane(
            ax, y, group.value, group.low, group.high, colour=ALARM if apart else ACCENT, sign="D" if apart else "o"
        )
        write_in_lane(ax, y, number(group.value, 2), bold=apart)

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
