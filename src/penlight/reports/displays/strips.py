"""Strips of images: answers a model was surest of, maps over images, images unlike train, and corrupted ones."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.data.reads import Chosen, read
from penlight.escaping import label_list
from penlight.evaluation.checks.certainty import MAPS_ALIKE
from penlight.evaluation.corruptions import Corruption
from penlight.evaluation.novelty import Novelty, evenly
from penlight.evaluation.robustness import CorruptionRow, Robustness
from penlight.explanation.maps import peaks
from penlight.explanation.pictures import over
from penlight.numbers import counted
from penlight.reports.displays.base import Display, Floats, Layout
from penlight.reports.displays.robustness import corruption_words
from penlight.reports.displays.shared import draw_images
from penlight.reports.picture import as_rgb
from penlight.reports.words import count, counted_images, image_words, number, probability
from penlight.runs.cases import ExplainedCases, surest, surest_of_each
from penlight.runs.predictions import Predictions
from penlight.tasks import label_of

Images = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Facts = tuple[tuple[str, str], ...]
"""What stands below a picture in a page: names and values."""

SHOWN_SEVERITY = 3
_MOST_EXAMPLES = 10
_MOST_UNUSUAL = 8
_SIDE = 112


@dataclass(frozen=True)
class ShownImage:
    """An image (H, W, C) of a strip in a page: words for those who do not see it, and the facts below it."""

    image: Images
    alt: str
    facts: Facts


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
    image: Images

    @property
    def facts(self) -> Facts:
        """What stands below the picture in a page."""
        about = "" if self.about == self.answer else f" {self.about}"
        return ("truth", self.truth), ("answer", self.answer), ("p", probability(self.probability) + about)


def _examples(
    predictions: Predictions, decided: Images, images: Images, cells: Sequence[tuple[int, int]]
) -> tuple[Example, ...]:
    """Make examples of cells, rows and columns of predictions; `predictions.index` are rows of `images`."""
    task = predictions.task
    return tuple(
        Example(
            int(predictions.index[row]),
            label_of(task, predictions.y_true[row], None if predictions.known is None else predictions.known[row]),
            label_of(task, decided[row]),
            label_list([task.labels[column]]),
            float(predictions.prob[row, column]),
            images[predictions.index[row]],
        )
        for row, column in cells
    )


def _row_of(n: int) -> Layout:
    """One row of n squares."""
    return Layout(40 + _SIDE * n, 150, left=8, right=8, top=8, bottom=8)


@dataclass(frozen=True)
class _Surest(Display):
    """Pictures side by side, the surest first; `wrong` of all `total` answers are."""

    examples: tuple[Example, ...]
    modality: str
    wrong: int
    total: int

    @classmethod
    def from_predictions(
        cls, predictions: Predictions, decided: Images, images: Images, *, modality: str = ""
    ) -> Self:
        """Choose at most one label of each image; `predictions.index` are rows of `images` (M, H, W, C)."""
        known = True if predictions.known is None else predictions.known
        chosen = cls._choose(predictions.y_true == 1, (decided == 1) & known, predictions.prob)
        wrong = int(((decided != predictions.y_true) & known).any(axis=1).sum())
        return cls(_examples(predictions, decided, images, chosen), modality, wrong, len(predictions))

    @staticmethod
    @abstractmethod
    def _choose(there: Flags, decided: Flags, prob: Floats) -> Sequence[tuple[int, int]]:
        """Choose rows and columns of predictions (N, C)."""

    @property
    def description(self) -> str:
        parts = (f"{e.truth}, answered {e.answer} ({e.about} {number(e.probability, 2)})" for e in self.examples)
        return f"Test {image_words(self.modality)}: " + ("; ".join(parts) or "none") + "."

    @property
    def layout(self) -> Layout:
        return _row_of(max(1, len(self.examples)))

    def shown(self) -> list[ShownImage]:
        """Give what a page shows of each picture."""
        return [
            ShownImage(e.image, f"Test image {e.index}: {e.truth}, answered {e.answer}", e.facts)
            for e in self.examples
        ]

    def frame(self) -> pd.DataFrame:
        """One line per picture: index, truth, answer, about, probability."""
        names = ["index", "truth", "answer", "about", "probability"]
        return pd.DataFrame([[getattr(e, name) for name in names] for e in self.examples], columns=names)

    def drawn_numbers(self) -> pd.DataFrame:
        """The same with probabilities of two decimals, as they stand below the pictures."""
        return self.frame().round({"probability": 2})

    def draw(self, ax: Axes) -> None:
        """Draw the pictures in a row on black."""
        draw_images(ax, [example.image for example in self.examples])


class ErrorStrip(_Surest):
    """The wrong answers that were given the highest probability."""

    title: ClassVar[str] = "Surest errors"

    @staticmethod
    def _choose(there: Flags, decided: Flags, prob: Floats) -> Sequence[tuple[int, int]]:
        return surest(decided & ~there, prob, _MOST_EXAMPLES)

    @property
    def caption(self) -> str:
        if not self.examples:
            return "No prediction is wrong." if self.wrong == 0 else "There is no false positive."
        return (
            f"{count(self.wrong)} of {count(self.total)} answers are wrong; these {len(self.examples)} were given "
            f"the highest probability, up to {probability(self.examples[0].probability)}."
        )


class MissStrip(_Surest):
    """The labels that are there, were not answered, and were given the lowest probability."""

    title: ClassVar[str] = "Surest misses"

    @staticmethod
    def _choose(there: Flags, decided: Flags, prob: Floats) -> Sequence[tuple[int, int]]:
        return surest(there & ~decided, 1 - prob, _MOST_EXAMPLES)

    @property
    def caption(self) -> str:
        if not self.examples:
            return "No label was missed."
        least = probability(self.examples[0].probability)
        return f"Labels that are there and seemed least probable, down to {least}."


class RightStrip(_Surest):
    """The right answers that were given the highest probability, as many of each label as there are."""

    title: ClassVar[str] = "Surest right answers"

    @staticmethod
    def _choose(there: Flags, decided: Flags, prob: Floats) -> Sequence[tuple[int, int]]:
        return surest_of_each(decided & there, prob, _MOST_EXAMPLES)

    @property
    def caption(self) -> str:
        if not self.examples:
            return "No prediction is correct."
        return f"The surest right answers for each of {counted(len({e.about for e in self.examples}), 'label')}."


@dataclass(frozen=True)
class SaliencyMap:
    """One picture with the map (H, W) of 0 to 1 of what speaks for the label `example.about`; `right` says that the
    label is there."""

    example: Example
    map: NDArray[np.float32]
    right: bool

    @property
    def facts(self) -> Facts:
        """What stands below the picture in a page."""
        e, wrong = self.example, "" if self.right else ", wrong"
        named = f"{e.about}, p {probability(e.probability)}"
        return ("truth", e.truth), ("answer", e.answer + wrong), ("map of", named)

    @property
    def peak(self) -> tuple[int, int] | None:
        """Row and column of the highest place; None for an empty map."""
        return peaks(self.map[None])[0]


@dataclass(frozen=True)
class SaliencyStrip(Display):
    """Maps of the surest wrong answers and of the surest right ones, in this order.

    `method` and `meaning` say how they are made and what they show; `random_correlation` is the mean rank correlation
    with maps of random weights, NaN where it is not known.
    """

    maps: tuple[SaliencyMap, ...]
    method: str
    meaning: str
    random_correlation: float
    modality: str = ""

    title: ClassVar[str] = "Saliency maps"

    @classmethod
    def from_cases(
        cls, cases: ExplainedCases, predictions: Predictions, decided: Images, images: Images, *, modality: str = ""
    ) -> "SaliencyStrip":
        """Join maps with what was answered; `cases.rows` are rows of the predictions, whose index are rows of
        `images` (M, H, W, C)."""
        cells = [(int(row), int(column)) for row, column in zip(cases.rows, cases.columns, strict=True)]
        right = [bool(predictions.y_true[cell]) for cell in cells]
        found = _examples(predictions, decided, images, cells)
        maps = tuple(SaliencyMap(e, m, r) for e, m, r in zip(found, cases.maps, right, strict=True))
        return cls(maps, cases.method, cases.meaning, cases.mean_alike, modality)

    @property
    def layout(self) -> Layout:
        return Layout(16 + _SIDE * max(1, len(self.maps)), 16 + 2 * _SIDE, left=8, right=8, top=8, bottom=8)

    @property
    def caption(self) -> str:
        wrong = sum(not look.right for look in self.maps)
        shown = f"{wrong} of the surest wrong answers and {len(self.maps) - wrong} of the surest right ones"
        said, value = f"{shown}, by {self.method}. {self.meaning}", number(self.random_correlation, 2)
        if math.isnan(self.random_correlation):
            return said
        if self.random_correlation < MAPS_ALIKE:
            learned = f"with random weights the mean rank correlation with them is {value}"
            return f"{said} They depend on what was learned: {learned}."
        same = f"With random weights the maps are much the same (mean rank correlation {value})"
        return f"{said} {same}: they show the image more than what was learned."

    @property
    def description(self) -> str:
        listed = "; ".join(self._place(look) for look in self.maps) or "none"
        return f"Test {image_words(self.modality)}: {listed}."

    @staticmethod
    def _place(look: SaliencyMap) -> str:
        where = "nowhere" if look.peak is None else f"most at row {look.peak[0]}, column {look.peak[1]}"
        return f"{look.example.truth}, answered {look.example.answer}; for {look.example.about} speaks {where}"

    def frame(self) -> pd.DataFrame:
        """One line per picture: index, truth, answer, about, probability, right, and the peak's row and column."""
        lines = [
            (e.index, e.truth, e.answer, e.about, e.probability, look.right, *(look.peak or (None, None)))
            for look in self.maps
            for e in [look.example]
        ]
        names = ["index", "truth", "answer", "about", "probability", "right", "row", "column"]
        return pd.DataFrame(lines, columns=names)

    def drawn_numbers(self) -> pd.DataFrame:
        """The same with probabilities of two decimals, as they stand below the pictures."""
        return self.frame().round({"probability": 2})

    def draw(self, ax: Axes) -> None:
        """Draw the pictures in a row on black, and below them the same under their maps."""
        examples = [look.example for look in self.maps]
        side = max([_SIDE, *(example.image.shape[0] for example in examples)])
        above = []
        for example in examples:
            times = side // example.image.shape[0]
            above.append(as_rgb(example.image).repeat(times, axis=0).repeat(times, axis=1))
        draw_images(ax, above, [np.asarray(over(look.example.image, look.map, side)) for look in self.maps])


