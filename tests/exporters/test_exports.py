"""Exports of a run: every format is proved against the model, or is not written."""

import dataclasses
import json
import shutil
import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

import penlight as pl
from penlight.api.training import train_recipe
from penlight.cli.app import app
from penlight.data import store
from penlight.errors import ExportError, RunError, UnknownNameError
from penlight.evaluation.calibration import UNCALIBRATED
from penlight.experiments import run as training
from penlight.exporters import EXPORTERS, parity
from penlight.exporters.keras_file import compiled_network
from penlight.exporters.onnx_file import onnx_file
from penlight.models import LinearBaseline, load_keras
from penlight.models.backbones import build_network
from penlight.models.heads import make_loss
from penlight.recipes import Cnn, Data, Linear, Loss, Recipe, Train
from penlight.runs import Predictor, open_predictor, open_run
from penlight.tasks import MultiLabel, Ordinal
from tests.conftest import LABELS, labels_for, logits_of_network, small_dataset
from tests.exporters.conftest import facts, pixels
from tests.stubs import stub_fit

TASK = Ordinal(LABELS, referable=2)

_TRAINED = {}


@pytest.fixture
def small(monkeypatch):
    """Open a small dataset under any name; reports, which take longer than the rest, are left out."""
    dataset = small_dataset(TASK)
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    monkeypatch.setattr(training, "_write_report", lambda *_: None)
    return dataset


def recipe(model, **train):
    quick = {"epochs": 4, "batch_size": 16, "learning_rate": 0.01, **train}
    return Recipe(data=Data(dataset="small", head="softmax"), model=model, train=Train(**quick))


@pytest.fixture
def run_folder(small, tmp_path, tmp_path_factory):
    """A copy of one run of a small network."""
    if not _TRAINED:
        _TRAINED["run"] = tmp_path_factory.mktemp("trained") / "run"
        with pytest.MonkeyPatch.context() as patch:
            stub_fit(patch)
            train_recipe(recipe(Cnn(filters=(4,), dense=8, normalise=True)), out=_TRAINED["run"])
    return shutil.copytree(_TRAINED["run"], tmp_path / "run")


@pytest.fixture(params=["network", "baseline"])
def either(request, small, tmp_path):
    """A run of a network, or of a baseline."""
    if request.param == "network":
        return request.getfixturevalue("run_folder")
    train_recipe(recipe(Linear(components=5)), out=tmp_path / "run")
    return tmp_path / "run"


def test_training_writes_a_file_that_answers_as_the_run_does(either, small):
    run = open_run(either)
    known = json.loads(run.read("export.json"))["model.onnx"]
    assert known["written"]
    assert (known["split"], known["batch_sizes"]) == ("val", [1, 7])
    assert known["largest_difference_before_calibration"] < 1e-5
    predictor, answers = open_predictor(run), run.answers("test")
    images = small.splits["test"].images
    np.testing.assert_allclose(predictor.probabilities(images), answers.predictions.prob, atol=1e-5)
    np.testing.assert_allclose(predictor.logits(images), answers.before.logits, atol=1e-4)
    np.testing.assert_array_equal(predictor.decide(answers.predictions.prob), answers.decided)
    assert predictor.facts.recipe_hash == run.recipe.hash


def test_the_command_names_every_format():
    told = CliRunner().invoke(app, ["export", "--help"]).output
    assert [name for name in EXPORTERS if name not in told] == []


def test_every_format_is_proved_and_known_to_the_run(run_folder, small):
    of_training = (run_folder / "model.onnx").read_bytes()
    for to in EXPORTERS:
        made = pl.export(run_folder, to)
        assert made.file.name == EXPORTERS[to].file
        assert made.parity.images == 32
        assert made.parity.difference < 1e-5
        assert {c.name for c in made.parity.changes} >= {"auc", "acc", "qwk"}
        again = open_run(run_folder)
        assert again.read(made.file.name) == made.file.read_bytes()
        assert json.loads(again.read("export.json"))[made.file.name] == made.record().to_dict()
        prob = EXPORTERS[to].answering(made.file.read_bytes())(small.splits["test"].images[:5])[1]
        np.testing.assert_allclose(prob, again.answers("test").predictions.prob[:5], atol=1e-5, err_msg=to)
    assert (run_folder / "model.onnx").read_bytes() == of_training
    with zipfile.ZipFile(run_folder / "answers.keras") as parts:
        assert json.loads(parts.read("penlight.json"))["notice"] == "Not for clinical use."


