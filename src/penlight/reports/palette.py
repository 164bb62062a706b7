"""Colours: what each stands for, by day and by night. A colour means something, or it is absent.

Figures are drawn in the colours of the day; in a page each becomes a CSS variable that the night redefines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from penlight.tasks import Task

INK = "#1b1e24"
MUTED = "#5b626d"
RULE = "#c6cad1"
PAPER = "#fcfcfa"
ACCENT = "#1a5fb4"
ALARM = "#a3260f"

# The page's own colours: style.css defines these variables for day and night.
TOKENS = {INK: "currentColor", MUTED: "var(--muted)", RULE: "var(--rule)", PAPER: "var(--paper)",
          ACCENT: "var(--accent)", ALARM: "var(--alarm)"}  # fmt: skip

# Okabe and Ito (2008), the ones that stand out on white first; black is left to the ink.
_CATEGORIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b3a70c")
_CATEGORIES_AT_NIGHT = ("#4aa8e0", "#f0843c", "#2cc298", "#e3a0c4", "#f2b640", "#8accf5", "#f0e442")

# One hue, light to dark. By night the ramp is shifted up, so that its dark end still shows on a dark ground.
_RAMP = ("#e0a468", "#b4581c", "#451503")
_RAMP_AT_NIGHT = ("#ffe3c2", "#ee9a52", "#b04f16")

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""The second sign of a class, beside its colour."""


@dataclass(frozen=True)
class Colour:
    """One colour by day and by night, as #rrggbb."""

    day: str
    night: str


def palette(task: Task) -> tuple[Colour, ...]:
    """Give each of a task's C labels its colour; the same label has the same colour in every figure.

    Ordered labels are one hue from light to dark. With more categories than distinguishable colours all take the
    accent, and figures name them instead.
    """
    n = len(task.labels)
    if task.ordered:
        return tuple(map(Colour, _ramp(_RAMP, n), _ramp(_RAMP_AT_NIGHT, n)))
    if n <= len(_CATEGORIES):
        return tuple(map(Colour, _CATEGORIES[:n], _CATEGORIES_AT_NIGHT[:n]))
    return (Colour(ACCENT, ACCENT),) * n


def marker(index: int, n: int) -> str:
    """Give the marker of one of n labels; with more labels than markers each has a panel and they share one."""
    return MARKERS[index] if n <= len(MARKERS) else MARKERS[0]


def variable(day: str) -> str:
    """Name the CSS variable of a colour of the day."""
    return f"--c-{day.removeprefix('#')}"


def _ramp(stops: Sequence[str], n: int) -> list[str]:
    """Interpolate n colours through three stops; one colour alone is the middle one."""
    places = np.linspace(0, 1, n) if n > 1 else np.array([0.5])
    channels = np.array([to_rgb(stop) for stop in stops]).T
    return [to_hex(colour) for colour in zip(*(np.interp(places, (0, 0.5, 1), own) for own in channels), strict=True)]
