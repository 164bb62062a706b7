"""Networks as .keras files: written without a trace of when, and checked before Keras and HDF5 build anything of one.

A run may come from a stranger. Keras' safe mode refuses marshalled Python code, and still calls any function of Keras
that the file names, imports modules and registered classes, and makes arrays as large as the file says. Here a file
is Penlight's own kind of network or it is refused: classes and activations are from a list, and weights lie in the
file itself.
"""

import io
import math
import tempfile
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penlight.errors import PenlightError, RunError, first_line, is_out_of_memory
from penlight.models.backend import graph_of, load_keras
from penlight.parsing import parse_json_object
from penlight.runs import RunFolder

TRAINING_LAYERS: set[str] = {
    "GaussianDropout", "GaussianNoise", "RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation",
    "RandomTranslation", "RandomZoom", "SpatialDropout2D",
}  # fmt: skip
"""Layers that users' networks have, and that do something in training alone."""

LAYERS = {
    "Activation", "Add", "Average", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv2D", "Dense",
    "DepthwiseConv2D", "Dropout", "ELU", "Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D",
    "GroupNormalization", "InputLayer", "LayerNormalization", "LeakyReLU", "MaxPooling2D", "Maximum", "Multiply",
    "Normalization", "PReLU", "ReLU", "Rescaling", "Reshape", "Resizing", "SeparableConv2D", "Softmax", "Subtract",
    "UpSampling2D", "ZeroPadding2D", *TRAINING_LAYERS,
}  # fmt: skip
"""Layers of Penlight's networks, of the bodies from `keras.applications`, and of users' networks."""

OPERATIONS = {
    "core": {"Cast"},
    "nn": {"Relu", "Sigmoid", "Softmax", "Softplus"},
    "numpy": {
        "Add", "Concatenate", "Cumsum", "Exp", "Flip", "GetItem", "Log", "Matmul", "Maximum", "Mean", "Minimum",
        "Multiply", "Negative", "Std", "Subtract", "Tanh", "TrueDivide",
    },
}  # fmt: skip
"""Operations of `keras.ops` between layers: exposure, cumulative heads, and the calibration of an exported file."""

INITIALIZERS = {
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Ones",
    "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros",
}  # fmt: skip

CLASSES = frozenset(
    [
        ("keras", "DTypePolicy"),
        ("keras.src.models.functional", "Functional"),
        # Inside a network; what is read is a functional one.
        ("keras", "Sequential"),
        *(("keras.regularizers", name) for name in ("L1", "L1L2", "L2")),
        *(("keras.layers", name) for name in LAYERS),
        *(("keras.initializers", name) for name in INITIALIZERS),
        *((f"keras.src.ops.{module}", name) for module, names in OPERATIONS.items() for name in names),
        # How Keras writes values that JSON has not.
        *((None, name) for name in ("__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__")),
    ]
)
"""Pairs of `module` and `class_name` that a network's config may name."""

FUNCTIONS = {"elu", "gelu", "leaky_relu", "linear", "relu", "selu", "sigmoid", "silu", "softmax", "softplus", "tanh"}
"""Activations, which a config gives by name alone."""

DTYPES = {"bfloat16", "bool", "float16", "float32", "float64", "int32", "int64", "mixed_bfloat16", "uint8", "uint32"}
"""Types of numbers, and policies for them; Keras has others, as those of quantised layers."""

LARGEST_CONFIG = 8 << 20
"""Bytes of a network's config; DenseNet121, the longest here, has 0.4 MB."""

LARGEST_MAPS = 1 << 28
"""Numbers that one layer may give for one image: 64 maps of 2048 x 2048 pixels."""

NETWORK = "model.keras"
"""The file of a run with its network."""

_CONFIG, WEIGHTS = "config.json", "model.weights.h5"
_FUNCTION_KEYS = ("activation", "_initializer", "_regularizer", "_constraint")
_MEMBERS = {_CONFIG, WEIGHTS, "metadata.json", "penlight.json"}
_DEEPEST_GROUP, _MOST_OBJECTS = 40, 100_000


@dataclass(frozen=True)
class Archive:
    """The parts of a .keras file that passed: the config to build a network from, the HDF5 file of its weights, and
    how many numbers that file holds."""

    config: dict[str, Any]
    weights: bytes
    n_weights: int


