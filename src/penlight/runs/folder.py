"""A run folder: written by one process at a time, read only when it is whole."""

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from penlight.disk import LOCK, FolderHold, remove_orphans, writing_to
from penlight.errors import RunError, TrainingError
from penlight.evaluation.decision import Decision, decision_from_dict
from penlight.evaluation.novelty import Novelty, novelty_from_bytes
from penlight.runs.answers import Answers, answer
from penlight.runs.files import SEAL, is_sound, sealed, write_bytes, write_json
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
_STATE = ".state"
_CLAIM = "claim.json"
_IN_MANIFEST = {"schema", "recipe_hash", "seed", "files"}
_PENDING = "pending"


class RunWriter:
    """Writes one run. Use it as a context: it holds the folder, and `finish` makes the run complete.

    A run that ends in an error, or is killed, is gone on with by the next writer of the same recipe and seed; one
    that cannot go on (TrainingError) leaves nothing behind. RunError if another process is writing the folder, or if
    it holds another run.
    """

    def __init__(self, path: Path, recipe: "Recipe", seed: int) -> None:
        self.path = path
        self.recipe = recipe
        self.seed = seed
        self._hold = FolderHold(path)

    def __enter__(self) -> Self:
        """Take the folder; leftovers of a killed process go."""
        with contextlib.ExitStack() as held:
            held.enter_context(self._hold)
            held.callback(self._drop_empty_state)
            self._claim()
            held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the folder back."""
        if kind is not None and issubclass(kind, TrainingError):
            drop_state(self.path)
            for name in ("recipe.toml", PLAN):
                (self.path / name).unlink(missing_ok=True)
        self._hold.__exit__(kind, error, trace)

    def _drop_empty_state(self) -> None:
        with contextlib.suppress(OSError):
            self.state.rmdir()

    def _claim(self) -> None:
        claim = _claim_of(self.recipe, self.seed)
        if (self.path / MANIFEST).exists():
            raise RunError(f"{self.path} already holds a complete run.", "Choose another folder with --out.")
        held = read_claim(self.path)
        if held is None and not (is_bare(self.path) or self._lost_its_claim()):
            raise RunError(f"{self.path} is not empty, and not a run.", "Choose another folder with --out.")
        if held is not None and held != claim:
            raise RunError(
                f"{self.path} holds an unfinished run of another recipe or seed.",
                "Choose another folder with --out, repeat the command that began it, or delete it.",
            )
        with writing_to(self.path, "Choose a folder you may write to, with --out."):
            remove_orphans(self.path)
        write_json(self.path / _STATE / _CLAIM, claim)
        write_bytes(self.path / "recipe.toml", self.recipe.to_toml().encode())

    def _lost_its_claim(self) -> bool:
        """Say whether the folder is that of an unfinished run of this recipe whose claim is damaged."""
        try:
            known = (self.path / "recipe.toml").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return False
        return (self.path / _STATE).is_dir() and known == self.recipe.to_toml()

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
        self.write_json(MANIFEST, sealed(self._manifest()))
        drop_state(self.path)

    def _manifest(self) -> dict[str, Any]:
        files = {
            str(p.relative_to(self.path).as_posix()): _fingerprint(p.read_bytes())
            for p in sorted(self.path.rglob("*"))
            if p.is_file() and p.name != LOCK and p.suffix != ".part" and _STATE not in p.parts
        }
        return {"schema": SCHEMA, "recipe_hash": self.recipe.hash, "seed": self.seed, "files": files}


def drop_state(path: Path) -> None:
    """Remove what only an unfinished run needs, its claim last: killed on the way, the same command comes here
    again."""
    state = path / _STATE
    for file in sorted(state.glob("*"), key=lambda file: file.name == _CLAIM):
        file.unlink(missing_ok=True)
    if state.exists():
        state.rmdir()


def goes_on(path: Path, recipe_hash: str, seed: int) -> bool:
    """Say whether the command that trains a recipe with a seed has something to do in a folder that exists: nothing
    was written to it yet, its run is not finished, or what the run needed was not cleared away."""
    if is_bare(path):
        return True
    wanted = {"recipe_hash": recipe_hash, "seed": seed}
    if not (path / MANIFEST).exists():
        return read_claim(path) == wanted
    return is_untidy(path) and is_run_of(path, recipe_hash, seed)


def is_run_of(path: Path, recipe_hash: str, seed: int) -> bool:
    """Say whether a folder holds the complete run of a recipe and a seed."""
    with contextlib.suppress(RunError):
        run = open_run(path)
        return (run.recipe.hash, run.seed) == (recipe_hash, seed)
    return False


def clear_away(path: Path) -> None:
    """Remove what a process that was killed at its end left beside a complete run. RunError if it still writes."""
    if is_untidy(path):
        with FolderHold(path):
            drop_state(path)
            remove_orphans(path)


def is_untidy(path: Path) -> bool:
    """Say whether something lies in a folder that is there only while a process writes it."""
    return (path / LOCK).exists() or (path / _STATE).exists() or any(path.glob(".*.part"))


def is_bare(path: Path) -> bool:
    """Say whether a folder holds nothing but what a process leaves that is killed before it wrote anything."""
    if not path.is_dir():
        return False
    left = [place for place in path.iterdir() if place.name != LOCK and place.suffix != ".part"]
    return all(
        place.name == _STATE and place.is_dir() and all(file.suffix == ".part" for file in place.iterdir())
        for place in left
    )


def _claim_of(recipe: "Recipe", seed: int) -> dict[str, Any]:
    return {"recipe_hash": recipe.hash, "seed": seed}


def read_claim(path: Path) -> dict[str, Any] | None:
    """Give the recipe hash and seed of the unfinished run in a folder; None if there is none."""
    try:
        claim = json.loads((path / _STATE / _CLAIM).read_text(encoding="utf-8"))
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
        self._pending = dict(manifest.get(_PENDING, {}))

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
        if _fingerprint(content) not in (known, self._pending.get(name)):
            raise RunError(f"{name} in the run {self.path} is damaged or was changed.", f"Repeat it: {self.command}")
        return content

    def replace(self, name: str, content: bytes) -> None:
        """Write a file of a complete run anew, and its fingerprint into the manifest.

        The manifest first says what is to come, so that the run is whole at every moment: killed on the way, the
        file is the old one or the other. RunError if another process is writing the run.
        """
        with FolderHold(self.path):
            remove_orphans(self.path)
            # Another command may have written a file of the run since it was opened.
            kept = open_run(self.path)
            files, to_come = kept._settled(), {name: _fingerprint(content)}
            about = {key: kept._manifest[key] for key in _IN_MANIFEST}
            write_json(self.path / MANIFEST, sealed({**about, "files": files, _PENDING: to_come}))
            write_bytes(self.path / name, content)
            self._files, self._pending = {**files, **to_come}, {}
            write_json(self.path / MANIFEST, sealed({**about, "files": self._files}))

    def _settled(self) -> dict[str, Any]:
        """Give the fingerprints of the files, of those that were to come as they did or did not."""
        came = {}
        for name, print_ in self._pending.items():
            with contextlib.suppress(OSError):
                if _fingerprint((self.path / name).read_bytes()) == print_:
                    came[name] = print_
        return {**self._files, **came}

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
        whole = schema != SCHEMA or _is_whole(manifest)
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
        raise _damaged(path) from error
    if not whole:
        raise _damaged(path)
    if schema != SCHEMA:
        raise RunError(f"The run {path} was written by another version of Penlight.", "Repeat the run.")
    return run


def _is_whole(manifest: Mapping[str, Any]) -> bool:
    """Say whether a manifest is as it was written; one without a seal is of an earlier version."""
    if SEAL in manifest:
        return is_sound(manifest)
    return set(manifest) == _IN_MANIFEST


def _damaged(path: Path) -> RunError:
    return RunError(
        f"manifest.json in the run {path} is damaged.",
        f"Nothing in it can be trusted. Repeat it: penlight train {path}/recipe.toml, then delete {path}.",
    )


def robustness_of_seeds(path: Path) -> "Robustness | None":
    """Read what corrupted images did to the answers of all seeds together; None before they were asked. RunError if
    it is damaged."""
    from penlight.evaluation.robustness import robustness_from_dict

    file = path / CORRUPTIONS
    if not file.exists():
        return None
    try:
        return robustness_from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged.", f"Ask again: penlight evaluate {path} --corruptions") from error


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
