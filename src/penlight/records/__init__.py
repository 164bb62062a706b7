"""The one base of all that is JSON: what files hold, what the API gives, what commands print and HTTP answers.

A record is a frozen dataclass. Made in Python it is taken as it is, which costs nothing where thousands of rows are
computed, and lets it be made by position and changed by `dataclasses.replace`. Read from JSON it is checked by
pydantic before any of it is used: texts, lists and tables are bounded, whole numbers have 64 bits, and texts hold no
control characters, since they are printed in terminals. Keys that a record does not know are ignored, so that a file
of a later version with more in it still opens; what changes the meaning of a file changes its `schema`. A number that
is undefined is NaN in Python and null in JSON, here and nowhere else.

`Record.to_dict` is the one writer of JSON, `read_record` the one reader; OpenAPI has the schema that pydantic makes
of the same fields. What a notebook shows of a record, a line or a table, is made here too, of all records alike.
"""

import dataclasses
import functools
import html
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Self,
    TypeVar,
    dataclass_transform,
    get_args,
    get_type_hints,
)

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    computed_field,
)
from pydantic_core import core_schema

from penlight.errors import PenlightError, RunError
from penlight.numbers import decimal_text
from penlight.parsing import parse_json_object

if TYPE_CHECKING:
    import pandas as pd

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

SideIfKnown = Annotated[int, Field(strict=True, ge=0, le=4096)]
"""The side of an image in pixels; 0 where the images are not at hand."""


def _require_one_or_three(channels: int) -> int:
    if channels not in (1, 3):
        raise ValueError("1 or 3 was expected")
    return channels


Channels = Annotated[int, Field(strict=True), AfterValidator(_require_one_or_three)]


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

Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Digest = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]
Labels = Annotated[tuple[Name, ...], Field(min_length=1, max_length=10_000)]
Notes = Annotated[tuple[Text, ...], Field(max_length=10_000)]
ImagesPerPatient = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Sentences = Annotated[Sequence[Text], Field(max_length=10_000)]
Counts = Annotated[Mapping[Name, Count], Field(max_length=100)]
Numbers = Annotated[Mapping[Name, Number], Field(max_length=100)]


def json_key(
    name: str = "",
    *,
    formerly: str = "",
    hidden: bool = False,
    inline: bool = False,
    if_known: bool = False,
    written: Callable[[Any], Any] | None = None,
    about: str = "",
    kw_only: bool = False,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
) -> Any:
    """Say how a field of a record stands in JSON, where it is not simply under its own name.

    Under another `name`, and in old files `formerly` another one; `hidden` from JSON; a record `inline`, its keys
    among those of the record that holds it, none where it is None; left out where it is None, if given only
    `if_known`; as `written` gives it, such as a rounded number. `about` describes it in OpenAPI.
    """
    known: dict[str, Any] = {"inline": inline, "if_known": if_known, "written": written}
    known |= {"alias": name} if name else {}
    known |= {"exclude": True} if hidden else {}
    known |= {"description": about} if about else {}
    known |= {"validation_alias": AliasChoices(name, formerly)} if formerly else {}
    given: dict[str, Any] = {"default": default, "default_factory": default_factory}
    return dataclasses.field(
        **{k: v for k, v in given.items() if v is not dataclasses.MISSING}, kw_only=kw_only, metadata=known
    )


