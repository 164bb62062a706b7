"""All pixels of a picture, as it is before it is fitted and resized."""

from pathlib import Path

import numpy as np

from penlight.data import pictures


def read_picture(source: Path | bytes, *, bits: int = 16, name: str = "") -> np.ndarray:
    """Unpack a file or its bytes: uint8 (H, W, 1) or (H, W, 3)."""
    with pictures._naming(source, name):
        picture, _, _ = pictures._unpack(pictures._bytes_of(source), bits, 0)
        pixels = np.asarray(pictures._turned(picture, picture.info.get("exif")))
        return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
