"""What `penlight data new`, `show` and `audit` print."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, plain_table, print_list
from penlight.data.accesses import accesses_text
from penlight.data.audit.shift import shift_cells
from penlight.data.summary import PER_IMAGE
from penlight.numbers import counted, share_cell

if TYPE_CHECKING:
    from penlight import Audited, Shown
    from penlight.data.own.new import NewDataset, Understood

_FILES_SHOWN = 10


def print_understood(understood: "Understood") -> None:
    """Print what was understood of a dataset, before it is decoded."""
    out = console()
    out.print(f"{understood.task}: {understood.reason}")
    table = plain_table(show_heads=False)
    for _ in range(2):
        table.add_column()
    for what, said in understood.account.items():
        table.add_row(Text(what, style="bold"), Text(said))
    if understood.left_out:
        said = "; ".join(f"{n:,} {why}" for why, n in understood.left_out.items())
        table.add_row(Text("left out", style="bold"), Text(said))
    out.print(table)
    unknown = understood.unknown
    counts = plain_table("label", ">images", *([] if unknown is None else [">unknown"]), "such as")
    for label, n in understood.labels.items():
        known = [] if unknown is None else [f"{unknown[label]:,}"]
        counts.add_row(label, f"{n:,}", *known, ", ".join(understood.examples[label]))
    out.print(counts)
    for note in understood.notes:
        out.print(f"- {note}")


def answered(make: "Callable[..., NewDataset]", options: Mapping[str, Any]) -> "NewDataset":
    """Make a dataset; where it may be read in several ways, ask which, if somebody is at the terminal."""
    from penlight.data.own.draft import answer
    from penlight.data.own.questions import UndecidedError

    while True:
        try:
            return make(**options)
        except UndecidedError as error:
            # An answer that needs a name or a file is one for the command line.
            named = ("FILE", "TABLE", "NAME")
            readings = [each for each in error.question.readings if not each.option.endswith(named)]
            if not (sys.stdin.isatty() and sys.stderr.isatty()) or not readings:
                raise
            say(error.question.sentence, error=True)
            for number, reading in enumerate(readings, 1):
                say(f"  {number}  {reading.words} ({reading.option})", error=True)
            try:
                chosen = input("Which? A number, or nothing to stop: ").strip()
            except EOFError:
                chosen = ""
            if not chosen.isdecimal() or not 1 <= int(chosen) <= len(readings):
                raise
            options = answer(options, readings[int(chosen) - 1].option)


def print_found(found: "NewDataset") -> None:
    """Print what was made and written; the last line is the next command."""
    out = console()
    if found.understood is None:
        out.print(f"{found.task}: {found.reason}")
    out.print(_split_table(found.labels, found.counts, found.images, "label", found.unknown))
    for what, listed in (
        ("left out", [f"{path}: {reason}" for path, reason in found.problems.items()]),
        ("ignored", list(found.ignored)),
    ):
        if listed:
            more = f"; and {len(listed) - _FILES_SHOWN:,} more" if len(listed) > _FILES_SHOWN else ""
            out.print(f"{counted(len(listed), 'file')} {what}: {'; '.join(listed[:_FILES_SHOWN])}{more}")
    print_list(found.notes)
    for path in (found.description, *([found.splits] if found.splits else [])):
        say(path)
    say(f"Next: {found.next}")


def print_description(shown: "Shown") -> None:
    """Print the view, the table of splits and labels, and what is to see; the last line is the path of the page."""
    about, out = shown.description, console()
    out.print(about.view_text(), style="dim")
    unknown = None if about.known is None else {split: about.unknown(split) for split in about.images}
    out.print(_split_table(about.rows, about.counts, about.images, "label", unknown))
    if about.findings is not None:
        counts, head = about.findings.per_image, "in one image"
        complete = {split: sum(own) for split, own in counts.items()}
        out.print(_split_table(PER_IMAGE, counts, complete, head if about.known is None else f"{head}, all known"))
        out.print(about.findings.together_text())
    out.print(about.positions.text())
    out.print(accesses_text(shown.readings))
    say(shown.files[-1])


def _split_table(
    rows: Sequence[str],
    counts: Mapping[str, Sequence[int]],
    images: Mapping[str, int],
    head: str,
    unknown: Mapping[str, Sequence[int]] | None = None,
) -> Table:
    """One line per row with its count and share by split, and a last line with the images; where not all is known,
    the share is of the images of which it is, and the others are counted beside it."""
    columns = [">{}", ">{}, %", *([] if unknown is None else [">unknown"])]
    table = plain_table(head, *(name.format(split) for split in images for name in columns))
    for i, label in enumerate(rows):
        cells: list[str] = []
        for split, n in images.items():
            left = 0 if unknown is None else unknown[split][i]
            cells += [f"{counts[split][i]:,}", share_cell(counts[split][i] / max(1, n - left))]
            cells += [] if unknown is None else [f"{left:,}"]
        table.add_row(label, *cells)
    table.add_row(
        "images", *(cell for n in images.values() for cell in (f"{n:,}", *[""] * (len(columns) - 1))), style="bold"
    )
    return table


def print_audit(audited: "Audited") -> None:
    """Print the problems, the serious ones first, and the shifts; the last line is the path of the page."""
    out = console()
    table = plain_table(show_heads=False)
    for problem in audited.problems:
        mark = Text("serious", style="bold red") if problem.serious else Text("note")
        table.add_row(mark, Text(f"{problem.seen} {problem.do}"))
    out.print(table if audited.problems else f"No problem was found in {audited.dataset}.")
    if audited.audit.shifts:
        shifts = plain_table("against train", ">AUC by images", ">95 % interval", ">p", ">p by labels", "most apart",
                             ">train, %", ">here, %")  # fmt: skip
        for shift in audited.audit.shifts:
            shifts.add_row(*map(Text, shift_cells(shift)))
        out.print(shifts)
    out.print(accesses_text(audited.readings))
    say(audited.page)
