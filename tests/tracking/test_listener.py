"""What a tracker gets while runs are trained, and that one which fails changes nothing but a warning."""

import inspect
import threading

import numpy as np
import pytest

import penlight as pl
from penlight.errors import TrackingError, TrainingError
from penlight.experiments.progress import ProgressListener
from penlight.tracking import tracker
from penlight.tracking.tracker import TrackingListener, open_tracker, reason_of, tracking
from tests.tracking.conftest import InMemory, trained

pytestmark = pytest.mark.usefixtures("stubbed")


class Heard(ProgressListener):
    """What a person is told."""

    def __init__(self):
        self.warnings, self.epochs = [], []

    def on_warning(self, what):
        self.warnings.append(what)

    def on_epoch(self, row, planned):
        self.epochs.append(row)


def test_a_run_is_sent_with_its_epochs_parameters_and_scores(memory):
    heard = Heard()
    run = pl.train("retina-phantom", "cnn", filters=(4,), dense=8, epochs=2, track="memory:", listener=heard)
    (sent,), (scores,) = memory.runs.values(), memory.scores.values()
    assert (sent.name, sent.dataset, sent.parent) == (run.path.name, "retina-phantom", None)
    assert sent.parameters["train.epochs"] == "2"
    assert sent.parameters["model.backbone"] == "cnn"
    assert sent.parameters["seed"] == "0"
    assert [row.epoch for row in heard.epochs] == [1, 2]
    for row in heard.epochs:
        logged = memory.epochs[run.path.name][row.epoch]
        assert (logged["val/loss"], logged["val/auc"]) == (row.val_loss, row.val_headline)
    auc = next(row for row in run.metrics.metrics if row.name == "auc" and row.label is None)
    linear = next(row for row in run.metrics.baselines["linear"] if row.name == "auc" and row.label is None)
    told = scores.metrics
    assert (told["test/auc"], told["test/auc_low"], told["test/auc_high"]) == (auc.value, auc.low, auc.high)
    assert told["linear/auc"] == linear.value
    assert 0 <= told["val/auc"] <= 1
    assert scores.step == 3
    assert {"report.html", "card.md", "recipe.toml", "metrics.json", "model.onnx"} == {*scores.files}
    assert scores.read("report.html") == run.path.joinpath("report.html").read_bytes()
    assert memory.closed == 1
    assert not heard.warnings


@pytest.mark.parametrize(
    ("how", "names"), [({"seeds": 2}, ["seed-0", "seed-1"]), ({"folds": 2}, ["fold-1", "fold-2", "final"])]
)
def test_seeds_and_folds_are_nested_in_a_run_with_their_scores(memory, how, names):
    runs = pl.train("retina-phantom", "linear", track="memory:", **how)
    parent, *nested = memory.runs.values()
    assert (parent.name, parent.several) == (runs.path.name, True)
    assert [run.name for run in nested] == names
    assert {run.parent for run in nested} == {parent.key}
    auc = next(row for row in runs.scores.metrics if row.name == "auc" and row.label is None)
    split = runs.scores.split
    assert memory.scores[parent.key].metrics[f"{split}/auc"] == auc.value
    assert memory.scores[parent.key].metrics[f"{split}/auc_sd"] == auc.sd


def test_trials_of_a_tuning_are_nested_in_it_with_what_they_are_worth(memory):
    tuned = pl.tune("retina-phantom", "linear", trials=3, track="memory:", out="tuned")
    parent, *nested = memory.runs.values()
    assert (parent.name, parent.several) == ("tuned", True)
    assert [run.name for run in nested] == ["trial-1", "trial-2", "trial-3"]
    assert {run.parent for run in nested} == {parent.key}
    for run, trial in zip(nested, tuned.trials, strict=True):
        sent = memory.scores[run.key].metrics
        assert sent["trial/auc"] == trial.value
        assert [sent[f"trial/auc_{number}"] for number in range(1, len(trial.values) + 1)] == list(trial.values)
        assert {run.parameters[key] for key in trial.params} == {str(value) for value in trial.params.values()}
    best = tuned.trials[tuned.best - 1]
    assert memory.scores[parent.key].metrics["trial/auc"] == best.value
    assert {*memory.scores[parent.key].files} == {"report.html", "best.toml", "tune.json"}
    pl.tune("retina-phantom", "linear", trials=4, track="memory:", out="tuned")
    assert memory.names[4:] == ["trial-4"]


