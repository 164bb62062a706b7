"""Keras networks as encoders: what they give, read once, and what is no such file."""

import hashlib
import importlib
import inspect
import json
import zipfile

import numpy as np
import onnxruntime
import pytest

from penlight.errors import EncoderError
from penlight.models import keras_encoder
from penlight.models.backend import load_keras
from penlight.models.encoder import encoder_features
from penlight.models.encoder_file import open_encoder
from penlight.models.encoder_maps import averaged_maps
from penlight.models.pretrained import scale_of
from tests.cli.test_cli import in_a_new_process

pytestmark = pytest.mark.tensorflow

# The one with most kinds of blocks of the quick ones; `make test-full` has the others that are usual.
QUICK = ["MobileNetV3Small"]
USUAL = [
    "MobileNet", "MobileNetV2", "MobileNetV3Large", "ResNet50", "ResNet50V2", "DenseNet121", "EfficientNetB0",
    "EfficientNetV2B0", "VGG16", "InceptionV3", "Xception", "NASNetMobile", "ConvNeXtTiny", "InceptionResNetV2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))


def images(side=64, n=2):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def random_application(name, **options):
    """A network whose batch statistics are not those of the start."""
    keras, rng = load_keras(), np.random.default_rng(1)
    keras.utils.set_random_seed(1)
    network = getattr(keras.applications, name)(weights=None, **options)
    for layer in network.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([np.float32(w + 0.1 * rng.normal(size=w.shape)) for w in layer.get_weights()])
    return network


def preprocess_of(name):
    """How keras.applications itself says that a network wants pixels."""
    build = getattr(load_keras().applications, name)
    return importlib.import_module(inspect.unwrap(build).__module__).preprocess_input


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.full) for name in USUAL)])
def test_the_encoder_of_a_weights_file_gives_the_networks_features(tmp_path, name):
    side = keras_encoder._FIXED.get(name)
    network = random_application(name, include_top=False, pooling="avg", input_shape=(side, side, 3))
    path = tmp_path / f"{name}.weights.h5"
    network.save_weights(path)
    encoder = open_encoder(path)
    assert (encoder.dtype, encoder.layout, encoder.free) == ("uint8", "NHWC", side is None)
    assert encoder.source.startswith(f"{name} of keras.applications")
    session = onnxruntime.InferenceSession(encoder.path.read_bytes())
    for size in (side,) if side else (96, 75):
        given = session.run(None, {"image": images(size)})[0]
        wanted = np.asarray(network(preprocess_of(name)(images(size).astype(np.float32))))
        np.testing.assert_allclose(given, wanted, atol=5e-6 * np.abs(wanted).max())
    # ConvNeXt normalises the average.
    assert (averaged_maps(encoder, side or 96) is None) == name.startswith("ConvNeXt")


def test_every_network_has_the_scaling_that_keras_says():
    applications, pixels = load_keras().applications, images(4).astype(np.float32)
    for name in (each for each in dir(applications) if each[0].isupper()):
        scale = scale_of(name)
        np.testing.assert_allclose(
            np.asarray(scale(pixels)), preprocess_of(name)(pixels.copy()), atol=2e-4, err_msg=name
        )


@pytest.mark.full
def test_width_top_and_name_are_read_from_the_file(tmp_path):
    network = random_application("MobileNet", alpha=0.25, input_shape=(96, 96, 3), classes=1000)
    path = tmp_path / "mine.weights.h5"
    network.save_weights(path)
    encoder = open_encoder(path, network="mobilenet")
    assert encoder.source == "MobileNet of keras.applications, alpha 0.25, mine.weights.h5"
    maps = load_keras().Model(network.inputs[0], network.get_layer("conv_pw_13_relu").output)
    wanted = np.asarray(maps(images(96) / np.float32(127.5) - 1)).mean(axis=(1, 2))
    given = onnxruntime.InferenceSession(encoder.path.read_bytes()).run(None, {"image": images(96)})[0]
    np.testing.assert_allclose(given, wanted, atol=5e-6 * np.abs(wanted).max())


def own_network(**compiled):
    keras = load_keras()
    keras.utils.set_random_seed(3)
    network = keras.Sequential([
        keras.Input((28, 28, 3)),
        keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(5, activation="softmax"),
    ])  # fmt: skip
    if compiled:
        network.compile(**compiled)
    return network


def test_a_network_of_the_user_gives_what_its_head_reads_and_says_nothing_of_pixels(tmp_path):
    network, path = own_network(optimizer="adam", loss="mse"), tmp_path / "own.keras"
    network.save(path)
    with pytest.raises(EncoderError, match="nothing says how it wants pixels"):
        open_encoder(path)
    encoder = open_encoder(path, {"pixels": "0..1"})
    assert (encoder.width, encoder.side, encoder.free) == (8, 28, False)
    body = load_keras().Model(network.inputs[0], network.layers[-2].output)
    wanted = np.asarray(body(images(28) / np.float32(255)))
    np.testing.assert_allclose(encoder_features(encoder, (), 28).of(images(28)), wanted, atol=1e-5)


def test_it_is_converted_once_and_then_used_without_keras(tmp_path, monkeypatch):
    path = tmp_path / "own.keras"
    own_network().save(path)
    made, sha256 = keras_encoder.keras_as_onnx(path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    content = made.read_bytes()
    loaded = in_a_new_process(
        "import sys; from pathlib import Path; from penlight.recipes import Encoded\n"
        "from penlight.models.encoder_file import find_encoder\n"
        f"find_encoder(Encoded(weights={str(path)!r}, pixels='0..1')).model\n"
        "print([m for m in ('keras', 'tensorflow', 'h5py') if m in sys.modules])"
    )
    assert loaded == "[]\n"
    # Another file of that name is another encoder.
    own_network(optimizer="sgd").save(path)
    assert keras_encoder.keras_as_onnx(path)[0] != made
    assert made.read_bytes() == content


def _lambda(config):
    config["config"]["layers"][1]["class_name"] = "Lambda"


@pytest.mark.parametrize(
    ("name", "network", "said"),
    [
        ("text.h5", "MobileNet", "text.h5 cannot be made an encoder"),
        ("text.keras", "", "text.keras cannot be made an encoder"),
        ("mine.h5", "", "mine.h5 holds weights, and nothing says of which network"),
        ("mine.h5", "MobilNet", "keras.applications has no network MobilNet"),
        pytest.param(
            "resnet50.weights.h5", "", "resnet50.weights.h5 does not hold weights of ResNet50", marks=pytest.mark.full
        ),
        ("lambda.keras", "", "names keras.layers.Lambda, which Penlight does not write"),
        ("gone.h5", "", "gone.h5 cannot be read"),
    ],
)
def test_what_is_no_keras_encoder_is_a_named_error_and_nothing_is_kept(tmp_path, name, network, said):
    path = tmp_path / name
    if name == "resnet50.weights.h5":
        own_network().save_weights(path)
    elif name == "lambda.keras":
        own_network().save(tmp_path / "own.keras")
        with zipfile.ZipFile(tmp_path / "own.keras") as old, zipfile.ZipFile(path, "w") as new:
            config = json.loads(old.read("config.json"))
            _lambda(config)
            new.writestr("config.json", json.dumps(config))
            new.writestr("model.weights.h5", old.read("model.weights.h5"))
    elif name != "gone.h5":
        path.write_text("no network")
    with pytest.raises(EncoderError, match=said.replace(".", r"\.")):
        open_encoder(path, network=network)
    assert not list((tmp_path / "cache").rglob("*.onnx"))
