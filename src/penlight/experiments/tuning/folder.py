"""The folder of a tuning: held by one command at a time, continued by the same command, refused to another."""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from penlight.disk import FolderHold, is_inside, remove_inside, remove_orphans, require_no_link
from penlight.errors import PenlightError, RunError
from penlight.experiments.tuning.setup import Setup, setup_of
from penlight.records import read_record
from penlight.records.groups import TuningRecord
from penlight.runs import write_bytes
from penlight.runs.files import json_text, read_file
from penlight.runs.folder import is_bare, is_untidy
from penlight.runs.groups import SETUP, open_group, unseal, write_group

DATABASE = "tune.db"
_ASK_LOCK = ".ask.lock"
_RESULTS = ("best.toml", "trials.csv", "report.html")
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
        with contextlib.suppress(OSError):
            remove_inside(self.path, _ASK_LOCK)
        self._hold.__exit__(kind, error, trace)

    def _claim(self) -> None:
        # Written through their names by SQLite and by the lock, which would follow a link.
        for name in (DATABASE, *(f"{DATABASE}-{end}" for end in ("journal", "wal", "shm")), _ASK_LOCK):
            require_no_link(self.path / name)
        if not os.path.lexists(self.path / SETUP):
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
        """Say that the tuning is complete, and seal what it wrote but for the database, which may grow: the next one
        of the same setup takes a new folder by default."""
        found = {name: read_file(self.path, name) for name in _RESULTS if is_inside(self.path, name)}
        write_group(self.path, "tuning", {**found, SETUP: self._content(finished=False)}, {})
        # Only what is sealed is finished: cut off before, the same command goes on here.
        write_group(self.path, "tuning", {SETUP: self._content(finished=True)}, {})

    def _mark(self, *, finished: bool) -> None:
        unseal(self.path)
        write_bytes(self.path / SETUP, self._content(finished=finished))

    def _content(self, *, finished: bool) -> bytes:
        return json_text(self.setup.record(finished=finished)).encode()

    @property
    def ask_lock(self) -> Path:
        """The file that one worker locks while it decides what to try."""
        return self.path / _ASK_LOCK


def read_setup(path: Path) -> Setup:
    """Read what a folder's tuning searches. RunError if it cannot be read."""
    try:
        return setup_of(_read(path))
    except PenlightError as error:
        raise RunError(f"{path / SETUP} is missing or damaged. {error.problem}", _REMEDY) from error


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
        whole = _read(folder).finished and open_group(folder).is_settled and not is_untidy(folder)
        return not whole and read_setup(folder) == setup
    except RunError:
        return False


def _read(path: Path) -> TuningRecord:
    return read_record(TuningRecord, open_group(path).read(SETUP), str(path / SETUP))
