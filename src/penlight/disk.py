"""Writing to disk: whole or not at all, one process at a time, and with errors that name the folder."""

import contextlib
import errno
import glob
import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
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


class RefusedFileError(OSError):
    """A file in somebody else's folder that is not opened; `strerror` says why."""

    def __init__(self, reason: str, path: Path) -> None:
        super().__init__(errno.EPERM, reason, str(path))


def read_inside(folder: Path, name: str, largest: int) -> bytes:
    """Read a file of a folder that may have come from a stranger: see `open_inside`.

    RefusedFileError for more than `largest` bytes, too; another OSError if it is missing or cannot be read.
    """
    with open_inside(folder, name) as file:
        n_bytes = os.fstat(file.fileno()).st_size
        if n_bytes <= largest:
            # One byte more than it may have, as a file can grow while it is read.
            content = file.read(largest + 1)
            n_bytes = len(content)
        if n_bytes > largest:
            raise RefusedFileError(f"it has {n_bytes:,} bytes, more than {largest:,}", folder / name)
        return content


def open_inside(folder: Path, name: str) -> IO[bytes]:
    """Open a file in or below a folder to read, and nothing else: `name` is a plain relative path with "/"; no link
    is followed on the way; pipes, devices and folders are refused without waiting for them.

    RefusedFileError for all of these; FileNotFoundError if it is not there. The folder itself may be a link, since
    whoever asks has named it.
    """
    path = folder / name
    parts = plain_parts(name)
    if parts is None:
        raise RefusedFileError("its name leads out of the folder", path)
    if sys.platform == "win32":
        return _open_without_links(folder, parts)
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = _open_at(part, os.O_DIRECTORY, place, path)
            os.close(place)
            place = inner
        # A pipe that nobody writes to would be waited for.
        handle = _open_at(parts[-1], os.O_NONBLOCK, place, path)
    finally:
        os.close(place)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise RefusedFileError("it is not a regular file", path)
    return os.fdopen(handle, "rb")


def plain_parts(name: str) -> tuple[str, ...] | None:
    """Give the parts of a plain relative path with "/"; None for one that is absolute, empty, or leads up, on any
    system."""
    parts = PurePosixPath(name).parts
    # What separates parts, or begins another drive, on Windows does so here too: a folder may have come from there.
    strange = not parts or name.startswith("/") or "\\" in name or "\0" in name or name[1:2] == ":"
    return None if strange or any(part in ("..", ".") for part in name.split("/")) else parts


def is_inside(folder: Path, name: str) -> bool:
    """Say whether `open_inside` would open a file."""
    try:
        open_inside(folder, name).close()
    except OSError:
        return False
    return True


def _open_at(name: str, flags: int, folder: int, path: Path) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
    except OSError as error:
        # ELOOP, or ENOTDIR where a folder was wanted: a link.
        if error.errno in (errno.ELOOP, errno.EMLINK) or _is_link(name, folder):
            raise RefusedFileError("it is a link, and links are not followed", path) from error
        raise OSError(error.errno, error.strerror, str(path)) from error


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _open_without_links(folder: Path, parts: tuple[str, ...]) -> IO[bytes]:
    """Do what `open_inside` does where files are not opened relative to folders; another process of the same user
    could change a part between the look and the opening."""
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink() or path.is_junction():  # type: ignore[attr-defined,unused-ignore]
            raise RefusedFileError("it is a link, and links are not followed", path)
    if not path.is_file():
        raise (RefusedFileError("it is not a regular file", path) if path.exists() else FileNotFoundError(path))
    return path.open("rb")


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
