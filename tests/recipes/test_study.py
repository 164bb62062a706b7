"""Study files: what they must say, and one clear error for each mistake."""

import re

import pytest

from penlight.data.catalog import dataset_info
from penlight.errors import RecipeError, UnknownNameError
from penlight.recipes.study import Study, StudyRow, load_study, study_from_dict, study_names

HEAD = 'name = "s"\ntitle = "S"\nquestion = "Which?"\ndataset = "retinamnist"\n'
ROW = '[[rows]]\nid = "a"\nrecipe = "cnn"\ntitle = "A"\n'


def load(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text)
    return load_study(str(path))


def test_a_row_takes_the_data_of_the_study_and_its_own_overrides(tmp_path):
    more = 'overrides = ["train.epochs=3", "data.head=cumulative"]\nview = "referable"\nseeds = 1\n'
    study = load(tmp_path, HEAD + "size = 64\nseeds = 5\n" + ROW + ROW.replace('"a"', '"b"') + more)
    one, other = study.rows
    assert study.seeds_of(one) == 5
    assert study.seeds_of(other) == 1
    recipe = study.recipe_of(other)
    assert (recipe.data.dataset, recipe.data.size, recipe.data.view) == ("retinamnist", 64, "referable")
    assert recipe.train.epochs == 3
    assert recipe.data.head == "cumulative"
    assert study.recipe_of(one).data.view == "native"
    assert study.recipe_of(one).hash != recipe.hash


def test_a_recipe_file_lies_beside_the_study_file(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text("[train]\nepochs = 7\n")
    study = load(tmp_path, HEAD + ROW.replace('"cnn"', '"mine.toml"'))
    assert study.recipe_of(study.rows[0]).train.epochs == 7
    assert study_from_dict(study.model_dump(mode="json"), "again") == study


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, "'rows' is missing"),
        (HEAD + "rows = []\n", "rows"),
        (HEAD + ROW + 'epochs = "3"\n', "'row 1.epochs' is not a known key"),
        ("sedes = 3\n" + HEAD + ROW, "'sedes' is not a known key"),
        (HEAD + ROW + ROW, "row id a occurs more than once"),
        (HEAD + ROW + "seeds = 0\n", "row 1.seeds"),
        (HEAD + ROW.replace('"a"', '"../a"'), "row 1.id"),
        (HEAD + ROW + 'compare_with = "b"\n', "'b', no other row"),
        (HEAD + ROW + 'compare_with = "a"\n', "'a', no other row"),
        (HEAD + ROW + ROW.replace('"a"', '"b"') + 'view = "referable"\ncompare_with = "a"\n', "another view"),
        (HEAD + "rows = [\n", "not valid TOML"),
        (HEAD + ROW + "seeds = 2024-01-01\n", "kind that studies do not have"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, text, said):
    with pytest.raises(RecipeError, match=re.escape(said)):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"recipe": "ccn"}, "In row 'a' of the study s: There is no recipe named 'ccn'. Did you mean cnn"),
        ({"overrides": ("train.epoch=3",)}, "'train.epoch' is not a known key"),
        ({"overrides": ("data.view=referable",)}, "overrides the dataset, view or size"),
        ({"overrides": ("data.size=64",)}, "overrides the dataset, view or size"),
        ({"recipe": "nowhere.toml"}, "cannot be read"),
    ],
)
def test_a_mistake_in_a_row_names_the_row(row, said):
    values = {"id": "a", "recipe": "cnn", "title": "A", **row}
    study = Study(name="s", title="S", question="?", dataset="retinamnist", rows=(StudyRow(**values),))
    with pytest.raises(RecipeError, match="a") as raised:
        study.recipe_of(study.rows[0])
    assert said in str(raised.value)


def test_an_unknown_study_offers_near_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="retina"):
        load_study("retine")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_study(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("name", ["retina", "chest", "retina-offline", "chest-offline"])
def test_the_studies_that_ship_hold_together(name):
    study = load_study(name)
    assert name in study_names()
    assert study.name == name
    assert study.seeds == 3
    views = dataset_info(study.dataset).task.views
    for row in study.rows:
        assert study.view_of(row) in views
        assert study.recipe_of(row).data.dataset == study.dataset
    for view in {study.view_of(row) for row in study.rows}:
        own = {row.recipe: row for row in study.rows if study.view_of(row) == view}
        assert study.seeds_of(own["majority"]) == study.seeds_of(own["linear"]) == 1
