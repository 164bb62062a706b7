"""What lists print: the datasets, the recipes, a path."""

from collections.abc import Mapping, Sequence
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
        console().print(recipe["about"] + "\n")


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
