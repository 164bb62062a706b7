"""Work is done here or in other processes, with the same result; the first error ends all of it."""

import json
import os
import subprocess
from concurrent.futures import Future
from dataclasses import replace

import pytest

import penlight as pl
from penlight.api import planning
from penlight.api.requests import resolve_recipe
from penlight.errors import ArgumentError, TrainingError
from penlight.experiments.executors.here import Here
from penlight.experiments.executors.places import Place
from penlight.experiments.executors.processes import Processes
from penlight.experiments.executors.work import WorkFailedError, announced, do_all
from penlight.experiments.opened import OpenedData
from penlight.experiments.run import RunSpec
from penlight.experiments.seeds import seed_specs
from penlight.experiments.tuning.search import TrialSpec, Tuning
from penlight.recipes import Recipe
from tests.data.tiny_dataset import write_tiny
from tests.remembered import draw_once

QUIET = pl.ProgressListener()


def do_in(place, work):
    with place:
        return do_all(iter(work), place)


class Slots:
    """Holds what is submitted until as much of it runs as may."""

    slots, outlives = 2, False

    def __init__(self, fails=None):
        self.fails, self.waiting, self.most = fails, [], 0

    def submit(self, work):
        future = Future()
        self.waiting.append((work, future))
        self.most = max(self.most, sum(not future.done() for _, future in self.waiting))
        if len(self.waiting) >= 2:
            done, its = self.waiting.pop()
            its.set_exception(TrainingError("No.")) if done == self.fails else its.set_result(done)
        return future

    def flush(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for work, future in self.waiting:
            future.done() or future.set_result(work)


def test_results_are_in_order_and_the_list_grows_as_it_runs():
    asked, told = [], []

    def work(slots):
        for number in range(5):
            asked.append(len(told))
            yield number
        for part, future in slots.waiting:
            future.set_result(part)

    with Slots() as slots:
        assert do_all(work(slots), slots, lambda: told.append(1)) == [0, 1, 2, 3, 4]
    assert asked == [0, 0, 1, 2, 3]
    assert (slots.most, len(told)) == (2, 5)


def test_the_first_error_ends_all():
    with pytest.raises(TrainingError, match="No"):
        do_all(iter([0, 1, 2, 3]), Slots(fails=2))


def test_parts_elsewhere_are_all_told_of_before_one_is_done(tmp_path):
    told = Told()
    parts = announced(iter(seed_specs(RunSpec(Recipe(), 0, tmp_path), 3)), told)
    assert told.jobs == []
    assert next(parts).name == "seed-0"
    assert told.jobs == [(f"seed-{seed}", "waiting") for seed in range(3)]


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.full)])
def test_a_run_is_the_same_in_another_process(own_folders, as_in_other_processes, processes):
    write_tiny(own_folders / "work")
    recipe = resolve_recipe("tiny.toml", "linear", ["model.components=3"])
    here, there = (own_folders / "work" / name for name in ("here", "there"))
    done = [
        do_in(place, seed_specs(RunSpec(recipe, 0, folder), processes))
        for folder, place in (
            (here, Here(OpenedData(QUIET), QUIET)),
            (there, Processes(processes, QUIET)),
        )
    ]
    for one, other in zip(*done, strict=True):
        assert one.run.seed == other.run.seed
        for name in ("predictions-test.npz", "baseline-majority-test.npz", "decision.json", "metrics.json"):
            assert one.run.read(name) == other.run.read(name)
    assert all(trained.scores for trained in done[0])


def test_a_process_that_fails_is_named_and_the_others_end(own_folders, monkeypatch):
    write_tiny(own_folders / "work")
    recipe = resolve_recipe("tiny.toml", "linear", ["model.components=3"])
    (own_folders / "work" / "tiny.toml").unlink()
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *words, **how: started.append(popen(*words, **how)) or started[-1]
    )
    with pytest.raises(TrainingError, match=r"2 of 2 parts failed: seed-0, seed-1 \(.*tiny\.toml.*\)"):
        do_in(Processes(2, QUIET), seed_specs(RunSpec(recipe, 0, own_folders / "t"), 2))
    assert started
    assert all(process.poll() is not None for process in started)


class Fails:
    """A place where some parts fail, for one of two reasons."""

    slots, outlives = 2, False

    def submit(self, work):
        future = Future()
        number = int(work.name.rpartition("-")[2])
        if number % 3:
            why = "The loss is not a number." if number % 3 == 1 else "Killed for memory"
            future.set_exception(WorkFailedError(work.name, why, "Give it more memory.", work.repeated))
        else:
            future.set_result(work)
        return future

    def flush(self):
        pass


@pytest.mark.parametrize("seeds", [2, 9])
def test_parts_that_fail_are_named_with_their_reasons_and_the_command_that_repeats_one_here(tmp_path, seeds):
    folder = tmp_path / "my runs"
    specs = seed_specs(RunSpec(Recipe(), 0, folder), seeds)
    specs[1].folder.mkdir(parents=True)
    (specs[1].folder / "recipe.toml").write_text(specs[1].recipe.to_toml())
    with pytest.raises(TrainingError) as raised:
        do_all(iter(specs), Fails())
    again = f"penlight train '{folder}/seed-1/recipe.toml' --seed 1 --out '{folder}/seed-1'"
    said = {
        2: "1 of 2 parts failed: seed-1 (The loss is not a number).",
        9: "6 of 9 parts failed: seed-1, seed-4, seed-7 (The loss is not a number); "
        "seed-2, seed-5 (Killed for memory); and 1 more.",
    }
    assert raised.value.text == f"{said[seeds]} Give it more memory. Repeat seed-1 here: {again}"
    assert str(raised.value).endswith(f'pl.train("{folder}/seed-1/recipe.toml", seed=1, out="{folder}/seed-1")')


