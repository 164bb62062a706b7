"""Keras networks as encoders: written as ONNX once and kept in the cache, so that Keras is not needed again.

A file of weights is read into the network of `keras.applications` that it is of, by name, without its top, and gets
the scaling of pixels that it was trained with. A whole network in a .keras file is built as a stranger's is.
"""

import hashlib
import inspect
import io
import itertools
import re
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from penlight import __version__, disk
from penlight.data.folders import private_cache_folder
from penlight.errors import EncoderError, ExportError, MissingExtraError, PenlightError, first_line, is_out_of_memory
from penlight.models.backend import graph_of, load_keras
from penlight.models.graph import IMAGE, Graph
from penlight.models.keras_files import WEIGHTS, check_weights_file, network_from_bytes
from penlight.models.layers import network_nodes
from penlight.models.pretrained import scale_of

_LARGEST = 1 << 31
_SIDE = 224
_VERSION = 1
"""Goes up when other nodes are written for the same file."""

_FLOAT = 1

_FIXED = {"NASNetLarge": 331, "NASNetMobile": 224}
"""Sides in pixels of networks that cannot take images of others."""

_VARIANTS = {"alpha": (1.0, 0.75, 0.5, 0.25, 0.35, 1.3, 1.4), "minimalistic": (False, True)}
"""Options that give a network of the same name other weights."""


def keras_as_onnx(path: Path, network: str = "") -> tuple[Path, str]:
    """Give a Keras file as an ONNX encoder in the cache, converted if that is not there, and its own SHA-256.

    `network` names the one of `keras.applications` that a file of weights is of; where it is not given, the name of
    the file says it, as those of Keras' own files do. EncoderError for a file that cannot be used, MissingExtraError
    if Keras is not installed.
    """
    try:
        content = disk.read_named(path, _LARGEST)
    except OSError as error:
        raise EncoderError(f"{path} cannot be read: {error.strerror or error}.", "Check the path.") from error
    own = hashlib.sha256(content)
    key = hashlib.sha256(f"{_VERSION} {network} ".encode() + own.digest()).hexdigest()[:16]
    kept = private_cache_folder("encoders") / f"{path.name.removesuffix(path.suffix)}-{key}.onnx"
    if not kept.is_file():
        made = _converted(content, path, network)
        with disk.writing_whole(kept, private=True) as file:
            file.write(made)
    return kept, own.hexdigest()


def _converted(content: bytes, path: Path, network: str) -> bytes:
    try:
        with warnings.catch_warnings():
            # What Keras warns of while it reads the wrong file, the error says.
            warnings.simplefilter("ignore")
            whole = path.suffix == ".keras" and not network
            return _written(*(_of_user(content, path) if whole else _application(content, path, network)))
    except Exception as error:  # Keras, HDF5 and the backend have errors of their own
        if isinstance(error, MissingExtraError | EncoderError) or is_out_of_memory(error):
            raise
        problem = error.problem if isinstance(error, PenlightError) else f"{first_line(error)}."
        remedy = error.remedy if isinstance(error, ExportError) else "Name its network with --set model.network=NAME."
        raise EncoderError(f"{path.name} cannot be made an encoder: {problem}", remedy) from error


def _written(network: Any, source: str, scaled: bool) -> bytes:
    """Write a network, from images to features; where it is `scaled` pixels are from 0 to 255, else nobody says."""
    _, height, width, channels = network.input_shape
    graph = Graph((height or _SIDE, width or _SIDE, channels), free=not height)
    features = network_nodes(graph, network, graph.pixels())
    if len(features.shape) == 3:
        features = graph.channels_first(features)
    made = graph.model({"output": features}, __version__, {"source": source})
    made.producer_name = "keras"
    if not scaled:
        next(each for each in made.graph.input if each.name == IMAGE).type.tensor_type.elem_type = _FLOAT
    written: bytes = made.SerializeToString(deterministic=True)
    return written


def _of_user(content: bytes, path: Path) -> tuple[Any, str, bool]:
    network = graph_of(network_from_bytes(content, elsewhere=True))
    if len(network.inputs) != 1 or len(network.outputs) != 1 or len(network.inputs[0].shape) != 4:
        raise EncoderError(f"{path.name} is no network from images to numbers.", "Save the part that is.")
    return network, path.name, False


def _application(content: bytes, path: Path, name: str) -> tuple[Any, str, bool]:
    keras = load_keras()
    applications = keras.applications
    names = [each for each in dir(applications) if each[0].isupper()]
    by_text = {_plain(each): each for each in names}
    if not name:
        there = [text for text in by_text if text in _plain(path.name)]
        if not there:
            raise EncoderError(
                f"{path.name} holds weights, and nothing says of which network.",
                "Name one of keras.applications with --set model.network=NAME, such as MobileNetV2.",
            )
        name = by_text[max(there, key=len)]
    if _plain(name) not in by_text:
        raise EncoderError(f"keras.applications has no network {name}.", f"It has {', '.join(names)}.")
    name = by_text[_plain(name)]
    with tempfile.TemporaryDirectory() as folder:
        # By the ending Keras knows which of its formats it is.
        new = path.name.endswith((".weights.h5", ".keras"))
        file = Path(folder) / ("own.weights.h5" if new else "own.h5")
        if path.suffix == ".keras":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = archive.read(WEIGHTS)
        file.write_bytes(content)
        check_weights_file(file)
        body, options = _with_weights(getattr(applications, name), file, name, path)
    images = keras.Input(body.input_shape[1:], name="image")
    scale = scale_of(name)
    said = "".join(f", {key} {value}" for key, value in options.items())
    return keras.Model(images, body(scale(images))), f"{name} of keras.applications{said}, {path.name}", True


def _with_weights(build: Callable[..., Any], file: Path, name: str, path: Path) -> tuple[Any, dict[str, Any]]:
    """Build a network without its top, with the weights of a file that may have the top too."""
    first: Exception | None = None
    side = _FIXED.get(name)
    headless = {"include_top": False, "pooling": "avg", "input_shape": (side, side, 3)}
    known = {key: values for key, values in _VARIANTS.items() if key in inspect.signature(build).parameters}
    for chosen in itertools.product(*known.values()):
        options = dict(zip(known, chosen, strict=True))
        for top in (False, True):
            try:
                network = build(weights=None, **({} if top else headless), **options)
                network.load_weights(file)
            except (ValueError, KeyError, OSError) as error:
                first = first or error
                continue
            body = build(weights=None, **headless, **options) if top else network
            for layer, own in zip(body.layers[1:], network.layers[1:], strict=False) if top else ():
                if own.weights:
                    layer.set_weights(own.get_weights())
            _correct_scale(body)
            return body, {key: value for key, value in options.items() if value != _VARIANTS[key][0]}
    raise EncoderError(
        f"{path.name} does not hold weights of {name}: {first_line(first) if first else ''}.",
        "Name the network that it is of with --set model.network=NAME.",
    )


def _correct_scale(body: Any) -> None:
    """Have EfficientNet divide by ImageNet's standard deviation, which its weights call a variance; Keras mends it
    only where it fetches them itself."""
    deviation = np.array([0.229, 0.224, 0.225])
    for layer in body.layers:
        if type(layer).__name__ == "Normalization" and layer.built:
            variance = np.asarray(layer.variance).reshape(-1)
            if variance.shape == (3,) and np.allclose(variance, deviation, atol=1e-3):
                layer.variance = np.asarray(layer.variance) ** 2


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
