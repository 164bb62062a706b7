"""Described datasets: an npz file or pictures, and a small TOML file that says what they hold.

name = "nih1000"                            # also the name of this file, nih1000.toml
title = "NIH-1000: 1,000 chest radiographs"
task = "multi-label"                        # or "multi-class", "ordinal", "binary"
labels = ["atelectasis", "cardiomegaly"]    # in the order of the label columns, or of the class numbers
licence = "CC BY 4.0"
source = "who made it, and where it is found"
modality = "film"                           # optional; so is all that follows, but for files
channels = 1                                # 1 grey, 3 colour; otherwise the file says it
positive = "malignant"                      # binary only: the label that is the finding; else the second is
referable = 2                               # ordinal only: the lowest grade that needs a referral
position_matters = true                     # a mirrored image would be another anatomy
cautions = ["Most are from one hospital."]  # sentences that every card repeats among its limits
images_per_patient = 4                      # where the source says so and the file does not name patients
samples = { train = 623, val = 154, test = 223 }
files = { "28" = "nih1000.npz", "64" = "nih1000_64.npz" }
md5 = { "28" = "9c79246ef76223ce2bdc7f61bafb68e8" }

Pictures have, instead of `files` and `md5`, the tables that `penlight data new` writes:

[images]
from = "films"                              # class folders, a table, or arrays; in or below this folder
sizes = [28]                                # sides in pixels that they may be opened at
fit = "crop"                                # the square in the middle; "pad" with black, or "stretch"
bits = 16                                   # that the values of 16-bit pictures use
values = ["Atelectasis", "Cardiomegaly"]    # what folders or cells call the labels, in the order of `labels`
endings = [".bmp"]                          # of images, beside those of PNG, JPEG, TIFF and DICOM
ignore = ["*/masks/*", "*_mask.png"]        # files that are left out; "*" stands for any text
folders = "{split}/{label}"                 # of class folders: which is the label; * for one that says nothing
patient_in_name = "{patient}_*"             # whose a picture is, by the end of its path
folder = "."                                # of the pictures of a table that lies elsewhere
frame = "middle"                            # of DICOM files that have several, or "first"
columns = { path = "file", label = "findings", patient = "id" }   # of a manifest; or labels = ["col1", "col2"]
separator = "|"                             # between several labels in a cell
none = "No Finding"                         # the label that says there is none; more in `own.manifest.TableRules`
[split]
file = "films-splits.csv"                   # path and split of each picture; without it they follow from these:
seed = 0
shares = { train = 0.7, val = 0.1, test = 0.2 }

A description may come from a stranger. The files that it names lie in or below its own folder, or by the same name in
a folder of PENLIGHT_DATA; nothing outside is read because a description says so, and nothing beside it is written.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PureWindowsPath
from typing import Any

from penlight import disk
from penlight.data.dataset import SPLITS, DatasetInfo
from penlight.data.folders import data_folders, environment_folders, find_file
from penlight.data.own.keys import check_text, check_types
from penlight.data.own.listing import MOST_LABELS, PictureLayout
from penlight.data.own.splitting import SHARES, SplitRule
from penlight.data.own.tables import suffix_of
from penlight.data.pictures import FITS, FRAMES, DecodeOptions, Fit, Frame
from penlight.data.remembered import NAME_IT, images_folder
from penlight.errors import DataError, PenlightError
from penlight.escaping import named, shown
from penlight.formats import SUFFIXES
from penlight.parsing import LARGEST_TOML, parse_toml
from penlight.tasks import TASKS, Task, find_task

_REQUIRED: Mapping[str, type] = {
    "name": str,
    "title": str,
    "task": str,
    "labels": list,
    "licence": str,
    "source": str,
}
_OPTIONAL: Mapping[str, type] = {
    "modality": str, "channels": int, "position_matters": bool, "cautions": list, "images_per_patient": int,
    "samples": dict, "files": dict, "md5": dict, "images": dict, "split": dict,
}  # fmt: skip
_IMAGES: Mapping[str, type] = {
    "from": str, "sizes": list, "fit": str, "bits": int, "values": list, "ignore": list, "patient_in_name": str,
    "folder": str, "endings": list, "frame": str,
}  # fmt: skip
_SPLIT: Mapping[str, type] = {"file": str, "seed": int, "shares": dict}

LARGEST_SIDE = 4096
"""Side in pixels of the images of a dataset."""

_MOST_SIZES = 20
_MOST_CAUTIONS = 50
_MOST_PER_PATIENT = 10_000
_LARGEST_SEED = 2**63
_LARGEST_SHARE = 1e6

# Pictures that have no up and no side: any rotation or mirror image could have been taken as well.
_WITHOUT_POSITION = {"fundus", "histology", "dermoscopy", "blood smear", "kidney cortex microscope"}

_SHIPPED = Path(str(resources.files("penlight.data"))) / "descriptions"


@dataclass(frozen=True)
class Pictures:
    """Where pictures lie and how they are read: `source` is a folder or a file, as written, of a `layout`; `values`
    are what is written there for each of the labels. `ignore` are patterns of files that are left out,
    `patient_in_name` is how a path shows the patient, and `folder` that of the pictures where it is not the
    table's. `endings` are those of files that are read beside `pictures.FIRST_SUFFIXES`, in lower case,
    and `frame` which one is taken of DICOM files with several."""

    source: str
    sizes: tuple[int, ...]
    values: tuple[str, ...]
    rule: SplitRule
    layout: PictureLayout
    fit: Fit = "crop"
    bits: int = 16
    ignore: tuple[str, ...] = ()
    patient_in_name: str = ""
    folder: str = ""
    endings: tuple[str, ...] = ()
    frame: Frame = ""

    def reading(self, size: int, channels: int) -> DecodeOptions:
        """Say how these pictures become images; what is predicted must be read in the same way."""
        return DecodeOptions(size, channels, self.fit, self.bits, self.frame)


@dataclass(frozen=True)
class Description:
    """What a description file says: `files` maps a size in pixels to a path as written, `folder` is where the
    description lies. `info.channels` is 0 where only the npz knows. One of pictures has `pictures`, and no files."""

    info: DatasetInfo
    files: Mapping[int, str]
    folder: Path
    pictures: Pictures | None = None

    @property
    def file(self) -> Path:
        """Give the path of the description itself."""
        return self.folder / f"{self.info.name}.toml"

    def reading(self, size: int, channels: int) -> DecodeOptions:
        """Say how pictures become images like those of the dataset."""
        return DecodeOptions(size, channels) if self.pictures is None else self.pictures.reading(size, channels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Give the sides in pixels that the dataset may be opened at, the smallest first."""
        return tuple(sorted(self.files if self.pictures is None else self.pictures.sizes))

    def places(self, size: int) -> list[Path]:
        """Give the paths at which the npz of a size may lie: in the folder that the user has named for it on this
        machine, or nearest to the description first.

        Links are followed in the folders that the user's environment names, and nowhere else: a file beside the
        description that is one, or lies behind one, is a DataError.
        """
        name, trusted = self.files[size], data_folders()
        if (folder := images_folder(self.file, name)) is not None:
            return [folder / PureWindowsPath(name).name]
        _require_file_name(name, "files")
        if self.folder.resolve() not in [folder.resolve() for folder in trusted]:
            try:
                disk.open_inside(self.folder, name).close()
            except disk.RefusedFileError as error:
                raise DataError(
                    f"files names {name}, and {error.strerror}.", f"Put the file itself there. {NAME_IT}"
                ) from error
            except OSError:
                pass  # that it is not there, or cannot be read, is said where it is looked for
        return [folder / name for folder in (self.folder, *trusted)]


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
    if not (path.is_dir() or suffix_of(path.name)):
        return None
    names = dict.fromkeys((name_of(path), slug(path.resolve().stem)))
    place = find_file([folder / f"{name}.toml" for name in names for folder in (Path(), path.parent)])
    if place is None:
        raise DataError(f"{path} has no description yet.", f"Have one written: penlight data new {path}")
    return read_description(place)


