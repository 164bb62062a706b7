"""Whether training had ended, and whether seeds agree."""

from collections.abc import Sequence

import numpy as np

from penlight.evaluation.checks.check import Finding
from penlight.evaluation.checks.evidence import Evidence
from penlight.evaluation.checks.words import interval, number
from penlight.evaluation.metrics import metric_words
from penlight.evaluation.rows import Score

GAIN = 0.002
"""A later epoch that gains less than this on val is not called better."""

APART = 0.05
"""Seeds whose scores lie within this agree, however many test images there are."""

_FALLEN = 0.1


def still_improving(e: Evidence) -> Finding | None:
    """Speak where the last epoch is the best on val by more than `GAIN`, and the learning rate had not fallen below
    a tenth of its peak, which ends a training too."""
    curves = e.curves
    if curves is None or len(curves.val_headline) < 2:
        return None
    values, name = curves.val_headline, e.headline_short
    if not np.isfinite(values).all():
        values, name = -curves.val_loss, "loss"
    earlier, last = float(values[:-1].max()), float(values[-1])
    annealed = curves.learning_rate[-1] < _FALLEN * curves.learning_rate.max()
    if annealed or not last - earlier > GAIN:
        return None
    planned = f" of {e.epochs_planned} planned" if e.epochs_planned not in (None, len(values)) else ""
    return Finding(
        f"The last of {len(values)} epochs{planned} is the best on val: {name} {number(abs(last))}, "
        f"before it at best {number(abs(earlier))}."
    )


def seeds_disagree(headlines: Sequence[Score]) -> Finding | None:
    """Report headline scores of seeds that lie further apart than `APART` and than the mean 95 % interval of one is
    wide: on many images the interval is narrow, and seeds that differ by a hair still agree."""
    values = np.array([row.value for row in headlines])
    widths = np.array([row.high - row.low for row in headlines])
    if len(values) < 2 or not (np.isfinite(values).all() and np.isfinite(widths).all()):
        return None
    spread, width = float(np.ptp(values)), float(widths.mean())
    if spread <= max(width, APART):
        return None
    return Finding(
        f"{metric_words(headlines[0].name).short} of {len(values)} seeds runs from "
        f"{interval(values.min(), values.max())}, {number(spread)} apart; the 95 % interval of "
        f"one seed is {number(width)} wide on average.",
        serious=True,
    )
