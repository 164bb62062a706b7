"""Which layout a dataset of pictures has: found from what lies at a path, or read from a description.

A layout is a `PictureLayout` in a file beside this one and a member of LAYOUTS; nothing else knows of single layouts.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from penlight import disk
from penlight.data.own.class_folders import ClassFolders
from penlight.data.own.listing import AskedLayout, Listing, PictureLayout, Tree, walk
from penlight.data.own.manifest import Manifest
from penlight.data.own.questions import ask
from penlight.data.own.tables import holds_pictures
from penlight.data.own.templates import matcher
from penlight.data.remembered import NAME_IT, images_folder
from penlight.errors import DataError, PenlightError
from penlight.escaping import named, shown
from penlight.formats import FIRST_SUFFIXES, KINDS, not_read_ending
from penlight.formats import SUFFIXES as PICTURE_SUFFIXES
from penlight.numbers import counted

if TYPE_CHECKING:
    from penlight.data.description import Description, Pictures

_NOTHING = AskedLayout()

LAYOUTS: tuple[type[PictureLayout], ...] = (Manifest, ClassFolders)
"""Every layout, in the order in which they are looked for in a folder."""

_INSTEAD = {
    (".xls", ".ods", ".json"): "Save the table as CSV, and give that file.",
    (".zip", ".gz", ".bz2", ".xz", ".tar", ".tgz", ".7z", ".rar"): "Unpack it, and give what was in it.",
    (".mat", ".pkl", ".pt", ".tfrecord"): (
        "Write the images as picture files with a table of their labels, or as an npz in MedMNIST's layout."
    ),
    tuple(PICTURE_SUFFIXES): "Give the folder that it is in, or the table that names its label.",
}
_COMPRESSED = (".h5.gz", ".hdf5.gz", ".npy.gz", ".zip", ".tar", ".tar.gz", ".tgz")
_PLAIN_TABLES = (".txt", "")


@dataclass(frozen=True)
class FoundLayout:
    """What lies at a path: `source` is the folder or the file that says the labels; `ignored` maps a reason to the
    patterns of files that are left out for it, `left_out` to the pictures."""

    source: Path
    layout: PictureLayout
    listing: Listing
    ignored: Mapping[str, Sequence[str]] = field(default_factory=dict)
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)


def find_layout(path: Path, images: Path | None, within: Path, asked: AskedLayout = _NOTHING) -> FoundLayout:
    """Recognise and list what lies at a path; `images` is the folder of the pictures of a table, where the user names
    one; without it they are looked for in the table's folder and, in or below `within`, the one above.

    UndecidedError for what may be read in two ways, DataError, with what to do, for what is no layout.
    """
    from penlight.data.own.leaving_out import count_left_out, not_read, propose_ignored

    kind: type[PictureLayout] | None = None
    source = path
    if path.is_file():
        kind, tree = _kind_of(path), _tree_of(path.parent, images, within)
    else:
        tree = _tree_of_folder(path, images, within)
        if not tree.pictures and (compressed := [name for name in tree.others if name.lower().endswith(_COMPRESSED)]):
            raise DataError(f"{path} has no picture, and packed files: {named(compressed)}.", "Unpack them.")
    patterns = [pattern for pattern in asked.ignore if pattern.casefold() != "none"]
    given = {"--ignore": patterns} if patterns else {}
    # "none" leaves nothing out that is not given.
    proposed = propose_ignored(tree.without(matcher(patterns))) if len(patterns) == len(asked.ignore) else {}
    ignored = {**given, **proposed}
    left_out = count_left_out(tree, ignored)
    tree = tree.without(matcher([pattern for patterns in ignored.values() for pattern in patterns]))
    by_path = asked.folders or asked.label_in_name
    if by_path and kind is None:
        kind, source = ClassFolders, tree.root
    if kind is None and (asked.path_column or asked.label_columns):
        table = Manifest.find_in(tree.root, tree, sure=True)
        kind, source = (None, path) if table is None else (Manifest, table)
    if kind is None:
        found = ((each, each.find_in(tree.root, tree)) for each in LAYOUTS)
        kind, source = next((each, place) for each, place in found if place is not None)
    if by_path and kind is Manifest:
        option = "--folders" if asked.folders else "--label-in-name"
        raise DataError(f"{option} is for folders, and a table says the labels here.", "Leave one of them out.")
    layout = kind.propose(source, tree, asked)
    base, name = (source.parent, source.name) if layout.source_is_file else (source, "")
    listing = with_patients(layout.list_rows(base, name, tree), asked.patient_in_name)
    if (strange := not_read(tree)) and not layout.suffixes:
        endings = sorted(set(map(not_read_ending, strange)))
        raise ask(
            "--ignore",
            f"{path} has {counted(len(strange), 'picture')} of kinds that are not read ({', '.join(endings)}) beside "
            f"{counted(len(listing.rows), 'picture')}: {named(strange)}. Save them as {KINDS}, or leave them out.",
            ("leave them out", " ".join(f"--ignore '*{ending}'" for ending in endings)),
        )
    return FoundLayout(source, layout, listing, ignored, left_out)


def _kind_of(path: Path) -> type[PictureLayout]:
    name = path.name.lower()
    kind = next((kind for kind in LAYOUTS if name.endswith(tuple(kind.suffixes) or ("/",))), None)
    if kind is None and path.suffix.lower() in _PLAIN_TABLES:
        kind = Manifest
    if kind is None:
        known = ", ".join(sorted({".npz"}.union(*(kind.suffixes for kind in LAYOUTS))))
        remedies = (remedy for suffixes, remedy in _INSTEAD.items() if path.suffix.lower() in suffixes)
        raise DataError(
            f"{path} is a file; a folder of pictures, or a table or arrays ({known}), was expected.",
            next(remedies, "Check the path."),
        )
    return kind


def _tree_of(folder: Path, images: Path | None, within: Path) -> Tree:
    """List the folder of the pictures of a table in a folder: the one that is named, the table's own or, where that
    has no picture, the one above, since tables often have a folder of their own beside those of the pictures."""
    if images is not None:
        return walk(images.resolve())
    tree = walk(folder)
    if tree.pictures or not folder.parent.is_relative_to(within) or any(map(_holds_pictures(tree), tree.others)):
        return tree
    wider = walk(folder.parent)
    return wider if wider.pictures else tree


def _holds_pictures(tree: Tree) -> Callable[[str], bool]:
    def holds(name: str) -> bool:
        with contextlib.suppress(PenlightError):
            return holds_pictures(tree.root, name)
        return False

    return holds


def _tree_of_folder(path: Path, images: Path | None, within: Path) -> Tree:
    """List a folder of pictures or, with their pictures, one of tables alone."""
    own = walk(path)
    are_tables = not own.pictures and any(name.lower().endswith(tuple(Manifest.suffixes)) for name in own.others)
    if not are_tables:
        if images is not None:
            raise DataError(
                "--images is for a table whose pictures lie elsewhere.", "Give the table, or leave it out."
            )
        return own
    tree = _tree_of(path, images, within)
    if not path.is_relative_to(tree.root):
        raise DataError(
            f"{path} has tables and no pictures, and does not lie in {tree.root}.",
            "Move it there, or give one table.",
        )
    below = "" if path == tree.root else f"{path.relative_to(tree.root).as_posix()}/"
    return Tree(tree.root, tree.pictures, [name for name in tree.others if name.startswith(below)])


def with_patients(listing: Listing, how: str | None) -> Listing:
    """Name the patient of each picture after its path, as `how` says, see `patient_of`. DataError for a path that
    does not match."""
    if not how:
        return listing
    from penlight.data.own.filenames import patient_of

    name_of = patient_of(how)
    rows = [replace(row, patient=name_of(row.path)) for row in listing.rows]
    if without := [row.path for row in rows if row.patient is None and row.path not in listing.missing]:
        raise DataError(
            f"Names of {counted(len(without), 'picture')} do not show a patient as '{how}' says: {named(without)}.",
            "Give another pattern with --patient-in-name, or leave these out with --ignore.",
        )
    return replace(listing, rows=[replace(row, patient=row.patient or row.path) for row in rows])


def list_pictures(description: "Description") -> Listing:
    """List what lies where a description says. DataError as in `find_source` and in the layouts."""
    root, folder, name = find_source(description)
    pictures = pictures_of(description)
    tree = walk(root).with_endings(FIRST_SUFFIXES.union(pictures.endings)).without(matcher(pictures.ignore))
    return with_patients(pictures.layout.list_rows(folder, name, tree), pictures.patient_in_name)


def pictures_of(description: "Description") -> "Pictures":
    """Give what a description says of its pictures."""
    if description.pictures is None:
        raise DataError(f"{description.info.name} is described by npz files, not by pictures.")
    return description.pictures


def find_source(description: "Description") -> tuple[Path, Path, str]:
    """Give the folder of the pictures, and of what says the labels a folder and the path from there: in or below the
    description's folder, by no link; or where the user has named the folder on this machine.

    DataError if they are not there, or lie elsewhere and were not named.
    """
    pictures = pictures_of(description)
    place = images_folder(description.file, pictures.source)
    if not pictures.layout.source_is_file:
        root = place or _below(description.folder, pictures.source, is_folder=True)
        return root, root, ""
    if place is None:
        table = _below(description.folder, pictures.source)
        root = table.parent if not pictures.folder else _below(description.folder, pictures.folder, is_folder=True)
        return root, description.folder, pictures.source
    if disk.is_inside(description.folder, pictures.source):
        return place, description.folder, pictures.source
    if disk.is_inside(place, pictures.source):
        return place, place, pictures.source
    return place, place, PureWindowsPath(pictures.source).name


def _below(folder: Path, source: str, *, is_folder: bool = False) -> Path:
    """Give the path of what `images.from` names in or below the folder of the description."""
    if source == "." and is_folder:
        return folder
    if disk.plain_parts(source) is None or source.startswith("~"):
        raise DataError(
            "images.from must name a folder or table in or below the folder of the description, by a plain relative "
            f'name such as "films"; {shown(source)} came.',
            NAME_IT,
        )
    try:
        if is_folder:
            return disk.folder_inside(folder, source)
        disk.open_inside(folder, source).close()
    except disk.RefusedFileError as error:
        raise DataError(f"images.from names {source}, and {error.strerror}.", NAME_IT) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        kind = "folder" if is_folder else "table"
        raise DataError(f"There is no {kind} {folder / source}.", f"Check the path. {NAME_IT}") from error
    except OSError as error:
        raise DataError(f"{folder / source} cannot be read: {error.strerror}.", "Check its permissions.") from error
    return folder / source
