"""Writing to disk: whole or not at all, one process at a time, and with errors that name the folder."""

import contextlib
import errno
import glob
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from penlight.errors import HeldFolderError, RunError, StorageError

if TYPE_CHECKING:
    from filelock import SoftFileLease

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
"""The file in a folder that a process locks while it writes there."""

TOKEN = ".token"
"""The file in a folder by which other machines see that it is the same folder."""

PRIVATE_FILE = 0o600
"""Permissions of a file in the cache, which may hold patients' numbers and images: for its owner alone."""

PRIVATE_FOLDER = 0o700
"""Permissions of a folder in the cache."""

SILENT = 120.0
"""Where files cannot be locked, a process that has not been heard of for so many seconds is taken for dead."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
# Seconds between two looks at a lock that another process has; a server answers those of every node.
_LOOK_AGAIN, _LOOK_AGAIN_SHARED = 0.1, 1.0
# Where files cannot be locked, a temporary file that nobody has written to for so many seconds is an orphan.
_ORPHANED = 3600.0


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
    The folder must exist; the file is removed after. Where files cannot be locked it is a lease, see `_lease`."""
    from filelock import FileLock, Timeout

    can_lock = _can_lock(path.parent)
    lock = FileLock(path, mode=PRIVATE_FILE) if can_lock else _lease(path)
    again = _LOOK_AGAIN if can_lock else _LOOK_AGAIN_SHARED
    while not lock.is_locked:
        try:
            lock.acquire(timeout=-1 if wait else 0, poll_interval=again)
        except Timeout:
            yield False
            return
        except OSError as error:
            # On NFS, so ends the look at a file that another machine has removed.
            if error.errno != errno.ESTALE:
                raise
    try:
        yield True
    finally:
        if can_lock:
            # Removed while held: a process that waits on the removed file finds so and makes its own.
            with contextlib.suppress(OSError):
                path.unlink()
        lock.release()


def private_folder(path: Path) -> None:
    """Make a folder and the missing ones above it for their owner alone, and take from the folder itself what others
    may do with it, if it is there already. OSError if that fails."""
    for place in reversed([place for place in (path, *path.parents) if not place.exists()]):
        place.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    make_private(path)


def make_private(path: Path) -> None:
    """Take from a file or folder what others may do with it; one of another user stays as it is. Nothing on
    Windows, where the folder of a user's caches is closed to others."""
    if sys.platform == "win32":
        return
    now = path.stat()
    if stat.S_IMODE(now.st_mode) & 0o077 and now.st_uid == os.getuid():
        path.chmod(stat.S_IMODE(now.st_mode) & 0o700)


@contextlib.contextmanager
def folders(path: Path, *, private: bool = False) -> Iterator[None]:
    """Make a folder and its parents, for their owner alone if `private`; after an error inside the block remove those
    that were made and are empty."""
    made = [place for place in (path, *path.parents) if not place.exists()]
    if private:
        private_folder(path)
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


def short_path(path: Path) -> str:
    """Give a path as a file that may be handed on has it: from the working folder, or, of one elsewhere, its last
    name alone."""
    return from_working_folder(path) or path.name


def from_working_folder(path: Path) -> str | None:
    """Give a path from the working folder; None if that leads out of it."""
    if not path.is_absolute() and ".." not in path.parts:
        return str(path)
    for here, there in ((Path.cwd(), Path(os.path.abspath(path))), (Path.cwd().resolve(), path.resolve())):  # noqa: PTH100
        if there.is_relative_to(here):
            return there.relative_to(here).as_posix()
    return None


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last through a power cut, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file by way of a temporary one in the same folder, synced and renamed. OSError if that fails."""
    with writing_whole(path, private=private) as file:
        file.write(content)


@contextlib.contextmanager
def writing_whole(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """Give a temporary file to write; when the block ends well it is synced and takes the name `path`.

    It has the permissions of any new file, from the first byte, or those of its owner alone if `private`. What a
    killed process left of the same file is removed first; a process that still writes it is left alone.
    """
    remove_orphans(path.parent, path.name)
    handle, temporary = _own_part(path, PRIVATE_FILE if private else 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sys.platform != "win32":
                # Renamed while it is locked, so that nobody takes it for an orphan.
                Path(temporary).replace(path)
        if sys.platform == "win32":
            Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


# As `_own_part` names them, and tempfile.mkstemp did.
_PART = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.part")


class RefusedFileError(OSError):
    """A file in somebody else's folder that is not opened; `strerror` says why."""

    def __init__(self, reason: str, path: Path) -> None:
        super().__init__(errno.EPERM, reason, str(path))


