"""Workers of a Dask scheduler as a place where work is done.

Dask pickles what it sends, in both directions: whoever reaches a scheduler runs code on its workers and in this
process. So a scheduler is on this machine or behind TLS, unless the user says otherwise, and of ours no more is sent
than functions by their names and texts in JSON.
"""

import contextlib
import ipaddress
import itertools
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import distributed

from penlight.errors import ArgumentError, TrainingError, first_line
from penlight.experiments.executors.prepare import submitted_to
from penlight.experiments.executors.processes import TRIES, EndedError, WorkerProcess, threads_of
from penlight.experiments.executors.work import Work, WorkFailedError, already_done, result_of
from penlight.experiments.progress import ProgressListener
from penlight.parsing import parse_json_object

T = TypeVar("T")

WITHOUT_TLS = "PENLIGHT_DASK_WITHOUT_TLS"
"""The variable that, as 1, lets a scheduler on another machine be asked without TLS."""

_LOOK = 0.5
"""Seconds after which a worker looks whether its part is still wanted."""

_PATIENCE = 10.0
"""Seconds that a scheduler has to answer."""

_one_at_a_time = threading.Lock()
"""Held by the part that a worker does, whatever number of threads it has: those are the cores of that part."""


def scheduler_address(about: str) -> str:
    """Give the address that a text names: tls://HOST:PORT, tcp://HOST:PORT, HOST:PORT or the file that a scheduler
    wrote of itself. ArgumentError for another, and for one on another machine without TLS."""
    address = about
    if "://" not in about and Path(about).is_file():
        held = parse_json_object(Path(about).read_bytes(), about, "Give the file that the scheduler wrote.")
        address = str(held.get("address"))
    address = address if "://" in address else f"tcp://{address}"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme not in ("tcp", "tls") or not host or not port:
        raise ArgumentError(
            f"A Dask scheduler was expected: tls://HOST:PORT, tcp://HOST:PORT or its scheduler file; '{about}' came.",
            "Give it as it says at its start, as --on dask:tcp://127.0.0.1:8786.",
        )
    if parts.scheme == "tcp" and not _is_here(host) and os.environ.get(WITHOUT_TLS) != "1":
        raise ArgumentError(
            f"{address} is another machine, and asked without TLS: whoever can reach a scheduler or read along "
            "runs code as you.",
            f"Start the scheduler with TLS and give tls://, or set {WITHOUT_TLS}=1 in a network that is yours alone.",
        )
    return address


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_process: tuple[str, WorkerProcess] | None = None
"""The process of a worker, and the session that it is for: to others a name may be another file."""


def _do(session: str, name: str, folder: str, job: str) -> str:
    """Do a part in a process beside a worker, in the working folder of those who asked, and give the answer in JSON.
    In the worker itself Dask's threads would draw from the random numbers of a training."""
    global _process
    at, answer = distributed.get_worker(), dict[str, str]()
    with _one_at_a_time:
        for tries in range(1, TRIES + 1):
            if not _is_wanted(at):
                break
            at.log_event(session, [name, at.address])
            if _process is None or _process[0] != session:
                _end_process()
                try:
                    _process = session, WorkerProcess.start({**threads_of(at.state.nthreads), **os.environ}, folder)
                except OSError as error:
                    return json.dumps({"error": f"worker {at.address} cannot enter {folder}: {error.strerror}"})
            try:
                return json.dumps(_answer_of(_process[1], parse_json_object(job, "The job of a worker"), at))
            except EndedError as ended:
                _end_process()
                answer = ended.answer(tries)
    return json.dumps(answer)


