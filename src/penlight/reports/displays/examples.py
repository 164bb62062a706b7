"""Pictures that a model was surest of, rightly or wrongly."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.escaping import label_list
from penlight.numbers import counted
from penlight.reports.displays.base import Display, Layout
from penlight.reports.displays.shared import ShownImage, draw_images
from penlight.reports.words import count, image_words, number, probability
from penlight.runs.cases import surest, surest_of_each
from penlight.runs.predictions import Predictions
from penlight.tasks import label_of

MOST = 10


@dataclass(frozen=True)
class Example:
    """One picture: its row in the split as stored, what it is, what was answered, and how probable `about` seemed.

    `about` is the label the probability is of, written as in `truth` and `answer`.
    """

    index: int
    truth: str
    answer: str
    about: str
    probability: float
    image: NDArray[np.uint8]

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What stands below the picture in a page."""
        about = "" if self.about == self.answer else f" {self.about}"
        return ("truth", self.truth), ("answer", self.answer), ("p", probability(self.probability) + about)


@dataclass(frozen=True)
class _Strip(Display):
    """Pictures side by side, the surest first; `wrong` of all `total` answers are."""

    examples: tuple[Example, ...]
    modality: str
    wrong: int
    total: int

    section: ClassVar[str] = "errors"

    @classmethod
    def from_predictions(
        cls,
        predictions: Predictions,
        decided: NDArray[np.uint8],
        images: NDArray[np.uint8],
        *,
        modality: str = "",
        most: int = MOST,
    ) -> Self:
        """Choose at most one label of each image; `predictions.index` are rows of `images` (M, H, W, C)."""
        chosen = cls._choose(predictions, decided == 1, most)
        wrong = int((decided != predictions.y_true).any(axis=1).sum())
        return cls(examples_of(predictions, decided, images, chosen), modality, wrong, len(predictions))

    @classmethod
    @abstractmethod
    def _choose(cls, predictions: Predictions, decided: NDArray[np.bool_], most: int) -> Sequence[tuple[int, int]]:
        """Choose rows and columns of predictions."""

    @property
    def description(self) -> str:
        """Say truth, answer and probability of each."""
        parts = (f"{e.truth}, answered {e.answer} ({e.about} {number(e.probability, 2)})" for e in self.examples)
        return f"Test {image_words(self.modality)}: " + ("; ".join(parts) or "none") + "."

    @property
    def layout(self) -> Layout:
        """One row of squares."""
        return Layout(40 + 112 * max(1, len(self.examples)), 150, left=8, right=8, top=8, bottom=8)

    def shown(self) -> list[ShownImage]:
        """Give what a page shows of each picture."""
        return [
            ShownImage(e.image, f"Test image {e.index}: {e.truth}, answered {e.answer}", e.facts)
            for e in self.examples
        ]

    def frame(self) -> pd.DataFrame:
        """One line per picture: index, truth, answer, about, probability."""
        lines = [(e.index, e.truth, e.answer, e.about, e.probability) for e in self.examples]
        return pd.DataFrame(lines, columns=["index", "truth", "answer", "about", "probability"])

    def draw(self, ax: Axes) -> None:
        """Draw the pictures in a row on black."""
        draw_images(ax, [example.image for example in self.examples])


class ErrorStrip(_Strip):
    """The wrong answers that were given the highest probability."""

    title: ClassVar[str] = "Surest errors"

    @classmethod
    def _choose(cls, predictions: Predictions, decided: NDArray[np.bool_], most: int) -> Sequence[tuple[int, int]]:
        return surest(decided & (predictions.y_true == 0), predictions.prob, most)

    @property
    def caption(self) -> str:
        """Say how many errors there are and what is shown."""
        if not self.examples:
            return "No answer is wrong." if self.wrong == 0 else "No label was answered that is not there."
        return (
            f"{count(self.wrong)} of {count(self.total)} answers are wrong; these {len(self.examples)} were given "
            f"the highest probability, up to {probability(self.examples[0].probability)}."
        )


class MissStrip(_Strip):
    """The labels that are there, were not answered, and were given the lowest probability."""

    title: ClassVar[str] = "Surest misses"

    @classmethod
    def _choose(cls, predictions: Predictions, decided: NDArray[np.bool_], most: int) -> Sequence[tuple[int, int]]:
        return surest(~decided & (predictions.y_true == 1), 1 - predictions.prob, most)

    @property
    def caption(self) -> str:
        """Say how improbable the truth seemed."""
        if not self.examples:
            return "Nothing that is there was missed."
        least = probability(self.examples[0].probability)
        return f"Labels that are there and seemed least probable, down to {least}."


class RightStrip(_Strip):
    """The right answers that were given the highest probability, as many of each label as there are."""

    title: ClassVar[str] = "Surest right answers"

    @classmethod
    def _choose(cls, predictions: Predictions, decided: NDArray[np.bool_], most: int) -> Sequence[tuple[int, int]]:
        return surest_of_each(decided & (predictions.y_true == 1), predictions.prob, most)

    @property
    def caption(self) -> str:
        """Say from how many labels they come."""
        if not self.examples:
            return "No answer is right."
        return f"The surest right answers for each of {counted(len({e.about for e in self.examples}), 'label')}."


def examples_of(
    predictions: Predictions,
    decided: NDArray[np.uint8],
    images: NDArray[np.uint8],
    cells: Sequence[tuple[int, int]],
) -> tuple[Example, ...]:
    """Make examples of cells, rows and columns of predictions; `predictions.index` are rows of `images`."""
    task = predictions.task
    return tuple(
        Example(
            int(predictions.index[row]),
            label_of(task, predictions.y_true[row]),
            label_of(task, decided[row]),
            label_list([task.labels[column]]),
            float(predictions.prob[row, column]),
            images[predictions.index[row]],
        )
        for row, column in cells
    )
