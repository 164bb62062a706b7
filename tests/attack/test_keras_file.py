"""A hostile model.keras runs nothing, calls nothing, reads no other file and takes no more memory than it holds."""

import base64
import contextlib
import copy
import io
import json
import marshal
import resource
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from penlight.errors import RecipeError, RunError
from penlight.evaluation import find_calibration
from penlight.evaluation.calibration import UNCALIBRATED
from penlight.exporters.keras_file import answering_keras, keras_file
from penlight.models import load_keras
from penlight.models.backbones import build_network
from penlight.models.keras_files import check_config, network_bytes, network_from_bytes
from penlight.models.pretrained import APPLICATIONS, frozen_base, joined, new_head
from penlight.recipes import Cnn, Pretrained, Residual, load_recipe, preset_names
from penlight.tasks import Ordinal
from tests.conftest import LABELS, TASK_EXAMPLES, few_pairs, logits_of_network, task_id
from tests.exporters.test_onnx import facts, truth_for

TASK = Ordinal(LABELS)
CALLED = []
"""What an attack was able to call."""


def parts_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(parts, method=zipfile.ZIP_STORED):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in parts:
            archive.writestr(name, content)
    return made.getvalue()


@pytest.fixture(scope="module")
def good():
    return network_bytes(build_network(Cnn(filters=(2,), dense=3), TASK, (28, 28, 1), seed=0))


@pytest.fixture
def config(good):
    return json.loads(parts_of(good)["config.json"])


@pytest.fixture
def layers(config):
    return config["config"]["layers"]


@pytest.fixture
def load(good, config):
    """Give a function that reads the network with its config as it was changed, and other parts if given."""

    def read(**changed):
        parts = parts_of(good) | {"config.json": json.dumps(config).encode()}
        return network_from_bytes(archive_of((parts | changed).items()))

    return read


def keras_object(name, config, module="keras.layers", registered=None, **more):
    return {"module": module, "class_name": name, "config": config, "registered_name": registered, **more}


def function(name, module="builtins"):
    return keras_object("function", name, module, name)


def python_lambda():
    code = (lambda x: CALLED.append("lambda") or x).__code__
    coded = base64.b64encode(marshal.dumps(code)).decode()
    return keras_object("__lambda__", {"value": [coded, None, None]}, "builtins")


def test_what_penlight_writes_is_read(good, load):
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1)).astype(np.float32)
    np.testing.assert_array_equal(
        logits_of_network(load(), images), logits_of_network(network_from_bytes(good), images)
    )


NAMED = {
    "a Lambda with marshalled code": lambda: keras_object("Lambda", {"function": python_lambda()}),
    "a Lambda that names an operation": lambda: keras_object("Lambda", {"function": function("relu")}),
    "a Lambda that names a download": lambda: keras_object(
        "Lambda", {"function": function("get_file", "keras.utils")}
    ),
    "a class registered by another": lambda: keras_object("Dense", {"units": 1}, None, "Attack>Called"),
    "a registered name that hides behind a known class": lambda: keras_object(
        "Dense", {"units": 1}, registered="Attack>Called"
    ),
    "a module outside Keras": lambda: keras_object("system", {"command": "true"}, "os"),
    "a module in Keras that is no modelling API": lambda: keras_object("get_file", {}, "keras.utils"),
    "a class by the path of its source": lambda: keras_object("Lambda", {}, "keras.src.layers.core.lambda_layer"),
    "no module, as older forms have it": lambda: {"class_name": "Lambda", "config": {"function": "relu"}},
    "no config": lambda: {"class_name": "Dense", "module": "keras.layers"},
    "a list for a name": lambda: keras_object(["Lambda"], {}),
    "a wrapper": lambda: keras_object("TimeDistributed", {"layer": keras_object("Lambda", {})}),
    "two wrappers": lambda: keras_object("Bidirectional", {"layer": keras_object("LSTM", {"units": 1})}),
    "a TensorFlow module": lambda: keras_object("TFSMLayer", {"filepath": "x", "call_endpoint": "serve"}),
    "an operation that reads files": lambda: keras_object("ReadFile", {}, "keras.src.ops.core"),
    "a Torch module": lambda: keras_object("TorchModuleWrapper", {"module": "x"}, "keras.layers"),
    "a text vocabulary from a file": lambda: keras_object("TextVectorization", {"vocabulary": "/etc/passwd"}),
    "a string look-up from a file": lambda: keras_object("StringLookup", {"vocabulary": "/etc/passwd"}),
    "a type of TensorFlow": lambda: keras_object("__typespec__", [], "tensorflow", spec_name="TensorSpec"),
    "a tensor": lambda: keras_object("__tensor__", {"value": [1], "dtype": "float32"}, None),
    "an array of objects": lambda: keras_object("__numpy__", {"value": [1], "dtype": "object"}, None),
    "an array of long strings": lambda: keras_object("__numpy__", {"value": ["a"], "dtype": "S999999999"}, None),
    "an optimizer": lambda: keras_object("Adam", {}, "keras.optimizers"),
    "a quantised type": lambda: keras_object("DTypePolicy", {"name": "int8_from_float32"}, "keras"),
}

