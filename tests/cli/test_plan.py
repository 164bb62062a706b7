"""Training without a recipe: a plan is made, shown, kept, gone on with, and never worse than the linear baseline."""

import json

import numpy as np
import pytest

from penlight import api
from penlight.api import sweeping, training
from penlight.data import store
from penlight.data.published import RESNET18
from penlight.disk import FolderHold
from penlight.errors import DataError, RecipeError, RunError
from penlight.recipes import Cnn, Data, Decide, Recipe, Train
from penlight.recipes.plan import plan_from_dict
from penlight.report.displays.published import BesidePublished
from penlight.runs import open_predictor, open_run
from penlight.tasks import Ordinal
from tests.conftest import LABELS, small_dataset


@pytest.fixture
def small(monkeypatch):
    """Open a small dataset under any name, and leave figures out of reports of runs."""
    dataset = small_dataset(Ordinal(LABELS, referable=2))
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    return dataset


def test_a_dataset_alone_is_trained_by_a_plan_that_is_kept_with_its_reasons(small, penlight, tmp_path):
    code, out, _ = penlight(
        "train", "small", "--budget", "20s", "--set", "train.epochs=1", "--out", tmp_path / "run", "--json"
    )
    assert code == 0
    answer = json.loads(out)
    kept = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert answer["plan"] == kept
    assert kept["fingerprint"]["images"] == {"train": 48, "val": 24, "test": 32}
    assert kept["fingerprint"]["budget"] == 20.0
    assert json.loads(json.dumps(plan_from_dict(kept).to_dict())) == kept
    run = open_run(tmp_path / "run")
    assert answer["kept"] == [run.provenance["model"]]
    page = run.read("report.html").decode()
    assert all(reason["why"] in page.replace("&#39;", "'") for reason in kept["reasons"])


def test_the_plan_is_printed_before_it_is_trained(small, penlight, tmp_path):
    code, out, _ = penlight("train", "small", "--set", "train.epochs=1", "--out", tmp_path / "run")
    assert code == 0
    assert out.index("augmentation") < out.index("95 % interval")
    assert "s of training a seed on this machine" in out


def test_a_budget_and_a_recipe_exclude_each_other():
    with pytest.raises(RecipeError, match="budget"):
        api.request("small", "cnn", budget=60.0)


def hopeless(**decide):
    """A network that learns nothing."""
    train = Train(epochs=1, batch_size=48, learning_rate=1e-9)
    return Recipe(data=Data(dataset="small"), model=Cnn(filters=(2,), dense=2), train=train, decide=Decide(**decide))


def test_a_network_that_is_no_better_gives_way_to_the_linear_baseline(small, tmp_path):
    alone = api.train(hopeless(), out=tmp_path / "alone")
    assert alone.kept == ["cnn"]
    api.train(hopeless(fallback="linear"), out=tmp_path / "kept")
    run, beside = open_run(tmp_path / "kept"), open_run(tmp_path / "alone")
    assert run.provenance["model"] == "linear"
    assert not run.provenance["ahead_of_linear_on_val"]["value"] > run.provenance["ahead_of_linear_on_val"]["error"]
    assert run.baselines == ["majority"]
    assert not run.has("model.keras")
    linear = beside.baseline_predictions("linear", "test")
    np.testing.assert_array_equal(run.predictions("test").prob, linear.prob)
    images = small.splits["test"].images
    np.testing.assert_allclose(
        open_predictor(run).probabilities(images), run.answers("test").predictions.prob, atol=1e-5
    )
    assert "the linear baseline was kept" in run.read("report.html").decode()


def test_a_clearly_better_network_is_kept(small, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "margin", lambda one, other, groups: training.Margin(0.2, 0.1))
    result = api.train(hopeless(fallback="linear"), out=tmp_path / "run")
    assert result.kept == ["cnn"]
    assert open_run(tmp_path / "run").baselines == ["linear", "majority"]


