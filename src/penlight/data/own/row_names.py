"""Names of pictures that lie in larger files: FILE#ROW, the rows counted from 0, or FILE#ROW:COLUMN where a file has
pictures in several columns."""

import re
from dataclasses import dataclass

ARRAYS = (".npy", ".h5", ".hdf5")
"""Endings of files of arrays, in lower case, whose rows may be pictures."""

_NAME = re.compile(r"(.+\.(?:parquet|npy|h5|hdf5))#(\d{1,9})(?::(.+))?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class PackedName:
    """Where a picture lies: the path of its file, its row, and its column, empty where the file has only one."""

    file: str
    row: int
    column: str = ""

    def __str__(self) -> str:
        """Give the name as rows of a dataset have it."""
        return f"{self.file}#{self.row}{f':{self.column}' if self.column else ''}"


def packed_name(path: str) -> PackedName | None:
    """Read the name of a picture in a larger file; None for any other path."""
    found = _NAME.fullmatch(path) if "#" in path else None
    return PackedName(found[1], int(found[2]), found[3] or "") if found else None
