"""Whether the data allow the scores to be believed: what the audit found, and val against test, train against
test."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penlight.data.problems import Problem
from penlight.escaping import quoted
from penlight.evaluation.calibration import FEWEST
from penlight.evaluation.checks.check import Finding, interval, listed, number, rule
from penlight.evaluation.checks.evidence import RUN, Evidence, SplitAnswers, value_and_draws
from penlight.evaluation.intervals import UnknownPatients
from penlight.evaluation.metrics import metric_words
from penlight.evaluation.rows import Score
from penlight.numbers import counted, percent_text

_Z_99 = 2.576
"""Checks that look for more than chance report at 99 %, so that a clean run seldom has one."""

_P_SHIFT, _SHARE_MOVED, _OUTPUTS_MOVED = 0.001, 0.05, 0.1
_MANY_RECIPES = 20
_FAR_APART = 0.1

ACROSS, CONFLICT, SHIFT, ABSENT, OTHER = "across", "conflict", "shift", "absent", "other"

_KINDS = (
    (CONFLICT, ("conflict", "different labels")),
    (ACROSS, ("across", "more than one split", "are in both")),
    (SHIFT, ("shift",)),
    # Counts of the view say it better than those of the dataset.
    (ABSENT, ("absent-label", "few-of-label", "has the label")),
)


def kind_of(problem: Problem) -> str:
    """Say what kind of problem the audit found, by its code or, without one, by its words."""
    said = (problem.code or problem.seen).lower()
    return next((kind for kind, marks in _KINDS if any(mark in said for mark in marks)), OTHER)


def _problems(e: Evidence, kind: str) -> list[Problem]:
    return [] if e.data is None else [problem for problem in e.data.problems if kind_of(problem) == kind]


def _audited(e: Evidence, kind: str) -> Finding | None:
    """Repeat what the audit said of the problems of a kind."""
    found = _problems(e, kind)
    said = " ".join(problem.seen for problem in found)
    return Finding(said, any(problem.serious for problem in found)) if found else None


@rule(
    "PL003",
    "Scores on val and test differ",
    when="The 99 % interval of the headline score on val less that on test, over the labels that both have, does not "
    f"hold zero. Serious if they are more than {_FAR_APART} apart.",
    why="What was chosen on val (the epoch, thresholds, calibration) was chosen on images that are easier or harder "
    "than those of test, or so often that it fits val alone.",
    do="Rely on test, not on val. Check how the splits were made and whether patients or sources differ; choose "
    "among fewer settings, or by cross-validation on train.",
)
def val_and_test_apart(e: Evidence) -> Finding | None:
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
    difference, half = on_val - on_test, _Z_99 * math.hypot(val_draws.std(), test_draws.std())
    if abs(difference) <= half:
        return None
    return Finding(
        f"{e.headline_short} is {number(on_val)} on val and {number(on_test)} on {e.split} (difference "
        f"{number(difference)}, 99 % interval {interval(difference - half, difference + half)}).",
        serious=abs(difference) > _FAR_APART,
    )


def _has_both(answers: SplitAnswers) -> NDArray[np.bool_]:
    """(C,) whether a label has images with and without it."""
    has, lacks = (own.sum(axis=0) > 0 for own in (answers.sample.y, answers.sample.absent))
    return np.asarray(has & lacks)


@rule(
    "PL008",
    "Images or patients are in more than one split",
    when="The audit of the dataset found the same image, or the same patient, in two splits. Serious where the audit "
    "says so.",
    why="The model has seen what it is tested on, so scores are too high; those without the images that have a "
    "duplicate elsewhere say by how much, as far as near duplicates were found.",
    do="Take them out of all splits but one (penlight data audit names them), and train again.",
)
def duplicates_across_splits(e: Evidence) -> Finding | None:
    found = _audited(e, ACROSS)
    if found is None or e.duplicates is None or not e.duplicates.duplicates:
        return found
    n, of = e.duplicates.duplicates, e.duplicates.images
    own = (
        f"{n:,} of {of:,} {e.split} image{'s' * (of > 1)} {'has' if n == 1 else 'have'} a duplicate in another split"
    )
    without, alone = _said(e.duplicates.without), _said(e.duplicates.alone)
    own += (
        f". Without {'it' if n == 1 else 'them'}, {without}; alone, {alone}."
        if without
        else ", so no score is of images that the model has not seen."
    )
    return Finding(f"{found.text} {own}", found.serious)


def _said(rows: Sequence[Score]) -> str:
    return ", ".join(
        f"{metric_words(row.name).short} is {number(row.value)} (95 % interval {interval(row.low, row.high)})"
        if np.isfinite(row.low)
        else f"{metric_words(row.name).short} is {number(row.value) if np.isfinite(row.value) else 'undefined'} "
        f"({row.note})"
        for row in rows
    )


@rule(
    "PL011",
    "Test is shifted from train",
    when="The audit found a shift between splits; or a label's share differs between train and test by at least "
    f"{_SHARE_MOVED:.0%} of the images and by more than chance (p below {_P_SHIFT}, corrected for "
    "the labels); or the model's probabilities are distributed otherwise on test than on val (Kolmogorov-Smirnov "
    f"distance at least {_OUTPUTS_MOVED}, p below {_P_SHIFT}, corrected).",
    why="Thresholds, calibration and predictive values found on val need not hold on test, nor anywhere else.",
    do="Find out what differs (device, hospital, time, selection); split again at random by patient, or say that "
    "the test is of another population.",
)
def shifted(e: Evidence) -> Finding | None:
    # Lipton, Wang and Smola 2018; Rabanser, Günnemann and Lipton 2019.
    problems = [problem for problem in _problems(e, SHIFT) if e.split in (problem.splits or (e.split,))]
    parts = [problem.seen for problem in problems]
    if not any(problem.code == "labels-shifted" for problem in problems):
        parts += _labels_moved(e)
    parts += _outputs_moved(e)
    if not parts:
        return None
    return Finding(" ".join(parts), serious=any(problem.serious for problem in problems))


def _labels_moved(e: Evidence) -> list[str]:
    """Compare shares of labels in train and test by a z test of two proportions, corrected for the labels."""
    if e.data is None or not {"train", e.split} <= e.data.counts.keys():
        return []
    sizes = [e.data.images["train"], e.data.images[e.split]]
    known = [np.array(e.data.known_of(name)) for name in ("train", e.split)]
    one, other = (
        np.divide(counts, of, out=np.zeros(len(of)), where=of > 0)
        for counts, of in zip((np.array(e.data.counts[name]) for name in ("train", e.split)), known, strict=True)
    )
    patients = e.data.patients or {name: -(-n // e.data.images_per_patient) for name, n in e.data.images.items()}
    n_units = [
        np.maximum(patients[name] * of / n, 1) for name, of, n in zip(("train", e.split), known, sizes, strict=True)
    ]
    pooled = (one * known[0] + other * known[1]) / np.maximum(known[0] + known[1], 1)
    error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / n_units[0] + 1 / n_units[1]))
    p = np.array([math.erfc(z / math.sqrt(2)) for z in np.abs(one - other) / error]) * len(one)
    moved = np.flatnonzero((p < _P_SHIFT) & (np.abs(one - other) >= _SHARE_MOVED))
    said = [f"{quoted(e.task.labels[c])} {percent_text(one[c])} and {percent_text(other[c])}" for c in moved]
    return [f"Labels have other shares in train and {e.split}: {listed(said)}."] if said else []


def _outputs_moved(e: Evidence) -> list[str]:
    """Compare the outputs on val and test, label by label, by the Kolmogorov-Smirnov distance; p is bounded by the
    first term of its series, and corrected for the labels."""
    if e.val is None:
        return []
    val, test = e.val.sample.prob, e.test.sample.prob
    n = e.val.independent * e.test.independent / (e.val.independent + e.test.independent)
    distance = np.array([ks_distance(val[:, c], test[:, c]) for c in range(val.shape[1])])
    p = 2 * np.exp(-2 * n * distance**2) * len(distance)
    moved = np.flatnonzero((p < _P_SHIFT) & (distance >= _OUTPUTS_MOVED))
    said = [
        f"{quoted(e.task.labels[c])} (distance {number(distance[c], 2)})" for c in moved[np.argsort(-distance[moved])]
    ]
    words = f"The model's probabilities are distributed otherwise on {e.split} than on val, by more than chance"
    return [f"{words}: {listed(said)}."] if said else []


def ks_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Give the largest difference of two samples' cumulative distributions, 0 to 1."""
    at = np.concatenate([one, other])
    below = [np.searchsorted(np.sort(sample), at, side="right") / len(sample) for sample in (one, other)]
    return float(np.abs(below[0] - below[1]).max())


