"""Parts of an experiment that are done by themselves, and the one interface of the places where they are done.

What a place is given is `Work`, which knows how to be done and how to be described in JSON, so that another process,
or a machine that sees the same folders, can do it; what it gives is a `concurrent.futures.Future`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

from penlight.errors import TrainingError
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.numbers import counted

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

JobState = Literal["waiting", "running", "done", "failed"]

_SHOWN = 5
_LOOK = 1.0
"""Seconds after which a place is asked for its slots again."""


class Work(Protocol[T_co]):
    """A part of an experiment that is done by itself: a run, a trial of a tuning, some of the pictures to predict."""

    @property
    def name(self) -> str:
        """Name it within its experiment, as the path of its folder there: "cnn/seed-0", "trial-12"."""

    def do(self, data: OpenedData, listener: ProgressListener) -> T_co:
        """Do it in this process; what it makes is also on disk, or in a storage."""

    def read(self, listener: ProgressListener) -> T_co:
        """Give what `do` gave in another process, from where that wrote it, and tell the listener of it."""

    def done(self) -> object:
        """Say whether it is done already, and so needs no job; None or False if not."""

    def to_job(self) -> Mapping[str, Any]:
        """Describe it in JSON; "task" names the function of `worker.TASKS` that does it."""

    @property
    def repeated(self) -> str:
        """Say in a sentence how it is repeated in this process, once it has failed elsewhere; empty where that is by
        the same command without --on."""


class WorkFailedError(TrainingError):
    """A part that was not done elsewhere: its `name`, why, as the last line of its log has it, what to do, and how it
    is repeated in this process, see `Work.repeated`."""

    def __init__(
        self, name: str, why: str, remedy: str = "The same command goes on from there.", repeated: str = ""
    ) -> None:
        repeated = repeated or f"Repeat {name} here by the same command without --on."
        super().__init__(f"{name} failed: {why.rstrip('.')}.", f"{remedy} {repeated}")
        self.name, self.why, self.advice, self.repeated = name, why.rstrip("."), remedy, repeated


def failure_of(work: Work[Any], answer: Mapping[str, str]) -> WorkFailedError:
    """Give the failure of a part from the answer of `worker.do_job`."""
    remedy = {"remedy": answer["remedy"]} if answer.get("remedy") else {}
    return WorkFailedError(work.name, answer["error"], **remedy, repeated=work.repeated)


class Executor(Protocol):
    """A place where work is done, as a context: leaving it ends what still runs, unless that `outlives` this process.

    `slots` is None where all parts are submitted at once. The result of a future is that of `Work.do`, or its error,
    a WorkFailedError where the part was done in another process.
    """

    outlives: bool

    @property
    def slots(self) -> int | None:
        """Say how many parts are submitted at once; it may change."""

    def submit(self, work: Work[T]) -> "Future[T]":
        """Begin to do a part, or keep it until `flush`."""

    def flush(self) -> None:
        """Begin what was kept: no further part comes before one is done. A scheduler takes many jobs as one array."""

    def __enter__(self) -> Self:
        """Open the place."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the place."""


def do_all(
    work: Iterator[Work[T] | None],
    executor: Executor,
    on_done: Callable[[], None] = lambda: None,
    on_failed: Callable[[WorkFailedError], None] | None = None,
) -> list[T]:
    """Do all parts in an open place, and give their results in their order; `on_done` is called after each.

    The next part is asked for when there is a slot for it, so that it may depend on what is done; None says that
    there is none unless one that runs fails. An error in this process ends all. If parts failed elsewhere, the others
    are done all the same, and a TrainingError names those at the end; of a list that grows, `on_failed` is told
    instead: it may have the part come again, or raise to end all.
    """
    begun: list[Future[T]] = []
    running: set[Future[T]] = set()
    while True:
        while executor.slots is None or len(running) < executor.slots:
            if (part := next(work, None)) is None:
                break
            begun.append(executor.submit(part))
            running.add(begun[-1])
        if not running:
            return results_of(begun)
        executor.flush()
        # A place may get slots while it works.
        done, running = wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED)
        for future in done:
            if not isinstance(error := future.exception(), WorkFailedError):
                future.result()
                on_done()
            elif on_failed is not None:
                begun.remove(future)
                on_failed(error)


def results_of(begun: Iterable["Future[T]"]) -> list[T]:
    """Wait for all parts and give their results. TrainingError that names the parts that failed."""
    futures = list(begun)
    wait(futures)
    failed = [error for future in futures if isinstance(error := future.exception(), WorkFailedError)]
    if failed:
        raise _failure(failed, len(futures))
    return [future.result() for future in futures]


def _failure(failed: Sequence[WorkFailedError], total: int) -> TrainingError:
    """Name the parts that failed, those together that failed alike, and say how the first is repeated here."""
    if total == 1:
        return failed[0]
    alike: dict[str, list[str]] = {}
    for error in failed[:_SHOWN]:
        alike.setdefault(error.why, []).append(error.name)
    shown = "; ".join(f"{', '.join(names)} ({why})" for why, names in alike.items())
    rest = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    remedies = [*dict.fromkeys(error.advice for error in failed), failed[0].repeated]
    return TrainingError(f"{len(failed)} of {counted(total, 'part')} failed: {shown}{rest}.", " ".join(remedies))


def already_done(work: Work[T], listener: ProgressListener) -> "Future[T] | None":
    """Give the result of a part that needs no place, as it is done already; None if it is not."""
    if not work.done():
        return None
    listener.on_job(work.name, "done", "")
    future: Future[T] = Future()
    future.set_result(work.read(listener))
    return future


def result_of(work: Work[T], answer: Mapping[str, str], listener: ProgressListener) -> T:
    """Give what became of a part by the answer of `worker.do_job`, and tell of it. WorkFailedError if it failed."""
    if "error" in answer:
        listener.on_job(work.name, "failed", answer["error"])
        raise failure_of(work, answer)
    listener.on_job(work.name, "done", "")
    return work.read(listener)


def announced(work: Iterable[Work[T]], listener: ProgressListener) -> Iterator[Work[T]]:
    """List parts that are done elsewhere and do not depend on each other, and tell that all of them wait."""
    parts = list(work)
    for part in parts:
        listener.on_job(part.name, "waiting", "")
    yield from parts
