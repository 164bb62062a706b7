"""What several displays draw: panels and the shaded matrix with its scale."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from penlight.reports.displays.base import Floats
from penlight.reports.palette import MUTED

_SHADES = colormaps["cividis"]
_ON_DARK, _ON_LIGHT = "#ffffff", "#10141c"


def divide(ax: Axes, rows: int, columns: int, gap: tuple[float, float]) -> list[Axes]:
    """Divide axes into panels, row by row from the top; `gap` (x, y) as shares of the axes."""
    ax.set_axis_off()
    width = (1 - gap[0] * (columns - 1)) / columns
    height = (1 - gap[1] * (rows - 1)) / rows
    return [
        ax.inset_axes((c * (width + gap[0]), 1 - height - r * (height + gap[1]), width, height))
        for r in range(rows)
        for c in range(columns)
    ]


def shade_cells(
    ax: Axes,
    shares: Floats,
    texts: Sequence[Sequence[str]] | None,
    *,
    edges: Floats | None = None,
    top: float = 1,
    size: int | str = 12,
) -> None:
    """Draw the cells of a matrix (R, K) shaded by `shares` from 0 to `top`, NaN as blank.

    `texts` (R, K) stand in the cells, unless None;
    `edges` (K + 1,) places the columns, by default one unit apart. The first row is on top.
    """
    rows, columns = shares.shape
    x = np.arange(columns + 1.0) if edges is None else edges
    ax.pcolormesh(x, np.arange(rows + 1.0), np.ma.masked_invalid(shares), cmap=_SHADES, vmin=0, vmax=top,
                  edgecolors="none")  # fmt: skip
    for row, line in enumerate(texts or ()):
        for column, text in enumerate(line):
            share = shares[row, column]
            colour = MUTED if np.isnan(share) else _ON_DARK if share < 0.55 * top else _ON_LIGHT
            if text:
                ax.text((x[column] + x[column + 1]) / 2, row + 0.5, text, ha="center", va="center_baseline",
                        color=colour, fontsize=size)  # fmt: skip
    ax.set_ylim(rows, 0)
    ax.tick_params(length=0, pad=5)
    ax.spines[:].set_visible(False)


def name_cells(ax: Axes, rows: Sequence[str], columns: Sequence[str] = ()) -> None:
    """Name the rows of a matrix at its left and the columns below it, slanted so that long names fit."""
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows)
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=40, ha="right", rotation_mode="anchor")


def scale_of_shades(ax: Axes, label: str, top: float = 1) -> None:
    """Draw a horizontal colour bar from 0 to `top` at the bottom edge of the figure."""
    figure = ax.get_figure(root=True)
    if figure is None:
        return
    left, _, width, _ = ax.get_position().bounds
    height = figure.get_figheight() * 72
    bar = figure.add_axes((left, 34 / height, width, 8 / height))
    places = np.linspace(0, top, 33)
    bar.pcolormesh(places, [0, 1], (places[:-1] + places[1:])[None] / 2, cmap=_SHADES, vmin=0, vmax=top,
                   edgecolors="face")  # fmt: skip
    bar.set_yticks([])
    bar.set_xticks([0, top / 2, top], [f"{tick:.3g}" for tick in (0, top / 2, top)])
    bar.tick_params(length=0, pad=3, labelsize=12)
    bar.set_xlabel(label, fontsize=12, labelpad=1)
    bar.spines[:].set_visible(False)
