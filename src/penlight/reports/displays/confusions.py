"""Confusions between findings, where an image may have several."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.numbers import decimal_text
from penlight.reports.displays.base import Display, Floats, Layout, margin_for, ratio, shorten
from penlight.reports.displays.confusion import Counts
from penlight.reports.displays.shared import name_cells, scale_of_shades, shade_cells
from penlight.reports.words import count, number
from penlight.runs.predictions import Predictions
from penlight.tasks.base import NO_FINDING

NOTHING = "nothing"

_LONGEST = 18
_FEWEST = 10


@dataclass(frozen=True)
class Confusions(Display):
    """Answers given to the images that truly have each finding.

    Row i holds the n[i] images that truly have finding i, so an image with several is in several rows; the last row
    holds those with none. `counts` (C + 1, C + 1) says in how many of them: off the diagonal, finding j was answered
    though it is not there; on the diagonal, finding i was answered, and for the last row nothing was; in the last
    column, nothing at all was answered. `rates` are `counts` over n of the row: on the diagonal sensitivity, at its
    end the share of images without findings that are left clear. Rows need not add up to 1.
    """

    counts: Counts
    n: Counts
    labels: tuple[str, ...]

    section: ClassVar[str] = "errors"
    title: ClassVar[str] = "What is taken for what"

    @classmethod
    def from_predictions(cls, predictions: Predictions, decided: NDArray[np.uint8]) -> "Confusions":
        """Count false answers, right answers, and images without an answer, by true finding."""
        y, d = predictions.y_true.astype(np.int64), decided.astype(np.int64)
        truth = np.column_stack([y, ~y.any(axis=1)]).astype(np.int64)
        answer = np.column_stack([d, ~d.any(axis=1)]).astype(np.int64)
        counts = truth.T @ np.column_stack([answer[:, :-1] * (1 - y), answer[:, -1]])
        found = (truth * answer).sum(axis=0)
        counts[np.diag_indices(len(counts))] = found
        return cls(counts, truth.sum(axis=0), predictions.task.labels)

    @property
    def rates(self) -> Floats:
        """(C + 1, C + 1) shares of the images of each row; NaN in the row of a finding without images."""
        n = np.broadcast_to(self.n[:, None], self.counts.shape)
        return ratio(self.counts.astype(float), n.astype(float))

    @property
    def caption(self) -> str:
        """Say how to read a cell, and the commonest false answer among rows that are not tiny."""
        how = (
            "Of the images that truly have the finding of a row (their number beside it), the share in per cent in "
            "which that of the column was answered though it is not there; on the diagonal, in which it was found "
            "(sensitivity)."
        )
        false = np.where(self.n[:-1, None] >= _FEWEST, self.rates[:-1, :-1], 0)
        false = np.where(np.eye(len(self.labels), dtype=bool), 0, np.nan_to_num(false))
        row, column = np.unravel_index(np.argmax(false), false.shape)
        if false[row, column] == 0:
            return f"{how} No other finding is answered in a row of {_FEWEST} images or more."
        share = f"{count(int(self.counts[row, column]))} of {count(int(self.n[row]))}"
        return f"{how} Most often: {self.labels[column]}, in {share} images with {self.labels[row]}."

    @property
    def description(self) -> str:
        """Say of each row its diagonal and its commonest false answer."""
        return "Matrix of true findings against answers. " + "; ".join(map(self._row, range(len(self.labels)))) + "."

    @property
    def layout(self) -> Layout:
        """Cells wide enough for three digits."""
        side = len(self.n)
        left = margin_for(self._rows(), 210) + 20
        below = round(0.66 * margin_for(self._columns())) + 28 + 62
        return Layout(left + 40 * side + 12, 30 * side + below + 6, left=left, right=12, top=6, bottom=below)

    def frame(self) -> pd.DataFrame:
        """One line per cell: true, answered, count, n, rate."""
        rows, columns = (*self.labels, NO_FINDING), (*self.labels, NOTHING)
        cells = [(r, c) for r in range(len(rows)) for c in range(len(columns))]
        lines = [(rows[r], columns[c], int(self.counts[r, c]), int(self.n[r]), self.rates[r, c]) for r, c in cells]
        return pd.DataFrame(lines, columns=["true", "answered", "count", "n", "rate"])

    def draw(self, ax: Axes) -> None:
        """Shade by share, write the share in per cent, the diagonal bold, and put the scale of the shades below."""
        texts = [[decimal_text(100 * r, 0) if np.isfinite(r) else number(r) for r in row] for row in self.rates]
        shade_cells(ax, self.rates, texts)
        for text in ax.texts[:: len(self.n) + 1]:
            text.set_fontweight("bold")
        name_cells(ax, self._rows(), self._columns())
        ax.set_ylabel("truly there")
        ax.set_xlabel("answered")
        scale_of_shades(ax, "share of the images of the row")

    def _rows(self) -> list[str]:
        names = (*self.labels, NO_FINDING)
        return [f"{shorten(name, _LONGEST)} ({count(int(n))})" for name, n in zip(names, self.n, strict=True)]

    def _columns(self) -> list[str]:
        return [shorten(name, _LONGEST) for name in (*self.labels, NOTHING)]

    def _row(self, row: int) -> str:
        if self.n[row] == 0:
            return f"{self.labels[row]}: no image"
        others = np.delete(np.arange(len(self.labels)), row)
        if not len(others):
            return f"{self.labels[row]}: found in {number(self.rates[row, row], 2)}"
        most = int(others[np.argmax(self.rates[row, others])])
        return (
            f"{self.labels[row]}: found in {number(self.rates[row, row], 2)}, most false answers {self.labels[most]} "
            f"in {number(self.rates[row, most], 2)}"
        )
