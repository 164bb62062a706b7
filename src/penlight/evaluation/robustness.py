"""How much worse a model answers when images are corrupted, by balanced error.

The balanced error e of an exclusive task is 1 - balanced accuracy; of a multi-label task the mean over labels of
1 - (sensitivity + specificity) / 2. Of a corruption c with severities s = 1..5, MedMNIST-C (Di Salvo et al. 2024) has

    BE_c  =  mean over s of e_cs / mean over s of a_cs
    rBE_c = (mean over s of e_cs - e_clean) / (mean over s of a_cs - a_clean)

where a are the errors of its AlexNet at 224 pixels. There is none for other sizes, so Penlight gives what stands
above the lines: bE_c = mean over s of e_cs, and its change against the clean error, rbE_c = bE_c - e_clean. bE and
rbE are their means over corruptions. MedMNIST-C's own figures are these, divided corruption by corruption.

Given the truth, a balanced error is linear in the answers, so that the error of the averaged answers is the average
error: one matrix product resamples five severities. N images, Q questions with K candidate labels each (see
`conformal`), B resamples, S seeds.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from penlight.data.reads import read
from penlight.evaluation.conformal import candidate_labels, true_candidates
from penlight.evaluation.corruptions import SEVERITIES, Corruption, Images
from penlight.evaluation.intervals import RESAMPLES, Groups, bootstrap_weights
from penlight.evaluation.sample import mean_defined, ratio
from penlight.records import Count, Name, Number, Record, Seed, Sentences, json_key
from penlight.tasks import KnownLabels, Task

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Indicators = NDArray[np.uint8]
Answering = Callable[[Images], Indicators]
"""What turns images (n, H, W, C) into answers (n, C) of zeros and ones."""

SCHEMA = 1

# Values of images that are corrupted at once; a few times as many, in float32, are in memory.
_CHUNK_VALUES = 8_000_000


class Level(Record):
    """A balanced error, averaged over seeds where there are several, with its 95 % interval over images.

    `sd` is the standard deviation (n-1) over seeds, NaN for one seed.
    """

    value: Number
    low: Number
    high: Number
    sd: Number = math.nan


class CorruptionRow(Record):
    """What one corruption does: balanced error at `severities` (5,), their mean, and its change against clean images.

    `strengths` are what the corruption took at each severity. Intervals are over the same resamples of images for
    clean and corrupted ones, so that the change is paired.
    """

    name: Name
    strengths: Annotated[
        tuple[Annotated[tuple[Number, ...], Field(max_length=10)], ...], Field(min_length=5, max_length=5)
    ]
    severities: Annotated[tuple[Number, ...], Field(min_length=5, max_length=5)]
    mean: Level
    change: Level


class Robust(Record):
    """Balanced errors of one model: on clean images, under each corruption, and the means over corruptions, which are
    bE and, of the change, rbE."""

    clean: Level
    rows: Annotated[tuple[CorruptionRow, ...], Field(max_length=1_000)]
    mean: Level
    change: Level

    def worst_first(self) -> list[CorruptionRow]:
        """Sort the corruptions by what they change; undefined ones last."""
        return sorted(self.rows, key=lambda row: -row.change.value if row.change.value == row.change.value else 1)

    def frame(self) -> "pd.DataFrame":
        """One line per corruption: its name, severity_1 to severity_5, mean and change, with low and high of both."""
        import pandas as pd

        return pd.DataFrame(
            {
                "corruption": row.name,
                **{f"severity_{s}": error for s, error in zip(SEVERITIES, row.severities, strict=True)},
                **{"mean": row.mean.value, "low": row.mean.low, "high": row.mean.high},
                **{"change": row.change.value, "change_low": row.change.low, "change_high": row.change.high},
            }
            for row in self.rows
        )


class Robustness(Record):
    """What `penlight evaluate --corruptions` finds on `n` images of test: of a run, or of the runs of several `seeds`
    together; `baselines` by name, on the same corrupted images. `notes` say what is not there, and why."""

    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=10_000)]
    n: Count
    model: Robust = json_key(inline=True)
    baselines: Annotated[Mapping[Name, Robust], Field(max_length=100)] = field(default_factory=dict)
    notes: Sentences = ()
    schema: Count = SCHEMA
    metric: Name = "balanced_error"
    split: Name = "test"


@dataclass(frozen=True)
class Mistakes:
    """Where one model errs: `clean` (N, Q, K) and, for each corruption, the mean over its severities, both from 0 to
    1; and the balanced errors (R, 5) at each severity of R corruptions."""

    clean: NDArray[np.float32]
    corrupted: tuple[NDArray[np.float32], ...]
    severities: Floats


def balanced_error(
    task: Task, y: Indicators, mistakes: NDArray[np.generic], w: Floats, known: KnownLabels = None
) -> Floats:
    """Give the balanced errors (B,) of mistakes (N, Q, K) for weights (B, N); `y` (N, C) is the truth, as far
    as it is `known`.

    Of classes, those without an image are left out; of findings, those without a positive or without a negative case.
    NaN where nothing is left.
    """
    truth = true_candidates(task, y, known)
    n, q, k = truth.shape
    there = (w @ truth.reshape(n, q * k).astype(float)).reshape(-1, q, k)
    wrong = (w @ mistakes.reshape(n, q * k).astype(float)).reshape(-1, q, k)
    missed = ratio(wrong, there)
    return mean_defined(missed[:, 0] if task.exclusive else missed.mean(axis=2))


def mistakes_of(task: Task, y: Indicators, decided: Indicators, known: KnownLabels = None) -> Indicators:
    """Say which true labels were not chosen, (N, Q, K), from truth and answers (N, C)."""
    missed: Indicators = true_candidates(task, y, known) & (1 - candidate_labels(task, decided))
    return missed


def observe(
    task: Task,
    y: Indicators,
    images: Images,
    index: NDArray[np.int64],
    models: Sequence[tuple[Answering, Indicators]],
    corruptions: Sequence[Corruption],
    *,
    seed: int = 0,
    known: KnownLabels = None,
    step: Callable[[str], None] = lambda what: None,
) -> list[Mistakes]:
    """Ask every model about every corruption of the same images, once.

    `images` (M, H, W, C) uint8 is a whole split, `index` (N,) its rows that count, with truth `y` (N, C), as far as
    it is `known`; a model is what answers, and its answers (N, C) to the clean images. `step` is told which
    corruption is at hand.
    """
    whole = np.ones((1, len(y)))
    summed: list[list[NDArray[np.float32]]] = [[] for _ in models]
    errors = np.empty((len(models), len(corruptions), len(SEVERITIES)))
    for row, corruption in enumerate(corruptions):
        step(corruption.name)
        totals = [np.zeros(candidate_labels(task, y).shape, np.float32) for _ in models]
        for column, severity in enumerate(SEVERITIES):
            answers = _answers(images, index, corruption, severity, [answering for answering, _ in models], seed)
            for m, decided in enumerate(answers):
                wrong = mistakes_of(task, y, decided, known)
                totals[m] += wrong
                errors[m, row, column] = balanced_error(task, y, wrong, whole, known)[0]
        for own, total in zip(summed, totals, strict=True):
            own.append(total / np.float32(len(SEVERITIES)))
    cleans = [mistakes_of(task, y, decided, known).astype(np.float32) for _, decided in models]
    return [Mistakes(clean, tuple(own), e) for clean, own, e in zip(cleans, summed, errors, strict=True)]


def _answers(
    images: Images,
    index: NDArray[np.int64],
    corruption: Corruption,
    severity: int,
    models: Sequence[Answering],
    seed: int,
) -> list[Indicators]:
    """Corrupt as many images at a time as fit memory, and have every model answer them."""
    most = max(1, _CHUNK_VALUES // int(np.prod(images.shape[1:])))
    parts: list[list[Indicators]] = [[] for _ in models]
    for start in range(0, len(index), most):
        corrupted = corruption.apply(read(images, index[start : start + most]), severity, seed + start)
        for own, answering in zip(parts, models, strict=True):
            own.append(answering(corrupted))
    return [np.concatenate(own) for own in parts]


def summarise(
    task: Task,
    y: Indicators,
    models: Sequence[Sequence[Mistakes]],
    corruptions: Sequence[Corruption],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Groups = None,
    known: KnownLabels = None,
) -> list[Robust]:
    """Turn mistakes into errors with intervals; each of `models` has the mistakes of its seeds, one or several.

    All models are resampled with the same images, in whole `groups` as in `bootstrap_weights`. The interval is that
    of the mean over seeds.
    """
    kinds = [[own.clean, *own.corrupted] for model in models for own in model]

    def errors(w: Floats) -> Floats:
        """(S, 1 + R, B): clean and R corruptions, of every model and seed."""
        return np.array([[balanced_error(task, y, wrong, w, known) for wrong in own] for own in kinds])

    whole = errors(np.ones((1, len(y))))
    chunks = bootstrap_weights(len(y), resamples, seed=seed, groups=groups)
    drawn = np.concatenate([np.empty((*whole.shape[:2], 0)), *map(errors, chunks)], axis=2)
    found, start = [], 0
    for model in models:
        place = slice(start, start + len(model))
        severities = np.mean([own.severities for own in model], axis=0)
        found.append(_robust(whole[place, :, 0], drawn[place].mean(axis=0), severities, corruptions))
        start += len(model)
    return found


def _robust(values: Floats, drawn: Floats, severities: Floats, corruptions: Sequence[Corruption]) -> Robust:
    """From values (S, 1 + R), draws (1 + R, B) of their means over seeds, and errors (R, 5) at each severity."""
    changes, changes_drawn = values[:, 1:] - values[:, :1], drawn[1:] - drawn[:1]
    rows = tuple(
        CorruptionRow(
            corruption.name,
            corruption.strengths,
            tuple(map(float, severities[r])),
            _with_interval(values[:, 1 + r], drawn[1 + r]),
            _with_interval(changes[:, r], changes_drawn[r]),
        )
        for r, corruption in enumerate(corruptions)
    )
    return Robust(
        _with_interval(values[:, 0], drawn[0]),
        rows,
        _with_interval(values[:, 1:].mean(axis=1), drawn[1:].mean(axis=0)),
        _with_interval(changes.mean(axis=1), changes_drawn.mean(axis=0)),
    )


def _with_interval(values: Floats, drawn: Floats) -> Level:
    """The mean of values (S,) with the percentiles of draws (B,); without draws enough, NaN."""
    known = drawn[np.isfinite(drawn)]
    # A change of nothing in every resample has no width, and rightly.
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) > len(drawn) / 2 else (math.nan, math.nan)
    sd = values.std(ddof=1) if len(values) > 1 else math.nan
    return Level(float(values.mean()), float(low), float(high), float(sd))
