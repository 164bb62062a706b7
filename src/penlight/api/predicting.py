"""Predict pictures with a run: files, folders, arrays, uploads; thousands of them in bounded memory.

It loads neither NumPy nor ONNX Runtime where files are asked about.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

from penlight.answers import answering_model
from penlight.api.paths import PathLike, listed, path_of
from penlight.errors import ArgumentError
from penlight.records import Record, json_key, shorten
from penlight.runs.remote import Prediction, RemoteClassifier, predict_each
from penlight.runs.sources import Source, pictures

if TYPE_CHECKING:
    from penlight.api.parts import PredictedParts
    from penlight.experiments.executors.places import Place
    from penlight.experiments.progress import ProgressListener

_SHOWN = 4


class Predicted(Record, computed=("failed",), table="predictions"):
    """What `predict` gives: which `model` answered (`Classifier.about`), and a prediction for each picture."""

    model: dict[str, Any] = json_key(written=answering_model)
    predictions: Sequence[Prediction] = json_key("images")

    @property
    def failed(self) -> int:
        """How many pictures got no answer."""
        return sum(p.answer is None for p in self.predictions)

    def __repr__(self) -> str:
        said = [
            f"{p.file}: {'not read' if p.answer is None else ', '.join(p.answer.answers) or 'none'}"
            for p in self.predictions[:_SHOWN]
        ]
        more = ", ..." if len(self.predictions) > _SHOWN else ""
        return shorten(f"Predicted({len(self.predictions):,} images; {'; '.join(said)}{more})")


@overload
def predict(run: PathLike, sources: "Source | Iterable[Source]") -> Predicted: ...


@overload
def predict(
    run: PathLike,
    sources: "PathLike | Iterable[PathLike]",
    *,
    out: PathLike,
    shard: str | None = None,
    on: "str | Place | None" = None,
    listener: "ProgressListener | None" = None,
) -> "PredictedParts": ...


def predict(
    run: PathLike,
    sources: "Source | Iterable[Source]",
    *,
    out: PathLike | None = None,
    shard: str | None = None,
    on: "str | Place | None" = None,
    listener: "ProgressListener | None" = None,
) -> "Predicted | PredictedParts":
    """Predict images with a run: its answer for each, calibrated probabilities, and what is unlike train.

    `run` is a run or its folder. `sources` is one or several of: an image file of `penlight.formats.KINDS`, a
    folder of them, an npz of images, an array uint8 (H, W), (H, W, C), (N, H, W) or (N, H, W, C), a file's name with
    its bytes.
    What cannot be read is in the result, with its error, and stops nothing. RunError for what is no run with a model.

    With a folder `out`, predictions of files, folders and npz files are written there as Parquet files, each of 4,096
    pictures; a call that was stopped goes on with the parts that are missing. `shard="3/16"` does each sixteenth part
    from the third on; the summary is written when all are there. `on` is where they are done: all cores of this
    machine, or one each of N processes with "local:N".

    Examples
    --------
    >>> found = pl.predict("runs/retina", "eye.png")
    >>> found.predictions[0].answer.answers
    ('...',)
    >>> found.frame()[["file", "answers"]].shape
    (1, 2)
    """
    path = path_of(run, "run folder")
    if out is not None:
        from penlight.api.parts import predict_parts

        return predict_parts(path, listed(sources), path_of(out, "output folder"), shard, on, listener=listener)
    if shard is not None or on is not None:
        raise ArgumentError("Shards and places are for predictions in parts.", "Give the folder for these, as --out.")
    classifier = RemoteClassifier(path)
    return Predicted(classifier.about, list(predict_each(classifier, pictures(listed(sources)))))
