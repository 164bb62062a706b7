"""Tuning: judged without test, the same trials after a kill, pruned and diverged trials, samplers that search."""

import importlib.util
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from sqlalchemy.exc import OperationalError

import penlight as pl
from penlight.data import Dataset, Split, apply_view, store
from penlight.errors import (
    DataError,
    MemoryShortError,
    MissingExtraError,
    RunError,
    StorageError,
    TrainingError,
    UnknownNameError,
)
from penlight.experiments.tuning import samplers, search, storage
from penlight.experiments.tuning.journal import Journal
from penlight.experiments.tuning.objective import Repeats, choose_repeats, folds, parts_of
from penlight.experiments.tuning.samplers import distribution, from_stored, make_sampler, stored
from penlight.experiments.tuning.storage import process_name, quiet, storage_kept
from penlight.recipes import Cnn, Data, Linear, Recipe, Train, load_recipe
from penlight.recipes.space import Choices, Range, Space, Trial, value_at
from penlight.reports.displays.tuning import KeyImportance, ParallelTrials, SpaceScatter, TuningHistory
from penlight.reports.figure import draw_svg
from penlight.tasks import MultiLabel, Ordinal
from tests.conftest import LABELS, small_dataset

LINEAR = Recipe(data=Data(dataset="small"), model=Linear(components=12))
NETWORK = Recipe(
    data=Data(dataset="small"),
    model=Cnn(filters=(4,), dense=8),
    train=Train(epochs=6, batch_size=16, learning_rate=1e-2),
)
SPACE = Space((Range("a", 1e-4, 1.0, log=True), Range("b", 1, 9, whole=True), Choices("c", ("x", [1, 2]))))


class KilledError(BaseException):
    """Ends a process as a signal does: nothing is told to the study."""


@pytest.fixture
def small(monkeypatch):
    dataset = small_dataset(Ordinal(LABELS, referable=2))
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    return dataset


@pytest.fixture
def fast(small, monkeypatch):
    """Judge trials by a smooth function of their values, three times, without training."""

    def values_of(recipe, parts, report, seen):
        worth = -0.01 * abs(recipe.model.components - 60) - 0.1 * abs(np.log10(recipe.model.strength))
        return [float(0.9 + worth + 0.03 * i) for i in range(len(parts))]

    monkeypatch.setattr(search, "values_of", values_of)


@pytest.fixture
def worth(monkeypatch):
    """Replace the training of a trial by a function of its recipe, which may report steps."""

    def use(function):
        monkeypatch.setattr(search, "values_of", lambda recipe, parts, report, seen: [function(recipe, report)])

    return use


def outcome(result):
    return [(t.number, t.state, t.value, t.values, dict(t.params)) for t in result.trials]


@pytest.mark.parametrize("trials", [5, pytest.param(8, marks=pytest.mark.full)])
def test_killed_and_continued_it_holds_the_same_trials(fast, own_folders, monkeypatch, unreported, trials):
    undisturbed = pl.tune(LINEAR, trials=trials, out=own_folders / "whole")
    train, begun = search.values_of, []

    def killed_in_the_third_and_the_last(*words):
        begun.append(1)
        if len(begun) in (3, trials + 1):
            raise KilledError
        return train(*words)

    monkeypatch.setattr(search, "values_of", killed_in_the_third_and_the_last)
    for _ in range(2):
        with pytest.raises(KilledError):
            pl.tune(LINEAR, trials=trials)
    result = pl.tune(LINEAR, trials=trials)
    assert str(result.folder) == "runs/small-tune-1"
    assert outcome(result) == outcome(undisturbed)
    assert len(begun) == trials + 2
    assert not list(result.folder.glob(".*"))
    best = [(own_folders / "whole" / "best.toml"), result.recipe]
    assert load_recipe(str(best[0])) == load_recipe(str(best[1]))
    assert str(pl.tune(LINEAR, trials=1).folder) == "runs/small-tune-2"


def test_a_finished_tuning_goes_on_to_more_trials(fast, tmp_path, unreported):
    five = pl.tune(LINEAR, trials=5, out=tmp_path / "t")
    seven = pl.tune(LINEAR, trials=7, out=tmp_path / "t")
    assert outcome(seven)[:5] == outcome(five)
    assert len(seven.trials) == 7
    assert len(pd.read_csv(tmp_path / "t" / "trials.csv")) == 7