def _answer_of(process: WorkerProcess, job: Mapping[str, Any], at: Any) -> Mapping[str, str]:
    """Wait for the answer of a process, which is ended once its task is cancelled."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(process.do, job)
        while not wait([answer], _LOOK).done:
            if not _is_wanted(at):
                process.end()
        return answer.result()


def _is_wanted(at: Any) -> bool:
    task = at.state.tasks.get(at.get_current_task())
    return task is not None and task.state != "cancelled"


def _end_process() -> None:
    global _process
    if _process is not None:
        _process[1].end()
        _process = None


class Dask:
    """The workers of a scheduler, one part at a time in each. What was submitted is cancelled when this is left.

    A part whose worker ends goes on elsewhere, until the scheduler gives it up.
    """

    outlives = False

    def __init__(self, about: str, folder: Path, listener: ProgressListener, first: Work[None] | None = None) -> None:
        self._address, self._folder, self._listener = scheduler_address(about), folder, listener
        self._first = first
        self._session = f"penlight-{uuid4().hex}"
        self._tasks: dict[str, Any] = {}
        self._begun: Counter[str] = Counter()
        self._sent: Counter[str] = Counter()
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        """Connect to the scheduler."""
        self._check = submitted_to(self._folder)
        # What it says of a lost scheduler is said by errors here.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        how: dict[str, Any] = {"timeout": _PATIENCE, "set_as_default": False, "name": "penlight"}
        try:
            self._client = distributed.Client(self._address, **how)
        except (OSError, TypeError, ValueError) as error:
            raise TrainingError(
                f"No Dask scheduler answers at {self._address}: {first_line(error)}.",
                "Start it, or give the address that it says at its start; of tls:// distributed's configuration "
                "names the certificates.",
            ) from error
        self._client.subscribe_topic(self._session, self._on_event)
        return self

    def __exit__(self, *error: object) -> None:
        """Cancel what is not done."""
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._tasks.values()))
        self._client.close()

    @property
    def slots(self) -> int | None:
        """Submit as many parts as there are workers now: one that waits for another in its worker would be given up
        with it, and not be there for a worker that comes later."""
        try:
            return max(1, len(self._client.scheduler_info()["workers"]))
        except Exception as error:
            raise self._gone() from error

    def submit(self, work: Work[T]) -> "Future[T]":
        """Have a part done by a worker that has nothing to do, unless it is done already; the first one waits for
        what comes before all."""
        if (done := already_done(work, self._listener)) is not None:
            return done
        if self._first is not None:
            first, self._first = self._first, None
            # Where it fails, each part does its own share of it, and says what is wrong.
            with contextlib.suppress(WorkFailedError):
                self.submit(first).result()
        self._listener.on_job(work.name, "waiting", "")
        future: Future[T] = Future()
        self._send(work, future)
        return future

    def flush(self) -> None:
        """See `Executor`."""

    def _send(self, work: Work[T], future: "Future[T]") -> None:
        key = f"{self._session}-{next(self._numbers)}"
        about = self._session, work.name, str(Path.cwd()), json.dumps({**work.to_job(), "check": self._check})
        task = self._tasks[work.name] = self._client.submit(_do, *about, key=key)
        self._sent[work.name] += 1
        task.add_done_callback(partial(self._finish, work, future))

    def _on_event(self, event: tuple[float, tuple[str, str]]) -> None:
        name, address = event[1]
        if name in self._tasks:
            self._begun[name] += 1
            self._listener.on_job(name, "running", f"worker {address}")

    def _finish(self, work: Work[T], future: "Future[T]", task: Any) -> None:
        """Give the result of a task to who waits for it; called in a thread of Dask."""
        try:
            del self._tasks[work.name]
            if task.status == "error" and self._was_blamed(work.name, task.exception(timeout=_PATIENCE)):
                self._send(work, future)
            else:
                future.set_result(self._result_of(work, task))
        except BaseException as error:
            future.set_exception(error)

    def _was_blamed(self, name: str, error: Any) -> bool:
        """Whether a part was given up for the ends of workers in which it waited for another part."""
        ended = isinstance(error, distributed.KilledWorker)
        return ended and max(self._begun[name], self._sent[name]) <= error.allowed_failures

    def _result_of(self, work: Work[T], task: Any) -> T:
        try:
            answer: Mapping[str, str] = json.loads(task.result(timeout=_PATIENCE))
        except distributed.KilledWorker as error:
            answer = {
                "error": f"{error.allowed_failures + 1} workers ended while they did it; the last was "
                f"{error.last_worker.address}",
                "remedy": "Most often memory was short: start workers with more of it, or fewer. The same command "
                "goes on from there.",
            }
        except (distributed.CancelledError, OSError) as error:
            raise self._gone() from error
        except Exception as error:
            answer = {
                "error": f"{type(error).__name__}: {first_line(error)}",
                "remedy": "Start workers in an environment with the same version of Penlight.",
            }
        return result_of(work, answer, self._listener)

    def _gone(self) -> TrainingError:
        return TrainingError(
            f"The Dask scheduler at {self._address} does not answer any more.",
            "Start it again; the same command goes on from there, and keeps what is done.",
        )
