"""The audit of a dataset: checks that each take what was read of it and give problems. It is made once, and kept as
audit.json beside the arrays in the store."""

import contextlib
import hashlib
import json
import shlex
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.audit.near import find_near
from penlight.data.audit.problem import Audit, Pair
from penlight.data.audit.shift import LEVEL, Shift, find_shifts
from penlight.data.audit.thumbs import Thumbs, blocks, make_thumbs
from penlight.data.catalog import is_phantom
from penlight.data.dataset import Dataset
from penlight.data.mapped import find_mapped
from penlight.data.problems import CODES, Place, Problem
from penlight.data.progress import count_progress
from penlight.data.views import shared_patients
from penlight.errors import DataError
from penlight.escaping import label_list, quoted
from penlight.numbers import counted, decimal_text, percent_text
from penlight.parsing import LARGEST_JSON, parse_json_object
from penlight.records import check_record

FILE = "audit.json"

FEW = 5
"""A label of fewer patients (images, where patients are not known) than this in a split is too rare for a score
there."""

LARGE_AUC = 0.8
"""An image shift is serious if the interval of its AUC lies above this."""

LARGE_H = 0.8
"""A label shift is serious if Cohen's h is at least this (large, by Cohen 1988)."""

# Below this, a shift that is beyond chance only because images are many is not worth a word.
_SMALL_AUC = 0.55
_CLEAR_AUC = 0.65
_SMALL_H = 0.1
_PLACES = 10


def kept_audit(dataset: Dataset) -> Audit:
    """Give the audit of a dataset: the kept one or, where that is missing, damaged, of another version or of other
    label names, one made now, which is then kept.

    What is not in the store, such as a phantom, is audited once for each time that it is opened. A store that cannot
    be written keeps nothing.
    """
    mapped = find_mapped(dataset.info.name, dataset.size, npz=None, md5=dataset.md5)
    if mapped is None:
        for opened, last in _last:
            if opened() is dataset:
                return last
    elif (found := _read_kept(mapped.folder, dataset)) is not None:
        return found
    made = audit(dataset)
    _last[:] = [(weakref.ref(dataset), made)]
    if mapped is not None:
        content = {"labels": _meaning(dataset, mapped.folder), "audit": made.to_dict()}
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        with contextlib.suppress(OSError):
            disk.write_whole(mapped.folder / FILE, text.encode(), private=True)
    return made


_last: "list[tuple[weakref.ref[Dataset], Audit]]" = []
"""The audit that was made last, as long as its dataset is open."""


def _read_kept(folder: Path, dataset: Dataset) -> Audit | None:
    try:
        content = parse_json_object(disk.read_inside(folder, FILE, LARGEST_JSON), FILE)
        if content["labels"] != _meaning(dataset, folder):
            return None
        found = check_record(Audit, content["audit"], FILE, error=DataError)
    except (OSError, KeyError, DataError):
        return None
    return found if found.images == {name: len(split) for name, split in dataset.splits.items()} else None


def _meaning(dataset: Dataset, folder: Path) -> list[Any]:
    """Say what the labels mean, which a description may change without the arrays, and whose the images are, where
    a table beside the arrays says so."""
    meaning = [dataset.info.task.kind, *dataset.info.task.labels]
    patients = [split.patients for split in dataset.splits.values() if split.patients is not None]
    if not patients or (folder / "train_patients.npy").exists():
        return meaning
    numbered = np.unique(np.concatenate(patients), return_inverse=True)[1].astype(np.int64)
    return [*meaning, hashlib.sha256(numbered.tobytes()).hexdigest()]


@dataclass(frozen=True)
class _Read:
    """What the checks share: `groups` are exact duplicates, (split, row) in order, two or more each."""

    dataset: Dataset
    groups: Sequence[Sequence[Place]]
    pairs: Sequence[Pair]
    shifts: Sequence[Shift]


