"""Looking at what lies at a path, and writing the description of it that a person can read and correct."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from penlight import disk
from penlight.data.arrays import NAMES
from penlight.data.dataset import METADATA, SPLITS
from penlight.data.decoding import workers
from penlight.data.description import Description, description_of, is_name, slug
from penlight.data.folders import data_folders
from penlight.data.mapped import convert, read_splits, store_locked
from penlight.data.npz import Header, read_array, read_headers
from penlight.data.own.layouts import FoundLayout, find_layout, pictures_of
from penlight.data.own.listing import Listing, PictureRow, require_labels
from penlight.data.own.prepare import LabelledRows, assemble, decoded, label_numbers, write_problems
from penlight.data.own.proposing import Format, Proposal, propose_format, propose_task
from penlight.data.own.splitting import LEFT_OUT, SHARES, divide, write_splits
from penlight.data.remembered import remember_images
from penlight.errors import DataError
from penlight.escaping import label_list, named
from penlight.numbers import counted
from penlight.parsing import parse_toml
from penlight.records import Record, json_key
from penlight.tasks import TASKS

UNKNOWN = "unknown: please state"
_ONE_LINE = 100
_FROM = "the folder or table, in or below this file's folder"
_FROM_ELSEWHERE = "it lies elsewhere: this machine remembers where; on another one give --images FOLDER"
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


def describe_images(path: Path, options: NewDatasetOptions) -> NewDataset:
    """Look at class folders, a manifest or an npz, prepare the pictures, and write description and splits; the
    description last, so that it is there only if all is.

    DataError, among others, if the task is not clear, if labels or splits do not fit, and if pictures cannot be read
    and are not to be left out.
    """
    place = _free_place(path, options)
    if path.suffix.lower() == ".npz":
        return _describe_npz(path, place, options)
    workers().start(workers().processes)  # which takes as long as listing thousands of files
    several = options.task in TASKS and not TASKS[options.task].exclusive
    found = find_layout(path.resolve(), options.images, several=several)
    where, listing = _where(found, place.parent, options), found.listing
    values = require_labels(listing.rows, str(found.source))
    proposal = propose_task(listing.rows, values, options.task, options.order)
    missing = set(listing.missing)
    paths = [row.path for row in listing.rows if row.path not in missing]
    pictures = propose_format(listing.root, paths, options.size)
    text = _description_text(place.stem, where, found, proposal, pictures, options)
    description = description_of(parse_toml(text, str(place)), place)
    with disk.writing_to(place.parent, "Choose another folder with --out."), disk.folders(place.parent):
        labelled, problems = _prepare(description, listing, paths, options, where, text)
    y, splits = description.info.task.encode(labelled.labels), np.array(labelled.splits)
    return NewDataset(
        place,
        place.stem,
        proposal.task,
        proposal.reason,
        description.info.task.labels,
        options.size,
        pictures.channels,
        counts={split: y[splits == split].sum(axis=0).tolist() for split in SPLITS},
        images={split: labelled.splits.count(split) for split in SPLITS},
        splits=place.parent / pictures_of(description).rule.file,
        problems=problems,
        ignored=listing.ignored,
        notes=_notes(listing, proposal, pictures, options),
    )


def _prepare(
    description: Description,
    listing: Listing,
    paths: Sequence[str],
    options: NewDatasetOptions,
    where: "_Where",
    text: str,
) -> tuple[LabelledRows, dict[str, str]]:
    """Decode the pictures at `paths`, divide those that can be read, and write what is made of them, the `text` of
    the description last; give their rows, and why others were left out."""
    place, info, pictures = description.file, description.info, pictures_of(description)
    reading = pictures.reading(options.size, info.channels)
    with store_locked(info.name, options.size), decoded(info.name, reading, listing.root, paths) as images:
        (place.parent / f"{info.name}-unreadable.csv").unlink(missing_ok=True)
        problems = {**dict.fromkeys(listing.missing, "there is no such file"), **images.problems}
        if problems:
            error = write_problems(place.parent, info.name, problems)
            if not options.skip_unreadable:
                raise error
        rows = [row for row in listing.rows if row.path not in problems]
        labels = label_numbers(rows, pictures.values, info)
        labelled = LabelledRows(rows, divide(rows, info.task.encode(labels), pictures.rule), labels)
        assemble(info, reading, images, labelled)
        by_path = dict(zip((row.path for row in rows), labelled.splits, strict=True))
        everything = [row.path for row in listing.rows]
        write_splits(
            place.parent / pictures.rule.file, everything, [by_path.get(path, LEFT_OUT) for path in everything]
        )
        remember_images(place, *where)
        disk.write_whole(place, text.encode())
    return labelled, problems


def _describe_npz(path: Path, place: Path, options: NewDatasetOptions) -> NewDataset:
    """Describe an npz in MedMNIST's layout; its labels are numbers until a person names them."""
    headers = read_headers(path)
    images, labels = (headers.get(f"train_{kind}") for kind in ("images", "labels"))
    if images is None or labels is None or len(images.shape) not in (3, 4):
        raise DataError(
            f"{path} has the arrays {named(sorted(headers)) or 'none'}.",
            "MedMNIST's are train_images (N, H, W) or (N, H, W, 3) and train_labels (N, L), and so for val and test.",
        )
    size = images.shape[1]
    proposal = _npz_proposal(path, headers, labels, options)
    where = _where_npz(path.resolve(), place.parent)
    about_labels = "names of the label columns, or of the numbers 0, 1, ... that labels are"
    text = "\n".join([*_head(place.stem, proposal, about_labels), _line("files", {str(size): where.name})]) + "\n"
    info = description_of(parse_toml(text, str(place)), place).info
    with disk.writing_to(place.parent, "Choose another folder with --out."), disk.folders(place.parent):
        splits = read_splits(info, size, convert(info, size, path).folder)
        remember_images(place, *where)
        disk.write_whole(place, text.encode())
    name_them = "" if options.order else "Name the labels, which are numbers here. "
    return NewDataset(
        place,
        place.stem,
        proposal.task,
        proposal.reason,
        proposal.values,
        size,
        splits["train"].images.shape[3],
        counts={name: info.task.encode(split.labels).sum(axis=0).tolist() for name, split in splits.items()},
        images={name: len(split) for name, split in splits.items()},
        ignored=sorted(headers.keys() - set(NAMES)),
        notes=[*proposal.notes, f"{name_them}State licence, source and modality in the description."],
    )


