"""What `penlight tune` prints."""

from typing import TYPE_CHECKING

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, number, plain_table, print_json

if TYPE_CHECKING:
    from penlight import Tuned

_TRIALS_SHOWN = 5


def print_tuned(result: "Tuned", json: bool) -> None:
    """Print the best trials and the recipe as it was; the last line is the path of the best recipe."""
    if json:
        print_json(result)
        return
    ranked = sorted((t for t in result.trials if t.state == "complete"), key=lambda t: -t.value)
    table = plain_table()
    table.add_column("trial", justify="right")
    for name in (result.metric, *ranked[0].params):
        table.add_column(name, justify="right")
    table.add_column("")
    for rank, trial in enumerate(ranked):
        if rank < _TRIALS_SHOWN or trial.number == result.start:
            cells = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in trial.params.values()]
            about = "the recipe as it was" if trial.number == result.start else ""
            style = None if rank else "bold"
            table.add_row(str(trial.number), number(trial.value), *cells, about, style=style)
    out = console()
    out.print(table)
    out.print(f"{result.metric} on {result.judged_on}; test was not read.", style="dim")
    say(result.report)
    say(result.recipe)
