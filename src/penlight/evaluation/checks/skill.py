"""Whether the model learned anything, for every label, group and seed, and whether it beats what is simpler."""

from collections.abc import Sequence

import numpy as np

from penlight.escaping import quoted
from penlight.evaluation.checks.check import Finding, interval, listed, number, rule
from penlight.evaluation.checks.evidence import LINEAR, MAJORITY, Evidence
from penlight.evaluation.comparison import Difference
from penlight.evaluation.intervals import count_units
from penlight.evaluation.metrics import metric_words
from penlight.evaluation.rows import Score
from penlight.evaluation.subgroups import FEWEST_UNITS
from penlight.numbers import counted

_SERIOUSLY_MISSED = 5
_EPOCH_GAIN = 0.002
_ANNEALED = 0.1
_SEEDS_APART = 0.05
_GROUP_FAR_BELOW = 0.05


def _scores(e: Evidence, found: Difference, other: str) -> str:
    own, rival = (e.headline_draws[name].mean for name in (found.row, found.against))
    return (
        f"On {e.split} its {e.headline_short} is {number(own)}, that of {other} {number(rival)} "
        f"({_difference(found)}, on the same images)."
    )


def _difference(found: Difference) -> str:
    if found.low == found.high:
        return f"difference {number(found.value)} however the images are drawn"
    return f"difference {number(found.value)}, 95 % interval {interval(found.low, found.high)}"


@rule(
    "PL001",
    "It does not beat the linear baseline",
    when="The headline score on test is no higher than that of the linear baseline. Serious.",
    why="The linear baseline is a logistic regression on principal components of the pixels: simpler, faster, and "
    "here at least as good.",
    do="Use the linear baseline, or look at what the model lacks: larger images, an encoder or weights trained on "
    "other images and, for a network that is trained here, more epochs and augmentation.",
)
def no_better_than_linear(e: Evidence) -> Finding | None:
    found = e.against(LINEAR)
    if found is None or not found.value <= 0:
        return None
    return Finding(_scores(e, found, "the linear baseline"), serious=True)


@rule(
    "PL002",
    "It may be no better than the linear baseline",
    when="The headline score on test is higher than that of the linear baseline, but the 95 % interval of the paired "
    "difference, both resampled on the same images, holds zero.",
    why="So small a difference may be due to chance; another test split could reverse it.",
    do="Do not call it better. Train several seeds, or test on more images.",
)
def not_clearly_better_than_linear(e: Evidence) -> Finding | None:
    found = e.against(LINEAR)
    if found is None or not (found.value > 0 and found.low <= 0):
        return None
    return Finding(_scores(e, found, "the linear baseline"))


@rule(
    "PL004",
    "A label is never predicted",
    when="No test image is given a label that some test images have. Serious if at least "
    f"{_SERIOUSLY_MISSED} have it (patients, where they are known).",
    why="Its sensitivity is 0, whatever the mean over labels says.",
    do="For findings and two classes, find thresholds on val (--set decide.thresholds=f1); for classes, balance "
    "training (--set train.balance=sampling), or join labels that are too rare to learn.",
)
def never_answered(e: Evidence) -> Finding | None:
    y, given = e.test.sample.y, e.test.sample.decided.sum(axis=0)
    never = [c for c in range(y.shape[1]) if y[:, c].any() and not given[c]]
    if not never:
        return None
    units = [count_units(len(y), e.test.groups, y[:, c]) for c in never]
    names = []
    for c, n in zip(never, units, strict=True):
        who = "" if e.test.groups is None else f" of {counted(n, 'patient')}"
        names.append(f"{quoted(e.task.labels[c])} ({y[:, c].sum(dtype=int):,}{who} {'has' if n == 1 else 'have'} it)")
    return Finding(f"No image of {e.split} is answered with {listed(names)}.", max(units) >= _SERIOUSLY_MISSED)


@rule(
    "PL005",
    "Accuracy is that of the majority-class baseline",
    when="The 95 % interval of the paired difference between its accuracy and that of the majority-class "
    "baseline (the "
    "most frequent class, or the more frequent value of each finding) contains zero or lies below it. Serious if an "
    "image has one class; where it may have several findings, accuracy seldom says more.",
    why="A high accuracy is reached without using the image.",
    do="Read AUC, balanced accuracy, sensitivity and specificity instead; balance training if rare classes matter.",
)
def accuracy_of_the_majority(e: Evidence) -> Finding | None:
    rate, found = e.accuracy()
    if not found.low <= 0:
        return None
    return Finding(
        f"Accuracy on {e.split} is {number(rate + found.value)}; answering what is most usual for every image gives "
        f"{number(rate)} ({_difference(found)}).",
        serious=e.task.exclusive,
    )


