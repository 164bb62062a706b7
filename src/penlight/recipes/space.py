"""The search space of tuning as data: which keys of a recipe are searched, within what; and the trials in it.

A space is TOML: a dotted key with `low`, `high` and `log`, or with `choices`. The spaces that ship are in `spaces/`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from penlight.errors import RecipeError
from penlight.parsing import parse_toml
from penlight.recipes.recipe import Ensemble, Majority, Network, Recipe, with_overrides
from penlight.records import Name, Number, Record, json_key

SPACES_FOLDER = Path(__file__).parent / "spaces"
_SECTIONS = ("model", "train")
_WORDS = {"low", "high", "log", "choices"}


class Range(Record):
    """A key whose values lie from `low` to `high`, both included; `whole` where they are integers, `log` where
    ratios matter instead of differences."""

    key: str = json_key(hidden=True)
    low: float
    high: float
    log: bool = False
    whole: bool = json_key(hidden=True, default=False)

    def holds(self, value: Any) -> bool:
        """Say whether a value lies in the range."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


class Choices(Record):
    """A key that has one of `choices`, in no order."""

    key: str = json_key(hidden=True)
    choices: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Say whether a value is one of the choices."""
        return value in self.choices


Parameter = Range | Choices


@dataclass(frozen=True)
class Space:
    """Parameters in the order of the file. Every value of each is one that the recipe takes."""

    parameters: tuple[Parameter, ...]

    @property
    def tables(self) -> dict[str, Any]:
        """The space as TOML and JSON have it: dotted key -> table."""
        return {p.key: p.to_dict() for p in self.parameters}

    def values_of(self, recipe: Recipe) -> dict[str, Any] | None:
        """Give the recipe's own values of the searched keys; None where one lies outside the space."""
        values = {p.key: value_at(recipe, p.key) for p in self.parameters}
        return values if all(p.holds(values[p.key]) for p in self.parameters) else None


def _thousandths(seconds: float) -> float:
    return round(seconds, 3)


class Trial(Record):
    """A point of a space that was tried.

    `number` counts from 1; `values` are the headline metric of each repeat, `value` their mean. A "pruned" trial was
    stopped on the way and has no `values`; its `value` is an estimate. A "diverged" one has neither (NaN), and `note`
    says why. `params` maps each searched key to its value; `seconds` is what it took.
    """

    number: int
    state: Literal["complete", "pruned", "diverged"]
    value: Number
    values: tuple[Number, ...]
    params: Mapping[Name, Any]
    seconds: Number = json_key(written=_thousandths)
    note: str = ""


def default_space(recipe: Recipe) -> Space:
    """Give the space that ships for the recipe's model, without the keys the model lacks.

    RecipeError for a model with nothing to search.
    """
    model = recipe.model
    if isinstance(model, Majority):
        raise RecipeError("The majority answer has nothing to tune.", "Choose another recipe with --recipe.")
    if isinstance(model, Ensemble) and model.weigh == "given":
        raise RecipeError("This ensemble's weights are given, so it has nothing to tune.", "Tune its members alone.")
    path = SPACES_FOLDER / ("network.toml" if isinstance(model, Network) else f"{model.backbone}.toml")
    tables = _tables(parse_toml(path.read_bytes(), path.name), path.name)
    here = {key: table for key, table in tables.items() if has_key(recipe, key)}
    return space_from_dict(here, recipe, path.name)


def load_space(path: Path, recipe: Recipe) -> Space:
    """Read a space from a TOML file and check every value against the recipe. RecipeError names what is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecipeError(
            f"The space {path} cannot be read: {error}.", "Check the path given with --space."
        ) from error
    values = parse_toml(content, f"The space {path}", error=RecipeError)
    return space_from_dict(_tables(values, str(path)), recipe, str(path))


def space_from_dict(tables: Mapping[str, Any], recipe: Recipe, where: str = "the space") -> Space:
    """Make a space of dotted key -> table, checked against the recipe. RecipeError names what is wrong."""
    if not tables:
        raise RecipeError(
            f"{where} holds no parameter.", "Write, for example, train.learning_rate with low and high."
        )
    return Space(tuple(_parameter(key, table, recipe, where) for key, table in tables.items()))


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Give the recipe with values at dotted keys. RecipeError if it does not take one."""
    # A JSON scalar, or list of them, is the same in TOML, which overrides are read as; TOML has no null.
    texts = {key: "none" if value is None else json.dumps(value) for key, value in values.items()}
    return with_overrides(recipe, [f"{key}={text}" for key, text in texts.items()])


