"""ONNX Runtime against Keras' `predict`: images per second of the same network, in turns, on this machine.

    python benchmarks/export.py [--rounds 5] [--images 2000]

For each the median over rounds, and beside it CPU seconds per wall second: how many cores it had. Where that is far
below the machine's cores something else was running, and images per CPU second are what can be compared.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from penlight.evaluation.calibration import UNCALIBRATED
from penlight.exporters.onnx_file import onnx_file
from penlight.models import load_keras
from penlight.models.backbones import build_network
from penlight.recipes import load_recipe
from penlight.runs import ModelFacts, Predictor, machine
from penlight.tasks import MultiClass, MultiLabel

# A preset, the channels of its images, and what it is asked.
CASES = [
    ("cnn", 3, MultiClass(tuple("abcde"))),
    ("chest-cnn", 1, MultiLabel(tuple("abcdefghijklmn"))),
    ("residual", 1, MultiLabel(tuple("abcdefghijklmn"))),
]
ONE_BY_ONE = 100


def rate(answer: Callable[[np.ndarray], object], images: np.ndarray, batch: int) -> tuple[float, float]:
    """Images per second, and CPU seconds per wall second."""
    wall, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(images), batch):
        answer(images[start : start + batch])
    took = time.perf_counter() - wall
    return len(images) / took, (time.process_time() - cpu) / took


def compare(recipe: str, channels: int, task: object, n: int, rounds: int) -> None:
    network = build_network(load_recipe(recipe).model, task, (28, 28, channels), seed=0)
    facts = ModelFacts(task, 28, channels, "drawn", "native", "none", None, recipe, "", 0, "")
    predictor = Predictor(onnx_file(network, facts, UNCALIBRATED), recipe)
    images = np.random.default_rng(0).integers(0, 256, (n, 28, 28, channels), dtype=np.uint8)
    ways = {
        "Keras predict, as it is": (lambda x: network.predict(x, verbose=0), images, n),
        "Keras predict, by 512": (lambda x: network.predict(x, verbose=0, batch_size=512), images, n),
        "ONNX Runtime, as it is": (predictor.answer, images, n),
        "Keras predict, one by one": (lambda x: network.predict(x, verbose=0), images[:ONE_BY_ONE], 1),
        "ONNX Runtime, one by one": (predictor.answer, images[:ONE_BY_ONE], 1),
    }
    for answer, some, batch in ways.values():
        answer(some[:batch])
    found = {name: [rate(*way) for _ in range(rounds)] for name, way in ways.items()}
    median = {name: [statistics.median(column) for column in zip(*v, strict=True)] for name, v in found.items()}
    for name, (speed, cores) in median.items():
        print(
            f"{recipe:14s} {name:26s} {speed:8,.0f} images/s  {cores:.2f} CPU/wall  {speed / cores:8,.0f} per CPU s"
        )
    for keras, onnx in (("as it is", "as it is"), ("by 512", "as it is"), ("one by one", "one by one")):
        ours, theirs = found[f"ONNX Runtime, {onnx}"], found[f"Keras predict, {keras}"]
        ratios = [(o[0] / k[0], o[0] / o[1] * k[1] / k[0]) for k, o in zip(theirs, ours, strict=True)]
        wall, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
        print(f"{recipe:14s} over Keras predict, {keras}: {wall:.1f} times; per CPU second {cpu:.1f} times")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--images", type=int, default=2000)
    asked = options.parse_args()
    load_keras()
    about = machine()
    print(f"{about['processor']}, {about['cores']} cores")
    for recipe, channels, task in CASES:
        compare(recipe, channels, task, asked.images, asked.rounds)


if __name__ == "__main__":
    main()
