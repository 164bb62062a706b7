"""What the pictures and their labels suggest: a task, the order of the labels, channels and bits, with reasons."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penlight.data.decoding import largest_values, picture_headers
from penlight.data.own.listing import PictureRow
from penlight.data.own.packed import sources
from penlight.data.pictures import PictureHeader
from penlight.data.progress import count_progress
from penlight.errors import DataError
from penlight.escaping import label_list, named
from penlight.numbers import counted
from penlight.tasks import TASKS, find_task

_LOOKED_INTO = 16
_BITS = (8, 10, 12, 14, 16)
_SIZES = (28, 64, 128, 224)
# Of all images together: 1,600 of 224 pixels a side, 5,000 of 128, 20,000 of 64.
_MOST_PIXELS = 82_000_000


@dataclass(frozen=True)
class Proposal:
    """A task for labels, with the `values` in their order; `reason` is why, `note` what a person should look at."""

    task: str
    values: tuple[str, ...]
    reason: str
    note: str = ""

    @property
    def notes(self) -> list[str]:
        """What a person should look at, also of the options that the task proposes."""
        options = TASKS[self.task].proposed_options(self.values)
        return [note for note in (self.note, *(option.note for option in options)) if note]


@dataclass(frozen=True)
class Format:
    """What the headers of all pictures say together: `channels` and `bits` with the reasons; `sides` are the smallest
    and the largest width or height in pixels; `size` is the side of the images that they become."""

    channels: int
    channels_reason: str
    bits: int
    bits_reason: str
    sides: tuple[int, int]
    smaller: int
    size: int = 28
    size_reason: str = ""


def propose_task(
    rows: Sequence[PictureRow], values: Sequence[str], kind: str | None, order: Sequence[str]
) -> Proposal:
    """Say what the labels mean: `kind` where it is given, otherwise what they show.

    `order` are the labels in their order, where it is given. DataError if the labels may have an order or not, if the
    order of grades cannot be read from their names, and for a task that the labels do not fit.
    """
    if order and set(order) != set(values):
        raise DataError(
            f"--order gives {label_list(order)}; the labels are {label_list(values)}.", "Give each of them once."
        )
    several = sum(len(row.values) > 1 for row in rows)
    without = sum(not row.values for row in rows)
    if kind is None:
        kind, reason = _suggested(values, several, without)
    else:
        _require_fit(kind, values, several, without)
        reason = "given with --task"
    ordered, note = (tuple(order), "") if order else TASKS[kind].in_order(values)
    return Proposal(kind, ordered, reason, note)


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


def propose_format(root: Path, paths: Sequence[str], size: int | None) -> Format:
    """Look at the headers of all pictures; those that cannot be read are passed over. Without a `size` one is
    suggested."""
    headers: dict[str, PictureHeader] = {}
    with count_progress("looking at the pictures", len(paths)) as bar:
        for path, header in zip(paths, picture_headers(sources(root, paths)), strict=True):
            bar.update(1)
            if isinstance(header, PictureHeader):
                headers[path] = header
    colour = sum(header.colour for header in headers.values())
    what = f"in colour: {colour:,} of {counted(len(headers), 'picture')}" if colour else "all pictures are grey"
    bits, reason = _bits(root, [path for path, header in headers.items() if header.bits == 16])
    shorter = [min(header.width, header.height) for header in headers.values()]
    longer = [max(header.width, header.height) for header in headers.values()]
    why = "given with --size"
    if size is None:
        size, why = suggest_size(shorter)
    smaller = sum(side < size for side in shorter)
    sides = (min(shorter, default=0), max(longer, default=0))
    return Format(3 if colour else 1, what, bits, reason, sides, smaller, size, why)


def suggest_size(shorter: Sequence[int]) -> tuple[int, str]:
    """Give the side of the images for pictures of these shorter sides, and why: the largest of the usual ones that
    half of the pictures have and that so many of them can be trained at on a laptop."""
    if not shorter:
        return _SIZES[0], "no picture could be read"
    middle = sorted(shorter)[len(shorter) // 2]
    fits = [side for side in _SIZES if side <= middle and side * side * len(shorter) <= _MOST_PIXELS] or [_SIZES[0]]
    return fits[-1], f"suggested for {counted(len(shorter), 'picture')}, half of them of {middle} pixels or more"


def _bits(root: Path, deep: Sequence[str]) -> tuple[int, str]:
    if not deep:
        return 16, ""
    chosen = deep[:: max(1, len(deep) // _LOOKED_INTO)][:_LOOKED_INTO]
    largest = max(
        (value for value in largest_values(list(sources(root, chosen))) if isinstance(value, int)), default=0
    )
    bits = next(bits for bits in _BITS if largest < 1 << bits)
    return bits, f"the largest value in {len(chosen)} of {len(deep):,} pictures with 16 bits is {largest:,}"
