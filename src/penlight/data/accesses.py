"""A record of every time the test images of a dataset were read for a score on this machine, so that whoever reads a
score can see how often the same images had been asked before.

    readings/<name>-<size>-<first 12 digits of the dataset's MD5>.jsonl

under the cache folder has a line for each reading, and is only ever added to. A reading is when answers to test are
made; scoring them again is none.
"""

import contextlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from penlight import disk
from penlight.data.dataset import Dataset
from penlight.data.folders import cache_folder
from penlight.errors import DataError
from penlight.numbers import counted
from penlight.records import Count, Name, Record, Seed, read_record

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
    `run`, the name of the folder, are None.
    """

    time: Name
    by: Name
    split: Name
    view: Name
    recipe: Name
    seed: Seed | None
    run: Name | None


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
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        access = TestAccess(now, by or self._by, self._split, view, recipe, seed, run)
        try:
            before = recipes_of(_read(self._path)) - {recipe}
            disk.append_line(self._path, json.dumps(access.to_dict()))
        except OSError:
            return None
        return len(before)

    def keep(self, view: str, recipe: str, seed: int, run: str) -> dict[str, int | None]:
        """Add a reading as `add` does, and give what provenance.json keeps of it: nothing of a fold."""
        before = self.add(view, recipe, seed, run)
        return {READ_BEFORE: before} if self._split == TEST else {}


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
    n, last = len(recipes_of(found)), found[-1]
    of = f" of {last.run}" if last.run else ""
    times = "once" if len(found) == 1 else f"{len(found):,} times"
    return (
        f"On this machine the test images have been read {times}, for {counted(n, 'recipe')}, baselines not counted; "
        f"last on {last.time[:10]} ({last.by}{of})."
    )


def count_accesses(accesses: Iterable[TestAccess]) -> ReadingsCount:
    """Count the accesses to test for JSON: how many and of how many recipes, baselines left out, and the last few."""
    found = _counted(accesses)
    return ReadingsCount(len(found), len(recipes_of(found)), found[-_SHOWN:])


def _counted(accesses: Iterable[TestAccess]) -> list[TestAccess]:
    return [access for access in accesses if access.split == TEST and access.by != BASELINE]


def _path(dataset: Dataset) -> Path:
    return cache_folder() / "readings" / f"{dataset.info.name}-{dataset.size}-{dataset.md5[:12]}.jsonl"


def _read(path: Path) -> list[TestAccess]:
    """Read a record; what is no whole line of it is passed over, as a full disk leaves it."""
    try:
        disk.make_private(path)
        content = disk.read_inside(path.parent, path.name, _LARGEST)
    except FileNotFoundError:
        return []
    found = []
    for line in content.decode(errors="replace").splitlines():
        with contextlib.suppress(DataError):
            found.append(read_record(TestAccess, line, "a line", error=DataError))
    return found
