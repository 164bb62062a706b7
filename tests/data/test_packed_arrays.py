"""Pictures that are rows of an array, in NumPy's or HDF5's files, with their labels beside them: they open by one
line, and what is wrong is said."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penlight as pl
from penlight.data import open_dataset
from penlight.data.own.hdf5 import DatasetRows, open_arrays
from penlight.data.own.packed import sources, stop_reading
from penlight.data.own.pairs import are_pairs, beside
from penlight.data.own.unreadable import UnreadableError
from penlight.data.pictures import DecodeOptions, load_picture
from penlight.errors import DataError

h5py = pytest.importorskip("h5py")

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.integers(0, 256, (60, 28, 28), np.uint8)
COLOUR = RANDOM.integers(0, 256, (60, 28, 28, 3), np.uint8)
TWO = np.arange(60) % 2


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(**arrays: np.ndarray) -> None:
    Path("d").mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(f"d/{name}.npy", array)


def labels_of(description: Path) -> dict[bytes, list[int]]:
    return {image.tobytes(): label.tolist() for split in open_dataset(description).splits.values()
            for image, label in zip(split.images, split.labels, strict=True)}  # fmt: skip


def test_arrays_of_splits_open_by_one_line() -> None:
    write(X_train=VALUES[:40], y_train=TWO[:40], X_test=VALUES[40:], y_test=TWO[40:].reshape(-1, 1))
    found = pl.new_dataset("d", size=28)
    assert found.images["test"] == 20
    assert not found.ignored
    assert labels_of(found.description) == {VALUES[i].tobytes(): [i % 2] for i in range(60)}
    with pytest.raises(DataError, match=r"X_test.npy beside .* are of its other splits"):
        pl.new_dataset("d/X_train.npy")


@pytest.mark.parametrize(
    ("images", "seen"),
    [
        pytest.param(np.moveaxis(COLOUR, -1, 1), COLOUR, marks=pytest.mark.full),
        pytest.param((VALUES / 255).astype(np.float32), VALUES, marks=pytest.mark.full),
        (np.asfortranarray(VALUES.astype(">u2") * 257), VALUES),
    ],
)
def test_shapes_and_types_of_arrays(images: np.ndarray, seen: np.ndarray) -> None:
    write(images=images, labels=np.array([b"cat", b"dog"])[TWO])
    found = pl.new_dataset("d", size=28)
    assert found.labels == ("cat", "dog")
    assert labels_of(found.description) == {seen[i].tobytes(): [i % 2] for i in range(60)}


@pytest.mark.full
def test_several_columns_of_labels() -> None:
    findings = RANDOM.integers(0, 2, (60, 3))
    findings[:9] = np.eye(3, dtype=int)[np.arange(9) % 3]
    write(images=VALUES, labels=findings)
    found = pl.new_dataset("d", size=28)
    assert (found.task, found.labels) == ("multi-label", ("0", "1", "2"))
    assert labels_of(found.description) == {VALUES[i].tobytes(): findings[i].tolist() for i in range(60)}


def patches(split: str, start: int, n: int) -> None:
    """Write a split as PatchCamelyon has it: pictures and labels in HDF5, and the slides in a table."""
    Path("pcam").mkdir(exist_ok=True)
    name = f"pcam/camelyonpatch_level_2_split_{split}"
    with h5py.File(f"{name}_x.h5", "w") as file:
        file.create_dataset("x", data=COLOUR[start : start + n], chunks=(4, 28, 28, 3), compression="gzip")
    with h5py.File(f"{name}_y.h5", "w") as file:
        labels = (np.arange(start, start + n) % 2).astype(np.uint8)
        file.create_dataset("y", data=labels.reshape(n, 1, 1, 1), compression="gzip")
    with Path(f"{name}_meta.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["", "coord_y", "coord_x", "tumor_patch", "center_tumor_patch", "wsi"])
        rows.writerows([i, 7, 9, i % 2 == 1, i % 2 == 1, f"camelyon16_{split}_{i // 4:03d}"] for i in range(n))


def test_pairs_of_hdf5_with_a_table_of_slides() -> None:
    patches("train", 0, 40)
    patches("valid", 40, 10)
    patches("test", 50, 10)
    found = pl.new_dataset("pcam", size=28, patient_column="wsi")
    assert (found.task, found.images) == ("binary", {"train": 40, "val": 10, "test": 10})
    assert not found.ignored
    assert labels_of(found.description) == {COLOUR[i].tobytes(): [i % 2] for i in range(60)}
    patients = open_dataset(found.description).splits["train"].patients
    assert patients is not None
    assert len(set(patients)) == 10


@pytest.mark.full
def test_pictures_and_labels_in_one_file_of_hdf5() -> None:
    with h5py.File("t.h5", "w") as file:
        file["images"], file["labels"], file["left"] = VALUES, TWO, VALUES
    with pytest.raises(DataError, match='path_column="images"'):
        pl.new_dataset("t.h5", size=28)
    found = pl.new_dataset("t.h5", size=28, path_column="images")
    assert labels_of(found.description) == {VALUES[i].tobytes(): [i % 2] for i in range(60)}


def no_labels() -> None:
    patches("train", 0, 40)
    Path("pcam").rename("d")
    Path("d/camelyonpatch_level_2_split_train_y.h5").unlink()


def packed() -> None:
    Path("d").mkdir()
    Path("d/train_x.h5.gz").write_bytes(b"\x1f\x8b")


def no_hdf5() -> None:
    patches("train", 0, 40)
    Path("pcam").rename("d")
    Path("d/camelyonpatch_level_2_split_train_x.h5").write_bytes(b"no" * 500)


BAD: dict[str, tuple[Callable[[], None], str]] = {
    "other lengths": (lambda: write(X=VALUES, y=TWO[:-1]), r"y.npy has 59 rows, and .*X.npy has 60 pictures"),
    "two files of labels": (lambda: write(X=VALUES, y=TWO, labels=TWO), "labels.npy, y.npy may each be the labels"),
    "objects": (lambda: write(X=np.array([{}] * 9), y=TWO[:9]), "X.npy holds pickled objects"),
    "objects as labels": (lambda: write(X=VALUES[:9], y=np.array([{}] * 9)), "y.npy holds pickled objects"),
    "no pictures": (lambda: write(X=RANDOM.random((60, 30)), y=TWO), r"X.npy holds float64 of the shape \(60, 30\)"),
    "labels of another shape": (lambda: write(X=VALUES, y=np.zeros((60, 2, 2))), r"y.npy has the shape \(60, 2, 2\)"),
    "floats of 0 to 255": (lambda: write(X=VALUES * 1.0, y=TWO), r"X.npy#0: its values are floats of 0 to 255, and"),
    "no labels": (no_labels, "has 40 pictures, and nothing beside it says their labels"),
    "files that are packed": (packed, "has no picture, and packed files: train_x.h5.gz. Unpack them"),
    "no HDF5": (no_hdf5, "cannot be read as an HDF5 file"),
}


SLOW = {"floats of 0 to 255", "no labels", "no HDF5"}


@pytest.mark.parametrize("what", [pytest.param(what, marks=[pytest.mark.full] * (what in SLOW)) for what in BAD])
def test_what_cannot_be_a_dataset_is_said(what: str) -> None:
    draw, reason = BAD[what]
    draw()
    with pytest.raises(DataError, match=reason):
        pl.new_dataset("d", size=28)
    assert not list(Path().glob("*.toml"))


def made(draw: Callable[[Any], object]) -> io.BytesIO:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        draw(file)
    return content


def lie(file: Any) -> None:
    file.create_dataset("x", shape=(1_000_000, 600, 600), dtype="u1", chunks=(1, 600, 600), compression="gzip")


def elsewhere(file: Any) -> None:
    layout = h5py.VirtualLayout((3, 9, 9), "u1")
    layout[0] = h5py.VirtualSource("/etc/passwd", "x", (9, 9))
    file.create_virtual_dataset("x", layout)


AWAY = [("/etc/passwd", 0, 729)]
HOSTILE = {
    "a link to another file": (lambda file: file.__setitem__("x", h5py.ExternalLink("/a", "x")), "is a link"),
    "a link within": (lambda file: file.__setitem__("x", h5py.SoftLink("/y")), "x is a link to another place"),
    "values in another file": (
        lambda file: file.create_dataset("x", (9, 9, 9), "u1", external=AWAY), "lie in other files"
    ),
    "values of other files": (elsewhere, "lie in other files"),
    "a filter in doubt": (lambda file: file.create_dataset("x", data=VALUES, scaleoffset=0), "by the filter 6"),
    "a million pictures of nothing": (lie, "unpacks 0 bytes to 360,000,000,000, as no pictures do"),
    "rows without number": (
        lambda file: file.create_dataset("x", (10**12, 9, 9), "u1", chunks=(1, 9, 9)), "rows are read"
    ),
    "a chunk of a gigabyte": (
        lambda file: file.create_dataset("x", (9, 40_000, 40_000), "u1", chunks=(1, 30_000, 30_000)), "bytes at once"
    ),
    "texts without bounds": (lambda file: file.create_dataset("x", data=["a", "b"]), "has the type object"),
    "records": (lambda file: file.create_dataset("x", (3,), np.dtype([("a", "u1")])), "has the type"),
    "a group": (lambda file: file.create_group("x"), "x is a group"),
    "a single value": (lambda file: file.create_dataset("x", data=3), r"has the shape \(\)"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_hdf5_is_refused_before_a_row_is_read(what: str) -> None:
    draw, reason = HOSTILE[what]
    with pytest.raises(UnreadableError, match=reason):
        open_arrays(made(draw))


def test_rows_of_hdf5_are_read_as_arrays() -> None:
    source = made(lambda file: file.create_dataset("x", data=COLOUR, chunks=(7, 28, 28, 3), compression="lzf"))
    rows = DatasetRows(source, "")
    assert (load_picture(rows.row(59), DecodeOptions(28, 3)) == COLOUR[59]).all()
    with pytest.raises(UnreadableError, match="60 rows, and no row 60"):
        rows.row(60)


def test_a_file_that_is_cut_off_while_it_is_read_is_named() -> None:
    write(X=VALUES)
    assert len(list(sources(Path("d"), ["X.npy#0", "X.npy#59"]))) == 2
    Path("d/X.npy").write_bytes(Path("d/X.npy").read_bytes()[:-1])
    with pytest.raises(DataError, match="cannot be read: it says it holds 47,040 bytes"):
        list(sources(Path("d"), ["X.npy#1"]))
    stop_reading()


def test_names_of_labels_beside_pictures() -> None:
    names = ["y_train.npy", "Labels.npy", "a_y.h5", "a_meta.csv", "train_labels.npy", "label.npy"]
    assert beside("X_train.npy", names) == ["y_train.npy"]
    assert beside("images.npy", names) == ["Labels.npy", "label.npy"]
    assert beside("a_x.h5", names) == ["a_y.h5"]
    assert beside("a_x.h5", names, about=True) == ["a_meta.csv"]
    assert beside("train_images.npy", names) == ["train_labels.npy"]
    for other in ("film.npy", "x_images.npy", "X_train.csv", "a_y.h5"):
        assert beside(other, names) == []
    assert are_pairs(["a/X.npy", "a/y.npy", "a/film.npy", "b/X.npy", "b/x.png"]) == {"a/X.npy", "a/y.npy"}
