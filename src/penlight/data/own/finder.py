"""Which file a table means: by its path, by the end of one from another machine, or by its name."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import unquote, urlsplit

from penlight.data.own.cells import whole_number
from penlight.data.own.keys import check_text, plain_key
from penlight.data.own.listing import Tree, composed
from penlight.data.own.naming import split_word
from penlight.data.own.row_names import PackedName, packed_name
from penlight.data.own.tables import read_lines
from penlight.data.own.templates import template_of, without_ending
from penlight.errors import DataError
from penlight.escaping import named, shown

Parts = tuple[str, ...]
_SEPARATORS = re.compile(r"[/\\:]|^\.\.$")


class FileFinder:
    """Finds the files that a table means, among those of a tree.

    A path is taken as it stands, from the root of the tree; failing that, the file whose path ends alike is it, so
    that paths from another machine, of Windows too, and bare names work. `by_name` lets names be without their ending
    and in other case, and folders be others where the name is one file's alone; `ending` is that of the files that
    are meant, where several have a name; `pattern` is a template of names of files, whose {name} or {number} a table
    has instead of them. DataError for what may be several files.
    """

    def __init__(self, tree: Tree, table: str, *, by_name: bool = False, ending: str = "", pattern: str = "") -> None:
        self._root, self._table, self._by_name, self._ending = tree.root, table, by_name, ending.lower()
        everything = (*tree.pictures, *tree.others) if not by_name else tree.pictures
        self._by_path = {path if path.isascii() else composed(path): path for path in (*tree.pictures, *tree.others)}
        self._key: Callable[[str], str] = _numbered if "{number}" in pattern else _folded if by_name else str
        template = template_of(pattern, [pattern_field(pattern)], "file_names", from_end=True) if pattern else None
        self._found: dict[tuple[str, str | None], str | None] = {}
        self._holders: dict[str, str | None] = {}
        self._named: dict[str, list[Parts]] = {}
        for path in everything:
            parts = tuple((path if path.isascii() else composed(path)).split("/"))
            name = parts[-1]
            if template is not None:
                read = template.read(name)
                if read is None:
                    continue
                name = next(iter(read.values()))
            self._named.setdefault(self._key(name), []).append(parts)
        self._folders = {"/".join(parts[:-1]).casefold() for places in self._named.values() for parts in places}

    def find(self, written: str, split: str | None = None) -> str | None:
        """Give the path from the root of the file that is meant; None if there is none. One of `split` is not looked
        for in the folders of another one."""
        key = (written, split)
        if key not in self._found:
            packed = packed_name(written)
            self._found[key] = self._find(written, split) if packed is None else self._find_row(packed)
        return self._found[key]

    def _find_row(self, packed: PackedName) -> str | None:
        """Find a picture in a larger file, which is named from the folder of its table or of the description on."""
        file = packed.file
        if file not in self._holders:
            ends = [path for path in self._by_path if f"/{path}".endswith(f"/{file}") or file.endswith(f"/{path}")]
            self._holders[file] = file if file in ends else ends[0] if len(ends) == 1 else None
        holder = self._holders[file]
        return None if holder is None else str(replace(packed, file=self._by_path[holder]))

    def _find(self, written: str, split: str | None) -> str | None:
        if written in self._by_path and not (split and self._by_name):
            return self._by_path[written]
        if self._by_name and not (split or self._ending or _SEPARATORS.search(written)):
            alone = self._named.get(self._key(written), ())
            if len(alone) < 2:
                return self._by_path["/".join(alone[0])] if alone else None
        written = _local(written)
        plain = not (written.startswith("/") or "\\" in written or ":" in written)
        # For each of very many rows, the quick way.
        path = None if plain else PureWindowsPath(written)
        parts = path.parts if path else tuple(part for part in written.split("/") if part not in ("", "."))
        if ".." in parts:
            raise DataError(f"{self._table}: {written} leads out of {self._root}.", "Move the table above them.")
        # An absolute path was written where the folder had another place: as much of its end as fits counts.
        absolute = path is not None and bool(path.anchor)
        parts = parts[1:] if absolute else parts
        places = self._named.get(self._key(parts[-1]), []) if parts else []
        if split:
            places = [place for place in places if _split_of(place) in (None, split)]
        if not places:
            return None
        best = self._best(places, parts, absolute)
        if len(best) > 1:
            raise DataError(
                f"{self._table}: {written} may be {named('/'.join(place) for place in best)}.",
                "Write more of its path, or leave some out with --ignore, or take one ending with --ending.",
            )
        return self._by_path["/".join(best[0])] if best else None

    def has(self, written: str) -> bool:
        """Say whether a text names one file or several."""
        if packed_name(written) is not None:
            return self.find(written) is not None
        written = _local(written)
        name = written if not _SEPARATORS.search(written) else PureWindowsPath(written).name
        return bool(name) and (written in self._by_path or self._key(name) in self._named)

    def named(self, written: str) -> str:
        """Give the name of one of the files that a text names."""
        return self._named[self._key(PureWindowsPath(_local(written)).name)][0][-1]

    def _best(self, places: Sequence[Parts], parts: Parts, absolute: bool) -> list[Parts]:
        """Give the places that end as the written path does, the most like it."""
        if not self._by_name:
            common = [(_common_end(place, parts), place) for place in places]
            longest = max(n for n, _ in common)
            return [] if longest < (1 if absolute else len(parts)) else [p for n, p in common if n == longest]
        folders = tuple(part.casefold() for part in parts[:-1])
        common = [(_common_end([part.casefold() for part in place[:-1]], folders), place) for place in places]
        longest = max(n for n, _ in common)
        best = [place for n, place in common if n == longest]
        # Where both have folders that the other lacks, the file lies elsewhere than was written: it may be another.
        apart = [place for place in best if longest < min(len(place) - 1, len(folders))]
        if apart and (len(places) > 1 or any(self._elsewhere(place, folders) for place in apart)):
            best = [place for place in best if place not in apart]
        if self._ending:
            best = [place for place in best if place[-1].lower().endswith(self._ending)]
        exact = [place for place in best if place[-1].casefold() == parts[-1].casefold()]
        return exact or best

    def _elsewhere(self, place: Parts, folders: Parts) -> bool:
        """Say whether a file is in another folder than the one that is meant, which is there too, or of another
        split."""
        theirs = {split_word(part) for part in folders} - {None}
        own = {split_word(part) for part in place[:-1]} - {None}
        return "/".join(folders) in self._folders or (bool(theirs) and bool(own) and theirs != own)


def _local(written: str) -> str:
    """Give the path in an address of the web; any other path as it is."""
    return unquote(urlsplit(written).path) if written.startswith(("http://", "https://")) else written


def _folded(name: str) -> str:
    return without_ending(name).casefold()


def _numbered(name: str) -> str:
    """Give a whole number without zeros before it or .0 behind it; any other name as it is."""
    text = whole_number(_folded(name))
    return text.lstrip("0") or "0" if text.isdecimal() else text


def pattern_field(pattern: str) -> str:
    """Give the field of a pattern of names of files, which is "name" or "number"."""
    return "number" if "{number}" in pattern else "name"


def _split_of(place: Parts) -> str | None:
    return next((split for part in place[:-1] if (split := split_word(part))), None)


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def checked_lists(lists: Mapping[str, Any]) -> Mapping[str, str]:
    """Check the table `lists` of a description. DataError for another split, or what is no name of a file."""
    if unknown := lists.keys() - {"train", "val", "test"}:
        raise DataError(f"lists has {named(map(plain_key, unknown))}.", "Known are train, val and test.")
    for text in lists.values():
        if not isinstance(text, str):
            raise DataError(f"lists must hold names of files; {shown(text)} came.", "Correct it.")
        check_text(text, "lists")
    return lists


def listed_splits(folder: Path, lists: Mapping[str, str], finder: FileFinder) -> dict[str, str]:
    """Give the split of each file that is in one of the lists in a folder, which have a name a line."""
    return {finder.find(line) or line: split for split, name in lists.items() for line in read_lines(folder, name)}


def folder_of(path: str) -> str:
    """Give the folder of a path, from the root."""
    return PurePosixPath(path).parent.as_posix()
