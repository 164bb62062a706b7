"""The commands of `penlight encoders`: each parses, calls one function of the face and prints."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

import penlight as pl
from penlight.cli.show.lines import give

encoders = typer.Typer(
    help="List, inspect, keep and download encoders: networks trained elsewhere.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Json = Annotated[bool, Option("--json", help="Print only JSON.")]
Name = Annotated[str | None, Option("--name", help="Name in the folder; by default that of the file.")]
Pixels = Annotated[
    str | None,
    Option(help="How it wants pixels: 0..255, 0..1, -1..1, imagenet, clip or torchxrayvision."),
]
Output = Annotated[str | None, Option(help="Name of the output that has the features.")]
Side = Annotated[int | None, Option("--size", help="Side of its images in pixels.")]
Order = Annotated[str | None, Option(help="Order of the channels: rgb or bgr.")]
Layout = Annotated[str | None, Option(help="Where the channels are: NHWC or NCHW.")]
Pooling = Annotated[str | None, Option(help="How tokens become features: average or first.")]
Licence = Annotated[str | None, Option(help="Licence of the weights, e.g. Apache-2.0.")]
Source = Annotated[str | None, Option(help="Where the weights are from.")]


@encoders.command("list")
def encoders_list(json: Json = False) -> None:
    """List the encoders that are here, and those that can be downloaded."""
    from penlight.cli.show.listed import print_encoders

    give(pl.list_encoders(), json, print_encoders)


@encoders.command("inspect")
def encoders_inspect(
    file: Annotated[str, Argument(help="An ONNX file, or the name of an encoder that is kept.")], json: Json = False
) -> None:
    """Show what an encoder takes and gives, and where each of it is from."""
    from penlight.cli.show.listed import print_encoder

    give(pl.inspect_encoder(file), json, print_encoder)


@encoders.command("add")
def encoders_add(
    file: Annotated[Path, Argument(help="An ONNX file.")],
    name: Name = None,
    pixels: Pixels = None,
    size: Side = None,
    order: Order = None,
    layout: Layout = None,
    output: Output = None,
    pooling: Pooling = None,
    licence: Licence = None,
    source: Source = None,
    json: Json = False,
) -> None:
    """Copy an encoder into the folder of encoders, with its licence, source and hash."""
    from penlight.cli.show.listed import print_encoder

    said = {"pixels": pixels, "size": size, "order": order, "layout": layout, "output": output, "pooling": pooling}
    given = _given({**said, "licence": licence, "source": source})
    give(pl.add_encoder(file, name=name, **given), json, print_encoder)


@encoders.command("fetch")
def encoders_fetch(
    encoder: Annotated[str, Argument(help="A known encoder's name, or an address, with its --sha256.")],
    sha256: Annotated[str | None, Option(metavar="HASH", help="SHA-256 of what is at an address.")] = None,
    name: Name = None,
    pixels: Pixels = None,
    licence: Licence = None,
    json: Json = False,
) -> None:
    """Download an encoder into the folder of encoders, and check its hash."""
    from penlight.cli.show.listed import print_encoder

    given = _given({"pixels": pixels, "licence": licence})
    give(pl.fetch_encoder(encoder, sha256=sha256, name=name, **given), json, print_encoder)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
