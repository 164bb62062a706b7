"""Thresholds of probabilities, and cut points on the expected grade, found on held-out answers."""

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.calibration import FOLDS, folds_by_value, how_few, too_few
from penlight.evaluation.intervals import Groups, exceeds_error, number_units, select_groups
from penlight.tasks import KnownLabels, Task
from penlight.tasks.base import among

Floats = NDArray[np.float64]

BELOW_ZERO = -1e-6
"""A threshold that a probability of 0 exceeds too."""

_ROUNDS = 3
_STEPS = 0.05 * np.arange(-8, 9)
_NEAREST_FIRST = _STEPS[np.argsort(np.abs(_STEPS), kind="stable")]


def find_thresholds(
    task: Task,
    y_val: NDArray[np.uint8],
    prob_val: Floats,
    prevalence: Floats,
    rule: str,
    wanted: float | None,
    found_on: str,
    groups: Groups,
    known: KnownLabels = None,
) -> tuple[tuple[float, ...], list[str]]:
    """Give a threshold per label by a `rule` of `find_decision`, and notes on those that the answers, named
    `found_on`, cannot tune; a label is tuned on the images of which it is `known` (N, C)."""
    cuts, notes = np.full(len(task.labels), 0.5 if wanted is None else wanted), list[str]()
    for c in task.tuned_columns if rule != "fixed" else ():
        label, rows = task.labels[c], among(known, c)
        y, prob, own = y_val[rows, c], prob_val[rows, c], groups if known is None else select_groups(groups, rows)
        if too_few(y, own):
            known_share = np.isfinite(prevalence[c])
            cuts[c] = np.quantile(prob_val[:, c], 1 - prevalence[c]) if known_share else 0.5
            few = how_few(y, found_on, own)
            notes.append(f"{label}: {few} to tune; cut at {'the prevalence in train' if known_share else 0.5}")
        elif rule in _SCORES and not _cut_helps(y, prob, rule, own):
            cuts[c] = 0.5
            notes.append(
                f"{label}: a threshold by {rule} did not raise it by more than its standard error on images of "
                f"{found_on} held out; cut at 0.5"
            )
        else:
            cuts[c] = best_cut(y, prob, rule, wanted)
    others = [c for c in range(len(task.labels)) if c not in task.tuned_columns]
    cuts[others] = 1 - cuts[task.tuned_columns[0]]
    return tuple(cuts.tolist()), notes


def _f1(y: NDArray[np.uint8], answered: NDArray[np.bool_]) -> tuple[float, Floats]:
    of = max(1, int(y.sum() + answered.sum()))
    value = float(2 * (y * answered).sum() / of)
    return value, (2.0 * (y * answered) - value * (y + answered)) / of


def _youden(y: NDArray[np.uint8], answered: NDArray[np.bool_]) -> tuple[float, Floats]:
    found, false = float(answered[y == 1].mean()), float(answered[y == 0].mean())
    influence = np.where(y == 1, (answered - found) / y.sum(), (false - answered) / (1 - y).sum())
    return found - false, influence


_SCORES = {"f1": _f1, "youden": _youden}
"""What a rule that has no wanted rate maximises, of truth and answers (N,), and what each image adds to its error."""


def _cut_helps(y: NDArray[np.uint8], prob: Floats, rule: str, groups: Groups) -> bool:
    """Say whether thresholds that are found on the other folds score higher than 0.5 does, all folds together, by
    more than a standard error of the difference."""
    fold, answered = folds_by_value(prob, number_units(len(y), groups)), prob > 0.5
    fixed, fixed_influence = _SCORES[rule](y, answered)
    for number in range(FOLDS):
        inside = fold == number
        if inside.any() and not too_few(y[~inside], select_groups(groups, ~inside)):
            answered[inside] = prob[inside] > best_cut(y[~inside], prob[~inside], rule, None)
    own, own_influence = _SCORES[rule](y, answered)
    return exceeds_error(own - fixed, own_influence - fixed_influence, groups)


def best_cut(y: NDArray[np.uint8], prob: Floats, rule: str, wanted: float | None) -> float:
    """Choose the threshold of one label by a rule of `find_decision`, on (N,) truth and probabilities.

    It is a midpoint between distinct probabilities; answers are positive above it.
    """
    values, group = np.unique(prob, return_inverse=True)
    positive = np.bincount(group, weights=y, minlength=len(values))
    total = np.bincount(group, minlength=len(values)).astype(float)
    # Cut g calls positive all groups from g on; the last cut calls none.
    true_positive = np.r_[np.cumsum(positive[::-1])[::-1], 0]
    called = np.r_[np.cumsum(total[::-1])[::-1], 0]
    # Below the lowest value, of which 0 may be one: an answer is positive above the cut.
    lowest = values[0] / 2 if values[0] > 0 else BELOW_ZERO
    cuts = np.r_[lowest, (values[1:] + values[:-1]) / 2, (values[-1] + 1) / 2]
    if rule == "f1":
        return float(cuts[np.argmax(2 * true_positive / (called + positive.sum()))])
    sensitivity = true_positive / positive.sum()
    specificity = 1 - (called - true_positive) / (total - positive).sum()
    if rule == "youden":
        return float(cuts[np.argmax(sensitivity + specificity)])
    reached = np.flatnonzero((sensitivity if rule == "sensitivity" else specificity) >= (wanted or 0))
    return float(cuts[reached[-1] if rule == "sensitivity" else reached[0]])


