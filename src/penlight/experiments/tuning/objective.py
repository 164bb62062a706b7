"""What a trial is worth: the headline metric on images that it was not trained on, never those of test."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from penlight.data import ViewedDataset
from penlight.data.folds import image_groups
from penlight.errors import DataError
from penlight.evaluation import headline_value
from penlight.numbers import counted
from penlight.recipes import Recipe
from penlight.training.fitting import fit
from penlight.training.folds import can_judge, deal
from penlight.training.loop import Epoch

SMALL_VAL = 500
"""With fewer images in val, trials are judged on folds of train instead."""

FOLDS = 3


@dataclass(frozen=True)
class Repeats:
    """How often a trial is trained: once per fold of train, each judged on the fold left out, or once per seed, each
    judged on val."""

    kind: Literal["folds", "seeds"]
    count: int

    @property
    def words(self) -> str:
        """Say what judges a trial."""
        if self.kind == "folds":
            return f"{counted(self.count, 'fold')} of train"
        return "val" if self.count == 1 else f"val, mean of {self.count} seeds"


@dataclass(frozen=True)
class TrialPart:
    """One training of a trial: a view whose `val` judges it and which has no test, and a seed."""

    view: ViewedDataset
    seed: int


Report = Callable[[int, float], None]
"""Called after each epoch with its number over all repeats and the mean so far; it may raise to end the trial."""


def choose_repeats(view: ViewedDataset, seeds: int | None) -> Repeats:
    """Choose seeds on val where they are asked for or val is large, else folds of train.

    On a small val the noise is that of its few images, which more seeds do not lessen: on RetinaMNIST val has 120
    images, three folds of train judge on 1,080, for the cost of two trainings instead of three. And val, with which
    the tuned recipe's epoch and thresholds are chosen later, stays unused.
    """
    if seeds is not None:
        return Repeats("seeds", seeds)
    return Repeats("seeds", 1) if len(view.splits["val"]) >= SMALL_VAL else Repeats("folds", FOLDS)


def parts_of(view: ViewedDataset, repeats: Repeats, seed: int) -> list[TrialPart]:
    """Give the trainings of a trial; the same for every trial, so that trials differ by their values alone."""
    train, val = view.splits["train"], view.splits["val"]
    if repeats.kind == "seeds":
        return [TrialPart(replace(view, splits={"train": train, "val": val}), seed + i) for i in range(repeats.count)]
    fold = folds(view, repeats.count, seed)
    return [
        TrialPart(replace(view, splits={"train": train.part(fold != i), "val": train.part(fold == i)}), seed)
        for i in range(repeats.count)
    ]


def folds(view: ViewedDataset, count: int, seed: int) -> NDArray[np.int64]:
    """Assign the images of train to folds, (N,) in 0..count-1, or -1 with a label of fewer groups than folds.

    Patients and near duplicates stay in one fold.
    """
    return deal(view.splits["train"].y_true, image_groups(view, ("train",)), count, seed, fewest=count)


def require_judgement(view: ViewedDataset, parts: list[TrialPart]) -> None:
    """Raise DataError if the images that judge a part cannot give the headline metric."""
    for part in parts:
        val = part.view.splits["val"]
        if not can_judge(view.task, val.y_true, val.known):
            raise DataError(
                f"The {len(val)} images of {view.dataset.info.name} that would judge a trial cannot give "
                f"{view.task.headline}: it needs a label that some of them have and others do not.",
                "Choose another view, or --seeds 1 to judge on val.",
            )


def values_of(
    recipe: Recipe, parts: list[TrialPart], report: Report, seen: Callable[[Epoch, int], None]
) -> list[float]:
    """Train a recipe on every part and give the headline metric of each.

    A network's is that of the epoch whose weights it keeps, which was itself chosen on the same images. TrainingError
    if the loss is no longer a number.
    """
    values: list[float] = []
    for part in parts:
        values.append(_value(recipe, part, _follow(recipe, values, report, seen)))
    return values


def _follow(
    recipe: Recipe, done: list[float], report: Report, seen: Callable[[Epoch, int], None]
) -> Callable[[Epoch, int], None]:
    """Watch one training: report the mean of the repeats that are done and the best this one has reached."""
    best = -np.inf
    before = list(done)

    def follow(row: Epoch, planned: int) -> None:
        nonlocal best
        seen(row, planned)
        if np.isfinite(row.val_headline):
            best = max(best, row.val_headline) if recipe.train.keep == "best" else row.val_headline
            report(len(before) * planned + row.epoch, float(np.mean([*before, best])))

    return follow


def _value(recipe: Recipe, part: TrialPart, follow: Callable[[Epoch, int], None]) -> float:
    task = part.view.task.with_head(head=recipe.data.head, rule=recipe.decide.rule)
    fitted = fit(recipe, part.view, task, part.seed, progress=follow)
    if fitted.best_epoch is not None:
        return fitted.history[fitted.best_epoch - 1].val_headline
    val = part.view.splits["val"]
    return headline_value(task, val.y_true, task.probabilities(fitted.logits(val)), val.known)
