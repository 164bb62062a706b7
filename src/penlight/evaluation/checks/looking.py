"""Whether maps of what a model looked at say anything about the model."""

import math

from penlight.evaluation.checks.check import Seen
from penlight.evaluation.checks.evidence import Evidence
from penlight.evaluation.checks.words import number

ALIKE = 0.7
"""From this mean rank correlation on, maps hardly depend on what was learned."""


def maps_without_learning(e: Evidence) -> Seen | None:
    """Speak where maps are much like those of the same model with random weights (Adebayo et al., Sanity Checks for
    Saliency Maps, 2018)."""
    if e.maps_alike is None or math.isnan(e.maps_alike) or e.maps_alike < ALIKE:
        return None
    return Seen(
        f"The maps of what it looked at are much like those of the same model with random weights: their mean rank "
        f"correlation is {number(e.maps_alike)}."
    )
