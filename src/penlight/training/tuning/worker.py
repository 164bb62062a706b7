"""One worker process: reads its task as a line of JSON from standard input, and runs trials until it is done."""

import os
import sys
import threading
from pathlib import Path

from penlight.data import apply_view, open_referenced
from penlight.errors import PenlightError
from penlight.parsing import parse_json_object
from penlight.training.loop import Epoch
from penlight.training.tuning.folder import DATABASE, TuningFolder, read_setup
from penlight.training.tuning.search import TrialLimits, open_study, quiet, run_trials, sqlite_url, storage_kept


class _Silent:
    def trial(self, done: int, planned: int | None, best: float, seconds_left: float | None) -> None:
        """See `TuningProgress.trial`."""

    def epoch(self, row: Epoch, planned: int) -> None:
        """See `TuningProgress.epoch`."""


def main() -> None:
    """Run trials of the folder that the first line names; exit code 1 and a last line that says why, if it fails."""
    task = parse_json_object(sys.stdin.readline(), "The task of a worker")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _work(Path(task["folder"]), task["storage"], TrialLimits(task["trials"], task["deadline"]))
    except PenlightError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


def _work(path: Path, storage: str | None, limits: TrialLimits) -> None:
    setup = read_setup(path)
    data = setup.recipe.data
    view = apply_view(open_referenced(data.dataset, data.size), data.view)
    url = storage or sqlite_url(path / DATABASE)
    with quiet(), storage_kept(url):
        study = open_study(url, setup, shared=storage is not None)
        run_trials(study, setup, view, limits, TuningFolder(path, setup).ask_lock, _Silent())


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
