"""What the templates of this room call, for whoever fills them."""

from collections.abc import Callable
from typing import Any

from penlight.escaping import label_list
from penlight.explanation.pictures import png_address, scale
from penlight.numbers import share_cell
from penlight.reports import words
from penlight.reports.picture import data_address, exact_address, shaded_address

FILTERS: dict[str, Callable[..., Any]] = {
    **{own.__name__: own for own in (words.duration, words.number, words.p_value, words.percent, words.plain)},
    **{own.__name__: own for own in (words.threshold, words.unbroken)},
    **{own.__name__: own for own in (words.probability, words.sentence, words.signed)},
    "csv": lambda frame: frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"),
    "picture": data_address,
    "exact_picture": exact_address,
    "shaded": shaded_address,
    "share_cell": share_cell,
    # Jinja's own `count` counts the items of a list.
    "thousands": words.count,
}
GLOBALS: dict[str, Any] = {
    "NO_VALUE": words.NO_VALUE,
    "heat_scale": lambda: png_address(scale()),
    "interval": words.interval,
    "label_list": label_list,
    "metric_words": words.metric_words,
}
