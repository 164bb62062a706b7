"""What several displays draw: panels, the shaded matrix, lanes with a dot and its interval, images in a row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.reports.displays.base import Floats
from penlight.reports.palette import ACCENT, INK, MUTED, PAPER, RULE
from penlight.reports.picture import as_rgb

_SHADES = colormaps["cividis"]
_ON_DARK, _ON_LIGHT = "#ffffff", "#10141c"


def divide(ax: Axes, n: int, columns: int, gap: tuple[float, float]) -> list[Axes]:
    """Divide axes into n panels, row by row from the top; `gap` (x, y) as shares of the axes, see `Layout.share`."""
    ax.set_axis_off()
    rows = -(-n // columns)
    width = (1 - gap[0] * (columns - 1)) / columns
    height = (1 - gap[1] * (rows - 1)) / rows
    panels = [
        ax.inset_axes((c * (width + gap[0]), 1 - height - r * (height + gap[1]), width, height))
        for r in range(rows)
        for c in range(columns)
    ]
    for panel in panels[n:]:
        panel.set_axis_off()
    return panels[:n]


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


def draw_lane(
    ax: Axes,
    y: float,
    value: float,
    low: float = np.nan,
    high: float = np.nan,
    *,
    colour: str = ACCENT,
    sign: str = "o",
    size: float = 7,
    face: str = "",
    width: float = 5,
    ruled: bool = True,
) -> None:
    """Draw a value as a `sign` filled with `face`, by default `colour`, on its interval as a bar `width` pixels high.

    Without both ends there is no bar, and without a value no sign; a `ruled` lane is marked by a thin rule across the
    axes.
    """
    if ruled:
        ax.axhline(y, color=RULE, linewidth=0.6, zorder=0)
    if np.isfinite([low, high]).all():
        ax.plot([low, high], [y, y], color=colour, linewidth=width, alpha=0.35, solid_capstyle="butt")
    ax.plot([value], [y], sign, color=colour, markerfacecolor=face or colour, markersize=size, markeredgewidth=1.5,
            clip_on=False, zorder=3)  # fmt: skip


def write_in_lane(ax: Axes, y: float, text: str, *, colour: str = INK, bold: bool = False, left: int = 0) -> None:
    """Write beside a lane: at its right end, 50 pixels from the axes, or `left` pixels before its left end."""
    x, offset = (0, -left) if left else (1, 50)
    ax.annotate(text, (x, y), (offset, 0), ("axes fraction", "data"), "offset points", ha="left" if left else "right",
                va="center", color=colour, weight="bold" if bold else "normal", fontsize=12,
                annotation_clip=False)  # fmt: skip


def leave_lane_empty(ax: Axes, y: float, reason: str, *, ruled: bool = True) -> None:
    """Write in a lane why there is no value."""
    if ruled:
        ax.axhline(y, color=RULE, linewidth=0.6, zorder=0)
    ax.annotate(reason, (0, y), (4, 0), ("axes fraction", "data"), "offset points", color=MUTED, va="center",
                fontsize=12, annotation_clip=False,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1})  # fmt: skip


def name_lanes(ax: Axes, names: Sequence[str], places: Sequence[float] = ()) -> None:
    """Name lanes at the left of the axes, the first on top, at 0, 1, ... or at `places`."""
    ax.set_yticks(places or range(len(names)), names, color=INK)
    if not places:
        ax.set_ylim(len(names) - 0.5, -0.5)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="x", length=3)
    ax.tick_params(axis="y", length=0)


def mark_value(ax: Axes, x: float, name: str, *, above: int = 6, **options: Any) -> None:
    """Draw a dashed line at a value across all lanes, with its name `above` pixels over the axes."""
    ax.axvline(x, color=MUTED, linewidth=1, dashes=(4, 3), zorder=1)
    ax.annotate(name, (x, 1), (0, above), ("data", "axes fraction"), "offset points", ha="center", color=MUTED,
                fontsize=12, **options)  # fmt: skip


def name_panel(panel: Axes, name: str) -> None:
    """Write the name of a vertical axis above it."""
    panel.annotate(name, (0, 1), (-44, 10), "axes fraction", "offset points", weight="bold", color=INK)


def label_ends(
    ax: Axes, ends: Sequence[tuple[float, str, str]], x: float, *, least: float = 0.11, size: int = 13
) -> None:
    """Write names of lines at their ends (value, name, colour) at `x`; those nearer than `least` of the height are
    moved apart."""
    low, high = ax.get_ylim()
    place = -np.inf
    for value, name, colour in sorted(ends):
        place = max(value, place + (high - low) * least)
        ax.annotate(name, (x, place), (7, 0), "data", "offset points", va="center", color=colour,
                    fontsize=size, annotation_clip=False)  # fmt: skip


def draw_images(ax: Axes, *rows: Sequence[NDArray[np.uint8]]) -> None:
    """Draw rows of images (H, W, C) or (H, W) of one size side by side, with nothing between them."""
    ax.set_axis_off()
    if rows[0]:
        joined = [np.concatenate([as_rgb(image) for image in row], axis=1) for row in rows]
        ax.imshow(np.concatenate(joined), interpolation="nearest")
