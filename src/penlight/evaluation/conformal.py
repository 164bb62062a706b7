"""Prediction sets: for each image the labels that are possible, so that the truth is among them as often as
wanted (split conformal prediction; Vovk, Gammerman and Shafer 2005, chapter 4; Papadopoulos et al. 2002).

A task asks questions with candidate labels of which exactly one is true: an exclusive task one question with C
candidates, a multi-label task C questions with two, absent and present. Every candidate gets a score that is low
where it agrees with the probabilities; a prediction set holds the candidates whose score is at most a threshold
(`cuts`), which is a quantile of the scores that the truth has on val. N images, Q questions, K candidate labels.

What is promised: an image drawn as those of val were has its truth in the set with probability `coverage` or more,
and, where scores have no ties, at most 1 / (n + 1) more. Val has also chosen the epoch, the thresholds and the
calibration, so it is not quite as new to the model as test, and images of one patient are not drawn independently:
coverage on test can fall short, and is therefore measured and reported.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from penlight.errors import PredictionsError, RecipeError
from penlight.evaluation.calibration import FEWEST
from penlight.evaluation.intervals import Groups, count_units, unit_noun
from penlight.numbers import counted
from penlight.records import Notes, Number, Record
from penlight.tasks import KnownLabels, Task

Floats = NDArray[np.float64]

COVERAGE = 0.9
"""How often the truth is wanted in the set, unless a recipe says otherwise."""


def candidate_labels(task: Task, columns: NDArray[Any]) -> NDArray[Any]:
    """Turn (N, C) indicators or probabilities of labels into those of candidate labels, (N, Q, K)."""
    return columns[:, None] if task.exclusive else np.stack([1 - columns, columns], axis=2)


def true_candidates(task: Task, y: NDArray[np.uint8], known: KnownLabels = None) -> NDArray[np.uint8]:
    """Say of each candidate label whether it is true, (N, Q, K); none is where a label is not known."""
    truth: NDArray[np.uint8] = candidate_labels(task, y)
    return truth if known is None else truth & known[:, :, None]


def adaptive_scores(prob: Floats) -> Floats:
    """Score each candidate (N, Q, K) by the probability of all that are more probable; the most probable have 0.

    The sets are the fewest most probable candidates that reach a mass (Romano, Sesia and Candes 2020), without their
    random choice about the last one: the same image always has the same set, and no set is empty. The price is that
    sets are up to one label larger, and cover more than is wanted where the first answer alone is right that often.
    The penalty on large sets of Angelopoulos et al. (2021) is against the long tail of hundreds of classes; it is
    left out, with the two settings that it needs.
    """
    scores: Floats = np.einsum("nqj,nqjk->nqk", prob, prob[..., :, None] > prob[..., None, :])
    return scores


def contiguous_scores(prob: Floats) -> Floats:
    """Score each grade (N, 1, K) by the mass of the grades nearer to the most probable one, which has 0.

    From the most probable grade the interval grows by the more probable of its two neighbours, the higher one if they
    are equal; a grade's score is the mass before it joins (Lu, Angelopoulos and Pomerantz 2022).
    """
    n, _, k = prob.shape
    rows = np.arange(n)
    # A border that is never preferred, so that a grade i stands in column i + 1.
    padded = np.full((n, k + 2), -1.0)
    padded[:, 1:-1] = prob[:, 0]
    low = high = np.argmax(prob[:, 0], axis=1) + 1
    mass = padded[rows, low]
    score = np.zeros((n, k + 2))
    for _ in range(k - 1):
        upwards = padded[rows, high + 1] >= padded[rows, low - 1]
        joins = np.where(upwards, high + 1, low - 1)
        score[rows, joins] = mass
        mass = mass + padded[rows, joins]
        low, high = np.minimum(low, joins), np.maximum(high, joins)
    return score[:, None, 1:-1]


def quantile(ordered: Floats, coverage: Floats | float, units: int | None = None) -> Floats:
    """Give the cut that a further score exceeds with probability 1 - `coverage` at most.

    It is the ceil((n + 1) coverage)-th smallest of n `ordered` scores; infinity, which excludes nothing, where n is
    too small for one, or the number of `units`, such as patients, whom the scores are of: many images of a few say
    no more of the next patient than these few do.
    """
    # What a product of decimals is too large by must not add an image.
    of, independent = np.asarray(coverage), len(ordered) if units is None else units
    place, of_units = (np.ceil((n + 1) * of - 1e-9).astype(np.int64) for n in (len(ordered), independent))
    cut: Floats = np.where(of_units > independent, np.inf, np.r_[ordered, np.inf][place - 1])
    return cut


def _inf_of_null(value: Any) -> Any:
    return math.inf if value is None or value != value else value


Cut = Annotated[Number, BeforeValidator(_inf_of_null)]
"""The largest score of a candidate that is in the set; infinite, and null in JSON, where it always is in."""

Cuts = Annotated[
    tuple[Annotated[tuple[Cut, ...], Field(min_length=1, max_length=10_000)], ...],
    Field(min_length=1, max_length=10_000),
]
Fitter = Callable[[Task, NDArray[np.uint8], Floats, float, Groups], tuple[Cuts, tuple[str, ...]]]


def _one_cut(
    task: Task, truth: NDArray[np.uint8], scores: Floats, coverage: float, groups: Groups
) -> tuple[Cuts, tuple[str, ...]]:
    """One threshold for all candidates: coverage is over all images."""
    units = count_units(len(truth), groups)
    cut = float(quantile(np.sort(scores[truth == 1]), coverage, units))
    few = f"{_counted(units, groups)} in val {'is' if units == 1 else 'are'} too few for coverage {coverage:g}"
    note = f"{few}; every {task.nouns[0]} is always possible"
    return ((cut,),), () if math.isfinite(cut) else (note,)


def _counted(units: int, groups: Groups) -> str:
    return counted(units, unit_noun(groups))


def _cuts_of_findings(
    task: Task, truth: NDArray[np.uint8], scores: Floats, coverage: float, groups: Groups
) -> tuple[Cuts, tuple[str, ...]]:
    """Two cuts for each finding: coverage is over the images that have it, and over those that do not.

    One cut for both would be met, for a finding of one image in a hundred, by "absent" for all.
    """
    cuts, notes = [], []
    for label, own, score in zip(task.labels, truth.transpose(1, 0, 2), scores.transpose(1, 0, 2), strict=True):
        absent, present = (np.sort(score[own[:, k] == 1, k]) for k in (0, 1))
        units = [count_units(len(own), groups, own[:, k] == 1) for k in (0, 1)]
        if min(units) < FEWEST:
            cuts.append((math.inf, math.inf))
            n = f"{_counted(units[1], groups)} of val with it and {units[0]} without"
            notes.append(f"{label}: {n} are too few for a set; it may always be either")
            continue
        found = _meeting(absent, present, coverage, units)
        cuts.append(found)
        for name, cut, n_units in zip(("absent", "present"), found, units, strict=True):
            if math.isinf(cut):
                few = (
                    f"{_counted(n_units, groups)} of val {'with an image ' if groups is not None else ''}in which it "
                    f"is {name} {'is' if n_units == 1 else 'are'} too few for coverage {coverage:g}"
                )
                notes.append(f"{label}: {few}; {name} is always possible")
    return tuple(cuts), tuple(notes)


def _meeting(absent: Floats, present: Floats, coverage: float, units: Sequence[int]) -> tuple[float, float]:
    """Thresholds of both candidates from the sorted scores of images in which each is true; together they leave no
    gap.

    A finding that val tells apart well has probabilities between the cuts, in neither candidate's reach. They go to
    the one on whose side they lie of the point where, with growing coverage, the two first meet: so no set is empty,
    and a larger coverage still gives larger sets. `units` count what each are of, patients or images.
    """
    cuts = float(quantile(absent, coverage, units[0])), float(quantile(present, coverage, units[1]))
    if cuts[0] >= 1 - cuts[1]:
        return cuts
    # Between these coverages neither cut changes; after the last, everything is possible.
    steps = np.unique(np.concatenate([np.arange(1, len(s) + 1) / (len(s) + 1) for s in (absent, present)]))
    up_to = np.r_[quantile(absent, steps), np.inf]
    down_to = 1 - np.r_[quantile(present, steps), np.inf]
    meeting = int(np.argmax(up_to >= down_to))
    low = max(up_to[meeting - 1], down_to[meeting])
    high = min(down_to[meeting - 1], up_to[meeting])
    middle = float(low + high) / 2
    return max(cuts[0], middle), max(cuts[1], 1 - middle)


@dataclass(frozen=True)
class SetKind:
    """One way to make sets: the `scores` of candidates from their probabilities, and how `cuts` are found on val."""

    scores: Callable[[Floats], Floats]
    cuts: Fitter


SETS: dict[str, SetKind] = {
    "adaptive": SetKind(adaptive_scores, _one_cut),
    "contiguous": SetKind(contiguous_scores, _one_cut),
    "per-finding": SetKind(lambda prob: 1 - prob, _cuts_of_findings),
}
"""By the name that a task has in `sets`."""


class Conformal(Record):
    """What turns probabilities into prediction sets, fitted on val for a wanted `coverage`, 0 < coverage < 1.

    `cuts` (Q, K), or (Q, 1) where the candidates of a question share one; infinity puts a candidate into every
    set. `notes` say where that is so and why, "label: reason" where it is of one label.
    """

    coverage: Annotated[float, Field(strict=True, gt=0, lt=1)]
    cuts: Cuts
    notes: Notes = ()

    def sets(self, task: Task, prob: Floats) -> NDArray[np.uint8]:
        """Turn (N, C) probabilities into sets (N, Q, K), 1 where a candidate is in the set; no set is empty.

        Exclusive tasks have one question, so `[:, 0]` is (N, C); of multi-label tasks `[:, c, 0]` says that finding c
        may be absent, and `[:, c, 1]` that it may be present.
        """
        scores = SETS[task.sets].scores(candidate_labels(task, prob))
        _, questions, answers = scores.shape
        if len(self.cuts) != questions or any(len(row) not in (1, answers) for row in self.cuts):
            raise PredictionsError(
                f"Sets of {len(task.labels)} labels need {questions} rows of cuts, of one or {answers}; others came.",
                "Take the decision that was made for this model.",
            )
        return (scores <= np.array([np.broadcast_to(row, answers) for row in self.cuts])).astype(np.uint8)

    def sets_with(self, task: Task, prob: Floats, decided: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give the sets (N, Q, K) with the answer (N, C) always among them.

        Cut points and thresholds may choose one that is not the most probable; of grades, those between are then in
        the set too. Coverage can only rise by it.
        """
        sets = self.sets(task, prob) | candidate_labels(task, decided)
        if task.ordered:
            sets = np.maximum.accumulate(sets, axis=2) & np.maximum.accumulate(sets[..., ::-1], axis=2)[..., ::-1]
        return np.asarray(sets, np.uint8)


def fit_conformal(
    task: Task, y_val: NDArray[np.uint8], prob_val: Floats, coverage: float = COVERAGE, *, groups: Groups = None,
    known: KnownLabels = None,
) -> Conformal:  # fmt: skip
    """Find the cuts on val: (N, C) truth and probabilities, calibrated as those will be that sets are made of.

    `groups` (N,) are patients, of whom there must be as many as of independent images; labels that are not `known`
    (N, C) say nothing. RecipeError if `coverage` is
    not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise RecipeError(f"A coverage above 0 and below 1 was expected, {coverage} came.")
    kind = SETS[task.sets]
    truth = true_candidates(task, y_val, known)
    cuts, notes = kind.cuts(task, truth, kind.scores(candidate_labels(task, prob_val)), coverage, groups)
    return Conformal(coverage, cuts, notes)