def audit(dataset: Dataset) -> Audit:
    """Look for shared patients, exact and near duplicates within and across splits, across patients and with other
    labels, blank images, labels that a split lacks or has few of, and shifts between splits; the serious ones first.

    Every image is read twice. Seconds for thousands of images; see `near.find_near` for more.
    """
    thumbs = make_thumbs(dataset)
    groups = _exact_groups(dataset)
    pairs = [*_exact_pairs(dataset, groups), *_near_pairs(dataset, thumbs, groups)]
    repeats = np.zeros(len(thumbs), np.bool_)
    repeats[[thumbs.index(pair.other) for pair in pairs if not pair.across]] = True
    shifts = find_shifts(dataset, thumbs, repeats)
    read = _Read(dataset, groups, pairs, shifts)
    problems = [problem for check in _CHECKS for problem in check(read)]
    return Audit(
        images={name: len(split) for name, split in dataset.splits.items()},
        problems=_in_order(problems),
        pairs=tuple(sorted(pairs, key=lambda p: (not p.across, p.same_label, p.kind != "exact", -p.correlation))),
        shifts=shifts,
    )


def _in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: (not problem.serious, CODES.index(problem.code))))


def with_names(found: Audit, names: Mapping[str, Sequence[str]]) -> Audit:
    """Add to an audit what the names of the pictures of each split seem to show of patients, who are not known."""
    from penlight.data.own.filenames import patients_in_names

    seen = patients_in_names([path for paths in names.values() for path in paths])
    if seen is None:
        return found
    splits: dict[str, set[str]] = {}
    for split, patient in zip((split for split, paths in names.items() for _ in paths), seen.patients, strict=True):
        if patient is not None:
            splits.setdefault(patient, set()).add(split)
    across = [own for own in splits.values() if len(own) > 1]
    where = f"; {len(across):,} of them {'has' if len(across) == 1 else 'have'} images in several splits"
    problem = Problem(
        "patients-in-names",
        bool(across),
        f"Names of {counted(seen.n_pictures, 'image')} seem to show {counted(len(splits), 'patient')}, such as "
        f"{seen.names[0]}{where if across else ''}.",
        f"If they are patients, describe the images again with --patient-in-name {shlex.quote(seen.how)}.",
        splits=tuple(split for split in names if any(split in own for own in across)),
        numbers={"patients": len(splits), "across": len(across)},
    )
    return replace(found, problems=_in_order([*found.problems, problem]))


def _exact_groups(dataset: Dataset) -> list[list[Place]]:
    """Group identical images, by the hash of their pixels."""
    places: dict[bytes, list[Place]] = {}
    with count_progress("hashing images", sum(map(len, dataset.splits.values()))) as bar:
        for name, split in dataset.splits.items():
            row = 0
            for images in blocks(split):
                for image in images:
                    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
                    places.setdefault(digest, []).append((name, row))
                    row += 1
                bar.update(len(images))
    return [group for group in places.values() if len(group) > 1]


def _exact_pairs(dataset: Dataset, groups: Sequence[Sequence[Place]]) -> Iterator[Pair]:
    """Pair the first of each group with every other one."""
    for first, *others in groups:
        for other in others:
            yield Pair(first, other, "exact", 1.0, not _labels_differ(dataset, (first, other)))


def _near_pairs(dataset: Dataset, thumbs: Thumbs, groups: Sequence[Sequence[Place]]) -> Iterator[Pair]:
    """Pair near duplicates; of exact duplicates the first stands for all."""
    once = np.ones(len(thumbs), np.bool_)
    once[[thumbs.index(other) for _, *others in groups for other in others]] = False
    for near in find_near(thumbs, np.flatnonzero(once)):
        one, other = thumbs.place(near.one), thumbs.place(near.other)
        kind = "mirrored" if near.mirrored else "near"
        yield Pair(one, other, kind, min(1.0, round(near.r, 6)), not _labels_differ(dataset, (one, other)))


def _patients(read: _Read) -> Iterator[Problem]:
    for one, other, shared in shared_patients(read.dataset):
        verb = "patient is" if len(shared) == 1 else "patients are"
        yield Problem(
            "patients-across",
            True,
            f"{len(shared):,} {verb} in both {one} and {other}, for example {min(map(str, shared))}.",
            "Split the images by patient.",
            splits=(one, other),
            numbers={"patients": len(shared)},
        )


