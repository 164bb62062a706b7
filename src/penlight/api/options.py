"""Options of a recipe by keyword, `epochs=5`, or by key, `{"train.epochs": 5}`: what `--set` is in the command."""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, get_args

from penlight.api.paths import PathLike, name_of
from penlight.api.requests import Request, request
from penlight.errors import ArgumentError, RecipeError, UnknownNameError
from penlight.recipes import (
    Augment,
    Data,
    Decide,
    Estimator,
    FineTune,
    Loss,
    Override,
    Own,
    Recipe,
    Train,
    load_recipe,
)
from penlight.recipes.recipe import Section
from penlight.records import plain

Options = Mapping[str, Any] | Sequence[str]
"""Values by key, {"train.epochs": 5}, or as the command has them, ["train.epochs=5"]."""

# What a recipe says of a model that was handed in is found, not chosen.
_MODELS: tuple[type[Section], ...] = tuple(
    kind for kind in get_args(Recipe.model_fields["model"].annotation) if kind not in (Estimator, Own)
)
_SECTIONS: tuple[tuple[str, type[Section]], ...] = (
    ("train", Train),
    *(("model", kind) for kind in _MODELS),
    ("decide", Decide),
    ("data", Data),
    ("train.augment", Augment),
    ("train.loss", Loss),
    ("model.fine_tune", FineTune),
)


def request_of(
    dataset: "PathLike | Recipe",
    recipe: "PathLike | Recipe | None",
    options: Options | None,
    keywords: Mapping[str, Any],
    function: Callable[..., Any],
    **data: Any,
) -> Request:
    """Resolve what a function of the face was given; a keyword that it does not know is an option of the recipe.

    `data` are view, size, budget, own, takes_own and listener as `requests.request` has them.
    """
    if recipe is None and isinstance(dataset, Recipe):
        recipe = dataset
    if recipe is not None and not isinstance(recipe, str | os.PathLike | Recipe):
        raise ArgumentError(
            f"A recipe was expected, as a name, a path or a `Recipe`; {type(recipe).__name__} came.",
            "A network or an estimator of your own is given as model=.",
        )
    chosen = recipe if recipe is None or isinstance(recipe, Recipe) else name_of(recipe, "recipe")
    known = load_recipe(chosen) if isinstance(chosen, str) else chosen
    overrides = overrides_of(options, keywords, known, inspect.signature(function).parameters)
    return request(None if isinstance(dataset, Recipe) else name_of(dataset), chosen, overrides, **data)


def overrides_of(
    options: Options | None,
    keywords: Mapping[str, Any] = MappingProxyType({}),
    recipe: Recipe | None = None,
    others: Iterable[str] = (),
) -> list[Override]:
    """Give the changes of a recipe that options and keywords ask for, the choice of a model first.

    A keyword is the last part of a key: of the model of `recipe` if that has it, else of the section train, of any
    model, and so on. UnknownNameError, with the nearest names, `others` among them, for a keyword of no section.
    """
    if isinstance(options, str) or not (options is None or isinstance(options, Mapping | Sequence)):
        raise RecipeError(
            f"Options of a recipe are a dict, such as {{'train.epochs': 5}}; {type(options).__name__} came.",
            "Give keywords, as epochs=5, or a dict.",
        )
    if options is not None and not isinstance(options, Mapping):
        return [*options, *overrides_of(None, keywords, recipe, others)]
    keys = keys_by_keyword(recipe)
    found: list[Override] = []
    for name, value in {**_flat(options or {}), **keywords}.items():
        if name == "loss" and isinstance(value, str):
            name = "kind"
        if "." not in name and name not in keys:
            raise UnknownNameError("option", name, {*keys, *others})
        try:
            found.append((keys.get(name, name), plain(value)))
        except TypeError as error:
            raise RecipeError(
                f"The option {name} has a value of a kind that recipes do not have: {error}."
            ) from error
    return sorted(found, key=lambda change: change[0] != "model.backbone")


def _flat(options: Mapping[Any, Any], before: str = "") -> dict[str, Any]:
    """Give options by dotted keys, of tables as a recipe's file has them too."""
    found: dict[str, Any] = {}
    for key, value in options.items():
        is_table = isinstance(value, Mapping) and (before or key in Recipe.model_fields)
        found |= _flat(value, f"{before}{key}.") if is_table else {f"{before}{key}": value}
    return found


def keys_by_keyword(recipe: Recipe | None = None) -> dict[str, str]:
    """Give the key of each keyword: "train.epochs" of "epochs"; of a model's, that of `recipe` first."""
    own = [("model", type(recipe.model))] if recipe is not None and type(recipe.model) in _MODELS else []
    keys: dict[str, str] = {}
    for section, kind in (*own, *_SECTIONS):
        for name in kind.model_fields:
            keys.setdefault(name, f"{section}.{name}")
    return keys