def test_a_fold_and_a_run_that_was_not_begun_are_repeated_by_the_whole_command(tmp_path):
    _, seed = seed_specs(RunSpec(Recipe(), 0, tmp_path / "seeds"), 2)
    fold = RunSpec(Recipe(), 0, tmp_path / "fold-1", "folds", (0, 5), group=tmp_path)
    fold.folder.mkdir()
    (fold.folder / "recipe.toml").touch()
    for spec in (seed, fold):
        with pytest.raises(TrainingError) as raised:
            do_all(iter([spec]), Fails())
        assert raised.value.text == (
            f"{spec.name} failed: The loss is not a number. Give it more memory. "
            f"Repeat {spec.name} here by the same command without --on."
        )
    trial = TrialSpec(Tuning(tmp_path, None), 1, "train.lr=0.01, model.dropout=0.2")
    with pytest.raises(TrainingError, match=r"without on=; its values: train\.lr=0\.01, model\.dropout=0\.2\."):
        do_all(iter([trial]), Fails())


def test_a_job_says_all_that_a_run_is_asked_for(own_folders, monkeypatch):
    monkeypatch.setattr(planning, "training_rate", lambda recipe, view: 2.0**36)
    monkeypatch.setattr("penlight.experiments.ladder.climb", lambda base, view, listener: base)
    draw_once(monkeypatch, {"train": 60, "val": 30, "test": 30})
    recipe = resolve_recipe("retina-phantom", "linear")
    for spec in (
        RunSpec(recipe, 3, own_folders / "a"),
        RunSpec(recipe, 1, own_folders / "b", "folds", (2, 5), pl.plan("retina-phantom"), images=False),
    ):
        job = json.loads(json.dumps(spec.to_job()))
        read = RunSpec.of_job(job)
        assert json.loads(json.dumps(read.to_job())) == job
        assert replace(read, plan=None) == replace(spec, plan=None)


class Ends:
    """A part that ends its process the first `times`, then makes a file."""

    name, repeated = "ends", ""

    def __init__(self, folder, times):
        self.folder, self.times = folder, times

    def done(self):
        return (self.folder / "done").exists()

    def to_job(self):
        return {"task": "ends", "folder": str(self.folder), "times": self.times}

    def read(self, listener):
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def ends(tmp_path, monkeypatch):
    """Lets worker processes know the task of `Ends`."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib\n"
        "from penlight.experiments.executors import worker\n"
        "def do(job, data):\n"
        "    folder = pathlib.Path(job['folder'])\n"
        "    done = len(list(folder.iterdir()))\n"
        "    (folder / f'try-{done}').touch()\n"
        "    if done < job['times']:\n"
        "        os.kill(os.getpid(), 9)\n"
        "worker.TASKS['ends'] = do\n"
    )
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{before}")
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


class Told(pl.ProgressListener):
    def __init__(self):
        self.jobs = []

    def on_job(self, name, state, about):
        self.jobs.append((name, state))


def test_a_killed_process_is_replaced_and_its_part_done_again(ends):
    told = Told()
    assert do_in(Processes(1, told), [Ends(ends, 2)]) == [["try-0", "try-1", "try-2"]]
    assert [state for _, state in told.jobs] == ["waiting", "running", "running", "running", "done"]


def test_a_part_that_ends_every_process_is_given_up_and_the_others_are_done(ends, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    why = r"1 of 2 parts failed: ends \(its process ended 4 times, the last time: it was ended by SIGKILL"
    with pytest.raises(TrainingError, match=why):
        do_in(Processes(1, QUIET), [Ends(ends, 99), Ends(other, 0)])
    assert len(list(ends.iterdir())) == 4
    assert [path.name for path in other.iterdir()] == ["try-0"]


def test_what_is_done_needs_no_process_and_says_nothing_of_the_time_that_others_take(ends):
    (ends / "done").touch()
    told = Told()
    assert do_in(Processes(1, told), [Ends(ends, 99)]) == [["done"]]
    assert told.jobs == [("ends", "done")]


def test_more_processes_than_memory_is_for_are_warned_of_and_none_is_started_for_nothing(monkeypatch):
    class Warned(pl.ProgressListener):
        warned = ()

        def on_warning(self, what):
            self.warned = (*self.warned, what)

    monkeypatch.setattr("penlight.experiments.executors.processes.machine", lambda: {"cores": 2, "memory_gib": 4})
    monkeypatch.setattr(subprocess, "Popen", None)
    warned = Warned()
    assert do_in(Processes(4, warned), []) == []
    assert not warned.warned
    assert do_in(Processes(256, warned), []) == []
    (said,) = warned.warned
    assert said.startswith("256 processes need about 230 GiB of memory, and this machine has 4 GiB: take fewer, as")
    assert said.endswith("--on local:4.")


@pytest.mark.parametrize("text", ["local", "local:1", "local:256", "slurm", "slurm:gpu", "dask:tcp://127.0.0.1:1"])
def test_places_are_read(text):
    place = Place.of(text)
    assert f"{place.kind}:{place.about}".rstrip(":") == text


@pytest.mark.parametrize(
    "text",
    ["", "here", "local:", "local:0", "local:257", "local:two", "local:-1", "slurm:", "dask", "dask:", "Local"],
)
def test_what_is_no_place_is_named(text):
    with pytest.raises(ArgumentError, match=r"A place was expected: local, local:N"):
        Place.of(text)
