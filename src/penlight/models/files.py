"""Networks as bytes: the Keras file of a run, written without a trace of when, and read in safe mode."""

import tempfile
import zipfile
from pathlib import Path
from typing import Any

from penlight.errors import RunError
from penlight.models.backend import load_keras


def network_bytes(network: Any) -> bytes:
    """Give a network as a .keras file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        network.save(path)
        return path.read_bytes()


def network_from_bytes(content: bytes) -> Any:
    """Read a .keras file in safe mode: no code in it is run. RunError if it is damaged."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(content)
        try:
            return load_keras().models.load_model(path, compile=False, safe_mode=True)
        except (ValueError, TypeError, OSError, zipfile.BadZipFile) as error:
            raise RunError(f"The network cannot be read: {error}.", "Repeat the run.") from error
