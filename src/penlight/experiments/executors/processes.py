"""Processes of this machine as a place where work is done."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from penlight.experiments.executors.work import Work, already_done, result_of
from penlight.experiments.progress import ProgressListener
from penlight.models.backend import tensorflow_threads
from penlight.runs import machine

T = TypeVar("T")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_GIB = 0.9
"""What a process takes that trains a small network: most of it is TensorFlow."""

TRIES = 4
"""So many processes may end while they do a part, before it has failed."""


class EndedError(Exception):
    """The process ended while it did a part; the text is the last line of what it said."""

    def answer(self, tries: int) -> dict[str, str]:
        """Give the answer for a part that ended so many processes."""
        answer = {"error": f"its process ended {tries} times, the last time: {self}"}
        if "SIGKILL" in str(self):
            answer["remedy"] = (
                "Most often memory is short: take fewer processes. The same command goes on from there."
            )
        return answer


@dataclass
class WorkerProcess:
    """A process that does one job after the other, and what it writes beside its answers."""

    process: "subprocess.Popen[str]"
    log: IO[str]

    @classmethod
    def start(cls, env: Mapping[str, str], folder: str | None = None) -> Self:
        """Start a process in an environment and a working folder."""
        # Closed by `end`.
        log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        # A group of its own: Ctrl-C is for this process, which ends its workers.
        group: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "penlight.experiments.executors.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=env,
            cwd=folder,
            **group,
        )
        return cls(process, log)

    def do(self, job: Mapping[str, Any]) -> Mapping[str, str]:
        """Have a job done, and give the answer: an "error" with its "remedy", or nothing."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
        if not (line := self.process.stdout.readline()).endswith("\n"):
            raise EndedError(self._last_words())
        answer: Mapping[str, str] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        if (code := self.process.wait()) < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        self.log.seek(0)
        return (self.log.read().strip().splitlines() or [f"it ended with {code}"])[-1]

    def end(self) -> None:
        """End the process, whatever it does."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()


class Processes:
    """Processes of this machine, which share its cores fairly and end when this process does.

    One that ends while it does a part, as when it is killed, is replaced, and the part done again, which goes on
    where it was.
    """

    outlives = False

    def __init__(self, slots: int, listener: ProgressListener) -> None:
        self.slots: int | None = slots
        self._count, self._listener = slots, listener
        self._idle: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()
        self._workers: list[WorkerProcess] = []
        self._closing = False
        self._starting = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Warn of more processes than memory is for; each is started when there is something to do for it."""
        memory = int(machine().get("memory_gib", 0))
        if 0 < memory < self._count * _GIB:
            self._listener.on_warning(
                f"{self._count} processes need about {round(self._count * _GIB)} GiB of memory, and this machine has "
                f"{memory} GiB: take fewer, as --on local:{max(1, int(memory / _GIB))}."
            )
        self._pool = ThreadPoolExecutor(self._count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes, before the threads that wait for their answers are joined."""
        self._end()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _start(self) -> WorkerProcess:
        with self._starting:
            if self._closing:
                raise EndedError("the command ended")
            self._workers.append(WorkerProcess.start({**os.environ, **thread_limits(self._count)}))
            return self._workers[-1]

    def _end(self) -> None:
        with self._starting:
            self._closing = True
        for worker in self._workers:
            worker.end()

    def submit(self, work: Work[T]) -> "Future[T]":
        """Have a part done by the next process that has nothing to do, unless it is done already."""
        assert self._pool is not None
        if (done := already_done(work, self._listener)) is not None:
            return done
        self._listener.on_job(work.name, "waiting", "")
        return self._pool.submit(self._do, work)

    def flush(self) -> None:
        """See `Executor`."""

    def _do(self, work: Work[T]) -> T:
        try:
            worker = self._idle.get_nowait()
        except queue.Empty:
            worker = self._start()
        try:
            for tries in range(1, TRIES + 1):
                self._listener.on_job(work.name, "running", f"process {worker.process.pid}")
                try:
                    answer = worker.do(work.to_job())
                    break
                except EndedError as ended:
                    if self._closing:
                        raise
                    worker.end()
                    worker = self._start()
                    answer = ended.answer(tries)
        finally:
            self._idle.put(worker)
        return result_of(work, answer, self._listener)


def thread_limits(processes: int) -> dict[str, str]:
    """Give the environment in which each of some processes takes its share of the cores."""
    return threads_of(max(1, int(machine()["cores"]) // processes))


def threads_of(cores: int) -> dict[str, str]:
    """Give the environment in which a process computes on some cores as it does on a machine that has no more."""
    within, between = tensorflow_threads(cores)
    tensorflow = {"TF_NUM_INTRAOP_THREADS": str(within), "TF_NUM_INTEROP_THREADS": str(min(cores, between))}
    return {**dict.fromkeys(_THREADS, str(cores)), **tensorflow}
