"""Where data lies: the folders that are searched, and the one that Penlight keeps its own copies in."""

import os
import sys
from pathlib import Path


def environment_folders() -> list[Path]:
    """Give the folders named in PENLIGHT_DATA, in their order; none if it is not set."""
    return [Path(part).expanduser() for part in os.environ.get("PENLIGHT_DATA", "").split(os.pathsep) if part]


def download_folder() -> Path:
    """Give ~/.medmnist, which the `medmnist` package uses too."""
    return Path.home() / ".medmnist"


def data_folders() -> list[Path]:
    """Give the folders that dataset files are looked for in."""
    return [*environment_folders(), download_folder()]


def cache_folder() -> Path:
    """Give PENLIGHT_CACHE, or the folder for it in the user's cache folder on this system. It need not exist."""
    if chosen := os.environ.get("PENLIGHT_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "penlight" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "penlight"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penlight"


def find_file(names: list[Path]) -> Path | None:
    """Give the first of these paths that is a file."""
    return next((path for path in names if path.is_file()), None)
