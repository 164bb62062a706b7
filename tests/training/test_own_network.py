"""A network that the user hands in: trained, scored, exported and explained as Penlight's own; and what is wrong with
one is said in a sentence, with nothing left behind."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import penlight as pl
from penlight.api.requests import resolve_recipe
from penlight.data import apply_view, store
from penlight.errors import RecipeError, RunError, TrainingError
from penlight.exporters import parity
from penlight.models import load_keras
from penlight.models.own import own_network
from penlight.recipes import Data, Own, Recipe, Train
from penlight.runs import open_predictor, open_run
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal
from penlight.training.own import own_model
from tests.conftest import LABELS, small_dataset
from tests.stubs import stub_fit

SHAPE = (28, 28, 3)
TASK = MultiClass(LABELS)
SOURCE = """
import keras
from keras import layers

WIDTH = 4


def build(input_shape, n_outputs):
    image = keras.Input(input_shape)
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(WIDTH, 3, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(n_outputs, activation="softmax")(x))
"""


def build(input_shape, n_outputs):
    keras = load_keras()
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.Sequential([layers.RandomFlip("horizontal"), layers.Rescaling(1 / 255)]),
            layers.Conv2D(4, 3, strides=2, kernel_regularizer="l2"),
            layers.BatchNormalization(scale=False),
            layers.LeakyReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(n_outputs),
            layers.Softmax(),
        ]
    )


def compiled(optimizer="sgd", loss="categorical_crossentropy", last="softmax", n=4):
    """A model of Keras as a student has it: built and compiled, with a softmax at its end."""
    keras = load_keras()
    keras.utils.set_random_seed(7)
    layers = [keras.Input(SHAPE), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(n, activation=last)], name="students")
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def scale_layer():
    """A layer of the user's own, registered as Keras asks for."""
    keras = load_keras()

    class Scale(keras.layers.Layer):
        def build(self, shape):
            self.factor = self.add_weight(shape=(1,), initializer="ones", name="factor")

        def call(self, x):
            return x * self.factor

    return Scale


