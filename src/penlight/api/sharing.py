"""Copies of runs to pass on: without images, or made to be shared, which leaves out all that is of single images.

A copy is written beside its target and renamed when it is whole and was searched. It opens, evaluates, reports,
predicts, compares and is served as the run itself; its reports need no dataset.
"""

import contextlib
import getpass
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from penlight.api.paths import PathLike, path_of, path_or_none
from penlight.data import store
from penlight.data.catalog import find_dataset, referenced
from penlight.data.dataset import METADATA, SPLITS
from penlight.data.description import Description, is_name
from penlight.data.kept import KeptDescription
from penlight.disk import TOKEN, is_inside, temporary_folder, writing_to
from penlight.errors import PenlightError, RunError
from penlight.evaluation.novelty import novelty_from_bytes
from penlight.experiments.folds import PREDICTIONS, fold_of, folds_content, folds_of
from penlight.exporters.parity import RECORD
from penlight.exporters.table import EXPORTERS
from penlight.recipes import Recipe
from penlight.recipes.plan import TrainingPlan
from penlight.records import Record, json_key, plain
from penlight.runs import RunFolder, RunWriter, open_run
from penlight.runs.cases import EXPLAINED
from penlight.runs.dataset import DESCRIPTION, folds_described, seen_by
from penlight.runs.encoders import require_known_licences
from penlight.runs.evidence import maps_alike_of
from penlight.runs.files import json_text, sealed
from penlight.runs.folder import (
    CORRUPTIONS,
    DATA,
    FOLDS,
    JOBS,
    MANIFEST,
    NOVELTY,
    OWN_SOURCES,
    PLAN,
    SUMMARY,
    run_folder_in,
    run_folders,
)
from penlight.runs.groups import (
    FINAL,
    REPORT,
    SEAL_FILE,
    STUDY,
    RunGroup,
    kind_of,
    not_one_run,
    open_group,
    write_group,
)
from penlight.runs.holdings import KEEPS_IMAGES, MAPS_ALIKE, NEIGHBOURS, holdings_of
from penlight.runs.predictions import to_bytes
from penlight.runs.predictor import MODEL
from penlight.runs.scoring import FoldRuns, open_folds
from penlight.runs.sharing import (
    PatientNumbers,
    file_name,
    images_in_model,
    plain_dataset,
    shared_data,
    shared_history,
    shared_predictions,
    shared_provenance,
    shared_recipe,
    shared_scores,
    stripped,
)
from penlight.runs.traces import Traces, scrubbed

SHARING = "SHARING.md"
"""What a copy that was made to be shared says of itself."""

# Penlight 0.1.0 wrote the last of these too.
_EXPORTED = {own.file for own in EXPORTERS.values()} | {"model-int8.onnx", "model.tflite", "model-int8.tflite"}
_PREDICTIONS = tuple(
    f"{before}-{split}.npz"
    for before in ("predictions", "baseline-majority", "baseline-linear")
    for split in ("val", "test")
)
_DECISIONS = ("decision.json", "baseline-majority-decision.json", "baseline-linear-decision.json")
_MADE_ANEW = ("recipe.toml", MANIFEST, REPORT, "card.md", DESCRIPTION, SHARING)
_AS_IT_IS = ("history.csv", NOVELTY)
_JSON = ("provenance.json", "data.json", "metrics.json", RECORD, PLAN, CORRUPTIONS, *_DECISIONS)
_LEFT_OUT = (NEIGHBOURS, EXPLAINED)
_KNOWN = {*_EXPORTED, *_PREDICTIONS, *_MADE_ANEW, *_AS_IT_IS, *_JSON, *_LEFT_OUT, *OWN_SOURCES, "model.keras"}
_GROUP = {REPORT, "card.md", SUMMARY, CORRUPTIONS, FOLDS, PREDICTIONS, STUDY, SHARING, DESCRIPTION, SEAL_FILE}


_OF_MODEL = (
    "The model itself. From weights and answers it can be guessed whether an image was trained on (membership "
    "inference); nothing here prevents that."
)


