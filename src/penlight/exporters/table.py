"""The formats by name: how a model is written in each, and how what was written is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penlight.errors import ExportError
from penlight.evaluation import Calibration
from penlight.exporters.keras_file import answering_keras, keras_file
from penlight.exporters.onnx_file import onnx_file
from penlight.exporters.parity import Answering
from penlight.runs import ModelFacts, Predictor
from penlight.runs.sharing import shared_keras, shared_onnx


@dataclass(frozen=True)
class ExportSource:
    """What a file is made of.

    `network` is None for a baseline, and `onnx` the model.onnx of its run, which is all that is kept of it.
    """

    network: Any
    onnx: bytes
    facts: ModelFacts
    calibration: Calibration


@dataclass(frozen=True)
class Exporter:
    """A format: the name of its file in a run, how the bytes of one are written, how they are asked for answers, and
    how they are cleaned for a copy that is given away, `shared(content, recipe_hash)`."""

    file: str
    write: Callable[[ExportSource], bytes]
    answering: Callable[[bytes], Answering]
    shared: Callable[[bytes, str], bytes]


def _onnx(source: ExportSource) -> bytes:
    return source.onnx if source.network is None else onnx_file(source.network, source.facts, source.calibration)


def _answering_onnx(content: bytes) -> Answering:
    return Predictor(content, "The export").answer


def _keras(source: ExportSource) -> bytes:
    if source.network is None:
        raise ExportError(
            f"The {source.facts.backbone} baseline is no network, and has no Keras form.", "Export it with --to onnx."
        )
    return keras_file(source.network, source.facts, source.calibration)


EXPORTERS: dict[str, Exporter] = {
    "onnx": Exporter("model.onnx", _onnx, _answering_onnx, shared_onnx),
    # model.keras is the network that was trained; what is exported answers with calibrated probabilities.
    "keras": Exporter("answers.keras", _keras, answering_keras, lambda content, _: shared_keras(content)),
}
