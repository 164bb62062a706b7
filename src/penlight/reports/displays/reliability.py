"""Reliability: whether a probability of 0.7 is right seven times in ten."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from penlight.evaluation.proportions import share_interval
from penlight.evaluation.reliability import BINS, PredictedProbabilities, bin_of
from penlight.evaluation.scores import values_of
from penlight.reports.displays.base import Display, Floats, Layout, rate_axis, ratio
from penlight.reports.palette import ACCENT, MUTED, PAPER, RULE
from penlight.reports.words import count, number
from penlight.runs.predictions import Predictions

_CALIBRATED = 0.02
_LOG_FROM = 20


@dataclass(frozen=True)
class Reliability(Display):
    """Mean probability and observed share, with its 95 % interval `low` to `high`, in BINS equal bins of probability,
    (B,) each; NaN in an empty bin.

    For exclusive tasks it is of the most probable label; else of every pair of image and label. `error` is the
    expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015), `brier` the Brier score of all labels.
    `before` is the same before calibration, None where nothing was calibrated.
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    counts: NDArray[np.int64]
    error: float
    noun: str
    brier: float
    before: "Reliability | None" = None

    title: ClassVar[str] = "Reliability"

    @classmethod
    def from_predictions(cls, predictions: Predictions, before: Predictions | None = None) -> "Reliability":
        """Bin the probabilities; the upper end of a bin belongs to it. `before` are the same before calibration."""
        p = predictions
        stated = PredictedProbabilities.of_answers(p.task.exclusive, p.y_true, p.prob, p.known)
        confidence, right = stated.of_pairs
        which = bin_of(confidence, BINS)
        counts = np.bincount(which, minlength=BINS)
        n = counts.astype(float)
        predicted = ratio(np.bincount(which, confidence, BINS).astype(float), n)
        observed = ratio(np.bincount(which, right, BINS).astype(float), n)
        in_bin = bin_of(stated.prob, BINS)[:, :, None] == np.arange(BINS)
        in_bin = in_bin if p.known is None else in_bin & p.known[:, :, None]
        low, high = share_interval((in_bin * stated.true[:, :, None]).sum(axis=1), in_bin.sum(axis=1), p.units)
        error = float(np.nansum(n * np.abs(predicted - observed)) / max(n.sum(), 1))
        noun = "answers" if p.task.exclusive else "pairs of image and finding"
        brier = values_of(p.task, p.y_true, p.prob, p.task.decide(p.prob), ["brier"], p.known)["brier"]
        same = before is None or np.array_equal(before.prob, p.prob)
        other = None if before is None or same else cls.from_predictions(before)
        return cls(predicted, observed, low, high, counts.astype(np.int64), error, noun, brier, other)

    @property
    def caption(self) -> str:
        gap = self._mean(self.predicted) - self._mean(self.observed)
        lean = "about right on average"
        if abs(gap) > _CALIBRATED:
            lean = "too high" if gap > 0 else "too low"
        was = self.before
        before = (
            f"; before calibration (open, dashed) {number(was.error, 3)} and {number(was.brier, 3)}" if was else ""
        )
        return (
            f"Probabilities are {lean}: {number(self._mean(self.predicted), 2)} is stated, "
            f"{number(self._mean(self.observed), 2)} comes true; expected calibration error {number(self.error, 3)} "
            f"over {len(self.counts)} equal bins, Brier score {number(self.brier, 3)}{before}."
        )

    @property
    def description(self) -> str:
        parts = (
            f"{number(p, 2)} stated, {number(o, 2)} observed, {count(int(n))} {self.noun}"
            for p, o, n in zip(self.predicted, self.observed, self.counts, strict=True)
            if n
        )
        drawn = " and before calibration, dashed" if self.before else ""
        return f"Observed share against stated probability{drawn}, with a histogram below. " + "; ".join(parts) + "."

    layout: ClassVar[Layout] = Layout(420, 500, left=58, right=12, top=10, bottom=50)

    def frame(self) -> pd.DataFrame:
        """One line per bin: low, high, predicted, observed, count; the last three before calibration too, if any."""
        edges = np.linspace(0, 1, len(self.counts) + 1)
        found: dict[str, NDArray[Any]] = {"low": edges[:-1], "high": edges[1:]}
        for own, after in ((self, ""), (self.before, "_before")):
            if own is not None:
                columns = {"predicted": own.predicted, "observed": own.observed, "count": own.counts}
                found |= {f"{name}{after}": values for name, values in columns.items()}
        return pd.DataFrame(found)

    def draw(self, ax: Axes) -> None:
        """Reliability above, histogram below, on the same axis of probability."""
        ax.set_axis_off()
        self._plot_curve(ax.inset_axes((0, 1 - 350 / 440, 1, 350 / 440)))
        self._plot_histogram(ax.inset_axes((0, 0, 1, 70 / 440)))

    def _plot_curve(self, ax: Axes) -> None:
        full = self.counts > 0
        ax.plot([0, 1], [0, 1], color=RULE, linewidth=1, zorder=0)
        ax.text(0.06, 0.11, "calibrated", color=MUTED, fontsize=12, rotation=45, rotation_mode="anchor")
        if self.before is not None:
            was = self.before.counts > 0
            ax.plot(self.before.predicted[was], self.before.observed[was], "o--", color=MUTED, markerfacecolor=PAPER,
                    markersize=5, linewidth=1.2)  # fmt: skip
        ax.vlines(self.predicted[full], self.low[full], self.high[full], color=ACCENT, linewidth=4, alpha=0.35)
        ax.plot(self.predicted[full], self.observed[full], "o-", color=ACCENT, markersize=6, linewidth=1.5)
        rate_axis(ax)
        ax.set_aspect("equal")
        ax.tick_params(labelbottom=False)
        ax.set_ylabel("observed share")

    def _plot_histogram(self, ax: Axes) -> None:
        edges = np.linspace(0, 1, len(self.counts) + 1)
        shown = self.counts[self.counts > 0]
        ax.bar(edges[:-1] + 0.5 / len(self.counts), self.counts, 0.86 / len(self.counts), color=MUTED)
        rate_axis(ax, "x")
        if len(shown) and shown.max() > _LOG_FROM * np.median(shown):
            ax.set_yscale("log", nonpositive="clip")
            ax.minorticks_off()
        log = ax.get_yscale() == "log"
        top = int(shown.max(initial=1))
        ax.set_ylim(0.5 if log else 0, top * 1.08)
        ticks = [1, top] if log else [top]
        ax.set_yticks(ticks, [count(tick) for tick in ticks])
        ax.set_ylabel("answers (log)" if log else "answers")
        ax.set_xlabel("stated probability")

    def _mean(self, of_bins: Floats) -> float:
        return float(np.nansum(of_bins * self.counts) / max(1, self.counts.sum()))
