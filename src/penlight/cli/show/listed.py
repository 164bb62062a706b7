"""What `penlight recipes` and `penlight data list` print."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, plain_table

_NAMED = re.compile(r"(Command|Cost|Expected) +")
_NAMED_WIDTH = 10


def print_recipes(recipes: Sequence[Mapping[str, str]]) -> None:
    """Print the presets with their headers."""
    out = console()
    for recipe in recipes:
        out.print(recipe["name"], style="bold")
        for line in _in_lines(recipe["about"], out.width):
            say(line)
        say("")


def _in_lines(about: str, width: int) -> Iterator[str]:
    """Break a preset's header into lines of a width anew: what it is, then a name and its value by the line."""
    for paragraph in about.split("\n\n"):
        lines = paragraph.splitlines()
        if not any(_NAMED.match(line) for line in lines):
            yield from (*textwrap.wrap(" ".join(lines), width, break_on_hyphens=False), "")
            continue
        parts: list[str] = []
        for line in lines:
            if _NAMED.match(line):
                parts.append(line)
            else:
                parts[-1] += " " + line.strip()
        for part in parts:
            yield from textwrap.wrap(part, width, subsequent_indent=" " * _NAMED_WIDTH, break_long_words=False,
                                     break_on_hyphens=False)  # fmt: skip


def print_datasets(datasets: Sequence[Mapping[str, Any]]) -> None:
    """Print the catalog as a table."""
    table = plain_table("name", "task", ">images", "on disk (px)", "licence")
    for row in datasets:
        images = "" if row["samples"] is None else f"{sum(row['samples'].values()):,}"
        table.add_row(row["name"], row["task"], images, ", ".join(map(str, row["sizes"])) or "-", row["licence"])
    console().print(table)
