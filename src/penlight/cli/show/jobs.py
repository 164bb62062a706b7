"""What `--detach`, `--status` and `--cancel` print: the jobs of an experiment, counted by row, and those at work."""

from typing import TYPE_CHECKING

from penlight.cli.show.lines import say, say_text
from penlight.cli.show.output import console, plain_table

if TYPE_CHECKING:
    from penlight import Jobs


def print_jobs(jobs: "Jobs", full: bool = False) -> None:
    """Print how many parts of each row are in which state, then those that run or failed, or all of them, with their
    jobs, and what to do next."""
    from penlight.experiments.executors.table import table_of

    out = console()
    for line in table_of(jobs).lines(out.width):
        out.print(line, soft_wrap=True)
    shown = [row for row in jobs.rows if full or row.state in ("running", "failed")]
    if shown:
        table = plain_table("part", "state", "job", "node", "since", "last line of the log")
        for row in shown:
            table.add_row(row.name, row.state, row.job, row.node, row.since, row.said)
        out.print()
        out.print(table)
    out.print()
    say(f"{jobs.folder}: {jobs.words}")
    if jobs.count("done") == len(jobs.rows):
        say_text("All is done. The same command without --detach or --status summarises it.")
    else:
        say_text(
            "The same command with --status shows them, with --cancel ends them, and without either waits for them."
        )
