"""What a dataset of findings holds, as the data room draws it: presence, number, company, place in the file."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penlight.data.plots import PANELS, plot_per_image, plot_positions, plot_presence, plot_together, position_grid
from penlight.data.show_page import presence_text
from penlight.data.summary import ANY_FINDING, PER_IMAGE, DataDescription, Findings, Positions
from penlight.reports.displays.base import Layout, margin_for
from penlight.reports.words import count, percent

_COMPANY = 0.15


@dataclass(frozen=True)
class Presence:
    """How many training images have each finding, and any, and how many do not."""

    data: DataDescription

    section: ClassVar[str] = "data"
    title: ClassVar[str] = "Present and absent in train"

    @property
    def caption(self) -> str:
        """Say how many have any, and how rare the commonest is."""
        return presence_text(self.data)

    @property
    def description(self) -> str:
        """Say the two counts of each finding."""
        rows = (f"{label}: {count(n)} and {count(rest)}" for label, n, rest in self._lines())
        return "Bars of the training images that have each finding, and the rest. " + "; ".join(rows) + "."

    @property
    def layout(self) -> Layout:
        """One line of 26 px per finding."""
        rows = len(self.data.rows)
        return Layout(480, 26 * rows + 62, left=margin_for(self.data.rows), right=6, top=6, bottom=28)

    def frame(self) -> pd.DataFrame:
        """One line for any finding, then one for each: label, present, absent."""
        return pd.DataFrame(self._lines(), columns=["label", "present", "absent"])

    def plot(self, ax: Axes) -> None:
        """Fill a bar as far as there are images with the finding."""
        plot_presence(self.data, ax)

    def _lines(self) -> list[tuple[str, int, int]]:
        counts, n = self.data.counts["train"], self.data.images["train"]
        names = (ANY_FINDING, *self.data.rows[:-1])
        return [(name, m, n - m) for name, m in zip(names, (n - counts[-1], *counts[:-1]), strict=True)]


@dataclass(frozen=True)
class PerImage:
    """How many findings an image has, by split."""

    findings: Findings

    section: ClassVar[str] = "data"
    title: ClassVar[str] = "Findings in one image"

    @property
    def caption(self) -> str:
        """Say how many training images have none, one and several."""
        return self.findings.per_image_text()

    @property
    def description(self) -> str:
        """Say the share of each number in each split."""
        shares = {split: self.findings.per_image_shares(split) for split in self.findings.per_image}
        rows = (
            f"{name}: " + ", ".join(f"{split} {percent(values[i])}" for split, values in shares.items())
            for i, name in enumerate(PER_IMAGE)
        )
        return "Bars of the share of images by their number of findings. " + "; ".join(rows) + "."

    @property
    def layout(self) -> Layout:
        """One line of 32 px per number."""
        return Layout(440, 32 * len(PER_IMAGE) + 40, left=margin_for(PER_IMAGE), right=6, top=32, bottom=6)

    def frame(self) -> pd.DataFrame:
        """One line per number of findings: images by split."""
        return pd.DataFrame(dict(self.findings.per_image), index=pd.Index(PER_IMAGE, name="findings"))

    def plot(self, ax: Axes) -> None:
        """A bar for train, signs for the other splits."""
        plot_per_image(self.findings, ax)


@dataclass(frozen=True)
class Together:
    """Which findings come together in train: the share of those with the row's that also have the column's."""

    findings: Findings

    section: ClassVar[str] = "data"
    title: ClassVar[str] = "Which occur together in train"

    @property
    def caption(self) -> str:
        """Say how to read a cell, and the strongest bond."""
        return (
            "Of the training images with the finding of a row (their number beside it), the share in per cent that "
            f"also has that of the column. {self.findings.together_text()}"
        )

    @property
    def description(self) -> str:
        """Say the bonds that many share."""
        shares = self.findings.shares_together
        pairs = np.argwhere(np.nan_to_num(shares) >= _COMPANY)
        parts = (
            f"{self.findings.labels[r]} with {self.findings.labels[c]} in {percent(float(shares[r, c]))}"
            for r, c in pairs
        )
        said = "; ".join(parts) or "none"
        return f"Matrix of findings by findings. From {percent(_COMPANY)} on: {said}."

    @property
    def layout(self) -> Layout:
        """Cells wide enough for two digits."""
        n = len(self.findings.labels)
        left = margin_for([f"{name} (00,000)" for name in self.findings.labels], 210)
        below = round(0.66 * margin_for(self.findings.labels)) + 14
        return Layout(left + 40 * n + 70, 30 * n + below + 12, left=left, right=70, top=12, bottom=below)

    def frame(self) -> pd.DataFrame:
        """One line per pair: finding, other, both, share."""
        labels, shares = self.findings.labels, self.findings.shares_together
        pairs = [(r, c) for r in range(len(labels)) for c in range(len(labels)) if r != c]
        lines = [(labels[r], labels[c], int(self.findings.together[r, c]), shares[r, c]) for r, c in pairs]
        return pd.DataFrame(lines, columns=["finding", "other", "both", "share"])

    def plot(self, ax: Axes) -> None:
        """Shade by share, write the share."""
        plot_together(self.findings, ax)


@dataclass(frozen=True)
class AlongTheFile:
    """How often each label occurs in consecutive parts of each split."""

    positions: Positions

    section: ClassVar[str] = "data"
    title: ClassVar[str] = "Along the file"

    @property
    def caption(self) -> str:
        """Say which drift; the band is drawn for train."""
        return f"{self.positions.text()} The band holds 95 % of the shares that a shuffled train split would have."

    @property
    def description(self) -> str:
        """Say of each label whether it drifts."""
        rows = (f"{row}: {word}" for row, word in zip(self.positions.rows, self.positions.words(), strict=True))
        return "Lines of each label's share in consecutive parts of each split. " + "; ".join(rows) + "."

    @property
    def layout(self) -> Layout:
        """A panel per label."""
        rows, _ = position_grid(len(self.positions.rows))
        return Layout(184 * PANELS + 60, 132 * rows + 76, left=48, right=12, top=76, bottom=24)

    def frame(self) -> pd.DataFrame:
        """One line per split, part and label: images, count, share."""
        found = [
            (split, part, row, int(n), int(counts[part, column]), counts[part, column] / n)
            for split, counts in self.positions.counts.items()
            for part, n in enumerate(self.positions.images[split])
            for column, row in enumerate(self.positions.rows)
        ]
        return pd.DataFrame(found, columns=["split", "part", "label", "images", "count", "share"])

    def plot(self, ax: Axes) -> None:
        """Draw a panel per label, with the band of chance for train."""
        plot_positions(self.positions, ax)
