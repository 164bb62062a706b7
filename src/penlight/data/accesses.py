"""A record of every time the test images of a dataset were read for a score on this machine, so that whoever reads a
score can see how often the same images had been asked before.

    readings/<name>-<size>-<first 12 digits of the dataset's MD5>.jsonl

under the cache folder has a line for each reading, and is only ever added to. A reading is when answers to test are
made; scoring them again is none. A run keeps its own reading too, which the machine that waited for it adds to its
record.
"""

import contextlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penlight import disk
from penlight.data.dataset import Dataset
from penlight.data.folders import cache_folder
from penlight.errors import DataError
from penlight.numbers import counted
from penlight.records import Count, Name, Record, Seed, json_key, read_record
from penlight.records.run import READING, MachineReading

READ_BEFORE = "test_readings_before"
"""The key of provenance.json under which a run keeps how many other recipes had been read before it."""

BASELINE = "baseline"
TEST = "test"

_SHOWN = 5
_LARGEST = 256 << 20


class TestAccess(Record):
    """One reading.

    `time` is UTC, as 2026-11-24T10:00:00Z; `by` what read it: "train", "study", "folds", "baseline", "corruptions",
    "export", "score" or "compare"; `split` is "test", or the fold of a cross-validation, whose images are of train
    and val. `recipe` is the hash of the recipe; of predictions made elsewhere, that of their numbers, and `seed` and
    `run`, the name of the folder, are None. `node` is the name of the machine, None in lines of earlier versions.
    """

    time: Name
    by: Name
    split: Name
    view: Name
    recipe: Name
    seed: Seed | None
    run: Name | None
    node: Name | None = json_key(if_known=True, default=None)


class ReadingsCount(Record):
    """How many readings and recipes of test there were, baselines left out, and the last few of them."""

    readings: Count
    recipes: Count
    last: Sequence[TestAccess]


class TestAccessLog:
    """The readings of a dataset by one command; those of a cross-validation name their fold as `split`."""

    def __init__(self, dataset: Dataset, by: str, split: str = TEST) -> None:
        self._path, self._by, self._split = _path(dataset), by, split

    def add(
        self, view: str, recipe: str, seed: int | None = None, run: str | None = None, *, by: str = ""
    ) -> int | None:
        """Add a reading that is being made now, and give how many other recipes had been read on the test images
        before; None where the record cannot be read or written. Baselines are not counted, nor are folds.

        `by` stands for that of the command where a part of it reads.
        """
        return self._add(TestAccess(_now(), by or self._by, self._split, view, recipe, seed, run, platform.node()))

    def _add(self, access: TestAccess) -> int | None:
        try:
            with _held(self._path):
                before = recipes_of(_read(self._path)) - {access.recipe}
                disk.append_line(self._path, json.dumps(access.to_dict()))
        except OSError:
            return None
        return len(before)

    def keep(self, view: str, recipe: str, seed: int, run: str) -> dict[str, Any]:
        """Add a reading as `add` does, and give what provenance.json keeps of it: nothing of a fold."""
        own = MachineReading(_now(), self._by, platform.node())
        access = TestAccess(own.time, own.by, self._split, view, recipe, seed, run, own.node)
        before = self._add(access)
        return {READ_BEFORE: before, READING: own} if self._split == TEST else {}


def merge_reading(provenance: Mapping[str, Any], run: str) -> None:
    """Add the reading that a complete run keeps in its `provenance` to the record of this machine, unless it is known
    there; `run` is the name of its folder. Where the record cannot be written nothing is added."""
    from penlight.data.description import is_name

    name, md5 = provenance["dataset"], provenance["data_md5"]
    if (own := provenance.get(READING)) is None or not (is_name(name) and is_name(md5)):
        return
    path = _path_of(name, provenance["size"], md5)
    about = provenance["view"], provenance["recipe_hash"], provenance["seed"]
    access = TestAccess(own["time"], own["by"], TEST, *about, run, own["node"])
    with contextlib.suppress(OSError):
        if _holds(path, access):
            return
        with _held(path):
            # Another process may have added it while this one waited.
            if not _holds(path, access):
                disk.append_line(path, json.dumps(access.to_dict()))


def _holds(path: Path, access: TestAccess) -> bool:
    """Say whether a record has a reading, also under another name of its folder."""
    found = _read(path, access.time)
    return any(replace(one, by=access.by, run=access.run, node=access.node) == access for one in found)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a record: lines that several machines add at once to a file of a shared disk would overwrite one another.
    OSError if it cannot be."""
    disk.private_folder(path.parent)
    with disk.locked(path.with_name(f".{path.name}.lock")):
        yield


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def accesses_of(dataset: Dataset) -> list[TestAccess]:
    """Give every reading of a dataset on this machine, the oldest first; none where the record cannot be read."""
    try:
        return _read(_path(dataset))
    except OSError:
        return []


def recipes_of(accesses: Iterable[TestAccess]) -> set[str]:
    """Give the recipes that were read on test, those of the baselines beside them left out."""
    return {access.recipe for access in _counted(accesses)}


def accesses_text(accesses: Iterable[TestAccess]) -> str:
    """Say in a sentence how often the test images were read, and when last."""
    found = _counted(accesses)
    if not found:
        return "On this machine the test images have not been read for a score."
    machines = {access.node or platform.node() for access in found} | {platform.node()}
    where = "On this machine" if len(machines) == 1 else f"On {len(machines)} machines"
    n, last = len(recipes_of(found)), found[-1]
    of = f" of {last.run}" if last.run else ""
    times = "once" if len(found) == 1 else f"{len(found):,} times"
    return (
        f"{where} the test images have been read {times}, for {counted(n, 'recipe')}, baselines not counted; "
        f"last on {last.time[:10]} ({last.by}{of})."
    )


def count_accesses(accesses: Iterable[TestAccess]) -> ReadingsCount:
    """Count the accesses to test for JSON: how many and of how many recipes, baselines left out, and the last few."""
    found = _counted(accesses)
    return ReadingsCount(len(found), len(recipes_of(found)), found[-_SHOWN:])


def _counted(accesses: Iterable[TestAccess]) -> list[TestAccess]:
    return [access for access in accesses if access.split == TEST and access.by != BASELINE]


def _path(dataset: Dataset) -> Path:
    return _path_of(dataset.info.name, dataset.size, dataset.md5)


def _path_of(name: str, size: int, md5: str) -> Path:
    return cache_folder() / "readings" / f"{name}-{size}-{md5[:12]}.jsonl"


def _read(path: Path, containing: str = "") -> list[TestAccess]:
    """Read a record, or its lines `containing` a text; what is no whole line is passed over, as a full disk leaves
    it."""
    try:
        disk.make_private(path)
        content = disk.read_inside(path.parent, path.name, _LARGEST)
    except FileNotFoundError:
        return []
    found = []
    for line in content.decode(errors="replace").splitlines():
        if containing not in line:
            continue
        with contextlib.suppress(DataError):
            found.append(read_record(TestAccess, line, "a line", error=DataError))
    return found