PLACES = {
    "layer": lambda layers, item: layers.append(item | {"inbound_nodes": [], "name": "x"}),
    "kernel": lambda layers, item: layers[-1]["config"].update(kernel_initializer=item),
    "activation": lambda layers, item: layers[2]["config"].update(activation=item),
    "argument": lambda layers, item: layers[2]["inbound_nodes"][0]["args"].append(item),
    "keyword": lambda layers, item: layers[2]["inbound_nodes"][0]["kwargs"].update(x=[{"y": item}]),
    "build": lambda layers, item: layers[2]["build_config"].update(input_shape=item),
    "nested": lambda layers, item: layers.append(
        keras_object("Functional", {"layers": [item]}, "keras.src.models.functional", "Functional")
    ),
}


@pytest.fixture
def registered():
    """Classes and functions that some library of this process has registered with Keras."""
    keras = load_keras()

    @keras.saving.register_keras_serializable("Attack", "Called")
    class Called(keras.layers.Layer):
        def __init__(self, **options):
            super().__init__(**{k: v for k, v in options.items() if k != "units"})
            CALLED.append("registered")

    CALLED.clear()
    yield "Attack>Called"
    keras.saving.get_custom_objects().clear()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("named", NAMED)
def test_a_class_that_penlight_does_not_write_is_refused_wherever_it_stands(load, layers, named, place, registered):
    PLACES[place](layers, NAMED[named]())
    with pytest.raises(RunError, match="The network is refused"):
        load()
    assert CALLED == []


def test_keras_alone_would_have_called_it(good, config, layers, tmp_path):
    """Safe mode does not hold a Lambda that names a function of Keras: this test fails when it does."""
    relu = next(layer for layer in layers if layer["class_name"] == "ReLU")
    own = {"name": relu["name"], "function": function("relu")}
    relu |= keras_object("Lambda", own) | {"build_config": None}
    path = tmp_path / "model.keras"
    path.write_bytes(archive_of((parts_of(good) | {"config.json": json.dumps(config).encode()}).items()))
    keras = load_keras()
    with zipfile.ZipFile(path) as archive:
        text = archive.read("config.json").decode()
    built = keras.saving.deserialize_keras_object(json.loads(text) | {"compile_config": None}, safe_mode=True)
    assert any(type(layer).__name__ == "Lambda" for layer in built.layers)
    with pytest.raises(RunError, match=r"keras\.layers\.Lambda"):
        network_from_bytes(path.read_bytes())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("activation", "get_file"),
        ("activation", "Attack>Called"),
        ("kernel_initializer", "orthogonal"),
        ("kernel_constraint", "Attack>Called"),
        ("bias_regularizer", "l2"),
        ("dtype", "int8_from_float32"),
        ("dtype", "string"),
    ],
)
def test_names_of_functions_and_types_come_from_a_list(load, layers, key, value):
    layers[-1]["config"][key] = value
    with pytest.raises(RunError, match=f"its {key} is '{value}'"):
        load()


