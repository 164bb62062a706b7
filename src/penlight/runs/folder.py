"""A run folder: written by one process at a time, read only when it is whole."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from penlight.disk import writing_to
from penlight.errors import RunError
from penlight.evaluation.decision import Decision, decision_from_dict
from penlight.evaluation.novelty import Novelty, novelty_from_bytes
from penlight.runs.answers import Answers, answer
from penlight.runs.files import write_bytes, write_json
from penlight.runs.predictions import Predictions, predictions_from_bytes, to_bytes

if TYPE_CHECKING:
    import pandas as pd

    from penlight.evaluation.robustness import Robustness
    from penlight.recipes import Recipe

MANIFEST = "manifest.json"
SUMMARY = "summary.json"
PLAN = "plan.json"
FOLDS = "folds.json"
NOVELTY = "novelty.npz"
CORRUPTIONS = "corruptions.json"
SCHEMA = 1
_LOCK = ".lock"
_STATE = ".state"


class RunWriter:
    """Writes one run. Use it as a context: it holds the folder's lock, and `finish` makes the run complete.

    RunError if another process is writing the folder, or if it holds another run.
    """

    def __init__(self, path: Path, recipe: "Recipe", seed: int) -> None:
        self.path = path
        self.recipe = recipe
        self.seed = seed
        self._lock = FileLock(path / _LOCK)

    def __enter__(self) -> Self:
        """Take the lock and the folder; leftovers of a killed process go."""
        with writing_to(self.path, "Choose a folder you may write to, with --out."):
            self.path.mkdir(parents=True, exist_ok=True)
            held = self._try_lock()
        if not held:
            raise RunError(
                f"Another process is writing the run {self.path}.",
                "Wait for it, or choose another folder with --out.",
            )
        try:
            self._claim()
        except BaseException:
            self._lock.release()
            raise
        return self

    def _try_lock(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back."""
        self._lock.release()
        if (self.path / MANIFEST).exists():
            (self.path / _LOCK).unlink(missing_ok=True)

    def _claim(self) -> None:
        for leftover in self.path.glob(".*.part"):
            leftover.unlink(missing_ok=True)
        claim = {"recipe_hash": self.recipe.hash, "seed": self.seed}
        if (self.path / MANIFEST).exists():
            raise RunError(f"{self.path} already holds a complete run.", "Choose another folder with --out.")
        held = read_claim(self.path)
        if held is None and any(p.name != _LOCK for p in self.path.iterdir()):
            raise RunError(f"{self.path} is not empty, and not a run.", "Choose another folder with --out.")
        if held is not None and held != claim:
            raise RunError(
                f"{self.path} holds an unfinished run of another recipe or seed.",
                "Choose another folder with --out, or repeat the command that began it.",
            )
        write_json(self.path / _STATE / "claim.json", claim)
        write_bytes(self.path / "recipe.toml", self.recipe.to_toml().encode())

    @property
    def state(self) -> Path:
        """The folder for what an unfinished run needs to go on; it is gone when the run is complete."""
        return self.path / _STATE

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file of the run, whole or not at all."""
        write_bytes(self.path / name, content.encode() if isinstance(content, str) else content)

    def write_json(self, name: str, content: Any) -> None:
        """Write a file of the run as JSON."""
        write_json(self.path / name, content)

    def write_predictions(self, name: str, predictions: Predictions) -> None:
        """Write predictions under `name`.npz."""
        self.write(f"{name}.npz", to_bytes(predictions))

    def draft(self) -> "Run":
        """Give the run as it is so far, for what is made from it before it is complete."""
        return Run(self.path, self._manifest())

    def finish(self) -> None:
        """Make the run complete: hash every file into the manifest, then drop the state of the unfinished run."""
        self.write_json(MANIFEST, self._manifest())
        drop_state(self.path)

    def _manifest(self) -> dict[str, Any]:
        files = {
            str(p.relative_to(self.path).as_posix()): _fingerprint(p.read_bytes())
            for p in sorted(self.path.rglob("*"))
            if p.is_file() and p.name != _LOCK and _STATE not in p.parts
        }
        return {"schema": SCHEMA, "recipe_hash": self.recipe.hash, "seed": self.seed, "files": files}


def drop_state(path: Path) -> None:
    """Remove what only an unfinished run needs."""
    state = path / _STATE
    for file in state.glob("*"):
        file.unlink(missing_ok=True)
    if state.exists():
        state.rmdir()


def read_claim(path: Path) -> dict[str, Any] | None:
    """Give the recipe hash and seed of the unfinished run in a folder; None if there is none."""
    try:
        claim = json.loads((path / _STATE / "claim.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return claim if isinstance(claim, dict) else None


def _fingerprint(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


class Run:
    """A complete run, read from its folder. Every file is checked against the manifest when it is read."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self.seed = int(manifest["seed"])
        self._manifest = manifest
        self._files = dict(manifest["files"])

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    def read(self, name: str) -> bytes:
        """Read a file of the run. RunError if it is missing or not what was written."""
        known = self._files.get(name)
        if known is None:
            raise RunError(f"The run {self.path} has no {name}.", "It belongs to a model that makes none.")
        try:
            content = (self.path / name).read_bytes()
        except OSError as error:
            raise RunError(f"{name} is missing from the run {self.path}.", f"Repeat it: {self.command}") from error
        if _fingerprint(content) != known:
            raise RunError(f"{name} in the run {self.path} is damaged or was changed.", f"Repeat it: {self.command}")
        return content

    def replace(self, name: str, content: bytes) -> None:
        """Write a file of a complete run anew, and its fingerprint into the manifest."""
        self._files[name] = _fingerprint(content)
        write_bytes(self.path / name, content)
        write_json(self.path / MANIFEST, {**self._manifest, "files": self._files})

    def has(self, name: str) -> bool:
        """Say whether the run was written with this file."""
        return name in self._files

    @property
    def command(self) -> str:
        """The command that repeats the run."""
        folds = read_folds(self.path.parent)
        one_of = f" --folds {folds['folds']}" if folds else ""
        return f"penlight train {self.path}/recipe.toml --seed {self.seed}{one_of}"

    @property
    def recipe(self) -> "Recipe":
        """What was asked for."""
        # Recipes need pydantic, which answering for a picture does not.
        from penlight.recipes import recipe_from_toml

        return recipe_from_toml(self.read("recipe.toml").decode(), str(self.path / "recipe.toml"))

    @property
    def provenance(self) -> dict[str, Any]:
        """Seed, versions, hashes, machine, durations."""
        return self._json("provenance.json")

    @property
    def metrics(self) -> dict[str, Any]:
        """The scores as `train` wrote them."""
        return self._json("metrics.json")

    @property
    def data(self) -> dict[str, Any]:
        """Counts by split, patients, and what the audit found: what `data.record.DataRecord` holds."""
        return self._json("data.json")

    @property
    def decision(self) -> Decision:
        """Calibration and thresholds found on val."""
        return decision_from_dict(self._json("decision.json"))

    @property
    def novelty(self) -> Novelty | None:
        """What tells images unlike those in train; None for a run written without it."""
        return novelty_from_bytes(self.read(NOVELTY), str(self.path / NOVELTY)) if self.has(NOVELTY) else None

    @property
    def robustness(self) -> "Robustness | None":
        """What corrupted images did to the answers; None before `evaluate --corruptions` has asked."""
        from penlight.evaluation.robustness import robustness_from_dict

        return robustness_from_dict(self._json(CORRUPTIONS)) if self.has(CORRUPTIONS) else None

    @property
    def history(self) -> "pd.DataFrame | None":
        """Learning curves, a row per epoch; None for a model without epochs."""
        import pandas as pd

        return pd.read_csv(io.BytesIO(self.read("history.csv"))) if self.has("history.csv") else None

    def predictions(self, split: str) -> Predictions:
        """The run's predictions of "val" or "test" as the model gave them; scores and figures are of `answers`."""
        return self._predictions(f"predictions-{split}.npz")

    def answers(self, split: str) -> Answers:
        """The run's predictions of a split, calibrated and decided."""
        return answer(self.predictions(split), self.decision)

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines whose predictions stand beside the run's."""
        prefix, suffix = "baseline-", "-test.npz"
        return [n.removeprefix(prefix).removesuffix(suffix) for n in self._files
                if n.startswith(prefix) and n.endswith(suffix)]  # fmt: skip

    def baseline_predictions(self, baseline: str, split: str) -> Predictions:
        """A baseline's predictions of the same images as it gave them."""
        return self._predictions(f"baseline-{baseline}-{split}.npz")

    def baseline_answers(self, baseline: str, split: str) -> Answers:
        """A baseline's predictions of a split, calibrated and decided by its own decision."""
        return answer(self.baseline_predictions(baseline, split), self.baseline_decision(baseline))

    def baseline_decision(self, baseline: str) -> Decision:
        """Calibration and thresholds of a baseline, found on val as the run's were."""
        return decision_from_dict(self._json(f"baseline-{baseline}-decision.json"))

    def _predictions(self, name: str) -> Predictions:
        return predictions_from_bytes(self.read(name), str(self.path / name))

    def _json(self, name: str) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self.read(name))
        return values


