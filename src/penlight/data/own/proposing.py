"""What the pictures and their labels suggest: a task, the order of the labels, channels and bits, with reasons."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from penlight.data.decoding import Source, colours, largest_values, picture_headers
from penlight.data.own.listing import PictureRow
from penlight.data.own.packed import sources
from penlight.data.own.questions import ask
from penlight.data.own.row_names import packed_name
from penlight.data.pictures import PictureHeader
from penlight.data.progress import count_progress
from penlight.errors import DataError
from penlight.escaping import label_list, named
from penlight.numbers import counted
from penlight.tasks import TASKS, find_task

_BITS = (8, 10, 12, 14, 16)
_SIZES = (28, 64, 128, 224)
# Of all images together: 1,600 of 224 pixels a side, 5,000 of 128, 20,000 of 64.
_MOST_PIXELS = 82_000_000
_FEW = 50
"""Colours are kept, which loses nothing of grey pictures, unless fewer than one in so many pictures has any."""

_DEEP_SAMPLE = 64
_MUCH_DARKER = 4
"""Bits: a picture that uses so many fewer than it has shows 16 levels of grey of 256."""

_T = TypeVar("_T")


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
    """What the headers and pixels of all pictures say together: `channels` and `bits` with the reasons; `sides` are
    the smallest and the largest width or height in pixels; `size` is the side of the images that they become;
    `animated` are the paths of pictures of which the first frame is read, and `deep` counts those of 16 bits."""

    channels: int
    channels_reason: str
    bits: int
    bits_reason: str
    sides: tuple[int, int]
    smaller: int
    size: int = 28
    size_reason: str = ""
    animated: Sequence[str] = ()
    deep: int = 0


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


def propose_format(
    root: Path, paths: Sequence[str], size: int | None, channels: int | None = None, bits: int | None = None
) -> Format:
    """Look at the headers of all pictures, and at the pixels where headers do not tell; those that cannot be read are
    passed over. `size`, `channels` and `bits` are found out where they are None. DataError for other channels than
    1 and 3."""
    if channels not in (None, 1, 3):
        raise DataError(f"--channels must be 1 (grey) or 3 (colour); {channels} came.", "Give one of them.")
    headers: dict[str, PictureHeader] = {}
    with count_progress("looking at the pictures", len(paths)) as bar:
        for path, header in zip(paths, picture_headers(sources(root, paths)), strict=True):
            bar.update(1)
            if isinstance(header, PictureHeader):
                headers[path] = header
    what = reason = ""
    deep = [path for path, header in headers.items() if header.bits == 16]
    if bits is None:
        bits, reason = _bits(root, deep)
    if channels is None:
        channels, what = _channels(root, headers, bits)
    shorter = [min(header.width, header.height) for header in headers.values()]
    longer = [max(header.width, header.height) for header in headers.values()]
    why = "given with --size"
    if size is None:
        size, why = suggest_size(shorter)
    smaller = sum(side < size for side in shorter)
    sides = (min(shorter, default=0), max(longer, default=0))
    animated = [path for path, header in headers.items() if header.animated]
    return Format(
        channels,
        what or "given with --channels",
        bits,
        reason or "given with --bits",
        sides,
        smaller,
        size,
        why,
        animated,
        len(deep),
    )


def suggest_size(shorter: Sequence[int]) -> tuple[int, str]:
    """Give the side of the images for pictures of these shorter sides, and why: the largest of the usual ones that
    half of the pictures have and that so many of them can be trained at on a laptop."""
    if not shorter:
        return _SIZES[0], "no picture could be read"
    middle = sorted(shorter)[len(shorter) // 2]
    fits = [side for side in _SIZES if side <= middle and side * side * len(shorter) <= _MOST_PIXELS] or [_SIZES[0]]
    return fits[-1], f"suggested for {counted(len(shorter), 'picture')}, half of them of {middle} pixels or more"


def _channels(root: Path, headers: Mapping[str, PictureHeader], bits: int) -> tuple[int, str]:
    """Say whether pictures are grey or in colour, by the pixels of those that could be in colour; enough of them to
    know it end the search."""
    saved = [path for path, header in headers.items() if header.colour]
    found: list[str] = []
    looked = 0
    for path, colour in _each("looking for colour", root, saved, partial(colours, bits=bits)):
        looked += 1
        if colour is True:
            found.append(path)
        if len(found) * _FEW >= len(headers):
            break
    whole = counted(len(headers), "picture")
    if not found:
        return 1, f"all pictures are grey{f', {len(saved):,} of them saved in colour' if saved else ''}"
    n = f"{len(found):,}" if looked == len(saved) else f"at least {len(found):,}"
    if len(found) * _FEW >= len(headers):
        return 3, f"in colour: {n} of {whole}, such as {found[0]}"
    return 1, (
        f"fewer than 1 in {_FEW} is in colour, {n} of {whole}: {named(sorted(found))}; "
        "--channels 3 keeps their colours, --ignore leaves them out"
    )


def _bits(root: Path, deep: Sequence[str]) -> tuple[int, str]:
    """Say how many bits pictures of 16 bits use, by the values of all of them; a sample is enough where each of it
    needs all 16. UndecidedError where very few need so many that the others would be nearly black."""
    if not deep:
        return 16, "no picture has 16 bits"
    largest: dict[str, int] = {}
    needs_all = not any(map(packed_name, deep))
    for path, value in _each("looking for the largest value", root, deep, largest_values):
        if isinstance(value, int):
            largest[path] = value
            needs_all &= _bits_of(value) == _BITS[-1]
        if needs_all and len(largest) == _DEEP_SAMPLE:
            break
    if not largest:
        return 16, "no picture with 16 bits could be read"
    where = max(largest, key=lambda path: largest[path])
    top, bits = largest[where], _bits_of(largest[where])
    reason = f"the largest value in {counted(len(largest), 'picture')} with 16 bits is {top:,}, in {where}"
    if len(largest) < len(deep):
        reason = f"each of {len(largest):,} that were looked at, of {len(deep):,} with 16 bits, needs them all"
    dark = [path for path, value in largest.items() if _bits_of(value) <= bits - _MUCH_DARKER]
    bright = sorted(largest.keys() - set(dark))
    if dark and len(bright) * _FEW < len(largest):
        usual = _bits_of(max(largest[path] for path in dark))
        raise ask(
            "--bits",
            f"Of {counted(len(largest), 'picture')} with 16 bits, {len(dark):,} use {usual} of them. Values up to "
            f"{top:,} are in {named(bright)}; on one scale with these, the others are nearly black.",
            (f"leave out what needs more than {usual} bits", f"--bits {usual} --skip-unreadable"),
            ("one scale for all", f"--bits {bits}"),
        )
    if dark:
        reason += f"; {len(dark):,} use {bits - _MUCH_DARKER} bits or fewer and come out dark, such as {min(dark)}"
    return bits, reason


def _bits_of(largest: int) -> int:
    return next(bits for bits in _BITS if largest < 1 << bits)


def _each(
    words: str, root: Path, paths: Sequence[str], look: Callable[[Iterable[Source]], Iterator[_T]]
) -> Iterator[tuple[str, _T]]:
    """Ask about pictures in an order that does not follow their folders, so that the first are a sample; rows of
    larger files are read in their own."""
    ordered = list(paths)
    if not any(map(packed_name, paths)):
        ordered.sort(key=lambda path: hashlib.blake2b(path.encode(), digest_size=8).digest())
    answers: Any = look(sources(root, ordered))
    with contextlib.closing(answers), count_progress(words, len(ordered)) as bar:
        for path, answer in zip(ordered, answers, strict=True):
            bar.update(1)
            yield path, answer
