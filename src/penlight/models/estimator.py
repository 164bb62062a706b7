"""A scikit-learn estimator that a user hands in: anything with `fit` and `predict_proba`, on pixels of 0 to 1."""

import contextlib
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import Readable
from penlight.errors import RecipeError, TrainingError, first_line, is_out_of_memory
from penlight.recipes import Estimator
from penlight.tasks import KnownLabels, Task

_BATCH = 4096
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class OwnEstimator:
    """An estimator that a user hands in, and what the recipe says of it."""

    estimator: Any
    section: Estimator


def own_estimator(given: Any) -> OwnEstimator:
    """Take an estimator of scikit-learn. RecipeError for one without probabilities."""
    name = _name_of(given)
    if not hasattr(given, "predict_proba"):
        raise RecipeError(
            f"{name} has no predict_proba, and it is probabilities that are scored.",
            "Wrap it, as in sklearn.calibration.CalibratedClassifierCV(estimator).",
        )
    return OwnEstimator(given, Estimator(name=name, options=_text_of(given)))


def is_estimator(given: Any) -> bool:
    """Say whether something is an estimator, as scikit-learn has them."""
    return hasattr(given, "fit") and hasattr(given, "get_params") and not isinstance(given, type)


@dataclass
class EstimatorModel:
    """An estimator that a user hands in, copied for each seed; it meets the `Baseline` protocol.

    Images (N, H, W, C) are read as (N, H * W * C) float32 of 0 to 1. Exclusive classes are told to it as class
    numbers (N,), findings as indicators (N, C); an estimator that takes one finding alone is fitted once for each.
    It is never pickled: a run keeps it as model.onnx, see `exporters.estimator`, or not at all.
    """

    estimator: Any
    seed: int
    fitted: Any = field(default=None, compare=False)
    n_labels: int = 0
    exclusive: bool = True

    @property
    def name(self) -> str:
        """What it is called: by its class, a pipeline by its last step's."""
        return _name_of(self.estimator)

    def fit(
        self, images: Readable, y: NDArray[np.uint8], task: Task, *, mirrors: bool, known: KnownLabels = None
    ) -> Self:
        """Fit a copy of the estimator; where not all labels are `known` (N, C), one for each, on the images of which
        it is. TrainingError, in a sentence, if it raises."""
        from sklearn.base import clone
        from sklearn.multioutput import MultiOutputClassifier

        del mirrors
        self.n_labels, self.exclusive = y.shape[1], task.exclusive
        pixels = _pixels(images)
        with self._named("could not be fitted"), _warned_once():
            copied = clone(self.estimator)
            seeded = {name: self.seed for name in copied.get_params() if name.rpartition("__")[2] == "random_state"}
            copied.set_params(**seeded)
            if known is not None:
                self.fitted = _PerLabel(
                    [clone(copied).fit(pixels[own], column[own]) for own, column in zip(known.T, y.T, strict=True)]
                )
                return self
            if not task.exclusive and not _takes_several(copied):
                copied = MultiOutputClassifier(copied)
            # skl2onnx knows no labels of 8 bits.
            self.fitted = copied.fit(pixels, y.argmax(axis=1) if task.exclusive else y.astype(np.int64))
        return self

    def predict(self, images: Readable) -> NDArray[np.float64]:
        """Give (N, C) probabilities; a class or finding that train lacks has 0. TrainingError for what are none."""
        parts = [self._probabilities(_pixels(images[i : i + _BATCH])) for i in range(0, len(images), _BATCH)]
        return np.concatenate([np.empty((0, self.n_labels)), *parts])

    def _probabilities(self, pixels: NDArray[np.float32]) -> NDArray[np.float64]:
        with self._named("could not predict"):
            prob, classes = self.fitted.predict_proba(pixels), self.fitted.classes_
            if self.exclusive:
                prob = _placed(prob, classes, self.n_labels)
            elif isinstance(prob, list):
                # A table for each finding, with a column for each of the values that train has: absent, present.
                tables = zip(prob, classes, strict=True)
                prob = np.stack([_placed(own, seen, 2)[:, 1] for own, seen in tables], axis=1)
            prob = np.asarray(prob, np.float64)
            if prob.shape != (len(pixels), self.n_labels) or not ((prob >= 0) & (prob <= 1)).all():
                raise ValueError(f"predict_proba gave {prob.shape} numbers that are not all probabilities")
            if self.exclusive and not np.allclose(prob.sum(axis=1), 1, atol=1e-3):
                raise ValueError("predict_proba gave probabilities of an image that do not sum to 1")
        return prob

    @contextlib.contextmanager
    def _named(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever an estimator of anybody raises
            if is_out_of_memory(error):
                raise
            raise TrainingError(
                f"{self.name} {what}: {type(error).__name__}: {first_line(error)}.",
                "It gets pixels (N, height * width * channels), float32 of 0 to 1, and class numbers or indicators.",
            ) from error


@dataclass(frozen=True)
class _PerLabel:
    """An estimator for each label, as scikit-learn's MultiOutputClassifier gives what they say."""

    estimators: Sequence[Any]

    @property
    def classes_(self) -> list[Any]:
        """The values that each has seen."""
        return [own.classes_ for own in self.estimators]

    def predict_proba(self, pixels: NDArray[np.float32]) -> list[Any]:
        """Give the table of each."""
        return [own.predict_proba(pixels) for own in self.estimators]


@contextlib.contextmanager
def _warned_once() -> Iterator[None]:
    """Warn once of what several fits warn of: an estimator of one finding is fitted for each."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    for own in {(own.category, str(own.message)): own for own in told}.values():
        warnings.warn_explicit(own.message, own.category, own.filename, own.lineno)


def _name_of(estimator: Any) -> str:
    """Name an estimator by its class; a pipeline by its last step's."""
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__


def _text_of(estimator: Any) -> str:
    """Write an estimator with the options that differ from their defaults, as scikit-learn shows it, in one line."""
    from sklearn import config_context

    with config_context(print_changed_only=True):
        return _ADDRESS.sub("", " ".join(repr(estimator).split()))[:4000]


def _takes_several(estimator: Any) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).classifier_tags.multi_label or get_tags(estimator).target_tags.multi_output)


def _pixels(images: Readable) -> NDArray[np.float32]:
    array = np.asarray(images[:])
    rows: NDArray[np.float32] = array.reshape(len(array), -1).astype(np.float32)
    return np.divide(rows, 255, out=rows)


def _placed(given: NDArray[np.floating], classes: NDArray[np.integer], n: int) -> NDArray[np.float64]:
    """Put the columns of the classes that were seen among those of all `n`."""
    placed = np.zeros((len(given), n))
    placed[:, np.asarray(classes, int)] = given
    return placed
