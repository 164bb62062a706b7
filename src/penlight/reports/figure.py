"""From a display to an SVG that stands in a page or a notebook: it follows day and night, and says what it shows."""

import html
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure

from penlight.reports.displays.base import STYLE, Display
from penlight.reports.palette import ACCENT, MUTED, PAPER, RULE, TOKENS, Colour, variable

BROAD = 470
"""CSS pixels from which a figure is too broad for a phone to show whole."""

_PNG_DPI = 160

_SYSTEM_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


# A report's own sheet says what these are; in a notebook there is none.
_TOKENS = f"--muted:{MUTED};--rule:{RULE};--paper:{PAPER};--accent:{ACCENT}"


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"Figure({self.name!r}: {self.title})"

    def _repr_html_(self) -> str:
        return (
            f'<figure style="margin:1em 0;{_TOKENS}"><strong>{html.escape(self.title)}</strong>'
            f'<div style="overflow-x:auto">{self.svg()}</div>'
            f'<figcaption style="max-width:44rem">{html.escape(self.caption)}</figcaption></figure>'
        )


def draw_svg(display: Display, name: str, colours: Iterable[Colour] = ()) -> str:
    """Draw a display as an inline SVG element, one unit of which is one CSS pixel.

    `name` must be unique in the page: ids start with it. `colours` are those that change by night. The same display
    and name give the same text.
    """
    raw = _saved(display, {"svg.hashsalt": name}, format="svg", metadata={"Date": None}, transparent=True).decode()
    body = _with_own_ids(_compact(raw[raw.index("<g ") : raw.rindex("</svg>")]), name)
    names = {c.day: f"var({variable(c.day)}, {c.day})" for c in colours} | TOKENS
    pattern = re.compile(rf"(?:{'|'.join(map(re.escape, names))})\b")
    body = _in_tags(body, lambda tag: pattern.sub(lambda match: names[match[0]], tag))
    width, height = display.layout.width, display.layout.height
    # A phone shows a broad figure less shrunk, and scrolls: its letters would be too small to read.
    kind = "plot broad" if width > BROAD else "plot"
    title, description = html.escape(display.title), html.escape(display.description)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" class="{kind}" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc" font-family="{_SYSTEM_FONTS}" '
        f'stroke-linejoin="round">'
        f'<title id="{name}-title">{title}</title><desc id="{name}-desc">{description}</desc>{body}</svg>'
    )


def draw_png(display: Display) -> bytes:
    """Draw a display as a PNG in the colours of the day; the same display gives the same bytes."""
    # No version of a library in the file.
    return _saved(display, {}, format="png", dpi=_PNG_DPI, facecolor=PAPER, metadata={"Software": None})


def _saved(display: Display, style: dict[str, Any], **options: Any) -> bytes:
    """Draw a display on a figure of its own, and give the file that Matplotlib writes with `options`."""
    own: Any = STYLE | style
    with mpl.rc_context(own):
        figure = MatplotlibFigure(figsize=display.layout.inches)
        display.draw(figure.add_axes(display.layout.box))
        buffer = io.BytesIO()
        figure.savefig(buffer, **options)
    return buffer.getvalue()


def _in_tags(svg: str, change: Callable[[str], str]) -> str:
    """Change the tags of an SVG alone; what stands between them is text, in which a user's label is left as it is."""
    return re.sub(r"<[^>]+>", lambda tag: change(tag[0]), svg)


def _compact(svg: str) -> str:
    """Drop what a page does not need: comments, fonts of this machine, digits below a hundredth of a pixel."""
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)

    def compact(tag: str) -> str:
        tag = re.sub(r" ?font-family: [^;\"]+;?", "", tag)
        return re.sub(r"-?\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}", tag)

    return re.sub(r"\s*\n\s*", " ", _in_tags(svg, compact))


def _with_own_ids(svg: str, name: str) -> str:
    """Start ids with the figure's name, and drop those that nothing refers to."""
    tags = " ".join(re.findall(r"<[^>]+>", svg))
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', tags))

    def own(tag: str) -> str:
        tag = re.sub(r' id="([^"]+)"', lambda match: f' id="{name}-{match[1]}"' if match[1] in used else "", tag)
        return re.sub(r'(href="|url\()#', rf"\1#{name}-", tag)

    return _in_tags(svg, own)
