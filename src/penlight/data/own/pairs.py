"""Arrays of pictures with their labels beside them, as X_train.npy and y_train.npy, images.npy and labels.npy, or
PatchCamelyon's ..._train_x.h5, ..._train_y.h5 and ..._train_meta.csv; read as a table with a row for each picture.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.own.row_names import ARRAYS, PackedName, packed_name
from penlight.errors import DataError, PictureError
from penlight.escaping import named
from penlight.numbers import counted

if TYPE_CHECKING:
    from penlight.data.npz import Header

LABEL, IMAGE = "label", "image"
"""What the columns are called that a file has no name for."""

_IMAGES = {"x", "image", "images", "img", "imgs", "data"}
_LABELS = {"y", "label", "labels", "target", "targets", "class", "classes"}
_ABOUT = {"meta", "metadata"}
_START = 1 << 14
_LARGEST_LABELS = 256 << 20
_MOST_ROWS = 2_000_000
_MOST_CLASSES = 1000
Table = Mapping[str, list[str]]


def beside(name: str, names: Iterable[str], *, about: bool = False) -> list[str]:
    """Give the names of files that hold the labels of the pictures in a file of arrays, or a table `about` them: they
    have another word where it says "x" or "images"."""
    words = re.split(r"([\W_]+)", Path(name).name)
    places = [i for i, word in enumerate(words) if word.casefold() in _IMAGES]
    if len(places) != 1 or not name.lower().endswith(ARRAYS):
        return []
    wanted = set()
    for word in _ABOUT if about else _LABELS:
        text = "".join([*words[: places[0]], word, *words[places[0] + 1 :]]).casefold()
        wanted.add(f"{text.rpartition('.')[0]}.csv" if about else text)
    return sorted(each for each in names if each.casefold() in wanted)


def are_pairs(paths: Iterable[str]) -> set[str]:
    """Give the .npy files, by their paths, that hold many pictures, or the labels of another one's."""
    folders: dict[str, list[str]] = {}
    for path in paths:
        if path.lower().endswith(".npy"):
            folder, _, name = path.rpartition("/")
            folders.setdefault(f"{folder}/" if folder else "", []).append(name)
    found = set()
    for folder, names in folders.items():
        for name in names:
            labels = beside(name, names)
            found |= {f"{folder}{each}" for each in (name, *labels) if labels}
    return found


def beside_in(folder: Path, name: str) -> list[str]:
    """Give the files of labels, and the table about the pictures, that lie beside a file of arrays, from the same
    folder on."""
    base, _, own = name.rpartition("/")
    try:
        names = [each.name for each in (folder / base).iterdir()]
    except OSError:
        names = []
    found = [*beside(own, names), *beside(own, names, about=True)]
    return [f"{base}/{each}" if base else each for each in found]


def read_arrays_table(folder: Path, name: str, own: Table | None = None) -> Table:
    """Read a file of arrays, in or below a folder, and the files beside it as one table. `own` are the columns that
    an HDF5 file has itself.

    DataError where nothing is pictures or says their labels, and for files of other lengths.
    """
    path = folder / name
    columns = dict(_images_of(folder, name) if own is None else own)
    pictures = [column for column, cells in columns.items() if cells and packed_name(cells[0])]
    if not pictures:
        raise DataError(f"{path} has no pictures; it has {named(columns)}.", "Give the file of the pictures.")
    n = len(columns[pictures[0]])
    others = beside_in(folder, name)
    labels = [each for each in others if not each.endswith(".csv")]
    if len(labels) > 1:
        raise DataError(f"{named(labels)} may each be the labels of {path}.", "Keep one of them in the folder.")
    if not labels and len(columns) == len(pictures):
        raise DataError(
            f"{path} has {counted(n, 'picture')}, and nothing beside it says their labels.",
            "Put a file of as many labels beside it: X_train.npy has y_train.npy, images.npy has labels.npy, and "
            "train_x.h5 has train_y.h5.",
        )
    for each in others:
        added = _read_beside(folder, each)
        length = len(next(iter(added.values())))
        if length != n:
            raise DataError(
                f"{folder / each} has {counted(length, 'row')}, and {path} has {counted(n, 'picture')}.",
                "Get both files of one version.",
            )
        columns = {**added, **columns}
    return columns


def _read_beside(folder: Path, name: str) -> Table:
    from penlight.data.own.tables import converted, read_table

    if name.lower().endswith(".csv"):
        return read_table(folder, name)
    found = _labels_of(folder, name) if name.lower().endswith(".npy") else converted(folder, name)
    return {LABEL: next(iter(found.values()))} if len(found) == 1 else found


def _header_of(folder: Path, name: str) -> "Header":
    from penlight.data.npz import npy_header

    try:
        with disk.open_inside(folder, name) as file:
            size = file.seek(0, 2)
            file.seek(0)
            return npy_header(file.read(_START), size, str(folder / name))
    except OSError as error:
        raise DataError(f"{folder / name} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _images_of(folder: Path, name: str) -> Table:
    from penlight.data.array_pictures import shape_of

    header, path = _header_of(folder, name), folder / name
    shape = header.shape
    try:
        if len(shape) not in (3, 4) or header.dtype.kind not in "biuf" or not 0 < shape[0] <= _MOST_ROWS:
            raise PictureError("")
        shape_of(shape[1:])
    except PictureError as error:
        raise DataError(
            f"{path} holds {header.dtype} of the shape {str(shape)[:100]}.",
            "Arrays of pictures are (N, H, W), (N, H, W, 3) or (N, 3, H, W) of uint8, uint16 or floats of 0 to 1.",
        ) from error
    return {IMAGE: [str(PackedName(name, row)) for row in range(shape[0])]}


def _labels_of(folder: Path, name: str) -> dict[str, list[str]]:
    from penlight.data.npz import npy_array

    header, path = _header_of(folder, name), folder / name
    if header.n_bytes > _LARGEST_LABELS:
        raise DataError(f"{path} has {header.n_bytes:,} bytes, more than {_LARGEST_LABELS:,}.", "Give labels.")
    array = npy_array(disk.read_inside(folder, name, _LARGEST_LABELS + _START), header)
    found = {column: list(cells) for column, cells in label_columns(LABEL, array).items()}
    if not found:
        raise DataError(
            f"{path} has the shape {str(header.shape)[:100]}; labels are (N,), or (N, C) of 0 and 1.", "Correct it."
        )
    return found


def label_columns(name: str, array: Any) -> dict[str, Iterator[str]]:
    """Give an array of labels, (N,), (N, 1) and so on, as a column of texts, or one (N, C) of 0 and 1 as a column for
    each; nothing for any other."""
    shape: Sequence[int] = array.shape
    if not shape or not shape[0]:
        return {}
    if int(np.prod(shape[1:], dtype=np.float64)) == 1:
        return {name: _texts(np.asarray(array).reshape(-1))}
    if len(shape) == 2 and shape[1] <= _MOST_CLASSES:
        values = np.asarray(array)
        return {f"{i}": _texts(values[:, i]) for i in range(shape[1])}
    return {}


def _texts(values: NDArray[Any]) -> Iterator[str]:
    from penlight.data.own.parquet import cell_text

    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    return map(cell_text, values.tolist())
