"""Trials on a journal: a file that several processes write, that may be cut off, damaged, or a stranger's."""

import errno
import json
import os
from concurrent.futures import Future

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import penlight as pl
from penlight.data import store
from penlight.errors import StorageError, TrainingError
from penlight.experiments.executors.places import Place
from penlight.experiments.executors.work import WorkFailedError
from penlight.experiments.opened import OpenedData
from penlight.experiments.tuning import journal, search
from penlight.experiments.tuning.journal import Journal
from penlight.experiments.tuning.storage import quiet
from penlight.recipes import Data, Linear, Recipe
from penlight.tasks import Ordinal
from tests.conftest import LABELS, small_dataset

LINEAR = Recipe(data=Data(dataset="small"), model=Linear(components=12))


@pytest.fixture
def trained(monkeypatch, unreported):
    """Judge trials by a smooth function of their values; what was asked for."""
    dataset = small_dataset(Ordinal(LABELS, referable=2))
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    asked = []

    def values_of(recipe, parts, report, seen):
        asked.append(recipe)
        for step in (1, 2):
            report(step, 0.5 + step / 100)
        return [0.9 - 0.01 * abs(recipe.model.components - 60) - 0.1 * abs(np.log10(recipe.model.strength))]

    monkeypatch.setattr(search, "values_of", values_of)
    return asked


def outcome(result):
    return [(t.number, t.state, t.value, t.values, dict(t.params)) for t in result.trials]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("end", [b'{"op_code":6,"worker_id":"x', b"{", b"\0\0\0"])
def test_an_end_that_was_cut_off_costs_nothing(trained, tmp_path, end):
    whole = pl.tune(LINEAR, trials=4, out=tmp_path / "whole")
    pl.tune(LINEAR, trials=2, out=tmp_path / "cut")
    path = tmp_path / "cut" / "tune.journal"
    path.write_bytes(path.read_bytes() + end)
    (tmp_path / "cut" / "tune.journal.lock0-1.rename").touch()
    assert outcome(pl.tune(LINEAR, trials=4, out=tmp_path / "cut")) == outcome(whole)
    assert lines(path)
    assert not list((tmp_path / "cut").glob("*.rename"))


def test_each_line_is_read_once(trained, tmp_path, monkeypatch):
    read = []
    parse = journal.parse_json_object

    def noted(line, what, remedy, error):
        read.append(line)
        return parse(line, what, remedy, error=error)

    monkeypatch.setattr(journal, "parse_json_object", noted)
    pl.tune(LINEAR, trials=5, out=tmp_path / "t")
    assert b"".join(read) == (tmp_path / "t" / "tune.journal").read_bytes()


def test_optuna_reads_what_is_written(trained, tmp_path):
    result = pl.tune(LINEAR, trials=3, storage=tmp_path / "team.journal", out=tmp_path / "t")
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "team.journal"))
    study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))
    assert [t.value for t in study.trials] == [t.value for t in result.trials]


def test_a_database_that_was_begun_before_goes_on(trained, tmp_path):
    """Versions before had SQLite in the folder."""
    folder = tmp_path / "t"
    two = pl.tune(LINEAR, trials=2, storage=f"sqlite:///{folder}/tune.db", out=folder)
    three = pl.tune(LINEAR, trials=3, out=folder)
    assert outcome(three)[:2] == outcome(two)
    assert not (folder / "tune.journal").exists()
    (folder / "tune.db").write_bytes(b"half a database" * 100)
    with pytest.raises(StorageError, match=r"tune\.db"):
        pl.tune(LINEAR, trials=4, out=folder)


