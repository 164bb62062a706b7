"""Patients by image hash: a table from whoever has the originals names whose an image is."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from penlight.data import apply_view, open_dataset
from penlight.data.audit import kept_audit
from penlight.errors import DataError
from tests.data.tiny_dataset import write_tiny


@pytest.fixture
def described(home: Path) -> Path:
    """A description in a folder of the user's own data."""
    folder = home / ".medmnist"
    folder.mkdir(exist_ok=True)
    write_tiny(folder)
    return folder / "tiny.toml"


def hashes(path: Path) -> dict[str, list[str]]:
    """The hash of every image of an npz, from its own bytes."""
    with np.load(path.with_suffix(".npz")) as arrays:
        return {
            split: [hashlib.sha256(image.tobytes()).hexdigest() for image in arrays[f"{split}_images"]]
            for split in ("train", "val", "test")
        }


def write_table(described: Path, rows: list[tuple[str, str]], head: tuple[str, ...] = ("sha256", "patient")) -> None:
    with (described.parent / "tiny-patients.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def by_threes(described: Path) -> list[tuple[str, str]]:
    """Three images of a patient, one after the other; none is in two splits."""
    return [(h, f"{split} {i // 3}") for split, own in hashes(described).items() for i, h in enumerate(own)]


def test_a_table_names_the_patient_of_each_image(described: Path) -> None:
    assert open_dataset(described).splits["train"].patients is None
    kept_audit(open_dataset(described))
    rows = by_threes(described)
    write_table(described, rows[::-1])
    opened = open_dataset(described)
    assert opened.splits["test"].patients.tolist() == [f"test {i // 3}" for i in range(15)]
    assert apply_view(opened).splits["test"].groups.tolist() == [i // 3 for i in range(15)]


def test_the_audit_sees_patients_that_a_table_puts_into_two_splits(described: Path) -> None:
    kept_audit(open_dataset(described))
    write_table(described, [(h, "one") for own in hashes(described).values() for h in own])
    assert "patients-across" in [problem.code for problem in kept_audit(open_dataset(described)).problems]
    with pytest.raises(DataError, match="patients of tiny are in both"):
        apply_view(open_dataset(described))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1:], "does not say whose 1 of 60 images are"),
        (lambda rows: [*rows, (rows[0][0].upper(), "another")], "Line 62 .* second patient"),
        (lambda rows: [("abc", "x"), *rows], "Line 2 .* must be a SHA-256"),
        (lambda rows: [(rows[0][0], ""), *rows], "Line 2 .* must be a SHA-256"),
    ],
)
def test_a_table_that_is_wrong_is_refused(described: Path, change, message: str) -> None:
    write_table(described, change(by_threes(described)))
    with pytest.raises(DataError, match=message):
        open_dataset(described)


def test_a_table_without_its_head_is_refused(described: Path) -> None:
    write_table(described, by_threes(described), head=("hash", "person"))
    with pytest.raises(DataError, match="must begin with the line sha256,patient"):
        open_dataset(described)


def test_a_description_says_how_many_images_a_patient_has(described: Path) -> None:
    described.write_text("images_per_patient = 4\n" + described.read_text())
    assert open_dataset(described).info.images_per_patient == 4
    described.write_text(described.read_text().replace("= 4", "= 0", 1))
    with pytest.raises(DataError, match="images_per_patient must be 1 to 10,000; 0 came"):
        open_dataset(described)
