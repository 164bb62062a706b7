"""What the user named on this machine, so that files that may be handed on need not hold paths of it.

A description names pictures in or below its own folder. Pictures elsewhere are read only where the user has named
their folder in a command (`data new FOLDER --out ...`, `--images FOLDER`). A recipe names its dataset by a path from
the working folder, or by a bare name. Both are looked up in

    remembered/places.json    images: digest -> folder; files: the name in recipes -> path

under the cache folder, which only its owner can read or write.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penlight import disk
from penlight.data.folders import cache_folder, private_cache_folder
from penlight.errors import DataError
from penlight.parsing import parse_json_object

NAME_IT = "If it lies elsewhere, name its folder on this machine, once: --images FOLDER"

_REMEDY = "Set PENLIGHT_CACHE to a folder you may write to."
_FOLDER, _FILE = "remembered", "places.json"
_LARGEST = 4 << 20
_MOST = 2000

Places = dict[str, dict[str, str]]


def images_folder(description: Path, source: str) -> Path | None:
    """Give the folder that the user named for the pictures of a description, `source` being what that says of them;
    None if there is none, or it is gone."""
    folder = _read()["images"].get(_digest(description, source))
    return Path(folder) if folder is not None and Path(folder).is_dir() else None


def remember_images(description: Path, source: str, folder: Path | None) -> None:
    """Remember the folder of the pictures of a description or, for None, forget it: they are now where it says.
    StorageError if a folder cannot be remembered."""
    key = _digest(description, source)
    if folder is not None:
        with disk.writing_to(cache_folder(), _REMEDY), _changing() as places:
            _put(places["images"], key, str(folder.resolve()))
    elif key in _read()["images"]:
        with contextlib.suppress(OSError), _changing() as places:
            places["images"].pop(key, None)


def reference_to(file: Path) -> str:
    """Give the name by which a recipe keeps a description or another file, and remember where it is.

    A path in or below the working folder is given as it is from there, and remembered for commands in other folders
    unless it means another file there. Of one elsewhere only the file's name is given, with some digits after it
    where another file of that name is meant by it already.
    """
    path = file.resolve()
    if (inside := disk.from_working_folder(file)) is not None:
        with contextlib.suppress(OSError), _changing() as places:
            if _is_free(places["files"], inside, path):
                _put(places["files"], inside, str(path))
        return inside
    with disk.writing_to(cache_folder(), _REMEDY), _changing() as places:
        known = places["files"]
        name = next((name for name, place in known.items() if place == str(path)), path.name)
        if Path(name).exists() or not _is_free(known, name, path):
            name = f"{path.stem}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}{path.suffix}"
        _put(known, name, str(path))
    return name


def find_reference(reference: str) -> Path | None:
    """Find the file that a recipe names by a path: below the working folder, or where the user named it on this
    machine; None for any other, since a recipe may come from a stranger."""
    inside = disk.from_working_folder(Path(reference))
    if inside is not None and Path(inside).exists():
        return Path(inside)
    known = _read()["files"]
    place = known.get(reference) or next((file for file in known.values() if file == reference), None)
    return Path(place) if place is not None and Path(place).is_file() else None


def remembered_files() -> list[str]:
    """Give the names by which recipes keep files that the user named on this machine, the last one first."""
    return [*reversed(_read()["files"])]


def _is_free(known: dict[str, str], name: str, path: Path) -> bool:
    return name not in known or known[name] == str(path) or not Path(known[name]).is_file()


def _digest(description: Path, source: str) -> str:
    """Name what a permission is for: what the description at this place says of its pictures.

    The rest of its content is left out, so that correcting labels loses nothing. A description from elsewhere has
    another place, and so another digest.
    """
    about = json.dumps([str(description.resolve()), source])
    return hashlib.sha256(about.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _put(places: dict[str, str], key: str, place: str) -> None:
    """Set a place, the last one in the order; of very many the oldest go."""
    places.pop(key, None)
    places[key] = place
    while len(places) > _MOST:
        del places[next(iter(places))]


@contextlib.contextmanager
def _changing() -> Iterator[Places]:
    """Give the places to change; they are written when the block ends well. OSError if that fails."""
    folder = private_cache_folder(_FOLDER)
    with disk.locked(folder / f".{_FILE}.lock"):
        places = _read()
        before = json.dumps(places)
        yield places
        if json.dumps(places) != before:
            disk.write_whole(folder / _FILE, (json.dumps(places, indent=1) + "\n").encode(), private=True)


def _read() -> Places:
    """Read the places; none where the file is missing or damaged."""
    values: dict[str, Any] = {}
    with contextlib.suppress(OSError, DataError):
        content = disk.read_inside(cache_folder(), f"{_FOLDER}/{_FILE}", _LARGEST)
        values = parse_json_object(content, _FILE)
    known = {kind: values.get(kind) for kind in ("images", "files")}
    return {
        kind: {key: place for key, place in places.items() if isinstance(place, str)}
        if isinstance(places, dict)
        else {}
        for kind, places in known.items()
    }
