"""A run folder: written by one process at a time, read only when it is whole."""

import contextlib
import copy
import os
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

from penlight.disk import (
    LOCK,
    TOKEN,
    FolderHold,
    inner_folders,
    is_inside,
    is_part,
    regular_files,
    remove_empty_folder,
    remove_inside,
    remove_orphans,
    require_no_link,
    short_path,
    writing_to,
)
from penlight.errors import PenlightError, RunError, TrainingError
from penlight.escaping import printable
from penlight.evaluation.decision import Decision
from penlight.evaluation.novelty import Novelty, novelty_from_bytes
from penlight.parsing import parse_json, parse_json_object, parse_toml
from penlight.records import Record, check_record, read_record, without_defaults
from penlight.records.run import ClaimRecord, FilePrint, ManifestRecord
from penlight.runs.files import (
    SEAL,
    fingerprint,
    hash_of,
    is_sound,
    json_text,
    largest_of,
    read_file,
    read_if_there,
    read_printed,
    sealed,
    settled,
    write_bytes,
    write_json,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from penlight.data.pictures import DecodeOptions, OriginalPictures
    from penlight.data.record import DataRecord, ReadingOfData
    from penlight.evaluation.robustness import Robustness
    from penlight.recipes import Recipe
    from penlight.runs.answers import Answers
    from penlight.runs.exports import ExportedFile
    from penlight.runs.predictions import Predictions
    from penlight.runs.scores import Scores

MANIFEST = "manifest.json"
SUMMARY = "summary.json"
PLAN = "plan.json"
FOLDS = "folds.json"
NOVELTY = "novelty.npz"
CORRUPTIONS = "corruptions.json"
DATA = "data.json"
EXPORTS = "export.json"
OWN_SOURCES = ("network.py", "network.json")
"""What a run keeps of a network that the user handed in; it is never run or built."""
SCHEMA = 1
_STATE = ".state"

JOBS = ".jobs"
"""The folder in that of an experiment in which a scheduler's jobs are kept."""
_CLAIM = "claim.json"
_IN_MANIFEST = {"schema", "recipe_hash", "seed", "files"}
_PENDING = "pending"
_CHECKPOINT = re.compile(r"checkpoint(-[a-z0-9-]+)?-[0-9]{1,9}\.npz")
_MEASURED = ("recipe.toml", "provenance.json", "data.json", "metrics.json", "decision.json", "-val.npz", "-test.npz")
_AGAIN = "Repeat the run, or get it again from where it came."

R = TypeVar("R", bound=Record)
T = TypeVar("T")


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
        self._written: dict[str, FilePrint] = {}

    def __enter__(self) -> Self:
        """Take the folder; leftovers of a killed process go."""
        with contextlib.ExitStack() as held:
            held.enter_context(self._hold)
            held.callback(_drop_empty_state, self.path)
            self._claim()
            held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the folder back."""
        if kind is not None and issubclass(kind, TrainingError):
            drop_state(self.path)
            for name in ("recipe.toml", PLAN, *OWN_SOURCES):
                with contextlib.suppress(FileNotFoundError):
                    remove_inside(self.path, name)
        self._hold.__exit__(kind, error, trace)

    def _claim(self) -> None:
        claim = {"recipe_hash": self.recipe.hash, "seed": self.seed}
        require_no_link(self.state)
        if is_half_written(self.path, self.recipe.hash, self.seed):
            remove_inside(self.path, MANIFEST)
        if os.path.lexists(self.path / MANIFEST):
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
        self.write("recipe.toml", self.recipe.to_toml())

    def _lost_its_claim(self) -> bool:
        """Say whether the folder is that of an unfinished run of this recipe whose claim is damaged; then the recipe
        that lies there may be cut off, or end in zeros, as a disk leaves files of a machine that died."""
        try:
            known = read_if_there(self.path, "recipe.toml") or b""
        except RunError:
            return False
        return self.state.is_dir() and self.recipe.to_toml().encode().startswith(known.rstrip(b"\0"))

    @property
    def state(self) -> Path:
        """The folder for what an unfinished run needs to go on; it is gone when the run is complete."""
        return self.path / _STATE

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file of the run, whole or not at all."""
        content = content.encode() if isinstance(content, str) else content
        write_bytes(self.path / name, content)
        self._written[name] = fingerprint(content)

    def write_json(self, name: str, content: Any) -> None:
        """Write a file of the run as JSON."""
        self.write(name, json_text(content))

    def write_predictions(self, name: str, predictions: "Predictions") -> None:
        """Write predictions under `name`.npz."""
        from penlight.runs.predictions import to_bytes

        self.write(f"{name}.npz", to_bytes(predictions))

    def draft(self, answers: "Mapping[str, Answers] | None" = None, **known: Any) -> "RunFolder":
        """Give the run as it is so far, for what is made from it before it is complete. What is at hand is not read
        again: `answers` to val and test, and those of a baseline as "<baseline>-test"; `known` properties by name."""
        run = RunFolder(self.path, check_record(ManifestRecord, self._manifest(self._written), MANIFEST), answers)
        vars(run).update(known)
        return run

    def finish(self) -> None:
        """Make the run complete: the hash of every file goes into the manifest, then the state of the unfinished run
        is dropped."""
        there = [name for name in regular_files(self.path) if name not in (LOCK, TOKEN) and not is_part(name)]
        files = {name: self._written.get(name) or fingerprint(read_file(self.path, name)) for name in there}
        write_json(self.path / MANIFEST, sealed(self._manifest(files)))
        drop_state(self.path)

    def _manifest(self, files: Mapping[str, Any]) -> dict[str, Any]:
        return {"schema": SCHEMA, "recipe_hash": self.recipe.hash, "seed": self.seed, "files": dict(files)}


def drop_state(path: Path) -> None:
    """Remove what only an unfinished run needs, its claim last: killed on the way, the same command comes here
    again. Only what Penlight wrote is removed; links are not followed, and what else lies there is left."""
    for name in sorted(regular_files(path, _STATE), key=lambda name: name == _CLAIM):
        if _is_of_state(name):
            remove_inside(path, f"{_STATE}/{name}")
    _drop_empty_state(path)


def _drop_empty_state(path: Path) -> None:
    with contextlib.suppress(OSError):
        remove_empty_folder(path, _STATE)


def _is_of_state(name: str) -> bool:
    return name == _CLAIM or is_part(name) or _CHECKPOINT.fullmatch(name) is not None


def goes_on(path: Path, recipe_hash: str, seed: int) -> bool:
    """Say whether the command that trains a recipe with a seed has something to do in a folder that exists: nothing
    was written to it yet, its run is not finished, or what the run needed was not cleared away."""
    if is_bare(path):
        return True
    wanted = {"recipe_hash": recipe_hash, "seed": seed}
    if not is_inside(path, MANIFEST):
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


def is_half_written(path: Path, recipe_hash: str, seed: int) -> bool:
    """Say whether a manifest is damaged that lies beside what an unfinished run of this recipe and seed needs to go
    on, as a machine leaves it that dies while it writes."""
    if read_claim(path) != {"recipe_hash": recipe_hash, "seed": seed}:
        return False
    content = read_if_there(path, MANIFEST)
    try:
        if content is not None:
            _manifest_of(path, content)
    except RunError:
        return True
    return False


def is_untidy(path: Path) -> bool:
    """Say whether something lies in a folder that is there only while a process writes it."""
    names = regular_files(path)
    if LOCK in names or any(map(is_part, names)):
        return True
    return _STATE in inner_folders(path) and all(map(_is_of_state, _names(path / _STATE)))


def is_bare(path: Path) -> bool:
    """Say whether a folder holds nothing but what a process leaves that is killed before it wrote anything."""
    if not path.is_dir():
        return False
    left = {name for name in _names(path) if name not in (LOCK, TOKEN, JOBS) and not is_part(name)}
    if not left:
        return True
    return left == {_STATE} == {*inner_folders(path)} - {JOBS} and all(map(is_part, _names(path / _STATE)))


def checkpoints_in(path: Path) -> list[str]:
    """Name the checkpoints that an unfinished run would go on from."""
    return [name for name in regular_files(path, _STATE) if name.endswith(".npz")]


def _names(folder: Path) -> set[str]:
    return {place.name for place in folder.iterdir()}


def read_claim(path: Path) -> dict[str, Any] | None:
    """Give the recipe hash and seed of the unfinished run in a folder; None if there is none."""
    with contextlib.suppress(RunError):
        if (content := read_if_there(path, f"{_STATE}/{_CLAIM}")) is not None:
            return read_record(ClaimRecord, content, f"{path / _STATE / _CLAIM}").to_dict()
    return None


class _ReadProperty(Generic[T]):
    """A property that is read from disk each time, unless the instance has a value of its name, as a draft has; of
    `RunFolder.read_once` it is read the first time."""

    def __init__(self, read: Callable[["RunFolder"], T]) -> None:
        self._read = read
        self.__doc__ = read.__doc__

    def __get__(self, run: "RunFolder | None", owner: type["RunFolder"]) -> T:
        if run is None:
            raise AttributeError("It is a property of runs.")
        value = self._read(run)
        if run.is_read_once:
            vars(run)[self._read.__name__] = value
        return value


class RunFolder:
    """A complete run, read from its folder. Every file is checked against the manifest when it is read."""

    def __init__(self, path: Path, manifest: ManifestRecord, answers: "Mapping[str, Answers] | None" = None) -> None:
        self.path = path
        self._answers = dict(answers or {})
        self.is_read_once = False
        self.seed = manifest.seed
        self.recipe_hash = manifest.recipe_hash
        self._files, self._pending = manifest.files, manifest.pending

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    def read_once(self) -> "RunFolder":
        """Give the run for one report: recipe, provenance, scores and the like are read once, however often they are
        asked for."""
        once = copy.copy(self)
        once.is_read_once = True
        return once

    def read(self, name: str) -> bytes:
        """Read a file of the run. RunError if it is missing or not what was written."""
        known = self._files.get(name)
        if known is None:
            raise RunError(f"The run {self.path} has no {name}.", "It belongs to a model that makes none.")
        prints = [own for own in (known, self._pending.get(name)) if own is not None]
        if known.bytes > largest_of(name):
            raise RunError(
                f"{name} in the run {self.path} has {known.bytes:,} bytes, more than {largest_of(name):,}.", _AGAIN
            )
        try:
            return read_printed(self.path, name, prints, f"the run {self.path}", "")
        except RunError as error:
            raise RunError(error.problem, f"Repeat it: {self.command}") from error

    def n_bytes(self, name: str) -> int:
        """Give the size of a file of the run, as the manifest has it."""
        return self._files[name].bytes

    @property
    def kept_model(self) -> str:
        """The model that answers: the recipe's backbone, or the baseline that was kept in its place."""
        return str(self.provenance.get("model") or self.recipe.model.backbone)

    @property
    def kept_name(self) -> str:
        """What the model that answers is called, see `Recipe.called`."""
        return self.recipe.called if self.kept_model == self.recipe.model.backbone else self.kept_model

    @property
    def kept_recipe(self) -> "Recipe":
        """The recipe of the model that answers; its `data` and `decide` are the recipe's own."""
        return self.recipe.of_kept(self.kept_model)

    @property
    def measured(self) -> str:
        """Hash of what the run's scores rest on: recipe, seed, and the files that no later command rewrites."""
        files = {name: own for name, own in self._files.items() if name.endswith(_MEASURED)}
        return hash_of({"recipe_hash": self.recipe_hash, "seed": self.seed, "files": files})

    def replace(self, name: str, content: bytes) -> None:
        """Write a file of a complete run anew, and its fingerprint into the manifest.

        The manifest first says what is to come, so that the run is whole at every moment: killed on the way, the
        file is the old one or the other. RunError if another process is writing the run.
        """
        with FolderHold(self.path):
            remove_orphans(self.path)
            # Another command may have written a file of the run since it was opened.
            kept = open_run(self.path)
            files = settled(self.path, kept._files, kept._pending)
            to_come = {name: fingerprint(content)}
            about = {"schema": SCHEMA, "recipe_hash": kept.recipe_hash, "seed": kept.seed}
            write_json(self.path / MANIFEST, sealed({**about, "files": files, _PENDING: to_come}))
            write_bytes(self.path / name, content)
            self._files, self._pending = {**files, **to_come}, {}
            write_json(self.path / MANIFEST, sealed({**about, "files": self._files}))

    def has(self, name: str) -> bool:
        """Say whether the run was written with this file."""
        return name in self._files

    @property
    def command(self) -> str:
        """The command that repeats the run."""
        return self._command(str(self.path))

    @property
    def shared_command(self) -> str:
        """The command that repeats the run, without a path of this machine: for a report, which may be handed on."""
        from penlight.recipes import is_own_reference

        name = getattr(self.recipe.model, "name", "")
        named = f" --set {shlex.quote(f'model.backbone={name}')}" if is_own_reference(name) else ""
        return self._command(short_path(self.path)) + named

    def _command(self, path: str) -> str:
        if name := self.made_elsewhere:
            return self._command_of_score(name, path)
        one_of = ""
        with contextlib.suppress(RunError):
            folds = read_folds(self.path.parent)
            one_of = f" --folds {folds['folds']}" if folds else ""
        return f"penlight train {path}/recipe.toml --seed {self.seed}{one_of}"

    @_ReadProperty
    def recipe(self) -> "Recipe":
        """What was asked for."""
        # Recipes need pydantic, which answering for a picture does not.
        from penlight.recipes import recipe_from_toml

        where = str(self.path / "recipe.toml")
        try:
            return recipe_from_toml(self.read("recipe.toml").decode(), where)
        except UnicodeDecodeError as error:
            raise RunError(f"{where} is not a text in UTF-8.", _AGAIN) from error

    @_ReadProperty
    def provenance(self) -> dict[str, Any]:
        """Seed, versions, hashes, machine, durations."""
        from penlight.runs.provenance import ProvenanceRecord

        record = self.record(ProvenanceRecord, "provenance.json")
        return without_defaults(record, parse_json(self.read("provenance.json"), "provenance.json"))

    @_ReadProperty
    def metrics(self) -> "Scores":
        """The scores as `train` wrote them."""
        from penlight.runs.scores import Scores

        return self.record(Scores, "metrics.json")

    @_ReadProperty
    def data(self) -> "DataRecord | None":
        """Counts by split, patients, and what the audit found; None for a run that kept nothing of its data."""
        from penlight.data.record import DataRecord

        return self.record(DataRecord, DATA) if self.has(DATA) else None

    @property
    def reading(self) -> "DecodeOptions | None":
        """How a picture becomes an image of the run's dataset; None where that was not kept."""
        return self._reading_of_data.reading

    @property
    def originals(self) -> "OriginalPictures | None":
        """What the pictures of the run's dataset were like; None where that was not kept."""
        return self._reading_of_data.originals

    @_ReadProperty
    def _reading_of_data(self) -> "ReadingOfData":
        from penlight.data.record import ReadingOfData

        return self.record(ReadingOfData, DATA) if self.has(DATA) else ReadingOfData()

    @_ReadProperty
    def decision(self) -> Decision:
        """Calibration and thresholds found on val."""
        return self.record(Decision, "decision.json")

    @_ReadProperty
    def novelty(self) -> Novelty | None:
        """What tells images unlike those in train; None for a run written without it."""
        return novelty_from_bytes(self.read(NOVELTY), str(self.path / NOVELTY)) if self.has(NOVELTY) else None

    @property
    def robustness(self) -> "Robustness | None":
        """What corrupted images did to the answers; None before `evaluate --corruptions` has asked."""
        from penlight.evaluation.robustness import Robustness

        return self.record(Robustness, CORRUPTIONS) if self.has(CORRUPTIONS) else None

    @property
    def history(self) -> "pd.DataFrame | None":
        """Learning curves, a row per epoch; None for a model without epochs."""
        import pandas as pd

        curves = self.curves
        return None if curves is None else pd.DataFrame(curves)

    @property
    def curves(self) -> "dict[str, NDArray[np.generic]] | None":
        """Learning curves, (epochs,) each; None for a model without epochs."""
        from penlight.runs.history import HISTORY, read_history

        return read_history(self.read(HISTORY), str(self.path / HISTORY)) if self.has(HISTORY) else None

    @property
    def reasons(self) -> list[dict[str, str]]:
        """The choices of the plan that the recipe came from; none for a recipe of another source."""
        from penlight.recipes.plan import TrainingPlan

        if not self.has(PLAN):
            return []
        return [reason.to_dict() for reason in self.record(TrainingPlan, PLAN).reasons]

    @property
    def exports(self) -> "Mapping[str, ExportedFile]":
        """What is known of each exported file, by its name."""
        from penlight.runs.exports import ExportsRecord

        if not self.has(EXPORTS):
            return {}
        values = parse_json_object(self.read(EXPORTS), f"{EXPORTS} in the run {self.path}", _AGAIN, error=RunError)
        return check_record(ExportsRecord, {"files": values}, f"{EXPORTS} in the run {self.path}", _AGAIN).files

    @property
    def no_model_file(self) -> str:
        """Why a run of a user's own network or estimator has no model.onnx, and what to do, in sentences; empty for
        any other."""
        about = self.exports.get("model.onnx")
        is_own = self.recipe.model.backbone in ("own", "estimator")
        return about.reason or "" if is_own and about is not None and not about.written else ""

    def model_predictions(self, split: str) -> "Predictions":
        """The run's predictions of "val" or "test" as the model gave them; scores and figures are of `answers`."""
        return self._predictions(f"predictions-{split}.npz")

    def answers(self, split: str) -> "Answers":
        """The run's predictions of a split, calibrated and decided."""
        from penlight.runs.answers import answer

        known = self._answers.get(split)
        return answer(self.model_predictions(split), self.decision) if known is None else known

    @property
    def splits(self) -> list[str]:
        """The splits that the run has predictions of: of predictions made elsewhere val may not be there."""
        return [split for split in ("val", "test") if self.has(f"predictions-{split}.npz")]

    @property
    def made_elsewhere(self) -> str:
        """What other software's model is called, whose predictions this run was scored from; empty for a run that
        was trained. Errors ask for it, so that a damaged recipe raises none."""
        model = {} if self.has("model.onnx") else self._written.get("model", {})
        return printable(model.get("name"))[:100] if model.get("backbone") == "elsewhere" else ""

    @property
    def _written(self) -> dict[str, Any]:
        """The sections of recipe.toml as they are there; none of one that cannot be read."""
        with contextlib.suppress(PenlightError):
            content = read_if_there(self.path, "recipe.toml") or b""
            values = parse_toml(content.decode(errors="replace"), "recipe.toml")
            return {name: section for name, section in values.items() if isinstance(section, dict)}
        return {}

    def _command_of_score(self, name: str, path: str) -> str:
        """The command that scores the same predictions again, whose files are not known."""
        data = self._written.get("data", {})
        given = {"val": "VAL.csv"} if "val" in self.splits else {}
        if data.get("size"):
            given |= {"dataset": data.get("dataset"), "view": data.get("view"), "size": data.get("size")}
        else:
            given["truth"] = "LABELS.csv"
        options = " ".join(f"--{key} {shlex.quote(str(value))}" for key, value in {**given, "name": name}.items())
        return f"penlight score TEST.csv {options} --out {path}"

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines whose predictions stand beside the run's."""
        prefix, suffix = "baseline-", "-test.npz"
        return [n.removeprefix(prefix).removesuffix(suffix) for n in self._files
                if n.startswith(prefix) and n.endswith(suffix)]  # fmt: skip

    def baseline_predictions(self, baseline: str, split: str) -> "Predictions":
        """A baseline's predictions of the same images as it gave them."""
        return self._predictions(f"baseline-{baseline}-{split}.npz")

    def baseline_answers(self, baseline: str, split: str) -> "Answers":
        """A baseline's predictions of a split, calibrated and decided by its own decision."""
        from penlight.runs.answers import answer

        known = self._answers.get(f"{baseline}-{split}")
        if known is not None:
            return known
        return answer(self.baseline_predictions(baseline, split), self.baseline_decision(baseline))

    def baseline_decision(self, baseline: str) -> Decision:
        """Calibration and thresholds of a baseline, found on val as the run's were."""
        return self.record(Decision, f"baseline-{baseline}-decision.json")

    def _predictions(self, name: str) -> "Predictions":
        from penlight.runs.predictions import predictions_from_bytes

        return predictions_from_bytes(self.read(name), str(self.path / name))

    def record(self, kind: type[R], name: str) -> R:
        """Read a JSON file of the run as a record of this kind. RunError if it is none."""
        return read_record(kind, self.read(name), f"{name} in the run {self.path}", _AGAIN)


def open_run(path: Path) -> RunFolder:
    """Open a complete run; of folds or seeds that became one model, its run.

    RunError, by name, for a folder that is missing, no run, incomplete, or damaged.
    """
    if not path.is_dir():
        raise RunError(f"There is no run folder {path}.", "Give the folder that `penlight train` printed last.")
    content = read_if_there(path, MANIFEST)
    if content is None:
        if (final := _final_of(path)) is not None:
            return final
        if read_claim(path) is not None:
            scored = RunFolder(path, ManifestRecord(SCHEMA, "", 0, {})).made_elsewhere
            again = (
                "repeat the command that began it" if scored else f"penlight train {path}/recipe.toml --out {path}"
            )
            raise RunError(f"The run {path} is not complete.", f"Finish it: {again}")
        raise _not_a_run(path)
    return RunFolder(path, _manifest_of(path, content))


def _final_of(path: Path) -> RunFolder | None:
    """Open the run of the model that several runs became; None for a folder that is no such."""
    from penlight.runs.groups import kind_of, open_group

    return None if kind_of(path) is None else open_group(path).final


def _not_a_run(path: Path) -> RunError:
    """Say what a folder without a manifest is, and what to give in its place."""
    from penlight.runs.groups import kind_of, named_runs, not_one_run

    kind = kind_of(path)
    if kind is not None:
        return not_one_run(path, kind)
    inside = [path / name for name in inner_folders(path) if is_inside(path / name, MANIFEST)]
    return RunError(
        f"{path} is not a run folder, or its manifest.json was deleted.",
        f"{named_runs(inside)}." if inside else "Give a folder that `penlight train` wrote.",
    )


def _manifest_of(path: Path, content: bytes) -> ManifestRecord:
    what = f"manifest.json in the run {path}"
    try:
        values = parse_json_object(content, what, error=RunError)
        schema = values.get("schema", SCHEMA)
        if isinstance(schema, int) and schema != SCHEMA:
            raise RunError(f"The run {path} was written by another version of Penlight.", "Repeat the run.")
        manifest = check_record(ManifestRecord, values, what)
    except RunError as error:
        if not error.problem.startswith(what):
            raise
        raise _damaged(path, error.problem.removeprefix(what).strip(" .")) from error
    # One without a seal is of an earlier version.
    if not (is_sound(values) if SEAL in values else set(values) == _IN_MANIFEST):
        raise _damaged(path, "has another hash than it says")
    return manifest


def _damaged(path: Path, why: str) -> RunError:
    return RunError(
        f"manifest.json in the run {path} is damaged: it {why}.",
        f"Nothing in it can be trusted. Repeat it: penlight train {path}/recipe.toml, then delete {path}.",
    )


def read_folds(path: Path) -> dict[str, Any] | None:
    """Read what a folder is a cross-validation of: recipe_hash, data_md5, folds, seed. None if it is none; RunError
    if that is damaged."""
    from penlight.records.groups import FoldsRecord

    content = read_if_there(path, FOLDS)
    what = str(path / FOLDS)
    return None if content is None else read_record(FoldsRecord, content, what, _AGAIN).to_dict()


def run_folders(path: Path, what: Literal["seed", "fold"]) -> list[Path]:
    """List the run folders `seed-0`, `seed-1`, ... or `fold-1`, ... in a folder, in the order of their numbers.
    Others, such as a copy `seed-0.bak`, and links are none."""
    name = re.compile(rf"{what}-(0|[1-9][0-9]{{0,9}})")
    found = filter(name.fullmatch, inner_folders(path))
    return [path / own for own in sorted(found, key=lambda own: int(own.removeprefix(f"{what}-")))]


def run_folder_in(group: Path, *names: str) -> Path:
    """Give the folder of a run in a folder of several, to write to. RunError if it, or a folder on the way, is a
    link."""
    place = group
    for name in names:
        place = place / name
        require_no_link(place)
    return place
