"""What `penlight explain` prints."""

from typing import TYPE_CHECKING

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, number, plain_table

if TYPE_CHECKING:
    from penlight import Explained


def print_explained(explained: "Explained") -> None:
    """Print a line for each image and label, and what a map means; the last line is the path of the picture."""
    out = console()
    truths = any(explanation.source.truth is not None for explanation in explained.explanations)
    table = plain_table(
        "image", *(["truth"] if truths else []), "answer", "label", ">probability", ">peak (row, column)"
    )
    for explanation in explained.explanations:
        peak = "nowhere" if explanation.peak is None else f"{explanation.peak[0]}, {explanation.peak[1]}"
        truth = [explanation.source.truth or ""] if truths else []
        cells = (explanation.answer, explanation.label, number(explanation.probability), peak)
        table.add_row(explanation.source.name, *truth, *cells)
    out.print(table)
    for explanation in explained.explanations:
        if explanation.alike is not None:
            like = ", ".join(f"train {n['row']} ({' and '.join(n['labels']) or 'none'})" for n in explanation.alike)
            out.print(f"{explanation.source.name} is most like {like}.")
    out.print(f"By {explained.method}. {explained.meaning}", style="dim")
    for path, reason in explained.problems.items():
        out.print(f"{path} was left out: {reason}.")
    say(explained.files[-1])
