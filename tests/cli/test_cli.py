"""The command as a person and as a program use it."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from penlight.api import planning
from penlight.data import apply_view, open_dataset, store
from penlight.recipes import load_recipe, preset_names
from tests.conftest import is_full, leave_maps_out, sketch_figures
from tests.stubs import stub_fit
from tests.test_folds import named

QUICK = ["--recipe", "cnn", "--set", "train.epochs=2", "--set", "model.filters=[4]", "--set", "model.dense=8"]


@pytest.mark.parametrize("how", ["sketched", pytest.param("drawn", marks=[pytest.mark.drawn, pytest.mark.full])])
@pytest.mark.mapped
def test_train_evaluate_report_and_repeat(penlight, few, tmp_path, monkeypatch, how):
    # With its step, the commands of README train; and tests/training/test_presets.py sees that bytes repeat. README
    # has how long it takes, too.
    stub_fit(monkeypatch)
    monkeypatch.setattr(planning, "training_rate", lambda recipe, view: 2.0**36)
    code, out, _ = penlight("train", "retina-phantom", *QUICK, "--out", tmp_path / "one")
    assert code == 0
    report = tmp_path / "one" / "report.html"
    assert out.splitlines()[-1] == str(report)
    assert "not for clinical use" in report.read_text().lower()
    assert {p.name for p in (tmp_path / "one").iterdir()} == {
        *(f"baseline-{b}-{w}" for b in ("majority", "linear") for w in ("val.npz", "test.npz", "decision.json")),
        *("recipe.toml", "provenance.json", "history.csv", "model.keras", "decision.json", "metrics.json"),
        *("data.json", "predictions-val.npz", "predictions-test.npz", "report.html", "card.md", "manifest.json"),
        "novelty.npz",
        *("model.onnx", "export.json", "explained.npz", "neighbours.npz"),
    }  # fmt: skip

    code, out, _ = penlight("evaluate", tmp_path / "one", "--json")
    answer = json.loads(out)
    assert answer["split"] == "test"
    assert set(answer["metrics"][0]) == {"name", "label", "value", "low", "high", "n", "note"}
    assert set(answer["baselines"]) == {"majority", "linear"}
    assert answer == json.loads((tmp_path / "one" / "metrics.json").read_text())

    # One report with its figures and maps is enough.
    sketch_figures(monkeypatch)
    leave_maps_out(monkeypatch)
    code, _, _ = penlight("train", tmp_path / "one" / "recipe.toml", "--out", tmp_path / "two")
    assert code == 0
    one, two = ((tmp_path / n / "predictions-test.npz").read_bytes() for n in ("one", "two"))
    assert one == two

    code, _, err = penlight("train", "retina-phantom", "--set", "train.epochs=1", "--out", tmp_path / "one")
    assert code == 1
    assert "already holds a complete run" in err

    assert penlight("report", tmp_path / "one")[1].strip() == str(report)
    assert penlight("evaluate", tmp_path / "one", "--split", "val")[0] == 0


@pytest.mark.parametrize("how", ["sketched", pytest.param("drawn", marks=[pytest.mark.drawn, pytest.mark.full])])
def test_several_seeds_are_runs_with_a_summary(penlight, few, tmp_path, monkeypatch, how):
    # The reports of runs are drawn elsewhere; that of the seeds is written here.
    monkeypatch.setattr("penlight.reports.run_report", lambda *_: "a report")
    stub_fit(monkeypatch)
    recipe = QUICK if is_full() else ["--recipe", "majority"]
    code, out, _ = penlight("train", "retina-phantom", *recipe, "--seeds", 2, "--out", tmp_path / "runs", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["seeds"] == [0, 1]
    assert set(answer["metrics"][0]) == {"name", "label", "value", "low", "high", "n", "note", "sd"}
    for seed in (0, 1):
        assert json.loads((tmp_path / "runs" / f"seed-{seed}" / "manifest.json").read_text())["seed"] == seed
    again = json.loads(penlight("evaluate", tmp_path / "runs", "--json")[1])
    assert again["metrics"] == answer["metrics"]
    assert "mean" in penlight("evaluate", tmp_path / "runs")[1]
    assert penlight("report", tmp_path / "runs")[0] == 0


def test_the_default_folder_is_the_next_free_one(penlight, few, undrawn, own_folders):
    for number in (1, 2):
        _, out, _ = penlight("train", "retina-phantom", "--recipe", "majority")
        assert out.splitlines()[-1] == f"runs/retina-phantom-majority-{number}/report.html"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train", "retinamist"], 1, "retinamnist"),
        (["train", "retina-phantom", "--recipe", "lineer"], 1, "linear"),
        (["train", "retina-phantom", "--view", "single"], 1, "view"),
        (["train", "retina-phantom", "--set", "train.epoch=1"], 1, "train.epoch"),
        (["train", "retina-phantom", "--size", "31"], 1, "31"),
        (["evaluate", "nowhere"], 1, "no run folder"),
        (["score", "nowhere.csv", "--dataset", "retina-phantom"], 1, "nowhere.csv"),
        (["train"], 2, "dataset"),
        (["train", "retina-phantom", "--seeds", "0"], 2, "seeds"),
        (["tarin"], 2, "tarin"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(penlight, few, own_folders, words, code, said):
    got, out, err = penlight(*words)
    assert got == code
    assert said in err
    assert out == ""
    assert list((own_folders / "work").rglob("*.*")) == []


def test_a_mistake_in_a_planned_training_is_named_before_anything_is_timed(penlight, few, monkeypatch):
    monkeypatch.setattr(planning, "training_rate", None)
    code, _, err = penlight("train", "retina-phantom", "--set", "train.epoch=1")
    assert code == 1
    assert "train.epoch" in err


def write_official(path, prob):
    rows = np.column_stack([np.arange(len(prob)), prob])
    np.savetxt(path, rows, delimiter=",", fmt="%.17g")


def test_score_reads_the_official_format(penlight, tmp_path):
    view = apply_view(open_dataset("retina-phantom"))
    y = view.splits["val"].y_true
    file = tmp_path / "retina-phantom_val_[AUC]1.000_[ACC]1.000@model.csv"
    write_official(file, y * 0.5 + 0.1)
    answer = json.loads(penlight("score", file, "--dataset", "retina-phantom", "--json")[1])
    assert answer["split"] == "val"
    rows = {row["name"]: row["value"] for row in answer["metrics"] if row["label"] is None}
    assert rows["auc"] == rows["acc"] == rows["qwk"] == 1
    assert "auc" in penlight("score", file, "--dataset", "retina-phantom")[1]


def test_score_says_what_does_not_fit(penlight, tmp_path):
    file = tmp_path / "other.csv"
    said = []
    good = np.full((400, 5), 0.2)
    bad_index = np.column_stack([np.arange(400), good])
    bad_index[3, 0] = 4
    for content in (
        "0,0.1\n1,many\n",
        "0,0.1,0.9\n",
        None,
        "",
        "\n".join(f"{i},0.1,0.2,0.3,0.2" for i in range(400)),
        "\n".join(f"{i},0.1,0.2,0.3,0.2,1.7" for i in range(400)),
    ):
        if content is None:
            np.savetxt(file, bad_index, delimiter=",")
        else:
            file.write_text(content)
        code, _, err = penlight("score", file, "--dataset", "retina-phantom")
        assert code == 1
        said.append(err)
    for text, words in zip(
        said,
        ("not numbers", "1 row;", "several rows of 4", "rows of one length", "4 probabilities", "0 to 1"),
        strict=True,
    ):
        assert words in text


def test_data_commands(penlight, tmp_path):
    names = [row["name"] for row in json.loads(penlight("data", "list", "--json")[1])]
    assert {"retinamnist", "chestmnist", "retina-phantom"} <= set(names)
    assert "retina-phantom" in penlight("data", "list")[1]
    code, out, _ = penlight("data", "show", "retina-phantom", "--out", tmp_path / "page")
    assert code == 0
    assert (tmp_path / "page" / "index.html").exists()
    assert str(tmp_path / "page") in out.splitlines()[-1]
    assert (
        json.loads(penlight("data", "show", "retina-phantom", "--out", tmp_path / "p", "--json")[1])["images"][
            "train"
        ]
        == 1080
    )


def test_audits_of_clean_and_leaking_data(penlight, own_folders, monkeypatch):
    code, out, _ = penlight("data", "audit", "retina-phantom")
    assert code == 0
    assert "No problem was found" in out
    assert out.splitlines()[-1] == "runs/audit-retina-phantom-28/index.html"
    assert (own_folders / "work" / "runs" / "audit-retina-phantom-28" / "index.html").exists()

    opened = open_dataset("retina-phantom")
    leaking = opened.splits["test"].images.copy()
    leaking[3] = np.clip(opened.splits["train"].images[5] * 0.9 + 8, 0, 255)
    splits = {**opened.splits, "test": replace(opened.splits["test"], images=leaking)}
    monkeypatch.setattr(store, "open_dataset", lambda name, size: replace(opened, splits=splits))
    code, out, _ = penlight("data", "audit", "retina-phantom", "--out", own_folders / "page", "--json")
    answer = json.loads(out)
    assert code == 1
    assert answer["problems"][0]["code"] == "near-across"
    assert answer["problems"][0]["places"] == [["train", 5], ["test", 3]]
    assert set(answer) == {"dataset", "schema", "images", "problems", "pairs", "shifts", "test_readings", "page"}
    assert "serious" in penlight("data", "audit", "retina-phantom")[1]


def test_recipes_are_listed_with_their_cost(penlight):
    listed = json.loads(penlight("recipes", "--json")[1])
    assert [row["name"] for row in listed] == preset_names()
    assert "Cost" in penlight("recipes")[1]
    assert load_recipe("cnn").train.epochs == 30


def in_a_new_process(code, **env):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_loads_nothing_heavy_and_makes_nothing(own_folders):
    loaded = in_a_new_process(
        "import sys; sys.argv = ['penlight', '--help']\n"
        "from penlight.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'sklearn', 'matplotlib', 'keras', 'tensorflow', 'pydantic', 'scipy'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)), len(sys.modules) < 500)"
    )
    assert "LOADED [] True" in loaded
    assert not (own_folders / ".medmnist").exists()
    assert not (own_folders / "cache").exists()


def test_export_writes_a_file_and_says_how_it_compares(penlight, few, undrawn, tmp_path):
    penlight("train", "retina-phantom", "--recipe", "linear", "--out", tmp_path / "run")
    code, out, _ = penlight("export", tmp_path / "run")
    assert code == 0
    assert out.splitlines()[-1] == str(tmp_path / "run" / "model.onnx")
    assert "largest difference" in out
    answer = json.loads(penlight("export", tmp_path / "run", "--out", tmp_path / "mine.onnx", "--json")[1])
    assert (answer["file"], answer["format"], answer["split"]) == (str(tmp_path / "mine.onnx"), "onnx", "test")
    assert answer["batch_sizes"] == [1, 7]
    assert max(abs(row["change"] or 0) for row in answer["metrics"]) < 0.01
    code, _, err = penlight("export", tmp_path / "run", "--to", "keras")
    assert code == 1
    assert "no network" in err
    code, _, err = penlight("export", tmp_path / "run", "--to", "onxx")
    assert code == 1
    assert "onnx" in err


def test_folds_are_cross_validated_and_seeds_beside_them_are_refused(penlight, undrawn, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "open_dataset", lambda name, size: named())
    words = ("train", "small", "--recipe", "linear", "--folds", 2, "--out", tmp_path / "folds")
    code, out, _ = penlight(*words, "--no-test", "--json")
    assert code == 0
    made = json.loads(out)
    assert made["folds"] == [1, 2]
    assert "final" not in made
    assert [row["fold"] for row in made["by_fold"]] == [1, 2]
    code, out, _ = penlight("evaluate", tmp_path / "folds", "--full")
    assert code == 0
    assert "by fold: " in out
    assert "Test was not read." in out
    code, out, _ = penlight(*words, "--json")
    assert code == 0
    assert json.loads(out)["final"]["split"] == "test"
    code, out, _ = penlight("evaluate", tmp_path / "folds")
    assert code == 0
    assert "the linear baseline, averaged over 2 trainings, ranks" in out
    code, _, error = penlight("train", "small", "--no-test")
    assert code == 2
    assert "--folds" in error
    code, _, error = penlight(*words, "--seeds", 3)
    assert code == 2
    assert "omit --seeds" in error
