"""How well a novelty description holds: which of the run's own images it calls unusual, and which drawn images of
other kinds it does not."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from penlight.data.catalog import CATALOG, SIZES
from penlight.data.pictures import DecodeOptions, fit_pixels
from penlight.data.reads import Readable, some
from penlight.evaluation.novelty import Novelty, evenly
from penlight.records import Count, Name, Record

DRAWN = 60
"""Images of each phantom that are asked."""

_PART = 200


class NoveltyRate(Record):
    """Of `images` of one kind, how many are called `unusual`."""

    images: Count
    unusual: Count

    @property
    def share(self) -> float:
        """The share that is called unusual."""
        return self.unusual / max(1, self.images)


class NoveltyRates(Record):
    """What a novelty description calls unusual: of test images, where it is a false alarm, and of the phantoms that
    show another part of the body, by name, where it is right."""

    test: NoveltyRate
    drawn: Annotated[Mapping[Name, NoveltyRate], Field(max_length=100)]


def measure_novelty(novelty: Novelty, test: Readable, modality: str) -> NoveltyRates:
    """Ask about test images (N, H, W, C), evenly chosen ones of many, and about drawn images of another modality."""
    # What only reads these rates draws nothing.
    from penlight.phantoms import PHANTOMS

    size, _, channels = novelty.shape
    others = [name for name in PHANTOMS if CATALOG[name].modality != modality]
    drawn = {name: _rate(novelty, _drawn(name, size, channels)) for name in others}
    return NoveltyRates(_rate(novelty, test), drawn)


def _rate(novelty: Novelty, images: Readable) -> NoveltyRate:
    """Ask a part at a time, so that large images fit memory."""
    rows = evenly(len(images))
    parts = [rows[start : start + _PART] for start in range(0, len(rows), _PART)]
    return NoveltyRate(len(rows), sum(int(novelty.unusual(some(images, part)).sum()) for part in parts))


@cache
def _drawn(name: str, size: int, channels: int) -> NDArray[np.uint8]:
    """Draw a phantom, and bring it to the shape of a run's images as pictures to be answered are brought to it."""
    from penlight.phantoms import phantom_arrays

    at = next((side for side in SIZES if side >= size), SIZES[-1])
    images = phantom_arrays(name, at, samples={"train": 1, "val": 1, "test": DRAWN})["test_images"]
    reading = DecodeOptions(size, 1 if channels == 1 else 3)
    return np.stack([fit_pixels(image, reading) for image in images])
