"""Work done by jobs of a scheduler, which go on when this process ends: submitted once, and followed to the end."""

import contextlib
import re
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from penlight.errors import ClusterError, RunError
from penlight.experiments.executors.jobs import (
    GOES_ON,
    Detached,
    JobRow,
    Jobs,
    Ledger,
    LedgerRow,
    Seen,
    SeenJob,
    row_of,
)
from penlight.experiments.executors.prepare import submitted_to
from penlight.experiments.executors.slurm import (
    MORE_TIME,
    SETTINGS,
    TRIES,
    SilentError,
    Slurm,
    SubmittedJob,
    progress_of,
    stalled,
)
from penlight.experiments.executors.work import JobState, Work, WorkFailedError, failure_of
from penlight.experiments.progress import ProgressListener

T = TypeVar("T")

_LARGEST_ARRAY = 1000
"""Jobs of an array: Slurm's own setting allows 1,001."""

_PATIENCE = 6 * 3600.0
"""Seconds without an answer of the scheduler, or of a job, after which waiting ends."""

_ARRIVES = 20.0
"""Seconds in which the answer of an ended job arrives on a shared disk."""


@dataclass(eq=False)
class _Part:
    """A part that is waited for; `ended` is when its job was first missed, `shown` what a listener was told last."""

    work: Work[Any]
    future: "Future[Any]"
    row: LedgerRow
    ended: float | None = None
    seen: SeenJob | None = None
    shown: tuple[str, str] = ("", "")

    @property
    def is_live(self) -> bool:
        """Say whether its job waits or runs."""
        return not self.row.cancelled and self.seen is not None and self.seen.runs is not None


