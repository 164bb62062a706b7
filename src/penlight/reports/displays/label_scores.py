"""The ranking score of each label with its interval: what is rare is shown with its width, not hidden."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penlight.escaping import quoted
from penlight.evaluation.rows import Score
from penlight.numbers import counted
from penlight.reports.displays.base import Display, Layout, is_number, margin_for, shorten
from penlight.reports.displays.shared import draw_lane, leave_lane_empty, name_lanes, write_in_lane
from penlight.reports.palette import MUTED, PAPER
from penlight.reports.words import count, interval, listed, number, sentence

GUESSING = 0.5

FEWEST = 10
"""A label of fewer patients with a positive image (positive images, where patients are not known) has an open dot:
so few make its interval uncertain."""


@dataclass(frozen=True)
class LabelScores(Display):
    """The AUC of each label against the rest with its 95 % interval, the best first, undefined ones last.

    `patients` counts those with a positive image of each label, by its name; None where they are not known.
    """

    rows: tuple[Score, ...]
    patients: Mapping[str, int] | None = None

    section: ClassVar[str] = "scores"
    title: ClassVar[str] = "AUC of each label"

    @classmethod
    def from_rows(cls, rows: Iterable[Score], patients: Mapping[str, int] | None = None) -> "LabelScores":
        """Choose the AUCs of labels among rows, and sort them."""
        own = [row for row in rows if row.name == "auc" and row.label is not None]
        return cls(tuple(sorted(own, key=lambda row: -row.value if is_number(row.value) else np.inf)), patients)

    @property
    def caption(self) -> str:
        """Say which intervals are not above guessing, and which is the widest."""
        known = [row for row in self.rows if is_number(row.value)]
        if not known:
            return "No label has an AUC with an interval."
        what = "positive images" if self.patients is None else "patients with a positive image"
        few = f" Open dots rest on fewer than {FEWEST} {what}."
        said = _against_guessing([row for row in known if not self._is_rare(row)], what)
        if wide := [row for row in known if is_number(row.low)]:
            widest = max(wide, key=lambda row: row.high - row.low)
            said += f"; widest: {widest.label}, with {counted(widest.n, 'positive image')}"
        return f"{said}." + (few if any(map(self._is_rare, known)) else "")

    def _is_rare(self, row: Score) -> bool:
        return (row.n if self.patients is None else self.patients[str(row.label)]) < FEWEST

    @property
    def description(self) -> str:
        """Say every AUC and interval, or why there is none."""
        parts = (
            f"{row.label}: {number(row.value, 2)} {interval(row.low, row.high, 2)}".strip()
            if is_number(row.value)
            else f"{row.label}: {row.note or 'undefined'}"
            for row in self.rows
        )
        return "Dots with 95 % intervals. " + "; ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        """One line of 26 px per label."""
        left = margin_for(self._names(), 220)
        return Layout(left + 400, 26 * len(self.rows) + 58, left=left, right=54, top=22, bottom=36)

    def frame(self) -> pd.DataFrame:
        """One line per label: label, n, value, low, high, note."""
        lines = [(r.label, r.n, r.value, r.low, r.high, r.note) for r in self.rows]
        return pd.DataFrame(lines, columns=["label", "n", "value", "low", "high", "note"])

    def draw(self, ax: Axes) -> None:
        """A dot and a bar per label, the value at the right, guessing as a dashed line."""
        low = min([0.4, *(row.low for row in self.rows if is_number(row.low))])
        ax.axvline(GUESSING, color=MUTED, linewidth=1, dashes=(4, 3), zorder=1)
        ax.annotate("guessing", (GUESSING, 1), (0, 6), ("data", "axes fraction"), "offset points", ha="center",
                    color=MUTED, fontsize=12)  # fmt: skip
        for y, row in enumerate(self.rows):
            if not is_number(row.value):
                leave_lane_empty(ax, y, row.note or "undefined")
                continue
            draw_lane(ax, y, row.value, row.low, row.high, face=PAPER if self._is_rare(row) else "")
            write_in_lane(ax, y, number(row.value, 2))
        name_lanes(ax, self._names())
        ax.set_xlim(np.floor(low * 5) / 5, 1)

    def _names(self) -> list[str]:
        return [f"{shorten(str(row.label), 22)} ({count(row.n)})" for row in self.rows]


def _against_guessing(rows: Sequence[Score], what: str) -> str:
    if not rows:
        return f"No label has {FEWEST} {what} or more"
    below = [str(row.label) for row in rows if row.ends[1] < GUESSING]
    unclear = [str(row.label) for row in rows if row.ends[0] <= GUESSING <= row.ends[1]]
    said = [f"not clear of guessing: {listed(list(map(quoted, unclear)))}"] * bool(unclear)
    said += [f"worse than guessing: {listed(list(map(quoted, below)))}"] * bool(below)
    return sentence("; ".join(said) or "every interval is above guessing")
