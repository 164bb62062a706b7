"""Images of several places put together: in memory, or where they are many in a file that nobody else sees."""

import math
import tempfile
from collections.abc import Sequence

import numpy as np

from penlight import disk
from penlight.data.folders import cache_folder
from penlight.data.reads import Images, Readable

HELD_BYTES = 2**29
"""Images of at most so many bytes are put together in memory."""

_REMEDY = "Set PENLIGHT_CACHE to a folder you may write to, on a disk with room."
_PART_BYTES = 2**23


def put_together(parts: Sequence[Readable]) -> Images:
    """Put images (N, H, W, C) one after the other.

    Of more than `HELD_BYTES` it gives a mapped file under the cache folder, which has no name and is gone with the
    array, or with the process. StorageError if it cannot be written.
    """
    shape = (sum(map(len, parts)), *parts[0].shape[1:])
    if math.prod(shape) <= HELD_BYTES:
        return np.concatenate([part[:] for part in parts])
    rows, folder = max(1, _PART_BYTES // math.prod(shape[1:])), cache_folder()
    disk.require_space(folder, math.prod(shape), _REMEDY)
    with disk.writing_to(folder, _REMEDY), disk.folders(folder), tempfile.TemporaryFile(dir=folder) as file:
        for part in parts:
            for start in range(0, len(part), rows):
                file.write(np.ascontiguousarray(part[start : start + rows]).data)
        file.flush()
        return np.memmap(file, np.uint8, "r", shape=shape)
