"""Encoders: what a file is, and the folder that keeps them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, name_of, path_of
from penlight.api.results import NameTable
from penlight.records import Record, json_key

if TYPE_CHECKING:
    from penlight.models.encoder_file import Encoder


class InspectedEncoder(Record):
    """What an encoder's file is: its `input`, of `type` and `layout`, takes images of `size` pixels a side, or of
    `any_size`, with `channels` in `order`, and `pixels` scaled so; `output` gives as many `features`, by `pooling`.
    `found` says where each of these is from, and `question` what has to be said before it can be used."""

    name: str
    file: Path
    bytes: int
    sha256: str
    licence: str | None
    source: str | None
    input: str
    type: str
    layout: str
    channels: int
    order: str
    size: int
    any_size: bool
    pixels: str | Mapping[str, Any] | None
    output: str
    pooling: str
    features: int
    found: Mapping[str, str]
    question: str | None = json_key(default=None, if_known=True)


def list_encoders() -> NameTable:
    """List the encoders in the folder of encoders and in $PENLIGHT_DATA, and those that can be fetched, a line each;
    `file` is None for these.

    Examples
    --------
    >>> known = pl.list_encoders()
    >>> known.frame().loc["mobilenetv2-12", "licence"]
    'Apache-2.0'
    """
    from penlight.models.encoder_folder import list_encoders

    return NameTable(list_encoders())


def inspect_encoder(file: PathLike, **said: Any) -> InspectedEncoder:
    """Say what an encoder's file is, and where each thing is from: the file, its metadata, the TOML file beside it,
    or `said`, which are as in `add_encoder`.

    `file` may be the name of one in the folder of encoders. EncoderError for a file that is no encoder.

    Examples
    --------
    >>> pl.inspect_encoder("encoder.onnx").channels
    3
    """
    from penlight.models.encoder_file import PixelsError, open_encoder
    from penlight.runs.encoders import find_weights

    path = find_weights(name_of(file, "file of an encoder"))
    try:
        return _inspected(open_encoder(path, said))
    except PixelsError as error:
        return _inspected(open_encoder(path, {**said, "pixels": "0..255"}), error.text)


@checked
def add_encoder(file: PathLike, *, name: str | None = None, **said: Any) -> InspectedEncoder:
    """Copy an encoder into the folder of encoders, under its own name or another, with what is said of it.

    `said` are pixels, size, order, layout, output, pooling, licence and source: what the file does not say itself.
    EncoderError if something has to be said, for a file that is no encoder, and where the folder has another one of
    that name.

    Examples
    --------
    >>> pl.add_encoder("encoder.onnx", name="small").licence
    'Apache-2.0'
    >>> run = pl.train("retina-phantom", "encoder", weights="small", out="runs/small")
    """
    from penlight.models.encoder_folder import keep_encoder
    from penlight.runs.encoders import find_weights

    path = path_of(file, "file of an encoder")
    source = find_weights(str(path)) if path.is_dir() else path
    return _inspected(keep_encoder(source, said, name or path.name.removesuffix(path.suffix)))


@checked
def fetch_encoder(
    encoder: str, *, sha256: str | None = None, name: str | None = None, **said: Any
) -> InspectedEncoder:
    """Fetch an encoder into the folder of encoders: a known one by its name, or any by its address and its `sha256`.

    Nothing else of Penlight fetches encoders. `name` and `said` are as in `add_encoder`. DownloadError without a
    network, or if what came has another hash.

    Examples
    --------
    >>> pl.fetch_encoder("mobilenetv2-12").features  # doctest: +SKIP
    1280
    """
    from penlight.models.encoder_folder import fetch_encoder

    return _inspected(fetch_encoder(encoder, sha256 or "", said, name or ""))


def _inspected(encoder: "Encoder", question: str | None = None) -> InspectedEncoder:
    pixels = encoder.said.pixels or "0..255"
    return InspectedEncoder(
        name=encoder.path.stem,
        file=encoder.path,
        bytes=encoder.bytes,
        sha256=encoder.sha256,
        licence=encoder.licence or None,
        source=encoder.source or None,
        input=encoder.input,
        type=encoder.dtype,
        layout=encoder.layout,
        channels=encoder.channels,
        order=encoder.order,
        size=encoder.side,
        any_size=encoder.free,
        pixels=None if question else pixels if isinstance(pixels, str) else pixels.model_dump(),
        output=encoder.output,
        pooling=encoder.pooling,
        features=encoder.width,
        found={**encoder.why, "pixels": "nothing says it"} if question else encoder.why,
        question=question,
    )
