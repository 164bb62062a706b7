"""This process as a place where work is done."""

from concurrent.futures import Future
from typing import Self, TypeVar

from penlight.experiments.executors.work import Work
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener

T = TypeVar("T")


class Here:
    """This process, which does one part after the other and tells a listener how it goes."""

    slots: int | None = 1
    outlives = False

    def __init__(self, data: OpenedData, listener: ProgressListener) -> None:
        self.data, self.listener = data, listener

    def submit(self, work: Work[T]) -> "Future[T]":
        """Do a part now."""
        future: Future[T] = Future()
        future.set_result(work.do(self.data, self.listener))
        return future

    def flush(self) -> None:
        """See `Executor`."""

    def __enter__(self) -> Self:
        """See `Executor`."""
        return self

    def __exit__(self, *error: object) -> None:
        """See `Executor`."""
