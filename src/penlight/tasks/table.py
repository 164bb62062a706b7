"""The tasks by name, and their form on disk."""

from dataclasses import asdict
from typing import Any

from penlight.errors import PredictionsError, UnknownNameError
from penlight.tasks.base import Task
from penlight.tasks.binary import Binary
from penlight.tasks.multi_class import MultiClass
from penlight.tasks.multi_label import MultiLabel
from penlight.tasks.ordinal import Ordinal

TASKS: dict[str, type[MultiClass] | type[Ordinal] | type[Binary] | type[MultiLabel]] = {
    cls.kind: cls for cls in (MultiClass, Ordinal, Binary, MultiLabel)
}


def task_to_dict(task: Task) -> dict[str, Any]:
    """Give a task as plain values, for JSON."""
    return {"kind": task.kind, **asdict(task)}  # type: ignore[call-overload]


def task_from_dict(values: dict[str, Any]) -> Task:
    """Read what `task_to_dict` gave. UnknownNameError or PredictionsError if it did not."""
    fields = dict(values)
    kind = str(fields.pop("kind", ""))
    if kind not in TASKS:
        raise UnknownNameError("task", kind, TASKS)
    try:
        return TASKS[kind](**{**fields, "labels": tuple(fields["labels"])})
    except (TypeError, KeyError) as error:
        raise PredictionsError(f"This is not the description of a {kind} task: {values}.") from error
