"""Jobs of a scheduler: which part of an experiment each does, kept in a ledger in the experiment's folder.

    .jobs/            for its owner alone, since pickles of the scheduler's adapter lie there beside the logs
      ledger.json     the last job of each part, and how often it was tried
      answers/        what each job answered, in JSON

Whoever shows the jobs of a folder reads JSON alone; only the jobs themselves read the pickles, and only those that
their submission has written.
"""

import contextlib
import os
import shutil
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from penlight.disk import PRIVATE_FOLDER, is_inside, locked, open_inside, read_inside, write_whole
from penlight.errors import ClusterError, RunError
from penlight.escaping import printable
from penlight.experiments.executors.table import STATES
from penlight.experiments.executors.work import JobState
from penlight.numbers import counted
from penlight.parsing import parse_json_object
from penlight.records import Count, Flag, Name, Record, Text, json_text, read_record
from penlight.runs.folder import JOBS

_LEDGER = "ledger.json"
_ANSWERS = "answers"
_LARGEST_ANSWER = 1 << 20
_LAST = 4000
"""Bytes at the end of a log in which its last line is looked for."""

GOES_ON = "The same command goes on from there."


class JobRow(Record):
    """A part of an experiment that is done by a job: its `name` within the experiment, and how far it is.

    `job` is the scheduler's number of its last try, empty where none was needed; `since` when that was submitted, or
    began to run, as the scheduler writes times; `said` the last line of its log while it runs, or why it failed.
    """

    name: Name
    state: JobState
    job: Name = ""
    node: Name = ""
    since: Name = ""
    said: Text = ""


class Jobs(Record, table="rows"):
    """The jobs of an experiment in a folder."""

    folder: Path
    rows: Annotated[tuple[JobRow, ...], Field(max_length=1_000_000)] = ()

    def count(self, state: JobState) -> int:
        """Count the parts in a state."""
        return Counter(row.state for row in self.rows)[state]

    @property
    def words(self) -> str:
        """Count the parts in words."""
        counts = ", ".join(f"{number:,} {state}" for state in STATES if (number := self.count(state)))
        return f"{counted(len(self.rows), 'part')}: {counts or 'none'}"

    def __repr__(self) -> str:
        return f"Jobs({str(self.folder)!r}, {self.words})"


class Detached(Exception):  # noqa: N818
    """Raised in the place of waiting: the jobs are submitted, and nobody waits for them."""

    def __init__(self, jobs: Jobs) -> None:
        super().__init__("The jobs are submitted.")
        self.jobs = jobs


class LedgerRow(Record):
    """A part and its last job, which is number `index` of those submitted as `token`, and `job` for the scheduler.

    `tries` counts the jobs that ended before there was more than `progress` to go on from. Of a part that was done
    before a job was needed the token is empty.
    """

    name: Name
    token: Name = ""
    index: Count = 0
    job: Name = ""
    tries: Count = 1
    progress: Text = ""
    cancelled: Flag = False

    @property
    def key(self) -> tuple[str, int]:
        """What the scheduler's list has of the job."""
        return self.token, self.index

    @property
    def answer(self) -> str:
        """The name of the file that the job writes when it is done."""
        return f"{self.token}-{self.index}.json"


class LedgerRecord(Record):
    """ledger.json: the parts in the order in which they were asked for."""

    schema: Count
    parts: Annotated[tuple[LedgerRow, ...], Field(max_length=1_000_000)] = ()


@dataclass(frozen=True)
class SeenJob:
    """A job in the scheduler's list: its number, what the scheduler calls its state, and where and since when."""

    job: str
    state: str
    node: str = ""
    since: str = ""
    reason: str = ""

    @property
    def runs(self) -> bool | None:
        """Say whether it runs, True, or waits, False; None if it has ended."""
        if self.state in ("RUNNING", "COMPLETING", "STAGE_OUT", "STOPPED", "SUSPENDED", "SIGNALING"):
            return True
        return False if self.state in ("PENDING", "CONFIGURING", "RESIZING", "SPECIAL_EXIT") or self.waits else None

    @property
    def place(self) -> str:
        """Say in words where it runs."""
        return f"job {self.job} on {self.node}"

    @property
    def waits(self) -> bool:
        """Say whether it was put back, and waits again."""
        return self.state.startswith(("REQUEUE", "RESV_DEL_HOLD"))


