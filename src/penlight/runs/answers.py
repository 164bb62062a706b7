"""What scores and figures are made of: predictions, calibrated and decided by one decision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.decision import Decision
from penlight.evaluation.sample import Sample
from penlight.runs.predictions import Predictions
from penlight.tasks.base import join_known, select_known

T = TypeVar("T", bound=np.generic)

FOLDS_SPLIT = "folds"
"""The split of joined predictions: each image was answered by the model of the fold that was not trained on it."""


@dataclass(frozen=True)
class Answers:
    """Predictions of N images as they are read.

    `predictions` have calibrated probabilities, `decided` (N, C) are their 0/1 answers, `sets` (N, Q, K) the answers
    that are possible (None where none were fitted, see `Conformal.sets`), and `before` are the predictions as
    the model gave them; `decision` is what was applied.
    """

    predictions: Predictions
    decided: NDArray[np.uint8]
    sets: NDArray[np.uint8] | None
    before: Predictions
    decision: Decision

    @property
    def sample(self) -> Sample:
        """What metrics see."""
        p = self.predictions
        return Sample(p.task, p.y_true, p.prob, self.decided, self.sets, known=p.known)


@dataclass(frozen=True)
class Joined:
    """The answers of several models, each to its own images: `predictions` of all as the models gave them, in the
    order of their index, and the `sample` that metrics see, each part calibrated and decided by its own decision."""

    predictions: Predictions
    sample: Sample


def join_folds(parts: Sequence[Answers], data_hash: str) -> Joined:
    """Join the answers to the test images of each fold; `data_hash` is that of the dataset they were divided from."""
    first = parts[0].before
    order = np.argsort(np.concatenate([part.before.index for part in parts]), kind="stable")

    def joined(of: Callable[[Answers], NDArray[T]]) -> NDArray[T]:
        return np.concatenate([of(part) for part in parts])[order]

    predictions = replace(
        first,
        index=joined(lambda part: part.before.index),
        y_true=joined(lambda part: part.before.y_true),
        prob=joined(lambda part: part.before.prob),
        logits=joined(lambda part: part.before.logits),
        split=FOLDS_SPLIT,
        data_hash=data_hash,
        groups=None if first.groups is None else np.concatenate(_numbered_through(parts))[order],
        metadata={c: joined(lambda part, c=c: part.before.metadata[c]) for c in first.metadata},  # type: ignore[misc]
        known=select_known(join_known([(part.before.known, part.before.y_true) for part in parts]), order),
    )
    own_sets = [part.sample.sets for part in parts if part.sample.sets is not None]
    sets = np.concatenate(own_sets)[order] if len(own_sets) == len(parts) else None
    prob, decided = joined(lambda part: part.predictions.prob), joined(lambda part: part.decided)
    fold = np.repeat(np.arange(len(parts)), [len(part.before) for part in parts])[order]
    return Joined(predictions, Sample(first.task, predictions.y_true, prob, decided, sets, fold, predictions.known))


def _numbered_through(parts: Sequence[Answers]) -> list[NDArray[np.int64]]:
    """Number patients through all parts; no patient is in two of them."""
    start, out = 0, []
    for part in parts:
        groups = part.before.groups
        if groups is not None:
            out.append(groups + start)
            start += int(groups.max(initial=-1)) + 1
    return out


def answer(predictions: Predictions, decision: Decision) -> Answers:
    """Calibrate and decide predictions as the model gave them, and make their sets."""
    prob, decided = decision.answer(predictions.task, predictions.prob)
    sets = decision.sets(predictions.task, prob)
    return Answers(replace(predictions, prob=prob), decided, sets, predictions, decision)