def read_inside(folder: Path, name: str, largest: int) -> bytes:
    """Read a file of a folder that may have come from a stranger: see `open_inside`.

    RefusedFileError for more than `largest` bytes, too; another OSError if it is missing or cannot be read.
    """
    with open_inside(folder, name) as file:
        return _read_at_most(file, folder / name, largest)


def is_possible_path(text: str) -> bool:
    """Say whether a text may be a path at all: for a NUL, or a part of more than 255 bytes, systems raise an error of
    their own wherever it is looked for."""
    try:
        parts = [part.encode("utf-8", "surrogateescape") for part in text.replace("\\", "/").split("/")]
    except UnicodeEncodeError:
        return False
    return "\0" not in text and len(text) <= 4000 and max(map(len, parts)) <= 255


def read_named(path: Path, largest: int) -> bytes:
    """Read a file that the user named: see `open_named`.

    RefusedFileError for more than `largest` bytes, too; another OSError if it is missing or cannot be read.
    """
    with open_named(path) as file:
        return _read_at_most(file, path, largest)


def open_named(path: Path) -> IO[bytes]:
    """Open a file that the user named to read, which may be a link; RefusedFileError for a pipe or a device."""
    # A pipe that nobody writes to would be waited for.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise RefusedFileError("it is not a regular file", path)
    return file


