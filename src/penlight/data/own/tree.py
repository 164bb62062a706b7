"""Walking a folder: its pictures in a fixed order, what is passed over, and links that lead out of it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from penlight.data.pictures import SUFFIXES, is_dicom
from penlight.errors import DataError
from penlight.escaping import named


@dataclass(frozen=True)
class Tree:
    """The files below a folder, by their paths from it, sorted: those that are pictures by their name, and others."""

    root: Path
    pictures: list[str]
    others: list[str]


def walk(root: Path) -> Tree:
    """List a folder. DataError if it is not there, cannot be read, or holds a link that leads out of it.

    Links to folders within it are not followed, so that no picture stands twice.
    """
    if not root.is_dir():
        raise DataError(f"There is no folder {root}.", "Check the path.")
    paths = sorted(_files(root))
    inside = root.resolve()
    out = [
        path for path in paths if (root / path).is_symlink() and not (root / path).resolve().is_relative_to(inside)
    ]
    if strange := [path for path in paths if not _is_text(path)]:
        raise DataError(
            f"{root} has file names that are not UTF-8: {named(map(repr, strange))}.", "Rename these files."
        )
    if out:
        raise DataError(f"{root} has links that lead out of it: {named(out)}.", "Copy the files, or remove them.")
    pictures = [path for path in paths if _is_picture(root / path)]
    known = set(pictures)
    return Tree(root, pictures, [path for path in paths if path not in known])


def _files(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root, onerror=_refuse):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links and not name.startswith(".")]
        for name in (*files, *links):
            yield (Path(folder) / name).relative_to(root).as_posix()


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _is_picture(path: Path) -> bool:
    # macOS puts "._name.png" beside a picture on foreign disks; it holds no picture.
    if path.name.startswith(".") or not path.is_file():
        return False
    suffix = path.suffix.lower()
    # DICOM files often have no ending, or the last number of an identifier.
    return suffix in SUFFIXES or ((not suffix or suffix[1:].isdecimal()) and is_dicom(path))
