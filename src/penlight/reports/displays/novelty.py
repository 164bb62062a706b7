"""Test images that are unlike those a model was trained on."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.data.reads import Chosen, read
from penlight.evaluation.novelty import Novelty, evenly
from penlight.reports.displays.base import Display, Floats, Layout
from penlight.reports.displays.shared import draw_images
from penlight.reports.words import count, counted_images, number

MOST = 8


@dataclass(frozen=True)
class UnusualImages(Display):
    """The M images most unlike those in train: rows `index` (M,) of the split as stored, `score` (M,) in units of the
    threshold, `images` (M, H, W, C). `unusual` of `n_images` images are beyond the threshold."""

    index: NDArray[np.int64]
    score: Floats
    images: NDArray[np.uint8]
    unusual: int
    n_images: int
    modality: str

    section: ClassVar[str] = "data"
    title: ClassVar[str] = "Unlike the training images"

    @classmethod
    def from_images(
        cls, novelty: Novelty, images: NDArray[np.uint8], index: NDArray[np.int64], modality: str = ""
    ) -> "UnusualImages":
        """Score the rows `index` of test images as stored (N, H, W, C), evenly chosen ones where they are many."""
        rows = index[evenly(len(index))]
        score = novelty.score(Chosen(images, rows)) / max(novelty.threshold, 1e-9)
        first = np.argsort(-score, kind="stable")[:MOST]
        return cls(rows[first], score[first], read(images, rows[first]), int((score > 1).sum()), len(rows), modality)

    @property
    def caption(self) -> str:
        """Say how many are unusual, of how many."""
        many = f"{count(self.unusual)} of {counted_images(self.n_images, 'test', self.modality)}"
        verb = "is" if self.unusual == 1 else "are"
        return (
            f"{many} {verb} more unlike the training images than 99 in 100 that were kept aside; about "
            f"{count(round(self.n_images / 100))} would be by chance. The {len(self.index)} most unlike, from left."
        )

    @property
    def description(self) -> str:
        """Say the score of each."""
        parts = (f"image {i}: {number(s, 2)}" for i, s in zip(self.index, self.score, strict=True))
        return "Distance from the training images, in units of the threshold. " + "; ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        """One row of squares, their distances below."""
        return Layout(40 + 64 * max(1, len(self.index)), 106, left=8, right=8, top=4, bottom=30)

    def frame(self) -> pd.DataFrame:
        """One line per picture: index, score."""
        return pd.DataFrame({"index": self.index, "score": self.score})

    def draw(self, ax: Axes) -> None:
        """Draw the pictures in a row, each with its distance."""
        draw_images(ax, list(self.images))
        width, height = self.images.shape[2], self.images.shape[1]
        for place, score in enumerate(self.score):
            ax.annotate(number(score, 2), ((place + 0.5) * width - 0.5, height), (0, -6), "data", "offset points",
                        ha="center", va="top", fontsize=12, annotation_clip=False)  # fmt: skip
