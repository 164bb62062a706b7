"""Where data lies: the folders that are searched, and the one that Penlight keeps its own copies in."""

import os
import sys
from pathlib import Path

from penlight import disk
from penlight.privacy import cache_folder as cache_folder


def environment_folders() -> list[Path]:
    """Give the folders named in PENLIGHT_DATA, in their order; none if it is not set."""
    return [Path(part).expanduser() for part in os.environ.get("PENLIGHT_DATA", "").split(os.pathsep) if part]


def download_folder() -> Path:
    """Give ~/.medmnist, which the `medmnist` package uses too."""
    return Path.home() / ".medmnist"


def encoders_folder() -> Path:
    """Give the folder of encoders among the user's data on this system. It need not exist."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "penlight" / "encoders"


def data_folders() -> list[Path]:
    """Give the folders that dataset files are looked for in."""
    return [*environment_folders(), download_folder()]


def find_file(names: list[Path]) -> Path | None:
    """Give the first of these paths that is a file."""
    return next((path for path in names if path.is_file()), None)


def private_cache_folder(name: str) -> Path:
    """Make a folder in the cache, and the cache, for their owner alone: arrays and records of patients lie there.

    A folder that PENLIGHT_CACHE names may hold other things and keeps its permissions; what Penlight has in it is
    closed to others. OSError if it cannot be made.
    """
    cache = cache_folder()
    if not os.environ.get("PENLIGHT_CACHE"):
        disk.private_folder(cache)
    disk.private_folder(cache / name)
    return cache / name
