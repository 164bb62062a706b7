"""Layouts and tables as people have them: each opens as what it is, or is refused with the option that opens it, and
is never another dataset."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.data import open_dataset
from penlight.data.own.draft import answer, read_draft
from penlight.data.own.new import NewDataset
from penlight.data.own.questions import UndecidedError
from penlight.errors import DataError

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path: str) -> None:
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 256, (28, 28), np.uint8)).save(place)


def folders(*names: str, n: int = 8) -> None:
    for name in names:
        for i in range(n):
            put(f"d/{name}/{i}.png")


def table(
    path: str, head: Sequence[str], row: Callable[[int], Sequence[Any]], n: int = 40, *, films: bool = True
) -> None:
    """Write a table of n rows beside n pictures im/00.png, im/01.png, ..."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head] * bool(head) + [row(i) for i in range(n)])
    for i in range(n * films):
        put(f"im/{i:02d}.png")


def opened(path: str = "t.csv", **options: Any) -> NewDataset:
    """Describe a dataset, and open what was described: both are one."""
    found = pl.new_dataset(path, **options)
    dataset = open_dataset(found.description)
    assert dataset.info.task.labels == found.labels
    assert {name: len(split) for name, split in dataset.splits.items()} == found.images
    return found


def asked(path: str = "t.csv", **options: Any) -> dict[str, str]:
    """Give the readings of a question, the options by their words; nothing is made but the draft."""
    with pytest.raises(UndecidedError) as caught:
        pl.new_dataset(path, **options)
    (draft,) = Path().glob("*.toml")
    assert draft.name.endswith(".draft.toml")
    readings = {reading.option: reading.words for reading in caught.value.question.readings}
    assert all(option in draft.read_text() or option.startswith(("-", "penlight")) for option in readings)
    assert all(option in caught.value.text for option in list(readings)[:8])
    return readings


def asked_of(path: str, **options: Any) -> dict[str, str]:
    """Give the readings of a question where another dataset is described already."""
    with pytest.raises(UndecidedError) as caught:
        pl.new_dataset(path, **options)
    return {reading.option: reading.words for reading in caught.value.question.readings}


def label_total(found: NewDataset) -> dict[str, int]:
    return {name: sum(counts[i] for counts in found.counts.values()) for i, name in enumerate(found.labels)}


# Folders.


def test_masks_junk_and_wrappers_are_no_classes() -> None:
    folders("wrap/images/a", "wrap/images/b", "wrap/masks/a", "wrap/masks/b", "@eaDir/a", "__MACOSX/a", "lost+found")
    found = opened("d")
    assert label_total(found) == {"a": 8, "b": 8}
    assert found.understood is not None
    assert found.understood.left_out == {"folders of systems and tools": 24, "masks": 16}


def test_where_all_pictures_are_in_folders_of_masks_they_are_the_pictures() -> None:
    folders("with_mask", "without_mask")
    assert label_total(opened("d")) == {"with_mask": 8, "without_mask": 8}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train Set", "Test Set"),
        ("seg_train", "seg_test"),
        ("training", "testing"),
        ("a. Training Set", "b. Test set"),
    ],
)
def test_folders_of_splits_have_many_names(train: str, test: str) -> None:
    folders(f"set/{train}/a", f"set/{train}/b")
    folders(f"set/{test}/a", f"set/{test}/b", n=3)
    assert opened("d").images == {"train": 14, "val": 2, "test": 6}


def test_splits_below_the_classes_are_splits_too() -> None:
    folders("cat/train", "dog/train")
    folders("cat/validate", "dog/validate", "cat/test", "dog/test", n=2)
    found = opened("d")
    assert (found.labels, found.images) == (("cat", "dog"), {"train": 16, "val": 4, "test": 4})


def test_a_level_that_says_what_the_upper_says_is_the_label() -> None:
    folders("lung_image_sets/lung_aca", "lung_image_sets/lung_n", "colon_image_sets/colon_aca")
    assert opened("d").labels == ("colon_aca", "lung_aca", "lung_n")