class Copied(Record):
    """What a copy was made of: its folder; what was left out and what remains, in sentences; and files of the source
    that Penlight does not know, which were not copied either."""

    folder: Path
    shared: bool = json_key("for_sharing")
    left_out: Sequence[str]
    remains: Sequence[str]
    unknown: Sequence[str] = json_key("unknown_files", default=())
    runs: int = 1


def export_for_sharing(run: PathLike, out: PathLike | None = None, *, licence_checked: bool = False) -> Copied:
    """Copy a run, or a folder of seeds, folds or a study, to be given away: without images of the dataset, without
    identifiers and values of single images beside labels and answers, and without paths.

    `out` is the folder to make, by default <path>-shared. RunError if it is there, for a source that is no complete
    run, and if a path, a name of a picture or an identifier of a patient is found in what was written, of which
    nothing is then left. `licence_checked` is as in `export`.

    Examples
    --------
    >>> copied = pl.export_for_sharing("runs/retina")
    >>> copied.folder.name
    'retina-shared'
    """
    return _copy(*_places(run, out, "shared"), shared=True, checked=licence_checked)


def export_without_images(run: PathLike, out: PathLike | None = None, *, licence_checked: bool = False) -> Copied:
    """Copy a run, or a folder of seeds, folds or a study, without images of the dataset; all else stays as it is.

    `out` is the folder to make, by default <path>-no-images. RunError if it is there, and for a source that is no
    complete run. `licence_checked` is as in `export`.

    Examples
    --------
    >>> pl.export_without_images("runs/retina").folder.name
    'retina-no-images'
    """
    return _copy(*_places(run, out, "no-images"), shared=False, checked=licence_checked)


def _places(run: PathLike, out: PathLike | None, end: str) -> tuple[Path, Path]:
    """Give the folder to copy, and the one to make, by default beside it."""
    path = path_of(run, "run folder")
    return path, path_or_none(out, "folder for out") or path.with_name(f"{path.resolve().name}-{end}")


def _copy(path: Path, out: Path, *, shared: bool, checked: bool) -> Copied:
    if out.exists() or out.is_symlink():
        raise RunError(f"{out} is there already.", "Choose another folder with --out, or delete it.")
    if out.resolve().is_relative_to(path.resolve()):
        raise RunError(f"{out} lies in the run that is to be copied.", "Choose another folder with --out.")
    remedy = "Choose a folder you may write to, with --out."
    with writing_to(out.parent, remedy):
        out.parent.mkdir(parents=True, exist_ok=True)
    with writing_to(out, remedy), temporary_folder(out.parent, out.name) as place:
        copier, made = _Copier(path, shared, checked), place / out.name
        try:
            copier.folder(path, made)
        except (PenlightError, OSError):
            raise
        except Exception as error:
            # Whatever else a file says that Penlight did not write, nothing of it is to be passed on.
            raise RunError(
                f"{path} holds something that Penlight does not write ({type(error).__name__}: {str(error)[:200]}).",
                "Make the run again.",
            ) from error
        found = _traces(copier).in_folder(made) if shared else []
        if found:
            told = ", ".join(f"{what} in {file}" for file, what in found[:5])
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            raise RunError(
                f"The copy would hold {told}{more}; it was not written.",
                "Rename what is named so in the dataset's description or its labels, and make the run again.",
            )
        made.rename(out)
    return Copied(out, shared, copier.left_out, copier.remains, copier.unknown, copier.runs)


