"""Eight runs in this process, in two processes, and by two workers of a Dask scheduler on this machine.

Each place first does a run for each of its slots, in which libraries are loaded and the dataset is opened; then the
eight are timed. Overhead is what a run takes from being submitted until it is known to be done, less the time between
the first and the last file that it writes.

    python benchmarks/places.py [RECIPE] [KEY=VALUE ...]
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import distributed
import numpy as np
from _measure import print_table

import penlight as pl
from penlight.api.requests import resolve_recipe
from penlight.experiments.executors.places import Place
from penlight.experiments.executors.work import do_all
from penlight.experiments.opened import OpenedData
from penlight.experiments.run import RunSpec

RUNS = 8


class Clock(pl.ProgressListener):
    """When each run was submitted, and when it was known to be done."""

    def __init__(self):
        self.begun, self.done = {}, {}

    def on_job(self, name, state, about):
        {"waiting": self.begun, "done": self.done}.get(state, {})[name] = time.time()

    def on_run_begin(self, spec, group):
        self.begun.setdefault(spec.name, time.time())

    def on_run_end(self, run):
        self.done[run.path.name] = time.time()


def draw(folder):
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 400), ("val", 100), ("test", 100)):
        labels = (np.arange(n) % 3).astype(np.uint8)[:, None]
        arrays[f"{split}_images"] = rng.integers(0, 150, (n, 28, 28), np.uint8) + 20 * labels[:, :, None]
        arrays[f"{split}_labels"] = labels
    np.savez(folder / "drawn.npz", **arrays)
    (folder / "drawn.toml").write_text(
        'name = "drawn"\ntitle = "Drawn"\ntask = "ordinal"\nlabels = ["none", "some", "much"]\nlicence = "CC0"\n'
        'source = "drawn here"\nfiles = { "28" = "drawn.npz" }\n'
    )


def measure(on, slots, recipe, folder):
    clock = Clock()
    begun = time.perf_counter()
    with Place.of(on).executor(folder, OpenedData(pl.ProgressListener()), clock) as place:
        do_all(iter([RunSpec(recipe, 100 + n, folder / f"warm-{n}") for n in range(slots)]), place)
        warm = time.perf_counter()
        do_all(iter([RunSpec(recipe, n, folder / f"run-{n}") for n in range(RUNS)]), place)
        done = time.perf_counter()
    over = []
    for name in (f"run-{n}" for n in range(RUNS)):
        first, last = ((folder / name / file).stat().st_mtime for file in ("recipe.toml", "manifest.json"))
        over.append(clock.done[name] - clock.begun[name] - (last - first))
    return warm - begun, done - warm, statistics.median(over)


def main():
    how = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    rows, alone = [], None
    with tempfile.TemporaryDirectory() as root, distributed.LocalCluster(**how) as cluster:
        os.chdir(root)
        draw(Path(root))
        recipe = resolve_recipe("drawn.toml", sys.argv[1] if sys.argv[1:] else "linear", sys.argv[2:])
        for name, on, slots in (
            ("local", "local", 1),
            ("local:2", "local:2", 2),
            ("dask, 2 workers", f"dask:{cluster.scheduler_address}", 2),
        ):
            start, seconds, over = measure(on, slots, recipe, Path(root) / name.partition(",")[0].replace(":", "-"))
            alone = alone or seconds
            rows.append((name, f"{start:.1f}", f"{seconds:.1f}", f"{alone / seconds:.2f}", f"{over:.2f}"))
        os.chdir("/")
    head = ("place", "to begin, s", f"{RUNS} runs, s", "times as fast", "overhead per run, s")
    print_table(f"{RUNS} runs of {recipe.model.backbone} on 600 images of 28 pixels", head, rows)


if __name__ == "__main__":
    main()
