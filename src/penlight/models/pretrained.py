"""Networks of `keras.applications` with ImageNet weights: a base from pixels to features, and a new head.

Resizing, the third channel of grey images and each network's own scaling are inside the base, so that training and
use cannot differ.
"""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from penlight.errors import DownloadError, RecipeError, RunError, first_line
from penlight.models.backend import load_keras
from penlight.models.heads import find_head
from penlight.models.keras_files import check_weights_file
from penlight.recipes import Pretrained
from penlight.runs.encoders import find_weights
from penlight.tasks import Task

Tensor = Any

SMALLEST_INPUT = 32
"""The side in pixels below which no network of `keras.applications` can be built."""


def _blue_first(x: Tensor) -> Tensor:
    """Turn channels round and take ImageNet's mean away, as the original ResNet did."""
    keras = load_keras()
    return keras.layers.Rescaling(1.0, offset=[-103.939, -116.779, -123.68])(keras.ops.flip(x, axis=-1))


def _standardised(x: Tensor) -> Tensor:
    """Take ImageNet's mean away and divide by its standard deviation, channel by channel."""
    mean, spread = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    scale = [1 / (255 * s) for s in spread]
    return load_keras().layers.Rescaling(scale, offset=[-m / s for m, s in zip(mean, spread, strict=True)])(x)


def _plus_minus_one(x: Tensor) -> Tensor:
    """Bring pixels to -1 to 1."""
    return load_keras().layers.Rescaling(1 / 127.5, offset=-1.0)(x)


# How each family wants pixels from 0 to 255, by the beginning of its name, the longest that fits.
_SCALES: dict[str, Callable[[Tensor], Tensor]] = {
    "ConvNeXt": lambda x: x,
    "DenseNet": _standardised,
    "EfficientNet": lambda x: x,
    "Inception": _plus_minus_one,
    "MobileNet": _plus_minus_one,
    "MobileNetV3": lambda x: x,
    "NASNet": _plus_minus_one,
    "ResNet": _blue_first,
    "ResNet101V2": _plus_minus_one,
    "ResNet152V2": _plus_minus_one,
    "ResNet50V2": _plus_minus_one,
    "VGG": _blue_first,
    "Xception": _plus_minus_one,
}


def scale_of(name: str) -> Callable[[Tensor], Tensor]:
    """Give what brings pixels from 0 to 255 to what a network of `keras.applications` was trained with."""
    return _SCALES[max((family for family in _SCALES if name.startswith(family)), key=len)]


@dataclass(frozen=True)
class _Application:
    """The class in `keras.applications`, and the name of its ImageNet weights.

    The name may hold the `width` and the `side` that the weights were trained at; `sides` are those there are, and
    224 serves the others.
    """

    name: str
    file: str
    sides: tuple[int, ...] = ()

    def weights_file(self, options: Pretrained) -> str:
        """Give the name of the file that Keras reads, or fetches, for these options."""
        side = options.input_size if options.input_size in self.sides else 224
        return self.file.format(width=_WIDTHS.get(options.width, "1_0"), side=side)


_WIDTHS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}

