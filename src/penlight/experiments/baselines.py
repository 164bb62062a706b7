"""The baselines of a view, and what is known of its data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from penlight.data import ViewedDataset
from penlight.data.accesses import BASELINE, TestAccessLog
from penlight.data.folds import image_groups
from penlight.data.record import DataRecord, record_of
from penlight.evaluation import Decision, Score
from penlight.evaluation.novelty import Novelty, novelty_from_bytes
from penlight.evaluation.novelty_rates import NoveltyRates, measure_novelty
from penlight.evaluation.rows import Rows
from penlight.experiments.cache import Arrays, about_view, from_bytes, once
from penlight.experiments.progress import ProgressListener
from penlight.models import Baseline, LinearBaseline, MajorityBaseline
from penlight.recipes import BASELINE_MODELS, Linear, Majority, Recipe
from penlight.records import Record, json_text, read_record
from penlight.runs import Answers, Predictions, RunWriter, answer, predictions_from_bytes, to_bytes
from penlight.runs.scoring import decide_on, rows_of
from penlight.tasks import Task
from penlight.training import Fitted, fit
from penlight.training.fitting import fitted_baseline


def predict_split(fitted: Fitted, view: ViewedDataset, task: Task, split: str, recipe: Recipe) -> Predictions:
    """Predict the images of a split, in float64, as the model gives them."""
    logits = np.asarray(fitted.logits(view.splits[split]), np.float64)
    return Predictions.of_split(view, split, task, task.probabilities(logits), logits, recipe.hash)


@dataclass(frozen=True)
class FittedBaseline:
    """A baseline, what it says of val, and what was decided on that; None and nothing where there is no val."""

    recipe: Recipe
    model: Fitted
    val: Predictions | None
    decision: Decision


@dataclass(frozen=True)
class TestedBaseline:
    """What a baseline says of test, and its scores."""

    __test__ = False

    answers: Answers
    rows: Sequence[Score]


class Baselines:
    """The baselines of a view, fitted once on this machine for all recipes and seeds that read it alike, and what is
    known of its data. `accesses` is where each reading of test is recorded."""

    def __init__(self, view: ViewedDataset, listener: ProgressListener, accesses: TestAccessLog) -> None:
        self.view, self.listener, self.accesses = view, listener, accesses
        self._about = about_view(view)
        self._fitted: dict[str, FittedBaseline] = {}
        self._tested: dict[str, TestedBaseline] = {}

    @cached_property
    def names(self) -> Sequence[str]:
        """The baselines that can be had: without images only the shares of the labels, where a split says them."""
        if self.view.dataset.has_images:
            return tuple(BASELINE_MODELS)
        return ("majority",) if self.view.splits.keys() & {"train", "val"} else ()

    @property
    def novelty(self) -> Novelty | None:
        """What tells images unlike those in train; None without images."""
        return self._novelty[0] if self.view.dataset.has_images else None

    @property
    def novelty_rates(self) -> NoveltyRates | None:
        """What of test, and of drawn images of other kinds, is called unlike those in train; None without images."""
        return self._novelty[1] if self.view.dataset.has_images else None

    @cached_property
    def _novelty(self) -> tuple[Novelty, NoveltyRates]:
        def compute() -> Arrays:
            self.listener.on_step("Learning what images look like")
            train, val, test = (self.view.splits[name].chosen for name in ("train", "val", "test"))
            novelty = Novelty.fit(train, val, image_groups(self.view, ("train",)))
            rates = measure_novelty(novelty, test, self.view.dataset.info.modality)
            return {
                "novelty": from_bytes(novelty.to_bytes()),
                "rates": from_bytes(json_text(rates).encode()),
            }

        def read(arrays: Arrays) -> tuple[Novelty, NoveltyRates]:
            rates = read_record(NoveltyRates, arrays["rates"].tobytes(), "The rates")
            return novelty_from_bytes(arrays["novelty"].tobytes()), rates

        return once({"what": "novelty", **self._about}, compute, read)

    @cached_property
    def record(self) -> DataRecord:
        """What each run keeps of the data."""
        self.listener.on_step("Auditing the data")
        return record_of(self.view)

    def write(self, writer: RunWriter, kept: str) -> dict[str, TestedBaseline]:
        """Write the predictions of each baseline into a run, but for the model that is kept, and give what they say
        of test."""
        tested = {}
        for name in self.names:
            if name == kept:
                continue
            baseline = self.fitted(name, writer.recipe)
            tested[name] = self.tested(baseline)
            if baseline.val is not None:
                writer.write_predictions(f"baseline-{name}-val", baseline.val)
            writer.write_predictions(f"baseline-{name}-test", tested[name].answers.before)
            writer.write_json(f"baseline-{name}-decision.json", baseline.decision)
        return tested

    def fitted(self, name: str, beside: Recipe) -> FittedBaseline:
        """Give a baseline as it stands beside a recipe, fitted and decided on val; test is not read."""
        recipe = Recipe(data=beside.data, model=BASELINE_MODELS[name], decide=beside.decide)
        if recipe.hash not in self._fitted:
            about = {"what": "baseline", "recipe": recipe.hash, **self._about}
            self._fitted[recipe.hash] = once(about, lambda: self._fit(recipe), lambda own: self._read(recipe, own))
        return self._fitted[recipe.hash]

    def _task_of(self, recipe: Recipe) -> Task:
        return self.view.task.with_head(head=recipe.data.head, rule=recipe.decide.rule)

    def _fit(self, recipe: Recipe) -> Arrays:
        self.listener.on_step(f"Fitting the baseline: {recipe.model.backbone}")
        task = self._task_of(recipe)
        # A labels file may know of no train: then val says how often each label is.
        splits = self.view.splits
        learned = splits if "train" in splits else {**splits, "train": splits["val"]}
        fitted = fit(recipe, replace(self.view, splits=learned), task, seed=0)
        val, decision = None, Decision(found_on="none")
        if "val" in splits:
            val = predict_split(fitted, self.view, task, "val", recipe)
            decision = decide_on(val, self.view, recipe.decide, fitted.out_of_fold)
        model: MajorityBaseline | LinearBaseline = fitted.model
        weights = {"shares": model.shares} if isinstance(model, MajorityBaseline) else vars(model)
        return {
            **{name: values for name, values in weights.items() if isinstance(values, np.ndarray)},
            **({} if val is None else {"val": from_bytes(to_bytes(val))}),
            "decision": from_bytes(json_text(decision).encode()),
            "seconds": np.array(fitted.seconds),
        }

    def _read(self, recipe: Recipe, arrays: Arrays) -> FittedBaseline:
        task, options = self._task_of(recipe), recipe.model
        model: Baseline
        if isinstance(options, Linear):
            model = LinearBaseline(options, arrays["weights"], arrays["bias"], task.exclusive)
        else:
            assert isinstance(options, Majority)
            model = MajorityBaseline(options, arrays["shares"])
        decision = read_record(Decision, arrays["decision"].tobytes(), "The decision")
        known = arrays.get("val")
        val = None if known is None else predictions_from_bytes(known.tobytes(), "Predictions of val")
        return FittedBaseline(recipe, fitted_baseline(model, task, float(arrays["seconds"])), val, decision)

    def tested(self, baseline: FittedBaseline) -> TestedBaseline:
        """Give what a baseline says of test, which is read."""
        key = baseline.recipe.hash

        def compute() -> Arrays:
            self.accesses.add(self.view.view, key, by=BASELINE)
            task = self._task_of(baseline.recipe)
            test = predict_split(baseline.model, self.view, task, "test", baseline.recipe)
            rows = _ScoredRows(rows_of(answer(test, baseline.decision)))
            return {"test": from_bytes(to_bytes(test)), "rows": from_bytes(json_text(rows).encode())}

        def read(arrays: Arrays) -> TestedBaseline:
            test = predictions_from_bytes(arrays["test"].tobytes(), "Predictions of test")
            rows = read_record(_ScoredRows, arrays["rows"].tobytes(), "The scores").rows
            return TestedBaseline(answer(test, baseline.decision), list(rows))

        if key not in self._tested:
            self._tested[key] = once({"what": "tested", "recipe": key, **self._about}, compute, read)
        return self._tested[key]


class _ScoredRows(Record):
    """Scores, as JSON of the cache has them."""

    rows: Rows
