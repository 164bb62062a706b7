"""Seconds until a model has the val score of the study's network: that network as the study trained it, and presets.

    python benchmarks/time_to_score.py [--dataset retinamnist] [--seeds 3] [--presets cnn linear retina-fast]
                                       [--plot curve.png]

The wanted score is where the study's 30 epochs of `model.fit` (batch 32, Adam) settle: the median val AUC of the last
ten, mean over seeds; the best of thirty would be luck, of 120 images. Each way and seed runs in a process of its own,
in turns; importing, opening the data and scoring val are not counted, compiling is. Under the table stands the curve:
the median over seeds of the last score so far. With findings (chest-phantom) the study's other network is trained.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from _measure import here, in_own_process, print_table

from penlight.data import ViewedDataset, apply_view, store
from penlight.evaluation import headline_value

STUDY = "study, Keras fit"
_POINTS = (0.5, 1, 2, 3, 5, 8, 12, 20, 30)
Curve = list[tuple[float, float]]


def study(view: ViewedDataset, seed: int) -> Curve:
    """The study's network and its training, as written; val is scored between epochs, with the clock stopped."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.utils.set_random_seed(seed)
    train, val = view.splits["train"], view.splits["val"]
    layers = keras.layers
    x, seen = (np.asarray(split.chosen[:], np.float32) / 255 for split in (train, val))
    inputs = keras.Input(x.shape[1:])
    maps, findings = inputs, not view.task.exclusive
    for filters, rate in ((32, 0.2), (64, 0.3)):
        maps = layers.Conv2D(filters, 3, activation="relu", padding="same")(maps)
        maps = layers.BatchNormalization()(maps) if findings else maps
        maps = layers.MaxPooling2D()(maps)
        maps = layers.Dropout(rate)(maps) if findings else maps
    dense = layers.Dropout(0.4 if findings else 0.5)(layers.Dense(128, activation="relu")(layers.Flatten()(maps)))
    last, loss = ("sigmoid", "binary_crossentropy") if findings else ("softmax", "categorical_crossentropy")
    model = keras.Model(inputs, layers.Dense(train.y_true.shape[1], activation=last)(dense))
    model.compile("adam", loss)
    curve, spent = [], 0.0
    for _ in range(30):
        begun = time.perf_counter()
        model.fit(x, train.y_true.astype(np.float32), batch_size=32, verbose=0)
        spent += time.perf_counter() - begun
        prob = np.asarray(model.predict_on_batch(seen), np.float64)
        curve.append((spent, headline_value(view.task, val.y_true, prob)))
    return curve


def preset(name: str, view: ViewedDataset, seed: int) -> Curve:
    """A preset: its epochs, or the one score of a model without epochs."""
    import sklearn.ensemble
    import sklearn.linear_model
    import sklearn.neural_network

    from penlight.models import load_keras
    from penlight.recipes import load_recipe
    from penlight.training import Epoch, fit

    assert sklearn.ensemble
    load_keras()

    recipe = load_recipe(name)
    task = view.task.with_head(head=recipe.data.head, rule=recipe.decide.rule)
    curve: Curve = []

    def note(row: Epoch, planned: int) -> None:
        curve.append(((curve[-1][0] if curve else 0.0) + row.seconds, row.val_headline))

    begun = time.perf_counter()
    fitted = fit(recipe, view, task, seed, progress=note)
    spent = time.perf_counter() - begun
    if fitted.network is not None:
        # What went before the first epoch, as building the network, counts.
        before = spent - curve[-1][0]
        return [(seconds + before, score) for seconds, score in curve]
    val = view.splits["val"]
    prob = task.probabilities(np.asarray(fitted.logits(val), np.float64))
    return [(spent, headline_value(task, val.y_true, prob))]


def last_by(curve: Curve, seconds: float) -> float:
    """The last score until then; NaN before the first."""
    return next((score for at, score in reversed(curve) if at <= seconds), float("nan"))


def settled(curve: Curve) -> float:
    """The median score of the last ten epochs."""
    return statistics.median(score for _, score in curve[-10:])


def time_to(curve: Curve, wanted: float) -> float:
    """The seconds until the wanted score; infinite if it never comes."""
    return next((at for at, score in curve if score >= wanted), float("inf"))


def plot(curves: dict[str, list[Curve]], wanted: float, path: str) -> None:
    """Draw every seed's score over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(8, 5))
    for number, (way, seeds) in enumerate(curves.items()):
        for place, curve in enumerate(seeds):
            x, y = zip(*curve, strict=True)
            label = way if place == 0 else None
            ax.step(x, y, where="post", color=f"C{number}", label=label, marker="." * (len(x) == 1))
    ax.axhline(wanted, color="0.5", linestyle=":")
    ax.set(xscale="log", xlabel="seconds of training", ylabel="val AUC")
    ax.legend(frameon=False)
    figure.savefig(path, dpi=150, bbox_inches="tight")


def measure(way: str, dataset: str, seed: int) -> dict[str, Any]:
    """One way and seed, in this process."""
    view = apply_view(store.open_dataset(dataset, 28), "native")
    return {"curve": study(view, seed) if way == STUDY else preset(way, view, seed)}


def row(way: str, curves: Sequence[Curve], wanted: float, of_study: float) -> list[str]:
    """The line of one way: medians over seeds."""
    times = [time_to(curve, wanted) for curve in curves]
    median = statistics.median(times)
    return [
        way,
        f"{median:.1f}" if np.isfinite(median) else "never",
        f"{sum(np.isfinite(times))} of {len(times)}",
        f"{of_study / median:.1f}" if np.isfinite(median) else "-",
        f"{statistics.mean(settled(curve) for curve in curves):.3f}",
        f"{statistics.median(curve[-1][0] for curve in curves):.1f}",
    ]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--dataset", default="retinamnist" if os.environ.get("PENLIGHT_DATA") else "retina-phantom")
    words.add_argument("--seeds", type=int, default=3)
    words.add_argument("--presets", nargs="+", default=["cnn", "linear", "retina-fast"])
    words.add_argument("--plot")
    words.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one[0], asked.dataset, int(asked.one[1]))))
        return
    curves: dict[str, list[Curve]] = {way: [] for way in (STUDY, *asked.presets)}
    for seed in range(asked.seeds):
        for way, found in curves.items():
            found.append(in_own_process(here(__file__), "--dataset", asked.dataset, "--one", way, str(seed))["curve"])
    wanted = statistics.mean(settled(curve) for curve in curves[STUDY])
    of_study = statistics.median(time_to(curve, wanted) for curve in curves[STUDY])
    head = ["way", "seconds", "seeds", "times as fast", "settles at", "s in all"]
    rows = [row(way, found, wanted, of_study) for way, found in curves.items()]
    print_table(f"Time to a val AUC of {wanted:.3f} on {asked.dataset}", head, rows)
    lines = [
        [way, *(f"{statistics.median(last_by(curve, at) for curve in found):.3f}" for at in _POINTS)]
        for way, found in curves.items()
    ]
    print_table("Val AUC after so many seconds, median", ["way", *(f"{at:g} s" for at in _POINTS)], lines)
    if asked.plot:
        plot(curves, wanted, asked.plot)


if __name__ == "__main__":
    sys.exit(main())