def test_the_files_say_what_was_found(fast, tmp_path):
    result = pl.tune(LINEAR, trials=6, out=tmp_path / "t")
    assert {p.name for p in (tmp_path / "t").iterdir()} == {
        "tune.json", "tune.journal", "trials.csv", "best.toml", "report.html", "group.json"
    }  # fmt: skip
    best = max(result.trials, key=lambda t: t.value)
    assert result.best == best.number
    assert result.start == 1
    recipe = load_recipe(str(result.recipe))
    for key, value in best.params.items():
        assert value_at(recipe, key) == value
    assert recipe.data == LINEAR.data
    table = pd.read_csv(tmp_path / "t" / "trials.csv")
    assert table["value"].tolist() == [t.value for t in result.trials]
    np.testing.assert_allclose(table[["value_1", "value_2", "value_3"]].mean(axis=1), table["value"])
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["judged_on"] == "3 folds of train"
    page = result.report.read_text()
    assert "Not for clinical use" in page
    assert "3 folds of train" in page
    assert page.count("<svg") == 2 + len(best.params)
    assert sum(result.importance.values()) == pytest.approx(1)


def test_test_and_a_small_val_change_nothing(small, own_folders, unreported):
    (own_folders / "space.toml").write_text("model.components = { low = 2, high = 12 }")
    options = {"trials": 3, "space": own_folders / "space.toml"}
    result = pl.tune(LINEAR, **options, out=own_folders / "one")
    for name in ("val", "test"):
        labels = small.splits[name].labels
        labels[:] = np.random.default_rng(0).permutation(labels)
    assert outcome(pl.tune(LINEAR, **options, out=own_folders / "two")) == outcome(result)


def test_a_network_is_tuned_and_a_bad_trial_is_pruned(small, tmp_path, monkeypatch, unreported):
    monkeypatch.setattr(storage, "PRUNE_AFTER", 1)
    (tmp_path / "space.toml").write_text("train.learning_rate.choices = [1e-2, 1e-9]")
    seen = []

    class Count(pl.ProgressListener):
        def on_epoch(self, row, planned):
            seen.append(row.epoch)

    result = pl.tune(
        NETWORK, trials=2, seed=2, seeds=1, space=tmp_path / "space.toml", out=tmp_path / "t", listener=Count()
    )
    good, bad = result.trials
    assert (good.state, bad.state) == ("complete", "pruned")
    assert bad.params == {"train.learning_rate": 1e-9}
    assert seen[:6] == [1, 2, 3, 4, 5, 6]
    assert 6 < len(seen) < 12
    assert bad.values == ()
    assert bad.value < good.value
    assert result.judged_on == "val"


def test_a_pruned_trial_is_estimated_beside_those_that_went_on(small, tmp_path, monkeypatch, worth, unreported):
    monkeypatch.setattr(storage, "PRUNE_AFTER", 1)
    (tmp_path / "space.toml").write_text("model.components.choices = [12, 4]")

    def curve(recipe, report):
        good = recipe.model.components == 12
        # The first fold is easy: what is reached there says nothing of the mean over all.
        for step, value in enumerate((0.9, 0.9, 0.7)):
            report(100 + step, value - (0 if good else 0.2))
        return 0.6

    worth(curve)
    good, bad = pl.tune(LINEAR, trials=2, seed=2, space=tmp_path / "space.toml", out=tmp_path / "t").trials
    assert (good.state, good.value, bad.state) == ("complete", 0.6, "pruned")
    assert bad.value == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (TrainingError, "The loss was no longer a number in epoch 2."),
        pytest.param(MemoryShortError, "There is not enough memory.", marks=pytest.mark.full),
    ],
)
def test_a_trial_that_cannot_be_trained_is_kept_as_such(small, tmp_path, worth, kind, problem):
    def breaks(recipe, report):
        if recipe.model.components > 60:
            raise kind(problem, "Lower the learning rate.")
        return 1 / recipe.model.components

    worth(breaks)
    result = pl.tune(LINEAR, trials=8, out=tmp_path / "t")
    broken = [t for t in result.trials if t.state == "diverged"]
    assert 0 < len(broken) < 8
    assert all(np.isnan(t.value) and t.note == problem for t in broken)
    assert all(t.params["model.components"] > 60 for t in broken)
    assert result.to_dict()["trials"][broken[0].number - 1]["value"] is None
    assert "diverged" in result.report.read_text()


def test_a_point_that_comes_again_is_not_trained_again(small, tmp_path, worth, unreported):
    (tmp_path / "space.toml").write_text("model.components.choices = [12]")
    begun = []
    worth(lambda recipe, report: begun.append(recipe) or 0.5)
    trials = pl.tune(LINEAR, trials=3, space=tmp_path / "space.toml", out=tmp_path / "t").trials
    assert [(t.state, t.value, t.values) for t in trials] == [("complete", 0.5, (0.5,))] * 3
    assert len(begun) == 1