def open_archive(content: bytes, allowed: Collection[str] = (), *, elsewhere: bool = False) -> Archive:
    """Check a .keras file. RunError says what in it is refused, and zipfile.BadZipFile or OSError that it is damaged.
    One that Keras wrote `elsewhere` may also be sequential and say how it was compiled, which is not read.

    `allowed` names further classes, as "module.ClassName", or as "package>Name" where they are registered with Keras:
    those of a builder that the user of this machine has named.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if strange := set(names) - _MEMBERS or {name for name in names if names.count(name) > 1}:
            raise refused(f"it holds {_some(strange)}, which Penlight does not write")
        if missing := {_CONFIG, WEIGHTS} - set(names):
            raise refused(f"it lacks {_some(missing)}")
        # Keras stores members as they are, so that none can be larger than the file.
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise refused("its parts are compressed, which Keras does not do")
        if sum(member.file_size for member in members) > len(content):
            raise refused("its parts say that they are larger than the file")
        config, weights = archive.read(_CONFIG), archive.read(WEIGHTS)
    values = parse_json_object(config, "The network's config", _REMEDY, error=RunError, largest=LARGEST_CONFIG)
    if elsewhere:
        values["compile_config"] = None
    check_config(values, allowed, (_FUNCTIONAL, _SEQUENTIAL) if elsewhere else (_FUNCTIONAL,))
    return Archive({**values, "compile_config": None}, weights, check_hdf5(weights))


_FUNCTIONAL, _SEQUENTIAL = ("keras.src.models.functional", "Functional"), ("keras", "Sequential")


def check_config(
    config: dict[str, Any], allowed: Collection[str] = (), kinds: Collection[tuple[str, str]] = (_FUNCTIONAL,)
) -> None:
    """Check the config of a network, as Keras writes it: each object in it is of an allowed class, and the network of
    one of the `kinds`. RunError else."""
    if (config.get("module"), config.get("class_name")) not in kinds:
        raise refused("it is no functional Keras network")
    for item in _objects(config):
        if "class_name" in item:
            _check_class(item, allowed)
        if item.get("compile_config"):
            raise refused("it says how it was compiled, which Penlight does not write")
        _check_names(item, allowed)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Give every object in parsed JSON; `parse_json` has bounded how deep it goes."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _objects(part)


def _check_class(item: dict[str, Any], allowed: Collection[str]) -> None:
    module, name, registered = item.get("module"), item["class_name"], item.get("registered_name")
    # Where a class is registered under that name in this process, Keras takes it, whatever the module says.
    if registered not in (None, name):
        if registered not in allowed:
            raise refused(f"it names the registered class '{_short(registered)}', which Penlight does not write")
    elif not (isinstance(name, str) and isinstance(module, str | None)):
        raise refused(f"it names a class by {_short(name)}")
    elif (module, name) not in CLASSES and f"{module}.{name}" not in allowed:
        raise refused(f"it names {_short(module)}.{_short(name)}, which Penlight does not write")
    # Without its config Keras takes an object for an older form, and looks its class up elsewhere.
    if not isinstance(item.get("config"), dict):
        raise refused(f"its {_short(name)} has no config")
    if name == "DTypePolicy" and item["config"].get("name") not in DTYPES:
        raise refused(f"it computes in {_short(item['config'].get('name'))}")


def _check_names(item: dict[str, Any], allowed: Collection[str]) -> None:
    """Check what an object names by a string alone: functions, and types of numbers."""
    for key, value in item.items():
        known = DTYPES if key == "dtype" else FUNCTIONS if key.endswith(_FUNCTION_KEYS) else None
        if known is not None and isinstance(value, str) and value not in known and value not in allowed:
            raise refused(f"its {_short(key)} is '{_short(value)}', which Penlight does not write")


def check_hdf5(content: bytes) -> int:
    """Check a file of weights and count its numbers. RunError for links into other files, for storage outside it, and
    for arrays that are not numbers lying in it as they are; OSError or another error of h5py if it is damaged."""
    import h5py

    n_bytes = n_numbers = 0
    with h5py.File(io.BytesIO(content), "r") as file:
        for name, array in hdf5_arrays(file):
            stored = array.id.get_create_plist().get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
            if array.dtype.kind not in "biuf" or array.shape is None or not stored:
                raise refused(f"its weights {_short(name)} are not stored as plain numbers")
            if array.id.get_storage_size() != array.nbytes:
                raise refused(f"its weights {_short(name)} are not in the file")
            n_bytes, n_numbers = n_bytes + array.nbytes, n_numbers + array.size
            if n_bytes > len(content):
                raise refused("its weights say that they are larger than the file")
    return n_numbers


def check_weights_file(path: Path) -> None:
    """Check that an HDF5 file reads no other file. RunError if it does, OSError if it is no HDF5 file."""
    import h5py

    with h5py.File(path, "r") as file:
        for _ in hdf5_arrays(file):
            pass


def hdf5_arrays(file: Any) -> Iterator[tuple[str, Any]]:
    """Give the arrays of an open HDF5 file with their paths. RunError for anything by which HDF5 reads other files:
    soft and external links, external storage, virtual datasets; and for groups without end."""
    import h5py

    seen = 0
    groups = [("", file, 0)]
    while groups:
        path, group, depth = groups.pop()
        for name in group:
            seen += 1
            inner = f"{path}/{name}"
            if seen > _MOST_OBJECTS or depth > _DEEPEST_GROUP:
                raise refused("its weights have groups without end")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise refused(f"its weights {_short(inner)} are a link")
            item = group[name]
            if isinstance(item, h5py.Group):
                groups.append((inner, item, depth + 1))
            elif not isinstance(item, h5py.Dataset):
                raise refused(f"its weights {_short(inner)} are a {type(item).__name__}")
            elif item.external or item.is_virtual:
                raise refused(f"its weights {_short(inner)} lie in another file")
            else:
                yield inner, item


_REMEDY = "Repeat the run, or get it from its author again."


def refused(reason: str) -> RunError:
    """Give the error for a network that is not built; `reason` ends a sentence."""
    return RunError(f"The network is refused: {reason}.", _REMEDY)


def _some(names: Collection[str]) -> str:
    return " and ".join(_short(name) for name in sorted(names)[:2])


def _short(value: object) -> str:
    """Give a name out of a file for a message: of one line, and not long."""
    text = ascii(value)[1:-1] if isinstance(value, str) else ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def network_bytes(network: Any) -> bytes:
    """Give a network as a .keras file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        network.save(path)
        return path.read_bytes()


