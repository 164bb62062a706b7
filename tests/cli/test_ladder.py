"""The plan's ladder: what is compared, by which answers, what of it is kept and why."""

import json
from dataclasses import replace

import numpy as np
import pytest

import penlight as pl
from penlight.api import planning
from penlight.api.requests import request
from penlight.api.training import train_recipe
from penlight.data import apply_view, store
from penlight.errors import EncoderError
from penlight.experiments import ladder
from penlight.experiments.ladder import climb
from penlight.recipes import Decide, Kernel
from penlight.recipes.plan import TrainingPlan, fingerprint_of_view, make_plan
from penlight.runs import open_predictor, open_run
from penlight.tasks import Binary, MultiLabel, Ordinal
from penlight.training import ensemble
from penlight.training.timing import encoder_seconds
from tests.conftest import LABELS, small_dataset
from tests.models.encoders import draw_encoder
from tests.stubs import stub_fit

MACHINE = {"cores": 2, "memory": 0, "rate": 2.0**36}


class Unread:
    """Images that nothing may read."""

    shape, dtype = (32, 28, 28, 3), np.dtype(np.uint8)

    def __len__(self):
        return 32

    def __getitem__(self, part):
        raise AssertionError("was read")


@pytest.fixture
def small(monkeypatch, own_folders):
    """A small dataset under any name, networks that are small and hardly trained, and one encoder."""
    dataset = small_dataset(Ordinal(LABELS, referable=2))
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    monkeypatch.setattr(planning, "training_rate", lambda recipe, view: 2.0**36)
    monkeypatch.setattr("penlight.recipes.plan._WIDTHS", (8,))
    monkeypatch.setattr("penlight.recipes.plan._EPOCHS", (1, 2))
    monkeypatch.setattr(ladder, "encoder_seconds", lambda encoder, view: 0.01)
    folder = own_folders / "data"
    folder.mkdir()
    draw_encoder(folder / "drawn.onnx")
    monkeypatch.setenv("PENLIGHT_DATA", str(folder))
    monkeypatch.setattr(ladder, "FOLDS", 2)
    monkeypatch.setattr(ladder, "Kernel", lambda: Kernel(patches=8))
    stub_fit(monkeypatch)
    return dataset


def base_of(view, **changes):
    return make_plan(replace(fingerprint_of_view(view, MACHINE), **changes))


@pytest.fixture
def no_network(monkeypatch):
    """Networks answer at once, and know nothing."""
    own = ladder._fit_fold

    def fit_fold(recipe, divided, fold, listener):
        if recipe.model.backbone != "residual":
            return own(recipe, divided, fold, listener)
        shape = divided.view.splits["train"].y_true[divided.number == fold].shape
        return {"prob": np.full(shape, 1 / shape[1]), "seconds": np.array(1.0)}

    monkeypatch.setattr(ladder, "_fit_fold", fit_fold)


@pytest.fixture(scope="module")
def cache_of_folds(tmp_path_factory):
    return tmp_path_factory.mktemp("folds")


@pytest.fixture
def compared_once(small, no_network, cache_of_folds, monkeypatch):
    """What was compared in one of these tests is found in the others."""
    monkeypatch.setenv("PENLIGHT_CACHE", str(cache_of_folds))


def answered(monkeypatch, right):
    """Let each candidate be right of as many images as is said, by its backbone, and sure of the wrong label else."""

    def fit_fold(recipe, divided, fold, listener):
        rows = np.flatnonzero(divided.number == fold)
        y = divided.view.splits["train"].y_true[rows].astype(float)
        share, rng = right[recipe.model.backbone], np.random.default_rng([len(recipe.model.backbone), fold])
        wrong = rng.random(len(y)) > share
        y[wrong] = np.roll(y[wrong], 1, axis=1)
        return {"prob": 0.9 * y + 0.1 / y.shape[1], "seconds": np.array(1.0)}

    monkeypatch.setattr(ladder, "_fit_fold", fit_fold)


def test_a_set_alone_is_trained_by_what_cross_validation_kept_with_every_step_said(small, penlight, tmp_path):
    code, out, err = penlight("train", "small", "--budget", "20s", "--out", tmp_path / "run", "--full")
    assert code == 0, err
    run = open_run(tmp_path / "run")
    kept = json.loads(run.read("plan.json"))
    assert json.loads(json.dumps(TrainingPlan.from_dict(kept).to_dict())) == kept
    names = [row["name"] for row in kept["candidates"]]
    assert names[:5] == ["majority", "linear", "kernel", "drawn.onnx", "residual"]
    assert names[5:] in ([], ["ensemble"])
    assert all(row["images"] == 48 for row in kept["candidates"])
    flat = " ".join(out.split())
    page = " ".join(run.read("report.html").decode().replace("&#39;", "'").split())
    for reason in kept["reasons"]:
        assert reason["why"] in page
    assert "AUC 0.500" in flat
    assert ", kept" in flat
    chosen = next(row for row in kept["candidates"] if row["behind"] <= row["error"])
    best = max(kept["candidates"], key=lambda row: row["score"])
    assert best["behind"] == 0
    assert f"{chosen['name']} AUC" in flat
    assert run.recipe.decide.fallback == "linear-if-better"
    images = small.splits["test"].images
    np.testing.assert_allclose(
        open_predictor(run).probabilities(images), run.answers("test").predictions.prob, atol=1e-5
    )


