"""The API: the rules of evidence, and runs that survive."""

import json
import shutil

import numpy as np
import pytest

import penlight as pl
from penlight.api import requests
from penlight.api.training import train_recipe
from penlight.data import store
from penlight.errors import RecipeError, RunError
from penlight.evaluation import find_row
from penlight.recipes import Cnn, Data, Decide, Linear, Recipe, Train
from penlight.runs import open_run
from penlight.tasks import MultiLabel, Ordinal
from tests.conftest import LABELS, small_dataset
from tests.stubs import stub_fit


@pytest.fixture(autouse=True)
def stub(monkeypatch, unreported):
    """What a network learns and what pages show is tested elsewhere."""
    stub_fit(monkeypatch)


@pytest.fixture
def small(monkeypatch):
    """Open a small dataset under any name; `small(task, changed labels of test)`."""

    def use(task=None, shuffle_test=False, **options):
        dataset = small_dataset(task or Ordinal(LABELS, referable=2), **options)
        if shuffle_test:
            labels = dataset.splits["test"].labels
            labels[:] = np.random.default_rng(1).permutation(labels)
        monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
        return dataset

    use()
    return use


def recipe(**sections):
    train = Train(epochs=2, batch_size=16)
    return Recipe(**{"data": Data(dataset="small"), "model": Cnn(filters=(4,), dense=8), "train": train, **sections})


def test_the_json_of_a_result_is_that_of_the_run(small, tmp_path):
    result = train_recipe(recipe(), out=tmp_path / "run")
    assert result.scores.to_dict() == pl.evaluate(tmp_path / "run").to_dict()
    run = open_run(tmp_path / "run")
    made = run.provenance
    assert made["images"] == {"train": 48, "val": 24, "test": 32}
    assert made["parameters"] > 0
    assert made["best_epoch"] in (1, 2)
    assert len(run.history) == 2
    assert run.model_predictions("val").recipe_hash == recipe().hash


@pytest.mark.mapped
def test_test_labels_change_no_file_but_scores(small, tmp_path):
    """Choices are made on train and val: whatever test says, the model, the thresholds and val stay the same."""
    task = MultiLabel(LABELS)
    chosen = recipe(decide=Decide(thresholds="f1"))
    small(task)
    train_recipe(chosen, out=tmp_path / "true")
    small(task, shuffle_test=True)
    train_recipe(chosen, out=tmp_path / "shuffled")
    names = {p.name for p in (tmp_path / "true").iterdir()}
    differ = {n for n in names if (tmp_path / "true" / n).read_bytes() != (tmp_path / "shuffled" / n).read_bytes()}
    scores = {"metrics.json", "report.html", "card.md", "predictions-test.npz", "explained.npz", "manifest.json"}
    # Durations differ from run to run, and the Keras file holds its time of writing.
    own = {"provenance.json", "history.csv", "model.keras"}
    assert differ <= scores | own | {f"baseline-{b}-test.npz" for b in ("majority", "linear")}
    one, other = (open_run(tmp_path / n).model_predictions("test") for n in ("true", "shuffled"))
    np.testing.assert_array_equal(one.prob, other.prob)


def test_a_run_stopped_in_training_goes_on_under_the_same_command(small, own_folders):
    chosen = recipe(train=Train(epochs=4, batch_size=16))

    class PulledPlugError(Exception):
        pass

    class Pull(pl.ProgressListener):
        def on_epoch(self, row, planned):
            if row.epoch == 2:
                raise PulledPlugError

    train_recipe(chosen, name="cnn", out=own_folders / "whole")
    with pytest.raises(PulledPlugError):
        train_recipe(chosen, name="cnn", listener=Pull())
    with pytest.raises(RunError, match="not complete"):
        pl.evaluate(own_folders / "work" / "runs" / "small-cnn-1")
    result = train_recipe(chosen, name="cnn")
    assert str(result.folder) == "runs/small-cnn-1"
    continued = (result.folder / "predictions-test.npz").read_bytes()
    assert continued == (own_folders / "whole" / "predictions-test.npz").read_bytes()
    assert not list(result.folder.glob(".*"))
    assert str(train_recipe(recipe(model=Linear(components=3)), name="cnn").folder) == "runs/small-cnn-2"


def test_several_seeds_go_on_where_they_stopped(small, own_folders):
    chosen = recipe(model=Linear(components=3))

    class PulledPlugError(Exception):
        pass

    class Pull(pl.ProgressListener):
        def on_step(self, what):
            if what == "Training with seed 1":
                raise PulledPlugError

    with pytest.raises(PulledPlugError):
        train_recipe(chosen, name="linear", seeds=2, listener=Pull())
    first = (own_folders / "work" / "runs" / "small-linear-1" / "seed-0" / "manifest.json").read_bytes()
    result = train_recipe(chosen, name="linear", seeds=2)
    assert str(result.folder) == "runs/small-linear-1"
    assert (result.folder / "seed-0" / "manifest.json").read_bytes() == first
    assert result.scores.seeds == [0, 1]


