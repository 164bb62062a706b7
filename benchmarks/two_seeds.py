"""Two seeds of a preset: one after the other on two cores, or at once in two processes with a core each.

Processes are warm before the clock runs, and both ways take turns. The ratio is the time of one after the other
divided by that of both at once.

    python benchmarks/two_seeds.py [PRESET ...]
"""

import os
import statistics
import subprocess
import sys
import time

import numpy as np

from penlight.data import Dataset, DatasetInfo, Split, apply_view
from penlight.recipes import load_recipe
from penlight.tasks import MultiClass, MultiLabel

PRESETS = {"cnn": (4000, 3), "residual": (2000, 2), "chest-deep": (2000, 2)}
"""So many images of 28 pixels has train, and so many epochs a seed is trained in a round."""
ROUNDS = 3


def work(preset: str, cores: list[int], seeds: list[int]) -> None:
    """Train on request, a line of input each; answer when it is done."""
    os.sched_setaffinity(0, cores)
    from penlight.training.loop import Trainer

    n, epochs = PRESETS[preset]
    film = preset.startswith("chest")
    task = MultiLabel(tuple("abcdefghijklmn")) if film else MultiClass(tuple("abcde"))
    rng, channels, splits = np.random.default_rng(0), 1 if film else 3, {}
    for name, count in {"train": n, "val": 100, "test": 10}.items():
        images = rng.integers(0, 256, (count, 28, 28, channels), dtype=np.uint8)
        labels = rng.integers(0, 2, (count, 14)) if film else (np.arange(count) % 5)[:, None]
        splits[name] = Split(images, labels)
    info = DatasetInfo("noise", "Noise", task, channels, None, "none", "drawn here")
    view = apply_view(Dataset(info, 28, splits, "0" * 32))
    trainers = [Trainer(load_recipe(preset), view, task, seed) for seed in seeds]
    for trainer in trainers:
        trainer.epoch()
    print("ready", flush=True)
    for _ in sys.stdin:
        for trainer in trainers:
            for _ in range(epochs):
                trainer.epoch()
        print("done", flush=True)


def begin(preset: str, cores: list[int], seeds: list[int]) -> subprocess.Popen[str]:
    call = [sys.executable, __file__, "--work", preset, ",".join(map(str, cores)), ",".join(map(str, seeds))]
    return subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def seconds(workers: list[subprocess.Popen[str]]) -> float:
    begun = time.perf_counter()
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.stdout.readline()
    return time.perf_counter() - begun


def measure(preset: str) -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    one_after_another = [begin(preset, cores, [0, 1])]
    at_once = [begin(preset, [core], [seed]) for seed, core in enumerate(cores)]
    for worker in one_after_another + at_once:
        worker.stdout.readline()
    rounds = [(seconds(one_after_another), seconds(at_once)) for _ in range(ROUNDS)]
    for worker in one_after_another + at_once:
        worker.stdin.close()
        worker.wait()
    first, second = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratios = sorted(a / b for a, b in rounds)
    print(
        f"{preset:12} {first:6.1f} s one after another  {second:6.1f} s at once  "
        f"{statistics.median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], *([int(n) for n in part.split(",")] for part in sys.argv[3:5]))
    else:
        for chosen in sys.argv[1:] or PRESETS:
            measure(chosen)
