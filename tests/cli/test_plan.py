"""Training without a recipe: a plan is made, shown, kept, gone on with, and never worse than the linear baseline."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import penlight as pl
from penlight.api import planning, requests, sweeping
from penlight.api.training import train_recipe
from penlight.data import apply_view, store
from penlight.data.published import RESNET18
from penlight.disk import FolderHold
from penlight.errors import DataError, RecipeError, RunError
from penlight.experiments import run as training
from penlight.recipes import Cnn, Data, Decide, Kernel, Majority, Recipe, Residual, Train
from penlight.recipes.plan import TrainingPlan, training_operations
from penlight.reports.card import checklist
from penlight.reports.displays.published import BesidePublished
from penlight.runs import open_predictor, open_run
from penlight.runs.classifier import open_classifier
from penlight.runs.sharing import images_in_model
from penlight.tasks import Ordinal
from penlight.training import timing
from penlight.training.loop import Trainer
from tests.conftest import LABELS, small_dataset
from tests.reports.conftest import make_content
from tests.stubs import stub_fit


@pytest.fixture
def small(monkeypatch):
    """Open a small dataset under any name, on which networks are small and hardly trained."""
    dataset = small_dataset(Ordinal(LABELS, referable=2))
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    monkeypatch.setattr(planning, "training_rate", lambda recipe, view: 2.0**36)
    monkeypatch.setattr("penlight.recipes.plan._WIDTHS", (8,))
    # What the plan's network is compared with is the matter of test_ladder.
    monkeypatch.setattr("penlight.experiments.ladder.climb", lambda base, view, listener: base)
    # README trains by a plan; here is all that is around it.
    stub_fit(monkeypatch)
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
    assert json.loads(json.dumps(TrainingPlan.from_dict(kept).to_dict())) == kept
    run = open_run(tmp_path / "run")
    assert answer["kept"] == [run.provenance["model"]]
    page = run.read("report.html").decode()
    assert all(reason["why"] in page.replace("&#39;", "'") for reason in kept["reasons"])


def test_the_plan_is_printed_before_it_is_trained(small, penlight, tmp_path):
    code, out, _ = penlight("train", "small", "--set", "train.epochs=1", "--out", tmp_path / "run")
    assert code == 0
    assert out.index("augmentation") < out.index("95 % interval")
    assert "s of training a seed while this machine does nothing else" in out


def test_a_budget_and_a_recipe_exclude_each_other():
    with pytest.raises(RecipeError, match="budget"):
        requests.request("small", "cnn", budget=60.0)


def hopeless(**decide):
    """A network that learns nothing."""
    train = Train(epochs=1, batch_size=48, learning_rate=1e-9)
    return Recipe(data=Data(dataset="small"), model=Cnn(filters=(2,), dense=2), train=train, decide=Decide(**decide))


def test_a_network_that_is_no_better_gives_way_to_the_linear_baseline(small, tmp_path):
    alone = train_recipe(hopeless(), out=tmp_path / "alone")
    assert alone.kept == ["cnn"]
    train_recipe(hopeless(fallback="linear"), out=tmp_path / "kept")
    run, beside = open_run(tmp_path / "kept"), open_run(tmp_path / "alone")
    assert run.provenance["model"] == "linear"
    ahead = run.provenance["ahead_of_linear_on_val"]
    assert not ahead["value"] > 2 * ahead["error"]
    assert run.baselines == ["majority"]
    assert not run.has("model.keras")
    linear = beside.baseline_predictions("linear", "test")
    np.testing.assert_array_equal(run.model_predictions("test").prob, linear.prob)
    images = small.splits["test"].images
    np.testing.assert_allclose(
        open_predictor(run).probabilities(images), run.answers("test").predictions.prob, atol=1e-5
    )
    assert "the linear baseline was kept" in run.read("report.html").decode()


def test_a_clearly_better_network_is_kept(small, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "margin", lambda one, other, groups: training.Margin(0.21, 0.1))
    result = train_recipe(hopeless(fallback="linear"), out=tmp_path / "run")
    assert result.kept == ["cnn"]
    assert open_run(tmp_path / "run").baselines == ["linear", "majority"]


def test_what_val_says_of_the_epoch_it_chose_is_not_believed(small):
    """Its last epoch is judged: val said "clearly ahead" of chosen ones in 3 of 3 runs that test said were behind."""
    for split in small.splits.values():
        split.images[:] = np.random.default_rng(0).integers(0, 255, split.images.shape)
    view = apply_view(small)
    task = view.task
    perfect = task.logits(0.999 * view.splits["val"].y_true + 0.00025)
    baselines = training.Baselines(view, pl.ProgressListener(), None)
    recipe = hopeless(fallback="linear")
    fitted = training.Fitted(lambda part: perfect, None, object(), [None] * 7, 3, 1, 1.0)
    for unchosen, kept in ((None, "cnn"), (perfect, "cnn"), (np.zeros_like(perfect), "linear")):
        _, found = training.choose_model(replace(fitted, unchosen=unchosen), recipe, view, task, baselines)
        assert found.model == kept
        assert found.epoch == (None if unchosen is None else 7)


def test_a_model_without_epochs_gives_way_too(small, tmp_path):
    recipe = hopeless(fallback="linear").model_copy(update={"model": Majority()})
    assert train_recipe(recipe, out=tmp_path / "run").kept == ["linear"]


def test_a_plan_that_is_cut_says_so_everywhere(small, penlight, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "training_rate", lambda recipe, view: 2.0**29)
    # The clock of a busy machine is another matter.
    monkeypatch.setattr(TrainingPlan, "longest", 1e9)
    code, out, _ = penlight("train", "small", "--budget", "1s", "--out", tmp_path / "run")
    assert code == 0
    run = open_run(tmp_path / "run")
    cut = json.loads(run.read("plan.json"))["cut"]
    assert "60 epochs would be wanted for 48 images" in cut
    assert run.provenance["cut_for_time"] == cut
    flat = " ".join(out.split())
    assert flat.count(f"The plan is cut for time. {cut}") == 1
    assert flat.count(f"The plan was cut for time. {cut}") == 1
    fell = run.provenance["model"] == "linear"
    assert ("A longer --budget may change that." in flat) == fell
    for page in ("card.md", "report.html"):
        text = " ".join(run.read(page).decode().split())
        assert f"The plan was cut for time. {cut}" in text
        assert ("a longer budget may change it" in text) == fell


def test_the_clock_ends_a_fit_at_four_times_the_budget_and_the_recipe_repeats_it(
    small, penlight, tmp_path, monkeypatch
):
    seconds = iter([1000.0] * 3 + [2000.0] * 2)
    own = Trainer.epoch

    def epoch(self):
        row = replace(own(self), seconds=next(seconds))
        self.history[-1] = row
        return row

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "epoch", epoch)
        # 2,500 s are over after the third epoch of the first seed, and the second of the other.
        how = ("--budget", "625s", "--seeds", 2, "--set", "decide.fallback=none", "--out", tmp_path / "runs")
        code, out, err = penlight("train", "small", *how)
    assert code == 0, err
    runs = [open_run(tmp_path / "runs" / f"seed-{seed}") for seed in (0, 1)]
    reached = [run.recipe.train.stopped_after for run in runs]
    assert reached == [3, 2]
    assert runs[0].recipe.hash == runs[1].recipe.hash == runs[0].provenance["recipe_hash"]
    for run, epochs in zip(runs, reached, strict=True):
        assert run.recipe.train.epochs == 60
        said = f"The clock ended the training after {epochs} of 60 epochs, at 41.7 min, which is 4 times the budget."
        assert said in run.read("card.md").decode()
        assert said in run.read("report.html").decode()
        assert said in " ".join(out.split())
    again = ("train", runs[1].path / "recipe.toml", "--seed", 1, "--out", tmp_path / "again")
    code, _, err = penlight(*again)
    assert code == 0, err
    np.testing.assert_array_equal(
        open_run(tmp_path / "again").model_predictions("test").prob, runs[1].model_predictions("test").prob
    )


class Clock:
    """A step takes a second of processor time, and many more of a machine that others use too."""

    def __init__(self, others):
        self.others, self.steps = others, 0

    def process_time(self):
        self.steps += 1
        return float(self.steps)

    def perf_counter(self):
        return self.others * self.steps


def test_a_plan_counts_processor_time(monkeypatch):
    view = apply_view(small_dataset(Ordinal(LABELS, referable=2)))
    recipe = hopeless()
    monkeypatch.setattr(Trainer, "train_on", lambda trainer, drawn: None)
    rates = []
    for others in (0.01, 50.0):
        monkeypatch.setattr(timing, "time", Clock(others))
        rates.append(planning.training_rate(recipe, view))
    assert rates == [rates[0]] * 2
    assert rates[0] == training_operations(recipe, 28, 3) * 48


@pytest.mark.full
def test_the_same_plan_on_a_quiet_machine_and_beside_busy_processes():
    view = apply_view(small_dataset(Ordinal(LABELS, referable=2), n=(96, 24, 32)))
    recipe = Recipe(data=Data(dataset="small"), model=Residual(widths=(8, 16)), train=Train(batch_size=32))
    quiet = planning.training_rate(recipe, view)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        beside = planning.training_rate(recipe, view)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert 0.5 < beside / quiet < 2


def test_a_stopped_plan_is_gone_on_with_though_the_machine_is_slower_then(small, own_folders, monkeypatch):
    class PulledPlugError(Exception):
        pass

    class Pull(pl.ProgressListener):
        def on_epoch(self, row, planned):
            raise PulledPlugError

    first = requests.request("small", None, budget=1.0)
    with pytest.raises(PulledPlugError):
        train_recipe(first.recipe, name=first.name, plan=first.plan, listener=Pull())
    monkeypatch.setattr(planning, "training_rate", lambda recipe, view: 1e8)
    assert pl.plan("small", budget=1.0).recipe != first.recipe
    assert requests.request("small", None, budget=1.0).recipe == first.recipe
    assert requests.request("small", None, budget=2.0).recipe != first.recipe


def test_a_plan_of_several_seeds_is_gone_on_with_until_their_summary_is_there(small, own_folders, monkeypatch):
    first = requests.request("small", None, budget=1.0)
    seeds = own_folders / "work" / "runs" / "small-plan-1"
    (seeds / "seed-0").mkdir(parents=True)
    (seeds / "seed-0" / "plan.json").write_text(json.dumps(first.plan.to_dict()))
    (seeds / "seed-0" / "manifest.json").write_text("{}")
    monkeypatch.setattr(planning, "training_rate", lambda recipe, view: 1e8)
    assert requests.request("small", None, budget=1.0).recipe == first.recipe
    (seeds / "summary.json").write_text("{}")
    assert requests.request("small", None, budget=1.0).recipe != first.recipe
    # Killed at its very end, the same command has something to clear away.
    (seeds / ".lock").touch()
    assert requests.request("small", None, budget=1.0).recipe == first.recipe


@pytest.mark.full
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
        pl.sweep(out=tmp_path / "all")


def test_a_sweep_without_any_set_says_what_to_do(monkeypatch):
    monkeypatch.setattr(sweeping, "sets_on_disk", lambda: ([], list(RESNET18)))
    with pytest.raises(DataError, match=r"pl\.fetch"):
        pl.sweep()


def test_where_a_published_score_lies_to_the_interval():
    rows = [{"low": 0.6, "high": 0.7}, {"low": 0.71, "high": 0.8}, {"low": 0.5, "high": 0.69}]
    lanes = [sweep_lane(f"set {i}", row, 0.7) for i, row in enumerate(rows)]
    display = BesidePublished(tuple(lanes), "auc", "ResNet-18")
    assert list(display.frame()["stands"]) == ["level", "above", "below"]
    assert "above it on set 1" in display.caption
    assert "below it on set 2" in display.caption


def sweep_lane(name, row, published):
    from penlight.evaluation import Score
    from penlight.reports.displays.published import Lane

    own = Score("auc", None, (row["low"] + row["high"]) / 2, row["low"], row["high"], 100)
    return Lane(name, own, 0.5, published)


@pytest.fixture
def some_fall(monkeypatch):
    """Val says of the second model that is judged, and of no other, that it is clearly better than linear."""
    judged = []

    def margin(one, other, groups):
        judged.append(one)
        return training.Margin(0.21 if len(judged) == 2 else -0.1, 0.05)

    monkeypatch.setattr(training, "margin", margin)


@pytest.mark.parametrize(
    ("how", "noun"), [("seeds", "seeds"), pytest.param("folds", "folds", marks=pytest.mark.full)]
)
def test_where_some_fell_back_each_place_says_which_model_is_meant(small, penlight, tmp_path, some_fall, how, noun):
    """Of three models the second is the recipe's own, and two are the linear baseline."""
    recipe = tmp_path / "r.toml"
    recipe.write_text(hopeless(fallback="linear").to_toml(), encoding="utf-8")
    out = tmp_path / "runs"
    code, printed, err = penlight("train", "small", "--recipe", recipe, f"--{how}", 3, "--out", out)
    assert code == 0, err
    assert f"the model that was kept in 2 of 3 {noun}: on val the cnn network" in " ".join(printed.split())
    kept = ["linear", "cnn", "linear"]
    page = (out / "report.html").read_text(encoding="utf-8")
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert f"cnn, linear in 2 of 3 {noun}" in text
    assert f"the cnn network (in 2 of 3 {noun} the linear baseline)" in text
    assert f"In 2 of 3 {noun} the linear baseline was kept: on val the cnn network was not better" in text
    assert "with a standard error of" not in text  # that is of one model alone
    # The baseline that some kept is still one for all: of the same images, by the same fit.
    code, printed, _ = penlight("evaluate", out, "--json")
    assert {"linear", "majority"} == set(json.loads(printed)["baselines"])
    runs = [open_run(out / f"{how[:-1]}-{i}") for i in ((0, 1, 2) if how == "seeds" else (1, 2, 3))]
    for run, model in zip(runs, kept, strict=True):
        assert run.kept_model == run.kept_recipe.model.backbone == model
        about = open_classifier(run.path).about()
        assert about["backbone"] == open_predictor(run).facts.backbone == model
    if how == "seeds":
        assert penlight("compare", out, f"{out}:linear")[0] == 0
        code, _, err = penlight("compare", out, f"{runs[0].path}:linear")
        assert (code, "keeps as its model is the linear baseline" in " ".join(err.split())) == (1, True)


