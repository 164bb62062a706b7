"""What `penlight recipes`, `penlight data list` and `penlight encoders` print."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penlight.cli.show.lines import say, say_text
from penlight.cli.show.output import console, plain_table
from penlight.numbers import decimal_text

if TYPE_CHECKING:
    from penlight import InspectedEncoder

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


def print_encoders(encoders: Sequence[Mapping[str, Any]]) -> None:
    """Print the encoders as a table."""
    table = plain_table("name", ">MB", "licence", "pixels", "where")
    for row in encoders:
        where = row["problem"] or row["file"] or f"penlight encoders fetch {row['name']}"
        table.add_row(
            row["name"],
            decimal_text(row["bytes"] / 1e6, 1),
            row["licence"] or "not known",
            row["pixels"] or "-",
            where,
        )
    console().print(table)


def print_encoder(encoder: "InspectedEncoder") -> None:
    """Print what an encoder is, a line for each fact with where it is from; the last line is its path."""
    table = plain_table("", encoder.name, "from")
    side = f"{encoder.size} px" + (", or any other size" if encoder.any_size else "")
    pixels = encoder.pixels if encoder.pixels is None or isinstance(encoder.pixels, str) else "own scale"
    found = encoder.found
    takes = f"{encoder.type} {encoder.layout}, {encoder.channels} channels, as {encoder.input}"
    for name, value, source in (
        ("takes", takes, found["layout"]),
        ("size", side, found["size"]),
        ("pixels", pixels or "?", found["pixels"]),
        ("order", encoder.order, found["order"]),
        ("gives", f"{encoder.features:,} features, as {encoder.output}", found["output"]),
        ("pooling", encoder.pooling, found.get("pooling", "")),
        ("licence", encoder.licence or "not known", found.get("licence", "")),
        ("source", encoder.source or "not known", found.get("source", "")),
        ("SHA-256", encoder.sha256, found.get("sha256", "")),
    ):
        table.add_row(name, value, source)
    console().print(table)
    if encoder.question:
        say_text(encoder.question)
    say(encoder.file)
