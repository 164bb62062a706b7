"""One way of training one network, in a process of its own: called by `training.py`, prints JSON.

python benchmarks/_peers.py WAY NETWORK IMAGES EPOCHS
"""

import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

NETWORKS = {"cnn": (3, 5), "chest-cnn": (1, 14), "chest-deep": (1, 14)}
"""The study's networks as Penlight's presets, with the channels and labels of their images."""

BATCH = {"cnn": 32, "chest-cnn": 32, "chest-deep": 64}
_SIZE = 28


def drawn(network: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28, C) uint8 of noise and indicators (n, L): speed does not ask what is on them."""
    channels, labels = NETWORKS[network]
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, _SIZE, _SIZE, channels), dtype=np.uint8)
    if network == "cnn":
        return images, np.eye(labels, dtype=np.uint8)[rng.integers(0, labels, n)]
    return images, (rng.random((n, labels)) < 0.2).astype(np.uint8)


def penlight(network: str, n: int, augmented: bool = False) -> Callable[[], None]:
    """An epoch as `penlight train` has it, with its scores on train and on a val of 64."""
    from penlight.data import Dataset, DatasetInfo, Split, apply_view
    from penlight.models import load_keras
    from penlight.recipes import Augment, load_recipe
    from penlight.tasks import MultiClass, MultiLabel
    from penlight.training.loop import Trainer

    load_keras()
    images, y = drawn(network, n)
    names = tuple("abcdefghijklmn"[: y.shape[1]])
    task = MultiClass(names) if network == "cnn" else MultiLabel(names)
    labels = y.argmax(axis=1)[:, None] if network == "cnn" else y
    info = DatasetInfo("drawn", "Drawn", task, images.shape[-1], None, "none", "drawn")
    few = Split(images[:64], labels[:64])
    splits = {"train": Split(images, labels), "val": few, "test": few}
    recipe = load_recipe(network)
    if augmented:
        change = Augment(rotation=10, zoom=0.1, shift=0.05, flip_horizontal=True, brightness=0.1, contrast=0.1)
        recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"augment": change})})
    view = apply_view(Dataset(info, _SIZE, splits, md5="0" * 32), "native")
    trainer = Trainer(recipe, view, view.task, seed=0)
    return lambda: trainer.epoch() and None


def keras(network: str, n: int, stalls: bool = True) -> Callable[[], None]:
    """`model.fit` as the study wrote it: images as floats in memory, an activation in each layer.

    Without `stalls` the same through a tf.data set whose tuning is off: `fit` then ends when its last step does.
    """
    import keras
    import tensorflow as tf

    layers = keras.layers
    images, y = drawn(network, n)
    inputs = x = keras.Input(images.shape[1:])
    dropouts = {"cnn": (0, 0), "chest-cnn": (0.2, 0.3), "chest-deep": (0.2, 0.3, 0.4)}[network]
    for filters, dropout in zip((32, 64, 128), dropouts, strict=False):
        for _ in range(2 if network == "chest-deep" else 1):
            x = layers.Conv2D(filters, 3, activation="relu", padding="same")(x)
            x = x if network == "cnn" else layers.BatchNormalization()(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(dropout)(x) if dropout else x
    x = layers.GlobalAveragePooling2D()(x) if network == "chest-deep" else layers.Flatten()(x)
    x = layers.Dense(256 if network == "chest-deep" else 128, activation="relu")(x)
    x = layers.Dropout(0.5 if network == "cnn" else 0.4)(x)
    last, loss = ("softmax", "categorical_crossentropy") if network == "cnn" else ("sigmoid", "binary_crossentropy")
    model = keras.Model(inputs, layers.Dense(y.shape[1], activation=last)(x))
    model.compile("adam", loss)
    floats, truth = images.astype(np.float32) / 255, y.astype(np.float32)
    if stalls:
        return lambda: model.fit(floats, truth, batch_size=BATCH[network], verbose=0) and None
    options = tf.data.Options()
    options.autotune.enabled = False
    batches = tf.data.Dataset.from_tensor_slices((floats, truth)).shuffle(n).batch(BATCH[network]).prefetch(2)
    return lambda: model.fit(batches.with_options(options), verbose=0) and None


def torch(network: str, n: int) -> Callable[[], None]:
    """A plain PyTorch loop with channels last, images as floats in memory."""
    import torch
    from torch import nn

    images, y = drawn(network, n)
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    given, dropouts = (
        images.shape[-1],
        {"cnn": (0, 0), "chest-cnn": (0.2, 0.3), "chest-deep": (0.2, 0.3, 0.4)}[network],
    )
    for filters, dropout in zip((32, 64, 128), dropouts, strict=False):
        for _ in range(2 if network == "chest-deep" else 1):
            layers += [nn.Conv2d(given, filters, 3, padding=1), nn.ReLU()]
            layers += [] if network == "cnn" else [nn.BatchNorm2d(filters)]
            given = filters
        layers += [nn.MaxPool2d(2), *([nn.Dropout(dropout)] if dropout else [])]
    wide, narrow = (128, 256) if network == "chest-deep" else (64 * 49, 128)
    layers += [nn.AdaptiveAvgPool2d(1)] if network == "chest-deep" else []
    layers += [nn.Flatten(), nn.Linear(wide, narrow), nn.ReLU(), nn.Dropout(0.5 if network == "cnn" else 0.4)]
    model = nn.Sequential(*layers, nn.Linear(narrow, y.shape[1])).to(memory_format=torch.channels_last).train()
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=torch.channels_last)
    truth = torch.from_numpy(y.astype(np.float32))
    loss = nn.CrossEntropyLoss() if network == "cnn" else nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def epoch() -> None:
        for rows in torch.randperm(n).split(BATCH[network]):
            optimizer.zero_grad(set_to_none=True)
            loss(model(x[rows]), truth[rows]).backward()
            optimizer.step()

    return epoch


def matrix_rate(size: int = 768, times: int = 8) -> float:
    """Measure this machine's matrix-product rate now, in floating-point operations a second, all cores together."""
    square = np.ones((size, size), np.float32)
    fastest = math.inf
    for _ in range(times):
        begun = time.perf_counter()
        square @ square
        fastest = min(fastest, time.perf_counter() - begun)
    return 2.0 * size**3 / fastest


