"""Looking at what lies there, and writing the description of it that a person can read and correct."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from penlight import disk
from penlight.data.dataset import METADATA, SPLITS
from penlight.data.decoding import workers
from penlight.data.description import description_of, is_name, slug
from penlight.data.folders import data_folders
from penlight.data.mapped import array_names, convert, read_splits, store_locked
from penlight.data.npz import Header, read_array, read_headers
from penlight.data.own.class_folders import list_folders
from penlight.data.own.manifest import SUFFIXES, Columns, list_manifest, propose_columns, read_table
from penlight.data.own.opening import label_numbers, pictures_of, unreadable, write_problems
from penlight.data.own.prepare import assemble, decoded
from penlight.data.own.proposing import Format, Proposal, propose_format, propose_task
from penlight.data.own.rows import Listing, ManifestRow, require_labels
from penlight.data.own.splitting import LEFT_OUT, SHARES, divide, write_splits
from penlight.data.own.tree import Tree, walk
from penlight.data.pictures import SUFFIXES as PICTURE_SUFFIXES
from penlight.data.progress import count_progress
from penlight.data.remembered import forget_images, remember_images
from penlight.errors import DataError
from penlight.escaping import named
from penlight.numbers import counted
from penlight.parsing import parse_toml
from penlight.records import Record, json_key
from penlight.tasks import TASKS

UNKNOWN = "unknown: please state"
_ONE_LINE = 100
_FROM = "the folder or table, in or below this file's folder"
_FROM_ELSEWHERE = "it lies elsewhere: this machine remembers where; on another one give --images FOLDER"
_OURS = ("-splits.csv", "-unreadable.csv")
_LARGEST_LABELS = 64 << 20


class NewDataset(Record, computed=("next",)):
    """What was found and written. `counts` maps a split to its images of each label, `images` to all of them;
    `problems` maps pictures that were left out to the reason; `ignored` are files that nothing was made of; `notes`
    are sentences for a person."""

    description: Path
    name: str
    task: str
    reason: str
    labels: tuple[str, ...]
    size: int
    channels: int
    counts: Mapping[str, Sequence[int]]
    images: Mapping[str, int]
    splits: Path | None = None
    problems: Mapping[str, str] = json_key("left_out", default_factory=dict)
    ignored: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def next(self) -> str:
        """Give the command that trains on it."""
        size = "" if self.size == 28 else f" --size {self.size}"
        return f"penlight train {shlex.quote(str(self.description))}{size}"


@dataclass(frozen=True)
class NewDatasetOptions:
    """What a person said on the command line; `order` are the labels in their order, `images` is the folder of the
    pictures of a table, where that is not the table's own."""

    task: str | None = None
    order: Sequence[str] = ()
    size: int = 28
    name: str | None = None
    seed: int = 0
    skip_unreadable: bool = False
    out: Path = Path()
    images: Path | None = None


def describe_images(path: Path, asked: NewDatasetOptions) -> NewDataset:
    """Look at class folders, a manifest or an npz, prepare the pictures, and write description and splits; the
    description last, so that it is there only if all is.

    DataError, among others, if the task is not clear, if labels or splits do not fit, and if pictures cannot be read
    and are not to be left out.
    """
    place = _free_place(path, asked)
    if path.suffix.lower() == ".npz":
        return describe_npz(path, place, asked)
    workers().start(workers().processes)  # which takes as long as listing thousands of files
    listing, columns, source = _list(path.resolve(), asked)
    where = _where(source, columns, place.parent, asked)
    values = require_labels(listing.rows, str(source))
    proposal = propose_task(listing.rows, values, asked.task, asked.order)
    missing = set(listing.missing)
    paths = [row.path for row in listing.rows if row.path not in missing]
    with count_progress("looking at the pictures", len(paths)) as bar:
        pictures = propose_format(listing.root, paths, asked.size, bar.update)
    text = _description_text(place, where, columns, listing, proposal, pictures, asked)
    description = description_of(parse_toml(text, str(place)), place)
    reading = pictures_of(description).reading(asked.size, pictures.channels)
    with (
        disk.writing_to(place.parent, "Choose another folder with --out."),
        disk.folders(place.parent),
        store_locked(place.stem, asked.size),
        decoded(place.stem, reading, listing.root, paths) as images,
    ):
        (place.parent / f"{place.stem}-unreadable.csv").unlink(missing_ok=True)
        problems = {**dict.fromkeys(listing.missing, "there is no such file"), **images.problems}
        if problems:
            written = write_problems(place.parent, place.stem, problems)
            if not asked.skip_unreadable:
                raise unreadable(problems, written)
        rows = [row for row in listing.rows if row.path not in problems]
        labels = label_numbers(rows, pictures_of(description).values, description.info)
        y = description.info.task.encode(labels)
        rule = pictures_of(description).rule
        splits = divide(rows, y, rule)
        assemble(description.info, reading, images, rows, splits, labels)
        by_path = dict(zip((row.path for row in rows), splits, strict=True))
        everything = [row.path for row in listing.rows]
        file = place.parent / rule.file
        write_splits(file, everything, [by_path.get(own, LEFT_OUT) for own in everything])
        where.remember(place)
        disk.write_whole(place, text.encode())
    return NewDataset(
        place,
        place.stem,
        proposal.task,
        proposal.reason,
        description.info.task.labels,
        asked.size,
        pictures.channels,
        counts={split: y[np.array(splits) == split].sum(axis=0).tolist() for split in SPLITS},
        images={split: splits.count(split) for split in SPLITS},
        splits=file,
        problems=problems,
        ignored=listing.ignored,
        notes=_notes(listing, proposal, pictures, asked),
    )