@dataclass(frozen=True)
class UnusualImages(Display):
    """The M images most unlike those in train: rows `index` (M,) of the split as stored, `score` (M,) in units of the
    threshold, `images` (M, H, W, C). `unusual` of `n_images` images are beyond the threshold."""

    index: NDArray[np.int64]
    score: Floats
    images: Images
    unusual: int
    n_images: int
    modality: str

    title: ClassVar[str] = "Out-of-distribution test images"

    @classmethod
    def from_images(
        cls, novelty: Novelty, images: Images, index: NDArray[np.int64], modality: str = ""
    ) -> "UnusualImages":
        """Score the rows `index` of test images as stored (N, H, W, C), evenly chosen ones where they are many."""
        rows = index[evenly(len(index))]
        score = novelty.score(Chosen(images, rows)) / max(novelty.threshold, 1e-9)
        first = np.argsort(-score, kind="stable")[:_MOST_UNUSUAL]
        return cls(rows[first], score[first], read(images, rows[first]), int((score > 1).sum()), len(rows), modality)

    @property
    def caption(self) -> str:
        many = f"{count(self.unusual)} of {counted_images(self.n_images, 'test', self.modality)}"
        verb = "is" if self.unusual == 1 else "are"
        return (
            f"{many} {verb} more unlike the training images than 99 in 100 that were kept aside; about "
            f"{count(round(self.n_images / 100))} would be by chance. The {len(self.index)} most unlike, from left."
        )

    @property
    def description(self) -> str:
        parts = (f"image {i}: {number(s, 2)}" for i, s in zip(self.index, self.score, strict=True))
        return "Distance from the training images, in units of the threshold. " + "; ".join(parts) + "."

    @property
    def layout(self) -> Layout:
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


