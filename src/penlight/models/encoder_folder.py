"""The folder of encoders: each is kept whole, with its licence, source, hash and what else is said of it beside it.

    encoders/<name>/<name>.onnx
                    <name>.toml

among the user's data, readable by its owner alone. A recipe names an encoder there by its name.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tomli_w

from penlight import disk
from penlight.data.download import download
from penlight.data.folders import encoders_folder
from penlight.errors import ArgumentError, EncoderError, UnknownNameError
from penlight.escaping import printable
from penlight.models.encoder_file import Encoder, open_encoder, said_of
from penlight.parsing import parse_toml
from penlight.recipes.recipe import MODEL_NAME
from penlight.runs.encoders import ENDING, LARGEST_ENCODER, encoder_files, kept_encoder, read_encoder

_REMEDY = "Free some space, or use the file where it is: --set model.weights=PATH."


@dataclass(frozen=True)
class KnownEncoder:
    """An encoder that can be fetched: where it is, and what its makers have published of it."""

    about: str
    url: str
    sha256: str
    bytes: int
    licence: str
    pixels: str


_TABLE = Path(__file__).with_name("encoders.toml")


def known_encoders() -> Mapping[str, KnownEncoder]:
    """Give the encoders that can be fetched, by name."""
    return {name: KnownEncoder(**values) for name, values in parse_toml(_TABLE.read_bytes(), _TABLE.name).items()}


def keep_encoder(path: Path, said: Mapping[str, Any], name: str = "") -> Encoder:
    """Copy an encoder into the folder, whole or not at all, with what is said of it.

    It gets the file's name unless another is given. EncoderError for a file that cannot be used as it is, or if the
    folder has another encoder of that name; StorageError if it cannot be written.
    """
    encoder = open_encoder(path, said)
    name = name or path.name.removesuffix(ENDING)
    if not re.fullmatch(MODEL_NAME, name):
        raise ArgumentError(f"{name!r} is no name of an encoder.", "Use letters, digits, and . _ + - with --name.")
    target = kept_encoder(name)
    with disk.writing_to(encoders_folder(), _REMEDY), _making("added") as made:
        if not target.is_file():
            _copy(encoder, made / target.name)
            _describe(encoder, made / target.name)
            made.rename(target.parent)
            disk.sync_folder(encoders_folder())
        elif read_encoder(target).sha256 == encoder.sha256:
            _describe(encoder, target)
        else:
            raise EncoderError(
                f"The folder of encoders has another {name}.",
                f"Give this one another name with --name, or remove {target.parent} first.",
            )
    return open_encoder(target)


@contextlib.contextmanager
def _making(key: str) -> Iterator[Path]:
    """Give an empty folder in that of encoders, to one process at a time."""
    folder = encoders_folder()
    disk.private_folder(folder)
    with disk.locked(folder / f".{key}.lock"), disk.temporary_folder(folder, key) as made:
        yield made


def _copy(encoder: Encoder, target: Path) -> None:
    read = read_encoder(encoder.path)
    if read.sha256 != encoder.sha256:
        raise EncoderError(f"{encoder.path} was changed while it was copied.", "Try again.")
    disk.require_space(target.parent, read.bytes, _REMEDY)
    for name, part in zip((target.name, *read.beside), read.parts, strict=True):
        place = target.parent / name
        if place != target and place.suffix in (ENDING, ".toml"):
            raise EncoderError(f"{encoder.path.name} has weights in {printable(name)}.", "Export it again.")
        disk.private_folder(place.parent)
        disk.write_whole(place, part, private=True)


def _describe(encoder: Encoder, file: Path) -> None:
    about = {**encoder.said.model_dump(exclude_none=True), "sha256": encoder.sha256}
    disk.write_whole(file.with_suffix(".toml"), tomli_w.dumps(about).encode(), private=True)


def fetch_encoder(name: str, sha256: str, said: Mapping[str, Any], own_name: str = "") -> Encoder:
    """Fetch an encoder into the folder: a known one by its name, or any by its address and SHA-256.

    UnknownNameError for a name that is not known; DownloadError as in `data.download.download`, and the errors of
    `keep_encoder`.
    """
    known, largest, url = known_encoders(), LARGEST_ENCODER, name
    if name in known:
        found = known[name]
        url, sha256, largest = found.url, found.sha256, found.bytes
        said = {"pixels": found.pixels, "licence": found.licence, "source": url, **said}
        own_name = own_name or name
    elif "://" not in name:
        raise UnknownNameError("encoder", name, known)
    elif urlsplit(url).scheme not in ("https", "http"):
        raise ArgumentError(f"{url} is no address that can be fetched.", "Give one that begins with https://.")
    elif not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ArgumentError(
            f"{url} is fetched only if its SHA-256 is known.", "Give the one that its makers published: --sha256 HASH"
        )
    own_name = own_name or Path(urlsplit(url).path).name.removesuffix(ENDING)
    if not re.fullmatch(MODEL_NAME, own_name):
        raise ArgumentError(f"{own_name!r} is no name of an encoder.", "Give it a name with --name.")
    with disk.writing_to(encoders_folder(), _REMEDY), _making("fetched") as place:
        file = place / f"{own_name}{ENDING}"
        remedy = f"Get {url} by other means and keep it: penlight encoders add FILE"
        download(url, file, f"sha256:{sha256}", remedy, largest)
        return keep_encoder(file, {"source": url, **said}, own_name)


def list_encoders() -> list[dict[str, Any]]:
    """List the encoders in the folder and in $PENLIGHT_DATA, and those that can be fetched, with what is said of
    them; nothing is computed."""
    rows = []
    for path in encoder_files():
        row: dict[str, Any] = {"name": path.name.removesuffix(ENDING), "bytes": path.stat().st_size}
        row |= {"licence": None, "pixels": None, "source": None, "file": str(path), "problem": None}
        try:
            told = said_of(path)
            pixels = told.pixels if told.pixels is None or isinstance(told.pixels, str) else "own"
            row |= {"licence": told.licence, "pixels": pixels, "source": told.source}
        except EncoderError as error:
            row["problem"] = error.problem
        rows.append(row)
    have = {row["name"] for row in rows}
    for name, known in known_encoders().items():
        if name not in have:
            row = {"name": name, "bytes": known.bytes, "licence": known.licence, "pixels": known.pixels}
            rows.append(row | {"source": known.url, "file": None, "problem": None})
    return rows
