"""Shift between splits: can val or test be told from train, by their images and by their labels.

Images: a classifier two-sample test (Lopez-Paz and Oquab, Revisiting classifier two-sample tests, ICLR 2017): a
linear classifier on principal components of thumbs, cross-validated with whole patients in a fold, is asked which
split an image is from. Its AUC is the effect size, 0.5 where the splits cannot be told apart. The p-value comes from
999 shuffles of images, or of whole patients, between the splits, each cross-validated again: scores of one
cross-validation depend on each other, and a test that takes them for independent (Mann-Whitney, DeLong) raised an
alarm in 12 of 100 small exchangeable datasets where 5 were due. So that all shuffles are a few matrix products, the
classifier is Fisher's discriminant by ridge regression, and not logistic regression, which would be fitted 5,000
times. The interval is that of the AUC of clustered data (Obuchowski, Biometrics 53:567, 1997), without patients
DeLong's. Seen is what shifts the mean of a component (brightness, colour, position, size), not all.

Labels: chi-squared of the counts, against 999 shuffles of images, or of whole patients, between the splits; where an
image may have several findings, the largest of theirs counts. The effect size is Cohen's h of the label that differs
most (Statistical power analysis, 1988, section 6.2: 0.2 small, 0.5 medium, 0.8 large).
"""

import math
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from penlight.data.audit.thumbs import Floats, Thumbs
from penlight.data.dataset import Dataset
from penlight.numbers import decimal_text, share_cell
from penlight.records import Name, Number, Record, Text
from penlight.tasks import KnownLabels
from penlight.tasks.base import join_known
from penlight.tasks.base import shares as shares_of

LEVEL = 0.05
"""Chance that a dataset whose splits do not differ is said to have any shift."""

FEWEST = 20
"""Images or patients that a split must have to be tested."""

_COMPONENTS = 20
_FOLDS = 5
_MOST_IMAGES = 5000
_SHUFFLES = 999
_RIDGE = 1.0
_CHUNK_VALUES = 1 << 21

Numbers = NDArray[np.float64]
Groups = NDArray[np.int64]


class ImageShift(Record):
    """AUC of telling a split's images from train's, its 95 % interval and p-value; NaN and a note where undefined."""

    auc: Number
    low: Number
    high: Number
    p: Number
    note: Text = ""


class LabelShift(Record):
    """The p-value of the labels' counts; the label whose share differs most, its share in train and in the split
    (0 to 1), and Cohen's h of the two, positive where the split has more; NaN with a note where undefined."""

    p: Number
    label: Name
    train_share: Number
    share: Number
    h: Number
    note: Text = ""


class Shift(Record):
    """How one split differs from train."""

    split: Name
    images: ImageShift
    labels: LabelShift


def shift_cells(shift: Shift) -> tuple[str, ...]:
    """Give a shift as cells of a table: split, AUC, interval, p, p by labels, label most apart, its two shares."""
    images, labels = shift.images, shift.labels
    by_images = ("-", images.note, "-") if math.isnan(images.auc) else (
        decimal_text(images.auc), f"{decimal_text(images.low)} to {decimal_text(images.high)}", decimal_text(images.p)
    )  # fmt: skip
    by_labels = ("-", labels.note, "-", "-") if math.isnan(labels.p) else (
        decimal_text(labels.p), labels.label, share_cell(labels.train_share), share_cell(labels.share)
    )  # fmt: skip
    return (shift.split, *by_images, *by_labels)


def find_shifts(dataset: Dataset, thumbs: Thumbs, repeats: NDArray[np.bool_]) -> tuple[Shift, ...]:
    """Compare val and test with train. Random parts are seeded: the same dataset gives the same figures.

    `repeats` (N,) marks images that are a duplicate of an earlier one of their split. They are left out of the test
    of images: a classifier that learned one of two would know the other, and with it its split.
    """
    found = []
    for number, name in enumerate(split for split in dataset.splits if split != "train"):
        rng = np.random.default_rng([0x5417, number])
        sides = [_rows(thumbs, dataset, split, repeats, rng) for split in ("train", name)]
        groups = [dataset.splits[split].patients for split in ("train", name)]
        images = image_shift(
            *(thumbs.flat(thumbs.starts[split] + rows) for split, rows in zip(("train", name), sides, strict=True)),
            *(None if g is None else g[rows] for g, rows in zip(groups, sides, strict=True)),
            rng=rng,
        )
        parts = [dataset.splits[split] for split in ("train", name)]
        y = [dataset.info.task.encode(part.labels) for part in parts]
        known = join_known([(part.known, own) for part, own in zip(parts, y, strict=True)])
        labels = label_shift(y[0], y[1], groups[0], groups[1], dataset.info.task.labels,
                             exclusive=dataset.info.task.exclusive, rng=rng, known=known)  # fmt: skip
        found.append(Shift(name, images, labels))
    return tuple(found)