class NotebookResult:
    """What a notebook shows of a result: a line of text, a table, and its JSON."""

    def frame(self) -> "pd.DataFrame":
        """Give the result as a table."""
        raise NotImplementedError

    def to_dict(self) -> Any:
        """Give the result as JSON has it."""
        return plain(self._json())

    def _json(self) -> Any:
        """Give what `to_dict` writes: a record, or what `plain` takes."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """Show the result as a table in a notebook."""
        return f"<p><code>{html.escape(repr(self))}</code></p>{table_html(self.frame())}"


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field, json_key))
class Record(NotebookResult):
    """A frozen dataclass that is JSON. Records are equal if all that they hold is, NaN being equal to NaN.

    Give `computed` the names of properties that JSON has too, where they are not None, and `table` that of the field
    or property whose rows are the lines of the record as a table; without one it is a table of one line.
    """

    __pydantic_config__: ClassVar = ConfigDict(arbitrary_types_allowed=True)
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    _computed: ClassVar[tuple[str, ...]] = ()
    _table: ClassVar[str] = ""
    _keys: ClassVar[tuple["_Key", ...]]
    _adapter: ClassVar[tuple[type, TypeAdapter[Any]] | None] = None

    def __init_subclass__(cls, computed: tuple[str, ...] = (), table: str = "", **rest: Any) -> None:
        super().__init_subclass__(**rest)
        for name in computed:
            setattr(cls, name, computed_field(cls.__dict__[name]))
        for name, hint in inspect.get_annotations(cls).items():
            # So that OpenAPI has the type of what is written.
            if written := getattr(cls.__dict__.get(name), "metadata", {}).get("written"):
                cls.__annotations__[name] = Annotated[hint, PlainSerializer(_where_known(written))]
        cls._computed = (*cls._computed, *computed)
        cls._table = table or cls._table
        dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
        cls._keys = _keys_of(cls, cls._computed)

    def to_dict(self) -> dict[str, Any]:
        """Give the record as JSON has it: NaN is null, tuples and arrays are lists, paths are texts."""
        values: dict[str, Any] = {}
        for own in self._keys:
            value = getattr(self, own.attribute)
            if value is None and own.if_known:
                continue
            value = plain(own.written(value) if own.written else value)
            values |= (value or {}) if own.inline else {own.key: value}
        return values

    def frame(self) -> "pd.DataFrame":
        """Give the record as a table; what a line holds in further levels has their names with dots between."""
        import pandas as pd

        rows = list(getattr(self, self._table)) if self._table else [self]
        lines = pd.json_normalize([plain(row) for row in rows])
        return lines[[name for name in lines if not lines[name].map(_is_list_of_tables).any()]]

    def __repr__(self) -> str:
        """Name the fields, and of those that hold much how much, in a line or two."""
        shown = [f"{own.name}={_in_brief(getattr(self, own.name))}" for own in dataclasses.fields(self)]
        return shorten(f"{type(self).__name__}({', '.join(shown)})")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave. RunError says what is wrong."""
        return check_record(cls, values, f"A record {cls.__name__}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _held(self) == _held(other)

    def __hash__(self) -> int:
        return hash(repr(_held(self)))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Read a record that stands inline from the keys of the one that holds it, and nothing that is hidden."""
        inline = {own.key: _keys_inside(cls, own) for own in cls._keys if own.inline}
        hidden = {field.name for field in dataclasses.fields(cls) if field.metadata.get("exclude")}

        def gathered(values: Any) -> Any:
            if not isinstance(values, dict):
                return values
            parts = {key: {name: values[name] for name in values.keys() & own} for key, own in inline.items()}
            shown = {key: value for key, value in values.items() if key not in hidden}
            return shown | {key: part for key, part in parts.items() if part}

        schema = handler(source)
        return core_schema.no_info_before_validator_function(gathered, schema) if inline or hidden else schema

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        """Describe the record as `to_dict` writes it."""
        made: dict[str, Any] = handler(core)
        schema = handler.resolve_ref_schema(made)
        left_out = {own.key for own in cls._keys if own.if_known and _is_nullable(schema["properties"].get(own.key))}
        schema["required"] = [name for name in schema.get("required", []) if name not in left_out]
        for own in cls._keys:
            if own.inline and (inner := schema.get("properties", {}).pop(own.key, None)) is not None:
                schema["required"] = [name for name in schema["required"] if name != own.key]
                given = [one for one in inner.get("anyOf", [inner]) if one.get("type") != "null"]
                is_sure = given == [inner]
                schema.setdefault("allOf", []).append(inner if is_sure else {"anyOf": [*given, {"type": "object"}]})
        return made


@dataclasses.dataclass(frozen=True)
class _Key:
    """Where an attribute of a record stands in JSON."""

    attribute: str
    key: str
    inline: bool = False
    if_known: bool = False
    written: Callable[[Any], Any] | None = None


def _is_nullable(schema: Mapping[str, Any] | None) -> bool:
    return schema is None or {"type": "null"} in schema.get("anyOf", ())


def _where_known(written: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(written, updated=())
    def given(value: Any) -> Any:
        return None if value is None else written(value)

    return given


def _keys_of(kind: Any, computed: tuple[str, ...]) -> tuple[_Key, ...]:
    own = []
    for field in dataclasses.fields(kind):
        known = {"alias": field.name, "inline": False, "if_known": False, "written": None, **field.metadata}
        if not known.get("exclude"):
            own.append(_Key(field.name, known["alias"], known["inline"], known["if_known"], known["written"]))
    return (*own, *(_Key(name, name, if_known=True) for name in computed))


def _keys_inside(kind: type[Record], own: _Key) -> set[str]:
    hint = get_type_hints(kind)[own.attribute]
    inner = next(t for t in (hint, *get_args(hint)) if isinstance(t, type) and issubclass(t, Record))
    return {key.key for key in inner._keys}


LONGEST_REPR = 380
"""Characters of the text that stands for a record, however much it holds."""

_LONGEST_VALUE = 60
_MOST_LINES = 60
_FEW = 4


def shorten(text: str, longest: int = LONGEST_REPR) -> str:
    """Cut a text that is longer than a line or two, and say so."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _in_brief(value: Any) -> str:
    """Give a value as a line has room for it: short ones whole, of long ones their kind and length."""
    if hasattr(value, "shape"):
        return f"<array {value.shape}>"
    if isinstance(value, PurePath):
        return repr(str(value))
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 3]}...")
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        few = len(value) <= _FEW and all(isinstance(inner, str | int | float | None) for inner in value)
        return f"[{', '.join(map(_in_brief, value))}]" if few else f"<{len(value):,} items>"
    if isinstance(value, Mapping):
        few = len(value) <= _FEW and all(isinstance(inner, str | int | float | None) for inner in value.values())
        inside = ", ".join(f"{_in_brief(key)}: {_in_brief(inner)}" for key, inner in value.items()) if few else ""
        return f"{{{inside}}}" if few else f"<{len(value):,} items>"
    return shorten(repr(value), _LONGEST_VALUE)


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(inner, dict) for inner in value)