@dataclass(frozen=True)
class CorruptedPicture:
    """One image under one corruption, and the balanced error on all images there; `name` "clean" for none."""

    name: str
    error: float
    image: Images

    @property
    def words(self) -> str:
        """The name as a reader says it."""
        return corruption_words(self.name)


@dataclass(frozen=True)
class CorruptionStrip(Display):
    """One image of test as it is, and under each corruption at severity 3."""

    pictures: tuple[CorruptedPicture, ...]
    index: int

    title: ClassVar[str] = "One image under each corruption"

    @classmethod
    def from_images(cls, robustness: Robustness, images: Images, index: NDArray[np.int64]) -> "CorruptionStrip":
        """Corrupt the first of the rows `index` of `images` (M, H, W, C) as the record of strengths says."""
        chosen = int(index[0])
        image = np.asarray(images[chosen : chosen + 1])

        def corrupted(row: CorruptionRow) -> CorruptedPicture:
            one, two, three, four, five = row.strengths
            spoilt = Corruption(row.name, (one, two, three, four, five)).apply(image, SHOWN_SEVERITY)[0]
            return CorruptedPicture(row.name, row.severities[SHOWN_SEVERITY - 1], spoilt)

        clean = CorruptedPicture("clean", robustness.model.clean.value, image[0])
        return cls((clean, *map(corrupted, robustness.model.worst_first())), chosen)

    @property
    def caption(self) -> str:
        return (
            f"Test image {self.index} at severity {SHOWN_SEVERITY}, the largest rise of the error first; below each "
            "the balanced error at that severity."
        )

    @property
    def description(self) -> str:
        parts = (f"{p.words} {number(p.error, 2)}" for p in self.pictures)
        return f"{counted(len(self.pictures), 'picture')}: " + ", ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        return _row_of(len(self.pictures))

    def shown(self) -> list[ShownImage]:
        """Give what a page shows of each picture."""
        return [
            ShownImage(p.image, f"Test image {self.index}, {p.words}", ((p.words, probability(p.error)),))
            for p in self.pictures
        ]

    def frame(self) -> pd.DataFrame:
        """One line per picture: name, error."""
        return pd.DataFrame([(p.name, p.error) for p in self.pictures], columns=["name", "error"])

    def draw(self, ax: Axes) -> None:
        """Draw the pictures in a row on black."""
        draw_images(ax, [picture.image for picture in self.pictures])
