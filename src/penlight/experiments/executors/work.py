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


class WorkFailedError(TrainingError):
    """A part that was not done elsewhere: its `name`, and why, as the last line of its log has it."""

    def __init__(self, name: str, why: str, remedy: str = "The same command goes on from there.") -> None:
        super().__init__(f"{name} failed: {why}", remedy)
        self.name, self.why = name, why


class Executor(Protocol):
    """A place where work is done, as a context: leaving it ends what still runs, unless that `outlives` this process.

    `slots` is how many parts are submitted at once, None for all of them. The result of a future is that of
    `Work.do`, or its error, a WorkFailedError where the part was done in another process.
    """

    slots: int | None
    outlives: bool

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
    work: Iterator[Work[T]], executor: Executor, on_done: Callable[[], None] = lambda: None, *, grows: bool = False
) -> list[T]:
    """Do all parts in an open place, and give their results in their order; `on_done` is called after each.

    The next part is asked for when there is a slot for it, so that it may depend on what is done. Of a list that
    `grows`, the first error ends all. Else the other parts are done all the same, and a TrainingError names those
    that failed elsewhere; an error in this process ends all.
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
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            if isinstance(future.exception(), WorkFailedError) and not grows:
                continue
            future.result()
            on_done()


def results_of(begun: Iterable["Future[T]"]) -> list[T]:
    """Wait for all parts and give their results. TrainingError that names the parts that failed."""
    futures = list(begun)
    wait(futures)
    failed = [error for future in futures if isinstance(error := future.exception(), WorkFailedError)]
    if failed:
        raise _failure(failed, len(futures))
    return [future.result() for future in futures]


def _failure(failed: Sequence[WorkFailedError], total: int) -> TrainingError:
    if total == 1:
        return failed[0]
    shown = "; ".join(f"{error.name} ({error.why.rstrip('.')})" for error in failed[:_SHOWN])
    rest = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    remedies = dict.fromkeys(error.remedy for error in failed)
    return TrainingError(f"{len(failed)} of {counted(total, 'part')} failed: {shown}{rest}.", " ".join(remedies))
