"""Labels that are not known, from a table to views and folds: kept as unknown, counted, never taken for absent."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import penlight as pl
from penlight.data import Dataset, Split, apply_view, open_dataset
from penlight.data.arrays import md5_of
from penlight.data.audit import audit
from penlight.data.own.table_rules import UNCERTAIN
from penlight.data.record import record_of
from penlight.data.summary import describe
from penlight.errors import DataError
from penlight.tasks import Binary, MultiLabel, label_of
from penlight.training.folds import make_folds
from tests.conftest import small_dataset

RANDOM = np.random.default_rng(0)
FINDINGS = ("Edema", "Effusion", "Mass")
CELLS = (
    ("1.0", "0.0", "-1.0"),
    ("0.0", "1.0", ""),
    ("", "0.0", "1.0"),
    ("0.0", "0.0", "0.0"),
    ("1.0", "-1.0", "0.0"),
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chexpert(rows: int = 40, cells: Sequence[Sequence[str]] = CELLS) -> None:
    """Draw pictures in CheXpert's folders, with its table: 1, 0, -1 and empty."""
    lines = []
    for i in range(rows):
        path = Path(f"CheXpert-v1.0-small/train/patient{i // 2:05d}/study1/view{i}_frontal.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RANDOM.integers(0, 256, (28, 28), np.uint8)).save(path)
        lines.append([path.as_posix(), "Male", "61", "Frontal", "AP", *cells[i % len(cells)]])
    with Path("CheXpert-v1.0-small/train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS], *lines])


def made(**options: Any) -> Dataset:
    new = pl.new_dataset("CheXpert-v1.0-small/train.csv", **{"task": "multi-label", "name": "films", **options})
    return open_dataset(new.description)


def joined(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    splits = dataset.splits.values()
    known = [np.ones(s.labels.shape, bool) if s.known is None else s.known for s in splits]
    return np.concatenate([s.labels for s in splits]), np.concatenate(known)


def test_uncertain_and_blank_findings_are_kept_as_unknown_and_counted() -> None:
    chexpert()
    new = pl.new_dataset("CheXpert-v1.0-small/train.csv", task="multi-label", uncertain="unknown", name="films")
    text = new.description.read_text()
    assert 'uncertain = "unknown"' in text
    assert 'blank = "unknown"' in text
    assert new.understood is not None
    assert new.understood.unknown == {"Edema": 8, "Effusion": 8, "Mass": 16}
    assert new.unknown is not None
    assert np.sum([*new.unknown.values()], axis=0).tolist() == [8, 8, 16]
    dataset = open_dataset(new.description)
    labels, known = joined(dataset)
    assert (labels.sum(axis=0).tolist(), (~known).sum(axis=0).tolist()) == ([16, 8, 8], [8, 8, 16])
    assert not (labels * ~known).any()
    shown = describe(dataset)
    assert np.sum([shown.unknown(split) for split in shown.images], axis=0)[:3].tolist() == [8, 8, 16]
    # Of 8 images all is known, and nothing is there.
    none = {row["label"]: row for row in shown.labels}["no finding"]
    assert sum(none[split]["count"] for split in shown.images) == 8
    assert sum(none[split]["unknown"] for split in shown.images) == 32
    assert none["train"]["share"] == 1
    edema = shown.shares("train")[0]
    train = dataset.splits["train"]
    assert edema == pytest.approx(train.labels[train.known[:, 0], 0].mean())  # type: ignore[index]
    assert shown.split_table().loc["Edema", "train_unknown"] == (~train.known[:, 0]).sum()  # type: ignore[index]
    kept = record_of(apply_view(dataset))
    assert kept.known is not None
    assert kept.known["train"] == tuple(train.known.sum(axis=0))  # type: ignore[union-attr]


@pytest.mark.parametrize("uncertain", UNCERTAIN)
def test_every_reading_of_an_uncertain_finding_gives_its_own_dataset(uncertain: str) -> None:
    chexpert()
    dataset = made(uncertain=uncertain, blank="unknown" if uncertain == "unknown" else "negative")
    labels, known = joined(dataset)
    positives = {"positive": [16, 16, 16], "negative": [16, 8, 8], "drop": [8, 8], "unknown": [16, 8, 8]}
    assert labels.sum(axis=0).tolist() == positives[uncertain]
    assert known.all() == (uncertain != "unknown")


def test_a_picture_of_which_nothing_is_known_is_left_out_and_counted() -> None:
    chexpert(cells=[*CELLS, ("", "-1.0", "")], rows=42)
    new = pl.new_dataset("CheXpert-v1.0-small/train.csv", task="multi-label", uncertain="unknown", name="films")
    assert new.understood is not None
    assert new.understood.left_out == {"no label that is known": 7}
    assert sum(new.images.values()) == 35


def test_a_table_of_one_label_leaves_out_what_is_not_known() -> None:
    for i in range(30):
        Path("im").mkdir(exist_ok=True)
        Image.fromarray(RANDOM.integers(0, 256, (28, 28), np.uint8)).save(f"im/{i}.png")
    lines = [[f"im/{i}.png", ("0", "1", "-1")[i % 3]] for i in range(30)]
    with Path("t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label"], *lines])
    new = pl.new_dataset("t.csv", uncertain="unknown", task="binary")
    assert sum(new.images.values()) == 20
    assert new.unknown is None


@pytest.mark.parametrize(
    ("keep", "labels", "known"),
    [
        ("majority", [1, 0, 0, 1], [1, 1, 1, 1]),
        ("any", [1, 0, 1, 1], [1, 0, 1, 1]),
        ("first", [1, 0, 0, 1], [1, 0, 1, 1]),
    ],
)
def test_rows_of_one_picture_join_what_they_know(keep: str, labels: list[int], known: list[int]) -> None:
    Path("im").mkdir()
    for i in range(30):
        Image.fromarray(RANDOM.integers(0, 256, (28, 28), np.uint8)).save(f"im/{i}.png")
    rows = [("1", "-1", "0", "1"), ("-1", "-1", "1", "1"), ("1", "0", "0", "1")]
    # Others have each label once, so that it counts as one.
    lines = [[f"im/{i}.png", *cells] for i in range(10) for cells in rows]
    lines += [[f"im/{i}.png", "0", "1", "1", "0"] for i in range(10, 30)]
    with Path("t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", *FINDINGS, "Nodule"], *lines])
    new = pl.new_dataset("t.csv", uncertain="unknown", keep_rows=keep, task="multi-label")
    y, mask = joined(open_dataset(new.description))
    places = [new.labels.index(name) for name in (*FINDINGS, "Nodule")]
    own = (y[:, places] == labels).all(axis=1) & (mask[:, places] == known).all(axis=1)
    assert own.sum() == 10