class SlurmJobs:
    """Jobs of a Slurm cluster as a place where work is done.

    With `slots` parts are submitted as slots are free, and jobs end with the context; without, all are submitted
    together and outlive this process. Whoever asks for the same work in the same folder waits for the same jobs.
    With `detach` nobody waits: `flush` raises Detached. Several jobs wait until one has done the part `first`; where
    it fails they do its work themselves.
    """

    def __init__(
        self,
        folder: Path,
        listener: ProgressListener,
        slurm: Slurm,
        *,
        first: Work[None] | None = None,
        slots: int | None = None,
        detach: bool = False,
    ) -> None:
        self.slots, self.outlives = slots, slots is None
        self._folder, self._listener, self._slurm, self._detach = folder, listener, slurm, detach
        self._first = first
        self._ledger = Ledger(folder)
        self._asked: list[tuple[Work[Any], Future[Any]]] = []
        self._open: list[_Part] = []
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """See `Executor`. ClusterError if the cluster is not there, or not as it was asked for."""
        self._slurm.require()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the jobs alone, and say how to see and to stop them; end those of a list that grows."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(1.0)
        if not self.outlives and self._open:
            with contextlib.suppress(SilentError):
                cancel_jobs(self._folder, self._slurm, [part.row.name for part in self._open])
        elif self._open and error is not None:
            self._listener.on_warning(
                f"The jobs of {self._folder} go on without this command. {GOES_ON} With --status it shows them, and "
                "with --cancel it ends them."
            )

    def submit(self, work: Work[T]) -> "Future[T]":
        """Keep a part for `flush`."""
        future: Future[T] = Future()
        self._asked.append((work, future))
        return future

    def flush(self) -> None:
        """Submit what was kept, but for what is done, and what a job does that is still there; Detached if nobody
        waits."""
        asked, self._asked = self._asked, []
        finished = [work.done() for work, _ in asked]
        parts: list[_Part] = []
        with self._ledger.changing() as rows:
            known = any(row.token for row in rows.values())
            live: Seen = self._slurm.seen(self._ledger.path) if known else {}
            for (work, future), done in zip(asked, finished, strict=True):
                row = rows.get(work.name, LedgerRow(work.name))
                part = _Part(work, future, row, seen=live.get(row.key))
                if done:
                    rows[work.name] = replace(row, token="")
                    continue
                parts.append(part)
                rows[work.name] = row if part.is_live else replace(row, tries=1)
            self._send([part for part in parts if not part.is_live], rows)
            self._ledger.write(rows)
        for (work, future), done in zip(asked, finished, strict=True):
            if done:
                self._listener.on_job(work.name, "done", "")
                future.set_result(work.read(self._listener))
        for part in parts:
            self._tell(part, "waiting", "")
        if self._detach:
            raise Detached(jobs_of(self._folder, self._slurm))
        self._open += parts
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, daemon=True)
            self._thread.start()

    def _send(self, parts: Sequence[_Part], rows: dict[str, LedgerRow]) -> None:
        """Submit jobs for parts, and note them; before, under which name, so that none is lost if this process is
        killed meanwhile."""
        if not parts:
            return
        check, after = {"check": submitted_to(self._folder)}, ""
        if self._first is not None and len(parts) > 1:
            token = secrets.token_hex(6)
            task = SubmittedJob(
                {**self._first.to_job(), **check}, self._ledger.answers / f"{token}-0.json", self._slurm.asked.time
            )
            (after,), self._first = self._slurm.submit(self._ledger.path, token, [task]), None
        for start in range(0, len(parts), _LARGEST_ARRAY):
            own, token = parts[start : start + _LARGEST_ARRAY], secrets.token_hex(6)
            before, tasks = dict(rows), []
            for index, part in enumerate(own):
                job = part.work.to_job()
                row = rows[part.work.name]
                part.row = replace(row, token=token, index=index, job="", progress=progress_of(job), cancelled=False)
                rows[part.work.name] = part.row
                answer = self._ledger.answers / part.row.answer
                tasks.append(
                    SubmittedJob({**job, **check}, answer, self._slurm.asked.time, progress=part.row.progress)
                )
            self._ledger.write(rows)
            try:
                numbers = self._slurm.submit(self._ledger.path, token, tasks, after)
            except ClusterError:
                self._ledger.write(before)
                raise
            for part, number in zip(own, numbers, strict=True):
                part.row = rows[part.work.name] = replace(part.row, job=number)
                part.seen, part.ended = None, None

    def _follow(self) -> None:
        """Give the futures what their jobs answered, as long as the place is open."""
        try:
            self._look_often()
        except Exception as error:
            for part in self._open:
                part.future.set_exception(error)
            self._open = []

    def _look_often(self) -> None:
        every = self._slurm.asked.ask_every
        heard = asked = time.monotonic()
        pause, silent = min(1.0, every), False
        while not self._closing.wait(min(1.0, every)):
            answered = self._ledger.answered()
            for part in [part for part in self._open if part.row.answer in answered]:
                self._finish(part)
                heard = time.monotonic()
            if not self._open or time.monotonic() - asked < pause:
                continue
            asked, pause = time.monotonic(), min(2 * pause, every)
            try:
                self._look(self._slurm.seen(self._ledger.path))
                heard, silent = time.monotonic(), False
            except ClusterError as error:
                if not silent:
                    self._listener.on_warning(f"{error.problem} Jobs go on; their answers are waited for.")
                silent = True
                if time.monotonic() - heard > _PATIENCE:
                    raise ClusterError(
                        f"Slurm has not answered for {round(_PATIENCE / 3600)} hours, and no job has.", GOES_ON
                    ) from error

    def _look(self, seen: Seen) -> None:
        """Tell how the jobs are, and submit those again that ended without an answer."""
        now, lost = time.monotonic(), []
        for part in self._open:
            part.seen = seen.get(part.row.key) or part.seen
            job = seen.get(part.row.key)
            if job is not None and job.runs is not None:
                part.ended = None
                self._tell(
                    part, *(("running", f"job {job.job} on {job.node}") if job.runs else ("waiting", job.reason))
                )
            else:
                part.ended = part.ended or now
                if now - part.ended >= min(_ARRIVES, 5 * self._slurm.asked.ask_every):
                    lost.append(part)
        if lost and not self._closing.is_set():
            self._again(lost)

    def _again(self, lost: Sequence[_Part]) -> None:
        """Submit jobs again, but for those that ended too often, or that somebody else submitted again."""
        with self._ledger.changing() as rows:
            send = []
            for part in lost:
                row = rows.get(part.work.name, part.row)
                if row.key != part.row.key and not row.cancelled:
                    part.row, part.ended = row, None
                    continue
                if part.work.done():
                    self._read(part)
                elif (error := self._failure(part, row)) is not None:
                    self._fail(part, error)
                else:
                    on = row.progress == progress_of(part.work.to_job())
                    rows[row.name] = replace(row, tries=row.tries + 1 if on else 1)
                    self._tell(part, "waiting", f"again, since {_how_ended(part, self._slurm)}")
                    send.append(part)
            self._send(send, rows)
            self._ledger.write(rows)

    def _failure(self, part: _Part, row: LedgerRow) -> WorkFailedError | None:
        """Say why a part whose job ended is not to be submitted again; None if it is."""
        if row.cancelled:
            return WorkFailedError(row.name, "it was cancelled")
        log = self._ledger.log(row.job)
        said = f"; its log ends: {log[-1]}" if log else ""
        if is_for_memory(part.seen, log):
            memory = self._slurm.asked.memory
            had = "what the cluster gives" if memory is None else memory
            return WorkFailedError(
                row.name,
                f"job {row.job} was killed for memory, of which it had {had}{said}",
                f"Set more 'memory' in {SETTINGS}, or in a file for --cluster. {GOES_ON}",
            )
        if row.tries < TRIES or row.progress != progress_of(part.work.to_job()):
            return None
        timed_out = part.seen is not None and part.seen.state == "TIMEOUT"
        why = stalled(row.tries, _how_ended(part, self._slurm)) + said
        return WorkFailedError(row.name, why, MORE_TIME if timed_out else GOES_ON)

    def _finish(self, part: _Part) -> None:
        """Give a future what its job answered."""
        answer = self._ledger.answer(part.row)
        if "error" in answer:
            self._fail(part, failure_of(part.work, answer))
        else:
            self._read(part)

    def _read(self, part: _Part) -> None:
        try:
            result = part.work.read(self._listener)
        except RunError as error:
            # A shared disk may show the answer before the run.
            part.ended = part.ended or time.monotonic()
            if time.monotonic() - part.ended > _ARRIVES:
                self._fail(part, WorkFailedError(part.work.name, error.problem))
            return
        self._open.remove(part)
        self._tell(part, "done", "")
        part.future.set_result(result)

    def _fail(self, part: _Part, error: WorkFailedError) -> None:
        self._open.remove(part)
        self._tell(part, "failed", error.why)
        part.future.set_exception(WorkFailedError(error.name, error.why, error.advice, part.work.repeated))

    def _tell(self, part: _Part, state: JobState, about: str) -> None:
        if part.shown != (state, about):
            part.shown = state, about
            self._listener.on_job(part.work.name, state, about)


