"""The Keras file that answers: uint8 images in, logits and calibrated probabilities out."""

import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from penlight.evaluation import Calibration
from penlight.exporters.answers import answers
from penlight.exporters.parity import Answering, Floats, Images
from penlight.models import load_keras
from penlight.models.heads import find_head
from penlight.models.keras_files import network_from_bytes
from penlight.parsing import parse_json_object
from penlight.runs import ModelFacts
from penlight.tasks import Task

FACTS = "penlight.json"
"""What the file says of its model, beside Keras' own parts of the archive."""

# Keras writes when it saved; a fixed day gives the same bytes for the same model.
_DAY = (1980, 1, 1, 0, 0, 0)
_SAVED = "2000-01-01@00:00:00"


def keras_file(network: Any, facts: ModelFacts, calibration: Calibration) -> bytes:
    """Write a network as a .keras file from images (N, H, W, C) uint8 to `logits` (N, K) and `probabilities` (N, C).

    Probabilities are calibrated, and computed in 64 bits (JAX has 32); the facts are `penlight.json` in the archive.
    """
    keras = load_keras()
    image = keras.Input((facts.size, facts.size, facts.channels), dtype="uint8", name="image")
    logits = network(keras.ops.cast(image, "float32"))
    wide = logits if keras.backend.backend() == "jax" else keras.ops.cast(logits, "float64")
    prob = keras.ops.cast(answers(keras.ops, facts.task, calibration, wide), "float32")
    whole_network = keras.Model(image, {"logits": logits, "probabilities": prob}, name="penlight")
    with tempfile.TemporaryDirectory() as folder:
        saved, whole = Path(folder) / "saved.keras", Path(folder) / "whole.keras"
        whole_network.save(saved)
        with zipfile.ZipFile(saved) as old, zipfile.ZipFile(whole, "w") as new:
            for part in old.namelist():
                new.writestr(zipfile.ZipInfo(part, _DAY), _without_date(part, old.read(part)))
            new.writestr(zipfile.ZipInfo(FACTS, _DAY), json.dumps(facts.to_properties(), ensure_ascii=False))
        return whole.read_bytes()


def compiled_network(network: Any, task: Task, calibration: Calibration, *, probabilities: bool) -> Any:
    """Compile a run's network for Keras' own `fit`, `evaluate` and `predict`, with labels as `pl.load` gives them.

    It takes images float32 (N, H, W, C) of 0 to 255 and gives logits (N, K), or calibrated `probabilities` (N, C).
    """
    keras = load_keras()
    losses, exclusive, one_softmax = keras.losses, task.exclusive, find_head(task.head).exclusive
    if probabilities:
        image = keras.Input(network.input_shape[1:], name="image")
        prob = answers(keras.ops, task, calibration, network(image))
        network = keras.Model(image, prob, name="penlight")
        loss = losses.SparseCategoricalCrossentropy() if exclusive else losses.BinaryCrossentropy()
    elif one_softmax:
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    elif task.n_logits == 1 or not exclusive:
        loss = losses.BinaryCrossentropy(from_logits=True)
    else:
        loss = _of_targets(task)
    # The class of the largest logit is the answer of one head alone.
    counted = ["accuracy"] if exclusive and (probabilities or one_softmax) else []
    network.compile(optimizer="adam", loss=loss, metrics=counted)
    return network


def _of_targets(task: Task) -> Callable[[Any, Any], Any]:
    """Cross-entropy of logits (N, K) that learn what their head makes of a class (N,): of grades, each step."""
    keras, head = load_keras(), find_head(task.head)

    def loss(y: Any, logits: Any) -> Any:
        classes = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(y, (-1,)), "int32"), len(task.labels))
        return keras.losses.binary_crossentropy(head.targets(classes), logits, from_logits=True)

    return loss


def _without_date(part: str, content: bytes) -> bytes:
    if part != "metadata.json":
        return content
    return json.dumps({**parse_json_object(content, part), "date_saved": _SAVED}).encode()


def answering_keras(content: bytes) -> Answering:
    """Ask the bytes of `keras_file`, read in safe mode."""
    network = network_from_bytes(content)

    def answer(images: Images) -> tuple[Floats, Floats]:
        said = network.predict_on_batch(images)
        return np.asarray(said["logits"], np.float64), np.asarray(said["probabilities"], np.float64)

    return answer