def state_of(path: Path) -> tuple[int, ...]:
    """Say which file is at a path, and since when: one that is written anew has another state. Empty where there is
    none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def folder_inside(folder: Path, name: str) -> Path:
    """Give the path of a folder in or below another, by its plain relative name, which leads through no link.

    RefusedFileError for any other name, NotADirectoryError or FileNotFoundError if it is no folder.
    """
    with _opened_folder(folder, _require_parts(folder, name)):
        return folder / name


def _read_at_most(file: IO[bytes], path: Path, largest: int) -> bytes:
    n_bytes = os.fstat(file.fileno()).st_size
    if n_bytes <= largest:
        # As much memory is taken as is asked for. One byte more, as a file can grow while it is read.
        content = file.read(n_bytes + 1)
        if len(content) > n_bytes:
            content += file.read(largest - n_bytes)
        n_bytes = len(content)
    if n_bytes > largest:
        raise RefusedFileError(f"it has {n_bytes:,} bytes, more than {largest:,}", path)
    return content


def open_inside(folder: Path, name: str) -> IO[bytes]:
    """Open a file in or below a folder to read, and nothing else: `name` is a plain relative path with "/"; no link
    is followed on the way; pipes, devices and folders are refused without waiting for them.

    RefusedFileError for all of these; FileNotFoundError if it is not there. The folder itself may be a link, since
    whoever asks has named it.
    """
    path = folder / name
    parts = _require_parts(folder, name)
    if sys.platform == "win32":
        return _open_without_links(folder, parts)
    with _opened_folder(folder, parts[:-1]) as place:
        # A pipe that nobody writes to would be waited for.
        handle = _open_at(parts[-1], os.O_NONBLOCK, place, path)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise RefusedFileError("it is not a regular file", path)
    return os.fdopen(handle, "rb")


def _require_parts(folder: Path, name: str) -> tuple[str, ...]:
    parts = plain_parts(name)
    if parts is None:
        raise RefusedFileError("its name leads out of the folder", folder / name)
    return parts


@contextlib.contextmanager
def _opened_folder(folder: Path, inner: tuple[str, ...]) -> Iterator[Any]:
    """Give the descriptor of a folder, or of one below it that no link leads to; on Windows its path."""
    path = folder.joinpath(*inner)
    if sys.platform == "win32":
        for number in range(len(inner)):
            if _is_link_or_junction(folder.joinpath(*inner[: number + 1])):
                raise RefusedFileError("it is a link, and links are not followed", path)
        yield path
        return
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in inner:
            below = _open_at(part, os.O_DIRECTORY, place, path)
            os.close(place)
            place = below
        yield place
    finally:
        os.close(place)


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


def _is_link_or_junction(path: Path) -> bool:
    # Junctions are known from Python 3.12 on.
    return path.is_symlink() or bool(getattr(path, "is_junction", lambda: False)())


def _open_without_links(folder: Path, parts: tuple[str, ...]) -> IO[bytes]:
    """Do what `open_inside` does where files are not opened relative to folders; another process of the same user
    could change a part between the look and the opening."""
    path = folder
    for part in parts:
        path = path / part
        if _is_link_or_junction(path):
            raise RefusedFileError("it is a link, and links are not followed", path)
    if not path.is_file():
        raise (RefusedFileError("it is not a regular file", path) if path.exists() else FileNotFoundError(path))
    return path.open("rb")


def remove_orphans(folder: Path, name: str = "") -> None:
    """Remove temporary files of `writing_whole` whose process has ended: those of the file `name`, or all."""
    for part in regular_files(folder):
        found = _PART.fullmatch(part)
        if found is None or name not in ("", found["name"]):
            continue
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                (folder / part).unlink()  # refused there while a process has it open
                continue
            with open_inside(folder, part) as file:
                free = _locks(file.fileno(), shared=True)
                if free is None:
                    free = time.time() - os.fstat(file.fileno()).st_mtime > _ORPHANED
                if free:
                    remove_inside(folder, part)


def is_part(name: str) -> bool:
    """Say whether a file of this name is a temporary file of `writing_whole`."""
    return _PART.fullmatch(name) is not None


def regular_files(folder: Path, inner: str = "") -> list[str]:
    """List the names of the regular files in a folder, or in its folder `inner`, in alphabetical order; links and
    others are left out. An empty list if there is no such folder, or `inner` is a link."""
    return _listed(folder, inner, stat.S_ISREG)


def inner_folders(folder: Path) -> list[str]:
    """List the names of the folders in a folder, in alphabetical order; links are left out."""
    return _listed(folder, "", stat.S_ISDIR)


def links_in(folder: Path) -> list[str]:
    """List the names of the links in a folder, in alphabetical order."""
    return _listed(folder, "", stat.S_ISLNK)


def _listed(folder: Path, inner: str, kind: Callable[[int], bool]) -> list[str]:
    found = []
    below = (inner,) if inner else ()
    with contextlib.suppress(OSError), _opened_folder(folder, below) as place, os.scandir(place) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if kind(entry.stat(follow_symlinks=False).st_mode):
                    found.append(entry.name)
    return sorted(found)


def remove_inside(folder: Path, name: str) -> None:
    """Remove a regular file in or below a folder. Links are not followed on the way, and neither they nor folders are
    removed; OSError for them."""
    *before, last = _require_parts(folder, name)
    with _opened_folder(folder, tuple(before)) as place:
        if isinstance(place, int):
            if not stat.S_ISREG(os.stat(last, dir_fd=place, follow_symlinks=False).st_mode):
                raise RefusedFileError("it is not a regular file", folder / name)
            os.unlink(last, dir_fd=place)
        else:
            if (place / last).is_symlink():
                raise RefusedFileError("it is a link, and links are not followed", folder / name)
            (place / last).unlink()


def remove_empty_folder(folder: Path, name: str) -> None:
    """Remove an empty folder of a folder; OSError if it is a link or not empty."""
    _require_parts(folder, name)
    with _opened_folder(folder, ()) as place:
        if isinstance(place, int):
            os.rmdir(name, dir_fd=place)
        else:
            (place / name).rmdir()


def require_no_link(path: Path, remedy: str = "Remove the link, or choose another folder with --out.") -> None:
    """Raise RunError if a path is a link: what Penlight writes inside a folder it writes there, and nowhere else."""
    if path.is_symlink():
        raise RunError(f"{path} is a link, and links in a run folder are not followed.", remedy)


def _own_part(path: Path, mode: int) -> tuple[int, str]:
    """Make the temporary file of a file, locked for as long as it is open.

    The system itself takes the umask from `mode`. Asking for the umask would mean to change it, for all threads.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    while True:
        name = str(path.parent / f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            handle = os.open(name, flags, mode)
        except FileExistsError:
            continue
        # Before it was locked another process may have taken it for an orphan.
        if _locks(handle) is not False and Path(name).exists():
            return handle, name
        os.close(handle)


def _locks(handle: int, *, shared: bool = False) -> bool | None:
    """Lock an open file and say so, unless another process has; None where files cannot be locked. NFS has an
    exclusive lock of a file only for those who may write to it; one to be read is locked as `shared`."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


_lockable: dict[int, bool] = {}


def _can_lock(folder: Path) -> bool:
    """Say whether files in a folder can be locked; on some shared file systems they cannot. OSError if no file can be
    made there."""
    device = folder.stat().st_dev
    if device not in _lockable:
        with tempfile.TemporaryFile(dir=folder) as file:
            _lockable[device] = _locks(file.fileno()) is not None
    return _lockable[device]


def _lease(path: Path) -> "SoftFileLease":
    """Give a lock for where files cannot be locked: a file that is made by one process alone, which names it and
    which it touches again and again. Another process takes it over once that one is no more, or, of another machine,
    has not touched it for `SILENT` seconds."""
    from filelock import SoftFileLease

    return SoftFileLease(path, lease_duration=SILENT, mode=PRIVATE_FILE, thread_local=False)


def _locks_byte(handle: int) -> bool:
    """Do what `_locks` does on Windows, where a part of a file is locked."""
    if sys.platform == "win32":
        import msvcrt

        # Bytes far behind what is written, so that others can read who holds it.
        os.lseek(handle, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
    return True


class FolderHold:
    """The right to write a folder: one process has it at a time, and it ends with the process.

    Use it as a context. The folder is made, and removed again if nothing was written to it. HeldFolderError if
    another process has the right; StorageError if the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: _Lock | _Lease | None = None
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        """Take the folder."""
        with writing_to(self.folder, "Choose a folder you may write to, with --out."):
            self._made = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
            with folders(self.folder):
                require_no_link(self.folder / LOCK)
                self._lock = (_Lock if _can_lock(self.folder) else _Lease).take(self.folder / LOCK)
            if self._lock is None:
                raise HeldFolderError(
                    f"Another process{self._holder()} is writing {self.folder}.",
                    "Wait for it, or choose another folder with --out.",
                )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the folder back."""
        if self._lock is not None:
            self._lock.give_back()
            self._lock = None
        with contextlib.suppress(OSError):
            for place in self._made:
                place.rmdir()

    def _holder(self) -> str:
        try:
            text = read_inside(self.folder, LOCK, 1000).decode().strip()
        except (OSError, ValueError):
            return ""
        if found := _LEASED.match(text):
            text = f"{found['pid']} on {found['host']}"
        return f" ({text})" if text.isprintable() and text else ""


_LEASED = re.compile(r"filelock/2\npid=(?P<pid>\d+)\nhost=(?P<host>[^\n]+)\n")


class _Lock:
    """A lock file that this process holds; what it says of the holder is not needed. It is never a link's target."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle

    @classmethod
    def take(cls, path: Path) -> "_Lock | None":
        """Lock a file, which is made if need be; None if another process has it. OSError if it cannot be made."""
        while True:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            handle = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)
            taken = False
            try:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise RefusedFileError("it is not a regular file", path)
                locks = _locks_byte(handle) if sys.platform == "win32" else _locks(handle)
                if locks is None:
                    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(path))
                if not locks:
                    return None
                # Who had it may have removed the file in the meantime: then another process makes its own.
                taken = sys.platform == "win32" or _is_linked(handle)
                if taken:
                    with contextlib.suppress(OSError):
                        os.ftruncate(handle, 0)
                        os.write(handle, f"{os.getpid()} on {platform.node()}".encode())
                    return cls(path, handle)
            finally:
                if not taken:
                    os.close(handle)

    def give_back(self) -> None:
        """Remove the file, and the lock with it."""
        if sys.platform == "win32":
            os.close(self._handle)
        # Removed while held: a process that waits on the removed file finds so and makes its own.
        with contextlib.suppress(OSError):
            self._path.unlink()
        if sys.platform != "win32":
            os.close(self._handle)


