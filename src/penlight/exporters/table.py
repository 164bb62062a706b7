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
    """A format: the ending of its files, how they are written, and how their bytes are asked for answers."""

    ending: str
    write: Callable[[ExportSource], bytes]
    answering: Callable[[bytes], Answering]


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
    "onnx": Exporter(".onnx", _onnx, _answering_onnx),
    "keras": Exporter(".keras", _keras, answering_keras),
}
