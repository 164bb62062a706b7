"""Templates and what they share: one page, self-contained, in the colours of day and night."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from penlight import __version__
from penlight.reports.card import NOT_CLINICAL
from penlight.reports.displays import Display
from penlight.reports.figure import BROAD, draw_svg
from penlight.reports.filters import FILTERS, GLOBALS
from penlight.reports.palette import Colour, variable
from penlight.reports.words import unbroken

SCRIPTS = ("theme.js", "figures.js")
"""Files of this folder that stand in every page, each as a script of its own."""

_COLUMN = 560
"""The widest figure in pixels that one of two columns shows nearly in full size."""


@dataclass(frozen=True)
class PageFigure:
    """A display as a page shows it, and its `numbers`, to be saved under its `name`.

    A `wide` one takes both columns, and scrolls where the page is narrower, as one that `scrolls` does on a phone.
    """

    title: str
    caption: str
    svg: Markup
    name: str
    numbers: pd.DataFrame
    wide: bool = False
    scrolls: bool = False


def render(template: str, colours: Sequence[Colour], **values: Any) -> str:
    """Fill a template of this folder; `colours` are the classes' own, for day and night."""
    page = _environment().get_template(template)
    return page.render(
        style=_inline("style.css"),
        scripts=[_inline(name) for name in SCRIPTS],
        colours=[(variable(c.day), c.day, c.night) for c in dict.fromkeys(colours)],
        not_clinical=NOT_CLINICAL,
        version=__version__,
        **values,
    )


def drawn(display: Display, name: str, colours: Sequence[Colour] = ()) -> PageFigure:
    """Draw a display under a name that is unique in its page."""
    # The SVG escapes its own texts.
    svg = Markup(draw_svg(display, name, colours))
    width = display.layout.width
    caption = unbroken(display.caption)
    return PageFigure(display.title, caption, svg, name, display.drawn_numbers(), width > _COLUMN, width > BROAD)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("penlight", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    environment.globals |= GLOBALS
    return environment


@cache
def _inline(name: str) -> Markup:
    """Read a file of this folder that stands in the page as it is."""
    return Markup(resources.files("penlight.reports").joinpath(name).read_text(encoding="utf-8"))
