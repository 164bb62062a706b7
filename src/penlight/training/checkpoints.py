"""What a training needs to go on, on disk: the last two epochs, each with a hash of its bytes.

    <stem>-<epoch>.npz
      one line that names the format, one line with the SHA-256 of what follows, then an npz of arrays without pickles

A state is written before older ones are removed, so that there is one to fall back on at every moment.
"""

import contextlib
import hashlib
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penlight.data.npz import read_arrays
from penlight.disk import read_inside, regular_files, remove_inside, require_no_link
from penlight.errors import DataError
from penlight.models import load_keras
from penlight.runs import write_bytes

Arrays = Mapping[str, NDArray[np.generic]]

_FORMAT = b"Penlight checkpoint 1\n"
_KEPT = 2
_LARGEST = 16 << 30
_MOST_ARRAYS = 100_000


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training.

    `stem` is the path that their names begin with; `about` says what they are of (recipe, seed, data), and those of
    anything else are not gone on from; `tell` is told, in a sentence, when one cannot be used.
    """

    stem: Path
    about: Mapping[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda what: None

    def beside(self, what: str) -> "Checkpoints":
        """Give the checkpoints of another phase of the same training."""
        return replace(self, stem=self.stem.with_name(f"{self.stem.name}-{what}"))

    def write(self, epoch: int, arrays: Arrays) -> None:
        """Write the state after an epoch, whole or not at all, and remove all but it and the one before."""
        buffer = io.BytesIO()
        np.savez(buffer, **{**arrays, **self._marks()})  # type: ignore[arg-type]
        content = buffer.getbuffer()
        digest = hashlib.sha256(content).hexdigest().encode()
        require_no_link(self.stem.parent)
        write_bytes(self.stem.with_name(self._name(epoch)), b"".join((_FORMAT, digest, b"\n", content)))
        for old in self._epochs():
            if not epoch - _KEPT < old <= epoch:
                with contextlib.suppress(OSError):
                    remove_inside(self.stem.parent, self._name(old))

    def read(self, use: Callable[[Arrays], bool]) -> int:
        """Hand the newest state to `use`; where it is damaged, or `use` says that it does not fit, the one before.

        Gives its epoch; 0 where there is none, and the training must begin from the start.
        """
        epochs = self._epochs()
        for place, epoch in enumerate(epochs):
            if (arrays := self._arrays(epoch)) is not None and use(arrays):
                return epoch
            older = epochs[place + 1 :]
            what = f"going back to that of epoch {older[0]}" if older else "training begins from the start"
            self.tell(f"The checkpoint of epoch {epoch} is damaged, or of other data: {what}.")
        return 0

    def _arrays(self, epoch: int) -> Arrays | None:
        try:
            name, digest, content = read_inside(self.stem.parent, self._name(epoch), _LARGEST).split(b"\n", 2)
            if name + b"\n" != _FORMAT or hashlib.sha256(content).hexdigest().encode() != digest:
                return None
            # Weights are written unpacked.
            arrays = read_arrays(content, self._name(epoch), len(content), _MOST_ARRAYS)
        # Whole by its hash and yet no npz of arrays: not one that was written here.
        except (OSError, ValueError, DataError):
            return None
        own = self._marks()
        return arrays if all(np.array_equal(arrays.pop(key, ""), own[key]) for key in own) else None

    def _marks(self) -> dict[str, NDArray[np.str_]]:
        about = {**self.about, "backend": load_keras().backend.backend()}
        return {"about": np.array([f"{key}={value}" for key, value in sorted(about.items())], np.str_)}

    def _name(self, epoch: int) -> str:
        return f"{self.stem.name}-{epoch}.npz"

    def _epochs(self) -> list[int]:
        """List the epochs there are, the newest first."""
        name = re.compile(rf"{re.escape(self.stem.name)}-([0-9]{{1,9}})\.npz")
        found = map(name.fullmatch, regular_files(self.stem.parent))
        return sorted((int(match[1]) for match in found if match), reverse=True)