@rule(
    "PL013",
    "The same image has different labels",
    when="The audit of the dataset found an image more than once, with different labels. Serious where the audit "
    "says so.",
    why="At least one of the labels is wrong, and others that nobody can see may be too.",
    do="Ask who read the images which label is right; take out what cannot be settled.",
)
def conflicting_labels(e: Evidence) -> Finding | None:
    return _audited(e, CONFLICT)


@rule(
    "PL015",
    "A split has no or few images of a label",
    when=f"No image of a split has a label; or fewer than {FEWEST} patients (images, where patients are not known) "
    "of train or val have it.",
    why="In train, little can be learned of it; in val, little can be chosen for it; in test, it has no score, and "
    "means over labels leave it out.",
    do="Split again, stratified by label, or leave the label out of the dataset and say so.",
)
def absent_in_a_split(e: Evidence) -> Finding | None:
    if e.data is None:
        return None
    parts = []
    for split, counts in e.data.counts.items():
        own = dict(zip(e.data.labels, counts, strict=True))
        absent = [quoted(label) for label, n in own.items() if n == 0]
        units, noun = own, "images"
        if e.data.patients_with is not None:
            units, noun = dict(zip(e.data.labels, e.data.patients_with[split], strict=True)), "patients"
        few = [f"{quoted(label)} ({n})" for label, n in units.items() if 0 < n < FEWEST and split != e.split]
        has, have = ("has", "have") if e.data.known is None else ("is known to have", "are known to have")
        parts += [f"No image of {split} {has} {listed(absent)}."] if absent else []
        parts += [f"Few {noun} of {split} {have} {listed(few)}."] if few else []
    return Finding(" ".join(parts)) if parts else None


