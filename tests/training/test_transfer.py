"""Pre-trained networks: their own scaling, two phases, and errors that say which file to put where."""

import numpy as np
import pytest
from pydantic import ValidationError

from penlight.data import apply_view
from penlight.errors import DataError, DownloadError, RecipeError
from penlight.models import load_keras
from penlight.models.keras_files import network_bytes, network_from_bytes
from penlight.models.pretrained import APPLICATIONS, frozen_base, joined, new_head, scale_of, stages_of, thaw
from penlight.recipes import Augment, Data, FineTune, Pretrained, Recipe, Train, load_recipe
from penlight.tasks import MultiClass
from penlight.training import Checkpoints, fit, transfer
from penlight.training.loop import Trainer
from penlight.training.transfer import slow_down
from tests.conftest import logits_of_network, small_dataset
from tests.stubs import stub_fit

TASK = MultiClass(("a", "b", "c", "d"))
TINY = Pretrained(backbone="mobilenet", weights="random", width=0.25, input_size=32, dense=8, dropout=0.0)
TUNED = TINY.model_copy(update={"fine_tune": FineTune(layers=6, epochs=2, learning_rate=1e-4)})


@pytest.fixture
def view(monkeypatch):
    monkeypatch.setattr(transfer, "_FEATURES", {})
    load_keras().utils.set_random_seed(0)
    return apply_view(small_dataset(TASK))


def recipe(model, **train):
    return Recipe(data=Data(dataset="small"), model=model, train=Train(**{"epochs": 3, "batch_size": 16, **train}))


def weights_of(network):
    return [np.array(w) for w in network.get_weights()]


@pytest.mark.parametrize(
    ("backbone", "channels"),
    [
        pytest.param("mobilenet", 1, marks=pytest.mark.full),
        pytest.param("mobilenetv2", 3, marks=pytest.mark.full),
        pytest.param("mobilenet", 3, marks=pytest.mark.full),
        pytest.param("mobilenetv2", 1, marks=pytest.mark.full),
    ],
)
def test_base_and_head_give_logits_and_survive_their_file(backbone, channels):
    options = TINY.model_copy(update={"backbone": backbone})
    base = frozen_base(options, (28, 28, channels))
    network = joined(base, new_head(options, TASK, base.output_shape[-1], seed=0), backbone)
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, channels)).astype(np.float32)
    logits = logits_of_network(network, images)
    assert logits.shape == (2, 4)
    again = network_from_bytes(network_bytes(network))
    np.testing.assert_allclose(logits_of_network(again, images), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(APPLICATIONS))
def test_scaling_is_that_of_keras_applications(name):
    keras = load_keras()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3)).astype(np.float32)
    modules = {"mobilenetv2": "mobilenet_v2", "densenet121": "densenet", "efficientnetv2b0": "efficientnet_v2"}
    theirs = getattr(keras.applications, modules.get(name, name)).preprocess_input(pixels.copy())
    ours = keras.ops.convert_to_numpy(scale_of(APPLICATIONS[name].name)(pixels))
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("trained", [False, pytest.param(True, marks=pytest.mark.full)], ids=["stub", "trained"])
@pytest.mark.full
def test_the_first_phase_leaves_the_base_alone_and_trains_the_head(view, monkeypatch, trained):
    if not trained:
        stub_fit(monkeypatch)
    model = fit(recipe(TINY, epochs=8, learning_rate=1e-2), view, TASK, seed=0)
    assert model.history[-1].loss < model.history[0].loss
    assert [row.epoch for row in model.history] == list(range(1, 9))
    assert model.logits(view.splits["test"]).shape == (32, 4)


