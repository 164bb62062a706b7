"""TensorBoard: event files in a folder, with a folder for each run."""

import re
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from penlight.errors import MissingExtraError, TrackingError
from penlight.tracking.record import TrackedEpoch, TrackedRun, TrackedScores

_STATE = "penlight.txt"


class TensorboardFolder:
    """Event files below `folder`: metrics are scalars, parameters a text, and files stay in the run folder.

    `penlight.txt` beside them has the key of the run, and the number of epochs that are written or, when it is whole,
    its version.
    """

    def __init__(self, folder: str) -> None:
        if not folder:
            raise TrackingError("TensorBoard needs a folder for its event files.", "Give tensorboard:FOLDER.")
        if find_spec("tensorboardX") is None:
            raise MissingExtraError(
                "Event files for TensorBoard need tensorboardX, which is not installed.",
                "Install it: pip install 'penlight[tensorboard]'",
            )
        self.folder = Path(folder)
        self._writers: dict[str, Any] = {}
        self._places: dict[str, Path] = {}

    def begin(self, run: TrackedRun, version: str = "") -> bool:
        """See `Tracker`."""
        if run.key in self._writers:
            return True
        above = self.folder / _plain(run.dataset) if run.parent is None else self._places[run.parent]
        place = above.joinpath(*map(_plain, run.name.split("/")))
        if _read(place)[0] not in ("", run.key):
            # Another run of this name.
            place = place.with_name(f"{place.name}-{run.key[:6]}")
        self._places[run.key], known = place, _read(place)[1]
        if version and known == version:
            return False
        goes_on = known.isdecimal() or (run.several and known != "")
        if _read(place)[0] and not goes_on:
            for events in place.glob("events.out.tfevents.*"):
                events.unlink()
        from tensorboardX import SummaryWriter

        # Their names have seconds: one begun in the same second would be written over.
        self._writers[run.key] = SummaryWriter(str(place), filename_suffix=f".{time.time_ns()}")
        if not goes_on:
            table = "\n".join(f"| {name} | {value} |" for name, value in run.parameters.items())
            self._writers[run.key].add_text("recipe", f"| option | value |\n| --- | --- |\n{table}", 0)
            self._write(run.key, "0")
        return True

    def log(self, key: str, epochs: Sequence[TrackedEpoch]) -> None:
        """See `Tracker`."""
        for epoch in epochs:
            if epoch.number > int(_read(self._places[key])[1]):
                self._scalars(key, epoch.metrics, epoch.number)
                self._write(key, str(epoch.number))

    def end(self, key: str, scores: TrackedScores) -> None:
        """See `Tracker`."""
        if _read(self._places[key])[1] != scores.version:
            self._scalars(key, scores.metrics, scores.step)
        self._writers.pop(key).close()
        self._write(key, scores.version)

    def stop(self, *, failed: bool) -> None:
        """See `Tracker`."""
        for key in self._writers if failed else ():
            self._write(key, "failed")

    def close(self) -> None:
        """See `Tracker`."""
        for writer in self._writers.values():
            writer.close()

    def _write(self, key: str, state: str) -> None:
        (self._places[key] / _STATE).write_text(f"{key}\n{state}\n", encoding="ascii")

    def _scalars(self, key: str, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._writers[key].add_scalar(name, value, step)
        self._writers[key].flush()


def _read(place: Path) -> tuple[str, str]:
    """Give the key and the state of the run in a folder, empty where there is none."""
    file = place / _STATE
    key, _, state = file.read_text(encoding="ascii").strip().partition("\n") if file.is_file() else ("", "", "")
    return key, state


def _plain(name: str) -> str:
    """Give a name of a folder: a run that came from somebody else may have any."""
    return re.sub(r"[^\w.-]", "_", name).strip(".") or "_"
