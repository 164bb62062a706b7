"""What does the work of an experiment elsewhere: `do_job`, of a job in JSON.

As a process, each line of standard input is a job, and each is answered by a line on standard output.
"""

import contextlib
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from penlight.errors import PenlightError, first_line
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.parsing import parse_json_object


def _run(job: Mapping[str, Any], data: OpenedData) -> None:
    from penlight.experiments.run import RunSpec

    RunSpec.of_job(job).do(data, data.listener)


def _trial(job: Mapping[str, Any], data: OpenedData) -> None:
    from penlight.experiments.tuning.search import TrialSpec

    TrialSpec.of_job(job).do(data, data.listener)


def _predict(job: Mapping[str, Any], data: OpenedData) -> None:
    from penlight.experiments.parts import PartsWork

    PartsWork.of_job(job).do(data, ProgressListener())


def _prepare(job: Mapping[str, Any], data: OpenedData) -> None:
    from penlight.experiments.executors.prepare import Prepare

    Prepare.of_job(job).do(data, ProgressListener())


TASKS: dict[str, Callable[[Mapping[str, Any], OpenedData], None]] = {
    "run": _run,
    "trial": _trial,
    "predict": _predict,
    "prepare": _prepare,
}
"""What may be asked for elsewhere, by name."""


def do_job(job: Mapping[str, Any], data: OpenedData) -> dict[str, str]:
    """Do a job, and give nothing, or the "error" that it ended with and its "remedy". One that comes from another
    machine has a "check" of what must be the same here, see `prepare.submitted_to`."""
    try:
        if "check" in job:
            from penlight.experiments.executors.prepare import require_same

            require_same(job["check"])
        TASKS[job["task"]](job, data)
    except PenlightError as error:
        return {"error": error.problem, "remedy": error.remedy}
    except Exception as error:
        # Where the disk is full, the log is, too.
        with contextlib.suppress(OSError):
            traceback.print_exc()
        return {"error": f"{type(error).__name__}: {first_line(error)}"}
    return {}


def main() -> None:
    """Do jobs until there are no more."""
    # What libraries print must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(jobs,), daemon=True).start()
    data = OpenedData(ProgressListener())
    while True:
        answer = do_job(parse_json_object(jobs.get(), "The job of a process"), data)
        answers.write(json.dumps(answer) + "\n")


def _read(jobs: "queue.SimpleQueue[str]") -> None:
    """Read jobs, also while one is done: the end of input is that of the process that asks, and so of this one."""
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


if __name__ == "__main__":
    # By its name, as those see it that add to TASKS.
    from penlight.experiments.executors import worker

    worker.main()
