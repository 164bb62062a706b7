"""The user's own images: described, divided, prepared, opened like a named dataset; mistakes leave nothing behind."""

import csv
import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.api.requests import resolve_recipe
from penlight.api.training import train_recipe
from penlight.data import apply_view, list_datasets, open_dataset
from penlight.data.audit import audit
from penlight.data.own import prepare
from penlight.data.own.questions import UndecidedError
from penlight.errors import DataError
from penlight.formats import KINDS
from penlight.tasks.binary import propose_finding
from tests.data.test_dicom import dicom
from tests.data.test_pictures import bomb, pages
from tests.data.tiny_dataset import tiny_arrays
from tests.remembered import leave_reports_out

RANDOM = np.random.default_rng(0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def picture(path: Path, shape: tuple[int, ...] = (30, 32), value: int | None = None) -> np.ndarray:
    """Write a picture, in the format of its ending, and give its pixels."""
    pixels = RANDOM.integers(0, 256, shape, np.uint8) if value is None else np.full(shape, value, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def class_folders(root: Path, names=("cat", "dog", "emu"), n: int = 20, ending: str = "png") -> Path:
    for name in names:
        for i in range(n):
            picture(root / name / f"{i:02d}.{ending}")
    return root


def table(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def patients_table(folder: Path, n: int = 60, **changes) -> tuple[Path, list[dict[str, object]]]:
    """Pictures p00.png ... with two to a patient, a label, and all that may be known; `changes` by column, of i."""
    rows = []
    for i in range(n):
        picture(folder / "films" / f"p{i:02d}.png", (28, 28))
        row = {
            "path": f"films/p{i:02d}.png",
            "label": ("sick", "well")[i // 2 % 2],
            "patient": f"x{i // 2}",
            "site": ("north", "south")[i % 2],
            "age": f"{20 + i:03d}Y",
            "sex": "MF"[i % 2],
            "view": "PA",
        }
        rows.append({**row, **{name: change(i) for name, change in changes.items()}})
    return table(folder / "table.csv", rows), rows


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*") if path.is_file())


def store_names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "store").glob("*"))


def test_class_folders_become_a_dataset_like_any_other(place: Path, tmp_path: Path) -> None:
    class_folders(tmp_path / "Müller pics")
    found = pl.new_dataset(tmp_path / "Müller pics")
    assert found.description == Path("Muller-pics.toml")
    assert (found.task, found.labels, found.images) == (
        "multi-class",
        ("cat", "dog", "emu"),
        {"train": 42, "val": 6, "test": 12},
    )
    assert found.counts == {"train": [14, 14, 14], "val": [2, 2, 2], "test": [4, 4, 4]}
    dataset = open_dataset("Muller-pics.toml")
    assert dataset.splits["train"].images.shape == (42, 28, 28, 1)
    assert isinstance(dataset.splits["train"].images, np.memmap)
    assert not any(problem.serious for problem in audit(dataset).problems)
    assert len(apply_view(dataset).splits["test"]) == 12
    # The folder itself is a name for it, too.
    assert open_dataset(tmp_path / "Müller pics").md5 == dataset.md5
    assert pl.fetch("Muller-pics.toml").is_dir()
    assert left(place) == ["Muller-pics-splits.csv", "Muller-pics.toml"]
    assert len(store_names(tmp_path)) == 1
    json.dumps(found.to_dict())


def test_classes_do_not_follow_one_another(place: Path) -> None:
    found = pl.new_dataset(class_folders(place / "pics", n=60))
    labels = open_dataset(found.description).splits["train"].labels[:, 0]
    assert set(labels[:20].tolist()) == set(labels[-20:].tolist()) == {0, 1, 2}


def test_the_description_says_what_was_found_and_why(place: Path) -> None:
    class_folders(place / "pics", n=5)
    pl.new_dataset(place / "pics", seed=3)
    text = (place / "pics.toml").read_text()
    said = tomllib.loads(text)
    assert said["licence"] == said["source"] == "unknown: please state"
    assert said["images"] == {
        "from": "pics", "sizes": [28], "fit": "crop", "values": ["cat", "dog", "emu"],
    }  # fmt: skip
    assert said["split"]["seed"] == 3
    assert "their names show no order" in text
    assert "all pictures are grey" in text


def test_a_dataset_in_the_data_folder_is_listed_and_found(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(place / "data" / "pics", n=5)
    monkeypatch.setenv("PENLIGHT_DATA", str(place / "data"))
    pl.new_dataset(place / "data" / "pics", out=place / "data")
    row = next(row for row in list_datasets() if row["name"] == "pics")
    assert (row["sizes"], row["channels"], row["task"]) == ([28], 1, "multi-class")
    assert open_dataset("pics").info.name == "pics"


def test_given_splits_are_kept_and_a_missing_one_is_taken_from_train(place: Path) -> None:
    for split in ("Training", "valid", "test"):
        class_folders(place / "three" / split, n=6)
    found = pl.new_dataset(place / "three")
    assert found.images == {"train": 18, "val": 18, "test": 18}
    kept = rows_of(place / "three-splits.csv")
    names = {"Training": "train", "valid": "val", "test": "test"}
    assert all(names[row["path"].split("/")[0]] == row["split"] for row in kept)
    for split in ("train", "test"):
        class_folders(place / "two" / split, n=16)
    assert pl.new_dataset(place / "two").images == {"train": 42, "val": 6, "test": 48}


def test_a_manifest_keeps_patients_apart_and_its_columns(place: Path) -> None:
    path, rows = patients_table(place / "study")
    found = pl.new_dataset(path, labels=["well", "sick"])
    assert found.task == "binary"
    dataset = open_dataset(found.description)
    by_patient = {name: set(split.patients.tolist()) for name, split in dataset.splits.items()}
    assert not by_patient["train"] & by_patient["test"]
    assert sum(map(len, by_patient.values())) == 30
    split = dataset.splits["test"]
    assert set(split.metadata) == {"site", "age", "sex", "view"}
    assert split.metadata["age"].dtype == np.float32
    # Every column is that of its own picture.
    by_age = {float(row["age"][:3]): row for row in rows}
    for age, patient, sex, label in zip(
        split.metadata["age"], split.patients, split.metadata["sex"], split.labels[:, 0], strict=True
    ):
        row = by_age[float(age)]
        assert (row["patient"], row["sex"]) == (patient, sex)
        assert row["label"] == ("well", "sick")[label]
        image = np.asarray(Image.open(place / "study" / row["path"]))
        at = np.flatnonzero(split.metadata["age"] == age)[0]
        np.testing.assert_array_equal(split.images[at, ..., 0], image)


def test_an_unknown_age_is_nan_and_a_strange_one_is_named(place: Path) -> None:
    path, _ = patients_table(place / "study", age=lambda i: "" if i == 0 else "6M")
    found = pl.new_dataset(path)
    ages = np.concatenate([s.metadata["age"] for s in open_dataset(found.description).splits.values()])
    assert np.isnan(ages).sum() == 1
    assert np.nanmax(ages) == 0.5
    path, _ = patients_table(place / "other", age=lambda i: "old")
    found = pl.new_dataset(path, name="other")
    assert any("60 ages not read, and so missing: old" in note for note in found.notes)
    cells = ("90+", ">89", "40,5", "058Y", "NA", "")
    path, _ = patients_table(place / "third", age=lambda i: cells[i % 6])
    found = pl.new_dataset(path, name="third")
    ages = np.concatenate([s.metadata["age"] for s in open_dataset(found.description).splits.values()])
    assert sorted(set(ages[~np.isnan(ages)].tolist())) == [40.5, 58, 89, 90]
    assert not any("not read" in note for note in found.notes)


def test_findings_in_one_cell_and_no_finding(place: Path) -> None:
    cells = ("Mass|Nodule", "No Finding", "Nodule", "Mass")
    path, _ = patients_table(place / "study", label=lambda i: cells[i % 4])
    found = pl.new_dataset(path)
    assert (found.task, found.labels) == ("multi-label", ("Mass", "Nodule"))
    assert "several labels at once" in found.reason
    dataset = open_dataset(found.description)
    together = np.concatenate([split.labels for split in dataset.splits.values()])
    assert sorted(map(tuple, together.tolist())) == sorted([(1, 1), (0, 0), (0, 1), (1, 0)] * 15)


def test_no_finding_is_no_finding_of_its_own_where_no_picture_has_several(place: Path) -> None:
    cells = ("Mass", "No finding", "Nodule")
    path, _ = patients_table(place / "study", label=lambda i: cells[i % 3])
    found = pl.new_dataset(path, task="multi-label")
    assert (found.task, found.labels) == ("multi-label", ("Mass", "Nodule"))
    dataset = open_dataset(found.description)
    together = np.concatenate([split.labels for split in dataset.splits.values()])
    assert sorted(map(tuple, together.tolist())) == sorted([(1, 0), (0, 0), (0, 1)] * 20)
    # Where a picture has one label, it is one like the others.
    assert pl.new_dataset(path, name="one", task="multi-class").labels == ("Mass", "No finding", "Nodule")


def test_a_column_for_each_finding_and_a_column_of_yes_and_no(place: Path) -> None:
    path, _ = patients_table(place / "a", label=lambda i: 0, mass=lambda i: i % 2, edema=lambda i: int(i % 3 == 0))
    text = path.read_text().replace("label", "extra finding")
    path.write_text(text)
    found = pl.new_dataset(path, name="a")
    assert (found.task, found.labels) == ("multi-label", ("edema", "mass"))
    rows = [{"file": f"{i}.png", "sick": i % 2} for i in range(30)]
    for row in rows:
        picture(place / "b" / str(row["file"]))
    found = pl.new_dataset(table(place / "b" / "b.csv", rows))
    assert (found.task, found.labels) == ("binary", ("0", "1"))


def test_windows_paths_bare_names_and_other_machines_work(place: Path) -> None:
    written = (r"films\p{:02d}.png", r"C:\data\films\p{:02d}.png", "p{:02d}.png", "/old/place/films/p{:02d}.png")
    path, _ = patients_table(place / "study", path=lambda i: written[i % 4].format(i))
    assert sum(pl.new_dataset(path).images.values()) == 60


def test_a_semicolon_table_in_excels_utf8_and_a_parquet_table(place: Path) -> None:
    import pandas as pd

    path, _ = patients_table(place / "study")
    frame = pd.read_csv(path)
    path.unlink()
    frame.to_parquet(place / "study" / "t.parquet")
    one = pl.new_dataset(place / "study" / "t.parquet", name="parquet")
    path.write_text("\ufeff" + frame.to_csv(index=False, sep=";"), encoding="utf-8")
    other = pl.new_dataset(path, name="semicolon")
    assert one.images == other.images
    assert open_dataset(one.description).md5 == open_dataset(other.description).md5


@pytest.mark.parametrize("names", [("0", "1", "2"), ("mild", "moderate", "none"), ("grade I 1", "grade II 2", "g 3")])
def test_what_may_be_grades_is_asked_for(place: Path, names) -> None:
    class_folders(place / "pics", names, n=5)
    with pytest.raises(DataError, match="which only you can say") as caught:
        pl.new_dataset(place / "pics")
    assert "--task ordinal" in caught.value.remedy
    assert left(place) == []
    assert pl.new_dataset(place / "pics", task="multi-class").task == "multi-class"


def test_grades_are_put_in_their_order(place: Path) -> None:
    class_folders(place / "pics", ("mild", "moderate", "none", "severe"), n=5)
    assert pl.new_dataset(place / "pics", task="ordinal").labels == ("none", "mild", "moderate", "severe")
    class_folders(place / "other", ("good", "fair", "poor"), n=5)
    with pytest.raises(DataError, match=r"order .* cannot be read"):
        pl.new_dataset(place / "other", task="ordinal")
    found = pl.new_dataset(place / "other", task="ordinal", labels=["poor", "fair", "good"])
    assert found.labels == ("poor", "fair", "good")


def test_the_negative_of_two_classes_is_first_or_a_person_is_told(place: Path) -> None:
    class_folders(place / "pics", ("malignant", "normal"), n=10)
    assert pl.new_dataset(place / "pics").labels == ("normal", "malignant")
    class_folders(place / "pets", ("cat", "dog"), n=10)
    found = pl.new_dataset(place / "pets")
    assert any("'dog' is taken as what is looked for" in note for note in found.notes)


@pytest.mark.parametrize(
    ("labels", "finding"),
    [
        (("benign", "malignant"), "malignant"),
        (("PNEUMONIA", "NORMAL"), "PNEUMONIA"),
        (("0_normal", "1_pneumonia"), "1_pneumonia"),
        (("healthy", "sick"), "sick"),
        (("unhealthy", "healthy"), "unhealthy"),
        (("HER2-positive", "HER2-negative"), "HER2-positive"),
        (("with effusion", "without effusion"), "with effusion"),
        (("No_DR", "DR"), "DR"),
        (("normal", "not normal"), "not normal"),
        (("Non-COVID", "COVID"), "COVID"),
        (("present", "absent"), "present"),
        # Where names do not say it, nothing is said.
        (("0", "1"), None),
        (("normal", "1"), None),
        (("no", "yes"), None),
        (("false", "true"), None),
        (("cat", "dog"), None),
        (("benign", "normal"), None),
        (("normal", "other"), None),
        (("non-diagnostic", "diagnostic"), None),
        (("left", "right"), None),
        (("krank", "gesund"), None),
        (("normal", "mild", "severe"), None),
        (("", "normal"), None),
    ],
)
def test_the_finding_is_proposed_where_names_say_it_plainly(labels, finding) -> None:
    assert propose_finding(labels) == propose_finding(labels[::-1]) == finding


def test_a_description_names_the_finding_or_says_how_to(place: Path) -> None:
    class_folders(place / "pics", ("malignant", "normal"), n=10)
    found = pl.new_dataset(place / "pics", labels=["malignant", "normal"])
    assert tomllib.loads(found.description.read_text())["positive"] == "malignant"
    assert any("'malignant' is taken as the finding" in note for note in found.notes)
    assert open_dataset(found.description).info.task.sought == 0
    class_folders(place / "pets", ("cat", "dog"), n=10)
    pets = pl.new_dataset(place / "pets").description
    text = pets.read_text()
    assert "positive" not in tomllib.loads(text)
    (line,) = [line for line in text.splitlines() if line.startswith("# positive")]
    pets.write_text(text.replace(line, line.removeprefix("# ").replace('"dog"', '"cat"')))
    assert open_dataset(pets).info.task.finding == "cat"
    class_folders(place / "grades", n=10)
    assert "positive" not in pl.new_dataset(place / "grades").description.read_text()
    np.savez(place / "two.npz", **{
        **(arrays := tiny_arrays()), **{k: v % 2 for k, v in arrays.items() if k.endswith("labels")}
    })  # fmt: skip
    named = pl.new_dataset(place / "two.npz", labels=["malignant", "normal, benign"])
    assert tomllib.loads(named.description.read_text())["positive"] == "malignant"
    assert "# positive =" in pl.new_dataset(place / "two.npz", name="unnamed").description.read_text()


def test_formats_sizes_and_depths_are_mixed(place: Path) -> None:
    root = class_folders(place / "pics", n=8)
    picture(root / "cat" / "colour.jpg", (50, 40, 3))
    picture(root / "dog" / "wide.tif", (20, 90))
    Image.fromarray(RANDOM.integers(0, 4096, (30, 30), np.uint16)).save(root / "emu" / "deep.png")
    (root / "emu" / "IM0001").write_bytes(dicom())
    found = pl.new_dataset(root)
    assert (found.channels, sum(found.images.values())) == (3, 28)
    assert tomllib.loads((place / "pics.toml").read_text())["images"]["bits"] == 12
    assert any("enlarged" in note for note in found.notes)


def test_another_size_in_the_description_is_prepared_when_asked_for(place: Path) -> None:
    class_folders(place / "pics", n=6)
    found = pl.new_dataset(place / "pics")
    text = found.description.read_text()
    with pytest.raises(DataError, match="images of 28 pixels; 64"):
        open_dataset(found.description, 64)
    found.description.write_text(text.replace("sizes = [28]", "sizes = [28, 64]"))
    assert open_dataset(found.description, 64).splits["train"].images.shape[1:] == (64, 64, 1)
    assert pl.new_dataset(place / "pics", size=40, name="forty").next == "penlight train forty.toml --size 40"


def test_corrections_count(place: Path) -> None:
    class_folders(place / "pics", n=6)
    found = pl.new_dataset(place / "pics")
    before = open_dataset(found.description)
    text = found.description.read_text()
    found.description.write_text(
        text.replace('labels = ["cat"', 'labels = ["Felis catus"').replace('pics"\ntask', 'P"\ntask')
    )
    assert open_dataset(found.description).info.task.labels[0] == "Felis catus"
    assert found.splits is not None
    splits = found.splits.read_text()
    found.splits.write_text(splits.replace("cat/00.png,train", "cat/00.png,test"))
    moved = open_dataset(found.description)
    assert len(moved.splits["train"]) == len(before.splits["train"]) - splits.count("cat/00.png,train")
    # Without the file, the rule and the seed make the splits again, and nothing is written beside the description.
    found.splits.unlink()
    assert open_dataset(found.description).md5 == before.md5
    assert not found.splits.exists()


def test_what_changed_since_is_noticed(place: Path) -> None:
    root = class_folders(place / "pics", n=6)
    found = pl.new_dataset(root)
    before = open_dataset(found.description)
    picture(root / "cat" / "00.png", value=9)
    os.utime(root / "cat" / "00.png", (1, 1))
    assert open_dataset(found.description).md5 != before.md5
    picture(root / "cat" / "99.png")
    with pytest.raises(DataError, match=r"does not say the split of 1 picture: cat/99\.png"):
        open_dataset(found.description)
    (root / "cat" / "99.png").rename(root / "cat" / "00.png")
    (root / "dog" / "00.png").unlink()
    with pytest.raises(DataError, match=r"there no more: dog/00\.png"):
        open_dataset(found.description)


def test_a_description_is_not_written_over(place: Path) -> None:
    class_folders(place / "pics", n=5)
    pl.new_dataset(place / "pics")
    before = (place / "pics.toml").read_bytes()
    with pytest.raises(DataError, match=r"pics\.toml is there already"):
        pl.new_dataset(place / "pics", seed=4)
    assert (place / "pics.toml").read_bytes() == before


def test_an_npz_is_described_where_it_lies(place: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **tiny_arrays())
    with pytest.raises(DataError, match="which only you can say"):
        pl.new_dataset(tmp_path / "mine.npz")
    found = pl.new_dataset(tmp_path / "mine.npz", task="ordinal", labels=["none", "some", "much"])
    assert found.images == {"train": 9, "val": 6, "test": 3}
    assert open_dataset(found.description).info.task.labels == ("none", "some", "much")
    np.savez(tmp_path / "bad.npz", images=np.zeros(3))
    with pytest.raises(DataError, match="has the arrays images"):
        pl.new_dataset(tmp_path / "bad.npz")


# What cannot be used: each by name, and nothing is left.


def one_class(folder: Path) -> Path:
    return class_folders(folder, ("cat",), n=3)


def two_cases(folder: Path) -> Path:
    return class_folders(folder, ("cat", "Cat", "dog"), n=3)


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def loose(folder: Path) -> Path:
    picture(folder / "a.png")
    return folder


def half_splits(folder: Path) -> Path:
    class_folders(folder / "train", n=2)
    picture(folder / "cat" / "a.png")
    return folder


def link_out(folder: Path) -> Path:
    class_folders(folder, n=3)
    picture(folder.parent / "secret.png")
    (folder / "cat" / "link.png").symlink_to(folder.parent / "secret.png")
    return folder


def linked_folder(folder: Path) -> Path:
    class_folders(folder, n=3)
    (folder / "all").symlink_to(folder.parent, target_is_directory=True)
    return folder


def path_out(folder: Path) -> Path:
    picture(folder.parent / "films" / "p00.png")
    return patients_table(folder, path=lambda i: f"../films/p{i:02d}.png")[0]


def shared_patient(folder: Path) -> Path:
    splits = ("train", "val", "test")
    return patients_table(folder, split=lambda i: splits[i % 3], patient=lambda i: "x7" if i < 2 else f"y{i}")[0]


def strange_split(folder: Path) -> Path:
    return patients_table(folder, split=lambda i: "holdout")[0]


def no_train(folder: Path) -> Path:
    return patients_table(folder, split=lambda i: "test")[0]


def no_label(folder: Path) -> Path:
    return patients_table(folder, label=lambda i: "" if i == 3 else "ab"[i % 2])[0]


def no_patient(folder: Path) -> Path:
    return patients_table(folder, patient=lambda i: "" if i == 3 else i)[0]


def twice(folder: Path) -> Path:
    return patients_table(folder, path=lambda i: "films/p00.png")[0]


def no_path(folder: Path) -> Path:
    return table(folder / "t.csv", [{"label": "a"}])


def no_labels(folder: Path) -> Path:
    return table(folder / "t.csv", [{"path": "a.png", "remark": "x"}])


def ragged(folder: Path) -> Path:
    path = table(folder / "t.csv", [{"path": "a.png", "label": "x"}])
    path.write_text(path.read_text() + "b.png\n")
    return path


def latin1(folder: Path) -> Path:
    path = table(folder / "t.csv", [{"path": "a.png", "label": "x"}])
    path.write_bytes("path,label\nä.png,x\n".encode("latin-1"))
    return path


def both(folder: Path) -> Path:
    class_folders(folder, n=3)
    return table(folder / "t.csv", [{"path": "a.png", "label": "x"}]).parent


def nowhere(folder: Path) -> Path:
    return folder / "none"


def too_few(folder: Path) -> Path:
    return class_folders(folder, ("cat", "dog"), n=1)


def same_endings(folder: Path) -> Path:
    picture(folder / "other" / "p00.png")
    return patients_table(folder, path=lambda i: f"p{i:02d}.png")[0]


BAD = [
    (one_class, "one label alone, cat"),
    (two_cases, "case alone: Cat and cat"),
    (empty, re.escape(f"no {KINDS} pictures")),
    (loose, "nothing says their labels"),
    (half_splits, r"folders of splits \(train\) and others beside them \(cat\)"),
    (link_out, r"lead out of it: cat/link\.png"),
    (linked_folder, "lead out of it: all"),
    (path_out, "leads out of"),
    (shared_patient, "Pictures of 1 patient are in both train and val: x7"),
    (strange_split, "is 'holdout'"),
    (no_train, "none to train on"),
    (no_label, r"1 row without a label, of films/p03\.png"),
    (no_patient, r"no patient in the rows of films/p03\.png"),
    (twice, r"several rows: films/p00\.png"),
    (no_path, "no column that names the files"),
    (no_labels, "no labels"),
    (ragged, "row 3 has 1 cells"),
    (latin1, "no such file as ä"),
    (both, "which says the labels"),
    (nowhere, "There is no folder"),
    (too_few, "too few"),
    (same_endings, r"p00\.png may be"),
]


@pytest.mark.parametrize(("made", "message"), BAD, ids=[made.__name__ for made, _ in BAD])
def test_what_cannot_be_used_is_named_and_leaves_nothing(place: Path, tmp_path: Path, made, message) -> None:
    source = made(tmp_path / "source")
    with pytest.raises(DataError, match=message) as caught:
        pl.new_dataset(source)
    assert caught.value.remedy
    # A question leaves the draft in which it can be answered, and nothing else.
    assert left(place) == [f"{source.stem}.draft.toml"] * isinstance(caught.value, UndecidedError)
    assert not [name for name in store_names(tmp_path) if not name.startswith(".")]


@pytest.mark.parametrize(("task", "message"), [("binary", "two labels; there are 3"), ("binry", "must be one of")])
def test_a_task_that_does_not_fit_is_refused(place: Path, task, message) -> None:
    class_folders(place / "pics", n=3)
    with pytest.raises(DataError, match=message):
        pl.new_dataset(place / "pics", task=task)


def test_what_cannot_be_read_is_listed_and_left_out_only_if_asked(place: Path, tmp_path: Path) -> None:
    root = class_folders(place / "pics", n=10)
    bad = {
        "cat/cut.png": (root / "cat" / "00.png").read_bytes()[:200],
        "cat/volume.dcm": dicom(NumberOfFrames=40),
        "dog/bomb.png": bomb(50_000, 50_000),
        "emu/pages.tif": pages(),
        "emu/text.jpg": b"hello",
    }
    for path, content in bad.items():
        (root / path).write_bytes(content)
    (root / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="5 pictures cannot be read") as caught:
        pl.new_dataset(root)
    for path in bad:
        assert path in str(caught.value)
    assert "40 frames" in str(caught.value)
    assert left(place) == ["pics-unreadable.csv"]
    listed = {row["path"] for row in rows_of(place / "pics-unreadable.csv")}
    assert listed == set(bad)

    found = pl.new_dataset(root, skip_unreadable=True)
    assert set(found.problems) == set(bad)
    assert list(found.ignored) == ["notes.txt"]
    assert sum(found.images.values()) == 30
    rows = rows_of(place / "pics-splits.csv")
    assert {row["path"] for row in rows if row["split"] == "left out"} == set(bad)
    assert sum(len(split) for split in open_dataset("pics.toml").splits.values()) == 30
    # One that is damaged later is an error again.
    (root / "cat" / "01.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 picture cannot be read. cat/01\.png"):
        open_dataset("pics.toml")


def test_rows_without_a_file_and_files_without_a_row_are_listed(place: Path) -> None:
    path, rows = patients_table(place / "study")
    picture(place / "study" / "films" / "stranger.png")
    (place / "study" / "films" / "p05.png").unlink()
    with pytest.raises(DataError, match=r"films/p05\.png: there is no such file"):
        pl.new_dataset(path)
    found = pl.new_dataset(path, skip_unreadable=True)
    assert list(found.ignored) == ["films/stranger.png"]
    assert sum(len(split) for split in open_dataset(found.description).splits.values()) == len(rows) - 1
    (place / "study" / "films" / "p06.png").unlink()
    with pytest.raises(DataError, match=r"no file for 1 row of .*: films/p06\.png"):
        open_dataset(found.description)


class PulledPlugError(Exception):
    pass


def test_an_interrupted_preparation_goes_on_and_gives_the_same_bytes(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = class_folders(place / "pics", n=20)
    monkeypatch.setattr(prepare, "_IN_PART", 4)
    found = pl.new_dataset(root, name="whole")
    whole = pl.fetch(str(found.description))

    load, read = prepare.load_with_headers, []

    def until(limit):
        def load_some(paths, reading):
            read.extend(paths)
            if len(read) > limit:
                raise PulledPlugError
            return load(paths, reading)

        return load_some

    monkeypatch.setattr(prepare, "load_with_headers", until(33))
    with pytest.raises(PulledPlugError):
        pl.new_dataset(root, name="again")
    assert not (place / "again.toml").exists()
    parts = list((tmp_path / "cache" / "store" / ".again-28.parts").glob("*.npz"))
    assert 0 < len(parts) < 15
    done = 4 * len(parts)
    read.clear()
    monkeypatch.setattr(prepare, "load_with_headers", until(1000))
    found = pl.new_dataset(root, name="again")
    assert len(read) == 60 - done
    again = pl.fetch(str(found.description))
    names = {path.name for path in whole.iterdir()}
    assert names == {path.name for path in again.iterdir()}
    for name in names - {"about.json"}:
        assert (whole / name).read_bytes() == (again / name).read_bytes()
    assert open_dataset("whole.toml").md5 == open_dataset("again.toml").md5
    assert (place / "whole-splits.csv").read_bytes() == (place / "again-splits.csv").read_bytes()
    assert not list((tmp_path / "cache" / "store").glob(".*"))


def test_a_picture_that_changes_meanwhile_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = class_folders(place / "pics", n=5)
    load = prepare.load_with_headers

    def load_and_touch(paths, reading):
        images = load(paths, reading)
        for path in paths:
            os.utime(path, (7, 7))
        return images

    monkeypatch.setattr(prepare, "load_with_headers", load_and_touch)
    with pytest.raises(DataError, match="changed while it was read"):
        pl.new_dataset(root)
    assert left(place) == []


def test_the_same_pictures_elsewhere_give_the_same_dataset(place: Path) -> None:
    root = class_folders(place / "pics", n=6)
    one = pl.new_dataset(root, name="one")
    shutil.copytree(root, place / "copy")
    other = pl.new_dataset(place / "copy", name="other")
    assert open_dataset(one.description).md5 == open_dataset(other.description).md5


BROKEN = [
    ("channels = 1  #", "#", "need channels"),
    ('fit = "crop"', 'fit = "zoom"', "fit must be one of"),
    ('values = ["cat", "dog", "emu"]', 'values = ["cat", "dog"]', "3 labels and 2 values"),
    ('values = ["cat", "dog", "emu"]', 'values = ["cat", "dog", "gnu"]', "labels emu are not in the description"),
    ("sizes = [28]", "sizes = []", "sizes is empty"),
    ("shares.test = 0.2", "shares.test = 0", "shares must be numbers above 0"),
    ("seed = 0", "seed = -1", "seed must be 0 or more"),
    ('from = "pics"', 'from = "gone"', "There is no folder"),
    ('from = "pics"', 'form = "pics"', "Unknown key form"),
    ('fit = "crop"', "bits = 20", "bits must be 8 to 16"),
    ('fit = "crop"', 'columns = { label = "x" }', "columns must name path"),
    ('fit = "crop"', 'columns = { path = "p", label = "x", hat = "y" }', "Unknown column hat"),
]


@pytest.mark.parametrize(("old", "wrong", "message"), BROKEN)
def test_a_wrong_correction_is_named(place: Path, old, wrong, message) -> None:
    class_folders(place / "pics", n=5)
    found = pl.new_dataset(place / "pics")
    text = found.description.read_text()
    assert old in text
    found.description.write_text(text.replace(old, wrong, 1))
    with pytest.raises(DataError, match=message):
        open_dataset(found.description)


def test_a_folder_without_a_description_says_what_to_do(place: Path) -> None:
    class_folders(place / "pics", n=2)
    with pytest.raises(DataError, match="no description yet") as caught:
        open_dataset("pics")
    assert caught.value.remedy == "Have one written: penlight data new pics"


@pytest.mark.full
@pytest.mark.real
def test_nih1000_as_pictures_is_nih1000_as_npz(place: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written out as PNG files with a table, it has the same arrays, splits and, with the linear recipe, scores."""
    npz = open_dataset("nih1000")
    labels, rows = npz.info.task.labels, []
    for name, split in npz.splits.items():
        for i in range(len(split)):
            path = place / "nih" / "films" / f"{name}_{i:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(split.images[i, ..., 0])).save(path)
            findings = dict(zip(labels, split.labels[i].tolist(), strict=True))
            rows.append({"path": f"films/{path.name}", "patient": split.patients[i], "split": name, **findings})
    found = pl.new_dataset(table(place / "nih" / "nih.csv", rows), labels=labels)
    assert (found.task, found.labels) == ("multi-label", labels)
    text = found.description.read_text().replace('# modality = "film"', 'modality = "film"')
    found.description.write_text(text)
    pictures = open_dataset(found.description)
    for name, split in npz.splits.items():
        for kind in ("images", "labels", "patients"):
            np.testing.assert_array_equal(getattr(pictures.splits[name], kind), getattr(split, kind))
    leave_reports_out(monkeypatch)
    scores = [
        train_recipe(resolve_recipe(str(dataset), "linear"), out=place / "runs" / Path(dataset).stem).scores.to_dict()
        for dataset in ("nih1000", found.description)
    ]
    assert {**scores[0], "dataset": ""} == {**scores[1], "dataset": ""}
