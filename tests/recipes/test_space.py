"""Search spaces: every value is one that the recipe takes, or there is an error before anything is trained."""

import numpy as np
import pytest

from penlight.errors import RecipeError
from penlight.recipes import (
    Cnn,
    Data,
    Ensemble,
    Kernel,
    Linear,
    Majority,
    Member,
    Recipe,
    Residual,
    Train,
    load_recipe,
    preset_names,
)
from penlight.recipes.space import (
    Choices,
    Range,
    Space,
    default_space,
    load_space,
    space_from_dict,
    value_at,
    with_values,
)
from penlight.training import fit


@pytest.fixture
def read(tmp_path):
    def read(text, recipe=None):
        (tmp_path / "space.toml").write_text(text)
        return load_space(tmp_path / "space.toml", recipe or Recipe())

    return read


def test_the_default_space_of_networks_is_the_studys():
    assert default_space(load_recipe("cnn")).parameters == (
        Range("train.learning_rate", 1e-4, 1e-2, log=True),
        Range("train.batch_size", 32, 128, whole=True),
        Range("model.dropout", 0.2, 0.5),
    )


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_with_something_to_tune_has_a_space_of_keys_it_knows(name):
    recipe = load_recipe(name)
    if isinstance(recipe.model, Majority) or (isinstance(recipe.model, Ensemble) and recipe.model.weigh == "given"):
        with pytest.raises(RecipeError, match="nothing to tune"):
            default_space(recipe)
        return
    space = default_space(recipe)
    for parameter in space.parameters:
        for value in (parameter.low, parameter.high):
            changed = with_values(recipe, {parameter.key: value})
            assert value_at(changed, parameter.key) == value


def test_dotted_nested_and_quoted_keys_are_the_same(read):
    texts = (
        "train.learning_rate = { low = 1e-4, high = 1e-2, log = true }",
        "[train.learning_rate]\nlow = 1e-4\nhigh = 1e-2\nlog = true",
        '["train.learning_rate"]\nlow = 1e-4\nhigh = 1e-2\nlog = true',
    )
    assert {read(text).parameters for text in texts} == {(Range("train.learning_rate", 1e-4, 1e-2, log=True),)}


def test_choices_are_what_a_recipe_makes_of_them(read):
    space = read(
        'model.filters.choices = [[8], [8, 16], [8]]\ntrain.optimizer.choices = ["adam", "sgd"]\n'
        'train.patience.choices = [3, "none"]\ntrain.augment.rotation = { low = 0, high = 20 }'
    )
    assert space == Space(
        (
            Choices("model.filters", ([8], [8, 16])),
            Choices("train.optimizer", ("adam", "sgd")),
            Choices("train.patience", (3, None)),
            Range("train.augment.rotation", 0.0, 20.0),
        )
    )
    recipe = with_values(Recipe(), {"model.filters": [8, 16], "train.patience": None})
    assert recipe.model == Cnn(filters=(8, 16))
    assert recipe.train.patience is None


def test_a_space_survives_its_own_dictionary():
    space = default_space(Recipe())
    assert space_from_dict(space.tables, Recipe()) == space