def network_from_bytes(content: bytes, allowed: Collection[str] = (), *, elsewhere: bool = False) -> Any:
    """Build a network from a .keras file that may come from a stranger. No code in it is run, no class outside
    `CLASSES` and `allowed` is made, and no array is larger than the file. `elsewhere` as in `open_archive`. RunError
    if it is damaged, or holds anything else."""
    try:
        archive = open_archive(content, allowed, elsewhere=elsewhere)
        network = _built(archive)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.weights.h5"
            path.write_bytes(archive.weights)
            network.load_weights(path)
    except Exception as error:
        # Keras, HDF5 and the backend each have errors of their own for bytes that make no sense.
        if isinstance(error, PenlightError) or is_out_of_memory(error):
            raise
        raise RunError(f"The network cannot be read: {first_line(error)}.", "Repeat the run.") from error
    return network


def network_of(run: RunFolder) -> Any:
    """Build the network of a run as `network_from_bytes` does. RunError too where it has layers of the user's own,
    which only the user's code can build."""
    content, model = run.read(NETWORK), run.recipe.model
    try:
        return network_from_bytes(content)
    except RunError as error:
        if model.backbone != "own":
            raise
        raise RunError(
            f"The network of {run.path} cannot be built from its files, which run no code: {_reason(error)}.",
            f"Build it by your own code, {model.name}, and call model.load_weights('{run.path / NETWORK}').",
        ) from error


def _reason(error: RunError) -> str:
    return error.problem.partition(": ")[2].rstrip(".") or first_line(error)


def _built(archive: Archive) -> Any:
    """Build the network of a config, with its weights not yet read."""
    keras = load_keras()
    # In this scope variables have a shape and no memory yet, until it is left.
    with keras.StatelessScope(initialize_variables=False) as scope:
        try:
            network = keras.saving.deserialize_keras_object(archive.config, safe_mode=True)
            _require_small(network, archive.n_weights)
        except BaseException:
            from keras.src.backend.common import global_state

            # Keras would allocate the variables of the refused network when a scope is next left.
            global_state.set_global_attribute("uninitialized_variables", [])
            raise
        scope.initialize_variables = True
    return network


def _require_small(network: Any, n_weights: int) -> None:
    n_needed = sum(math.prod(variable.shape) for variable in network.weights)
    if n_needed > n_weights:
        raise refused(f"it has {n_needed:,} weights, and the file holds {n_weights:,}")
    for shape in _output_shapes(network):
        if math.prod(side or 1 for side in shape) > LARGEST_MAPS:
            raise refused(f"a layer gives {' x '.join(map(str, shape[1:]))} numbers for an image")


def _output_shapes(network: Any) -> Iterator[tuple[int | None, ...]]:
    for operation in graph_of(network).operations:
        for node in operation._inbound_nodes:
            yield from (tensor.shape for tensor in node.outputs)
        if (inner := graph_of(operation)) is not None:
            yield from _output_shapes(inner)