def test_no_complete_trial_is_a_named_error_with_the_reason(small, tmp_path, worth):
    def breaks(recipe, report):
        raise TrainingError("The loss was no longer a number in epoch 1.")

    worth(breaks)
    with pytest.raises(TrainingError, match=r"None of 2 trials.*no longer a number"):
        pl.tune(LINEAR, trials=2, out=tmp_path / "t")


def test_an_error_that_is_not_the_trials_own_ends_the_tuning(small, tmp_path, worth):
    def full(recipe, report):
        raise StorageError("The disk is full.")

    worth(full)
    with pytest.raises(StorageError, match="full"):
        pl.tune(LINEAR, trials=2, out=tmp_path / "t")


def test_time_ends_a_tuning_after_the_trial_that_runs(small, tmp_path, worth, monkeypatch):
    clock = iter([0.0, 1.0, 2.0, *[100.0] * 20])
    worth(lambda recipe, report: 0.5)
    monkeypatch.setattr(search.time, "time", lambda: next(clock))
    limits = search.make_limits(None, 60)
    assert limits == search.TrialLimits(None, 60.0)
    assert [limits.allow(n) for n in range(3)] == [True, True, False]
    monkeypatch.undo()
    assert search.make_limits(None, None) == search.TrialLimits(15, None)


def test_folders_of_another_search_are_refused(fast, tmp_path, unreported):
    pl.tune(LINEAR, trials=1, out=tmp_path / "t")
    with pytest.raises(RunError, match="another recipe, space, sampler"):
        pl.tune(LINEAR, trials=1, seed=1, out=tmp_path / "t")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not a tuning"):
        pl.tune(LINEAR, trials=1, out=tmp_path / "full")
    (tmp_path / "t" / "tune.json").write_text("{")
    with pytest.raises(RunError, match=r"tune\.json is missing or damaged"):
        pl.tune(LINEAR, trials=1, out=tmp_path / "t")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_a_tuning_is_one_commands_at_a_time(small, tmp_path, worth, unreported):
    def again(recipe, report):
        with pytest.raises(RunError, match="Another process"):
            pl.tune(LINEAR, trials=1, out=tmp_path / "t")
        return 0.5

    worth(again)
    assert len(pl.tune(LINEAR, trials=1, out=tmp_path / "t").trials) == 1


def test_a_storage_that_is_lost_on_the_way_is_named():
    def lost(reason):
        with storage_kept("sqlite:////somewhere/tune.db"):
            raise OperationalError("INSERT", {}, sqlite3.OperationalError(reason))

    with pytest.raises(StorageError, match=r"The disk is full: the storage .*tune\.db.*Free some space"):
        lost("database or disk is full")
    with pytest.raises(StorageError, match=r"can no longer be used: .*malformed.*goes on after the last trial"):
        lost("database disk image is malformed")


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/x.db", "postgresql://me:secret@host/x", "nonsense", "oracle://x"]
)
def test_a_storage_that_cannot_be_opened_is_named_without_its_password(fast, tmp_path, url):
    with pytest.raises(StorageError, match="storage=") as raised:
        pl.tune(LINEAR, trials=1, storage=url, out=tmp_path / "t")
    assert "secret" not in str(raised.value)


SHARED = ["team.journal", pytest.param("sqlite:///team.db", marks=pytest.mark.full)]


@pytest.mark.parametrize("url", SHARED)
def test_folders_with_one_storage_share_their_trials(fast, own_folders, unreported, url):
    tmp_path = own_folders
    one = pl.tune(LINEAR, trials=3, storage=url, out=tmp_path / "one")
    two = pl.tune(LINEAR, trials=5, storage=url, out=tmp_path / "two")
    assert outcome(two)[:3] == outcome(one)
    assert not (tmp_path / "two" / "tune.journal").exists()


@pytest.mark.parametrize("url", SHARED)
def test_of_a_shared_storage_only_what_a_dead_process_of_this_machine_left_is_tried_again(
    fast, own_folders, unreported, url
):
    pl.tune(LINEAR, trials=1, storage=url, out=own_folders / "t")
    study = optuna.load_study(study_name=None, storage=Journal(Path(url)) if url.endswith(".journal") else url)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for process in (process_name(ended.pid), process_name(os.getpid()), "elsewhere-1:1", "no-process", None):
        left = study.ask()
        if process:
            left.set_user_attr("process", process)
    again = pl.tune(LINEAR, trials=6, storage=url, out=own_folders / "t")
    states = [t.state.name for t in study.get_trials()]
    assert states == ["COMPLETE", "FAIL", "RUNNING", "RUNNING", "RUNNING", "RUNNING", "COMPLETE"]
    assert len(again.trials) == 2