def _npz_proposal(path: Path, headers: Mapping[str, Header], labels: Header, options: NewDatasetOptions) -> Proposal:
    """Say what the labels of an npz mean: those in several columns are findings, of one column they are classes."""
    columns = labels.shape[1] if len(labels.shape) == 2 else 1
    if columns > 1:
        if options.task is not None and (options.task not in TASKS or TASKS[options.task].exclusive):
            raise DataError(
                f"A {options.task} task has one label column, and there are {columns}.", "Give --task multi-label."
            )
        several = next(kind for kind, task in reversed(TASKS.items()) if not task.exclusive)
        values = tuple(f"{i}" for i in range(columns))
        proposal = Proposal(options.task or several, values, f"there are {columns} label columns")
    else:
        rows = []
        for split in SPLITS:
            header = headers.get(f"{split}_labels")
            if header is not None and math.prod(header.shape) == header.shape[0]:
                numbers = read_array(path, header, largest=_LARGEST_LABELS).ravel().tolist()
                rows += [PictureRow("", (str(number),), split=split) for number in numbers]
        values = tuple(require_labels(rows, str(path)))
        proposal = propose_task(rows, values, options.task, ())
    if options.order and len(options.order) != len(values):
        raise DataError(
            f"--labels gives {len(options.order)} names; the labels are {label_list(values)}.", "Name each."
        )
    return replace(proposal, values=tuple(options.order) or proposal.values, note="")


def _free_place(path: Path, options: NewDatasetOptions) -> Path:
    name = options.name or slug(path.resolve().stem)
    if not is_name(name):
        raise DataError(f"The name '{name}' may have only letters, digits, '-' and '_', at most 100.")
    place = options.out / f"{name}.toml"
    if place.exists():
        raise DataError(
            f"{place} is there already.",
            "Correct it by hand, it is read anew each time; or delete it, or choose another --name.",
        )
    return place


