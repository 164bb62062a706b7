"""Looking at what lies at a path, and writing the description of it that a person can read and correct."""

import math
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.arrays import NAMES
from penlight.data.dataset import METADATA, SPLITS
from penlight.data.decoding import workers
from penlight.data.description import Description, description_of, is_name, name_of
from penlight.data.folders import data_folders
from penlight.data.mapped import convert, read_splits, store_locked
from penlight.data.npz import Header, read_array, read_headers
from penlight.data.own import naming
from penlight.data.own.cells import age_in_years
from penlight.data.own.draft import SUFFIX as DRAFT
from penlight.data.own.draft import remove_draft, write_draft
from penlight.data.own.filenames import patients_in_names
from penlight.data.own.layouts import FoundLayout, find_layout, pictures_of
from penlight.data.own.listing import AskedLayout, Listing, PictureRow, require_labels
from penlight.data.own.prepare import (
    LabelledRows,
    assemble,
    decoded,
    known_labels,
    label_numbers,
    write_problems,
)
from penlight.data.own.proposing import Format, Proposal, propose_format, propose_task
from penlight.data.own.questions import UndecidedError
from penlight.data.own.splitting import LEFT_OUT, SHARES, divide, write_splits
from penlight.data.own.table_rules import RULE_WORDS
from penlight.data.pictures import PictureHeader
from penlight.data.remembered import remember_images
from penlight.errors import DataError
from penlight.escaping import label_list, named, printable
from penlight.formats import FIRST_SUFFIXES, SUFFIXES, not_read_ending
from penlight.numbers import counted
from penlight.parsing import parse_toml
from penlight.records import Record, json_key
from penlight.tasks import TASKS
from penlight.tasks.base import count_known

UNKNOWN = "unknown: please state"
_ONE_LINE = 100
_EXAMPLES = 3
_FROM = "the folder or table, in or below this file's folder"
_FROM_ELSEWHERE = "it lies elsewhere: this machine remembers where; on another one give --images FOLDER"
_LARGEST_LABELS = 64 << 20


class Understood(Record):
    """What was understood of a dataset before anything is decoded, for a person to check. `account` says in words
    what the files, labels, patients and splits are taken from, and what is not used; `labels` counts the pictures of
    each label, `unknown` those of which it is not known (None where all are known), `examples` names three of each;
    `left_out` counts the files that are left out, by why; `notes` are sentences."""

    task: str
    reason: str
    account: Mapping[str, str]
    labels: Mapping[str, int]
    examples: Mapping[str, Sequence[str]]
    left_out: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] | None = json_key(default=None, if_known=True)
    notes: Sequence[str] = ()


class NewDataset(Record, computed=("next",)):
    """What was found and written. `counts` maps a split to its images of each label, `unknown` to those of which a
    label is not known (None where all are), `images` to all of them; `problems` maps pictures that were left out to
    the reason; `ignored` are files that nothing was made of; `notes` are sentences for a person."""

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
    understood: Understood | None = None
    unknown: Mapping[str, Sequence[int]] | None = json_key(default=None, if_known=True)

    @property
    def next(self) -> str:
        """Give the command that trains on it."""
        size = "" if self.size == 28 else f" --size {self.size}"
        return f"penlight train {shlex.quote(str(self.description))}{size}"


@dataclass(frozen=True)
class NewDatasetOptions:
    """What a person said on the command line; `order` are the labels in their order, `images` is the folder of the
    pictures of a table, where that is not the table's own; `layout` says how the files are laid out."""

    task: str | None = None
    order: Sequence[str] = ()
    size: int | None = None
    name: str | None = None
    seed: int = 0
    skip_unreadable: bool = False
    out: Path = Path()
    images: Path | None = None
    layout: AskedLayout = field(default_factory=AskedLayout)
    channels: int | None = None
    bits: int | None = None


