"""The audit of a dataset, made once and kept as audit.json beside its arrays in the store."""

import contextlib
import json
from pathlib import Path
from typing import Any

from penlight import disk
from penlight.data.audit.looks import audit
from penlight.data.audit.problem import Audit
from penlight.data.dataset import Dataset
from penlight.data.mapped import find_mapped
from penlight.errors import DataError
from penlight.parsing import LARGEST_JSON, parse_json_object

FILE = "audit.json"


def kept_audit(dataset: Dataset) -> Audit:
    """Give the audit of a dataset: the kept one or, where that is missing, damaged, of another version or of other
    label names, one made now, which is then kept.

    What is not in the store, such as a phantom, is audited each time. A store that cannot be written keeps nothing.
    """
    path = _path(dataset)
    found = None if path is None else _read(path, dataset)
    if found is not None:
        return found
    made = audit(dataset)
    if path is not None:
        content = {"labels": _meaning(dataset), "audit": made.to_dict()}
        with contextlib.suppress(OSError):
            disk.write_whole(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode(), private=True)
    return made


def _path(dataset: Dataset) -> Path | None:
    mapped = find_mapped(dataset.info.name, dataset.size, npz=None, md5=dataset.md5)
    return None if mapped is None else mapped.folder / FILE


def _read(path: Path, dataset: Dataset) -> Audit | None:
    try:
        content = parse_json_object(disk.read_inside(path.parent, path.name, LARGEST_JSON), FILE)
        if content["labels"] != _meaning(dataset):
            return None
        found = Audit.from_dict(content["audit"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DataError):
        return None
    return found if found.images == {name: len(split) for name, split in dataset.splits.items()} else None


def _meaning(dataset: Dataset) -> list[Any]:
    """Say what the labels mean, which a description may change without the arrays."""
    return [dataset.info.task.kind, *dataset.info.task.labels]
