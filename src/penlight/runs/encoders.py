"""Encoders on this machine: where they lie, what their files hold, and how a run refers to one it does not contain.

The model.onnx of a run contains its encoder, unless that is too large, or its licence is known and not one that lets
weights be passed on. Then it names the bytes of its weights as ONNX names those in other files: they lie in
"encoder-<SHA-256>-<n>", where n is 0 for the encoder's file and counts those with data beside it. The file is looked
for by its hash when the model is opened; ONNX Runtime gets the bytes that were hashed, and never a path.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from penlight import disk
from penlight.data.folders import encoders_folder, environment_folders
from penlight.data.remembered import find_reference, remembered_files
from penlight.errors import DataError, EncoderError, ExportError, NoEncoderError, PenlightError, RunError
from penlight.escaping import printable
from penlight.parsing import LARGEST_TOML, parse_json_object, parse_toml
from penlight.runs.folder import RunFolder
from penlight.runs.modelfile import LARGEST_MODEL, Declared, check_model

ENDING = ".onnx"
MODEL = "model.onnx"

LARGEST_ENCODER = 1 << 31
"""Bytes of an encoder, with what lies beside it: more a protocol buffer cannot hold."""

LARGEST_CONTAINED = LARGEST_MODEL - (8 << 20)
"""Bytes of an encoder that a run contains: what else is in its model takes a few megabytes."""

FREE_LICENCES = {
    *("apache-2.0", "mit", "mit-0", "bsd-2-clause", "bsd-3-clause", "isc", "zlib", "unlicense", "cc0-1.0"),
    *("cc-by-4.0", "cc-by-sa-4.0", "public-domain"),
}
"""Licences, by their SPDX names, that let weights be passed on to anybody, with attribution where they want it."""

_PROPERTY = "encoder:"
_REFERENCE = re.compile(r"encoder-([0-9a-f]{64})-([0-9]{1,5})")


def is_free(licence: str) -> bool:
    """Say whether a licence, as a person writes it, is known to let weights be passed on."""
    name = re.sub(r"\b(the|licen[cs]e|version|v(?=\d))\b|[(),]", " ", licence.casefold())
    return "-".join(re.split(r"[\s_-]+", name.strip())) in FREE_LICENCES


@dataclass(frozen=True)
class EncoderFile:
    """An encoder's file as it was read: its own bytes, then those of the files with data `beside` it, by their
    names."""

    path: Path
    declared: Declared
    parts: tuple[bytes, ...]
    beside: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the file; of one with data beside it, that of the digests of all in a row."""
        digests = [hashlib.sha256(part) for part in self.parts]
        return (hashlib.sha256(b"".join(d.digest() for d in digests)) if self.beside else digests[0]).hexdigest()

    @property
    def bytes(self) -> int:
        """Bytes of all together."""
        return sum(map(len, self.parts))

    def weights(self, number: int) -> "Weights":
        """Say where the values of an initializer lie."""
        weight = self.declared.weights[number]
        part = 1 + self.beside.index(weight.location) if weight.location else 0
        length = len(self.parts[part]) - weight.offset if weight.length is None else weight.length
        if length < 0 or weight.offset + length > len(self.parts[part]):
            raise EncoderError(
                f"{self.path.name} has weights beyond the end of {printable(weight.location) or 'its file'}.",
                "It is cut off: copy or export it again.",
            )
        return Weights(part, weight.offset, length)


@dataclass(frozen=True)
class Weights:
    """Where values lie: in which part of an encoder's file, from where on, and how many bytes."""

    part: int
    offset: int
    length: int


def read_encoder(path: Path) -> EncoderFile:
    """Read an encoder's file, and what lies beside it, which must be files in its folder or below. EncoderError if
    one cannot be read, or holds what it may not."""
    try:
        content = disk.read_named(path, LARGEST_ENCODER)
    except OSError as error:
        raise EncoderError(f"{path} cannot be read: {error.strerror or error}.", "Check the path.") from error
    try:
        declared = check_model(content, path.name, largest=LARGEST_ENCODER, beside=True)
    except RunError as error:
        raise EncoderError(error.problem, "Use an encoder that you trust, as plain ONNX.") from error
    names = sorted({weight.location for weight in declared.weights if weight.location})
    parts, left = [content], LARGEST_ENCODER - len(content)
    for name in names:
        try:
            parts.append(disk.read_inside(path.parent, name, left))
        except OSError as error:
            raise EncoderError(
                f"{path.name} has weights in {printable(name)}, which is not used: {error.strerror or error}.",
                "Put the files that were exported together into one folder, as files and not as links.",
            ) from error
        left -= len(parts[-1])
    return EncoderFile(path, declared, tuple(parts), tuple(names))


def kept_encoder(name: str) -> Path:
    """Give the file of an encoder in the folder of encoders, where each has one of its own. It need not exist."""
    return encoders_folder() / name / f"{name}{ENDING}"


def encoder_files() -> list[Path]:
    """Give the ONNX files in $PENLIGHT_DATA and in the folder of encoders, in alphabetical order of their names."""
    found = [path for folder in environment_folders() for path in folder.glob(f"*{ENDING}")]
    kept = encoders_folder()
    found += [path for path in map(kept_encoder, disk.inner_folders(kept)) if path.is_file()]
    return sorted(found, key=lambda path: path.name)


