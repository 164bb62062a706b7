"""The headline metrics beside those of the rivals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penlight.evaluation.rows import Score, find_row
from penlight.reports.content import ComparedBaseline
from penlight.reports.displays.base import Display, Layout
from penlight.reports.displays.shared import draw_lane, write_in_lane
from penlight.reports.palette import ACCENT, INK, MUTED
from penlight.reports.words import interval, metric_words, number

MOST = 4
"""So many metrics lead a report."""

_SIGNS = {"linear": "D", "majority": "|"}
_LANE = 20
_HEAD = 24
_GAP = 12


def headline_rows(rows: Iterable[Score]) -> list[Score]:
    """Choose the rows that lead a report: the first few of the whole that are said to lead."""
    return [row for row in rows if row.label is None and metric_words(row.name).leads][:MOST]


@dataclass(frozen=True)
class Bar:
    """One model's value of one metric."""

    metric: str
    model: str
    row: Score


@dataclass(frozen=True)
class ScoreBars(Display):
    """Headline metrics with their 95 % intervals on one axis, this model first, its rivals below it."""

    bars: tuple[Bar, ...]
    metrics: tuple[str, ...]
    models: tuple[str, ...]

    section: ClassVar[str] = "verdict"
    title: ClassVar[str] = "Headline scores beside the baselines"

    @classmethod
    def from_rows(cls, rows: Sequence[Score], rivals: Sequence[ComparedBaseline], model: str) -> "ScoreBars":
        """Take the headline rows, and for each the same row of every rival that has it."""
        chosen = headline_rows(rows)
        bars = []
        for row in chosen:
            bars.append(Bar(row.name, model, row))
            found = ((rival.name, find_row(rival.rows, row.name)) for rival in rivals)
            bars += [Bar(row.name, name, other) for name, other in found if other is not None]
        models = tuple(dict.fromkeys(bar.model for bar in bars))
        return cls(tuple(bars), tuple(row.name for row in chosen), models)

    @property
    def caption(self) -> str:
        """Count where the model's interval clears every rival."""
        clear = sum(self._clears(name) for name in self.metrics)
        rest = "each dot a score, each bar its 95 % interval"
        if len(self.models) < 2:
            return f"No baseline was scored: {rest}."
        share = f"all {clear}" if clear == len(self.metrics) else f"{clear or 'none'} of {len(self.metrics)}"
        return f"On {share} metrics the interval clears every baseline; {rest}."

    @property
    def description(self) -> str:
        """Say every value and interval."""
        parts = (
            f"{metric_words(b.metric).short}, {b.model}: {number(b.row.value, 2)} "
            f"{interval(b.row.low, b.row.high, 2)}".strip()
            for b in self.bars
        )
        return "Bars of 95 % intervals. " + "; ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        """As tall as the lanes need."""
        height = len(self.metrics) * (_HEAD + _GAP) + len(self.bars) * _LANE
        return Layout(464, height + 40, left=84, right=56, top=4, bottom=36)

    def frame(self) -> pd.DataFrame:
        """One line per metric and model: metric, model, value, low, high."""
        lines = [(b.metric, b.model, b.row.value, b.row.low, b.row.high) for b in self.bars]
        return pd.DataFrame(lines, columns=["metric", "model", "value", "low", "high"])

    def draw(self, ax: Axes) -> None:
        """Draw lanes from top to bottom, one group per metric."""
        y = 0.0
        for name in self.metrics:
            ax.annotate(metric_words(name).short, (0, y + _HEAD / 2), (-80, 0), ("axes fraction", "data"),
                        "offset points", va="center", weight="bold", color=INK)  # fmt: skip
            y += _HEAD
            for bar in (b for b in self.bars if b.metric == name):
                self._draw_lane(ax, bar, y + _LANE / 2)
                y += _LANE
            y += _GAP
        ax.set_ylim(y - _GAP / 2, 0)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        low = min([0.0, *(b.row.low for b in self.bars if np.isfinite(b.row.low))])
        ax.set_xlim(np.floor(low * 5) / 5, 1)
        ax.tick_params(length=3)

    def _draw_lane(self, ax: Axes, bar: Bar, y: float) -> None:
        own = bar.model == self.models[0]
        colour = ACCENT if own else MUTED
        sign = "o" if own else _SIGNS.get(bar.model, "s")
        size = 8 if own else 12 if sign == "|" else 6
        draw_lane(ax, y, bar.row.value, bar.row.low, bar.row.high, colour=colour, sign=sign, size=size,
                  width=9 if own else 5)  # fmt: skip
        write_in_lane(ax, y, bar.model, colour=colour, left=80)
        write_in_lane(ax, y, number(bar.row.value, 2), colour=INK if own else MUTED)

    def _clears(self, metric: str) -> bool:
        own, *others = (b.row for b in self.bars if b.metric == metric)
        return all(own.low > (row.high if np.isfinite(row.high) else row.value) for row in others)
