"""Jobs of a scheduler, as they are seen from outside: what `pl.jobs`, `--detach` and `--status` give."""

from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import Field

from penlight.experiments.executors.work import JobState
from penlight.numbers import counted
from penlight.records import Name, Record, Text

STATES: tuple[JobState, ...] = ("running", "waiting", "done", "failed")


class JobRow(Record):
    """A part of an experiment that is done by a job: its `name` within the experiment, and how far it is.

    `job` is the scheduler's number of its last try, empty where none was needed; `since` when that was submitted, or
    began to run, as the scheduler writes times; `said` the last line of its log, or why it failed.
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

    def __repr__(self) -> str:
        counts = ", ".join(f"{number:,} {state}" for state in STATES if (number := self.count(state)))
        return f"Jobs({str(self.folder)!r}, {counted(len(self.rows), 'part')}: {counts or 'none'})"
