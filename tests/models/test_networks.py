"""Networks: shapes, heads against NumPy, golden outputs, and the file they are kept in."""

import numpy as np
import pytest

from penlight.errors import RecipeError, RunError
from penlight.models import load_keras
from penlight.models.backbones import build_network
from penlight.models.heads import HEADS, make_loss, positive_weights
from penlight.models.keras_files import network_bytes, network_from_bytes
from penlight.recipes import Cnn, Loss, Residual
from penlight.tasks import Ordinal
from tests.conftest import LABELS, TASK_EXAMPLES, few_pairs, logits_of_network

SMALL = Cnn(filters=(4, 8), dense=8)


def images(n=3, size=28, channels=3):
    return np.random.default_rng(0).integers(0, 256, (n, size, size, channels)).astype(np.float32)


def test_every_head_is_used_by_a_task():
    assert {t.head for t in TASK_EXAMPLES} == set(HEADS)


@pytest.mark.parametrize(("size", "channels"), [(28, 3), (28, 1), (64, 1)])
def test_a_network_gives_the_tasks_logits_for_any_size(task, size, channels):
    network = build_network(SMALL, task, (size, size, channels), seed=0)
    logits = logits_of_network(network, images(size=size, channels=channels))
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
    white = logits_of_network(network, np.full((1, 28, 28, 1), 255.0))
    # By hand: inside, conv 9 x 0.01 + 0.02 = 0.11; the first row and column of the pooled 14 x 14 maps hold it too,
    # because pooling takes the largest of the window. Dense: 392 x 0.11 x 0.03 + 0.04; steps: 3 x 0.05 x that + 0.06.
    dense = 392 * 0.11 * 0.03 + 0.04
    raw = 3 * dense * 0.05 + 0.06
    step = np.log1p(np.exp(raw))
    np.testing.assert_allclose(white[0], [raw, raw - step, raw - 2 * step], rtol=1e-4)


def test_more_blocks_than_can_halve_the_images_are_refused():
    task = Ordinal(LABELS)
    assert build_network(Cnn(filters=(2,) * 4, dense=0), task, (28, 28, 3), 0).output_shape == (None, 3)
    with pytest.raises(RecipeError, match=r"5 blocks.*28 pixels can be halved 4 times.*size="):
        build_network(Cnn(filters=(2,) * 5), task, (28, 28, 3), 0)


def test_the_studys_network_has_the_studys_parameters():
    network = build_network(Cnn(), Ordinal(tuple("01234"), head="softmax"), (28, 28, 3), seed=0)
    assert network.count_params() == (27 + 1) * 32 + (288 + 1) * 64 + (7 * 7 * 64 + 1) * 128 + 129 * 5


def test_a_network_survives_its_file_in_safe_mode(task):
    network = build_network(Cnn(filters=(4,), dense=4, normalise=True), task, (28, 28, 3), seed=0)
    again = network_from_bytes(network_bytes(network))
    np.testing.assert_allclose(logits_of_network(again, images()), logits_of_network(network, images()), atol=1e-6)


def test_a_damaged_file_is_a_named_error():
    with pytest.raises(RunError, match="cannot be read"):
        network_from_bytes(b"not a network")


def value_of(head, options, y, logits):
    y, logits = np.asarray(y, np.float32), np.asarray(logits, np.float32)
    return load_keras().ops.convert_to_numpy(make_loss(head, options, y.astype(np.uint8))(y, logits))


@pytest.mark.parametrize("head", ["sigmoids", "softmax"])
@pytest.mark.parametrize("kind", ["focal", "asymmetric"])
@pytest.mark.tensorflow
def test_the_slope_of_a_focused_loss_is_finite_at_saturated_logits(kind, head):
    if (kind, head) == ("asymmetric", "softmax"):
        pytest.skip("is of findings")
    import tensorflow as tf

    logits = tf.Variable([[60.0, -60.0], [-60.0, 60.0]])
    with tf.GradientTape() as tape:
        y = np.array([[1, 0], [1, 0]])
        loss = make_loss(head, Loss(kind=kind, gamma=0.5), y.astype(np.uint8))(y.astype(np.float32), logits)
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_focal_loss_by_hand():
    p = np.array([0.9, 0.2])
    logits = np.log(p / (1 - p))[None]
    terms = [-((1 - 0.9) ** 2) * np.log(0.9), -(0.2**2) * np.log(0.8)]
    np.testing.assert_allclose(value_of("sigmoids", Loss(kind="focal"), [[1, 0]], logits), np.mean(terms), rtol=1e-5)
    of_softmax = value_of("softmax", Loss(kind="focal", gamma=1.0), [[1, 0]], [[np.log(0.7), np.log(0.3)]])
    np.testing.assert_allclose(of_softmax, -0.3 * np.log(0.7), rtol=1e-5)


def test_asymmetric_loss_by_hand():
    p = np.array([0.9, 0.2, 0.04])
    logits = np.log(p / (1 - p))[None]
    terms = [-np.log(0.9), -(0.15**2) * np.log(1 - 0.15), 0.0]
    loss = value_of("sigmoids", Loss(kind="asymmetric", gamma=2.0, margin=0.05), [[1, 0, 0]], logits)
    np.testing.assert_allclose(loss, np.mean(terms), atol=1e-6)


def test_a_loss_the_head_does_not_have_is_refused():
    with pytest.raises(RecipeError, match="asymmetric"):
        make_loss("softmax", Loss(kind="asymmetric"), np.eye(2, dtype=np.uint8))


def test_positive_weights_leave_images_without_findings_their_weight():
    """What the study got wrong: summed inverse frequencies gave an image without findings weight zero."""
    y = np.zeros((100, 3), np.uint8)
    y[:20, 0] = 1
    y[:1, 1] = 1
    np.testing.assert_allclose(positive_weights(y, "balanced", exclusive=False), [4, 99, 1])
    np.testing.assert_allclose(positive_weights(y, "sqrt", exclusive=False), [2, 99**0.5, 1], rtol=1e-6)
    options = Loss(positive_weight="balanced")
    loss = make_loss("sigmoids", options, y)
    logits = np.zeros((1, 3), np.float32)
    without = load_keras().ops.convert_to_numpy(loss(np.zeros((1, 3), np.float32), logits))
    np.testing.assert_allclose(without, np.log(2), rtol=1e-6)


def test_balanced_weights_of_classes_make_them_weigh_alike():
    y = np.eye(2, dtype=np.uint8)[[0] * 30 + [1] * 10]
    weights = positive_weights(y, "balanced", exclusive=True)
    np.testing.assert_allclose(weights * y.sum(axis=0), [20, 20])


@pytest.mark.parametrize(
    ("task", "options"),
    few_pairs(TASK_EXAMPLES, [Residual(widths=(4, 8)), Residual(widths=(4,), blocks=2, dropout=0.0)]),
)
def test_residual_networks_give_logits_and_survive_their_file(task, options):
    network = build_network(options, task, (28, 28, 3), seed=0)
    logits = logits_of_network(network, images())
    assert logits.shape == (3, task.n_logits)
    again = network_from_bytes(network_bytes(network))
    np.testing.assert_allclose(logits_of_network(again, images()), logits, atol=1e-6)


def test_bfloat16_products_leave_weights_and_logits_float32():
    network = build_network(SMALL, Ordinal(LABELS), (28, 28, 3), 0, precision="bfloat16")
    assert {w.dtype for w in network.weights} == {"float32"}
    assert logits_of_network(network, images()).dtype == np.float32
    assert load_keras().config.dtype_policy().name == "float32"
