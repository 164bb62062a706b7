"""What is asked for: a recipe from a preset or a file, with what the command line changes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight import disk
from penlight.api.planning import plan_before
from penlight.api.results import NameTable
from penlight.data.catalog import is_portable, portable, reference_of
from penlight.data.remembered import find_reference, reference_to
from penlight.data.store import usual_size
from penlight.errors import PenlightError, RecipeError
from penlight.experiments.progress import ProgressListener
from penlight.parsing import LARGEST_TOML, parse_toml
from penlight.recipes import (
    Decide,
    Encoded,
    Override,
    Pretrained,
    Recipe,
    is_own_reference,
    key_of,
    load_recipe,
    preset_header,
    preset_names,
    with_overrides,
)
from penlight.recipes.plan import TrainingPlan
from penlight.recipes.recipe import require_trainable

if TYPE_CHECKING:
    from penlight.training.own import OwnModel


def resolve_recipe(
    dataset: str | None,
    recipe: str | Recipe = "cnn",
    overrides: Sequence[Override] = (),
    *,
    view: str | None = None,
    size: int | None = None,
) -> Recipe:
    """Put dataset, view and size into a preset, a recipe file or a recipe, then apply the overrides."""
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    # The file may be a stranger's: what it names elsewhere is not read unless the user has named it here.
    _require_known_weights(chosen)
    name = portable(chosen.data.dataset) if dataset is None else reference_of(dataset)
    if dataset is not None and size is None and "size" not in chosen.data.model_fields_set:
        size = usual_size(dataset)
    given = {"dataset": name, "view": view, "size": size}
    data = chosen.data.model_copy(update={key: value for key, value in given.items() if value is not None})
    changed = require_trainable(with_overrides(chosen.model_copy(update={"data": data}), overrides))
    return with_references(changed)


def resolve_request(
    dataset: str | None,
    recipe: str | Recipe,
    overrides: Sequence[Override],
    *,
    view: str | None = None,
    size: int | None = None,
) -> tuple[Recipe, str]:
    """Resolve what `penlight train` was given, and name it: a dataset with a recipe, or a run's recipe.toml alone."""
    if dataset is not None and dataset.endswith(".toml") and is_recipe_file(Path(dataset)):
        chosen = resolve_recipe(None, dataset, overrides, view=view, size=size)
        return chosen, chosen.model.backbone
    chosen = resolve_recipe(dataset, recipe, overrides, view=view, size=size)
    return chosen, chosen.model.backbone if isinstance(recipe, Recipe) else Path(recipe).stem


def resolve_decide(overrides: Sequence[str] = ()) -> Decide:
    """Give how probabilities become answers, from `decide.key=value` overrides of the defaults.

    RecipeError for a key of another section, since predictions that are there already cannot follow it.
    """
    other = [text for text in overrides if not text.strip().startswith("decide.")]
    if other:
        raise RecipeError(f"'{other[0]}' changes nothing of predictions.", "Keys here start with decide.")
    return with_overrides(Recipe(), overrides).decide


@dataclass(frozen=True)
class Request:
    """What `penlight train` was asked for: the recipe, its name, the plan where the recipe came from one, and the
    user's own network where one was named."""

    recipe: Recipe
    name: str
    plan: TrainingPlan | None = None
    own: "OwnModel | None" = None


def request(
    dataset: str | None,
    recipe: str | Recipe | None,
    overrides: Sequence[Override] = (),
    *,
    view: str | None = None,
    size: int | None = None,
    budget: float | None = None,
    own: "OwnModel | None" = None,
    takes_own: bool = True,
    listener: ProgressListener | None = None,
) -> Request:
    """Resolve a dataset with a recipe, a recipe or a run's recipe.toml alone, or a dataset alone, for which a plan is
    made.

    `own` is a network or estimator of the user's own, and `model.backbone=FILE.py:NAME` among the overrides names one
    whose file is then run; training is that of the preset cnn where no recipe is given. Unless `takes_own`, such an
    override is refused, and the file is not run.

    An unfinished planned run of the same data and budget is gone on with, by its own plan. `budget` is in seconds;
    RecipeError if it is given with a recipe. `listener` is told of the models that a plan compares.
    """
    named = [value for own in overrides if takes_own and (value := _own_named(own))]
    if named:
        from penlight.training.own import own_model

        own = own_model(named[-1])
        overrides = [each for each in overrides if not _own_named(each)]
    if own is not None:
        for key in map(key_of, overrides):
            if key.startswith("model."):
                raise RecipeError(f"{key} is no option of {own.section.name}, which is your own.", "Leave it out.")
        asked = request(dataset, recipe or "cnn", overrides, view=view, size=size, budget=budget)
        return replace(asked, name=re.sub(r"\W+", "", own.section.name.rpartition(":")[2]) or "own", own=own)
    if recipe is None and dataset is not None and not (dataset.endswith(".toml") and is_recipe_file(Path(dataset))):
        made = plan_before(dataset, overrides, view, size, budget, listener)
        return Request(with_overrides(made.recipe, overrides), "plan", made)
    if budget is not None:
        raise RecipeError("A budget is for a plan, and a recipe was given.", "Leave --recipe out, or --budget.")
    return Request(*resolve_request(dataset, recipe or "cnn", overrides, view=view, size=size))


def _own_named(override: Override) -> str:
    """Give the FILE.py:NAME that an override names as the network; empty where it names none."""
    key, value = override.partition("=")[::2] if isinstance(override, str) else override
    text = value.strip().strip("\"'") if isinstance(value, str) else ""
    return text if key.strip() == "model.backbone" and is_own_reference(text) else ""


def is_recipe_file(path: Path) -> bool:
    """Tell a recipe that names its dataset from the description of a dataset."""
    try:
        values = parse_toml(disk.read_named(path, LARGEST_TOML), str(path))
    except (OSError, PenlightError):
        return False
    return isinstance(values.get("data"), dict) and "dataset" in values["data"]


def with_references(recipe: Recipe) -> Recipe:
    """Give a recipe without paths of this machine, of one that may name its dataset and weights by any path.

    What it names is remembered. A recipe from a file must have been looked at before: it may be a stranger's.
    """
    data = recipe.data.model_copy(update={"dataset": reference_of(recipe.data.dataset)})

    def portable_weights(model: Any) -> Any:
        if isinstance(model, Pretrained | Encoded) and Path(model.weights).is_file():
            return model.model_copy(update={"weights": reference_to(Path(model.weights))})
        return model

    return recipe.model_copy(update={"data": data}).with_model(portable_weights)


def _require_known_weights(recipe: Recipe) -> None:
    """Raise RecipeError for a recipe that names a file of weights elsewhere, which the user has not named here."""

    def require(model: Any) -> Any:
        named = isinstance(model, Pretrained | Encoded) and not is_portable(model.weights)
        if not named or find_reference(model.weights) is not None:
            return model
        raise RecipeError(
            f"The recipe names weights outside the working folder, {Path(model.weights).name}, and no command on "
            "this machine has used them.",
            "Name them yourself: --set model.weights=PATH",
        )

    recipe.with_model(require)


def list_recipes() -> NameTable:
    """List the presets: name and the text of their header (what, command, cost, expected score).

    Examples
    --------
    >>> recipes = pl.list_recipes()
    >>> "cnn" in recipes.frame().index
    True
    """
    return NameTable({"name": name, "about": preset_header(name)} for name in preset_names())
