"""How answers worsen with the strength of corruptions, and what the corruptions look like."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.evaluation.corruptions import SEVERITIES, Corruption
from penlight.evaluation.robustness import CorruptionRow, Level, Robustness
from penlight.numbers import counted
from penlight.reports.displays.base import Display, Layout, is_number
from penlight.reports.displays.shared import ShownImage, divide, draw_images
from penlight.reports.palette import ACCENT, INK, MUTED
from penlight.reports.words import interval, listed, number, probability

_COLUMNS = 4
_NAMED = 2

SHOWN_SEVERITY = 3


def corruption_words(name: str) -> str:
    """Say a corruption as a reader does: "JPEG compression"."""
    return name.replace("_", " ").replace("jpeg", "JPEG").replace("gamma corr", "gamma")


@dataclass(frozen=True)
class CorruptionCurves(Display):
    """Balanced error by severity, a panel per corruption, the largest rise first; clean images as a line."""

    robustness: Robustness

    section: ClassVar[str] = "robustness"
    title: ClassVar[str] = "Balanced error under corruption"

    @property
    def rows(self) -> list[CorruptionRow]:
        """The corruptions in the order of the panels."""
        return self.robustness.model.worst_first()

    @property
    def caption(self) -> str:
        """Name the worst corruptions, those that change nothing beyond chance, and the means."""
        model = self.robustness.model
        harmful = [row for row in self.rows if row.change.low > 0]
        # An interval that cannot be found says neither; only one that holds zero is named.
        harmless = [corruption_words(row.name) for row in self.rows if row.change.low <= 0 <= row.change.high]
        mean = f"Mean over corruptions {number(model.mean.value, 2)}, on clean images {number(model.clean.value, 2)}."
        worst = [f"{corruption_words(row.name)} ({_change(row.change)})" for row in harmful[:_NAMED]]
        said = [
            f"Largest rise beyond chance: {listed(worst)}."
            if worst
            else "No corruption raises the error by more than chance."
        ]
        if harmless and worst:
            said.append(f"No change beyond chance: {listed(harmless)}.")
        return " ".join([*said, mean, *self._rival_sentence()])

    def _rival_sentence(self) -> list[str]:
        return [
            f"Dotted: the {name} baseline, {number(rival.clean.value, 2)} clean and {number(rival.mean.value, 2)} on "
            "average."
            for name, rival in self.robustness.baselines.items()
        ]

    @property
    def description(self) -> str:
        """Say every error and the change of the mean."""
        parts = (
            f"{corruption_words(row.name)}: {', '.join(number(error, 2) for error in row.severities)}; "
            f"change of the mean {_change(row.change)}"
            for row in self.rows
        )
        clean = number(self.robustness.model.clean.value, 2)
        return f"One panel per corruption, severities 1 to 5; clean {clean}. " + ". ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        """Panels of 120 px height, four in a row."""
        rows = -(-len(self.rows) // _COLUMNS)
        return Layout(860, 150 * rows + 50, left=44, right=12, top=28, bottom=44)

    def frame(self) -> pd.DataFrame:
        """One line per corruption, see `Robust.frame`."""
        return self.robustness.model.frame()

    def draw(self, ax: Axes) -> None:
        """Lines on one scale; the change of the mean stands in each panel."""
        n = -(-len(self.rows) // _COLUMNS)
        height = self.layout.height - self.layout.top - self.layout.bottom
        gap = 0.0 if n == 1 else 48 / height
        low, high = self._range()
        panels = divide(ax, n, _COLUMNS, (0.045, gap))
        for place, panel in enumerate(panels):
            if place >= len(self.rows):
                panel.set_axis_off()
                continue
            self._draw(panel, self.rows[place])
            panel.set_xlim(0.8, 5.2)
            panel.set_ylim(low, high)
            last = place + _COLUMNS >= len(self.rows)
            panel.set_xticks(SEVERITIES, [str(s) for s in SEVERITIES] if last else [""] * len(SEVERITIES))
            panel.tick_params(length=3, labelleft=place % _COLUMNS == 0)
            if last:
                panel.set_xlabel("severity")

    def _draw(self, panel: Axes, row: CorruptionRow) -> None:
        place = [own.name for own in self.robustness.model.rows].index(row.name)
        panel.axhline(self.robustness.model.clean.value, color=MUTED, linewidth=1, dashes=(4, 3))
        for rival in self.robustness.baselines.values():
            panel.plot(SEVERITIES, rival.rows[place].severities, ":", color=MUTED, linewidth=1.6)
        panel.plot(SEVERITIES, row.severities, "o-", color=ACCENT, markersize=4.5, linewidth=1.8)
        panel.annotate(corruption_words(row.name), (0, 1), (0, 7), "axes fraction", "offset points", color=INK,
                       fontsize=12, weight="bold")  # fmt: skip
        panel.annotate(_signed(row.change.value), (1, 1), (0, 7), "axes fraction", "offset points", ha="right",
                       color=MUTED, fontsize=12)  # fmt: skip

    def _range(self) -> tuple[float, float]:
        """One scale for all panels, a tenth wider than what is drawn, within 0 and 1."""
        models = [self.robustness.model, *self.robustness.baselines.values()]
        values = [v for m in models for r in m.rows for v in (*r.severities, m.clean.value) if is_number(v)]
        if not values:
            return 0.0, 1.0
        room = 0.1 * (max(values) - min(values)) + 0.01
        return max(0.0, min(values) - room), min(1.0, max(values) + room)


def _signed(value: float, decimals: int = 2) -> str:
    text = number(value, decimals)
    return f"+{text}" if value > 0 and float(text) else text


def _change(level: Level) -> str:
    """Write a change with its interval: "+0.120, 0.083–0.161"."""
    bounds = interval(level.low, level.high)
    return f"{_signed(level.value, 3)}, {bounds}" if bounds else _signed(level.value, 3)


@dataclass(frozen=True)
class CorruptedPicture:
    """One image under one corruption, and the balanced error on all images there; `name` "clean" for none."""

    name: str
    error: float
    image: NDArray[np.uint8]

    @property
    def words(self) -> str:
        """The name as a reader says it."""
        return corruption_words(self.name)


@dataclass(frozen=True)
class CorruptionStrip(Display):
    """One image of test as it is, and under each corruption at severity 3."""

    pictures: tuple[CorruptedPicture, ...]
    index: int

    section: ClassVar[str] = "robustness"
    title: ClassVar[str] = "One image under each corruption"

    @classmethod
    def from_images(
        cls,
        robustness: Robustness,
        images: NDArray[np.uint8],
        index: NDArray[np.int64],
    ) -> "CorruptionStrip":
        """Corrupt the first of the rows `index` of `images` (M, H, W, C) as the record of strengths says."""
        chosen = int(index[0])
        image = np.asarray(images[chosen : chosen + 1])
        clean = CorruptedPicture("clean", robustness.model.clean.value, image[0])
        rows = robustness.model.worst_first()
        return cls((clean, *(_spoilt(image, row) for row in rows)), chosen)

    @property
    def caption(self) -> str:
        """Say what the number below each picture is."""
        return (
            f"Test image {self.index} at severity {SHOWN_SEVERITY}, the largest rise of the error first; below each "
            "the balanced error at that severity."
        )

    @property
    def description(self) -> str:
        """Say the error of each."""
        parts = (f"{p.words} {number(p.error, 2)}" for p in self.pictures)
        return f"{counted(len(self.pictures), 'picture')}: " + ", ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        """One row of squares."""
        return Layout(40 + 112 * len(self.pictures), 150, left=8, right=8, top=8, bottom=8)

    def shown(self) -> list[ShownImage]:
        """Give what a page shows of each picture."""
        found = ((p.image, p.words, probability(p.error)) for p in self.pictures)
        return [
            ShownImage(image, f"Test image {self.index}, {words}", [(words, error)]) for image, words, error in found
        ]

    def frame(self) -> pd.DataFrame:
        """One line per picture: name, error."""
        return pd.DataFrame([(p.name, p.error) for p in self.pictures], columns=["name", "error"])

    def draw(self, ax: Axes) -> None:
        """Draw the pictures in a row on black."""
        draw_images(ax, [picture.image for picture in self.pictures])


def _spoilt(image: NDArray[np.uint8], row: CorruptionRow) -> CorruptedPicture:
    one, two, three, four, five = row.strengths
    spoilt = Corruption(row.name, (one, two, three, four, five)).apply(image, SHOWN_SEVERITY)[0]
    return CorruptedPicture(row.name, row.severities[SHOWN_SEVERITY - 1], spoilt)
