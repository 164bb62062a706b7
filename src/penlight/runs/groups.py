"""A folder of several runs: the seeds or folds of one recipe, a study, a sweep, or a tuning.

Its own files are known by group.json, written last, as those of a run are by its manifest: a print of each file, and
for each run a hash of what its scores rest on (`RunFolder.measured`), so that a run whose report is written anew
stays the run that was summarised. Folders that Penlight 0.1.0 wrote have no group.json; they are read and said to be
unsealed.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from penlight.disk import FolderHold, inner_folders, is_inside, remove_inside, remove_orphans
from penlight.errors import RunError
from penlight.parsing import parse_json_object
from penlight.records import Record, check_record, read_record, without_defaults
from penlight.records.groups import FoldsRecord, SealRecord, SweepRecord, TuningRecord
from penlight.records.run import FilePrint
from penlight.runs.files import (
    fingerprint,
    is_sound,
    read_file,
    read_printed,
    sealed,
    settled,
    write_bytes,
    write_json,
)
from penlight.runs.folder import (
    CORRUPTIONS,
    FOLDS,
    MANIFEST,
    SUMMARY,
    RunFolder,
    open_run,
    run_folder_in,
    run_folders,
)
from penlight.runs.scores import FoldsSummary, SeedsSummary
from penlight.runs.studies import StudyRecord

if TYPE_CHECKING:
    from penlight.evaluation.robustness import Robustness

Kind = Literal["seeds", "folds", "study", "sweep", "tuning"]

SEAL_FILE = "group.json"
STUDY = "study.json"
SWEEP = "sweep.json"
SETUP = "tune.json"
REPORT = "report.html"
FINAL = "final"
"""The run, in the folder of folds or seeds, of the model that became of all of theirs."""
SCHEMA = 1

UNSEALED = "not sealed (written by Penlight 0.1.0)"
"""What is said of a folder without group.json: whether its own files are as they were written is not known."""

# What a folder without a seal is known by, the first that is there.
_KNOWN_BY: dict[str, Kind] = {STUDY: "study", FOLDS: "folds", SUMMARY: "seeds", SWEEP: "sweep", SETUP: "tuning"}
_RECORDS: dict[Kind, tuple[str, type[Record]]] = {
    "seeds": (SUMMARY, SeedsSummary),
    "folds": (SUMMARY, FoldsSummary),
    "study": (STUDY, StudyRecord),
    "sweep": (SWEEP, SweepRecord),
    "tuning": (SETUP, TuningRecord),
}
_SHOWN = 10
_AGAIN = "Repeat the command that wrote it, or get the folder again from where it came."


def kind_of(path: Path) -> Kind | None:
    """Say what a folder of several runs is; None for a run and for anything else. RunError if its seal is damaged."""
    if os.path.lexists(path / MANIFEST):
        return None
    seal = _read_seal(path)
    if seal is not None:
        return seal.kind
    return next((kind for name, kind in _KNOWN_BY.items() if is_inside(path, name)), None)


class RunGroup:
    """A folder of several runs; each file is checked against the seal when it is read, where there is a seal."""

    def __init__(self, path: Path, kind: Kind, seal: SealRecord | None) -> None:
        self.path = path
        self.kind = kind
        self._seal = seal

    @property
    def is_sealed(self) -> bool:
        """Say whether the files of the folder are known by their hashes."""
        return self._seal is not None

    @property
    def is_settled(self) -> bool:
        """Say whether the last command that wrote into the folder came to its end, as far as its seal knows."""
        return self._seal is None or not self._seal.pending

    def has(self, name: str) -> bool:
        """Say whether the folder was written with this file."""
        return is_inside(self.path, name) if self._seal is None else name in self._seal.files

    def read(self, name: str) -> bytes:
        """Read a file of the folder. RunError if it is missing, refused, or not what was written."""
        if self._seal is None:
            return read_file(self.path, name, _AGAIN)
        prints = [files[name] for files in (self._seal.files, self._seal.pending) if name in files]
        if not prints:
            raise RunError(f"{self.path} was not written with {name}.", _AGAIN)
        return read_printed(self.path, name, prints, str(self.path), _AGAIN)

    @property
    def record(self) -> Record:
        """What the folder's summary.json, study.json, sweep.json or tune.json holds."""
        name, kind = _RECORDS[self.kind]
        return read_record(kind, self.read(name), f"{name} in {self.path}", _AGAIN)

    @property
    def values(self) -> dict[str, Any]:
        """What that file says, as JSON has it."""
        name, _ = _RECORDS[self.kind]
        return without_defaults(self.record, parse_json_object(self.read(name), name, error=RunError))

    @property
    def summary(self) -> SeedsSummary | FoldsSummary:
        """The scores of seeds or folds as they were summarised."""
        record = self.record
        assert isinstance(record, SeedsSummary | FoldsSummary)
        return record

    @property
    def study(self) -> StudyRecord:
        """What a study asked, and what came out."""
        return read_record(StudyRecord, self.read(STUDY), f"{STUDY} in {self.path}", _AGAIN)

    @property
    def claim(self) -> FoldsRecord:
        """What the folder is a cross-validation of."""
        return read_record(FoldsRecord, self.read(FOLDS), f"{FOLDS} in {self.path}", _AGAIN)

    @property
    def robustness(self) -> "Robustness | None":
        """What corrupted images did to the answers of all seeds together; None before that was asked."""
        from penlight.evaluation.robustness import Robustness

        if not self.has(CORRUPTIONS):
            return None
        what = f"{CORRUPTIONS} in {self.path}"
        return read_record(Robustness, self.read(CORRUPTIONS), what, _AGAIN)

    @property
    def folders(self) -> list[Path]:
        """The folders of its runs, in the order of their numbers: those that it was sealed with, else all that are
        named as Penlight names them. RunError if one is a link."""
        if self._seal is None:
            if self.kind == "study":
                rows = [self.path / name for name in inner_folders(self.path)]
                return [folder for row in rows for folder in run_folders(row, "seed")]
            if self.kind == "sweep":
                return [own for name in inner_folders(self.path) if is_inside(own := self.path / name, MANIFEST)]
            return run_folders(self.path, "fold" if self.kind == "folds" else "seed")
        names = self._seal.runs.keys() - {FINAL}
        return [run_folder_in(self.path, *name.split("/")) for name in sorted(names, key=_in_order)]

    @property
    def final(self) -> RunFolder | None:
        """The run of the model that became of all runs; None where there is none. RunError if it is not the one that
        was sealed."""
        if self._seal is None or FINAL not in self._seal.runs:
            return None
        return self._sealed_run(open_run(run_folder_in(self.path, FINAL)))

    def _sealed_run(self, run: RunFolder) -> RunFolder:
        """Give a run. RunError if it is not the one that was sealed."""
        name = run.path.relative_to(self.path).as_posix()
        if self._seal is not None and run.measured != self._seal.runs[name]:
            raise RunError(f"{run.path} holds another run than the one that {self.path} sums up.", _AGAIN)
        return run

    def runs(self, opened: Sequence[RunFolder] = ()) -> list[RunFolder]:
        """Open its runs, but for the `opened` ones. RunError if one is missing, damaged, or not the one that was
        summarised."""
        known = {run.path: run for run in opened}
        runs = [self._sealed_run(known.get(folder) or open_run(folder)) for folder in self.folders]
        if not runs:
            raise RunError(f"There is no run in {self.path}.", _AGAIN)
        return runs

    def replace(self, name: str, content: bytes) -> None:
        """Write a file of the folder anew, and its print into the seal, as `RunFolder.replace` does. A folder without
        a seal stays without one. RunError if another process is writing the folder."""
        with FolderHold(self.path):
            remove_orphans(self.path)
            kept = open_group(self.path)
            if kept._seal is None:
                write_bytes(self.path / name, content)
                return
            _write(self.path, kept._seal, {name: content}, kept._seal.runs, kept._settled())
            self._seal = _read_seal(self.path)

    def _settled(self) -> dict[str, FilePrint]:
        """Give the prints of the files, of those that were to come as they did or did not."""
        assert self._seal is not None
        return settled(self.path, self._seal.files, self._seal.pending)