def changed(line, **values):
    return json.dumps({**json.loads(line), **values}).encode()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda line: line[:20], r"Line 3 of .*\.journal is not valid JSON: .* Remove that line"),
        (lambda line: line + line, "Line 3 of .* is not valid JSON: Extra data"),
        (lambda line: b"", "Line 3 of .* is not valid JSON"),
        (lambda line: b"[]", "Line 3 of .* must hold a JSON object"),
        (lambda line: b"[" * 5000, "Line 3 of .* more than 40 levels"),
        (lambda line: b"{}", "Line 3 of .* is not what Penlight writes: 'op_code' is missing"),
        (lambda line: changed(line, study_id="0"), "Line 3 of .* 'study_id'"),
        (lambda line: changed(line, user_attr={"note": "\x1b[2J"}), "Line 3 of .* 'user_attr.note"),
        (lambda line: changed(line, op_code=77), "has a line that Optuna cannot use"),
        (lambda line: b'{"op_code":5,"worker_id":"x"}', "has a line that Optuna cannot use: KeyError"),
        (lambda line: b'{"a":"' + b"x" * (1 << 20) + b'"}', "A line of .* more than 1,048,576 bytes"),
    ],
)
def test_a_damaged_line_is_named(trained, tmp_path, damage, said):
    path = tmp_path / "team.journal"
    pl.tune(LINEAR, trials=1, storage=path, out=tmp_path / "t")
    before = path.read_bytes().splitlines()
    before[2] = damage(before[2])
    path.write_bytes(b"\n".join(before) + b"\n")
    with pytest.raises(StorageError, match=said):
        pl.tune(LINEAR, trials=2, storage=path, out=tmp_path / "t")


def test_what_is_no_journal_stays_as_it_is(trained, tmp_path):
    path = tmp_path / "thesis.journal"
    path.write_text("My thesis")
    with pytest.raises(StorageError, match=r"not a journal of Optuna: it begins with b'My thesis'. .*storage="):
        pl.tune(LINEAR, trials=1, storage=path, out=tmp_path / "t")
    assert path.read_text() == "My thesis"
    os.mkfifo(tmp_path / "pipe.journal")
    with pytest.raises(StorageError, match="not a regular file"):
        pl.tune(LINEAR, trials=1, storage=tmp_path / "pipe.journal", out=tmp_path / "t")
    path.write_text("")
    os.truncate(path, journal.LARGEST + 1)
    with pytest.raises(StorageError, match="268,435,457 bytes, more than 268,435,456"):
        pl.tune(LINEAR, trials=1, storage=path, out=tmp_path / "t")
    with pytest.raises(StorageError, match=r"absent.*cannot be written: No such file"):
        pl.tune(LINEAR, trials=1, storage=tmp_path / "absent" / "x.journal", out=tmp_path / "t")


def test_a_full_disk_is_named_and_the_same_command_goes_on(trained, tmp_path, monkeypatch):
    whole = pl.tune(LINEAR, trials=3, out=tmp_path / "whole")
    sync, synced = os.fsync, []

    def full(handle):
        synced.append(1)
        if len(synced) > 15:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "fsync", full)
        with pytest.raises(StorageError, match=r"The disk is full: .*tune\.journal cannot take more.*goes on"):
            pl.tune(LINEAR, trials=3, out=tmp_path / "t")
    assert outcome(pl.tune(LINEAR, trials=3, out=tmp_path / "t")) == outcome(whole)


def test_the_lock_of_a_killed_process_is_broken(tmp_path, monkeypatch):
    """30 s after it was first seen, by this machine's clock."""
    from optuna.storages.journal import _file

    path = tmp_path / "x.journal"
    storage = Journal(path)
    (tmp_path / "x.journal.lock").touch()
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(_file.time, "monotonic", lambda: next(clock))
    with quiet():
        optuna.create_study(storage=storage)
    assert len(lines(path)) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x.journal"]


