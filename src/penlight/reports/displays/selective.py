"""Answering only where one is sure: the risk-coverage curve, and the sets of possible answers."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.escaping import quoted
from penlight.evaluation.conformal import Conformal, candidate_labels
from penlight.evaluation.proportions import share_interval
from penlight.evaluation.selective import RiskCoverage, errors_and_confidence, is_singleton
from penlight.reports.displays.base import (
    Display,
    Floats,
    Layout,
    margin_for,
    rate_axis,
    ratio,
    shorten,
    thinned,
)
from penlight.reports.displays.shared import draw_lane, leave_lane_empty, mark_value
from penlight.reports.palette import ACCENT, INK, MUTED, PAPER
from penlight.reports.words import count, label_words, listed, number, percent, sentence
from penlight.runs.predictions import Predictions

_PALEST = 0.18
_ROOM_RIGHT = 0.45


@dataclass(frozen=True)
class RiskCurve(Display):
    """Error among the surest answers against the share that they are, (G,) each, down to each `confidence`.

    `area` is the mean error over all shares, `overall` that of all answers; `point` (share, error) is where the sets
    leave the decision alone, NaN where nothing is answered so, None without sets; `noun` is what is answered.
    """

    share: Floats
    error: Floats
    confidence: Floats
    area: float
    overall: float
    point: tuple[float, float] | None
    noun: str

    title: ClassVar[str] = "Risk-coverage curve"

    @classmethod
    def from_predictions(
        cls, predictions: Predictions, decided: NDArray[np.uint8], conformal: Conformal | None = None
    ) -> "RiskCurve":
        """Compute from calibrated predictions and their decisions (N, C); `conformal` makes their sets."""
        p = predictions
        wrong, confidence = errors_and_confidence(p.task, p.y_true, p.prob, decided)
        risk = RiskCoverage.of(wrong, confidence, p.known)
        known = np.ones_like(wrong) if p.known is None else p.known
        point = None
        if conformal is not None:
            given = is_singleton(conformal.sets_with(p.task, p.prob, decided), candidate_labels(p.task, decided))
            given &= known
            point = float(given[known].mean()), float(ratio(np.array((wrong & given).sum()), np.array(given.sum())))
        noun = "images" if p.task.exclusive else f"pairs of image and {label_words(p.task, 1)}"
        area = float(risk.area(np.ones((1, len(p))))[0])
        return cls(*risk.curve(), risk.confidence, area, float(wrong[known].mean()), point, noun)

    @property
    def caption(self) -> str:
        half = int(np.searchsorted(self.share, 0.5))
        curve = (
            f"Of all {self.noun}, {percent(self.overall)} are answered wrongly; of the surest "
            f"{percent(self.share[half])}, {percent(self.error[half])}."
        )
        if self.point is None:
            return curve
        share, error = self.point
        if not math.isfinite(error):
            return f"{curve} No set has a single label."
        return f"{curve} Where the set has a single label ({percent(share)}), {percent(error)} are (diamond)."

    @property
    def description(self) -> str:
        places = [int(np.searchsorted(self.share, s)) for s in (0.25, 0.5, 0.75)]
        parts = [f"error {number(self.error[i], 3)} at {number(self.share[i], 2)} answered" for i in places]
        return (
            f"Error against share answered, the surest first; area {number(self.area, 3)}, error of all "
            f"{number(self.overall, 3)}. {sentence('; '.join(parts))}."
        )

    layout: ClassVar[Layout] = Layout(420, 416, left=58, right=20, top=24, bottom=50)

    def frame(self) -> pd.DataFrame:
        """One line per distinct confidence: share, error, confidence."""
        return pd.DataFrame({"share": self.share, "error": self.error, "confidence": self.confidence})

    def drawn_numbers(self) -> pd.DataFrame:
        """One line per point drawn: share, error."""
        share, error = thinned(self.share, self.error)
        return pd.DataFrame({"share": share, "error": error})

    def draw(self, ax: Axes) -> None:
        """The curve, the error of all as a line, the sets' point as a diamond."""
        shown = self.share >= min(1.0, 10 / len(self.share))
        top = 1.15 * max(self.overall, float(self.error[shown].max()), (self.point or (0, 0))[1] or 0, 0.05)
        ax.axhline(self.overall, color=MUTED, linewidth=1, dashes=(4, 3), zorder=1)
        ax.annotate("all answered", (0, self.overall), (0, 4), "data", "offset points", color=MUTED, fontsize=12)
        share, error = thinned(self.share, self.error / top)
        ax.plot(share, error * top, color=ACCENT, zorder=2)
        if self.point is not None and math.isfinite(self.point[1]):
            ax.plot(*self.point, "D", color=ACCENT, markerfacecolor=PAPER, markersize=9, markeredgewidth=2,
                    zorder=4, clip_on=False)  # fmt: skip
            # The curve rises: below and to the right of a point, or above and to the left of it, is room.
            right = self.point[0] < _ROOM_RIGHT
            ax.annotate("set with a single label", self.point, (8, -18) if right else (-8, 12), "data",
                        "offset points", color=INK, fontsize=12, ha="left" if right else "right",
                        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5, "alpha": 0.85})  # fmt: skip
        rate_axis(ax, "x")
        ax.set_xlim(0, 1)
        ax.set_ylim(0, top)
        ax.set_xlabel("share answered, the surest first")
        ax.set_ylabel("share of these that is wrong")


