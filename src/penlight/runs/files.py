"""Files of a run: there whole, or as they were before."""

import json
from pathlib import Path
from typing import Any

from penlight.disk import write_whole, writing_to

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
