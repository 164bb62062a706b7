"""Networks from pixels to features, in one table keyed by the recipe's `model.backbone`."""

from collections.abc import Callable
from typing import Any

from penlight.errors import RecipeError
from penlight.models.backend import load_keras
from penlight.models.heads import find_head
from penlight.recipes import Cnn, Residual, Scratch
from penlight.tasks import Task

Tensor = Any


def build_network(
    options: Scratch, task: Task, shape: tuple[int, int, int], seed: int, precision: str = "float32"
) -> Any:
    """Build a `keras.Model` from images (B, H, W, C), 0 to 255, to logits (B, K); its weights come from the seed.

    Scaling is inside, so that training and use cannot differ. With `precision` "bfloat16" the products are computed
    so, while weights and logits are float32.
    """
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        images = keras.Input(shape, name="image", dtype="float32")
        features = BACKBONES[options.backbone](images, options)
        return keras.Model(images, find_head(task.head).layers(features, task), name=options.backbone)
    finally:
        keras.config.set_dtype_policy(before)


def _scaled(images: Tensor, exposure: str) -> Tensor:
    """Bring pixels to about unit size, by the full range or by each image's own mean and standard deviation."""
    keras = load_keras()
    if exposure == "fixed":
        return keras.layers.Rescaling(1 / 255)(images)
    mean = keras.ops.mean(images, axis=(1, 2, 3), keepdims=True)
    spread = keras.ops.std(images, axis=(1, 2, 3), keepdims=True)
    return (images - mean) / (spread + 1.0)


def _cnn(images: Tensor, options: Cnn) -> Tensor:
    """Blocks of convolution (3 x 3), batch normalisation where asked, ReLU, max-pooling; then a dense layer."""
    layers = load_keras().layers
    side, blocks = min(images.shape[1:3]), len(options.filters)
    if blocks > (most := side.bit_length() - 1):
        raise RecipeError(
            f"model.filters has {blocks} blocks, each of which halves the image; {side} pixels can be halved {most} "
            "times.",
            "Give fewer filters, or larger images with --size.",
        )
    x = _scaled(images, options.exposure)
    rates = options.block_dropout[:blocks] or (0.0,)
    # The last rate that is given holds for the blocks after it.
    for filters, dropout in zip(options.filters, rates + rates[-1:] * (blocks - len(rates)), strict=True):
        for _ in range(options.convolutions):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=not options.normalise)(x)
            x = layers.BatchNormalization()(x) if options.normalise else x
            x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(dropout)(x) if dropout else x
    x = layers.Flatten()(x) if options.pooling == "flatten" else layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(options.dense, activation="relu")(x) if options.dense else x
    return layers.Dropout(options.dropout)(x) if options.dropout else x


def _residual(images: Tensor, options: Residual) -> Tensor:
    """Pre-activation residual blocks (He et al., Identity Mappings in Deep Residual Networks, 2016).

    The stem halves the image at once: most of a small network's time would go into its first, full-size maps, and a
    28-pixel film tells little more there.
    """
    layers = load_keras().layers
    x = _scaled(images, options.exposure)
    x = layers.Conv2D(options.widths[0], 5, strides=2, padding="same", use_bias=False)(x)
    for stage, width in enumerate(options.widths):
        for block in range(options.blocks):
            x = _residual_block(x, width, stride=2 if stage and not block else 1)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dropout(options.dropout)(x) if options.dropout else x


def _residual_block(x: Tensor, width: int, stride: int) -> Tensor:
    layers = load_keras().layers
    active = layers.ReLU()(layers.BatchNormalization()(x))
    if stride > 1 or x.shape[-1] != width:
        # The same as a 1 x 1 convolution with a stride, which oneDNN computes for fewer than 16 channels by reading
        # beyond its arrays: on large images the process ends there.
        every = layers.MaxPooling2D(1, strides=stride)(active) if stride > 1 else active
        x = layers.Conv2D(width, 1, use_bias=False)(every)
    active = layers.Conv2D(width, 3, strides=stride, padding="same", use_bias=False)(active)
    active = layers.ReLU()(layers.BatchNormalization()(active))
    return layers.Add()([x, layers.Conv2D(width, 3, padding="same", use_bias=False)(active)])


BACKBONES: dict[str, Callable[[Tensor, Any], Tensor]] = {"cnn": _cnn, "residual": _residual}
