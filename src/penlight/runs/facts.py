"""What must travel with a model: what its labels mean, what it was made of and with, and what it is not for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from penlight import __version__
from penlight.errors import RunError
from penlight.parsing import parse_json
from penlight.records import check_record
from penlight.records.run import FactsRecord
from penlight.tasks import Task, task_of, task_to_dict

NOTICE = "Not for clinical use."
SCHEMA = 1

_NUMBERS = ("size", "channels", "seed")
_REMEDY = "Export the run again."


@dataclass(frozen=True)
class ModelFacts:
    """What a model's file says of itself.

    Images are `size` pixels square with `channels` channels, uint8; `thresholds` (C,) are for the calibrated
    probabilities, or (C-1,) for their expected grade, None for tasks that have none; `licence` is that of the data.
    """

    task: Task
    size: int
    channels: int
    dataset: str
    view: str
    licence: str
    thresholds: tuple[float, ...] | None
    backbone: str
    recipe_hash: str
    seed: int
    data_hash: str
    version: str = __version__

    def to_properties(self) -> dict[str, str]:
        """Give the facts as texts by name, in JSON where they are more than a text."""
        return {
            "notice": NOTICE,
            "labels": json.dumps(self.task.labels, ensure_ascii=False),
            "task": json.dumps(task_to_dict(self.task), ensure_ascii=False),
            "thresholds": json.dumps(self.thresholds),
            "size": str(self.size),
            "channels": str(self.channels),
            "dataset": self.dataset,
            "view": self.view,
            "licence": self.licence,
            "backbone": self.backbone,
            "recipe_hash": self.recipe_hash,
            "seed": str(self.seed),
            "data_md5": self.data_hash,
            "penlight_version": self.version,
            "schema": str(SCHEMA),
        }


def facts_from_properties(values: Mapping[str, str], where: str) -> ModelFacts:
    """Read what `ModelFacts.to_properties` gave. RunError if it did not, or if another schema is meant."""
    if values.get("schema") != str(SCHEMA) or "task" not in values:
        raise RunError(f"{where} was not written by this version of Penlight.", _REMEDY)
    what = f"What {where} says of its model"
    # What the record knows is read; the values of the others are not even parsed.
    plain = {key: value for key, value in values.items() if key not in ("task", "thresholds", *_NUMBERS)}
    numbers = {key: _number(values.get(key, ""), what) for key in _NUMBERS}
    parsed = {key: parse_json(values.get(key, ""), what, _REMEDY, error=RunError) for key in ("task", "thresholds")}
    record = check_record(FactsRecord, {**plain, **numbers, **parsed}, what, _REMEDY)
    task = task_of(record.task)
    wanted = len(task.labels) if task.uses_thresholds else len(task.cut_points)
    if record.thresholds is not None and len(record.thresholds) != (wanted or len(record.thresholds)):
        raise RunError(f"{what} has {len(record.thresholds)} thresholds, {wanted} were expected.", _REMEDY)
    return ModelFacts(
        task=task,
        size=record.size,
        channels=record.channels,
        dataset=record.dataset,
        view=record.view,
        licence=record.licence,
        thresholds=record.thresholds,
        backbone=record.backbone,
        recipe_hash=record.recipe_hash,
        seed=record.seed,
        data_hash=record.data_md5,
        version=record.penlight_version,
    )


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise RunError(f"{what} is damaged: a whole number was expected, {text[:20]!r} came.", _REMEDY)
    return int(text)
