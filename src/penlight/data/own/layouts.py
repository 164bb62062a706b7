"""Which layout a dataset of pictures has: found from what lies at a path, or read from a description.

A layout is a `PictureLayout` in a file beside this one and a member of LAYOUTS; nothing else knows of single layouts.
"""

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from penlight import disk
from penlight.data.own.class_folders import ClassFolders
from penlight.data.own.listing import Listing, PictureLayout, walk
from penlight.data.own.manifest import Manifest
from penlight.data.pictures import SUFFIXES as PICTURE_SUFFIXES
from penlight.data.remembered import NAME_IT, images_folder
from penlight.errors import DataError
from penlight.escaping import shown

if TYPE_CHECKING:
    from penlight.data.description import Description, Pictures

LAYOUTS: tuple[type[PictureLayout], ...] = (Manifest, ClassFolders)
"""Every layout, in the order in which they are looked for in a folder."""

_INSTEAD = {
    (".xls", ".xlsx", ".ods", ".json", ".jsonl"): "Save the table as CSV, and give that file.",
    (".zip", ".gz", ".bz2", ".xz", ".tar", ".tgz", ".7z", ".rar"): "Unpack it, and give what was in it.",
    (".h5", ".hdf5", ".mat", ".pkl", ".pt", ".tfrecord", ".npy"): (
        "Write the images as picture files with a table of their labels, or as an npz in MedMNIST's layout."
    ),
    tuple(PICTURE_SUFFIXES): "Give the folder that it is in, or the table that names its label.",
}


@dataclass(frozen=True)
class FoundLayout:
    """What lies at a path: `source` is the folder or the file that says the labels."""

    source: Path
    layout: PictureLayout
    listing: Listing


def find_layout(path: Path, images: Path | None, *, several: bool = False) -> FoundLayout:
    """Recognise and list what lies at a path; `images` is the folder of the pictures of a table, where the user names
    one; `several` says that a picture may have several labels, or none. DataError, with what to do, for what is no
    layout or may be two."""
    if path.is_file():
        suffix = path.suffix.lower()
        kind = next((kind for kind in LAYOUTS if suffix in kind.suffixes), None)
        if kind is None:
            known = ", ".join(sorted({".npz"}.union(*(kind.suffixes for kind in LAYOUTS))))
            remedies = (remedy for suffixes, remedy in _INSTEAD.items() if suffix in suffixes)
            raise DataError(
                f"{path} is a file; a folder of pictures, or a table or arrays ({known}), was expected.",
                next(remedies, "Check the path."),
            )
        source, tree = path, walk(path.parent if images is None else images.resolve())
    else:
        if images is not None:
            raise DataError(
                "--images is for a table whose pictures lie elsewhere.", "Give the table, or leave it out."
            )
        tree = walk(path)
        found = ((kind, kind.find_in(path, tree)) for kind in LAYOUTS)
        kind, source = next((kind, source) for kind, source in found if source is not None)
    layout = kind.propose(source, several=several)
    return FoundLayout(source, layout, layout.list_rows(source.parent, source.name, tree))


def list_pictures(description: "Description") -> Listing:
    """List what lies where a description says. DataError as in `find_source` and in the layouts."""
    root, folder, name = find_source(description)
    return pictures_of(description).layout.list_rows(folder, name, walk(root))


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
    if not pictures.layout.suffixes:
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
