"""A dataset to look at: its numbers and samples as pictures, and a small page with all of them."""

import base64
import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from penlight import disk
from penlight.data.dataset import Dataset
from penlight.data.plots import (
    DAY,
    NIGHT,
    PANELS,
    Colours,
    plot_classes,
    plot_per_image,
    plot_positions,
    plot_presence,
    plot_together,
    position_grid,
    wrapped,
)
from penlight.data.show_page import PageImage, classes_text, page, presence_text
from penlight.data.summary import DataDescription, Findings, as_viewed, describe, row_indicators, row_names
from penlight.data.views import ViewedDataset
from penlight.tasks import label_of

__all__ = ["DataDescription", "choose_samples", "describe", "plot_classes", "plot_samples", "write_show"]

_DPI = 160
_TILE = 84
_GAP = 4
# Width in pixels of a letter of 9 points, on average and rounded up.
_LETTER = _DPI / 72 * 9 * 0.62
# Pictures with their findings named below: wider, with room for so many lines of so many letters.
_NAMED_TILE = 140
_NAME_LINES = 4
_NAME_LETTERS = 17
_NAME_POINTS = 6.5
# CSS pixels for each inch that a picture must have at least, for the smallest letters in it to have nine.
_LEAST, _LEAST_OF_SAMPLES = 80, 100

# Labels are a user's own: a dollar sign is not the start of a formula.
_PLAIN_TEXT: Any = {"text.parse_math": False}


@dataclass(frozen=True)
class _Drawing:
    """A figure of the page: file name, title, its sentence, size in inches, and what draws it."""

    name: str
    title: str
    text: str
    size: tuple[float, float]
    plot: Callable[[Axes, Colours], None]


def choose_samples(data: Dataset | ViewedDataset, per_class: int, seed: int = 0) -> dict[str, NDArray[np.int64]]:
    """Choose up to `per_class` training images of each label (and of none), without repeats.

    They are numbered as the view counts them, which is as stored where no view leaves out any.
    """
    seen = as_viewed(data)
    carried = row_indicators(seen, "train")
    random = np.random.default_rng(seed)
    return {
        name: np.sort(random.permutation(np.flatnonzero(carried[:, column]))[:per_class])
        for column, name in enumerate(row_names(seen.task))
    }


