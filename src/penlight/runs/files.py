"""Files of a run: there whole, or as they were before; read as what a stranger may have made."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from penlight.disk import open_inside, read_inside, write_whole, writing_to
from penlight.errors import RunError
from penlight.parsing import LARGEST_TOML, parse_json
from penlight.records import json_text as json_text
from penlight.records import plain
from penlight.records.run import FilePrint

SEAL = "sha256"
"""The key of sealed JSON that holds the hash of all its other values."""

_REMEDY = "Choose a folder you may write to, with --out."

# A metrics.json of a hundred labels has under 2 MB, a report of a large study under 20.
_LARGEST = {
    ".json": 16 << 20,
    ".toml": LARGEST_TOML,
    ".csv": 16 << 20,
    ".md": 16 << 20,
    ".py": 4 << 20,
    ".html": 256 << 20,
    ".npz": 1 << 30,
}
_LARGEST_MODEL = 2 << 30


def largest_of(name: str) -> int:
    """Say how many bytes of a file are read at most, by the ending of its name; models have up to 2 GiB."""
    return _LARGEST.get(PurePosixPath(name).suffix, _LARGEST_MODEL)


def read_file(folder: Path, name: str, remedy: str = "", *, largest: int | None = None) -> bytes:
    """Read a file in a folder of runs: see `disk.read_inside`. RunError, by name, if it is missing or refused."""
    try:
        return read_inside(folder, name, largest_of(name) if largest is None else largest)
    except FileNotFoundError as error:
        raise RunError(f"{folder / name} is missing.", remedy) from error
    except OSError as error:
        raise unreadable(folder / name, error, remedy) from error


def unreadable(path: Path, error: OSError, remedy: str) -> RunError:
    """Give the named error for a file that is there and cannot be read, or is refused."""
    why = error.strerror or str(error)
    return RunError(
        f"{path} cannot be read: {why[:1].lower()}{why[1:]}.", remedy or "Remove it, or check the folder."
    )


def read_if_there(folder: Path, name: str, remedy: str = "") -> bytes | None:
    """Read a file as `read_file` does; None if there is none of that name."""
    try:
        return read_inside(folder, name, largest_of(name))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(folder / name, error, remedy) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file by way of a temporary one, synced and renamed; its folder is made. StorageError if not."""
    with writing_to(path.parent, _REMEDY):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)


def write_text(path: Path, content: str) -> None:
    """Write text as UTF-8, as `write_bytes` does."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON as `json_text` gives it, as `write_bytes` does."""
    write_text(path, json_text(content))


def fingerprint(content: bytes) -> FilePrint:
    """Give what a manifest or seal says of a file."""
    return FilePrint(len(content), hashlib.sha256(content).hexdigest())


def read_printed(folder: Path, name: str, prints: Sequence[FilePrint], what: str, remedy: str) -> bytes:
    """Read a file of `what`, which is in a folder, by its fingerprints. RunError if it is missing, refused, or
    not what was written; what is not as long as a fingerprint says is not read at all."""
    try:
        with open_inside(folder, name) as file:
            n_bytes = os.fstat(file.fileno()).st_size
            known = n_bytes <= largest_of(name) and n_bytes in (own.bytes for own in prints)
            content = file.read(n_bytes) if known else b""
    except FileNotFoundError as error:
        raise RunError(f"{name} is missing from {what}.", remedy) from error
    except OSError as error:
        raise unreadable(folder / name, error, remedy) from error
    if fingerprint(content) not in prints:
        raise RunError(f"{name} in {what} is damaged or was changed.", remedy)
    return content


def settled(folder: Path, files: Mapping[str, FilePrint], pending: Mapping[str, FilePrint]) -> dict[str, FilePrint]:
    """Give the fingerprints of files, of those that were to come as they did or did not."""
    came = {}
    for name, own in pending.items():
        with contextlib.suppress(OSError):
            if fingerprint(read_inside(folder, name, own.bytes)) == own:
                came[name] = own
    return {**files, **came}


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give values with their own hash, so that a reader knows whether they are what was written."""
    own = {key: value for key, value in values.items() if key != SEAL}
    return {**own, SEAL: hash_of(own)}


def is_sound(values: Mapping[str, Any]) -> bool:
    """Say whether values are as they were sealed."""
    return bool(values.get(SEAL) == sealed(values)[SEAL])


def hash_of(values: Mapping[str, Any]) -> str:
    """Hash values as JSON, whatever the order of their keys."""
    values = parse_json(json.dumps(values, default=plain), "What is sealed")  # keys and numbers as a reader has them
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