def open_run(path: Path) -> Run:
    """Open a complete run. RunError, by name, for a folder that is missing, no run, incomplete, or damaged."""
    if not path.is_dir():
        raise RunError(f"There is no run folder {path}.", "Give the folder that `penlight train` printed last.")
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        schema = manifest["schema"]
        run = Run(path, manifest)
    except FileNotFoundError as error:
        if read_claim(path) is not None:
            raise RunError(
                f"The run {path} is not complete.", f"Finish it: penlight train {path}/recipe.toml --out {path}"
            ) from error
        raise RunError(
            f"{path} is not a run folder, or its manifest.json was deleted.",
            "Give a folder that `penlight train` wrote.",
        ) from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RunError(f"manifest.json in the run {path} is damaged.", "Repeat the run.") from error
    if schema != SCHEMA:
        raise RunError(f"The run {path} was written by another version of Penlight.", "Repeat the run.")
    return run


def robustness_of_seeds(path: Path) -> "Robustness | None":
    """Read what corrupted images did to the answers of all seeds together; None before they were asked."""
    from penlight.evaluation.robustness import robustness_from_dict

    file = path / CORRUPTIONS
    return robustness_from_dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def fold_folders(path: Path) -> list[Path]:
    """List the run folders, one per fold, of a folder with a cross-validation, in the order of the folds."""
    return sorted(path.glob("fold-*"), key=lambda p: int(p.name.removeprefix("fold-")))


def read_folds(path: Path) -> dict[str, Any] | None:
    """Read what a folder is a cross-validation of: recipe_hash, data_md5, folds, seed. None if it is none."""
    try:
        claim = json.loads((path / FOLDS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return claim if isinstance(claim, dict) else None


def seed_folders(path: Path) -> list[Path]:
    """List the run folders, one per seed, of a folder with several seeds, in the order of the seeds."""
    return sorted(path.glob("seed-*"), key=lambda p: int(p.name.removeprefix("seed-")))
