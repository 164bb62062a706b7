"""What decides the trials of a tuning: all of it, as one value that a folder keeps and workers read."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from penlight.data import ViewedDataset
from penlight.errors import UnknownNameError
from penlight.experiments.tuning.objective import Repeats, choose_repeats
from penlight.experiments.tuning.samplers import SAMPLERS, make_sampler
from penlight.recipes import Recipe, recipe_from_toml
from penlight.recipes.space import Space, space_from_dict
from penlight.records.groups import TuningRecord


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


def make_setup(
    recipe: Recipe, space: Space, view: ViewedDataset, *, sampler: str, seeds: int | None, seed: int
) -> Setup:
    """Put a setup together. UnknownNameError for a sampler there is none of, MissingExtraError for one whose needs
    are not installed."""
    if sampler not in SAMPLERS:
        raise UnknownNameError("sampler", sampler, SAMPLERS)
    make_sampler(sampler, seed, 0)
    return Setup(recipe, space, sampler, choose_repeats(view, seeds), seed, view.dataset.md5)


def setup_of(record: TuningRecord) -> Setup:
    """Give the setup that tune.json holds, which was checked as it was read. RecipeError for a recipe or a space that
    is none."""
    recipe = recipe_from_toml(record.recipe)
    kind, count = record.repeats
    space = space_from_dict(record.space, recipe)
    return Setup(recipe, space, record.sampler, Repeats(kind, count), record.seed, record.data_md5)
