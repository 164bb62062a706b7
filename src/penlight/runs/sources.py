"""Where pictures to predict come from: files, folders, arrays in npz files or in memory, uploads.

Listing them loads neither NumPy nor a decoder where files are asked about, and reads no picture.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from penlight.errors import DataError, PenlightError
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
            return {"path": os.path.abspath(self.source)}, b""  # noqa: PTH100
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
    return sum(_rows(path) if path.suffix.lower() == ".npz" else sum(1 for _ in _of_path(path)) for path in paths)


def _of_path(path: Path) -> Iterator[InputPicture]:
    if path.is_dir():
        yield from (InputPicture(str(file), file) for file in _files(path))
    elif path.suffix.lower() == ".npz":
        from penlight.data.npz import read_rows

        try:
            for header in _image_arrays(path):
                for row, pixels in enumerate(read_rows(path, header)):
                    yield InputPicture(f"{path}:{header.name}[{row}]", pixels)
        except PenlightError as error:
            yield InputPicture(str(path), error)
    else:
        yield InputPicture(str(path), path)


def _files(folder: Path) -> Iterator[Path]:
    """List the pictures in a folder and in those below it, those of kinds that are not read too, so that they are
    named; hidden ones are left out."""
    from penlight.data.pictures import is_dicom
    from penlight.formats import SUFFIXES, not_read_ending

    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in (Path(place, name) for name in sorted(names) if not name.startswith(".")):
            known = file.suffix.lower() in SUFFIXES or not_read_ending(file.name)
            if known or (not file.suffix and file.is_file() and is_dicom(file)):
                yield file


def _rows(path: Path) -> int:
    try:
        return sum(header.shape[0] for header in _image_arrays(path))
    except PenlightError:
        return 1


def _image_arrays(path: Path) -> "list[Header]":
    """Choose the arrays of images: those whose names end so, or the only one."""
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
    return chosen


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
