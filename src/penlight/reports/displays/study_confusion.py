"""Confusion matrices of the recipes of a study, side by side."""

import textwrap
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.numbers import decimal_text
from penlight.reports.displays.base import Display, Layout, margin_for, ratio, shorten
from penlight.reports.displays.shared import divide, name_cells, scale_of_shades, shade_cells
from penlight.reports.palette import INK
from penlight.reports.study_content import MAJORITY, StudyRowResult, StudyTable
from penlight.reports.words import label_words, percent

Floats = NDArray[np.float64]

_LONGEST = 20
_MANY = 8
_COLUMNS = 4
_GAP, _HEAD = 22, 52


@dataclass(frozen=True)
class ConfusionGrid(Display):
    """Row rates (M, C, C) of M recipes: of the images of a class, summed over seeds, the share answered as each."""

    titles: tuple[str, ...]
    labels: tuple[str, ...]
    rates: Floats
    noun: str

    section: ClassVar[str] = "errors"
    title: ClassVar[str] = "Confusion matrices side by side"

    @classmethod
    def from_table(cls, table: StudyTable) -> "ConfusionGrid":
        """Take the counts of every entry; for tasks with one answer per image."""
        entries = _shown(table)
        counts = np.stack([entry.confusion for entry in entries]).astype(float)
        rates = ratio(counts, np.broadcast_to(counts.sum(axis=2, keepdims=True), counts.shape))
        titles = tuple(entry.title for entry in entries)
        return cls(titles, table.task.labels, rates, label_words(table.task, 1))

    @property
    def caption(self) -> str:
        """Say which class is found least often by the recipe that finds it best."""
        found = self.rates[:, np.arange(len(self.labels)), np.arange(len(self.labels))]
        known = np.where(np.isfinite(found), found, -1).max(axis=0)
        hardest = int(np.argmin(np.where(known < 0, 2, known)))
        best = self.titles[int(np.nanargmax(found[:, hardest]))] if known[hardest] >= 0 else ""
        head = f"Rows are the true {self.noun}, columns the answer, numbers per cent of the row over all seeds"
        if len(self.labels) > _MANY:
            head = f"Rows are the true {self.noun}, columns the answer in the same order, over all seeds"
        if known[hardest] <= 0:
            return f"{head}. No recipe ever answers {self.labels[hardest]} rightly."
        return (
            f"{head}. Hardest for all: {self.labels[hardest]}, found in {percent(known[hardest])} at best ({best})."
        )

    @property
    def description(self) -> str:
        """Say the share that each recipe gets right, class by class."""
        own = []
        for title, rates in zip(self.titles, self.rates, strict=True):
            shares = (f"{name} {percent(rates[i, i])}" for i, name in enumerate(self.labels))
            own.append(f"{title}: {', '.join(shares)}")
        return f"One matrix per recipe, shaded by the share of the row. Right: {'; '.join(own)}."

    @property
    def layout(self) -> Layout:
        """Up to four matrices in a line, names at the left."""
        rows, columns = self._grid
        left = margin_for([shorten(name, _LONGEST) for name in self.labels]) + 6
        side = (990 - left - (_COLUMNS - 1) * _GAP) / _COLUMNS
        width, height = columns * side + (columns - 1) * _GAP, rows * side + (rows - 1) * _HEAD
        return Layout(round(left + width + 10), round(height + _HEAD + 70), left=left, right=10, top=_HEAD, bottom=70)

    @property
    def _grid(self) -> tuple[int, int]:
        return -(-len(self.titles) // _COLUMNS), min(_COLUMNS, len(self.titles))

    def frame(self) -> pd.DataFrame:
        """One line per recipe and pair of classes: title, true, answered, rate."""
        lines = [
            (title, true, answered, self.rates[m, i, j])
            for m, title in enumerate(self.titles)
            for i, true in enumerate(self.labels)
            for j, answered in enumerate(self.labels)
        ]
        return pd.DataFrame(lines, columns=["title", "true", "answered", "rate"])

    def draw(self, ax: Axes) -> None:
        """One panel per recipe, its name above it."""
        rows, columns = self._grid
        layout = self.layout
        width, height = layout.width - layout.left - layout.right, layout.height - layout.top - layout.bottom
        panels = divide(ax, rows, columns, (_GAP / width, _HEAD / height))
        for m, panel in enumerate(panels):
            if m >= len(self.titles):
                panel.set_axis_off()
                continue
            few = len(self.labels) <= _MANY
            _shade(panel, self.rates[m], self.labels, with_text=few, named=m % columns == 0)
            panel.set_title(_two_lines(self.titles[m]), loc="left", fontsize=12.5, color=INK, pad=6)
        scale_of_shades(ax, "share of the row")


@dataclass(frozen=True)
class FindingGrid(Display):
    """Shares (M, C) of M recipes and C findings, over all seeds: `found`, of the images that have the finding, and
    `alarms`, of those that do not. NaN where there is no such image."""

    titles: tuple[str, ...]
    labels: tuple[str, ...]
    found: Floats
    alarms: Floats

    section: ClassVar[str] = "errors"
    title: ClassVar[str] = "Found, and false alarms, recipe beside recipe"

    @classmethod
    def from_table(cls, table: StudyTable) -> "FindingGrid":
        """Take the four counts of every entry; for tasks with any number of findings."""
        entries = _shown(table)
        counts = np.stack([entry.confusion for entry in entries]).astype(float)
        have, clear = counts[..., 0] + counts[..., 1], counts[..., 2] + counts[..., 3]
        titles = tuple(entry.title for entry in entries)
        return cls(titles, table.task.labels, ratio(counts[..., 0], have), ratio(counts[..., 2], clear))

    @property
    def caption(self) -> str:
        """Say that both must be read together, and which finding is found least."""
        best = np.where(np.isfinite(self.found), self.found, -1).max(axis=0)
        hardest = int(np.argmin(np.where(best < 0, 2, best)))
        least = f"{self.labels[hardest]}, {percent(best[hardest])} at best" if best[hardest] >= 0 else "none measured"
        return f"A recipe is good where the left is high and the right is low. Found least: {least}."

    @property
    def description(self) -> str:
        """Say the mean share found and the mean share of false alarms of each recipe."""
        own = (
            f"{title}: {percent(float(np.nanmean(f)))} found, {percent(float(np.nanmean(a)))} false alarms"
            for title, f, a in zip(self.titles, self.found, self.alarms, strict=True)
        )
        return "Shares of each finding by recipe; means over findings. " + "; ".join(own) + "."

    @property
    def layout(self) -> Layout:
        """One line per finding, one column per recipe, twice."""
        left = margin_for([shorten(name) for name in self.labels])
        below = round(0.62 * margin_for([shorten(title, 26) for title in self.titles], 220)) + 66
        return Layout(1000, 26 * len(self.labels) + below + 30, left=left, right=10, top=30, bottom=below)

    def frame(self) -> pd.DataFrame:
        """One line per recipe and finding: title, label, found, alarms."""
        lines = [
            (title, label, self.found[m, c], self.alarms[m, c])
            for m, title in enumerate(self.titles)
            for c, label in enumerate(self.labels)
        ]
        return pd.DataFrame(lines, columns=["title", "label", "found", "alarms"])

    def draw(self, ax: Axes) -> None:
        """Two panels shaded alike, per cent as text."""
        panels = divide(ax, 1, 2, (0.06, 0))
        for panel, shares, name in zip(
            panels, (self.found, self.alarms), ("found (sensitivity)", "false alarms (1 − specificity)"), strict=True
        ):
            _shade(panel, shares.T, self.labels, named=panel is panels[0])
            panel.set_title(name, loc="left", fontsize=12.5, color=INK, pad=6)
            places = np.arange(len(self.titles)) + 0.5
            names = [shorten(title, 26) for title in self.titles]
            panel.set_xticks(places, names, rotation=38, ha="right", rotation_mode="anchor")
        scale_of_shades(ax, "share of those with, or without, the finding")


def _shown(table: StudyTable) -> list[StudyRowResult]:
    """The entries whose errors say something: not the majority answer, unless there is nothing else."""
    return [entry for entry in table.entries if entry.backbone != MAJORITY] or list(table.entries)


def _two_lines(title: str) -> str:
    return "\n".join(textwrap.wrap(title, 26, max_lines=2, placeholder="…"))


def _shade(panel: Axes, rates: Floats, labels: tuple[str, ...], *, with_text: bool = True, named: bool) -> None:
    """Shade cells (R, K) from 0 to 1, with whole per cents as text, and the labels at the left where `named`."""
    texts = [["–" if np.isnan(rate) else decimal_text(100 * rate, 0) for rate in row] for row in rates]
    shade_cells(panel, rates, texts if with_text else None)
    panel.set_xlim(0, rates.shape[1])
    panel.set_xticks([])
    panel.set_yticks([])
    if named:
        name_cells(panel, [shorten(name, _LONGEST) for name in labels])
        panel.tick_params(axis="y", labelsize=12)
