"""Dividing pictures into train, val and test: by patient, stratified by label, with a seed, written down.

Iterative stratification: Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011,
algorithm 1; here what is given to a split is a patient with all its pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.dataset import SPLITS
from penlight.data.own.listing import PictureRow, composed, split_named
from penlight.data.own.tables import as_path_cell, csv_bytes, path_of_cell, read_table
from penlight.errors import DataError
from penlight.escaping import named
from penlight.numbers import counted

SHARES: Mapping[str, float] = {"train": 0.7, "val": 0.1, "test": 0.2}
"""How pictures are divided unless a description says otherwise; MedMNIST's shares."""

LEFT_OUT = "left out"
"""What stands for the split of a picture that cannot be read."""

_MOST_TRIED = 10_000
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SplitRule:
    """How splits are made, and the `file` that they are read from: the file counts; without it they are made."""

    file: str
    seed: int = 0
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)


def divide(rows: Sequence[PictureRow], y: NDArray[np.integer], rule: SplitRule) -> list[str]:
    """Give the split of each row; `y` (N, C) are the indicators of its labels.

    Splits that are given are kept. Where val or test is not given, it is taken from train; where none is, all are
    divided. DataError for a patient in two given splits, for given splits without train, and if a split stays empty.
    """
    given = {row.split for row in rows if row.split}
    require_separate(rows, [row.split or "" for row in rows])
    if given and "train" not in given:
        raise DataError(f"There is a split {named(sorted(given))}, and none to train on.", "Name one of them train.")
    splits = [row.split or "train" for row in rows]
    wanted = [split for split in SPLITS if split not in given or split == "train"]
    pool = [i for i, split in enumerate(splits) if split == "train"]
    patients = np.array([row.patient if row.patient is not None else f"{i}" for i, row in enumerate(rows)])[pool]
    shares = np.array([rule.shares[split] for split in wanted])
    chosen = stratify(y[pool], patients, shares / shares.sum(), rule.seed)
    _keep_trainable(chosen, y[pool], patients, len(wanted))
    for i, split in zip(pool, chosen, strict=True):
        splits[i] = wanted[split]
    if empty := [split for split in SPLITS if split not in splits]:
        n = len(set(patients.tolist()))
        raise DataError(f"{n} patients or pictures are too few: {named(empty)} stays empty.", "Add some.")
    return splits