def test_a_file_beside_the_run_has_its_comparison_beside_it(run_folder, tmp_path):
    before = (run_folder / "manifest.json").read_bytes()
    made = pl.export(run_folder, "keras", out=tmp_path / "out" / "mine.keras")
    assert json.loads((tmp_path / "out" / "mine.keras.json").read_text()) == made.record().to_dict()
    assert (run_folder / "manifest.json").read_bytes() == before


def test_an_export_that_disagrees_is_not_written(run_folder, monkeypatch):
    """Another network in the place of the run's: its file is well made, and not of this model."""
    files = {path.name: path.read_bytes() for path in run_folder.iterdir()}
    exporter = EXPORTERS["onnx"]

    def turned(content):
        answer = exporter.answering(content)
        return lambda images: tuple(part[:, ::-1] for part in answer(images))

    monkeypatch.setitem(EXPORTERS, "onnx", dataclasses.replace(exporter, answering=turned))
    with pytest.raises(ExportError, match="not written"):
        pl.export(run_folder, "onnx")
    assert {path.name: path.read_bytes() for path in run_folder.iterdir()} == files


def test_training_keeps_a_run_whose_file_disagrees_and_says_why(small, tmp_path, monkeypatch):
    monkeypatch.setitem(parity.CLOSE, "float32", -1.0)
    train_recipe(recipe(Linear(components=3)), out=tmp_path / "run")
    run = open_run(tmp_path / "run")
    known = json.loads(run.read("export.json"))["model.onnx"]
    assert not known["written"]
    assert "does not answer" in known["reason"]
    with pytest.raises(RunError, match='to="onnx"'):
        open_predictor(run)


@pytest.mark.full
def test_a_network_of_bfloat16_has_a_file_within_its_own_precision(small, tmp_path):
    train_recipe(recipe(Cnn(filters=(4,), dense=8), precision="bfloat16"), out=tmp_path / "run")
    made = pl.export(tmp_path / "run", "onnx")
    assert 0 < made.parity.difference < 0.05


def test_a_baseline_has_an_onnx_file_and_no_other(small, tmp_path):
    train_recipe(recipe(Linear(components=3)), out=tmp_path / "run")
    made = pl.export(tmp_path / "run", "onnx", out=tmp_path / "linear.onnx")
    assert made.file.read_bytes() == (tmp_path / "run" / "model.onnx").read_bytes()
    with pytest.raises(ExportError, match="no network"):
        pl.export(tmp_path / "run", "keras")


def test_what_is_not_offered_is_named(run_folder, small, monkeypatch):
    with pytest.raises(UnknownNameError, match="onnx"):
        pl.export(run_folder, "onx")
    other = dataclasses.replace(small, md5="f" * 32)
    monkeypatch.setattr(store, "open_dataset", lambda name, size: other)
    with pytest.raises(RunError, match="another file"):
        pl.export(run_folder, "onnx")


def test_a_label_that_train_does_not_have_is_never_answered():
    """A regression of a single class: the file says zero, or one, as the model does."""
    task, images = MultiLabel(LABELS), pixels(16)
    y = np.random.default_rng(0).integers(0, 2, (16, 4)).astype(np.uint8)
    y[:, 2], y[:, 3] = 0, 1
    model = LinearBaseline(Linear(components=3)).fit(images, y, task, mirrors=False)
    prob = model.predict(images)
    np.testing.assert_array_equal(prob[:, 2:], [[0, 1]] * 16)
    of_file = Predictor(onnx_file(model, facts(task), UNCALIBRATED), "file").probabilities(images)
    np.testing.assert_allclose(of_file, prob, atol=1e-6)


def test_a_compiled_network_has_the_loss_of_its_head_on_labels_as_they_are_loaded(task):
    ops, n = load_keras().ops, 6
    network = build_network(Cnn(filters=(4,), dense=4), task, (28, 28, 3), 0)
    compiled = compiled_network(network, task, UNCALIBRATED, probabilities=False)
    assert compiled is network
    rng = np.random.default_rng(0)
    y = task.encode(labels_for(task, n, rng)).astype(np.float32)
    logits = rng.normal(size=(n, task.n_logits)).astype(np.float32)
    loaded = y.argmax(axis=1) if task.exclusive else y
    value = np.mean(ops.convert_to_numpy(compiled.loss(ops.convert_to_tensor(loaded), ops.convert_to_tensor(logits))))
    assert value == pytest.approx(np.mean(ops.convert_to_numpy(make_loss(task.head, Loss(), y)(y, logits))), rel=1e-5)
    whole = compiled_network(network, task, UNCALIBRATED, probabilities=True)
    images = pixels(3)
    expected = task.probabilities(logits_of_network(network, images))
    np.testing.assert_allclose(logits_of_network(whole, images), expected, atol=1e-6)