def describe_images(
    path: Path, options: NewDatasetOptions, on_understood: Callable[[Understood], None] = lambda understood: None
) -> NewDataset:
    """Look at class folders, a manifest or an npz, prepare the pictures, and write description and splits; the
    description last, so that it is there only if all is.

    DataError, among others, if the task is not clear, if labels or splits do not fit, and if pictures cannot be read
    and are not to be left out.
    """
    place = _free_place(path, options)
    if path.suffix.lower() == ".npz":
        return _describe_npz(path, place, options)
    draft = place.with_name(f"{place.stem}{DRAFT}")
    try:
        made = _describe_pictures(path, place, options, on_understood)
    except UndecidedError as error:
        write_draft(draft, path, _given(options), error.question)
        raise UndecidedError(error.question, f"{error.remedy} Or answer in {draft}, and give that file.") from error
    remove_draft(draft)
    return made


def _given(options: NewDatasetOptions) -> dict[str, Any]:
    """Give what a person said, by the names of `new_dataset`."""
    layout = {each.name: getattr(options.layout, each.name) for each in fields(AskedLayout)}
    del layout["several"], layout["order"]
    own = {
        name: getattr(options, name)
        for name in ("task", "order", "size", "channels", "bits", "name", "seed", "skip_unreadable", "images")
    }
    return {**own, **layout}


def _describe_pictures(
    path: Path, place: Path, options: NewDatasetOptions, on_understood: Callable[[Understood], None]
) -> NewDataset:
    """See `describe_images`; of class folders and tables."""
    workers().start(workers().processes)  # which takes as long as listing thousands of files
    several = options.task in TASKS and not TASKS[options.task].exclusive
    found = find_layout(
        path.resolve(),
        options.images,
        place.parent.resolve(),
        replace(options.layout, several=several, order=tuple(options.order)),
    )
    where, listing = _where(found, place.parent, options), found.listing
    missing = set(listing.missing)
    if listing.rows and len(missing) == len({row.path for row in listing.rows}):
        raise DataError(
            f"{found.source}: there is no such file as {listing.rows[0].path} in or below {listing.root}, nor one of "
            f"any other of {counted(len(listing.rows), 'row')}.",
            "Name the folder of the pictures with --images, or the column of their names with --path-column.",
        )
    there = [row for row in listing.rows if row.path not in missing] or listing.rows
    # Labels are those of pictures that are there: the rows of others may have further ones.
    values = require_labels(there, str(found.source))
    proposal = propose_task(there, values, options.task, options.order)
    paths = [row.path for row in listing.rows if row.path not in missing]
    pictures = propose_format(listing.root, paths, options.size, options.channels, options.bits)
    understood = _understood(found, there, proposal, pictures, options)
    on_understood(understood)
    text = _description_text(place.stem, where, found, proposal, pictures, options, understood)
    description = description_of(parse_toml(text, str(place)), place)
    with disk.writing_to(place.parent, "Choose another folder with --out."), disk.folders(place.parent):
        labelled, problems, looks = _prepare(description, listing, paths, options, where, text)
    y, splits = description.info.task.encode(labelled.labels), np.array(labelled.splits)
    counts = {split: y[splits == split].sum(axis=0).tolist() for split in SPLITS}
    return NewDataset(
        place,
        place.stem,
        proposal.task,
        proposal.reason,
        description.info.task.labels,
        pictures.size,
        pictures.channels,
        counts=counts,
        images={split: labelled.splits.count(split) for split in SPLITS},
        splits=place.parent / pictures_of(description).rule.file,
        problems=problems,
        ignored=listing.ignored,
        notes=[
            *_colour_notes(looks, pictures.channels, said=options.channels is None),
            *_notes(listing, proposal, pictures, counts, description.info.task.labels),
        ],
        understood=understood,
        unknown=None if labelled.known is None else _by_split(~labelled.known, labelled.splits),
    )


def _by_split(marked: NDArray[np.bool_], splits: Sequence[str]) -> dict[str, list[int]]:
    """Count what is marked (N, C) of the rows of each split, label by label."""
    of = np.array(splits)
    return {split: marked[of == split].sum(axis=0).tolist() for split in SPLITS}


