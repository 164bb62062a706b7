"""Training: it learns, it repeats itself, it goes on after a stop, and augmentation does what it says."""

import numpy as np
import pytest

from penlight.data import apply_view
from penlight.errors import MemoryShortError, TrainingError
from penlight.models import load_keras
from penlight.recipes import Augment, Cnn, Data, Linear, Recipe, Train
from penlight.training import Checkpoints, fit
from penlight.training.augment import augment, is_active
from penlight.training.batches import epoch_order, image_weights, rarest_label
from penlight.training.loop import Trainer, learning_rate, smoothed
from tests.conftest import TASK_EXAMPLES, small_dataset, task_id
from tests.stubs import stub_fit
from tests.survival.faults import no_memory

SMALL = Cnn(filters=(8,), dense=16, dropout=0.2)
EVERYTHING = Augment(
    rotation=10, zoom=0.1, shift=0.05, flip_horizontal=True, flip_vertical=True, brightness=0.1, contrast=0.1
)


ALWAYS = ("multi-class", "multi-label")
"""Networks of these learn in every test; README trains one of grades."""


def recipe(**train):
    return Recipe(data=Data(dataset="small"), model=SMALL, train=Train(**{"epochs": 3, "batch_size": 20, **train}))


def fitted(view, seed=0, checkpoints=None, progress=None, **train):
    return fit(recipe(**train), view, view.task, seed, checkpoints=checkpoints, progress=progress)


@pytest.mark.parametrize(
    "task",
    [pytest.param(task, marks=() if task.kind in ALWAYS else pytest.mark.full) for task in TASK_EXAMPLES],
    ids=task_id,
)
def test_a_network_of_every_task_learns(task):
    view = apply_view(small_dataset(task))
    model = fit(recipe(epochs=12, learning_rate=5e-3), view, task, seed=0)
    assert model.history[-1].loss < 0.8 * model.history[0].loss
    assert max(row.val_headline for row in model.history) > 0.8 if task.exclusive else 0.6
    assert model.logits(view.splits["test"]).shape == (32, task.n_logits)


@pytest.mark.full
def test_same_seed_same_bytes_other_seed_other_bytes(ordinal_view):
    options = {"augment": EVERYTHING, "balance": "copies", "schedule": "cosine", "warmup_epochs": 1}
    one, same, other = (
        fitted(ordinal_view, seed, **options).logits(ordinal_view.splits["test"]) for seed in (0, 0, 1)
    )
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize("stubbed", [True, pytest.param(False, marks=pytest.mark.full)])
def test_a_stopped_training_goes_on_to_the_same_bytes(ordinal_view, tmp_path, monkeypatch, stubbed):
    if stubbed:
        stub_fit(monkeypatch)
    options = {"augment": EVERYTHING, "epochs": 4, "schedule": "cosine"}
    undisturbed = fitted(ordinal_view, **options)

    class PulledPlugError(Exception):
        pass

    def pull(row, planned):
        if row.epoch == 2:
            raise PulledPlugError

    with pytest.raises(PulledPlugError):
        fitted(ordinal_view, checkpoints=Checkpoints(tmp_path / "c"), progress=pull, **options)
    seen = []

    def see(row, planned):
        seen.append(row.epoch)

    continued = fitted(ordinal_view, checkpoints=Checkpoints(tmp_path / "c"), progress=see, **options)
    assert seen == [1, 2, 3, 4]
    test = ordinal_view.splits["test"]
    assert continued.logits(test).tobytes() == undisturbed.logits(test).tobytes()
    assert [r.val_loss for r in continued.history] == [r.val_loss for r in undisturbed.history]


def test_the_kept_weights_are_those_of_the_best_epoch(ordinal_view, monkeypatch):
    stub_fit(monkeypatch)
    model = fitted(ordinal_view, epochs=6, learning_rate=3e-2)
    best = max(model.history, key=lambda row: (row.val_headline, -row.epoch))
    assert model.best_epoch == best.epoch
    prob = ordinal_view.task.probabilities(model.logits(ordinal_view.splits["val"]))
    from penlight.evaluation import headline_value

    assert headline_value(ordinal_view.task, ordinal_view.splits["val"].y_true, prob) == best.val_headline


def test_patience_ends_a_training_that_does_not_improve(ordinal_view, monkeypatch):
    stub_fit(monkeypatch)
    model = fitted(ordinal_view, epochs=50, patience=2)
    assert len(model.history) == model.best_epoch + 2 < 50


