"""The Keras file that answers: uint8 images in, logits and calibrated probabilities out."""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from penlight.evaluation import Calibration
from penlight.exporters.answers import answers
from penlight.exporters.parity import Answering, Floats, Images
from penlight.models import load_keras
from penlight.models.keras_files import network_from_bytes
from penlight.parsing import parse_json_object
from penlight.runs import ModelFacts

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
