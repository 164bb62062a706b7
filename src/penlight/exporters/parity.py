"""Proof that an exported file answers as the model does: both are asked the same images, and the scores compared.

Every run keeps a model.onnx that is proved so on a few images of val.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data import ViewedDataset
from penlight.data.reads import Readable, read
from penlight.errors import ExportError, RunError
from penlight.evaluation import Decision, score
from penlight.numbers import counted
from penlight.recipes import Recipe
from penlight.records import Record, json_key
from penlight.runs import ModelFacts, Predictions, Predictor, RunWriter, answer
from penlight.runs.exports import ExportedFile, MetricChange, Parity
from penlight.runs.predictor import MODEL

Floats = NDArray[np.float64]
Images = NDArray[np.uint8]

Answering = Callable[[Images], tuple[Floats, Floats]]
"""Images (N, H, W, C) to logits (N, K) and calibrated probabilities (N, C), as the file gives them."""

BATCHES = (1, 7)
"""Batch sizes that every file is asked with: of one picture, and of a number that nothing is tuned for."""

CLOSE = {"float32": 1e-5, "bfloat16": 0.05}
"""How far a probability of a float32 file may be from the model's, by the precision of the model's own products: one
that rounds them to 8 bits is itself not surer than that."""


def compare(
    file: Answering, images: Readable, model: Predictions, decision: Decision, *, scored: bool = True
) -> Parity:
    """Ask the file for `images`, those of the model's predictions (not calibrated), at every batch size; `scored`
    compares the scores too."""
    task, truth = model.task, answer(model, decision)
    logits, prob = zip(*(_in_batches(file, images, batch) for batch in BATCHES), strict=True)
    raw = [task.probabilities(z) for z in logits]
    again = [decision.calibration.apply(task, p) for p in raw]
    return Parity(
        model.split,
        len(images),
        max(_furthest(p, model.prob) for p in raw),
        max(_furthest(p, q) for p, q in zip(prob, again, strict=True)),
        max(_furthest(p, truth.predictions.prob) for p in prob),
        _changes(truth.predictions, truth.decided, prob[0], decision) if scored else (),
        BATCHES,
    )


def _in_batches(file: Answering, images: Readable, batch: int) -> tuple[Floats, Floats]:
    parts = [file(np.asarray(images[start : start + batch])) for start in range(0, len(images), batch)]
    logits, prob = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(prob)


def _furthest(one: Floats, other: Floats) -> float:
    """Give the largest absolute difference; infinity where one is not a number."""
    difference = float(np.max(np.abs(one - other)))
    return difference if np.isfinite(difference) else np.inf


def _changes(model: Predictions, decided: NDArray[np.uint8], prob: Floats, decision: Decision) -> list[MetricChange]:
    cuts = None if decision.thresholds is None else np.array(decision.thresholds)
    of_file = score(model.task, model.y_true, prob, model.task.decide(prob, cuts), resamples=0, known=model.known)
    of_model = score(model.task, model.y_true, model.prob, decided, resamples=0, known=model.known)
    rows = zip(of_model, of_file, strict=True)
    return [MetricChange(before.name, before.label, before.value, after.value) for before, after in rows]


_DEFECT = "Repeat the run on this machine; if that changes nothing, it is a defect of Penlight: please report it."
_LARGE = (
    "Logits of a network that does not scale its images are so large that their digits are lost in 32 bits: begin it "
    "with Rescaling(1 / 255), as it gets pixels of 0 to 255."
)


def require_close(parity: Parity, precision: str, what: str, remedy: str = _DEFECT) -> None:
    """Raise ExportError if a float32 file differs from a model of `precision` by more than `CLOSE`."""
    worst = max(parity.before, parity.calibration)
    if not worst <= CLOSE[precision]:
        raise ExportError(
            f"{what} does not answer as the trained model does: over "
            f"{counted(parity.images, 'image')} of {parity.split} a "
            f"probability differs by {worst:.1e}, where {CLOSE[precision]:g} is allowed. It was not written.",
            remedy,
        )


RECORD = "export.json"
"""What is known of each exported file of a run, by its name."""


# Training asks its file for so many images of val: enough to see a wrong layer, too few to wait for.
_QUICK = 64


class Exported(Record):
    """What `export` made: the file, its format, and how it compares with the model."""

    file: Path
    to: str = json_key("format")
    bytes: int
    parity: Parity = json_key(inline=True)
    written: bool = True

    def record(self) -> ExportedFile:
        """Give what export.json holds of the file."""
        return ExportedFile(True, format=self.to, bytes=self.bytes, parity=self.parity)


Proved = tuple[bytes, Parity]
"""The bytes of a model.onnx, and how they compare with the model."""


def write_onnx(
    writer: RunWriter, model: Any, view: ViewedDataset, val: Predictions, decision: Decision, kept: str
) -> str:
    """Write model.onnx into a run that is being made, checked on images of val; export.json says how far it is off.
    `kept` names the model.

    A file that does not answer as the model does is not written, and export.json and what is given say why.
    """
    from penlight.exporters.estimator import COMPLETE

    facts = facts_of(writer.recipe, view, val, decision, writer.seed, kept)
    remedy = {"estimator": COMPLETE, "own": _LARGE}.get(kept, _DEFECT)
    try:
        proved = prove(model, facts, view, val, decision, writer.recipe.train.precision, remedy)
    except (ExportError, RunError) as error:
        writer.write_json(RECORD, {MODEL: ExportedFile(False, error.text)})
        return error.text
    write_proved(writer, proved)
    return ""


def prove(
    model: Any, facts: ModelFacts, view: ViewedDataset, val: Predictions, decision: Decision, precision: str,
    remedy: str = _DEFECT,
) -> Proved:  # fmt: skip
    """Give a model as the bytes of model.onnx, and how far they are off its predictions of images of val. ExportError
    where they are further than `CLOSE`, RunError where they are more than a run may hold."""
    from penlight.exporters.onnx_file import onnx_file

    content, few = onnx_file(model, facts, decision.calibration), val.part(slice(_QUICK))
    images, file = read(view.splits["val"].images, few.index), Predictor(content, MODEL)
    # Scores of so few images would say nothing.
    parity = compare(file.answer, images, few, decision, scored=False)
    require_close(parity, precision, MODEL, remedy)
    return content, parity


def write_proved(writer: RunWriter, proved: Proved) -> None:
    """Write what `prove` gave into a run, and into export.json how far it is off."""
    content, parity = proved
    writer.write(MODEL, content)
    writer.write_json(RECORD, {MODEL: Exported(writer.path / MODEL, "onnx", len(content), parity).record()})


def facts_of(
    recipe: Recipe, view: ViewedDataset, predictions: Predictions, decision: Decision, seed: int, kept: str
) -> ModelFacts:
    """Gather what a file is to say of the model of a run, which is `kept`: that of the recipe, or a baseline."""
    info = view.dataset.info
    return ModelFacts(
        task=predictions.task,
        size=view.dataset.size,
        channels=info.channels,
        dataset=info.name,
        view=view.view,
        licence=info.licence,
        thresholds=decision.thresholds,
        backbone=kept,
        recipe_hash=recipe.hash,
        seed=seed,
        data_hash=view.dataset.md5,
    )
