"""Data of one's own: an npz file, and a small TOML file beside it that says what it holds.

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
samples = { train = 623, val = 154, test = 223 }
files = { "28" = "nih1000.npz", "64" = "nih1000_64.npz" }
md5 = { "28" = "9c79246ef76223ce2bdc7f61bafb68e8" }
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from penlight.data.dataset import SPLITS, DatasetInfo
from penlight.data.folders import data_folders, environment_folders
from penlight.errors import DataError, PenlightError
from penlight.tasks import TASKS, Ordinal, Task

_REQUIRED: Mapping[str, type] = {
    "name": str,
    "title": str,
    "task": str,
    "labels": list,
    "licence": str,
    "source": str,
    "files": dict,
}
_OPTIONAL: Mapping[str, type] = {
    "modality": str,
    "channels": int,
    "referable": int,
    "position_matters": bool,
    "samples": dict,
    "md5": dict,
}
_WORDS = {str: "a text", list: "a list", dict: "a table", int: "a whole number", bool: "true or false"}

# Pictures that have no up and no side: any rotation or mirror image could have been taken as well.
_WITHOUT_POSITION = {"fundus", "histology", "dermoscopy", "blood smear", "kidney cortex microscope"}

_SHIPPED = Path(str(resources.files("penlight.data"))) / "descriptions"


@dataclass(frozen=True)
class Description:
    """What a description file says: `files` maps a size in pixels to a path as written, `folder` is where the
    description lies. `info.channels` is 0 where only the npz knows."""

    info: DatasetInfo
    files: Mapping[int, str]
    folder: Path

    def places(self, size: int) -> list[Path]:
        """Give the paths at which the npz of a size may lie, nearest to the description first."""
        return [folder / self.files[size] for folder in (self.folder, *data_folders())]


def position_matters(modality: str) -> bool:
    """Say whether a mirrored image of this modality would be another anatomy; an unknown one is taken to be so."""
    return modality not in _WITHOUT_POSITION


def find_description(name: str | Path) -> Description | None:
    """Find a description by the path of its file, or by name in PENLIGHT_DATA and then among the shipped ones.

    DataError if it is not valid, if a path ending in .toml does not exist, or if it is the path of an npz.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return read_description(path)
    if path.suffix == ".npz":
        raise DataError(
            f"{path} does not say what its labels mean.",
            f"Describe it in {path.with_suffix('.toml')} and give that file instead.",
        )
    if not _is_name(str(name)):
        return None
    places = [folder / f"{name}.toml" for folder in (*environment_folders(), _SHIPPED)]
    return next((read_description(place) for place in places if place.is_file()), None)


def described_names() -> list[str]:
    """Name the datasets that have a description in PENLIGHT_DATA or in the package, without reading them all.

    A TOML file without a `files` entry is something else and left out; DataError for one that is not TOML.
    """
    paths = [path for folder in (*environment_folders(), _SHIPPED) for path in folder.glob("*.toml")]
    return sorted({path.stem for path in paths if _is_name(path.stem) and "files" in _read_toml(path)})


def read_description(path: Path) -> Description:
    """Read and check a description. DataError says what is wrong with it."""
    values = _read_toml(path)
    try:
        _check_keys(values)
        return Description(_info(values, path), _files(values), path.parent)
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
    known = {**_REQUIRED, **_OPTIONAL}
    if missing := sorted(_REQUIRED.keys() - values.keys()):
        raise DataError(f"A description needs {', '.join(_REQUIRED)}; missing: {', '.join(missing)}.", "Add it.")
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
    )


def _is_name(text: str) -> bool:
    # Names become parts of file names; a dot or a slash would let one name be found under another.
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", text) is not None


def _name(name: str, path: Path) -> str:
    if not _is_name(name):
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