@pytest.mark.parametrize(
    ("names", "option", "labels"),
    [
        (("ill/p0", "ill/p1", "ill/p2", "well/p3", "well/p4", "well/p5"), "", ("well", "ill")),
        (("ill/00", "ill/01", "ill/02", "well/03", "well/04", "well/05"), "{label}/{patient}", ("well", "ill")),
        (("00/0", "00/1", "01/0", "01/1", "02/0", "02/1"), "{patient}/{label}", ("0", "1")),
        (("north/ill", "north/well", "south/ill", "south/well"), "*/{label}", ("well", "ill")),
        (("ill/left", "ill/right", "well/left", "well/right"), "{label}", ("well", "ill")),
        (("f1/ill/40X", "f1/well/40X", "f2/ill/100X", "f2/well/100X"), "*/{label}", ("well", "ill")),
    ],
)
def test_of_several_levels_a_person_says_which(names: Sequence[str], option: str, labels: Sequence[str]) -> None:
    folders(*names)
    if not option:
        assert opened("d", order=labels).labels == labels
        return
    assert f"--folders '{option}'" in asked("d")
    found = opened("d", folders=option, order=labels)
    patients = open_dataset(found.description).splits["train"].patients
    assert (patients is not None) == ("{patient}" in option)


def test_a_folder_below_a_class_is_asked_about() -> None:
    folders("a", "b", "a/more")
    assert asked("d") == {
        "--folders '{label}'": "a, b",
        "--folders '{label}' --ignore '*/more/*'": "without the folders below, more",
        "--folders '*/{label}'": "more, without the pictures that are not so deep",
    }
    assert label_total(opened("d", folders="{label}")) == {"a": 16, "b": 8}
    found = opened("d", folders="{label}", ignore=["*/more/*"], name="less")
    assert label_total(found) == {"a": 8, "b": 8}


def test_folders_of_patients_are_no_labels() -> None:
    folders("patient0001", "patient0002")
    assert "--folders '{label}'" in asked("d")


def test_pictures_of_kinds_that_are_not_read_do_not_fall_out() -> None:
    folders("a", "b")
    Path("d/b/x.svs").write_bytes(b"slide")
    assert asked("d") == {"--ignore '*.svs'": "leave them out"}
    assert sum(opened("d", ignore=["*.svs"]).images.values()) == 16


def test_pictures_of_a_split_without_labels_are_counted() -> None:
    folders("train/a", "train/b", "test")
    found = opened("d")
    assert found.understood is not None
    assert found.understood.left_out == {"pictures without a row or label": 8}


@pytest.mark.parametrize("text", ["{label}/../x", "{label}/{label}", "{split}", "a{b}", "", "{label", "x/{label}/"])
def test_templates_are_checked(text: str) -> None:
    folders("a", "b")
    if text:
        with pytest.raises(DataError, match=r"must have \{label\} once"):
            pl.new_dataset("d", folders=text)


# Tables: columns.


NAMES = [
    *(("image", "level"), ("image_id", "dx"), ("ImageID", "Labels"), ("Image name", "Retinopathy grade")),
    *(
        ("id_code", "diagnosis"),
        ("dicom_id", "label"),
        ("img", "class"),
        ("fname", "target"),
        ("file_name", "category"),
    ),
    ("patientId", "Target"),
]


@pytest.mark.parametrize(("path", "label"), NAMES)
def test_names_of_published_columns(path: str, label: str) -> None:
    table("t.csv", [path, label], lambda i: [f"{i:02d}", "xy"[i % 2]])
    assert label_total(opened()) == {"x": 20, "y": 20}


def test_a_column_of_any_name_that_holds_names_of_files_is_the_path() -> None:
    table("t.csv", ["X-ray", "n", "label"], lambda i: [f"{i:02d}", 7, "xy"[i % 2]])
    found = opened()
    assert found.understood is not None
    assert found.understood.account["files"].startswith("X-ray: 40 of 40")
    assert found.understood.account["not used"] == "n"


