"""Images of a dataset as pictures in a page: data addresses, no file beside the report."""

import base64
import io
import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from penlight.explanation.pictures import png_address, scale, shade

_ADDRESS = re.compile(rb"data:image/[a-z]+;base64,[A-Za-z0-9+/=\s]+")
_EXACT_SIDE = 64
_LARGEST_SIDE = 112
_LARGEST_EXACT = 256


def data_address(image: NDArray[np.uint8]) -> str:
    """Give an image (H, W, C) or (H, W) uint8 as a data address.

    Small ones stay exact, pixel for pixel (PNG). Larger ones are only thumbnails here, at most 112 px, as JPEG: a
    page of exact ones would be many megabytes.
    """
    drawable, buffer = _drawable(image), io.BytesIO()
    if max(drawable.shape[:2]) <= _EXACT_SIDE:
        return png_address(drawable)
    picture = Image.fromarray(drawable)
    picture.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.LANCZOS)
    picture.save(buffer, "JPEG", quality=90)
    return _address("jpeg", buffer.getvalue())


def exact_address(image: NDArray[np.uint8]) -> str:
    """Give an image (H, W, C) or (H, W) uint8 as a data address, pixel for pixel unless it is very large."""
    return png_address(_drawable(image)) if max(image.shape[:2]) <= _LARGEST_EXACT else data_address(image)


def png_data(content: bytes) -> str:
    """Give a PNG file as a data address."""
    return _address("png", content)


def shaded_address(values: NDArray[np.floating]) -> str:
    """Give a map (H, W) of 0 to 1 as the data address of its colours, clear where it is 0.

    Maps are smooth: those of large images are thinned to at most 64 px a side.
    """
    step = -(-max(values.shape) // _EXACT_SIDE)
    return png_address(shade(values[step // 2 :: step, step // 2 :: step]))


def count_pictures(page: bytes) -> int:
    """Count the different pictures in a page, maps over them among them."""
    return len(set(_ADDRESS.findall(page)) - {png_address(scale()).encode()})


def as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give an image (H, W, C) or (H, W) as (H, W, 3)."""
    drawable = _drawable(image)
    return drawable if drawable.ndim == 3 else np.repeat(drawable[..., None], 3, axis=2)


def _drawable(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
