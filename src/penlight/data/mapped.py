"""The store: each npz once turned into a folder of memory-mapped arrays, under the cache folder.

    store/<name>-<size>-<first 12 digits of the npz's MD5>/
      about.json  train_images.npy  train_labels.npy  [train_patients.npy  train_age.npy]  ...

All of it is for its owner alone, as it holds images and numbers of patients. A folder is there whole or not at all,
and it is known again by the size and time of the npz, without hashing that.
One made of pictures has the hash of its arrays instead, and is known again by a fingerprint of the paths, sizes and
times of the pictures.
"""

import contextlib
import filecmp
import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from penlight import disk
from penlight.data.arrays import NAMES, check_layout, splits_of
from penlight.data.dataset import DatasetInfo, Split
from penlight.data.folders import cache_folder, private_cache_folder
from penlight.data.npz import Header, copy_array, map_array, read_headers
from penlight.data.pictures import OriginalPictures
from penlight.data.progress import byte_progress
from penlight.errors import DataError
from penlight.records import Record, json_text, read_record

_SCHEMA = 1
_REMEDY = "Set PENLIGHT_CACHE to a folder you may write to, on a disk with room."
_BLOCK = 1 << 20
_LARGEST_ABOUT = 1 << 20


class StoredDataset(Record):
    """What about.json says of a folder of the store: the npz it was made from, and the bytes of each file in it;
    `fingerprint` is that of pictures, empty for an npz, and `place` a hash of where an npz lay; `originals` says what
    pictures were like, None for an npz and in folders of earlier versions."""

    name: str
    size: int
    md5: str
    source: str
    source_bytes: int
    source_mtime_ns: int
    files: Mapping[str, int]
    schema: int = _SCHEMA
    fingerprint: str = ""
    place: str = ""
    originals: OriginalPictures | None = None

    @property
    def folder(self) -> Path:
        """Give the folder itself."""
        return _store() / f"{self.name}-{self.size}-{self.md5[:12]}"


def find_mapped(
    name: str, size: int, npz: Path | None, md5: str | None, places: Sequence[Path] = ()
) -> StoredDataset | None:
    """Find the folder made from this npz as it is now or, if `npz` is None, from any with this hash.

    `md5` None stands for any hash. Where the npz is gone too, it must have lain at one of `places`: otherwise a
    stranger's description would open the arrays of another dataset by its name.
    """
    found = [stored for stored in _all_stored(name, size) if md5 in (None, stored.md5) and not stored.fingerprint]
    if npz is None and md5 is None:
        known = {_digest(place) for place in places}
        found = [stored for stored in found if stored.place in known]
    if npz is not None:
        state = _state(npz)
        found = [stored for stored in found if (stored.source_bytes, stored.source_mtime_ns) == state]
    return max(found, key=lambda stored: stored.source_mtime_ns, default=None)


def find_pictures(name: str, size: int, fingerprint: str) -> StoredDataset | None:
    """Find the folder that was made of pictures as they are now."""
    return next((stored for stored in _all_stored(name, size) if stored.fingerprint == fingerprint), None)


def convert(info: DatasetInfo, size: int, npz: Path) -> StoredDataset:
    """Check an npz and turn it into a folder of the store, or find the one that was made from the same bytes.

    DataError if the npz is damaged or is not what `info` says, in which case nothing is left behind; StorageError if
    the cache cannot be written.
    """
    state = _state(npz)
    headers = {name: header for name, header in read_headers(npz).items() if name in NAMES}
    check_layout(info, size, headers, str(npz))
    about = StoredDataset(
        info.name, size, _checked_md5(info, size, npz), npz.name, *state, files={}, place=_digest(npz)
    )
    with store_locked(info.name, size):
        return _again(about) or _write(info, about, headers, npz)


@contextlib.contextmanager
def store_locked(name: str, size: int) -> Iterator[None]:
    """Lock what a dataset has in the store at one size; StorageError if the store cannot be written."""
    with disk.writing_to(_store(), _REMEDY), disk.folders(_store(), private=True):
        private_cache_folder("store")
        with disk.locked(_lock_of(name, size)):
            yield


def parts_folder(name: str, size: int) -> Path:
    """Give the folder for what is decoded of a dataset's pictures while its folder of the store is made."""
    return _store() / f".{name}-{size}.parts"


def clear_away(name: str, size: int) -> None:
    """Remove what a process that was killed left of a dataset whose folder is there, unless another makes one now."""
    store, lock = _store(), _lock_of(name, size)
    if lock.exists():
        with contextlib.suppress(OSError), disk.locked(lock, wait=False) as mine:
            if mine:
                disk.remove_temporary_folders(store, f"{name}-{size}")
                shutil.rmtree(parts_folder(name, size), ignore_errors=True)


def _store() -> Path:
    return cache_folder() / "store"


def _lock_of(name: str, size: int) -> Path:
    return _store() / f".{name}-{size}.lock"


