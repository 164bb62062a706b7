"""The sentence of a comparison, for its page and for the command, which draws nothing."""

import math

from penlight.evaluation.comparison import Comparison, Difference
from penlight.reports.words import counted_images, interval, listed, metric_words, number, p_value, signed


def comparison_verdict(found: Comparison, modality: str) -> str:
    """Say in one sentence which models differ by more than chance, and where none does, how much could be hidden."""
    words, images = metric_words(found.metric), counted_images(found.images, found.split, modality)
    known = [d for d in found.differences if math.isfinite(d.p)]
    if not known:
        return f"On {images} the {words.short} is undefined, so nothing can be compared."
    if len(known) == 1:
        return f"On {images} {_of_two(found, known[0])}"
    if found.against is None:
        clear = sum(d.more_than_chance for d in known)
        return f"On {images} {clear or 'none'} of {len(known)} pairs differ by more than chance in {words.short}."
    better = [d.row for d in known if d.more_than_chance and _gain(found, d) > 0]
    worse = [d.row for d in known if d.more_than_chance and _gain(found, d) < 0]
    parts = [f"{listed(names)} {'is' if len(names) == 1 else 'are'} {which} than {found.against}"
             for names, which in ((better, "better"), (worse, "worse")) if names]  # fmt: skip
    if not parts:
        none = f"none of {len(known)} models differs from {found.against} by more than chance"
        return f"On {images} {none} in {words.short}."
    return f"On {images} {', and '.join(parts)} by more than chance in {words.short}."


def _of_two(found: Comparison, d: Difference) -> str:
    words = metric_words(found.metric)
    scores = f"{words.short} {number(found.model(d.row).mean)} against {number(found.model(d.against).mean)}"
    sure = f"a difference of {signed(d.value)}"
    if bounds := interval(d.low, d.high):
        sure += f" (95 % interval {bounds}), p {_p(d.p_holm)}"
    else:
        sure += " on every resample of the images"
    if d.more_than_chance:
        which = "better" if _gain(found, d) > 0 else "worse"
        return f"{d.row} is {which} than {d.against} by more than chance: {scores}, {sure}."
    return f"{d.row} and {d.against} do not differ by more than chance: {scores}, {sure}."


def _p(value: float) -> str:
    return p_value(value) if value < 0.001 else f"= {p_value(value)}"


def _gain(found: Comparison, d: Difference) -> float:
    return d.value if metric_words(found.metric).higher_is_better else -d.value
