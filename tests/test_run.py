"""The face of training: `pl.train` with names, paths and keywords, and the runs it gives."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import penlight as pl
from penlight.cli.app import app
from penlight.data import store
from penlight.errors import DataError, PenlightError, RecipeError, UnknownNameError
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
        ((3,), {}, DataError, "A dataset was expected, as text or as a Path; int came."),
        (("retina-phantom", 3), {}, DataError, "A recipe was expected, as text or as a Path; int came."),
        (("retina-phantom", "liner"), {}, UnknownNameError, "There is no recipe named 'liner'"),
        (("retina-phantom", "linear"), {"out": 3}, DataError, "A folder for out was expected"),
    ],
)
def test_bad_input_is_said_in_a_sentence(arguments, keywords, kind, said):
    with pytest.raises(PenlightError, match=said) as caught:
        pl.train(*arguments, **keywords)
    assert type(caught.value) is kind
    assert not Path("runs").exists()