def _understood(
    found: FoundLayout,
    there: Sequence[PictureRow],
    proposal: Proposal,
    pictures: Format,
    options: NewDatasetOptions,
) -> Understood:
    listing = found.listing
    account = dict(found.layout.account())
    if options.layout.patient_in_name:
        account["patients"] = f"the names of the pictures, as '{options.layout.patient_in_name}'"
    if "split" not in account:
        account["split"] = "made by patient" if there[0].patient is not None else "made picture by picture"
    account["images"] = (
        f"{pictures.size} pixels a side ({pictures.size_reason}); {'colour' if pictures.channels == 3 else 'grey'} "
        f"({pictures.channels_reason})"
    )
    if options.layout.frame:
        account["images"] += f"; the {options.layout.frame} frame of files with several"
    if pictures.deep or options.bits is not None:
        account["depth"] = f"{pictures.bits} bits ({pictures.bits_reason})"
    notes = [*_hints(there), *_columns_to_name(found, there)]
    if animated := pictures.animated:
        notes.append(f"The first frame of {counted(len(animated), 'animated picture')} is read: {named(animated)}.")
    examples: dict[str, list[str]] = {value: [] for value in proposal.values}
    counts: dict[str, int] = dict.fromkeys(proposal.values, 0)
    for row in there:
        for value in row.values:
            counts[value] += 1
            if len(examples[value]) < _EXAMPLES:
                examples[value].append(row.path)
    reasons = {**found.left_out, **listing.left_out, "without a file": listing.missing}
    known = {path for paths in reasons.values() for path in paths}
    pictures_ignored = [
        path for path in listing.ignored if path not in known and Path(path).suffix.lower() in SUFFIXES
    ]
    reasons["pictures without a row or label"] = pictures_ignored
    reasons |= _kinds_not_read(listing.ignored)
    return Understood(
        proposal.task,
        proposal.reason,
        account,
        counts,
        examples,
        {why: len(paths) for why, paths in reasons.items() if paths},
        _unknown(there, proposal.values) if not TASKS[proposal.task].exclusive else None,
        notes,
    )


def _unknown(rows: Sequence[PictureRow], labels: Sequence[str]) -> dict[str, int] | None:
    """Count the pictures of which each label is not known; None where all are."""
    counts = Counter(label for row in rows for label in row.unknown)
    return {label: counts[label] for label in labels} if counts else None


def _kinds_not_read(paths: Sequence[str]) -> dict[str, list[str]]:
    """Give the files of kinds that are not read, by their ending in words."""
    found: dict[str, list[str]] = {}
    for path in paths:
        if ending := not_read_ending(path):
            found.setdefault(f"{ending}, which is not read", []).append(path)
    return found


def _columns_to_name(found: FoundLayout, rows: Sequence[PictureRow]) -> list[str]:
    """Say which columns that are not used may be those of patients or of splits, by their names."""
    unused = [name.partition(" (")[0] for name in found.layout.account().get("not used", "").split(", ")]
    words = {name: set(naming.words(name)) for name in unused}
    people = [name for name in unused if words[name] & _OF_A_PERSON and not words[name] & _OF_NO_PERSON]
    splits = [name for name in unused if naming.split_word(name.casefold().removeprefix("is"))]
    notes = []
    if people and rows[0].patient is None:
        notes.append(f"If {named(people)} names the patients, give it as --patient-column.")
    if splits and rows[0].split is None:
        notes.append(f"If {named(splits)} says the split, give it as --split-column.")
    return notes


_OF_A_PERSON = {"id", "patient", "subject", "case", "person", "eye"}
_OF_NO_PERSON = {"class", "label", "rad", "reader", "image", "abnormality"}


def _hints(rows: Sequence[PictureRow]) -> list[str]:
    """Say what the names of pictures show of patients, where nothing else names them."""
    if rows[0].patient is not None:
        return []
    found = patients_in_names([row.path for row in rows])
    if found is None:
        return []
    return [
        f"Names of {counted(found.n_pictures, 'picture')} show {counted(len(found.names), 'patient')}, such as "
        f"{found.names[0]}: keep those of one together with --patient-in-name {shlex.quote(found.how)}."
    ]


