"""Which method points at the lesions of phantoms: the pointing game, for networks that read their maps in two ways.

    python benchmarks/pointing.py

Fundus photographs of none and of severe retinopathy, and films with a mass, a pneumothorax, both or neither, at 28
pixels; the masks, grown by a pixel, are what a map's highest place must lie on. `chance` is how often a place chosen
at random does; `random` is the mean over five networks with the same form and random weights. The pointing game is
that of Zhang et al., Top-down Neural Attention by Excitation Backprop (2016).
"""

import time
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.stats import binom

from penlight.data import Dataset, DatasetInfo, Split, apply_view
from penlight.evaluation import Calibration
from penlight.explanation import METHODS, Subject, explain_images
from penlight.explanation.maps import peaks
from penlight.explanation.of_run import untrained
from penlight.exporters.onnx_file import onnx_file
from penlight.phantoms import FINDINGS, draw_chest, draw_retina
from penlight.recipes import Cnn, Data, Recipe, Train
from penlight.runs import ModelFacts, Predictor
from penlight.tasks import Binary, MultiLabel
from penlight.training import fit

SIZES = {"train": 600, "val": 100, "test": 200}
SEEDS = range(5)
READS = {
    "averaged": Cnn(filters=(16, 32), pooling="average", dense=0, dropout=0.0),
    "flat": Cnn(filters=(16, 32), dense=32, dropout=0.0),
}


@dataclass(frozen=True)
class Pointing:
    """The pointing game on n images: how many maps have their highest place on what is known to be there (`hits`),
    and how many would if places were chosen at random (`expected`)."""

    hits: int
    expected: float
    n: int

    @property
    def p(self) -> float:
        """How probable so many hits are by chance: the upper tail of a binomial with the mean chance, which is
        cautious, for chances that differ vary less (Hoeffding 1956)."""
        return float(binom.sf(self.hits - 1, self.n, self.expected / self.n)) if self.n else float("nan")


def point(maps: np.ndarray, masks: np.ndarray, tolerance: int = 1) -> Pointing:
    """Play the pointing game: maps (N, H, W) against masks (N, H, W) of what is there, grown by `tolerance` pixels.

    Images whose mask is empty do not count; an empty map is a miss.
    """
    square = np.ones((1, 2 * tolerance + 1, 2 * tolerance + 1), bool)
    grown = np.array(binary_dilation(masks, square), bool)
    there = np.logical_or.reduce(masks.reshape(len(masks), -1), axis=1)
    hits = [peak is not None and bool(grown[n][peak]) for n, peak in enumerate(peaks(maps)) if there[n]]
    return Pointing(sum(hits), float(grown[there].mean(axis=(1, 2)).sum()), int(there.sum()))


def retina(n, seed):
    """Images, labels, and masks (N, C, H, W)."""
    y = np.random.default_rng(seed).integers(0, 2, n)
    images, masks = draw_retina(np.array([0, 3])[y], 28, seed)
    return images, y[:, None], np.stack([np.zeros_like(masks > 0), masks > 0], axis=1)


def chest(n, seed):
    """Images, labels, and masks (N, C, H, W)."""
    y = (np.random.default_rng(seed).random((n, 2)) < 0.4).astype(np.uint8)
    places = [FINDINGS.index(name) for name in ("mass", "pneumothorax")]
    findings = np.zeros((n, len(FINDINGS)), np.uint8)
    findings[:, places] = y
    images, masks = draw_chest(findings, 28, seed)
    return images, y, np.stack([(masks >> place) & 1 > 0 for place in places], axis=1)


# With rates that each learns with; a network that has learned nothing points at nothing.
RATES = {
    ("retina", "averaged"): 0.005,
    ("retina", "flat"): 0.001,
    ("chest", "averaged"): 0.005,
    ("chest", "flat"): 0.005,
}

PHANTOMS = {
    "retina": (Binary(("healthy", "severe")), retina),
    "chest": (MultiLabel(("mass", "pneumothorax")), chest),
}


def served(network, task):
    """A network that answers by its ONNX file."""
    size, _, channels = network.input_shape[1:]
    facts = ModelFacts(task, size, channels, "drawn", "native", "none", None, "cnn", "", 0, "")
    return Subject(task, Predictor(onnx_file(network, facts, Calibration()), "model.onnx").logits, network)


def main():
    """Train, play, print."""
    print("phantom  maps read  AUC on val  method       hits of   n  chance  random  ms an image")
    for phantom, (task, draw) in PHANTOMS.items():
        drawn = {name: draw(n, seed) for seed, (name, n) in enumerate(SIZES.items(), start=1)}
        splits = {name: Split(images, labels) for name, (images, labels, _) in drawn.items()}
        channels = splits["train"].images.shape[-1]
        info = DatasetInfo(phantom, phantom, task, channels, None, "none", "drawn")
        view = apply_view(Dataset(info, 28, splits, "0" * 32))
        y, masks = view.splits["test"].y_true, drawn["test"][2]
        rows, columns = np.nonzero(y * masks.any(axis=(2, 3)))
        images, truth = splits["test"].images[rows], masks[rows, columns]
        for read, model in READS.items():
            train = Train(epochs=20, batch_size=16, learning_rate=RATES[phantom, read])
            fitted = fit(Recipe(data=Data(dataset=phantom), model=model, train=train), view, task, seed=0)
            subject = served(fitted.network, task)
            others = [served(untrained(fitted.network, seed), task) for seed in SEEDS]
            for method in METHODS:
                if not METHODS[method].fits(subject):
                    continue
                explain_images(subject, images[:2], columns[:2], method)
                begun = time.perf_counter()
                game = point(explain_images(subject, images, columns, method), truth)
                each = 1000 * (time.perf_counter() - begun) / len(images)
                random = [point(explain_images(s, images, columns, method), truth).hits for s in others]
                auc = max(row.val_headline for row in fitted.history)
                print(
                    f"{phantom:8} {read:10} {auc:10.3f}  {method:10} {game.hits:6} {game.n:6} "
                    f"{game.expected:7.1f} {np.mean(random):7.1f} {each:8.1f}"
                )


if __name__ == "__main__":
    main()