def test_what_is_said_of_a_model_s_own_numbers_is_of_the_model_that_was_kept(small):
    recipe = Recipe(model=Kernel())
    assert images_in_model(recipe.of_kept("kernel"), 50)
    assert images_in_model(recipe.of_kept("linear"), 50) == []
    task = small.info.task
    content = make_content(task, task.encode(np.arange(60) % 4))
    for model, weighs in (("kernel", True), ("linear", False)):
        own = replace(content, history=None, recipe={"model": {"backbone": "kernel"}}, provenance={"model": model})
        (said,) = (item.text for item in checklist(own) if item.topic == "Class imbalance")
        assert ("kernel weighs" in said) == weighs


@pytest.mark.full
def test_a_study_says_of_a_row_which_model_was_kept(small, penlight, tmp_path, some_fall):
    recipe = tmp_path / "r.toml"
    recipe.write_text(hopeless(fallback="linear").to_toml(), encoding="utf-8")
    other = tmp_path / "o.toml"
    other.write_text(hopeless(fallback="linear").to_toml().replace("dense = 2", "dense = 3"), encoding="utf-8")
    rows = [("linear", "The linear baseline", "linear"), ("fell", "Network", recipe), ("own", "Other", other)]
    text = ['name = "s"', 'title = "T"', 'question = "Q?"', 'dataset = "retinamnist"', "size = 28", "seeds = 1"]
    for name, title, of in rows:
        text += ["[[rows]]", f'id = "{name}"', f'title = "{title}"', f'recipe = "{of}"']
    (tmp_path / "s.toml").write_text("\n".join(text), encoding="utf-8")
    code, out, err = penlight("study", tmp_path / "s.toml", "--out", tmp_path / "s", "--json")
    assert code == 0, err
    titles = {row["id"]: (row["title"], row["kind"]) for row in json.loads(out)["tables"][0]["rows"]}
    assert titles == {
        "linear": ("The linear baseline", "baseline"),
        "fell": ("Network (linear kept)", "baseline"),
        "own": ("Other", "custom"),
    }
