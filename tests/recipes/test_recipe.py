"""Recipes: validated, frozen, hashable, and the same from TOML and back."""

import tomllib

import pytest
from pydantic import ValidationError

from penlight.errors import RecipeError, UnknownNameError
from penlight.recipes import (
    Cnn,
    Data,
    Linear,
    Recipe,
    Train,
    differences,
    load_recipe,
    preset_header,
    preset_names,
    recipe_from_toml,
    with_overrides,
)


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid_say_what_they_cost_and_survive_toml(name):
    recipe = load_recipe(name)
    assert recipe_from_toml(recipe.to_toml()) == recipe
    header = preset_header(name)
    for word in ("Command", "Cost", "Expected"):
        assert word in header


def test_equal_recipes_have_equal_hashes_and_other_ones_do_not():
    assert Recipe().hash == Recipe(train=Train(epochs=30)).hash
    assert Recipe().hash != Recipe(train=Train(epochs=31)).hash
    assert Recipe().hash != Recipe(data=Data(view="single")).hash


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().train.epochs = 3


@pytest.mark.parametrize(
    ("assignment", "get", "value"),
    [
        ("train.epochs=3", lambda r: r.train.epochs, 3),
        ("train.learning_rate=1", lambda r: r.train.learning_rate, 1.0),
        ("train.optimizer=sgd", lambda r: r.train.optimizer, "sgd"),
        ("model.filters=[8, 16, 32]", lambda r: r.model.filters, (8, 16, 32)),
        ("train.augment.flip_vertical=true", lambda r: r.train.augment.flip_vertical, True),
        ("model.backbone=linear", lambda r: r.model, Linear()),
        ("train.patience=none", lambda r: r.train.patience, None),
    ],
)
def test_overrides_are_type_checked_values(assignment, get, value):
    assert get(with_overrides(Recipe(train=Train(patience=4)), [assignment])) == value


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("train.epochs=many", "train.epochs"),
        ("train.epochs=1.5", "train.epochs"),
        ("train.epochs=0", "train.epochs"),
        ("train.epoch=3", "train.epoch"),
        ("model.components=3", "model.components"),
        ("model.backbone=resnot", "resnot"),
        ("trian.epochs=3", "data, model, train, decide"),
        ("train.epochs", "section.key=value"),
        ("train.epochs.deep=3", "no keys of its own"),
        ("decide.rule=best", "decide.rule"),
    ],
)
def test_bad_overrides_name_the_key(assignment, said):
    with pytest.raises(RecipeError, match=said):
        with_overrides(Recipe(), [assignment])


def test_differences_are_against_the_defaults_of_the_same_backbone():
    assert differences(Recipe()) == {}
    changed = Recipe(model=Cnn(dropout=0.1), train=Train(epochs=3))
    assert differences(changed) == {"model.dropout": (0.5, 0.1), "train.epochs": (30, 3)}
    assert differences(Recipe(model=Linear())) == {}


def test_unknown_presets_and_broken_files_are_named(tmp_path):
    with pytest.raises(UnknownNameError, match="linear"):
        load_recipe("liner")
    with pytest.raises(RecipeError, match="absent"):
        load_recipe(str(tmp_path / "absent.toml"))
    (tmp_path / "broken.toml").write_text("[train")
    with pytest.raises(RecipeError, match="not valid TOML"):
        load_recipe(str(tmp_path / "broken.toml"))
    (tmp_path / "wrong.toml").write_text("[train]\nepochs = 'three'")
    with pytest.raises(RecipeError, match=r"wrong\.toml.*train\.epochs"):
        load_recipe(str(tmp_path / "wrong.toml"))


def test_toml_holds_every_value():
    values = tomllib.loads(Recipe().to_toml())
    assert values["train"]["augment"]["rotation"] == 0.0
    assert values["model"]["filters"] == [32, 64]
