"""Scores beside published ones: several sets with one model's, and one run with all that are published of its set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penlight.data.published import Published
from penlight.evaluation.rows import Score
from penlight.reports.displays.base import Display, Layout, margin_for
from penlight.reports.displays.shared import draw_lane, name_lanes
from penlight.reports.palette import ACCENT, ALARM, INK, MUTED, RULE
from penlight.reports.words import listed, metric_words, number, sentence, with_interval

_LANE = 30

_HOLLOW: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 1.5}
_SHAPES = {"scratch": "o", "pre-trained": "s", "": "D"}


@dataclass(frozen=True)
class Lane:
    """One set: its own score with interval, the linear baseline's (NaN where there is none), the published one."""

    name: str
    own: Score
    linear: float
    published: float

    @property
    def stands(self) -> str:
        """Say "above", "below" or "level", see `stands_to`."""
        return stands_to(self.own, self.published)


def stands_to(own: Score, published: float) -> str:
    """Say whether a score is "above" or "below" a published value, that is, with its whole interval, or "level"."""
    low, high = own.ends
    return "above" if low > published else "below" if high < published else "level"


@dataclass(frozen=True)
class BesidePublished(Display):
    """Scores of sets with their 95 % intervals, in their order, and as a ring what `model` has as published."""

    lanes: tuple[Lane, ...]
    metric: str
    model: str

    @property
    def title(self) -> str:
        return sentence(f"{metric_words(self.metric).short} beside {self.model}")

    @property
    def caption(self) -> str:
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
        parts = (
            f"{lane.name}: {with_interval(lane.own, 3)}, "
            f"published {number(lane.published)}, linear {number(lane.linear)}"
            for lane in self.lanes
        )
        return "; ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        left = margin_for([lane.name for lane in self.lanes])
        return Layout(560, _LANE * len(self.lanes) + 56, left=left, right=16, top=8, bottom=44)

    def frame(self) -> pd.DataFrame:
        """One line per set: name, value, low, high, linear, published, stands."""
        lines = [(x.name, x.own.value, x.own.low, x.own.high, x.linear, x.published, x.stands) for x in self.lanes]
        return pd.DataFrame(lines, columns=["name", "value", "low", "high", "linear", "published", "stands"])

    def draw(self, ax: Axes) -> None:
        """Draw a lane for each set, the first on top."""
        for y, lane in enumerate(self.lanes):
            draw_lane(ax, y, lane.own.value, lane.own.low, lane.own.high, width=7)
            ax.plot([lane.linear], [y], "|", color=MUTED, markersize=13, markeredgewidth=1.6)
            ax.plot([lane.published], [y], "o", color=INK, markersize=11, markerfacecolor="none", markeredgewidth=1.5)
        name_lanes(ax, [lane.name for lane in self.lanes])
        ax.set_xlim(*self._range())
        ax.set_xlabel(metric_words(self.metric).short)

    def _range(self) -> tuple[float, float]:
        values = [v for x in self.lanes for v in (x.own.low, x.own.value, x.linear, x.published) if np.isfinite(v)]
        return np.floor(10 * min(values, default=0.0)) / 10, 1.01


@dataclass(frozen=True)
class PublishedScores(Display):
    """One score of a run, with its 95 % interval, beside all that are published of its set; `linear` is that of the
    linear baseline, NaN where there is none. `rows` go from the lowest published value to the highest."""

    own: Score
    linear: float
    rows: tuple[Published, ...]

    @classmethod
    def from_rows(cls, own: Score, linear: float, published: Sequence[Published]) -> "PublishedScores":
        """Take those published that have this score."""
        rows = [row for row in published if math.isfinite(getattr(row, own.name))]
        return cls(own, linear, tuple(sorted(rows, key=lambda row: float(getattr(row, own.name)))))

    @property
    def values(self) -> list[float]:
        """The published values."""
        return [float(getattr(row, self.own.name)) for row in self.rows]

    @property
    def title(self) -> str:
        return sentence(f"{metric_words(self.own.name).short} beside published scores")

    @property
    def caption(self) -> str:
        found = [stands_to(self.own, value) for value in self.values]
        parts = [
            f"{found.count(word)} {where}"
            for word, where in (("above", "below it"), ("level", "within it"), ("below", "above it"))
            if word in found
        ]
        crossed = " A cross: chosen by its score on test." if any(r.chosen_on == "test" for r in self.rows) else ""
        tick = " Tick: the linear baseline." if math.isfinite(self.linear) else ""
        return (
            f"Line and band: this run with its 95 % interval; of {len(found)} published values, {listed(parts)}. "
            f"Ring: from scratch; square: pre-trained; diamond: not said.{crossed}{tick} "
            "Published values have no interval."
        )

    @property
    def description(self) -> str:
        name = metric_words(self.own.name).short
        own = f"{name} of this run {with_interval(self.own, 3)}"
        return "; ".join([own, *(f"{self._named(row)} {number(v)}" for row, v in self._pairs())]) + "."

    @property
    def layout(self) -> Layout:
        left = margin_for([row.model for row in self.rows], most=190)
        return Layout(560, 26 * (len(self.rows) + 1) + 52, left=left, right=16, top=8, bottom=44)

    def frame(self) -> pd.DataFrame:
        """One line per published row: model, value, start, chosen_on, stands, source."""
        lines = [(r.model, v, r.start, r.chosen_on, stands_to(self.own, v), r.source) for r, v in self._pairs()]
        return pd.DataFrame(lines, columns=["model", "value", "start", "chosen_on", "stands", "source"])

    def draw(self, ax: Axes) -> None:
        """Draw a lane for each published row, the highest on top, and the run across all of them."""
        lanes = len(self.rows)
        if np.isfinite([self.own.low, self.own.high]).all():
            ax.axvspan(self.own.low, self.own.high, color=ACCENT, alpha=0.18, linewidth=0)
        ax.axvline(self.own.value, color=ACCENT, linewidth=1.6)
        for y, (row, value) in enumerate(self._pairs()):
            ax.axhline(y, color=RULE, linewidth=0.6, zorder=0)
            ax.plot([value], [y], _SHAPES[row.start], color=INK, markersize=8, **_HOLLOW)
            if row.chosen_on == "test":
                ax.plot([value], [y], "x", color=ALARM, markersize=11, markeredgewidth=1.6)
        ax.plot([self.linear], [lanes], "|", color=MUTED, markersize=13, markeredgewidth=1.6)
        ax.plot([self.own.value], [lanes], "o", color=ACCENT, markersize=7)
        name_lanes(ax, [*(row.model for row in self.rows), "this run"])
        ax.set_ylim(-0.6, lanes + 0.6)
        ax.set_xlim(*self._range())
        ax.set_xlabel(metric_words(self.own.name).short)

    def _pairs(self) -> list[tuple[Published, float]]:
        return list(zip(self.rows, self.values, strict=True))

    def _named(self, row: Published) -> str:
        about = [row.start, "chosen on test" if row.chosen_on == "test" else ""]
        known = ", ".join(word for word in about if word)
        return f"{row.model} ({known})" if known else row.model

    def _range(self) -> tuple[float, float]:
        all_values = (*self.values, self.own.low, self.own.value, self.own.high, self.linear)
        known = [value for value in all_values if np.isfinite(value)]
        return math.floor(20 * min(known)) / 20, math.ceil(20 * max(known) + 0.2) / 20
