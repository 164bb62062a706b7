"""How a run answers when the images of test are corrupted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, path_of
from penlight.api.progress import TrainingView, shows
from penlight.api.reports import report
from penlight.data import ViewedDataset
from penlight.data.accesses import TestAccessLog
from penlight.errors import RunError
from penlight.evaluation import Decision
from penlight.evaluation.corruptions import Corruption, Images, corruptions_for
from penlight.evaluation.intervals import units_of
from penlight.evaluation.robustness import Indicators, Mistakes, Robustness, observe, summarise
from penlight.experiments.baselines import Baselines
from penlight.experiments.progress import ProgressListener
from penlight.records import Record, json_key
from penlight.runs import RunFolder, open_predictor, open_run
from penlight.runs.dataset import view_of
from penlight.runs.files import json_text
from penlight.runs.folder import CORRUPTIONS
from penlight.runs.groups import kind_of, open_group
from penlight.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

LINEAR = "linear"

# A baseline that is fitted again must give the probabilities that are on disk. With another number of threads sums
# have another order and the solver ends elsewhere within its tolerance: 0.0005 apart on RetinaMNIST.
_SAME = 0.005


class Corrupted(Record):
    """What `evaluate --corruptions` made: the robustness of a run or of several seeds, and the report with it."""

    robustness: Robustness = json_key(inline=True)
    report: Path = json_key(hidden=True)

    def frame(self) -> "pd.DataFrame":
        """Give a line per corruption: balanced error at each severity, its mean, and the change, with intervals."""
        return self.robustness.model.frame()


@checked
@shows(TrainingView)
def evaluate_corrupted(run: PathLike, *, listener: ProgressListener | None = None) -> Corrupted:
    """Corrupt test in the ways that fit the dataset, ask the model of a run, or those of all its seeds, and score.

    The result is kept in the run as corruptions.json, and its report is written again. Everything that is applied,
    calibration and thresholds, was found on val. RunError for a run without model.onnx, or of other data.

    Examples
    --------
    >>> corrupted = pl.evaluate_corrupted("runs/retina")
    >>> corrupted.frame().columns[:2].to_list()
    [...]
    """
    path = path_of(run, "run folder")
    listener = listener or ProgressListener()
    kind = kind_of(path)
    if kind == "folds" and open_group(path).final is None:
        raise RunError(f"{path} is a cross-validation, which has no answers to test.", "Corrupt the test of a run.")
    many = kind == "seeds"
    runs = open_group(path).runs() if many else [open_run(path)]
    view = _view_of(runs)
    corruptions = corruptions_for(view.dataset.info)
    models = [_model(run) for run in runs]
    linear, notes = _linear(runs[0], view, listener)
    test, task = view.splits["test"], models[0].task

    readings = TestAccessLog(view.dataset, "corruptions")
    for own in runs:
        readings.add(view.view, own.recipe.hash, own.seed, own.name)

    def step(name: str) -> None:
        listener.on_step(f"Corrupting: {name.replace('_', ' ')}")

    asked = [(model.answer, model.clean) for model in (*models, *linear)]
    mistakes = observe(task, test.y_true, test.images, test.index, asked, corruptions, known=test.known, step=step)
    listener.on_step("Scoring")
    found = _Mistaken(task, view, corruptions, mistakes[: len(runs)], mistakes[len(runs) :], notes)
    for place, own in enumerate(runs):
        own.replace(CORRUPTIONS, json_text(found.of(runs, [place])).encode())
    robustness = found.of(runs, range(len(runs)))
    if many:
        open_group(path).replace(CORRUPTIONS, json_text(robustness).encode())
    listener.on_step("Writing the report")
    for own in runs if many else ():
        report(own.path)
    return Corrupted(robustness, report(path if many else runs[0].path))


@dataclass(frozen=True)
class _CorruptedModel:
    """A model with its decision: `clean` (N, C) are its answers to test as it is; `logits` of images, (n, K)."""

    task: Task
    decision: Decision
    clean: Indicators
    logits: Callable[[Images], NDArray[np.floating[Any]]]

    def answer(self, images: Images) -> Indicators:
        """Answer images (n, H, W, C) by zeros and ones (n, C)."""
        return self.decision.answer(self.task, self.task.probabilities(self.logits(images)))[1]


def _model(run: RunFolder) -> _CorruptedModel:
    clean = run.answers("test")
    return _CorruptedModel(clean.predictions.task, clean.decision, clean.decided, open_predictor(run).logits)


@dataclass(frozen=True)
class _Mistaken:
    """The mistakes of each run and of the linear baseline, where there is one."""

    task: Task
    view: ViewedDataset
    corruptions: Sequence[Corruption]
    runs: Sequence[Mistakes]
    linear: Sequence[Mistakes]
    notes: tuple[str, ...]

    def of(self, runs: Sequence[RunFolder], places: Sequence[int]) -> Robustness:
        """Sum up the runs at some places, together."""
        test = self.view.splits["test"]
        models = [[self.runs[place] for place in places], *([own] for own in self.linear)]
        groups = units_of(test.groups, self.view.dataset.info.images_per_patient)
        own, *others = summarise(self.task, test.y_true, models, self.corruptions, groups=groups, known=test.known)
        seeds = tuple(runs[place].seed for place in places)
        return Robustness(seeds, len(test), own, {LINEAR: others[0]} if others else {}, self.notes)


def _view_of(runs: Sequence[RunFolder]) -> ViewedDataset:
    """Open the dataset that all runs were made from."""
    view = view_of(runs[0].recipe)
    for run in runs:
        test = run.model_predictions("test")
        if test.data_hash != view.dataset.md5 or run.recipe.hash != runs[0].recipe.hash:
            raise RunError(
                f"{run.path} was made from another file of {test.dataset} than the one here, or by another recipe.",
                "Put back the file it was made from.",
            )
    return view


def _linear(
    run: RunFolder, view: ViewedDataset, listener: ProgressListener
) -> tuple[list[_CorruptedModel], tuple[str, ...]]:
    """Find or fit the linear baseline, which a run does not keep; say why it is left out where it cannot be had.

    It has no seed: fitted on the same train it is the same, which is checked by the answers that the run kept.
    """
    if LINEAR not in run.baselines:
        return [], ()
    kept = run.baseline_answers(LINEAR, "test")
    task = kept.before.task
    fitted = Baselines(view, listener, TestAccessLog(view.dataset, "corruptions")).fitted(LINEAR, run.recipe).model
    if not np.allclose(task.probabilities(fitted.logits(view.splits["test"])), kept.before.prob, atol=_SAME):
        return [], ("linear: fitted again it gives other answers than those kept in the run, and is left out",)
    return [
        _CorruptedModel(task, kept.decision, kept.decided, lambda images: task.logits(fitted.model.predict(images)))
    ], ()