@rule(
    "PL009",
    "The score was still improving when training ended",
    when=f"The last epoch has the best headline score on val, by more than {_EPOCH_GAIN}, and the learning rate had "
    "not been lowered to less than a tenth of its peak.",
    why="More epochs may give a better model, so this one says little about what the recipe can do.",
    do="Train longer (--set train.epochs=...), with patience to stop when val no longer improves.",
)
def still_improving(e: Evidence) -> Finding | None:
    curves = e.curves
    if curves is None or len(curves.val_headline) < 2:
        return None
    values, name = curves.val_headline, e.headline_short
    if not np.isfinite(values).all():
        values, name = -curves.val_loss, "loss"
    earlier, last = float(values[:-1].max()), float(values[-1])
    annealed = curves.learning_rate[-1] < _ANNEALED * curves.learning_rate.max()
    if annealed or not last - earlier > _EPOCH_GAIN:
        return None
    planned = f" of {e.epochs_planned} planned" if e.epochs_planned not in (None, len(values)) else ""
    return Finding(
        f"The last of {len(values)} epochs{planned} is the best on val: {name} {number(abs(last))}, "
        f"before it at best {number(abs(earlier))}."
    )


@rule(
    "PL010",
    "Seeds disagree",
    when=f"The headline scores of several seeds lie more than {_SEEDS_APART} apart, and further than the 95 % "
    "interval of one of them is wide. Serious.",
    why="How good the model is depends more on the seed than on the test images; the best seed is luck.",
    do="Report the mean and standard deviation, never the best seed; lower the learning rate, train longer, or "
    "average the seeds' probabilities.",
)
def seeds_disagree(headlines: Sequence[Score]) -> Finding | None:
    values = np.array([row.value for row in headlines])
    widths = np.array([row.high - row.low for row in headlines])
    if len(values) < 2 or not (np.isfinite(values).all() and np.isfinite(widths).all()):
        return None
    # On many images the interval is narrow, and seeds that differ by a hair still agree.
    spread, width = float(np.ptp(values)), float(widths.mean())
    if spread <= max(width, _SEEDS_APART):
        return None
    return Finding(
        f"{metric_words(headlines[0].name).short} of {len(values)} seeds runs from "
        f"{interval(values.min(), values.max())}, {number(spread)} apart; the 95 % interval of "
        f"one seed is {number(width)} wide on average.",
        serious=True,
    )


@rule(
    "PL012",
    "The model is not shown to be better than chance",
    when="The 95 % interval of the paired difference between its headline score and that of the majority-class "
    "baseline, which answers without the image, holds zero or lies below it. Serious.",
    why="Its ranking of the images may be chance, so no other number of the run says anything.",
    do="Check that images and labels belong together, that the loss falls, and that the learning rate is not far "
    "too high or low; see whether the linear baseline learns anything.",
)
def learned_nothing(e: Evidence) -> Finding | None:
    found = e.against(MAJORITY)
    if found is None or not found.low <= 0:
        return None
    text = _scores(e, found, "the majority-class baseline")
    if e.curves is not None and len(e.curves.loss) > 1:
        text += f" The loss on train went from {number(e.curves.loss[0])} to {number(e.curves.loss[-1])}."
    return Finding(text, serious=True)


@rule(
    "PL018",
    "A subgroup's score differs",
    when="The headline score of a group (by site, age in bands, sex, view) differs from that of all other test "
    "images by more than chance: p below 0.05 by a permutation test, corrected over all groups (Holm), and the "
    "95 % interval of the difference does not hold zero. Serious where it is lower by more than "
    f"{_GROUP_FAR_BELOW}. Groups of fewer than {FEWEST_UNITS} patients (images, where patients are not known) are "
    "not asked.",
    why="The overall score over- or underestimates the performance for this group.",
    do="Give scores by group wherever you give the whole; see what differs in its images and labels, and train on "
    "more of it. One division that was looked for later proves little.",
)
def a_group_differs(e: Evidence) -> Finding | None:
    found = [group for group in e.subgroups if group.more_than_chance]
    if not found:
        return None
    said = [
        f"{number(group.value)} for {group.column} {group.group} and {number(group.others)} for all others "
        f"(difference {number(group.difference)}, 95 % interval "
        f"{interval(group.difference_low, group.difference_high)})"
        for group in sorted(found, key=lambda group: group.difference)
    ]
    far = any(group.difference < -_GROUP_FAR_BELOW for group in found)
    return Finding(f"{e.headline_short} on {e.split} differs by group: {listed(said)}.", serious=far)