class _Where(NamedTuple):
    """What a description says of where its pictures are, and the folder that is remembered for it on this machine;
    None where they are in or below the folder of the description."""

    name: str
    folder: Path | None


def _where_npz(path: Path, folder: Path) -> _Where:
    """Say where an npz is: below the folder of its description, in one of the data folders, or elsewhere."""
    known = [_below(path, base) for base in (folder, *data_folders())]
    name = next((below for below in known if below is not None and disk.plain_parts(below) is not None), None)
    return _Where(path.name, path.parent) if name is None else _Where(name, None)


def _where(found: FoundLayout, folder: Path, options: NewDatasetOptions) -> _Where:
    """Say where pictures are: a description may be handed on, so it holds no path of this machine."""
    source, is_table = found.source, bool(found.layout.suffixes)
    below = _below(source, folder)
    if options.images is not None:
        images = options.images.resolve()
        if below is None and source.parent != images:
            raise DataError(
                f"{source} lies neither below the folder of the description, {folder.resolve()}, nor in {images}.",
                "Move it into one of them.",
            )
        return _Where(below or source.name, images)
    if below is not None and (below == "." or disk.plain_parts(below) is not None):
        return _Where(below, None)
    if is_table and (folder / source.name).exists():
        raise DataError(
            f"{folder / source.name} is another table than {source}, and the description can name only one.",
            "Choose another folder for the description, with --out.",
        )
    return _Where(source.name, source.parent if is_table else source)


def _below(path: Path, folder: Path) -> str | None:
    """Give a resolved path from a folder; None if it is not in or below it."""
    base = folder.resolve()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else None


def _description_text(
    name: str, where: _Where, found: FoundLayout, proposal: Proposal, pictures: Format, options: NewDatasetOptions
) -> str:
    rows = found.listing.rows
    given = sorted({row.split for row in rows if row.split}, key=SPLITS.index)
    by = "by patient, " if rows[0].patient is not None else ""
    missing = [split for split in SPLITS if split not in given]
    rule = f"made {by}stratified by label" if not given else f"{named(given)} as given"
    if given and missing:
        rule += f"; {named(missing)} taken from train {by}stratified by label"
    lines = [
        *_head(name, proposal, "names for people, in the order of `values` below"),
        _line("channels", pictures.channels, pictures.channels_reason),
        "",
        "[images]",
        _line("from", where.name, _FROM if where.folder is None else _FROM_ELSEWHERE),
        _line("sizes", [options.size], "sides in pixels; add one, as [28, 64], to open the dataset at it too"),
        _line("fit", "crop", f'sides are {pictures.sides[0]} to {pictures.sides[1]} pixels; or "pad", "stretch"'),
        *([_line("bits", pictures.bits, pictures.bits_reason)] if pictures.bits_reason else []),
        _line("values", list(proposal.values), "what folders or cells call the labels"),
        *(_line(key, value) for key, value in found.layout.to_table().items()),
        "",
        "[split]",
        _line("file", f"{name}-splits.csv", rule),
        "# Used only if that file is not there; delete it to divide the pictures anew.",
        _line("seed", options.seed),
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
            _line(option.key, option.value, option.comment)
            if option.sure
            else f"# {_line(option.key, option.value)}  # {option.comment}"
            for option in TASKS[proposal.task].proposed_options(proposal.values)
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
        return "\n".join(f"{key}.{_line(name, inner)}" for name, inner in value.items())
    return line if not comment else f"# {comment}\n{line}" if "\n" in line else f"{line}  # {comment}"


def _notes(listing: Listing, proposal: Proposal, pictures: Format, options: NewDatasetOptions) -> list[str]:
    first, notes = listing.rows[0], proposal.notes
    if first.patient is None:
        notes.append("Patients are not known: pictures of one person may stand in two splits and flatter the scores.")
    if pictures.smaller:
        n = counted(pictures.smaller, "picture")
        notes.append(f"{n} with a side below {options.size} pixels, enlarged to it.")
    if known := [kind for kind in METADATA if kind in first.metadata]:
        notes.append(f"Kept for scores by subgroup: {', '.join(known)}.")
    return [*notes, "State licence, source and modality in the description."]
