"""Errors for cells that say neither yes nor no, and rows without a label."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from penlight.data.own import naming
from penlight.data.own.questions import ask
from penlight.data.own.table_rules import UNKNOWN
from penlight.errors import DataError
from penlight.escaping import named
from penlight.numbers import counted


def undecided_cells(path: Path, cells: Mapping[str, Sequence[str]]) -> DataError:
    """Give the error for findings whose cells say neither present nor absent: by columns, the cells."""
    uncertain = [name for name, found in cells.items() if any(map(naming.is_uncertain, found))]
    blank = [name for name, found in cells.items() if any(map(naming.is_missing, found))]
    strange = sorted({cell for found in cells.values() for cell in found if state_of(cell) == "?"})
    if strange:
        raise DataError(f"{path}: {named(cells)} hold {named(strange)}; findings are 1 or 0.", "Correct the table.")
    what = [f"-1 in {named(uncertain)}"] if uncertain else []
    what += [f"nothing in {named(blank)}"] if blank else []
    sentence = f"{path}: cells of findings say {' and '.join(what)}; whether it is there is uncertain or unknown."
    readings = [
        ("not there", "negative"),
        ("there", "positive"),
        ("not known of these pictures", UNKNOWN),
        ("leave such rows out", "drop"),
    ]
    if uncertain:
        return ask("--uncertain", sentence, *((words, f"--uncertain {value}") for words, value in readings))
    return ask(
        "--blank", sentence, *((words, f"--blank {value}") for words, value in readings if value != "positive")
    )


def unlabelled(path: Path, files: Sequence[str], cells: Sequence[str] = (), *, findings: bool = False) -> DataError:
    """Give the error for rows without a label, whose cells are empty or one of `cells`; where there may be several
    `findings`, that may mean none."""
    said = f", where it is {named(cells)}" if cells else ""
    none = [("these pictures have none", "--blank negative")] if findings else []
    return ask(
        "--drop-unlabelled",
        f"{path}: {counted(len(files), 'row')} without a label, of {named(files)}{said}.",
        (f"leave {counted(len(files), 'row')} out", "--drop-unlabelled"),
        *none,
    )


def state_of(cell: str) -> bool | str:
    """Read a cell of a finding: present, absent, "uncertain", "blank", or "?" for any other text."""
    answer = naming.yes_or_no(cell)
    if answer is not None:
        return answer
    return "uncertain" if naming.is_uncertain(cell) else "blank" if naming.is_missing(cell) else "?"
