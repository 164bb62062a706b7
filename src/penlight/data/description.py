"""Data of one's own: an npz file or pictures, and a small TOML file that says what they hold.

name = "nih1000"                            # also the name of this file, nih1000.toml
title = "NIH-1000: 1,000 chest radiographs"
task = "multi-label"                        # or "multi-class", "ordinal", "binary"
labels = ["atelectasis", "cardiomegaly"]    # in the order of the label columns, or of the class numbers
licence = "CC BY 4.0"
source = "who made it, and where it is found"
modality = "film"                           # optional; so is all that follows, but for files
channels = 1                                # 1 grey, 3 colour; otherwise the file says it
referable = 2                               # ordinal only: the lowest grade that needs a referral
position_matters = true                     # a mirrored image would be another anatomy
cautions = ["Most are from one hospital."]  # sentences that every card repeats among its limits
samples = { train = 623, val = 154, test = 223 }
files = { "28" = "nih1000.npz", "64" = "nih1000_64.npz" }
md5 = { "28" = "9c79246ef76223ce2bdc7f61bafb68e8" }

Pictures have, instead of `files` and `md5`, the tables that `penlight data new` writes:

[images]
from = "films"                              # class folders, or a CSV or Parquet manifest; from this file's folder
sizes = [28]                                # sides in pixels that they may be opened at
fit = "crop"                                # the square in the middle; "pad" with black, or "stretch"
bits = 16                                   # that the values of 16-bit pictures use
values = ["Atelectasis", "Cardiomegaly"]    # what folders or cells call the labels, in the order of `labels`
columns = { path = "file", label = "findings", patient = "id" }   # of a manifest; or labels = ["col1", "col2"]
separator = "|"                             # between several labels in a cell
none = "No Finding"                         # the label that says there is none
[split]
file = "films-splits.csv"                   # path and split of each picture; made by what follows if it is not there
seed = 0
shares = { train = 0.7, val = 0.1, test = 0.2 }
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from penlight.data.dataset import METADATA, SPLITS, DatasetInfo
from penlight.data.folders import data_folders, environment_folders, find_file
from penlight.data.own.manifest import SUFFIXES as TABLES
from penlight.data.own.manifest import Columns
from penlight.data.own.rows import named
from penlight.data.own.splitting import SHARES, Rule
from penlight.data.pictures import FITS, Fit, Reading
from penlight.errors import DataError, PenlightError
from penlight.tasks import TASKS, Ordinal, Task

_REQUIRED: Mapping[str, type] = {
    "name": str,
    "title": str,
    "task": str,
    "labels": list,
    "licence": str,
    "source": str,
}
_OPTIONAL: Mapping[str, type] = {
    "modality": str,
    "channels": int,
    "referable": int,
    "position_matters": bool,
    "cautions": list,
    "samples": dict,
    "files": dict,
    "md5": dict,
    "images": dict,
    "split": dict,
}
_IMAGES: Mapping[str, type] = {
    "from": str,
    "sizes": list,
    "fit": str,
    "bits": int,
    "values": list,
    "columns": dict,
    "separator": str,
    "none": str,
}
_SPLIT: Mapping[str, type] = {"file": str, "seed": int, "shares": dict}
_WORDS = {str: "a text", list: "a list", dict: "a table", int: "a whole number", bool: "true or false"}

# Pictures that have no up and no side: any rotation or mirror image could have been taken as well.
_WITHOUT_POSITION = {"fundus", "histology", "dermoscopy", "blood smear", "kidney cortex microscope"}

_SHIPPED = Path(str(resources.files("penlight.data"))) / "descriptions"


@dataclass(frozen=True)
class Pictures:
    """Where pictures lie and how they are read: `source` is a folder or a manifest, as written; `values` is what is
    written there for each of the labels; `columns` are those of a manifest, None for class folders."""

    source: str
    sizes: tuple[int, ...]
    values: tuple[str, ...]
    rule: Rule
    fit: Fit = "crop"
    bits: int = 16
    columns: Columns | None = None

    def reading(self, size: int, channels: int) -> Reading:
        """Say how these pictures become images; what is predicted must be read in the same way."""
        return Reading(size, channels, self.fit, self.bits)


@dataclass(frozen=True)
class Description:
    """What a description file says: `files` maps a size in pixels to a path as written, `folder` is where the
    description lies. `info.channels` is 0 where only the npz knows. One of pictures has `pictures`, and no files."""

    info: DatasetInfo
    files: Mapping[int, str]
    folder: Path
    pictures: Pictures | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Give the sides in pixels that the dataset may be opened at, the smallest first."""
        return tuple(sorted(self.files if self.pictures is None else self.pictures.sizes))

    def places(self, size: int) -> list[Path]:
        """Give the paths at which the npz of a size may lie, nearest to the description first."""
        return [folder / self.files[size] for folder in (self.folder, *data_folders())]


def position_matters(modality: str) -> bool:
    """Say whether a mirrored image of this modality would be another anatomy; an unknown one is taken to be so."""
    return modality not in _WITHOUT_POSITION


