"""Several models that answer as one: those of folds, or of seeds, whose logits are averaged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import Readable
from penlight.errors import RunError
from penlight.runs import Predictor, RunFolder
from penlight.runs.facts import facts_from_properties
from penlight.runs.modelfile import check_model
from penlight.runs.predictor import MODEL
from penlight.tasks import Task

Floats = NDArray[np.float64]

_AT_ONCE = 512


@dataclass(frozen=True)
class AveragedModel:
    """The models of `runs`, which answer a task on images of `size` pixels by the mean of their logits."""

    task: Task
    size: int
    runs: Sequence[RunFolder]

    def files(self) -> Iterator[tuple[bytes, str]]:
        """Give the model.onnx of each run, one in memory at a time, and what to call it. RunError for a run without
        one, or with one of another task or size, as a stranger's folder may hold."""
        for run in self.runs:
            content, where = run.read(MODEL), str(run.path / MODEL)
            facts = facts_from_properties(check_model(content, where, beside=True).properties, where)
            if (facts.task, facts.size) != (self.task, self.size):
                raise RunError(
                    f"{where} is of another task or size of images than its folder: {facts.task.kind} of "
                    f"{len(facts.task.labels)} labels at {facts.size} px.",
                    "Repeat the training in another folder.",
                )
            yield content, where

    def predict(self, images: Readable) -> Floats:
        """Give (N, C) probabilities. Errors as in `files`."""
        logits = [
            ServedModel(Predictor(content, where, isolated=True)).logits(images) for content, where in self.files()
        ]
        return self.task.probabilities(np.mean(logits, axis=0))


@dataclass(frozen=True)
class ServedModel:
    """A model as its file answers, before calibration."""

    predictor: Predictor

    def logits(self, images: Readable) -> Floats:
        """Give (N, K) logits."""
        starts = range(0, len(images), _AT_ONCE)
        return np.concatenate([self.predictor.logits(np.asarray(images[i : i + _AT_ONCE])) for i in starts])

    def predict(self, images: Readable) -> Floats:
        """Give (N, C) probabilities."""
        return self.predictor.task.probabilities(self.logits(images))
