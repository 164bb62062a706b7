"""Where data lies: the folders that are searched, and the one that Penlight keeps its own copies in."""

import os
from pathlib import Path

from penlight.privacy import cache_folder as cache_folder


def environment_folders() -> list[Path]:
    """Give the folders named in PENLIGHT_DATA, in their order; none if it is not set."""
    return [Path(part).expanduser() for part in os.environ.get("PENLIGHT_DATA", "").split(os.pathsep) if part]


def download_folder() -> Path:
    """Give ~/.medmnist, which the `medmnist` package uses too."""
    return Path.home() / ".medmnist"


def data_folders() -> list[Path]:
    """Give the folders that dataset files are looked for in."""
    return [*environment_folders(), download_folder()]


def find_file(names: list[Path]) -> Path | None:
    """Give the first of these paths that is a file."""
    return next((path for path in names if path.is_file()), None)
