"""The formats by name: how a model is written in each, and how what was written is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penlight.errors import ExportError
from penlight.evaluation import Calibration
from penlight.exporters.int8 import int8_file
from penlight.exporters.keras_file import answering_keras, keras_file
from penlight.exporters.litert import answering_litert, litert_file
from penlight.exporters.onnx_file import onnx_file
from penlight.exporters.parity import Answering, Images
from penlight.runs import ModelFacts, Predictor


@dataclass(frozen=True)
class ExportSource:
    """What a file is made of.

    `network` is None for a baseline, and `onnx` the model.onnx of its run, which is all that is kept of it; `sample`
    are images (n, H, W, C) of train, by which the ranges of int8 are found.
    """

    network: Any
    onnx: bytes
    facts: ModelFacts
    calibration: Calibration
    sample: Images


@dataclass(frozen=True)
class Exporter:
    """A format: the ending of its files, how they are written (of 8 bits or of 32), how their bytes are asked."""

    ending: str
    write: Callable[[ExportSource, bool], bytes]
    answering: Callable[[bytes], Answering]


def _onnx(source: ExportSource, int8: bool) -> bytes:
    made = source.onnx if source.network is None else onnx_file(source.network, source.facts, source.calibration)
    return int8_file(made, source.sample) if int8 else made


def _answering_onnx(content: bytes) -> Answering:
    return Predictor(content, "The export").answer


def _litert(source: ExportSource, int8: bool) -> bytes:
    network = _required(source, "LiteRT")
    return litert_file(network, source.facts, source.calibration, source.sample if int8 else None)


def _keras(source: ExportSource, int8: bool) -> bytes:
    if int8:
        raise ExportError("A Keras file of 8 bits is not offered.", "Choose --to onnx or --to litert with --int8.")
    return keras_file(_required(source, "Keras"), source.facts, source.calibration)


def _required(source: ExportSource, form: str) -> Any:
    if source.network is None:
        raise ExportError(
            f"The {source.facts.backbone} baseline is no network, and has no {form} form.",
            "Export it with --to onnx.",
        )
    return source.network


EXPORTERS: dict[str, Exporter] = {
    "onnx": Exporter(".onnx", _onnx, _answering_onnx),
    "litert": Exporter(".tflite", _litert, answering_litert),
    "keras": Exporter(".keras", _keras, answering_keras),
}