@dataclass(frozen=True)
class AnswerSets(Display):
    """What the sets leave, and how often the truth is among it.

    `kinds` (S,) name what a set may be, and `counts` (R, S) how many sets of each of the R `rows` are so: of
    exclusive tasks by their size, over all images and over those of each label; of findings by the answers they
    leave. `held` (R,) of `n` (R,) sets hold the truth: for a finding, of the images that have it; `low` and `high`
    (R,) are the 95 % interval of that share. `noun` is what `rows` are of.
    """

    rows: tuple[str, ...]
    kinds: tuple[str, ...]
    counts: NDArray[np.int64]
    held: NDArray[np.int64]
    n: NDArray[np.int64]
    low: Floats
    high: Floats
    wanted: float
    noun: str
    notes: tuple[str, ...]

    title: ClassVar[str] = "Prediction sets"

    @classmethod
    def from_predictions(
        cls, predictions: Predictions, conformal: Conformal, decided: NDArray[np.uint8] | None = None
    ) -> "AnswerSets":
        """Make the sets of calibrated predictions, with the answers `decided` (N, C) where given, and count them."""
        task, prob = predictions.task, predictions.prob
        sets = conformal.sets(task, prob) if decided is None else conformal.sets_with(task, prob, decided)
        counted = _by_size if predictions.task.exclusive else _by_answer
        noun = label_words(predictions.task, 1)
        rows, kinds, counts, held, of = counted(predictions, sets)
        low, high = share_interval(held, of, predictions.units)
        held, of = held.sum(axis=0), of.sum(axis=0)
        return cls(rows, kinds, counts, held, of, low, high, conformal.coverage, noun, conformal.notes)

    @property
    def caption(self) -> str:
        left = self.counts[0] if self.rows[0] == ALL else self.counts.sum(axis=0)
        single = left[:1] if self.rows[0] == ALL else left[:2]
        said = [f"One answer is left in {percent(single.sum() / max(1, left.sum()))} of the sets."]
        short = [quoted(row) for row, high in zip(self.rows, self.high, strict=True) if high < self.wanted]
        said += [f"The truth is in the set (dots) clearly less often than wanted for {listed(short)}."] * bool(short)
        of = "over all images together" if self.rows[0] == ALL else f"of the images with a {self.noun}, and without"
        said += [f"{percent(self.wanted)} are wanted {of}."]
        if self.notes:
            always = listed([note.split(": ")[0] if ": " in note else f"every {self.noun}" for note in self.notes])
            said.append(f"Always possible, one answer or any, as val has too few: {always}.")
        return " ".join(said)

    @property
    def description(self) -> str:
        parts = []
        for row, counts, held, n in zip(self.rows, self.counts, self.held, self.n, strict=True):
            kinds = ", ".join(f"{kind} {count(int(k))}" for kind, k in zip(self.kinds, counts, strict=True))
            parts.append(f"{row}: {kinds}; true label in the set for {count(int(held))} of {count(int(n))}")
        return "Bars of what the sets leave, and coverage with 95 % intervals. " + ". ".join(parts) + "."

    @property
    def layout(self) -> Layout:
        left = margin_for([shorten(row) for row in self.rows])
        return Layout(left + 400, 28 * len(self.rows) + 84, left=left, right=16, top=42, bottom=42)

    def frame(self) -> pd.DataFrame:
        """One line per row: the count of each kind of set, held, n, coverage, low, high."""
        table = pd.DataFrame(self.counts, columns=list(self.kinds))
        table.insert(0, self.noun, list(self.rows))
        return table.assign(held=self.held, n=self.n, coverage=self._coverage, low=self.low, high=self.high)

    def draw(self, ax: Axes) -> None:
        """Stacked bars at the left, coverage with the wanted one as a line at the right."""
        ax.set_axis_off()
        bars, dots = ax.inset_axes((0, 0, 0.52, 1)), ax.inset_axes((0.6, 0, 0.4, 1))
        self._plot_bars(bars)
        self._plot_coverage(dots)
        for panel in (bars, dots):
            panel.set_ylim(len(self.rows) - 0.5, -0.5)
            panel.spines["left"].set_visible(False)
            panel.tick_params(axis="y", length=0)

    def _plot_bars(self, ax: Axes) -> None:
        y = np.arange(len(self.rows))
        shares = ratio(self.counts.astype(float), np.maximum(self.counts.sum(axis=1, keepdims=True), 1).astype(float))
        starts = np.cumsum(shares, axis=1) - shares
        for kind, alpha in enumerate(np.linspace(1, _PALEST, len(self.kinds))):
            ax.barh(y, shares[:, kind], 0.66, starts[:, kind], color=ACCENT, alpha=alpha, linewidth=0)
        rate_axis(ax, "x")
        ax.set_xlim(0, 1)
        ax.set_yticks(y, [shorten(row) for row in self.rows], color=INK)
        ax.set_xlabel("share of sets")
        self._key(ax)

    def _key(self, ax: Axes) -> None:
        """Name the shades above the bars: each kind of a few, the ends of many."""
        shown = [0, *range(1, len(self.kinds))] if len(self.kinds) <= _NAMED else [0, len(self.kinds) - 1]
        alphas, above = np.linspace(1, _PALEST, len(self.kinds)), 1 + self.layout.share(0, 20)[1]
        for place, kind in zip(np.linspace(0, 1, len(shown) + 1), shown, strict=False):
            ax.plot([place + 0.015], [above], "s", color=ACCENT, alpha=alphas[kind], markersize=9,
                    transform=ax.transAxes, clip_on=False)  # fmt: skip
            ax.annotate(self.kinds[kind], (place, 1), (14, 20), "axes fraction", "offset points", va="center",
                        color=INK, fontsize=12)  # fmt: skip

    def _plot_coverage(self, ax: Axes) -> None:
        mark_value(ax, self.wanted, "wanted", above=20, va="center")
        for y, (share, low, high) in enumerate(zip(self._coverage, self.low, self.high, strict=True)):
            if math.isfinite(share):
                draw_lane(ax, y, share, low, high, width=4)
            else:
                leave_lane_empty(ax, y, "no such image")
        rate_axis(ax, "x")
        ax.set_yticks([])
        ax.set_xlabel("coverage")

    @property
    def _coverage(self) -> Floats:
        return ratio(self.held.astype(float), self.n.astype(float))


