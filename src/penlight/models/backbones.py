"""Networks from pixels to features, in one table keyed by the recipe's `model.backbone`."""

from collections.abc import Callable
from typing import Any

from penlight.models.backend import load_keras
from penlight.models.heads import HEADS
from penlight.recipes import Cnn, Network
from penlight.tasks import Task

Tensor = Any


def build_network(options: Network, task: Task, shape: tuple[int, int, int], seed: int) -> Any:
    """Build a `keras.Model` from images (B, H, W, C), 0 to 255, to logits (B, K); its weights come from the seed.

    Scaling is inside, so that training and use cannot differ.
    """
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    images = keras.Input(shape, name="image")
    features = BACKBONES[options.backbone](images, options)
    return keras.Model(images, HEADS[task.head].layers(features, task), name=options.backbone)


def _cnn(images: Tensor, options: Cnn) -> Tensor:
    """Blocks of convolution (3 x 3), batch normalisation where asked, ReLU, max-pooling; then a dense layer."""
    layers = load_keras().layers
    x = layers.Rescaling(1 / 255)(images)
    dropouts = _per_block(options.block_dropout, len(options.filters))
    for filters, dropout in zip(options.filters, dropouts, strict=True):
        for _ in range(options.convolutions):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=not options.normalise)(x)
            x = layers.BatchNormalization()(x) if options.normalise else x
            x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(dropout)(x) if dropout else x
    x = layers.Flatten()(x) if options.pooling == "flatten" else layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(options.dense, activation="relu")(x) if options.dense else x
    return layers.Dropout(options.dropout)(x) if options.dropout else x


def _per_block(rates: tuple[float, ...], blocks: int) -> tuple[float, ...]:
    """One rate per block: the last one given holds for the blocks after it."""
    given = rates[:blocks] or (0.0,)
    return given + given[-1:] * (blocks - len(given))


BACKBONES: dict[str, Callable[[Tensor, Any], Tensor]] = {"cnn": _cnn}
