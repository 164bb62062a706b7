"""A dataset in memory: images and labels with fixed splits, and what is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penlight.data.pictures import DecodeOptions, OriginalPictures
from penlight.phantoms.shared import SPLITS as SPLITS
from penlight.tasks import KnownLabels, Task

METADATA = ("site", "age", "sex", "view")
"""What may be known of an image beside its labels and its patient, for scores by subgroup."""

# A left eye mirrored is a right eye, and a film teaches what an opacity is from either side; none of them is seen
# upside down.
_SEEN_FROM_EITHER_SIDE = {"OCT", "ultrasound", "film"}


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset without opening it.

    `task` is what the labels mean natively; `samples` counts images by split, None where only the file knows, as
    `channels` is 0 before it is opened; `md5` maps a size in pixels to the hash of the official file, empty for data
    of the user; `modality` is one of the words the catalog uses ("fundus", "film", ...); `position_matters` is True
    where a mirrored image would be another anatomy, so that flips must not be used blindly. `cautions` are sentences
    on what its scores may rest on beside what the labels mean; every card repeats them. `images_per_patient` is how
    many images a patient has where the file does not name patients but its source says so, else 1: so many images say
    less than as many of different patients.
    """

    name: str
    title: str
    task: Task
    channels: int
    samples: Mapping[str, int] | None
    licence: str
    source: str
    modality: str = ""
    position_matters: bool = False
    md5: Mapping[int, str] = field(default_factory=dict)
    cautions: tuple[str, ...] = ()
    images_per_patient: int = 1

    @property
    def flips(self) -> tuple[str, ...]:
        """The mirror images that still show what the label says, to train on: "horizontal", "vertical", or none."""
        if not self.position_matters:
            return ("horizontal", "vertical")
        return ("horizontal",) if self.modality in _SEEN_FROM_EITHER_SIDE else ()


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, H, W, C), memory-mapped where they come from a file; labels (N, L) integers as stored;
    `patients` (N,) where the file names them, else None; `metadata` maps those of METADATA that are known to (N,):
    ages in years, NaN where unknown, and texts, empty where unknown. `known` (N, L) says which labels are known,
    None where all are; those that are not are 0."""

    images: NDArray[np.uint8]
    labels: NDArray[np.integer]
    patients: NDArray[np.generic] | None = None
    metadata: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    known: KnownLabels = None

    def __len__(self) -> int:
        """Count the images."""
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """An opened dataset: `splits` has exactly train, val and test; `size` is the side of an image in pixels; `md5` is
    the hash of the file (or, for pictures and phantoms, of the arrays); `reading` says how a picture becomes an
    image of this dataset, None for arrays made elsewhere; `originals` says what its pictures were like, None where
    they were not at hand. One made of a labels file has no images, the size 0, and perhaps fewer splits."""

    info: DatasetInfo
    size: int
    splits: Mapping[str, Split]
    md5: str
    reading: DecodeOptions | None = None
    originals: OriginalPictures | None = None

    @property
    def has_images(self) -> bool:
        """Say whether there are images."""
        return self.size > 0