def _is_linked(handle: int) -> bool:
    """Say whether an open file still has a name; NFS knows nothing more of one that another machine removed."""
    try:
        return os.fstat(handle).st_nlink > 0
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return False


class _Lease:
    """What `_Lock` is, where files cannot be locked."""

    def __init__(self, lease: "SoftFileLease") -> None:
        self._lease = lease

    @classmethod
    def take(cls, path: Path) -> "_Lease | None":
        """Take the lease of a file; None if a process of this machine has it, or one of another that is heard of: to
        find that out takes a third of `SILENT` seconds, and all of them where it is dead. OSError if it cannot be
        made."""
        from filelock import LeaseSettingsMismatch, Timeout

        lease, begun = _lease(path), time.monotonic()
        owner, heard = None, 0
        while not lease.is_locked:
            try:
                lease.acquire(timeout=0)
            except LeaseSettingsMismatch:
                return None
            except Timeout:
                owner = lease.owner or owner
                with contextlib.suppress(FileNotFoundError):
                    touched = path.stat().st_mtime_ns
                    if owner is not None and (owner.hostname == platform.node() or heard not in (0, touched)):
                        return None
                    heard = touched
                time.sleep(_LOOK_AGAIN_SHARED)
        if owner is not None and time.monotonic() - begun >= SILENT:
            warnings.warn(
                f"Process {owner.pid} on {owner.hostname} was writing {path.parent}, and has not been heard of for "
                f"{SILENT:g} s: it is taken for dead, and its work goes on here.",
                stacklevel=2,
            )
        return cls(lease)

    def give_back(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            self._lease.release()


def append_line(path: Path, line: str) -> None:
    """Add a line to a file of the cache, in one write, so that lines of several processes do not mix; the file and
    its folder are made if need be, for their owner alone. What was cut off before, as by a full disk, stays a line of
    its own. OSError if that fails."""
    private_folder(path.parent)
    with open(path, "a+b", buffering=0, opener=_private) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        content = f"{line}\n".encode()
        if file.write(content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)