def test_data_without_unknown_labels_is_the_same_to_the_byte() -> None:
    chexpert(cells=[("1.0", "0.0", "1.0"), ("0.0", "1.0", "0.0")])
    plain, asked = made(), made(uncertain="unknown", name="asked")
    assert plain.md5 == asked.md5
    assert all(split.known is None for split in asked.splits.values())


def test_an_npz_may_say_which_labels_are_known(place: Path) -> None:
    base = small_dataset(MultiLabel(("a", "b")), channels=1)
    known = {name: RANDOM.random(split.labels.shape) < 0.8 for name, split in base.splits.items()}
    arrays = {f"{name}_images": split.images for name, split in base.splits.items()}
    # Whatever stands where nothing is known, as -1 does.
    arrays |= {f"{n}_labels": np.where(known[n], s.labels, -1).astype(np.int8) for n, s in base.splits.items()}
    np.savez("own.npz", **arrays, **{f"{name}_known": own for name, own in known.items()})
    new = pl.new_dataset("own.npz", task="multi-label")
    dataset = open_dataset(new.description)
    for name, split in dataset.splits.items():
        np.testing.assert_array_equal(split.known, known[name])
        np.testing.assert_array_equal(split.labels, np.where(known[name], base.splits[name].labels, 0))
    assert new.unknown == {name: (~own).sum(axis=0).tolist() for name, own in known.items()}
    loaded = pl.load(new.description, "val")
    np.testing.assert_array_equal(loaded.labels == -1, ~known["val"])
    frame = loaded.frame()
    assert frame["0"].isna().sum() == (~known["val"][:, 0]).sum()
    assert isinstance(frame, pd.DataFrame)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda known: known.astype(np.uint8), "must be true or false for each label"),
        (lambda known: known[:, :1], "of the shape"),
    ],
)
def test_a_mask_of_another_kind_is_refused(change: Any, says: str) -> None:
    base = small_dataset(MultiLabel(("a", "b")), channels=1)
    arrays = {f"{name}_images": split.images for name, split in base.splits.items()}
    arrays |= {f"{name}_labels": split.labels for name, split in base.splits.items()}
    np.savez("own.npz", **arrays, train_known=change(np.ones((48, 2), bool)))
    with pytest.raises(DataError, match=says):
        pl.new_dataset("own.npz", task="multi-label")


def test_a_mask_of_classes_is_refused() -> None:
    base = small_dataset(Binary(("a", "b")), channels=1)
    arrays = {f"{name}_images": split.images for name, split in base.splits.items()}
    arrays |= {f"{name}_labels": split.labels for name, split in base.splits.items()}
    np.savez("own.npz", **arrays, train_known=np.ones((48, 1), bool))
    with pytest.raises(DataError, match="one label for each image"):
        pl.new_dataset("own.npz")


# often is in most rows, seldom in the fewest.
TRUE = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]], np.uint8)
KNOWN = np.ones_like(TRUE, bool)
KNOWN[4, 2] = KNOWN[5, 0] = KNOWN[1, 0] = False
TRUE[1, 0] = 0


def films() -> Dataset:
    base = small_dataset(MultiLabel(("often", "some", "seldom")), channels=1)
    splits = {
        name: replace(split, images=split.images[: len(TRUE)], labels=TRUE, known=KNOWN)
        for name, split in base.splits.items()
    }
    return replace(base, splits=splits)