def test_keep_last_keeps_the_last(ordinal_view, monkeypatch):
    stub_fit(monkeypatch)
    assert fitted(ordinal_view, keep="last").best_epoch == 3


def test_a_loss_that_is_no_number_is_a_named_error(ordinal_view):
    with pytest.raises(TrainingError, match="Lower the learning rate"):
        fitted(ordinal_view, optimizer="sgd", learning_rate=1e30)


@pytest.mark.parametrize("of_backend", [False, True])
def test_no_memory_says_what_would_need_less(ordinal_view, monkeypatch, of_backend):
    # As a command, that goes on afterwards, it is in tests/survival/test_ends.py.
    stub_fit(monkeypatch)
    monkeypatch.setattr(Trainer, "epoch", Trainer.epoch)
    no_memory(2, of_backend=of_backend)
    said = "not enough memory to fit cnn to images of 28 px in batches of 20"
    with pytest.raises(MemoryShortError, match=said) as caught:
        fitted(ordinal_view)
    assert "--set train.batch_size=10" in caught.value.remedy


def test_a_baseline_has_no_epochs(ordinal_view):
    model = fit(Recipe(model=Linear(components=5)), ordinal_view, ordinal_view.task, seed=0)
    assert (model.network, model.history, model.best_epoch) == (None, [], None)
    prob = ordinal_view.task.probabilities(model.logits(ordinal_view.splits["test"]))
    np.testing.assert_allclose(prob.sum(axis=1), 1)


def y_of(*counts):
    return np.eye(len(counts), dtype=np.uint8)[np.repeat(np.arange(len(counts)), counts)]


def test_copies_bring_minorities_up_to_the_mean_or_the_largest_class():
    y = y_of(60, 20, 10)
    for target, wanted in (("mean", [60, 30, 30]), ("max", [60, 60, 60])):
        order, copies = epoch_order(y, Train(balance="copies", balance_target=target), seed=0, epoch=1)
        assert y[order].sum(axis=0).tolist() == wanted
        assert copies.sum() == sum(wanted) - 90
        assert sorted(order[~copies]) == list(range(90))


def test_sampling_draws_classes_equally_often():
    y = y_of(900, 90, 10)
    order, _ = epoch_order(y, Train(balance="sampling"), seed=0, epoch=1)
    assert (np.abs(y[order].mean(axis=0) - 1 / 3) < 0.06).all()


def test_weights_are_inverse_frequencies_of_mean_one_and_never_zero():
    y = np.array([[0, 0], [0, 0], [0, 0], [1, 0], [1, 0], [1, 1]], np.uint8)
    assert rarest_label(y).tolist() == [2, 2, 2, 0, 0, 1]
    weights = image_weights(y, "weights")
    np.testing.assert_allclose(weights / weights[0], [1, 1, 1, 1.5, 1.5, 3], rtol=1e-6)
    assert weights.mean() == pytest.approx(1)
    assert (image_weights(y, "none") == 1).all()


def test_an_epoch_depends_on_seed_and_number_alone():
    y = y_of(30, 10)
    first = epoch_order(y, Train(), seed=4, epoch=2)[0]
    assert (epoch_order(y, Train(), seed=4, epoch=2)[0] == first).all()
    assert (epoch_order(y, Train(), seed=4, epoch=3)[0] != first).any()
    assert sorted(first) == list(range(40))


def test_smoothing_moves_towards_the_uniform_answer():
    y = y_of(1, 1, 1, 1)
    np.testing.assert_allclose(smoothed(y, 0.2, exclusive=True)[0], [0.85, 0.05, 0.05, 0.05])
    np.testing.assert_allclose(smoothed(y, 0.2, exclusive=False)[0], [0.9, 0.1, 0.1, 0.1])


def test_the_learning_rate_rises_then_falls():
    rate = learning_rate(Train(epochs=10, warmup_epochs=2, schedule="cosine", learning_rate=0.1), steps_per_epoch=5)
    values = [float(rate(step)) for step in range(51)]
    assert values[0] == pytest.approx(0.01)
    assert max(values) == pytest.approx(0.1)
    assert np.argmax(values) in (9, 10)
    assert values[-1] == pytest.approx(0, abs=1e-6)
    flat = learning_rate(Train(learning_rate=0.1), steps_per_epoch=5)
    assert float(flat(0)) == float(flat(100)) == pytest.approx(0.1)


