"""Trials in several processes of this machine, which share its cores fairly."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import optuna

from penlight.data import ViewedDataset
from penlight.errors import TrainingError
from penlight.runs import machine
from penlight.training.tuning.folder import DATABASE, TuningFolder
from penlight.training.tuning.objective import parts_of, require_judgement
from penlight.training.tuning.search import (
    TrialLimits,
    TuningProgress,
    TuningResult,
    best_value,
    fail_running,
    found,
    open_study,
    quiet,
    records,
    run_trials,
    sqlite_url,
    storage_kept,
)
from penlight.training.tuning.setup import Setup

_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS")  # fmt: skip
_LOOK_EVERY = 0.25  # seconds


@dataclass
class _Worker:
    process: "subprocess.Popen[str]"
    said: IO[str]


def run(
    folder: TuningFolder,
    view: ViewedDataset,
    limits: TrialLimits,
    progress: TuningProgress,
    *,
    storage: str | None = None,
    workers: int = 1,
) -> TuningResult:
    """Go on with a folder's tuning up to the limits. `storage` is an Optuna URL; the folder's own database unless
    given. DataError before anything is trained, if the images cannot judge trials."""
    setup = folder.setup
    require_judgement(view, parts_of(view, setup.repeats, setup.seed))
    url = storage or sqlite_url(folder.path / DATABASE)
    with quiet(), storage_kept(url):
        study = open_study(url, setup, shared=storage is not None)
        fail_running(study, shared=storage is not None)
        _tell(study, setup, limits, progress, workers)
        if workers == 1:
            run_trials(study, setup, view, limits, folder.ask_lock, progress)
        else:
            _run_workers(study, folder, limits, progress, storage, workers)
        return found(study, setup)


def _tell(study: optuna.Study, setup: Setup, limits: TrialLimits, progress: TuningProgress, workers: int) -> int:
    done = records(study, setup.space)
    progress.trial(len(done), limits.trials, best_value(done), limits.seconds_left(done, workers))
    return len(done)


def _run_workers(
    study: optuna.Study,
    folder: TuningFolder,
    limits: TrialLimits,
    progress: TuningProgress,
    storage: str | None,
    workers: int,
) -> None:
    """Start the workers and watch them; the first one that fails ends them all."""
    with _started(folder.path, limits, storage, workers) as all_workers:
        told = len(records(study, folder.setup.space))
        while any(w.process.poll() is None for w in all_workers):
            _raise_failed(all_workers)
            done = len(records(study, folder.setup.space))
            if done != told:
                told = _tell(study, folder.setup, limits, progress, workers)
            time.sleep(_LOOK_EVERY)
        _raise_failed(all_workers)
    if len(records(study, folder.setup.space)) != told:
        _tell(study, folder.setup, limits, progress, workers)


@contextlib.contextmanager
def _started(path: Path, limits: TrialLimits, storage: str | None, workers: int) -> Iterator[list[_Worker]]:
    task = {"folder": str(path.resolve()), "storage": storage, "trials": limits.trials, "deadline": limits.deadline}
    with contextlib.ExitStack() as files:
        all_workers: list[_Worker] = []
        try:
            for _ in range(workers):
                said = files.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
                all_workers.append(_Worker(_start(task, said, workers), said))
            yield all_workers
        finally:
            for worker in all_workers:
                _end(worker.process)


def _start(task: Mapping[str, object], said: IO[str], workers: int) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "penlight.training.tuning.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=said,
        text=True,
        env={**os.environ, **thread_limits(workers)},
    )
    assert process.stdin is not None
    # The line stays open: when this process ends, however it does, the worker reads the end of it and stops.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
    return process


def thread_limits(workers: int) -> dict[str, str]:
    """Give the environment in which each of some workers takes its share of the cores."""
    share = str(max(1, int(machine()["cores"]) // workers))
    return dict.fromkeys(_THREADS, share)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _raise_failed(all_workers: list[_Worker]) -> None:
    for worker in all_workers:
        if worker.process.poll():
            worker.said.seek(0)
            last = (worker.said.read().strip().splitlines() or ["it said nothing"])[-1]
            raise TrainingError(f"A worker of the tuning stopped: {last}", "The same command goes on from there.")