def test_val_and_test_are_not_read_and_a_second_plan_is_the_same_without_a_fit(small, no_network, monkeypatch):
    view = apply_view(small)
    unread = {name: replace(view.splits[name], images=Unread()) for name in ("val", "test")}
    blind = replace(view, splits={"train": view.splits["train"], **unread})
    first = climb(base_of(view), blind, pl.ProgressListener())
    assert len(first.candidates) >= 4

    def never(*args):
        raise AssertionError("was fitted again")

    monkeypatch.setattr(ladder, "_fit_fold", never)
    again = climb(base_of(view), blind, pl.ProgressListener())
    assert json.dumps(again.to_dict()) == json.dumps(first.to_dict())


@pytest.mark.parametrize(
    ("right", "kept"),
    [
        ({"linear": 0.3, "kernel": 0.3, "encoder": 0.95, "residual": 0.3}, "encoder"),
        ({"linear": 0.95, "kernel": 0.3, "encoder": 0.3, "residual": 0.3}, "linear"),
        ({"linear": 0.3, "kernel": 0.3, "encoder": 0.3, "residual": 0.95}, "residual"),
        ({"linear": 0.75, "kernel": 0.75, "encoder": 0.75, "residual": 0.75}, "ensemble"),
    ],
)
def test_the_simplest_within_a_standard_error_of_the_best_is_kept(small, monkeypatch, right, kept):
    monkeypatch.setattr(ladder, "FOLDS", 5)
    answered(monkeypatch, {"majority": 0.0, **right})
    view = apply_view(small_dataset(Ordinal(LABELS, referable=2), n=(300, 24, 32)))
    plan = climb(base_of(view), view, pl.ProgressListener())
    chosen = next(row for row in plan.candidates if row.behind <= row.error)
    assert plan.recipe.model.backbone == kept
    assert chosen.name == {"encoder": "drawn.onnx"}.get(kept, kept)
    assert [reason.about for reason in plan.reasons if reason.choice.endswith(", kept")] == [chosen.name]
    assert ("epochs" in [reason.about for reason in plan.reasons]) == (kept in ("residual", "ensemble"))
    if kept == "ensemble":
        names = [member.model.backbone for member in plan.recipe.model.members]
        assert names == ["linear", "kernel", "encoder", "residual", "residual", "residual"]
        assert "3, from other random weights each" in [reason.choice for reason in plan.reasons]
        assert plan.recipe.model.members[3].train.keep == "last"
        assert plan.recipe.model.weigh == "given"
    if kept == "residual":
        assert plan.recipe.train == base_of(view).recipe.train


