"""Cut points on the expected grade: where one grade ends and the next begins, for the best weighted kappa."""

import numpy as np
from numpy.typing import NDArray

from penlight.tasks import Task

Floats = NDArray[np.float64]

_ROUNDS = 3
_STEPS = 0.05 * np.arange(-8, 9)
_NEAREST_FIRST = _STEPS[np.argsort(np.abs(_STEPS), kind="stable")]


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
