"""What `penlight data new` was asked and could not decide, as a file that a person completes and gives again.

    path = "films.csv"
    label_columns = ["dx"]            # what was given
    # films.csv: 1 row without a label, of 3.png.
    # drop_unlabelled = true          # an answer; several where there are several

A draft is no description and opens no dataset; it is removed once there is one.
"""

import csv
import json
import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from penlight import disk
from penlight.data.own.listing import AskedLayout
from penlight.data.own.questions import OpenQuestion
from penlight.errors import DataError
from penlight.escaping import named, printable
from penlight.parsing import LARGEST_TOML, parse_toml

SUFFIX = ".draft.toml"
_FIRST = "# What `penlight data new` could not decide"
_OF_LAYOUT = {each.name: each for each in fields(AskedLayout) if each.name not in ("several", "order")}
_OTHERS = ("task", "order", "size", "channels", "bits", "name", "seed", "skip_unreadable", "images")
_FLAGS = ("drop_unlabelled", "skip_unreadable")
_NUMBERS = ("size", "channels", "bits", "seed")
_LISTS = ("label_columns", "join", "ignore", "order")


def answer(options: Mapping[str, Any], option: str) -> dict[str, Any]:
    """Give options of `new_dataset` with an answer to a question, written as on the command line; one that names
    another path is under "path"."""
    words = shlex.split(option)
    given = dict(options)
    if words[:1] == ["penlight"]:
        return {**given, "path": words[-1]}
    at = 0
    while at < len(words):
        key = words[at].removeprefix("--").replace("-", "_").replace("label_column", "label_columns")
        if key in _FLAGS:
            given[key], at = True, at + 1
            continue
        value: Any = words[at + 1]
        if key in ("label_columns", "order"):
            value = next(csv.reader([value], skipinitialspace=True))
        elif key in _NUMBERS:
            value = int(value)
        elif key in _LISTS:
            value = [*given.get(key, ()), value]
        given[key], at = value, at + 2
    return given


def write_draft(place: Path, path: Path, options: Mapping[str, Any], question: OpenQuestion) -> None:
    """Write a draft, in the place of an earlier one. StorageError if that fails; a file that is no draft is left."""
    if place.exists() and not _is_draft(place):
        return
    lines = [
        f"{_FIRST}: remove the # before one of the answers, or correct a line, and give this",
        f"# file again: penlight data new {shlex.quote(place.name)}",
        _line("path", path),
        *(_line(key, value) for key, value in options.items() if value),
        "",
        f"# {printable(question.sentence)}",
    ]
    for reading in question.readings:
        answered = answer({}, reading.option)
        lines += [f"# {_line(key, value)}  # {printable(reading.words)}" for key, value in answered.items()]
    with disk.writing_to(place.parent, "Choose another folder with --out."), disk.folders(place.parent):
        disk.write_whole(place, ("\n".join(lines) + "\n").encode())


def _line(key: str, value: Any) -> str:
    """Write a line of TOML, whose texts, lists and tables of texts are here as JSON has them, on one line."""
    if isinstance(value, Mapping):
        return f"{key} = {{ {', '.join(f'{json.dumps(name)} = {json.dumps(of)}' for name, of in value.items())} }}"
    plain = [str(each) for each in value] if isinstance(value, list | tuple) else value
    return f"{key} = {json.dumps(plain if isinstance(plain, list | bool | int) else str(plain))}"


def read_draft(place: Path) -> dict[str, Any]:
    """Read a draft: the options of `new_dataset`, with "path". DataError for an unknown key, or without a path."""
    try:
        values = parse_toml(disk.read_named(place, LARGEST_TOML), str(place))
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror}.", "Check the path.") from error
    if unknown := sorted(values.keys() - {"path", *_OTHERS, *_OF_LAYOUT}):
        raise DataError(f"{place}: unknown key {named(unknown)}.", f"Known are {', '.join([*_OTHERS, *_OF_LAYOUT])}.")
    kinds: dict[str, type] = {"label_map": dict, **dict.fromkeys(_NUMBERS, int)}
    kinds |= dict.fromkeys(_LISTS, list) | dict.fromkeys(_FLAGS, bool)
    for key, value in values.items():
        wanted = kinds.get(key, str)
        texts = value if isinstance(value, list) else []
        if type(value) is not wanted or not all(isinstance(text, str) for text in texts):
            raise DataError(f"{place}: {key} must be {_WORDS[wanted]}.", "Correct it.")
    if "path" not in values:
        raise DataError(f"{place} names no path.", "Add it, or give the folder or table itself.")
    return values


_WORDS = {list: "a list of texts", bool: "true or false", int: "a whole number", dict: "a table", str: "a text"}


def remove_draft(place: Path) -> None:
    """Remove a draft that is answered."""
    if _is_draft(place):
        place.unlink(missing_ok=True)


def _is_draft(place: Path) -> bool:
    try:
        with place.open("rb") as file:
            return file.read(len(_FIRST)) == _FIRST.encode()
    except OSError:
        return False
