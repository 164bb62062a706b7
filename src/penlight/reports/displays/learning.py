"""Learning curves: the loss and the headline metric by epoch, for one run or for one per seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from penlight.numbers import counted
from penlight.reports.displays.base import Display, Layout
from penlight.reports.displays.shared import divide
from penlight.reports.palette import ACCENT, INK, MUTED, RULE
from penlight.reports.words import metric_words, number

_SPLITS = (("", "train", MUTED, (4, 2)), ("val_", "val", ACCENT, ()))


@dataclass(frozen=True)
class LearningCurves(Display):
    """Loss and headline metric on train and val by epoch; `best_epoch` is the one whose weights were kept."""

    history: pd.DataFrame
    headline: str
    best_epoch: int | None

    section: ClassVar[str] = "curves"
    title: ClassVar[str] = "Learning curves"

    @classmethod
    def from_history(cls, history: pd.DataFrame, headline: str, best_epoch: int | None) -> "LearningCurves":
        """Keep the columns that are drawn; those that the history lacks are left out."""
        wanted = ["epoch", *(f"{before}{name}" for name in ("loss", headline) for before in ("", "val_"))]
        kept = [name for name in wanted if name in history]
        return cls(history[kept].reset_index(drop=True), headline, best_epoch)

    @property
    def caption(self) -> str:
        """Say which epoch was kept and what the loss on val did after it."""
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
        """Say the ends of each curve."""
        parts = (
            f"{name.replace('_', ' ')} from {number(float(self.history[name].iloc[0]), 2)} "
            f"to {number(float(self.history[name].iloc[-1]), 2)}"
            for name in self.history.columns
            if name != "epoch" and len(self.history)
        )
        return f"Curves over {counted(len(self.history), 'epoch')}: " + "; ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        """Two panels, one above the other."""
        return Layout(420, 416, left=52, right=52, top=26, bottom=48)

    def frame(self) -> pd.DataFrame:
        """One line per epoch."""
        return self.history.copy()

    def draw(self, ax: Axes) -> None:
        """Loss above, headline metric below, the kept epoch marked in both."""
        panels = divide(ax, 2, 1, (0, 0.17))
        for panel, name in zip(panels, ("loss", self.headline), strict=True):
            self._plot_panel(panel, name)
        panels[0].tick_params(labelbottom=False)
        panels[1].set_xlabel("epoch")

    def _plot_panel(self, panel: Axes, name: str) -> None:
        ends = []
        for before, split, colour, dashes in _SPLITS:
            if f"{before}{name}" in self.history:
                values = self.history[f"{before}{name}"]
                panel.plot(self.history["epoch"], values, color=colour, dashes=dashes, linewidth=1.8)
                ends.append((float(values.iloc[-1]), split, colour))
        style_panel(panel, metric_words(name).short)
        _label_ends(panel, float(self.history["epoch"].iloc[-1]), ends)
        if self.best_epoch is not None:
            panel.axvline(self.best_epoch, color=RULE, linewidth=1, zorder=0)
            _mark_kept(panel, self.history, f"val_{name}", self.best_epoch)

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
    """Loss and headline metric on val by epoch, one line per seed."""

    histories: Mapping[str, pd.DataFrame]
    headline: str
    noun: str = "seed"

    section: ClassVar[str] = "curves"

    @classmethod
    def from_histories(cls, histories: Mapping[str, pd.DataFrame], headline: str, noun: str = "seed") -> "SeedCurves":
        """Take the histories by name of the seed, or of the fold, the `noun`."""
        return cls(dict(histories), headline, noun)

    @property
    def title(self) -> str:
        """Name what is drawn."""
        return f"Learning curves of all {self.noun}s, on val"

    @property
    def caption(self) -> str:
        """Say how far the seeds lie apart at their best."""
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
        """Say how many lines there are."""
        return f"One line for each of {counted(len(self.histories), self.noun)}, loss and headline metric by epoch."

    @property
    def layout(self) -> Layout:
        """Two panels, one above the other."""
        return Layout(420, 416, left=52, right=20, top=26, bottom=48)

    def frame(self) -> pd.DataFrame:
        """One line per seed and epoch."""
        parts = [h.assign(**{self.noun: name}) for name, h in self.histories.items()]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[self.noun, "epoch"])

    def draw(self, ax: Axes) -> None:
        """Every seed is a thin line of the same colour: they differ by chance alone."""
        panels = divide(ax, 2, 1, (0, 0.17))
        for panel, name in zip(panels, ("loss", self.headline), strict=True):
            for history in self.histories.values():
                if f"val_{name}" in history:
                    panel.plot(history["epoch"], history[f"val_{name}"], color=ACCENT, linewidth=1.4, alpha=0.7)
            style_panel(panel, metric_words(name).short)
        panels[0].tick_params(labelbottom=False)
        panels[1].set_xlabel("epoch")


def style_panel(panel: Axes, name: str) -> None:
    """Name a panel above its axis, and keep its ticks few and whole."""
    panel.annotate(name, (0, 1), (-44, 10), "axes fraction", "offset points", weight="bold", color=INK)
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.tick_params(length=3)


def _label_ends(panel: Axes, x: float, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write each line's name at its end; names that would touch are moved apart."""
    low, high = panel.get_ylim()
    least = (high - low) * 0.11
    place = -np.inf
    for value, split, colour in sorted(ends):
        place = max(value, place + least)
        panel.annotate(split, (x, place), (7, 0), "data", "offset points", va="center", color=colour,
                       annotation_clip=False)  # fmt: skip


def _mark_kept(panel: Axes, history: pd.DataFrame, column: str, epoch: int) -> None:
    at = history.loc[history["epoch"] == epoch]
    if column in at and len(at):
        panel.plot(epoch, at[column].iloc[0], "o", color=ACCENT, markersize=7)
