"""Which layout a dataset of pictures has: found from what lies at a path, or read from a description.

A layout is a file beside this one, as `class_folders` and `manifest`, with a function that makes a `Listing`. It is
recognised in `find_layout`, and opened by what its description says in `list_pictures`.
"""

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from penlight import disk
from penlight.data.description import NAME_IT, Description, Pictures
from penlight.data.own.class_folders import list_folders
from penlight.data.own.listing import Listing, Tree, walk
from penlight.data.own.manifest import Columns, list_manifest, propose_columns
from penlight.data.own.tables import SUFFIXES, read_table
from penlight.data.pictures import SUFFIXES as PICTURE_SUFFIXES
from penlight.data.remembered import images_folder
from penlight.errors import DataError
from penlight.escaping import named, shown
from penlight.numbers import counted

_OURS = ("-splits.csv", "-unreadable.csv")
_INSTEAD = {
    (".xls", ".xlsx", ".ods", ".json", ".jsonl"): "Save the table as CSV, and give that file.",
    (".zip", ".gz", ".bz2", ".xz", ".tar", ".tgz", ".7z", ".rar"): "Unpack it, and give what was in it.",
    (".h5", ".hdf5", ".mat", ".pkl", ".pt", ".tfrecord", ".npy"): (
        "Write the images as picture files with a table of their labels, or as an npz in MedMNIST's layout."
    ),
    tuple(PICTURE_SUFFIXES): "Give the folder that it is in, or the table that names its label.",
}


@dataclass(frozen=True)
class Layout:
    """What was found at a path: `source` is the folder or the table that says the labels, `columns` are those of a
    table, None for class folders."""

    source: Path
    listing: Listing
    columns: Columns | None = None


def find_layout(path: Path, images: Path | None, *, several: bool) -> Layout:
    """Recognise and list what lies at a path; `images` is the folder of the pictures of a table, where the user names
    one, and `several` says that a picture may have several findings, or none. DataError, with what to do, for what
    is no layout or may be two."""
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return _table_layout(path, walk(path.parent if images is None else images.resolve()), several)
    if path.is_file():
        kinds = ", ".join(sorted({*SUFFIXES, ".npz"}))
        remedies = (remedy for suffixes, remedy in _INSTEAD.items() if path.suffix.lower() in suffixes)
        raise DataError(
            f"{path} is a file; a folder of pictures, or a table or arrays ({kinds}), was expected.",
            next(remedies, "Check the path."),
        )
    if images is not None:
        raise DataError("--images is for a table whose pictures lie elsewhere.", "Give the table, or leave it out.")
    tree = walk(path)
    tables = [name for name in tree.others if "/" not in name and Path(name).suffix.lower() in SUFFIXES]
    tables = [name for name in tables if not name.endswith(_OURS)]
    if not tables:
        return Layout(path, list_folders(tree))
    folders = {picture.split("/")[0] for picture in tree.pictures if "/" in picture}
    if len(tables) > 1 or len(folders) > 1:
        raise DataError(
            f"{path} has the tables {named(tables)} and {counted(len(folders), 'folder')} of "
            "pictures; which says the labels?",
            f"Give the table, as {path / tables[0]}, or move the tables away to use the folders.",
        )
    return _table_layout(path / tables[0], tree, several)


def _table_layout(path: Path, tree: Tree, several: bool) -> Layout:
    columns = propose_columns(read_table(path.parent, path.name), path, several=several)
    return Layout(path, list_manifest(path.parent, path.name, columns, tree), columns)


def list_pictures(description: Description) -> Listing:
    """List what lies where a description says. DataError as in `find_source` and in the layouts."""
    pictures = pictures_of(description)
    root, folder, table = find_source(description)
    if pictures.columns is None:
        return list_folders(walk(root))
    return list_manifest(folder, table, pictures.columns, walk(root))


def pictures_of(description: Description) -> Pictures:
    """Give what a description says of its pictures."""
    if description.pictures is None:
        raise DataError(f"{description.info.name} is described by npz files, not by pictures.")
    return description.pictures


def find_source(description: Description) -> tuple[Path, Path, str]:
    """Give the folder of the pictures, and of a table the folder and the name from there: in or below the
    description's folder, by no link; or where the user has named the folder on this machine.

    DataError if they are not there, or lie elsewhere and were not named.
    """
    pictures = pictures_of(description)
    place = images_folder(description.file, pictures.source)
    if pictures.columns is None:
        root = place or _below(description.folder, pictures.source, is_folder=True)
        return root, root, ""
    if place is None:
        return _below(description.folder, pictures.source).parent, description.folder, pictures.source
    if disk.is_inside(description.folder, pictures.source):
        return place, description.folder, pictures.source
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
