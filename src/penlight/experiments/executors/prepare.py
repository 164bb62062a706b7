"""What must be the same where work is done as where it was submitted, and what is done once, before the rest."""

import contextlib
import platform
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penlight import disk
from penlight.data.accesses import TestAccessLog
from penlight.data.folders import private_cache_folder
from penlight.errors import StorageError, TrainingError
from penlight.experiments.baselines import Baselines
from penlight.experiments.cache import code_hash
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.models.blas import one_blas_thread
from penlight.privacy import cache_folder
from penlight.recipes import Encoded, Ensemble, Recipe, recipe_from_toml
from penlight.runs import versions

_DECIDE = ("penlight", "numpy", "scipy", "scikit-learn", "keras", "tensorflow-cpu", "tensorflow", "jax",
           "onnxruntime")  # fmt: skip
_PATIENCE = 10.0
"""For so many seconds a node of NFS may not see a file that another has just written."""
_SHARED = "Choose {} on a file system that every node sees."


@dataclass(frozen=True)
class Prepare:
    """The first part of an experiment elsewhere: opens the datasets of its recipes, which converts them, and computes
    what is kept of them for all runs, baselines and features by encoders, so that not every node does it. Answers to
    test are none of it.

    Without `baselines` for an experiment whose parts have no baselines in common: folds, or trials of a tuning.
    """

    recipes: Sequence[Recipe]
    baselines: bool = True

    name = "prepare"
    repeated = ""

    @one_blas_thread()
    def do(self, data: OpenedData, listener: ProgressListener) -> None:
        """See `Work`."""
        for recipe in self.recipes:
            view = data.view(recipe.data)
            if self.baselines:
                beside = Baselines(view, listener, TestAccessLog(view.dataset, self.name))
                for name in beside.names:
                    beside.fitted(name, recipe)
                _ = beside.novelty, beside.record
            for options in _encoders_of(recipe):
                from penlight.models.encoder import encoder_features
                from penlight.models.encoder_file import find_encoder

                features = encoder_features(find_encoder(options), options.sizes, view.dataset.size)
                for split in view.splits.values():
                    features.of(split.chosen)

    def done(self) -> bool:
        """See `Work`: what is in the cache already is only looked up."""
        return False

    def read(self, listener: ProgressListener) -> None:
        """See `Work`: what it computed is in the cache."""

    def to_job(self) -> dict[str, Any]:
        """See `Work`."""
        recipes = dict.fromkeys(recipe.to_toml() for recipe in self.recipes)
        return {"task": "prepare", "recipes": list(recipes), "baselines": self.baselines}

    @classmethod
    def of_job(cls, job: Mapping[str, Any]) -> "Prepare":
        """Read what `to_job` gave."""
        return cls([recipe_from_toml(text) for text in job["recipes"]], job["baselines"])


def _encoders_of(recipe: Recipe) -> Iterator[Encoded]:
    model = recipe.model
    for own in (model, *(member.model for member in model.members)) if isinstance(model, Ensemble) else (model,):
        if isinstance(own, Encoded):
            yield own


def submitted_to(folder: Path) -> dict[str, Any]:
    """Give what travels as "check" with each job of an experiment in a folder, so that `require_same` can say where
    the job is done what is missing there: a token in that folder and in the cache, and versions. StorageError if one
    of them cannot be written."""
    cache = cache_folder()
    with contextlib.ExitStack() as held:
        with disk.writing_to(cache, _SHARED.format("PENLIGHT_CACHE")):
            private_cache_folder("fitted")
            # Of two commands that submit at once, the second is to find both tokens of the first.
            held.enter_context(disk.locked(cache / f"{disk.TOKEN}.lock"))
            of_cache = _token_in(cache)
        with disk.writing_to(folder, _SHARED.format("a folder with --out")):
            tokens = {"folder": [str(folder.resolve()), _token_in(folder)], "cache": [str(cache.resolve()), of_cache]}
    return {**tokens, "versions": _versions(), "node": platform.node()}


def require_same(check: Mapping[str, Any]) -> None:
    """Raise StorageError, naming this node, if it does not see the folder or the cache of the process that submitted
    work; TrainingError if its versions are others, whose results would not be the same."""
    node, there = platform.node(), check["node"]
    folder, token = check["folder"]
    if not _sees(Path(folder), token):
        raise StorageError(
            f"{node} does not see the folder {folder} of {there}, where the work was submitted.",
            _SHARED.format("a folder with --out"),
        )
    cache, token = check["cache"]
    if not _sees(cache_folder(), token):
        raise StorageError(
            f"The cache of {node} is {cache_folder()}, and not {cache} of {there}, where the work was submitted.",
            "Set PENLIGHT_CACHE to one folder that every node sees.",
        )
    here = _versions()
    others = [
        f"{name} is {here.get(name, 'missing')}, not {known}"
        for name, known in check["versions"].items()
        if here.get(name) != known
    ]
    if others:
        raise TrainingError(
            f"{node} has other versions than {there}, where the work was submitted: {'; '.join(others)}.",
            "Use one environment on all nodes, as on the shared file system, or install the same versions.",
        )


def _versions() -> dict[str, str]:
    """Give the versions that decide what comes out; of Python the second number is enough."""
    known = {name: text for name, text in versions().items() if name in _DECIDE}
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **known, "penlight's code": code_hash()[:12]}


def _token_in(folder: Path) -> str:
    """Give the token of a folder, which is written if need be. It stays: jobs that wait are to find it."""
    known = _read_token(folder)
    if known is None:
        known = secrets.token_hex(16)
        folder.mkdir(parents=True, exist_ok=True)
        disk.write_whole(folder / disk.TOKEN, known.encode())
    return known


def _read_token(folder: Path) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = disk.read_inside(folder, disk.TOKEN, 100).decode("ascii")
        return text if len(text) == 32 else None
    return None


def _sees(folder: Path, token: str) -> bool:
    begun = time.monotonic()
    while _read_token(folder) != token:
        if time.monotonic() - begun > _PATIENCE:
            return False
        time.sleep(min(0.5, _PATIENCE))
    return True
