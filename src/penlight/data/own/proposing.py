"""What the pictures and their labels suggest: a task, the order of the labels, channels and bits, with reasons."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penlight.data.decoding import largest_values, look_at_files
from penlight.data.own.rows import ManifestRow
from penlight.data.pictures import PictureHeader
from penlight.errors import DataError
from penlight.escaping import named
from penlight.numbers import counted
from penlight.tasks import TASKS, find_task

_LOOKED_INTO = 16
_BITS = (8, 10, 12, 14, 16)


@dataclass(frozen=True)
class Proposal:
    """A task for labels, with the `values` in their order; `reason` is why, `note` what a person should look at."""

    task: str
    values: tuple[str, ...]
    reason: str
    note: str = ""

    @property
    def option_notes(self) -> list[str]:
        """What a person should look at of the options that the task proposes."""
        return [own.note for own in TASKS[self.task].proposed_options(self.values) if own.note]


@dataclass(frozen=True)
class Format:
    """What the headers of all pictures say together: `channels` and `bits` with the reasons; `sides` are the smallest
    and the largest width or height in pixels."""

    channels: int
    channels_reason: str
    bits: int
    bits_reason: str
    sides: tuple[int, int]
    smaller: int


def propose_task(
    rows: Sequence[ManifestRow], values: Sequence[str], task: str | None, order: Sequence[str]
) -> Proposal:
    """Say what the labels mean: `task` where it is given, otherwise what they show.

    `order` are the labels in their order, where it is given. DataError if the labels may have an order or not, if the
    order of grades cannot be read from their names, and for a task that the labels do not fit.
    """
    if order and set(order) != set(values):
        raise DataError(f"--labels gives {named(order)}; the labels are {named(values)}.", "Give each of them once.")
    several = sum(len(row.values) > 1 for row in rows)
    without = sum(not row.values for row in rows)
    if task is None:
        task, reason = _suggested(values, several, without)
    else:
        _require_fit(task, values, several, without)
        reason = "given with --task"
    ordered, note = (tuple(order), "") if order else TASKS[task].in_order(values)
    return Proposal(task, ordered, reason, note)


def propose_format(root: Path, paths: Sequence[str], size: int, advance: Callable[[int], None]) -> Format:
    """Look at the headers of all pictures; those that cannot be read are passed over."""
    looks: dict[str, PictureHeader] = {}
    for path, look in zip(paths, look_at_files(root / path for path in paths), strict=True):
        advance(1)
        if isinstance(look, PictureHeader):
            looks[path] = look
    colour = sum(look.colour for look in looks.values())
    what = f"in colour: {colour:,} of {counted(len(looks), 'picture')}" if colour else "all pictures are grey"
    bits, reason = _bits([root / path for path, look in looks.items() if look.bits == 16])
    shorter = [min(look.width, look.height) for look in looks.values()]
    longer = [max(look.width, look.height) for look in looks.values()]
    smaller = sum(side < size for side in shorter)
    return Format(3 if colour else 1, what, bits, reason, (min(shorter, default=0), max(longer, default=0)), smaller)


def _suggested(values: Sequence[str], several: int, without: int) -> tuple[str, str]:
    """Ask the tasks, the most particular first, whether the labels may be theirs."""
    for kind, task in reversed(TASKS.items()):
        if not (task.exclusive and (several or without)) and (reason := task.suggested_by(values, several, without)):
            return kind, reason
    raise DataError(f"The labels {named(values)} suggest no task.", f"Give --task {' or '.join(TASKS)}.")


def _require_fit(kind: str, values: Sequence[str], several: int, without: int) -> None:
    task = find_task(kind)
    if task is None:
        raise DataError(f"--task must be one of {', '.join(TASKS)}; '{kind}' came.")
    if task.exclusive and (several or without):
        raise DataError(
            f"A {kind} task has one label for each picture; {several:,} have several and {without:,} have none.",
            "Give --task multi-label, or correct the labels.",
        )
    fewest, most = task.n_labels
    if len(values) > most or (fewest == most and len(values) < fewest):
        wanted = "two labels" if most == 2 else counted(most, "label")
        raise DataError(f"A {kind} task has {wanted}; there are {len(values)}: {named(values)}.")


def _bits(deep: Sequence[Path]) -> tuple[int, str]:
    if not deep:
        return 16, ""
    step = max(1, len(deep) // _LOOKED_INTO)
    chosen = deep[::step][:_LOOKED_INTO]
    largest = max((value for value in largest_values(chosen) if isinstance(value, int)), default=0)
    bits = next(bits for bits in _BITS if largest < 1 << bits)
    return bits, f"the largest value in {len(chosen)} of {len(deep):,} pictures with 16 bits is {largest:,}"
