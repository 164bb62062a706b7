"""What must travel with a model: what its labels mean, what it was made of and with, and what it is not for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penlight import __version__
from penlight.errors import RunError
from penlight.tasks import Task, task_from_dict, task_to_dict

NOTICE = "Not for clinical use."
SCHEMA = 1


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
        raise RunError(f"{where} was not written by this version of Penlight.", "Export the run again.")
    try:
        cuts: Any = json.loads(values["thresholds"])
        return ModelFacts(
            task=task_from_dict(json.loads(values["task"])),
            size=int(values["size"]),
            channels=int(values["channels"]),
            dataset=values["dataset"],
            view=values["view"],
            licence=values["licence"],
            thresholds=None if cuts is None else tuple(float(cut) for cut in cuts),
            backbone=values["backbone"],
            recipe_hash=values["recipe_hash"],
            seed=int(values["seed"]),
            data_hash=values["data_md5"],
            version=values["penlight_version"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(f"What {where} says of its model is damaged.", "Export the run again.") from error
