"""Scores with and without the images that a model may have seen: those with a duplicate in another split."""

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.intervals import Groups
from penlight.evaluation.metrics import METRICS
from penlight.evaluation.rows import Rows, Score
from penlight.evaluation.sample import Sample
from penlight.evaluation.scores import metric_intervals
from penlight.records import Count, Record


class DuplicateScores(Record):
    """The headline and official scores of the images that have a duplicate in another split, `alone`, and of all
    others, `without` them; `duplicates` of `images` have one."""

    duplicates: Count
    images: Count
    without: Rows
    alone: Rows


def score_duplicates(sample: Sample, has_duplicate: NDArray[np.bool_], groups: Groups = None) -> DuplicateScores:
    """Score both kinds of images apart; `has_duplicate` (N,) says which of the sample's images are of which, and
    `groups` (N,) are patients."""
    return DuplicateScores(
        int(has_duplicate.sum()),
        len(has_duplicate),
        _rows(sample, ~has_duplicate, groups),
        _rows(sample, has_duplicate, groups),
    )


def _rows(sample: Sample, chosen: NDArray[np.bool_], groups: Groups) -> list[Score]:
    if not chosen.any():
        return []
    task, part, n = sample.task, sample.part(chosen), int(chosen.sum())
    units = groups[chosen] if isinstance(groups, np.ndarray) else groups
    keys = dict.fromkeys([task.headline, *(key for key in task.metrics if METRICS[key].official)])
    rows = []
    for key in keys:
        value = float(METRICS[key].compute(part, np.ones((1, n)))[0])
        low, high, (note,) = metric_intervals(part, key, groups=units)
        note = note or (METRICS[key].undefined if np.isnan(value) else "")
        rows.append(Score(METRICS[key].name, None, value, float(low[0]), float(high[0]), n, note))
    return rows
