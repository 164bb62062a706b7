"""The store: each npz once turned into a folder of memory-mapped arrays, under the cache folder.

    store/<name>-<size>-<first 12 digits of the npz's MD5>/
      about.json  train_images.npy  train_labels.npy  [train_patients.npy]  ...

A folder is there whole or not at all, and it is known again by the size and time of the npz, without hashing that.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from penlight import disk
from penlight.data.dataset import SPLITS, DatasetInfo, Split
from penlight.data.folders import cache_folder
from penlight.data.layout import check_labels, check_layout
from penlight.data.npz import Header, copy_array, read_headers
from penlight.data.progress import byte_progress
from penlight.errors import DataError

_SCHEMA = 1
_REMEDY = "Set PENLIGHT_CACHE to a folder you may write to, on a disk with room."
_KINDS = ("images", "labels", "patients")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class About:
    """What about.json says of a folder of the store: the npz it was made from, and the bytes of each file in it."""

    name: str
    size: int
    md5: str
    source: str
    source_bytes: int
    source_mtime_ns: int
    files: Mapping[str, int]
    schema: int = _SCHEMA


@dataclass(frozen=True)
class Mapped:
    """A whole folder of the store."""

    folder: Path
    about: About


def find_mapped(name: str, size: int, npz: Path | None, md5: str | None) -> Mapped | None:
    """Find the folder made from this npz as it is now or, if `npz` is None, from any with this hash.

    `md5` None stands for any hash; the newest source is taken then.
    """
    found = [mapped for mapped in _all_mapped(name, size) if md5 in (None, mapped.about.md5)]
    if npz is not None:
        state = _state(npz)
        found = [m for m in found if (m.about.source_bytes, m.about.source_mtime_ns) == state]
    return max(found, key=lambda mapped: mapped.about.source_mtime_ns, default=None)


def convert(info: DatasetInfo, size: int, npz: Path) -> Mapped:
    """Check an npz and turn it into a folder of the store, or find the one that was made from the same bytes.

    DataError if the npz is damaged or is not what `info` says, in which case nothing is left behind; StorageError if
    the cache cannot be written.
    """
    state = _state(npz)
    headers = {h.name: h for h in read_headers(npz).values() if h.name in _array_names()}
    check_layout(info, size, headers, str(npz))
    about = About(info.name, size, _checked_md5(info, size, npz), npz.name, *state, files={})
    store = _store_folder()
    key = f"{info.name}-{size}"
    with disk.writing_to(store, _REMEDY), disk.folders(store), disk.locked(store / f".{key}.lock"):
        if (mapped := _again(about)) is None:
            mapped = _write(info, about, headers, npz, key)
    return mapped


def read_splits(info: DatasetInfo, size: int, folder: Path) -> dict[str, Split]:
    """Open the arrays of a folder: images mapped, labels and patients in memory. DataError if they do not fit."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _stored_names(folder)}
    check_layout(info, size, arrays, str(folder))
    for split in SPLITS:
        check_labels(info, arrays[f"{split}_labels"], f"{info.name}: {split}_labels")
    return {split: split_of(arrays, split) for split in SPLITS}


def split_of(arrays: Mapping[str, np.ndarray[Any, Any]], split: str) -> Split:
    """Put together one split of arrays in the layout of MedMNIST; grey images get their channel axis."""
    images, labels = arrays[f"{split}_images"], np.array(arrays[f"{split}_labels"])
    patients = arrays.get(f"{split}_patients")
    return Split(
        images=images if images.ndim == 4 else images[..., np.newaxis],
        labels=labels if labels.ndim == 2 else labels[:, np.newaxis],
        patients=None if patients is None else np.array(patients),
    )


def _store_folder() -> Path:
    return cache_folder() / "store"


def _folder_of(about: About) -> Path:
    return _store_folder() / f"{about.name}-{about.size}-{about.md5[:12]}"


def _array_names() -> tuple[str, ...]:
    return tuple(f"{split}_{kind}" for split in SPLITS for kind in _KINDS)


def _stored_names(folder: Path) -> list[str]:
    return [name for name in _array_names() if (folder / f"{name}.npy").is_file()]


def _state(npz: Path) -> tuple[int, int]:
    try:
        stat = npz.stat()
    except OSError as error:
        raise DataError(f"{npz} cannot be read: {error.strerror}.", "Check its permissions.") from error
    return stat.st_size, stat.st_mtime_ns


def _all_mapped(name: str, size: int) -> Iterator[Mapped]:
    for folder in sorted(_store_folder().glob(f"{name}-{size}-*")):
        about = _read_about(folder)
        if about is not None and (about.name, about.size) == (name, size):
            yield Mapped(folder, about)


def _read_about(folder: Path) -> About | None:
    """Read a folder's about.json; None unless it is sound and every file is there with all its bytes."""
    try:
        about = About(**json.loads((folder / "about.json").read_text(encoding="utf-8")))
        whole = all((folder / name).stat().st_size == n_bytes for name, n_bytes in about.files.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return about if whole and about.schema == _SCHEMA else None


def _checked_md5(info: DatasetInfo, size: int, npz: Path) -> str:
    found, expected = _md5(npz), info.md5.get(size)
    if expected not in (None, found):
        raise DataError(
            f"{npz} must have the MD5 {expected}; it has {found}.",
            "It is damaged or another version: delete it and get it again.",
        )
    return found


def _md5(npz: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with npz.open("rb") as file, byte_progress(f"checking {npz.name}", npz.stat().st_size) as bar:
            while block := file.read(_BLOCK):
                digest.update(block)
                bar.update(len(block))
    except OSError as error:
        raise DataError(f"{npz} cannot be read: {error.strerror}.", "Check the file and its disk.") from error
    return digest.hexdigest()


def _again(about: About) -> Mapped | None:
    """Give the folder that was made from the same bytes, and note where they lie now."""
    folder = _folder_of(about)
    before = _read_about(folder)
    if before is None:
        return None
    now = replace(about, files=before.files)
    if now != before:
        disk.write_whole(folder / "about.json", _to_json(now))
    return Mapped(folder, now)


def _write(info: DatasetInfo, about: About, headers: Mapping[str, Header], npz: Path, key: str) -> Mapped:
    n_bytes = sum(header.n_bytes for header in headers.values())
    store, folder = _store_folder(), _folder_of(about)
    disk.require_space(store, n_bytes, _REMEDY)
    with disk.temporary_folder(store, key) as temporary:
        with byte_progress(f"unpacking {npz.name}", n_bytes) as bar:
            for header in headers.values():
                copy_array(npz, header, temporary / f"{header.name}.npy", bar.update)
        read_splits(info, about.size, temporary)
        if _state(npz) != (about.source_bytes, about.source_mtime_ns):
            raise DataError(f"{npz} changed while it was read.", "Repeat the command when it is whole.")
        about = replace(about, files={path.name: path.stat().st_size for path in sorted(temporary.iterdir())})
        disk.write_whole(temporary / "about.json", _to_json(about))
        # What lies there was found damaged: no process takes it for whole.
        shutil.rmtree(folder, ignore_errors=True)
        temporary.chmod(0o777 & ~disk.umask())
        disk.sync_folder(temporary)
        temporary.rename(folder)
    disk.sync_folder(store)
    return Mapped(folder, about)


def _to_json(about: About) -> bytes:
    return (json.dumps(asdict(about), indent=1) + "\n").encode()