def test_a_tracker_that_fails_leaves_a_tuning_as_it_was(monkeypatch):
    monkeypatch.setitem(tracker.TRACKERS, "failing", lambda rest: InMemory(OSError("gone"), after=2))
    heard = Heard()
    tuned = pl.tune("retina-phantom", "linear", trials=3, track="failing:", out="left", listener=heard)
    assert len(tuned.trials) == 3
    assert heard.warnings == ["Tracking stopped: gone. The tuning itself is not affected."]


def test_runs_of_a_study_are_nested_in_it(memory, tmp_path):
    rows = "".join(
        f'[[rows]]\nid = "{name}"\ntitle = "{name}"\nrecipe = "{name}"\n' for name in ("linear", "majority")
    )
    file = tmp_path / "two.toml"
    file.write_text(f'name = "two"\ntitle = "Two"\nquestion = "?"\ndataset = "retina-phantom"\nseeds = 1\n{rows}')
    pl.study(str(file), out=tmp_path / "two", track="memory:")
    assert memory.names == ["two", "linear/seed-0", "majority/seed-0"]
    assert memory.scores[next(iter(memory.runs))].metrics == {}
    # Runs that are there, and were sent, are not sent again.
    before = dict(memory.scores)
    pl.study(str(file), out=tmp_path / "two", track="memory:")
    assert all(memory.scores[key] is before[key] for key in [*before][:-1])


def test_predictions_of_other_software_are_sent_too(memory, tmp_path):
    test = pl.train("retina-phantom", "linear").model_predictions("test")
    file = tmp_path / "mine_test.csv"
    np.savetxt(file, np.column_stack([test.index, test.prob]), delimiter=",", fmt=["%d"] + ["%.9g"] * 5)
    run = pl.score(file, "retina-phantom", out=tmp_path / "mine")
    assert list(pl.track(run, "memory:").sent) == ["mine"]
    (scores,) = memory.scores.values()
    assert {"test/auc", "linear/auc"} <= {*scores.metrics}
    assert "val/auc" not in scores.metrics


def test_a_tracker_that_fails_is_one_warning_and_the_run_is_the_same(memory):
    memory.fails = ConnectionRefusedError(111, "Connection refused")
    heard = Heard()
    run = pl.train("retina-phantom", "cnn", filters=(4,), dense=8, epochs=3, track="memory:", listener=heard)
    (said,) = heard.warnings
    assert said == (
        "Tracking stopped: Connection refused. The run itself is not affected; send it when it is done: "
        "penlight track RUN --to memory:"
    )
    assert len(heard.epochs) == 3
    assert run.scores


def test_a_tracker_that_dies_in_the_middle_gets_the_rest_later(memory):
    memory.fails, memory.after = BrokenPipeError(32, "Broken pipe"), 3
    heard = Heard()
    run = pl.train("retina-phantom", "cnn", filters=(4,), dense=8, epochs=3, track="memory:", listener=heard)
    assert len(heard.warnings) == 1
    memory.fails = None
    assert list(pl.track(run, "memory:").sent) == [run.path.name]
    assert [*memory.epochs[run.path.name]] == [1, 2, 3]
    again = pl.track(run, "memory:")
    assert (list(again.sent), again.known) == ([], 1)


