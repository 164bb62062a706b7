"""Whether the splits say the same: val against test, train against test."""

import math

import numpy as np
from numpy.typing import NDArray

from penlight.escaping import quoted
from penlight.evaluation.checks.audited import shift_problems
from penlight.evaluation.checks.check import Finding
from penlight.evaluation.checks.evidence import RUN, Evidence, SplitAnswers, value_and_draws
from penlight.evaluation.checks.words import interval, listed, number
from penlight.numbers import counted, percent_text

Z_99 = 2.576
"""Checks that look for more than chance speak at 99 %, so that a clean run seldom hears one."""

P_SHIFT = 0.001
SHARE_MOVED = 0.05
OUTPUTS_MOVED = 0.1

MANY_RECIPES = 20
FAR_APART = 0.1


def val_and_test_apart(e: Evidence) -> Finding | None:
    """Speak where the 99 % interval of val's headline score less test's does not hold zero, over the labels that
    both have."""
    if e.val is None:
        return None
    columns = np.flatnonzero(_has_both(e.val) & _has_both(e.test))
    if not len(columns):
        return None
    on_val, val_draws = value_and_draws(e.val, e.headline, columns, seed=1)
    if len(columns) == len(e.task.labels):
        on_test, test_draws = e.headline_draws[RUN].mean, e.headline_draws[RUN].resampled
        test_draws = test_draws[np.isfinite(test_draws)]
    else:
        on_test, test_draws = value_and_draws(e.test, e.headline, columns, seed=0)
    if not (math.isfinite(on_val) and math.isfinite(on_test) and len(val_draws) and len(test_draws)):
        return None
    difference, half = on_val - on_test, Z_99 * math.hypot(val_draws.std(), test_draws.std())
    if abs(difference) <= half:
        return None
    return Finding(
        f"{e.headline_short} is {number(on_val)} on val and {number(on_test)} on {e.split} (difference "
        f"{number(difference)}, 99 % interval {interval(difference - half, difference + half)}).",
        serious=abs(difference) > FAR_APART,
    )


def _has_both(answers: SplitAnswers) -> NDArray[np.bool_]:
    """(C,) whether a label has images with and without it."""
    share = answers.sample.y.mean(axis=0)
    return np.asarray((share > 0) & (share < 1))


def shifted(e: Evidence) -> Finding | None:
    """Speak where the audit saw a shift, where the shares of labels moved from train to test, or where the model's
    outputs on test are distributed otherwise than on val (Lipton, Wang and Smola 2018; Rabanser, Günnemann and
    Lipton 2019)."""
    problems = shift_problems(e)
    parts = [*(problem.seen for problem in problems), *_labels_moved(e), *_outputs_moved(e)]
    if not parts:
        return None
    return Finding(" ".join(parts), serious=any(problem.serious for problem in problems))


def _labels_moved(e: Evidence) -> list[str]:
    """Compare shares of labels in train and test by a z test of two proportions, corrected for the labels."""
    if e.data is None or e.split not in e.data.counts:
        return []
    if any(problem.code == "labels-shifted" for problem in shift_problems(e)):
        return []
    sizes = [e.data.images["train"], e.data.images[e.split]]
    one, other = (np.array(e.data.counts[name]) / n for name, n in zip(("train", e.split), sizes, strict=True))
    patients = e.data.patients or {name: -(-n // e.data.images_per_patient) for name, n in e.data.images.items()}
    n_units = [patients[name] for name in ("train", e.split)]
    pooled = (one * sizes[0] + other * sizes[1]) / sum(sizes)
    error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / n_units[0] + 1 / n_units[1]))
    p = np.array([math.erfc(z / math.sqrt(2)) for z in np.abs(one - other) / error]) * len(one)
    moved = np.flatnonzero((p < P_SHIFT) & (np.abs(one - other) >= SHARE_MOVED))
    if not len(moved):
        return []
    said = [f"{quoted(e.task.labels[c])} {percent_text(one[c])} and {percent_text(other[c])}" for c in moved]
    return [f"Labels have other shares in train and {e.split}: {listed(said)}."]


def _outputs_moved(e: Evidence) -> list[str]:
    """Compare the outputs on val and test, label by label, by the Kolmogorov-Smirnov distance; p is bounded by the
    first term of its series, and corrected for the labels."""
    if e.val is None:
        return []
    val, test = e.val.sample.prob, e.test.sample.prob
    n = e.val.independent * e.test.independent / (e.val.independent + e.test.independent)
    distance = np.array([ks_distance(val[:, c], test[:, c]) for c in range(val.shape[1])])
    p = 2 * np.exp(-2 * n * distance**2) * len(distance)
    moved = np.flatnonzero((p < P_SHIFT) & (distance >= OUTPUTS_MOVED))
    if not len(moved):
        return []
    said = [
        f"{quoted(e.task.labels[c])} (distance {number(distance[c], 2)})" for c in moved[np.argsort(-distance[moved])]
    ]
    return [
        f"The model's probabilities are distributed otherwise on {e.split} than on val, "
        f"by more than chance: {listed(said)}."
    ]


def ks_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Give the largest difference of two samples' cumulative distributions, 0 to 1."""
    at = np.concatenate([one, other])
    below = [np.searchsorted(np.sort(sample), at, side="right") / len(sample) for sample in (one, other)]
    return float(np.abs(below[0] - below[1]).max())


def read_often(e: Evidence) -> Finding | None:
    """Speak where `MANY_RECIPES` or more other recipes had been read on the same test images."""
    if e.read_before is None or e.read_before < MANY_RECIPES:
        return None
    return Finding(
        f"The test images had been read by {counted(e.read_before, 'other recipe')} on this machine before this run."
    )
