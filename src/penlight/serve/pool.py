"""Workers that answer for pictures: few threads with a short line before them; what waits is asked together."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from penlight.api.predicting import Picture, Prediction, answer_pictures
from penlight.runs.classifier import Classifier
from penlight.serve.limits import Limits, RequestError, busy

_TOGETHER = 16


@dataclass(frozen=True)
class _Job:
    classifier: Classifier
    pictures: Sequence[Picture]
    answered: "asyncio.Future[list[Prediction]]"


class Pool:
    """Threads that decode and answer. ONNX Runtime works on one core for each; what a job gets does not depend on the
    jobs that it is taken together with."""

    def __init__(self, threads: int, limits: Limits) -> None:
        self._limits = limits
        self._line: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"worker-{i}") for i in range(threads)]
        self.waiting = 0
        """Pictures that have not been answered yet."""
        for thread in self._threads:
            thread.start()

    async def ask(self, classifier: Classifier, pictures: Sequence[Picture]) -> list[Prediction]:
        """Wait for answers. RequestError: 503 when too many wait, 504 when it takes too long."""
        if self.waiting and self.waiting + len(pictures) > self._limits.waiting:
            raise busy("too many pictures wait for an answer")
        job = _Job(classifier, pictures, asyncio.get_running_loop().create_future())
        self.waiting += len(pictures)
        job.answered.add_done_callback(lambda _: self._done(len(pictures)))
        self._line.put(job)
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await job.answered
        except TimeoutError as error:
            raise too_long(self._limits) from error

    def close(self) -> None:
        """End the threads after what is in the line."""
        for _ in self._threads:
            self._line.put(None)
        for thread in self._threads:
            thread.join()

    def _done(self, n: int) -> None:
        self.waiting -= n

    def _work(self) -> None:
        while (job := self._line.get()) is not None:
            jobs = [job]
            with contextlib.suppress(queue.Empty):
                while len(jobs) < _TOGETHER and (more := self._line.get_nowait()) is not None:
                    jobs.append(more)
                if len(jobs) < _TOGETHER:
                    self._line.put(None)
            _answer(jobs, self._limits.pixels)


def _answer(jobs: Sequence[_Job], pixels: int) -> None:
    """Answer the jobs of each classifier at once, and hand all back to the event loop together."""
    by_classifier: dict[int, list[_Job]] = {}
    for job in jobs:
        if not job.answered.cancelled():
            by_classifier.setdefault(id(job.classifier), []).append(job)
    for own in by_classifier.values():
        results: list[list[Prediction]] | Exception
        try:
            asked = [picture for job in own for picture in job.pictures]
            results = _split(own, answer_pictures(own[0].classifier, asked, largest=pixels))
        except Exception as error:  # a thread must not end, nor a request wait for ever
            results = error
        # The loop may be gone when a server is stopped by force.
        with contextlib.suppress(RuntimeError):
            own[0].answered.get_loop().call_soon_threadsafe(_hand_over, own, results)


def _split(jobs: Sequence[_Job], predictions: Sequence[Prediction]) -> list[list[Prediction]]:
    each = iter(predictions)
    return [[next(each) for _ in job.pictures] for job in jobs]


def _hand_over(jobs: Sequence[_Job], results: list[list[Prediction]] | Exception) -> None:
    for i, job in enumerate(jobs):
        if job.answered.done():
            continue
        if isinstance(results, Exception):
            job.answered.set_exception(results)
        else:
            job.answered.set_result(results[i])


def too_long(limits: Limits) -> RequestError:
    """504 for an answer that takes too long."""
    return RequestError(504, f"No answer within {limits.seconds:g} s.", "Fewer or smaller pictures.",
                        "Send them in parts.")  # fmt: skip
