"""How answers worsen with the strength of corruptions, and what the corruptions look like."""

import math
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
from matplotlib.axes import Axes

from penlight.evaluation.corruptions import SEVERITIES
from penlight.evaluation.robustness import CorruptionRow, Level, Robustness
from penlight.reports.displays.base import Display, Layout
from penlight.reports.displays.shared import divide
from penlight.reports.palette import ACCENT, INK, MUTED
from penlight.reports.words import interval, listed, number, signed

_COLUMNS = 4
_NAMED = 2


def corruption_words(name: str) -> str:
    """Say a corruption as a reader does: "JPEG compression"."""
    return name.replace("_", " ").replace("jpeg", "JPEG").replace("gamma corr", "gamma")


@dataclass(frozen=True)
class CorruptionCurves(Display):
    """Balanced error by severity, a panel per corruption, the largest rise first; clean images as a line."""

    robustness: Robustness

    title: ClassVar[str] = "Balanced error under corruption"

    @property
    def rows(self) -> list[CorruptionRow]:
        """The corruptions in the order of the panels."""
        return self.robustness.model.worst_first()

    @property
    def caption(self) -> str:
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
        dotted = (
            f"Dotted: the {name} baseline, {number(own.clean.value, 2)} clean and {number(own.mean.value, 2)} on "
            "average."
            for name, own in self.robustness.baselines.items()
        )
        return " ".join([*said, mean, *dotted])

    @property
    def description(self) -> str:
        parts = (
            f"{corruption_words(row.name)}: {', '.join(number(error, 2) for error in row.severities)}; "
            f"change of the mean {_change(row.change)}"
            for row in self.rows
        )
        clean = number(self.robustness.model.clean.value, 2)
        return f"One panel per corruption, severities 1 to 5; clean {clean}. " + ". ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        rows = -(-len(self.rows) // _COLUMNS)
        return Layout(860, 150 * rows + 50, left=44, right=12, top=28, bottom=44)

    def frame(self) -> pd.DataFrame:
        """One line per corruption, see `Robust.frame`."""
        return self.robustness.model.frame()

    def draw(self, ax: Axes) -> None:
        """Lines on one scale; the change of the mean stands in each panel."""
        low, high = self._range()
        panels = divide(ax, len(self.rows), _COLUMNS, (0.045, self.layout.share(0, 48)[1]))
        for place, panel in enumerate(panels):
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
        for baseline in self.robustness.baselines.values():
            panel.plot(SEVERITIES, baseline.rows[place].severities, ":", color=MUTED, linewidth=1.6)
        panel.plot(SEVERITIES, row.severities, "o-", color=ACCENT, markersize=4.5, linewidth=1.8)
        panel.annotate(corruption_words(row.name), (0, 1), (0, 7), "axes fraction", "offset points", color=INK,
                       fontsize=12, weight="bold")  # fmt: skip
        panel.annotate(signed(row.change.value, 2), (1, 1), (0, 7), "axes fraction", "offset points", ha="right",
                       color=MUTED, fontsize=12)  # fmt: skip

    def _range(self) -> tuple[float, float]:
        """One scale for all panels, a tenth wider than what is drawn, within 0 and 1."""
        models = [self.robustness.model, *self.robustness.baselines.values()]
        values = [v for m in models for r in m.rows for v in (*r.severities, m.clean.value) if math.isfinite(v)]
        if not values:
            return 0.0, 1.0
        room = 0.1 * (max(values) - min(values)) + 0.01
        return max(0.0, min(values) - room), min(1.0, max(values) + room)


def _change(level: Level) -> str:
    """Write a change with its interval: "+0.120, 0.083–0.161"."""
    return ", ".join(filter(None, (signed(level.value), interval(level.low, level.high))))