def changed(options, images, strength=1.0, seed=0):
    keras = load_keras()
    given = np.full(len(images), strength, np.float32)
    out = augment(keras.ops.convert_to_tensor(images), given, options, keras.random.SeedGenerator(seed))
    return keras.ops.convert_to_numpy(out)


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (16, 9, 9, 3)).astype(np.float32)


def test_flips_mirror_exactly_and_half_the_time(pictures):
    out = changed(Augment(flip_horizontal=True), pictures)
    kept = [np.allclose(o, p, atol=1e-3) for o, p in zip(out, pictures, strict=True)]
    mirrored = [np.allclose(o, p[:, ::-1], atol=1e-3) for o, p in zip(out, pictures, strict=True)]
    assert all(k != m for k, m in zip(kept, mirrored, strict=True))
    assert 3 <= sum(mirrored) <= 13


def test_strength_zero_changes_nothing(pictures):
    np.testing.assert_allclose(changed(EVERYTHING, pictures, strength=0.0), pictures, atol=1e-2)


def test_a_quarter_turn_turns_about_the_centre(pictures, monkeypatch):
    monkeypatch.setattr(
        "penlight.training.augment._uniform", lambda strength, half_width, seed: strength * half_width
    )
    out = changed(Augment(rotation=90), pictures)
    turned = np.rot90(pictures, 1, axes=(1, 2))
    np.testing.assert_allclose(out, turned, atol=0.1)


def test_light_stays_in_range_and_changes_images_differently(pictures):
    out = changed(Augment(brightness=0.5, contrast=0.5), pictures)
    assert out.min() >= 0
    assert out.max() <= 255
    assert len(np.unique(np.round((out - pictures).mean(axis=(1, 2, 3)), 3))) > 10


def test_is_active():
    assert is_active(EVERYTHING)
    assert not is_active(Augment(only_copies=True))


def test_only_copies_are_changed(ordinal_view, monkeypatch):
    stub_fit(monkeypatch)
    trainer = Trainer(
        recipe(balance="copies", augment=Augment(rotation=5, only_copies=True)), ordinal_view, ordinal_view.task, 0
    )
    blocks = []
    run = trainer.steps
    trainer.steps = lambda block: blocks.append(block) or run(block)
    y = trainer.images.y_true
    trainer.images.y_true[:] = y_of(30, 6, 6, 6)
    trainer.epoch()
    strength = np.concatenate([b.strength.ravel() for b in blocks])
    assert 0 < strength.sum() == sum(b.strength.size for b in blocks) - len(y)


@pytest.mark.tensorflow
def test_fused_normalisation_gives_the_numbers_of_keras_own():
    """The training step of a normalised network, fused and not: same loss, and the moving statistics after two halves
    that are alike are those after the whole."""
    keras = load_keras()
    import tensorflow as tf

    from penlight.models.backbones import build_network
    from penlight.tasks import MultiClass
    from penlight.training.engine import _fuse_normalisation

    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1)).astype(np.float32)
    outputs, statistics = [], []
    for fuse in (False, True):
        network = build_network(
            Cnn(filters=(4, 8), dense=4, normalise=True, dropout=0.0), MultiClass(("a", "b")), (28, 28, 1), 0
        )
        if fuse:
            _fuse_normalisation(network)
            network(images, training=True)
        with tf.GradientTape() as tape:
            logits = network(images, training=True)
            loss = tf.reduce_sum(logits**2)
        slopes = tape.gradient(loss, network.trainable_variables)
        outputs.append([keras.ops.convert_to_numpy(a) for a in (logits, *slopes)])
        statistics.append([keras.ops.convert_to_numpy(v) for v in network.non_trainable_variables])
    for plain, fused in zip(outputs[0] + statistics[0], outputs[1] + statistics[1], strict=True):
        np.testing.assert_allclose(fused, plain, rtol=2e-3, atol=2e-4)


