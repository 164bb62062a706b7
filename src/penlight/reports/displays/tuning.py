"""A tuning in pictures: trials in their order, the space key by key, all keys at once, and which of them matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from penlight.numbers import counted
from penlight.recipes.space import Choices, Parameter, Space, Trial
from penlight.reports.displays.base import Display, Floats, Layout, margin_for
from penlight.reports.displays.shared import divide, label_ends, name_lanes, name_panel, write_in_lane
from penlight.reports.palette import ACCENT, INK, MUTED, PAPER, RULE
from penlight.reports.words import metric_words, number, percent, plain

_AT_MOST_SHOWN = 3  # panels in a row


def trial_frame(trials: Sequence[Trial]) -> pd.DataFrame:
    """One line per trial: trial, state, value, seconds, note, and a column per searched key."""
    lines = [
        {"trial": t.number, "state": t.state, "value": t.value, "seconds": t.seconds, "note": t.note, **t.params}
        for t in trials
    ]
    return pd.DataFrame(lines)


@dataclass(frozen=True)
class TuningHistory(Display):
    """Every trial's value in the order they began, the best so far, and `start`, that of the recipe's own values, NaN
    where they were not tried."""

    trials: Sequence[Trial]
    metric: str
    start: float

    title: ClassVar[str] = "Optimisation history"

    @property
    def caption(self) -> str:
        best = best_of(self.trials)
        stopped = sum(t.state == "pruned" for t in self.trials)
        broken = sum(t.state == "diverged" for t in self.trials)
        parts = [f"The best came as number {best.number} of {len(self.trials)}"]
        if stopped:
            parts.append(f"{stopped} stopped early, hollow at an estimate from the epoch where they stopped")
        if broken:
            parts.append(f"{broken} without a value, because training diverged")
        return "; ".join(parts) + "."

    @property
    def description(self) -> str:
        parts = (f"{t.number} {t.state} {number(t.value)}" for t in self.trials)
        return f"{metric_words(self.metric).short} of each trial: " + "; ".join(parts) + "."

    layout: ClassVar[Layout] = Layout(460, 300, left=52, right=84, top=26, bottom=48)

    def frame(self) -> pd.DataFrame:
        """One line per trial, with the best so far."""
        frame = trial_frame(self.trials)[["trial", "state", "value"]]
        return frame.assign(best=frame["value"].where(frame["state"] == "complete").cummax().ffill())

    def draw(self, ax: Axes) -> None:
        """Dots, filled where complete, and a stair of the best so far."""
        frame = self.frame()
        ax.step(frame["trial"], frame["best"], where="post", color=ACCENT, linewidth=1.8)
        _dots(ax, frame["trial"].to_numpy(float), self.trials)
        ends = [(float(frame["best"].iloc[-1]), "best so far", ACCENT)]
        if np.isfinite(self.start):
            ax.axhline(self.start, color=MUTED, linewidth=1, dashes=(4, 3), zorder=0)
            ends.append((self.start, "as it was", MUTED))
        ax.set_xlim(0.5, max(len(self.trials), 2) + 0.5)
        label_ends(ax, ends, ax.get_xlim()[1], least=0.08, size=12)
        name_panel(ax, metric_words(self.metric).short)
        ax.set_xlabel("trial")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.tick_params(length=3)


@dataclass(frozen=True)
class KeyImportance(Display):
    """How much of the complete trials' variance each searched key explains, the most first."""

    shares: tuple[tuple[str, float], ...]

    title: ClassVar[str] = "Importance of the options"

    @classmethod
    def from_shares(cls, shares: Mapping[str, float]) -> "KeyImportance":
        """Sort shares that sum to 1."""
        return cls(tuple(sorted(shares.items(), key=lambda item: -item[1])))

    @property
    def caption(self) -> str:
        key, share = self.shares[0]
        return f"{key} explains {percent(share)} of how trials differ (fANOVA); with few trials, a hint."

    @property
    def description(self) -> str:
        return "Bars. " + "; ".join(f"{key}: {percent(share)}" for key, share in self.shares) + "."

    @property
    def layout(self) -> Layout:
        left = margin_for([key for key, _ in self.shares], 200)
        return Layout(460, 30 * len(self.shares) + 44, left=left, right=52, top=8, bottom=36)

    def frame(self) -> pd.DataFrame:
        """One line per key: key, share."""
        return pd.DataFrame(self.shares, columns=["key", "share"])

    def draw(self, ax: Axes) -> None:
        """Bars from 0 to 1 with their share beside them."""
        for y, (_, share) in enumerate(self.shares):
            ax.barh(y, share, height=0.5, color=ACCENT)
            write_in_lane(ax, y, percent(share))
        name_lanes(ax, [key for key, _ in self.shares])
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])


