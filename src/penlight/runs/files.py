"""Files of a run: there whole, or as they were before."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penlight.disk import write_whole, writing_to

SEAL = "sha256"
"""The key of sealed JSON that holds the hash of all its other values."""

_REMEDY = "Choose a folder you may write to, with --out."


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


def json_text(content: Any) -> str:
    """Give JSON, indented, without NaN."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give values with their own hash, so that a reader knows whether they are what was written."""
    own = {key: value for key, value in values.items() if key != SEAL}
    return {**own, SEAL: _hash(own)}


def is_sound(values: Mapping[str, Any]) -> bool:
    """Say whether values are as they were sealed."""
    return bool(values.get(SEAL) == sealed(values)[SEAL])


def _hash(values: Mapping[str, Any]) -> str:
    values = json.loads(json.dumps(values))  # keys and numbers as a reader has them
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
