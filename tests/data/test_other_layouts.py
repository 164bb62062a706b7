"""Further layouts and tables, as public datasets have them: each opens as what it is, or is refused with the option
that opens it; and never is another dataset."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.data import open_dataset
from penlight.data.own.draft import answer
from penlight.data.own.new import NewDataset
from penlight.data.own.questions import UndecidedError
from penlight.errors import DataError

RANDOM = np.random.default_rng(0)
TWO, THREE = ("ill", "well"), ("a", "b", "c")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(*paths: str) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RANDOM.integers(0, 256, (28, 28), np.uint8)).save(path)


def table(path: str, head: Sequence[str], rows: Sequence[Sequence[Any]], encoding: str = "utf-8") -> None:
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([head] * bool(head) + list(rows))


def labels_of(found: NewDataset) -> dict[str, int]:
    dataset = open_dataset(found.description)
    assert {name: len(split) for name, split in dataset.splits.items()} == found.images
    return {name: sum(counts[i] for counts in found.counts.values()) for i, name in enumerate(found.labels)}


Drawn = tuple[Callable[[], None], str, dict[str, Any], str, dict[str, int]]
CASES: dict[str, Drawn] = {}


def case(source: str, answers: str, counts: dict[str, int], **options: Any) -> Callable[[Callable[[], None]], None]:
    """Say what a drawn dataset asks, in options without which it opens by no means, and what it then is."""

    def register(draw: Callable[[], None]) -> None:
        CASES[draw.__name__] = (draw, source, options, answers, counts)

    return register


@case("d", "--label-in-name '*_*_{label}'", {"0": 20, "1": 20})
def shenzhen() -> None:
    for i in range(40):
        put(f"d/CXR_png/CHNCXR_{i:04d}_{i // 20}.png")
        Path("d/ClinicalReadings").mkdir(exist_ok=True)
        Path(f"d/ClinicalReadings/CHNCXR_{i:04d}_{i // 20}.txt").write_text("male 45yrs\nnormal")


@case("d", "--label-in-name '*_{label}'", {"dr": 12, "g": 12, "h": 12}, task="multi-class")
def hrf_with_vessels_drawn_beside() -> None:
    put(
        *(
            f"d/{folder}/{i:02d}_{kind}.png"
            for folder in ("images", "manual1")
            for i in range(12)
            for kind in ("dr", "g", "h")
        )
    )


@case("d", "", {"0": 18, "1": 18, "2": 18}, task="ordinal")
def ddr_with_lists_of_names_and_grades() -> None:
    for split, n in (("train", 30), ("valid", 12), ("test", 12)):
        put(*(f"d/{split}/007-{split[0]}{i:04d}.png" for i in range(n)))
        Path(f"d/{split}.txt").write_text("".join(f"007-{split[0]}{i:04d}.png {i % 3}\n" for i in range(n)))


@case("d", "", {"negative": 20, "positive": 20})
def covidx_with_words_apart_by_blanks() -> None:
    for split, n in (("train", 28), ("test", 12)):
        put(*(f"d/{split}/{split}{i}.png" for i in range(n)))
        lines = (f"{i} {split}{i}.png {('negative', 'positive')[i % 2]} sirm\n" for i in range(n))
        Path(f"d/{split}.txt").write_text("".join(lines))


@case("d", "", {"MEL": 12, "NV": 12, "BCC": 12}, task="multi-class")
def isic_2018_with_a_folder_for_each_split_and_each_table() -> None:
    for number, (split, n) in enumerate((("Training", 18), ("Validation", 9), ("Test", 9))):
        names = [f"ISIC_{number}{i:06d}" for i in range(n)]
        put(*(f"d/ISIC2018_Task3_{split}_Input/{name}.jpg" for name in names))
        rows = [[name, *(float(i % 3 == j) for j in range(3))] for i, name in enumerate(names)]
        table(f"d/{split}_GroundTruth/ISIC2018_Task3_{split}_GroundTruth.csv", ["image", "MEL", "NV", "BCC"], rows)


@case("d", "", {"DR": 14, "MH": 22})
def rfmid_with_a_folder_of_a_table_for_each_split() -> None:
    for split, named, n in (("Training", "Training", 30), ("Evaluation", "Validation", 10), ("Test", "Testing", 10)):
        put(*(f"d/{split}_Set/{named}/{i}.png" for i in range(n)))
        rows = [[i, int(i % 4 == 0), int(i % 4 in (0, 1) and i > 3)] for i in range(n)]
        table(f"d/{split}_Set/RFMiD_{named}_Labels.csv", ["ID", "DR", "MH"], rows)


@case("d", "--ignore 'annotations/boxes_test.csv' --ignore 'annotations/boxes_train.csv'",
      {"Mass": 17, "Other disease": 8}, keep_rows="majority")  # fmt: skip
def vindr_whose_tables_call_a_finding_otherwise() -> None:
    for split, n, other in (("train", 27, "Other diseases"), ("test", 9, "Other disease")):
        names = [f"{split}{i}" for i in range(n)]
        put(*(f"d/{split}/{name}.png" for name in names))
        rows = [[name, int(i % 2), int(i % 5 == 1)] for i, name in enumerate(names)]
        table(f"d/annotations/image_labels_{split}.csv", ["image_id", "Mass", other], rows)
        table(
            f"d/annotations/boxes_{split}.csv",
            ["image_id", "class_name", "x_min"],
            [[name, "Mass", 1] for name in names],
        )


@case("d/metadata.csv", "--label-column diagnostic", {"BCC": 20, "NEV": 20})
def pad_ufes_with_what_is_known_of_patients_as_true_and_false() -> None:
    put(*(f"d/images/PAT_{i}.png" for i in range(40)))
    rows = [[f"PAT_{i}.png", str(i % 3 == 0), ("NEV", "BCC")[i % 2], str(i % 5 == 0)] for i in range(40)]
    table("d/metadata.csv", ["img_id", "smoke", "diagnostic", "itch"], rows)


@case("t.csv", "--label-column histology", {"BCC": 20, "NEV": 20})
def a_column_of_words_of_any_name_beside_yes_and_no() -> None:
    put(*(f"im/{i}.png" for i in range(40)))
    rows = [
        [f"{i}.png", ("NEV", "BCC")[i % 2], "yes" if i % 3 else "no", "yes" if i % 5 else "no"] for i in range(40)
    ]
    table("t.csv", ["image", "histology", "grew", "itch"], rows)


@case("d/train_labels.csv", "", {"NRG": 20, "RG": 20})
def airogs_whose_column_of_names_is_its_own() -> None:
    put(*(f"d/{i % 4}/TRAIN{i:06d}.jpg" for i in range(40)))
    table(
        "d/train_labels.csv", ["challenge_id", "class"], [[f"TRAIN{i:06d}", ("NRG", "RG")[i % 2]] for i in range(40)]
    )


@case("d", "--file-names '{name}_*'", {"1": 20, "4": 20}, task="multi-class")
def inbreast_whose_table_has_the_first_part_of_names() -> None:
    put(*(f"d/AllPNG/{20586908 + i}_{i:016x}_MG_R_CC.png" for i in range(40)))
    table("d/INbreast.csv", ["File Name", "Bi-Rads"], [[20586908 + i, "14"[i % 2]] for i in range(40)])


@case("t.csv", "--file-names '{number}'", {"a": 20, "b": 20})
def numbers_that_a_spreadsheet_took_the_zeros_from() -> None:
    put(*(f"im/{i:04d}.png" for i in range(40)))
    table("t.csv", ["id", "label"], [[i, "ab"[i % 2]] for i in range(40)])


@case("d", "--ignore 'cell_images/*'", {"Parasitized": 10, "Uninfected": 10})
def malaria_whose_archive_has_everything_twice() -> None:
    for root in ("d", "d/cell_images"):
        put(*(f"{root}/{label}/C{i}.png" for label in ("Parasitized", "Uninfected") for i in range(10)))


@case("d", "--ignore 'pred/*'", {"no": 10, "yes": 10})
def br35h_with_pictures_to_predict_beside_the_classes() -> None:
    put(*(f"d/{label}/{i}.png" for label in ("no", "yes", "pred") for i in range(10)))


@case("d", "--folders '*/{label}'", {"Glaucoma": 10, "Non-Glaucoma": 20})
def refuge_with_a_folder_of_no_labels() -> None:
    put(*(f"d/Training400/Glaucoma/g{i}.png" for i in range(10)), *(f"d/Validation400/V{i}.png" for i in range(9)))
    put(*(f"d/Training400/Non-Glaucoma/n{i}.png" for i in range(20)))
    put(*(f"d/Annotation-Training400/Disc_Cup_Masks/Glaucoma/g{i}.png" for i in range(10)))


@case("d", "", {"columnar": 10, "dysplastic": 10})
def herlev_with_masks_of_an_ending_of_their_own() -> None:
    put(
        *(
            f"d/{label}/153-{i:03d}{mask}.png"
            for label in ("columnar", "dysplastic")
            for i in range(10)
            for mask in ("", "-d")
        )
    )


@case("d", "--folders '{split}/*/{patient}/study*_{label}'", {"negative": 20, "positive": 16})
def mura_with_patients_and_several_studies() -> None:
    for split, first, n in (("train", 0, 12), ("valid", 50, 6)):
        for i in range(n):
            study = f"patient{first + i:05d}/study{1 + i % 2}_{('negative', 'positive')[i // 2 % 2]}"
            put(*(f"d/{split}/XR_{('WRIST', 'HAND')[i % 3 % 2]}/{study}/image{k}.png" for k in (1, 2)))


@case("d", "--label-column 'column 2'", {"n00": 20, "n01": 20})
def a_list_without_a_head_whose_first_row_has_a_cell_twice() -> None:
    put(*(f"d/val/{i:08d}.png" for i in range(40)))
    Path("d/val_annotations.txt").write_text("".join(f"{i:08d}.png\tn0{i % 2}\t0\t0\t62\n" for i in range(40)))


@case("d", "--folders '*/{label}'", {"Normal": 10, "Tumor": 10})
def pictures_of_no_class_beside_the_classes_in_one_folder() -> None:
    put(*(f"d/Dataset/{label}/{i}.png" for label in ("Normal", "Tumor") for i in range(10)), "d/Dataset/extra.png")


@case("t.csv", "", {"0": 20, "1": 20})
def rsna_breast_where_one_finding_of_several_occurs() -> None:
    put(*(f"train_images/{10006 + i // 4}/{462822612 + i}.png" for i in range(40)))
    rows = [[10006 + i // 4, 462822612 + i, i // 4 % 2, 0, 0] for i in range(40)]
    table("t.csv", ["patient_id", "image_id", "cancer", "biopsy", "invasive"], rows)


@case("t.csv", "--encoding gb18030", {"异常": 20, "正常": 20})
def a_table_in_chinese() -> None:
    put(*(f"im/{i}.png" for i in range(40)))
    table("t.csv", ["image", "label"], [[f"{i}.png", ("正常", "异常")[i % 2]] for i in range(40)], "gbk")


@case("d", "--split-column none", {"a": 20, "b": 20})
def a_picture_in_the_tables_of_two_splits() -> None:
    put(*(f"d/images/{i}.png" for i in range(40)))
    for split, rows in (("train", range(32)), ("test", range(28, 40))):
        table(f"d/{split}.csv", ["image", "label"], [[f"{i}.png", "ab"[i % 2]] for i in rows])


@case("t.csv", "--label-map FILE", {"child": 20, "grown": 40}, label_columns=["boneage"])
def ages_of_bones_are_no_classes() -> None:
    put(*(f"im/{i}.png" for i in range(60)))
    table("t.csv", ["id", "boneage", "male"], [[i, 12 + i, i % 2 == 0] for i in range(60)])


MAPS = {"ages_of_bones_are_no_classes": {str(12 + i): "child" if i < 20 else "grown" for i in range(60)}}


@pytest.mark.parametrize("name", CASES)
def test_a_dataset_is_what_it_is_or_asks_with_the_option_that_opens_it(name: str) -> None:
    draw, source, options, option, counts = CASES[name]
    draw()
    if option:
        with pytest.raises(UndecidedError) as caught:
            pl.new_dataset(source, **options)
        assert option in [reading.option for reading in caught.value.question.readings]
        options = {**options, "label_map": MAPS[name]} if name in MAPS else answer(options, option)
    assert labels_of(pl.new_dataset(source, **options)) == counts


def test_an_answer_that_leaves_several_tables_out_can_be_given_at_once() -> None:
    assert answer({}, "--ignore 'a.csv' --ignore 'b.csv'") == {"ignore": ["a.csv", "b.csv"]}


def test_tables_and_class_folders_in_one_folder_are_told_apart_by_a_column() -> None:
    put(*(f"d/images_{label}/{label}{i}.png" for label in TWO for i in range(20)))
    for split, rows in (("train", range(14)), ("test", range(14, 20))):
        table(
            f"d/{split}.csv",
            ["image", "label"],
            [[f"{label}{i}.png", f"{label} at {i % 3}"] for label in TWO for i in rows],
        )
    with pytest.raises(UndecidedError) as caught:
        pl.new_dataset("d")
    options = [reading.option for reading in caught.value.question.readings]
    assert "--path-column 'image'" in options
    assert pl.new_dataset("d", path_column="image", task="multi-class").images["test"] == 12
    by_folder = answer({"name": "folders"}, options[-1])
    assert pl.new_dataset("d", **by_folder).labels == ("images_ill", "images_well")


@pytest.mark.parametrize(
    "written", ["https://x.org/im/{:02d}.png?raw=true", "gs://bucket/im/{:02d}.png", r"C:\im\{:02d}.JPG"]
)
def test_paths_of_elsewhere_name_files_here(written: str) -> None:
    put(*(f"im/{i:02d}.png" for i in range(40)))
    table("t.csv", ["image", "label"], [[written.format(i), "ab"[i % 2]] for i in range(40)])
    assert labels_of(pl.new_dataset("t.csv")) == {"a": 20, "b": 20}


def test_a_row_that_names_no_file_is_left_out_and_counted() -> None:
    put(*(f"im/{i:02d}.png" for i in range(40)))
    table("t.csv", ["image", "label"], [[f"{i:02d}.png" if i else "", "ab"[i % 2]] for i in range(40)])
    found = pl.new_dataset("t.csv")
    assert labels_of(found) == {"a": 19, "b": 20}
    assert found.understood is not None
    assert found.understood.left_out == {"no name of a file": 1, "pictures without a row or label": 1}


def test_a_column_that_says_test_by_1_is_the_split_where_it_is_named() -> None:
    put(*(f"im/{i:02d}.png" for i in range(40)))
    table(
        "t.csv",
        ["image", "label", "is_test"],
        [[f"{i:02d}.png", "ab"[i % 2], int(i // 2 % 4 == 0)] for i in range(40)],
    )
    found = pl.new_dataset("t.csv", name="made")
    assert found.understood is not None
    assert any("If is_test says the split" in note for note in found.understood.notes)
    assert pl.new_dataset("t.csv", split_column="is_test").images["test"] == 10


def test_class_folders_get_other_names_by_a_map() -> None:
    put(*(f"d/{label}/{i}.png" for label in ("0", "1", "Benign", "benign") for i in range(10)))
    with pytest.raises(DataError, match="label_map="):
        pl.new_dataset("d")
    names = {"0": "benign", "1": "malignant", "Benign": "benign", "benign": "benign"}
    assert labels_of(pl.new_dataset("d", label_map=names)) == {"benign": 30, "malignant": 10}


def test_labels_that_differ_by_marks_alone_are_asked_about() -> None:
    put(*(f"im/{i:02d}.png" for i in range(40)))
    names = ("Lung Opacity", "Lung_Opacity", "lung  opacity", "COVID-19")
    table("t.csv", ["image", "label"], [[f"{i:02d}.png", names[i % 4]] for i in range(40)])
    with pytest.raises(DataError, match=r"differ by case, blanks and marks alone: Lung Opacity and Lung_Opacity"):
        pl.new_dataset("t.csv")
    found = pl.new_dataset("t.csv", label_map={**dict.fromkeys(names, "opacity"), "COVID-19": "COVID-19"})
    assert labels_of(found) == {"opacity": 30, "COVID-19": 10}


def test_nothing_is_left_out_where_that_is_asked_for() -> None:
    put(*(f"d/{label}/{i}{mask}.png" for label in TWO for i in range(10) for mask in ("", "_mask")))
    assert labels_of(pl.new_dataset("d", ignore=["none"])) == {"ill": 20, "well": 20}


@pytest.mark.parametrize("encoding", ["idna", "rot13", "unicode_escape", "zlib", "nothing", "utf-7"])
def test_an_encoding_is_one_of_texts(encoding: str) -> None:
    put("im/0.png")
    table("t.csv", ["image", "label"], [["0.png", "a"]])
    with pytest.raises(DataError, match="The encoding must be one of utf-8"):
        pl.new_dataset("t.csv", encoding=encoding)


@pytest.mark.parametrize(
    ("name", "how"),
    [("{:d}_{}", "{patient}_*"), ("bus_{:04d}-{}", "*_{patient}-*"), ("sub-{:02d}_x{}", "patient-number")],
)
def test_an_audit_says_when_names_seem_to_show_patients(name: str, how: str) -> None:
    names = [name.format(i // 2, i % 2) for i in range(60)]
    put(*(f"im/{each}.png" for each in names))
    table("t.csv", ["image", "label"], [[each, "ab"[i % 2]] for i, each in enumerate(names)])
    found = pl.new_dataset("t.csv")
    assert found.understood is not None
    assert "show 30 patients, such as" in found.understood.notes[0]
    (problem,) = [each for each in pl.audit(found.description).problems if each.code == "patients-in-names"]
    assert problem.serious
    assert problem.numbers["patients"] == 30
    assert problem.do.rstrip(".").endswith(("'" + how + "'") if "{" in how else how)
    grouped = pl.new_dataset("t.csv", name="grouped", patient_in_name=how)
    assert "patients-in-names" not in [each.code for each in pl.audit(grouped.description).problems]


def test_names_that_count_images_show_no_patients() -> None:
    put(*(f"d/{label}/{label}_{i}.png" for label in TWO for i in range(20)))
    found = pl.new_dataset("d")
    assert found.understood is not None
    assert list(found.understood.notes) == []
    assert "patients-in-names" not in [each.code for each in pl.audit(found.description).problems]