def slug(text: str) -> str:
    """Make a name of a dataset out of a folder's: letters and digits without accents, '-' between them."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_]+", "-", plain)[:100].strip("-_") or "images"


def name_of(path: Path) -> str:
    """Make a name of a dataset out of that of its folder or table."""
    place = path.resolve()
    suffix = "" if path.is_dir() else suffix_of(place.name) or place.suffix
    return slug(place.name.removesuffix(suffix) if suffix != place.name else place.name)


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
        content = disk.read_named(path, LARGEST_TOML)
    except FileNotFoundError as error:
        raise DataError(f"There is no description {path}.", "Check the path.") from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", "Check that it is a text file you may read."
        ) from error
    return parse_toml(content, str(path))


def _check_keys(values: Mapping[str, Any]) -> None:
    needed = [*_REQUIRED, "images" if "images" in values else "files"]
    if missing := sorted(set(needed) - values.keys()):
        raise DataError(f"A description needs {', '.join(needed)}; missing: {', '.join(missing)}.", "Add it.")
    # The task may be one of an installed package, which is known once it is asked for.
    asked = values.get("task")
    if isinstance(asked, str):
        find_task(asked)
    options = {key: kind for task in TASKS.values() for key, kind in task.options.items()}
    check_types(values, {**_REQUIRED, **_OPTIONAL, **options})
    if "images" in values and (other := values.keys() & {"files", "md5"}):
        raise DataError(
            f"images are read from where they lie; {named(sorted(other))} belongs to an npz.", "Remove it."
        )


def _require_file_name(name: str, option: str) -> None:
    """Check that a description names a file in or below its own folder."""
    if disk.plain_parts(name) is None or name.startswith("~"):
        raise DataError(
            f"{option} must name a file in or below the folder of the description, by a plain relative name such as "
            f'"films/a.csv"; {shown(name)} came.',
            f"Put the file there. {NAME_IT}" if option == "files" else "Put the file there.",
        )


def is_name(text: str) -> bool:
    """Say whether a text may name a dataset: letters, digits, '-' and '_'."""
    # Names become parts of file names; a dot or a slash would let one name be found under another.
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", text) is not None


def _info(values: Mapping[str, Any], path: Path) -> DatasetInfo:
    name, channels, modality = values["name"], values.get("channels", 0), values.get("modality", "")
    if not is_name(name):
        raise DataError(f"The name {shown(name)} may have only letters, digits, '-' and '_', at most 100.")
    if name != path.stem:
        raise DataError(f"The name is '{name}', but the file is {path.name}.", f"Rename the file to {name}.toml.")
    task = _task(values)
    if channels not in (0, 1, 3):
        raise DataError(f"channels must be 1 (grey) or 3 (colour), {shown(channels)} came.")
    per_patient = values.get("images_per_patient", 1)
    if not 1 <= per_patient <= _MOST_PER_PATIENT:
        raise DataError(f"images_per_patient must be 1 to {_MOST_PER_PATIENT:,}; {shown(per_patient)} came.")
    return DatasetInfo(
        name,
        values["title"],
        task,
        channels,
        _samples(values["samples"]) if "samples" in values else None,
        values["licence"],
        values["source"],
        modality,
        values.get("position_matters", position_matters(modality)),
        _hashes(values.get("md5", {})),
        _texts(values.get("cautions", []), "cautions", _MOST_CAUTIONS),
        per_patient,
    )


def _task(values: Mapping[str, Any]) -> Task:
    kind, labels = values["task"], _labels(values["labels"])
    task = find_task(kind)
    if task is None:
        raise DataError(f"task must be one of {', '.join(TASKS)}; {shown(kind)} came.")
    for other in TASKS.values():
        for key in sorted(other.options.keys() & values.keys() - task.options.keys()):
            article = "an" if other.kind[0] in "aeiou" else "a"
            raise DataError(f"{key} belongs to {article} {other.kind} task, and this one is {kind}.", "Remove it.")
    return task.described(labels, values)


def _labels(labels: list[Any], key: str = "labels") -> tuple[str, ...]:
    texts = _texts(labels, key, MOST_LABELS)
    if not texts or len(set(texts)) < len(texts):
        raise DataError(f"{key} must be a list of different names; {shown(labels)} came.")
    return texts


def _texts(texts: list[Any], key: str, most: int) -> tuple[str, ...]:
    if len(texts) > most:
        raise DataError(f"{key} may be {most:,}; {len(texts):,} came.", "Give fewer.")
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise DataError(f"{key} must be texts, not empty; {shown(texts)} came.")
    for text in texts:
        check_text(text, key)
    return tuple(texts)


def _samples(samples: Mapping[str, Any]) -> dict[str, int]:
    if set(samples) != set(SPLITS) or not all(type(n) is int and 0 < n < 2**48 for n in samples.values()):
        raise DataError(f"samples must count the images of {', '.join(SPLITS)}; {shown(dict(samples))} came.")
    return {split: samples[split] for split in SPLITS}


def _hashes(md5: Mapping[str, Any]) -> dict[int, str]:
    hashes = {_size(key, "md5"): value for key, value in md5.items()}
    for value in hashes.values():
        if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{32}", value):
            raise DataError(f"md5 must be 32 digits 0-9 a-f, {shown(value)} came.")
    return hashes


def _size(key: str, table: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,4}", key) or int(key) > LARGEST_SIDE:
        raise DataError(f'{table} are sizes in pixels such as "28", of at most {LARGEST_SIDE:,}; {shown(key)} came.')
    return int(key)


def _files(values: Mapping[str, Any]) -> dict[int, str]:
    files = {_size(key, "files"): value for key, value in values["files"].items()}
    if not files or not all(isinstance(value, str) and value for value in files.values()):
        raise DataError(f'files must map sizes to names, as {{ "28" = "mine.npz" }}; {shown(values["files"])} came.')
    for name in files.values():
        check_text(name, "files")
    return files


def _pictures(values: Mapping[str, Any], info: DatasetInfo) -> Pictures:
    # What reads rows is loaded for pictures alone.
    from penlight.data.own.layouts import LAYOUTS

    images = values["images"]
    check_types(images, {**_IMAGES, **{key: kind for layout in LAYOUTS for key, kind in layout.options.items()}})
    if missing := [key for key in ("from", "sizes", "values") if key not in images]:
        raise DataError(f"The table images needs {named(missing)}.", "Add it.")
    if not info.channels:
        raise DataError("Pictures need channels: 1 (grey) or 3 (colour).", "Add it.")
    fit, bits = images.get("fit", FITS[0]), images.get("bits", 16)
    if fit not in FITS:
        raise DataError(f"fit must be one of {', '.join(FITS)}; {shown(fit)} came.")
    if not 8 <= bits <= 16:
        raise DataError(f"bits must be 8 to 16, {shown(bits)} came.")
    written = _labels(images["values"], "values")
    if len(written) != len(info.task.labels):
        raise DataError(f"There are {len(info.task.labels)} labels and {len(written)} values.", "Give one for each.")
    if len(images["sizes"]) > _MOST_SIZES:
        raise DataError(f"images.sizes may be {_MOST_SIZES}; {len(images['sizes']):,} came.", "Give fewer.")
    sizes = tuple(_size(shown(size), "images.sizes") for size in images["sizes"])
    if not sizes:
        raise DataError("images.sizes is empty.", "Give a side in pixels, as [28].")
    layout = next(found for kind in LAYOUTS if (found := kind.from_table(images)) is not None)
    rule = _rule(values.get("split", {}), f"{info.name}-splits.csv")
    ignore = _texts(images.get("ignore", []), "ignore", _MOST_SIZES)
    patients, folder = images.get("patient_in_name", ""), images.get("folder", "")
    endings = _texts(images.get("endings", []), "endings", len(SUFFIXES))
    if unknown := sorted(set(endings) - SUFFIXES):
        raise DataError(f"endings has {named(unknown)}; read are {', '.join(sorted(SUFFIXES))}.", "Correct it.")
    frame = images.get("frame", "")
    if frame not in FRAMES:
        raise DataError(f"frame must be {' or '.join(FRAMES[1:])}; {shown(frame)} came.")
    return Pictures(images["from"], sizes, written, rule, layout, fit, bits, ignore, patients, folder, endings, frame)


def _rule(split: Mapping[str, Any], file: str) -> SplitRule:
    check_types(split, _SPLIT)
    file, seed, shares = split.get("file", file), split.get("seed", 0), split.get("shares", SHARES)
    if set(shares) != set(SPLITS) or not all(
        type(n) in (int, float) and 0 < n <= _LARGEST_SHARE for n in shares.values()
    ):
        raise DataError(f"shares must be numbers above 0 for {', '.join(SPLITS)}; {shown(shares)} came.")
    if not 0 <= seed < _LARGEST_SEED:
        raise DataError(f"seed must be 0 or more, of at most 18 digits; {shown(seed)} came.")
    _require_file_name(file, "split.file")
    return SplitRule(file, seed, dict(shares))
