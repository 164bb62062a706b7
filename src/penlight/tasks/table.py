"""The tasks by name, and their form on disk."""

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

from penlight.errors import DataError, PredictionsError, UnknownNameError
from penlight.tasks.base import Task
from penlight.tasks.binary import Binary
from penlight.tasks.multi_class import MultiClass
from penlight.tasks.multi_label import MultiLabel
from penlight.tasks.ordinal import Ordinal

if TYPE_CHECKING:
    from penlight.records.run import TaskRecord

T = TypeVar("T", bound=Task)

TASKS: dict[str, type[Task]] = {cls.kind: cls for cls in (MultiClass, Ordinal, Binary, MultiLabel)}
"""Tasks by their kind, the most general first: labels of a new dataset are offered to the last ones first."""


def register_task(task: type[T]) -> type[T]:
    """Make a task known; it can stand above the class.

    Commands and worker processes find the task of an installed package by an entry point of the group
    "penlight.tasks", whose name is the task's kind.
    """
    TASKS[task.kind] = task
    return task


def find_task(kind: str) -> type[Task] | None:
    """Find a task by its kind, also among those of installed packages; None where there is none."""
    if kind not in TASKS:
        from importlib.metadata import entry_points

        for point in entry_points(group="penlight.tasks", name=kind):
            register_task(point.load())
    return TASKS.get(kind)


def task_to_dict(task: Task) -> dict[str, Any]:
    """Give a task as plain values, for JSON."""
    values = {"kind": task.kind, **asdict(task)}  # type: ignore[call-overload]
    return {key: value for key, value in values.items() if (key, value) != ("finding", None)}


def task_from_dict(values: dict[str, Any]) -> Task:
    """Read what `task_to_dict` gave. UnknownNameError or PredictionsError if it did not."""
    from penlight.records import check_record
    from penlight.records.run import TaskRecord

    return task_of(check_record(TaskRecord, values, "The description of a task", error=PredictionsError))


def task_of(record: "TaskRecord") -> Task:
    """Give the task that a file describes, which was checked as it was read. PredictionsError if it is none."""
    made = find_task(record.kind)
    if made is None:
        raise UnknownNameError("task", record.kind[:50], TASKS)
    if not made.n_labels[0] <= len(set(record.labels)) == len(record.labels):
        raise PredictionsError(
            f"A {record.kind} task has {made.n_labels[0]} different labels or more, {len(record.labels)} came."
        )
    try:
        return made(labels=record.labels, **_given_fields(made, record))  # type: ignore[call-arg]
    except DataError as error:
        raise PredictionsError(error.problem, error.remedy) from error


def _given_fields(task: type[Task], record: "TaskRecord") -> dict[str, Any]:
    """Check what a file gives of a task beside its labels. What no task has is of a later version, and left out."""
    from penlight.records import check_record
    from penlight.records.run import OptionRecord

    given = {
        name: value for name, value in vars(record).items() if value is not None and name not in ("kind", "labels")
    }
    types = _own_fields(task)
    if strange := sorted(
        given.keys() & {name for other in TASKS.values() for name in _own_fields(other)} - types.keys()
    ):
        raise PredictionsError(f"A {record.kind} task has no {', '.join(strange)}.")
    own = {name: value for name, value in given.items() if name in types}
    for name, value in own.items():
        check_record(OptionRecord, {"value": value}, f"'{name}' of a task", error=PredictionsError)
        if not isinstance(value, types[name]):
            raise PredictionsError(f"'{name}' of a {record.kind} task is of another type.")
    return own


def _own_fields(task: type[Task]) -> dict[str, Any]:
    """Give the types of what a task has beside its labels."""
    return {own.name: own.type for own in fields(task) if own.name != "labels"}  # type: ignore[arg-type]
