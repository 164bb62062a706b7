"""Reading npz files that Penlight wrote, as what a stranger may have made: a text `about` beside arrays whose names,
types and axes are known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from penlight.data.npz import read_arrays
from penlight.errors import DataError, PenlightError, RunError
from penlight.records import Record, read_record

ABOUT = "about"

_LONGEST_ABOUT = 1 << 20

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Wanted:
    """An array that a file must have: its dtype, to which narrower ones of the same kind are turned, and its axes."""

    dtype: type[np.generic]
    axes: int


def read_archive(
    kind: type[R],
    content: bytes,
    wanted: Mapping[str, Wanted],
    what: str,
    remedy: str,
    *,
    largest: int,
    schema: int,
    error: type[PenlightError] = RunError,
) -> tuple[R, dict[str, NDArray[Any]]]:
    """Read an npz: its text `about` as a record of this kind, and its arrays, the `wanted` ones checked.

    `error`, which names `what`, for what is damaged, was made to unpack to more than `largest` bytes, is of another
    `schema`, or has other arrays.
    """
    try:
        arrays = read_arrays(content, what, largest)
    except DataError as cause:
        problem = cause.problem.removeprefix(what).lstrip(": ")
        raise error(f"{what} is not what Penlight writes, or it is damaged: {problem}", remedy) from cause
    text = arrays.pop(ABOUT, None)
    if text is None or text.dtype.kind != "U" or text.ndim or text.nbytes > _LONGEST_ABOUT:
        raise error(f"{what} lacks the text that says what it holds.", remedy)
    about = read_record(kind, str(text), f"The text `{ABOUT}` in {what}", remedy, error=error)
    if getattr(about, "schema", schema) != schema:
        raise error(f"{what} was written by another version of Penlight.", remedy)
    if missing := [name for name in wanted if name not in arrays]:
        raise error(f"{what} lacks an array that it must have: {', '.join(missing)}.", remedy)
    for name, expected in wanted.items():
        arrays[name] = _checked(arrays[name], expected, name, what, remedy, error)
    return about, arrays


def require_numbers(arrays: Mapping[str, NDArray[Any]], what: str, remedy: str) -> None:
    """Raise RunError if an array holds NaN or infinity."""
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise RunError(f"{name} in {what} holds values that are not finite numbers.", remedy)


def _checked(
    array: NDArray[Any], wanted: Wanted, name: str, what: str, remedy: str, error: type[PenlightError]
) -> NDArray[Any]:
    target = np.dtype(wanted.dtype)
    # Signed or not makes no difference to numbers that both hold; whether they are whole or not does.
    whole = {"i": "iub", "u": "iub", "f": "f"}[target.kind]
    if array.dtype.kind not in whole or array.ndim != wanted.axes:
        raise error(
            f"{name} in {what} must have {wanted.axes} ax{'i' if wanted.axes == 1 else 'e'}s and the type {target}; "
            f"{array.ndim} and {array.dtype} came.",
            remedy,
        )
    turned = array.astype(target)
    if target.kind != "f" and not np.array_equal(turned, array):
        raise error(f"{name} in {what} holds numbers that {target} cannot.", remedy)
    return turned