def test_the_recipes_own_values_are_known_where_they_lie_inside():
    own = {"train.learning_rate": 1e-3, "train.batch_size": 32, "model.dropout": 0.5}
    assert default_space(Recipe()).values_of(Recipe()) == own
    assert default_space(Recipe()).values_of(Recipe(train=Train(batch_size=16))) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no parameter"),
        ("train.epoch = { low = 1, high = 2 }", "'train.epoch' is not a key"),
        ("model.widths.choices = [[8]]", "'model.widths' is not a key"),
        ("train.loss = { low = 1, high = 2 }", "'train.loss' is not a key"),
        ("train.dropout.deep = { low = 1, high = 2 }", "'train.dropout.deep' is not a key"),
        ("data.size.choices = [28, 64]", "'data.size' cannot be searched"),
        ('model.backbone.choices = ["cnn"]', "'model.backbone' cannot be searched"),
        ("train.learning_rate = { low = 1e-2, high = 1e-4 }", "low 0.01 above high 0.0001"),
        ("train.weight_decay = { low = 0, high = 1, log = true }", "above 0"),
        ("train.weight_decay = { low = 0, high = 1, log = 1 }", "true or false"),
        ('train.weight_decay = { low = "0", high = 1 }', "must be numbers"),
        ("train.weight_decay = { low = nan, high = 1 }", "must be numbers"),
        ("train.weight_decay = { low = 0, high = inf }", "recipes refuse"),
        ("model.dropout = { low = 0.5, high = 1.5 }", "recipes refuse.*model.dropout"),
        ("train.batch_size = { low = 0, high = 64 }", "recipes refuse.*train.batch_size"),
        ("train.batch_size = { low = 8.5, high = 64 }", "recipes refuse.*train.batch_size"),
        ("train.optimizer = { low = 1, high = 2 }", "recipes refuse.*train.optimizer"),
        ("train.optimizer.choices = []", "a list with a value"),
        ('train.optimizer.choices = "adam"', "a list with a value"),
        ('train.optimizer.choices = ["adam", "adagrad"]', "recipes refuse.*adagrad"),
        ("train.optimizer.choices = [{ a = 1 }]", "recipes refuse"),
        ("train.learning_rate = { low = 1e-4 }", "has low"),
        ("train.learning_rate = { low = 1e-4, high = 1e-2, step = 2 }", "has high, low, step"),
        ("train.learning_rate = 1e-4", "a table with low and high"),
        ("train.learning_rate", "not valid TOML"),
    ],
)
def test_a_space_with_no_valid_value_is_named(read, text, said):
    with pytest.raises(RecipeError, match=said):
        read(text)


def test_keys_of_training_change_nothing_of_a_baseline(read):
    with pytest.raises(RecipeError, match="changes nothing of the model 'linear'"):
        read("train.epochs = { low = 1, high = 9 }", Recipe(model=Linear()))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecipeError, match="absent"):
        load_space(tmp_path / "absent.toml", Recipe())


TUNED = {
    "linear": Linear(components=6),
    "kernel": Kernel(patches=8),
    "ensemble": Ensemble(members=(Member(model=Linear()), Member(model=Kernel(patches=8)))),
    "cnn": Cnn(filters=(4,), dense=4),
    "residual": Residual(widths=(4,)),
}


@pytest.mark.parametrize(
    "backbone",
    [pytest.param(name, marks=() if name in ("linear", "kernel") else pytest.mark.full) for name in TUNED],
)
def test_what_is_searched_changes_the_model(backbone, ordinal_view):
    """A trial that changes a value which nothing reads is a training thrown away."""

    def logits(*values):
        changed = with_values(recipe, dict(values))
        return fit(changed, ordinal_view, ordinal_view.task, seed=0).logits(ordinal_view.splits["val"])

    recipe = Recipe(data=Data(dataset="small"), model=TUNED[backbone], train=Train(epochs=1))
    lows = [(parameter.key, parameter.low) for parameter in default_space(recipe).parameters]
    low = logits(*lows)
    for i, parameter in enumerate(default_space(recipe).parameters):
        assert not np.allclose(low, logits(*lows[:i], (parameter.key, parameter.high), *lows[i + 1 :])), parameter.key


@pytest.mark.parametrize("backbone", ["kernel", "ensemble", "linear"])
def test_keys_of_training_are_refused_where_no_network_reads_them(backbone, tmp_path):
    (tmp_path / "space.toml").write_text("train.learning_rate = { low = 1e-4, high = 1e-2 }")
    with pytest.raises(RecipeError, match=f"changes nothing of the model '{backbone}'"):
        load_space(tmp_path / "space.toml", Recipe(model=TUNED[backbone]))


def test_an_ensemble_with_given_weights_has_nothing_to_tune():
    with pytest.raises(RecipeError, match="nothing to tune"):
        default_space(Recipe(model=Ensemble(weigh="given")))
