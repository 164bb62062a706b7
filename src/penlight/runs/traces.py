"""Search files for traces of a dataset or of a machine: paths, names of pictures, identifiers of patients.

A copy that is made to be shared is put together from what may be in it. This is the check that nothing else came
along, in whatever form: it looks at bytes, at texts as JSON and HTML write them, and into archives.
"""

import contextlib
import html
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penlight.data.npz import read_array, read_headers
from penlight.errors import PenlightError
from penlight.parsing import parse_json

SHORTEST = 4
"""Fewest bytes of a text that is searched for; shorter ones occur anywhere by chance."""

# Weights are bytes at random, among which four letters are found in every twenty megabytes.
_SHORTEST_IN_NUMBERS = 6
_FEWEST_DIGITS = 6
_BLOCK = 1 << 22
_LARGEST_MEMBER = 1 << 30
_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


@dataclass(frozen=True)
class Traces:
    """What is searched for, each with what it is: `texts` anywhere, as words of their own; `numbers`, which are
    identifiers of digits alone, in texts only, since other numbers are full of digits."""

    texts: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Mapping[str, Iterable[str]], common: Iterable[str] = ()) -> "Traces":
        """Sort what is known, by what it is; `common` are words that stand in every run, which are not searched."""
        skipped, texts, numbers = set(common), {}, {}
        for what, values in found.items():
            for value in values:
                if value in skipped or len(value.encode()) < SHORTEST:
                    continue
                if value.isdecimal():
                    if len(value) >= _FEWEST_DIGITS:
                        numbers[value] = what
                else:
                    texts[value] = what
        return cls(texts, numbers)

    def in_folder(self, folder: Path) -> list[tuple[str, str]]:
        """Give the files below a folder that hold a trace, with what it is, once for each kind."""
        long = {text: what for text, what in self.texts.items() if len(text.encode()) >= _SHORTEST_IN_NUMBERS}
        own = _Needles(long), _Needles({**self.texts, **self.numbers})
        found = {
            (file.relative_to(folder).as_posix(), what)
            for file in sorted(folder.rglob("*"))
            if file.is_file()
            for needles, content in _contents(file.name, file.read_bytes(), *own)
            for what in needles.kinds_in(content)
        }
        return sorted(found)


class _Needles:
    """Texts to be found in bytes, many at once: by their first four bytes, then whole."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._kinds = {text.encode(): what for text, what in texts.items()}
        self._lengths = sorted({len(text) for text in self._kinds})
        firsts = {text[:SHORTEST] for text in self._kinds}
        self._firsts = np.array([int.from_bytes(first, "little") for first in firsts], np.uint32)

    def kinds_in(self, content: bytes) -> set[str]:
        """Say what is in bytes, as words of their own."""
        found = set()
        for place in self._places(content):
            before = content[place - 1] if place else 0
            for length in self._lengths:
                end = place + length
                text = content[place:end]
                what = self._kinds.get(text)
                if what is None or (before in _WORD and text[0] in _WORD):
                    continue
                if end < len(content) and content[end] in _WORD and text[-1] in _WORD:
                    continue
                found.add(what)
        return found

    def _places(self, content: bytes) -> Iterator[int]:
        if not len(self._firsts):
            return
        for start in range(0, len(content), _BLOCK):
            block = np.frombuffer(content[start : start + _BLOCK + SHORTEST - 1], np.uint8)
            values: NDArray[np.uint32] = block.astype(np.uint32)
            if len(values) < SHORTEST:
                return
            four = values[:-3] | values[1:-2] << 8 | values[2:-1] << 16 | values[3:] << 24
            yield from (np.flatnonzero(np.isin(four, self._firsts)) + start).tolist()


def _contents(name: str, content: bytes, exact: _Needles, text: _Needles) -> Iterator[tuple[_Needles, bytes]]:
    """Give a file's bytes, and what they say where they are a text or an archive."""
    yield exact, content
    if zipfile.is_zipfile(io.BytesIO(content)):
        yield from _members(name, content, exact, text)
    elif name.endswith(".json"):
        with contextlib.suppress(PenlightError, UnicodeError):
            strings = _strings(parse_json(content, name))
            yield text, _without_numbers("\n".join(strings)).encode("utf-8", "surrogatepass")
    elif name.endswith((".html", ".md", ".toml", ".csv")):
        yield text, html.unescape(_without_numbers(content.decode("utf-8", "replace"))).encode()


def _members(name: str, content: bytes, exact: _Needles, text: _Needles) -> Iterator[tuple[_Needles, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            yield exact, member.filename.encode()
            if not name.endswith(".npz"):
                assert member.file_size <= _LARGEST_MEMBER
                yield from _contents(member.filename, archive.read(member), exact, text)
    if name.endswith(".npz"):
        for header in read_headers(content, name).values():
            values = read_array(content, header, name)
            if header.dtype.kind == "U":
                yield text, "\n".join(values.ravel().tolist()).encode("utf-8", "surrogatepass")
            else:
                yield exact, values.tobytes()


def _strings(value: object) -> Iterator[str]:
    """Give every text in JSON, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _without_numbers(text: str) -> str:
    """Take out what numbers are made of besides digits, so that digits after a point are no words."""
    return re.sub(r"[0-9][0-9,]*\.[0-9]+(?:[eE][-+]?[0-9]+)?", " ", text)


def scrubbed(value: object, paths: Iterable[str]) -> object:
    """Give JSON with every path of a list taken out of its texts."""
    known = sorted((path for path in paths if len(path) >= SHORTEST), key=len, reverse=True)
    if not known:
        return value
    return _scrubbed(value, re.compile("|".join(rf"{re.escape(path)}(?![A-Za-z0-9])[^\s'\"]*" for path in known)))


def _scrubbed(value: object, pattern: re.Pattern[str]) -> object:
    if isinstance(value, str):
        return pattern.sub("(a path)", value)
    if isinstance(value, dict):
        return {pattern.sub("(a path)", str(key)): _scrubbed(inner, pattern) for key, inner in value.items()}
    if isinstance(value, list):
        return [_scrubbed(inner, pattern) for inner in value]
    return value
