"""What every display offers, and the style that they are drawn in."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.reports.palette import INK, MUTED, PAPER, RULE

Floats = NDArray[np.float64]

_CHARACTER = 7.2
_POINTS_PER_INCH = 72
_FINEST = 1 / 600


STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "axes.labelsize": 13,
    "axes.titlesize": 13,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": PAPER,
    "text.color": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "lines.linewidth": 2,
    "lines.solid_capstyle": "round",
    "path.simplify_threshold": 0.2,
    # Labels are a user's own: a dollar sign is not the start of a formula.
    "text.parse_math": False,
}
"""Matplotlib's settings for every display."""


@dataclass(frozen=True)
class Layout:
    """Size of a figure and the margins around its axes, in CSS pixels."""

    width: int
    height: int
    left: int = 48
    right: int = 12
    top: int = 12
    bottom: int = 44

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height of the axes."""
        return self.width - self.left - self.right, self.height - self.top - self.bottom

    def share(self, x: float, y: float) -> tuple[float, float]:
        """Give lengths in pixels as shares of the width and the height of the axes."""
        width, height = self.inner
        return x / width, y / height

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of the axes as shares of the figure."""
        width, height = self.inner
        return self.left / self.width, self.bottom / self.height, width / self.width, height / self.height

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height of the figure, so that a point of Matplotlib is a CSS pixel."""
        return self.width / _POINTS_PER_INCH, self.height / _POINTS_PER_INCH


class Display(ABC):
    """Computed numbers that can be drawn. A display is made by a classmethod `from_...` and never changes."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Name of the figure."""

    @property
    @abstractmethod
    def caption(self) -> str:
        """One sentence that says what to see, made from the numbers."""

    @property
    @abstractmethod
    def description(self) -> str:
        """What is drawn, for those who do not see it."""

    @property
    @abstractmethod
    def layout(self) -> Layout:
        """Size and margins in a page."""

    @abstractmethod
    def frame(self) -> pd.DataFrame:
        """Give the numbers that are drawn."""

    def drawn_numbers(self) -> pd.DataFrame:
        """Give what a page lets its readers save: the numbers of `frame`, of long curves only the points drawn.

        A page is passed on; it must not say more of single images than its figures show.
        """
        return self.frame()

    @abstractmethod
    def draw(self, ax: Axes) -> None:
        """Draw onto axes; a display of several panels divides them."""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw onto axes and give them; without any, onto a new figure in the size and style of a report.

        Pyplot makes that figure, so that a notebook shows it; `ax.figure.savefig("name.svg")` saves it.
        """
        if ax is not None:
            self.draw(ax)
            return ax
        from matplotlib import pyplot

        style: Any = STYLE
        with rc_context(style):
            figure = pyplot.figure(figsize=self.layout.inches)
            ax = figure.add_axes(self.layout.box)
            self.draw(ax)
            # Ticks take their style when they are first drawn.
            figure.draw_without_rendering()
        return ax


def margin_for(labels: Sequence[str], most: int = 150) -> int:
    """Estimate the pixels that tick labels need, at most `most`."""
    return min(most, round(max(map(len, labels), default=0) * _CHARACTER) + 12)


def shorten(label: str, most: int = 20) -> str:
    """Cut a long label with an ellipsis."""
    return label if len(label) <= most else label[: most - 1].rstrip() + "…"


def rate_axis(ax: Axes, which: str = "xy") -> None:
    """Let axes run from 0 to 1 with few ticks; a little room keeps marks at the ends whole."""
    for axis in which:
        getattr(ax, f"set_{axis}lim")(-0.02, 1.02)
        getattr(ax, f"set_{axis}ticks")([0, 0.5, 1], ["0", "0.5", "1"])
    ax.tick_params(length=3)


def ratio(above: Floats, below: Floats) -> Floats:
    """Divide; NaN where `below` is 0."""
    out: Floats = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


def columns_shown(labels: Sequence[str], exclusive: bool) -> range:
    """Choose the labels whose curves say something: of two exclusive ones, the second mirrors the first."""
    return range(1, 2) if exclusive and len(labels) == 2 else range(len(labels))


def thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Leave out points of a curve in a unit square that are closer than half a pixel to the last one drawn, so that
    large test splits stay small pages."""
    step = np.hypot(np.diff(x, prepend=-1), np.diff(y, prepend=-1))
    along = np.floor(np.cumsum(step) / _FINEST)
    kept = np.diff(along, prepend=-1) > 0
    kept[-1:] = True
    return x[kept], y[kept]
