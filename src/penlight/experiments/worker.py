"""A process that does work of an experiment: each line of standard input is a job in JSON, and each that is done is
answered by a line on standard output."""

import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from penlight.errors import PenlightError
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.parsing import parse_json_object


def _run(job: Mapping[str, Any], data: OpenedData) -> None:
    from penlight.experiments.run import RunSpec

    RunSpec.of_job(job).do(data, ProgressListener())


def _trial(job: Mapping[str, Any], data: OpenedData) -> None:
    from penlight.experiments.tuning.search import TrialSpec

    TrialSpec.of_job(job).do(data, ProgressListener())


TASKS: dict[str, Callable[[Mapping[str, Any], OpenedData], None]] = {"run": _run, "trial": _trial}
"""What a process may be asked for, by name."""


def main() -> None:
    """Do jobs until there are no more; exit code 1 and a last line that says why if one fails."""
    # What libraries print must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(jobs,), daemon=True).start()
    data = OpenedData(ProgressListener())
    while True:
        job = parse_json_object(jobs.get(), "The job of a process")
        try:
            TASKS[job["task"]](job, data)
        except PenlightError as error:
            sys.stderr.write(f"{error.text}\n")
            sys.exit(1)
        answers.write("done\n")


def _read(jobs: "queue.SimpleQueue[str]") -> None:
    """Read jobs, also while one is done: the end of input is that of the process that asks, and so of this one."""
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
