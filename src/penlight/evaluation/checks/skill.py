"""Whether anything was learned, and whether it is worth more than what is simpler."""

from penlight.escaping import quoted
from penlight.evaluation.checks.check import Finding
from penlight.evaluation.checks.evidence import LINEAR, MAJORITY, Evidence
from penlight.evaluation.checks.words import interval, listed, number
from penlight.evaluation.comparison import Difference
from penlight.evaluation.intervals import count_units
from penlight.numbers import counted

ENOUGH = 5
"""A label that so many patients (images, where patients are not known) have is missed seriously."""


def learned_nothing(e: Evidence) -> Finding | None:
    """Speak where the headline metric's paired 95 % interval holds the answer that never looks."""
    found = e.against(MAJORITY)
    if found is None or not found.low <= 0:
        return None
    text = f"On {e.split} its {e.headline_short} is {_scores(e, found, 'the answer that never looks at an image')}"
    if e.curves is not None and len(e.curves.loss) > 1:
        text += f" The loss on train went from {number(e.curves.loss[0])} to {number(e.curves.loss[-1])}."
    return Finding(text, serious=True)


def no_better_than_linear(e: Evidence) -> Finding | None:
    """Speak where the linear baseline's headline score is as high or higher."""
    found = e.against(LINEAR)
    if found is None or not found.value <= 0:
        return None
    return Finding(
        f"On {e.split} its {e.headline_short} is {_scores(e, found, 'the linear baseline')}",
        serious=True,
    )


def not_clearly_better_than_linear(e: Evidence) -> Finding | None:
    """Speak where it scores higher than the linear baseline, and the paired interval holds no difference."""
    found = e.against(LINEAR)
    if found is None or not (found.value > 0 and found.low <= 0):
        return None
    return Finding(f"On {e.split} its {e.headline_short} is {_scores(e, found, 'the linear baseline')}")


def accuracy_of_the_majority(e: Evidence) -> Finding | None:
    """Speak where accuracy's paired 95 % interval holds that of the majority answer, or lies below it."""
    rate, found = e.accuracy()
    if not found.low <= 0:
        return None
    return Finding(
        f"Accuracy on {e.split} is {number(rate + found.value)}; answering what is most usual for every image gives "
        f"{number(rate)} ({_difference(found)}).",
        serious=e.task.exclusive,
    )


def never_answered(e: Evidence) -> Finding | None:
    """Speak where a label that images have is given to none."""
    y, given = e.test.sample.y, e.test.sample.decided.sum(axis=0)
    never = [c for c in range(y.shape[1]) if y[:, c].any() and not given[c]]
    if not never:
        return None
    units = [count_units(len(y), e.test.groups, y[:, c]) for c in never]
    names = []
    for c, n in zip(never, units, strict=True):
        who = "" if e.test.groups is None else f" of {counted(n, 'patient')}"
        names.append(f"{quoted(e.task.labels[c])} ({y[:, c].sum(dtype=int):,}{who} {'has' if n == 1 else 'have'} it)")
    return Finding(f"No image of {e.split} is answered with {listed(names)}.", max(units) >= ENOUGH)


def _scores(e: Evidence, found: Difference, other: str) -> str:
    own = e.headline_draws[found.row].mean
    rival = e.headline_draws[found.against].mean
    return f"{number(own)}, that of {other} {number(rival)} ({_difference(found)}, on the same images)."


def _difference(found: Difference) -> str:
    if found.low == found.high:
        return f"difference {number(found.value)} however the images are drawn"
    return f"difference {number(found.value)}, 95 % interval {interval(found.low, found.high)}"
