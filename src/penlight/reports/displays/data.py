"""What a dataset of findings holds: presence, number per image, co-occurrence, frequency along the file."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from penlight.data.summary import ANY_FINDING, PER_IMAGE, DataDescription, Findings, Positions
from penlight.numbers import counted, decimal_text, percent_text
from penlight.reports.displays.base import Display, Floats, Layout, margin_for, shorten
from penlight.reports.displays.shared import divide, name_cells, scale_of_shades, shade_cells
from penlight.reports.palette import ACCENT, INK, MUTED, PAPER, RULE, palette
from penlight.reports.words import count, percent

PANELS = 5
"""Panels in a row of `AlongTheFile`, whose figure is as wide as so many also where there are fewer labels."""

_LINE = 34
_TITLE = 18
"""Letters of a label above one of `PANELS` panels in a row."""

# Val and test stand a little above and below the middle of the bar, so that neither hides the other.
_MARKS = {"val": ("o", -0.16), "test": ("D", 0.16)}
_LINES = {"val": (3.0, 1.5), "test": (1.0, 1.3)}
_COMPANY = 0.15


@dataclass(frozen=True)
class Presence(Display):
    """How many training images have each finding, and any, and how many do not."""

    data: DataDescription

    title: ClassVar[str] = "Frequency of findings in train"

    @property
    def caption(self) -> str:
        counts, known = self.data.counts["train"], self.data.known_of("train")
        n = known[-1]
        most = max(range(len(counts) - 1), key=counts.__getitem__)
        images = "training images" if self.data.known is None else "training images of which all is known"
        return (
            f"{n - counts[-1]:,} of {n:,} {images} have a finding; even the most frequent one, "
            f"{self.data.rows[most]}, is absent from {percent_text(1 - counts[most] / max(1, known[most]))}."
        )

    @property
    def description(self) -> str:
        rows = (f"{label}: {count(n)} and {count(rest)}" for label, n, rest in self._lines())
        return "Bars of the training images that have each finding, and the rest. " + "; ".join(rows) + "."

    @property
    def layout(self) -> Layout:
        rows = len(self.data.rows)
        return Layout(480, 26 * rows + 62, left=margin_for(self.data.rows), right=6, top=6, bottom=28)

    def frame(self) -> pd.DataFrame:
        """One line for any finding, then one for each: label, present, absent."""
        return pd.DataFrame(self._lines(), columns=["label", "present", "absent"])

    def draw(self, ax: Axes) -> None:
        """Fill a bar as far as there are images with the finding."""
        lines = self._lines()
        y = np.arange(len(lines))
        ax.barh(y, 1, height=0.68, color="none", edgecolor=RULE, linewidth=0.8)
        ax.barh(y, [present / max(1, present + absent) for _, present, absent in lines], height=0.68, color=ACCENT)
        for row, (_, present, absent) in enumerate(lines):
            ax.text(1.03, row, f"{present:,} / {absent:,}", va="center", color=INK)
        ax.text(1.03, -0.95, "present / absent", va="center", color=MUTED)
        ax.set_yticks(y, [_wrapped(name) for name, _, _ in lines])
        ax.set_ylim(len(y) - 0.4, -1.4)
        ax.set_xlim(0, 1.6)
        ax.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0, colors=INK)

    def _lines(self) -> list[tuple[str, int, int]]:
        counts, known = self.data.counts["train"], self.data.known_of("train")
        names = (ANY_FINDING, *self.data.rows[:-1])
        present = (known[-1] - counts[-1], *counts[:-1])
        of = (known[-1], *known[:-1])
        return [(name, m, n - m) for name, m, n in zip(names, present, of, strict=True)]


@dataclass(frozen=True)
class PerImage(Display):
    """How many findings an image has, by split."""

    findings: Findings

    title: ClassVar[str] = "Number of findings per image"

    @property
    def caption(self) -> str:
        return self.findings.per_image_text()

    @property
    def description(self) -> str:
        shares = {split: self.findings.per_image_shares(split) for split in self.findings.per_image}
        rows = (
            f"{name}: " + ", ".join(f"{split} {percent(values[i])}" for split, values in shares.items())
            for i, name in enumerate(PER_IMAGE)
        )
        return "Bars of the share of images by their number of findings. " + "; ".join(rows) + "."

    @property
    def layout(self) -> Layout:
        return Layout(440, 32 * len(PER_IMAGE) + 40, left=margin_for(PER_IMAGE), right=6, top=32, bottom=6)

    def frame(self) -> pd.DataFrame:
        """One line per number of findings: images by split."""
        return pd.DataFrame(dict(self.findings.per_image), index=pd.Index(PER_IMAGE, name="findings"))

    def draw(self, ax: Axes) -> None:
        """A bar for train, signs for the other splits."""
        shares = {split: self.findings.per_image_shares(split) for split in self.findings.per_image}
        y = np.arange(len(PER_IMAGE))
        bars = ax.barh(y, shares["train"], height=0.68, color=ACCENT)
        signs = {split: _open_signs(shares[split], split, ax) for split in _MARKS if split in shares}
        ends = np.max(list(shares.values()), axis=0)
        for row, share in enumerate(shares["train"]):
            text = f"{percent_text(share)}  ({self.findings.per_image['train'][row]:,})"
            ax.text(ends[row] + 0.03 * ends.max(), row, text, va="center", color=INK)
        ax.set_yticks(y, PER_IMAGE)
        ax.set_ylim(len(y) - 0.4, -0.6)
        ax.set_xlim(0, 1.3 * ends.max())
        ax.set_xticks([])
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0, colors=INK)
        ax.legend([bars, *signs.values()], ["train, with share and count", *signs], loc="lower left",
                  bbox_to_anchor=(0, 1), ncols=3, frameon=False, labelcolor=INK, borderaxespad=0.2, borderpad=0.2,
                  handlelength=1.3, handletextpad=0.4, columnspacing=1)  # fmt: skip


@dataclass(frozen=True)
class Together(Display):
    """Which findings come together in train: the share of those with the row's that also have the column's."""

    findings: Findings

    title: ClassVar[str] = "Co-occurrence of findings in train"

    @property
    def caption(self) -> str:
        return (
            "Of the training images with the finding of a row (their number beside it), the share in per cent that "
            f"also has that of the column. {self.findings.together_text()}"
        )

    @property
    def description(self) -> str:
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
        n = len(self.findings.labels)
        left = margin_for([f"{name} (00,000)" for name in self.findings.labels], 210)
        below = round(0.66 * margin_for(self.findings.labels)) + 14 + 62
        return Layout(left + 40 * n + 12, 30 * n + below + 12, left=left, right=12, top=12, bottom=below)

    def frame(self) -> pd.DataFrame:
        """One line per pair: finding, other, both, share."""
        labels, shares = self.findings.labels, self.findings.shares_together
        pairs = [(r, c) for r in range(len(labels)) for c in range(len(labels)) if r != c]
        lines = [(labels[r], labels[c], int(self.findings.together[r, c]), shares[r, c]) for r, c in pairs]
        return pd.DataFrame(lines, columns=["finding", "other", "both", "share"])

    def draw(self, ax: Axes) -> None:
        """Shade by share, write the share."""
        shares, labels = self.findings.shares_together, self.findings.labels
        top = _round_up(float(np.nanmax(np.nan_to_num(shares))))
        texts = [["" if np.isnan(share) else decimal_text(100 * share, 0) for share in row] for row in shares]
        shade_cells(ax, shares, texts, top=top)
        numbers = np.diag(self.findings.together)
        rows = [_wrapped(f"{name} ({n:,})") for name, n in zip(labels, numbers, strict=True)]
        name_cells(ax, rows, labels)
        ax.tick_params(colors=INK)
        scale_of_shades(ax, "share of the images of the row", top)


@dataclass(frozen=True)
class AlongTheFile(Display):
    """Label frequencies in consecutive parts of each split."""

    positions: Positions

    title: ClassVar[str] = "Label frequency by position in the file"

    @property
    def caption(self) -> str:
        return f"{self.positions.text()} The band holds 95 % of the shares that a shuffled train split would have."

    @property
    def description(self) -> str:
        rows = (f"{row}: {word}" for row, word in zip(self.positions.rows, self.positions.words(), strict=True))
        return "Lines of each label's share in consecutive parts of each split. " + "; ".join(rows) + "."

    @property
    def layout(self) -> Layout:
        rows, _ = self._grid()
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

    def draw(self, ax: Axes) -> None:
        """Draw a panel per label, with the band of chance for train."""
        rows, columns = self._grid()
        names, words = self.positions.rows, self.positions.words()
        most = _TITLE * PANELS // columns
        panels = divide(ax, len(names), columns, (0.09, 0.46 / rows))
        for column, (name, panel) in enumerate(zip(names, panels, strict=True)):
            _plot_position(self.positions, column, panel)
            # A longer name would lie over that of the next panel; the table has it whole.
            panel.set_title(shorten(name, most), loc="left", color=INK, fontsize="medium",
                            pad=1.45 * rcParams["font.size"])  # fmt: skip
            colour = ACCENT if words[column].startswith("drifts") else MUTED
            panel.annotate(words[column], (0, 1), (0, 4), "axes fraction", "offset points", color=colour,
                           fontsize="small")  # fmt: skip
            panel.tick_params(labelbottom=column + columns >= len(names))
        _key(ax, self.positions.counts)

    def _grid(self) -> tuple[int, int]:
        """Rows and columns of panels; fewer columns are wider, so that the key fits above them."""
        columns = min(len(self.positions.rows), PANELS)
        return -(-len(self.positions.rows) // columns), columns


def _wrapped(label: str) -> str:
    """Break a long label into lines."""
    return textwrap.fill(label, _LINE)


def _open_signs(shares: Sequence[float], split: str, ax: Axes) -> Line2D:
    sign, shift = _MARKS[split]
    return ax.plot(shares, np.arange(len(shares)) + shift, sign, markersize=5.5, clip_on=False,
                   markerfacecolor=PAPER, markeredgecolor=INK)[0]  # fmt: skip


def _plot_position(positions: Positions, row: int, ax: Axes) -> None:
    low, high = positions.chance("train")
    top = high[:, row].max()
    for split in positions.counts:
        share = positions.shares(split)[:, row]
        place = (np.cumsum(positions.images[split]) - positions.images[split] / 2) / positions.images[split].sum()
        top = max(top, share.max())
        if split == "train":
            ax.fill_between(place, low[:, row], high[:, row], color=ACCENT, alpha=0.18, linewidth=0)
            ax.plot(place, share, color=ACCENT, linewidth=1.8)
        else:
            ax.plot(place, share, color=MUTED, linewidth=1.1, dashes=_LINES[split])
    top = _round_up(float(top))
    ax.set_ylim(0, top)
    ax.set_yticks([0, top], ["0", f"{100 * top:.3g} %"])
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 1], ["first", "last"])
    ax.set_facecolor("none")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(RULE)
    ax.tick_params(length=2, labelcolor=MUTED, color=RULE, labelsize="small")
    first, last = ax.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def _key(ax: Axes, splits: Iterable[str]) -> None:
    dashes = {split: own for split, own in _LINES.items() if split in splits}
    lines = [Line2D([], [], color=ACCENT, linewidth=1.8)]
    lines += [Line2D([], [], color=MUTED, linewidth=1.1, dashes=own) for own in dashes.values()]
    ax.legend(
        lines,
        ["train, with the band of chance", *dashes],
        loc="lower left",
        # The titles of the first row of panels stand in between.
        bbox_to_anchor=(0, 1),
        bbox_transform=ax.transAxes,
        borderaxespad=3.2,
        ncols=3,
        frameon=False,
        labelcolor=INK,
        borderpad=0,
    )


def _round_up(share: float) -> float:
    """Give the next share that is 1, 2 or 5 times a power of ten, or a tenth; at most 1."""
    if share <= 0:
        return 1.0
    if share > 0.1:
        return min(1.0, float(np.ceil(share * 10 - 1e-9)) / 10)
    power = 10.0 ** np.floor(np.log10(share))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= share * (1 - 1e-9)))


@dataclass(frozen=True)
class ClassDistribution(Display):
    """Counts and shares of each label by split; `counts` has labels as index and splits as columns."""

    counts: pd.DataFrame
    shares: pd.DataFrame
    colours: tuple[str, ...]

    title: ClassVar[str] = "Label frequencies"

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
        rows = (
            f"{label}: " + ", ".join(f"{split} {percent(float(row[split]))}" for split in self.shares.columns)
            for label, row in self.shares.iterrows()
        )
        return "Bars of the share of images by label. " + "; ".join(rows) + "."

    @property
    def layout(self) -> Layout:
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
