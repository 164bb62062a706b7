"""Where the work of an experiment is done: in this process, or in several processes of this machine.

Each place is an `Executor`. What it is given is `Work`, which knows how to be done and how to be described in JSON,
so that another process, or a machine that sees the same folders, can do it; what it gives is a
`concurrent.futures.Future`.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Protocol, Self, TypeVar

from penlight.errors import TrainingError
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.runs import machine

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS")  # fmt: skip


class Work(Protocol[T_co]):
    """A part of an experiment that is done by itself: a run, or a trial of a tuning."""

    def do(self, data: OpenedData, listener: ProgressListener) -> T_co:
        """Do it in this process; what it makes is also on disk, or in a storage."""

    def read(self) -> T_co:
        """Give what `do` gave in another process, from where that wrote it."""

    def to_job(self) -> Mapping[str, Any]:
        """Describe it in JSON; "task" names the function of `worker.TASKS` that does it."""


class Executor(Protocol):
    """A place where work is done, as a context: leaving it ends what still runs.

    `slots` is how many parts are done at once. The result of a future is that of `Work.do`, or its error.
    """

    slots: int

    def submit(self, work: Work[T]) -> "Future[T]":
        """Begin to do a part."""

    def __enter__(self) -> Self:
        """Open the place."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the place."""


def do_all(work: Iterator[Work[T]], executor: Executor, on_done: Callable[[], None] = lambda: None) -> list[T]:
    """Do all parts, and give their results in their order; `on_done` is called after each.

    The next part is asked for when there is a slot for it, so that it may depend on what is done. The first error
    ends all.
    """
    begun: list[Future[T]] = []
    running: set[Future[T]] = set()
    with executor:
        while True:
            while len(running) < executor.slots and (part := next(work, None)) is not None:
                begun.append(executor.submit(part))
                running.add(begun[-1])
            if not running:
                return [future.result() for future in begun]
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                on_done()


class Here:
    """This process, which does one part after the other and tells a listener how it goes."""

    def __init__(self, listener: ProgressListener) -> None:
        self.data, self.listener, self.slots = OpenedData(listener), listener, 1

    def submit(self, work: Work[T]) -> "Future[T]":
        """Do a part now."""
        future: Future[T] = Future()
        future.set_result(work.do(self.data, self.listener))
        return future

    def __enter__(self) -> Self:
        """See `Executor`."""
        return self

    def __exit__(self, *error: object) -> None:
        """See `Executor`."""


@dataclass
class _Worker:
    process: "subprocess.Popen[str]"
    stderr: IO[str]

    def do(self, job: Mapping[str, Any]) -> None:
        """Have a job done. TrainingError with the last line of what the process said if it ends instead."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
        if not self.process.stdout.readline():
            self.process.wait()
            self.stderr.seek(0)
            last = (self.stderr.read().strip().splitlines() or ["it said nothing"])[-1]
            raise TrainingError(f"A worker process stopped: {last}", "The same command goes on from there.")

    def end(self) -> None:
        """End the process, whatever it does."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()


class Processes:
    """Processes of this machine, which share its cores fairly and end when this process does."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start the processes."""
        with contextlib.ExitStack() as opened:
            self._threads = opened.enter_context(ThreadPoolExecutor(self.slots))
            for _ in range(self.slots):
                stderr = opened.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
                worker = _Worker(self._start(stderr), stderr)
                # Ended before the threads that wait for its answer are joined.
                opened.callback(worker.end)
                self._idle.put(worker)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes."""
        self._open.close()

    def submit(self, work: Work[T]) -> "Future[T]":
        """Have a part done by the next process that has nothing to do."""
        return self._threads.submit(self._do, work)

    def _do(self, work: Work[T]) -> T:
        worker = self._idle.get()
        worker.do(work.to_job())
        self._idle.put(worker)
        return work.read()

    def _start(self, stderr: IO[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "penlight.experiments.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, **thread_limits(self.slots)},
        )


def thread_limits(processes: int) -> dict[str, str]:
    """Give the environment in which each of some processes takes its share of the cores."""
    return dict.fromkeys(_THREADS, str(max(1, int(machine()["cores"]) // processes)))