def describe_npz(path: Path, place: Path, asked: NewDatasetOptions) -> NewDataset:
    """Describe an npz in MedMNIST's layout; its labels are numbers until a person names them."""
    headers = read_headers(path)
    images, labels = (headers.get(f"train_{kind}") for kind in ("images", "labels"))
    if images is None or labels is None or len(images.shape) not in (3, 4):
        raise DataError(
            f"{path} has the arrays {named(sorted(headers)) or 'none'}.",
            "MedMNIST's are train_images (N, H, W) or (N, H, W, 3) and train_labels (N, L), and so for val and test.",
        )
    size = images.shape[1]
    rows = _npz_rows(path, headers)
    columns = labels.shape[1] if len(labels.shape) == 2 else 1
    values = [f"{i}" for i in range(columns)] if columns > 1 else require_labels(rows, str(path))
    proposal = (
        propose_task(rows, values, asked.task, ()) if columns == 1 else _by_columns(columns, values, asked.task)
    )
    if asked.order and len(asked.order) != len(values):
        raise DataError(f"--labels gives {len(asked.order)} names; the labels are {named(values)}.", "Name each.")
    proposal = replace(proposal, values=tuple(asked.order) or proposal.values)
    where = _where_npz(path.resolve(), place.parent)
    text = "\n".join(
        [
            *_head(place.stem, proposal, "names of the label columns, or of the numbers 0, 1, ... that labels are"),
            _line("files", {str(size): where.name}),
        ]
    )
    description = description_of(parse_toml(text, str(place)), place)
    with disk.writing_to(place.parent, "Choose another folder with --out."), disk.folders(place.parent):
        splits = read_splits(description.info, size, convert(description.info, size, path).folder)
        where.remember(place)
        disk.write_whole(place, (text + "\n").encode())
    y = {split: description.info.task.encode(own.labels) for split, own in splits.items()}
    return NewDataset(
        place,
        place.stem,
        proposal.task,
        proposal.reason,
        proposal.values,
        size,
        splits["train"].images.shape[3],
        counts={split: own.sum(axis=0).tolist() for split, own in y.items()},
        images={split: len(own) for split, own in y.items()},
        ignored=sorted(headers.keys() - set(array_names())),
        notes=[
            *proposal.option_notes,
            f"{'' if asked.order else 'Name the labels, which are numbers here. '}"
            "State licence, source and modality in the description.",
        ],
    )


def _npz_rows(path: Path, headers: Mapping[str, Header]) -> list[ManifestRow]:
    """Give the labels of an npz as rows, of those with one column."""
    rows = []
    for split in SPLITS:
        header = headers.get(f"{split}_labels")
        if header is not None and math.prod(header.shape) == header.shape[0]:
            values = read_array(path, header, largest=_LARGEST_LABELS).ravel().tolist()
            rows += [ManifestRow("", (str(value),), split=split) for value in values]
    return rows


def _by_columns(columns: int, values: Sequence[str], task: str | None) -> Proposal:
    if task is not None and (task not in TASKS or TASKS[task].exclusive):
        raise DataError(f"A {task} task has one label column, and there are {columns}.", "Give --task multi-label.")
    several = next(kind for kind, own in reversed(TASKS.items()) if not own.exclusive)
    return Proposal(task or several, tuple(values), f"there are {columns} label columns")


