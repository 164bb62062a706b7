"""The tasks by name, and their form on disk."""

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from penlight.errors import PredictionsError, UnknownNameError
from penlight.tasks.base import Task
from penlight.tasks.binary import Binary
from penlight.tasks.multi_class import MultiClass
from penlight.tasks.multi_label import MultiLabel
from penlight.tasks.ordinal import Ordinal

if TYPE_CHECKING:
    from penlight.records.run import TaskRecord

TASKS: dict[str, type[MultiClass] | type[Ordinal] | type[Binary] | type[MultiLabel]] = {
    cls.kind: cls for cls in (MultiClass, Ordinal, Binary, MultiLabel)
}

_FEWEST = {MultiClass.kind: 2, Ordinal.kind: 2, Binary.kind: 2, MultiLabel.kind: 1}


def task_to_dict(task: Task) -> dict[str, Any]:
    """Give a task as plain values, for JSON."""
    values = {"kind": task.kind, **asdict(task)}  # type: ignore[call-overload]
    return {key: value for key, value in values.items() if (key, value) != ("finding", None)}


def task_from_dict(values: dict[str, Any]) -> Task:
    """Read what `task_to_dict` gave. UnknownNameError or PredictionsError if it did not."""
    from penlight.records import check_record
    from penlight.records.run import TaskRecord

    kind = values.get("kind")
    if isinstance(kind, str) and kind not in TASKS:
        raise UnknownNameError("task", kind[:50], TASKS)
    return task_of(check_record(TaskRecord, values, "The description of a task", error=PredictionsError))


def task_of(record: "TaskRecord") -> Task:
    """Give the task that a file describes, which was checked as it was read. PredictionsError if it is none."""
    made, given = TASKS[record.kind], record.model_dump(exclude_none=True, exclude={"kind"})
    known = {own.name for own in fields(made)}
    if strange := sorted(given.keys() - known):
        raise PredictionsError(f"A {record.kind} task has no {', '.join(strange)}.")
    if record.finding is not None and record.finding not in record.labels:
        raise PredictionsError("The finding of a binary task is none of its labels.")
    task = made(**given)
    if len(set(task.labels)) != len(task.labels) or len(task.labels) < _FEWEST[record.kind]:
        raise PredictionsError(
            f"A {record.kind} task has {_FEWEST[record.kind]} different labels or more, {len(task.labels)} came."
        )
    if (record.referable or 0) >= len(task.labels):
        raise PredictionsError(f"The lowest grade that needs a referral is none of {len(task.labels)}.")
    return task
