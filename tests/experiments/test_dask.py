"""Work by the workers of a Dask scheduler: the same results, one part at a time in each, and what goes wrong."""

import os
import random
import signal
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import distributed
import pytest
from dask import config

import penlight as pl
from penlight.api.requests import resolve_recipe
from penlight.errors import ArgumentError, TrainingError
from penlight.experiments.executors import dask
from penlight.experiments.executors.here import Here
from penlight.experiments.executors.places import Place
from penlight.experiments.executors.work import do_all
from penlight.experiments.opened import OpenedData
from penlight.experiments.run import RunSpec
from penlight.experiments.seeds import seed_specs
from tests.conftest import new_folder
from tests.data.tiny_dataset import write_tiny
from tests.experiments.parts import Part

QUIET = pl.ProgressListener()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers, of several threads each, of which a part takes all."""
    known = {
        # A worker that is killed twice in a short time would be given up.
        "distributed.deploy.lost-worker-timeout": "1h",
    }
    how = {"n_workers": 2, "threads_per_worker": 3, "dashboard_address": ":0", "silence_logs": 50}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENLIGHT_CACHE", str(new_folder(tmp_path_factory, "cache")))
        # Processes of the workers know the part of these tests.
        (new := new_folder(tmp_path_factory, "site")).joinpath("sitecustomize.py").write_text(
            "import sys\n"
            "if 'penlight.experiments.executors.worker' in sys.orig_argv:\n"
            "    import tests.experiments.parts\n"
        )
        patch.setenv("PYTHONPATH", os.pathsep.join([str(new), *sys.path]))
        with config.set(known), distributed.LocalCluster(**how) as cluster:
            cluster.cache = os.environ["PENLIGHT_CACHE"]
            yield cluster


class Told(pl.ProgressListener):
    def __init__(self):
        self.jobs = []

    def on_job(self, name, state, about):
        self.jobs.append((name, state, about))


def on(cluster, listener=QUIET, first=None):
    os.environ["PENLIGHT_CACHE"] = cluster.cache
    place = Place.of(f"dask:{cluster.scheduler_address}")
    return place.executor(Path("runs"), OpenedData(QUIET), listener, first=first)


def do_in(place, work):
    with place:
        return do_all(iter(work), place)


def parts(folder, count, **how):
    made = [Part(folder / f"part-{number}", **how) for number in range(count)]
    for part in made:
        part.folder.mkdir()
    return made


def until(is_so):
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_run_is_the_same_by_a_worker(cluster, own_folders, as_in_other_processes):
    write_tiny(own_folders / "work")
    recipe = resolve_recipe("tiny.toml", "linear", ["model.components=3"])
    here, there = (own_folders / "work" / name for name in ("here", "there"))
    data = OpenedData(QUIET)
    (one,) = do_in(Here(data, QUIET), seed_specs(RunSpec(recipe, 0, here), 1))
    (other,) = do_in(on(cluster), seed_specs(RunSpec(recipe, 0, there), 1))
    for name in ("predictions-test.npz", "baseline-majority-test.npz", "decision.json", "metrics.json"):
        assert one.run.read(name) == other.run.read(name)


def test_each_worker_does_one_part_at_a_time_and_says_so(cluster, tmp_path):
    until(lambda: len(cluster.scheduler.workers) == 2)
    told, work = Told(), parts(tmp_path, 5, wait=str(tmp_path / "go"))
    done = []
    thread = threading.Thread(target=lambda: done.extend(do_in(on(cluster, told), work)))
    thread.start()
    until(lambda: sum(state == "running" for _, state, _ in told.jobs) == 2)
    assert [state for _, state, _ in told.jobs] == ["waiting", "waiting", "running", "running"]
    (tmp_path / "go").touch()
    thread.join()
    assert [len(made) for made in done] == [1] * 5
    for part in work:
        assert [state for name, state, _ in told.jobs if name == part.name] == ["waiting", "running", "done"]
    assert all(about.startswith("worker tcp://127.0.0.1:") for _, state, about in told.jobs if state == "running")


def test_what_comes_first_is_done_before_all_others(cluster, tmp_path):
    first, *others = parts(tmp_path, 3)
    do_in(on(cluster, first=first), others)
    (begun,), *rest = ([path.stat().st_mtime_ns for path in part.folder.iterdir()] for part in (first, *others))
    assert all(begun <= other for each in rest for other in each)


def test_a_part_whose_worker_is_killed_goes_on_elsewhere(cluster, tmp_path):
    told = Told()
    made = do_in(on(cluster, told), parts(tmp_path, 2, killed=1))
    assert [len(files) for files in made] == [2, 2]
    assert {name for files in made for name in files if name.startswith("0")}
    assert sum(state == "done" for _, state, _ in told.jobs) == 2


@pytest.mark.full
def test_a_part_that_ends_every_worker_is_given_up_and_the_others_are_done(cluster, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(
        TrainingError,
        match=r"1 of 2 parts failed: part-0 \(4 workers ended while they did it; .*Most often memory was short",
    ):
        do_in(on(cluster), [*parts(tmp_path, 1, killed=99), Part(tmp_path / "other")])
    assert len(list((tmp_path / "part-0").iterdir())) == 4
    assert len(list((tmp_path / "other").iterdir())) == 1


def test_what_was_submitted_is_cancelled_when_the_place_is_left(cluster, tmp_path):
    until(lambda: len(cluster.scheduler.workers) == 2)
    work, told = parts(tmp_path, 3, wait=str(tmp_path / "never")), Told()
    place = on(cluster, told)
    with place:
        for part in work:
            place.submit(part)
        until(lambda: len(list(tmp_path.glob("part-*/*"))) == 2)
    pids = [path.name.partition("-")[2] for path in tmp_path.glob("part-*/*")]
    until(lambda: not any(Path("/proc", pid).exists() for pid in pids))
    assert len(list(tmp_path.glob("part-*/*"))) == 2
    # Its workers are free for the next.
    assert do_in(on(cluster), [Part(work[0].folder)])


def test_an_error_of_a_part_is_said_with_what_to_do(cluster, own_folders):
    recipe = resolve_recipe("retina-phantom", "linear")
    gone = recipe.model_copy(update={"data": recipe.data.model_copy(update={"dataset": "gone.toml"})})
    with pytest.raises(TrainingError, match=r"b failed: .*gone\.toml"):
        do_in(on(cluster), [RunSpec(gone, 0, own_folders / "b")])


@pytest.mark.full
@pytest.mark.parametrize("kind", ["local:2", "dask"])
def test_a_worker_killed_at_a_random_moment_of_training_changes_no_byte(cluster, own_folders, kind):
    write_tiny(own_folders / "work")
    recipe = resolve_recipe("tiny.toml", "cnn", ["train.epochs=4"])
    # The threads of a worker, here too, which decide the last digits of a network.
    calm = trained(Here(OpenedData(QUIET), QUIET), recipe, "here")

    def place(told):
        return on(cluster, told) if kind == "dask" else Place.of(kind).executor(Path("runs"), OpenedData(QUIET), told)

    begun = time.monotonic()
    assert trained(place(QUIET), recipe, "calm") == calm
    seconds, killed = time.monotonic() - begun, 0
    for number in range(int(os.environ.get("PENLIGHT_CLUSTER_TRIES", "2"))):
        until(lambda: len(cluster.scheduler.workers) == 2)
        told, ended = Told(), threading.Event()
        chance = random.Random(number)
        killer = threading.Thread(target=kill_one, args=(told, cluster, chance, seconds, ended))
        killer.start()
        assert trained(place(told), recipe, f"try-{number}") == calm
        ended.set()
        killer.join()
        runs = Counter(name for name, state, _ in told.jobs if state == "running")
        killed += max(runs.values()) > 1
    assert killed


def trained(place, recipe, name):
    """Train two seeds at a place, and give what they predict."""
    folder = Path(name).resolve()
    done = do_in(place, seed_specs(RunSpec(recipe, 0, folder), 2))
    return [own.run.read(f"predictions-{split}.npz") for own in done for split in ("val", "test")]


def kill_one(told, cluster, chance, seconds, ended):
    """Kill a process that trains, at a moment of the time that all takes."""
    until(lambda: any(state == "running" for _, state, _ in told.jobs))
    if ended.wait(chance.uniform(0, 0.7 * seconds)):
        return
    where = [about for _, state, about in told.jobs if state == "running"][-1]
    if where.startswith("process"):
        os.kill(int(where.split()[-1]), signal.SIGKILL)
        return
    with distributed.Client(cluster, set_as_default=False) as client:
        pids = client.run(os.getpid)
    if where.split()[-1] in pids:
        os.kill(pids[where.split()[-1]], signal.SIGKILL)


@pytest.mark.parametrize(
    ("about", "address"),
    [
        ("tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("localhost:8786", "tcp://localhost:8786"),
        ("tcp://[::1]:8786", "tcp://[::1]:8786"),
        ("tls://node7.example.org:8786", "tls://node7.example.org:8786"),
        ("scheduler.json", "tls://10.0.0.7:8786"),
    ],
)
def test_addresses_of_schedulers(about, address):
    with open("scheduler.json", "w") as file:  # noqa: PTH123
        file.write('{"type": "Scheduler", "address": "tls://10.0.0.7:8786"}')
    assert dask.scheduler_address(about) == address


@pytest.mark.parametrize("about", ["tcp://10.0.0.7:8786", "node7:8786", "tcp://127.0.0.1.example.org:8786"])
def test_another_machine_is_asked_by_tls_or_by_the_users_word(about, monkeypatch):
    with pytest.raises(ArgumentError, match=r"another machine, and asked without TLS"):
        dask.scheduler_address(about)
    monkeypatch.setenv("PENLIGHT_DASK_WITHOUT_TLS", "1")
    assert dask.scheduler_address(about).endswith(about)


@pytest.mark.parametrize(
    "about", ["8786", "tcp://", "tcp://127.0.0.1", "ucx://127.0.0.1:1", "tcp://127.0.0.1:x", "a b"]
)
def test_what_is_no_address_is_named(about):
    with pytest.raises(ArgumentError, match=r"A Dask scheduler was expected: tls://HOST:PORT"):
        dask.scheduler_address(about)


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(dask, "_PATIENCE", 0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(TrainingError, match=rf"No Dask scheduler answers at {address}: .*Start it"):
            do_in(dask.Dask(address, Path("runs"), QUIET), [])
