"""The layout of class folders: the folder a picture is in is its label; above them may be folders for the splits."""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from penlight.data.own.listing import Listing, PictureLayout, PictureRow, Tree, composed, split_named
from penlight.errors import DataError
from penlight.escaping import named
from penlight.numbers import counted


@dataclass(frozen=True)
class ClassFolders(PictureLayout):
    """Class folders, which have no options. They come last: every folder may have them."""

    @classmethod
    def find_in(cls, folder: Path, tree: Tree) -> Path | None:
        """Give the folder itself."""
        return folder

    def list_rows(self, folder: Path, name: str, tree: Tree) -> Listing:
        """Read labels and splits from the folders; the order of the rows is by the hash of their paths.

        DataError if there are no pictures in folders, or if some folders are named after splits and others are not.
        """
        parts = {path: PurePosixPath(path).parts for path in tree.pictures}
        tops = sorted({names[0] for names in parts.values() if len(names) > 1})
        splits = [name for name in tops if split_named(name)]
        if splits and len(splits) < len(tops):
            others = named(name for name in tops if name not in splits)
            raise DataError(
                f"{tree.root} has folders of splits ({named(splits)}) and others beside them ({others}).",
                "Put class folders into each split's folder, or take the splits away.",
            )
        depth = 1 if splits else 0
        rows = [
            PictureRow(path, (composed(names[depth]),), split=split_named(names[0]) if splits else None)
            for path, names in parts.items()
            if len(names) > depth + 1
        ]
        if not rows:
            nothing = f" has no PNG, JPEG, TIFF or DICOM pictures; it has {counted(len(tree.others), 'other file')}."
            if parts:
                where = "split" if splits else "folder"
                nothing = f": its {len(parts)} pictures lie directly in the {where}; nothing says their labels."
            raise DataError(
                f"{tree.root}{nothing}", "Put the pictures of each class into a folder, or give a CSV file."
            )
        # By name, one class would follow the other, as if labels changed along the dataset.
        rows.sort(key=lambda row: hashlib.blake2b(composed(row.path).encode()).digest())
        labelled = {row.path for row in rows}
        return Listing(tree.root, rows, [*tree.others, *(path for path in tree.pictures if path not in labelled)])
