"""The LiteRT file (formerly TensorFlow Lite) for phones and small boards, by TensorFlow's own converter."""

import contextlib
import io
import json
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from penlight.errors import ExportError
from penlight.evaluation import Calibration
from penlight.exporters.keras_file import FACTS, answering_network
from penlight.exporters.parity import Answering, Floats, Images
from penlight.models import load_keras
from penlight.models.backend import quiet_stderr
from penlight.runs import ModelFacts


def litert_file(network: Any, facts: ModelFacts, calibration: Calibration, sample: Images | None) -> bytes:
    """Write a network as .tflite: `image` (N, H, W, C) uint8 to `logits` and calibrated `probabilities`.

    With `sample`, images (n, H, W, C) of train, it is quantised to 8 bits. The facts are its metadata, as
    `penlight.json`. ExportError where Keras runs on another backend than TensorFlow.
    """
    if load_keras().backend.backend() != "tensorflow":
        raise ExportError(
            "LiteRT files are made by TensorFlow's converter, and Keras runs on another backend.",
            "Repeat the command with KERAS_BACKEND=tensorflow.",
        )
    import tensorflow as tf

    whole = answering_network(network, facts, calibration, exact=False)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        whole.export(folder, format="tf_saved_model", verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if sample is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([image[None]] for image in sample)
        content: bytes = converter.convert()
        return _with_facts(content, facts)


def _with_facts(content: bytes, facts: ModelFacts) -> bytes:
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    held, entry = schema.BufferT(), schema.MetadataT()
    held.data = np.frombuffer(json.dumps(facts.to_properties(), ensure_ascii=False).encode(), np.uint8)
    entry.name, entry.buffer = FACTS, len(model.buffers)
    model.buffers.append(held)
    model.metadata = [*(model.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def answering_litert(content: bytes) -> Answering:
    """Ask the bytes of `litert_file`."""
    with _quiet():
        interpreter = _interpreter(content)
        runner = interpreter.get_signature_runner()
        # The first answer prepares the kernels, and says so.
        runner(image=np.zeros(interpreter.get_input_details()[0]["shape"], np.uint8))

    def answer(images: Images) -> tuple[Floats, Floats]:
        said = runner(image=np.ascontiguousarray(images))
        return np.asarray(said["logits"], np.float64), np.asarray(said["probabilities"], np.float64)

    return answer


def _interpreter(content: bytes) -> Any:
    """Take LiteRT's own package where it is installed, else what TensorFlow still brings."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        return tf.lite.Interpreter(model_content=content)
    return Interpreter(model_content=content)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what TensorFlow prints and warns of its own steps."""
    with warnings.catch_warnings(), quiet_stderr(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
