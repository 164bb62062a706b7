"""What a run was made with, and how: provenance.json."""

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penlight.evaluation.novelty_rates import NoveltyRates
from penlight.records import Count, Counts, Finite, Flag, Name, Number, Record, Seed, SideIfKnown, Text, Whole
from penlight.records.run import READING, MachineReading

NODE = "node"
"""The key of a machine's name; it is in provenance.json alone, not in reports, shared copies or what is served."""

_PACKAGES = ("penlight", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib", "keras", "tensorflow-cpu",
             "tensorflow", "jax", "onnxruntime")  # fmt: skip


class MemberRow(Record):
    """A model of an ensemble."""

    model: Name
    weight: Number


class MarginRow(Record):
    """How far the network was ahead of the linear baseline on val."""

    value: Number
    error: Number
    epoch: Count | None = None


class DurationsRow(Record):
    """Seconds that parts of a training took."""

    fit: Number
    predict: Number
    total: Number


class SharedRow(Record):
    """How a copy to be shared was made: the hash of the run's own recipe, and the columns of values of single images
    that were left out."""

    recipe_hash: Name
    metadata: Annotated[tuple[Name, ...], Field(max_length=100)] = ()


class ProvenanceRecord(Record):
    """provenance.json: where a run comes from; of one that was scored from predictions made elsewhere there are no
    durations."""

    seed: Seed
    recipe_hash: Name
    dataset: Name
    size: SideIfKnown
    view: Name
    data_md5: Name
    images: Counts
    parameters: Count | None
    best_epoch: Count | None
    model: Name
    durations: DurationsRow | None = None
    members: Annotated[tuple[MemberRow, ...], Field(max_length=1_000)] = ()
    versions: Annotated[dict[Name, Name], Field(max_length=100)] = field(default_factory=dict)
    machine: Annotated[dict[Name, Name | Whole], Field(max_length=100)] = field(default_factory=dict)
    ahead_of_linear_on_val: MarginRow | None = None
    cut_for_time: Text = ""
    final: Literal["ensemble", "refit"] | None = None
    test_readings_before: Count | None = None
    test_reading: MachineReading | None = None
    keeps_images: Flag = True
    maps_alike: Finite | None = None
    novelty: NoveltyRates | None = None
    shared: SharedRow | None = None


@cache
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


def machine_of_run() -> dict[str, str | int]:
    """Give what `machine` gives, the name of the machine, the kernels of BLAS, which depend on the kind of processor,
    and the threads that compute in this process: those of BLAS and, where TensorFlow is loaded, its threads for a
    kernel and its kernels at once. Together they decide the last digits."""
    from threadpoolctl import threadpool_info

    about = {**machine(), NODE: platform.node()}
    for own in threadpool_info():
        if own["user_api"] == "blas":
            about["blas"] = f"{own['internal_api']} {own.get('architecture') or ''}".strip()
            about["blas_threads"] = own["num_threads"]
    if (tensorflow := sys.modules.get("tensorflow")) is not None:
        threads = tensorflow.config.threading
        for name, known in (("INTRAOP", threads.get_intra_op_parallelism_threads),
                            ("INTEROP", threads.get_inter_op_parallelism_threads)):  # fmt: skip
            said = os.environ.get(f"TF_NUM_{name}_THREADS", "")
            about[f"tensorflow_{name.lower()}_threads"] = int(said) if said.isdecimal() else known()
    return about


def without_names(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of provenance.json what is for its owner alone: names of machines, and when they read test."""
    kept = {key: value for key, value in provenance.items() if key != READING}
    if "machine" in kept:
        kept["machine"] = {key: value for key, value in kept["machine"].items() if key != NODE}
    return kept


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
