"""The page of an audit: what was found, the shifts, and the pairs of one picture side by side."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from penlight import disk
from penlight.data.audit.problem import Audit, Pair
from penlight.data.audit.shift import shift_cells
from penlight.data.audit.thumbs import SIDE
from penlight.data.dataset import Dataset
from penlight.data.problems import Place
from penlight.numbers import counted, decimal_text
from penlight.reports.page import render
from penlight.tasks import label_of

MOST_PAIRS = 60
"""Pairs shown on a page; those across splits and with other labels come first."""

_KINDS = {"exact": "the same pixels", "near": "near", "mirrored": "near, mirrored"}


@dataclass(frozen=True)
class _ShownPair:
    """Both images (H, W, C) uint8, their places with labels, and what they have in common."""

    images: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    names: tuple[str, str]
    text: str


def write_page(dataset: Dataset, audit: Audit, folder: Path) -> Path:
    """Write index.html, whole or not at all, and give its path. StorageError if the folder cannot be written."""
    pairs = [_shown(dataset, pair) for pair in audit.pairs[:MOST_PAIRS]]
    more = f", the first {MOST_PAIRS} of {len(audit.pairs):,}" if len(audit.pairs) > MOST_PAIRS else ""
    page = render(
        "audit.html",
        (),
        info=dataset.info,
        size=dataset.size,
        audit=audit,
        verdict=_verdict(audit),
        facts=[(split, counted(n, "image")) for split, n in audit.images.items()],
        shifts=[shift_cells(shift) for shift in audit.shifts],
        patients=", a patient's images in one fold" if dataset.splits["train"].patients is not None else "",
        pairs=pairs,
        pair_numbers=pd.DataFrame([(*pair.names, pair.text) for pair in pairs], columns=["left", "right", "kind"]),
        pairs_text=f"Those across splits first, then those with different labels{more}. The correlation is that of "
        f"the pixels, averaged down to {SIDE} to {2 * SIDE - 1} a side, without what all images share.",
    )
    with disk.writing_to(folder, "Choose a folder you may write to, on a disk with room."), disk.folders(folder):
        disk.write_whole(folder / "index.html", page.encode())
    return folder / "index.html"


def _verdict(audit: Audit) -> str:
    serious = sum(problem.serious for problem in audit.problems)
    images = counted(sum(audit.images.values()), "image")
    if not audit.problems:
        return f"In {images} the audit found no problem."
    said = "all of them" if serious == len(audit.problems) > 1 else f"{serious or 'none'} of them"
    return f"In {images} the audit found {counted(len(audit.problems), 'problem')}, {said} serious."


def _shown(dataset: Dataset, pair: Pair) -> _ShownPair:
    text = _KINDS[pair.kind]
    text += "" if pair.kind == "exact" else f", correlation {decimal_text(pair.correlation, 4)}"
    one, other = (np.asarray(dataset.splits[split].images[row]) for split, row in (pair.one, pair.other))
    names = (_name(dataset, pair.one), _name(dataset, pair.other))
    return _ShownPair((one, other), names, text if pair.same_label else f"{text}; labels differ")


def _name(dataset: Dataset, place: Place) -> str:
    split, row = place
    task = dataset.info.task
    return f"{split} {row}: {label_of(task, task.encode(dataset.splits[split].labels[row : row + 1])[0])}"