def _keep_trainable(part: Counts, y: NDArray[np.integer], groups: NDArray[np.generic], n_parts: int) -> None:
    """Change parts (N,), of which the first is train, so that each label of `y` (N, C) is in train, and no part is
    empty that need not be: small groups move, and none takes the last images of a label away from train."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(sizes, kind="stable").tolist()
    part_of = np.zeros(len(sizes), np.int64)
    part_of[group] = part
    counts = np.zeros((len(sizes), y.shape[1]), np.int64)
    np.add.at(counts, group, y)
    for label in np.flatnonzero(counts.sum(axis=0)):
        if not counts[part_of == 0, label].any():
            part_of[next(g for g in order if counts[g, label])] = 0
    for empty in set(range(1, n_parts)) - set(part_of.tolist()):
        in_train = counts[part_of == 0].sum(axis=0)
        spare = (g for g in order if part_of[g] == 0 and ((counts[g] == 0) | (counts[g] < in_train)).all())
        g = next(spare, None)
        if g is not None and (part_of == 0).sum() > 1:
            part_of[g] = empty
    if len(set(part_of.tolist())) < n_parts:
        # Of very few groups: whichever can leave train, if any can.
        for some in islice(combinations(order, n_parts - 1), _MOST_TRIED):
            rest = np.delete(counts, some, axis=0)
            if len(rest) and (rest.any(axis=0) == counts.any(axis=0)).all():
                part_of[:] = 0
                part_of[list(some)] = range(1, n_parts)
                break
    part[:] = part_of[group]


def stratify(y: NDArray[np.integer], groups: NDArray[np.generic], shares: NDArray[np.floating], seed: int) -> Counts:
    """Divide N images into parts: (N,) numbers of their parts, the images of a group always together.

    `y` (N, C) indicators, `groups` (N,), `shares` (S,) that sum to 1. Label by label, the rarest first, each group
    goes where images of that label are wanted most; groups with many images come first, so that small ones can even
    out.
    """
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    # Images without any label are a stratum too.
    labels = np.concatenate([y, y.sum(axis=1, keepdims=True) == 0], axis=1).astype(np.int64)
    counts = np.zeros((len(sizes), labels.shape[1]), np.int64)
    np.add.at(counts, group, labels)
    random = np.random.default_rng(seed)
    order = random.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    part = np.full(len(sizes), -1)
    wanted, room = shares[:, None] * counts.sum(axis=0), shares * len(y)
    left = counts.sum(axis=0)
    while (left > 0).any():
        label = int(np.where(left > 0, left, left.max() + 1).argmin())
        for g in order[(part[order] < 0) & (counts[order, label] > 0)]:
            best = _most(room, _most(wanted[:, label], np.arange(len(shares))))
            part[g] = best[0] if len(best) == 1 else random.choice(best)
            wanted[part[g]] -= counts[g]
            room[part[g]] -= sizes[g]
            left -= counts[g]
    return np.asarray(part[group], np.int64)


def _most(values: NDArray[np.floating], among: Counts) -> Counts:
    """Give those of `among` whose value is the highest; what differs by rounding alone is equal."""
    return np.asarray(among[values[among] >= values[among].max() - 1e-9], np.int64)


def require_separate(rows: Sequence[PictureRow], splits: Sequence[str]) -> None:
    """Raise DataError, naming them, for patients whose pictures are in two splits."""
    seen: dict[str, set[str]] = {}
    for row, split in zip(rows, splits, strict=True):
        if row.patient is not None and split in SPLITS:
            seen.setdefault(split, set()).add(row.patient)
    for one, other in combinations(seen, 2):
        if shared := sorted(seen[one] & seen[other]):
            raise DataError(
                f"Pictures of {counted(len(shared), 'patient')} are in both {one} and {other}: {named(shared)}.",
                "Give each patient one split, or have the splits made: --split-column none for those of a table.",
            )


def write_splits(path: Path, paths: Sequence[str], splits: Sequence[str]) -> None:
    """Write the split of each picture, as columns path and split, sorted by path."""
    rows = ((as_path_cell(picture), split) for picture, split in sorted(zip(paths, splits, strict=True)))
    disk.write_whole(path, csv_bytes(("path", "split"), rows))


def read_splits_file(folder: Path, name: str, paths: Sequence[str]) -> list[str] | None:
    """Read the splits of these pictures from a file in or below a folder: train, val, test or LEFT_OUT; None if it is
    not there. DataError for a file that is a link or lies behind one, for a picture that is not in it, for one that
    is there no more, and for other splits."""
    path = folder / name
    try:
        disk.open_inside(folder, name).close()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"split.file names {name}, and {error.strerror}.", "Put the file itself there.") from error
    table = read_table(folder, name)
    if not {"path", "split"} <= table.keys():
        raise DataError(f"{path} must have the columns path and split; it has {named(table)}.", "Correct it.")
    written = dict(zip(map(path_of_cell, table["path"]), table["split"], strict=True))
    if absent := [picture for picture in paths if composed(picture) not in written]:
        raise DataError(
            f"{path} does not say the split of {counted(len(absent), 'picture')}: {named(absent)}.",
            "Add their rows, or delete the file to divide all anew.",
        )
    if gone := sorted(written.keys() - {composed(picture) for picture in paths}):
        raise DataError(
            f"{counted(len(gone), 'picture')} that {path} names, there no more: {named(gone)}.",
            "Remove their rows.",
        )
    splits = []
    for picture in paths:
        text = written[composed(picture)]
        split = LEFT_OUT if text == LEFT_OUT else split_named(text)
        if split is None:
            raise DataError(f"{path}: the split of {picture} is '{text}'.", f"Write train, val, test or {LEFT_OUT}.")
        splits.append(split)
    return splits
