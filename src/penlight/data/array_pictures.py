"""Pictures that are arrays: the bytes of a .npy file that hold one picture, never pickled."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penlight.data.npz import Header, npy_array, npy_header
from penlight.errors import DataError, PictureError

_START = 1 << 14
_SAVE = "Save each picture as an array (H, W), (H, W, 3) or (3, H, W) of uint8, uint16 or floats of 0 to 1."


def read_format(source: Path | bytes) -> tuple[int, int, bool, int]:
    """Give width, height, whether it is in colour, and 8 or 16 bits a value, of the header alone. PictureError as in
    `read_values`."""
    if isinstance(source, bytes):
        header = _header(source[:_START], len(source))
    else:
        with source.open("rb") as file:
            header = _header(file.read(_START), source.stat().st_size)
    height, width, colour = shape_of(header.shape)
    return width, height, colour, 16 if header.dtype.kind in "iu" and header.dtype.itemsize > 1 else 8


def read_values(content: bytes) -> NDArray[np.generic]:
    """Give the picture of a .npy file, (H, W) or (H, W, 3), in its own type: truth values, whole numbers of 0 to
    65,535, or floats of 0 to 1. PictureError for any other array."""
    header = _header(content[:_START], len(content))
    height, width, colour = shape_of(header.shape)
    values = npy_array(content, header)
    if colour and values.shape[-1] != 3:
        values = np.moveaxis(values, 0, -1)
    values = values.reshape((height, width, 3) if colour else (height, width))
    if header.dtype.kind == "b":
        return values
    low, high = values.min(), values.max()
    if header.dtype.kind == "f" and not (low >= 0 and high <= 1):  # nor where one is no number
        raise PictureError(
            f"its values are floats of {low:g} to {high:g}, and those of 0 to 1 are read",
            "Divide by the largest value that there can be, or save it as uint8 or uint16.",
        )
    if header.dtype.kind in "iu" and not 0 <= int(low) <= int(high) < 1 << 16:
        raise PictureError(f"its values are of {low} to {high}, and those of 0 to 65535 are read", _SAVE)
    return values


def shape_of(shape: tuple[int, ...]) -> tuple[int, int, bool]:
    """Give height, width and whether an array of this shape is in colour: (H, W), (H, W, 1), (1, H, W), (H, W, 3) or
    (3, H, W). PictureError for any other shape, and for one that may be both."""
    if len(shape) == 3 and (shape[0] in (1, 3)) != (shape[-1] in (1, 3)):
        channels = shape[-1] if shape[-1] in (1, 3) else shape[0]
        height, width = shape[:2] if shape[-1] == channels else shape[1:]
    elif len(shape) == 2:
        (height, width), channels = shape, 1
    else:
        raise PictureError(f"its shape {str(shape)[:100]} is not that of one picture", _SAVE)
    if not height * width:
        raise PictureError(f"its shape {str(shape)[:100]} is empty", _SAVE)
    return height, width, channels == 3


def _header(start: bytes, n_bytes: int) -> Header:
    try:
        header = npy_header(start, n_bytes)
    except DataError as error:
        raise PictureError(error.problem.rstrip("."), error.remedy) from error
    if header.dtype.kind not in "biuf":
        raise PictureError(f"its values are of the type {header.dtype}", _SAVE)
    return header
