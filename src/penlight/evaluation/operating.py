"""What answers are worth to those who act on them: operating points, and net benefit over thresholds.

Both are of the yes-or-no questions of a task. N images, Q questions, B resamples.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from penlight.evaluation.calibration import how_few, too_few
from penlight.evaluation.intervals import RESAMPLES, Groups, bootstrap_weights, select_groups
from penlight.evaluation.proportions import Shares, ratio_interval, shares
from penlight.evaluation.thresholds import best_cut
from penlight.numbers import decimal_text
from penlight.records import Name, Number, Record, Text
from penlight.tasks import KnownLabels, Question, Task
from penlight.tasks.base import absent, among
from penlight.tasks.base import shares as shares_of

Floats = NDArray[np.float64]
Indicators = NDArray[np.uint8]
Triple = tuple[float, float, float]
"""A value with the ends of its interval."""

TARGETS = (("sensitivity", 0.9), ("specificity", 0.9))
"""Rates that val is asked to reach, for points beside the one that was decided on."""

AS_DECIDED = "as decided"

_REASONS = {
    "sensitivity": "no positive case",
    "specificity": "no negative case",
    "ppv": "never answered yes",
    "npv": "never answered no",
    "ppv_stated": "never answered yes, or one kind of case alone",
    "npv_stated": "never answered no, or one kind of case alone",
    "likelihood_ratio_positive": "no negative case is answered yes",
    "likelihood_ratio_negative": "no negative case is answered no, or no positive case",
}


class Rate(Record):
    """A value with its 95 % interval; NaN where undefined, and `note` says why."""

    value: Number
    low: Number
    high: Number
    note: Text = ""


class OperatingPoint(Record):
    """A question answered at one threshold.

    `chosen` says how the threshold was found; `threshold` is NaN where answers are not cut by one, or where val
    does not reach what was wanted, and `note` says which. `prevalence` is that of the images; `stated` the one that
    `ppv_stated` and `npv_stated` are at, NaN where none was given. `rates` by name: sensitivity, specificity, ppv and
    npv (predictive values), likelihood_ratio_positive and _negative, and the two at the stated prevalence, if any.
    """

    question: Name
    chosen: Name
    threshold: Number
    prevalence: Number
    stated: Number
    rates: Annotated[dict[Name, Rate], Field(max_length=100)]
    note: Text = ""


OperatingPoints = Annotated[Sequence[OperatingPoint], Field(max_length=100_000)]


@dataclass(frozen=True)
class _Cut:
    """One way to answer a question: `answered` (N,) 0/1."""

    question: Question
    chosen: str
    threshold: float
    answered: Floats
    note: str = ""


def operating_points(
    task: Task,
    y_true: Indicators,
    prob: Floats,
    decided: Indicators,
    *,
    thresholds: Sequence[float] | None = None,
    val: tuple[Indicators, Floats] | None = None,
    val_groups: Groups = None,
    prevalence: float | None = None,
    groups: Groups = None,
    known: KnownLabels = None,
    val_known: KnownLabels = None,
) -> list[OperatingPoint]:
    """Give the points of each question: as `decided` (N, C), and where val reaches each of `TARGETS`.

    `prob` (N, C) is calibrated, as are the probabilities of `val`, its (N', C) truth and probabilities; without val
    there are no other points; `val_groups` (N',) are its patients. `thresholds` (C,) are those of the decisions,
    where the task has them; `prevalence` is the stated one, `groups` (N,) are patients; `known` (N, C) and
    `val_known` (N', C) say which labels are known. Shares have the intervals of
    `proportions.shares`, as in `score`, and likelihood ratios and the predictive values at the stated prevalence
    follow from those of both shares.
    """
    cuts = [
        cut
        for question in task.questions
        for cut in _cuts(
            task, question, prob, decided, thresholds if task.uses_thresholds else None, val, val_groups, val_known
        )
    ]
    if not cuts:
        return []
    y = np.stack([cut.question.of(y_true) for cut in cuts], axis=1)
    answered = np.stack([cut.answered for cut in cuts], axis=1)
    no, not_answered, n = 1 - y, 1 - answered, np.full(len(cuts), len(y))
    if known is not None:
        inside = np.stack([cut.question.known(known) for cut in cuts], axis=1)
        answered, no, not_answered, n = answered * inside, no * inside, not_answered * inside, inside.sum(axis=0)
    found = {
        "sensitivity": shares([y * answered], [y], groups),
        "specificity": shares([no * not_answered], [no], groups),
        "ppv": shares([y * answered], [answered], groups),
        "npv": shares([no * not_answered], [not_answered], groups),
    }
    stated = math.nan if prevalence is None else prevalence
    return [
        OperatingPoint(
            cut.question.name,
            cut.chosen,
            cut.threshold,
            float(y[:, k].sum() / n[k]) if n[k] else math.nan,
            stated,
            _rates({name: _triple(own, k) for name, own in found.items()}, prevalence, cut.note),
            cut.note,
        )
        for k, cut in enumerate(cuts)
    ]


def _cuts(
    task: Task,
    question: Question,
    prob: Floats,
    decided: Indicators,
    thresholds: Sequence[float] | None,
    val: tuple[Indicators, Floats] | None,
    val_groups: Groups,
    val_known: KnownLabels,
) -> Iterator[_Cut]:
    own = math.nan if thresholds is None else task.question_threshold(question, thresholds)
    yield _Cut(question, AS_DECIDED, own, question.of(decided))
    if val is None:
        return
    y_val, stated = question.of(val[0]).astype(np.uint8), question.of(val[1])
    if val_known is not None:
        inside = question.known(val_known)
        y_val, stated, val_groups = y_val[inside], stated[inside], select_groups(val_groups, inside)
    for rule, wanted in TARGETS:
        chosen = f"{rule} {decimal_text(wanted, 2)} on val"
        if too_few(y_val, val_groups):
            note = f"{how_few(y_val, 'val', val_groups, of=f' of {len(y_val)}')} to choose by"
            yield _Cut(question, chosen, math.nan, np.zeros(len(prob)), note)
        else:
            cut = best_cut(y_val, stated, rule, wanted)
            yield _Cut(question, chosen, cut, (question.of(prob) > cut).astype(float))


def _triple(found: Shares, k: int) -> Triple:
    return float(found.value[k]), float(found.low[k]), float(found.high[k])


def _rates(found: dict[str, Triple], prevalence: float | None, note: str) -> dict[str, Rate]:
    """Add what follows from the shares; with a `note`, nothing is known."""
    sensitivity, specificity = found["sensitivity"], found["specificity"]
    positive = _likelihood_ratio(sensitivity, _complement(specificity))
    negative = _likelihood_ratio(_complement(sensitivity), specificity)
    rates = {**found, "likelihood_ratio_positive": positive, "likelihood_ratio_negative": negative}
    if prevalence is not None:
        # Bayes' theorem in odds; a higher positive ratio raises the PPV, a higher negative one lowers the NPV.
        odds = prevalence / (1 - prevalence)
        value, low, high = (1 - 1 / (1 + odds * r) for r in positive)
        rates["ppv_stated"] = value, low, high
        value, high, low = (1 / (1 + odds * r) for r in negative)
        rates["npv_stated"] = value, low, high
    return {
        name: Rate(math.nan, math.nan, math.nan, note) if note else _rate(name, *own) for name, own in rates.items()
    }


def _rate(name: str, value: float, low: float, high: float) -> Rate:
    """An infinite ratio is undefined, an infinite end of its interval open."""
    if not math.isfinite(value):
        return Rate(math.nan, math.nan, math.nan, _REASONS[name])
    return Rate(value, low, high if math.isfinite(high) else math.nan, "" if math.isfinite(high) else "no upper end")


def _complement(share: Triple) -> Triple:
    value, low, high = share
    return 1 - value, 1 - high, 1 - low


def _likelihood_ratio(above: Triple, below: Triple) -> Triple:
    if not (math.isfinite(above[0]) and math.isfinite(below[0])):
        return (math.nan,) * 3
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.true_divide(above[0], below[0])), *ratio_interval(above, below)


@dataclass(frozen=True)
class NetBenefit:
    """Net benefit over thresholds (T,), per image, of one question: of acting on the answers with its 95 % interval,
    and of treating all; treating none has 0. `gain_low` is the lower end of the interval of what the answers gain
    over the better of these two, on the same resamples. `note` says why there is none."""

    question: str
    positives: int
    prevalence: float
    threshold: Floats
    model: Floats
    low: Floats
    high: Floats
    treat_all: Floats
    gain_low: Floats
    note: str = ""


STEPS = 100


def net_benefits(
    task: Task,
    y_true: Indicators,
    prob: Floats,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Groups = None,
    known: KnownLabels = None,
) -> list[NetBenefit]:
    """Decision curve of each question (Vickers and Elkin, Med. Decis. Making 2006), of (N, C) calibrated
    probabilities.

    At threshold t those with a probability above t are treated: true positives / N - false positives / N x
    t / (1 - t). Thresholds go in STEPS steps from 0 to where few are treated: the 99.5th percentile of the
    probabilities or twice the prevalence, whichever is higher, but below 1.
    """
    questions = task.questions
    if not questions or not len(y_true):
        return []
    y, p = (np.stack([q.of(values) for q in questions], axis=1) for values in (y_true, np.clip(prob, 0, 1)))
    inside = None if known is None else np.stack([q.known(known) for q in questions], axis=1)
    share = np.nan_to_num(shares_of(y, inside))
    most = [
        np.quantile(own, 0.995) if len(own) else 0.0 for own in (p[among(inside, k), k] for k in range(p.shape[1]))
    ]
    top = np.minimum(np.maximum(most, 2 * share), 0.99)
    grids = [np.linspace(0, max(float(t), 1e-6), STEPS + 1) for t in top]
    treated = _Treated(y, p, grids, inside)
    values, everyone = (own[0] for own in treated.benefits(np.ones((1, len(y)))))
    draws = [treated.benefits(w) for w in bootstrap_weights(len(y_true), resamples, seed=seed, groups=groups)]
    low, high = _bounds([model for model, _ in draws], values)
    gain_low, _ = _bounds([model - np.maximum(others, 0) for model, others in draws], values)
    notes = ["" if 0 < own < 1 else "no positive or no negative case" for own in share]
    counts = zip([q.name for q in questions], y.sum(axis=0).astype(int).tolist(), share.tolist(), strict=True)
    curves = zip(grids, values, low, high, everyone, gain_low, notes, strict=True)
    return [NetBenefit(*count, *curve) for count, curve in zip(counts, curves, strict=True)]


def _bounds(chunks: Sequence[Floats], values: Floats) -> tuple[Floats, Floats]:
    if not chunks:
        return np.full_like(values, np.nan), np.full_like(values, np.nan)
    low, high = np.percentile(np.concatenate(chunks), [2.5, 97.5], axis=0)
    return low, high


class _Treated:
    """How many are treated at each threshold of each question, for all resamples at once: an image stands at the
    number of thresholds that it exceeds, and whoever stands at or beyond a threshold is treated."""

    def __init__(self, y: Floats, prob: Floats, grids: Sequence[Floats], known: KnownLabels = None) -> None:
        from scipy import sparse

        n, q = y.shape
        self.y, self.known = y, known
        self.odds = np.stack([grid / (1 - grid) for grid in grids])
        exceeded = np.stack([np.searchsorted(grid, prob[:, k]) for k, grid in enumerate(grids)], axis=1)
        # Place 0 exceeds no threshold, not even 0.
        row = exceeded + (STEPS + 2) * np.arange(q)
        where = (row.ravel(), np.repeat(np.arange(n), q))
        shape = ((STEPS + 2) * q, n)
        self.positive = sparse.csr_array((y.ravel(), where), shape=shape)
        self.negative = sparse.csr_array((absent(y, known).ravel(), where), shape=shape)

    def benefits(self, w: Floats) -> tuple[Floats, Floats]:
        """(B, Q, STEPS + 1) net benefit of the answers and of treating all, of weights (B, N)."""
        by_image = np.ascontiguousarray(w.T)
        found, false = (self._at_least(places, by_image) for places in (self.positive, self.negative))
        n = w.sum(axis=1)[:, None, None]
        if self.known is not None:
            n = np.maximum(w @ self.known.astype(float), 1e-300)[:, :, None]
        share = (w @ self.y)[:, :, None] / n
        return (found - false * self.odds) / n, share - (1 - share) * self.odds

    def _at_least(self, places: Any, by_image: Floats) -> Floats:
        counts = (places @ by_image).T.reshape(by_image.shape[1], len(self.odds), STEPS + 2)
        out: Floats = np.cumsum(counts[..., ::-1], axis=2)[..., ::-1][..., 1:]
        return out
