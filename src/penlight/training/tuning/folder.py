"""The folder of a tuning: held by one command at a time, continued by the same command, refused to another."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from penlight.disk import writing_to
from penlight.errors import PenlightError, RunError
from penlight.runs import write_json
from penlight.training.tuning.setup import Setup, setup_from_dict

SETUP = "tune.json"
DATABASE = "tune.db"
_LOCK = ".lock"
_ASK_LOCK = ".ask.lock"
_REMEDY = "Choose another folder with --out."


class TuningFolder:
    """Holds a folder for one command. RunError if another one holds it, or if it has other contents.

    A finished tuning of the same setup may be opened again, to go on to more trials.
    """

    def __init__(self, path: Path, setup: Setup) -> None:
        self.path, self.setup = path, setup
        self._lock = FileLock(path / _LOCK)

    def __enter__(self) -> Self:
        """Take the lock and claim the folder."""
        with writing_to(self.path, _REMEDY):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise RunError(f"Another process is tuning in {self.path}.", f"Wait for it. {_REMEDY}") from None
        try:
            self._claim()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back."""
        self._release()

    def _release(self) -> None:
        self._lock.release()
        for name in (_LOCK, _ASK_LOCK):
            (self.path / name).unlink(missing_ok=True)

    def _claim(self) -> None:
        for leftover in self.path.glob(".*.part"):
            leftover.unlink(missing_ok=True)
        if not (self.path / SETUP).exists():
            if any(p.name != _LOCK for p in self.path.iterdir()):
                raise RunError(f"{self.path} is not empty, and not a tuning.", _REMEDY)
        elif read_setup(self.path) != self.setup:
            raise RunError(
                f"{self.path} holds a tuning of another recipe, space, sampler, seed or dataset.",
                f"{_REMEDY} Or repeat the command that began it.",
            )
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
        return not _read(folder)["finished"] and read_setup(folder) == setup
    except (OSError, ValueError, KeyError, TypeError, RunError):
        return False


def _read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((path / SETUP).read_text(encoding="utf-8"))
    return values
