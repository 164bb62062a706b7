"""Worker processes that answer requests, so that a picture or a model that was made to harm costs its own request.

As many workers as there are cores answer; what waits is sent together. A worker that has been busy with one message
for longer than honest pictures take is slow: it yields the processor to others, the other requests in its message are
given to another worker, and a spare one takes its place. There are a few spare ones, and the last is for runs that
do not hold the others. When all that may be used are slow and requests wait, the one that has worked longest for the
run that holds most is ended. All of this runs on the event loop; threads only wait for pipes.
"""

import asyncio
import contextlib
import functools
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from penlight.serve.limits import RequestError, RequestLimits, busy
from penlight.workers import Bounds, Item, Lost, Worker, WorkerEndedError, WorkerFailedError

_TOGETHER, _BYTES_TOGETHER = 16, 1 << 20
# A message is very slow, and makes room for others, after so many times what makes it slow; it is slow also after so
# many times that by the clock, as where it uses no processor time, or that is not known.
_VERY_SLOW, _LATE = 3, 10
_TICK = 0.1
_SPARE = 3
_TRIES = 3


@dataclass(eq=False)  # two requests are two, whatever is asked; and comparing would read all of their pictures
class _Job:
    common: Mapping[str, Any]
    items: Sequence[Item]
    answered: "asyncio.Future[list[Item | Lost]]"
    begun: float
    found: dict[int, Item | Lost] = field(default_factory=dict)
    alone: bool = False
    crashes: set[int] = field(default_factory=set)
    tries: int = 0
    sent: int = 0

    @property
    def run(self) -> str:
        """The folder of the run that is asked."""
        return str(self.common["run"])

    @property
    def left(self) -> list[int]:
        """Numbers of the items without an answer."""
        return [i for i in range(len(self.items)) if i not in self.found]


@dataclass(eq=False)
class _Message:
    """What a worker was sent: jobs, and for each item in it the job and the item's number there."""

    jobs: list[_Job]
    begun: float
    items: list[tuple[_Job, int]] = field(init=False)
    used: float | None = None
    slow: bool = False
    yields: bool = False
    evicted: bool = False

    @property
    def run(self) -> str:
        """The folder of the run that is asked."""
        return self.jobs[0].run

    def __post_init__(self) -> None:
        self.items = [(job, number) for job in self.jobs for number in job.left]


