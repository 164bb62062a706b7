"""ONNX Runtime's sessions: in this process, or in a worker process where a model may be a stranger's.

A model that never ends, or wants all memory there is, then costs the worker, and not who asked.
"""

import importlib.util
import math
import weakref
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.errors import MissingExtraError, PenlightError, RunError, first_line
from penlight.workers import Bounds, Item, Worker, WorkerEndedError, begin

HANDLER = "penlight.runs.session:handle"
"""What the worker of a `RemoteSession` runs."""

BOUNDS = Bounds(seconds=120.0, memory=4 << 30)
"""What opening a model, and computing one batch, may use: processor time of all cores together."""

_TYPES = ("<f4", "<f8")
_HARMFUL = "It is damaged, or was made to harm: use a run that you trust, or export the run again."

Arrays = list[NDArray[np.floating]]


class LocalSession:
    """A model in this process."""

    def __init__(
        self, content: bytes, where: str, threads: int | None, spinning: bool, *, reads: str = "image"
    ) -> None:
        """Open a model, which reads images by the name `reads`; `threads` as in `predictor.Predictor`. RunError if
        ONNX Runtime cannot."""
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
        self._where, self._reads = where, reads
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has an exception class for each of its status codes
            raise RunError(f"{where} cannot be read: {first_line(error)}.", "Export the run again.") from error

    def run(self, outputs: Sequence[str], images: NDArray[np.generic]) -> Arrays:
        """Compute a batch of images (N, H, W, C). RunError if ONNX Runtime cannot."""
        try:
            given: Arrays = self._session.run(list(outputs), {self._reads: images})
        except Exception as error:
            raise RunError(f"{self._where} cannot be computed: {first_line(error)}.", _HARMFUL) from error
        return given


class RemoteSession:
    """The same in a worker process of its own, which ends with this object."""

    def __init__(self, content: bytes, where: str, threads: int | None, spinning: bool) -> None:
        """Open a model; errors as in `LocalSession`, and RunError if that takes more than `BOUNDS`."""
        _require_runtime()
        self._where = where
        self._worker = Worker(HANDLER, BOUNDS.memory)
        self._end = weakref.finalize(self, self._worker.close)
        self._ask({"do": "open", "threads": threads, "spinning": spinning}, ({}, content))

    def run(self, outputs: Sequence[str], images: NDArray[np.uint8]) -> Arrays:
        """Compute a batch of images (N, H, W, C). RunError as for opening."""
        item = ({"shape": images.shape}, images.tobytes())
        values, content = self._ask({"do": "run", "outputs": list(outputs)}, item)
        try:
            arrays = _unpacked(values["arrays"], content)
            if len(arrays) != len(outputs):
                raise ValueError(f"{len(arrays)} outputs")
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self._where} was not computed as models are: {error}.", _HARMFUL) from error
        return arrays

    def _ask(self, common: Mapping[str, Any], item: Item) -> Item:
        try:
            # Where others keep the cores busy, processor time takes longer than its name says.
            patience = 30 + 8 * BOUNDS.seconds
            (answer,) = self._worker.call(common, [item], BOUNDS.seconds, largest=1 << 30, patience=patience)
        except WorkerEndedError as ended:
            self._end()
            reasons = {
                "time": f"it takes more than {BOUNDS.seconds:g} s of processor time",
                "memory": f"it needs more than {BOUNDS.memory >> 20:,} MB of memory",
            }
            reason = reasons.get(ended.kind, "the process that computes it ended")
            raise RunError(f"{self._where} cannot be computed: {reason}.", _HARMFUL) from ended
        values, _ = answer
        if "failed" in values:
            raise RunError(f"{self._where} cannot be computed: {str(values['failed'])[:500]}", _HARMFUL)
        return answer


_opened: list[LocalSession] = []


def handle(common: Mapping[str, Any], items: Sequence[Item]) -> list[Item]:
    """Answer a message in a worker: "open" a model, or "run" the one that is open on a batch of images."""
    ((values, content),) = items
    begin(0)
    try:
        if common["do"] == "open":
            _opened[:] = [LocalSession(content, "the model", common["threads"], common["spinning"])]
            return [({}, b"")]
        images = np.frombuffer(content, np.uint8).reshape(values["shape"])
        arrays = _opened[0].run(common["outputs"], images)
    except PenlightError as error:
        return [({"failed": error.problem}, b"")]
    packed = [{"shape": array.shape, "type": array.dtype.newbyteorder("<").str} for array in arrays]
    return [({"arrays": packed}, b"".join(array.tobytes() for array in arrays))]


def _unpacked(packed: Sequence[Mapping[str, Any]], content: bytes) -> Arrays:
    """Take the arrays of an answer apart. KeyError, TypeError or ValueError if they are not all and whole."""
    arrays, start = [], 0
    for about in packed:
        kind, shape = about["type"], tuple(int(n) for n in about["shape"])
        if kind not in _TYPES or len(shape) > 4 or min(shape, default=0) < 0:
            raise ValueError(f"an output of type {str(kind)[:20]} with {len(shape)} axes")
        end = start + math.prod(shape) * np.dtype(kind).itemsize
        arrays.append(np.frombuffer(content[start:end], kind).reshape(shape))
        start = end
    if start != len(content):
        raise ValueError("bytes that belong to no output")
    return arrays


def _require_runtime() -> None:
    """Raise MissingExtraError without ONNX Runtime; it is not imported."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise MissingExtraError(
            "Predicting needs ONNX Runtime, which is not installed.", "Install it: pip install onnxruntime"
        )


def _runtime() -> ModuleType:
    _require_runtime()
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    module: ModuleType = onnxruntime
    return module