@rc_context(_PLAIN_TEXT)
def plot_samples(data: Dataset | ViewedDataset, per_class: int = 8, seed: int = 0) -> Figure:
    """Draw training images on black, a row for each label, every pixel as a square of whole pixels.

    Where an image may have several labels, those it has stand below it.
    """
    seen = as_viewed(data)
    chosen = choose_samples(seen, per_class, seed)
    named = not seen.task.exclusive
    scale = max(1, round((_NAMED_TILE if named else _TILE) / seen.dataset.size))
    below = round(_NAME_LINES * _NAME_POINTS * 1.3 * _DPI / 72 / scale) if named else 0
    mosaic = _mosaic(seen, list(chosen.values()), per_class, below)
    height, width = (scale * n for n in mosaic.shape[:2])
    texts = [wrapped(name if len(index) else f"{name} (none in train)") for name, index in chosen.items()]
    margin = round(16 + _LETTER * max(len(line) for text in texts for line in text.split("\n")))
    figure = Figure(figsize=((width + margin) / _DPI, height / _DPI), dpi=_DPI, facecolor="black")
    FigureCanvasAgg(figure)
    ax = figure.add_axes((margin / (width + margin), 0, width / (width + margin), 1))
    ax.imshow(mosaic, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    for row, text in enumerate(texts):
        middle = row * mosaic.shape[0] / len(texts) + seen.dataset.size / 2
        ax.text(-6 / scale, middle, text, ha="right", va="center", color="white", fontsize=9)
    if named:
        _name_samples(ax, seen, list(chosen.values()), below)
    return figure


def write_show(data: Dataset | ViewedDataset, folder: Path, *, per_class: int = 8, seed: int = 0) -> list[Path]:
    """Write a PNG of each figure, samples.png, and a page with all of them, index.html, each whole or not at all.

    Returns their paths, the page last. StorageError if the folder cannot be written.
    """
    seen = as_viewed(data)
    description = describe(seen)
    files, pictures = {}, []
    for drawing in _drawings(description):
        files[f"{drawing.name}.png"] = day = _png(_figure(drawing, DAY))
        night = _png(_figure(drawing, NIGHT))
        width = round(drawing.size[0] * _LEAST)
        pictures.append(PageImage(drawing.title, drawing.text, _data_address(day), _data_address(night), width))
    drawn = plot_samples(seen, per_class, seed)
    files["samples.png"] = samples = _png(drawn)
    width = round(drawn.get_figwidth() * _LEAST_OF_SAMPLES)
    files["index.html"] = page(description, pictures, _data_address(samples), width).encode()
    with disk.writing_to(folder, "Choose a folder you may write to, on a disk with room."), disk.folders(folder):
        for name, content in files.items():
            disk.write_whole(folder / name, content)
    return [folder / name for name in files]


def _drawings(description: DataDescription) -> list[_Drawing]:
    """The figures of a page; those on findings only where an image may have several."""
    found = [_classes(description)]
    if description.findings is not None:
        found += _of_findings(description, description.findings)
    positions = description.positions
    rows, _ = position_grid(len(positions.rows))
    size = (0.4 + 1.75 * PANELS, 0.75 + 1.35 * rows)
    return [
        *found,
        _Drawing(
            "positions", "Along the file", positions.text(), size, lambda ax, c: plot_positions(positions, ax, c)
        ),
    ]


def _classes(description: DataDescription) -> _Drawing:
    lines = sum(wrapped(name).count("\n") + 1 for name in description.rows)
    size = (7.2, 0.24 * lines + 0.1 * len(description.rows) + 0.6)
    title = "Classes" if description.findings is None else "Findings"
    return _Drawing("classes", title, classes_text(description), size,
                    lambda ax, c: plot_classes(description, ax, night=c is NIGHT))  # fmt: skip


def _of_findings(description: DataDescription, findings: Findings) -> list[_Drawing]:
    n = len(findings.labels)
    return [
        _Drawing("presence", "Present and absent", presence_text(description), (7.2, 0.3 * n + 0.9),
                 lambda ax, c: plot_presence(description, ax, c)),
        _Drawing("per-image", "Findings in one image", findings.per_image_text(), (7.2, 2.2),
                 lambda ax, c: plot_per_image(findings, ax, c)),
        _Drawing("together", "Which occur together", findings.together_text(), (3 + 0.38 * n, 1.6 + 0.32 * n),
                 lambda ax, c: plot_together(findings, ax, c)),
    ]  # fmt: skip


@rc_context(_PLAIN_TEXT)
def _figure(drawing: _Drawing, colours: Colours) -> Figure:
    figure = Figure(figsize=drawing.size, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.set_facecolor(colours.paper)
    ax = figure.subplots()
    ax.set_facecolor(colours.paper)
    drawing.plot(ax, colours)
    return figure


def _mosaic(data: ViewedDataset, rows: Sequence[NDArray[np.int64]], columns: int, below: int) -> NDArray[np.uint8]:
    """Put images (H, W, C) side by side on black, in rows with room `below` each: (rows * (H + gap + below),
    columns * (W + gap), 3) uint8."""
    train, size = data.splits["train"], data.dataset.size
    step = size + max(1, size * _GAP // _TILE)
    out = np.zeros((len(rows) * (step + below), columns * step, 3), np.uint8)
    for row, index in enumerate(rows):
        for column, image in enumerate(train.images[train.index[index]]):
            top, left = row * (step + below), column * step
            out[top : top + size, left : left + size] = image
    return out


def _name_samples(ax: Axes, data: ViewedDataset, rows: Sequence[NDArray[np.int64]], below: int) -> None:
    size = data.dataset.size
    step = size + max(1, size * _GAP // _TILE)
    for row, index in enumerate(rows):
        for column, image in enumerate(index):
            text = _names_below(label_of(data.task, data.splits["train"].y_true[image]))
            ax.text(column * step, row * (step + below) + size * 1.03, text, va="top", color="#c9ced6",
                    fontsize=_NAME_POINTS, linespacing=1.1)  # fmt: skip


def _names_below(text: str) -> str:
    """Break names into the lines there is room for; what does not fit is an ellipsis."""
    return textwrap.fill(text, _NAME_LETTERS, max_lines=_NAME_LINES, placeholder=" …")


@rc_context(_PLAIN_TEXT)
def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No version of a library in the file: the same data gives the same bytes.
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return buffer.getvalue()


def _data_address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