@dataclass
class _Copier:
    """Copies a run or a folder of several, and remembers what it left out."""

    source: Path
    shared: bool
    checked: bool
    numbers: PatientNumbers = field(default_factory=PatientNumbers)
    unknown: list[str] = field(default_factory=list)
    runs: int = 0
    _left: dict[str, int] = field(default_factory=dict)
    _columns: dict[str, None] = field(default_factory=dict)
    _remains: dict[str, None] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)
    _recipes: dict[str, Recipe] = field(default_factory=dict)
    _files_of: dict[str, tuple[list[Path], set[str]]] = field(default_factory=dict)
    _code: dict[str, None] = field(default_factory=dict)
    _reported: bool = True
    _patients: bool = False
    _scored: bool = False
    _models: bool = False

    def folder(self, source: Path, target: Path) -> None:
        """Copy what a folder is: a run, seeds, folds or a study."""
        kind = kind_of(source)
        if kind is None:
            self._run(source, target)
        elif kind == "study":
            self._study(source, target)
        elif kind in ("seeds", "folds"):
            self._several(source, target)
        else:
            raise not_one_run(source, kind)

    # Runs

    def _run(self, source: Path, target: Path, seen: Any = None) -> RunFolder:
        run = open_run(source)
        self.runs += 1
        self._note_unknown(source, {*_KNOWN, ".lock"})
        recipe = shared_recipe(run.recipe, plain_dataset(run.recipe, run.provenance)) if self.shared else run.recipe
        self._hashes[run.recipe.hash] = recipe.hash
        self._recipes[run.recipe.hash] = run.recipe
        from penlight.reports.content import description_of

        seen = seen or self._seen(run)
        with RunWriter(target, recipe, run.seed) as writer:
            for name, content in self._files(run, recipe):
                writer.write(name, content)
            if seen is not None and (self.shared or run.has(DESCRIPTION)):
                writer.write_json(DESCRIPTION, self._scrub(KeptDescription.of(description_of(seen)).to_dict()))
            self._account(run, recipe)
            if self.shared:
                writer.write(SHARING, self._letter())
            self._write_report(writer, seen)
            writer.finish()
        return open_run(target)

    def _seen(self, run: RunFolder) -> Any:
        """The dataset of a run, or its description; None where it is not at hand."""
        with contextlib.suppress(PenlightError):
            one_of = is_inside(run.path.parent, FOLDS) and run.path.name != FINAL
            if one_of and not run.has(DESCRIPTION):
                return fold_of(run)
            return seen_by(run)
        return None

    def _write_report(self, writer: RunWriter, seen: Any) -> None:
        from penlight.reports import run_card, run_report
        from penlight.reports.content import content_of_run

        if seen is None:
            self._reported = False
            return
        draft = writer.draft()
        shown = seen_by(draft) if self.shared else seen
        content = content_of_run(draft, shown, images=False)
        writer.write(REPORT, run_report(content))
        writer.write("card.md", run_card(content))

    def _files(self, run: RunFolder, recipe: Recipe) -> Iterator[tuple[str, bytes]]:
        sizes = {}
        for name in sorted(_KNOWN - {*_MADE_ANEW, *_LEFT_OUT, RECORD}):
            if run.has(name) and not (self.shared and self._is_code(run, name)):
                content = self._content(run, name, recipe)
                if name == MODEL:
                    require_known_licences(content, MODEL, checked=self.checked)
                sizes[name] = len(content)
                yield name, content
        if run.has(RECORD):
            kept = {name: about.to_dict() for name, about in run.exports.items() if name in _EXPORTED}
            for name, about in kept.items():
                if name in sizes and "bytes" in about:
                    about["bytes"] = sizes[name]
            yield RECORD, json_text(self._scrub(kept)).encode()

    def _is_code(self, run: RunFolder, name: str) -> bool:
        """Say whether a file has code of the user's, which may say anything: the source of a network, and a network
        with layers that are not Keras'. What it is is remembered."""
        found = name in OWN_SOURCES
        if name == "model.keras" and run.recipe.model.backbone == "own":
            from penlight.models.keras_files import open_archive

            try:
                open_archive(run.read(name))
            except RunError:
                found = True
        if found:
            self._code[name] = None
        return found

    def _content(self, run: RunFolder, name: str, recipe: Recipe) -> bytes:
        if name == "provenance.json":
            return json_text(self._provenance(run, recipe)).encode()
        content = run.read(name)
        if not self.shared:
            return content
        where = str(run.path / name)
        if name in _PREDICTIONS:
            return shared_predictions(content, where, recipe, self.numbers)
        for exporter in EXPORTERS.values():
            if name.endswith(Path(exporter.file).suffix):
                return exporter.shared(content, recipe.hash)
        if name == NOVELTY:
            return novelty_from_bytes(content, where).to_bytes()
        if name == "history.csv":
            return shared_history(content)
        if name in _JSON:
            return json_text(self._scrub(plain(_values_of(run, name, recipe)))).encode()
        return content

    def _provenance(self, run: RunFolder, recipe: Recipe) -> Any:
        alike = maps_alike_of(run)
        alike = None if alike is None or alike != alike else alike
        if not self.shared:
            return {**run.provenance, KEEPS_IMAGES: False, MAPS_ALIKE: alike}
        columns = list(holdings_of(run).metadata)
        columns = columns or list(run.provenance.get("shared", {}).get("metadata", []))
        shared = {"recipe_hash": run.recipe.hash, "metadata": [name for name in columns if name in METADATA]}
        dataset = recipe.data.dataset
        return self._scrub(shared_provenance(run.provenance, recipe, dataset, alike, shared))

    # Folders of several runs

    def _several(self, source: Path, target: Path) -> None:
        group = open_group(source)
        final = group.final
        self._note_unknown(source, {*_GROUP, *(place.name for place in group.folders), *([FINAL] if final else [])})
        originals = group.runs()
        # Each fold has a dataset of its own.
        seen = self._seen(originals[0]) if group.kind == "seeds" else None
        runs = [self._run(place, target / place.name, seen) for place in group.folders]
        files = self._joined(source, group, runs) if group.kind == "folds" else {}
        finals = [] if final is None else [self._run(final.path, target / FINAL)]
        self._group(target, group, {run.path.name: run for run in (*runs, *finals)}, files)

    def _joined(self, source: Path, group: RunGroup, runs: Sequence[RunFolder]) -> dict[str, bytes]:
        """Give the files that a cross-validation has beside its runs."""
        from penlight.reports.content import describe_folds

        joined = FoldRuns(source, runs, group.claim).out_of_fold
        joined = stripped(joined, runs[0].recipe, self.numbers) if self.shared else joined
        files = {FOLDS: self._json(group.claim.to_dict()), PREDICTIONS: to_bytes(joined)}
        if self._reported and self.shared:
            if is_inside(source, DESCRIPTION):
                whole, patients = folds_described(source)
            else:
                whole, patients = describe_folds(folds_of(source, group.runs()[0]).view)
            files[DESCRIPTION] = self._json(KeptDescription.of(whole, patients))
        return files

    def _study(self, source: Path, target: Path) -> None:
        from penlight.experiments.studies import read_study

        group, (kept, _) = open_group(source), read_study(source)
        self._note_unknown(source, {*_GROUP, *(row.id for row in kept.rows)})
        group.runs()
        made: dict[str, RunFolder] = {}
        for row in kept.rows:
            place = run_folder_in(source, row.id)
            if kind_of(place) == "seeds":
                self._several(place, target / row.id)
            else:
                for own in run_folders(place, "seed"):
                    self._run(own, target / row.id / own.name)
            made |= {f"{row.id}/{own.name}": open_run(own) for own in run_folders(target / row.id, "seed")}
        self._group(target, group, made, {})

    def _group(
        self, target: Path, group: RunGroup, runs: Mapping[str, RunFolder], files: Mapping[str, bytes]
    ) -> None:
        """Write the files of a folder of runs, seal it, and write its page from what is there then."""
        from penlight.api.reports import report
        from penlight.reports import run_card

        made = dict(files)
        if group.robustness is not None:
            made[CORRUPTIONS] = self._json(group.robustness)
        if group.kind == "study":
            record = group.study.to_dict()
            made[STUDY] = self._json(self._study_values(record) if self.shared else record)
        else:
            made[SUMMARY] = self._json(shared_scores(group.summary) if self.shared else group.summary, seal=True)
        write_group(target, group.kind, made, runs)
        copy = open_group(target)
        if self._reported:
            report(target, images=False)
            if group.kind == "folds":
                card = run_card(folds_content(open_folds(target), images=False))
                copy.replace("card.md", card.encode())
        if self.shared:
            copy.replace(SHARING, self._letter().encode())

    def _json(self, values: Any, *, seal: bool = False) -> bytes:
        made: Any = self._scrub(_renamed(plain(values), self._hashes)) if self.shared else plain(values)
        return json_text(sealed(made) if seal else made).encode()

    def _study_values(self, values: dict[str, Any]) -> dict[str, Any]:
        dataset = values["dataset"] if is_name(values["dataset"]) else "dataset"

        def plain(text: str) -> str:
            key, found, value = text.partition("=")
            return f"{key}={file_name(value)}" if found and key.strip().endswith("weights") else text

        study = dict(values["study"])
        study["rows"] = [
            {**row, "recipe": file_name(row["recipe"]), "overrides": [plain(own) for own in row.get("overrides", ())]}
            for row in study["rows"]
        ]
        study["dataset"] = study["dataset"] if is_name(study["dataset"]) else dataset
        return {**values, "source": file_name(str(values["source"])), "study": study, "left_over": []}

    # What is said of it

    def _scrub(self, values: Any) -> Any:
        return scrubbed(values, self.paths) if self.shared else values

    @property
    def paths(self) -> list[str]:
        """Paths that may stand in texts of the run: of this machine, of the run, of its dataset."""
        places = [Path.home(), Path.cwd(), self.source, self.source.resolve()]
        for recipe in self._recipes.values():
            name = recipe.data.dataset
            if name not in self._files_of:
                self._files_of[name] = _files_of(name)
            places += self._files_of[name][0]
        named = {recipe.data.dataset for recipe in self._recipes.values()}
        relative = {name for name in named if "/" in name or "\\" in name or name.endswith(".toml")}
        return sorted({str(place) for place in places if len(place.parts) > 1} | relative)

    def _account(self, run: RunFolder, recipe: Recipe) -> None:
        """Count what is left out of a run, and say what remains."""
        from penlight.reports.picture import count_pictures

        held = holdings_of(run)
        counted = {
            "training images of neighbours.npz": held.training_images,
            "maps over test images of explained.npz": held.maps,
            "pictures of report.html": count_pictures(run.read(REPORT)) if run.has(REPORT) else 0,
        }
        for what, n in counted.items():
            self._left[what] = self._left.get(what, 0) + n
        if not self.shared:
            return
        self._columns |= dict.fromkeys(held.metadata)
        self._patients |= held.patients
        self._scored |= bool(run.metrics.subgroups)
        train = int(run.provenance["images"].get("train", 0))
        self._models |= not run.made_elsewhere
        for sentence in (
            f"Of each image of {' and '.join(run.splits)}, by row number: its labels, and what the model and the "
            "baselines said of it; who has the dataset can look the rows up.",
            *(
                [f"{NOVELTY}: the mean and the principal directions of the training images at 10 × 10 cells and of "
                 "their histograms, by which pictures unlike them are told apart. The mean image can be seen."]
                if run.has(NOVELTY)
                else []
            ),
            *images_in_model(recipe.of_kept(run.kept_model), train),
        ):  # fmt: skip
            self._remains[sentence] = None

    @property
    def left_out(self) -> list[str]:
        """What was left out, in sentences."""
        found = [f"{n:,} {what}." for what, n in self._left.items() if n]
        if self.shared:
            if self._columns:
                found.append(f"{', '.join(self._columns).capitalize()} of each image.")
            if self._patients:
                found.append("The numbers of patients: they have others, drawn at random.")
            found += [f"{name}: it has code of the network's author." for name in self._code]
            found.append("Rows and names in what the audit found; groups of patients too few to have a score.")
            found.append("Paths of this machine, and of the dataset and the files of weights all but the name.")
        if not self._reported:
            found.append(
                "report.html and card.md: the dataset is not at hand, from which they would be written anew."
            )
        return found or ["Nothing: the run holds no image."]

    @property
    def remains(self) -> list[str]:
        """What is still of the data, in sentences."""
        if not self.shared:
            return ["All but images: identifiers, values of single images and paths stay; see --for-sharing."]
        found = [*self._remains]
        if self._patients:
            found.append("Which of these images are of one patient, for intervals.")
        if self._scored:
            found.append("Scores of groups by age, sex, site and view, as they were computed before.")
        return [
            *found,
            "Counts of images and labels, the dataset's name, title, licence and source, and the hash of its file.",
            *([_OF_MODEL] if self._models else []),
        ]

    def _letter(self) -> str:
        left, remains = ("\n".join(f"- {line}" for line in lines) for lines in (self.left_out, self.remains))
        return (
            "# A copy to be shared\n\n"
            "Penlight made this copy of a run to be passed on. Files Penlight does not know were not copied.\n\n"
            f"## Left out\n\n{left}\n\n## Remaining data\n\n{remains}\n"
        )

    def _note_unknown(self, folder: Path, known: set[str]) -> None:
        self.unknown += [
            place.relative_to(self.source).as_posix()
            for place in sorted(folder.iterdir())
            if place.name not in {*known, ".state", TOKEN, JOBS} and not place.name.endswith(".part")
        ]


