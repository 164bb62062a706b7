"""What is fitted once for a dataset and a view, kept in the cache for every run of every process.

    fitted/<SHA-256 of all that the result follows from>.npz

has a line that names the format, one with the SHA-256 of what follows, then an npz of arrays without pickles. What is
damaged, or was made to look like an entry, is computed anew, as is what another version of the code computed.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import penlight
from penlight import disk
from penlight.data import ViewedDataset
from penlight.data.folders import private_cache_folder
from penlight.data.npz import read_arrays
from penlight.errors import PenlightError
from penlight.runs import versions
from penlight.runs.files import hash_of
from penlight.tasks import task_to_dict

Arrays = Mapping[str, NDArray[Any]]
T = TypeVar("T")

_FOLDER = "fitted"
_FORMAT = b"Penlight fitted 1\n"
_LARGEST = 1 << 30
_MOST_ENTRIES = 200
_CODE = ("data", "evaluation", "models", "phantoms", "tasks", "training", "runs/scoring.py")
_LIBRARIES = ("penlight", "numpy", "scipy", "scikit-learn")


def once(about: Mapping[str, Any], compute: Callable[[], Arrays], read: Callable[[Arrays], T]) -> T:
    """Read what was kept of `about`, JSON that says what it is of; else compute it and keep it.

    Processes that want the same at once wait for the first. Where the cache cannot be written nothing is kept.
    """
    name = hash_of({**about, "code": code_hash()})
    with contextlib.ExitStack() as held:
        try:
            folder = private_cache_folder(_FOLDER)
            held.enter_context(disk.locked(folder / f".{name}.lock"))
        except OSError:
            return read(compute())
        path = folder / f"{name}.npz"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, PenlightError):
            found = read(_read(path))
            os.utime(path)
            return found
        arrays = compute()
        with contextlib.suppress(OSError):
            _write(path, arrays)
            _forget_oldest(folder)
    return read(arrays)


def about_view(view: ViewedDataset) -> dict[str, Any]:
    """Say for `once` which images and labels a view has: by the hashes of its file and of what it reads there."""
    info, digest = view.dataset.info, hashlib.sha256()
    for name, split in sorted(view.splits.items()):
        digest.update(f"{name} {split.images.shape}".encode())
        groups = () if split.groups is None else (split.groups,)
        metadata = (values.astype(np.str_) for _, values in sorted(split.metadata.items()))
        known = () if split.known is None else (split.known,)
        for values in (split.index, split.y_true, *groups, *metadata, *known):
            digest.update(f" {values.dtype} {values.shape} ".encode() + values.tobytes())
    return {
        "data": [info.name, view.dataset.md5, view.dataset.size, info.images_per_patient, info.position_matters],
        "view": [view.view, info.modality, task_to_dict(view.task), digest.hexdigest()],
    }


def from_bytes(content: bytes) -> NDArray[np.uint8]:
    """Give bytes as an array of an entry."""
    return np.frombuffer(content, np.uint8)


@cache
def code_hash() -> str:
    """Hash the code and the versions of libraries that kept results follow from."""
    digest, root = hashlib.sha256(), Path(penlight.__file__).parent
    for part in _CODE:
        for file in sorted((root / part).rglob("*.py")) or [root / part]:
            digest.update(file.read_bytes())
    known = versions()
    return digest.hexdigest() + " " + " ".join(known.get(name, "") for name in _LIBRARIES)


def _read(path: Path) -> Arrays:
    """Read an entry. OSError, ValueError or DataError if there is none that this version wrote."""
    kind, digest, content = disk.read_inside(path.parent, path.name, _LARGEST).split(b"\n", 2)
    if kind + b"\n" != _FORMAT or hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError("It is damaged.")
    return read_arrays(content, path.name, len(content))


def _write(path: Path, arrays: Arrays) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    content = buffer.getbuffer()
    digest = hashlib.sha256(content).hexdigest().encode()
    disk.write_whole(path, b"".join((_FORMAT, digest, b"\n", content)), private=True)


def _forget_oldest(folder: Path) -> None:
    """Remove the entries that were not used for longest where there are many."""
    entries = [folder / name for name in disk.regular_files(folder) if name.endswith(".npz")]
    for path in sorted(entries, key=lambda path: path.stat().st_mtime)[:-_MOST_ENTRIES]:
        disk.remove_inside(folder, path.name)
