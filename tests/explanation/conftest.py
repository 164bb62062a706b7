"""Two small networks trained once on drawn lesions, and the images and masks they are asked about."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from penlight.data import Dataset, DatasetInfo, Split, apply_view
from penlight.evaluation import Calibration
from penlight.explanation import Subject
from penlight.explanation.of_run import untrained
from penlight.exporters.onnx_file import onnx_file
from penlight.models.backbones import build_network
from penlight.phantoms import FINDINGS, draw_chest, draw_retina
from penlight.recipes import Cnn, Data, Recipe, Train
from penlight.runs import ModelFacts, Predictor
from penlight.tasks import Binary, MultiLabel, Task
from penlight.training import fit

AVERAGED = Cnn(filters=(8, 12), pooling="average", dense=0, dropout=0.0)
FLAT = Cnn(filters=(8, 12), dense=16, dropout=0.0)


def served(network: Any, task: Task) -> Subject:
    """A network that answers by its ONNX file, as one in use does."""
    size, _, channels = network.input_shape[1:]
    facts = ModelFacts(task, size, channels, "drawn", "native", "none", None, "cnn", "", 0, "")
    return Subject(task, Predictor(onnx_file(network, facts, Calibration()), "model.onnx").logits, network)


@functools.cache
def new_subject(task: Task, options: Any = AVERAGED, shape=(28, 28, 3)) -> Subject:
    network = build_network(options, task, shape, seed=0)
    return Subject(task, lambda images: np.asarray(network(images.astype(np.float32))), network)


def noise(n=3, size=28, channels=3, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, channels), dtype=np.uint8)


@dataclass(frozen=True)
class Lesions:
    """A trained network, and images (N, ...) that have the label of `columns` (N,), where `masks` (N, H, W) say."""

    subject: Subject
    images: np.ndarray
    columns: np.ndarray
    masks: np.ndarray

    def random(self, seed=0) -> Subject:
        """The same network with random weights."""
        return served(untrained(self.subject.network, seed), self.subject.task)


def _trained(task, model, draw, n_test, **train) -> Lesions:
    splits, masks = {}, {}
    for seed, (name, n) in enumerate({"train": 300, "val": 60, "test": n_test}.items(), start=1):
        images, labels, masks[name] = draw(n, seed)
        splits[name] = Split(images, labels)
    info = DatasetInfo("drawn", "Drawn", task, images.shape[-1], None, "none", "drawn in the tests")
    view = apply_view(Dataset(info, 28, splits, "0" * 32))
    recipe = Recipe(data=Data(dataset="drawn"), model=model, train=Train(batch_size=16, **train))
    network = fit(recipe, view, task, seed=0).network
    y = view.splits["test"].y_true
    rows, columns = np.nonzero(y * masks["test"].any(axis=(2, 3)))
    return Lesions(
        served(network, task),
        splits["test"].images[rows],
        columns,
        masks["test"][rows, columns],
    )


@pytest.fixture(scope="session")
def retina() -> Lesions:
    """Fundus photographs of none and of severe retinopathy; the maps are averaged, so that every method fits."""

    def draw(n, seed):
        y = np.random.default_rng(seed).integers(0, 2, n)
        images, masks = draw_retina(np.array([0, 3])[y], 28, seed)
        ill = masks > 0
        return images, y[:, None], np.stack([np.zeros_like(ill), ill], axis=1)

    model = Cnn(filters=(16, 32), pooling="average", dense=0, dropout=0.0)
    return _trained(Binary(("healthy", "severe")), model, draw, 120, epochs=24, learning_rate=0.003, keep="last")


@pytest.fixture(scope="session")
def chest() -> Lesions:
    """Films with a mass, a pneumothorax, both or neither; a dense layer reads each place by its own weights."""
    names = ("mass", "pneumothorax")

    def draw(n, seed):
        y = (np.random.default_rng(seed).random((n, 2)) < 0.4).astype(np.uint8)
        places = [FINDINGS.index(name) for name in names]
        findings = np.zeros((n, len(FINDINGS)), np.uint8)
        findings[:, places] = y
        images, masks = draw_chest(findings, 28, seed)
        return images, y, np.stack([(masks >> place) & 1 > 0 for place in places], axis=1)

    model = Cnn(filters=(16, 32), dense=32, dropout=0.0)
    return _trained(MultiLabel(names), model, draw, 80, epochs=12, learning_rate=0.003, keep="last")
