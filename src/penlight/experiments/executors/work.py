"""Parts of an experiment that are done by themselves, and the one interface of the places where they are done.

What a place is given is `Work`, which knows how to be done and how to be described in JSON, so that another process,
or a machine that sees the same folders, can do it; what it gives is a `concurrent.futures.Future`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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

    def to_job(self) -> Mapping[str, Any]:
        """Describe it in JSON; "task" names the function of `worker.TASKS` that does it."""

    @property
    def repeated(self) -> str:
        """Say in a sentence how it is repeated in this process, once it has failed elsewhere; empty where that is by
        the same command without --on."""


class WorkFailedError(TrainingError):
    """A part that was not done elsewhere: its `name`, and why, as the last line of its log has it."""

    def __init__(self, name: str, why: str, remedy: str = "The same command goes on from there.") -> None:
        super().__init__(f"{name} failed: {why.rstrip('.')}.", remedy)
        self.name, self.why = name, why


class Executor(Protocol):
    """A place where work is done, as a context: leaving it ends what still runs, unless that `outlives` this process.

    `slots` is how many parts of a list that grows are submitted at once, None for all of them. The result of a future
    is that of `Work.do`, or its error, a WorkFailedError where the part was done in another process.
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

    Of a list that `grows` the next part is asked for when there is a slot for it, so that it may depend on what is
    done, and the first error ends all. Of any other all parts are submitted at once, and if some fail elsewhere the
    others are done all the same, and a TrainingError names those; an error in this process ends all.
    """
    begun: dict[Future[T], Work[T]] = {}
    running: set[Future[T]] = set()
    slots = executor.slots if grows else None
    while True:
        while slots is None or len(running) < slots:
            if (part := next(work, None)) is None:
                break
            begun[future := executor.submit(part)] = part
            running.add(future)
            if future.done():
                break
        if not running:
            return results_of(begun)
        executor.flush()
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            if isinstance(error := future.exception(), WorkFailedError):
                if grows:
                    raise _failure([(begun[future], error)], 1)
                continue
            future.result()
            on_done()


def results_of(begun: Mapping["Future[T]", Work[T]]) -> list[T]:
    """Wait for all parts and give their results. TrainingError that names the parts that failed."""
    wait(begun)
    ended = ((part, future.exception()) for future, part in begun.items())
    failed = [(part, error) for part, error in ended if isinstance(error, WorkFailedError)]
    if failed:
        raise _failure(failed, len(begun))
    return [future.result() for future in begun]


def _failure(failed: Sequence[tuple[Work[T], WorkFailedError]], total: int) -> TrainingError:
    """Name the parts that failed, those together that failed alike, and say how the first is repeated here."""
    part, first = failed[0]
    again = part.repeated or f"Repeat {first.name} here by the same command without --on."
    remedy = " ".join([*dict.fromkeys(error.remedy for _, error in failed), again])
    if total == 1:
        return WorkFailedError(first.name, first.why, remedy)
    alike: dict[str, list[str]] = {}
    for _, error in failed[:_SHOWN]:
        alike.setdefault(error.why.rstrip("."), []).append(error.name)
    shown = "; ".join(f"{', '.join(names)} ({why})" for why, names in alike.items())
    rest = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    return TrainingError(f"{len(failed)} of {counted(total, 'part')} failed: {shown}{rest}.", remedy)