def _values_of(run: RunFolder, name: str, recipe: Recipe) -> Any:
    """Read a JSON file of a run as the record that it is, and give what of it may be passed on."""
    if name == DATA:
        return None if run.data is None else shared_data(run.data)
    if name == "metrics.json":
        return shared_scores(run.metrics)
    if name == CORRUPTIONS:
        return run.robustness
    if name == PLAN:
        return replace(run.record(TrainingPlan, name), recipe=recipe)
    baseline = name.removeprefix("baseline-").removesuffix("-decision.json")
    return run.decision if name == "decision.json" else run.baseline_decision(baseline)


def _renamed(values: Any, names: Mapping[str, str]) -> Any:
    """Give JSON with texts that are a key of `names` replaced."""
    if isinstance(values, dict):
        return {key: _renamed(value, names) for key, value in values.items()}
    if isinstance(values, list):
        return [_renamed(value, names) for value in values]
    return names.get(values, values) if isinstance(values, str) else values


def _files_of(name: str) -> tuple[list[Path], set[str]]:
    """Give where a dataset lies, as far as it is at hand, and the names of its pictures."""
    from penlight.data.own.layouts import list_pictures

    places, names = [Path(name).resolve()] if name.endswith(".toml") else [], set()
    with contextlib.suppress(PenlightError, OSError):
        known = find_dataset(referenced(name))
        if isinstance(known, Description):
            places.append(known.folder.resolve())
            if known.pictures is not None:
                listed = list_pictures(known)
                places.append(listed.root.resolve())
                names = {own for row in listed.rows for own in (row.path, Path(row.path).name)}
    return places, names


def _traces(copier: _Copier) -> Traces:
    """Gather what may not be in a copy, as far as it is known here."""
    paths = copier.paths
    names = {name for _, own in copier._files_of.values() for name in own}
    patients: set[str] = set()
    common = {*SPLITS, *METADATA}
    for recipe in copier._recipes.values():
        with contextlib.suppress(PenlightError, OSError):
            dataset = store.open_referenced(recipe.data.dataset, recipe.data.size)
            common |= {dataset.info.name, dataset.info.title, *dataset.info.task.labels}
            for split in dataset.splits.values():
                patients |= set() if split.patients is None else set(map(str, split.patients.tolist()))
    user, host = "", platform.node()
    with contextlib.suppress(KeyError, OSError, ImportError):
        user = getpass.getuser()
    people = [f"/{user}/", f"\\{user}\\", f"{user}@"] if user else []
    hosts = [f"@{host}", f" on {host}", *([host] if any(c in "-.0123456789" for c in host) else [])] if host else []
    return Traces.of(
        {
            "a path of this machine or of the dataset": paths,
            "the name of a picture": names,
            "the identifier of a patient": patients,
            "a user's name": people,
            "the name of this machine": hosts,
        },
        common,
    )
