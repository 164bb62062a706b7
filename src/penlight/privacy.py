"""Switch off the telemetry of the libraries that Penlight uses, and say where files may be written: in the cache.

`penlight/__init__.py` imports this module first. ONNX Runtime reads its switch while its native library loads, so
that a call of `onnxruntime.disable_telemetry_events()` afterwards comes too late: a process that lives for more than
about nine seconds has looked up its maker's host by then, and has written a device id below the user's cache folder.
"""

import contextlib
import os
import sys
import warnings
from pathlib import Path

SWITCHES = {
    # ONNX Runtime: events are on by default in its wheels for Linux.
    "ORT_DISABLE_TELEMETRY": "1",
    # The convention of consoledonottrack.com, which several tools follow.
    "DO_NOT_TRACK": "1",
    # Keras imports the first where it is installed, notebooks often hold the second, which the extra mlflow installs.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Environment variables that turn telemetry off. They are set whatever their value was: Penlight promises that
nothing is sent, and processes that it starts inherit them."""

COMMAND_SWITCHES = {
    # FastAPI reports to OpenTelemetry where an SDK is configured. A program that embeds Penlight keeps its own.
    "OTEL_SDK_DISABLED": "true",
}
"""Further variables, set in the processes of the command alone."""

FOLDERS = {"KERAS_HOME": "keras", "MPLCONFIGDIR": "matplotlib"}
"""Environment variables that name a library's folder for its own files, and the folder in Penlight's cache. Keras
writes keras.json when it is imported, Matplotlib its list of fonts."""


def switch_off_telemetry() -> None:
    """Set SWITCHES. A RuntimeWarning where ONNX Runtime is loaded already and was not switched off."""
    is_late = "onnxruntime" in sys.modules and os.environ.get("ORT_DISABLE_TELEMETRY") != "1"
    os.environ.update(SWITCHES)
    if is_late:
        warnings.warn(
            "onnxruntime was imported before penlight, with its telemetry switched on. Import penlight first, or set "
            "ORT_DISABLE_TELEMETRY=1.",
            RuntimeWarning,
            stacklevel=2,
        )


def cache_folder() -> Path:
    """Give PENLIGHT_CACHE, or the folder for it in the user's cache folder on this system. It need not exist."""
    if chosen := os.environ.get("PENLIGHT_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "penlight" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "penlight"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penlight"


def keep_files_in_cache() -> None:
    """Have libraries write their own files below Penlight's cache folder, readable by its owner alone; what the user
    has set stays. For the processes of the command only: a program that imports Penlight keeps its own settings of
    Keras and Matplotlib."""
    os.environ.update(COMMAND_SWITCHES)
    cache = cache_folder().absolute()
    for variable, name in FOLDERS.items():
        if variable not in os.environ:
            os.environ[variable] = str(cache / name)
            # Where the disk cannot be written the libraries do without.
            with contextlib.suppress(OSError):
                cache.parent.mkdir(parents=True, exist_ok=True)
                cache.mkdir(mode=0o700, exist_ok=True)
                (cache / name).mkdir(mode=0o700, exist_ok=True)


switch_off_telemetry()
