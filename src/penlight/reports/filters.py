"""What the templates of this room call, for whoever fills them."""

from collections.abc import Callable
from typing import Any

from penlight.explanation.pictures import png_address, scale
from penlight.reports.picture import data_address, shaded_address
from penlight.reports.words import probability, sentence, unbroken

FILTERS: dict[str, Callable[..., Any]] = {
    "picture": data_address,
    "probability": probability,
    "sentence": sentence,
    "shaded": shaded_address,
    "unbroken": unbroken,
}
GLOBALS: dict[str, Callable[..., Any]] = {"heat_scale": lambda: png_address(scale())}