def table_html(table: "pd.DataFrame") -> str:
    """Give a table as HTML for a notebook: at most 60 lines, numbers by three decimals, texts escaped."""
    if len(table) <= _MOST_LINES:
        table = table.map(lambda value: " ".join(value.split()) if isinstance(value, str) else value)
    made: str = table.to_html(max_rows=_MOST_LINES, float_format=decimal_text, na_rep="", border=0)
    return made


def picture_html(file: Path, about: str) -> str:
    """Show a PNG file in a notebook, which keeps it; `about` is said where pictures are not seen."""
    from base64 import b64encode

    return (
        f'<img alt="{html.escape(about)}" style="max-width:44rem;display:block;margin:0 0 1em" '
        f'src="data:image/png;base64,{b64encode(file.read_bytes()).decode("ascii")}">'
    )


def _held(record: Any) -> list[Any]:
    """Give all that a record holds, what JSON leaves out too, so that NaN is equal to NaN."""
    return [_comparable(getattr(record, own.name)) for own in dataclasses.fields(record)]


def _comparable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_comparable(inner) for inner in value]
    if isinstance(value, Mapping):
        return {key: _comparable(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        return _comparable(value.tolist())
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def plain(value: Any) -> Any:
    """Give a value, and what it holds, as JSON has it: the one place where NaN becomes null, and NumPy Python."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, int):
        return value
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def without_defaults(record: Record, values: Mapping[str, Any]) -> dict[str, Any]:
    """Give a record that was read from `values` as JSON has it, without the keys that these did not have: what a file
    does not say is not the same as what it says is not known."""
    return {key: value for key, value in record.to_dict().items() if key in values}


def json_text(value: Any, *, indent: int | None = 1) -> str:
    """Give a record, or what `plain` takes, as the text that files, commands and HTTP have of it. HTTP has it without
    `indent`: Python's encoder takes four times as long for lines that a person reads."""
    return json.dumps(plain(value), indent=indent, allow_nan=False) + "\n"


R = TypeVar("R", bound=Record)


def _adapter_of(kind: type[Record]) -> TypeAdapter[Any]:
    """Build the schema of a record when it is first read: a command uses few of them."""
    if kind._adapter is None or kind._adapter[0] is not kind:
        kind._adapter = kind, TypeAdapter(kind)
    return kind._adapter[1]


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
        made: R = _adapter_of(kind).validate_python(values)
    except ValidationError as cause:
        raise error(f"{what} is not what Penlight writes: {_said(cause)}.", remedy) from cause
    return made


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