def find_cut_points(
    task: Task, y: NDArray[np.uint8], prob: Floats, found_on: str, groups: Groups
) -> tuple[tuple[float, ...], list[str]]:
    """Give the cut points of `best_cut_points` where those that are found on the other folds give a higher kappa than
    cuts halfway between the grades, all folds together, by more than a standard error of the difference; else these,
    and a note that says so."""
    points, notes = best_cut_points(task, y, prob, found_on)
    if points == task.cut_points:
        return points, notes
    fold = folds_by_value(prob.max(axis=1), number_units(len(y), groups))
    decided = task.decide(prob, np.array(task.cut_points))
    own = decided.copy()
    for number in range(FOLDS):
        inside = fold == number
        if inside.any() and not inside.all():
            others, _ = best_cut_points(task, y[~inside], prob[~inside], found_on)
            own[inside] = task.decide(prob[inside], np.array(others))
    grade = np.argmax(y, axis=1)
    (value, influence), (halfway, of_halfway) = (
        kappa_and_influence(grade, np.argmax(answers, axis=1)) for answers in (own, decided)
    )
    if exceeds_error(value - halfway, influence - of_halfway, groups):
        return points, notes
    note = (
        f"all: cut points of {found_on} did not raise kappa by more than its standard error on images of "
        f"{found_on} held out; cut halfway between the grades"
    )
    return task.cut_points, [note]


def best_cut_points(
    task: Task, y: NDArray[np.uint8], prob: Floats, found_on: str = "val"
) -> tuple[tuple[float, ...], list[str]]:
    """Find the (C-1,) points, rising, at which the expected grade of calibrated probabilities (N, C) is cut for the
    highest quadratic weighted kappa with the truth `y` (N, C), and notes on what kept them from being found.

    Coordinate search from the task's own points: three rounds, in which each point in turn tries the places up to 0.4
    beside it, 0.05 apart, that lie between its neighbours. A point moves only to a higher kappa, and to the nearest
    of equal ones, so the result is never worse on these answers than where it began, and always the same.
    """
    grade = np.argmax(y, axis=1)
    if len(np.unique(grade)) < 2:
        return task.cut_points, [f"all: {found_on} has no two grades to tell apart; cut halfway between the grades"]
    points = np.array(task.cut_points)
    best = _kappa(task, grade, prob, points)
    for k in [*range(len(points))] * _ROUNDS:
        for place in np.round(points[k] + _NEAREST_FIRST, 2):
            tried = np.r_[points[:k], place, points[k + 1 :]]
            if (np.diff(tried) > 0).all() and (value := _kappa(task, grade, prob, tried)) > best:
                points, best = tried, value
    return tuple(map(float, points)), []


def kappa(grade: NDArray[np.int64], answer: NDArray[np.int64]) -> float:
    """Quadratic weighted kappa of (N,) true and answered grades: 1 less the mean squared difference over that of
    independent draws, which is a sum of variances and of the squared difference of means. NaN for one grade alone."""
    apart = float(np.mean((answer - grade) ** 2.0))
    by_chance = float(answer.var() + grade.var() + (answer.mean() - grade.mean()) ** 2)
    return 1 - apart / by_chance if by_chance > 0 else float("nan")


def kappa_and_influence(grade: NDArray[np.int64], answer: NDArray[np.int64]) -> tuple[float, Floats]:
    """Give the kappa of (N,) true and answered grades and what each image adds to its error: its influence over N,
    by the derivatives of the mean squared difference and of the moments that chance is made of."""
    a, g = answer.astype(float), grade.astype(float)
    value, squared = kappa(grade, answer), (a - g) ** 2
    by_chance = a.var() + g.var() + (a.mean() - g.mean()) ** 2
    moved = a**2 - (a**2).mean() + g**2 - (g**2).mean() - 2 * ((a - a.mean()) * g.mean() + a.mean() * (g - g.mean()))
    return value, ((1 - value) * moved - (squared - squared.mean())) / by_chance / len(g)


def _kappa(task: Task, grade: NDArray[np.int64], prob: Floats, points: Floats) -> float:
    return kappa(grade, np.argmax(task.decide(prob, points), axis=1))