def open_group(path: Path) -> RunGroup:
    """Open a folder of several runs. RunError if it is none, or if its seal is damaged."""
    kind = kind_of(path)
    if kind is None:
        raise RunError(f"{path} is not a folder of several runs.", "Give a folder that Penlight wrote.")
    return RunGroup(path, kind, _read_seal(path))


_SAID: Mapping[Kind, tuple[str, str]] = {
    "seeds": (
        "holds one run for each of its seeds",
        "`penlight evaluate`, `report` and `compare` take them together",
    ),
    "folds": ("is a cross-validation, with one run for each fold", "`penlight evaluate` and `report` take it whole"),
    "study": ("is a study, of several recipes", "`penlight report` takes it whole"),
    "sweep": ("is a study of several datasets, with a run for each", "its page, report.html, has all together"),
}


def not_one_run(path: Path, kind: Kind) -> RunError:
    """Say what a folder of several runs is, where one run was expected, and what to give or do instead."""
    if kind == "tuning":
        return RunError(
            f"{path} is a tuning, whose trials keep no model.",
            f"Its page is {path}/{REPORT}; train what it found: penlight train {path}/best.toml",
        )
    what, together = _SAID[kind]
    return RunError(f"{path} {what}; one run was expected.", f"{named_runs(open_group(path).folders)} ({together}).")


