"""The page of an audit: what was found, the shifts, and the pairs of one picture side by side."""

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.audit.problem import Audit, Pair, Place
from penlight.data.audit.shift import Shift, p_text
from penlight.data.audit.thumbs import SIDE
from penlight.data.dataset import Dataset
from penlight.data.show_page import render
from penlight.numbers import decimal_text
from penlight.tasks import label_of

MOST_PAIRS = 60
"""Pairs shown on a page; those across splits and with other labels come first."""


@dataclass(frozen=True)
class _ShownPair:
    """Data addresses of both images, their places with labels, and what they have in common."""

    images: tuple[str, str]
    names: tuple[str, str]
    text: str


def write_page(dataset: Dataset, audit: Audit, folder: Path) -> Path:
    """Write index.html, whole or not at all, and give its path. StorageError if the folder cannot be written."""
    shown = audit.pairs[:MOST_PAIRS]
    page = render(
        "audit.html",
        info=dataset.info,
        size=dataset.size,
        audit=audit,
        shifts=[shift_cells(shift) for shift in audit.shifts],
        patients=", a patient's images in one fold" if dataset.splits["train"].patients is not None else "",
        pairs=[_shown(dataset, pair) for pair in shown],
        pairs_text=_pairs_text(audit),
    )
    with disk.writing_to(folder, "Choose a folder you may write to, on a disk with room."), disk.folders(folder):
        disk.write_whole(folder / "index.html", page.encode())
    return folder / "index.html"


def shift_cells(shift: Shift) -> tuple[str, ...]:
    """Give a shift as cells of a table: split, AUC, interval, p, p by labels, label most apart, its two shares."""
    images, labels = shift.images, shift.labels
    by_images = ("-", images.note, "-") if math.isnan(images.auc) else (
        decimal_text(images.auc), f"{decimal_text(images.low)} to {decimal_text(images.high)}", p_text(images.p)
    )  # fmt: skip
    by_labels = ("-", labels.note, "-", "-") if math.isnan(labels.p) else (
        p_text(labels.p), labels.label, decimal_text(100 * labels.train_share, 1), decimal_text(100 * labels.share, 1)
    )  # fmt: skip
    return (shift.split, *by_images, *by_labels)


def _pairs_text(audit: Audit) -> str:
    n = len(audit.pairs)
    shown = f", the first {MOST_PAIRS} of {n:,}" if n > MOST_PAIRS else ""
    return (
        f"Those across splits first, then those with different labels{shown}. The correlation is that of the pixels, "
        f"averaged down to {SIDE} to {2 * SIDE - 1} a side, without what all images share."
    )


def _shown(dataset: Dataset, pair: Pair) -> _ShownPair:
    kind = {"exact": "the same pixels", "near": "near", "mirrored": "near, mirrored"}[pair.kind]
    text = kind if pair.kind == "exact" else f"{kind}, correlation {decimal_text(pair.correlation, 4)}"
    return _ShownPair(
        (_image(dataset, pair.one), _image(dataset, pair.other)),
        (_name(dataset, pair.one), _name(dataset, pair.other)),
        text if pair.same_label else f"{text}; labels differ",
    )


def _name(dataset: Dataset, place: Place) -> str:
    split, row = place
    task = dataset.info.task
    return f"{split} {row}: {label_of(task, task.encode(dataset.splits[split].labels[row : row + 1])[0])}"


def _image(dataset: Dataset, place: Place) -> str:
    split, row = place
    return f"data:image/png;base64,{base64.b64encode(_png(np.asarray(dataset.splits[split].images[row]))).decode()}"


def _png(image: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()
