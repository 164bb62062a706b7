"""The contract of the ONNX file: it answers as the model does, says what it is, and is the same each time."""

import functools
import json

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from penlight.errors import ExportError, RunError
from penlight.evaluation import find_calibration
from penlight.evaluation.calibration import UNCALIBRATED
from penlight.exporters.answers import answers
from penlight.exporters.onnx_file import onnx_file
from penlight.models import load_keras
from penlight.models.backbones import build_network
from penlight.models.backend import chosen_backend
from penlight.models.pretrained import APPLICATIONS
from penlight.recipes import Cnn, Pretrained, Residual
from penlight.runs import Predictor
from penlight.tasks import MultiClass
from tests.conftest import LABELS, TASK_EXAMPLES, examples, few_pairs, logits_of_network, task_id
from tests.exporters.conftest import CNN, MODELS, alive, facts, fitted, pixels, pretrained, unsureness


def by(predictor, images, batch):
    parts = [predictor.answer(images[start : start + batch]) for start in range(0, len(images), batch)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def truth_for(task, n):
    rng = np.random.default_rng(0)
    return task.encode(rng.integers(0, len(task.labels), n) if task.exclusive else rng.integers(0, 2, (n, 4)))


@pytest.mark.parametrize(
    ("task", "model_name"),
    few_pairs(TASK_EXAMPLES, sorted(MODELS)),
    ids=lambda value: value if isinstance(value, str) else task_id(value),
)
def test_the_file_answers_as_the_model_does(task, model_name):
    model, logits_of_model, unsure = fitted(model_name, task)
    images = pixels(16)
    logits = np.asarray(logits_of_model(images), np.float64)
    calibration = find_calibration(task, truth_for(task, 16), task.probabilities(logits))
    expected = calibration.apply(task, task.probabilities(logits))
    predictor = Predictor(onnx_file(model, facts(task), calibration), "file")
    assert model_name == "majority" or np.ptp(expected, axis=0).max() > 1e-3
    for batch in (1, 7):
        got, prob = by(predictor, images, batch)
        np.testing.assert_allclose(got, logits, atol=2e-5 + 2 * unsure)
        np.testing.assert_allclose(prob, expected, atol=1e-5 + unsure)


@pytest.mark.parametrize(
    ("task", "kind"),
    few_pairs(TASK_EXAMPLES, ["temperature", "none", "isotonic"]),
    ids=lambda value: value if isinstance(value, str) else task_id(value),
)
def test_calibration_in_the_file_is_that_of_numpy(task, kind):
    network = alive(build_network(CNN, task, (28, 28, 3), seed=0), pixels(64))
    images = pixels(60)
    prob = task.probabilities(logits_of_network(network, images))
    calibration = find_calibration(task, truth_for(task, 60), prob, kind)
    logits, calibrated = Predictor(onnx_file(network, facts(task), calibration), "file").answer(images)
    np.testing.assert_allclose(calibrated, calibration.apply(task, task.probabilities(logits)), atol=1e-6)


@functools.cache
def in_keras(function, task, width, dtype):
    """Make a function of a task's graph a Keras function of (N, width)."""
    keras = load_keras()
    given = keras.Input((width,), dtype=dtype)
    return keras.Model(given, function(keras.ops, task, given)).predict_on_batch


def plain(ops, task, logits):
    return answers(ops, task, UNCALIBRATED, logits)


def back(ops, task, prob):
    return task.link.logits_in_graph(ops, prob, len(task.labels))


# Keras on JAX computes in 32 bits.
PRECISIONS = ["float32", "float64"] if chosen_backend() == "tensorflow" else ["float32"]


@settings(max_examples=examples(30), deadline=None)
@given(st.sampled_from(TASK_EXAMPLES), st.data(), st.sampled_from(PRECISIONS))
def test_answers_are_the_tasks_own_in_either_precision(task, data, dtype):
    values = st.floats(-30, 30, width=32)
    drawn = data.draw(st.lists(values, min_size=2 * task.n_logits, max_size=2 * task.n_logits))
    logits = np.array(drawn, dtype).reshape(2, task.n_logits)
    got = in_keras(plain, task, task.n_logits, dtype)(logits)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, task.probabilities(logits), atol=1e-6 if dtype == "float32" else 1e-12)


@pytest.mark.tensorflow  # in 64 bits
@settings(max_examples=examples(30), deadline=None)
@given(st.sampled_from(TASK_EXAMPLES), st.lists(st.floats(-40, 40), min_size=8, max_size=8))
def test_logits_of_probabilities_are_the_tasks_own(task, values):
    scores = np.array(values).reshape(2, 4)[:, : len(task.labels)]
    prob = np.exp(log_softmax(scores, axis=1)) if task.exclusive else 1 / (1 + np.exp(-scores))
    got = in_keras(back, task, len(task.labels), "float64")(prob)
    # Near 1 a sum in another order moves log-odds; near 0 it does not.
    np.testing.assert_allclose(task.probabilities(got), task.probabilities(task.logits(prob)), atol=1e-10)


