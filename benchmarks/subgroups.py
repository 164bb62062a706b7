"""How often groups that are alike seem to differ: by the interval of their difference, and by drawn memberships.

60 data sets of 150 images for each task, with two sexes and six bands of age that say nothing. Both rates should be
near 5 %; what is flagged, after correction over all groups, should be about one data set in twenty at most.

    python benchmarks/subgroups.py
"""

import numpy as np
from _measure import print_table

from penlight.evaluation import Sample
from penlight.evaluation.subgroups import score_subgroups
from penlight.tasks import Binary, MultiClass, MultiLabel, Task

SETS, IMAGES = 60, 150
TASKS: tuple[Task, ...] = (MultiClass(("a", "b", "c")), MultiLabel(("a", "b", "c")), Binary(("no", "yes")))


def rates(task: Task) -> tuple[float, float, float]:
    """Share of intervals without zero, of drawn p below 0.05, and of data sets with a group that is flagged."""
    rows, flagged = [], 0
    for seed in range(SETS):
        rng = np.random.default_rng(seed)
        given = rng.integers(0, len(task.labels), (IMAGES, 1)) if task.exclusive else rng.random((IMAGES, 3)) < 0.2
        y = task.encode(np.asarray(given, int))
        raw = 1 / (1 + np.exp(-(rng.normal(size=y.shape) + 1.2 * y)))
        prob = raw / raw.sum(axis=1, keepdims=True) if task.exclusive else raw
        known = {"sex": np.where(rng.random(IMAGES) < 0.2, "F", "M"), "age": rng.uniform(0, 95, IMAGES)}
        found = score_subgroups([Sample(task, y, prob, task.decide(prob))], known)
        flagged += any(row.more_than_chance for row in found)
        rows += [row for row in found if row.group != "M" and not row.note]
    outside = [row.difference_low > 0 or row.difference_high < 0 for row in rows]
    return float(np.mean(outside)), float(np.mean([row.p < 0.05 for row in rows])), flagged / SETS


def main() -> None:
    """Print a line per task."""
    lines = [[task.kind, *(f"{rate:.1%}" for rate in rates(task))] for task in TASKS]
    title = "Groups that are alike and seem to differ"
    print_table(title, ["task", "interval without zero", "p below 0.05", "data sets flagged"], lines)


if __name__ == "__main__":
    main()
