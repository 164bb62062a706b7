"""A few test images, and over each its saliency map."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.evaluation.checks.certainty import MAPS_ALIKE
from penlight.explanation.maps import peaks
from penlight.explanation.pictures import over
from penlight.reports.displays.base import Display, Layout
from penlight.reports.displays.examples import Example, examples_of
from penlight.reports.displays.shared import draw_images
from penlight.reports.picture import as_rgb
from penlight.reports.words import image_words, number, probability
from penlight.runs.cases import ExplainedCases
from penlight.runs.predictions import Predictions

_SIDE = 112


@dataclass(frozen=True)
class SaliencyMap:
    """One picture with the map (H, W) of 0 to 1 of what speaks for the label `example.about`; `right` says that the
    label is there."""

    example: Example
    map: NDArray[np.float32]
    right: bool

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What stands below the picture in a page."""
        e, wrong = self.example, "" if self.right else ", wrong"
        return (
            ("truth", e.truth),
            ("answer", e.answer + wrong),
            ("map of", f"{e.about}, p {probability(e.probability)}"),
        )


@dataclass(frozen=True)
class SaliencyStrip(Display):
    """Maps of the surest wrong answers and of the surest right ones, in this order.

    `method` and `meaning` say how they were made and what they show; `alike` is the mean rank correlation with maps
    of random weights, NaN where it is not known.
    """

    looks: tuple[SaliencyMap, ...]
    method: str
    meaning: str
    alike: float
    modality: str = ""

    section: ClassVar[str] = "looked"
    title: ClassVar[str] = "Saliency maps"

    @classmethod
    def from_cases(
        cls,
        cases: ExplainedCases,
        predictions: Predictions,
        decided: NDArray[np.uint8],
        images: NDArray[np.uint8],
        *,
        modality: str = "",
    ) -> "SaliencyStrip":
        """Join maps with what was answered; `cases.rows` are rows of the predictions, whose index are rows of
        `images` (M, H, W, C)."""
        cells = [(int(row), int(column)) for row, column in zip(cases.rows, cases.columns, strict=True)]
        right = [bool(predictions.y_true[cell]) for cell in cells]
        found = examples_of(predictions, decided, images, cells)
        looks = tuple(SaliencyMap(e, m, r) for e, m, r in zip(found, cases.maps, right, strict=True))
        return cls(looks, cases.method, cases.meaning, cases.mean_alike, modality)

    @property
    def layout(self) -> Layout:
        """Two rows of squares: the images, and the images under their maps."""
        return Layout(16 + _SIDE * max(1, len(self.looks)), 16 + 2 * _SIDE, left=8, right=8, top=8, bottom=8)

    @property
    def caption(self) -> str:
        """Say what a map shows, and whether it depends on what was learned."""
        wrong = sum(not look.right for look in self.looks)
        shown = f"{wrong} of the surest wrong answers and {len(self.looks) - wrong} of the surest right ones"
        return f"{shown}, by {self.method}. {self.meaning}" + self._dependence()

    def _dependence(self) -> str:
        if math.isnan(self.alike):
            return ""
        value = number(self.alike, 2)
        if self.alike >= MAPS_ALIKE:
            return (
                f" With random weights the maps are much the same (mean rank correlation {value}): they show the "
                "image more than what was learned."
            )
        return (
            f" They depend on what was learned: with random weights the mean rank correlation with them is {value}."
        )

    @property
    def description(self) -> str:
        """Say of each picture what it is, what was answered, and where its map is highest."""
        listed = "; ".join(self._place(look) for look in self.looks) or "none"
        return f"Test {image_words(self.modality)}: {listed}."

    @staticmethod
    def _place(look: SaliencyMap) -> str:
        peak = peaks(look.map[None])[0]
        where = "nowhere" if peak is None else f"most at row {peak[0]}, column {peak[1]}"
        return f"{look.example.truth}, answered {look.example.answer}; for {look.example.about} speaks {where}"

    def frame(self) -> pd.DataFrame:
        """One line per picture: index, truth, answer, about, probability, right, and the peak's row and column."""
        lines = []
        for look in self.looks:
            e, peak = look.example, peaks(look.map[None])[0] or (None, None)
            lines.append((e.index, e.truth, e.answer, e.about, e.probability, look.right, *peak))
        names = ["index", "truth", "answer", "about", "probability", "right", "row", "column"]
        return pd.DataFrame(lines, columns=names)

    def draw(self, ax: Axes) -> None:
        """Draw the pictures in a row on black, and below them the same under their maps."""
        examples = [look.example for look in self.looks]
        side = max([_SIDE, *(example.image.shape[0] for example in examples)])
        above = [_large(as_rgb(example.image), side) for example in examples]
        below = [np.asarray(over(look.example.image, look.map, side)) for look in self.looks]
        draw_images(ax, above, below)


def _large(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    times = side // image.shape[0]
    return image.repeat(times, axis=0).repeat(times, axis=1)