def value_at(recipe: Recipe, key: str) -> Any:
    """Give the value at a dotted key that the recipe has; lists for tuples."""
    value: Any = recipe.model_dump(mode="json")
    for part in key.split("."):
        value = value[part]
    return value


def has_key(recipe: Recipe, key: str) -> bool:
    """Say whether the recipe, with the model it has, knows a dotted key that holds one value."""
    try:
        value = value_at(recipe, key)
    except (KeyError, TypeError):
        return False
    return not isinstance(value, dict)


def _tables(values: Mapping[str, Any], where: str, prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables down to those that describe a parameter: dotted key -> table."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if not isinstance(value, dict):
            raise RecipeError(
                f"In {where}, '{key}' is a value; a table with low and high, or with choices, was expected.",
                f"Write {key} = {{ low = ..., high = ... }}, or give a fixed value with --set.",
            )
        out |= {key: value} if not value or _WORDS & set(value) else _tables(value, where, f"{key}.")
    return out


def _parameter(key: str, table: Any, recipe: Recipe, where: str) -> Parameter:
    _check_key(key, recipe, where)
    names = set(table)
    if names == {"choices"}:
        return _choices(key, table["choices"], recipe, where)
    if {"low", "high"} <= names <= {"low", "high", "log"}:
        return _range(key, table, recipe, where)
    raise RecipeError(
        f"In {where}, '{key}' has {', '.join(sorted(names)) or 'nothing'}.",
        "A parameter has low and high (and log, true or false), or choices.",
    )


def _check_key(key: str, recipe: Recipe, where: str) -> None:
    if key.partition(".")[0] not in _SECTIONS or key == "model.backbone":
        raise RecipeError(
            f"In {where}, '{key}' cannot be searched: scores are compared on one view, of one kind of model.",
            "Search keys of model and train; compare kinds of models with a study.",
        )
    backbone = recipe.model.backbone
    if not has_key(recipe, key):
        raise RecipeError(
            f"In {where}, '{key}' is not a key of a recipe with the model '{backbone}'.",
            "See `penlight recipes` and a run's recipe.toml for the keys there are.",
        )
    if not isinstance(recipe.model, Network) and not key.startswith("model."):
        raise RecipeError(f"In {where}, '{key}' changes nothing of the model '{backbone}', which is not a network.")


def _range(key: str, table: Mapping[str, Any], recipe: Recipe, where: str) -> Range:
    low, high, log = table["low"], table["high"], table.get("log", False)
    for value in (low, high):
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise RecipeError(f"In {where}, low and high of '{key}' must be numbers; {value!r} came.")
    if not isinstance(log, bool):
        raise RecipeError(f"In {where}, log of '{key}' must be true or false; {log!r} came.")
    if low > high:
        raise RecipeError(
            f"In {where}, '{key}' has low {low} above high {high}: no value is valid.", "Exchange them."
        )
    if log and low <= 0:
        raise RecipeError(f"In {where}, '{key}' is searched by ratios, and low is {low}.", "Let low be above 0.")
    taken = [_taken(key, value, recipe, where) for value in (low, high)]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in taken):
        raise RecipeError(f"In {where}, '{key}' is no number in a recipe.", "Give choices in place of low and high.")
    return Range(key, taken[0], taken[1], log, whole=isinstance(taken[0], int))


def _choices(key: str, choices: Any, recipe: Recipe, where: str) -> Choices:
    if not isinstance(choices, list) or not choices:
        raise RecipeError(f"In {where}, choices of '{key}' must be a list with a value in it; {choices!r} came.")
    taken = (_taken(key, value, recipe, where) for value in choices)
    return Choices(key, tuple({json.dumps(value): value for value in taken}.values()))


def _taken(key: str, value: Any, recipe: Recipe, where: str) -> Any:
    """Give a value as the recipe takes it; RecipeError where it does not."""
    try:
        return value_at(with_values(recipe, {key: value}), key)
    except RecipeError as error:
        raise RecipeError(f"{where} has a value that recipes refuse. {error.problem}", error.remedy) from error
    except TypeError as error:
        raise RecipeError(f"In {where}, a value of '{key}' is of a kind that recipes do not have.") from error
