"""The face of training: `pl.train` with names, paths and keywords, and the runs it gives."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import penlight as pl
from penlight.api.progress import TrainingView
from penlight.cli.app import app
from penlight.data import store
from penlight.errors import ArgumentError, PenlightError, RecipeError, RunError, UnknownNameError
from penlight.recipes import Data, Linear, Recipe
from penlight.tasks import Ordinal
from tests.conftest import LABELS, small_dataset
from tests.stubs import stub_fit


@pytest.fixture(autouse=True)
def small(monkeypatch, unreported, own_folders):
    """A small dataset under any name, and networks that are trained in no time."""
    stub_fit(monkeypatch)
    dataset = small_dataset(Ordinal(LABELS, referable=2))
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)


def test_names_keywords_and_paths():
    run = pl.train("retina-phantom", "linear", components=3)
    assert isinstance(run, pl.Run)
    assert str(run.path) == "runs/retina-phantom-linear-1"
    assert run.recipe.model.components == 3
    assert run.report.is_file()
    again = pl.train(Path("retina-phantom"), "linear", options={"model.components": 3}, out="runs/again")
    assert again.recipe_hash == run.recipe_hash
    of_file = pl.train(str(run.path / "recipe.toml"), out=Path("runs/file"), seed=1)
    assert (of_file.recipe_hash, of_file.seed) == (run.recipe_hash, 1)
    whole = Recipe(data=Data(dataset="retina-phantom"), model=Linear(components=3))
    table = {"model": {"components": 3}}
    by_table = pl.train("retina-phantom", "linear", options=table, out="runs/table", seed=np.int64(2))
    assert (by_table.recipe_hash, by_table.seed) == (run.recipe_hash, 2)
    assert pl.train("retina-phantom", "majority", loss="focal", out="runs/loss").recipe.train.loss.kind == "focal"
    assert pl.train(whole, out="runs/whole").recipe_hash == run.recipe_hash
    assert pl.train("retina-phantom", whole, components=4, out="runs/four").recipe.model.components == 4


def test_the_json_of_a_run_is_that_of_the_command():
    run = pl.train("retina-phantom", "majority", out="runs/one")
    words = ["train", "retina-phantom", "--recipe", "majority", "--json", "--out", "runs/two"]
    printed = json.loads(CliRunner().invoke(app, words).stdout)
    assert printed == json.loads(json.dumps(run.to_dict()).replace("runs/one", "runs/two"))
    runs = pl.train("retina-phantom", "majority", seeds=2, out="runs/seeds")
    printed = json.loads(CliRunner().invoke(app, [*words[:-1], "runs/more", "--seeds", "2"]).stdout)
    assert printed == json.loads(json.dumps(runs.to_dict()).replace("runs/seeds", "runs/more"))


def test_seeds_are_not_trained_into_the_folder_of_something_else():
    one, folds = pl.train("retina-phantom", "majority"), pl.train("retina-phantom", "majority", folds=2)
    for taken in (one, folds):
        held = {file: file.read_bytes() for file in taken.path.rglob("*") if file.is_file()}
        with pytest.raises(RunError, match="is not empty, and not of several seeds"):
            pl.train("retina-phantom", "majority", seeds=2, out=taken.path)
        assert {file: file.read_bytes() for file in taken.path.rglob("*") if file.is_file()} == held


def test_runs_of_seeds_and_folds():
    runs = pl.train("retina-phantom", "majority", seeds=2, seed=4)
    assert [run.seed for run in runs] == [4, 5]
    assert runs.scores == pl.evaluate(runs.path)
    assert runs[1].path == runs.path / "seed-5"
    assert runs[:1] == list(runs)[:1]
    opened = pl.open_run(str(runs.path))
    assert isinstance(opened, pl.Runs)
    assert opened.scores == runs.scores
    assert isinstance(pl.open_run(runs[0]), pl.Run)
    folds = pl.train("retina-phantom", "majority", folds=2)
    assert folds.kind == "folds"
    assert folds.scores.to_dict() == pl.evaluate(folds.path).to_dict()


@pytest.mark.parametrize(
    ("arguments", "keywords", "kind", "said"),
    [
        (("retina-phantom", "linear"), {"componets": 3}, UnknownNameError, "Did you mean components"),
        (("retina-phantom", "linear"), {"seads": 3}, UnknownNameError, "Did you mean seeds"),
        (("retina-phantom", "linear"), {"options": "a=1"}, RecipeError, "Options of a recipe are a dict"),
        (("retina-phantom", "linear"), {"components": object()}, RecipeError, "object has no form in JSON"),
        (("retina-phantom", "linear"), {"components": "few"}, RecipeError, "'model.components' input should be"),
        (("retina-phantom", "linear"), {"folds": 2, "seeds": 2}, RecipeError, "Leave seeds out"),
        ((3,), {}, ArgumentError, "A dataset was expected, as text or as a Path; int came."),
        (("a" * 300,), {}, ArgumentError, "that no path can be, of 300 characters"),
        (("retina-phantom", "a\0.toml"), {}, ArgumentError, "A recipe was expected; a text came that no path can be"),
        (("retina-phantom", "linear"), {"options": {"data.dataset": "a" * 300}}, RecipeError, "ordinary length"),
        (
            ("retina-phantom", 3),
            {},
            ArgumentError,
            "A recipe was expected, as a name, a path or a `Recipe`; int came.",
        ),
        (
            ("retina-phantom", "linear"),
            {"seeds": 0},
            ArgumentError,
            "seeds: a whole number of at least 1 was expected; 0",
        ),
        (("retina-phantom", "linear"), {"seeds": "3"}, ArgumentError, "at least 1 was expected; '3' came"),
        (("retina-phantom", "linear"), {"seed": True}, ArgumentError, "at least 0 was expected; True came"),
        (("retina-phantom", "linear"), {"folds": 1}, ArgumentError, "at least 2 was expected; 1 came"),
        (("retina-phantom",), {"budget": "5m"}, ArgumentError, "budget: a number above 0 was expected; '5m' came"),
        (("retina-phantom", "linear"), {"images": "no"}, ArgumentError, "True or False was expected; 'no' came"),
        (("retina-phantom", "linear"), {"view": 3}, ArgumentError, "view: a text was expected; 3 came"),
        (("retina-phantom", "linear"), {"listener": 3}, ArgumentError, "a ProgressListener was expected; 3 came"),
        (("retina-phantom", "cnn"), {"options": {3: 4}}, UnknownNameError, "no option named '3'"),
        (("retina-phantom", Path("nothing.toml")), {}, RecipeError, "The recipe file nothing.toml cannot be read"),
        (("retina-phantom", "liner"), {}, UnknownNameError, "There is no recipe named 'liner'"),
        (("retina-phantom", "linear"), {"out": 3}, ArgumentError, "A folder for out was expected"),
    ],
)
def test_bad_input_is_said_in_a_sentence(arguments, keywords, kind, said):
    with pytest.raises(PenlightError, match=said) as caught:
        pl.train(*arguments, **keywords)
    assert type(caught.value) is kind
    assert not Path("runs").exists()


class Interrupt(pl.ProgressListener):
    """What a person does who stops a cell in its second epoch."""

    def on_epoch(self, row, planned):
        if row.epoch == 2:
            raise KeyboardInterrupt


class Told(pl.ProgressListener):
    def __init__(self):
        self.epochs, self.places, self.steps = [], [], []

    def on_step(self, what):
        self.steps.append(what)

    def on_fit(self, metric, place):
        self.places.append((metric, place))

    def on_epoch(self, row, planned):
        self.epochs.append(row.epoch)


def test_a_cell_that_was_interrupted_goes_on_when_it_is_run_again():
    call = {"filters": (4,), "dense": 8, "epochs": 4, "batch_size": 16}
    with pytest.raises(KeyboardInterrupt):
        pl.train("retina-phantom", "cnn", listener=Interrupt(), **call)
    with pytest.raises(RunError, match="is not complete"):
        pl.open_run("runs/retina-phantom-cnn-1")
    assert list(Path("runs/retina-phantom-cnn-1").rglob("checkpoint*"))
    told = Told()
    run = pl.train("retina-phantom", "cnn", listener=told, **call)
    assert str(run.path) == "runs/retina-phantom-cnn-1"
    assert told.epochs == [1, 2, 3, 4]
    whole = pl.train("retina-phantom", "cnn", out="runs/whole", listener=Told(), **call)
    pd.testing.assert_frame_equal(run.history.drop(columns="seconds"), whole.history.drop(columns="seconds"))
    np.testing.assert_array_equal(run.predictions().prob, whole.predictions().prob)


def test_a_listener_is_told_the_metric_and_which_seed_or_fold_it_is():
    told = Told()
    pl.train("retina-phantom", "majority", seeds=2, seed=3, listener=told)
    pl.train("retina-phantom", "majority", folds=2, listener=told)
    pl.train("retina-phantom", "majority", listener=told)
    assert told.places == [
        ("auc", place) for place in ("seed 1 of 2", "seed 2 of 2", "fold 1 of 2", "fold 2 of 2", "")
    ]


class Notebook:
    """IPython as far as progress needs it: a shell with a kernel, and outputs that are written anew."""

    def __init__(self):
        self.outputs = []

    def get_ipython(self):
        return self

    kernel = "a kernel"

    def HTML(self, text):  # noqa: N802
        return text

    def display(self, text, display_id):
        self.outputs.append(text)
        return self

    def update(self, text):
        self.outputs.append(text)


def test_progress_is_an_output_of_the_cell_in_a_notebook(monkeypatch, capsys):
    notebook = Notebook()
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    pl.train("retina-phantom", "cnn", filters=(4,), dense=8, epochs=2, seeds=2)
    line = next(text for text in notebook.outputs if "epoch 1/2" in text and "seed 2 of 2" in text)
    assert re.search(r'Training with seed 1 .*<progress max="2" value="1">.* val auc 0\.\d+ .*0:\d\d left', line)
    assert notebook.outputs[-1] == ""
    n = len(notebook.outputs)
    pl.train("retina-phantom", "majority", out="runs/quiet", listener=pl.ProgressListener())
    assert len(notebook.outputs) == n
    view = TrainingView()
    view.on_step("<b>Training</b>")
    view.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert "&lt;b&gt;Training" in notebook.outputs[-1]
    assert "interrupted; run the cell again" in notebook.outputs[-1]
    assert capsys.readouterr() == ("", "")


def test_a_run_gives_an_ordinary_keras_model():
    run = pl.train("retina-phantom", "cnn", filters=(4,), dense=8, epochs=1)
    X, y = pl.load("retina-phantom", "test")
    images = X.astype(np.float32)
    model = run.keras_model(probabilities=True)
    np.testing.assert_allclose(model.predict(images, verbose=0), run.predictions().prob, atol=1e-5)
    _, accuracy = model.evaluate(images, y, verbose=0)
    assert accuracy == pytest.approx((run.predictions().prob.argmax(axis=1) == y).mean(), abs=1e-6)
    logits = run.keras_model()
    before = run.model_predictions("test").logits
    np.testing.assert_allclose(logits.predict(images, verbose=0), before, atol=1e-4)
    assert np.isfinite(logits.fit(images, y, epochs=1, verbose=0).history["loss"]).all()