def put(
    info: DatasetInfo,
    size: int,
    n_bytes: int,
    fill: Callable[[Path], StoredDataset],
    require_same: Callable[[], None],
) -> StoredDataset:
    """Make a folder of the store; the caller holds its lock. `fill` writes `n_bytes` of arrays into an empty folder,
    and `require_same` raises DataError if what they were made from has changed meanwhile.

    DataError if they are not what `info` says. After an error nothing is left behind.
    """
    store = _store()
    disk.require_space(store, n_bytes, _REMEDY)
    with disk.temporary_folder(store, f"{info.name}-{size}") as temporary:
        about = fill(temporary)
        read_splits(info, size, temporary)
        require_same()
        about = replace(about, files={path.name: path.stat().st_size for path in sorted(temporary.iterdir())})
        # Until now the folder, made for its owner alone, kept them.
        for path in temporary.iterdir():
            disk.make_private(path)
        content = json_text(about).encode()
        if _holds(about.folder, temporary):
            disk.write_whole(about.folder / "about.json", content, private=True)
            return about
        disk.write_whole(temporary / "about.json", content, private=True)
        # What lies there was found damaged: no process takes it for whole.
        shutil.rmtree(about.folder, ignore_errors=True)
        disk.sync_folder(temporary)
        temporary.rename(about.folder)
    disk.sync_folder(store)
    return about


def _holds(folder: Path, made: Path) -> bool:
    """Say whether a folder of the store has the very arrays that were made again. Then it stays: of a file that
    another machine has mapped, and that is removed, a shared disk has nothing more to give."""
    names = disk.regular_files(made)
    if [name for name in disk.regular_files(folder) if name != "about.json"] != names:
        return False
    return not any(filecmp.cmpfiles(folder, made, names, shallow=False)[1:])


def read_splits(info: DatasetInfo, size: int, folder: Path) -> dict[str, Split]:
    """Open the arrays of a folder: images mapped, labels and patients in memory. DataError if they do not fit."""
    return splits_of(info, size, load_arrays(folder), str(folder))


def load_arrays(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Map the arrays of a folder by name. DataError for one that is damaged."""
    files = {name: folder / f"{name}.npy" for name in NAMES}
    return {name: map_array(file) for name, file in files.items() if file.is_file()}


def _state(npz: Path) -> tuple[int, int]:
    try:
        stat = npz.stat()
    except OSError as error:
        raise DataError(f"{npz} cannot be read: {error.strerror}.", "Check its permissions.") from error
    return stat.st_size, stat.st_mtime_ns


def _all_stored(name: str, size: int) -> Iterator[StoredDataset]:
    for folder in sorted(_store().glob(f"{name}-{size}-*")):
        about = _read_about(folder)
        if about is not None and (about.name, about.size) == (name, size):
            yield about


def _read_about(folder: Path) -> StoredDataset | None:
    """Read a folder's about.json; None unless it is sound and every file is there with all its bytes."""
    try:
        content = disk.read_inside(folder, "about.json", _LARGEST_ABOUT)
        about = read_record(StoredDataset, content, "about.json", error=DataError)
        whole = about.folder == folder
        whole &= all((folder / name).stat().st_size == n_bytes for name, n_bytes in about.files.items())
    except (OSError, ValueError, TypeError, AttributeError, DataError):
        return None
    # Those of earlier versions could be read by all users of the machine.
    with contextlib.suppress(OSError):
        for path in (folder.parent, folder):
            disk.make_private(path)
    return about if whole and about.schema == _SCHEMA else None


def _digest(npz: Path) -> str:
    return hashlib.sha256(str(npz.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _checked_md5(info: DatasetInfo, size: int, npz: Path) -> str:
    digest, expected = hashlib.md5(usedforsecurity=False), info.md5.get(size)
    try:
        with npz.open("rb") as file, byte_progress(f"checking {npz.name}", npz.stat().st_size) as bar:
            while block := file.read(_BLOCK):
                digest.update(block)
                bar.update(len(block))
    except OSError as error:
        raise DataError(f"{npz} cannot be read: {error.strerror}.", "Check the file and its disk.") from error
    if expected not in (None, found := digest.hexdigest()):
        raise DataError(
            f"{npz} must have the MD5 {expected}; it has {found}.",
            "It is damaged or another version: delete it and get it again.",
        )
    return found


def _again(about: StoredDataset) -> StoredDataset | None:
    """Give the folder that was made from the same bytes, and note where they lie now."""
    before = _read_about(about.folder)
    if before is None:
        return None
    now = replace(about, files=before.files)
    if now != before:
        disk.write_whole(about.folder / "about.json", json_text(now).encode(), private=True)
    return now


def _write(info: DatasetInfo, about: StoredDataset, headers: Mapping[str, Header], npz: Path) -> StoredDataset:
    n_bytes = sum(header.n_bytes for header in headers.values())

    def fill(folder: Path) -> StoredDataset:
        with byte_progress(f"unpacking {npz.name}", n_bytes) as bar:
            for header in headers.values():
                copy_array(npz, header, folder / f"{header.name}.npy", bar.update)
        return about

    def require_same() -> None:
        if _state(npz) != (about.source_bytes, about.source_mtime_ns):
            raise changed(npz)

    return put(info, about.size, n_bytes, fill, require_same)


def changed(source: Path) -> DataError:
    """Give the error for a source that changed while it was read."""
    return DataError(f"{source} changed while it was read.", "Repeat the command when it is whole.")