def test_how_it_was_compiled_is_refused(load, config):
    config["compile_config"] = {"optimizer": "adam", "loss": "mse"}
    with pytest.raises(RunError, match="how it was compiled"):
        load()


@pytest.mark.parametrize("value", [5, [], None, "Functional", keras_object("Sequential", {"layers": []}, "keras")])
def test_a_config_that_is_no_functional_network_is_refused(good, value):
    parts = parts_of(good) | {"config.json": json.dumps(value).encode()}
    with pytest.raises(RunError, match=r"config must hold a JSON object|no functional Keras network"):
        network_from_bytes(archive_of(parts.items()))


def test_classes_of_a_users_own_builder_are_allowed_by_name(good, config, layers, registered):
    layers[2]["config"]["activation"] = keras_object("EinsumDense", {"equation": "ab,bc->ac"})
    with pytest.raises(RunError, match=r"keras\.layers\.EinsumDense"):
        check_config(config)
    check_config(config, {"keras.layers.EinsumDense"})
    layers[2]["config"]["activation"] = keras_object("Called", {}, None, registered)
    with pytest.raises(RunError, match="registered class 'Attack>Called'"):
        check_config(config)
    check_config(config, {registered})


@pytest.mark.parametrize("depth", [100, 100_000])
def test_a_config_nested_too_deep_is_refused(good, depth):
    parts = parts_of(good) | {"config.json": b'{"config":' + b"[" * depth + b"]" * depth + b"}"}
    with pytest.raises(RunError, match="levels"):
        network_from_bytes(archive_of(parts.items()))


@pytest.mark.parametrize("name", ["assets/x", "../model.weights.h5", "/etc/x", "model.weights.npz", "config.json"])
def test_other_parts_are_refused(good, name):
    with pytest.warns() if name == "config.json" else pytest.MonkeyPatch.context():
        content = archive_of([*parts_of(good).items(), (name, b"x")])
    with pytest.raises(RunError, match="which Penlight does not write"):
        network_from_bytes(content)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_missing_part_is_named(good, name):
    parts = parts_of(good)
    del parts[name]
    with pytest.raises(RunError, match=f"lacks {name}"):
        network_from_bytes(archive_of(parts.items()))


def test_bombs_are_refused_before_they_are_unpacked(good):
    parts = parts_of(good) | {"model.weights.h5": bytes(200 << 20)}
    content = archive_of(parts.items(), zipfile.ZIP_DEFLATED)
    assert len(content) < 1 << 20
    del parts
    tracemalloc.start()
    try:
        with pytest.raises(RunError, match="compressed"):
            network_from_bytes(content)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_a_part_that_says_it_is_larger_than_the_file_is_refused(good):
    info = zipfile.ZipFile(io.BytesIO(good)).getinfo("config.json")
    said = good.replace(info.file_size.to_bytes(4, "little") * 2, (1 << 30).to_bytes(4, "little") * 2)
    assert said != good
    with pytest.raises(RunError, match="larger than the file"):
        network_from_bytes(said)