def test_columns_of_paths_that_differ_are_asked_about_and_those_that_agree_are_one() -> None:
    table("t.csv", ["file", "image", "label"], lambda i: [f"im/{i:02d}.png", f"{i:02d}.png", "xy"[i % 2]])
    opened()
    table("u.csv", ["file", "image", "label"], lambda i: [f"{i:02d}.png", f"{39 - i:02d}.png", "xy"[i % 2]])
    Path("t.toml").unlink()
    assert set(asked("u.csv")) == {"--path-column 'file'", "--path-column 'image'"}


GRADES = ["path", "adjudicated_dr_grade", "adjudicated_dme", "adjudicated_gradable"]


def test_columns_that_may_be_labels_are_asked_about() -> None:
    table("t.csv", GRADES, lambda i: [f"im/{i:02d}.png", i % 5, int(i % 5 > 2), 1])
    assert set(asked()) == {"--label-column adjudicated_dr_grade", "--label-column adjudicated_dme"}
    assert opened(label_columns=["adjudicated_dr_grade"], task="ordinal").labels == ("0", "1", "2", "3", "4")


def test_numbers_of_classes_beside_their_names_are_no_second_label() -> None:
    table("t.csv", ["path", "class_id", "class_name"], lambda i: [f"im/{i:02d}.png", i % 2, ("cyst", "mass")[i % 2]])
    assert opened().labels == ("cyst", "mass")


def test_columns_for_classes_keep_their_digits_and_flags_are_no_findings() -> None:
    head = ["path", "is_train", "gradable", "class_0", "class_1", "class_2"]
    table("t.csv", head, lambda i: [f"im/{i:02d}.png", i % 2, 1, *(int(i % 3 == j) for j in range(3))])
    found = opened(task="multi-class")
    assert label_total(found) == {"class_0": 14, "class_1": 13, "class_2": 13}
    assert found.understood is not None
    assert "is_train" in found.understood.account["not used"]


