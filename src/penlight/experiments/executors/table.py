"""How far the parts of an experiment are that are done elsewhere: counted by row, with the time left."""

import contextlib
import html
import re
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from penlight.errors import RunError
from penlight.escaping import printable
from penlight.experiments.executors.work import JobState
from penlight.numbers import counted, time_text
from penlight.records import Record
from penlight.runs import open_run

if TYPE_CHECKING:
    from penlight.experiments.executors.jobs import Jobs

STATES: tuple[JobState, ...] = ("waiting", "running", "done", "failed")
HEADS = ("", *STATES, "time left")

_GAP = "  "
_FAILURES_SHOWN = 3


class JobEvent(Record):
    """What became of a part of an experiment: its `state` from a `time` on, in seconds since 1970; `about` says where
    it runs, or why it failed, as the last line of its log has it."""

    time: float
    name: str
    state: JobState
    about: str

    @property
    def words(self) -> str:
        """Say it in a line."""
        mark = ": " if self.state == "failed" else ", "
        return f"{self.name} {self.state}{mark}{self.about}" if self.about else f"{self.name} {self.state}"


@dataclass(frozen=True)
class JobCounts:
    """How many parts of a row are in each of `STATES`, and the `seconds` that they will take yet, as far as these are
    known: of some they are not unless `is_known`."""

    row: str
    counts: tuple[int, ...]
    seconds: float = 0.0
    is_known: bool = True

    @property
    def cells(self) -> tuple[str, ...]:
        """The line of a table under `HEADS`."""
        return printable(self.row), *map(str, self.counts), time_text(self.seconds, self.is_known)

    @property
    def words(self) -> str:
        """Say it in a line."""
        said = [f"{n} {state}" for n, state in zip(self.counts, STATES, strict=True) if n]
        left = time_text(self.seconds, self.is_known)
        return ", ".join([*said, *([f"{left} left"] if left else [])])


