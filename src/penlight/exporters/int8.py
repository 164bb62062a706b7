"""Static quantisation of an ONNX file: weights and activations of 8 bits, ranges from images of train."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from penlight.errors import ExportError
from penlight.exporters.parity import Images

# What is worth it and keeps its meaning in 8 bits. Probabilities are left as they are.
_KINDS = ["Conv", "Gemm", "Relu", "MaxPool", "Add", "Clip", "Concat"]
_BATCH = 32


def int8_file(content: bytes, sample: Images) -> bytes:
    """Quantise an ONNX file, in the QDQ form that runtimes of all makes read; `sample` are images (n, H, W, C).

    ExportError for a model without a layer that can be quantised.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quant_pre_process, quantize_static

    given = onnx.load_from_string(content)
    if not any(node.op_type == "Conv" for node in given.graph.node):
        raise ExportError(
            "This model has no convolution, so there is nothing to gain from 8 bits.", "Export it without --int8."
        )
    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, fused, small = (str(Path(folder) / f"{name}.onnx") for name in ("plain", "fused", "small"))
        Path(plain).write_bytes(content)
        quant_pre_process(plain, fused, skip_symbolic_shape=True)
        quantize_static(
            fused,
            small,
            _reader(sample),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_KINDS,
            nodes_to_exclude=_after_logits(onnx.load(fused)),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        made = onnx.load(small)
    return _finished(made, given)


def _reader(sample: Images) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = _batches(sample)

        def get_next(self) -> dict[str, Images] | None:
            return next(self._left, None)

    return Reader()


def _batches(sample: Images) -> Iterator[dict[str, Images]]:
    for start in range(0, len(sample), _BATCH):
        yield {"image": np.ascontiguousarray(sample[start : start + _BATCH])}


def _after_logits(model: onnx.ModelProto) -> list[str]:
    """Name the nodes between the logits and the probabilities, which compute in 64 bits."""
    wide: set[str] = set()
    names = []
    for node in model.graph.node:
        to_double = any(a.name == "to" and a.i == onnx.TensorProto.DOUBLE for a in node.attribute)
        if (node.op_type == "Cast" and to_double) or wide & set(node.input):
            wide |= set(node.output)
            names.append(node.name)
    return names


def _finished(made: onnx.ModelProto, given: onnx.ModelProto) -> bytes:
    """Keep the metadata and the operator set of the file that was quantised."""
    opsets = [opset for opset in made.opset_import if not opset.domain]
    del made.opset_import[:]
    made.opset_import.extend(opsets)
    helper.set_model_props(made, {**{p.key: p.value for p in given.metadata_props}, "precision": "int8"})
    onnx.checker.check_model(made)
    content: bytes = made.SerializeToString(deterministic=True)
    return content


class _quiet:  # noqa: N801 - a context manager, named as contextlib names its own
    """Hold back what the quantiser logs of its own steps."""

    def __enter__(self) -> None:
        self._before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._before)