@pytest.mark.parametrize("trained", [False, pytest.param(True, marks=pytest.mark.full)], ids=["stub", "trained"])
def test_the_second_phase_begins_with_the_weights_of_the_first(view, monkeypatch, trained):
    """What the study lost: its fine-tuning began with a clone that had dropped its weights."""
    if not trained:
        stub_fit(monkeypatch)
    seen = {}
    run_epochs = transfer.run_epochs

    def watched(trainer, *args):
        if trainer.network.name == "mobilenet":
            seen["logits"] = transfer.predict_logits(trainer.network, view.splits["val"])
            seen["start"] = trainer.start
            seen["statistics"] = statistics(trainer.network)
        trained = run_epochs(trainer, *args)
        if trainer.network.name == "head":
            seen["after first"] = trained.history[trained.best_epoch - 1].val_headline
        return trained

    monkeypatch.setattr(transfer, "run_epochs", watched)
    model = fit(recipe(TUNED), view, TASK, seed=0)
    assert seen["start"] == pytest.approx(seen["after first"], abs=1e-9)
    assert [row.epoch for row in model.history] == [1, 2, 3, 4, 5]
    best = max([seen["start"], *(row.val_headline for row in model.history[3:])])
    kept = TASK.probabilities(model.logits(view.splits["val"]))
    from penlight.evaluation import headline_value

    assert headline_value(TASK, view.splits["val"].y_true, kept) == pytest.approx(best, abs=1e-9)
    for before, after in zip(seen["statistics"], statistics(model.network), strict=True):
        np.testing.assert_array_equal(before, after)


def statistics(network):
    keras = load_keras()
    body = next(layer for layer in network.get_layer("base").layers if isinstance(layer, keras.Model))
    return [
        keras.ops.convert_to_numpy(v)
        for layer in body.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        for v in (layer.moving_mean, layer.moving_variance)
    ]


def test_thawing_opens_the_last_layers_but_no_normalisation():
    keras = load_keras()
    base = frozen_base(TINY, (28, 28, 3))
    assert base.trainable_variables == []
    thaw(base, stages_of(base, 6))
    body = next(layer for layer in base.layers if isinstance(layer, keras.Model))
    opened = [layer for layer in body.layers if layer.trainable and layer.weights]
    assert opened
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in opened)
    assert all(body.layers.index(layer) >= len(body.layers) - 6 for layer in opened)


def test_stages_are_layers_of_one_map_size_from_the_head_down():
    base = frozen_base(TINY.model_copy(update={"input_size": 64}), (28, 28, 3))
    stages = stages_of(base, "all")
    sides = [{layer.output.shape[1] for layer in stage} for stage in stages]
    assert sides == [{2}, {4}, {8}, {16}, {32}]
    weights = [layer.name for stage in stages for layer in stage]
    assert len(weights) == len(set(weights))
    assert weights[-2:] == ["conv1_bn", "conv1"]
    assert [layer.name for layer in stages_of(base, 6)[0]] == ["conv_pw_13_bn", "conv_pw_13", "conv_dw_13_bn"]


def test_each_stage_learns_at_its_share_of_the_rate_and_the_head_at_all_of_it(view):
    """A first step of Adam moves every weight that has a gradient by the rate."""
    layers = load_keras().layers
    below, above = layers.Conv2D(4, 3, strides=2), layers.Conv2D(4, 3, strides=2)
    network = load_keras().Sequential([layers.Input((28, 28, 3)), below, above, layers.Flatten(), layers.Dense(4)])
    trainer = Trainer(recipe(TINY, batch_size=48, learning_rate=1e-3), view, TASK, 0, network)
    slow_down(trainer, [[above], [below]], 0.5)
    before = weights_of(network)
    trainer.epoch()
    moved = [np.abs(new - old).max() for new, old in zip(weights_of(network), before, strict=True)]
    assert moved[::2] == pytest.approx([0.5e-3, 1e-3, 1e-3], rel=0.02)


