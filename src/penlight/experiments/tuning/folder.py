"""A tuning's folder: what decides its trials, and who may go on with it.

It is held by one command at a time, continued by the same command, refused to another.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from penlight.data import ViewedDataset
from penlight.disk import FolderHold, regular_files, remove_inside, remove_orphans, require_no_link
from penlight.errors import PenlightError, RunError, UnknownNameError
from penlight.experiments.tuning.objective import Repeats, choose_repeats
from penlight.experiments.tuning.samplers import SAMPLERS, make_sampler
from penlight.recipes import Recipe, recipe_from_toml
from penlight.recipes.space import Space, space_from_dict
from penlight.records import read_record
from penlight.records.groups import TuningRecord
from penlight.runs import write_bytes
from penlight.runs.files import json_text
from penlight.runs.folder import is_bare, is_untidy
from penlight.runs.groups import SETUP, open_group, unseal, write_group

TRIALS = "tune.journal"
"""The storage of a tuning's trials, unless another was given."""

DATABASE = "tune.db"
"""What held them in tunings that were begun with earlier versions: SQLite."""

_REMEDY = "Choose another folder with --out."


@dataclass(frozen=True)
class Setup:
    """The recipe that is tuned, the space, the sampler's name, how a trial is judged, the seed, the data's hash."""

    recipe: Recipe
    space: Space
    sampler: str
    repeats: Repeats
    seed: int
    data_md5: str

    @property
    def dataset(self) -> str:
        """The dataset's name, for names of folders and studies."""
        return Path(self.recipe.data.dataset).stem

    @property
    def study(self) -> str:
        """Name of the study in a storage: the same on every machine that gives the same command."""
        values = {key: value for key, value in self.record().to_dict().items() if key not in ("schema", "finished")}
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
        return f"penlight-{self.dataset}-{digest[:12]}"

    def record(self, *, finished: bool = False) -> TuningRecord:
        """Give what tune.json holds."""
        repeats = (self.repeats.kind, self.repeats.count)
        recipe, space = self.recipe.to_toml(), self.space.tables
        return TuningRecord(1, recipe, space, self.sampler, repeats, self.seed, self.data_md5, finished)

    def content(self, *, finished: bool) -> bytes:
        """Give the bytes of tune.json."""
        return json_text(self.record(finished=finished)).encode()


def make_setup(
    recipe: Recipe, space: Space, view: ViewedDataset, *, sampler: str, seeds: int | None, seed: int
) -> Setup:
    """Put a setup together. UnknownNameError for a sampler there is none of, MissingExtraError for one whose needs
    are not installed."""
    if sampler not in SAMPLERS:
        raise UnknownNameError("sampler", sampler, SAMPLERS)
    make_sampler(sampler, seed, 0)
    return Setup(recipe, space, sampler, choose_repeats(view, seeds), seed, view.dataset.md5)


@contextlib.contextmanager
def hold_tuning(folder: Path, setup: Setup) -> Iterator[None]:
    """Hold a folder for one command, and say that its tuning is not finished. RunError if another one holds it, or if
    it has other contents.

    A finished tuning of the same setup may be opened again, to go on to more trials.
    """
    with FolderHold(folder):
        # Written through their names by Optuna and SQLite, which would follow a link.
        for name in (TRIALS, DATABASE, *(f"{DATABASE}-{end}" for end in ("journal", "wal", "shm"))):
            require_no_link(folder / name)
        if not os.path.lexists(folder / SETUP):
            if not is_bare(folder):
                raise RunError(f"{folder} is not empty, and not a tuning.", _REMEDY)
        elif read_setup(folder) != setup:
            raise RunError(
                f"{folder} holds a tuning of another recipe, space, sampler, seed or dataset.",
                f"{_REMEDY} Or repeat the command that began it.",
            )
        remove_orphans(folder)
        for name in regular_files(folder):
            # A lock of the journal that was given back by a process which was killed in that moment.
            if name.startswith(f"{TRIALS}.lock") and name.endswith(".rename"):
                remove_inside(folder, name)
        unseal(folder)
        write_bytes(folder / SETUP, setup.content(finished=False))
        yield


def finish_tuning(folder: Path, setup: Setup, files: Mapping[str, bytes]) -> None:
    """Write what was found, say that the tuning is complete, and seal it but for the trials, of which there may
    be more later: the next one of the same setup takes a new folder by default."""
    write_group(folder, "tuning", {**files, SETUP: setup.content(finished=False)}, {})
    # Only what is sealed is finished: cut off before, the same command goes on here.
    write_group(folder, "tuning", {SETUP: setup.content(finished=True)}, {})


def read_setup(path: Path) -> Setup:
    """Read what a folder's tuning searches. RunError if it cannot be read."""
    try:
        record = _read(path)
        recipe = recipe_from_toml(record.recipe)
        space, repeats = space_from_dict(record.space, recipe), Repeats(*record.repeats)
        return Setup(recipe, space, record.sampler, repeats, record.seed, record.data_md5)
    except PenlightError as error:
        raise RunError(f"{path / SETUP} is missing or damaged. {error.problem}", _REMEDY) from error


def continues(folder: Path, setup: Setup) -> bool:
    """Say whether a folder is empty, or holds an unfinished tuning of this very setup."""
    try:
        if is_bare(folder):
            return True
        whole = _read(folder).finished and open_group(folder).is_settled and not is_untidy(folder)
        return not whole and read_setup(folder) == setup
    except RunError:
        return False


def _read(path: Path) -> TuningRecord:
    return read_record(TuningRecord, open_group(path).read(SETUP), str(path / SETUP))
