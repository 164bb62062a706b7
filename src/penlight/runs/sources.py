"""Where pictures to predict come from: files, folders, arrays in npz files or in memory, uploads.

Listing them loads neither NumPy nor a decoder where files are asked about, and reads no picture.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from penlight.errors import DataError, PenlightError, RunError
from penlight.workers import Item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from penlight.data.npz import Header
    from penlight.data.pictures import Pixels

Source: TypeAlias = "str | os.PathLike[str] | tuple[str, bytes] | NDArray[np.uint8]"
"""A file, a folder or an npz; an upload by its name and bytes; an image or images as an array."""


@dataclass(frozen=True)
class InputPicture:
    """One picture to ask about: its name, and its file, bytes or pixels, or why there are none."""

    name: str
    source: "Path | bytes | Pixels | PenlightError"

    def item(self) -> Item:
        """Give it for a message to a worker."""
        if isinstance(self.source, Path):
            path = str(self.source)
            return {"path": path if os.path.isabs(path) else os.path.abspath(path)}, b""  # noqa: PTH100, PTH117
        if isinstance(self.source, bytes):
            return {}, self.source
        assert not isinstance(self.source, PenlightError)
        return {"shape": self.source.shape}, self.source.tobytes()


def pictures(sources: Iterable[Source]) -> Iterator[InputPicture]:
    """List the pictures of all sources: those of a folder and of the folders in it by their names, the rows of an
    npz. What is wrong with a source is the picture's error."""
    for number, source in enumerate(sources):
        if isinstance(source, str | os.PathLike):
            yield from _of_path(Path(source))
        elif isinstance(source, tuple):
            yield InputPicture(*source)
        elif hasattr(source, "shape"):
            yield from _of_array(source, f"array {number}")
        else:
            raise DataError(
                f"A file, a folder or an array of images was expected; {type(source).__name__} came.",
                "Give paths, or arrays uint8 (N, H, W) or (N, H, W, C).",
            )


def count_pictures(paths: Iterable[Path]) -> int:
    """Count what `pictures` lists, without reading it."""
    return sum(own.count for own in list_pictures(paths))


@dataclass(frozen=True)
class ListedPictures:
    """Pictures that were listed and not read: a file, or rows of an array in an npz, by the array's name and the
    CRC-32 that the zip has of it; an npz without an array is one that cannot be read."""

    path: str
    array: str = ""
    start: int = 0
    stop: int = 1
    crc: int = 0

    @property
    def count(self) -> int:
        """How many they are."""
        return self.stop - self.start

    def divided(self, n: int) -> "tuple[ListedPictures, ListedPictures]":
        """Give the first n of them and the others."""
        middle = self.start + n
        return replace(self, stop=middle), replace(self, start=middle)

    def compact(self) -> Any:
        """Give them for JSON: a file as its path, rows as a list."""
        return [self.path, self.array, self.start, self.stop, self.crc] if self.array else self.path

    @classmethod
    def of_compact(cls, values: Any) -> "ListedPictures":
        """Read what `compact` gave."""
        return cls(*values) if isinstance(values, list) else cls(values)


def list_pictures(paths: Iterable[Path]) -> Iterator[ListedPictures]:
    """List pictures as `pictures` does, without reading them; in memory are the names of one folder at a time."""
    for path in paths:
        if path.is_dir():
            yield from map(ListedPictures, _files(path))
        elif _is_npz(path):
            try:
                for header in _image_arrays(path).values():
                    if header.shape[0]:
                        yield ListedPictures(str(path), header.name, 0, header.shape[0], header.crc)
            except PenlightError:
                yield ListedPictures(str(path))
        else:
            yield ListedPictures(str(path))


