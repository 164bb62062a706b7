"""The confusion matrix, and for findings the four counts of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.escaping import quoted
from penlight.numbers import counted, decimal_text
from penlight.reports.displays.base import Display, Floats, Layout, margin_for, ratio, shorten
from penlight.reports.displays.shared import name_cells, scale_of_shades, shade_cells
from penlight.reports.words import count, label_words, listed, number, percent
from penlight.runs.predictions import Predictions
from penlight.tasks.base import NO_FINDING, absent

Counts = NDArray[np.int64]

_LONGEST = 18
_MANY = 8


@dataclass(frozen=True)
class ConfusionMatrix(Display):
    """Counts (C, C) of images by true class (rows) and answered class (columns)."""

    counts: Counts
    labels: tuple[str, ...]
    noun: str = "class"
    seeds: int = 1

    title: ClassVar[str] = "Confusion matrix"

    @classmethod
    def from_predictions(cls, predictions: Predictions, decided: NDArray[np.uint8]) -> "ConfusionMatrix":
        """Count; `decided` (N, C) has exactly one 1 per row."""
        counts = predictions.y_true.astype(np.int64).T @ decided.astype(np.int64)
        return cls(counts, predictions.task.labels, label_words(predictions.task, 1))

    @property
    def rates(self) -> Floats:
        """(C, C) shares of each row; NaN in the row of a class without images."""
        total = np.broadcast_to(self.counts.sum(axis=1, keepdims=True), self.counts.shape)
        return ratio(self.counts.astype(float), total.astype(float))

    @property
    def caption(self) -> str:
        right = f"{count(int(np.trace(self.counts)))} of {count(int(self.counts.sum()))} are right"
        right = _summed(self.seeds) + right
        wrong = np.where(np.eye(len(self.labels), dtype=bool), 0, np.nan_to_num(self.rates))
        true, answered = np.unravel_index(np.argmax(wrong), wrong.shape)
        if wrong[true, answered] == 0:
            return f"{right}; no {self.noun} is taken for another."
        share = f"{count(int(self.counts[true, answered]))} of {count(int(self.counts[true].sum()))}"
        return f"{right}; most often mistaken: {self.labels[true]}, answered {self.labels[answered]} in {share}."

    @property
    def description(self) -> str:
        rows = (
            f"{label}: {percent(self.rates[i, i])} of {count(int(self.counts[i].sum()))} right"
            for i, label in enumerate(self.labels)
        )
        return (
            f"Matrix of true against answered {self.noun}, shaded by the share of the row. " + "; ".join(rows) + "."
        )

    @property
    def layout(self) -> Layout:
        left = margin_for([shorten(label, _LONGEST) for label in self.labels]) + 20
        side = min(300, 60 * len(self.labels)) if left > 110 else min(330, 66 * len(self.labels))
        side = max(side, 36 * len(self.labels)) if len(self.labels) > _MANY else side
        # Names at 40 degrees, the name of the axis, the scale of shades.
        below = round(0.6 * margin_for([shorten(label, _LONGEST) for label in self.labels])) + 28 + 62
        return Layout(left + side + 12, side + below + 6, left=left, right=12, top=6, bottom=below)

    def frame(self) -> pd.DataFrame:
        """One line per pair of classes: true, answered, count, rate."""
        pairs = [(t, a) for t in range(len(self.labels)) for a in range(len(self.labels))]
        lines = [(self.labels[t], self.labels[a], int(self.counts[t, a]), self.rates[t, a]) for t, a in pairs]
        return pd.DataFrame(lines, columns=["true", "answered", "count", "rate"])

    def draw(self, ax: Axes) -> None:
        """Shade by row rate, write counts, and put the scale of the shades below."""
        shade_cells(ax, self.rates, _texts(self.counts), size=13 if len(self.labels) < _MANY else 11)
        names = [shorten(label, _LONGEST) for label in self.labels]
        name_cells(ax, names, names)
        ax.set_ylabel(f"true {self.noun}")
        ax.set_xlabel(f"answered {self.noun}")
        scale_of_shades(ax, "share of the row")


_FOUR = ("found (TP)", "missed (FN)", "false alarm (FP)", "clear (TN)")


@dataclass(frozen=True)
class LabelConfusion(Display):
    """Counts (C, 4) of each finding: true positive, false negative, false positive, true negative."""

    counts: Counts
    labels: tuple[str, ...]
    seeds: int = 1

    title: ClassVar[str] = "True positives, false negatives, false positives, true negatives"

    @classmethod
    def from_predictions(cls, predictions: Predictions, decided: NDArray[np.uint8]) -> "LabelConfusion":
        """Count, each finding on its own."""
        y, d = predictions.y_true.astype(bool), decided.astype(bool)
        lacks = absent(predictions.y_true, predictions.known).astype(bool)
        four = np.stack([(y & d).sum(0), (y & ~d).sum(0), (lacks & d).sum(0), (lacks & ~d).sum(0)], axis=1)
        return cls(four.astype(np.int64), predictions.task.labels)

    @property
    def rates(self) -> Floats:
        """(C, 4): the first two as shares of those who have the finding, the others of those who do not."""
        pairs = self.counts.reshape(-1, 2, 2)
        total = np.broadcast_to(pairs.sum(axis=2, keepdims=True), pairs.shape)
        return ratio(pairs.astype(float), total.astype(float)).reshape(-1, 4)

    @property
    def caption(self) -> str:
        found, missed, false, _ = self.counts.sum(axis=0)
        never = [name for name, (tp, fn, _, _) in zip(self.labels, self.counts, strict=True) if tp == 0 and fn > 0]
        rate = f"{count(int(found))} of {counted(int(found + missed), 'finding')} are found"
        text = f"{_summed(self.seeds)}{rate}, with {count(int(false))} false alarms"
        return f"{text}; never found: {listed(list(map(quoted, never)))}." if never else f"{text}."

    @property
    def description(self) -> str:
        rows = (
            f"{name}: {tp} found, {fn} missed, {fp} false alarms, {tn} clear"
            for name, (tp, fn, fp, tn) in zip(self.labels, self.counts, strict=True)
        )
        return "Counts for each finding. " + "; ".join(rows) + "."

    @property
    def layout(self) -> Layout:
        left = margin_for([shorten(label) for label in self.labels])
        return Layout(left + 300, 26 * len(self.labels) + 108, left=left, right=10, top=46, bottom=62)

    def frame(self) -> pd.DataFrame:
        """One line per finding: label, tp, fn, fp, tn."""
        return pd.DataFrame(self.counts, columns=["tp", "fn", "fp", "tn"]).assign(label=self.labels)[
            ["label", "tp", "fn", "fp", "tn"]
        ]

    def draw(self, ax: Axes) -> None:
        """Shade by rate, write counts, leave a gap between those with and those without the finding."""
        edges = np.array([0, 1, 2, 2.12, 3.12, 4.12])
        texts = [[*row[:2], "", *row[2:]] for row in _texts(self.counts)]
        shade_cells(ax, np.insert(self.rates, 2, np.nan, axis=1), texts, edges=edges, size=13)
        name_cells(ax, [shorten(label) for label in self.labels])
        ax.xaxis.tick_top()
        ax.set_xticks([0.5, 1.5, 2.62, 3.62], [name.replace(" (", "\n(") for name in _FOUR], rotation=0, ha="center")
        scale_of_shades(ax, "share of those with, or without, the finding")


def over_seeds(of_each: Sequence[Any]) -> Any:
    """Sum the displays of one class of several seeds on the same images; the shades, which are shares, are then means
    over seeds."""
    first, seeds = of_each[0], len(of_each)
    n = {"n": seeds * first.n} if isinstance(first, Confusions) else {}
    if isinstance(first, Confusions) and first.known is not None:
        n["known"] = seeds * first.known
    return replace(first, counts=sum(own.counts for own in of_each), seeds=seeds, **n)


def _summed(seeds: int) -> str:
    if seeds == 1:
        return ""
    return f"Summed over {seeds} seeds: every image counts {seeds} times, and a shade is the mean over seeds. "


def _texts(counts: Counts) -> list[list[str]]:
    return [[count(n) for n in row] for row in counts.tolist()]


NOTHING = "nothing"


_FEWEST = 10


@dataclass(frozen=True)
class Confusions(Display):
    """Answers given to the images that truly have each finding.

    Row i holds the n[i] images that truly have finding i, so an image with several is in several rows; the last row
    holds those with none. `counts` (C + 1, C + 1) says in how many of them: off the diagonal, finding j was answered
    though it is not there; on the diagonal, finding i was answered, and for the last row nothing was; in the last
    column, nothing at all was answered. `rates` are `counts` over n of the row: on the diagonal sensitivity, at its
    end the share of images without findings that are left clear. Rows need not add up to 1. Where not all labels are
    known, `known` (C + 1, C + 1) says of how many images of each row the finding of the column is, which its rate is
    of; and the last row holds images of which all are known.
    """

    counts: Counts
    n: Counts
    labels: tuple[str, ...]
    seeds: int = 1
    known: Counts | None = None

    title: ClassVar[str] = "Confusions between findings"

    @classmethod
    def from_predictions(cls, predictions: Predictions, decided: NDArray[np.uint8]) -> "Confusions":
        """Count false answers, right answers, and images without an answer, by true finding."""
        y, d = predictions.y_true.astype(np.int64), decided.astype(np.int64)
        lacks = absent(predictions.y_true, predictions.known).astype(np.int64)
        truth = np.column_stack([y, lacks.all(axis=1)]).astype(np.int64)
        answer = np.column_stack([d, ~d.any(axis=1)]).astype(np.int64)
        counts = truth.T @ np.column_stack([answer[:, :-1] * lacks, answer[:, -1]])
        found = (truth * answer).sum(axis=0)
        counts[np.diag_indices(len(counts))] = found
        known = None
        if predictions.known is not None:
            known = truth.T @ np.column_stack([predictions.known, np.ones(len(y))]).astype(np.int64)
        return cls(counts, truth.sum(axis=0), predictions.task.labels, known=known)

    @property
    def rates(self) -> Floats:
        """(C + 1, C + 1) shares of the images of each row; NaN in the row of a finding without images."""
        return ratio(self.counts.astype(float), self._of.astype(float))

    @property
    def _of(self) -> Counts:
        return np.broadcast_to(self.n[:, None], self.counts.shape) if self.known is None else self.known

    @property
    def caption(self) -> str:
        how = _summed(self.seeds) + (
            "Of the images that truly have the finding of a row (their number beside it), the share in per cent in "
            "which that of the column was answered though it is not there; on the diagonal, in which it was found "
            "(sensitivity)."
        )
        false = np.where(self.n[:-1, None] >= _FEWEST, self.rates[:-1, :-1], 0)
        false = np.where(np.eye(len(self.labels), dtype=bool), 0, np.nan_to_num(false))
        row, column = np.unravel_index(np.argmax(false), false.shape)
        if false[row, column] == 0:
            return f"{how} No other finding is answered in a row of {_FEWEST} images or more."
        share = f"{count(int(self.counts[row, column]))} of {count(int(self._of[row, column]))}"
        return f"{how} Most often: {self.labels[column]}, in {share} images with {self.labels[row]}."

    @property
    def description(self) -> str:
        return "Matrix of true findings against answers. " + "; ".join(map(self._row, range(len(self.labels)))) + "."

    @property
    def layout(self) -> Layout:
        side = len(self.n)
        left = margin_for(self._rows(), 210) + 20
        below = round(0.66 * margin_for(self._columns())) + 28 + 62
        return Layout(left + 40 * side + 12, 30 * side + below + 6, left=left, right=12, top=6, bottom=below)

    def frame(self) -> pd.DataFrame:
        """One line per cell: true, answered, count, n, rate."""
        rows, columns = (*self.labels, NO_FINDING), (*self.labels, NOTHING)
        cells = [(r, c) for r in range(len(rows)) for c in range(len(columns))]
        of = self._of
        lines = [(rows[r], columns[c], int(self.counts[r, c]), int(of[r, c]), self.rates[r, c]) for r, c in cells]
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
