"""What the pictures and their labels suggest: a task, the order of the labels, channels and bits, with reasons."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penlight.data.decoding import largest_values, look_at_files
from penlight.data.own.rows import ManifestRow, named
from penlight.data.pictures import PictureHeader
from penlight.errors import DataError
from penlight.numbers import counted
from penlight.tasks import TASKS, Binary, MultiClass, MultiLabel, Ordinal

_NEGATIVE = {"normal", "no", "negative", "neg", "benign", "healthy", "none", "0", "control", "absent", "false"}
_SEVERITY: Mapping[str, int] = {
    **dict.fromkeys(("none", "no", "normal", "healthy", "absent", "negative"), 0),
    **dict.fromkeys(("minimal", "questionable", "doubtful"), 1),
    **dict.fromkeys(("mild", "low", "early", "slight"), 2),
    **dict.fromkeys(("moderate", "medium", "intermediate"), 3),
    **dict.fromkeys(("severe", "high", "late", "advanced"), 4),
    **dict.fromkeys(("proliferative", "critical"), 5),
}
# What says by itself that nothing was found, and what is neither that nor a finding. "0", "no" and "false" alone
# answer a question that is not known.
_FOUND_NOTHING = {"normal", "normals", "negative", "neg", "benign", "healthy", "absent"}
_WITHOUT = {"no", "non", "without", "not"}
_NEITHER = {
    *("unknown", "uncertain", "unsure", "unclear", "indeterminate", "other", "others", "rest", "excluded"),
    *(
        "usable",
        "unusable",
        "gradable",
        "ungradable",
        "diagnostic",
        "nondiagnostic",
        "quality",
        "good",
        "poor",
        "bad",
    ),
}
_ORDERED_WORDS = {word for word, rank in _SEVERITY.items() if rank}
_LOOKED_INTO = 16
_BITS = (8, 10, 12, 14, 16)


@dataclass(frozen=True)
class Proposal:
    """A task for labels, with the `values` in their order; `reason` is why, `note` what a person should look at."""

    task: str
    values: tuple[str, ...]
    reason: str
    note: str = ""


def propose_finding(values: Sequence[str]) -> str | None:
    """Give the one of two labels that is the finding, where the words of the other say that there is none of it, as
    "normal", "benign", "healthy" or "no X" do beside X; None where they do not say it plainly."""
    if len(values) != 2:
        return None
    nothing = [_says_nothing_found(value) for value in values]
    finding = values[nothing.index(False)] if any(nothing) and not all(nothing) else ""
    words = [word for word in re.split(r"[\W_]+", finding.casefold()) if word]
    if not words or set(words) & _NEITHER or all(word.isdigit() for word in words):
        return None
    return finding


def _says_nothing_found(value: str) -> bool:
    words = re.split(r"[\W_]+", value.casefold().strip(" _-"))
    if words[0] in _WITHOUT and len(words) > 1:
        return not set(words[1:]) & _FOUND_NOTHING  # "not normal" is a finding
    return bool(set(words) & _FOUND_NOTHING)


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
        task, reason = _shown(values, several, without)
    else:
        _require_fit(task, values, several, without)
        reason = "given with --task"
    ordered, note = _in_order(task, values, order)
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


def _shown(values: Sequence[str], several: int, without: int) -> tuple[str, str]:
    if several:
        return MultiLabel.kind, f"there are several labels at once, in {counted(several, 'picture')}"
    if without:
        return MultiLabel.kind, f"{counted(without, 'picture')} without a label"
    if len(values) == 2:
        return Binary.kind, "each picture has one of two labels"
    if _may_be_ordered(values):
        raise DataError(
            f"The labels {named(values)} may be grades in their order or not, which only you can say.",
            "Give --task ordinal or --task multi-class.",
        )
    return MultiClass.kind, f"each picture has one of {len(values)} labels, and their names show no order"


def _require_fit(task: str, values: Sequence[str], several: int, without: int) -> None:
    if task not in TASKS:
        raise DataError(f"--task must be one of {', '.join(TASKS)}; '{task}' came.")
    if not TASKS[task].exclusive:
        return
    if several or without:
        raise DataError(
            f"A {task} task has one label for each picture; {several:,} have several and {without:,} have none.",
            "Give --task multi-label, or correct the labels.",
        )
    if task == Binary.kind and len(values) != 2:
        raise DataError(f"A binary task has two labels; there are {len(values)}: {named(values)}.")


def _in_order(task: str, values: Sequence[str], order: Sequence[str]) -> tuple[tuple[str, ...], str]:
    if order:
        return tuple(order), ""
    if task == Binary.kind:
        return _negative_first(values)
    if task != Ordinal.kind:
        return tuple(values), ""
    ranks = [_rank(value) for value in values]
    if None in ranks or len(set(ranks)) < len(ranks):
        raise DataError(
            f"The order of {named(values)} cannot be read from their names.",
            "Give it, the lowest first, as --labels.",
        )
    return tuple(value for _, value in sorted(zip(ranks, values, strict=True))), ""


def _negative_first(values: Sequence[str]) -> tuple[tuple[str, ...], str]:
    finding = propose_finding(values)
    negative = [value for value in values if (_is_negative(value) if finding is None else value != finding)]
    if len(negative) == 1:
        return (negative[0], next(value for value in values if value != negative[0])), ""
    return tuple(values), f"'{values[1]}' is taken as what is looked for; if it is '{values[0]}', give --labels."


def _is_negative(value: str) -> bool:
    text = value.casefold().replace("_", " ")
    return text in _NEGATIVE or text.startswith(("no ", "non ", "non-", "not "))


def _may_be_ordered(values: Sequence[str]) -> bool:
    numbered = all(re.search(r"\d", value) for value in values)
    return numbered or sum(bool(_words(value) & _ORDERED_WORDS) for value in values) > 1


def _rank(value: str) -> float | None:
    if number := re.search(r"\d+(?:\.\d+)?", value):
        return float(number[0])
    return next((_SEVERITY[word] for word in sorted(_words(value)) if word in _SEVERITY), None)


def _words(value: str) -> set[str]:
    return set(re.split(r"[^a-z]+", value.casefold()))


def _bits(deep: Sequence[Path]) -> tuple[int, str]:
    if not deep:
        return 16, ""
    step = max(1, len(deep) // _LOOKED_INTO)
    chosen = deep[::step][:_LOOKED_INTO]
    largest = max((value for value in largest_values(chosen) if isinstance(value, int)), default=0)
    bits = next(bits for bits in _BITS if largest < 1 << bits)
    return bits, f"the largest value in {len(chosen)} of {len(deep):,} pictures with 16 bits is {largest:,}"
