"""The layout of class folders: a folder that a picture is in is its label; others may say its split and its patient,
or nothing.

What a level of folders says is found from the names in it; where two levels may be the labels, a person is asked.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from penlight.data.own import naming
from penlight.data.own.finder import FileFinder, checked_lists, listed_splits
from penlight.data.own.keys import checked_map
from penlight.data.own.listing import (
    AskedLayout,
    Listing,
    PictureLayout,
    PictureRow,
    Tree,
    composed,
    mapped,
    split_named,
)
from penlight.data.own.questions import UndecidedError, ask
from penlight.data.own.templates import PathTemplate, template_of
from penlight.errors import DataError
from penlight.escaping import named
from penlight.formats import KINDS
from penlight.numbers import counted

_FIELDS = ("label", "split", "patient")
_SHOWN = 5
_MOST_LEVELS = 20
_MANY = 20
Folder = tuple[str, ...]


@dataclass(frozen=True)
class ClassFolders(PictureLayout):
    """Class folders. `folders` is a template of the folders of a picture, such as "*/{split}/{label}"; without it the
    first folder is the label or, where all are named so, the split, and the next the label. `label_in_name` is
    instead a template of the end of its path, the name without ending, such as "*_{label}". `lists` are files with
    the names of the pictures of a split; `map` gives labels for what is written. They come last: every folder may
    have them."""

    folders: str = ""
    label_in_name: str = ""
    lists: Mapping[str, str] = field(default_factory=dict)
    map: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict, compare=False)

    options: ClassVar[Mapping[str, type]] = {"folders": str, "label_in_name": str, "lists": dict, "map": dict}

    @classmethod
    def find_in(cls, folder: Path, tree: Tree) -> Path | None:
        """Give the folder itself."""
        return folder

    @classmethod
    def propose(cls, source: Path, tree: Tree, asked: AskedLayout) -> Self:
        """Find out which level of folders is the label. UndecidedError where two may be it, or none."""
        folders, about = asked.folders or "", {}
        if asked.label_in_name:
            about["labels"] = f"the names of the pictures, as {asked.label_in_name}"
        elif folders:
            about["labels"] = f"the folders at {{label}} in {folders}"
        else:
            folders, about = _found(source, tree)
        layout = cls(folders, asked.label_in_name or "", map=dict(asked.label_map))
        layout._template()
        told = "split" in about or "{split}" in f"{folders}{layout.label_in_name}"
        lists = {} if told else _lists(source, tree, asked)
        if lists:
            about["split"] = f"the lists {named(lists.values())}"
        return replace(layout, lists=lists, about=about)

    @classmethod
    def from_table(cls, images: Mapping[str, Any]) -> Self | None:
        """Read the templates, if there are any."""
        layout = cls(
            images.get("folders", ""),
            images.get("label_in_name", ""),
            checked_lists(images.get("lists", {})),
            checked_map(images.get("map", {})),
        )
        layout._template()
        return layout

    def to_table(self) -> dict[str, Any]:
        """Give the templates, lists and names of labels that there are."""
        said = {key: getattr(self, key) for key in self.options}
        return {key: dict(value) if isinstance(value, Mapping) else value for key, value in said.items() if value}

    def account(self) -> Mapping[str, str]:
        """Say which folders are labels and which are splits."""
        return self.about

    def list_rows(self, folder: Path, name: str, tree: Tree) -> Listing:
        """Read labels and splits from the folders; the order of the rows is by the hash of their paths.

        DataError if there are no pictures in folders, or if some folders are named after splits and others are not.
        """
        rows = _by_template(tree, self._template() or _by_first_folders(tree))
        if not rows:
            raise _nothing_said(tree)
        if self.map:
            rows = [replace(row, values=mapped(row.values, self.map)) for row in rows]
        if self.lists:
            listed = listed_splits(folder / name, self.lists, FileFinder(tree, str(tree.root), by_name=True))
            rows = [replace(row, split=listed.get(row.path)) for row in rows]
        # By name, one class would follow the other, as if labels changed along the dataset.
        rows.sort(key=lambda row: hashlib.blake2b(composed(row.path).encode()).digest())
        labelled = {row.path for row in rows}
        return Listing(tree.root, rows, [*tree.others, *(path for path in tree.pictures if path not in labelled)])

    def _template(self) -> PathTemplate | None:
        """Give the template that the labels are read by. DataError for one that is not valid."""
        if self.label_in_name:
            return template_of(self.label_in_name, _FIELDS, "label_in_name", from_end=True)
        return template_of(self.folders, _FIELDS, "folders") if self.folders else None


def _by_template(tree: Tree, template: PathTemplate) -> list[PictureRow]:
    rows = []
    for path in tree.pictures:
        read = template.read(path)
        if read is None:
            continue
        split = naming.split_in_name(read["split"]) or naming.split_word(read["split"]) if "split" in read else None
        if "split" in read and split is None:
            raise DataError(f"{tree.root}: {path} is in no folder of a split.", "Correct folders, or use --ignore.")
        rows.append(PictureRow(path, (composed(read["label"]),), read.get("patient"), split))
    return rows


def _lists(source: Path, tree: Tree, asked: AskedLayout) -> Mapping[str, str]:
    from penlight.data.own.given_splits import split_lists

    if (asked.split_column or "").casefold() == "none":
        return {}
    return split_lists(source, FileFinder(tree, str(source), by_name=True), set(tree.pictures), str(source))


def _by_first_folders(tree: Tree) -> PathTemplate:
    """Give the template of Penlight 0.1: the first folder is the label or, where all are named so, the split."""
    tops = {path.split("/")[0] for path in tree.pictures if "/" in path}
    splits = {name for name in tops if split_named(name)}
    if splits and splits != tops:
        raise _beside_splits(tree, sorted(splits), sorted(tops - splits))
    return PathTemplate("{split}/{label}" if splits else "{label}")


def _beside_splits(tree: Tree, splits: Sequence[str], others: Sequence[str]) -> DataError:
    return DataError(
        f"{tree.root} has folders of splits ({named(splits)}) and others beside them ({named(others)}).",
        f"Put class folders into each split's folder, take the splits away, or leave the others out: "
        f"--ignore '{others[0]}/*'.",
    )


def _nothing_said(tree: Tree) -> DataError:
    if not tree.pictures:
        others = counted(len(tree.others), "other file")
        return DataError(
            f"{tree.root} has no {KINDS} pictures; it has {others}.",
            "Put the pictures of each class into a folder, or give a table that names them, such as a CSV file.",
        )
    folders = {path.split("/")[0] for path in tree.pictures if "/" in path}
    where = "split" if folders and all(map(naming.split_in_name, folders)) else "folder"
    sentence = f": its {len(tree.pictures)} pictures lie directly in the {where}; nothing says their labels."
    return _no_folder_says(tree, sentence)


def _no_folder_says(tree: Tree, sentence: str, *readings: tuple[str, str]) -> DataError:
    """Give the error for pictures whose folders say no label, with what may say it instead."""
    from penlight.data.own.filenames import labels_in_names

    return ask(
        "--label-in-name",
        f"{tree.root}{sentence}",
        *readings,
        *(
            (f"their names say {_names(labels)}", f"--label-in-name '{text}'")
            for text, labels in labels_in_names(tree.pictures)
        ),
        ("a table says them", "penlight data new TABLE"),
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
        if splits and not any(level.kind == "split" for level in levels) and len(splits) < len(names):
            above = "/".join(sorted({"/".join(folder[:depth]) for folder in folders})[:1])
            raise _beside_splits(Tree(tree.root / above, [], []), sorted(splits), sorted(names - splits))
        levels.append(_Level(names, _kind(names, levels, sum(folders.values()))))
    return levels


def _kind(names: frozenset[str], above: Sequence[_Level], n_pictures: int) -> str:
    """Say what the names of a level of folders are, below others."""
    if all(map(naming.split_in_name, names)) or _differ_by_split(names):
        # Splits below splits, as in Training_Set/Training, say nothing more.
        return "pictures" if any(level.kind == "split" for level in above) else "split"
    beside = {naming.beside_pictures(name) for name in names}
    if len(beside) == 1 and None not in beside:
        return "pictures"
    if all(map(naming.is_patient_folder, names)) or (len(names) > _MANY and 2 * len(names) > n_pictures):
        return "patients"
    return "one" if len(names) == 1 else ""


def _differ_by_split(names: frozenset[str]) -> bool:
    """Say whether names of folders are one name but for the word that says a split, as in "Task3_Test_Input"."""
    kinds = {naming.without_split(name) for name in names}
    return len(names) > 1 and len(kinds) == 1 and None not in kinds and len(set(map(naming.split_word, names))) > 1


def _folders(tree: Tree) -> Counter[Folder]:
    """Count the pictures of each folder; those directly in the root, or in a folder of a split, have no label."""
    counts = Counter(path.rpartition("/")[0] for path in tree.pictures)
    folders = {tuple(folder.split("/")): n for folder, n in counts.items() if folder}
    labelled = {folder: n for folder, n in folders.items() if not naming.split_in_name(folder[-1])}
    return Counter(labelled or folders)


def _found(source: Path, tree: Tree) -> tuple[str, dict[str, str]]:
    """Find the level of the labels: the template of the folders, "" where 0.1.0 read them so, and what is said of
    it."""
    levels = _levels(tree)
    if not levels:
        return "", {}
    label = _label_level(source, tree, levels)
    about = {"labels": f"the folders {named(sorted(levels[label].names))}"}
    split = _level_of("split", levels)
    if split is not None:
        about["split"] = f"the folders {named(sorted(levels[split].names))}"
    text = _template(label, levels)
    plain = text in ("{label}", "{split}/{label}") and (split is None or all(map(split_named, levels[split].names)))
    return "" if plain else text, about


def _level_of(kind: str, levels: Sequence[_Level]) -> int | None:
    return next((i for i, level in enumerate(levels) if level.kind == kind), None)


def _label_level(source: Path, tree: Tree, levels: Sequence[_Level]) -> int:
    """Give the level of the labels. UndecidedError where several may be it, or none."""
    free = [i for i, level in enumerate(levels) if level.kind == ""]
    folders = _folders(tree)
    deeper = sorted({folder[len(levels)] for folder in folders if len(folder) > len(levels)})
    deeper = [name for name in deeper if not naming.is_no_label(name)]
    if not free:
        raise _no_level_says(tree, levels, deeper)
    lowest = free[-1]
    if not deeper and all(_continues(folders, upper, lowest) for upper in free[:-1]):
        _require_labels_alone(source, levels, lowest)
        return lowest
    readings = [reading for i in free for reading in _readings(levels, i)]
    choices = [_names(levels[i].names) for i in free]
    if deeper:
        choices.append(f"below, {named(deeper[:_SHOWN])}")
        readings = [*_without_deeper(folders, levels, lowest, deeper), *readings]
    raise ask(
        "--folders",
        f"{source} has several levels of folders, and the labels may be those of either: {'; '.join(choices)}.",
        *readings,
    )


def _no_level_says(tree: Tree, levels: Sequence[_Level], deeper: Sequence[str]) -> DataError:
    """Give the error for folders of which none seems to be a label, where the `deeper` ones do not have all."""
    patients = _level_of("patients", levels)
    level = len(levels) - 1 if patients is None else patients
    names = _names(levels[level].names)
    reading = ("they are the labels", f"--folders '{_template(level, levels)}'")
    if patients is not None:
        return _no_folder_says(tree, f": the folders {names} seem to be patients; nothing says labels.", reading)
    if levels[level].kind == "split":
        return _nothing_said(tree)
    if len(levels[level].names) > 1:
        return _no_folder_says(tree, f": the folders {names} seem to hold pictures of any label.", reading)
    few = f" has one label alone, {names}; at least two are needed to learn to tell them apart."
    return _no_folder_says(tree, few, *([_the_deeper(levels, deeper)] if len(deeper) > 1 else []))


def _require_labels_alone(source: Path, levels: Sequence[_Level], label: int) -> None:
    """Raise the question whether folders such as "pred" and "figures" beside those of labels are labels too."""
    if odd := sorted(filter(naming.is_no_label, levels[label].names)):
        before = "*/" if label else ""
        raise ask(
            "--ignore",
            f"{source} has the folders {named(odd)} beside those of the labels.",
            ("leave them out", " ".join(f"--ignore '{before}{name}/*'" for name in odd)),
            ("they are labels too", f"--folders '{_template(label, levels)}'"),
        )


def _readings(levels: Sequence[_Level], label: int) -> list[tuple[str, str]]:
    """Give the ways to read a level as the labels: with the patients, where another level seems to be these."""
    words = _names(levels[label].names)
    found = [(words, f"--folders '{_template(label, levels)}'")]
    for i, level in enumerate(levels):
        # Where another level has more folders, and numbers in their names, they may be patients.
        many = level.kind == "" and len(level.names) > len(levels[label].names) and _is_patient_level(level.names)
        if level.kind == "patients" or many:
            text = _template(label, levels, patients=i)
            found.insert(0, (f"{words}, of the patients {_names(level.names)}", f"--folders '{text}'"))
    return found


def _without_deeper(
    folders: Counter[Folder], levels: Sequence[_Level], lowest: int, deeper: Sequence[str]
) -> list[tuple[str, str]]:
    """Give the ways to read labels where some pictures lie deeper than others."""
    text, depth = _template(lowest, levels), len(levels)
    before = "*/" * (depth - 1)
    again = sorted({folder[depth - 1] for folder in folders if len(folder) > depth})
    found = []
    if len(again) == 1 and set(deeper) <= levels[depth - 1].names:
        found.append((f"without {again[0]}, which has the same again", f"--ignore '{before}{again[0]}/*'"))
    found.append((f"without the folders below, {named(deeper[:_SHOWN])}",
                  f"--folders '{text}' --ignore '*/{deeper[0]}/*'"))  # fmt: skip
    return [*found, _the_deeper(levels, deeper)]


def _the_deeper(levels: Sequence[_Level], deeper: Sequence[str]) -> tuple[str, str]:
    """Give the reading of folders as labels that not all pictures have."""
    text = _template(len(levels), [*levels, _Level(frozenset(deeper), "")])
    return f"{named(deeper[:_SHOWN])}, without the pictures that are not so deep", f"--folders '{text}'"


def _template(label: int, levels: Sequence[_Level], patients: int | None = None) -> str:
    """Give the template of folders in which one level is the labels, another, if any, the split or the patients."""
    split = _level_of("split", levels)
    fields = {patients: "{patient}", split: "{split}", label: _label_field(levels[label].names)}
    return "/".join(fields.get(i, "*") for i in range(max(i for i in fields if i is not None) + 1))


def _label_field(names: frozenset[str]) -> str:
    """Give the part of a template that is the label in these names: what follows a number, as in "study1_ill"."""
    found = [_NUMBERED.fullmatch(name) for name in names]
    if len({match[1] if match else None for match in found}) == 1 and all(found):
        return f"{found[0][1]}*{found[0][2]}{{label}}" if found[0] else "{label}"
    return "{label}"


_NUMBERED = re.compile(r"([A-Za-z]+)\d+([_-])[A-Za-z].*")


def _names(names: Iterable[str]) -> str:
    some = sorted(names)
    return ", ".join(some[:_SHOWN]) + (f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else "")


def _is_patient_level(names: frozenset[str]) -> bool:
    numbered = [name for name in names if any(map(str.isdigit, name)) and not name.casefold().startswith("fold")]
    return len(numbered) * 5 >= 4 * len(names)


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
        return bool(levels) and levels[_label_level(tree.root, tree, levels)].kind == ""
    except UndecidedError:
        return False
    except DataError:
        return True
