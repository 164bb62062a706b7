"""What `penlight explain` prints."""

from typing import TYPE_CHECKING

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, number, plain_table

if TYPE_CHECKING:
    from penlight import Explained


def print_explained(explained: "Explained") -> None:
    """Print a line for each image and label, and what a map means; the last line is the path of the picture."""
    out = console()
    truths = any(e.source.truth is not None for e in explained.explanations)
    table = plain_table(
        "image", *(["truth"] if truths else []), "answer", "label", ">probability", ">peak (row, column)"
    )
    for e in explained.explanations:
        peak = "nowhere" if e.peak is None else f"{e.peak[0]}, {e.peak[1]}"
        truth = [e.source.truth or ""] if truths else []
        table.add_row(e.source.name, *truth, e.answer, e.label, number(e.probability), peak)
    out.print(table)
    for e in explained.explanations:
        if e.alike is not None:
            like = ", ".join(f"train {n['row']} ({' and '.join(n['labels']) or 'none'})" for n in e.alike)
            out.print(f"{e.source.name} is most like {like}.")
    out.print(f"By {explained.method}. {explained.meaning}", style="dim")
    for path, reason in explained.problems.items():
        out.print(f"{path} was left out: {reason}.")
    say(explained.files[-1])