@dataclass(frozen=True)
class SpaceScatter(Display):
    """The value of every trial against each searched key, a panel per key."""

    trials: tuple[Trial, ...]
    space: Space
    metric: str

    title: ClassVar[str] = "Score by option"

    @classmethod
    def from_trials(cls, trials: Sequence[Trial], space: Space, metric: str) -> "SpaceScatter":
        """Take the trials that have a value."""
        return cls(tuple(t for t in trials if np.isfinite(t.value)), space, metric)

    @property
    def caption(self) -> str:
        best = best_of(self.trials)
        at_end = [p.key for p in self.space.parameters if _touches(p, best.params[p.key])]
        values = (plain(float(f"{v:.3g}") if isinstance(v, float) else v) for v in best.params.values())
        said = f"The best, ringed: {', '.join(map(' '.join, zip(best.params, values, strict=True)))}."
        if not at_end:
            return f"{said} It lies inside the space."
        return f"{said} At an end of the space: {', '.join(at_end)}; a wider one may hold a better value."

    @property
    def description(self) -> str:
        keys = ", ".join(p.key for p in self.space.parameters)
        return f"Dots of {counted(len(self.trials), 'trial')}, {metric_words(self.metric).short} against {keys}."

    @property
    def layout(self) -> Layout:
        rows = -(-len(self.space.parameters) // _AT_MOST_SHOWN)
        columns = min(len(self.space.parameters), _AT_MOST_SHOWN)
        return Layout(72 + 290 * columns, 12 + 230 * rows, left=52, right=20, top=26, bottom=52)

    def frame(self) -> pd.DataFrame:
        """One line per trial with a value."""
        return trial_frame(self.trials)

    def draw(self, ax: Axes) -> None:
        """A panel per key; the same vertical axis."""
        n = len(self.space.parameters)
        columns = min(n, _AT_MOST_SHOWN)
        panels = divide(ax, n, columns, (0.14, 0.5))
        values = [t.value for t in self.trials]
        room = (max(values) - min(values)) * 0.08 or 0.01
        for i, panel in enumerate(panels):
            self._plot_panel(panel, self.space.parameters[i])
            panel.set_ylim(min(values) - room, max(values) + room)
            if i % columns:
                panel.tick_params(labelleft=False)
            else:
                name_panel(panel, metric_words(self.metric).short)

    def _plot_panel(self, panel: Axes, parameter: Parameter) -> None:
        x = places(parameter, [t.params[parameter.key] for t in self.trials])
        _dots(panel, x, self.trials)
        best = best_of(self.trials)
        panel.plot(places(parameter, [best.params[parameter.key]]), [best.value], "o", color="none",
                   markeredgecolor=ACCENT, markersize=13, markeredgewidth=1.4)  # fmt: skip
        _key_axis(panel, parameter)
        panel.yaxis.set_major_locator(MaxNLocator(5))
        panel.set_xlabel(parameter.key)


@dataclass(frozen=True)
class ParallelTrials(Display):
    """Every trial as a line through all searched keys to its value; the best one stands out."""

    trials: tuple[Trial, ...]
    space: Space
    metric: str

    title: ClassVar[str] = "Parallel coordinates"

    @classmethod
    def from_trials(cls, trials: Sequence[Trial], space: Space, metric: str) -> "ParallelTrials":
        """Take the complete trials: only their values can be compared on one axis."""
        return cls(tuple(t for t in trials if t.state == "complete"), space, metric)

    @property
    def caption(self) -> str:
        return (
            f"Each line is one of {counted(len(self.trials), 'complete trial')}; the better half in the accent, the "
            "best one thick. Where strong lines meet, a key matters; where they spread, it does not."
        )

    @property
    def description(self) -> str:
        return (
            f"Lines through {', '.join(p.key for p in self.space.parameters)} to {metric_words(self.metric).short}."
        )

    @property
    def layout(self) -> Layout:
        return Layout(122 + 190 * len(self.space.parameters), 300, left=64, right=58, top=40, bottom=30)

    def frame(self) -> pd.DataFrame:
        """One line per trial: its place from 0 to 1 on every axis."""
        columns = {p.key: self._heights(p) for p in self.space.parameters}
        values = np.array([t.value for t in self.trials])
        spread = np.ptp(values)
        last = (values - values.min()) / spread if spread else np.full(len(values), 0.5)
        return pd.DataFrame({"trial": [t.number for t in self.trials], **columns, self.metric: last})

    def draw(self, ax: Axes) -> None:
        """Draw the worse half first, so that the better lies on top."""
        heights = self.frame().drop(columns="trial").to_numpy(float)
        order = np.argsort([t.value for t in self.trials], kind="stable")
        for rank, i in enumerate(order):
            top, better = rank == len(order) - 1, rank >= len(order) // 2
            ax.plot(range(heights.shape[1]), heights[i], color=ACCENT if better else MUTED,
                    linewidth=3.2 if top else 1.2, alpha=1 if top else 0.6 if better else 0.35)  # fmt: skip
        values = [t.value for t in self.trials]
        axes = [(p.key, *_end_words(p)) for p in self.space.parameters]
        axes.append((metric_words(self.metric).short, number(min(values)), number(max(values))))
        for x, (name, low, high) in enumerate(axes):
            self._axis(ax, x, name, low, high)
        ax.set_xlim(-0.02, heights.shape[1] - 0.98)
        ax.set_ylim(-0.03, 1.03)
        ax.set_axis_off()

    def _axis(self, ax: Axes, x: int, name: str, low: str, high: str) -> None:
        side: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "annotation_clip": False}
        ax.plot([x, x], [0, 1], color=RULE, linewidth=1, zorder=0)
        ax.annotate(name, (x, 1), (0, 24), color=INK, weight="bold", fontsize=12, **side)
        for place, text, offset in ((1, high, 8), (0, low, -20)):
            ax.annotate(text, (x, place), (0, offset), color=MUTED, fontsize=12, **side)

    def _heights(self, parameter: Parameter) -> Floats:
        x = places(parameter, [t.params[parameter.key] for t in self.trials])
        if isinstance(parameter, Choices):
            low, high = 0.0, float(len(parameter.choices) - 1)
        else:
            low, high = parameter.low, parameter.high
            low, high, x = (np.log(low), np.log(high), np.log(x)) if parameter.log else (low, high, x)
        return np.full(len(x), 0.5) if high == low else (x - low) / (high - low)


