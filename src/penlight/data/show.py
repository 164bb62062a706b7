"""A dataset to look at: class shares and samples as pictures, and a small page with both."""

import base64
import io
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from penlight import disk
from penlight.data.dataset import Dataset
from penlight.data.show_page import page
from penlight.data.summary import DataDescription, describe, row_indicators, row_names
from penlight.tasks import Ordinal

__all__ = ["DataDescription", "choose_samples", "describe", "plot_classes", "plot_samples", "write_show"]

_DPI = 160
_TILE = 84
_GAP = 4
# Val and test stand a little above and below the middle of the bar, so that neither hides the other.
_MARKS = {"val": ("o", -0.16), "test": ("D", 0.16)}
_LINE = 34
# Width in pixels of a letter of 9 points, on average and rounded up.
_LETTER = _DPI / 72 * 9 * 0.62


@dataclass(frozen=True)
class _Colours:
    ink: str
    paper: str
    bar: str
    ramp: tuple[str, str, str]


_DAY = _Colours("#1b1e24", "#fcfcfa", "#1a5fb4", ("#dc9a5b", "#b4581c", "#561c04"))
_NIGHT = _Colours("#e6e6e3", "#15171b", "#7fb2ec", ("#ffe3c2", "#ee9a52", "#b04f16"))


def plot_classes(description: DataDescription, ax: Axes, *, night: bool = False) -> None:
    """Draw each label's share of the images: a bar for train, a circle for val, a diamond for test.

    Ordered grades go from light to dark in one hue; other labels share one colour, since their names tell them apart.
    """
    colours = _NIGHT if night else _DAY
    y = np.arange(len(description.rows))
    train = description.shares("train")
    bars = ax.barh(y, train, height=0.68, color=_bar_colours(description, colours))
    marks = [_plot_marks(description, split, ax, colours) for split in _MARKS]
    widest = max(max(description.shares(split)) for split in description.images)
    for row, share in enumerate(train):
        end = max(description.shares(split)[row] for split in description.images)
        text = f"{share:.1%}  ({description.counts['train'][row]:,})"
        ax.text(end + 0.03 * widest, row, text, va="center", color=colours.ink)
    ax.set_yticks(y, [_wrapped(name) for name in description.rows])
    ax.set_ylim(len(y) - 0.4, -0.6)
    ax.set_xlim(0, 1.3 * widest)
    ax.set_xticks([])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, colors=colours.ink)
    ax.legend(
        [bars, *marks],
        ["train, with share and count", *_MARKS],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        frameon=False,
        labelcolor=colours.ink,
        borderaxespad=0.2,
    )


def choose_samples(dataset: Dataset, per_class: int, seed: int = 0) -> dict[str, NDArray[np.int64]]:
    """Choose up to `per_class` training images of each label (and of none), by their numbers, without repeats."""
    carried = row_indicators(dataset, "train")
    random = np.random.default_rng(seed)
    return {
        name: np.sort(random.permutation(np.flatnonzero(carried[:, column]))[:per_class])
        for column, name in enumerate(row_names(dataset))
    }


def plot_samples(dataset: Dataset, per_class: int = 8, seed: int = 0) -> Figure:
    """Draw training images on black, a row for each label, every pixel as a square of whole pixels."""
    chosen = choose_samples(dataset, per_class, seed)
    mosaic = _mosaic(dataset, list(chosen.values()), per_class)
    scale = max(1, round(_TILE / dataset.size))
    height, width = (scale * n for n in mosaic.shape[:2])
    texts = [_wrapped(name if len(index) else f"{name} (none in train)") for name, index in chosen.items()]
    margin = round(16 + _LETTER * max(len(line) for text in texts for line in text.split("\n")))
    figure = Figure(figsize=((width + margin) / _DPI, height / _DPI), dpi=_DPI, facecolor="black")
    FigureCanvasAgg(figure)
    ax = figure.add_axes((margin / (width + margin), 0, width / (width + margin), 1))
    ax.imshow(mosaic, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    for row, text in enumerate(texts):
        middle = (row + 0.5) * mosaic.shape[0] / len(texts)
        ax.text(-6 / scale, middle, text, ha="right", va="center", color="white", fontsize=9)
    return figure


def write_show(dataset: Dataset, folder: Path, *, per_class: int = 8, seed: int = 0) -> list[Path]:
    """Write classes.png, samples.png and a page with both, index.html, each whole or not at all.

    Returns their paths, the page last. StorageError if the folder cannot be written.
    """
    description = describe(dataset)
    day, night = (_png(_class_figure(description, night=night)) for night in (False, True))
    samples = _png(plot_samples(dataset, per_class, seed))
    text = page(description, *(_data_address(png) for png in (day, night, samples)))
    files = {"classes.png": day, "samples.png": samples, "index.html": text.encode()}
    with disk.writing_to(folder, "Choose a folder you may write to, on a disk with room."), disk.folders(folder):
        for name, content in files.items():
            disk.write_whole(folder / name, content)
    return [folder / name for name in files]


def _plot_marks(description: DataDescription, split: str, ax: Axes, colours: _Colours) -> Line2D:
    mark, shift = _MARKS[split]
    y = np.arange(len(description.rows)) + shift
    marks = ax.plot(description.shares(split), y, marker=mark, markersize=5.5, linestyle="", clip_on=False)[0]
    marks.set_markerfacecolor(colours.paper)
    marks.set_markeredgecolor(colours.ink)
    return marks


def _wrapped(label: str) -> str:
    return textwrap.fill(label, _LINE)


def _bar_colours(description: DataDescription, colours: _Colours) -> list[str]:
    n = len(description.rows)
    if description.info.task.kind != Ordinal.kind:
        return [colours.bar] * n
    ramp = LinearSegmentedColormap.from_list("grades", colours.ramp)
    return [to_hex(ramp(place)) for place in np.linspace(0, 1, n)]


def _class_figure(description: DataDescription, *, night: bool) -> Figure:
    paper = (_NIGHT if night else _DAY).paper
    lines = sum(_wrapped(name).count("\n") + 1 for name in description.rows)
    figure = Figure(figsize=(7.2, 0.24 * lines + 0.1 * len(description.rows) + 0.6), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.set_facecolor(paper)
    ax = figure.subplots()
    ax.set_facecolor(paper)
    plot_classes(description, ax, night=night)
    return figure


def _mosaic(dataset: Dataset, rows: list[NDArray[np.int64]], columns: int) -> NDArray[np.uint8]:
    """Put images (H, W, C) side by side on black, in rows: (rows * (H + gap), columns * (W + gap), 3) uint8."""
    images, step = dataset.splits["train"].images, dataset.size + max(1, dataset.size * _GAP // _TILE)
    out = np.zeros((len(rows) * step, columns * step, 3), np.uint8)
    for row, index in enumerate(rows):
        for column, image in enumerate(images[index]):
            top, left = row * step, column * step
            out[top : top + dataset.size, left : left + dataset.size] = image
    return out


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No version of a library in the file: the same data gives the same bytes.
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return buffer.getvalue()


def _data_address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
