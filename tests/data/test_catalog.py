import json
from pathlib import Path

import pytest

from penlight.data import CATALOG, SIZES, dataset_info, list_datasets
from penlight.data.catalog import is_phantom, official_file, official_url
from penlight.data.description import read_description
from penlight.errors import DataError, UnknownNameError
from penlight.tasks import Binary, MultiLabel, Ordinal
from tests.data.tiny_dataset import DESCRIPTION

OFFICIAL = [name for name, info in CATALOG.items() if not is_phantom(info)]


def test_there_are_twelve_official_sets_and_two_phantoms() -> None:
    assert len(OFFICIAL) == 12
    assert set(CATALOG) - set(OFFICIAL) == {"retina-phantom", "chest-phantom"}


@pytest.mark.parametrize("name", CATALOG)
def test_rows_are_complete(name: str) -> None:
    info = CATALOG[name]
    assert info.name == name
    assert info.channels in (1, 3)
    assert info.samples is not None
    assert list(info.samples) == ["train", "val", "test"]
    assert all((info.title, info.licence, info.source, info.modality))
    assert len(set(info.task.labels)) == len(info.task.labels)


@pytest.mark.parametrize("name", OFFICIAL)
def test_every_official_size_has_a_hash(name: str) -> None:
    assert tuple(CATALOG[name].md5) == SIZES
    assert all(len(md5) == 32 for md5 in CATALOG[name].md5.values())


def test_hashes_are_all_different() -> None:
    hashes = [md5 for name in OFFICIAL for md5 in CATALOG[name].md5.values()]
    assert len(set(hashes)) == len(hashes) == 48


def test_tasks_of_the_two_studies() -> None:
    retina, chest = CATALOG["retinamnist"].task, CATALOG["chestmnist"].task
    assert isinstance(retina, Ordinal)
    assert (len(retina.labels), retina.referable) == (5, 2)
    assert isinstance(chest, MultiLabel)
    assert (chest.labels[0], chest.labels[-1], len(chest.labels)) == ("atelectasis", "hernia", 14)


def test_malignant_is_the_first_label_of_breastmnist() -> None:
    assert CATALOG["breastmnist"].task == Binary(("malignant", "normal, benign"))


def test_position_matters_where_a_mirror_shows_another_anatomy() -> None:
    assert {name for name in OFFICIAL if not CATALOG[name].position_matters} == {
        "pathmnist",
        "dermamnist",
        "retinamnist",
        "bloodmnist",
        "tissuemnist",
    }


def test_cautions_come_from_the_catalog_and_from_a_description(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "another camera" in CATALOG["retinamnist"].cautions[0]
    file = tiny()
    file.write_text(f'cautions = ["All ill people had one camera."]\n{file.read_text()}')
    assert dataset_info(file).cautions == ("All ill people had one camera.",)
    file.write_text(file.read_text().replace('["All ill people had one camera."]', "[3]"))
    with pytest.raises(DataError, match="cautions must be texts"):
        dataset_info(file)


def test_official_files_and_addresses() -> None:
    assert official_file("retinamnist", 28) == "retinamnist.npz"
    assert official_url("chestmnist", 224).endswith("/10519652/files/chestmnist_224.npz?download=1")


def test_an_unknown_name_offers_near_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"named 'retinamnst'.*retinamnist"):
        dataset_info("retinamnst")


@pytest.mark.real
def test_catalog_agrees_with_the_published_facts(real_data: Path) -> None:
    facts = json.loads((real_data / "medmnist_facts.json").read_text())["datasets"]
    assert set(facts) == set(OFFICIAL)
    for name, fact in facts.items():
        info = CATALOG[name]
        assert (info.channels, info.samples, info.licence) == (fact["channels"], fact["samples"], fact["license"])
        assert {str(size): md5 for size, md5 in info.md5.items()} == fact["md5"]
        if name not in ("retinamnist", "chestmnist"):  # these have clearer names here: "mild", "pleural thickening"
            assert list(info.task.labels) == fact["labels"]


def test_list_names_what_opens_without_a_network(home: Path) -> None:
    (home / ".medmnist").mkdir()
    (home / ".medmnist" / "bloodmnist_64.npz").touch()
    rows = {row["name"]: row for row in list_datasets()}
    assert rows["bloodmnist"]["sizes"] == [64]
    assert rows["retinamnist"]["sizes"] == []
    assert rows["retina-phantom"]["sizes"] == list(SIZES)
    assert rows["nih1000"]["samples"] == {"train": 623, "val": 154, "test": 223}
    json.dumps(list(rows.values()))


def test_descriptions_in_the_data_folder_are_listed_and_found(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny().parent
    (folder / "recipe.toml").write_text("[train]\nepochs = 3\n")
    monkeypatch.setenv("PENLIGHT_DATA", str(folder))
    row = next(row for row in list_datasets() if row["name"] == "tiny")
    assert (row["sizes"], row["channels"], row["samples"]) == ([28], None, None)
    assert dataset_info("tiny").task == Ordinal(("none", "some", "much"))


def test_a_shipped_description_is_known_without_its_data() -> None:
    info = dataset_info("nih1000")
    assert info.task == MultiLabel(CATALOG["chestmnist"].task.labels)
    assert info.position_matters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("licence =", "license ="), "missing: licence"),
        (('source = "made up"', 'source = "made up"\ncolour = 1'), "Unknown key colour"),
        (('title = "Tiny"', "title = 3"), "title must be a text, 3 came"),
        (('"ordinal"', '"ranking"'), "task must be one of"),
        (('"some", "much"', '"none"'), "different names"),
        (('"some", "much"', "7"), "labels must be texts"),
        (('"28" =', '"big" ='), "sizes in pixels"),
        (('name = "tiny"', 'name = "../tiny"'), "only letters"),
        (('name = "tiny"', 'name = "small"'), "Rename the file"),
        (("files =", "referable = 3\nfiles ="), "referable must be a grade from 1 to 2"),
        (("files =", "channels = 4\nfiles ="), "channels must be 1"),
        (("files =", "channels = true\nfiles ="), "channels must be a whole number"),
        (("files =", 'md5 = { "28" = "abc" }\nfiles ='), "32 digits"),
        (("files =", "samples = { train = 3 }\nfiles ="), "samples must count"),
        (("files =", "= nonsense"), "not valid TOML"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(tiny, change: tuple[str, str], message: str) -> None:
    path = tiny(DESCRIPTION.replace(*change))
    with pytest.raises(DataError, match=message) as caught:
        read_description(path)
    assert str(path) in str(caught.value)


def test_referable_belongs_to_grades(tiny) -> None:
    path = tiny(DESCRIPTION.replace('"ordinal"', '"multi-class"').replace("files =", "referable = 1\nfiles ="))
    with pytest.raises(DataError, match="belongs to an ordinal task"):
        read_description(path)


@pytest.mark.parametrize(("name", "message"), [("no.toml", "no description"), ("my.npz", "Describe it in my.toml")])
def test_paths_that_are_no_description(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset_info(name)
