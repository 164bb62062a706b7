"""What the audit of the dataset found, as far as scores depend on it."""

from collections.abc import Sequence

import numpy as np

from penlight.data.problems import Problem
from penlight.data.record import DataRecord
from penlight.escaping import quoted
from penlight.evaluation.calibration import FEWEST
from penlight.evaluation.checks.check import Finding
from penlight.evaluation.checks.evidence import Evidence
from penlight.evaluation.checks.words import interval, listed, number
from penlight.evaluation.duplicates import DuplicateScores
from penlight.evaluation.intervals import UnknownPatients
from penlight.evaluation.metrics import metric_words
from penlight.evaluation.rows import Score

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


def duplicates_across_splits(e: Evidence) -> Finding | None:
    """Report images or patients in more than one split, and the scores with and without such images."""
    found = _told(e, ACROSS)
    if found is None or e.duplicates is None or not e.duplicates.duplicates:
        return found
    return Finding(f"{found.text} {_apart(e.duplicates, e.split)}", found.serious)


def _apart(scores: DuplicateScores, split: str) -> str:
    n, of = scores.duplicates, scores.images
    have = f"{n:,} of {of:,} {split} image{'s' * (of > 1)} {'has' if n == 1 else 'have'} a duplicate in another split"
    if not scores.without:
        return f"{have}, so no score is of images that the model has not seen."
    return f"{have}. Without {'it' if n == 1 else 'them'}, {_said(scores.without)}; alone, {_said(scores.alone)}."


def _said(rows: Sequence[Score]) -> str:
    return ", ".join(
        f"{metric_words(row.name).short} is {number(row.value)} (95 % interval {interval(row.low, row.high)})"
        if np.isfinite(row.low)
        else f"{metric_words(row.name).short} is {number(row.value)} ({row.note})"
        if np.isfinite(row.value)
        else f"{metric_words(row.name).short} is undefined ({row.note})"
        for row in rows
    )


def conflicting_labels(e: Evidence) -> Finding | None:
    """Speak where one image stands with different labels."""
    return _told(e, CONFLICT)


def other_problems(e: Evidence) -> Finding | None:
    """Speak where the audit found anything that no other check speaks of."""
    return _told(e, OTHER)


def shift_problems(e: Evidence) -> list[Problem]:
    """Give the shifts of the scored split that the audit found."""
    return [problem for problem in _problems(e, SHIFT) if e.split in (problem.splits or (e.split,))]


def _problems(e: Evidence, kind: str) -> list[Problem]:
    return [] if e.data is None else [problem for problem in e.data.problems if kind_of(problem) == kind]


def _told(e: Evidence, kind: str) -> Finding | None:
    found = _problems(e, kind)
    if not found:
        return None
    return Finding(" ".join(problem.seen for problem in found), any(problem.serious for problem in found))


def absent_in_a_split(e: Evidence) -> Finding | None:
    """Speak where no image of a split has a label; where fewer than `FEWEST` have it, unless scores are of them."""
    if e.data is None:
        return None
    parts = []
    for split, counts in e.data.counts.items():
        own = dict(zip(e.data.labels, counts, strict=True))
        absent = [label for label, n in own.items() if n == 0]
        few = [f"{quoted(label)} ({n})" for label, n in own.items() if 0 < n < FEWEST and split != e.split]
        parts += [f"No image of {split} has {listed(list(map(quoted, absent)))}."] if absent else []
        parts += [f"Few images of {split} have {listed(few)}."] if few else []
    return Finding(" ".join(parts)) if parts else None


def patients_unknown(e: Evidence) -> Finding | None:
    """Speak where the dataset does not say whose the images are."""
    if e.data is None or e.data.patients is not None:
        return None
    images = " / ".join(f"{split} {n:,}" for split, n in e.data.images.items())
    return Finding(f"The dataset does not say which patient an image is of ({images} images).{_several(e.data)}")


def _several(data: DataRecord) -> str:
    """Say what several images of a patient do, where it is known that there are."""
    each = data.images_per_patient
    if each == 1:
        return ""
    wider = UnknownPatients(each).design_effect ** 0.5
    return (
        f" Its source has {each} images of each patient: intervals are made {wider:.2g} times as wide as those of "
        f"independent images, and folds by image hold images of patients who were trained on, so that "
        f"cross-validation promises too much."
    )