def test_trials_of_a_command_that_is_silent_for_ten_minutes_are_tried_again():
    study = optuna.create_study()
    now = int(time.time())
    said = {"gone": now - 700, "slow": now - 500, "ahead": now + 900, "strange": "now", process_name(os.getpid()): 0}
    for process in said:
        study.ask().set_user_attr("process", process)
    for process, when in said.items():
        study.set_user_attr(process, when)
    storage.fail_gone(study)
    assert [t.state.name for t in study.get_trials()] == ["FAIL", *["RUNNING"] * 4]


def test_a_command_says_in_its_storage_that_it_goes_on(monkeypatch):
    monkeypatch.setattr(storage, "_HEARTBEAT", 0.01)
    study = optuna.create_study()
    me = process_name(os.getpid())
    with storage.heartbeat(study):
        assert me in study.user_attrs
        study.set_user_attr(me, 0)
        while not study.user_attrs[me]:
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://me:secret@host/x", r"psycopg, .*pip install 'penlight\[postgres\]'"),
        ("mysql+pymysql://me:secret@host/x", "pymysql, .*pip install pymysql"),
    ],
)
def test_a_missing_driver_is_named_with_what_to_install(fast, tmp_path, monkeypatch, url, said):
    # None in the place of a module is what Python gives where there is no such module.
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(StorageError, match=said) as raised:
        pl.tune(LINEAR, trials=1, storage=url, out=tmp_path / "t")
    assert "secret" not in str(raised.value)


def test_unknown_samplers_and_unjudgeable_data_leave_nothing(small, tmp_path):
    with pytest.raises(UnknownNameError, match="tpe"):
        pl.tune(LINEAR, sampler="tpf", out=tmp_path / "t")
    if importlib.util.find_spec("torch") is None:
        with pytest.raises(MissingExtraError, match="needs PyTorch"):
            pl.tune(LINEAR, sampler="gp", out=tmp_path / "t")
    small.splits["val"].labels[:] = 0
    with pytest.raises(DataError, match="cannot give auc"):
        pl.tune(LINEAR, seeds=1, trials=1, out=tmp_path / "t")
    assert not (tmp_path / "t" / "tune.db").exists()


def test_small_val_means_folds_and_seeds_are_obeyed(ordinal_view):
    assert choose_repeats(ordinal_view, None) == Repeats("folds", 3)
    assert choose_repeats(ordinal_view, 2) == Repeats("seeds", 2)
    large = apply_view(small_dataset(Ordinal(LABELS, referable=2), n=(8, 500, 8)))
    assert choose_repeats(large, None) == Repeats("seeds", 1)


@pytest.mark.parametrize("repeats", [Repeats("folds", 3), Repeats("seeds", 2)])
def test_trials_are_judged_on_images_they_did_not_see_and_never_on_test(ordinal_view, repeats):
    parts = parts_of(ordinal_view, repeats, seed=0)
    for part in parts:
        assert set(part.view.splits) == {"train", "val"}
    own = ordinal_view.splits
    if repeats.kind == "seeds":
        assert [p.seed for p in parts] == [0, 1]
        assert all(p.view.splits["val"] is own["val"] for p in parts)
        return
    judged = np.concatenate([p.view.splits["val"].index for p in parts])
    assert sorted(judged) == sorted(own["train"].index)
    for part in parts:
        train, val = part.view.splits["train"], part.view.splits["val"]
        assert sorted([*train.index, *val.index]) == list(range(48))
        assert val.y_true.sum(axis=0).tolist() == [4, 4, 4, 4]
        np.testing.assert_array_equal(val.y_true, own["train"].y_true[val.index])


def test_folds_keep_patients_together_and_rare_labels_in_train():
    rng = np.random.default_rng(0)
    dataset = small_dataset(MultiLabel(LABELS), n=(90, 24, 24))
    labels = (rng.random((90, 4)) < 0.4).astype(int)
    labels[:, 3] = 0
    labels[[5, 40], 3] = 1  # two patients alone have the last finding
    patients = np.arange(90) // 2
    splits = {**dataset.splits, "train": Split(dataset.splits["train"].images, labels, patients)}
    view = apply_view(Dataset(dataset.info, 28, splits, md5="0" * 32))
    fold = folds(view, 3, seed=0)
    assert all(len(set(fold[patients == p])) == 1 for p in range(45))
    assert set(fold[labels[:, 3] == 1]) == {-1}
    counts = np.bincount(fold[fold >= 0])
    assert len(counts) == 3
    assert counts.max() - counts.min() <= 2
    for part in parts_of(view, Repeats("folds", 3), seed=0):
        train, val = part.view.splits["train"], part.view.splits["val"]
        assert not set(train.patients) & set(val.patients)
        assert (train.y_true.sum(axis=0) > 0).all()