def matrix_rates() -> dict[str, float]:
    """Floating-point operations a second of matrix products, the best of many, by NumPy and by TensorFlow."""
    import tensorflow as tf

    square, best = tf.ones((768, 768)), np.inf
    for _ in range(30):
        begun = time.perf_counter()
        tf.matmul(square, square).numpy()
        best = min(best, time.perf_counter() - begun)
    return {"numpy": matrix_rate(times=30), "tensorflow": 2.0 * 768**3 / best}


WAYS: dict[str, Callable[[str, int], Callable[[], None]]] = {
    "Penlight": penlight,
    "Penlight, augmented": lambda network, n: penlight(network, n, augmented=True),
    "Keras fit": keras,
    "Keras fit, no tuning of tf.data": lambda network, n: keras(network, n, stalls=False),
    "PyTorch": torch,
}


def main() -> None:
    """Warm up with one epoch, then time each of the wanted ones."""
    way, network, n, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    found: dict[str, Any]
    if way == "matrix":
        found = matrix_rates()
    else:
        epoch, rates, cores = WAYS[way](network, n), [], []
        epoch()
        for _ in range(epochs):
            wall, cpu = time.perf_counter(), time.process_time()
            epoch()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            rates.append(n / wall)
            cores.append(cpu / wall)
        unit = 1e6 if sys.platform == "darwin" else 1e3
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        found = {"rates": rates, "cores": cores, "peak_mb": peak}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