class NpzRowReader:
    """Reads rows of npz files. An array that is packed can only be read from its beginning, so it goes on where it
    was where it can."""

    def __init__(self) -> None:
        self._rows: Iterator[NDArray[np.uint8]] = iter(())
        self._reads: tuple[Path, ListedPictures] | None = None
        self._row = 0

    def rows(self, listed: ListedPictures, place: Path) -> "Iterator[NDArray[np.uint8]]":
        """Give the images of some rows of the npz at `place`. DataError if it cannot be read; RunError if it was
        changed since it was listed."""
        from penlight.data.npz import read_rows

        reads = place, replace(listed, start=0, stop=0)
        if self._reads != reads or self._row > listed.start:
            header = _image_arrays(place).get(listed.array)
            if header is None or header.crc != listed.crc:
                raise RunError(f"{place} was changed since it was listed.", "Predict it into another folder.")
            self._rows, self._row, self._reads = read_rows(place, header), 0, reads
        skipped = listed.start - self._row
        for number, pixels in enumerate(itertools.islice(self._rows, skipped + listed.count)):
            self._row += 1
            if number >= skipped:
                yield pixels


def pictures_of(listed: Iterable[ListedPictures], base: Path, reader: NpzRowReader) -> Iterator[InputPicture]:
    """Give pictures that were listed; names that are relative begin in `base`. What is wrong with an npz is an error
    in the place of what cannot be read of it. RunError as in `NpzRowReader.rows`."""
    for own in listed:
        place = base / own.path
        if not own.array and not _is_npz(place):
            yield InputPicture(own.path, place)
            continue
        try:
            if not own.array:
                _image_arrays(place)
            for row, pixels in enumerate(reader.rows(own, place), own.start):
                yield InputPicture(f"{own.path}:{own.array}[{row}]", pixels)
        except DataError as error:
            yield InputPicture(own.path, error)


def _of_path(path: Path) -> Iterator[InputPicture]:
    return pictures_of(list_pictures([path]), Path(), NpzRowReader())


def _is_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz"


def _files(folder: Path) -> Iterator[str]:
    """List the pictures in a folder and in those below it, those of kinds that are not read too, so that they are
    named; hidden ones are left out."""
    from penlight.data.pictures import is_dicom
    from penlight.formats import SUFFIXES, not_read_ending

    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        before = "" if place == "." else place.removeprefix(f".{os.sep}") + os.sep
        for name in sorted(names):
            suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122
            if name.startswith("."):
                continue
            if (
                suffix in SUFFIXES
                or not_read_ending(name)
                or (not suffix and (file := Path(place, name)).is_file() and is_dicom(file))
            ):
                yield before + name


def _image_arrays(path: Path) -> "dict[str, Header]":
    """Choose the arrays of images, by name: those whose names end so, or the only one."""
    from penlight.data.npz import read_headers

    headers = read_headers(path)
    chosen = [header for name, header in headers.items() if name.endswith("images")] or list(headers.values())
    odd = [header for header in chosen if not _holds_images(header)]
    if odd or (len(chosen) > 1 and not chosen[0].name.endswith("images")):
        held = ", ".join(f"{h.name} {h.dtype} {h.shape}" for h in headers.values())
        raise DataError(
            f"{path} should hold images as uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3) arrays whose names end in "
            f"'images', or as its only array; it holds {held}.",
            "Save it so, with numpy.savez_compressed.",
        )
    return {header.name: header for header in chosen}


def _holds_images(header: "Header") -> bool:
    whole = header.dtype == "uint8" and len(header.shape) in (3, 4) and 0 not in header.shape[1:]
    return whole and header.shape[3:] in ((), (1,), (3,))


def _of_array(array: "NDArray[np.uint8]", name: str) -> Iterator[InputPicture]:
    """An image (H, W) or (H, W, C), or images (N, H, W, C)."""
    rows = array if array.ndim == 4 else array[None]
    if array.dtype != "uint8" or array.ndim not in (2, 3, 4) or array.shape[2:][-1:] not in ((), (1,), (3,)):
        wanted = "uint8 of shape (H, W), (H, W, 1), (H, W, 3) or (N, H, W, C)"
        yield InputPicture(name, DataError(f"{name} should be {wanted}; {array.dtype} {array.shape} came."))
        return
    yield from (InputPicture(name if array.ndim < 4 else f"{name}[{i}]", pixels) for i, pixels in enumerate(rows))
