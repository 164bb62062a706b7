"""Pictures that a model was surest of, rightly or wrongly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.escaping import label_list
from penlight.numbers import counted
from penlight.reports.displays.base import Display, Layout
from penlight.reports.displays.shared import draw_images
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


@dataclass(frozen=True)
class _Strip(Display):
    """Pictures side by side, the surest first."""

    examples: tuple[Example, ...]
    modality: str

    section: ClassVar[str] = "errors"

    @property
    def layout(self) -> Layout:
        """One row of squares."""
        return Layout(40 + 112 * max(1, len(self.examples)), 150, left=8, right=8, top=8, bottom=8)

    def frame(self) -> pd.DataFrame:
        """One line per picture: index, truth, answer, about, probability."""
        lines = [(e.index, e.truth, e.answer, e.about, e.probability) for e in self.examples]
        return pd.DataFrame(lines, columns=["index", "truth", "answer", "about", "probability"])

    def draw(self, ax: Axes) -> None:
        """Draw the pictures in a row on black."""
        draw_images(ax, [example.image for example in self.examples])

    def _listed(self) -> str:
        parts = (f"{e.truth}, answered {e.answer} ({e.about} {number(e.probability, 2)})" for e in self.examples)
        return f"Test {image_words(self.modality)}: " + ("; ".join(parts) or "none") + "."


@dataclass(frozen=True)
class ErrorStrip(_Strip):
    """The wrong answers that were given the highest probability."""

    wrong: int = 0
    total: int = 0

    title: ClassVar[str] = "Surest errors"

    @classmethod
    def from_predictions(
        cls,
        predictions: Predictions,
        decided: NDArray[np.uint8],
        images: NDArray[np.uint8],
        *,
        modality: str = "",
        most: int = MOST,
    ) -> "ErrorStrip":
        """Choose among answers given and not true; at most one per image. `predictions.index` are rows of
        `images` (M, H, W, C)."""
        false = (decided == 1) & (predictions.y_true == 0)
        wrong = int((decided != predictions.y_true).any(axis=1).sum())
        chosen = surest(false, predictions.prob, most)
        return cls(examples_of(predictions, decided, images, chosen), modality, wrong, len(predictions))

    @property
    def caption(self) -> str:
        """Say how many errors there are and what is shown."""
        if not self.examples:
            return "No answer is wrong." if self.wrong == 0 else "No label was answered that is not there."
        return (
            f"{count(self.wrong)} of {count(self.total)} answers are wrong; these {len(self.examples)} were given "
            f"the highest probability, up to {probability(self.examples[0].probability)}."
        )

    @property
    def description(self) -> str:
        """Say truth, answer and probability of each."""
        return self._listed()


@dataclass(frozen=True)
class MissStrip(_Strip):
    """The labels that are there, were not answered, and were given the lowest probability."""

    title: ClassVar[str] = "Surest misses"

    @classmethod
    def from_predictions(
        cls,
        predictions: Predictions,
        decided: NDArray[np.uint8],
        images: NDArray[np.uint8],
        *,
        modality: str = "",
        most: int = MOST,
    ) -> "MissStrip":
        """Choose among true labels that were not answered; at most one per image."""
        missed = (decided == 0) & (predictions.y_true == 1)
        chosen = surest(missed, 1 - predictions.prob, most)
        return cls(examples_of(predictions, decided, images, chosen), modality)

    @property
    def caption(self) -> str:
        """Say how improbable the truth seemed."""
        if not self.examples:
            return "Nothing that is there was missed."
        least = probability(self.examples[0].probability)
        return f"Labels that are there and seemed least probable, down to {least}."

    @property
    def description(self) -> str:
        """Say truth, answer and probability of each."""
        return self._listed()


@dataclass(frozen=True)
class RightStrip(_Strip):
    """The right answers that were given the highest probability, from every label in turn."""

    title: ClassVar[str] = "Surest right answers"

    @classmethod
    def from_predictions(
        cls,
        predictions: Predictions,
        decided: NDArray[np.uint8],
        images: NDArray[np.uint8],
        *,
        modality: str = "",
        most: int = MOST,
    ) -> "RightStrip":
        """Choose among answers given and true, an equal number per label as far as there are any."""
        right = (decided == 1) & (predictions.y_true == 1)
        chosen = surest_of_each(right, predictions.prob, most)
        return cls(examples_of(predictions, decided, images, chosen), modality)

    @property
    def caption(self) -> str:
        """Say from how many labels they come."""
        if not self.examples:
            return "No answer is right."
        return f"The surest right answers for each of {counted(len({e.about for e in self.examples}), 'label')}."

    @property
    def description(self) -> str:
        """Say truth, answer and probability of each."""
        return self._listed()


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