def _free_place(path: Path, asked: NewDatasetOptions) -> Path:
    name = asked.name or slug(path.resolve().stem)
    if not is_name(name):
        raise DataError(f"The name '{name}' may have only letters, digits, '-' and '_', at most 100.")
    place = asked.out / f"{name}.toml"
    if place.exists():
        raise DataError(
            f"{place} is there already.",
            "Correct it by hand, it is read anew each time; or delete it, or choose another --name.",
        )
    return place


def _list(path: Path, asked: NewDatasetOptions) -> tuple[Listing, Columns | None, Path]:
    """List what a path holds; give the columns of a manifest, None for class folders, and the source itself."""
    if path.suffix.lower() in SUFFIXES and path.is_file():
        tree = walk(path.parent if asked.images is None else asked.images.resolve())
        return _list_manifest(path, tree, asked.task)
    if path.is_file():
        raise _not_read(path)
    if asked.images is not None:
        raise DataError("--images is for a table whose pictures lie elsewhere.", "Give the table, or leave it out.")
    tree = walk(path)
    tables = [own for own in tree.others if "/" not in own and Path(own).suffix.lower() in SUFFIXES]
    tables = [own for own in tables if not own.endswith(_OURS)]
    if not tables:
        return list_folders(tree), None, path
    folders = {own.split("/")[0] for own in tree.pictures if "/" in own}
    if len(tables) > 1 or len(folders) > 1:
        raise DataError(
            f"{path} has the tables {named(tables)} and {counted(len(folders), 'folder')} of "
            "pictures; which says the labels?",
            f"Give the table, as {path / tables[0]}, or move the tables away to use the folders.",
        )
    return _list_manifest(path / tables[0], tree, asked.task)


_INSTEAD = {
    (".xls", ".xlsx", ".ods", ".json", ".jsonl"): "Save the table as CSV, and give that file.",
    (".zip", ".gz", ".bz2", ".xz", ".tar", ".tgz", ".7z", ".rar"): "Unpack it, and give what was in it.",
    (".h5", ".hdf5", ".mat", ".pkl", ".pt", ".tfrecord", ".npy"): (
        "Write the images as picture files with a table of their labels, or as an npz in MedMNIST's layout."
    ),
}


def _not_read(path: Path) -> DataError:
    """Say that a file is there, what was expected in its place, and how to come to that."""
    kind = path.suffix.lower()
    if kind in PICTURE_SUFFIXES:
        remedy = "Give the folder that it is in, or the table that names its label."
    else:
        remedy = next((text for kinds, text in _INSTEAD.items() if kind in kinds), "Check the path.")
    kinds = ", ".join(sorted({*SUFFIXES, ".npz"}))
    return DataError(f"{path} is a file; a folder of pictures, or a table or arrays ({kinds}), was expected.", remedy)


def _list_manifest(path: Path, tree: Tree, task: str | None) -> tuple[Listing, Columns | None, Path]:
    several = task in TASKS and not TASKS[task].exclusive
    columns = propose_columns(read_table(path.parent, path.name), path, several=several)
    return list_manifest(path.parent, path.name, columns, tree), columns, path


@dataclass(frozen=True)
class _Where:
    """What a description says of where its pictures are, and the folder that is remembered for it on this machine;
    None where they are in or below the folder of the description."""

    name: str
    folder: Path | None

    def remember(self, description: Path) -> None:
        """Remember the folder for a description, or that there is none."""
        if self.folder is None:
            forget_images(description, self.name)
        else:
            remember_images(description, self.name, self.folder)


def _where_npz(path: Path, folder: Path) -> _Where:
    """Say where an npz is: below the folder of its description, in one of the data folders, or elsewhere."""
    known = [_below(path, own) for own in (folder, *data_folders())]
    name = next((own for own in known if own is not None and disk.plain_parts(own) is not None), None)
    return _Where(path.name, path.parent) if name is None else _Where(name, None)


def _where(source: Path, columns: Columns | None, folder: Path, asked: NewDatasetOptions) -> _Where:
    """Say where pictures are: a description may be handed on, so it holds no path of this machine."""
    below = _below(source, folder)
    if asked.images is not None:
        images = asked.images.resolve()
        if below is None and source.parent != images:
            raise DataError(
                f"{source} lies neither below the folder of the description, {folder.resolve()}, nor in {images}.",
                "Move it into one of them.",
            )
        return _Where(below or source.name, images)
    if below is not None and (below == "." or disk.plain_parts(below) is not None):
        return _Where(below, None)
    if columns is not None and (folder / source.name).exists():
        raise DataError(
            f"{folder / source.name} is another table than {source}, and the description can name only one.",
            "Choose another folder for the description, with --out.",
        )
    return _Where(source.name, source if columns is None else source.parent)


