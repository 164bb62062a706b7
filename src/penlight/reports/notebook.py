"""Displays as a notebook shows them: title, picture and caption in one piece of HTML."""

import html
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from penlight.reports.displays import Display
from penlight.reports.figure import draw_svg
from penlight.reports.palette import ACCENT, MUTED, PAPER, RULE, Colour

# A report's own sheet says what these are; in a notebook there is none.
_TOKENS = f"--muted:{MUTED};--rule:{RULE};--paper:{PAPER};--accent:{ACCENT}"


@dataclass(frozen=True)
class Figure:
    """A display under a name that is unique in its report; a notebook shows it by `_repr_html_`."""

    display: Display
    name: str
    colours: tuple[Colour, ...] = ()

    @property
    def title(self) -> str:
        """Name of the figure."""
        return self.display.title

    @property
    def caption(self) -> str:
        """One sentence that says what to see, made from the numbers."""
        return self.display.caption

    def frame(self) -> pd.DataFrame:
        """Give the numbers that are drawn."""
        return self.display.frame()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw onto axes, by default those of a new figure, and give them; see `Display.plot`."""
        return self.display.plot(ax)

    def svg(self) -> str:
        """Draw as an SVG element for an HTML page; see `draw_svg`."""
        return draw_svg(self.display, self.name, self.colours)

    def _repr_html_(self) -> str:
        return (
            f'<figure style="margin:1em 0;{_TOKENS}"><strong>{html.escape(self.title)}</strong>'
            f'<div style="overflow-x:auto">{self.svg()}</div>'
            f'<figcaption style="max-width:44rem">{html.escape(self.caption)}</figcaption></figure>'
        )
