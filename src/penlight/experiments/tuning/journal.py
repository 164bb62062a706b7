"""Optuna's storage on a file, for those without a server: each change of a trial adds a line of JSON."""

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias

from optuna.exceptions import OptunaError
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileOpenLock

from penlight.disk import open_named, storage_error
from penlight.errors import PenlightError, StorageError, first_line
from penlight.parsing import parse_json_object
from penlight.records import Count, Finite, Flag, Name, Record, Text, Whole, check_record

SUFFIX = ".journal"
"""How the name of a journal ends."""

LARGEST = 256 << 20
"""Bytes of a journal that are read; 200 trials of 100 epochs on three folds have 9 MB."""

_LONGEST = 1 << 20  # bytes of a line
_BEGINS = b'{"op_code":'
_REMOVE = "Remove that line."
_ANOTHER = "Give another file with --storage, or another folder with --out."


Attributes: TypeAlias = dict[Name, Text | Flag | float | tuple[float, ...]]


class Change(Record):
    """A line of a journal: which of its fields there are depends on the kind of change, `op_code`."""

    op_code: Count
    worker_id: Name
    study_id: Count | None = None
    study_name: Name | None = None
    directions: tuple[Count, ...] | None = None
    trial_id: Count | None = None
    state: Count | None = None
    value: float | None = None
    values: tuple[float, ...] | None = None
    step: Whole | None = None
    intermediate_value: float | None = None
    intermediate_values: dict[Name, float] | None = None
    param_name: Name | None = None
    param_value_internal: Finite | None = None
    params: dict[Name, Finite] | None = None
    distribution: Text | None = None
    distributions: dict[Name, Text] | None = None
    datetime_start: Name | None = None
    datetime_complete: Name | None = None
    user_attr: Attributes | None = None
    user_attrs: Attributes | None = None
    system_attr: dict[Name, object] | None = None
    system_attrs: dict[Name, object] | None = None


class Journal(JournalStorage):
    """A storage on a file that several machines may write to. What is not as Optuna writes it is a StorageError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(_Lines(path))

    def _sync_with_backend(self) -> None:
        try:
            super()._sync_with_backend()
        except (OptunaError, PenlightError):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise StorageError(f"{self.path} has a line that Optuna cannot use: {reason}.", _ANOTHER) from error


class _Lines(BaseJournalBackend):
    """The lines of a journal.

    Optuna's own `JournalFileBackend` cannot read on once a process was killed, or the disk was full, in the middle of
    a line: here the next one that writes removes what is left of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0, 0  # how many lines, and bytes
        with _named(path):
            path.touch()
        with self._opened() as file:
            if not _BEGINS.startswith(begin := file.read(len(_BEGINS))):
                raise StorageError(f"{path} is not a journal of Optuna: it begins with {begin!r}.", _ANOTHER)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Give the lines after those that were read before, or all from 0. The last one may still be written."""
        number, offset = self._read if log_number_from == self._read[0] else (0, 0)
        damage: StorageError | None = None
        with self._opened() as file:
            file.seek(offset)
            while (line := file.readline(_LONGEST)).endswith(b"\n"):
                if damage is not None:
                    raise damage
                number, offset = number + 1, offset + len(line)
                what = f"Line {number:,} of {self._path}"
                try:
                    values = parse_json_object(line, what, _REMOVE, error=StorageError)
                    check_record(Change, values, what, _REMOVE, error=StorageError)
                except StorageError as error:
                    damage = error
                else:
                    self._read = number, offset
                    yield values
        if len(line) == _LONGEST:
            raise StorageError(f"A line of {self._path} has more than {_LONGEST:,} bytes.", _ANOTHER)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines behind the last whole one."""
        content = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs).encode()
        with locked_journal(self._path), self._path.open("a+b", buffering=0) as file:
            _remove_broken_end(file)
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        with _named(self._path), open_named(self._path) as file:
            if (size := os.fstat(file.fileno()).st_size) > LARGEST:
                raise StorageError(f"{self._path} has {size:,} bytes, more than {LARGEST:,}.", _ANOTHER)
            yield file


@contextlib.contextmanager
def locked_journal(path: Path) -> Iterator[None]:
    """Do what one process of all machines may do with a journal at a time.

    The lock is a file that one process alone can make, on NFS of version 3 and later too; it is broken when it has
    been there for 30 s. Optuna's other lock, a link, takes the age of what it leads to for its own, and waits forever
    where that is a relative path.
    """
    lock = JournalFileOpenLock(str(path))
    with _named(path):
        try:
            lock.acquire()
        except RuntimeError as error:
            # Stopped meanwhile, as by Ctrl-C, it is released without being held: what stopped this process is raised.
            raise _stopping(error) or error from None
        try:
            yield
        finally:
            # Another process may have broken the lock, as after this machine slept; what was done stays done.
            with contextlib.suppress(RuntimeError):
                lock.release()


def _stopping(error: BaseException | None) -> BaseException | None:
    """Find what stopped this process among the errors that an error followed from; None if it is none of them."""
    while isinstance(error, Exception):
        error = error.__context__
    return error


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error, path, "The same command goes on after the last trial.") from error


def _remove_broken_end(file: IO[bytes]) -> None:
    """Remove what a process that was killed, or found the disk full, wrote of a line."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 1))
    if file.read() not in (b"", b"\n"):
        start = file.seek(max(0, end - _LONGEST))
        file.truncate(start + file.read().rfind(b"\n") + 1)