def named_runs(folders: Sequence[Path]) -> str:
    """Tell a person which run folders to give: all, or the first of many."""
    shown = ", ".join(map(str, folders[:_SHOWN]))
    if not folders:
        return "There is no complete run in it"
    return f"Give one of {len(folders):,}: {shown}{', ...' if len(folders) > _SHOWN else ''}"


def write_group(path: Path, kind: Kind, files: Mapping[str, bytes], runs: Mapping[str, RunFolder]) -> None:
    """Write the files of a folder in this order, then its seal; `runs` by the names of their folders in it.

    Of a folder that is sealed already the seal first says what is to come, so that it holds at every moment.
    """
    measured = {name: run.measured for name, run in runs.items()}
    try:
        before = _read_seal(path)
    except RunError:
        before = None
    kept: dict[str, FilePrint] = {}
    if before is not None and before.kind == kind and before.runs == measured:
        kept = RunGroup(path, kind, before)._settled()
    seal = SealRecord(schema=SCHEMA, kind=kind, files={}, runs=measured)
    _write(path, seal if before is None else before, files, measured, kept, fresh=before is None)


def unseal(path: Path) -> None:
    """Remove the seal of a folder that is about to be written anew."""
    if is_inside(path, SEAL_FILE):
        remove_inside(path, SEAL_FILE)


def _in_order(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if number.isascii() and number.isdecimal() and len(number) < 12 else (name, 0)


def _write(
    path: Path,
    before: SealRecord,
    files: Mapping[str, bytes],
    runs: Mapping[str, str],
    kept: Mapping[str, FilePrint],
    *,
    fresh: bool = False,
) -> None:
    prints = {name: fingerprint(content) for name, content in files.items()}
    about = {"schema": SCHEMA, "kind": before.kind}
    if not fresh:
        files_of_both = {**before.files, **kept}
        write_json(
            path / SEAL_FILE, sealed({**about, "files": files_of_both, "runs": before.runs, "pending": prints})
        )
    for name, content in files.items():
        write_bytes(path / name, content)
    write_json(path / SEAL_FILE, sealed({**about, "files": {**kept, **prints}, "runs": dict(runs)}))


def _read_seal(path: Path) -> SealRecord | None:
    """Read the seal of a folder; None if it has none."""
    if not os.path.lexists(path / SEAL_FILE):
        return None
    what = f"{SEAL_FILE} in {path}"
    values = parse_json_object(read_file(path, SEAL_FILE, _AGAIN), what, _AGAIN, error=RunError)
    if values.get("schema") != SCHEMA:
        raise RunError(f"{path} was written by another version of Penlight.", "Repeat the command that wrote it.")
    seal = check_record(SealRecord, values, what, _AGAIN)
    if not is_sound(values):
        raise RunError(f"{what} is damaged: it has another hash than it says.", _AGAIN)
    return seal