def find_description(name: str | Path) -> Description | None:
    """Find a description by the path of its file, or by name in PENLIGHT_DATA and then among the shipped ones; that
    of a folder of pictures or of a manifest in the working folder or beside it, where `penlight data new` put it.

    DataError if it is not valid, if a path ending in .toml does not exist, if it is the path of an npz, and for
    pictures that are not described.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return read_description(path)
    if path.suffix == ".npz":
        raise DataError(
            f"{path} does not say what its labels mean.",
            f"Describe it in {path.with_suffix('.toml')} and give that file instead.",
        )
    places = [folder / f"{name}.toml" for folder in (*environment_folders(), _SHIPPED) if is_name(str(name))]
    if described := find_file(places):
        return read_description(described)
    if path.is_dir() or path.suffix.lower() in TABLES:
        return _description_of_pictures(path)
    return None


def _description_of_pictures(path: Path) -> Description:
    place = find_file([folder / f"{slug(path.resolve().stem)}.toml" for folder in (Path(), path.parent)])
    if place is None:
        raise DataError(f"{path} has no description yet.", f"Have one written: penlight data new {path}")
    return read_description(place)


def slug(text: str) -> str:
    """Make a name of a dataset out of a folder's: letters and digits without accents, '-' between them."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-_") or "images"


def described_names() -> list[str]:
    """Name the datasets that have a description in PENLIGHT_DATA or in the package, without reading them all.

    A TOML file without `files` or `images` is something else and left out; DataError for one that is not TOML.
    """
    paths = [path for folder in (*environment_folders(), _SHIPPED) for path in folder.glob("*.toml")]
    return sorted(
        {path.stem for path in paths if is_name(path.stem) and {"files", "images"} & _read_toml(path).keys()}
    )


def read_description(path: Path) -> Description:
    """Read and check a description. DataError says what is wrong with it."""
    return description_of(_read_toml(path), path)


def description_of(values: Mapping[str, Any], path: Path) -> Description:
    """Check the values of a description that lies, or will lie, at `path`. DataError says what is wrong with it."""
    try:
        _check_keys(values)
        info = _info(values, path)
        if "images" in values:
            return Description(info, {}, path.parent, _pictures(values, info))
        return Description(info, _files(values), path.parent)
    except PenlightError as error:
        raise DataError(f"{path}: {error.problem}", error.remedy) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"There is no description {path}.", "Check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.", "Check that it is a text file you may read.") from error
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path} is not valid TOML: {error}.", "Correct that line.") from error


def _check_keys(values: Mapping[str, Any]) -> None:
    needed = [*_REQUIRED, "images" if "images" in values else "files"]
    if missing := sorted(set(needed) - values.keys()):
        raise DataError(f"A description needs {', '.join(needed)}; missing: {', '.join(missing)}.", "Add it.")
    _check_types(values, {**_REQUIRED, **_OPTIONAL})
    if "images" in values and (other := values.keys() & {"files", "md5"}):
        raise DataError(
            f"images are read from where they lie; {named(sorted(other))} belongs to an npz.", "Remove it."
        )


def _check_types(values: Mapping[str, Any], known: Mapping[str, type]) -> None:
    if unknown := sorted(values.keys() - known.keys()):
        raise DataError(f"Unknown key {', '.join(unknown)}.", f"Known are {', '.join(known)}.")
    for key, value in values.items():
        # bool is a subclass of int, but `channels = true` is a mistake.
        if type(value) is not known[key]:
            raise DataError(f"{key} must be {_WORDS[known[key]]}, {value!r} came.")


def _info(values: Mapping[str, Any], path: Path) -> DatasetInfo:
    modality = values.get("modality", "")
    return DatasetInfo(
        name=_name(values["name"], path),
        title=values["title"],
        task=_task(values),
        channels=_channels(values.get("channels", 0)),
        samples=_samples(values["samples"]) if "samples" in values else None,
        licence=values["licence"],
        source=values["source"],
        modality=modality,
        position_matters=values.get("position_matters", position_matters(modality)),
        md5=_hashes(values.get("md5", {})),
        cautions=_cautions(values.get("cautions", [])),
    )


def is_name(text: str) -> bool:
    """Say whether a text may name a dataset: letters, digits, '-' and '_'."""
    # Names become parts of file names; a dot or a slash would let one name be found under another.
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", text) is not None


def _name(name: str, path: Path) -> str:
    if not is_name(name):
        raise DataError(f"The name '{name}' may have only letters, digits, '-' and '_'.")
    if name != path.stem:
        raise DataError(f"The name is '{name}', but the file is {path.name}.", f"Rename the file to {name}.toml.")
    return name


