"""How often each label occurs in each split."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from penlight.data.summary import DataDescription
from penlight.numbers import counted, decimal_text
from penlight.reports.displays.base import Display, Floats, Layout, margin_for, shorten
from penlight.reports.palette import INK, MUTED, PAPER, palette
from penlight.reports.words import count, percent


@dataclass(frozen=True)
class ClassDistribution(Display):
    """Counts and shares of each label by split; `counts` has labels as index and splits as columns."""

    counts: pd.DataFrame
    shares: pd.DataFrame
    colours: tuple[str, ...]

    section: ClassVar[str] = "data"
    title: ClassVar[str] = "How often each label occurs"

    @classmethod
    def from_description(cls, data: DataDescription) -> "ClassDistribution":
        """Take the counts of each label, and of images without one where there may be such."""
        index = pd.Index(data.rows, name="label")
        shares = pd.DataFrame({split: data.shares(split) for split in data.images}, index=index)
        colours = [colour.day for colour in palette(data.task)]
        without = [MUTED] * (len(data.rows) - len(colours))
        return cls(pd.DataFrame(dict(data.counts), index=index), shares, (*colours, *without))

    @property
    def caption(self) -> str:
        """Say how uneven the labels are in the first split, and how far the splits differ."""
        first = self.counts.iloc[:, 0]
        most, least = str(first.idxmax()), str(first.idxmin())
        if first.min() == first.max():
            uneven = f"every label has {counted(int(first.min()), 'image')}"
        elif first.min() > 0:
            times = first.max() / first.min()
            uneven = f"{most} is {decimal_text(times, 1 if times < 10 else 0)} times as frequent as {least}"
        else:
            uneven = f"{most} is the most frequent label, {least} never occurs"
        apart = float((self.shares.max(axis=1) - self.shares.min(axis=1)).max())
        differs = f"a label's share differs by at most {decimal_text(100 * apart, 1)} points between splits"
        return f"In {self.counts.columns[0]}, {uneven}; {differs}."

    @property
    def description(self) -> str:
        """Say each label's share in each split."""
        rows = (
            f"{label}: " + ", ".join(f"{split} {percent(float(row[split]))}" for split in self.shares.columns)
            for label, row in self.shares.iterrows()
        )
        return "Bars of the share of images by label. " + "; ".join(rows) + "."

    @property
    def layout(self) -> Layout:
        """One line of 32 px per label."""
        left = margin_for([shorten(str(label)) for label in self.counts.index])
        return Layout(440, 32 * len(self.counts) + 84, left=left, right=56, top=30, bottom=46)

    def frame(self) -> pd.DataFrame:
        """One line per label: counts and shares by split."""
        return self.counts.join(self.shares.add_suffix("_share"))

    def draw(self, ax: Axes) -> None:
        """A bar for the first split, with its count; open signs for the other splits."""
        y = np.arange(len(self.counts), dtype=float)
        first, *others = self.shares.columns
        ax.barh(y, self.shares[first], 0.62, color=self.colours)
        for split, sign in zip(others, ("o", "D"), strict=False):
            ax.plot(self.shares[split], y, sign, color=INK, markerfacecolor=PAPER, markersize=6.5,
                    markeredgewidth=1.4, clip_on=False)  # fmt: skip
        widest = self.shares.max(axis=1)
        for row, n in enumerate(self.counts[first]):
            ax.annotate(count(int(n)), (float(widest.iloc[row]), row), (10, 0), "data", "offset points",
                        va="center", color=MUTED, fontsize=12, annotation_clip=False)  # fmt: skip
        self._finish(ax, y, float(widest.max()))

    def _finish(self, ax: Axes, y: Floats, most: float) -> None:
        ax.set_ylim(len(y) - 0.5, -0.5)
        ax.set_yticks(y, [shorten(str(label)) for label in self.counts.index], color=INK)
        ax.set_xlim(0, most * 1.02 if most > 0 else 1)
        ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.set_xlabel("share of the images of the split, %")
        ax.tick_params(axis="x", length=3)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        signs = zip(("▬", "○", "◇"), self.shares.columns, strict=False)
        for place, (sign, split) in enumerate(signs):
            ax.annotate(f"{sign} {split}", (0, 1), (64 * place, 14), "axes fraction", "offset points",
                        color=MUTED, fontsize=12, va="center")  # fmt: skip
