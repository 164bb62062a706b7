"""Runs compared by the command: what may stand for a run, what is refused, and what comes out."""

import json
import shutil

import numpy as np
import pytest

import penlight as pl
from penlight.api.requests import resolve_recipe
from penlight.api.training import train_recipe
from penlight.data import store
from penlight.errors import PredictionsError
from penlight.experiments import run as training
from penlight.runs.folder import SUMMARY
from penlight.tasks import MultiLabel, Ordinal
from tests.cli.test_cli import write_official
from tests.conftest import LABELS, small_dataset


def own_dataset(monkeypatch, **changes):
    """Let every dataset be a small one of grades."""
    dataset = small_dataset(changes.pop("task", Ordinal(LABELS, referable=2)), n=(40, 20, 60), **changes)
    monkeypatch.setattr(store, "open_dataset", lambda name, size=28: dataset)
    return dataset


def made(recipe, out, *, seed=0, dataset="retina-phantom", view=None):
    train_recipe(resolve_recipe(dataset, recipe, view=view), out=out, seed=seed)


@pytest.fixture(autouse=True)
def without_reports(monkeypatch):
    """Leave reports out of runs; they take most of the time and are tested elsewhere."""
    monkeypatch.setattr(training, "_write_report", lambda *_: None)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """Baselines of a small dataset as runs, one of them with two seeds."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_write_report", lambda *_: None)
        own_dataset(patch)
        made("majority", folder / "majority")
        for seed in (0, 1):
            made("linear", folder / "linear" / f"seed-{seed}", seed=seed)
    (folder / "linear" / SUMMARY).write_text("{}")
    return folder


@pytest.fixture
def runs(made_once, monkeypatch, tmp_path):
    """A copy of the runs that were made once, in the working folder."""
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)
    own_dataset(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_and_a_folder_of_seeds(penlight, runs):
    code, out, _ = penlight("compare", "majority", "linear", "--json")
    answer = json.loads(out)
    assert code == 0
    assert {k: answer[k] for k in ("split", "metric", "against", "images", "page", "view")} == {
        "split": "test", "metric": "auc", "against": "majority", "images": 60, "page": None, "view": "native",
    }  # fmt: skip
    assert [(m["name"], m["seeds"], m["sd"]) for m in answer["models"]] == [
        ("majority", [0], None), ("linear", [0, 1], 0.0),
    ]  # fmt: skip
    (difference,) = answer["differences"]
    assert set(difference) == {"row", "against", "value", "error", "low", "high", "p", "p_holm", "more_than_chance"}
    assert (difference["row"], difference["against"]) == ("linear", "majority")
    means = {m["name"]: m["mean"] for m in answer["models"]}
    assert difference["value"] == pytest.approx(means["linear"] - means["majority"])
    scored = json.loads(penlight("evaluate", "linear", "--json")[1])["metrics"][0]
    assert means["linear"] == pytest.approx(scored["value"])
    assert penlight("compare", "majority", "linear", "--json")[1] == out
    assert json.dumps(pl.compare(["majority", "linear"]).to_dict(), indent=1) + "\n" == out


def test_a_person_reads_a_verdict_and_the_page_comes_last(penlight, runs):
    code, out, _ = penlight("compare", "majority", "linear", "--metric", "acc", "--split", "val", "--out", "c.html")
    assert code == 0
    assert out.startswith("On 20 val")
    assert out.splitlines()[-1] == "c.html"
    page = (runs / "c.html").read_text()
    assert "penlight compare majority linear --metric acc --split val" in page
    assert penlight("compare", "majority", "linear")[1].splitlines()[-1] != "c.html"


def test_baselines_and_files_stand_for_runs(penlight, runs, monkeypatch):
    y = store.open_dataset("retina-phantom").splits["test"].labels[:, 0]
    write_official(runs / "perfect.csv", np.eye(4)[y] * 0.6 + 0.1)
    words = ["majority", "majority:linear", "linear", "perfect.csv"]
    answer = json.loads(penlight("compare", *words, "--all", "--json")[1])
    assert answer["against"] is None
    assert len(answer["differences"]) == 6
    by_pair = {(d["row"], d["against"]): d for d in answer["differences"]}
    assert by_pair["majority:linear", "linear"]["value"] == 0
    assert {m["name"]: m["mean"] for m in answer["models"]}["perfect.csv"] == 1
    assert by_pair["majority", "perfect.csv"]["more_than_chance"]
    code, out, _ = penlight("compare", "linear", "majority", "--against", "perfect.csv", "--json")
    assert json.loads(out)["against"] == "perfect.csv"
    write_official(runs / "other.csv", np.full((60, 4), 0.25))
    assert penlight("compare", "perfect.csv", "other.csv", "--dataset", "retina-phantom")[0] == 0
    code, _, err = penlight("compare", "perfect.csv", "other.csv")
    assert code == 1
    assert "--dataset" in err


def test_names_are_paths_where_two_are_the_same(penlight, runs):
    (runs / "b").mkdir()
    (runs / "majority").rename(runs / "b" / "linear")
    answer = json.loads(penlight("compare", "b/linear", "linear", "--json")[1])
    assert [m["name"] for m in answer["models"]] == ["b/linear", "linear"]


@pytest.mark.parametrize(
    ("changes", "view", "what"),
    [
        ({"seed": 1}, None, "file of the dataset (MD5) differs"),
        ({}, "referable", "view differs: native and referable"),
        ({"task": Ordinal(("w", "x", "y", "z"), referable=2)}, None, "labels differs: a, b, c, d and w, x, y, z"),
    ],
)
def test_what_is_not_of_the_same_images_is_refused_by_name(penlight, runs, monkeypatch, changes, view, what):
    own_dataset(monkeypatch, **changes)
    made("majority", runs / "other", view=view)
    code, out, err = penlight("compare", "majority", "other", "--out", "c.html")
    assert code == 1
    assert out == ""
    assert what in err
    assert "majority and other cannot be compared" in err
    assert not (runs / "c.html").exists()


def test_other_labels_of_the_same_file_are_refused(runs, monkeypatch):
    """The file says it is the same, and is not."""
    labels = own_dataset(monkeypatch).splits["test"].labels
    labels[:] = labels[::-1].copy()
    made("majority", runs / "other")
    with pytest.raises(PredictionsError, match="their true labels differ"):
        pl.compare([runs / "majority", runs / "other"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["majority"], 2, "at least two"),
        (["majority", "majority"], 2, "at least two"),
        (["majority", "linear", "--all", "--against", "linear"], 2, "--against"),
        (["majority", "nowhere"], 1, "no run folder"),
        (["majority", "majority:lineer"], 1, "Did you mean linear?"),
        (["majority", "linear", "--metric", "aucc"], 1, "Did you mean"),
        (["majority", "linear", "--metric", "recall"], 1, "score of the whole"),
        (["majority", "nowhere.csv"], 1, "nowhere.csv"),
    ],
)
def test_mistakes_are_named(penlight, runs, words, code, said):
    got, out, err = penlight("compare", *words)
    assert (got, out) == (code, "")
    assert said in err


def test_the_name_of_a_score_is_that_of_its_row(monkeypatch, tmp_path):
    """ "acc" of findings is the mean over findings."""
    own_dataset(monkeypatch, task=MultiLabel(LABELS), channels=1)
    made("majority", tmp_path / "one", dataset="chest-phantom")
    found = pl.compare([tmp_path / "one", f"{tmp_path / 'one'}:linear"], metric="acc").comparison
    assert found.metric == "acc"
    rows = {r.name: r.value for r in pl.evaluate(tmp_path / "one").metrics if r.label is None}
    assert found.models[0].mean == pytest.approx(rows["acc"])