def test_a_trial_is_done_once_and_one_that_was_cut_off_is_done_again(trained, tmp_path):
    pl.tune(LINEAR, trials=1, out=tmp_path / "t")
    tuning, data = search.Tuning(tmp_path / "t", None), OpenedData(pl.ProgressListener())
    with quiet():
        spec = next(search.next_trials(tuning, data, search.TrialLimits(3, None)))
        study = tuning.opened(data).study
        before = study.get_trials()[spec.trial]
        optuna.trial.Trial(study, spec.trial).report(0.51, 1)
        for _ in range(2):
            # As another process does it, which read it from JSON.
            search.TrialSpec.of_job(json.loads(json.dumps(spec.to_job()))).do(data, pl.ProgressListener())
        after = study.get_trials()[spec.trial]
        assert (before.state, after.state) == (TrialState.RUNNING, TrialState.COMPLETE)
        assert after.intermediate_values == {1: 0.51, 2: 0.52}
        assert len(trained) == 2
        lost = next(search.next_trials(tuning, data, search.TrialLimits(3, None)))
        study.tell(lost.trial, state=TrialState.FAIL)
        lost.do(data, pl.ProgressListener())
        again = next(search.next_trials(tuning, data, search.TrialLimits(3, None)))
    assert len(trained) == 2
    trials = study.get_trials()
    assert trials[again.trial].params == trials[lost.trial].params
    assert trials[again.trial].user_attrs["proposal"] == trials[lost.trial].user_attrs["proposal"] == 2


class Elsewhere:
    """A place that does two trials at once, as other processes do; some fail, and at some the command ends."""

    slots, outlives = 2, True

    def __init__(self, fails=lambda values: False, holds=()):
        self.fails, self.holds, self.names = fails, holds, []

    def submit(self, work):
        self.names.append(work.name)
        if work.name in self.holds:
            raise KilledError
        future, data = Future(), OpenedData(pl.ProgressListener())
        spec = search.TrialSpec.of_job(json.loads(json.dumps(work.to_job())))
        trial = spec.tuning.opened(data).study.get_trials()[spec.trial]
        if self.fails(trial.params):
            future.set_exception(WorkFailedError(work.name, "out of memory"))
        else:
            future.set_result(spec.do(data, pl.ProgressListener()))
        return future

    def flush(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


class KilledError(BaseException):
    """Ends a command as a signal does."""


@pytest.fixture
def elsewhere(monkeypatch):
    def use(**how):
        place = Elsewhere(**how)
        monkeypatch.setattr(Place, "executor", lambda *words, **more: place)
        return place

    return use


def test_a_trial_that_ends_its_process_twice_is_counted_and_the_others_are_done(trained, elsewhere, tmp_path):
    elsewhere(fails=lambda values: values["model.components"] > 60)
    result = pl.tune(LINEAR, trials=8, out=tmp_path / "t")
    bad = [t for t in result.trials if t.params["model.components"] > 60]
    assert 0 < len(bad) < 8 == len(result.trials)
    assert {(t.state, t.note) for t in bad} == {("diverged", "out of memory")}
    assert {t.state for t in result.trials if t not in bad} == {"complete"}


def test_five_failures_one_after_the_other_end_a_tuning(trained, elsewhere, tmp_path):
    place = elsewhere(fails=lambda values: True)
    with pytest.raises(TrainingError, match=r"5 trials failed one after the other\. .*trial-\d: out of memory"):
        pl.tune(LINEAR, trials=200, out=tmp_path / "t")
    assert len(place.names) <= 7


def test_a_job_that_outlives_its_command_is_taken_up_by_its_name(trained, elsewhere, tmp_path):
    here = pl.tune(LINEAR, trials=4, out=tmp_path / "here")
    elsewhere(holds=["trial-2"])
    with pytest.raises(KilledError):
        pl.tune(LINEAR, trials=4, out=tmp_path / "t")
    place = elsewhere()
    result = pl.tune(LINEAR, trials=4, out=tmp_path / "t")
    assert place.names == ["trial-2", "trial-3"]
    assert outcome(result)[:3] == outcome(here)[:3]
    assert len(result.trials) == 4
    assert all(t.seconds < 60 for t in result.trials)
