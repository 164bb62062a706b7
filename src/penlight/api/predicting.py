"""Predict pictures with a run: files, folders, arrays, uploads; thousands of them in bounded memory.

It loads neither NumPy nor ONNX Runtime where files are asked about.
"""

import html
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from penlight.answers import answering_model
from penlight.api.paths import PathLike, listed, path_of
from penlight.errors import ArgumentError
from penlight.records import Record, json_key, shorten
from penlight.runs import open_run
from penlight.runs.remote import AnswerCounts, Prediction, RemoteClassifier, predict_each
from penlight.runs.sources import Source, pictures

if TYPE_CHECKING:
    import pandas as pd

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


class PredictedParts(Record, computed=("failed",)):
    """What `predict` gives with `out`: a folder of predictions in parts, of which some are `missing` where only a
    shard was done. Counts are of the pictures of all parts that are there."""

    folder: Path
    model: dict[str, Any] = json_key(written=answering_model)
    parts: int
    missing: int
    counts: AnswerCounts = json_key(inline=True)

    @property
    def failed(self) -> int:
        """How many pictures got no answer."""
        return self.counts.failed

    def frame(self) -> "pd.DataFrame":
        """Give the predictions of all parts as a table, which is held in memory: one line for each picture."""
        from penlight.experiments.parts import read_parts

        return read_parts(self.folder)

    def _repr_html_(self) -> str:
        return f"<p><code>{html.escape(repr(self))}</code></p>"


@overload
def predict(run: PathLike, sources: "Source | Iterable[Source]") -> Predicted: ...


@overload
def predict(
    run: PathLike,
    sources: "PathLike | Iterable[PathLike]",
    *,
    out: PathLike,
    shard: str | None = None,
    on: str | None = None,
    listener: "ProgressListener | None" = None,
) -> PredictedParts: ...


def predict(
    run: PathLike,
    sources: "Source | Iterable[Source]",
    *,
    out: PathLike | None = None,
    shard: str | None = None,
    on: str | None = None,
    listener: "ProgressListener | None" = None,
) -> Predicted | PredictedParts:
    """Predict images with a run: its answer for each, calibrated probabilities, and what is unlike train.

    `run` is a run or its folder. `sources` is one or several of: an image file of `penlight.formats.KINDS`, a
    folder of them, an npz of images, an array uint8 (H, W), (H, W, C), (N, H, W) or (N, H, W, C), a file's name with
    its bytes.
    What cannot be read is in the result, with its error, and stops nothing. RunError for what is no run with a model.

    With a folder `out`, predictions of files, folders and npz files are written there as Parquet files, each of 4,096
    pictures; a call that was stopped goes on with the parts that are missing. `shard="3/16"` does each sixteenth part
    from the third on; the summary is written when all are there. `on` is where it is done, see `train`.

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
        return _predict_parts(path, listed(sources), path_of(out, "output folder"), shard, on, listener)
    if shard is not None or on is not None:
        raise ArgumentError("Shards and places are for predictions in parts.", "Give the folder for these, as --out.")
    classifier = RemoteClassifier(path)
    return Predicted(classifier.about, list(predict_each(classifier, pictures(listed(sources)))))


def _predict_parts(
    run: Path,
    sources: "Sequence[Source]",
    out: Path,
    shard: str | None,
    on: str | None,
    listener: "ProgressListener | None",
) -> PredictedParts:
    from penlight.experiments import parts
    from penlight.experiments.executors import Here, do_all
    from penlight.experiments.opened import OpenedData
    from penlight.experiments.progress import ProgressListener

    parts.require_pyarrow()
    chosen = parts.Shard.of(shard)
    paths = [_file_source(source) for source in sources]
    listener = listener or ProgressListener()
    data = OpenedData(listener)
    run_hash = open_run(run).measured
    about = parts.open_remote(data, run, run_hash, 0).about
    manifest, missing = parts.plan_parts(out, run_hash, paths, chosen)
    executor = Here(listener)
    work = (
        parts.PartsWork(out, run, run_hash, numbers, Path.cwd(), 0)
        for numbers in parts.divide_work(missing, executor.slots)
    )
    do_all(work, executor)
    counts, left = parts.finish_parts(out, manifest, about)
    return PredictedParts(out, about, len(manifest.parts), left, counts)


def _file_source(source: "Source") -> Path:
    """Give the path of a source. ArgumentError for an array or bytes, which other processes could not read again."""
    if isinstance(source, str | os.PathLike):
        return path_of(source)
    raise ArgumentError(
        f"Predictions in parts are of files, folders and npz files; {type(source).__name__} came.",
        "Give paths, or leave out --out.",
    )
