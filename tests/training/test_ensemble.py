"""Ensembles from recipe to run: weights, answers out of fold, one ONNX file that says the same, any task."""

from functools import cache

import numpy as np
import pytest

from penlight.api.training import train_recipe
from penlight.data import apply_view, store
from penlight.errors import RecipeError
from penlight.recipes import (
    Cnn,
    Data,
    Ensemble,
    Kernel,
    Linear,
    Member,
    Perceptron,
    Planned,
    Recipe,
    Train,
    Trees,
    load_recipe,
    recipe_from_toml,
    with_overrides,
)
from penlight.recipes.recipe import require_trainable
from penlight.runs import open_predictor, open_run
from penlight.tasks import MultiLabel, Ordinal
from penlight.training import fit
from penlight.training.ensemble import FittedEnsemble, fit_ensemble
from tests.conftest import LABELS, TASK_EXAMPLES, small_dataset, task_id
from tests.stubs import stub_fit

READERS = (
    Member(model=Kernel(patches=8), weight=0.6),
    Member(model=Kernel(patches=8, width=0.5), weight=0.4),
)
NETWORK = Member(model=Cnn(filters=(4,), dense=4, normalise=True), weight=0.2, train=Train(epochs=2, batch_size=16))
ALL = Ensemble(members=(*READERS, Member(model=Linear(components=8), weight=0.1), NETWORK))


KAPPA, FINDINGS = Ordinal(LABELS, rule="kappa"), MultiLabel(LABELS)


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    """What a network learns is tested elsewhere."""
    stub_fit(monkeypatch)


def fitted(task, options, seed=0) -> FittedEnsemble:
    view = apply_view(small_dataset(task))
    return fit_ensemble(Recipe(data=Data(dataset="small"), model=options), options, view, view.task, seed)


def test_the_answers_of_every_task_are_probabilities_and_out_of_fold_ones_too(task):
    made = fitted(task, Ensemble(members=READERS))
    view = apply_view(small_dataset(task))
    for prob in (made.model.predict(view.splits["val"].chosen), made.out_of_fold):
        assert ((prob >= 0) & (prob <= 1)).all()
        if task.exclusive:
            np.testing.assert_allclose(prob.sum(axis=1), 1)
    assert made.out_of_fold.shape == view.splits["train"].y_true.shape


def test_networks_have_no_answers_out_of_fold_and_make_them_missing_where_they_carry_the_ensemble(ordinal_view):
    heavy = NETWORK.model_copy(update={"weight": 5.0})
    task = ordinal_view.task
    assert fitted(task, Ensemble(members=(*READERS, heavy), weigh="given")).out_of_fold is None
    assert fitted(task, Ensemble(members=(*READERS, NETWORK), weigh="given")).out_of_fold is not None


def test_weights_stay_where_they_are_to_and_idle_members_go(ordinal_view):
    idle = NETWORK.model_copy(update={"weight": 0.0})
    made = fitted(ordinal_view.task, Ensemble(members=(*READERS, idle), weigh="given"))
    np.testing.assert_array_equal(made.model.weights, [0.6, 0.4])
    assert made.model.names == ["kernel", "kernel"]
    assert made.parameters is not None


def train_all(task, out):
    """Train a run with a member of each kind."""
    dataset = small_dataset(task)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "open_dataset", lambda name, size: dataset)
        patch.setattr("penlight.reports.run_report", lambda content: content.name)
        train_recipe(Recipe(data=Data(dataset="small"), model=ALL), out=out)
    return out


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """Give the run of a task, trained once."""
    return cache(lambda task: train_all(task, tmp_path_factory.mktemp("runs") / "run"))


@pytest.mark.parametrize(
    "task",
    [pytest.param(task, marks=() if task == KAPPA else pytest.mark.full) for task in TASK_EXAMPLES],
    ids=task_id,
)
def test_a_run_keeps_one_file_that_answers_as_the_ensemble_does(task, run_of):
    run = open_run(run_of(task))
    assert run.has("model.onnx")
    assert not run.has("model.keras")
    assert {m["model"] for m in run.provenance["members"]} <= {"kernel", "linear", "cnn"}
    test = run.model_predictions("test")
    answers = open_predictor(run).logits(small_dataset(task).splits["test"].images)
    np.testing.assert_allclose(answers, test.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.full
def test_an_ensemble_repeated_is_the_same_bytes(run_of, tmp_path):
    again = train_all(KAPPA, tmp_path / "again")
    for name in ("predictions-val.npz", "predictions-test.npz", "model.onnx"):
        assert (again / name).read_bytes() == (run_of(KAPPA) / name).read_bytes()


def test_a_reader_by_itself_is_a_model_too(ordinal_view):
    recipe = Recipe(data=Data(dataset="small"), model=Kernel(patches=8))
    made = fit(recipe, ordinal_view, ordinal_view.task, 0)
    assert made.members == [("kernel", 1.0)]
    assert made.logits(ordinal_view.splits["val"]).shape == (24, ordinal_view.task.n_logits)


def test_a_planned_member_is_the_network_of_the_plan(ordinal_view, monkeypatch):
    asked = []

    def remember(recipe, *args, **how):
        asked.append(recipe)
        raise KeyboardInterrupt

    monkeypatch.setattr("penlight.training.ensemble.train_network", remember)
    with pytest.raises(KeyboardInterrupt):
        fitted(ordinal_view.task, Ensemble(members=(Member(model=Planned()),)))
    assert asked[0].model.backbone == "residual"
    assert asked[0].train.schedule == "cosine"


def test_recipes_of_ensembles_go_through_toml_and_overrides():
    recipe = load_recipe("retina-best")
    assert recipe_from_toml(recipe.to_toml()) == recipe
    assert with_overrides(recipe, ["model.weigh=val"]).model.weigh == "val"
    assert [m.model.backbone for m in with_overrides(Recipe(), ["model.backbone=ensemble"]).model.members] == [
        "kernel",
        "linear",
    ]


@pytest.mark.parametrize(
    "model", [Trees(), Perceptron(), Ensemble(members=(Member(model=Kernel()), Member(model=Trees())))]
)
def test_models_of_earlier_versions_are_read_and_not_trained(model):
    recipe = Recipe(data=Data(dataset="small"), model=model)
    assert recipe_from_toml(recipe.to_toml()) == recipe
    with pytest.raises(RecipeError, match=r'is of an earlier version.*backbone="kernel"'):
        require_trainable(recipe)


def test_a_single_finding_is_learned():
    view = apply_view(small_dataset(MultiLabel(("nodule",))))
    model = fitted(view.task, Ensemble(members=READERS[:1])).model
    train = view.splits["train"]
    prob, y = model.predict(train.chosen), train.y_true
    assert prob.shape == y.shape == (48, 1)
    assert prob[y == 1].mean() > prob[y == 0].mean() + 0.1
