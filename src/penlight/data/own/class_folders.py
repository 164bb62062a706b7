"""The layout of class folders: a folder that a picture is in is its label; others may say its split and its patient,
or nothing.

What a level of folders says is found from the names in it; where two levels may be the labels, a person is asked.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Self

from penlight.data.own import naming
from penlight.data.own.finder import FileFinder, checked_lists, listed_splits
from penlight.data.own.listing import AskedLayout, Listing, PictureLayout, PictureRow, Tree, composed, split_named
from penlight.data.own.questions import UndecidedError, ask
from penlight.data.own.templates import template_of
from penlight.errors import DataError
from penlight.escaping import named
from penlight.formats import KINDS
from penlight.numbers import counted

_FIELDS = ("label", "split", "patient")
_SHOWN = 5
_MOST_LEVELS = 20
Folder = tuple[str, ...]


@dataclass(frozen=True)
class ClassFolders(PictureLayout):
    """Class folders. `folders` is a template of the folders of a picture, such as "*/{split}/{label}"; without it the
    first folder is the label or, where all are named so, the split, and the next the label. `lists` are files with
    the names of the pictures of a split. They come last: every folder may have them."""

    folders: str = ""
    lists: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict, compare=False)

    options: ClassVar[Mapping[str, type]] = {"folders": str, "lists": dict}

    @classmethod
    def find_in(cls, folder: Path, tree: Tree) -> Path | None:
        """Give the folder itself."""
        return folder

    @classmethod
    def propose(cls, source: Path, tree: Tree, asked: AskedLayout) -> Self:
        """Find out which level of folders is the label. UndecidedError where two may be it."""
        if asked.folders:
            template_of(asked.folders, _FIELDS, "--folders")
            about = {"labels": f"the folders at {{label}} in {asked.folders}"}
            return cls(asked.folders, {} if "{split}" in asked.folders else _lists(source, tree, asked), about)
        levels = _levels(tree)
        found = _label_level(source, tree, levels)
        if found is None:
            return cls()
        splits = [i for i, level in enumerate(levels) if level.kind == "split"]
        text = _template(found, splits[0] if splits else None)
        about = {"labels": f"the folders {named(sorted(levels[found].names))}"}
        if splits:
            about["split"] = f"the folders {named(sorted(levels[splits[0]].names))}"
        lists = {} if splits else _lists(source, tree, asked)
        if lists:
            about["split"] = f"the lists {named(lists.values())}"
        old = all(map(split_named, levels[splits[0]].names)) if splits else True
        return cls("" if old and text in ("{label}", "{split}/{label}") else text, lists, about)

    @classmethod
    def from_table(cls, images: Mapping[str, Any]) -> Self | None:
        """Read the template of the folders, if there is one."""
        if images.get("folders"):
            template_of(images["folders"], _FIELDS, "folders")
        return cls(images.get("folders", ""), checked_lists(images.get("lists", {})))

    def to_table(self) -> dict[str, Any]:
        """Give the template of the folders."""
        said = {"folders": self.folders, "lists": dict(self.lists)}
        return {key: value for key, value in said.items() if value}

    def account(self) -> Mapping[str, str]:
        """Say which folders are labels and which are splits."""
        return self.about

    def list_rows(self, folder: Path, name: str, tree: Tree) -> Listing:
        """Read labels and splits from the folders; the order of the rows is by the hash of their paths.

        DataError if there are no pictures in folders, or if some folders are named after splits and others are not.
        """
        rows = self._by_template(tree) if self.folders else _by_first_folders(tree)
        if not rows:
            raise _nothing_said(tree)
        if self.lists:
            listed = listed_splits(folder / name, self.lists, FileFinder(tree, str(tree.root), by_name=True))
            rows = [replace(row, split=listed.get(row.path)) for row in rows]
        # By name, one class would follow the other, as if labels changed along the dataset.
        rows.sort(key=lambda row: hashlib.blake2b(composed(row.path).encode()).digest())
        labelled = {row.path for row in rows}
        return Listing(tree.root, rows, [*tree.others, *(path for path in tree.pictures if path not in labelled)])

    def _by_template(self, tree: Tree) -> list[PictureRow]:
        template = template_of(self.folders, _FIELDS, "folders")
        rows = []
        for path in tree.pictures:
            read = template.read(path)
            if read is None:
                continue
            split = naming.split_in_name(read["split"]) if "split" in read else None
            if "split" in read and split is None:
                raise DataError(
                    f"{tree.root}: {path} is in no folder of a split.", "Correct folders, or use --ignore."
                )
            rows.append(PictureRow(path, (composed(read["label"]),), read.get("patient"), split))
        return rows


def _lists(source: Path, tree: Tree, asked: AskedLayout) -> Mapping[str, str]:
    from penlight.data.own.understanding import split_lists

    if (asked.split_column or "").casefold() == "none":
        return {}
    return split_lists(source, FileFinder(tree, str(source), by_name=True), set(tree.pictures), str(source))


def _by_first_folders(tree: Tree) -> list[PictureRow]:
    parts = {path: PurePosixPath(path).parts for path in tree.pictures}
    tops = sorted({names[0] for names in parts.values() if len(names) > 1})
    splits = [name for name in tops if split_named(name)]
    if splits and len(splits) < len(tops):
        raise _beside_splits(tree, splits, [name for name in tops if name not in splits])
    depth = 1 if splits else 0
    return [
        PictureRow(path, (composed(names[depth]),), split=split_named(names[0]) if splits else None)
        for path, names in parts.items()
        if len(names) > depth + 1
    ]


def _beside_splits(tree: Tree, splits: Sequence[str], others: Sequence[str]) -> DataError:
    return DataError(
        f"{tree.root} has folders of splits ({named(splits)}) and others beside them ({named(others)}).",
        f"Put class folders into each split's folder, take the splits away, or leave the others out: "
        f"--ignore '{others[0]}/*'.",
    )


def _nothing_said(tree: Tree) -> DataError:
    nothing = f" has no {KINDS} pictures; it has {counted(len(tree.others), 'other file')}."
    if tree.pictures:
        folders = {path.split("/")[0] for path in tree.pictures if "/" in path}
        where = "split" if folders and all(map(naming.split_in_name, folders)) else "folder"
        nothing = f": its {len(tree.pictures)} pictures lie directly in the {where}; nothing says their labels."
    return DataError(
        f"{tree.root}{nothing}",
        "Put the pictures of each class into a folder, or give a table that names them, such as a CSV file.",
    )


@dataclass(frozen=True)
class _Level:
    """A level of folders, of those that every picture in a folder has: its names, and what they say: "split",
    "pictures" where they say that pictures are there, "patients", "one" for a single folder, "" for what may be
    labels."""

    names: frozenset[str]
    kind: str


def _levels(tree: Tree) -> list[_Level]:
    """Say of each level of folders what its names are, down to the depth that all pictures in folders have."""
    folders = _folders(tree)
    levels: list[_Level] = []
    for depth in range(min(min(map(len, folders), default=0), _MOST_LEVELS)):
        names = frozenset(folder[depth] for folder in folders)
        splits = {name for name in names if naming.split_in_name(name)}
        if splits and not any(level.kind == "split" for level in levels):
            if len(splits) < len(names):
                above = "/".join(sorted({"/".join(folder[:depth]) for folder in folders})[:1])
                place = Tree(tree.root / above, [], [])
                raise _beside_splits(place, sorted(splits), sorted(names - splits))
            kind = "split"
        elif all(map(naming.is_picture_folder, names)):
            kind = "pictures"
        elif all(map(naming.is_patient_folder, names)):
            kind = "patients"
        else:
            kind = "one" if len(names) == 1 else ""
        levels.append(_Level(names, kind))
    return levels


def _folders(tree: Tree) -> Counter[Folder]:
    """Count the pictures of each folder; those directly in the root, or in a folder of a split, have no label."""
    counts = Counter(path.rpartition("/")[0] for path in tree.pictures)
    folders = {tuple(folder.split("/")): n for folder, n in counts.items() if folder}
    labelled = {folder: n for folder, n in folders.items() if not naming.split_in_name(folder[-1])}
    return Counter(labelled or folders)


def _label_level(source: Path, tree: Tree, levels: Sequence[_Level]) -> int | None:
    """Give the level of the labels; None where no folder says one."""
    free = [i for i, level in enumerate(levels) if level.kind == ""]
    folders = _folders(tree)
    deeper = sorted({folder[len(levels)] for folder in folders if len(folder) > len(levels)})
    deeper = [name for name in deeper if not naming.is_picture_folder(name)]
    if not free and (numbered := [i for i, level in enumerate(levels) if level.kind == "patients"]):
        raise ask(
            "--folders",
            f"{source}: the folders {_names(levels[numbered[0]].names)} seem to be patients; nothing says labels.",
            ("they are the labels", f"--folders '{_template(numbered[0], None)}'"),
            ("a table says them", "penlight data new TABLE"),
        )
    if not free:
        named_so = [i for i, level in enumerate(levels) if level.kind == "one"]
        pictures = [i for i, level in enumerate(levels) if level.kind == "pictures" and len(level.names) > 1]
        return next(iter([*named_so[-1:], *pictures[-1:]]), None)
    lowest = free[-1]
    if len(free) == 1 and not deeper:
        return lowest
    if not deeper and all(_continues(folders, upper, lowest) for upper in free[:-1]):
        return lowest
    split = next((i for i, level in enumerate(levels) if level.kind == "split"), None)
    readings = [(_names(levels[i].names), f"--folders '{_template(i, split)}'") for i in free]
    for i in free:
        # Where another level has more folders, and numbers in their names, they may be patients.
        for other in (each for each in free if len(levels[each].names) > len(levels[i].names)):
            if _is_patient_level(levels[other].names):
                words = f"{_names(levels[i].names)}, of the patients {_names(levels[other].names)}"
                readings.insert(0, (words, f"--folders '{_template(i, split, {other: '{patient}'})}'"))
    choices = [_names(levels[i].names) for i in free]
    if deeper:
        choices.append(f"below, {named(deeper[:_SHOWN])}")
        readings.append((f"without the folders below, {named(deeper[:_SHOWN])}",
                         f"--folders '{_template(lowest, split)}' --ignore '*/{deeper[0]}/*'"))  # fmt: skip
    raise ask(
        "--folders",
        f"{source} has several levels of folders, and the labels may be those of either: {'; '.join(choices)}.",
        *readings,
    )


def _template(level: int, split: int | None, also: Mapping[int, str] | None = None) -> str:
    fields = {level: "{label}", **({} if split is None else {split: "{split}"}), **(also or {})}
    return "/".join(fields.get(i, "*") for i in range(max(fields) + 1))


def _names(names: frozenset[str]) -> str:
    some = sorted(names)
    return ", ".join(some[:_SHOWN]) + (f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else "")


def _is_patient_level(names: frozenset[str]) -> bool:
    return sum(any(c.isdigit() for c in name) for name in names) * 5 >= 4 * len(names)


def _continues(folders: Counter[Folder], upper: int, lower: int) -> bool:
    """Say whether each lower folder begins with the first word of the upper one, as lung_aca in lung_image_sets does,
    and is in one upper folder alone: then it says what that says, and more."""
    pairs = {(folder[upper], folder[lower]) for folder in folders}
    return len({low for _, low in pairs}) == len(pairs) and all(
        naming.words(low)[:1] == naming.words(up)[:1] for up, low in pairs
    )


def has_classes(tree: Tree) -> bool:
    """Say whether the folders of pictures may be labels."""
    try:
        levels = _levels(tree)
        level = _label_level(tree.root, tree, levels)
    except UndecidedError:
        return False
    except DataError:
        return True
    return level is not None and levels[level].kind == ""