def best_of(trials: Sequence[Trial]) -> Trial:
    """Give the complete trial with the largest value, the first of equals."""
    return max((t for t in trials if t.state == "complete"), key=lambda t: (t.value, -t.number))


def places(parameter: Parameter, values: Sequence[Any]) -> Floats:
    """Give the values' places on an axis, (N,): themselves, or the number of the choice."""
    if isinstance(parameter, Choices):
        return np.array([parameter.choices.index(value) for value in values], float)
    return np.array(values, float)


def _dots(ax: Axes, x: Floats, trials: Sequence[Trial]) -> None:
    for state, face in (("pruned", PAPER), ("complete", ACCENT)):
        at = [i for i, t in enumerate(trials) if t.state == state]
        ax.plot(x[at], [trials[i].value for i in at], "o", color=face, markersize=6,
                markeredgecolor=MUTED if state == "pruned" else ACCENT)  # fmt: skip


def _end_words(parameter: Parameter) -> tuple[str, str]:
    if isinstance(parameter, Choices):
        return plain(parameter.choices[0]), plain(parameter.choices[-1])
    return _brief(parameter.low), _brief(parameter.high)


def _brief(value: float) -> str:
    """Write an end of a range without a run of zeros: 1e-4, 0.2, 128."""
    return f"{value:.0e}".replace("e-0", "e-") if 0 < value < 0.01 else f"{value:g}"


def _key_axis(panel: Axes, parameter: Parameter) -> None:
    panel.tick_params(length=3)
    if isinstance(parameter, Choices):
        panel.set_xticks(range(len(parameter.choices)), [plain(c) for c in parameter.choices])
        panel.set_xlim(-0.5, len(parameter.choices) - 0.5)
        return
    low, high = parameter.low, parameter.high
    if parameter.log:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(10, numticks=5))
        # Matplotlib's own labels are formulas, and formulas are not parsed in these figures.
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _brief(value)))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.tick_params(which="minor", length=2, color=RULE)
        panel.set_xlim(low / 1.15, high * 1.15)
    else:
        room = (high - low) * 0.04 or 1.0
        panel.set_xlim(low - room, high + room)
        panel.xaxis.set_major_locator(MaxNLocator(5))


def _touches(parameter: Parameter, value: Any) -> bool:
    """Say whether a value lies within a fiftieth of the range of an end of it."""
    if isinstance(parameter, Choices) or parameter.high == parameter.low:
        return False
    low, high, x = (np.log(v) if parameter.log else v for v in (parameter.low, parameter.high, value))
    return bool(min(x - low, high - x) < 0.02 * (high - low))
