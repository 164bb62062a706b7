"""The folder of a tuning: held by one command at a time, continued by the same command, refused to another."""

import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from penlight.disk import FolderHold, remove_orphans
from penlight.errors import PenlightError, RunError
from penlight.runs import write_json
from penlight.runs.folder import is_bare, is_untidy
from penlight.training.tuning.setup import Setup, setup_from_dict

SETUP = "tune.json"
DATABASE = "tune.db"
_ASK_LOCK = ".ask.lock"
_REMEDY = "Choose another folder with --out."


class TuningFolder:
    """Holds a folder for one command. RunError if another one holds it, or if it has other contents.

    A finished tuning of the same setup may be opened again, to go on to more trials.
    """

    def __init__(self, path: Path, setup: Setup) -> None:
        self.path, self.setup = path, setup
        self._hold = FolderHold(path)

    def __enter__(self) -> Self:
        """Take the lock and claim the folder."""
        with contextlib.ExitStack() as held:
            held.enter_context(self._hold)
            self._claim()
            held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back."""
        self.ask_lock.unlink(missing_ok=True)
        self._hold.__exit__(kind, error, trace)

    def _claim(self) -> None:
        if not (self.path / SETUP).exists():
            if not is_bare(self.path):
                raise RunError(f"{self.path} is not empty, and not a tuning.", _REMEDY)
        elif read_setup(self.path) != self.setup:
            raise RunError(
                f"{self.path} holds a tuning of another recipe, space, sampler, seed or dataset.",
                f"{_REMEDY} Or repeat the command that began it.",
            )
        remove_orphans(self.path)
        self._mark(finished=False)

    def finish(self) -> None:
        """Say that the tuning is complete: the next one of the same setup takes a new folder by default."""
        self._mark(finished=True)

    def _mark(self, *, finished: bool) -> None:
        write_json(self.path / SETUP, {"schema": 1, **self.setup.to_dict(), "finished": finished})

    @property
    def ask_lock(self) -> Path:
        """The file that one worker locks while it decides what to try."""
        return self.path / _ASK_LOCK


def read_setup(path: Path) -> Setup:
    """Read what a folder's tuning searches. RunError if it cannot be read."""
    try:
        return setup_from_dict(_read(path))
    except (OSError, ValueError, KeyError, TypeError, PenlightError) as error:
        raise RunError(f"{path / SETUP} is missing or damaged.", _REMEDY) from error


def default_folder(setup: Setup) -> Path:
    """Find the next free runs/<dataset>-tune-<n>, or the unfinished one of this very setup."""
    for number in range(1, 10_000):
        folder = Path("runs") / f"{setup.dataset}-tune-{number}"
        if not folder.exists() or _continues(folder, setup):
            return folder
    raise RunError(f"There are 10,000 folders named runs/{setup.dataset}-tune-*.", _REMEDY)


def _continues(folder: Path, setup: Setup) -> bool:
    try:
        if is_bare(folder):
            return True
        return (not _read(folder)["finished"] or is_untidy(folder)) and read_setup(folder) == setup
    except (OSError, ValueError, KeyError, TypeError, RunError):
        return False


def _read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((path / SETUP).read_text(encoding="utf-8"))
    return values
