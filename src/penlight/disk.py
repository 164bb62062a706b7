"""Writing to disk: whole or not at all, one process at a time, and with errors that name the folder."""

import contextlib
import errno
import glob
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from penlight.errors import RunError, StorageError

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
"""The file in a folder that a process locks while it writes there."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def writing_to(folder: Path, remedy: str) -> Iterator[None]:
    """Turn an OSError inside the block into a StorageError that names the folder and ends with `remedy`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, folder, remedy) from error


def storage_error(error: OSError, folder: Path | None, remedy: str) -> StorageError:
    """Give the named error for an OSError met while writing to a folder; None stands for the error's own file."""
    place = folder or error.filename or "a file"
    if error.errno in _FULL:
        return StorageError(f"The disk is full: {place} cannot take more.", f"Free some space. {remedy}")
    return StorageError(f"{place} cannot be written: {error.strerror or error}.", remedy)


def require_space(folder: Path, n_bytes: int, remedy: str) -> None:
    """Raise StorageError if the disk that holds `folder`, which need not exist yet, has less than `n_bytes` free."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    with writing_to(folder, remedy):
        free = shutil.disk_usage(there).free
    if free < n_bytes:
        raise StorageError(
            f"{folder} needs {n_bytes / 1e6:,.0f} MB, and its disk has {free / 1e6:,.0f} MB free.",
            f"Free some space. {remedy}",
        )


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock file, and give True; where another process holds it, wait for it, or give False if not to `wait`.
    The folder must exist; the file is removed after."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        # Removed while held: a process that waits on the removed file finds so and makes its own.
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()


@contextlib.contextmanager
def folders(path: Path) -> Iterator[None]:
    """Make a folder and its parents; after an error inside the block remove those that were made and are empty."""
    made = [place for place in (path, *path.parents) if not place.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for place in made:
                place.rmdir()
        raise


@contextlib.contextmanager
def temporary_folder(folder: Path, key: str) -> Iterator[Path]:
    """Give an empty folder beside what will be written under `key`, and remove it after, unless it was renamed.

    What a killed process left under the same key is removed first, so the caller must hold the lock of that key.
    """
    remove_temporary_folders(folder, key)
    path = Path(tempfile.mkdtemp(prefix=f".{key}.", suffix=".part", dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def remove_temporary_folders(folder: Path, key: str) -> None:
    """Remove what a killed process left of `temporary_folder`; the caller must hold the lock of the key."""
    for left in folder.glob(f".{glob.escape(key)}.*.part"):
        shutil.rmtree(left, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last through a power cut, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file by way of a temporary one in the same folder, synced and renamed. OSError if that fails."""
    with writing_whole(path) as file:
        file.write(content)


@contextlib.contextmanager
def writing_whole(path: Path) -> Iterator[IO[bytes]]:
    """Give a temporary file to write; when the block ends well it is synced and takes the name `path`.

    What a killed process left of the same file is removed first; a process that still writes it is left alone.
    """
    remove_orphans(path.parent, path.name)
    handle, temporary = _own_part(path)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            # mkstemp makes files for the owner alone; a page is readable as any other file.
            Path(temporary).chmod(0o666 & ~umask())
            if sys.platform != "win32":
                # Renamed while it is locked, so that nobody takes it for an orphan.
                Path(temporary).replace(path)
        if sys.platform == "win32":
            Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def remove_orphans(folder: Path, name: str = "") -> None:
    """Remove temporary files of `writing_whole` whose process has ended: those of the file `name`, or all."""
    for part in folder.glob(f".{glob.escape(name)}*.part"):
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                part.unlink()  # refused there while a process has it open
                continue
            with part.open("r+b") as file:
                if _locks(file.fileno()):
                    part.unlink()


def _own_part(path: Path) -> tuple[int, str]:
    """Make the temporary file of a file, locked for as long as it is open."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        # Before it was locked another process may have taken it for an orphan.
        if _locks(handle) and Path(name).exists():
            return handle, name
        os.close(handle)


def _locks(handle: int) -> bool:
    """Lock an open file and say so, unless another process has; True too where files cannot be locked."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


class FolderHold:
    """The right to write a folder: one process has it at a time, and it ends with the process.

    Use it as a context. The folder is made, and removed again if nothing was written to it. RunError if another
    process has the right; StorageError if the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock

        self.folder = folder
        self._lock = FileLock(folder / LOCK)
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        """Take the folder."""
        from filelock import Timeout

        with writing_to(self.folder, "Choose a folder you may write to, with --out."):
            self._made = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise RunError(
                    f"Another process{self._holder()} is writing {self.folder}.",
                    "Wait for it, or choose another folder with --out.",
                ) from None
            # Who holds it is told to others, but not needed.
            with contextlib.suppress(OSError):
                (self.folder / LOCK).write_text(f"{os.getpid()} on {platform.node()}", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the folder back."""
        # Removed while held: a process that waits on the removed file finds so and makes its own.
        with contextlib.suppress(OSError):
            (self.folder / LOCK).unlink()
        self._lock.release()
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                (self.folder / LOCK).unlink(missing_ok=True)
            for place in self._made:
                place.rmdir()

    def _holder(self) -> str:
        try:
            return f" ({text})" if (text := (self.folder / LOCK).read_text(encoding="utf-8").strip()) else ""
        except (OSError, ValueError):
            return ""


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, in one write, so that lines of several processes do not mix; the file and its folder are
    made if need be. What was cut off before, as by a full disk, stays a line of its own. OSError if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        content = f"{line}\n".encode()
        if file.write(content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(file.fileno())


def umask() -> int:
    """Give the permission bits that this process takes from new files."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