def _prepare(
    description: Description,
    listing: Listing,
    paths: Sequence[str],
    options: NewDatasetOptions,
    where: "_Where",
    text: str,
) -> tuple[LabelledRows, dict[str, str], Mapping[str, PictureHeader]]:
    """Decode the pictures at `paths`, divide those that can be read, and write what is made of them, the `text` of
    the description last; give their rows, why others were left out, and what the pictures are like."""
    place, info, pictures = description.file, description.info, pictures_of(description)
    size = pictures.sizes[0]
    reading = pictures.reading(size, info.channels)
    with store_locked(info.name, size), decoded(info.name, reading, listing.root, paths) as images:
        (place.parent / f"{info.name}-unreadable.csv").unlink(missing_ok=True)
        problems = {**dict.fromkeys(listing.missing, "there is no such file"), **images.problems}
        if problems:
            error = write_problems(place.parent, info.name, problems)
            if not options.skip_unreadable:
                raise error
        rows = [row for row in listing.rows if row.path not in problems]
        labels = label_numbers(rows, pictures.values, info)
        known = known_labels(rows, pictures.values, info.task)
        labelled = LabelledRows(rows, divide(rows, info.task.encode(labels), pictures.rule), labels, known)
        assemble(info, reading, images, labelled)
        by_path = dict(zip((row.path for row in rows), labelled.splits, strict=True))
        everything = [row.path for row in listing.rows]
        write_splits(
            place.parent / pictures.rule.file, everything, [by_path.get(path, LEFT_OUT) for path in everything]
        )
        remember_images(place, where.name, where.folder)
        disk.write_whole(place, text.encode())
    return labelled, problems, images.looks


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
        remember_images(place, where.name, where.folder)
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
        unknown=None
        if all(split.known is None for split in splits.values())
        else {name: (len(split) - count_known(split.known, split.labels)).tolist() for name, split in splits.items()},
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
            f"--order gives {len(options.order)} names; the labels are {label_list(values)}.", "Name each."
        )
    return replace(proposal, values=tuple(options.order) or proposal.values, note="")


