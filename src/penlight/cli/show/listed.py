"""What lists print: the datasets, the recipes, a path."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, plain_table, print_json


def print_recipes(recipes: Sequence[Mapping[str, str]], json: bool) -> None:
    """Print the presets with their headers."""
    if json:
        print_json(list(recipes))
        return
    for recipe in recipes:
        console().print(recipe["name"], style="bold")
        for line in _in_lines(recipe["about"], console().width):
            say(line)
        say("")


def _in_lines(about: str, width: int) -> Iterator[str]:
    """Break a preset's header into lines of a width anew: what it is, then a name and its value by the line."""
    for paragraph in about.split("\n\n"):
        lines = paragraph.splitlines()
        named = [line for line in lines if _NAMED.match(line)]
        if not named:
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


_NAMED_WIDTH = 10
_NAMED = re.compile(r"(Command|Cost|Expected) +")


def print_datasets(datasets: Sequence[Mapping[str, Any]], json: bool) -> None:
    """Print the catalog as a table."""
    if json:
        print_json(list(datasets))
        return
    table = plain_table()
    for name in ("name", "task", "images", "on disk (px)", "licence"):
        table.add_column(name, justify="right" if name == "images" else "left")
    for row in datasets:
        images = "" if row["samples"] is None else f"{sum(row['samples'].values()):,}"
        table.add_row(row["name"], row["task"], images, ", ".join(map(str, row["sizes"])) or "-", row["licence"])
    console().print(table)


def print_path(path: Path, json: bool) -> None:
    """Print where something is."""
    if json:
        print_json({"path": str(path)})
    else:
        say(path)
