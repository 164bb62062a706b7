"""Writing to disk: whole or not at all, one process at a time, and with errors that name the folder."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from penlight.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def writing_to(folder: Path, remedy: str) -> Iterator[None]:
    """Turn an OSError inside the block into a StorageError that names the folder and ends with `remedy`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageError(
                f"The disk is full: {folder} cannot take more.", f"Free some space. {remedy}"
            ) from error
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}.", remedy) from error


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
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; wait for another process that holds it. The folder must exist; the file is removed after."""
    from filelock import FileLock

    with FileLock(path):
        try:
            yield
        finally:
            # Removed while held: a process that waits on the removed file finds so and makes its own.
            with contextlib.suppress(OSError):
                path.unlink()


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
    for left in folder.glob(f".{key}.*.part"):
        shutil.rmtree(left, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=f".{key}.", suffix=".part", dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


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
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files for the owner alone; a page is readable as any other file.
        Path(temporary).chmod(0o666 & ~umask())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def umask() -> int:
    """Give the permission bits that this process takes from new files."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