def hdf5_with(good, change):
    """Give the file with its weights as a function of the open HDF5 file has changed them."""
    weights = io.BytesIO(parts_of(good)["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        change(file)
    return archive_of((parts_of(good) | {"model.weights.h5": weights.getvalue()}).items())


def kernel_of(file):
    group = file["layers"]["conv2d"]["vars"]
    return group, group["0"][()]


def replaced(file, **how):
    group, kernel = kernel_of(file)
    del group["0"]
    return group.create_dataset("0", **how) if how else kernel


def external_link(file):
    replaced(file)
    kernel_of_group(file)["0"] = h5py.ExternalLink("/etc/passwd", "/")


def kernel_of_group(file):
    return file["layers"]["conv2d"]["vars"]


def soft_link(file):
    replaced(file)
    kernel_of_group(file)["0"] = h5py.SoftLink("/layers")


def linked_group(file):
    del file["layers"]
    file["layers"] = h5py.ExternalLink("other.h5", "/layers")


def external_storage(file):
    replaced(file, shape=(3, 3, 1, 2), dtype="f4", external=[("/etc/passwd", 0, 72)])


def virtual(file):
    layout = h5py.VirtualLayout((3, 3, 1, 2), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 3, 1, 2))
    replaced(file)
    kernel_of_group(file).create_virtual_dataset("0", layout)


def compressed(file):
    replaced(file, data=np.zeros((3, 3, 1, 1 << 16), "f4"), compression="gzip")


def empty_space(file):
    replaced(file, shape=(3, 3, 1 << 20, 1 << 20), dtype="f4")


def strings(file):
    replaced(file, data=np.array([b"x"] * 18, object).reshape(3, 3, 1, 2), dtype=h5py.string_dtype())


def named_type(file):
    file["layers"]["kind"] = np.dtype("f4")


def circle(file):
    group = file.create_group("round")
    group["again"] = group


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (external_link, "are a link"),
        (soft_link, "are a link"),
        (linked_group, "are a link"),
        (external_storage, "lie in another file"),
        (virtual, "lie in another file"),
        (compressed, "not stored as plain numbers"),
        (empty_space, "are not in the file"),
        (strings, "not stored as plain numbers"),
        (named_type, "are a Datatype"),
        (circle, "groups without end"),
    ],
)
def test_weights_that_are_not_numbers_in_the_file_are_refused(good, change, said):
    with pytest.raises(RunError, match=said):
        network_from_bytes(hdf5_with(good, change))


def test_a_network_larger_than_its_weights_is_never_allocated(load, config, layers):
    """A dense layer of 10^9 units: 4 TB with its kernel."""
    dense = next(layer for layer in layers if layer["class_name"] == "Dense")
    dense["config"]["units"] = 10**9
    for layer in layers[layers.index(dense) :]:
        layer.pop("build_config", None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RunError, match=r"weights, and the file holds"):
        load()
    # What Keras noted of that network is not allocated when a scope is left later.
    with load_keras().StatelessScope():
        pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_maps_that_fit_no_memory_are_refused(config, layers, load):
    inputs = layers[0]["config"]
    inputs["batch_shape"] = [None, 100_000, 100_000, 1]
    for layer in layers:
        layer.pop("build_config", None)
    layers[:] = [layer for layer in layers if layer["class_name"] in ("InputLayer", "Rescaling")]
    config["config"]["output_layers"] = [layers[-1]["name"], 0, 0]
    for item in layers[1]["inbound_nodes"][0]["args"]:
        item["config"]["shape"] = inputs["batch_shape"]
    with pytest.raises(RunError, match="100000 x 100000 x 1 numbers"):
        load()


@pytest.mark.parametrize("n", [50, pytest.param(150, marks=pytest.mark.full)])
def test_mutated_configs_are_read_or_named(good, config, count, n):
    """Any value of the config is replaced by another; what Keras makes of it has a name."""
    rng = np.random.default_rng(0)
    parts = parts_of(good)
    values = [None, True, -1, 0, 3, 10**9, 10**30, 1e308, "", "x" * 500, "valid", [], {}, [[]], {"class_name": None}]
    outcomes = {"read": 0, "refused": 0}
    for _ in range(n):
        changed = copy.deepcopy(config)
        places = list(_leaves(changed))
        holder, key = places[rng.integers(len(places))]
        holder[key] = values[rng.integers(len(values))]
        content = archive_of((parts | {"config.json": json.dumps(changed).encode()}).items())
        try:
            network_from_bytes(content)
            outcomes["read"] += 1
        except RunError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > n // 15
    count("mutated configs of a .keras file, read or named", n)


