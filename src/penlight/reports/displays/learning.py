"""Learning curves: the loss and the headline metric by epoch, for one run or for one per seed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from penlight.numbers import counted
from penlight.reports.displays.base import Display, Layout, shorten
from penlight.reports.displays.shared import divide, label_ends, name_panel
from penlight.reports.displays.study import ROUND_STEPS, entry_colours
from penlight.reports.palette import ACCENT, MUTED, RULE
from penlight.reports.study_content import StudyRowResult, StudyTable
from penlight.reports.words import listed, metric_words, number

_SPLITS = (("", "train", MUTED, (4, 2)), ("val_", "val", ACCENT, ()))


@dataclass(frozen=True)
class LearningCurves(Display):
    """Loss and headline metric on train and val by epoch; `best_epoch` is the one whose weights were kept."""

    history: pd.DataFrame
    headline: str
    best_epoch: int | None

    title: ClassVar[str] = "Learning curves"

    @classmethod
    def from_history(cls, history: pd.DataFrame, headline: str, best_epoch: int | None) -> "LearningCurves":
        """Keep the columns that are drawn; those that the history lacks are left out."""
        wanted = ["epoch", *(f"{before}{name}" for name in ("loss", headline) for before in ("", "val_"))]
        kept = [name for name in wanted if name in history]
        return cls(history[kept].reset_index(drop=True), headline, best_epoch)

    @property
    def caption(self) -> str:
        if self.best_epoch is None:
            return f"{counted(len(self.history), 'epoch')}; no epoch was preferred."
        at = self.history.loc[self.history["epoch"] == self.best_epoch]
        kept = f"Epoch {self.best_epoch} of {int(self.history['epoch'].max())} was kept"
        column = f"val_{self.headline}"
        if column in at and len(at):
            kept += f", with {metric_words(self.headline).short} {number(float(at[column].iloc[0]), 2)} on val"
        return f"{kept}{self._afterwards()}."

    @property
    def description(self) -> str:
        parts = (
            f"{name.replace('_', ' ')} from {number(float(self.history[name].iloc[0]), 2)} "
            f"to {number(float(self.history[name].iloc[-1]), 2)}"
            for name in self.history.columns
            if name != "epoch" and len(self.history)
        )
        return f"Curves over {counted(len(self.history), 'epoch')}: " + "; ".join(parts) + "."

    layout: ClassVar[Layout] = Layout(420, 416, left=52, right=52, top=26, bottom=48)

    def frame(self) -> pd.DataFrame:
        """One line per epoch."""
        return self.history.copy()

    def draw(self, ax: Axes) -> None:
        """Loss above, headline metric below, the kept epoch marked in both."""
        history, kept = self.history, self.history.loc[self.history["epoch"] == self.best_epoch]
        for panel, name in _panels(ax, self.headline):
            ends = []
            for before, split, colour, dashes in _SPLITS:
                if f"{before}{name}" in history:
                    values = history[f"{before}{name}"]
                    panel.plot(history["epoch"], values, color=colour, dashes=dashes, linewidth=1.8)
                    ends.append((float(values.iloc[-1]), split, colour))
            label_ends(panel, ends, float(history["epoch"].iloc[-1]))
            if self.best_epoch is not None:
                panel.axvline(self.best_epoch, color=RULE, linewidth=1, zorder=0)
                if f"val_{name}" in kept and len(kept):
                    panel.plot(self.best_epoch, kept[f"val_{name}"].iloc[0], "o", color=ACCENT, markersize=7)

    def _afterwards(self) -> str:
        if "val_loss" not in self.history or self.best_epoch is None:
            return ""
        later = self.history.loc[self.history["epoch"] >= self.best_epoch, "val_loss"]
        if len(later) < 2:
            return ""
        first, last = float(later.iloc[0]), float(later.iloc[-1])
        if not (math.isfinite(first) and math.isfinite(last)):
            return ""
        one, other = number(first, 2), number(last, 2)
        if one == other:
            return f"; the loss on val ends where it is at that epoch, at {other}"
        return f"; after it the loss on val {'rises' if last > first else 'falls'} from {one} to {other}"


@dataclass(frozen=True)
class SeedCurves(Display):
    """Loss and headline metric on val by epoch, a line for each seed or fold, the `noun`; `histories` by its name."""

    histories: Mapping[str, pd.DataFrame]
    headline: str
    noun: str = "seed"

    @property
    def title(self) -> str:
        return f"Learning curves of all {self.noun}s, on val"

    @property
    def caption(self) -> str:
        column = f"val_{self.headline}"
        best = [float(h[column].max()) for h in self.histories.values() if column in h and h[column].notna().any()]
        if not best:
            return "No headline metric was kept by epoch."
        words, low, high = metric_words(self.headline).short, number(min(best), 2), number(max(best), 2)
        over = f"over {counted(len(best), self.noun)}"
        if low == high:
            return f"The best {words} on val is {low} {over}."
        return f"The best {words} on val lies between {low} and {high} {over}."

    @property
    def description(self) -> str:
        return f"One line for each of {counted(len(self.histories), self.noun)}, loss and headline metric by epoch."

    layout: ClassVar[Layout] = Layout(420, 416, left=52, right=20, top=26, bottom=48)

    def frame(self) -> pd.DataFrame:
        """One line per seed and epoch."""
        parts = [h.assign(**{self.noun: name}) for name, h in self.histories.items()]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[self.noun, "epoch"])

    def draw(self, ax: Axes) -> None:
        """Every seed is a thin line of the same colour: they differ by chance alone."""
        for panel, name in _panels(ax, self.headline):
            for history in self.histories.values():
                if f"val_{name}" in history:
                    panel.plot(history["epoch"], history[f"val_{name}"], color=ACCENT, linewidth=1.4, alpha=0.7)


def _panels(ax: Axes, headline: str) -> Iterator[tuple[Axes, str]]:
    """Give a panel for the loss and below it one for the headline metric, named, over epochs with few ticks."""
    panels = divide(ax, 2, 1, (0, 0.17))
    for panel, name in zip(panels, ("loss", headline), strict=True):
        name_panel(panel, metric_words(name).short)
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panel.yaxis.set_major_locator(MaxNLocator(4))
        panel.tick_params(length=3)
        yield panel, name
    panels[0].tick_params(labelbottom=False)
    panels[1].set_xlabel("epoch")


_RIGHT = 250
_LONGEST = 30
"""Letters of a name that the right margin has room for."""


@dataclass(frozen=True)
class VariantCurve:
    """Means over seeds, by epoch: `epoch` (E,), `loss` and `headline` (E,) on val; a variant has the colour of what
    it is a variant of, and is dashed."""

    title: str
    colour: str
    dashed: bool
    epoch: tuple[int, ...]
    loss: tuple[float, ...]
    headline: tuple[float, ...]

    @property
    def peak(self) -> float:
        """The highest mean headline score on val."""
        known = [value for value in self.headline if np.isfinite(value)]
        return max(known, default=float("nan"))


@dataclass(frozen=True)
class StudyCurves(Display):
    """Loss and headline metric on val by epoch, one line per recipe."""

    metric: str
    curves: tuple[VariantCurve, ...]
    variants: tuple[tuple[str, str], ...]

    title: ClassVar[str] = "Learning curves on val, means over seeds"

    @classmethod
    def from_table(cls, table: StudyTable) -> "StudyCurves":
        """Average the histories of every entry that has them; a history that ended early counts as far as it goes."""
        trained = [entry for entry in table.entries if entry.histories]
        colours = entry_colours(table.entries)
        curves = tuple(_curve(entry, colours[entry.id].day) for entry in trained)
        known = {entry.id: entry.title for entry in trained}
        pairs = [(e.title, known[e.compare_with]) for e in trained if e.compare_with in known and e.compare_with]
        return cls(table.headline, curves, tuple(pairs))

    @property
    def caption(self) -> str:
        peaks = {curve.title: curve.peak for curve in self.curves}
        words = metric_words(self.metric).short
        parts = [f"{one} {number(peaks[one], 2)}, {other} {number(peaks[other], 2)}" for one, other in self.variants]
        known = [curve for curve in self.curves if np.isfinite(curve.peak)]
        highest = max(known, key=lambda curve: curve.peak, default=None)
        said = f"No {words} on val is defined."
        if highest is not None:
            said = f"The highest {words} on val is that of {highest.title}, {number(highest.peak, 2)}."
        if parts:
            said += f" Highest of each variant and its original: {listed(parts, most=len(parts))}."
            said += " A variant is dashed, in the colour of its original."
        return said

    @property
    def description(self) -> str:
        own = (f"{curve.title}: {number(curve.peak, 2)}" for curve in self.curves)
        return f"One line per recipe; highest {metric_words(self.metric).short} on val. " + "; ".join(own) + "."

    layout: ClassVar[Layout] = Layout(840, 520, left=56, right=_RIGHT, top=26, bottom=48)

    def frame(self) -> pd.DataFrame:
        """One line per recipe and epoch: title, epoch, loss, headline."""
        lines = [
            (curve.title, *point)
            for curve in self.curves
            for point in zip(curve.epoch, curve.loss, curve.headline, strict=True)
        ]
        return pd.DataFrame(lines, columns=["title", "epoch", "loss", "headline"])

    def draw(self, ax: Axes) -> None:
        """Loss above, headline metric below; each line is named at its end, in the lower panel."""
        for panel, name in _panels(ax, self.metric):
            values = [curve.loss if name == "loss" else curve.headline for curve in self.curves]
            for curve, own in zip(self.curves, values, strict=True):
                style = (0, (4, 2)) if curve.dashed else "-"
                panel.plot(curve.epoch, own, color=curve.colour, linestyle=style, linewidth=1.8)
            panel.yaxis.set_major_locator(MaxNLocator(4, steps=ROUND_STEPS))
            panel.set_xlim(0, max(curve.epoch[-1] for curve in self.curves) + 0.5)
            _name_ends(panel, [(own[-1], curve) for curve, own in zip(self.curves, values, strict=True)])


def _curve(entry: StudyRowResult, colour: str) -> VariantCurve:
    joined = pd.concat(entry.histories).groupby("epoch")[["val_loss", "val_headline"]].mean()
    return VariantCurve(
        entry.title,
        colour,
        entry.compare_with is not None,
        tuple(int(epoch) for epoch in joined.index),
        tuple(joined["val_loss"]),
        tuple(joined["val_headline"]),
    )


def _name_ends(panel: Axes, ends: Sequence[tuple[float, VariantCurve]]) -> None:
    """Write names in a column at the right, in the order of the ends, moved apart where they would touch, with a thin
    line from each end to its name."""
    low, high = panel.get_ylim()
    least = (high - low) * 0.1
    right = panel.get_xlim()[1]
    known = sorted(((v, c) for v, c in ends if np.isfinite(v)), key=lambda end: end[0])
    places = _apart([value for value, _ in known], least, low, high)
    for place, (value, curve) in zip(places, known, strict=True):
        panel.annotate("", (curve.epoch[-1], value), (right * 1.045, place), "data", "data", annotation_clip=False,
                       arrowprops={"arrowstyle": "-", "color": curve.colour, "linewidth": 0.7, "alpha": 0.6,
                                   "shrinkA": 0, "shrinkB": 0})  # fmt: skip
        name = shorten(curve.title, _LONGEST)
        panel.annotate(name, (right * 1.05, place), (2, 0), "data", "offset points", va="center", fontsize=12,
                       color=curve.colour, annotation_clip=False)  # fmt: skip


def _apart(values: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Move sorted values at least `least` apart, upwards first, then back down so that the last one fits."""
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + least) if places else max(value, low))
    over = places[-1] - high if places else 0.0
    if over > 0:
        for i in range(len(places) - 1, -1, -1):
            ceiling = high if i == len(places) - 1 else places[i + 1] - least
            places[i] = min(places[i], ceiling)
    return places
