"""Learning curves of several recipes over each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from penlight.reports.displays.base import Display, Layout, shorten
from penlight.reports.displays.learning import style_panel
from penlight.reports.displays.shared import divide
from penlight.reports.displays.study_cost import ROUND_STEPS, entry_colours
from penlight.reports.study_content import StudyRowResult, StudyTable
from penlight.reports.words import listed, metric_words, number

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

    section: ClassVar[str] = "curves"
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
        """Say what each variant's curve peaks at beside that of what it is a variant of."""
        peaks = {curve.title: curve.peak for curve in self.curves}
        words = metric_words(self.metric).short
        parts = [f"{one} {number(peaks[one], 2)}, {other} {number(peaks[other], 2)}" for one, other in self.variants]
        known = [curve for curve in self.curves if np.isfinite(curve.peak)]
        highest = max(known, key=lambda curve: curve.peak, default=None)
        said = (
            f"No {words} on val is defined."
            if highest is None
            else (f"The highest {words} on val is that of {highest.title}, {number(highest.peak, 2)}.")
        )
        if parts:
            said += f" Highest of each variant and its original: {listed(parts, most=len(parts))}."
            said += " A variant is dashed, in the colour of its original."
        return said

    @property
    def description(self) -> str:
        """Say every peak."""
        own = (f"{curve.title}: {number(curve.peak, 2)}" for curve in self.curves)
        return f"One line per recipe; highest {metric_words(self.metric).short} on val. " + "; ".join(own) + "."

    @property
    def layout(self) -> Layout:
        """Two panels, one above the other, with room for the names at the right."""
        return Layout(840, 520, left=56, right=_RIGHT, top=26, bottom=48)

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
        panels = divide(ax, 2, 1, (0, 0.17))
        for panel, which, name in zip(panels, ("loss", "headline"), ("loss", self.metric), strict=True):
            for curve in self.curves:
                style = (0, (4, 2)) if curve.dashed else "-"
                panel.plot(curve.epoch, getattr(curve, which), color=curve.colour, linestyle=style, linewidth=1.8)
            style_panel(panel, metric_words(name).short)
            panel.yaxis.set_major_locator(MaxNLocator(4, steps=ROUND_STEPS))
            panel.set_xlim(0, max(curve.epoch[-1] for curve in self.curves) + 0.5)
        panels[0].tick_params(labelbottom=False)
        panels[1].set_xlabel("epoch")
        _name_ends(panels[0], [(curve.loss[-1], curve) for curve in self.curves])
        _name_ends(panels[1], [(curve.headline[-1], curve) for curve in self.curves])


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
