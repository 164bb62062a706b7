"""The audit of a dataset, made once and kept as audit.json beside its arrays in the store."""

import contextlib
import hashlib
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from penlight import disk
from penlight.data.audit.looks import audit
from penlight.data.audit.problem import Audit
from penlight.data.dataset import Dataset
from penlight.data.mapped import find_mapped
from penlight.errors import DataError
from penlight.parsing import LARGEST_JSON, parse_json_object
from penlight.records import check_record, json_text

FILE = "audit.json"


def kept_audit(dataset: Dataset) -> Audit:
    """Give the audit of a dataset: the kept one or, where that is missing, damaged, of another version or of other
    label names, one made now, which is then kept.

    What is not in the store, such as a phantom, is audited once for each time that it is opened. A store that cannot
    be written keeps nothing.
    """
    path = _path(dataset)
    found = _read(path, dataset) if path is not None else _audits.of(dataset)
    if found is not None:
        return found
    made = audit(dataset)
    _audits.last = weakref.ref(dataset), made
    if path is not None:
        content = json_text({"labels": _meaning(dataset, path), "audit": made})
        with contextlib.suppress(OSError):
            disk.write_whole(path, content.encode(), private=True)
    return made


class _Last:
    """The audit that was made last, as long as its dataset is open."""

    last: "tuple[weakref.ref[Dataset], Audit] | None" = None

    def of(self, dataset: Dataset) -> Audit | None:
        """Give the audit of this very dataset, if it was the last."""
        return self.last[1] if self.last is not None and self.last[0]() is dataset else None


_audits = _Last()


def _path(dataset: Dataset) -> Path | None:
    mapped = find_mapped(dataset.info.name, dataset.size, npz=None, md5=dataset.md5)
    return None if mapped is None else mapped.folder / FILE


def _read(path: Path, dataset: Dataset) -> Audit | None:
    try:
        content = parse_json_object(disk.read_inside(path.parent, path.name, LARGEST_JSON), FILE)
        if content["labels"] != _meaning(dataset, path):
            return None
        found = check_record(Audit, content["audit"], FILE, error=DataError)
    except (OSError, KeyError, DataError):
        return None
    return found if found.images == {name: len(split) for name, split in dataset.splits.items()} else None


def _meaning(dataset: Dataset, stored: Path | None) -> list[Any]:
    """Say what the labels mean, which a description may change without the arrays, and whose the images are, where
    a table beside the arrays says so."""
    meaning = [dataset.info.task.kind, *dataset.info.task.labels]
    patients = [split.patients for split in dataset.splits.values() if split.patients is not None]
    if not patients or stored is None or (stored.parent / "train_patients.npy").exists():
        return meaning
    numbered = np.unique(np.concatenate(patients), return_inverse=True)[1].astype(np.int64)
    return [*meaning, hashlib.sha256(numbered.tobytes()).hexdigest()]