def find_weights(name: str) -> Path:
    """Find a weights file by its path, by its name in $PENLIGHT_DATA or in the folder of encoders, there without its
    ending too, or where the user has named it on this machine before; of a run its model.onnx. DataError if it is
    not there."""
    names = list(dict.fromkeys([name, f"{name.removesuffix(ENDING)}{ENDING}"]))
    places = [Path(name).expanduser(), *(folder / each for folder in environment_folders() for each in names)]
    if Path(name).name == name:
        places.append(kept_encoder(name.removesuffix(ENDING)))
    for place in places:
        file = place / MODEL if place.is_dir() else place
        if file.is_file():
            return file
    if (remembered := find_reference(name)) is not None:
        return remembered
    looked = ", ".join(str(place) for place in dict.fromkeys(places))
    raise DataError(
        f"The weights file {name} was not found; looked for: {looked}.",
        "Put it there, set PENLIGHT_DATA to its folder, or give its path with --set model.weights=PATH.",
    )


@dataclass(frozen=True)
class NamedEncoder:
    """An encoder as the model of a run names it: `contained` in it, or referred to."""

    sha256: str
    name: str
    licence: str
    source: str
    contained: bool = field(default=True, compare=False)

    def sentence(self) -> str:
        """Say under which licence it is, and whether the run contains it."""
        source = f", from {self.source}" if self.source else ""
        held = "The run contains it" if self.contained else "The run refers to it and does not contain it"
        return f"Encoder {self.name}: {self.licence or 'licence not stated'}{source}. {held}; SHA-256 {self.sha256}."

    def to_property(self) -> dict[str, str]:
        """Give the name and value of the property of an ONNX file that says this."""
        about = {"name": self.name, "licence": self.licence, "source": self.source}
        return {f"{_PROPERTY}{self.sha256}": json.dumps(about, ensure_ascii=False)}


def reference(sha256: str, part: int) -> str:
    """Name a part of an encoder's file in a model that does not contain it."""
    return f"encoder-{sha256}-{part}"


def named_encoders(declared: Declared, where: str) -> list[NamedEncoder]:
    """Give the encoders of a model by what it declares. RunError if weights lie in a file that is none."""
    locations = {weight.location for weight in declared.weights if weight.location}
    found = [_REFERENCE.fullmatch(location) for location in locations]
    referred = {match[1] for match in found if match is not None}
    said = {
        key.removeprefix(_PROPERTY): value for key, value in declared.properties.items() if key.startswith(_PROPERTY)
    }
    if None in found or not referred <= set(said):
        raise RunError(f"{where} cannot be used: its numbers lie in another file.", "Use a run that you trust.")
    encoders = []
    for sha256, text in said.items():
        values = parse_json_object(text, f"What {where} says of its encoder", error=RunError)
        name, licence, source = (str(values.get(key, ""))[:500] for key in ("name", "licence", "source"))
        encoders.append(NamedEncoder(sha256, name, licence, source, contained=sha256 not in referred))
    return encoders


def encoders_of_run(run: RunFolder) -> list[NamedEncoder]:
    """Give the encoders of a run's model, none where it has no such file."""
    with contextlib.suppress(RunError):
        return named_encoders(check_model(run.read(MODEL), MODEL, beside=True), MODEL) if run.has(MODEL) else []
    return []


def require_known_licences(content: bytes, where: str, *, checked: bool) -> None:
    """Raise ExportError for a model that contains an encoder whose licence is not known, unless a person has
    `checked` that it may be passed on. One with another licence than those of `FREE_LICENCES` is not contained."""
    for encoder in named_encoders(check_model(content, where, beside=True), where):
        if encoder.contained and not checked and not is_free(encoder.licence):
            raise ExportError(
                f"{where} contains the encoder {printable(encoder.name)}, and nothing says whether that may be "
                "passed on: its licence is not known.",
                "If it may, say so with --licence-checked. Else keep it with its licence and train again, as a run "
                "only refers to one that may not be passed on: penlight encoders add FILE --licence NAME",
            )


def find_referred(encoders: list[NamedEncoder]) -> dict[str, Path]:
    """Find the encoders that a model refers to, by their hashes. NoEncoderError if one is not on this machine."""
    return {own.sha256: _find(own) for own in encoders if not own.contained}


def _find(encoder: NamedEncoder) -> Path:
    for path in _candidates():
        with contextlib.suppress(PenlightError, OSError):
            if (_noted(path) or _sha256_of(path, disk.state_of(path))) == encoder.sha256:
                return path
    raise NoEncoderError(
        f"The model refers to the encoder {printable(encoder.name)} (SHA-256 {encoder.sha256[:12]}...), which is not "
        "on this machine.",
        "Keep its file here: penlight encoders add FILE, or set PENLIGHT_DATA to its folder.",
    )


@lru_cache(64)
def _sha256_of(path: Path, state: tuple[int, ...]) -> str:
    """Hash a file once for each `state` of it; whoever reads it to use it hashes what was read."""
    del state
    return read_encoder(path).sha256


def _candidates() -> Iterator[Path]:
    yield from encoder_files()
    for name in remembered_files():
        if name.endswith(ENDING) and (path := find_reference(name)) is not None:
            yield path


def _noted(path: Path) -> str:
    """Give the hash that the file beside an encoder has of it; empty if there is none."""
    with contextlib.suppress(PenlightError, OSError):
        noted = parse_toml(disk.read_named(path.with_suffix(".toml"), LARGEST_TOML), path.name).get("sha256", "")
        return noted if isinstance(noted, str) else ""
    return ""


def referred_parts(encoders: Mapping[str, Path]) -> dict[str, bytes]:
    """Read the encoders that a model refers to, by what it calls their parts. NoEncoderError if one was changed."""
    parts: dict[str, bytes] = {}
    for sha256, path in encoders.items():
        read = read_encoder(path)
        if read.sha256 != sha256:
            raise NoEncoderError(
                f"The encoder {path.name} was changed: its SHA-256 is {read.sha256[:12]}..., and {sha256[:12]}... "
                "was expected.",
                "Put the file back that was there.",
            )
        parts |= {reference(sha256, number): part for number, part in enumerate(read.parts)}
    return parts
