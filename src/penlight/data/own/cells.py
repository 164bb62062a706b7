"""What is written in the cells of a table: labels, several labels, findings that are present or not, ages."""

import re
from collections.abc import Iterable, Sequence

from penlight.data.own import naming

LIST = "[]"
"""The separator of cells that hold a list in brackets, as Python and JSON write one."""

_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_BARE = re.compile(r"""[^'",\d][^'",]*""")
_WHOLE = re.compile(r"(-?\d{1,17})\.0{1,17}")
_AGE = re.compile(r"([<>]?=?\s*)([0-9]{1,9}(?:[.,][0-9]{1,30})?)\s*(\+|Y|YRS?|YEARS?|M|W|D)?")
_YEARS = {"M": 12.0, "W": 52.18, "D": 365.25}


def parts_of(cell: str, separator: str | None) -> list[str]:
    """Give the labels in a cell as they are written, in the order that they stand in, none empty."""
    if separator is None:
        found: Iterable[str] = (cell,)
    elif separator == LIST:
        found = list_items(cell)
    else:
        found = cell.split(separator)
    return [part for part in map(str.strip, found) if part]


def is_list(cell: str) -> bool:
    """Say whether a cell holds a list in brackets: of quoted texts, of numbers, of several, or empty. One bare word
    in brackets is a name."""
    return len(cell) > 1 and cell[0] + cell[-1] == LIST and not _BARE.fullmatch(cell[1:-1].strip())


def list_items(cell: str) -> list[str]:
    """Give the items of a list in brackets; of any other cell the cell itself."""
    if not is_list(cell):
        return [cell]
    quoted = [one or other for one, other in _QUOTED.findall(cell)]
    return quoted or cell[1:-1].split(",")


def whole_number(text: str) -> str:
    """Give a whole number that is written as 3.0 as 3; any other text as it is."""
    found = _WHOLE.fullmatch(text)
    return found[1] if found else text


def are_whole_numbers(texts: Iterable[str]) -> bool:
    """Say whether all texts are whole numbers, of which one is written as 3.0."""
    given = list(texts)
    return any(map(_WHOLE.fullmatch, given)) and all(
        re.fullmatch(r"-?\d{1,17}(?:\.0{1,17})?", text) for text in given
    )


def comma_lists(cells: Sequence[str]) -> bool | None:
    """Say whether commas stand between several labels, for cells of which some hold one: True where each part is a
    whole cell elsewhere, False where none is, None where some are."""
    whole = {cell.casefold() for cell in cells if "," not in cell}
    parts = {part.strip().casefold() for cell in cells if "," in cell for part in cell.split(",")}
    known = {part for part in parts if part in whole or naming.is_none(part)}
    return True if known == parts else None if known else False


def age_in_years(text: str) -> float:
    """Read an age in years: 58, 58.5, 40,5, as DICOM writes it, 058Y, 006M, 003W, 010D, or open, 90+ and >89, which
    are read as the number; NaN for an empty cell and for anything else."""
    match = _AGE.fullmatch(text.strip().upper())
    if not match or (match[1].strip() and match[3]):
        return float("nan")
    return float(match[2].replace(",", ".")) / _YEARS.get(match[3] or "", 1.0)