APPLICATIONS: dict[str, _Application] = {
    "mobilenet": _Application("MobileNet", "mobilenet_{width}_{side}_tf_no_top.h5", (128, 160, 192, 224)),
    "mobilenetv2": _Application(
        "MobileNetV2",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{side}_no_top.h5",
        (96, 128, 160, 192, 224),
    ),
    "resnet50": _Application("ResNet50", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    "efficientnetv2b0": _Application("EfficientNetV2B0", "efficientnetv2-b0_notop.h5"),
    "densenet121": _Application("DenseNet121", "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"),
}


def frozen_base(options: Pretrained, shape: tuple[int, int, int]) -> Any:
    """Build the frozen base, from images (B, H, W, C), 0 to 255, to features (B, F).

    DownloadError if ImageNet weights can neither be found nor fetched; RecipeError if a file holds other weights, if
    the images are too small, or if more layers are to be trained than there are.
    """
    keras = load_keras()
    application = APPLICATIONS[options.backbone]
    side = options.side_of(shape[0])
    if side < SMALLEST_INPUT:
        raise RecipeError(
            f"{options.backbone} takes images of {SMALLEST_INPUT} pixels or more; the dataset's have {side}.",
            "Have them resized, as by --set model.input_size=64, or choose a larger size of the dataset.",
        )
    known: dict[str, Any] = {"include_top": False, "pooling": "avg", "input_shape": (side, side, 3)}
    if options.backbone == "mobilenet":
        known["alpha"] = options.width
    body = _with_weights(getattr(keras.applications, application.name), known, options)
    if (layers := options.fine_tune.layers) != "all" and layers > len(body.layers):
        raise RecipeError(
            f"{options.backbone} has {len(body.layers)} layers; model.fine_tune.layers is {layers}.",
            "Give fewer, or all of them: --set model.fine_tune.layers=all",
        )
    body.trainable = False
    images = keras.Input(shape, name="image", dtype="float32")
    x = images if shape[-1] == 3 else keras.layers.Concatenate()([images] * 3)
    x = keras.layers.Resizing(side, side)(x)
    return keras.Model(images, body(scale_of(application.name)(x)), name="base")


def new_head(options: Pretrained, task: Task, n_features: int, seed: int) -> Any:
    """Build the head, from features (B, F) to logits (B, K); its weights come from the seed."""
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    features = keras.Input((n_features,), name="features")
    x = keras.layers.Dense(options.dense, activation="relu")(features) if options.dense else features
    x = keras.layers.Dropout(options.dropout)(x) if options.dropout else x
    return keras.Model(features, find_head(task.head).layers(x, task), name="head")


def joined(base: Any, head: Any, name: str) -> Any:
    """Put base and head together: images to logits, with the weights they have."""
    keras = load_keras()
    images = keras.Input(base.input_shape[1:], name="image", dtype="float32")
    return keras.Model(images, head(base(images)), name=name)


def stages_of(base: Any, layers: int | Literal["all"]) -> list[list[Any]]:
    """Give those of the last `layers` of a base that have weights by the size of their maps, the stage nearest to the
    head first."""
    body = _body(base)
    chosen = body.layers if layers == "all" else body.layers[len(body.layers) - layers :]
    stages: dict[int, list[Any]] = {}
    side = 0
    for layer in reversed(chosen):
        if layer.weights:
            # Maps grow towards the image; those of squeeze and excitation, of one pixel, stay where they are.
            side = max(side, layer.output.shape[1])
            stages.setdefault(side, []).append(layer)
    return list(stages.values())


def thaw(base: Any, stages: Sequence[Sequence[Any]]) -> None:
    """Make stages of the base trainable; batch normalisation stays frozen, and so keeps its statistics."""
    body, opened = _body(base), {id(layer) for stage in stages for layer in stage}
    body.trainable = True
    for layer in body.layers:
        layer.trainable = id(layer) in opened and not isinstance(layer, load_keras().layers.BatchNormalization)


def _body(base: Any) -> Any:
    """Find the network of `keras.applications` in a base."""
    return next(layer for layer in base.layers if isinstance(layer, load_keras().Model))


def _with_weights(build: Callable[..., Any], known: dict[str, Any], options: Pretrained) -> Any:
    if options.weights == "random":
        return build(weights=None, **known)
    if options.weights != "imagenet":
        return _from_file(build, known, options, find_weights(options.weights))
    # Where the command has Keras keep its files elsewhere, ImageNet weights may still be in ~/.keras/models.
    path = Path.home() / ".keras" / "models" / APPLICATIONS[options.backbone].weights_file(options)
    if "KERAS_HOME" in os.environ and path.is_file():
        return _from_file(build, known, options, path)
    return _downloaded(build, known, options)


def _from_file(build: Callable[..., Any], known: dict[str, Any], options: Pretrained, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # What Keras warns of while it reads the wrong file, the error below says.
            warnings.simplefilter("ignore")
            check_weights_file(path)
            return build(weights=str(path), **known)
    except (ValueError, OSError, KeyError, RuntimeError, RunError) as error:
        raise RecipeError(
            f"{path} does not hold the weights of {options.backbone}"
            + (f" at width {options.width:g}" if options.backbone == "mobilenet" else "")
            + f": {first_line(error)}.",
            "Give the file of this network, without its top layer.",
        ) from error


def _downloaded(build: Callable[..., Any], known: dict[str, Any], options: Pretrained) -> Any:
    try:
        # Keras says on standard output that it fetches, where a program may be reading JSON.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            # That these weights were trained at another size is what resizing is about.
            warnings.simplefilter("ignore")
            return build(weights="imagenet", **known)
    except Exception as error:  # Keras raises a bare Exception where its download fails
        if isinstance(error, ValueError):
            raise RecipeError(
                f"{options.backbone} has no ImageNet weights for these options: {first_line(error)}.",
                "Choose others, or give a file with --set model.weights=PATH.",
            ) from error
        raise DownloadError(
            f"The ImageNet weights of {options.backbone} are not here and could not be fetched.",
            f"Put {APPLICATIONS[options.backbone].weights_file(options)} into ~/.keras/models, or give a file with "
            "--set model.weights=PATH.",
        ) from error