def _task(values: Mapping[str, Any]) -> Task:
    kind, labels = values["task"], _labels(values["labels"])
    if kind not in TASKS:
        raise DataError(f"task must be one of {', '.join(TASKS)}; '{kind}' came.")
    if "referable" not in values:
        return TASKS[kind](labels)
    if kind != Ordinal.kind:
        raise DataError(f"referable belongs to an ordinal task, and this one is {kind}.", "Remove it.")
    if not 0 < values["referable"] < len(labels):
        raise DataError(f"referable must be a grade from 1 to {len(labels) - 1}, {values['referable']} came.")
    return Ordinal(labels, referable=values["referable"])


def _labels(labels: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(label, str) and label.strip() for label in labels):
        raise DataError(f"labels must be texts, not empty; {labels!r} came.")
    if not labels or len(set(labels)) < len(labels):
        raise DataError(f"labels must be a list of different names; {labels!r} came.")
    return tuple(labels)


def _cautions(cautions: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(caution, str) and caution.strip() for caution in cautions):
        raise DataError(f"cautions must be texts, not empty; {cautions!r} came.")
    return tuple(cautions)


def _channels(channels: int) -> int:
    if channels not in (0, 1, 3):
        raise DataError(f"channels must be 1 (grey) or 3 (colour), {channels} came.")
    return channels


def _samples(samples: Mapping[str, Any]) -> dict[str, int]:
    if set(samples) != set(SPLITS) or not all(type(n) is int and n > 0 for n in samples.values()):
        raise DataError(f"samples must count the images of {', '.join(SPLITS)}; {dict(samples)!r} came.")
    return {split: samples[split] for split in SPLITS}


def _files(values: Mapping[str, Any]) -> dict[int, str]:
    files = {_size(key, "files"): value for key, value in values["files"].items()}
    if not files or not all(isinstance(value, str) and value for value in files.values()):
        raise DataError(f'files must map sizes to names, as {{ "28" = "mine.npz" }}; {values["files"]!r} came.')
    return files


def _pictures(values: Mapping[str, Any], info: DatasetInfo) -> Pictures:
    images = values["images"]
    _check_types(images, _IMAGES)
    if missing := [key for key in ("from", "sizes", "values") if key not in images]:
        raise DataError(f"The table images needs {named(missing)}.", "Add it.")
    if not info.channels:
        raise DataError("Pictures need channels: 1 (grey) or 3 (colour).", "Add it.")
    fit = images.get("fit", FITS[0])
    if fit not in get_args(Fit):
        raise DataError(f"fit must be one of {', '.join(FITS)}; '{fit}' came.")
    bits = images.get("bits", 16)
    if not 8 <= bits <= 16:
        raise DataError(f"bits must be 8 to 16, {bits} came.")
    written = _labels(images["values"])
    if len(written) != len(info.task.labels):
        raise DataError(f"There are {len(info.task.labels)} labels and {len(written)} values.", "Give one for each.")
    sizes = tuple(_size(str(size), "images.sizes") for size in images["sizes"])
    if not sizes:
        raise DataError("images.sizes is empty.", "Give a side in pixels, as [28].")
    columns = _columns(images) if "columns" in images else None
    rule = _rule(values.get("split", {}), f"{info.name}-splits.csv")
    return Pictures(images["from"], sizes, written, rule, fit, bits, columns)


def _columns(images: Mapping[str, Any]) -> Columns:
    columns = dict(images["columns"])
    path, label, labels = columns.pop("path", None), columns.pop("label", None), columns.pop("labels", [])
    texts = [path, *([] if label is None else [label]), *(labels if isinstance(labels, list) else [None])]
    if not all(isinstance(text, str) for text in (*texts, *columns.values())) or (label is None) == (not labels):
        raise DataError(
            f"columns must name path, and either label or labels; {images['columns']!r} came.",
            'As in { path = "file", label = "diagnosis" }.',
        )
    if unknown := sorted(columns.keys() - {"patient", "split", *METADATA}):
        raise DataError(f"Unknown column {named(unknown)}.", f"Known are patient, split, {', '.join(METADATA)}.")
    return Columns(path, label, tuple(labels), images.get("separator"), images.get("none"), columns)


def _rule(split: Mapping[str, Any], file: str) -> Rule:
    _check_types(split, _SPLIT)
    shares = split.get("shares", SHARES)
    if set(shares) != set(SPLITS) or not all(type(share) in (int, float) and share > 0 for share in shares.values()):
        raise DataError(f"shares must be numbers above 0 for {', '.join(SPLITS)}; {shares!r} came.")
    if split.get("seed", 0) < 0:
        raise DataError(f"seed must be 0 or more, {split['seed']} came.")
    return Rule(split.get("file", file), split.get("seed", 0), dict(shares))


def _hashes(md5: Mapping[str, Any]) -> dict[int, str]:
    hashes = {_size(key, "md5"): value for key, value in md5.items()}
    for value in hashes.values():
        if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{32}", value):
            raise DataError(f"md5 must be 32 digits 0-9 a-f, {value!r} came.")
    return hashes


def _size(key: str, table: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,4}", key):
        raise DataError(f'The keys of {table} are sizes in pixels such as "28"; "{key}" came.')
    return int(key)