class JobTable:
    """The parts of an experiment by name, as a place tells of them, in any thread. Of a list that `grows` it is not
    known how many there will be, and so no time is."""

    def __init__(self, *, grows: bool = False) -> None:
        self._grows = grows
        self._jobs: dict[str, JobEvent] = {}
        self._states: Counter[JobState] = Counter()
        self._seconds: dict[str, list[float]] = {}
        self._at_once = 1
        self._lock = threading.Lock()

    def tell(self, event: JobEvent) -> bool:
        """Take in what became of a part; False if that was known."""
        with self._lock:
            before = self._jobs.get(event.name)
            if before is not None and (before.state, before.about) == (event.state, event.about):
                return False
            self._jobs[event.name] = event
            self._states[event.state] += 1
            if before is not None:
                self._states[before.state] -= 1
            if event.state == "running":
                self._at_once = self._states["running"]
            elif event.state == "done" and before is not None and before.state == "running":
                self._seconds.setdefault(row_of(event.name), []).append(event.time - before.time)
            return True

    @property
    def done(self) -> int:
        """How many parts are done."""
        return self._states["done"]

    @property
    def total(self) -> int:
        """How many parts there are."""
        return len(self._jobs)

    @property
    def open(self) -> int:
        """How many parts wait or run."""
        return self._states["waiting"] + self._states["running"]

    @property
    def failed(self) -> list[JobEvent]:
        """The parts that failed, the last first."""
        with self._lock:
            failed = [event for event in self._jobs.values() if event.state == "failed"]
        return sorted(failed, key=lambda event: -event.time)

    def rows(self) -> list[JobCounts]:
        """Count the parts of each row, in the order in which rows were told of, and those of all rows, last."""
        with self._lock:
            by_row: dict[str, list[JobEvent]] = {}
            for event in self._jobs.values():
                by_row.setdefault(row_of(event.name), []).append(event)
            # Between the end of one part and the begin of the next, as many run as before.
            slots = max(1, self._at_once if self._states["waiting"] else self._states["running"])
            rows = [self._row(row, events, slots) for row, events in by_row.items()]
        counts = tuple(map(sum, zip(*(row.counts for row in rows), strict=True)))
        return [*rows, JobCounts("all", counts, sum(r.seconds for r in rows), all(r.is_known for r in rows))]

    def _row(self, row: str, events: Sequence[JobEvent], slots: int) -> JobCounts:
        counts = tuple(sum(event.state == state for event in events) for state in STATES)
        known = self._seconds.get(row)
        if self._grows or not known:
            return JobCounts(row, counts, 0.0, self._grows or not counts[0] + counts[1])
        mean, now = sum(known) / len(known), time.time()
        begun = sum(max(0.0, mean - (now - event.time)) for event in events if event.state == "running")
        return JobCounts(row, counts, (counts[0] * mean + begun) / slots)

    def lines(self, width: int, most: int | None = None) -> list[str]:
        """Write rows as lines of a table of so many columns of text; where that is too narrow, as a sentence each. Of
        more than `most` rows those that are at work come first, and the others are counted."""
        *rows, whole = self.rows()
        left_over = 0 if most is None else max(0, len(rows) - most)
        if left_over:
            rows = sorted(rows, key=lambda row: not row.counts[1])[:most]
        more = [f"and {counted(left_over, 'more row')}"] if left_over else []
        shown = [*rows, *([whole] if len(rows) + left_over > 1 else [])]
        table = _cells(shown)
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        if sum(widths) + len(_GAP) * (len(widths) - 1) > width:
            return [line for row in shown for line in _wrapped(f"{row.cells[0]}: {row.words}", width)] + more
        return [_line(cells, widths) for cells in table] + more

    def failure_lines(self, width: int) -> list[str]:
        """Name the parts that failed last, with the last lines of their logs."""
        failed = self.failed
        lines = [line for event in failed[:_FAILURES_SHOWN] for line in _wrapped(printable(event.words), width)]
        more = len(failed) - _FAILURES_SHOWN
        return [*lines, *([f"and {more} more failed"] if more > 0 else [])]

    def to_html(self) -> str:
        """Give the table for a notebook."""
        *rows, whole = self.rows()
        table = _cells([*rows, *([whole] if len(rows) > 1 else [])])
        lines = ["".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
                 for tag, cells in zip(("th", *("td" for _ in table[1:])), table, strict=True)]  # fmt: skip
        failures = "".join(f"<div>{html.escape(line)}</div>" for line in self.failure_lines(_ENDLESS))
        return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>{failures}"


_ENDLESS = 10_000


def table_of(jobs: "Jobs") -> JobTable:
    """Count the jobs of a folder; what a part takes is what the runs that are done took."""
    table, now = JobTable(), time.time()
    for row in jobs.rows:
        table.tell(JobEvent(now, row.name, "waiting", ""))
    for row in sorted(jobs.rows, key=lambda row: row.state == "running"):
        begun = now
        with contextlib.suppress(RunError, KeyError, TypeError, ValueError):
            if row.state == "running":
                begun = datetime.fromisoformat(row.since).timestamp()
            elif row.state == "done":
                run = open_run(jobs.folder / row.name)
                table.tell(JobEvent(now - run.provenance["durations"]["total"], row.name, "running", ""))
        table.tell(JobEvent(begun, row.name, row.state, row.said))
    return table


def row_of(name: str) -> str:
    """Name the row of a study that a part is of, or what it is one of: "seeds", "folds", "trials", "parts"."""
    above, _, own = name.rpartition("/")
    return above or re.sub(r"^([a-z]+)-\d+( to \1-\d+)?$", r"\1s", own)


def _cells(rows: Sequence[JobCounts]) -> list[tuple[str, ...]]:
    """Give heads and rows, without the time left where no row has one."""
    table = [HEADS, *(row.cells for row in rows)]
    return table if any(row[-1] for row in table[1:]) else [row[:-1] for row in table]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    right = (number in range(1, 1 + len(STATES)) for number in range(len(cells)))
    aligned = (
        cell.rjust(width) if is_number else cell.ljust(width)
        for cell, width, is_number in zip(cells, widths, right, strict=True)
    )
    return _GAP.join(aligned).rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=_GAP)
