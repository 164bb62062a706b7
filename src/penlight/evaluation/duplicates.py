"""Scores with and without the images that a model may have seen: those with a duplicate in another split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.evaluation.intervals import Groups
from penlight.evaluation.metrics import METRICS
from penlight.evaluation.rows import Score, row_from_dict
from penlight.evaluation.sample import Sample
from penlight.evaluation.scores import metric_intervals


@dataclass(frozen=True)
class DuplicateScores:
    """The headline and official scores of the images that have a duplicate in another split, `alone`, and of all
    others, `without` them; `duplicates` of `images` have one."""

    duplicates: int
    images: int
    without: Sequence[Score]
    alone: Sequence[Score]

    def to_dict(self) -> dict[str, Any]:
        """Give the scores for JSON."""
        rows = {"without": self.without, "alone": self.alone}
        counts = {"duplicates": self.duplicates, "images": self.images}
        return counts | {name: [row.to_dict() for row in own] for name, own in rows.items()}


def duplicates_from_dict(values: Mapping[str, Any]) -> DuplicateScores:
    """Read what `DuplicateScores.to_dict` gave."""
    without, alone = ([row_from_dict(row) for row in values[name]] for name in ("without", "alone"))
    return DuplicateScores(int(values["duplicates"]), int(values["images"]), without, alone)


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
