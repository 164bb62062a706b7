"""Predict many pictures in parts, which are written to a folder: here, or where `on` says."""

import contextlib
import html
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.answers import answering_model
from penlight.api.paths import path_of
from penlight.api.progress import PredictingView, shows
from penlight.errors import ArgumentError
from penlight.experiments.executors.places import Place
from penlight.experiments.executors.work import announced
from penlight.experiments.experiment import run_experiment
from penlight.experiments.opened import OpenedData
from penlight.experiments.parts import (
    PartsWork,
    Shard,
    divide_work,
    finish_parts,
    open_remote,
    plan_parts,
    read_parts,
    require_pyarrow,
)
from penlight.experiments.progress import ProgressListener
from penlight.numbers import counted
from penlight.records import Record, json_key
from penlight.runs import open_run
from penlight.runs.remote import AnswerCounts
from penlight.runs.sources import Source

if TYPE_CHECKING:
    import pandas as pd


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
        return read_parts(self.folder)

    def _repr_html_(self) -> str:
        return f"<p><code>{html.escape(repr(self))}</code></p>"


@shows(PredictingView)
def predict_parts(
    run: Path,
    sources: Sequence[Source],
    out: Path,
    shard: str | None,
    on: str | Place | None,
    *,
    listener: ProgressListener | None = None,
) -> PredictedParts:
    """Predict in parts: see `predict`."""
    require_pyarrow()
    listener, chosen, place = listener or ProgressListener(), Shard.of(shard), Place.of(on)
    paths = [_file_source(source) for source in sources]
    data, run_hash = OpenedData(listener), open_run(run).measured
    # Processes of this machine answer with one each, jobs elsewhere with the cores that they are given.
    workers = 1 if place.kind == "local" and place.about else 0
    about = open_remote(data, run, run_hash, workers).about
    executor = place.executor(out, data, listener)
    listener.on_step("Listing the images")
    manifest, missing = plan_parts(out, run_hash, paths, chosen)
    work = [
        PartsWork(out, run, run_hash, numbers, Path.cwd(), workers)
        for numbers in divide_work(chosen.numbers(len(manifest.parts)), few=place.kind == "slurm")
        if not missing.isdisjoint(numbers)
    ]
    done = itertools.count(1)
    listener.on_step(f"Predicting {counted(manifest.images, 'image')}")
    counts, left = run_experiment(
        contextlib.nullcontext,
        work if place.is_here else announced(work, listener),
        lambda _: finish_parts(out, manifest, about),
        executor,
        lambda: listener.on_part(next(done), len(work)),
    )
    return PredictedParts(out, about, len(manifest.parts), left, counts)


def _file_source(source: Source) -> Path:
    """Give the path of a source. ArgumentError for an array or bytes, which other processes could not read again."""
    if isinstance(source, str | os.PathLike):
        return path_of(source)
    raise ArgumentError(
        f"Predictions in parts are of files, folders and npz files; {type(source).__name__} came.",
        "Give paths, or leave out --out.",
    )