ALL = "all images"
_NAMED = 4

_Counts = tuple[tuple[str, ...], tuple[str, ...], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _by_size(predictions: Predictions, sets: NDArray[np.uint8]) -> _Counts:
    """Count the sets of an exclusive task by size: over all images, and over those of each label. For each image and
    row, (N, R): whether the set holds the truth, and whether the image is of the row."""
    labels, y = predictions.task.labels, predictions.y_true.astype(np.int64)
    members = np.column_stack([np.ones(len(y), np.int64), y])
    sizes = np.arange(1, len(labels) + 1)
    of_size = (sets[:, 0].sum(axis=1)[:, None] == sizes).astype(np.int64)
    held = (sets[:, 0] * y).sum(axis=1)[:, None]
    one, many = predictions.task.nouns
    kinds = tuple(f"{size} {one if size == 1 else many}" for size in sizes)
    return (ALL, *labels), kinds, members.T @ of_size, members * held, members


def _by_answer(predictions: Predictions, sets: NDArray[np.uint8]) -> _Counts:
    """Count the sets of each finding by what they leave. For each image and finding, (N, C): whether the set holds a
    finding that is there, and whether it is there."""
    y = predictions.y_true.astype(np.int64)
    absent, present = (sets[:, :, k].astype(bool) for k in (0, 1))
    kinds = np.stack([(absent & ~present), (present & ~absent), (absent & present)]).sum(axis=1)
    return predictions.task.labels, ("absent", "present", "either"), kinds.T, y * present, y
