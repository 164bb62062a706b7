"""What a copy of a run holds that is made to be shared: each of its files, written anew without images, identifiers,
values of single images, and paths.

A copy is put together from what is known and harmless; what is not known here does not come along.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from penlight.data.accesses import READ_BEFORE
from penlight.data.description import is_name
from penlight.data.record import DataRecord
from penlight.errors import RunError
from penlight.parsing import parse_json_object
from penlight.recipes import Ensemble, Kernel, Recipe
from penlight.recipes.recipe import FeatureBased
from penlight.runs.encoders import named_encoders
from penlight.runs.facts import facts_from_properties
from penlight.runs.files import json_text
from penlight.runs.holdings import KEEPS_IMAGES, MAPS_ALIKE, NOVELTY_RATES, SHARED
from penlight.runs.modelfile import check_model
from penlight.runs.predictions import Predictions, predictions_from_bytes, to_bytes
from penlight.runs.provenance import without_names
from penlight.runs.scores import FoldsSummary, Scores, SeedsSummary

_KEPT_PROVENANCE = (
    "seed",
    "size",
    "view",
    "data_md5",
    "images",
    "parameters",
    "best_epoch",
    "members",
    "final",
    "durations",
    "versions",
    "machine",
    "model",
    "ahead_of_linear_on_val",
    READ_BEFORE,
    NOVELTY_RATES,
)
_ARCHIVE_DATE = (1980, 1, 1, 0, 0, 0)
_DATE_SAVED = "1980-01-01@00:00:00"
_PATCH_SIDE = 5
_MOST_PACKED, _SMALL = 200, 64 << 20


class PatientNumbers:
    """Gives patients other numbers, drawn at random; the same patients always get the same, so that what is compared
    by patient stays comparable."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng()
        self._known: dict[bytes, NDArray[np.int64]] = {}

    def __call__(self, groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """Renumber (N,) patients."""
        key = groups.tobytes()
        if key not in self._known:
            names, inverse = np.unique(groups, return_inverse=True)
            self._known[key] = self._rng.permutation(len(names)).astype(np.int64)[inverse]
        return self._known[key]


def plain_dataset(recipe: Recipe, provenance: Mapping[str, Any]) -> str:
    """Give the name of a run's dataset, whatever path it was opened by."""
    known = recipe.data.dataset
    name = known if is_name(known) else str(provenance.get("dataset", ""))
    return name if is_name(name) else "dataset"


def shared_recipe(recipe: Recipe, dataset: str) -> Recipe:
    """Name the dataset and files of weights without their folders."""
    values = recipe.model_dump(mode="json")
    values["data"]["dataset"] = dataset
    return Recipe.model_validate_json(json_text(_without_folders(values)))


def _without_folders(values: Any) -> Any:
    if isinstance(values, dict):
        return {
            key: file_name(value) if key == "weights" and isinstance(value, str) else _without_folders(value)
            for key, value in values.items()
        }
    return [_without_folders(value) for value in values] if isinstance(values, list) else values


def file_name(path: str) -> str:
    """Give the last part of a path, of whatever system."""
    return PurePosixPath(PureWindowsPath(path).as_posix()).name or path


def shared_provenance(
    provenance: Mapping[str, Any], recipe: Recipe, dataset: str, maps_alike: float | None, shared: Mapping[str, Any]
) -> dict[str, Any]:
    """Keep of provenance.json what is known to hold no path, and say that this is a copy."""
    kept = without_names({key: provenance[key] for key in _KEPT_PROVENANCE if key in provenance})
    marks = {KEEPS_IMAGES: False, MAPS_ALIKE: maps_alike, SHARED: dict(shared)}
    return {"recipe_hash": recipe.hash, "dataset": dataset} | kept | marks


def shared_predictions(content: bytes, where: str, recipe: Recipe, numbers: PatientNumbers) -> bytes:
    """Keep answers and labels by row number, and which images are of one patient; no other value of an image.

    Row numbers stay: without them runs could not be compared on the same images.
    """
    return to_bytes(stripped(predictions_from_bytes(content, where), recipe, numbers))


def stripped(predictions: Predictions, recipe: Recipe, numbers: PatientNumbers) -> Predictions:
    """Give predictions without metadata, their patients renumbered."""
    groups = None if predictions.groups is None else numbers(predictions.groups)
    known = recipe.hash if predictions.recipe_hash else ""
    return replace(predictions, groups=groups, metadata={}, recipe_hash=known)


def shared_data(record: DataRecord) -> DataRecord:
    """Keep what the audit counted, without the rows or patients that it names; metrics.json keeps what follows."""
    problems = tuple(replace(own, places=(), seen=without_example(own.seen)) for own in record.problems)
    return replace(record, problems=problems, duplicates=None)


def shared_history(content: bytes) -> bytes:
    """Write learning curves again: a head of plain names, and numbers. RunError for anything else."""
    head, *lines = content.decode("utf-8", "replace").splitlines()
    names = head.split(",")
    cells = [line.split(",") for line in lines]
    if not all(name.isidentifier() for name in names) or any(len(row) != len(names) for row in cells):
        raise RunError("history.csv is not what Penlight writes.", "Make the run again.")
    try:
        [[float(cell) for cell in row] for row in cells]
    except ValueError as error:
        raise RunError("history.csv holds something else than numbers.", "Make the run again.") from error
    return "\n".join([head, *lines, ""]).encode()


def without_example(text: str) -> str:
    """Take the patient out of a sentence that names one as an example."""
    before, found, _ = text.partition(", for example ")
    return f"{before}." if found else text


AnyScores = TypeVar("AnyScores", bound=Scores | SeedsSummary | FoldsSummary)


def shared_scores(scores: AnyScores) -> AnyScores:
    """Keep scores, without groups that have none: those of few patients."""
    checks = [replace(check, seen=without_example(check.seen)) for check in scores.checks]
    return replace(scores, checks=checks, subgroups=[own for own in scores.subgroups if math.isfinite(own.value)])


def shared_onnx(content: bytes, recipe_hash: str) -> bytes:
    """Name the copy's recipe in a model's file, and keep of what it says of itself what Penlight writes."""
    import onnx

    model = onnx.load_model_from_string(content)
    said = {entry.key: entry.value for entry in model.metadata_props}
    facts = replace(facts_from_properties(said, "model.onnx"), recipe_hash=recipe_hash)
    encoders = named_encoders(check_model(content, "model.onnx", beside=True), "model.onnx")
    del model.metadata_props[:]
    named = {key: value for own in encoders for key, value in own.to_property().items()}
    onnx.helper.set_model_props(model, {**facts.to_properties(), **named})
    model.ClearField("doc_string")
    model.graph.ClearField("doc_string")
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def shared_keras(content: bytes) -> bytes:
    """Write a .keras file again without times, and without what else an archive can carry."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as copy:
        for name in sorted({"metadata.json", "config.json", "model.weights.h5"} & set(archive.namelist())):
            member = archive.getinfo(name)
            if member.file_size > _MOST_PACKED * member.compress_size + _SMALL:
                raise RunError("model.keras is packed as no network is.", "It was made to harm; make the run again.")
            inner = archive.read(name)
            if name == "metadata.json":
                about = parse_json_object(inner, name)
                inner = json_text({"keras_version": about.get("keras_version"), "date_saved": _DATE_SAVED}).encode()
            copy.writestr(zipfile.ZipInfo(name, _ARCHIVE_DATE), inner)
    return out.getvalue()


def images_in_model(recipe: Recipe, train: int) -> list[str]:
    """Say what of single training images is in a model's own numbers."""
    members = (
        [member.model for member in recipe.model.members] if isinstance(recipe.model, Ensemble) else [recipe.model]
    )
    found = []
    if classifiers := [model for model in members if isinstance(model, FeatureBased)]:
        most = max(model.patches for model in classifiers)
        found.append(
            f"model.onnx holds up to {most:,} windows of {_PATCH_SIDE} × {_PATCH_SIDE} pixels of training images, as "
            "filters: whitened, and even in light and contrast."
        )
    if kernels := [model for model in members if isinstance(model, Kernel)]:
        n = min(train, max(model.landmarks for model in kernels))
        found.append(
            f"model.onnx holds some hundred numbers computed from each of {n:,} training images, the centres of its "
            "kernel."
        )
    return found
