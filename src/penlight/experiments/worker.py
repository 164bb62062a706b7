"""A process that does one job: it reads what it is asked for as a line of JSON from standard input."""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from penlight.errors import PenlightError
from penlight.parsing import parse_json_object


def _trials(arguments: dict[str, Any]) -> None:
    from penlight.experiments.tuning.search import work_on_folder

    work_on_folder(**arguments)


TASKS: dict[str, Callable[[dict[str, Any]], None]] = {"trials": _trials}
"""What a process may be asked for, by name."""


def main() -> None:
    """Do the job of the first line; exit code 1 and a last line that says why, if it fails."""
    job = parse_json_object(sys.stdin.readline(), "The job of a process")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        TASKS[job.pop("task")](job)
    except PenlightError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
