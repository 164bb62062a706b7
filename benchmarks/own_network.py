"""A network of the user's own beside Penlight's: the network of the preset cnn, and the same handed in as a builder.

    python benchmarks/own_network.py [--rounds 3] [--epochs 5] [--images 4096] [--seeds 3]

Speed: both train on drawn images in processes of their own, in turns; the ratio is that of one round. Scores, where
PENLIGHT_DATA has RetinaMNIST: both are trained with several seeds, and their AUC on test is given with its spread.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _measure import here, in_own_process, print_table

WAYS = ("cnn", "own")


def build(input_shape: tuple[int, int, int], n_outputs: int) -> Any:
    """The preset cnn, as somebody who knows Keras writes it."""
    import keras

    layers = keras.layers
    image = keras.Input(input_shape)
    x = layers.Rescaling(1 / 255)(image)
    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(n_outputs, activation="softmax")(layers.Dropout(0.5)(x)))


def rates(way: str, n: int, epochs: int) -> dict[str, Any]:
    """Images per second, and CPU seconds, of each epoch after the first, which compiles."""
    from _peers import drawn

    from penlight.data import Dataset, DatasetInfo, Split, apply_view
    from penlight.recipes import load_recipe
    from penlight.tasks import MultiClass
    from penlight.training import fit
    from penlight.training.own import own_model, with_own

    images, y = drawn("cnn", n)
    labels = y.argmax(axis=1)[:, None]
    few = Split(images[:64], labels[:64])
    info = DatasetInfo("drawn", "Drawn", MultiClass(tuple("abcde")), 3, None, "none", "drawn")
    splits = {"train": Split(images, labels), "val": few, "test": few}
    view = apply_view(Dataset(info, 28, splits, md5="0" * 32), "native")
    recipe = load_recipe("cnn")
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": epochs + 1})})
    recipe, own = with_own(recipe, own_model(build) if way == "own" else None, view, print)
    cpu: list[float] = []
    fitted = fit(recipe, view, view.task, 0, own=own, progress=lambda *_: cpu.append(time.process_time()))
    return {"rates": [n / row.seconds for row in fitted.history[1:]], "cpu": np.diff(cpu).tolist()}


def scores(seeds: int) -> list[list[Any]]:
    """AUC on test of RetinaMNIST by both, mean and standard deviation over seeds, and the seconds of fitting."""
    import penlight as pl

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for way in WAYS:
            begun = time.perf_counter()
            how = {"model": build} if way == "own" else {}
            runs = pl.train("retinamnist", "cnn", seeds=seeds, out=Path(folder) / way, **how)  # type: ignore[call-overload]
            auc = [run.scores.metrics[0].value for run in runs]
            fit = statistics.mean(run.provenance["durations"]["fit"] for run in runs)
            spread = statistics.stdev(auc) if seeds > 1 else 0.0
            total = time.perf_counter() - begun
            rows.append([way, f"{statistics.mean(auc):.3f}", f"{spread:.3f}", f"{fit:.1f}", f"{total:.0f}"])
    return rows


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--epochs", type=int, default=5)
    words.add_argument("--images", type=int, default=4096)
    words.add_argument("--seeds", type=int, default=3)
    words.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.one:
        print(json.dumps(rates(asked.one, asked.images, asked.epochs)))
        return
    measure = ("--images", str(asked.images), "--epochs", str(asked.epochs))
    rounds = [
        {way: in_own_process(here(__file__), "--one", way, *measure) for way in WAYS} for _ in range(asked.rounds)
    ]
    ratios = [statistics.median(own["own"]["rates"]) / statistics.median(own["cnn"]["rates"]) for own in rounds]

    def median(way: str, what: str) -> float:
        return statistics.median(value for own in rounds for value in own[way][what])

    rows = [[way, f"{median(way, 'rates'):,.0f}", f"{median(way, 'cpu'):.2f}"] for way in WAYS]
    print_table("Training, medians over epochs", ["network", "images/s", "CPU s/epoch"], rows)
    print(f"own / cnn in each round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; at least 0.9 is wanted")
    if asked.seeds:
        head = ["network", "test AUC", "sd", "fit s", "all s"]
        print_table(f"RetinaMNIST, {asked.seeds} seeds", head, scores(asked.seeds))
    sys.exit(0 if statistics.median(ratios) >= 0.9 else 1)


if __name__ == "__main__":
    main()
