"""ONNX Runtime's sessions: in this process, or in a worker process where a model may be a stranger's.

A model that never ends, or wants all memory there is, then costs the worker, and not who asked.
"""

import importlib.util
import math
import re
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.errors import MissingExtraError, PenlightError, RunError, first_line
from penlight.workers import Bounds, Item, Lost, Worker, WorkerEndedError, begin, keep, shared_pool

HANDLER = "penlight.runs.session:handle"
"""What the worker of a `RemoteSession` runs."""

BOUNDS = Bounds(seconds=120.0, memory=4 << 30)
"""What opening a model, and computing one batch, may use: processor time of all cores together."""

_TYPES = ("<f4", "<f8")
_OF_SOURCE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |/\S*onnxruntime/core/\S+:\d+ [^\n]*?\)(?: const)? ")
_HARMFUL = "It is damaged, or was made to harm: use a run that you trust, or export the run again."

Arrays = list[NDArray[np.floating]]


class LocalSession:
    """A model in this process."""

    def __init__(
        self,
        content: bytes,
        where: str,
        threads: int | None,
        spinning: bool,
        *,
        reads: str = "image",
        encoders: Mapping[str, Path] | None = None,
    ) -> None:
        """Open a model, which reads images by the name `reads` and refers to `encoders`, files by their SHA-256;
        `threads` as in `predictor.Predictor`. RunError if ONNX Runtime cannot."""
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
        self._where, self._reads = where, reads
        if encoders:
            from penlight.runs.encoders import referred_parts

            parts = referred_parts(encoders)
            sizes = [len(part) for part in parts.values()]
            options.add_external_initializers_from_files_in_memory(list(parts), list(parts.values()), sizes)
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has an exception class for each of its status codes
            raise RunError(f"{where} cannot be read: {_reason(error)}.", "Export the run again.") from error

    def run(self, outputs: Sequence[str], images: NDArray[np.generic]) -> Arrays:
        """Compute a batch of images (N, H, W, C). RunError if ONNX Runtime cannot."""
        try:
            given: Arrays = self._session.run(list(outputs), {self._reads: images})
        except Exception as error:
            raise RunError(f"{self._where} cannot be computed: {_reason(error)}.", _HARMFUL) from error
        if not all(isinstance(own, np.ndarray) for own in given):
            raise RunError(f"{self._where} gives what is no array of numbers.", _HARMFUL)
        return given


def _reason(error: Exception) -> str:
    """Give what ONNX Runtime says, without places in its own source."""
    return first_line(type(error)(_OF_SOURCE.sub("", str(error))))


class RemoteSession:
    """The same in a worker process of its own, which ends with this object."""

    def __init__(
        self,
        content: bytes,
        where: str,
        threads: int | None,
        spinning: bool,
        *,
        encoders: Mapping[str, Path] | None = None,
    ) -> None:
        """Open a model; errors as in `LocalSession`, and RunError if that takes more than `BOUNDS`."""
        _require_runtime()
        self._where = where
        self._worker = Worker(HANDLER, BOUNDS.memory)
        self._end = weakref.finalize(self, self._worker.close)
        named = {sha256: str(path.absolute()) for sha256, path in (encoders or {}).items()}
        self._ask({"do": "open", "threads": threads, "spinning": spinning, "encoders": named}, ({}, content))

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

    def processor_time(self) -> float | None:
        """Give the seconds of processor time that the worker has had; None where the system does not say."""
        return self._worker.processor_time()

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
            raise RunError(str(values["failed"]).replace("the model", self._where, 1)[:1000], _HARMFUL)
        return answer


def compute_once(
    content: bytes,
    where: str,
    reads: str,
    outputs: Sequence[str],
    images: NDArray[np.uint8 | np.float32],
    encoders: Mapping[str, Path],
) -> Arrays:
    """Open a stranger's model, as `LocalSession` does, compute one batch and forget it, all in a worker process.
    RunError as for `RemoteSession`."""
    _require_runtime()
    named = {sha256: str(path.absolute()) for sha256, path in encoders.items()}
    common = {"do": "once", "where": where, "reads": reads, "outputs": list(outputs), "encoders": named}
    item = ({"shape": images.shape, "type": images.dtype.str}, images.tobytes() + content)
    (answer,) = shared_pool(HANDLER, BOUNDS).call(common, [item], largest=1 << 30)
    if isinstance(answer, Lost):
        raise RunError(f"{where} cannot be computed: {answer.reason(BOUNDS)}.", _HARMFUL)
    values, given = answer
    if "failed" in values:
        raise RunError(str(values["failed"])[:1000], _HARMFUL)
    try:
        return _unpacked(values["arrays"], given)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{where} gives no features: {error}.", _HARMFUL) from error


_opened: list[LocalSession] = []


def handle(common: Mapping[str, Any], items: Sequence[Item]) -> list[Item]:
    """Answer a message in a worker: "open" a model, "run" the one that is open on a batch of images, or do both
    "once"."""
    ((values, content),) = items
    begin(0)
    named = {sha256: Path(path) for sha256, path in common.get("encoders", {}).items()}
    try:
        if common["do"] == "open":
            threads, spinning = common["threads"], common["spinning"]
            _opened[:] = [LocalSession(content, "the model", threads, spinning, encoders=named)]
            keep()
            return [({}, b"")]
        kind = np.dtype(values.get("type", np.uint8))
        n_bytes = math.prod(values["shape"]) * kind.itemsize
        images = np.frombuffer(content[:n_bytes], kind).reshape(values["shape"])
        if common["do"] == "once":
            reads = common["reads"]
            session = LocalSession(content[n_bytes:], common["where"], None, False, reads=reads, encoders=named)
        else:
            session = _opened[0]
        arrays = session.run(common["outputs"], images)
    except PenlightError as error:
        return [({"failed": error.problem}, b"")]
    packed = [{"shape": array.shape, "type": array.dtype.newbyteorder("<").str} for array in arrays]
    return [({"arrays": packed}, b"".join(array.tobytes() for array in arrays))]


def _unpacked(packed: Sequence[Mapping[str, Any]], content: bytes) -> Arrays:
    """Take the arrays of an answer apart. KeyError, TypeError or ValueError if they are not all and whole."""
    arrays, start = [], 0
    for about in packed:
        kind, shape = about["type"], tuple(int(n) for n in about["shape"])
        if kind not in _TYPES or len(shape) > 8 or min(shape, default=0) < 0:
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