def _duplicates(read: _Read) -> Iterator[Problem]:
    across = [group for group in read.groups if len({name for name, _ in group}) > 1]
    within = [group for group in read.groups if len({name for name, _ in group}) == 1]
    other_label = [group for group in read.groups if _labels_differ(read.dataset, group)]
    found = (
        ("duplicates-across", True, across, ", pixel by pixel, in more than one split",
         "Take them out of all splits but one."),
        ("duplicates-conflict", True, other_label, " more than once with different labels",
         "Ask who read them which label is right."),
        ("duplicates-within", False, within, " more than once in one split",
         "Keep one of each, or know that they count double."),
    )  # fmt: skip
    for code, serious, groups, where, do in found:
        if groups:
            subject = f"{counted(len(groups), 'image')} {'stands' if len(groups) == 1 else 'stand'}"
            yield _problem(code, serious, f"{subject}{where}.", do, groups, {"images": len(groups)})


def _near(read: _Read) -> Iterator[Problem]:
    near = [pair for pair in read.pairs if pair.kind != "exact"]
    patients = [pair for pair in read.pairs if _patients_differ(read.dataset, pair)]
    found = (
        ("near-across", True, [pair for pair in near if pair.across],
         "the same picture, though not pixel by pixel, in two splits",
         "Look at them; take them out of all splits but one."),
        ("near-conflict", False, [pair for pair in near if not pair.same_label],
         "nearly the same picture with different labels",
         "Look at them; scores cannot be better than labels that contradict each other."),
        ("near-within", False, [pair for pair in near if not pair.across],
         "nearly the same picture within a split",
         "Know that they count double; keep one of each."),
        ("near-patients", False, patients,
         "the same picture under two patients",
         "Ask whether two numbers are one patient; a split by patient is only as good as they are."),
    )  # fmt: skip
    for code, serious, pairs, what, do in found:
        if pairs:
            n = counted(len(pairs), "pair of images is", "pairs of images are")
            numbers = {"pairs": len(pairs), "mirrored": sum(pair.kind == "mirrored" for pair in pairs)}
            # By the splits they are in: " (17 in train, 6 in val)".
            names = Counter(f"{pair.one[0]} and {pair.other[0]}" if pair.across else pair.one[0] for pair in pairs)
            where = f" ({', '.join(f'{count:,} in {name}' for name, count in names.items())})"
            where = where if code in ("near-across", "near-within") else ""
            yield _problem(
                code, serious, f"{n} {what}{where}.", do, [(pair.one, pair.other) for pair in pairs], numbers
            )


def _problem(
    code: str, serious: bool, seen: str, do: str, groups: Sequence[Sequence[Place]], numbers: dict[str, int]
) -> Problem:
    """Make a problem of groups of images, with the splits that they are in and the first of them."""
    places = tuple(place for group in groups for place in group)
    splits = tuple(dict.fromkeys(name for name, _ in places))
    return Problem(code, serious, seen, do, splits, numbers, places[:_PLACES])


def _labels(read: _Read) -> Iterator[Problem]:
    task = read.dataset.info.task
    for name, split in read.dataset.splits.items():
        counts = dict(zip(task.labels, task.encode(split.labels).sum(axis=0).tolist(), strict=True))
        absent = [label for label, n in counts.items() if n == 0]
        few = {label: n for label, n in _cases(task.encode(split.labels), split.patients, task.labels) if 0 < n < FEW}
        noun = "images" if split.patients is None else "patients"
        has, have = ("has", "have") if split.known is None else ("is known to have", "are known to have")
        if absent:
            yield Problem(
                "absent-label",
                name == "train",
                f"No image of {name} {has} the label {label_list(absent)}.",
                "Nothing can be learned of it." if name == "train" else "It has no score there.",
                splits=(name,),
                numbers={"labels": len(absent)},
            )
        if few:
            yield Problem(
                "few-of-label",
                False,
                f"Fewer than {FEW} {noun} of {name} {have} the label "
                f"{', '.join(f'{quoted(label)} ({n})' for label, n in few.items())}.",
                "Hardly anything can be learned of it."
                if name == "train"
                else "Its score there is close to a guess; read its interval.",
                splits=(name,),
                numbers={"labels": len(few), "fewest": min(few.values())},
            )


