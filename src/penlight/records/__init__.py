"""The one base of the JSON that Penlight keeps: what a file may hold, checked before any of it is used.

A record is frozen. Keys that it does not know are ignored, so that a file of a later version with more in it still
opens; what changes the meaning of a file changes its `schema`. A number that is undefined is NaN in Python and null
in JSON, here and nowhere else. Texts, lists and tables are bounded, whole numbers have 64 bits, and texts hold no
control characters, since they are printed in terminals.

Schemas are in the modules of this package, by who reads them: answering for a picture imports `run` alone.
"""

import math
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from penlight.errors import PenlightError, RunError
from penlight.parsing import parse_json_object

_NO_CONTROL = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"

Text = Annotated[str, Field(strict=True, max_length=20_000, pattern=_NO_CONTROL)]
"""A sentence or more."""

Name = Annotated[str, Field(strict=True, max_length=500, pattern=_NO_CONTROL)]
"""A name, a label, a hash."""

Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Side = Annotated[int, Field(strict=True, ge=1, le=4096)]
"""The side of an image in pixels."""


def nan_of_null(value: Any) -> Any:
    """Read null as NaN."""
    return math.nan if value is None else value


def _null_of_nan(value: float) -> float | None:
    return value if math.isfinite(value) else None


Number = Annotated[
    float,
    BeforeValidator(nan_of_null),
    Field(strict=True),
    PlainSerializer(_null_of_nan, return_type=float | None, when_used="json"),
]
"""A number that may be undefined: NaN in Python, null in JSON."""


class Record(BaseModel):
    """What a JSON file, or a part of one, holds. Records are equal if their JSON is."""

    # Schemas are built when they are first used: a command uses few of them.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    def to_json(self, *, given_only: bool = False) -> dict[str, Any]:
        """Give the record as JSON has it: NaN is null, tuples are lists. With `given_only`, defaults are left out
        where nothing was given: a file that was read comes back as it was."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=given_only)

    def __eq__(self, other: object) -> bool:
        # Not by values: NaN is unequal to itself.
        return type(self) is type(other) and self.model_dump_json() == other.model_dump_json()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())


R = TypeVar("R", bound=Record)


def read_record(
    kind: type[R], content: bytes | str, what: str, remedy: str = "", *, error: type[PenlightError] = RunError,
    largest: int = 0,
) -> R:  # fmt: skip
    """Parse JSON within the limits of `parsing.parse_json` and check it as a record.

    `error`, which names `what`, says in a line what was expected and what came, and ends with `remedy`.
    """
    return check_record(kind, parse_json_object(content, what, remedy, error=error, largest=largest), what, remedy,
                        error=error)  # fmt: skip


def check_record(
    kind: type[R], values: Any, what: str, remedy: str = "", *, error: type[PenlightError] = RunError
) -> R:
    """Check values that were parsed from JSON as a record. Errors as in `read_record`."""
    try:
        return kind.model_validate(values)
    except ValidationError as cause:
        raise error(f"{what} is not what Penlight writes: {_said(cause)}.", remedy) from cause


def _said(cause: ValidationError) -> str:
    """Put the first of the problems into words; what came is cut short and free of control characters."""
    first = cause.errors(include_url=False, include_context=False)[0]
    place = _short(".".join(map(str, first["loc"])))
    if first["type"] == "missing":
        return f"'{place}' is missing"
    message = _short(first["msg"])
    if first["type"] == "string_pattern_mismatch":
        message = "a text of the expected form, without control characters, was expected"
    return f"'{place}': {message[:1].lower()}{message[1:]}, {_short(repr(_peek(first['input'])))} came"


def _peek(value: Any) -> Any:
    """Give a value as short as it must be to be shown: a long number or text is never written out."""
    if isinstance(value, dict | list | tuple):
        names = {dict: "a table", list: "a list", tuple: "a list"}
        return _Words(f"{names[type(value)]} of {len(value)}")
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return _Words("a whole number of very many digits")
    return value[:60] if isinstance(value, str) else value


class _Words(str):
    def __repr__(self) -> str:
        return str(self)


def _short(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()[:120].translate(_ESCAPED)


_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(32), 127)}