def _weights_after(optimizer, fuse):
    """Five updates of two weights, a matrix and a vector, by slopes that stay the same."""
    keras = load_keras()
    import tensorflow as tf

    from penlight.training.engine import _fuse_adam

    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in ((7, 3), (5,))]
    slopes = [tf.constant(rng.normal(size=v.shape).astype(np.float32)) for v in variables]
    optimizer.build(variables)
    if fuse:
        _fuse_adam(optimizer)
    for _ in range(5):
        optimizer.apply(slopes, variables)
    held = [*variables, *optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in held if v.dtype == "float32"]


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_fused_adam_gives_the_numbers_of_keras_own(name):
    keras = load_keras()
    plain, fused = (
        _weights_after(getattr(keras.optimizers, name)(0.01, weight_decay=0.1), fuse) for fuse in (False, True)
    )
    for one, other in zip(plain, fused, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-7)


@pytest.mark.tensorflow
def test_other_optimizers_stay_as_they_are():
    keras = load_keras()
    plain, fused = (_weights_after(keras.optimizers.SGD(0.01, momentum=0.9), fuse) for fuse in (False, True))
    np.testing.assert_array_equal(
        np.concatenate([a.ravel() for a in plain]), np.concatenate([a.ravel() for a in fused])
    )


@pytest.mark.tensorflow
@pytest.mark.parametrize("rate", [0.2, 0.5, 0.73])
def test_short_dropout_keeps_the_share_and_the_mean(rate):
    keras = load_keras()
    from penlight.training.engine import _shorten_dropout

    inputs = keras.Input((9, 5, 3))
    network = keras.Model(inputs, keras.layers.Dropout(rate, seed=3)(inputs))
    _shorten_dropout(network)
    ones = np.ones((999, 9, 5, 3), np.float32)
    first, second = (np.asarray(network(ones, training=True)) for _ in range(2))
    n, kept = ones.size, (first > 0).sum()
    assert abs(kept - n * (1 - rate)) < 5 * np.sqrt(n * rate * (1 - rate))
    np.testing.assert_allclose(np.unique(first), [0, 1 / (1 - rate)], rtol=1e-4)
    assert (first != second).any()
    # No neighbour says anything of the next: two halves of one word least of all.
    alike = np.corrcoef((first.ravel()[:-1] > 0)[::2], (first.ravel()[1:] > 0)[::2])[0, 1]
    assert abs(alike) < 5 / np.sqrt(n / 2)
    np.testing.assert_array_equal(np.asarray(network(ones, training=False)), ones)


def test_a_step_in_halves_is_the_step_of_the_whole():
    """Without dropout and normalisation the halves add up to Keras' own update; a single image counts once."""
    keras = load_keras()
    from penlight.models.backbones import build_network
    from penlight.tasks import MultiClass
    from penlight.training.engine import Block, make_steps

    def softplus(targets, logits):
        return keras.ops.sum(targets * keras.ops.softplus(-logits), axis=-1)

    rng = np.random.default_rng(0)
    networks = [
        build_network(Cnn(filters=(4,), dense=4, dropout=0.0), MultiClass(tuple("abc")), (28, 28, 1), 0)
        for _ in range(2)
    ]
    run = make_steps(networks[0], keras.optimizers.SGD(0.1), softplus, lambda x, s: x)
    networks[1].compile(keras.optimizers.SGD(0.1), loss=softplus)
    begun = networks[0].get_weights()
    for n in (1, 2, 7):
        for network in networks:
            network.set_weights(begun)
        images = rng.integers(0, 256, (1, n, 28, 28, 1), dtype=np.uint8)
        y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, (1, n))]
        weight = rng.uniform(0.5, 2, (1, n)).astype(np.float32)
        loss, logits = run(Block(images, y, weight, np.ones_like(weight)))
        before = networks[1].predict_on_batch(images[0])
        networks[1].train_on_batch(images[0], y[0], sample_weight=weight[0])
        np.testing.assert_allclose(logits[0], before, rtol=1e-4, atol=1e-5)
        assert loss[0] == pytest.approx(float((weight * (y * np.logaddexp(0, -before)).sum(-1)).mean()), rel=1e-4)
        for one, other in zip(networks[0].weights, networks[1].weights, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_forward_answers_as_keras_does(n):
    from penlight.models.backbones import build_network
    from penlight.tasks import MultiClass
    from penlight.training.engine import make_forward

    network = build_network(
        Cnn(filters=(4, 8), dense=4, normalise=True), MultiClass(tuple("abc")), (28, 28, 1), seed=0
    )
    images = np.random.default_rng(0).integers(0, 256, (n, 28, 28, 1), dtype=np.uint8)
    np.testing.assert_allclose(make_forward(network)(images), network.predict_on_batch(images), rtol=1e-4, atol=1e-5)