@pytest.mark.parametrize(
    ("layers", "epochs", "shares"),
    [
        (20, 3, [1, 2]),
        pytest.param("all", 12, [2, 2, 2, 2, 4], marks=pytest.mark.full),
        # Fewer epochs than stages: those nearest to the head are opened together.
        pytest.param("all", 2, [1, 1], marks=pytest.mark.full),
    ],
)
def test_stages_are_opened_one_after_the_other_and_the_epochs_are_divided(view, monkeypatch, layers, epochs, shares):
    stub_fit(monkeypatch)
    opened = []
    run_epochs = transfer.run_epochs

    def watched(trainer, *args):
        if trainer.network.name == "mobilenet":
            opened.append((len(trainer.network.trainable_variables), trainer.train.epochs))
        return run_epochs(trainer, *args)

    monkeypatch.setattr(transfer, "run_epochs", watched)
    tuned = FineTune(layers=layers, epochs=epochs, learning_rate=1e-4, gradual=True)
    model = fit(recipe(TINY.model_copy(update={"fine_tune": tuned, "input_size": 64})), view, TASK, seed=0)
    assert [own for _, own in opened] == shares
    assert [n for n, _ in opened] == sorted({n for n, _ in opened})
    assert [row.epoch for row in model.history] == list(range(1, 4 + epochs))


def test_the_head_may_learn_on_features_where_fine_tuning_augments(view, monkeypatch):
    stub_fit(monkeypatch)
    trained = []
    run_epochs = transfer.run_epochs

    def watched(trainer, *args):
        trained.append((trainer.network.name, trainer.train.augment.flip_horizontal))
        return run_epochs(trainer, *args)

    monkeypatch.setattr(transfer, "run_epochs", watched)
    mixed = TUNED.model_copy(update={"head_on": "features"})
    fit(recipe(mixed, augment=Augment(flip_horizontal=True)), view, TASK, seed=0)
    assert trained == [("head", False), ("mobilenet", True)]


def test_at_their_own_size_images_are_not_resized_and_too_small_ones_are_named():
    own = TINY.model_copy(update={"input_size": "own"})
    base = frozen_base(own, (64, 64, 1))
    assert own.side_of(64) == 64
    assert next(layer for layer in base.layers if isinstance(layer, load_keras().Model)).input_shape[1:3] == (64, 64)
    with pytest.raises(RecipeError, match=r"32 pixels or more; the dataset's have 28.*input_size=64"):
        frozen_base(own, (28, 28, 3))


def test_more_layers_than_there_are_is_an_error_that_says_how_many():
    many = TINY.model_copy(update={"fine_tune": FineTune(layers=500)})
    with pytest.raises(RecipeError, match=r"mobilenet has 87 layers; model\.fine_tune\.layers is 500.*all"):
        frozen_base(many, (28, 28, 3))


def test_recipes_of_before_keep_their_hash():
    assert load_recipe("mobilenet-tuned").hash == "2fc7b7a56617719d"
    assert load_recipe("mobilenet-frozen").hash == "7322965e91ccdd5f"
    assert recipe(TUNED).hash != recipe(TUNED.model_copy(update={"head_on": "features"})).hash


def test_features_are_computed_once_for_all_seeds_and_not_where_images_change(view, monkeypatch):
    stub_fit(monkeypatch)
    bases = []
    predict = transfer.predict_logits
    monkeypatch.setattr(transfer, "predict_logits", lambda network, split: bases.append(1) or predict(network, split))
    models = [fit(recipe(TINY, epochs=1), view, TASK, seed=seed) for seed in (0, 1)]
    assert len(bases) == 2
    # Each seed's training time has that of the features, which it would need alone.
    before = [model.seconds - sum(row.seconds for row in model.history) for model in models]
    assert before[0] == pytest.approx(before[1], abs=1e-9)
    assert before[0] > 0

    class TrainingBeginsError(Exception):
        pass

    def begin(*_):
        raise TrainingBeginsError

    monkeypatch.setattr(transfer, "run_epochs", begin)
    with pytest.raises(TrainingBeginsError):
        fit(recipe(TINY, epochs=1, augment=Augment(flip_horizontal=True)), view, TASK, seed=0)
    assert len(bases) == 2