class Pool:
    """Workers for `threads` quick messages at a time, and `spare` more for those that turn out not to be quick: which
    take more than `slow` seconds of processor time, as other work on the machine does not change that."""

    def __init__(
        self,
        handler: str,
        threads: int,
        limits: RequestLimits,
        bounds: Bounds,
        *,
        spare: int = _SPARE,
        slow: float = 0.2,
    ) -> None:
        self.bounds = bounds
        self.waiting = 0
        """Items that have not been answered yet."""
        self._handler, self._threads, self._limits = handler, threads, limits
        self._most, self._slow = threads + spare, slow
        self._most_of_a_run = self._most - (spare > 1)
        self._line: deque[_Job] = deque()
        self._idle: list[Worker] = []
        self._busy: dict[Worker, _Message] = {}
        self._waiters = ThreadPoolExecutor(self._most, "worker")
        self._ticking = self._soon = self._closed = False

    def start(self) -> None:
        """Start the workers that there are always: those that answer, and one to spare."""
        while len(self._idle) + len(self._busy) <= self._threads:
            self._idle.append(Worker(self._handler, self.bounds.memory))

    async def ask(self, common: Mapping[str, Any], items: Sequence[Item]) -> list[Item | Lost]:
        """Wait for an answer to each item; `common` is that of `penlight.workers`. RequestError: 503 when too many
        wait, 504 when it takes too long."""
        if self.waiting and self.waiting + len(items) > self._limits.waiting:
            raise busy("too many images are waiting")
        loop = asyncio.get_running_loop()
        job = _Job(common, items, loop.create_future(), loop.time())
        self.waiting += len(items)
        try:
            self._line.append(job)
            self._dispatch_soon()
            async with asyncio.timeout(self._limits.seconds):
                return await job.answered
        except TimeoutError as error:
            raise too_long(self._limits) from error
        finally:
            self.waiting -= len(items)
            # Asked before: the error of a deque that lacks it is written with all of the job in it.
            if job in self._line:
                self._line.remove(job)

    @property
    def stuck(self) -> bool:
        """Whether a request that came now would wait: every worker is slow, or others have waited for a while."""
        if not self._line and sum(message.slow for message in self._busy.values()) < self._most:
            return False
        now = asyncio.get_running_loop().time()
        return not self._line or now - self._line[0].begun > _LATE * self._slow

    def close(self) -> None:
        """End all workers, whatever they do."""
        self._closed = True
        for worker in (*self._busy, *self._idle):
            worker.kill()
        self._waiters.shutdown()
        for worker in (*self._busy, *self._idle):
            worker.close()
        self._idle.clear()

    def _dispatch_soon(self) -> None:
        """Dispatch after all that has come by now is in the line."""
        if not self._soon:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._soon = False
        while (job := self._next_job()) and not self._closed and (worker := self._free_worker()) is not None:
            self._send(worker, self._message_of(job))
        if self._busy and not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(_TICK, self._tick)

    def _free_worker(self) -> Worker | None:
        quick = sum(not message.slow for message in self._busy.values())
        if quick >= self._threads:
            return None
        if self._idle:
            return self._idle.pop()
        return self._new_worker() if len(self._busy) < self._most else None

    def _new_worker(self) -> Worker | None:
        with contextlib.suppress(WorkerFailedError):
            return Worker(self._handler, self.bounds.memory)
        return None

    def _held(self) -> Counter[str]:
        """Count the slow workers that each run holds."""
        return Counter(own.run for own in self._busy.values() if own.slow)

    def _next_job(self) -> _Job | None:
        """Give the job that is to be sent next, if any may: a run that keeps workers busy for long comes after the
        others, and never gets the last worker."""
        if not self._line:
            return None
        held = self._held()
        job = min(self._line, key=lambda job: held[job.run]) if held else self._line[0]
        return job if held[job.run] < self._most_of_a_run else None

    def _message_of(self, first: _Job) -> _Message:
        """Take a job from the line, and of those behind it small ones that ask the same."""
        self._line.remove(first)
        jobs, n_bytes = [first], _size(first)
        if not first.alone:
            for job in list(self._line)[: 2 * _TOGETHER]:
                n_bytes += _size(job)
                if len(jobs) == _TOGETHER or n_bytes > _BYTES_TOGETHER:
                    break
                if job.common == first.common and not job.alone:
                    jobs.append(job)
            for job in jobs[1:]:
                self._line.remove(job)
        return _Message(jobs, asyncio.get_running_loop().time())

    def _send(self, worker: Worker, message: _Message) -> None:
        self._busy[worker] = message
        message.used = worker.processor_time()
        for job in message.jobs:
            job.sent += 1
        items = [job.items[number] for job, number in message.items]
        call = functools.partial(worker.call, message.jobs[0].common, items, self.bounds.seconds)
        answers = asyncio.get_running_loop().run_in_executor(self._waiters, call)
        answers.add_done_callback(lambda done: self._finish(worker, message, done))

    def _finish(self, worker: Worker, message: _Message, done: "asyncio.Future[list[Item]]") -> None:
        del self._busy[worker]
        for job in message.jobs:
            job.sent -= 1
        error = done.exception()
        if error is None and not message.yields and len(self._idle) + len(self._busy) <= self._threads:
            self._idle.append(worker)
        else:
            worker.close()
        if isinstance(error, WorkerEndedError):
            self._blame(message, error)
        elif error is not None:
            for job in message.jobs:
                _fail(job, error)
        else:
            for (job, number), answer in zip(message.items, done.result(), strict=True):
                job.found[number] = answer
            self._hand_over(message.jobs)
        if not self._closed:
            self._keep_spare()
            self._dispatch_soon()

    def _blame(self, message: _Message, ended: WorkerEndedError) -> None:
        """A worker ended: say so of the item that it ended on, and put the others back into the line."""
        known = ended.item is not None and 0 <= ended.item < len(message.items)
        for job in message.jobs:
            job.alone = True
            job.tries += 1
        if message.evicted:
            for job in {id(job): job for job, _ in self._on(message, ended.item)}.values():
                _fail(job, busy("it is answering others, which this took too long for"))
        elif known:
            job, number = message.items[ended.item or 0]
            # Something before it may have damaged the worker: after a crash it gets another one.
            if ended.kind != "crash" or number in job.crashes:
                job.found[number] = Lost(ended.kind)  # type: ignore[arg-type]
            job.crashes.add(number)
        elif ended.kind != "start" and (ended.item is None or len(message.jobs) == 1):
            for job, number in message.items:
                job.found[number] = Lost(ended.kind, everything=True)
        self._hand_over(message.jobs)

    def _on(self, message: _Message, item: int | None) -> list[tuple[_Job, int]]:
        """Give the jobs that a worker is busy with: that of an item, or all of the message."""
        if item is not None and 0 <= item < len(message.items):
            return [message.items[item]]
        return message.items

    def _hand_over(self, jobs: Sequence[_Job]) -> None:
        for job in reversed(jobs):
            if job.answered.done() or job.sent or job in self._line:
                continue
            if not job.left:
                job.answered.set_result([job.found[i] for i in range(len(job.items))])
            elif job.tries > _TRIES + len(job.crashes):
                _fail(job, busy("its workers end before they answer"))
            else:
                self._line.appendleft(job)

    def _tick(self) -> None:
        self._ticking = False
        if self._closed:
            return
        now = asyncio.get_running_loop().time()
        for worker, message in list(self._busy.items()):
            self._look_at(worker, message, now)
        self._keep_spare()
        waits = bool(self._line) and now - self._line[0].begun > 2 * self._slow
        slow = {worker: message for worker, message in self._busy.items() if message.slow and not message.evicted}
        if waits and (len(slow) == self._most or self._next_job() is None):
            held = self._held()
            longest = min(slow, key=lambda worker: (-held[slow[worker].run], slow[worker].begun))
            slow[longest].evicted = True
            longest.kill()
        self._dispatch()
        if self._busy and not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(_TICK, self._tick)

    def _look_at(self, worker: Worker, message: _Message, now: float) -> None:
        item = worker.item()
        if item == -1 and now - message.begun < self._limits.seconds:
            message.begun = max(message.begun, now - _TICK)  # it is still starting
            message.used = worker.processor_time()
            return
        used, late = worker.processor_time(), now - message.begun > _LATE * self._slow
        spent = 0.0 if used is None or message.used is None else used - message.used
        if not message.slow and (spent > self._slow or late):
            message.slow = True
            held = {id(job) for job, _ in self._on(message, item)}
            # What waits behind a slow item is asked again elsewhere; whichever answer comes first counts.
            for job in reversed(message.jobs):
                if id(job) not in held and not job.answered.done():
                    job.alone = True
                    self._line.appendleft(job)
        if not message.yields and (spent > _VERY_SLOW * self._slow or late):
            message.yields = True
            worker.be_nice()  # for good: an ordinary process cannot take that back
        if message.slow and all(job.answered.done() for job in message.jobs):
            worker.kill()  # nobody waits for it any longer

    def _keep_spare(self) -> None:
        slow = sum(message.slow for message in self._busy.values())
        if slow and not self._idle and len(self._busy) < self._most and (worker := self._new_worker()) is not None:
            self._idle.append(worker)


def _size(job: _Job) -> int:
    return sum(len(content) for _, content in job.items)


def _fail(job: _Job, error: BaseException) -> None:
    if not job.answered.done():
        job.answered.set_exception(error)


def too_long(limits: RequestLimits) -> RequestError:
    """504 for an answer that takes too long."""
    return RequestError(504, f"No answer within {limits.seconds:g} s.", "Fewer or smaller pictures.",
                        "Send them in parts.")  # fmt: skip
