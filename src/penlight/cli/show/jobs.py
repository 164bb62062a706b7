"""What `--detach`, `--status` and `--cancel` print: the jobs of an experiment, a line for each part."""

from typing import TYPE_CHECKING

from penlight.cli.show.lines import say, say_text
from penlight.cli.show.output import console, plain_table

if TYPE_CHECKING:
    from penlight import Jobs


def print_jobs(jobs: "Jobs") -> None:
    """Print the parts with their jobs, then how many are in which state, and what to do next."""
    table = plain_table("part", "state", "job", "node", "since", "last line")
    for row in jobs.rows:
        table.add_row(row.name, row.state, row.job, row.node, row.since, row.said)
    console().print(table)
    say(f"{jobs.folder}: {jobs.words}")
    if jobs.count("done") == len(jobs.rows):
        say_text("All is done. The same command without --detach or --status summarises it.")
    else:
        say_text(
            "The same command with --status shows them, with --cancel ends them, and without either waits for them."
        )
