"""Fitting a probe on drawn features, with answers out of fold by patient, beside logistic regression of scikit-learn.

    python benchmarks/probe.py [--images 78468] [--features 1280] [--labels 14]

First 1,000 images of five classes: a probe of each kind, then logistic regression of scikit-learn at eight strengths
in the same folds. Then as many images as train of ChestX-ray14 has, of patients with 2.5 images each; of
scikit-learn one fit of one label at one strength, where a probe makes several dozen of all labels.
"""

import argparse
import json
import sys

import numpy as np
from _measure import here, in_own_process, measured, print_table

from penlight.data.folds import assign_folds
from penlight.models.axes import STRENGTHS
from penlight.models.feature_classifiers import FeatureTable
from penlight.models.nearest import NearestProbe
from penlight.models.probe import Probe
from penlight.recipes import Encoded

PROBES = ("logistic", "ridge", "knn")


def drawn(images: int, features: int, labels: int, *, exclusive: bool) -> FeatureTable:
    """Draw features with a falling spectrum, of which a few directions say what the labels are."""
    rng = np.random.default_rng(0)
    turn = (rng.normal(size=(features, features)) * np.exp(-np.arange(features) / 100)[:, None]).astype(np.float32)
    z = np.empty((images, features), np.float32)
    said = np.empty((images, labels))
    for start in range(0, images, 8192):
        hidden = rng.normal(size=(len(z[start : start + 8192]), features)).astype(np.float32)
        z[start : start + 8192] = hidden @ turn
        said[start : start + 8192] = hidden[:, :labels] + rng.normal(size=(len(hidden), labels))
    y = np.eye(labels, dtype=np.uint8)[said.argmax(axis=1)] if exclusive else (said > 2).astype(np.uint8)
    patients = rng.integers(0, max(1, int(images / 2.5)), images) if not exclusive else np.arange(images)
    return FeatureTable(z, y, exclusive, 0, patients)


def fit(kind: str, table: FeatureTable) -> float:
    options = Encoded(probe=kind)
    return float(np.abs((NearestProbe(options) if kind == "knn" else Probe(options)).fit(table).held_out).mean())


def peer(table: FeatureTable, strengths: tuple[float, ...], folds: bool) -> None:
    from sklearn.linear_model import LogisticRegression

    z = (table.z - table.z.mean(axis=0)) / table.z.std(axis=0)
    y = table.y.argmax(axis=1) if table.exclusive else table.y[:, 0]
    number = assign_folds(table.y, table.of_patient, 5, 0) if folds else np.zeros(len(y))
    for strength in strengths:
        for fold in np.unique(number):
            rows = number != fold if folds else number == 0
            LogisticRegression(C=strength, max_iter=1000).fit(z[rows], y[rows])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=78_468)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--labels", type=int, default=14)
    parser.add_argument("--of", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.of:
        size, kind = options.of
        small = size == "small"
        table = drawn(1000, options.features, 5, exclusive=True) if small else drawn(
            options.images, options.features, options.labels, exclusive=False
        )  # fmt: skip
        if kind == "sklearn":
            found = measured(lambda: peer(table, STRENGTHS[:8] if small else (1e-3,), folds=small))
        else:
            found = measured(lambda: fit(kind, table))
        print(json.dumps(found))
        return
    sizes = ("--images", "--features", "--labels")
    words = [word for name in sizes for word in (name, str(getattr(options, name[2:])))]
    for size in ("small", "large"):
        rows = []
        for kind in (*PROBES, "sklearn"):
            found = in_own_process(here(__file__), *words, "--of", size, kind)
            rows.append([kind, f"{found['seconds']:.1f}", f"{found['cpu']:.1f}", f"{found['peak_mb']:,.0f}"])
        images = (
            "1,000 images of 5 classes" if size == "small" else f"{options.images:,} images, {options.labels} labels"
        )
        print_table(f"{images}, {options.features:,} features", ["probe", "s", "s of processor", "peak MB"], rows)


if __name__ == "__main__":
    sys.exit(main())
