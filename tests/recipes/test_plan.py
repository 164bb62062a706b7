"""The plan: what it chooses for which data, that it keeps to its budget, and that each choice has its reason."""

from dataclasses import replace

import pytest

from penlight.data import CATALOG, DatasetInfo, dataset_info
from penlight.models import load_keras
from penlight.models.backbones import build_network
from penlight.recipes import Recipe, load_recipe
from penlight.recipes.plan import FEW, fingerprint_of, make_plan, operations_of
from penlight.tasks import MultiClass

MACHINE = {"cores": 2, "memory": 24e9, "rate": 62.5e9}
NAMES = [*CATALOG, "nih1000"]


def fingerprint(name, size=28, **changes):
    info = dataset_info(name)
    task = info.task
    positives = tuple(range(100, 100 + len(task.labels)))
    return replace(fingerprint_of(info, "native", task, size, info.samples, positives, MACHINE), **changes)


@pytest.mark.parametrize("name", NAMES)
def test_every_set_has_a_plan_with_reasons_that_a_recipe_file_repeats(name):
    plan = make_plan(fingerprint(name))
    assert make_plan(fingerprint(name)) == plan
    assert {reason.about for reason in plan.reasons} == {
        "model", "epochs", "batch size", "augmentation", "balance", "decision", "fallback",
    }  # fmt: skip
    assert all(reason.why.endswith(".") and reason.choice for reason in plan.reasons)
    assert Recipe.model_validate_json(plan.recipe.model_dump_json()) == plan.recipe
    assert plan.recipe.data.dataset == name
    assert plan.recipe.decide.fallback == "linear"
    assert plan.to_dict()["fingerprint"]["images"] == dict(dataset_info(name).samples)


@pytest.mark.parametrize("name", NAMES)
def test_only_mirror_images_that_the_anatomy_allows(name):
    augment = make_plan(fingerprint(name)).recipe.train.augment
    modality = dataset_info(name).modality
    assert augment.flip_vertical == (modality not in ("film", "OCT", "ultrasound", "abdominal CT"))
    assert augment.flip_horizontal == (modality != "abdominal CT")


def test_a_modality_that_is_not_known_is_changed_mildly():
    info = DatasetInfo("x", "X", MultiClass(("a", "b")), 3, None, "none", "here", position_matters=True)
    found = fingerprint_of(info, "native", info.task, 28, {"train": 500, "val": 60, "test": 60}, (250, 250), MACHINE)
    augment = make_plan(found).recipe.train.augment
    assert not augment.flip_horizontal
    assert augment.rotation <= 5


@pytest.mark.parametrize("budget", [20.0, 60.0, 600.0, 3600.0])
@pytest.mark.parametrize("name", ["tissuemnist", "chestmnist", "retinamnist"])
def test_the_budget_is_kept(name, budget):
    plan = make_plan(fingerprint(name, budget=budget))
    small = dataset_info(name).samples["train"] <= FEW
    assert plan.seconds <= (3 if small else 1) * budget or plan.recipe.train.epochs == 1
    assert bool(plan.cut) == (plan.recipe.train.epochs < plan_without_limit(name).recipe.train.epochs or narrow(plan))
    more = make_plan(fingerprint(name, budget=4 * budget))
    assert more.recipe.train.epochs >= plan.recipe.train.epochs


def plan_without_limit(name):
    return make_plan(fingerprint(name, budget=1e9))


def narrow(plan):
    return plan.recipe.model.widths[0] < 32


@pytest.mark.parametrize("rate", [2.0**power for power in range(32, 40)])
@pytest.mark.parametrize("name", ["breastmnist", "retinamnist", "nih1000"])
def test_a_small_set_is_trained_as_long_as_it_needs_on_any_machine(name, rate):
    """On a busy machine 546 images were given 19 of 60 epochs, and the network then was worse than linear."""
    plan = make_plan(fingerprint(name, rate=rate))
    assert plan.recipe.train.epochs >= 30
    assert not plan.cut or plan.seconds > 600


def test_the_time_that_is_expected_is_that_of_at_most_two_cores():
    one, two, many = (make_plan(fingerprint("bloodmnist", cores=cores, budget=1e9)).seconds for cores in (1, 2, 64))
    assert one == 2 * two
    assert many == two


def test_little_time_makes_a_smaller_network():
    wide = make_plan(fingerprint("tissuemnist", budget=3600.0)).recipe.model
    narrow = make_plan(fingerprint("tissuemnist", budget=100.0)).recipe.model
    assert narrow.widths == tuple(width // 2 for width in wide.widths)


def test_larger_images_take_more_stages():
    stages = [len(make_plan(fingerprint("pathmnist", size)).recipe.model.widths) for size in (28, 64, 128)]
    assert stages == sorted(set(stages))


def test_few_films_take_the_network_that_was_best_on_nih1000():
    plan = make_plan(fingerprint("nih1000"))
    assert sum(dataset_info("nih1000").samples.values()) < FEW
    assert plan.recipe.model == load_recipe("film-small").model


@pytest.mark.parametrize("preset", ["cnn", "chest-deep", "residual", "chest-residual"])
def test_operations_are_those_of_the_layers(preset):
    """Count from the built network what the formula counts from the options."""
    keras = load_keras()
    model = load_recipe(preset).model
    network = build_network(model, MultiClass(("a", "b")), (28, 28, 3), seed=0)
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _, height, width, _ = layer.output.shape
            total += (
                2
                * height
                * width
                * layer.kernel.shape[0]
                * layer.kernel.shape[1]
                * layer.kernel.shape[2]
                * layer.filters
            )
        elif isinstance(layer, keras.layers.Dense) and layer.name != "logits":
            total += 2 * layer.kernel.shape[0] * layer.units
    assert operations_of(model, 28, 3) == total