def _leaves(value):
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(part, dict | list):
            yield from _leaves(part)


def test_mutated_bytes_are_read_or_named(good, count):
    rng = np.random.default_rng(1)
    for _ in range(200):
        content = bytearray(good)
        for place in rng.integers(0, len(content), rng.choice([1, 4])):
            content[place] = rng.integers(256)
        end = rng.choice([len(content), rng.integers(len(content))], p=[0.9, 0.1])
        with contextlib.suppress(RunError):
            network_from_bytes(bytes(content[:end]))
    count("mutated bytes of a .keras file, read or named", 200)


def test_weights_that_a_user_names_may_not_read_other_files(tmp_path):
    path = tmp_path / "mobilenet.h5"
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(RecipeError, match=r"mobilenet\.h5 does not hold the weights.*are a link"):
        frozen_base(Pretrained(backbone="mobilenet", weights=str(path), width=0.25, input_size=32), (28, 28, 3))


# What Penlight writes is in the list: every preset, head and backbone.


NETWORKS = [n for n in preset_names() if isinstance(load_recipe(n).model, Cnn | Residual)]
KINDS = {type(load_recipe(n).model): n for n in NETWORKS}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in KINDS.values() else pytest.mark.full) for n in NETWORKS]
)
def test_the_network_of_every_preset_is_allowed(name):
    check_config(config_of(build_network(load_recipe(name).model, TASK, (64, 64, 3), seed=0)))


NETWORKS = {
    "cnn": Cnn(filters=(2, 2), convolutions=2, normalise=True, pooling="average", block_dropout=(0.1,)),
    "small": Cnn(filters=(2,), dense=0, dropout=0.0),
    "residual": Residual(widths=(2, 4)),
}


@pytest.mark.parametrize(
    ("kind", "precision", "exposure"),
    few_pairs(NETWORKS, ["float32", "bfloat16"], ["fixed", "per-image"]),
)
def test_every_option_of_a_network_is_allowed(kind, exposure, precision):
    options = NETWORKS[kind].model_copy(update={"exposure": exposure})
    check_config(config_of(build_network(options, TASK, (28, 28, 1), 0, precision)))


@pytest.mark.parametrize(
    ("task", "kind"),
    few_pairs(TASK_EXAMPLES, NETWORKS),
    ids=lambda value: value if isinstance(value, str) else task_id(value),
)
def test_the_network_of_every_task_is_allowed(task, kind):
    check_config(config_of(build_network(NETWORKS[kind], task, (28, 28, 1), 0)))


@pytest.mark.parametrize(
    "backbone",
    [pytest.param(b, marks=() if b == "mobilenet" else pytest.mark.full) for b in sorted(APPLICATIONS)],
)
def test_every_pretrained_network_is_allowed(backbone):
    options = Pretrained(backbone=backbone, weights="random", input_size=32)
    # Of grey images, which three channels are made of.
    base = frozen_base(options, (28, 28, 1))
    check_config(config_of(joined(base, new_head(options, TASK, base.output_shape[-1], 0), backbone)))


@pytest.mark.parametrize(
    ("task", "kind"),
    few_pairs(TASK_EXAMPLES, ["temperature", "none", "isotonic"]),
    ids=lambda value: value if isinstance(value, str) else task_id(value),
)
def test_every_exported_file_is_allowed(task, kind):
    network = build_network(Cnn(filters=(2,), dense=2), task, (28, 28, 3), 0)
    images = np.random.default_rng(0).integers(0, 256, (60, 28, 28, 3)).astype(np.uint8)
    prob = task.probabilities(logits_of_network(network, images))
    calibration = UNCALIBRATED if kind == "none" else find_calibration(task, truth_for(task, 60), prob, kind)
    logits, _ = answering_keras(keras_file(network, facts(task), calibration))(images[:2])
    assert logits.shape == (2, task.n_logits)


def config_of(network):
    return json.loads(json.dumps(load_keras().saving.serialize_keras_object(network)))
