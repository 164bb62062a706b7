"""The baselines of a view, and what is known of its data."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from penlight.data import ViewedDataset
from penlight.data.folds import image_groups
from penlight.data.record import DataRecord, record_of
from penlight.data.tested import BASELINE, TestAccessLog
from penlight.evaluation import Decision, Score
from penlight.evaluation.novelty import Novelty
from penlight.evaluation.novelty_rates import NoveltyRates, measure_novelty
from penlight.experiments.progress import ProgressListener
from penlight.recipes import BASELINE_MODELS, Recipe
from penlight.runs import (
    Predictions,
    RunWriter,
    answer,
)
from penlight.runs.scoring import decide_on, rows_of
from penlight.tasks import Task
from penlight.training import Fitted, fit


def predict_split(fitted: Fitted, view: ViewedDataset, task: Task, split: str, recipe: Recipe) -> Predictions:
    """Predict the images of a split, in float64, as the model gives them."""
    part = view.splits[split]
    logits = np.asarray(fitted.logits(part), np.float64)
    return Predictions(
        index=part.index,
        y_true=part.y_true,
        prob=task.probabilities(logits),
        logits=logits,
        task=task,
        dataset=view.dataset.info.name,
        view=view.view,
        split=split,
        data_hash=view.dataset.md5,
        recipe_hash=recipe.hash,
        groups=part.groups,
        metadata=part.metadata,
        images_per_patient=view.dataset.info.images_per_patient,
    )


class Baselines:
    """The baselines of a view, fitted once for all recipes and seeds that read it alike, and only when needed; and
    what is known of its data, counted and audited once. `readings` is where each reading of test is recorded."""

    def __init__(self, view: ViewedDataset, listener: ProgressListener, readings: TestAccessLog) -> None:
        self.view, self.listener, self.readings = view, listener, readings
        self._fitted: dict[str, _FittedBaseline] = {}
        self._tested: dict[str, tuple[Predictions, list[Score]]] = {}

    @cached_property
    def novelty(self) -> Novelty:
        """What tells images unlike those in train; it depends on the images alone, so it too is fitted once."""
        self.listener.on_step("Learning what images look like")
        train, val = (self.view.splits[name] for name in ("train", "val"))
        return Novelty.fit(train.chosen, val.chosen, image_groups(self.view, ("train",)))

    @cached_property
    def novelty_rates(self) -> NoveltyRates:
        """What of test, and of drawn images of other kinds, is called unlike those in train."""
        return measure_novelty(self.novelty, self.view.splits["test"].chosen, self.view.dataset.info.modality)

    def write(self, writer: RunWriter, kept: str) -> dict[str, list[Score]]:
        """Write the predictions of each baseline into a run, but for the model that is kept, and give their rows on
        test."""
        rows = {}
        for name in BASELINE_MODELS:
            if name == kept:
                continue
            made = self.fitted(name, writer.recipe)
            test, rows[name] = self._on_test(made)
            writer.write_predictions(f"baseline-{name}-val", made.val)
            writer.write_predictions(f"baseline-{name}-test", test)
            writer.write_json(f"baseline-{name}-decision.json", made.decision)
        return rows

    @cached_property
    def record(self) -> DataRecord:
        """What each run keeps of the data."""
        self.listener.on_step("Auditing the data")
        return record_of(self.view)

    def fitted(self, name: str, beside: Recipe) -> "_FittedBaseline":
        """Give a baseline as it stands beside a recipe, fitted and decided on val; test is not read."""
        recipe = Recipe(data=beside.data, model=BASELINE_MODELS[name], decide=beside.decide)
        if recipe.hash not in self._fitted:
            self.listener.on_step(f"Fitting the baseline: {name}")
            task = self.view.task.with_head(head=recipe.data.head, rule=recipe.decide.rule)
            model = fit(recipe, self.view, task, seed=0)
            val = predict_split(model, self.view, task, "val", recipe)
            decision = decide_on(val, self.view, recipe.decide, model.out_of_fold)
            self._fitted[recipe.hash] = _FittedBaseline(recipe, model, val, decision)
        return self._fitted[recipe.hash]

    def _on_test(self, made: "_FittedBaseline") -> tuple[Predictions, list[Score]]:
        key = made.recipe.hash
        if key not in self._tested:
            self.readings.add(self.view.view, key, by=BASELINE)
            test = predict_split(made.model, self.view, made.val.task, "test", made.recipe)
            self._tested[key] = test, rows_of(answer(test, made.decision))
        return self._tested[key]


@dataclass(frozen=True)
class _FittedBaseline:
    """A baseline, what it says of val, and what was decided on that."""

    recipe: Recipe
    model: Fitted
    val: Predictions
    decision: Decision
