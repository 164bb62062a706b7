"""Paths as a notebook gives them: text, a Path, or a result that has a folder, such as a run."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from penlight.disk import is_possible_path
from penlight.errors import ArgumentError

PathLike: TypeAlias = str | os.PathLike[str]
"""Text, a Path, or anything that has a folder or file of its own, as `Run` has."""


def path_of(value: PathLike, what: str = "path") -> Path:
    """Give a path. ArgumentError, naming `what` it was for, for what is none."""
    try:
        path = Path(value)
    except TypeError:
        raise ArgumentError(
            f"A {what} was expected, as text or as a Path; {type(value).__name__} came.", f"Give the {what}."
        ) from None
    if not is_possible_path(str(path)):
        raise ArgumentError(
            f"A {what} was expected; a text came that no path can be, of {len(str(path)):,} characters.",
            f"Give the {what}.",
        )
    return path


def path_or_none(value: PathLike | None, what: str = "path") -> Path | None:
    """Give a path, or None where none was given. Errors as in `path_of`."""
    return None if value is None else path_of(value, what)


def name_of(value: PathLike, what: str = "dataset") -> str:
    """Give a name or a path as text. Errors as in `path_of`."""
    path = path_of(value, what)
    return value if isinstance(value, str) else str(path)


def listed(values: Any) -> Sequence[Any]:
    """Give several values as a list; one alone is a list of one: a text, a path, an array, a name with its bytes."""
    if hasattr(values, "shape"):
        return [values]
    is_upload = isinstance(values, tuple) and len(values) == 2 and isinstance(values[1], bytes)
    is_one = is_upload or isinstance(values, str | os.PathLike) or not isinstance(values, Iterable)
    return [values] if is_one else list(values)
