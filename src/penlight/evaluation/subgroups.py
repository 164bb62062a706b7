"""Scores of subgroups: by site, age, sex and view, each group beside all other images.

A mean over labels is compared over the labels that have enough cases inside the group and outside it: a group without
a rare finding must not look better for lacking it.

Two questions are kept apart. How far apart are the scores: by resampling, as everywhere. And would a group that is
like the others differ as much: by giving membership to other units, drawn at random among those with the same rarest
label (a permutation test; Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005, chapter 3). That
holds its level in small groups, where resampling says too little.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from penlight.data.dataset import METADATA
from penlight.evaluation.comparison import LEVEL, Estimate, estimate, holm_steps
from penlight.evaluation.intervals import (
    Groups,
    UnknownPatients,
    bootstrap_weights,
    count_units,
    number_units,
    percentile_interval,
    unit_noun,
)
from penlight.evaluation.metrics import over_labels
from penlight.evaluation.sample import Sample
from penlight.records import Count, Name, Number, Record, Text

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Metadata = Mapping[str, NDArray[np.generic]]

AGE = "age"
AGE_BANDS = (18, 40, 60, 80)
"""Ages at which a band begins, in years; the first band is below them all."""

UNKNOWN = "unknown"

FEWEST_UNITS = 10
"""A group of fewer patients, or images where patients are unknown, has no score, nor has one that leaves fewer."""

FEWEST_CASES = 5
"""A label with fewer patients (images, where patients are unknown) that have it, or lack it, inside or outside is
left out of a mean over labels."""

MOST_GROUPS = 20
"""A column with more texts than this names things, not groups; the most frequent ones are scored."""

_PERMUTATIONS = 2000
# With this many that are as large, the p is known well enough (Besag and Clifford 1991): large splits end here.
_CLEAR = 50
_NOTHING = 1e-12
_RESAMPLES = (200, 1000)
_RESAMPLED_VALUES = 50_000_000
_CHUNK_VALUES = 500_000


class Subgroup(Record, computed=("more_than_chance",)):
    """The headline score of one group of images, and how far it is from that of all others.

    `n` counts its images, `units` its patients (images, where patients are unknown). `value`, `low`, `high` as in a
    `Score`, but NaN where all resamples are alike, as is the interval of the difference; `difference` is the group's
    score less that of the others,
    with two-sided p, p corrected over all groups (Holm), and an interval at the level of the same correction (95 %
    where one comparison was made). Labels with too few cases are
    `left_out` of it all. An undefined score is NaN, and `note` says why.
    """

    column: Name
    group: Name
    metric: Name
    n: Count
    units: Count
    value: Number = np.nan
    low: Number = np.nan
    high: Number = np.nan
    difference: Number = np.nan
    difference_low: Number = np.nan
    difference_high: Number = np.nan
    p: Number = np.nan
    p_holm: Number = np.nan
    left_out: Annotated[tuple[Name, ...], Field(max_length=10_000)] = ()
    note: Text = ""

    @property
    def more_than_chance(self) -> bool:
        """Whether the corrected p is below `LEVEL` and the interval of the difference does not hold zero."""
        return self.p_holm < LEVEL and (self.difference_low > 0 or self.difference_high < 0)

    @property
    def others(self) -> float:
        """The score of all other images, over the same labels."""
        return self.value - self.difference


Subgroups = Annotated[Sequence[Subgroup], Field(max_length=10_000)]


def score_subgroups(
    samples: Sequence[Sample],
    metadata: Metadata,
    *,
    resamples: int | None = None,
    permutations: int = _PERMUTATIONS,
    seed: int = 0,
    groups: Groups = None,
) -> list[Subgroup]:
    """Score the headline metric in each group of each column; `metadata` maps a column's name to (N,) values.

    `samples` are of the same N images, one per seed, and a score is its mean over them. `groups` (N,) are patients,
    as in `bootstrap_weights`; all groups share the same resamples, 1000 unless there are many images. A column with
    one group only has no row.
    """
    members = [
        (_row(samples[0], column, name, inside, groups), inside)
        for column, values in metadata.items()
        for name, inside in groups_of(column, values)
        if not inside.all()
    ]
    scored = [_Scored(row, inside, _metric_over(samples, row.left_out)) for row, inside in members if not row.note]
    if not scored:
        return [row for row, _ in members]
    y = samples[0].y
    resamples = resamples or max(_RESAMPLES[0], min(_RESAMPLES[1], _RESAMPLED_VALUES // max(1, y.size)))
    chunks = bootstrap_weights(len(y), resamples, seed=seed, groups=groups)
    drawn = np.concatenate([np.stack([group.both(w) for group in scored]) for w in chunks], axis=2)
    units, unit_of = count_units(len(y), groups), number_units(len(y), groups)
    observed = [group.both(np.ones((1, len(y))))[:, 0] for group in scored]
    estimates = [
        estimate(float(value) - float(others), own[0] - own[1], units)
        for (value, others), own in zip(observed, drawn, strict=True)
    ]
    by_division: dict[bytes, float] = {}
    for group, own in zip(scored, estimates, strict=True):
        if isinstance(groups, UnknownPatients):
            # Drawing images anew would take them as independent.
            by_division[group.division] = own.p
        elif group.division not in by_division:
            by_division[group.division] = group.p(y, unit_of, permutations, seed)
    # Each comparison counts once.
    corrected, steps = holm_steps(np.array(list(by_division.values())))
    holm = dict(zip(by_division, zip(corrected.tolist(), steps.tolist(), strict=True), strict=True))
    finished = (
        group.finished(float(value), own, found, by_division[group.division], *holm[group.division])
        for group, (value, _), own, found in zip(scored, observed, drawn, estimates, strict=True)
    )
    return [row if row.note else next(finished) for row, _ in members]


def groups_of(column: str, values: NDArray[np.generic]) -> list[tuple[str, Mask]]:
    """Name the groups of a column with the images of each, (N,), in their order: bands of ages, which are numbers
    with NaN where unknown, and texts, empty where unknown."""
    if column == AGE and np.issubdtype(values.dtype, np.number):
        ages = values.astype(float)
        bands = itertools.pairwise((-np.inf, *AGE_BANDS, np.inf))
        between = (f"{a}-{b - 1}" for a, b in itertools.pairwise(AGE_BANDS))
        names = [f"under {AGE_BANDS[0]}", *between, f"{AGE_BANDS[-1]} and over"]
        found = [(name, (ages >= low) & (ages < high)) for name, (low, high) in zip(names, bands, strict=True)]
        found.append((UNKNOWN, np.isnan(ages)))
    else:
        texts = _texts(values)
        named, counts = np.unique(texts[texts != ""], return_counts=True)
        kept = sorted(named[np.argsort(-counts, kind="stable")][:MOST_GROUPS].tolist())
        found = [*((name, np.asarray(texts == name)) for name in kept), (UNKNOWN, np.asarray(texts == ""))]
    return [(name, inside) for name, inside in found if inside.any()]


def unavailable_subgroups(metadata: Metadata) -> list[str]:
    """Say by which columns there are no scores, and why."""
    groups = {column: [name for name, _ in groups_of(column, values)] for column, values in metadata.items()}
    missing = [column for column in METADATA if set(groups.get(column, ())) <= {UNKNOWN}]
    alone = {column: names[0] for column, names in groups.items() if column not in missing and len(names) == 1}
    named = "them" if len(missing) > 1 else "it"
    said = [f"scores by {', '.join(missing)}: the dataset does not name {named}"] if missing else []
    said += [f"scores by {column}: all images are of the group {name}" for column, name in alone.items()]
    return said + [
        f"scores by every {column}: {len(names)} are named, and the {MOST_GROUPS} most frequent were scored"
        for column, values in metadata.items()
        if column != AGE and len(names := set(_texts(values).tolist()) - {""}) > MOST_GROUPS
    ]


def _texts(values: NDArray[np.generic]) -> NDArray[np.str_]:
    """Read values as texts, empty where unknown."""
    return np.array(["" if value != value else str(value).strip() for value in values.tolist()], np.str_)


def _row(sample: Sample, column: str, name: str, inside: Mask, groups: Groups) -> Subgroup:
    """Count a group, and say which labels are left out, or why it has no score."""
    units, others = (count_units(len(inside), groups, m) for m in (inside, ~inside))
    row = Subgroup(column, name, sample.task.headline, int(inside.sum()), units)
    what = f"{unit_noun(groups)}s"
    if units < FEWEST_UNITS:
        return replace(row, note=f"fewer than {FEWEST_UNITS} {what}")
    if others < FEWEST_UNITS:
        return replace(row, note=f"fewer than {FEWEST_UNITS} {what} in other groups")
    enough = _enough(sample, inside, groups) & _enough(sample, ~inside, groups)
    if not enough.any():
        return replace(row, note=f"no label has {FEWEST_CASES} {what} with it and without it, inside and outside")
    return replace(row, left_out=tuple(np.array(sample.task.labels)[~enough].tolist()))


def _enough(sample: Sample, inside: Mask, groups: Groups) -> Mask:
    """(C,) whether enough patients, or images, `inside` (N,) have a label, and lack it."""
    cases = [min(own) for own in sample.cases(groups, inside)]
    return np.asarray(cases) >= FEWEST_CASES


def _metric_over(samples: Sequence[Sample], left_out: Sequence[str]) -> Callable[[Floats], Floats]:
    """Give the headline metric as a function of weights: the mean over samples and, of labels, over those kept."""
    task = samples[0].task
    compute = over_labels(task.headline, [c for c, name in enumerate(task.labels) if name not in left_out])
    return lambda w: np.mean([compute(sample, w) for sample in samples], axis=0)


@dataclass(frozen=True)
class _Scored:
    """A group that has a score: its row so far, which of N images are `inside`, and its metric of weights (B, N)."""

    row: Subgroup
    inside: Mask
    metric: Callable[[Floats], Floats]

    def both(self, w: Floats, inside: Mask | None = None) -> Floats:
        """(2, B): the metric inside and outside, of the group or of `inside` (B, N)."""
        inside = self.inside if inside is None else inside
        return np.stack([self.metric(w * inside), self.metric(w * ~inside)])

    @property
    def division(self) -> bytes:
        """How the group divides the images: two groups that are each other's rest are one comparison."""
        return (self.inside if self.inside[0] else ~self.inside).tobytes()

    def finished(
        self, value: float, drawn: Floats, found: Estimate, p: float, p_holm: float, comparisons: float
    ) -> Subgroup:
        """Fill in the row from draws (2, B), inside and outside, and the difference that was `found`."""
        low, high = percentile_interval(drawn[0])
        # Where all resamples are alike, as of two perfect scores, they say nothing of how far it may be.
        varies = found.error > _NOTHING
        difference_low, difference_high = found.interval(comparisons) if varies else (np.nan, np.nan)
        return replace(
            self.row,
            value=value,
            low=low,
            high=high,
            difference=found.value,
            difference_low=difference_low,
            difference_high=difference_high,
            p=p,
            p_holm=p_holm,
        )

    def p(self, y: NDArray[np.uint8], unit_of: NDArray[np.int64], permutations: int, seed: int) -> float:
        """Give the share of drawn memberships whose difference is as large, the true one counted among them.

        A unit is what a patient has on one side: whole patients where all images are on the same.
        """
        _, first, of_image = np.unique(2 * unit_of + self.inside, return_index=True, return_inverse=True)
        stratum, member = strata(y, of_image), self.inside[first]
        rng = np.random.default_rng([seed, 0x5B])
        rows = max(1, _CHUNK_VALUES // len(y))
        observed = abs(float(np.diff(self.both(np.ones((1, len(y)))), axis=0)[0, 0])) - 1e-12
        beyond = 0
        for start in range(0, permutations, rows):
            drawn = _shuffled(member, stratum, min(rows, permutations - start), rng)[:, of_image]
            inside, outside = self.both(np.ones(len(y)), drawn)
            # What is undefined counts against a difference.
            beyond += int((~(np.abs(inside - outside) < observed)).sum())
            if beyond >= _CLEAR:
                return (beyond + 1) / (start + len(drawn) + 1)
        return (beyond + 1) / (permutations + 1)


def _shuffled(member: Mask, stratum: NDArray[np.int64], count: int, rng: np.random.Generator) -> Mask:
    """(count, U): membership given to other units of the same stratum."""
    out = np.empty((count, len(member)), bool)
    for units in (np.flatnonzero(stratum == s) for s in np.unique(stratum)):
        out[:, units] = rng.permuted(np.tile(member[units], (count, 1)), axis=1)
    return out


def strata(y_true: NDArray[np.uint8], unit_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each unit (image or group) the number of its rarest label, or C for none; (U,) integers.

    `unit_of` (N,) numbers the units.
    """
    n_labels = y_true.shape[1]
    positives = y_true.sum(axis=0)
    rank = np.argsort(np.argsort(positives, kind="stable"), kind="stable")
    rank = np.where(positives > 0, rank, n_labels)
    of_image = np.where(y_true > 0, rank, n_labels).min(axis=1, initial=n_labels)
    of_unit = np.full(int(unit_of.max(initial=-1)) + 1, n_labels)
    np.minimum.at(of_unit, unit_of, of_image)
    return of_unit