Seen = Mapping[tuple[str, int], SeenJob]


class Ledger:
    """What is kept of the jobs of an experiment in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder.resolve() / JOBS
        self.answers = self.path / _ANSWERS

    @property
    def exists(self) -> bool:
        """Say whether jobs were submitted from the folder."""
        return is_inside(self.folder, f"{JOBS}/{_LEDGER}")

    def rows(self) -> dict[str, LedgerRow]:
        """Read the rows by name. RunError for a file that is not what is written here."""
        if not self.exists:
            return {}
        place = self.path / _LEDGER
        content = read_inside(self.folder, f"{JOBS}/{_LEDGER}", 64 << 20)
        return {row.name: row for row in read_record(LedgerRecord, content, str(place)).parts}

    @contextlib.contextmanager
    def changing(self) -> Iterator[dict[str, LedgerRow]]:
        """Give the rows to change them, and `write` them; others that would change them wait meanwhile."""
        self.require_private()
        with locked(self.path / "lock"):
            try:
                yield self.rows()
            finally:
                if not self.exists:
                    shutil.rmtree(self.path, ignore_errors=True)

    def write(self, rows: Mapping[str, LedgerRow]) -> None:
        """Write the rows."""
        write_whole(self.path / _LEDGER, json_text(LedgerRecord(1, tuple(rows.values()))).encode(), private=True)

    def require_private(self) -> None:
        """Make the folder of the jobs. ClusterError if others could put something there that a job would run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for place in (self.path, self.answers):
            place.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        for place in (self.path.parent, self.path, self.answers):
            found = place.lstat()
            closed = _no_group(found) if place == self.path.parent else not stat.S_IMODE(found.st_mode) & 0o077
            if not (stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and closed):
                raise ClusterError(
                    f"{place} must be a folder of yours that nobody else may write to: jobs run what lies there.",
                    f"Choose another folder with --out, or take the right from others: chmod go-w {self.folder}",
                )

    def answered(self) -> set[str]:
        """List the files of answers that are there."""
        with contextlib.suppress(OSError):
            return {entry.name for entry in os.scandir(self.answers)}
        return set()

    def answer(self, row: LedgerRow) -> Mapping[str, str]:
        """Read what a job answered: an "error" with its "remedy", or nothing."""
        what = f"The answer of {row.name}"
        try:
            read = parse_json_object(read_inside(self.answers, row.answer, _LARGEST_ANSWER), what, error=RunError)
        except (OSError, RunError) as error:
            return {"error": f"what its job answered cannot be read: {error}"}
        return {key: str(value) for key, value in read.items()}

    def log(self, job: str) -> list[str]:
        """Give the last lines of a job's log; none if there is no log."""
        with contextlib.suppress(OSError), open_inside(self.folder, f"{JOBS}/{job}_0_log.out") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST))
            lines = file.read(_LAST).decode(errors="replace").strip().splitlines()
            return [printable(line)[:300] for line in lines]
        return []


def _no_group(found: os.stat_result) -> bool:
    """Say whether nobody but the owner may write to a folder; a group that is the owner's alone is nobody else."""
    if not found.st_mode & stat.S_IWGRP or found.st_mode & stat.S_IWOTH:
        return not found.st_mode & stat.S_IWOTH
    import grp
    import pwd

    try:
        own, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    return own == group.gr_name and not {*group.gr_mem} - {own}


def row_of(row: LedgerRow, answer: Mapping[str, str] | None, seen: SeenJob | None, line: str = "") -> JobRow:
    """Say how far a part is, by the `answer` of its job, None if there is none, and the scheduler's list."""
    if not row.token or (answer is not None and "error" not in answer):
        return JobRow(row.name, "done", row.job)
    if answer is not None:
        return JobRow(row.name, "failed", row.job, said=answer["error"])
    if row.cancelled:
        return JobRow(row.name, "failed", row.job, said="It was cancelled.")
    if seen is None or seen.runs is None:
        how = "is gone" if seen is None else f"ended as {seen.state}"
        return JobRow(row.name, "failed", row.job, said=f"Its job {how}. {GOES_ON}")
    if seen.runs:
        return JobRow(row.name, "running", seen.job, seen.node, seen.since, line)
    return JobRow(row.name, "waiting", seen.job, since=seen.since, said=seen.reason.removeprefix("None"))
