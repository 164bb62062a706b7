"""Small datasets on disk, and a home of its own for each test."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import new_folder
from tests.data.tiny_dataset import DESCRIPTION, tiny_arrays

REAL = os.environ.get("PENLIGHT_DATA")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home; the cache would be made inside it, and no data is found."""
    place = new_folder(tmp_path_factory, "empty")
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PENLIGHT_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return place


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders of real files."""
    if REAL is None:
        pytest.skip("PENLIGHT_DATA is not set")
    monkeypatch.setenv("PENLIGHT_DATA", REAL)
    return Path(REAL.split(os.pathsep)[0])


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Path]:
    """Write tiny.npz and tiny.toml: `tiny(train_images=...)` replaces an array, None leaves it out."""

    def write(description: str = DESCRIPTION, **changes: np.ndarray | None) -> Path:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        arrays = {name: array for name, array in {**tiny_arrays(), **changes}.items() if array is not None}
        np.savez_compressed(folder / "tiny.npz", **arrays)
        (folder / "tiny.toml").write_text(description)
        return folder / "tiny.toml"

    return write
