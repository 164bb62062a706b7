"""What `penlight data new`, `show` and `audit` print."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, plain_table, print_json
from penlight.data.audit.shift import shift_cells
from penlight.data.summary import PER_IMAGE
from penlight.data.tested import readings_text
from penlight.numbers import share_cell

if TYPE_CHECKING:
    from penlight import Audited, Shown
    from penlight.data.audit import Shift
    from penlight.data.own.new import NewDataset

_FILES_SHOWN = 10


def print_found(found: "NewDataset", json: bool) -> None:
    """Print what was found and written; the last line is the next command."""
    if json:
        print_json(found)
        return
    out = console()
    out.print(f"{found.task}: {found.reason}")
    out.print(_split_table(found.labels, found.counts, found.images, "label"))
    for what, listed in (
        ("left out", [f"{path}: {reason}" for path, reason in found.problems.items()]),
        ("ignored", list(found.ignored)),
    ):
        if listed:
            noun = "file" if len(listed) == 1 else "files"
            more = "; ..." if len(listed) > _FILES_SHOWN else ""
            out.print(f"{len(listed):,} {noun} {what}: {'; '.join(listed[:_FILES_SHOWN])}{more}")
    for note in found.notes:
        out.print(f"- {note}")
    for path in (found.description, *([found.splits] if found.splits else [])):
        say(path)
    say(f"Next: {found.next}")


def print_description(shown: "Shown", json: bool) -> None:
    """Print the view, the table of splits and labels, and what is to see; the last line is the path of the page."""
    if json:
        print_json(shown)
        return
    about = shown.description
    out = console()
    out.print(about.view_text(), style="dim")
    out.print(_split_table(about.rows, about.counts, about.images, "label"))
    if about.findings is not None:
        out.print(_split_table(PER_IMAGE, about.findings.per_image, about.images, "in one image"))
        out.print(about.findings.together_text())
    out.print(about.positions.text())
    out.print(readings_text(shown.readings))
    say(shown.files[-1])


def _split_table(
    rows: Sequence[str], counts: Mapping[str, Sequence[int]], images: Mapping[str, int], head: str
) -> Table:
    """One line per row with its count and share by split, and a last line with the images."""
    table = plain_table()
    table.add_column(head)
    for split in images:
        table.add_column(split, justify="right")
        table.add_column(f"{split}, %", justify="right")
    for i, label in enumerate(rows):
        cells = [(f"{counts[s][i]:,}", share_cell(counts[s][i] / n)) for s, n in images.items()]
        table.add_row(label, *(cell for pair in cells for cell in pair))
    table.add_row("images", *(cell for n in images.values() for cell in (f"{n:,}", "")), style="bold")
    return table


def print_audit(audited: "Audited", json: bool) -> None:
    """Print the problems, the serious ones first, and the shifts; the last line is the path of the page."""
    if json:
        print_json(audited)
        return
    out = console()
    table = plain_table(heads=False)
    for problem in audited.problems:
        mark = Text("serious", style="bold") if problem.serious else Text("note")
        table.add_row(mark, Text(f"{problem.seen} {problem.do}"))
    out.print(table if audited.problems else f"Nothing was found in {audited.dataset}.")
    if audited.audit.shifts:
        out.print(_shift_table(audited.audit.shifts))
    out.print(readings_text(audited.readings))
    say(audited.page)


def _shift_table(shifts: "Sequence[Shift]") -> Table:
    """One line per split: whether its images and its labels can be told from train's."""
    table = plain_table()
    for name in ("against train", "AUC by images", "95 % interval", "p", "p by labels", "most apart"):
        table.add_column(name, justify="left" if name in ("against train", "most apart") else "right")
    for name in ("train, %", "here, %"):
        table.add_column(name, justify="right")
    for shift in shifts:
        table.add_row(*map(Text, shift_cells(shift)))
    return table