def test_the_native_view_keeps_what_is_not_known() -> None:
    view = apply_view(films())
    assert view.splits["val"].known is not None
    np.testing.assert_array_equal(view.splits["val"].known, KNOWN)
    assert view.left_out["val"].undecided is None
    part = view.splits["val"].part(np.array([0, 4]))
    assert part.known is not None
    assert part.known.tolist() == KNOWN[[0, 4]].tolist()
    assert view.splits["val"].part(np.array([0, 2])).known is None
    assert label_of(view.task, *view.splits["val"].truth_of(4)) == "often (unknown: seldom)"
    assert label_of(view.task, *view.splits["val"].truth_of(5)) == "none known (unknown: often)"
    assert label_of(view.task, *view.splits["val"].truth_of(3)) == "none"


@pytest.mark.parametrize(
    ("name", "rows", "classes", "undecided"),
    [
        # Row 1 has some, and often may be there too; row 4 has often, and seldom may be; of row 5 nothing is certain.
        ("single", [0, 2, 6, 7], [0, 1, 2, 0], 3),
        ("single+normal", [0, 2, 3, 6, 7], [1, 2, 0, 3, 1], 3),
        # Of two the rarer counts: whether often is there too changes nothing.
        ("dominant", [0, 1, 2, 6, 7], [0, 1, 1, 2, 0], 2),
        ("any", [0, 1, 2, 3, 4, 6, 7], [1, 1, 1, 0, 1, 1, 1], 1),
    ],
)
def test_other_views_keep_images_whose_answer_does_not_hang_on_it(
    name: str, rows: list[int], classes: list[int], undecided: int
) -> None:
    view = apply_view(films(), name)
    part, left = view.splits["val"], view.left_out["val"]
    assert (part.index.tolist(), part.y_true.argmax(axis=1).tolist(), part.known) == (rows, classes, None)
    assert (left.images, left.undecided) == (len(TRUE) - len(rows), undecided)
    said = describe(view).view_text()
    assert f"{undecided} of these images because of labels that are not known" in said


def test_folds_keep_what_is_known_of_each_image() -> None:
    base = small_dataset(MultiLabel(("a", "b")), channels=1, n=(60, 40, 32))
    known = {name: RANDOM.random(split.labels.shape) < 0.7 for name, split in base.splits.items()}
    splits = {n: replace(s, labels=s.labels * known[n], known=known[n]) for n, s in base.splits.items()}
    view = apply_view(replace(base, splits=splits))
    folds = make_folds(view, 3, seed=0)
    pooled = np.concatenate([known["train"], known["val"]])
    for number in range(3):
        fold = folds.fold(number)
        for name, part in fold.splits.items():
            np.testing.assert_array_equal(part.known, pooled[part.index])
            np.testing.assert_array_equal(fold.dataset.splits[name].known, pooled[part.index])


def test_a_label_known_in_train_alone_is_learned_and_has_no_score() -> None:
    base = films()
    hidden = np.array(KNOWN)
    hidden[:, 2] = False
    own = replace(base.splits["test"], labels=TRUE * hidden, known=hidden)
    view = apply_view(replace(base, splits={**base.splits, "test": own}))
    shown = describe(view)
    assert shown.unknown("test")[2] == len(TRUE)
    assert shown.shares("test")[2] == 0
    nothing = replace(base.splits["train"], labels=TRUE * hidden, known=hidden)
    with pytest.raises(DataError, match="No image in train of small is known to have the label seldom"):
        apply_view(replace(base, splits={**base.splits, "train": nothing}))


def test_the_mask_is_part_of_what_a_dataset_is_known_by() -> None:
    arrays = {"train_labels": TRUE}
    assert md5_of(arrays) != md5_of(arrays | {"train_known": KNOWN})


def test_the_audit_compares_what_is_known() -> None:
    base = small_dataset(MultiLabel(("a", "b")), channels=1, n=(60, 40, 40))
    known = {name: np.ones(split.labels.shape, bool) for name, split in base.splits.items()}
    # Of train b is known where it is there alone: as common as in test, and yet more often among the known.
    known["train"][:, 1] = base.splits["train"].labels[:, 1] > 0
    known["train"][:2, 1] = True
    splits = {n: replace(s, labels=s.labels * known[n], known=known[n]) for n, s in base.splits.items()}
    images = base.splits["test"].images.copy()
    images[:2] = images[2:4] = images[4]
    rows = np.array([[1, 0], [1, 0], [1, 1], [1, 1], [1, 1]])
    mask = np.ones((40, 2), bool)
    mask[:2, 1] = False
    labels = np.concatenate([rows, splits["test"].labels[5:]])
    splits["test"] = Split(images, labels * mask, known=mask)
    audited = audit(replace(base, splits=splits, md5="0" * 32))
    assert "duplicates-conflict" not in {problem.code for problem in audited.problems}
    contradicting = Split(images, labels)
    again = audit(replace(base, splits={**splits, "test": contradicting}, md5="1" * 32))
    assert "duplicates-conflict" in {problem.code for problem in again.problems}
    test = next(shift for shift in audited.shifts if shift.split == "test")
    assert (test.labels.label, test.labels.train_share) == (
        "b",
        splits["train"].labels[known["train"][:, 1], 1].mean(),
    )