def test_seeds_of_another_recipe_are_refused(small, tmp_path):
    train_recipe(recipe(model=Linear(components=3)), out=tmp_path / "one", seeds=2)
    train_recipe(recipe(model=Linear(components=4)), out=tmp_path / "two")
    shutil.rmtree(tmp_path / "one" / "seed-1")
    shutil.copytree(tmp_path / "two", tmp_path / "one" / "seed-1")
    with pytest.raises(RunError, match="another run than the one that"):
        pl.evaluate(tmp_path / "one")


def test_a_baseline_as_a_run_stands_beside_the_other_one(small, tmp_path):
    scores = train_recipe(recipe(model=Linear(components=5)), out=tmp_path / "run").scores
    assert list(scores.baselines) == ["majority"]
    assert find_row(scores.metrics, "auc").value > find_row(scores.baselines["majority"], "auc").value == 0.5


VIEWS = MultiLabel(LABELS).views


@pytest.mark.parametrize(
    "view", [pytest.param(name, marks=() if name == "single" else pytest.mark.full) for name in VIEWS]
)
def test_every_view_of_findings_trains(small, tmp_path, view):
    small(MultiLabel(LABELS), n=(120, 60, 60))
    chosen = recipe(data=Data(dataset="small", view=view), model=Linear(components=3))
    train_recipe(chosen, out=tmp_path / view)
    predictions = open_run(tmp_path / view).model_predictions("test")
    assert predictions.view == view
    assert json.loads((tmp_path / view / "provenance.json").read_text())["view"] == view


def test_a_report_of_another_dataset_is_refused(small, tmp_path):
    train_recipe(recipe(model=Linear(components=3)), out=tmp_path / "run")
    small(seed=9)
    with pytest.raises(RunError, match="another file"):
        pl.report(tmp_path / "run")


def official(path, predictions):
    """Write predictions as the official result files are."""
    np.savetxt(path, np.c_[np.arange(len(predictions)), predictions.prob], delimiter=",", fmt="%.17g")
    return path


@pytest.mark.parametrize(
    "calibration", ["temperature", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("isotonic", "none"))]
)
def test_every_reader_gives_calibrated_answers_and_acc_stays(small, tmp_path, calibration):
    """The scores of a run are those of anybody's file with the same val; on disk is what the model gave."""
    noisy = small(n=(120, 160, 60))
    for split in noisy.splits.values():
        split.labels[::2] = (split.labels[::2] + 1) % len(LABELS)
    # Fitted closely to few images, so that it is surer than right, and a temperature helps.
    chosen = recipe(
        model=Linear(components=40, strength=10.0), decide=Decide(calibration=calibration, prevalence=0.1)
    )
    train_recipe(chosen, out=tmp_path / "run")
    run = open_run(tmp_path / "run")
    test = run.model_predictions("test")
    np.testing.assert_array_equal(test.prob, test.task.probabilities(test.logits))
    answers = run.answers("test")
    assert answers.decision.calibration.kind == calibration
    moves = {"none": False, "temperature": True, "isotonic": True}
    assert (answers.predictions.prob != test.prob).any() == moves[calibration]
    files = [official(tmp_path / f"{split}.csv", run.model_predictions(split)) for split in ("test", "val")]
    own = pl.evaluate(tmp_path / "run")
    same = pl.score(files[0], "small", split="test", val=files[1], decide=chosen.decide)
    # The file has probabilities alone, of 17 digits.
    assert json.dumps(own.to_dict()["operating_points"]) == json.dumps(same.to_dict()["operating_points"])
    for one, other in zip(own.metrics, same.metrics, strict=True):
        assert (one.name, one.label) == (other.name, other.label)
        assert other.value == pytest.approx(one.value, nan_ok=True)
    assert list(same.before) == (["log_loss", "brier", "ece", "ece_adaptive"] if moves[calibration] else [])
    alone = pl.score(files[0], "small", split="test")
    assert find_row(alone.metrics, "acc").value == find_row(own.metrics, "acc").value
    missing = ["calibration", "prediction sets", "operating points chosen on val"]
    assert [text.split(":")[0] for text in alone.unavailable[:-1]] == missing
    nameless = ["scores by site, age, sex, view: the dataset does not name them"]
    assert list(same.unavailable) == list(alone.unavailable[-1:]) == nameless
    assert {point.chosen for point in alone.points} == {"as decided"}
    kept = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert kept["operating_points"] == own.to_dict()["operating_points"]


def test_only_how_to_decide_may_change_of_predictions():
    assert requests.resolve_decide(["decide.thresholds=f1"]).thresholds == "f1"
    with pytest.raises(RecipeError, match=r"train\.epochs"):
        requests.resolve_decide(["train.epochs=3"])