def _free_place(path: Path, options: NewDatasetOptions) -> Path:
    name = options.name or name_of(path)
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
    None where they are in or below the folder of the description. `pictures` is their folder from there, where it is
    not that of the table."""

    name: str
    folder: Path | None
    pictures: str = ""


def _where_npz(path: Path, folder: Path) -> _Where:
    """Say where an npz is: below the folder of its description, in one of the data folders, or elsewhere."""
    known = [_below(path, base) for base in (folder, *data_folders())]
    name = next((below for below in known if below is not None and disk.plain_parts(below) is not None), None)
    return _Where(path.name, path.parent) if name is None else _Where(name, None)


def _where(found: FoundLayout, folder: Path, options: NewDatasetOptions) -> _Where:
    """Say where pictures are: a description may be handed on, so it holds no path of this machine."""
    source, root, is_table = found.source, found.listing.root, found.layout.source_is_file
    below = _below(source, folder)
    inside = below is not None and (below == "." or disk.plain_parts(below) is not None)
    if not is_table:
        return _Where(below, None) if inside and below is not None else _Where(source.name, source)
    pictures = _below(root, folder)
    if inside and below is not None and pictures is not None and options.images is None:
        return _Where(below, None, "" if root == source.parent else pictures)
    if options.images is None and root == source.parent and (folder / source.name).exists():
        raise DataError(
            f"{folder / source.name} is another table than {source}, and the description can name only one.",
            "Choose another folder for the description, with --out.",
        )
    of_root = _below(source, root)
    if not inside and of_root is None:
        raise DataError(
            f"{source} lies neither below the folder of the description, {folder.resolve()}, nor in {root}.",
            "Move it into one of them.",
        )
    return _Where(below if inside and below is not None else str(of_root), root)


def _below(path: Path, folder: Path) -> str | None:
    """Give a resolved path from a folder; None if it is not in or below it."""
    base = folder.resolve()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else None


def _description_text(
    name: str,
    where: _Where,
    found: FoundLayout,
    proposal: Proposal,
    pictures: Format,
    options: NewDatasetOptions,
    understood: Understood,
) -> str:
    rows = found.listing.rows
    given = sorted({row.split for row in rows if row.split}, key=SPLITS.index)
    by = "by patient, " if rows[0].patient is not None else ""
    missing = [split for split in SPLITS if split not in given]
    rule = f"made {by}stratified by label" if not given else f"{named(given)} as given"
    if given and missing:
        rule += f"; {named(missing)} taken from train {by}stratified by label"
    ignored = [pattern for patterns in found.ignored.values() for pattern in patterns]
    left_out = [f"{n:,} {why}" for why, n in understood.left_out.items()]
    newer = sorted({Path(row.path).suffix.lower() for row in rows} & (SUFFIXES - FIRST_SUFFIXES))
    lines = [
        *_head(name, proposal, "names for people, in the order of `values` below"),
        _line("channels", pictures.channels, pictures.channels_reason),
        "",
        "[images]",
        "# What was understood:",
        *(f"# {what}: {printable(said)}" for what, said in understood.account.items()),
        *([f"# left out: {printable('; '.join(left_out))}"] if left_out else []),
        _line("from", where.name, _FROM if where.folder is None else _FROM_ELSEWHERE),
        *([_line("folder", where.pictures, "of the pictures")] if where.pictures else []),
        _line(
            "sizes",
            [pictures.size],
            f"{pictures.size_reason}; sides in pixels; add one, as [28, 64], to open the dataset at it too",
        ),
        _line("fit", "crop", f'sides are {pictures.sides[0]} to {pictures.sides[1]} pixels; or "pad", "stretch"'),
        *([_line("bits", pictures.bits, pictures.bits_reason)] if "depth" in understood.account else []),
        *([_line("endings", newer, "of images, beside those of PNG, JPEG, TIFF and DICOM")] if newer else []),
        _line("values", list(proposal.values), "what folders or cells call the labels"),
        *(_line(key, value, RULE_WORDS.get(key, "")) for key, value in found.layout.to_table().items()),
        *([_line("ignore", ignored, "; ".join(found.ignored))] if ignored else []),
        *([_line("patient_in_name", options.layout.patient_in_name)] if options.layout.patient_in_name else []),
        *([_line("frame", options.layout.frame, "of files with several")] if options.layout.frame else []),
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


def _colour_notes(looks: Mapping[str, PictureHeader], channels: int, *, said: bool) -> list[str]:
    """Name the pictures that are grey among those read in colour, or in colour among those read in grey, unless it
    was `said` of these."""
    odd = sorted(path for path, look in looks.items() if look.colour != (channels == 3))
    if not odd or (said and channels == 1):
        return []
    n = f"{len(odd):,} of {counted(len(looks), 'picture')}"
    if channels == 3:
        return [f"{n} are grey, and are read in colour like the others: {named(odd)}."]
    return [f"{n} are in colour, and are read in grey like the others: {named(odd)}."]


def _notes(
    listing: Listing, proposal: Proposal, pictures: Format, counts: Mapping[str, Sequence[int]], labels: Sequence[str]
) -> list[str]:
    first, notes = listing.rows[0], proposal.notes
    if first.patient is None:
        notes.append("Patients are not known: pictures of one person may stand in two splits and flatter the scores.")
    has = "is known to have" if any(row.unknown for row in listing.rows) else "has"
    if untested := [label for i, label in enumerate(labels) if counts["train"][i] and not counts["test"][i]]:
        notes.append(
            f"No picture of test {has} {named(untested)}, of which there are too few: no score can be of it."
        )
    if unseen := [label for i, label in enumerate(labels) if not counts["train"][i]]:
        notes.append(f"No picture of train {has} {named(unseen)}: it cannot be learned from the given splits.")
    if "age" in first.metadata:
        cells = [cell for row in listing.rows if (cell := row.metadata["age"].strip()) and isnan(age_in_years(cell))]
        if cells := [cell for cell in cells if not naming.is_missing(cell)]:
            notes.append(f"{counted(len(cells), 'age')} not read, and so missing: {named(dict.fromkeys(cells))}.")
    if pictures.smaller:
        n = counted(pictures.smaller, "picture")
        notes.append(f"{n} with a side below {pictures.size} pixels, enlarged to it.")
    if known := [kind for kind in METADATA if kind in first.metadata]:
        notes.append(f"Kept for scores by subgroup: {', '.join(known)}.")
    return [*notes, "State licence, source and modality in the description."]
