"""Whether what stands beside an answer says anything: maps of what was looked at, and what is called unlike train."""

import math

from penlight.evaluation.checks.check import Finding
from penlight.evaluation.checks.evidence import Evidence
from penlight.evaluation.checks.words import number
from penlight.numbers import counted

ALIKE = 0.7
"""From this mean rank correlation on, maps hardly depend on what was learned."""

TOLD = 0.9
"""Of drawn images of another kind so many should be called unlike the training images."""

FALSE_ALARMS = 0.05
"""Of test images no more should be."""


def maps_without_learning(e: Evidence) -> Finding | None:
    """Speak where maps are much like those of the same model with random weights (Adebayo et al., Sanity Checks for
    Saliency Maps, 2018)."""
    if e.maps_alike is None or math.isnan(e.maps_alike) or e.maps_alike < ALIKE:
        return None
    return Finding(
        f"The maps of what it looked at are much like those of the same model with random weights: their mean rank "
        f"correlation is {number(e.maps_alike)}."
    )


def strangers_missed(e: Evidence) -> Finding | None:
    """Report drawn images of other kinds that are taken for images like those in train, and test images that are
    called unlike them."""
    if e.novelty is None:
        return None
    parts = [
        f"Of {counted(rate.images, 'drawn image')} of another kind ({name}), {rate.unusual} are told "
        "from the training images."
        for name, rate in e.novelty.drawn.items()
        if rate.share < TOLD
    ]
    own = e.novelty.test
    if own.share > FALSE_ALARMS:
        parts.append(f"{own.unusual:,} of {counted(own.images, 'test image')} are called unlike those in train.")
    return Finding(" ".join(parts)) if parts else None