def test_an_ensemble_of_the_plan_is_trained_into_one_file_with_networks_that_differ(small, monkeypatch, tmp_path):
    answered(monkeypatch, {"majority": 0.0, "linear": 0.75, "kernel": 0.75, "encoder": 0.75, "residual": 0.75})
    view = apply_view(small_dataset(Ordinal(LABELS, referable=2), n=(300, 24, 32)))
    recipe = climb(base_of(view), view, pl.ProgressListener()).recipe
    members = recipe.model.members
    # Answers to 48 images would not say as clearly what is best.
    fitted = []
    train = ensemble.train_network

    def train_network(*given, **how):
        fitted.append(train(*given, **how))
        return fitted[-1]

    monkeypatch.setattr(ensemble, "train_network", train_network)
    train_recipe(recipe.model_copy(update={"decide": Decide()}), out=tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert [row["model"] for row in run.provenance["members"]] == [member.model.backbone for member in members]
    assert len({own.network.get_weights()[0].tobytes() for own in fitted}) == len(fitted) == 3
    images = small.splits["test"].images
    np.testing.assert_allclose(
        open_predictor(run).probabilities(images), run.answers("test").predictions.prob, atol=1e-5
    )


def test_the_budget_says_how_many_folds_of_the_network_are_answered(small, monkeypatch):
    monkeypatch.setattr(ladder, "FOLDS", 5)
    answered(monkeypatch, {"majority": 0.0, "linear": 0.5, "kernel": 0.5, "encoder": 0.6, "residual": 0.9})
    view = apply_view(small_dataset(Ordinal(LABELS, referable=2), n=(300, 24, 32)))
    base = base_of(view)
    images = {}
    for folds in (5, 2, 1, 0):
        seconds = base.fingerprint.budget / (1.05 + 0.8 * folds) if folds else 10 * base.fingerprint.budget
        plan = climb(replace(base, seconds=seconds), view, pl.ProgressListener())
        images[folds] = {row.images for row in plan.candidates}
        if not folds:
            assert plan.recipe == base.recipe
            assert "not even one fold more fits into the budget of 600 s" in plan.reasons[0].why
    assert images == {5: {300}, 2: {120}, 1: {60}, 0: set()}


def test_an_encoder_that_cannot_be_used_is_left_out_with_the_reason(small, no_network, monkeypatch, own_folders):
    (own_folders / "data" / "broken.onnx").write_bytes(b"no network")
    draw_encoder(own_folders / "data" / "floats.onnx", dtype=1)

    def no_numbers(recipe, *rest):
        if recipe.model.backbone == "encoder":
            raise EncoderError("drawn.onnx gives features that are not numbers for 3 of 48 images.")
        return fit_fold(recipe, *rest)

    fit_fold = ladder._fit_fold
    monkeypatch.setattr(ladder, "_fit_fold", no_numbers)
    view = apply_view(small)
    plan = climb(base_of(view), view, pl.ProgressListener())
    said = {reason.about: reason.why for reason in plan.reasons if reason.choice == "left out"}
    assert "nothing says how it wants pixels" in said["floats.onnx"]
    assert "broken.onnx" in said["broken.onnx"]
    assert "not numbers for 3 of 48" in said["drawn.onnx"]
    assert "drawn.onnx" not in [row.name for row in plan.candidates]
    monkeypatch.setattr(ladder, "encoder_seconds", lambda encoder, view: 100.0)
    plan = climb(base_of(view), view, pl.ProgressListener())
    assert any("more than half of the budget" in reason.why for reason in plan.reasons)


def few(n, task=None, **changes):
    dataset = small_dataset(task or Binary(("no", "yes")), n=(n, 24, 32))
    train = dataset.splits["train"]
    return replace(dataset, splits={**dataset.splits, "train": replace(train, **changes)})


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        (few(48, patients=np.array(["one"] * 48)), "1 patient in train is too few"),
        (few(48, labels=np.r_[np.ones((2, 1), np.int64), np.zeros((46, 1), np.int64)]), "cannot give AUC"),
    ],
    ids=["one patient", "two of a label"],
)
def test_what_cannot_be_divided_keeps_the_plan_as_it_was(small, monkeypatch, dataset, why):
    monkeypatch.setattr(ladder, "FOLDS", 5)
    view = apply_view(dataset)
    base = base_of(view)
    plan = climb(base, view, pl.ProgressListener())
    assert plan.recipe == base.recipe
    assert why in plan.reasons[0].why
    assert not plan.candidates


def test_fewer_patients_than_folds_rare_labels_and_labels_hardly_known_are_compared(small, no_network, monkeypatch):
    three = few(48, patients=np.repeat(["a", "b", "c"], 16))
    monkeypatch.setattr(ladder, "FOLDS", 4)
    task = MultiLabel(LABELS)
    labels = small_dataset(task).splits["train"].labels.copy()
    labels[:, 3] = 0
    labels[:2, 3] = 1
    known = np.ones(labels.shape, bool)
    labels[:, 2] = np.arange(len(labels)) < 3
    known[6:, 2] = False
    # Kernels take longest, and are told apart from the others nowhere here.
    monkeypatch.setattr(ladder, "FEW", 0)
    for dataset in (three, few(48, task, labels=labels, known=known)):
        view = apply_view(dataset)
        plan = climb(base_of(view), view, pl.ProgressListener())
        assert len(plan.candidates) >= 4
        assert all(np.isfinite(row.score) for row in plan.candidates)


def test_the_plan_of_a_dataset_is_shown_before_it_is_trained(compared_once, penlight):
    code, out, err = penlight("recipes", "small", "--budget", "20s")
    assert code == 0, err
    assert "linear AUC" in " ".join(out.split())
    assert "standard error" in out
    plan = pl.plan("small", budget=20.0, listener=pl.ProgressListener())
    assert json.loads(penlight("recipes", "small", "--budget", "20s", "--json")[1]) == json.loads(
        json.dumps(plan.to_dict())
    )
    assert penlight("recipes", "--budget", "20s")[0] == 2


def test_an_override_of_the_training_is_of_the_network_and_compares_nothing(compared_once):
    assert not request("small", None, ["train.epochs=1"]).plan.candidates
    assert request("small", None, ["decide.rule=argmax"]).plan.candidates


def test_how_long_features_take_is_rounded(small, own_folders):
    from penlight.models.encoder_file import open_encoder

    seconds = encoder_seconds(open_encoder(own_folders / "data" / "drawn.onnx"), apply_view(small))
    assert np.log2(seconds) == round(np.log2(seconds))