def test_a_stopped_plan_is_gone_on_with_though_the_machine_is_slower_then(small, own_folders, monkeypatch):
    class PulledPlugError(Exception):
        pass

    class Pull(api.Watcher):
        def epoch(self, row, planned):
            raise PulledPlugError

    first = api.request("small", None, budget=1.0)
    with pytest.raises(PulledPlugError):
        api.train(first.recipe, name=first.name, plan=first.plan, watcher=Pull())
    monkeypatch.setattr("penlight.api.planning.matrix_rate", lambda: 1e9)
    assert api.plan("small", budget=1.0).recipe != first.recipe
    assert api.request("small", None, budget=1.0).recipe == first.recipe
    assert api.request("small", None, budget=2.0).recipe != first.recipe


def test_a_plan_of_several_seeds_is_gone_on_with_until_their_summary_is_there(small, own_folders, monkeypatch):
    first = api.request("small", None, budget=1.0)
    seeds = own_folders / "work" / "runs" / "small-plan-1"
    (seeds / "seed-0").mkdir(parents=True)
    (seeds / "seed-0" / "plan.json").write_text(json.dumps(first.plan.to_dict()))
    (seeds / "seed-0" / "manifest.json").write_text("{}")
    monkeypatch.setattr("penlight.api.planning.matrix_rate", lambda: 1e9)
    assert api.request("small", None, budget=1.0).recipe == first.recipe
    (seeds / "summary.json").write_text("{}")
    assert api.request("small", None, budget=1.0).recipe != first.recipe
    # Killed at its very end, the same command has something to clear away.
    (seeds / ".lock").touch()
    assert api.request("small", None, budget=1.0).recipe == first.recipe


def test_a_sweep_stands_beside_the_published_scores(small, penlight, monkeypatch, tmp_path):
    quick = ["breastmnist", "retinamnist"]
    monkeypatch.setattr(sweeping, "sets_on_disk", lambda: (quick, ["pathmnist"]))
    planned = sweeping.plan
    monkeypatch.setattr(sweeping, "plan", lambda name, budget: planned(name, budget=0.01))
    code, out, _ = penlight("study", "medmnist2d", "--dry-run", "--out", tmp_path / "all", "--json")
    assert code == 0
    assert json.loads(out)["planned"] == quick
    code, out, _ = penlight("study", "medmnist2d", "--out", tmp_path / "all", "--json")
    assert code == 0
    answer = json.loads(out)
    assert [row["name"] for row in answer["sets"]] == quick
    assert answer["absent"] == ["pathmnist"]
    assert answer["sets"][0]["published"]["auc"] == RESNET18["breastmnist"].auc
    page = (tmp_path / "all" / "report.html").read_text()
    assert 'href="breastmnist/report.html"' in page
    before = (tmp_path / "all" / "breastmnist" / "manifest.json").read_bytes()
    code, out, _ = penlight("study", "medmnist2d", "--out", tmp_path / "all")
    assert code == 0
    assert out.splitlines()[-1] == str(tmp_path / "all" / "report.html")
    assert (tmp_path / "all" / "breastmnist" / "manifest.json").read_bytes() == before


def test_a_sweep_is_one_commands_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setattr(sweeping, "sets_on_disk", lambda: (["breastmnist"], []))
    with FolderHold(tmp_path / "all"), pytest.raises(RunError, match=r"Another process .* is writing .*all"):
        api.sweep(out=tmp_path / "all")


def test_a_sweep_without_any_set_says_what_to_do(monkeypatch):
    monkeypatch.setattr(sweeping, "sets_on_disk", lambda: ([], list(RESNET18)))
    with pytest.raises(DataError, match="data fetch"):
        api.sweep()


def test_where_a_published_score_lies_to_the_interval():
    rows = [{"low": 0.6, "high": 0.7}, {"low": 0.71, "high": 0.8}, {"low": 0.5, "high": 0.69}]
    lanes = [sweep_lane(f"set {i}", row, 0.7) for i, row in enumerate(rows)]
    display = BesidePublished.from_lanes(lanes, "auc", "ResNet-18")
    assert list(display.frame()["stands"]) == ["level", "above", "below"]
    assert "above it on set 1" in display.caption
    assert "below it on set 2" in display.caption


def sweep_lane(name, row, published):
    from penlight.evaluation import MetricRow
    from penlight.report.displays.published import Lane

    own = MetricRow("auc", None, (row["low"] + row["high"]) / 2, row["low"], row["high"], 100)
    return Lane(name, own, 0.5, published)
