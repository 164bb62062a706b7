"""What a run was made with: versions and machine."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

_PACKAGES = ("penlight", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib", "keras", "tensorflow-cpu",
             "tensorflow", "jax", "onnxruntime")  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that results depend on; those not installed are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int]:
    """Operating system, processor, number of cores this process may use, and memory in GiB where it is known."""
    about: dict[str, str | int] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    }
    if sys.platform == "linux":
        about["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    return about


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