def test_points_come_back_from_a_storage():
    values = {"a": 1e-4, "b": 9, "c": [1, 2]}
    assert from_stored(SPACE, stored(SPACE, values)) == values


def hill(values):
    """A smooth hill with its top, 0, at a = 0.03, b = 3 and the second choice."""
    return -((np.log10(values["a"] / 0.03)) ** 2) - 0.05 * (values["b"] - 3) ** 2 - (values["c"] == "x")


def climb(trials, seed=0):
    """Tell a study the hill's height at each point that it proposes."""
    places = {p.key: distribution(p) for p in SPACE.parameters}
    with quiet():
        study = optuna.create_study(direction="maximize")
        for told in range(trials):
            study.sampler = make_sampler("tpe", seed, told)
            trial = study.ask(places)
            study.tell(trial, hill(from_stored(SPACE, trial.params)))
    return study.get_trials()


def test_proposals_lie_in_the_space_and_depend_on_the_seed_and_the_trials_alone():
    trials = climb(9)
    for trial in trials:
        values = from_stored(SPACE, trial.params)
        assert all(p.holds(values[p.key]) for p in SPACE.parameters)
        assert isinstance(values["b"], int)
    assert [t.params for t in climb(9)] == [t.params for t in trials]
    assert [t.params for t in climb(9, seed=1)] != [t.params for t in trials]


def test_a_search_climbs():
    best = [t.value for t in climb(40)]
    assert max(best[: samplers.FIRST_POINTS]) < max(best)
    assert max(best) > -0.1


TRIALS = [
    Trial(1, "complete", 0.7, (0.6, 0.8), {"a": 1e-3, "b": 2, "c": "x"}, 1.0),
    Trial(2, "pruned", 0.65, (), {"a": 1e-2, "b": 9, "c": "x"}, 1.0),
    Trial(3, "complete", 0.8, (0.75, 0.85), {"a": 1.0, "b": 3, "c": [1, 2]}, 1.0),
    Trial(4, "diverged", float("nan"), (), {"a": 1e-4, "b": 1, "c": "x"}, 1.0, "no number"),
]


def test_displays_hold_the_numbers_they_draw():
    history = TuningHistory(TRIALS, "auc", 0.7)
    assert history.frame()["best"].tolist() == [0.7, 0.7, 0.8, 0.8]
    assert "number 3 of 4" in history.caption
    assert "1 stopped early" in history.caption
    scatter = SpaceScatter.from_trials(TRIALS, SPACE, "auc")
    assert scatter.frame()["trial"].tolist() == [1, 2, 3]
    assert "At an end of the space: a;" in scatter.caption
    parallel = ParallelTrials.from_trials(TRIALS, SPACE, "auc").frame()
    np.testing.assert_allclose(parallel.to_numpy(float), [[1, 0.25, 0.125, 0, 0], [3, 1, 0.25, 1, 1]])
    importance = KeyImportance.from_shares({"a": 0.2, "b": 0.8})
    assert importance.frame()["key"].tolist() == ["b", "a"]
    assert importance.caption.startswith("b explains 80 %")


def test_an_axis_by_ratio_names_its_ticks_as_numbers():
    """Labels are never read as formulas, so that Matplotlib's own labels of powers of ten would stand as they are."""
    drawn = draw_svg(SpaceScatter.from_trials(TRIALS, SPACE, "auc"), "space")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert {"1e-4", "0.01", "1"} <= set(texts)
    assert not any("$" in text for text in texts)


def test_setup_and_best_recipe_are_plain_text(fast, tmp_path):
    result = pl.tune(LINEAR, trials=1, out=tmp_path / "t")
    about = json.loads((tmp_path / "t" / "tune.json").read_text())
    assert about["finished"] is True
    assert tomllib.loads(about["recipe"])["model"]["components"] == 12
    text = result.recipe.read_text()
    assert text.startswith("# Found by penlight tune: trial 1 of 1, AUC ")
    assert "secret" not in json.dumps(about)
