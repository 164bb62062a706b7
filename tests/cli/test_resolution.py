"""The study of resolution: one recipe at each size of a dataset that is on disk."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.data import apply_view, store
from penlight.errors import ArgumentError
from penlight.recipes import Cnn, Data, Train
from penlight.recipes.plan import fingerprint_of_view, make_plan
from penlight.runs import open_run
from tests.stubs import stub_fit

DESCRIPTION = """
name = "lesions"
title = "Lesions"
task = "multi-class"
labels = ["none", "lesion"]
licence = "CC0"
source = "drawn"
files = { "16" = "lesions_16.npz", "32" = "lesions_32.npz" }
"""


def write_lesions(folder, *, sizes=(16, 32), n=(160, 80, 90), shuffled=False):
    """Two files of the same noisy images, with lesions of one pixel of 32, which are paler at 16."""
    rng = np.random.default_rng(0)
    large = {}
    for split, count in zip(("train", "val", "test"), n, strict=True):
        labels = (np.arange(count) % 2).astype(np.uint8)
        images = rng.integers(60, 120, (count, 32, 32)).astype(float)
        images[labels == 1, 9:10, 8:24] += 60
        large[split] = images, labels
    for size in sizes:
        arrays = {}
        for split, (images, labels) in large.items():
            side = 32 // size
            small = images.reshape(len(images), size, side, size, side).mean(axis=(2, 4))
            order = np.arange(len(labels))[:: -1 if shuffled and size == 32 else 1]
            arrays |= {f"{split}_images": small.astype(np.uint8)[order], f"{split}_labels": labels[order, None]}
        np.savez(folder / f"lesions_{size}.npz", **arrays)
    (folder / "lesions.toml").write_text(DESCRIPTION)


def test_each_size_is_trained_and_compared_and_one_is_recommended_by_val(own_folders, penlight):
    write_lesions(own_folders / "work")
    code, out, _ = penlight("study", "resolution", "lesions.toml", "--recipe", "linear", "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, "2 of 2 runs to train, in runs/study-resolution-lesions")
    assert not Path("runs").exists()

    words = "study", "resolution", "lesions.toml", "--recipe", "linear", "--set", "model.components=12"
    code, out, err = penlight(*words)
    assert code == 0
    assert "run 2/2  Linear baseline at 32 px, seed 0" in err
    assert "Take " in out
    assert out.splitlines()[-1] == "runs/study-resolution-lesions/report.html"
    record = json.loads(Path("runs/study-resolution-lesions/study.json").read_text())
    (table,) = record["tables"]
    assert [(row["id"], row["size"]) for row in table["rows"]] == [("16px", 16), ("32px", 32)]
    assert all(row["cost"]["fit_seconds"][0] > 0 for row in table["rows"])
    assert [(d["row"], d["against"]) for d in table["differences"]] in ([("32px", "16px")], [("16px", "32px")])
    assert set(table["on_val"]) == {"16px", "32px"}
    assert table["findings"][0] in " ".join(out.split())
    page = Path("runs/study-resolution-lesions/report.html").read_text()
    assert "Score against size" in page
    assert "16, 32 px" in page
    assert "penlight study resolution lesions.toml --recipe linear --set model.components=12" in page

    # Repeated it trains nothing, and its report is the same from what is on disk.
    first = Path("runs/study-resolution-lesions/16px/seed-0/manifest.json").stat().st_mtime_ns
    asked = {"recipe": "linear", "options": {"components": 12}}
    assert {run.state for run in pl.plan_study("resolution", "lesions.toml", **asked).runs} == {"done"}
    studied = pl.study("resolution", "lesions.toml", **asked)
    assert Path("runs/study-resolution-lesions/16px/seed-0/manifest.json").stat().st_mtime_ns == first
    assert set(studied.frame()["recipe"]) == {"Linear baseline at 16 px", "Linear baseline at 32 px"}
    before = studied.report.read_text()
    pl.report(studied.folder)
    assert studied.report.read_text() == before
    assert [*pl.displays(studied.folder)["cost"].frame()["size"]] == [16, 32]


def test_the_plan_for_the_largest_size_is_trained_at_all_beside_the_linear_baseline_and_kept(
    own_folders, penlight, monkeypatch
):
    write_lesions(own_folders / "work")
    stub_fit(monkeypatch)

    def small_plan(dataset, overrides, view, size, budget, listener):
        """How a network is chosen, timed and compared has tests of its own."""
        machine = {"cores": 2.0, "memory": 0.0, "rate": 1e9}
        made = make_plan(
            fingerprint_of_view(apply_view(store.open_dataset(dataset, size), "native"), machine, budget)
        )
        few = {
            "model": Cnn(filters=(4,), dense=4),
            "train": Train(epochs=1),
            "data": Data(dataset=dataset, size=size),
        }
        return replace(made, recipe=made.recipe.model_copy(update=few))

    monkeypatch.setattr("penlight.api.requests.plan_before", small_plan)
    out = penlight("study", "resolution", "lesions.toml", "--budget", "5s", "--seeds", "1", "--out", "there")[1]
    assert "there/report.html" in out
    rows = {row["id"]: row for row in json.loads(Path("there/study.json").read_text())["tables"][0]["rows"]}
    assert list(rows) == ["linear", "16px", "32px"]
    assert rows["16px"]["title"].startswith("Planned model at 16 px")
    assert json.loads(Path("there/16px/seed-0/plan.json").read_text())["fingerprint"]["size"] == 32
    assert open_run(Path("there/16px/seed-0")).recipe.model == Cnn(filters=(4,), dense=4)
    shutil.rmtree("there/32px")
    plan = pl.plan_study("resolution", "lesions.toml", out="there", seeds=1, budget=5)
    assert [run.state for run in plan.runs] == ["done", "done", "missing"]


def test_sizes_that_are_not_there_are_said_with_how_to_get_them(own_folders, penlight):
    work = own_folders / "work"
    write_lesions(work)
    (work / "lesions.toml").write_text(DESCRIPTION.replace('"16" =', '"64" = "lesions_64.npz", "16" ='))
    out = penlight("study", "resolution", "lesions.toml", "--recipe", "majority", "--dry-run")[1]
    assert "64 px is not on disk: lesions_64.npz was not found." in out
    write_lesions(work, sizes=(32,))
    (work / "lesions_16.npz").unlink()
    code, out, err = penlight("study", "resolution", "lesions.toml", "--recipe", "linear")
    assert (code, out) == (1, "")
    assert "lesions has images of 32 pixels here; a study of resolution needs two sizes or more." in err
    assert "16 px is not on disk: lesions_16.npz was not found." in err
    assert "penlight data fetch breastmnist --size 224" in penlight("study", "resolution", "breastmnist")[2]
    assert not (work / "runs").exists()


def test_a_size_beyond_the_pictures_own_is_left_out_and_smaller_ones_are_offered(own_folders, penlight):
    rng = np.random.default_rng(0)
    for i in range(60):
        folder = own_folders / "work" / "films" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 200, (70, 90), np.uint8)).save(folder / f"{i}.png")
    assert penlight("data", "new", "films", "--yes")[0] == 0
    err = penlight("study", "resolution", "films.toml", "--recipe", "linear")[2]
    assert "needs two sizes or more" in err
    assert "`sizes` of films.toml" in err
    description = own_folders / "work" / "films.toml"
    text = description.read_text()
    line = next(line for line in text.splitlines() if line.startswith("sizes = "))
    description.write_text(text.replace(line, "sizes = [28, 64, 128]"))
    out = penlight("study", "resolution", "films.toml", "--recipe", "linear", "--dry-run")[1]
    assert "128 px is more than the pictures have." in out
    assert "2 of 2 runs to train" in out


def test_files_whose_images_are_in_another_order_are_not_compared(own_folders, penlight):
    write_lesions(own_folders / "work", shuffled=True, n=(40, 20, 30))
    code, _, err = penlight("study", "resolution", "lesions.toml", "--recipe", "majority")
    assert code == 1
    assert "do not all have the same test images" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["resolution"], "A study of resolution needs a dataset. penlight study resolution DATASET"),
        (["retina", "retinamnist"], "The study retina says itself what it trains"),
        (["retina", "--recipe", "cnn"], "The study retina says itself what it trains"),
        (["medmnist2d", "retinamnist"], "The study medmnist2d says itself what it trains"),
        (["resolution", "lesions.toml", "--recipe", "cnn", "--set", "data.size=16"], "Leave data.size out."),
        (["resolution", "retine"], "no dataset named 'retine'"),
        (["resolution", "lesions.toml", "--recipe", "ccn"], "no recipe named 'ccn'"),
        (["resolution", "lesions.toml", "--recipe", "cnn", "--budget", "5m"], "A budget is for a plan"),
        (["resolution", "lesions.toml", "--recipe", "cnn", "--set", "train.epoch=3"], "'train.epoch' is not a known"),
        (
            ["resolution", "lesions.toml", "--view", "single", "--recipe", "cnn"],
            "no view of lesions.toml named 'single'",
        ),
    ],
)
def test_mistakes_are_named_before_anything_runs(own_folders, penlight, words, said):
    write_lesions(own_folders / "work", n=(20, 10, 10))
    code, out, err = penlight("study", *words)
    assert (code, out) == (1, "")
    assert said in " ".join(err.split())
    assert not (own_folders / "work" / "runs").exists()


def test_python_has_the_same_words():
    with pytest.raises(ArgumentError, match="needs a dataset"):
        pl.study("resolution")
    with pytest.raises(ArgumentError, match="recipe="):
        pl.study("retina", recipe="cnn")


@pytest.mark.full
def test_films_of_28_and_64_pixels_are_compared_by_patient(real_data, tmp_path):
    Path(tmp_path / "encoder.toml").write_text('[model]\nbackbone = "encoder"\nweights = "efficientnet_lite0.onnx"\n')
    studied = pl.study("resolution", "nih1000", recipe=tmp_path / "encoder.toml", out=tmp_path / "study")
    (table,) = studied.record["tables"]
    rows = {row["id"]: row for row in table["rows"]}
    assert list(rows) == ["linear", "28px", "64px"]
    assert {(d["row"], d["against"]) for d in table["differences"]} & {("64px", "28px"), ("28px", "64px")}
    assert table["findings"]