def test_training_does_not_wait_for_a_slow_tracker(memory, monkeypatch):
    """Epochs that come meanwhile go together, and what hangs is left."""
    hangs, begun = threading.Event(), threading.Event()
    monkeypatch.setattr(tracker, "_SILENCE", 0.2)
    log = memory.log

    def slow(key, epochs):
        begun.set()
        hangs.wait(20)
        log(key, epochs)

    monkeypatch.setattr(memory, "log", slow)
    heard = Heard()
    run = pl.train("retina-phantom", "cnn", filters=(4,), dense=8, epochs=3, track="memory:", listener=heard)
    assert begun.is_set()
    assert run.scores
    assert "did not answer in time" in heard.warnings[0]
    hangs.set()


def test_epochs_that_come_while_the_tracker_is_busy_go_together(memory, monkeypatch):
    calls, log, all_there = [], memory.log, threading.Event()

    class Last(Heard):
        def on_step(self, what):
            if what.startswith("Choosing"):
                all_there.set()

    def busy(key, epochs):
        calls.append([epoch.number for epoch in epochs])
        all_there.wait(60)
        log(key, epochs)

    monkeypatch.setattr(memory, "log", busy)
    run = pl.train("retina-phantom", "cnn", filters=(4,), dense=8, epochs=6, track="memory:", listener=Last())
    assert sorted(memory.epochs[run.path.name]) == [1, 2, 3, 4, 5, 6]
    # The first, those that came meanwhile, and all of them again when the run is done.
    assert len(calls) == 3
    assert [*calls[0], *calls[1]] == calls[2] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("error", "failed"), [(TrainingError("The loss is NaN."), True), (KeyboardInterrupt(), False)]
)
def test_a_run_that_ends_in_an_error_is_told_to_the_tracker(memory, error, failed):
    with pytest.raises(type(error)), tracking(Heard(), "memory:"):
        raise error
    assert memory.stopped == [failed]
    assert memory.closed == 1


def test_all_that_a_listener_hears_is_passed_on():
    public = [name for name, _ in inspect.getmembers(ProgressListener, inspect.isfunction) if name.startswith("on_")]
    assert len(public) >= 8
    assert {*public} <= vars(TrackingListener).keys()


def test_nothing_is_tracked_unless_asked():
    listener = Heard()
    with tracking(listener, None) as same:
        assert same is listener


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mlflow:file:./mlruns", "plain folders.*mlflow:sqlite:///runs.db"),
        ("mlflow:./mlruns", "plain folders"),
        ("mlflow", "MLFLOW_TRACKING_URI is not set"),
        ("mlflow:http://", "no address of MLflow"),
        ("mlflow:http://host:99999", "no address of MLflow"),
        ("mlflow:sqlite://", "no address of MLflow"),
        ("mlflow:postgresql://user:secret@host/runs", r"postgresql://host/runs is no address"),
        ("tensorboard", "needs a folder"),
        ("tensorboard:", "needs a folder"),
        ("http://user:secret@host", "no tracker 'http://host'.*mlflow:"),
        ("wandb:x", "no tracker 'wandb:x'"),
        ("", "no tracker ''"),
    ],
)
def test_an_address_of_no_tracker_is_said_before_anything_is_trained(address, said, monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(TrackingError, match=said) as raised:
        pl.train("retina-phantom", "linear", out=tmp_path / "run", track=address)
    assert "secret" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_the_address_may_be_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:./mlruns")
    with pytest.raises(TrackingError, match=r"file:\./mlruns is one"):
        open_tracker("mlflow")


def test_a_password_in_an_address_is_not_shown():
    error = ValueError("POST http://me:secret@host:5000/api failed\nmore")
    assert reason_of(error, "mlflow:http://me:secret@host:5000") == "POST http://host:5000/api failed"


def test_sending_says_what_went_wrong_and_what_to_do(monkeypatch):
    broken = InMemory(ConnectionRefusedError(111, "Connection refused"))
    monkeypatch.setitem(tracker.TRACKERS, "broken", lambda rest: broken)
    with pytest.raises(TrackingError, match=r"did not take all of .*: Connection refused\. The same command sends"):
        pl.track(trained("run"), "broken:")
    assert broken.closed == 1
