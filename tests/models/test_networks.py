"""Networks: shapes, heads against NumPy, golden outputs, and the file they are kept in."""

import numpy as np
import pytest

from penlight.errors import RunError
from penlight.models import load_keras
from penlight.models.backbones import build_network
from penlight.models.files import network_bytes, network_from_bytes
from penlight.models.heads import HEADS, make_loss
from penlight.recipes import Cnn, Loss
from penlight.tasks import Ordinal
from tests.conftest import LABELS, TASK_EXAMPLES

SMALL = Cnn(filters=(4, 8), dense=8)


def images(n=3, size=28, channels=3):
    return np.random.default_rng(0).integers(0, 256, (n, size, size, channels)).astype(np.float32)


def test_every_head_is_used_by_a_task():
    assert {t.head for t in TASK_EXAMPLES} == set(HEADS)


@pytest.mark.parametrize(("size", "channels"), [(28, 3), (28, 1), (64, 1)])
def test_a_network_gives_the_tasks_logits_for_any_size(task, size, channels):
    network = build_network(SMALL, task, (size, size, channels), seed=0)
    logits = network.predict_on_batch(images(size=size, channels=channels))
    assert logits.shape == (3, task.n_logits)
    if task.head == "cumulative":
        assert (np.diff(logits, axis=1) < 0).all()


def test_the_loss_is_the_cross_entropy_of_the_tasks_probabilities(task):
    """What training minimises and what evaluation reads are one model of the labels."""
    keras = load_keras()
    rng = np.random.default_rng(0)
    logits = -np.sort(-rng.normal(size=(20, task.n_logits)), axis=1)
    y = task.encode(
        np.eye(4, dtype=int)[rng.integers(0, 4, 20)] if not task.exclusive else rng.integers(0, len(task.labels), 20)
    )
    value = make_loss(task.head, Loss(), y)(*(a.astype("float32") for a in (y, logits)))
    loss = keras.ops.convert_to_numpy(value)
    prob = task.probabilities(logits)
    if task.head == "cumulative":
        above, truly = (np.cumsum(a[:, ::-1], axis=1)[:, ::-1][:, 1:] for a in (prob, y))
        expected = -(truly * np.log(above) + (1 - truly) * np.log(1 - above)).mean(axis=1)
    elif task.exclusive:
        expected = -np.log((prob * y).sum(axis=1))
    else:
        expected = -(y * np.log(prob) + (1 - y) * np.log(1 - prob)).mean(axis=1)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_weights_come_from_the_seed_alone():
    task = Ordinal(LABELS)
    one, same, other = (build_network(SMALL, task, (28, 28, 3), seed).get_weights() for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


def test_golden_output_of_a_network_with_known_weights():
    network = build_network(Cnn(filters=(2,), dense=3, dropout=0.0), Ordinal(LABELS), (28, 28, 1), seed=0)
    network.set_weights([np.full(w.shape, 0.01 * (i + 1)) for i, w in enumerate(network.get_weights())])
    white = network.predict_on_batch(np.full((1, 28, 28, 1), 255.0))
    # By hand: inside, conv 9 x 0.01 + 0.02 = 0.11; the first row and column of the pooled 14 x 14 maps hold it too,
    # because pooling takes the largest of the window. Dense: 392 x 0.11 x 0.03 + 0.04; steps: 3 x 0.05 x that + 0.06.
    dense = 392 * 0.11 * 0.03 + 0.04
    raw = 3 * dense * 0.05 + 0.06
    step = np.log1p(np.exp(raw))
    np.testing.assert_allclose(white[0], [raw, raw - step, raw - 2 * step], rtol=1e-4)


def test_the_studys_network_has_the_studys_parameters():
    network = build_network(Cnn(), Ordinal(tuple("01234"), head="softmax"), (28, 28, 3), seed=0)
    assert network.count_params() == (27 + 1) * 32 + (288 + 1) * 64 + (7 * 7 * 64 + 1) * 128 + 129 * 5


def test_a_network_survives_its_file_in_safe_mode(task):
    network = build_network(Cnn(filters=(4,), dense=4, normalise=True), task, (28, 28, 3), seed=0)
    again = network_from_bytes(network_bytes(network))
    np.testing.assert_allclose(again.predict_on_batch(images()), network.predict_on_batch(images()), atol=1e-6)


def test_a_damaged_file_is_a_named_error():
    with pytest.raises(RunError, match="cannot be read"):
        network_from_bytes(b"not a network")