@pytest.mark.full
def test_same_seed_same_bytes_and_a_stopped_training_goes_on_to_them(view, tmp_path):
    weights = tmp_path / "base.weights.h5"
    load_keras().applications.MobileNet(
        alpha=0.25, weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3)
    ).save_weights(weights)
    chosen = recipe(TUNED.model_copy(update={"weights": str(weights)}))
    test = view.splits["test"]
    undisturbed = fit(chosen, view, TASK, seed=0).logits(test).tobytes()

    class PulledPlugError(Exception):
        pass

    def pull(row, planned):
        if row.epoch == 4:
            raise PulledPlugError

    with pytest.raises(PulledPlugError):
        fit(chosen, view, TASK, seed=0, checkpoints=Checkpoints(tmp_path / "c"), progress=pull)
    epochs = []
    again = fit(
        chosen,
        view,
        TASK,
        seed=0,
        checkpoints=Checkpoints(tmp_path / "c"),
        progress=lambda row, planned: epochs.append(row.epoch),
    )
    assert epochs == [1, 2, 3, 4, 5]
    assert again.logits(test).tobytes() == undisturbed


def test_weights_that_are_missing_or_of_another_network_are_named(tmp_path):
    keras = load_keras()
    with pytest.raises(DataError, match=r"absent\.h5 was not found"):
        frozen_base(TINY.model_copy(update={"weights": "absent.h5"}), (28, 28, 3))
    other = keras.applications.MobileNet(alpha=0.5, weights=None, include_top=False, input_shape=(32, 32, 3))
    other.save_weights(tmp_path / "half.weights.h5")
    with pytest.raises(RecipeError, match=r"half.*mobilenet at width 0\.25"):
        frozen_base(TINY.model_copy(update={"weights": str(tmp_path / "half.weights.h5")}), (28, 28, 3))
    (tmp_path / "noise.h5").write_bytes(b"noise")
    with pytest.raises(RecipeError, match="noise"):
        frozen_base(TINY.model_copy(update={"weights": str(tmp_path / "noise.h5")}), (28, 28, 3))


@pytest.mark.parametrize(
    ("name", "width", "side"),
    [
        ("mobilenet", 0.25, 128),
        pytest.param("mobilenet", 1.0, 100, marks=pytest.mark.full),
        pytest.param("mobilenetv2", 1.0, 96, marks=pytest.mark.full),
        *(pytest.param(name, 1.0, 224, marks=pytest.mark.full) for name in sorted(APPLICATIONS)),
    ],
)
def test_without_a_network_the_file_that_keras_looks_for_is_named(name, width, side, monkeypatch, capsys):
    from keras.src.utils import file_utils

    asked = []

    def no_network(file, *_, **__):
        print("Downloading data")  # noqa: T201 - as Keras does
        asked.append(file)
        raise Exception("URL fetch failure")

    monkeypatch.setattr(file_utils, "get_file", no_network)
    with pytest.raises(DownloadError, match=r"~/\.keras/models") as raised:
        frozen_base(Pretrained(backbone=name, width=width, input_size=side), (28, 28, 3))
    assert f"Put {asked[0]} into" in str(raised.value)
    assert capsys.readouterr().out == ""


def test_a_size_or_width_the_network_cannot_take_is_refused():
    with pytest.raises(ValidationError, match="input_size"):
        Pretrained(backbone="resnet50", input_size=16)
    with pytest.raises(RecipeError, match=r"no ImageNet weights for these options.*0\.3.* weights=PATH"):
        frozen_base(Pretrained(backbone="mobilenet", width=0.3), (28, 28, 3))


@pytest.mark.real
def test_real_weights_load(real_data, monkeypatch):
    monkeypatch.setenv("PENLIGHT_DATA", str(real_data))
    options = TINY.model_copy(update={"weights": "mobilenet_2_5_224_tf_no_top.h5"})
    features = logits_of_network(frozen_base(options, (28, 28, 3)), np.zeros((1, 28, 28, 3), np.float32))
    assert features.shape == (1, 256)
    assert features.std() > 0.1
