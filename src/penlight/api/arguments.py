"""Arguments of the functions of `penlight`, checked before anything is done: their kinds and their ranges."""

import functools
import inspect
import numbers
import types
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from penlight.errors import ArgumentError

P = ParamSpec("P")
T = TypeVar("T")

_LEAST = {
    **{"seed": 0, "neighbours": 0, "seeds": 1, "trials": 1, "workers": 1, "threads": 1, "size": 1, "port": 1},
    **{"folds": 2, "repeats": 1},
}
_ABOVE_0 = {"budget", "seconds"}
_KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Raise ArgumentError, in a sentence, for an argument of another kind or out of its range. Whole numbers of NumPy
    are taken too."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args: P.args, **values: P.kwargs) -> T:
        try:
            given = signature.bind(*args, **values)
        except TypeError:
            return function(*args, **values)  # which says it with the function's name
        for name, value in given.arguments.items():
            own = signature.parameters[name]
            if own.kind not in (own.VAR_POSITIONAL, own.VAR_KEYWORD):
                given.arguments[name] = _checked(name, value, own.annotation)
        return function(*given.args, **given.kwargs)

    return called


def _checked(name: str, value: Any, annotation: Any) -> Any:
    kinds = annotation.__args__ if isinstance(annotation, types.UnionType) else (annotation,)
    if Any in kinds or not all(isinstance(kind, type) for kind in kinds):
        return value
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if int in kinds and is_number and isinstance(value, numbers.Integral):
        value = int(value)
    elif float in kinds and is_number:
        value = float(value)
    if name == "on" and isinstance(value, str):
        from penlight.experiments.executors.places import Place

        # Before a plan compares models.
        Place.of(value)
    least = _LEAST.get(name)
    good = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if good and value is not None:
        good = (least is None or value >= least) and (name not in _ABOVE_0 or value > 0)
    if good:
        return value
    wanted = " or ".join(_KINDS.get(kind, f"a {kind.__name__}") for kind in kinds if kind is not types.NoneType)
    wanted += "" if least is None else f" of at least {least}"
    wanted += " above 0" if name in _ABOVE_0 else ""
    raise ArgumentError(f"{name}: {wanted} was expected; {_shown(value)} came.")


def _shown(value: Any) -> str:
    plain = value is None or isinstance(value, str | int | float)
    return repr(value)[:80] if plain else f"{type(value).__name__}"
