"""Work in several processes of this machine, which share its cores fairly; the first one that fails ends them all."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from penlight.errors import TrainingError
from penlight.runs import machine

_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS")  # fmt: skip
_POLL_EVERY = 0.25  # seconds

Job = Mapping[str, Any]
"""What a process is asked for, as JSON: `task` names a function of `worker.TASKS`, the rest are its arguments."""


@dataclass
class _Process:
    process: "subprocess.Popen[str]"
    stderr: IO[str]


def run_jobs(jobs: Sequence[Job], poll: Callable[[], None] = lambda: None) -> None:
    """Run each job in a process of its own, all at once; `poll` is called while they run.

    TrainingError with the last line of the first one that fails; the others are ended. They end, too, when this
    process does.
    """
    with _started(jobs) as processes:
        while any(p.process.poll() is None for p in processes):
            _raise_failed(processes)
            poll()
            time.sleep(_POLL_EVERY)
        _raise_failed(processes)
    poll()


@contextlib.contextmanager
def _started(jobs: Sequence[Job]) -> Iterator[list[_Process]]:
    with contextlib.ExitStack() as files:
        processes: list[_Process] = []
        try:
            for job in jobs:
                stderr = files.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
                processes.append(_Process(_start(job, stderr, len(jobs)), stderr))
            yield processes
        finally:
            for process in processes:
                _end(process.process)


def _start(job: Job, stderr: IO[str], processes: int) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "penlight.experiments.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        text=True,
        env={**os.environ, **thread_limits(processes)},
    )
    assert process.stdin is not None
    # The line stays open: when this process ends, however it does, the worker reads the end of it and stops.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
    return process


def thread_limits(processes: int) -> dict[str, str]:
    """Give the environment in which each of some processes takes its share of the cores."""
    return dict.fromkeys(_THREADS, str(max(1, int(machine()["cores"]) // processes)))


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _raise_failed(processes: Sequence[_Process]) -> None:
    for own in processes:
        if own.process.poll():
            own.stderr.seek(0)
            last = (own.stderr.read().strip().splitlines() or ["it said nothing"])[-1]
            raise TrainingError(f"A worker process stopped: {last}", "The same command goes on from there.")
