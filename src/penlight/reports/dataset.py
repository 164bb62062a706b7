"""The page of a dataset: its splits, how its labels occur, and samples of it."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from penlight import disk
from penlight.data.dataset import Dataset
from penlight.data.pictures import PictureHeader
from penlight.data.summary import DataDescription, as_viewed, describe, row_indicators, row_names
from penlight.data.views import ViewedDataset
from penlight.escaping import label_list
from penlight.numbers import counted, percent_text
from penlight.reports.displays import AlongTheFile, ClassDistribution, Display, PerImage, Presence, Together
from penlight.reports.figure import draw_png
from penlight.reports.page import drawn, render
from penlight.reports.palette import palette
from penlight.reports.picture import png_data
from penlight.tasks import label_of

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
# CSS pixels for each inch that the samples must have at least, for the smallest letters in them to have nine.
_LEAST_OF_SAMPLES = 100
_NAME_LENGTH = 34
_FILMS = 6
FILM_SIDE = 224
"""Pixels of the longer side of a picture that is shown as it is in its file."""

_NAMED = 4
"""So many labels that share the highest or lowest share are named."""

# Labels are a user's own: a dollar sign is not the start of a formula.
_PLAIN_TEXT: Any = {"text.parse_math": False}


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
    named_rows = (name if len(index) else f"{name} (none in train)" for name, index in chosen.items())
    texts = [textwrap.fill(name, _NAME_LENGTH) for name in named_rows]
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


@dataclass(frozen=True)
class FilmToImage:
    """A picture as it is in its file, (H, W) or (H, W, 3), the image made of it as a network receives it, and what is
    known of both, in words; `bits` as in `PictureHeader`."""

    film: NDArray[np.uint8]
    image: NDArray[np.uint8]
    row: int
    bits: int
    facts: Sequence[tuple[str, str]]


def rows_to_show(data: Dataset | ViewedDataset, seed: int = 0) -> dict[int, str]:
    """Choose training images to be shown beside their files, of each label in turn: their labels by row as stored."""
    seen = as_viewed(data)
    chosen = choose_samples(seen, _FILMS, seed)
    turns = [(name, rows[turn]) for turn in range(_FILMS) for name, rows in chosen.items() if turn < len(rows)]
    index = seen.splits["train"].index
    labels: dict[int, str] = {}
    for name, row in turns:
        if len(labels) < _FILMS:
            labels.setdefault(int(index[row]), name)
    return labels


def film_to_image(
    data: Dataset | ViewedDataset, row: int, label: str, film: NDArray[np.uint8], look: PictureHeader
) -> FilmToImage:
    """Put a picture as `pictures.load_whole` gives it beside the training image of this row."""
    dataset = as_viewed(data).dataset
    image, reading = np.asarray(dataset.splits["train"].images[row]), dataset.reading
    depth = {0: "own range", 8: "8 bits", 16: "16 bits"}[look.bits]
    facts = [
        ("label", label),
        ("row", f"{row:,}"),
        ("file", f"{look.width:,} × {look.height:,} px, {_kind(look.colour)}, {depth}"),
        ("image", f"{dataset.size} × {dataset.size} px, {_kind(dataset.info.channels == 3)}"),
    ]
    if reading is not None and look.width != look.height:
        side = min(look.width, look.height)
        used = {"crop": f"the middle {side:,} × {side:,} px", "pad": "all, with bars", "stretch": "all, stretched"}
        facts.append(("used", used[reading.fit]))
    if reading is not None and look.bits == 16:
        facts.append(("white", f"{(1 << reading.bits) - 1:,}, of {reading.bits} bits"))
    return FilmToImage(film, image, row, look.bits, facts)


def write_show(
    data: Dataset | ViewedDataset,
    folder: Path,
    *,
    per_class: int = 8,
    seed: int = 0,
    films: Sequence[FilmToImage] = (),
) -> list[Path]:
    """Write a PNG of each figure, samples.png, and a page with all of them, index.html, each whole or not at all;
    `films` are shown in it as they are and as images.

    Returns their paths, the page last. StorageError if the folder cannot be written.
    """
    seen = as_viewed(data)
    description, mosaic = describe(seen), plot_samples(seen, per_class, seed)
    figures = _figures(description)
    files = {f"{name}.png": draw_png(display) for name, display in figures.items()}
    files["samples.png"] = _png(mosaic)
    chosen = [(name, row) for name, rows in choose_samples(seen, per_class, seed).items() for row in rows.tolist()]
    colours = palette(description.task)
    files["index.html"] = render(
        "dataset.html",
        colours,
        info=description.info,
        d=description,
        verdict=classes_text(description),
        facts=_facts(description),
        figures=[drawn(display, name, colours) for name, display in figures.items()],
        samples=Markup(png_data(files["samples.png"])),
        # Letters in it are too small on fewer CSS pixels.
        samples_width=round(mosaic.get_figwidth() * _LEAST_OF_SAMPLES),
        sample_numbers=pd.DataFrame(chosen, columns=["label", "row"]),
        films=films,
        films_side=FILM_SIDE,
        film_bits={film.bits for film in films},
        reading=seen.dataset.reading,
        film_numbers=pd.DataFrame([dict(film.facts) for film in films]),
    ).encode()
    with disk.writing_to(folder, "Choose a folder you may write to, on a disk with room."), disk.folders(folder):
        for name, content in files.items():
            disk.write_whole(folder / name, content)
    return [folder / name for name in files]


def classes_text(description: DataDescription) -> str:
    """Say in one sentence which labels are the most and the least frequent."""
    shares = dict(zip(description.rows, description.shares("train"), strict=True))
    highest, lowest = max(shares.values()), min(shares.values())
    if highest == lowest:
        return f"All labels are equally frequent in train, each with {percent_text(highest)} of images."
    most, least = ([label for label, share in shares.items() if share == end] for end in (highest, lowest))
    return (
        f"Most frequent in train {_are(most)} with {percent_text(highest)} of images, least frequent {_are(least)} "
        f"with {percent_text(lowest)}."
    )


def _are(labels: Sequence[str]) -> str:
    named = label_list(labels[:_NAMED]) + (f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else "")
    return f"is {named}" if len(labels) == 1 else f"are {named}, each"


def _figures(description: DataDescription) -> dict[str, Display]:
    """The figures of the page by file name; those on findings only where an image may have several."""
    found: dict[str, Display] = {"classes": ClassDistribution.from_description(description)}
    if (findings := description.findings) is not None:
        found |= {"presence": Presence(description), "per-image": PerImage(findings), "together": Together(findings)}
    return {**found, "positions": AlongTheFile(description.positions)}


def _facts(description: DataDescription) -> list[tuple[str, str]]:
    """Give what is known of the dataset, in words, for the list at the top of the page."""
    info, size = description.info, description.size
    kind = _kind(info.channels == 3)
    return [
        ("images", f"{sum(description.images.values()):,}, {size} × {size} px, {kind}"),
        ("modality", info.modality or "not said"),
        ("view", description.view_text().removeprefix("View ")),
        ("task", f"{description.task.kind}, {counted(len(description.task.labels), 'label')}"),
        ("licence", info.licence),
        ("source", info.source),
        ("MD5", description.md5),
    ]


def _kind(colour: bool) -> str:
    return "colour" if colour else "grey"


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
            names = label_of(data.task, *data.splits["train"].truth_of(image))
            text = textwrap.fill(names, _NAME_LETTERS, max_lines=_NAME_LINES, placeholder=" …")
            ax.text(column * step, row * (step + below) + size * 1.03, text, va="top", color="#c9ced6",
                    fontsize=_NAME_POINTS, linespacing=1.1)  # fmt: skip


@rc_context(_PLAIN_TEXT)
def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No version of a library in the file: the same data gives the same bytes.
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return buffer.getvalue()
