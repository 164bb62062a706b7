"""Models of every kind with weights that make a difference, and what their files say."""

import functools

import numpy as np

from penlight.data import apply_view
from penlight.models import BASELINES, load_keras
from penlight.models.backbones import build_network
from penlight.models.pretrained import frozen_base, joined, new_head
from penlight.recipes import Cnn, Linear, Majority, Pretrained, Residual
from penlight.runs import ModelFacts
from tests.conftest import logits_of_network, small_dataset

CNN = Cnn(filters=(4, 8), dense=8, exposure="per-image", normalise=True)
MODELS = {
    "cnn": CNN,
    "cnn-plain": Cnn(filters=(4,), dense=0, pooling="average", dropout=0.0),
    "residual": Residual(widths=(4, 8)),
    "linear": Linear(components=5),
    "majority": Majority(),
    "mobilenet": Pretrained(backbone="mobilenet", weights="random", width=0.25, input_size=32, dense=8),
}


def facts(task, *, size=28, channels=3, thresholds=None):
    return ModelFacts(task, size, channels, "small", "native", "none", thresholds, "a backbone", "0a1b", 3, "ff")


def pixels(n, size=28, channels=3, seed=1):
    """Images of a few large squares: of mere noise all means are alike, and a network sees only rounding."""
    few = np.random.default_rng(seed).integers(0, 256, (n, 4, 4, channels), dtype=np.uint8)
    side = -(-size // 4)
    return few.repeat(side, axis=1).repeat(side, axis=2)[:, :size, :size]


def alive(network, images):
    """Give batch normalisation the statistics of some images, and scale the head until logits differ by 2: of random
    weights alone those of a deep network are all the same."""
    for part in _parts(network):
        part.trainable = True
        for layer in part.layers:
            if isinstance(layer, load_keras().layers.BatchNormalization):
                layer.trainable, layer.momentum = True, 0.0
    network(images.astype(np.float32), training=True)
    spread = np.ptp(logits_of_network(network, images), axis=0).max()
    *others, kernel, bias = network.get_weights()
    network.set_weights([*others, kernel * (2 / spread), bias])
    return network


def unsureness(network, images):
    """Give the largest change of a logit when each pixel changes by a millionth: what rounding does to the network.

    It is small in trained networks, not in deep ones with the statistics of a few images.
    """
    floats = images.astype(np.float32)
    return np.abs(logits_of_network(network, floats * (1 + 1e-6)) - logits_of_network(network, floats)).max()


def _parts(network):
    inner = [layer for layer in network.layers if isinstance(layer, load_keras().Model)]
    return [network, *(part for layer in inner for part in _parts(layer))]


def pretrained(options, task, size, channels):
    base = frozen_base(options, (size, size, channels))
    return joined(base, new_head(options, task, base.output_shape[-1], seed=0), options.backbone)


def fitted(name, task):
    """Give a model of the table for a task, a function from images to its logits, and how unsure rounding makes it
    on the images of the tests."""
    options = MODELS[name]
    if name in BASELINES:
        train = apply_view(small_dataset(task)).splits["train"]
        model = BASELINES[name](options).fit(np.asarray(train.images), train.y_true, task, mirrors=True)
        return model, lambda images: task.logits(model.predict(images)), 0.0
    if isinstance(options, Pretrained):
        model = pretrained(options, task, 28, 3)
    else:
        model = build_network(options, task, (28, 28, 3), seed=0)
    alive(model, pixels(64))
    unsure = unsureness(model, pixels(16)) if isinstance(options, Pretrained) else 0.0
    return model, functools.partial(logits_of_network, model), unsure
