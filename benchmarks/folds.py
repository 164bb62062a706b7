"""What the average of five folds is worth, on drawn datasets of several kinds, each drawn anew for each repeat.

Prints for each kind: in how many repeats the average of the folds' models has a log loss on 4,000 test images that is
not above the mean of the single folds, each calibrated on its own val; both losses, and that of the average of the
probabilities in place of the logits; how often prediction sets, asked for 90 %, hold the truth; and their size.

    python benchmarks/folds.py [--repeats 10] [--kinds 0 1 2] [--folds 5]
"""

import argparse
from dataclasses import dataclass

import numpy as np
from _measure import print_table

from penlight.data import Dataset, ViewedDataset, apply_view
from penlight.data.arrays import md5_of, split_of
from penlight.data.catalog import CATALOG
from penlight.data.dataset import SPLITS
from penlight.data.pictures import DecodeOptions
from penlight.evaluation import METRICS, Sample
from penlight.experiments.baselines import predict_split
from penlight.phantoms import phantom_arrays
from penlight.recipes import Cnn, Data, Linear, Recipe, Train
from penlight.runs import Predictions
from penlight.runs.scoring import decide_on
from penlight.training.fitting import Fitted, fit
from penlight.training.folds import Folds, make_folds

_NETWORK = Cnn(filters=(16, 32), dense=32)
_TEST = 4_000


@dataclass(frozen=True)
class Kind:
    """A drawn dataset of `n` images of train, its view and head, and the model."""

    name: str
    dataset: str
    n: int
    model: Cnn | Linear
    view: str = "native"
    head: str = "auto"
    epochs: int = 12

    @property
    def recipe(self) -> Recipe:
        train = Train(epochs=self.epochs, schedule="cosine")
        data = Data(dataset=self.dataset, view=self.view, head=self.head)
        return Recipe(data=data, model=self.model, train=train)

    def draw(self, seed: int) -> ViewedDataset:
        samples = {"train": self.n, "val": self.n // 6, "test": _TEST}
        arrays, info = phantom_arrays(self.dataset, 28, seed=seed, samples=samples), CATALOG[self.dataset]
        splits = {split: split_of(arrays, split) for split in SPLITS}
        return apply_view(Dataset(info, 28, splits, md5_of(arrays), DecodeOptions(28, info.channels)), self.view)


KINDS = (
    Kind("grades, network", "retina-phantom", 600, _NETWORK),
    Kind("grades, linear", "retina-phantom", 600, Linear(), head="softmax"),
    Kind("referable, network", "retina-phantom", 500, _NETWORK, "referable"),
    Kind("findings, network", "chest-phantom", 1000, _NETWORK, epochs=10),
    Kind("one finding, linear", "chest-phantom", 2500, Linear(), "single"),
    Kind("grades, few images", "retina-phantom", 250, _NETWORK, head="softmax"),
    Kind("grades, many images", "retina-phantom", 2400, _NETWORK),
    Kind("referable, linear", "retina-phantom", 2000, Linear(), "referable"),
    Kind("findings, linear, many images", "chest-phantom", 6000, Linear()),
)


def loss_of(test: Predictions, prob: np.ndarray) -> float:
    sample = Sample(test.task, test.y_true, prob, test.task.decide(prob))
    return float(METRICS["log_loss"].compute(sample, np.ones((1, len(prob))))[0])


def measured(kind: Kind, seed: int, count: int) -> tuple[float, ...]:
    """Give the log loss of single folds, of averaged logits, of averaged probabilities; coverage and size of sets."""
    view, recipe = kind.draw(100 + seed), kind.recipe
    task = view.task.with_head(head=kind.head, rule="argmax")
    folds, tests, alone = make_folds(view, count, seed), [], []
    total, answered = np.zeros((len(folds.whole), task.n_logits)), np.zeros((len(folds.whole), 1))
    for number in range(count):
        part = folds.fold(number)
        fitted = fit(recipe, part, task, seed)
        tests.append(predict_split(fitted, view, task, "test", recipe))
        val = predict_split(fitted, part, task, "val", recipe)
        own = decide_on(val, part, recipe.decide, epoch_chosen=fitted.best_epoch is not None)
        alone.append(loss_of(tests[-1], own.answer(task, tests[-1].prob)[0]))
        _add(total, answered, fitted, folds, part)
    held_out = Predictions.of_split(
        ViewedDataset(view.dataset, view.view, view.task, {"folds": folds.whole}), "folds", task,
        task.probabilities(total / answered), total / answered,
    )  # fmt: skip
    decision, test = decide_on(held_out, view, recipe.decide), tests[0]
    logits = task.probabilities(np.mean([own.logits for own in tests], axis=0))
    prob, decided = decision.answer(task, logits)
    sets = decision.sets(task, prob)
    sample = Sample(task, test.y_true, prob, decided, sets)
    ones = np.ones((1, len(prob)))
    of_prob = decision.answer(task, np.mean([own.prob for own in tests], axis=0))[0]
    coverage, size = (float(METRICS[name].compute(sample, ones)[0]) for name in ("coverage", "set_size"))
    return float(np.mean(alone)), loss_of(test, prob), loss_of(test, of_prob), coverage, size


def _add(total: np.ndarray, answered: np.ndarray, fitted: Fitted, folds: Folds, part: ViewedDataset) -> None:
    """Add a fold's answers to the images that it was not trained on."""
    for name in ("val", "test"):
        rows = np.searchsorted(folds.whole.index, part.splits[name].index)
        total[rows] += np.asarray(fitted.logits(part.splits[name]), np.float64)
        answered[rows] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--kinds", type=int, nargs="+", default=range(len(KINDS)))
    asked = parser.parse_args()
    rows = []
    for kind in (KINDS[number] for number in asked.kinds):
        found = np.array([measured(kind, seed, asked.folds) for seed in range(asked.repeats)])
        better = int((found[:, 1] <= found[:, 0]).sum())
        rows.append([kind.name, f"{better} of {len(found)}", *(f"{value:.4f}" for value in found.mean(axis=0))])
        print_table(
            "The average of folds",
            ["kind", "not above", "single", "logits", "probabilities", "coverage", "size"],
            rows,
        )


if __name__ == "__main__":
    main()
