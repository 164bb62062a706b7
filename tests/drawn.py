"""Runs of small phantoms, trained once for all tests of pages: real datasets by name, but of few images."""

import functools
import json
from pathlib import Path

import pytest

import penlight as pl
from penlight.api.requests import resolve_recipe
from penlight.api.training import train_recipe
from penlight.data import record, store
from penlight.data.arrays import md5_of, split_of
from penlight.data.dataset import SPLITS, Dataset, DatasetInfo
from penlight.data.pictures import DecodeOptions
from penlight.experiments import run as training
from penlight.phantoms import phantom_arrays
from penlight.reports import page
from penlight.reports.figure import draw_svg
from tests.conftest import keep_maps
from tests.once import made_once

SAMPLES = {
    "retina-phantom": {"train": 90, "val": 45, "test": 45},
    "chest-phantom": {"train": 400, "val": 60, "test": 60},
}
REPORT = "<!doctype html><html lang='en'><title>A report</title><style>p {}</style><p>Report</p></html>"
REPORTED = "fundus"
"""The run that has a real report; for the others one would only take time."""

RUNS = {
    "fundus": ("retina-phantom", "linear", ["model.components=12"], 1),
    "fundus-rough": ("retina-phantom", "linear", ["model.components=2"], 1),
    "fundus-seeds": ("retina-phantom", "linear", ["model.components=4"], 2),
    "films": ("chest-phantom", "linear", ["model.components=12"], 1),
}
STUDY = """
name = "small"
title = "A small study"
question = "Is <linear> better than nothing?"
dataset = "retina-phantom"
seeds = 1

[[rows]]
id = "majority"
recipe = "majority"
title = "Majority-class baseline"

[[rows]]
id = "linear"
recipe = "linear"
title = "Linear baseline"
overrides = ["model.components=4"]
"""


@functools.cache
def _arrays(name: str, size: int) -> dict:
    return phantom_arrays(name, size, samples=SAMPLES[name])


def _draw(info: DatasetInfo, size: int) -> Dataset:
    arrays = _arrays(info.name, size)
    splits = {split: split_of(arrays, split) for split in SPLITS}
    return Dataset(info, size, splits, md5_of(arrays), DecodeOptions(size, info.channels))


@functools.cache
def shelf_folder() -> Path:
    """Train `RUNS` and `STUDY`, all without Keras, into one folder; give it."""
    return made_once("pages", _train)


def _train(folder: Path) -> None:
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        keep_maps(patch)
        patch.setattr(store, "_draw", _draw)
        patch.setattr(page, "draw_svg", draw_svg)
        patch.setattr(record, "problems_of", lambda *_: ())
        patch.setattr("penlight.reports.seeds_report", lambda *_, **__: REPORT)
        patch.setattr("penlight.reports.study.study_report", lambda *_: REPORT)
        for name, (dataset, recipe, overrides, seeds) in RUNS.items():
            if name != REPORTED:
                patch.setattr(training, "_write_report", lambda writer, *_: writer.write("report.html", REPORT))
            train_recipe(resolve_recipe(dataset, recipe, overrides), seeds=seeds, out=folder / name)
        file = folder / "small.toml"
        file.write_text(STUDY)
        pl.study(str(file), out=folder / "study")


def metrics_of(name: str) -> dict:
    """Read the scores of one of the runs."""
    return json.loads((shelf_folder() / name / "metrics.json").read_text())