def _below(path: Path, folder: Path) -> str | None:
    """Give a resolved path from a folder; None if it is not in or below it."""
    base = folder.resolve()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else None


def _description_text(
    place: Path,
    where: _Where,
    columns: Columns | None,
    listing: Listing,
    proposal: Proposal,
    pictures: Format,
    asked: NewDatasetOptions,
) -> str:
    said = sorted({row.split for row in listing.rows if row.split}, key=SPLITS.index)
    by = "by patient, " if listing.rows[0].patient is not None else ""
    made = [split for split in SPLITS if split not in said]
    rule = f"made {by}stratified by label" if not said else f"{named(said)} as given"
    if said and made:
        rule += f"; {named(made)} taken from train {by}stratified by label"
    table = {} if columns is None else _columns_table(columns)
    lines = [
        *_head(place.stem, proposal, "names for people, in the order of `values` below"),
        _line("channels", pictures.channels, pictures.channels_reason),
        "",
        "[images]",
        _line("from", where.name, _FROM if where.folder is None else _FROM_ELSEWHERE),
        _line("sizes", [asked.size], "sides in pixels; add one, as [28, 64], to open the dataset at it too"),
        _line("fit", "crop", f'sides are {pictures.sides[0]} to {pictures.sides[1]} pixels; or "pad", "stretch"'),
        *([_line("bits", pictures.bits, pictures.bits_reason)] if pictures.bits_reason else []),
        _line("values", list(proposal.values), "what folders or cells call the labels"),
        *(_line(key, value) for key, value in table.items()),
        "",
        "[split]",
        _line("file", f"{place.stem}-splits.csv", rule),
        "# Used only if that file is not there; delete it to divide the pictures anew.",
        _line("seed", asked.seed),
        _line("shares", dict(SHARES)),
    ]
    return "\n".join(lines) + "\n"


def _head(name: str, proposal: Proposal, about_labels: str) -> list[str]:
    return [
        "# Written by `penlight data new`; correct what is wrong. It is read anew each time the dataset is opened.",
        _line("name", name),
        _line("title", name),
        _line("task", proposal.task, proposal.reason),
        _line("labels", list(proposal.values), about_labels),
        *(
            _line(own.key, own.value, own.comment) if own.sure else f"# {_line(own.key, own.value)}  # {own.comment}"
            for own in TASKS[proposal.task].proposed_options(proposal.values)
        ),
        _line("licence", UNKNOWN),
        _line("source", UNKNOWN),
        '# modality = "film"  # or "fundus", "ultrasound", ...; until it is stated, images are not mirrored',
    ]


def _line(key: str, value: Any, comment: str = "") -> str:
    import tomli_w

    line = tomli_w.dumps({key: value}).rstrip()
    if isinstance(value, list) and len(line) < _ONE_LINE:
        line = " ".join(line.replace(",\n]", "]").replace("[\n    ", "[").split("\n    "))
    if isinstance(value, dict):
        return "\n".join(f"{key}.{_line(own, inner)}" for own, inner in value.items())
    return line if not comment else f"# {comment}\n{line}" if "\n" in line else f"{line}  # {comment}"


def _columns_table(columns: Columns) -> dict[str, Any]:
    labels: dict[str, Any] = {"label": columns.label} if columns.label else {"labels": list(columns.labels)}
    table: dict[str, Any] = {"columns": {"path": columns.path, **labels, **(columns.others or {})}}
    optional = {"separator": columns.separator, "none": columns.none}
    return {**table, **{key: value for key, value in optional.items() if value is not None}}


def _notes(listing: Listing, proposal: Proposal, pictures: Format, asked: NewDatasetOptions) -> list[str]:
    notes = [proposal.note] if proposal.note else []
    notes += proposal.option_notes
    if listing.rows[0].patient is None:
        notes.append("Patients are not known: pictures of one person may stand in two splits and flatter the scores.")
    if pictures.smaller:
        n = counted(pictures.smaller, "picture")
        notes.append(f"{n} with a side below {asked.size} pixels, enlarged to it.")
    known = [kind for kind in METADATA if kind in listing.rows[0].metadata]
    if known:
        notes.append(f"Kept for scores by subgroup: {', '.join(known)}.")
    notes.append("State licence, source and modality in the description.")
    return notes