def _cases(
    y: NDArray[np.uint8], patients: NDArray[np.generic] | None, labels: Sequence[str]
) -> Iterator[tuple[str, int]]:
    """Count the patients who have an image with each label, or the images where patients are not known."""
    for label, own in zip(labels, y.T, strict=True):
        yield label, int(own.sum()) if patients is None else len(np.unique(patients[own > 0]))


def _blank(read: _Read) -> Iterator[Problem]:
    for name, split in read.dataset.splits.items():
        flat = (images.reshape(len(images), -1) for images in blocks(split))
        rows = np.flatnonzero(np.concatenate([values.min(axis=1) == values.max(axis=1) for values in flat] or [[]]))
        if len(rows):
            places = tuple((name, int(row)) for row in rows[:_PLACES])
            subject = f"1 image of {name} has" if len(rows) == 1 else f"{len(rows):,} images of {name} have"
            seen, do = f"{subject} one value everywhere.", "Look at them; an empty image has no label."
            yield Problem("blank", False, seen, do, (name,), {"images": len(rows)}, places)


def _shifted(read: _Read) -> Iterator[Problem]:
    # Two tests for each split; the level is that of all together (Bonferroni).
    level = LEVEL / (2 * max(1, len(read.shifts)))
    doubt = _doubt(read.dataset)
    for shift in read.shifts:
        images, labels = shift.images, shift.labels
        p = decimal_text(images.p)
        if images.p < level and images.auc >= _SMALL_AUC:
            yield Problem(
                "images-shifted",
                images.low >= LARGE_AUC,
                f"Images of {shift.split} differ{' a little' if images.auc < _CLEAR_AUC else ''} from train's: a "
                f"linear classifier tells them apart with AUC {decimal_text(images.auc, 2)} "
                f"({decimal_text(images.low, 2)} to {decimal_text(images.high, 2)}, p {p}).{doubt}",
                f"Ask how the splits were drawn; scores on {shift.split} are for images that are not quite train's.",
                splits=("train", shift.split),
                numbers={name: getattr(images, name) for name in ("auc", "low", "high", "p")},
            )
        p = decimal_text(labels.p)
        if labels.p < level and abs(labels.h) >= _SMALL_H:
            yield Problem(
                "labels-shifted",
                abs(labels.h) >= LARGE_H,
                f"Labels of {shift.split} are distributed otherwise than those of train (p {p}): "
                f"{labels.label} is {percent_text(labels.train_share)} of train and {percent_text(labels.share)} of "
                f"{shift.split}."
                f"{doubt}",
                f"Thresholds and probabilities made for train's shares need not fit {shift.split}.",
                splits=("train", shift.split),
                numbers={name: getattr(labels, name) for name in ("p", "h", "train_share", "share")},
            )


def _doubt(dataset: Dataset) -> str:
    """Say what is wrong with a p that shuffles images where these are not independent: of patients of four images it
    called seven to eight and a half of ten splits that are alike shifted."""
    if is_phantom(dataset.info) or all(split.patients is not None for split in dataset.splits.values()):
        return ""
    each = dataset.info.images_per_patient
    if each > 1:
        return f" Each patient has {each} images, and it is not known whose an image is: this p is too small."
    return " Patients are not known: if they have several images each, this p is too small."


def _labels_differ(dataset: Dataset, group: Sequence[Place]) -> bool:
    rows = np.stack([dataset.splits[name].labels[row] for name, row in group])
    known = [dataset.splits[name].known for name, _ in group]
    if all(mask is None for mask in known):
        return len({row.tobytes() for row in rows}) > 1
    # What one image says and the other does not know is no contradiction.
    pairs = zip(known, group, strict=True)
    said = np.stack([np.ones(rows.shape[1], bool) if mask is None else mask[row] for mask, (_, row) in pairs])
    there, of = (rows * said).sum(axis=0), said.sum(axis=0)
    return bool(((there > 0) & (there < of)).any())


def _patients_differ(dataset: Dataset, pair: Pair) -> bool:
    one, other = (dataset.splits[name].patients for name, _ in (pair.one, pair.other))
    return one is not None and other is not None and bool(one[pair.one[1]] != other[pair.other[1]])


_CHECKS: tuple[Callable[[_Read], Iterator[Problem]], ...] = (_patients, _duplicates, _near, _labels, _blank, _shifted)
