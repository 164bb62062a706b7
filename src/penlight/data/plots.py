"""Drawings of a dataset's numbers onto axes, for the pages of `show` and for the data section of a report.

Sizes of text follow the style in force, so that the same drawing serves a picture and an inline SVG.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps, rcParams
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from penlight.data.summary import ANY_FINDING, PER_IMAGE, DataDescription, Findings, Positions
from penlight.numbers import decimal_text, percent_text

Floats = NDArray[np.float64]

PANELS = 5
"""Panels in a row of `plot_positions`, whose figure is as wide as so many also where there are fewer labels."""

LINE = 34
"""Letters of a label in one line."""

_TITLE = 18
"""Letters of a label above one of `PANELS` panels in a row."""

# Val and test stand a little above and below the middle of the bar, so that neither hides the other.
_MARKS = {"val": ("o", -0.16), "test": ("D", 0.16)}
_LINES = {"val": (3.0, 1.5), "test": (1.0, 1.3)}
_SHADES = colormaps["cividis"]
_LIGHT, _DARK = "#ffffff", "#10141c"


@dataclass(frozen=True)
class Colours:
    """What is drawn with what, by day or by night; `ramp` is for ordered labels."""

    ink: str
    muted: str
    rule: str
    paper: str
    bar: str
    ramp: tuple[str, str, str]


DAY = Colours("#1b1e24", "#5b626d", "#c6cad1", "#fcfcfa", "#1a5fb4", ("#dc9a5b", "#b4581c", "#561c04"))
NIGHT = Colours("#e6e6e3", "#a2a9b4", "#3a3f48", "#15171b", "#7fb2ec", ("#ffe3c2", "#ee9a52", "#b04f16"))


def plot_classes(description: DataDescription, ax: Axes, *, night: bool = False) -> None:
    """Draw each label's share of the images: a bar for train, a circle for val, a diamond for test.

    Ordered grades go from light to dark in one hue; other labels share one colour, since their names tell them apart.
    """
    colours = NIGHT if night else DAY
    shares = {split: description.shares(split) for split in description.images}
    bars = _bar_colours(description, colours)
    _plot_shares(ax, [wrapped(name) for name in description.rows], shares, description.counts["train"], bars, colours)


def plot_per_image(findings: Findings, ax: Axes, colours: Colours = DAY) -> None:
    """Draw the share of images with 0, 1, 2, 3, and 4 or more findings: a bar for train, signs for val and test."""
    shares = {split: findings.per_image_shares(split) for split in findings.per_image}
    bars = [colours.bar] * len(PER_IMAGE)
    _plot_shares(ax, PER_IMAGE, shares, findings.per_image["train"], bars, colours)


def plot_presence(description: DataDescription, ax: Axes, colours: Colours = DAY) -> None:
    """Draw how many training images have each finding, and any, as the filled part of a bar that is all of them."""
    n = description.images["train"]
    counts = description.counts["train"]
    present = [n - counts[-1], *counts[:-1]]
    y = np.arange(len(present))
    ax.barh(y, 1, height=0.68, color="none", edgecolor=colours.rule, linewidth=0.8)
    ax.barh(y, [count / n for count in present], height=0.68, color=colours.bar)
    for row, count in enumerate(present):
        ax.text(1.03, row, f"{count:,} / {n - count:,}", va="center", color=colours.ink)
    ax.text(1.03, -0.95, "present / absent", va="center", color=colours.muted)
    ax.set_yticks(y, [wrapped(name) for name in (ANY_FINDING, *description.rows[:-1])])
    ax.set_ylim(len(y) - 0.4, -1.4)
    ax.set_xlim(0, 1.6)
    ax.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, colors=colours.ink)


def plot_together(findings: Findings, ax: Axes, colours: Colours = DAY) -> None:
    """Shade P(column | row) in train, with the number in per cent; the diagonal is left blank."""
    shares = findings.shares_together
    top = _round_up(float(np.nanmax(np.nan_to_num(shares))))
    edges = np.arange(len(findings.labels) + 1.0)
    ax.pcolormesh(edges, edges, np.ma.masked_invalid(shares), cmap=_SHADES, vmin=0, vmax=top, edgecolors="none")
    for row, column in np.argwhere(np.isfinite(shares)):
        colour = _LIGHT if shares[row, column] < 0.55 * top else _DARK
        text = decimal_text(100 * shares[row, column], 0)
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center_baseline", color=colour, fontsize="small")
    numbers = np.diag(findings.together)
    names = [wrapped(f"{name} ({n:,})") for name, n in zip(findings.labels, numbers, strict=True)]
    ax.set_yticks(edges[:-1] + 0.5, names)
    ax.set_xticks(edges[:-1] + 0.5, findings.labels, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_ylim(len(findings.labels), 0)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, pad=5, colors=colours.ink)
    _scale(ax, top, colours)


def plot_positions(positions: Positions, ax: Axes, colours: Colours = DAY) -> None:
    """Draw a panel for each row: its share in consecutive parts of train, val and test, and for train the band that
    holds 95 % of the shares in a shuffled file."""
    rows, columns = position_grid(len(positions.rows))
    words = positions.words()
    pad = 1.45 * rcParams["font.size"]
    most = _TITLE * PANELS // columns
    panels = divide(ax, rows, columns, (0.09, 0.46 / rows))
    for column, (name, panel) in enumerate(zip(positions.rows, panels, strict=False)):
        _plot_position(positions, column, panel, colours)
        # A longer name would lie over that of the next panel; the table has it whole.
        short = name if len(name) <= most else f"{name[: most - 1].rstrip()}…"
        panel.set_title(short, loc="left", color=colours.ink, fontsize="medium", pad=pad)
        colour = colours.bar if words[column].startswith("drifts") else colours.muted
        panel.annotate(words[column], (0, 1), (0, 4), "axes fraction", "offset points", color=colour,
                       fontsize="small")  # fmt: skip
        panel.tick_params(labelbottom=column + columns >= len(positions.rows))
    for panel in panels[len(positions.rows) :]:
        panel.set_axis_off()
    _key(ax, positions.counts, colours)


def position_grid(n: int) -> tuple[int, int]:
    """Give the rows and columns of panels for n labels; fewer columns are wider, so that the key fits above them."""
    columns = min(n, PANELS)
    return -(-n // columns), columns


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


def wrapped(label: str) -> str:
    """Break a long label into lines."""
    return textwrap.fill(label, LINE)


def _plot_shares(
    ax: Axes,
    names: Sequence[str],
    shares: Mapping[str, Sequence[float]],
    counts: Sequence[int],
    bar_colours: Sequence[str],
    colours: Colours,
) -> None:
    y = np.arange(len(names))
    bars = ax.barh(y, shares["train"], height=0.68, color=bar_colours)
    marks = {split: _plot_marks(shares[split], split, ax, colours) for split in _MARKS if split in shares}
    ends = np.max(list(shares.values()), axis=0)
    for row, share in enumerate(shares["train"]):
        text = f"{percent_text(share)}  ({counts[row]:,})"
        ax.text(ends[row] + 0.03 * ends.max(), row, text, va="center", color=colours.ink)
    ax.set_yticks(y, names)
    ax.set_ylim(len(y) - 0.4, -0.6)
    ax.set_xlim(0, 1.3 * ends.max())
    ax.set_xticks([])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, colors=colours.ink)
    ax.legend(
        [bars, *marks.values()],
        ["train, with share and count", *marks],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        frameon=False,
        labelcolor=colours.ink,
        borderaxespad=0.2,
        borderpad=0.2,
        handlelength=1.3,
        handletextpad=0.4,
        columnspacing=1,
    )


def _plot_marks(shares: Sequence[float], split: str, ax: Axes, colours: Colours) -> Line2D:
    mark, shift = _MARKS[split]
    marks = ax.plot(shares, np.arange(len(shares)) + shift, marker=mark, markersize=5.5, linestyle="", clip_on=False)[
        0
    ]
    marks.set_markerfacecolor(colours.paper)
    marks.set_markeredgecolor(colours.ink)
    return marks


def _bar_colours(description: DataDescription, colours: Colours) -> list[str]:
    n = len(description.rows)
    if not description.task.ordered:
        return [colours.bar] * n
    ramp = LinearSegmentedColormap.from_list("grades", colours.ramp)
    return [to_hex(ramp(place)) for place in np.linspace(0, 1, n)]


def _plot_position(positions: Positions, row: int, ax: Axes, colours: Colours) -> None:
    low, high = positions.chance("train")
    top = high[:, row].max()
    for split in positions.counts:
        share = positions.shares(split)[:, row]
        place = (np.cumsum(positions.images[split]) - positions.images[split] / 2) / positions.images[split].sum()
        top = max(top, share.max())
        if split == "train":
            ax.fill_between(place, low[:, row], high[:, row], color=colours.bar, alpha=0.18, linewidth=0)
            ax.plot(place, share, color=colours.bar, linewidth=1.8)
        else:
            ax.plot(place, share, color=colours.muted, linewidth=1.1, dashes=_LINES[split])
    top = _round_up(float(top))
    ax.set_ylim(0, top)
    ax.set_yticks([0, top], ["0", f"{100 * top:.3g} %"])
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 1], ["first", "last"])
    ax.set_facecolor("none")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(colours.rule)
    ax.tick_params(length=2, labelcolor=colours.muted, color=colours.rule, labelsize="small")
    first, last = ax.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def _key(ax: Axes, splits: Iterable[str], colours: Colours) -> None:
    dashes = {split: own for split, own in _LINES.items() if split in splits}
    lines = [Line2D([], [], color=colours.bar, linewidth=1.8)]
    lines += [Line2D([], [], color=colours.muted, linewidth=1.1, dashes=own) for own in dashes.values()]
    ax.legend(
        lines,
        ["train, with the band of chance", *dashes],
        loc="lower left",
        # The titles of the first row of panels stand in between.
        bbox_to_anchor=(0, 1),
        bbox_transform=ax.transAxes,
        borderaxespad=3.2,
        ncols=3,
        frameon=False,
        labelcolor=colours.ink,
        borderpad=0,
    )


def _scale(ax: Axes, top: float, colours: Colours) -> None:
    """Draw a vertical colour bar from 0 to `top` at the right edge of the axes."""
    bar = ax.inset_axes((1.02, 0, 0.02, 1))
    bar.pcolormesh([0, 1], np.linspace(0, top, 33), np.linspace(0, top, 32)[:, None], cmap=_SHADES, edgecolors="face")
    bar.yaxis.tick_right()
    bar.set_xticks([])
    bar.set_yticks([0, top / 2, top], [f"{100 * tick:.3g} %" for tick in (0, top / 2, top)])
    bar.tick_params(length=0, pad=3, colors=colours.ink)
    bar.spines[:].set_visible(False)


def _round_up(share: float) -> float:
    """Give the next share that is 1, 2 or 5 times a power of ten, or a tenth; at most 1."""
    if share <= 0:
        return 1.0
    if share > 0.1:
        return min(1.0, float(np.ceil(share * 10 - 1e-9)) / 10)
    power = 10.0 ** np.floor(np.log10(share))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= share * (1 - 1e-9)))