def image_shift(
    train: Floats,
    other: Floats,
    train_groups: NDArray[np.generic] | None = None,
    other_groups: NDArray[np.generic] | None = None,
    *,
    rng: np.random.Generator,
) -> ImageShift:
    """Run the two-sample test on (n, D) and (m, D) pixels, with whole groups, such as patients, in a fold."""
    x, side = np.concatenate([train, other]), np.repeat([0, 1], [len(train), len(other)])
    group = _numbered(len(train), len(other), train_groups, other_groups)
    units = min(len(np.unique(group[side == s])) for s in (0, 1))
    if units < FEWEST:
        return ImageShift(math.nan, math.nan, math.nan, math.nan, _too_few(train_groups, other_groups))
    if float(np.ptp(x, axis=0).max(initial=0)) == 0:
        return ImageShift(math.nan, math.nan, math.nan, math.nan, "all images are the same")
    z, fold = _components(x), rng.permutation(int(group.max()) + 1)[group] % _FOLDS
    interval = _auc(_out_of_fold(z, side[:, None], fold)[:, 0], side, group)
    as_far, rows = 0, max(1, _CHUNK_VALUES // len(x))
    for start in range(0, _SHUFFLES, rows):
        shuffled = _shuffled(side, group, min(rows, _SHUFFLES - start), rng)
        as_far += int((_areas(_out_of_fold(z, shuffled, fold), shuffled) >= interval.auc - 1e-12).sum())
    return replace(interval, p=(1 + as_far) / (1 + _SHUFFLES))


def label_shift(
    train: NDArray[np.uint8],
    other: NDArray[np.uint8],
    train_groups: NDArray[np.generic] | None,
    other_groups: NDArray[np.generic] | None,
    labels: tuple[str, ...],
    *,
    exclusive: bool,
    rng: np.random.Generator,
    known: KnownLabels = None,
) -> LabelShift:
    """Compare the counts of (n, C) and (m, C) indicators, shuffling whole groups, such as patients; `known`
    (n + m, C) says which are known."""
    y = np.concatenate([train, other]).astype(np.float32)
    group = _numbered(len(train), len(other), train_groups, other_groups)
    first, second = group[: len(train)], group[len(train) :]
    if min(len(np.unique(first)), len(np.unique(second))) < FEWEST:
        return LabelShift(math.nan, "", math.nan, math.nan, math.nan, _too_few(train_groups, other_groups))
    images = np.ones((len(y), 1), np.float32) if known is None else known.astype(np.float32)
    sums = np.zeros((int(group.max()) + 1, y.shape[1] + images.shape[1]), np.float32)
    np.add.at(sums, group, np.column_stack([y, images]))
    in_other = np.zeros(len(sums), np.bool_)
    in_other[second] = True
    uneven = partial(_uneven, total=sums.sum(axis=0), labels=y.shape[1], exclusive=exclusive)
    seen = uneven(in_other[None].astype(np.float32) @ sums)[0]
    as_uneven, rows = 0, max(1, _CHUNK_VALUES // len(sums))
    for start in range(0, _SHUFFLES, rows):
        shuffled = rng.permuted(np.tile(in_other, (min(rows, _SHUFFLES - start), 1)), axis=1).astype(np.float32)
        as_uneven += int(
            (_uneven(shuffled @ sums, sums.sum(axis=0), y.shape[1], exclusive=exclusive) >= seen * (1 - 1e-6)).sum()
        )
    sides = (slice(len(train)), slice(len(train), None))
    masks = [None if known is None else known[side] for side in sides]
    shares = [np.nan_to_num(shares_of(own, mask)) for own, mask in zip((train, other), masks, strict=True)]
    h = 2 * np.arcsin(np.sqrt(shares[1])) - 2 * np.arcsin(np.sqrt(shares[0]))
    most = int(np.argmax(np.abs(h)))
    return LabelShift(
        (1 + as_uneven) / (1 + _SHUFFLES),
        labels[most],
        float(shares[0][most]),
        float(shares[1][most]),
        float(h[most]),
    )


def _uneven(counts: NDArray[np.floating], total: NDArray[np.floating], labels: int, *, exclusive: bool) -> Numbers:
    """Give (B,) chi-squared of (B, C + 1) counts in one part, the last column its images, out of `total` (C + 1,);
    where not all labels are known, both have C columns of the images of which each is."""
    counts, total = np.asarray(counts, np.float64), np.asarray(total, np.float64)
    n, of = counts[:, labels:], np.maximum(total[labels:], 1)
    share = total[:labels] / of
    judged = (share > 0) & ((share < 1) | exclusive)
    spread = share if exclusive else share * (1 - share)
    # None of the images of which a label is known, or all of them, in a part say nothing of it.
    drawn = np.broadcast_to(n * (1 - n / of), counts[:, :labels].shape)
    apart = np.square(counts[:, :labels] - n * share)[:, judged] / spread[judged]
    parts = np.divide(apart, drawn[:, judged], out=np.zeros_like(apart), where=drawn[:, judged] > 0)
    return np.asarray(parts.sum(axis=1) if exclusive else parts.max(axis=1, initial=0), np.float64)


def _rows(
    thumbs: Thumbs, dataset: Dataset, split: str, repeats: NDArray[np.bool_], rng: np.random.Generator
) -> Groups:
    """Choose up to so many images of a split, whole patients at a time; (n,) rows in order."""
    n, patients = len(dataset.splits[split]), dataset.splits[split].patients
    rows = np.flatnonzero(~repeats[thumbs.starts[split] :][:n])
    if len(rows) <= _MOST_IMAGES:
        return rows
    group = rows if patients is None else np.unique(patients, return_inverse=True)[1][rows]
    place = rng.permutation(int(group.max()) + 1)[group]
    return np.sort(rows[np.argsort(place, kind="stable")[:_MOST_IMAGES]])


def _too_few(*groups: NDArray[np.generic] | None) -> str:
    """Say of what there are too few: images, unless both parts name their patients."""
    return f"fewer than {FEWEST} {'images' if any(own is None for own in groups) else 'patients'}"


def _numbered(n: int, m: int, one: NDArray[np.generic] | None, other: NDArray[np.generic] | None) -> Groups:
    """Number the groups of two parts after one another, (n + m,): those of one part are not those of the other."""
    first = np.arange(n) if one is None else np.unique(one, return_inverse=True)[1]
    second = np.arange(m) if other is None else np.unique(other, return_inverse=True)[1]
    return np.concatenate([first, second + first.max(initial=-1) + 1]).astype(np.int64)


def _components(x: Floats) -> Numbers:
    from sklearn.decomposition import PCA

    k = min(_COMPONENTS, x.shape[0] - 1, x.shape[1])
    z = PCA(k, svd_solver="randomized", random_state=0).fit_transform(x).astype(np.float64)
    out: Numbers = z / np.maximum(z.std(axis=0), 1e-9)
    return out


def _out_of_fold(z: Numbers, sides: Groups, fold: Groups) -> Numbers:
    """Score images (n, k) by discriminants that saw none of their fold, for each column of `sides` (n, B): (n, B).

    Discriminants have no constant, which would say no more than how many of a side the other folds have.
    """
    out = np.empty(sides.shape)
    for k in range(_FOLDS):
        held_out = fold == k
        centre = z[~held_out].mean(axis=0)
        learned, wanted = z[~held_out] - centre, sides[~held_out] - sides[~held_out].mean(axis=0)
        weights = np.linalg.solve(learned.T @ learned + _RIDGE * np.eye(z.shape[1]), learned.T @ wanted)
        out[held_out] = (z[held_out] - centre) @ weights
    return out


def _shuffled(side: Groups, group: Groups, n: int, rng: np.random.Generator) -> Groups:
    """Give (images, n) sides, whole groups shuffled between them."""
    of_group = np.zeros(int(group.max()) + 1, np.int64)
    of_group[group] = side
    return np.ascontiguousarray(rng.permuted(np.tile(of_group, (n, 1)), axis=1)[:, group].T)


def _areas(scores: Numbers, sides: Groups) -> Numbers:
    """Give the (B,) AUC of (n, B) scores; ties, of which discriminants have none, count by their order."""
    order = np.argsort(scores, axis=0, kind="stable")
    in_order, n1 = np.take_along_axis(sides, order, axis=0), sides.sum(axis=0)
    ranks = (np.arange(1, len(sides) + 1)[:, None] * in_order).sum(axis=0)
    areas: Numbers = (ranks - n1 * (n1 + 1) / 2) / (n1 * (len(sides) - n1))
    return areas


def _auc(score: Numbers, side: Groups, group: Groups) -> ImageShift:
    """Give the AUC of (n,) scores and its interval, without a p-value."""
    from scipy.stats import rankdata

    rank, n1 = rankdata(score), int(side.sum())
    n0 = len(side) - n1
    placement = np.empty(len(side))
    for s, others in ((0, n1), (1, n0)):
        own = rankdata(score[side == s])
        below = (rank[side == s] - own) / others
        placement[side == s] = below if s == 1 else 1 - below
    auc = float(placement[side == 1].mean())
    variance = sum(_clustered(placement[side == s] - auc, group[side == s]) for s in (0, 1))
    error = math.sqrt(variance)
    low, high = max(0.0, auc - 1.96 * error), min(1.0, auc + 1.96 * error)
    return ImageShift(auc, low, high, math.nan)


def _clustered(deviation: Numbers, group: Groups) -> float:
    """Give the variance of a mean from deviations that are correlated within groups."""
    sums = np.bincount(np.unique(group, return_inverse=True)[1], deviation)
    return float(len(sums) / (len(sums) - 1) * np.square(sums).sum() / len(deviation) ** 2)