@rule(
    "PL016",
    "Patients are not known",
    when="The dataset does not say which patient an image is of. A note, true of most public sets.",
    why="Images of one patient may stand in two splits, so scores may be too high. Intervals take images as "
    "independent and may be too narrow, unless the dataset says how many images a patient has: then all are "
    "widened by what several alike images of a patient would do.",
    do="If you know the patients, name them in the dataset, or by image hash in NAME-patients.csv; else say so "
    "wherever you give the scores.",
)
def patients_unknown(e: Evidence) -> Finding | None:
    if e.data is None or e.data.patients is not None:
        return None
    images = " / ".join(f"{split} {n:,}" for split, n in e.data.images.items())
    text = f"The dataset does not say which patient an image is of ({images} images)."
    each = e.data.images_per_patient
    if each > 1:
        text += (
            f" Its source has {each} images of each patient: intervals are made "
            f"{UnknownPatients(each).design_effect ** 0.5:.2g} times as wide as those of independent images, and "
            "folds by image hold images of patients who were trained on, so that cross-validation promises too much."
        )
    return Finding(text)


@rule(
    "PL017",
    "The audit of the data found something else",
    when="The audit of the dataset found problems that no other check covers, such as blank images or images "
    "that occur "
    "twice in one split. Serious where the audit says so.",
    why="Such images count in training and in scores.",
    do="Look at them (penlight data audit names them).",
)
def other_problems(e: Evidence) -> Finding | None:
    return _audited(e, OTHER)


@rule(
    "PL020",
    "Many recipes were evaluated on the same test images",
    when=f"On this machine at least {_MANY_RECIPES} other recipes had been read on these test images before, by "
    "the record that penlight data show lists. A note; baselines and cross-validation do not count.",
    why="The best of many scores on the same images is partly luck: choosing among them on test overestimates the "
    "chosen recipe.",
    do="Choose on val or by cross-validation (--folds), as tuning does, and say how many recipes were read; confirm "
    "what matters on images that nobody has scored.",
)
def read_often(e: Evidence) -> Finding | None:
    if e.read_before is None or e.read_before < _MANY_RECIPES:
        return None
    return Finding(
        f"The test images had been read by {counted(e.read_before, 'other recipe')} on this machine before this run."
    )