def with_scale(input_shape, n_outputs):
    keras = load_keras()
    image = keras.Input(input_shape)
    x = keras.layers.GlobalAveragePooling2D()(scale_layer()()(image))
    return keras.Model(image, keras.layers.Dense(n_outputs)(x))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Serve a small drawn dataset of four classes by its name, and write no pages."""
    datasets = {"small": small_dataset(TASK), "grades": small_dataset(Ordinal(LABELS, referable=2))}
    monkeypatch.setattr(store, "open_dataset", lambda name, size: datasets[name])


def train(given, out, *, dataset="small", epochs=2, **how):
    """Train what is handed in as a notebook does, by a recipe that leaves the head to the task; give the folder."""
    return pl.train(dataset, Recipe(), model=given, out=out, epochs=epochs, **how).path


@pytest.fixture
def stubbed(monkeypatch, unreported):
    """Train without the compiled step."""
    stub_fit(monkeypatch)


# What is promised


@pytest.mark.mapped
def test_a_function_gets_all_that_penlights_own_networks_get(tmp_path):
    run = open_run(train(build, tmp_path / "run"))
    assert run.recipe.model.name == "build"
    assert (tmp_path / "run" / "network.py").read_text() == Path(__file__).read_text()
    assert run.exports["model.onnx"].written
    assert {"report.html", "card.md", "history.csv", "explained.npz", "model.keras", "network.py"} <= set(run._files)
    prob = open_predictor(run).probabilities(small_dataset(TASK).splits["test"].images)
    assert np.allclose(prob, run.answers("test").predictions.prob, atol=1e-5)
    explained = pl.explain(tmp_path / "run", split="test", rows=[0], method="cam", out=tmp_path / "maps")
    assert explained.method == "cam"


def test_the_file_that_the_user_names_is_run_kept_and_hashed(tmp_path, stubbed):
    (tmp_path / "nets.py").write_text(SOURCE)
    run = open_run(train(f"{tmp_path}/nets.py:build", tmp_path / "run"))
    assert run.recipe.model.name == "nets.py:build"
    assert str(tmp_path) not in run.recipe.to_toml()
    assert run.read("network.py").decode() == SOURCE
    assert run.shared_command.endswith("--seed 0 --set model.backbone=nets.py:build")
    (tmp_path / "nets.py").write_text(SOURCE.replace("WIDTH = 4", "WIDTH = 5"))
    other = open_run(train(f"{tmp_path}/nets.py:build", tmp_path / "other"))
    assert other.recipe.hash != run.recipe.hash
    assert other.recipe.model.structure != run.recipe.model.structure


def test_the_same_network_is_the_same_recipe_and_bytes_whatever_was_built_before(tmp_path, stubbed):
    one = open_run(train(build, tmp_path / "one"))
    build(SHAPE, 3)
    other = open_run(train(build, tmp_path / "other"))
    assert one.recipe.hash == other.recipe.hash
    assert one.read("model.onnx") == other.read("model.onnx")


def test_a_model_is_copied_with_its_weights_for_each_seed(tmp_path, monkeypatch):
    model = compiled()
    before = [np.array(w) for w in model.get_weights()]
    own, fresh = own_network(model), own_network(model, fresh=True)
    for seed in (0, 1):
        copied = own.built(TASK, SHAPE, seed)
        assert all(np.array_equal(a, b) for a, b in zip(copied.network.get_weights(), before, strict=True))
    weights = [fresh.built(TASK, SHAPE, seed).network.get_weights()[0] for seed in (0, 0, 1)]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
    assert not np.array_equal(weights[0], before[0])
    assert own.checked(TASK, SHAPE).section.sha256 != fresh.checked(TASK, SHAPE).section.sha256


def test_a_compiled_model_is_trained_by_its_own_optimizer_and_loss(tmp_path, unreported):
    model = compiled(load_keras().optimizers.SGD(0.05))
    before = model.get_weights()[0].copy()
    folder = train(model, tmp_path / "run", seeds=2)
    runs = [open_run(folder / f"seed-{n}") for n in (0, 1)]
    assert all(np.array_equal(model.get_weights()[0], before) for _ in runs)
    section = runs[0].recipe.model
    assert (section.name, section.optimizer, section.loss) == (
        "students", "SGD, learning rate 0.05", "categorical_crossentropy",
    )  # fmt: skip
    assert json.loads(runs[0].read("network.json"))["weights_sha256"]
    assert np.allclose(runs[0].curves["learning_rate"], 0.05)
    assert runs[0].exports["model.onnx"].written


@pytest.mark.parametrize("last", ["softmax", None])
@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy", "object", "own"])
def test_losses_of_keras_get_what_they_expect(loss, last):
    from penlight.training.own import _loss_of

    keras = load_keras()
    own = {
        "object": keras.losses.CategoricalCrossentropy(),
        "own": lambda y, p: keras.losses.categorical_crossentropy(y, p, from_logits=last is None),
    }
    y, logits = np.eye(4, dtype=np.float32), np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    value = _loss_of(own.get(loss, loss), last or "", TASK)(*map(keras.ops.convert_to_tensor, (y, logits)))
    expected = -np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[y == 1]
    assert np.allclose(keras.ops.convert_to_numpy(value), expected, atol=1e-4)


def test_callbacks_see_epochs_change_the_rate_and_stop(tmp_path, unreported):
    keras = load_keras()
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append("begin")

        def on_epoch_end(self, epoch, logs):
            seen.append((epoch, sorted(logs)))
            self.model.optimizer.learning_rate = 0.5
            self.model.stop_training = epoch == 1

        def on_train_end(self, logs=None):
            seen.append("end")

    run = open_run(train(build, tmp_path / "run", epochs=5, callbacks=[Watch()]))
    names = ["auc", "learning_rate", "loss", "val_auc", "val_loss"]
    assert seen == ["begin", (0, names), (1, names), "end"]
    assert np.allclose(run.curves["learning_rate"], [1e-3, 0.5])
    assert run.recipe.model.callbacks == ("Watch",)
    assert not run.provenance["cut_for_time"]


def test_folds_train_it_too(tmp_path, stubbed):
    runs = pl.train("small", model=build, folds=2, epochs=1, out=tmp_path / "run")
    assert [run.recipe.model.name for run in runs] == ["build", "build"]


@pytest.mark.parametrize(
    ("task", "n"),
    [(TASK, 4), (Binary(("no", "yes")), 1), (MultiLabel(LABELS), 4), (Ordinal(LABELS, head="softmax"), 4),
     (Ordinal(LABELS), 3)],
)  # fmt: skip
def test_each_task_says_how_many_outputs_it_needs(task, n):
    asked = []
    own_network(lambda shape, outputs: asked.append(outputs) or build(shape, outputs)).checked(task, SHAPE)
    assert asked == [n]
    said = rf"gives outputs of shape \(9,\); {n} (are|is) needed, (one for|the logit of)"
    with pytest.raises(RecipeError, match=said):
        own_network(lambda shape, outputs: build(shape, 9)).checked(task, SHAPE)


def test_grades_are_told_apart_by_a_softmax(tmp_path, stubbed):
    run = open_run(train(build, tmp_path / "run", dataset="grades"))
    assert run.recipe.data.head == "softmax"
    assert run.model_predictions("test").task.n_logits == 4


@pytest.mark.parametrize("ending", ["dense", "activation", "softmax", "ops", "nested", "sigmoid"])
def test_a_last_softmax_or_sigmoid_is_taken_off(ending):
    keras = load_keras()
    layers = keras.layers

    def made(shape, n):
        image = keras.Input(shape)
        x = layers.Flatten()(image)
        if ending in ("dense", "nested", "sigmoid"):
            own = [layers.Dense(n, activation="sigmoid" if ending == "sigmoid" else "softmax")]
            return keras.Model(image, keras.Sequential(own)(x) if ending == "nested" else own[0](x))
        x = layers.Dense(n)(x)
        way = {"activation": layers.Activation("softmax"), "softmax": layers.Softmax(), "ops": keras.ops.softmax}
        return keras.Model(image, way[ending](x))

    built = own_network(made).built(TASK, SHAPE, 0)
    assert built.ending == ("sigmoid" if ending == "sigmoid" else "softmax")
    out = keras.ops.convert_to_numpy(built.network(np.full((1, *SHAPE), 200, np.float32)))
    assert not np.isclose(out.sum(), 1)
    assert out.min() < 0 < out.max()


def test_layers_that_users_have_are_exported_and_read_again(tmp_path):
    from penlight.exporters.onnx_file import onnx_file
    from penlight.models.keras_files import network_bytes, network_from_bytes
    from penlight.runs import Predictor
    from tests.conftest import logits_of_network
    from tests.exporters.test_onnx import UNCALIBRATED, facts

    keras = load_keras()
    layers = keras.layers

    def many(shape, n):
        blocks = [layers.Conv2D(4, 3, activation=act) for act in ("elu", "gelu", "leaky_relu")]
        noise = [layers.RandomRotation(0.1), layers.RandomContrast(0.1), layers.GaussianNoise(0.1)]
        inner = keras.Sequential([layers.ELU(0.5), layers.LeakyReLU(0.2), layers.SpatialDropout2D(0.2)])
        first = keras.Sequential([keras.Input(shape), layers.Rescaling(1 / 64), *noise, *blocks, inner])
        x = layers.GlobalMaxPooling2D()(keras.ops.relu(first.outputs[0]) + 1.0)
        return keras.Model(first.inputs[0], layers.Dense(n, kernel_initializer="he_normal")(x))

    network = own_network(many).built(TASK, SHAPE, 0).network
    images = small_dataset(TASK).splits["test"].images
    logits = logits_of_network(network, images)
    assert np.allclose(
        Predictor(onnx_file(network, facts(TASK), UNCALIBRATED), "file").logits(images), logits, atol=2e-5
    )
    again = network_from_bytes(network_bytes(network))
    assert np.array_equal(logits_of_network(again, images), logits)


# Layers that Penlight does not know


def test_layers_without_an_onnx_form_are_listed_and_the_run_says_so(tmp_path, stubbed):
    folder = train(with_scale, tmp_path / "run")
    run = open_run(folder)
    reason = run.exports["model.onnx"].reason
    assert "1 layer without an ONNX form in Penlight: scale (Scale)" in reason
    with pytest.raises(RunError, match=r"has no model.onnx. The network has 1 layer without"):
        open_predictor(run)
    with pytest.raises(RunError, match=r"cannot be built from its files, which run no code: .*Scale.*load_weights"):
        pl.explain(folder, split="test", rows=[0])
    with pytest.raises(RunError, match=r"cannot be built from its files"):
        pl.open_run(folder).keras_model()
    network = with_scale(SHAPE, 4)
    network.load_weights(folder / "model.keras")
    images = small_dataset(TASK).splits["test"].images.astype(np.float32)
    assert np.allclose(network.predict(images, verbose=0), run.model_predictions("test").logits, atol=1e-4)


def test_a_subclass_that_is_built_is_trained_as_one_layer(tmp_path, stubbed):
    keras = load_keras()

    class Mine(keras.Model):
        def __init__(self, n, **options):
            super().__init__(**options)
            self.last = keras.layers.Dense(n)

        def call(self, x):
            return self.last(keras.ops.mean(x, axis=(1, 2)))

    run = open_run(train(lambda shape, n: Mine(n), tmp_path / "run"))
    assert "mine (Mine)" in run.exports["model.onnx"].reason
    with pytest.raises(RecipeError, match=r"cannot be copied for each seed.*Hand in a function"):
        own_network(Mine(4)).built(TASK, SHAPE, 0)


# What is wrong with a network


def two_inputs(shape, n):
    keras = load_keras()
    inputs = [keras.Input(shape), keras.Input(shape)]
    x = keras.layers.Flatten()(keras.layers.Add()(inputs))
    return keras.Model(inputs, keras.layers.Dense(n)(x))


def hidden_softmax(shape, n):
    keras = load_keras()
    image = keras.Input(shape)
    x = keras.layers.Dense(n)(keras.layers.Flatten()(image))
    return keras.Model(image, keras.layers.Lambda(lambda z: keras.ops.softmax(z), output_shape=(n,))(x))


def raises(shape, n):
    raise ValueError("no such width.\nmore")


def grey(shape, n):
    return build((28, 28, 1), n)


def half(shape, n):
    keras = load_keras()
    last = keras.layers.Dense(n, dtype="float16")
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), last])


def without_weights(shape, n):
    keras = load_keras()
    model = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(n)])
    model.trainable = False
    return model


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            lambda shape, n: build(shape, 7),
            r"gives outputs of shape \(7,\); 4 are needed, one for each of a, b, c, d",
        ),
        (
            lambda shape, n: "net",
            "returned a str instead of a keras.Model. build\\(input_shape, n_outputs\\) returns",
        ),
        (lambda shape: None, "failed with TypeError: .*positional argument"),
        (raises, "raises failed with ValueError: no such width. build"),
        (two_inputs, "has 2 inputs and 1 outputs instead of one each"),
        (grey, r"takes inputs of shape \(28, 28, 1\); images here are \(28, 28, 3\)"),
        (hidden_softmax, "gives probabilities by a softmax that cannot be taken off. Return its logits."),
        (half, "gives float16; float32 is expected. Give its last layer dtype='float32'."),
        (without_weights, "has no weights to train. Give it a layer with weights, or unfreeze one."),
        (3, "A int is no network"),
        (type("Net", (), {"__module__": "torch.nn", "__call__": print})(), "Net is a PyTorch module.*pl.score"),
        (dict, "The class dict is no network"),
        ("nets.py", r"There is no file nets.py. Name the network as FILE.py:NAME."),
        ("gone.py:build", r"There is no file gone.py. Name the network as FILE.py:NAME."),
    ],
)
def test_a_network_that_does_not_fit_is_refused_before_anything_is_written(tmp_path, given, said):
    with pytest.raises(RecipeError, match=said):
        train(given, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def build(:\n", r"failed with SyntaxError: .* \(line 1\)"),
        ("import nothing_of_that_name\n", "failed with ModuleNotFoundError: No module named"),
        ("raise SystemExit(3)\n", "failed with SystemExit: 3"),
        ("def other(a, b): ...\n", "has no build. It has other."),
        ("build = 3\n", "A int is no network"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, said):
    (tmp_path / "nets.py").write_text(text)
    with pytest.raises(RecipeError, match=said):
        own_model(f"{tmp_path}/nets.py:build")


def test_a_file_may_hold_a_model_and_use_what_lies_beside_it(tmp_path):
    (tmp_path / "of_nets_beside.py").write_text("N = 4\n")
    text = "import keras\nfrom of_nets_beside import N\n"
    text += "net = keras.Sequential([keras.Input((28, 28, 3)), keras.layers.Flatten(), keras.layers.Dense(N)])\n"
    (tmp_path / "nets.py").write_text(text)
    own = own_model(f"{tmp_path}/nets.py:net").checked(TASK, SHAPE)
    assert (own.section.name, own.file) == ("nets.py:net", "network.json")
    assert str(tmp_path) not in sys.path


def test_a_function_without_a_source_is_known_by_what_it_builds(tmp_path, stubbed):
    made = {}
    exec(SOURCE, made)
    run = open_run(train(made["build"], tmp_path / "run"))
    assert json.loads(run.read("network.json"))["class_name"] == "Functional"
    made["WIDTH"] = 6
    other = own_model(made["build"]).checked(TASK, SHAPE)
    assert other.section.sha256 != run.recipe.model.sha256


def test_a_function_that_gives_one_model_again_is_refused(tmp_path, stubbed):
    model = build(SHAPE, 4)
    with pytest.raises(TrainingError, match=r"returned the same model again. Build a new one in it each time."):
        train(lambda shape, n: model, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_leaves_nothing(tmp_path, unreported):
    model = compiled(loss=lambda y, p: p[:, 0] * np.nan)
    with pytest.raises(TrainingError, match=r"no longer a number in epoch \d. Lower the learning rate .*optimizer"):
        train(model, tmp_path / "run", epochs=5)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_raises_is_said(tmp_path, unreported):
    def loss(y, p):
        raise ValueError("shapes differ")

    with pytest.raises(TrainingError, match=r"students failed in training: ValueError: .*shapes differ"):
        train(compiled(loss=loss), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_callback_that_raises_keeps_the_epochs_before(tmp_path, stubbed):
    keras = load_keras()
    faulty = [True]

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            if faulty[0] and epoch == 2:
                raise KeyError("lr")

    said = r"The callback Watch failed in on_epoch_end of build: KeyError: 'lr'. The epochs before are kept"
    with pytest.raises(RecipeError, match=said):
        train(build, tmp_path / "run", epochs=4, callbacks=[Watch()])
    assert len(list((tmp_path / "run" / ".state").glob("checkpoint-*"))) == 2
    faulty[0] = False
    train(build, tmp_path / "run", epochs=4, callbacks=[Watch()])
    train(build, tmp_path / "other", epochs=4, callbacks=[Watch()])
    one, other = open_run(tmp_path / "run"), open_run(tmp_path / "other")
    assert one.read("model.onnx") == other.read("model.onnx")
    faulty[0] = True

    class First(keras.callbacks.Callback):
        def set_model(self, model):
            raise RuntimeError("no model")

    with pytest.raises(
        TrainingError, match="The callback First failed in set_model of build: RuntimeError: no model"
    ):
        train(build, tmp_path / "third", callbacks=[First()])
    assert not (tmp_path / "third").exists()
    with pytest.raises(RecipeError, match=r"A str is no keras.callbacks.Callback"):
        own_model(build, callbacks=["early"])


# Code runs only where the user names it


def test_a_recipe_or_run_that_names_code_runs_none(tmp_path, stubbed, monkeypatch):
    (tmp_path / "nets.py").write_text(SOURCE)
    folder = train(f"{tmp_path}/nets.py:build", tmp_path / "run")
    (tmp_path / "nets.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + SOURCE)
    (folder / "nets.py").write_text((tmp_path / "nets.py").read_text())
    monkeypatch.chdir(folder)
    said = 'code that a recipe names is not run. Name it: model="FILE.py:NAME"'
    with pytest.raises(RecipeError, match=said):
        pl.train(folder / "recipe.toml", out=tmp_path / "again")
    run = open_run(folder)
    open_predictor(run)
    pl.evaluate(folder)
    pl.report(folder)
    pl.explain(folder, split="test", rows=[0], method="gradcam", out=tmp_path / "maps")
    with pytest.raises(RecipeError, match=r"is not tuned"):
        pl.tune(run.recipe)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("model", ["own", "estimator"])
def test_a_name_in_a_strangers_recipe_is_text(model):
    from penlight.recipes import recipe_from_toml

    text = f'[data]\ndataset = "small"\n[model]\nbackbone = "{model}"\nname = '
    assert recipe_from_toml(f'{text}"<script>"').model.name == "<script>"
    for name in ('"a\\u001b[2J"', f'"{"x" * 501}"', "3"):
        with pytest.raises(RecipeError, match=r"'model\.name'"):
            recipe_from_toml(text + name)


def test_the_same_recipe_goes_on_with_the_network_that_is_named_again(tmp_path, stubbed):
    (tmp_path / "nets.py").write_text(SOURCE)
    reference = f"{tmp_path}/nets.py:build"
    folder = train(reference, tmp_path / "run")
    again = pl.train(folder / "recipe.toml", options=[f"model.backbone={reference}"], out=folder)
    assert again.recipe.hash == open_run(folder).recipe.hash
    (tmp_path / "nets.py").write_text(SOURCE.replace("WIDTH = 4", "WIDTH = 5"))
    told, listener = [], pl.ProgressListener()
    listener.on_warning = told.append
    options = {"model.backbone": reference}
    pl.train(folder / "recipe.toml", options=options, out=tmp_path / "other", listener=listener)
    assert told == ["nets.py:build is not the network that this recipe is of, so this is another recipe."]


def test_training_is_that_of_the_preset_and_options_of_its_network_are_refused(tmp_path, stubbed):
    run = pl.train("small", model=build, epochs=1, learning_rate=0.01, out=tmp_path / "run")
    assert (run.recipe.train.learning_rate, run.recipe.train.batch_size) == (0.01, 32)
    with pytest.raises(RecipeError, match=r"model.dropout is no option of build, which is your own."):
        pl.train("small", model=build, options={"model.dropout": 0.2})
    with pytest.raises(RecipeError, match=r"A budget is for a plan"):
        pl.train("small", model=build, budget=60)
    with pytest.raises(RecipeError, match=r"fresh and callbacks are for a network of your own"):
        pl.train("small", fresh=True)


def test_overrides_of_other_commands_refuse_a_network(tmp_path):
    with pytest.raises(RecipeError, match=r"nets.py:build names a network of your own, which only `pl.train` takes"):
        resolve_recipe("small", "cnn", ["model.backbone=nets.py:build"])


def test_a_file_that_answers_otherwise_says_what_to_do_about_large_logits(tmp_path, stubbed, monkeypatch):
    monkeypatch.setitem(parity.CLOSE, "float32", -1.0)
    run = open_run(train(build, tmp_path / "run"))
    assert not run.has("model.onnx")
    with pytest.raises(RunError, match=r"does not answer as the trained model.*begin it with Rescaling\(1 / 255\)"):
        open_predictor(run)


def test_a_tuning_runs_no_file_before_it_refuses_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text("open('ran', 'w')\n" + SOURCE)
    for how in ({"backbone": "nets.py:build"}, {"options": ["model.backbone=nets.py:build"]}):
        with pytest.raises(RecipeError, match=r"nets.py:build names a network of your own, which only `pl.train`"):
            pl.tune("retina-phantom", **how)
    assert not Path("ran").exists()


def test_it_is_not_sent_to_other_processes():
    from penlight.experiments.run import RunSpec

    spec = RunSpec(Recipe(model=Own(name="build")), 0, Path("run"), own=own_model(build))
    with pytest.raises(RecipeError, match=r"trained in this process"):
        spec.to_job()


def test_precision_is_the_users(tmp_path):
    view = apply_view(small_dataset(TASK))
    from penlight.training.own import with_own

    recipe = Recipe(data=Data(dataset="small"), train=Train(precision="bfloat16"))
    with pytest.raises(RecipeError, match=r"train.precision is not for a network of your own"):
        with_own(recipe, own_model(build), view, print)


def test_a_copy_to_be_shared_has_no_code_and_one_without_images_has_it(tmp_path, stubbed):
    folder = train(with_scale, tmp_path / "run", images=False)
    shared = pl.export_for_sharing(folder, tmp_path / "shared")
    assert "network.py: it has code of the network's author." in shared.left_out
    assert "model.keras: it has code of the network's author." in shared.left_out
    assert {"network.py", "model.keras"} & {file.name for file in shared.folder.iterdir()} == set()
    copied = pl.export_without_images(folder, tmp_path / "copy").folder
    assert (copied / "network.py").read_bytes() == (folder / "network.py").read_bytes()
    assert open_run(copied).recipe.hash == open_run(folder).recipe.hash