def is_for_memory(seen: SeenJob | None, log: Sequence[str]) -> bool:
    """Say whether a job was killed for memory: by its state, or by what the kernel's limit leaves in its log."""
    by_state = seen is not None and seen.state == "OUT_OF_MEMORY"
    return by_state or any(re.search(r"oom.?kill|out of memory", line, re.IGNORECASE) for line in log[-5:])


def _how_ended(part: _Part, slurm: Slurm) -> str:
    seen = part.seen
    if seen is None or seen.runs is not None:
        return f"job {part.row.job} is gone from Slurm's list"
    if seen.state == "TIMEOUT":
        return f"job {part.row.job} reached its limit of {slurm.asked.time}"
    return f"job {part.row.job} ended as {seen.state}"


def jobs_of(folder: Path, slurm: Slurm) -> Jobs:
    """Say how far the jobs are that were submitted from a folder. RunError if none were."""
    ledger = _require_jobs(folder)
    answered, rows = ledger.answered(), []
    try:
        seen: Seen | None = slurm.seen(ledger.path)
    except SilentError:
        seen = None
    for row in ledger.rows().values():
        answer = ledger.answer(row) if row.token and row.answer in answered else None
        line = (ledger.log(row.job) or [""])[-1]
        if seen is None and row.token and answer is None and not row.cancelled:
            rows.append(JobRow(row.name, "waiting", row.job, said="Slurm does not answer."))
        else:
            rows.append(row_of(row, answer, (seen or {}).get(row.key), line))
    return Jobs(folder, tuple(rows))


def cancel_jobs(folder: Path, slurm: Slurm, names: Iterable[str] | None = None) -> Jobs:
    """End the jobs that were submitted from a folder, or those of parts by `names`; who waits for them does not
    submit them again. RunError if there are none; SilentError if Slurm does not answer: then the same call ends them
    later."""
    ledger = _require_jobs(folder)
    with ledger.changing() as rows:
        answered, wanted = ledger.answered(), None if names is None else {*names}
        own = [row for row in rows.values() if row.token and row.answer not in answered]
        own = [row for row in own if wanted is None or row.name in wanted]
        ledger.write(rows | {row.name: replace(row, cancelled=True) for row in own})
        keys = None if wanted is None else {row.key for row in own}
        seen = slurm.seen(ledger.path).items()
        slurm.cancel([job.job for key, job in seen if job.runs is not None and (keys is None or key in keys)])
    return jobs_of(folder, slurm)


def _require_jobs(folder: Path) -> Ledger:
    ledger = Ledger(folder)
    if not ledger.exists:
        raise RunError(
            f"No jobs were submitted from {folder}.",
            "Give the folder that --on slurm wrote, with --out; of a study --dry-run shows which runs are done.",
        )
    return ledger