@pytest.mark.parametrize(
    ("options", "shape"),
    few_pairs(
        [
            Cnn(filters=(4, 6), convolutions=2, block_dropout=(0.1,), dense=4),
            Residual(widths=(4, 6), blocks=2, exposure="per-image"),
        ],
        [(33, 3), (28, 1)],
    ),
)
def test_any_size_and_channels(options, shape):
    (size, channels), task = shape, MultiClass(LABELS)
    images = pixels(7, size, channels)
    network = alive(build_network(options, task, (size, size, channels), seed=0), images)
    predictor = Predictor(onnx_file(network, facts(task, size=size, channels=channels), UNCALIBRATED), "file")
    np.testing.assert_allclose(predictor.logits(images), logits_of_network(network, images), atol=2e-5)


def check_pretrained(backbone, size, channels, side):
    task = MultiClass(LABELS)
    options = Pretrained(backbone=backbone, weights="random", input_size=side, dense=8)
    images = pixels(9, size, channels)
    network = alive(pretrained(options, task, size, channels), images)
    expected = task.probabilities(logits_of_network(network, images))
    predictor = Predictor(onnx_file(network, facts(task, size=size, channels=channels), UNCALIBRATED), "file")
    assert np.ptp(expected, axis=0).max() > 1e-2
    np.testing.assert_allclose(predictor.probabilities(images), expected, atol=1e-5 + unsureness(network, images))


@pytest.mark.full
def test_a_pretrained_network_in_a_grey_image_of_its_own_size():
    check_pretrained("mobilenetv2", 28, 1, 32)


@pytest.mark.full
@pytest.mark.parametrize("backbone", sorted(APPLICATIONS))
@pytest.mark.parametrize(("size", "channels", "side"), [(28, 1, 75), (64, 3, 32)])
def test_every_pretrained_network(backbone, size, channels, side):
    check_pretrained(backbone, size, channels, side)


@pytest.mark.real
@pytest.mark.full
def test_a_network_with_imagenet_weights(real_data, monkeypatch):
    monkeypatch.setenv("PENLIGHT_DATA", str(real_data))
    task = MultiClass(LABELS)
    images = np.load(real_data / "retinamnist.npz")["test_images"][:8]
    options = Pretrained(backbone="mobilenet", weights="mobilenet_2_5_224_tf_no_top.h5", width=0.25)
    network = pretrained(options, task, 28, 3)
    expected = task.probabilities(logits_of_network(network, images))
    assert np.ptp(expected, axis=0).max() > 1e-2
    for batch in (1, 7):
        prob = by(Predictor(onnx_file(network, facts(task), UNCALIBRATED), "file"), images, batch)[1]
        np.testing.assert_allclose(prob, expected, atol=1e-5)


def test_the_file_says_what_it_is_of(task):
    cuts = (0.25,) * len(task.labels) if task.uses_thresholds else None
    said = facts(task, thresholds=cuts)
    content = onnx_file(fitted("majority", task)[0], said, UNCALIBRATED)
    predictor = Predictor(content, "file")
    assert predictor.facts == said
    assert (predictor.task, predictor.labels, predictor.size, predictor.channels) == (task, task.labels, 28, 3)
    properties = {p.key: p.value for p in onnx.load_from_string(content).metadata_props}
    assert json.loads(properties["labels"]) == list(task.labels)
    assert json.loads(properties["thresholds"]) == (None if cuts is None else list(cuts))
    assert properties["notice"] == "Not for clinical use."
    assert {"task", "view", "licence", "dataset", "size", "recipe_hash", "penlight_version"} <= set(properties)
    assert all(properties.values())


def test_the_same_weights_are_the_same_bytes_whatever_was_built_before():
    task = MultiClass(LABELS)
    one, same = (onnx_file(build_network(CNN, task, (28, 28, 3), 0), facts(task), UNCALIBRATED) for _ in range(2))
    assert one == same


def test_a_layer_without_a_form_is_named():
    keras = load_keras()
    image = keras.Input((28, 28, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.UpSampling2D(name="haze")(image))
    with pytest.raises(ExportError, match=r"haze \(UpSampling2D\).*layers\.py"):
        onnx_file(keras.Model(image, x), facts(MultiClass(("a", "b", "c"))), UNCALIBRATED)
    x = keras.layers.Conv2D(4, 3, activation="mish", name="odd")(image)
    network = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    with pytest.raises(ExportError, match=r"odd .*mish"):
        onnx_file(network, facts(MultiClass(LABELS)), UNCALIBRATED)


def test_a_damaged_or_foreign_file_is_refused():
    content = onnx_file(fitted("majority", MultiClass(LABELS))[0], facts(MultiClass(LABELS)), UNCALIBRATED)
    with pytest.raises(RunError, match=r"mine\.onnx cannot be read"):
        Predictor(content[: len(content) // 2], "mine.onnx")
    foreign = onnx.load_from_string(content)
    del foreign.metadata_props[:]
    with pytest.raises(RunError, match="not written by this version"):
        Predictor(foreign.SerializeToString(), "theirs.onnx")
    named = onnx.load_from_string(content)
    next(p for p in named.metadata_props if p.key == "task").value = "{"
    with pytest.raises(RunError, match="not valid JSON"):
        Predictor(named.SerializeToString(), "mine.onnx")