def test_a_column_of_splits_may_have_any_name() -> None:
    kinds = ("TRAIN", "TRAIN", "validate", "TEST")
    table("t.csv", ["path", "label", "Dataset_type"], lambda i: [f"im/{i:02d}.png", "xy"[i % 2], kinds[i // 2 % 4]])
    assert opened().images == {"train": 20, "val": 10, "test": 10}


def test_a_table_without_a_head() -> None:
    table("t.csv", [], lambda i: [f"im/{i:02d}.png", i % 2])
    assert label_total(opened(label_columns=["column 2"])) == {"0": 20, "1": 20}


# Tables: files.


def test_endings_cases_and_other_folders_are_matched_and_ambiguity_is_refused() -> None:
    written = (r"C:\x\im\{:02d}.PNG", "{:02d}", "im/{:02d}.jpg", "other/IM/{:02d}.png")
    table("t.csv", ["path", "label"], lambda i: [written[i % 4].format(i), "xy"[i // 4 % 2]])
    assert sum(opened().images.values()) == 40
    put("second/00.png")
    put("third/01.png")
    with pytest.raises(DataError, match=r"01 may be im/01\.png, third/01\.png") as caught:
        pl.new_dataset("t.csv", name="again", ignore=["second/*"])
    assert "--ignore" in caught.value.remedy
    assert sum(opened(name="again", ignore=["second/*", "third/*"]).images.values()) == 40


def test_a_file_of_another_split_is_not_taken_for_one_that_is_missing() -> None:
    for i in range(20):
        put(f"train/{i:02d}.png")
        put(f"test/{i + 20:02d}.png")
    table("t.csv", ["path", "label"], lambda i: [f"train/{i:02d}.png", "xy"[i % 2]], films=False)
    with pytest.raises(DataError, match=r"20 pictures cannot be read. train/20\.png: there is no such file"):
        pl.new_dataset("t.csv")


def test_labels_are_counted_over_pictures_that_are_there() -> None:
    table("t.csv", ["path", "label"], lambda i: [f"im/{i:02d}.png", "ab"[i % 2] if i < 40 else "c|d"], 60)
    for i in range(40, 60):
        Path(f"im/{i:02d}.png").unlink()
    found = opened(skip_unreadable=True)
    assert (found.task, found.labels) == ("binary", ("a", "b"))


def test_masks_with_the_names_of_pictures_are_not_taken_for_them() -> None:
    table("t.csv", ["image", "label"], lambda i: [f"{i:02d}", "xy"[i % 2]])
    for i in range(40):
        put(f"masks/{i:02d}.png")
    assert sum(opened().images.values()) == 40


def test_one_ending_of_several() -> None:
    table("t.csv", ["image", "label"], lambda i: [f"{i:02d}", "xy"[i % 2]])
    for i in range(40):
        put(f"im/{i:02d}.jpg")
    with pytest.raises(DataError, match="ending="):
        pl.new_dataset("t.csv")
    found = opened(ending=".jpg")
    assert found.understood is not None
    assert found.understood.examples["x"][0] == "im/00.jpg"


# Several tables.


def split_tables(folder: str = "d") -> None:
    for i in range(40):
        put(f"{folder}/images/{i:02d}.png")
    for name, first, last in (("train", 0, 24), ("valid", 24, 30), ("test", 30, 40)):
        rows = [[f"{i:02d}", "ab"[i % 2]] for i in range(first, last)]
        table(f"{folder}/{name}.csv", ["image", "label"], rows.__getitem__, len(rows), films=False)


def test_tables_of_splits_are_one_dataset_and_one_of_them_alone_is_asked_about() -> None:
    split_tables()
    assert asked("d/train.csv", name="one") == {
        f"penlight data new '{Path('d').resolve()}'": "all of them",
        "--ignore 'test.csv' --ignore 'valid.csv'": "this one alone",
    }
    assert opened("d").images == {"train": 24, "val": 6, "test": 10}
    assert sum(opened("d/train.csv", name="two", ignore=["test.csv", "valid.csv"]).images.values()) == 24


def test_a_table_in_the_folder_of_each_split() -> None:
    for split, n in (("train", 20), ("test", 8)):
        for i in range(n):
            put(f"d/{split}/{i:02d}.png")
        table(f"d/{split}/metadata.csv", ["file_name", "label"], lambda i: [f"{i:02d}.png", "ab"[i % 2]], n,
              films=False)  # fmt: skip
    assert opened("d").images["test"] == 8


def test_lists_of_splits_beside_a_table() -> None:
    table("t.csv", ["image", "label"], lambda i: [f"{i:02d}.png", "ab"[i % 2]])
    for name, first, last in (("train_val_list", 0, 30), ("test_list", 30, 40)):
        Path(f"{name}.txt").write_text("\n".join(f"{i:02d}.png" for i in range(first, last)))
    assert opened().images["test"] == 10
    Path("t.toml").unlink()
    Path("train_val_list.txt").write_text("00.png\n01.png")
    assert asked() == {"--split-column none": "divide the pictures anew"}
    assert opened(split_column="none").images == {"train": 28, "val": 4, "test": 8}


def test_lists_of_splits_beside_class_folders() -> None:
    folders("a", "b", n=12)
    for name, chosen in (("train", range(8)), ("test", range(8, 12))):
        Path(f"d/{name}.txt").write_text("\n".join(f"{c}/{i}.png" for c in "ab" for i in chosen))
    found = opened("d")
    assert found.images == {"train": 14, "val": 2, "test": 8}
    assert sum(opened("d", split_column="none", name="anew").images.values()) == 24
    Path("d/train.txt").write_text("a/0.png")
    assert asked_of("d", name="part") == {"--split-column none": "divide the pictures anew"}


def test_a_table_beside_the_pictures_is_opened_again_and_elsewhere_its_folder_is_named(place: Path) -> None:
    table("d/annotations/t.csv", ["path", "label"], lambda i: [f"{i:02d}.png", "ab"[i % 2]], films=False)
    for i in range(40):
        put(f"d/images/{i:02d}.png")
    found = opened("d/annotations/t.csv")
    assert 'folder = "d"' in found.description.read_text()
    with pytest.raises(DataError, match="images="):
        pl.new_dataset("d/annotations/t.csv", out="d/annotations", name="below")
    assert sum(opened("d/annotations/t.csv", images="d", out="there").images.values()) == 40


def test_tables_are_joined_by_the_columns_that_both_have() -> None:
    table("t.csv", ["image", "study", "patient"], lambda i: [f"{i:02d}", i // 2, i // 2])
    table("u.csv", ["study", "label"], lambda i: [i, "ab"[i % 2]], 19, films=False)
    assert "--drop-unlabelled" in asked(join=["u.csv"], label_columns=["label"])
    found = opened(join=["u.csv"], drop_unlabelled=True)
    assert sum(found.images.values()) == 38
    table("v.csv", ["study", "label"], lambda i: [i // 2, "ab"[i % 2]], films=False)
    with pytest.raises(DataError, match=r"several rows of study 0, which differ"):
        pl.new_dataset("t.csv", name="v", join=["v.csv"])
    table("w.csv", ["other", "label"], lambda i: [i, "a"], films=False)
    with pytest.raises(DataError, match="no column in common"):
        pl.new_dataset("t.csv", name="w", join=["w.csv"])


def test_rows_of_one_picture() -> None:
    table("t.csv", ["image", "label"], lambda i: [f"{i // 3:02d}", "ab"[(i // 3 + (i == 8)) % 2]], 60)
    assert set(asked()) == {f"--keep-rows {how}" for how in ("majority", "any", "first")}
    assert label_total(opened(keep_rows="majority")) == {"a": 10, "b": 10}
    found = opened(keep_rows="any", name="any")
    assert (found.task, sum(label_total(found).values())) == ("multi-label", 21)
    with pytest.raises(DataError, match="keep_rows= must be one of majority, any, first"):
        pl.new_dataset("t.csv", keep_rows="last")


# Cells.


def cells(*texts: object, column: str = "label", n: int = 40, **options: Any) -> NewDataset:
    table("t.csv", ["path", column], lambda i: [f"im/{i:02d}.png", texts[i % len(texts)]], n)
    return opened(**options)


@pytest.mark.parametrize(
    "written",
    [("['mass']", "['mass', 'edema']", "[]"), ('["mass"]', '["mass", "edema"]', "['mass', '']"),
     ("mass", "mass, edema", "edema"), ("mass|No Finding", "mass|edema", "No Finding"),
     ("mass", "mass;edema", "normal")],
)  # fmt: skip
def test_lists_in_cells(written: Sequence[str]) -> None:
    found = cells(*written)
    assert (found.task, found.labels) == ("multi-label", ("edema", "mass"))


def test_a_comma_in_a_name_is_none_between_labels_and_a_doubt_is_asked_about() -> None:
    assert cells("carcinoma, ductal", "carcinoma, lobular").labels == ("carcinoma, ductal", "carcinoma, lobular")
    Path("t.toml").unlink()
    table("t.csv", ["path", "label"], lambda i: [f"im/{i:02d}.png", ("mass", "mass, big", "edema")[i % 3]])
    assert set(asked()) == {"--separator ,", "--separator none"}


@pytest.mark.parametrize("text", ["", "NA", "nan", "None", "n/a", "unknown", "NULL"])
def test_what_says_nothing_is_no_class(text: str) -> None:
    table("t.csv", ["path", "label"], lambda i: [f"{i:02d}", text if i == 5 else "ab"[i % 2]])
    assert asked() == {"--drop-unlabelled": "leave 1 row out"}
    found = opened(drop_unlabelled=True)
    assert (found.labels, sum(found.images.values())) == (("a", "b"), 39)
    assert found.understood is not None
    assert found.understood.left_out == {"no label": 1}


def test_none_is_a_grade_beside_grades() -> None:
    assert cells("none", "mild", "severe", task="ordinal").labels == ("none", "mild", "severe")


def test_numbers_of_pandas_are_whole_and_in_their_order() -> None:
    assert cells(*(f"{i}.0" for i in range(11)), n=88, task="multi-class").labels == tuple(map(str, range(11)))


def test_minus_one_among_classes_is_asked_about() -> None:
    table("t.csv", ["path", "label"], lambda i: [f"im/{i:02d}.png", i % 4 - 1])
    assert "--uncertain drop" in asked()
    assert sum(opened(uncertain="drop", task="multi-class").images.values()) == 30


HEAD = ["path", "No finding", "Edema", "Effusion"]


def test_no_finding_is_none() -> None:
    table("t.csv", HEAD, lambda i: [f"im/{i:02d}.png", int(i % 2 == 0), int(i % 4 == 1), int(i % 4 in (1, 3))])
    found = opened()
    assert (found.task, found.labels) == ("multi-label", ("Edema", "Effusion"))


def test_a_label_that_is_named_is_no_word_for_none() -> None:
    order = ["edema", "mass", "normal"]
    assert cells("mass", "mass|edema", "normal", order=order).labels == tuple(order)


def test_uncertain_and_blank_findings_are_asked_about_each() -> None:
    table("t.csv", HEAD, lambda i: [f"im/{i:02d}.png", "", ("1.0", "0.0", "-1.0", "")[i % 4], ("", "1.0")[i % 2]])
    assert set(asked()) == {f"--uncertain {how}" for how in ("negative", "positive", "unknown", "drop")}
    # What is not mentioned is never there because what is uncertain is.
    assert set(asked(uncertain="positive")) == {"--blank negative", "--blank unknown", "--blank drop"}
    assert label_total(opened(uncertain="negative")) == {"Edema": 10, "Effusion": 20}
    found = opened(uncertain="positive", blank="negative", name="positive")
    assert label_total(found) == {"Edema": 20, "Effusion": 20}
    with pytest.raises(DataError, match="uncertain= must be one of positive, negative, drop, unknown"):
        pl.new_dataset("t.csv", uncertain="perhaps")


def test_one_finding_of_ones_and_nothing() -> None:
    table("t.csv", ["path", "pneumonia"], lambda i: [f"im/{i:02d}.png", ("1.0", "")[i % 2]])
    assert set(asked()) == {"--drop-unlabelled", "--blank negative"}
    found = opened(blank="negative")
    assert (found.task, label_total(found)) == ("binary", {"0": 20, "1": 20})


def test_labels_are_given_names(place: Path) -> None:
    table("t.csv", ["path", "label"], lambda i: [f"im/{i:02d}.png", i % 3])
    for name, text in (("m.csv", "0,well\n1,ill\n2,ill\n"), ("m.json", '{"0": "well", "1": "ill", "2": "ill"}'),
                       ("m.txt", "well\nill\nill\n")):  # fmt: skip
        Path(name).write_text(text)
        found = opened(label_map=name, name=name.replace(".", "-"))
        assert label_total(found) == {"well": 14, "ill": 26}
    with pytest.raises(DataError, match="no name for 2"):
        pl.new_dataset("t.csv", label_map={"0": "well", "1": "ill"})


def test_a_column_of_sentences_is_no_label() -> None:
    table("t.csv", ["path", "diagnosis"], lambda i: [f"im/{i:02d}.png", f"a sentence {i}"])
    with pytest.raises(DataError, match="40 different labels for 40 pictures"):
        pl.new_dataset("t.csv")


# Splits, patients, sizes.


def test_a_label_that_one_patient_has_is_learned_and_said_to_be_untestable() -> None:
    rows = [("3", "Hernia|Mass"), ("3", "Hernia"), ("5", "Mass"), ("5", "Edema|Mass")]
    rows += [(f"n{i}", "No Finding") for i in range(36)]
    table("t.csv", ["path", "label", "patient"], lambda i: [f"im/{i:02d}.png", rows[i][1], rows[i][0]])
    for seed in range(5):
        found = opened(seed=seed, name=f"s{seed}")
        assert all(found.counts["train"])
        assert any("No picture of test has" in note and "Hernia" in note for note in found.notes)


def test_many_small_classes_leave_no_split_empty() -> None:
    folders(*(f"kind {c}" for c in "abcdefgh"), n=2)
    found = opened("d", task="multi-class")
    assert all(found.images.values())
    assert all(found.counts["train"])


@pytest.mark.parametrize(
    ("name", "how", "n"),
    [("{:d}_left", "eyes", 0), ("person{:d}_virus_1", "kermany", 0), ("patient{:05d}/study1/view1", "chexpert", 0),
     ("SOB_B_A-14-{:d}AB-40-001", "breakhis", 0), ("{:d}-x", "{patient}-*", 40)],
)  # fmt: skip
def test_names_that_show_patients_are_offered_and_never_taken(name: str, how: str, n: int) -> None:
    paths = [name.format(i // 2) for i in range(40)]
    if not n:
        second = {"eyes": ("left", "right"), "kermany": ("_1", "_2"), "chexpert": ("view1", "view2")}
        old, new = second.get(how, ("-001", "-002"))
        paths = [path.replace(old, new) if i % 2 else path for i, path in enumerate(paths)]
    else:
        paths = [f"{i // 2}-{'xy'[i % 2]}" for i in range(40)]
    for path in paths:
        put(f"im/{path}.png")
    table("t.csv", ["image", "label"], lambda i: [f"im/{paths[i]}.png", "ab"[i // 2 % 2]], films=False)
    found = opened()
    assert open_dataset(found.description).splits["train"].patients is None
    assert found.understood is not None
    assert any("20 patients, such as" in note and how in note for note in found.understood.notes)
    grouped = open_dataset(opened(name="grouped", patient_in_name=how).description)
    assert sum(len(set(split.patients.tolist())) for split in grouped.splits.values()) == 20
    with pytest.raises(DataError, match="do not show a patient"):
        pl.new_dataset("t.csv", name="wrong", patient_in_name="{patient}_nowhere")


def test_a_patient_without_a_name_is_asked_about() -> None:
    table("t.csv", ["path", "label", "patient"], lambda i: [f"im/{i:02d}.png", "ab"[i % 2], "" if i < 2 else i // 2])
    options = ("--unnamed-patients own", "--unnamed-patients drop", "--patient-column none")
    assert tuple(asked()) == options
    for number, (option, n) in enumerate(zip(options, (40, 38, 40), strict=True)):
        found = opened(**answer({"name": f"n{number}"}, option))
        assert sum(found.images.values()) == n


def test_a_size_is_suggested_and_every_command_has_it() -> None:
    for i in range(40):
        path = Path(f"d/{'ab'[i % 2]}/{i}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RANDOM.integers(0, 256, (90, 70), np.uint8)).save(path)
    found = opened("d")
    assert found.size == 64
    assert open_dataset("d.toml").size == 64
    from penlight.api.requests import resolve_recipe

    assert resolve_recipe("d.toml", "majority").data.size == 64
    assert resolve_recipe("d.toml", "majority", size=28).data.size == 28
    assert opened("d", size=28, name="small").size == 28


# Questions.


def test_a_draft_is_completed_and_given_again() -> None:
    table("t.csv", GRADES, lambda i: [f"im/{i:02d}.png", i % 5 if i else "", int(i % 5 > 2), 1])
    asked(task="ordinal", name="grades")
    draft = Path("grades.draft.toml")
    said = draft.read_text()
    assert 'task = "ordinal"' in said
    draft.write_text(said.replace("# label_columns = ", "label_columns = ", 1))
    with pytest.raises(UndecidedError, match="1 row without a label, of im/00"):
        pl.new_dataset(draft)
    said = draft.read_text()
    assert read_draft(draft)["label_columns"] == ["adjudicated_dr_grade"]
    draft.write_text(said.replace("# drop_unlabelled", "drop_unlabelled"))
    found = pl.new_dataset(draft)
    assert (found.name, found.labels, sum(found.images.values())) == ("grades", ("0", "1", "2", "3", "4"), 39)
    assert not draft.exists()


@pytest.mark.parametrize(
    "text", ["path = 3", "colour = 1", "", "path = 't.csv'\nignore = [1]", "seed = true\npath='x'"]
)
def test_a_draft_is_checked(text: str) -> None:
    Path("x.draft.toml").write_text(text)
    with pytest.raises(DataError, match=r"x\.draft\.toml"):
        pl.new_dataset("x.draft.toml")


def test_a_file_of_the_users_is_not_taken_for_a_draft() -> None:
    table("t.csv", GRADES, lambda i: [f"im/{i:02d}.png", i % 5, int(i % 5 > 2), 1])
    Path("t.draft.toml").write_text("mine")
    with pytest.raises(UndecidedError):
        pl.new_dataset("t.csv")
    assert Path("t.draft.toml").read_text() == "mine"


def test_no_answer_that_is_offered_leads_to_the_same_question() -> None:
    """Each option of a question is one that the command takes, and moves on."""
    table("t.csv", HEAD, lambda i: [f"im/{i:02d}.png", "", ("1.0", "0.0", "-1.0", "")[i % 4], ("", "1.0")[i % 2]])
    left = {}
    for number, option in enumerate(asked()):
        try:
            pl.new_dataset("t.csv", **answer({"name": f"n{number}"}, option))
        except UndecidedError as error:
            left[option] = [reading.option for reading in error.question.readings]
        except DataError as error:
            left[option] = [str(error)]
    assert not [option for option, readings in left.items() if option in readings]


def test_what_stands_in_a_description_is_what_is_asked_in_json_lines() -> None:
    lines = [{"file_name": f"im/{i:02d}.png", "label": i % 2, "objects": {"box": [1]}} for i in range(40)]
    table("unused.csv", ["a"], lambda i: [i], 40)
    Path("t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert label_total(opened("t.jsonl")) == {"0": 20, "1": 20}


# Descriptions of earlier versions.


OLD = """name = "old"
title = "Old"
task = "multi-class"
labels = {labels}
licence = "CC0"
source = "drawn"
channels = 1

[images]
from = "{source}"
sizes = [28]
values = {labels}
"""


def test_a_description_of_0_1_reads_as_it_did() -> None:
    """It has none of the lines that say more, so masks are pictures, and what says nothing is a class."""
    folders("a", "a/masks", "b", "b/@eaDir", "c/deep")
    Path("old.toml").write_text(OLD.format(source="d", labels=["a", "b", "c"]))
    assert sum(len(split) for split in open_dataset("old.toml").splits.values()) == 40
    Path("old.toml").unlink()
    table("t.csv", ["path", "label"], lambda i: [f"im/{i:02d}.png", ("NA", "1.0", "['x']")[i % 3]])
    text = OLD.format(source="t.csv", labels=["NA", "1.0", "['x']"])
    Path("old.toml").write_text(f'{text}columns = {{ path = "path", label = "label" }}\n')
    dataset = open_dataset("old.toml")
    assert dataset.info.task.labels == ("NA", "1.0", "['x']")
    # A name without its ending was no file.
    table("t.csv", ["path", "label"], lambda i: [f"im/{i:02d}", ("NA", "1.0", "['x']")[i % 3]])
    with pytest.raises(DataError, match="no file for 40 rows"):
        open_dataset("old.toml")


def test_an_excel_table() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    table("t.csv", ["image", "label", "age"], lambda i: [f"{i:02d}.png", "ab"[i % 2], 50 + i])
    book = openpyxl.Workbook()
    for row in csv.reader(Path("t.csv").read_text().splitlines()):
        book.active.append([int(cell) if cell.isdecimal() else cell for cell in row])
    book.save("u.xlsx")
    assert label_total(opened("u.xlsx")) == {"a": 20, "b": 20}
    book.create_sheet("two").append(["x"])
    book.save("v.xlsx")
    with pytest.raises(DataError, match="it has the sheets Sheet, two"):
        pl.new_dataset("v.xlsx")
    Path("w.xlsx").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    with pytest.raises(DataError, match="cannot be read as an Excel file"):
        pl.new_dataset("w.xlsx")
