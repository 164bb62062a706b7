"""What a report is made from: plain values and arrays, and how they are gathered from a run and its dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from penlight.data import ViewedDataset, ViewedSplit
from penlight.data.dataset import DatasetInfo
from penlight.data.summary import DataDescription, describe
from penlight.errors import RunError
from penlight.evaluation import Decision, Score
from penlight.evaluation.checks import Check
from penlight.evaluation.conformal import Conformal
from penlight.evaluation.novelty import Novelty
from penlight.evaluation.novelty_rates import NoveltyRates
from penlight.evaluation.operating import OperatingPoint
from penlight.evaluation.robustness import Robustness
from penlight.evaluation.standing import Ahead
from penlight.evaluation.subgroups import Subgroup, unavailable_subgroups
from penlight.recipes import differences
from penlight.reports.verdict import final_words, kept_together, scores_verdict
from penlight.reports.words import model_words
from penlight.runs import Joined, RunFolder
from penlight.runs.cases import EXPLAINED, ExplainedCases, cases_from_bytes
from penlight.runs.encoders import encoders_of_run
from penlight.runs.evidence import checks_kept, headline_kept, novelty_rates_of
from penlight.runs.holdings import groups_unavailable, holdings_of, is_shared, keeps_images
from penlight.runs.predictions import Predictions
from penlight.runs.scores import FoldsScores
from penlight.tasks import Task, label_of


@dataclass(frozen=True)
class ComparedBaseline:
    """What a run is measured against, such as "majority" or "linear", scored on the same images."""

    name: str
    rows: Sequence[Score]


@dataclass(frozen=True)
class TrainingSample:
    """A training image (H, W, C) uint8, and in words all the labels it has."""

    image: NDArray[np.uint8]
    labels: str


@dataclass(frozen=True)
class FoldContent:
    """One fold of a cross-validation: its number from 1, the folder of its run, its headline row on its own images,
    and its learning curves, as `RunContent.history`."""

    number: int
    folder: str
    row: Score
    history: pd.DataFrame | None


@dataclass(frozen=True)
class FinalModel:
    """The model that became of all folds or seeds: its scores on the test split, a `verdict` on them, and how it was
    `made`, as provenance.json says it."""

    rows: Sequence[Score]
    verdict: str
    made: str


@dataclass(frozen=True)
class RunContent:
    """All that the report and the card of one run show. N test images, C labels.

    `name` is that of the run folder, `title` that of the dataset. `test` is calibrated, `decided` (N, C) are its 0/1
    decisions, `thresholds` (C,) where the task uses them; `decision_notes` say, "label: reason", which labels took a
    fallback. `rows` are the scores of the test split. `history` has the columns epoch, loss, val_loss, the headline
    metric, val_ and the headline metric, learning_rate, seconds; None for models without epochs. `data` counts the
    images and labels that the view keeps, and what it leaves out. `images` (M, H, W, C) uint8 is the whole test split
    as stored, of which `test.index` are the rows, None for a page without images, of which `without_images` then says
    why; `samples` has a few training images of each label, or none. `plan` has the choices of a plan (about, choice,
    why), empty where there was none. `recipe` holds nested sections, `recipe_differences` dotted keys with (default,
    this). `provenance` has seed, versions, machine, durations (seconds: fit, total), hashes, parameters (None where
    the model has none) and command. `before` are the test predictions before calibration, `calibration_notes` say
    what calibration left as it was, `points` are the operating points. `conformal` makes prediction sets of `test`,
    and `novelty` says which images are unlike those in train, `novelty_rates` how well; None for runs made without.
    `robustness` is what corrupted images did, None where they were not asked. `checks` are those that reported a
    problem, None where none was run. `cases` are maps of a few test images, None where none was made. `subgroups` are
    the headline scores of groups of test images, empty where `test` has no metadata. `folds` are those of a
    cross-validation, whose `test` are the answers of each fold to the images it left out; `divided` says into how
    many and how often, as `repeats` does. `final` is the model that became of all folds or seeds, None where none
    did. `unanswered` says which images
    have no answer, and `ranking` is `test` with the places of the images in their folds instead of probabilities, for
    curves of what ranks. `decision` is what made answers of `before`; None where each fold has its own.
    `no_subgroups` says by what there are no scores of groups, and why; None where the metadata of `test` says it.
    `holds` says in sentences what of the data the run folder holds. `ahead` is how far the headline score is above
    that of each baseline on the same images, empty for a run that did not keep it. `no_model_file` says why the run
    has no model.onnx, where it has none, and `encoders` of each in it under which licence it is.
    """

    name: str
    title: str
    dataset: DatasetInfo
    size: int
    view: str
    task: Task
    test: Predictions
    decided: NDArray[np.uint8]
    thresholds: NDArray[np.float64] | None
    rows: Sequence[Score]
    baselines: Sequence[ComparedBaseline]
    history: pd.DataFrame | None
    best_epoch: int | None
    data: DataDescription
    images: NDArray[np.uint8] | None
    samples: Mapping[str, Sequence[TrainingSample]]
    recipe: Mapping[str, Any]
    recipe_differences: Mapping[str, tuple[Any, Any]]
    recipe_toml: str
    provenance: Mapping[str, Any]
    checks: Sequence[Check] | None = None
    cases: ExplainedCases | None = None
    decision_notes: tuple[str, ...] = ()
    plan: Sequence[Mapping[str, str]] = ()
    patients: Mapping[str, int] | None = None
    before: Predictions | None = None
    calibration_notes: tuple[str, ...] = ()
    points: Sequence[OperatingPoint] = ()
    conformal: Conformal | None = None
    novelty: Novelty | None = None
    novelty_rates: NoveltyRates | None = None
    robustness: Robustness | None = None
    subgroups: Sequence[Subgroup] = ()
    folds: Sequence[FoldContent] = ()
    divided: str = ""
    repeats: int = 1
    final: FinalModel | None = None
    unanswered: Sequence[str] = ()
    ranking: Predictions | None = None
    decision: Decision | None = None
    without_images: str = ""
    no_subgroups: Sequence[str] | None = None
    holds: Sequence[str] = ()
    ahead: Mapping[str, Ahead] = field(default_factory=dict)
    no_model_file: str = ""
    encoders: Sequence[str] = ()

    @property
    def unavailable_groups(self) -> Sequence[str]:
        """Say by what there are no scores of groups, and why."""
        return unavailable_subgroups(self.test.metadata) if self.no_subgroups is None else self.no_subgroups

    @property
    def made_elsewhere(self) -> bool:
        """Say whether other software made the predictions."""
        return bool(self.recipe.get("model", {}).get("backbone") == "elsewhere")

    @property
    def leaks(self) -> str:
        """Say what the audit found of images and patients in more than one split; it ran if any check did."""
        about = "Duplicates and leaks between splits"
        if self.checks is None:
            return f"{about}: not searched for in this run."
        if not self.size:
            return f"{about}: not searched for, since the images are not at hand."
        if self.made_elsewhere:
            return f"{about}: on which images the model was trained is not known here."
        found = {check.code: check.seen for check in self.checks}
        said = found.get("PL008", "none was found by the audit of the data.")
        hidden = " Patients are not named, so images of one patient in two splits could not be found."
        return f"{about}: {said}{hidden if 'PL016' in found else ''}"

    def sample_frame(self) -> pd.DataFrame:
        """One line per training image that a page shows: label, image (its number from 1), labels."""
        lines = [(label, i, own.labels) for label, found in self.samples.items() for i, own in enumerate(found, 1)]
        return pd.DataFrame(lines, columns=["label", "image", "labels"])

    @property
    def tested(self) -> str:
        """What the images that were scored are: test images, or those that each fold left out."""
        return "out-of-fold" if self.folds else "test"


_SAMPLES_PER_LABEL = 6


def content_of_run(run: RunFolder, seen: ViewedDataset | DataDescription, images: bool | None = None) -> RunContent:
    """Read a run and take the pictures from its dataset. RunError if the dataset is not the one it was trained on.

    Without `images` no picture is taken; with None, as the run itself keeps images or not. Where the dataset is not
    at hand, its description does for all but the pictures.
    """
    run = run.read_once()
    answers, recipe, kept, scores = run.answers("test"), run.recipe, run.data, run.metrics
    test, decision, description = answers.predictions, answers.decision, description_of(seen)
    if test.data_hash != description.md5 or test.view != description.view:
        raise RunError(f"{run.path} was made from another file of {test.dataset} than the one that is here.")
    cuts, with_images = decision.thresholds, keeps_images(run) if images is None else images
    return RunContent(
        name=run.name,
        title=description.info.title,
        dataset=description.info,
        size=description.size,
        view=description.view,
        task=test.task,
        test=test,
        decided=answers.decided,
        thresholds=None if cuts is None or not test.task.uses_thresholds else np.array(cuts),
        rows=scores.metrics,
        baselines=[ComparedBaseline(name, rows) for name, rows in scores.baselines.items()],
        history=_history(run, test.task.headline),
        best_epoch=run.provenance["best_epoch"],
        data=description,
        recipe=recipe.model_dump(mode="json"),
        recipe_differences=differences(recipe),
        recipe_toml=recipe.to_toml(),
        provenance=_provenance(run),
        checks=checks_kept(run),
        cases=cases_from_bytes(run.read(EXPLAINED), str(run.path / EXPLAINED)) if run.has(EXPLAINED) else None,
        decision_notes=decision.notes,
        plan=run.reasons,
        patients=None if kept is None else kept.patients,
        before=answers.before,
        calibration_notes=decision.calibration.notes,
        points=scores.points,
        conformal=decision.conformal,
        novelty=run.novelty,
        novelty_rates=novelty_rates_of(run),
        robustness=run.robustness,
        subgroups=scores.subgroups,
        decision=decision,
        no_subgroups=groups_unavailable(run, test.metadata),
        holds=holdings_of(run).sentences(),
        ahead=scores.ahead,
        no_model_file=run.no_model_file,
        encoders=[own.sentence() for own in encoders_of_run(run)] if run.recipe.has_encoder else (),
        **_pictures(run, seen if with_images else None, test.task),
    )


def _pictures(run: RunFolder, seen: ViewedDataset | DataDescription | None, task: Task) -> dict[str, Any]:
    """Give the fields with pictures of a dataset, or why there are none; None where they are not wanted."""
    if isinstance(seen, ViewedDataset):
        return {
            "images": seen.splits["test"].images,
            "samples": _samples(seen.splits["train"], task),
            "without_images": "",
        }
    why = "This is a copy to be shared: images were left out."
    if not run.recipe.data.size:
        why = "The images are not at hand: Penlight was given labels and predictions alone."
    elif not is_shared(run):
        why = (
            "Images were left out. Where the dataset is at hand, this writes a page with them: "
            f"penlight report {run.name} --with-images --out FILE.html"
        )
    return {"images": None, "samples": {}, "without_images": why}


def description_of(seen: ViewedDataset | DataDescription) -> DataDescription:
    """Describe a dataset in a view, unless that was done."""
    return seen if isinstance(seen, DataDescription) else describe(seen)


def content_of_folds(
    name: str,
    runs: Sequence[RunFolder],
    joined: Joined,
    scores: FoldsScores,
    whole: DataDescription,
    patients: Mapping[str, int] | None,
    first: ViewedDataset | DataDescription,
    images: bool | None = None,
    final: RunFolder | None = None,
) -> RunContent:
    """Gather what the report of a cross-validation shows: `joined` are the answers of all folds, `whole` and
    `patients` are of what was divided, as `describe_folds` gives them, `first` is its first fold; `images` as in
    `content_of_run`; `final` is the run of the model that became of all folds, if one did."""
    headline = joined.predictions.task.headline
    return replace(
        content_of_run(runs[0], first, images),
        name=name,
        test=replace(joined.predictions, prob=joined.sample.prob),
        decided=joined.sample.decided,
        thresholds=None,
        rows=scores.metrics,
        baselines=[ComparedBaseline(baseline, rows) for baseline, rows in scores.baselines.items()],
        history=None,
        best_epoch=None,
        data=whole,
        provenance=_provenance_of_folds(runs, whole.md5),
        checks=scores.checks,
        decision_notes=(),
        patients=patients,
        before=joined.predictions,
        calibration_notes=(),
        points=(),
        conformal=None,
        decision=None,
        novelty=None,
        subgroups=scores.subgroups,
        unanswered=scores.unanswered,
        ahead=scores.ahead,
        ranking=replace(joined.predictions, prob=_places(joined)),
        divided=scores.divided,
        repeats=scores.repeats or 1,
        final=final_model(final, whole.info.modality),
        folds=[
            FoldContent(number, run.path.name, headline_kept(run), _history(run, headline))
            for number, run in enumerate(runs, start=1)
        ],
    )


def final_model(run: RunFolder | None, modality: str) -> FinalModel | None:
    """Give what the page of folds or seeds shows of the model that became of them; None where none did."""
    if run is None:
        return None
    noun = run.model_predictions("test").task.nouns[1]
    words = model_words(run.kept_model) + final_words(run.provenance)
    verdict = scores_verdict(run.metrics, run.kept_model, words=words, modality=modality, noun=noun)
    return FinalModel(run.metrics.metrics, verdict, str(run.provenance.get("final", "")))


def describe_folds(view: ViewedDataset) -> tuple[DataDescription, dict[str, int] | None]:
    """Describe train and val of what a cross-validation divides, and count their patients; None if not known."""
    used = {split: view.splits[split] for split in ("train", "val")}
    left_out = {split: view.left_out[split] for split in used if split in view.left_out}
    known = {name: split.patients for name, split in used.items() if split.patients is not None}
    patients = {name: len(np.unique(own)) for name, own in known.items()} if len(known) == len(used) else None
    return describe(replace(view, splits=used, left_out=left_out)), patients


def _places(joined: Joined) -> NDArray[np.float64]:
    """(N, C) places of the images among those of their fold, from 0 to 1, by the probability of each label.

    Folds are answered by models whose probabilities are not on one scale.
    """
    from scipy.stats import rankdata

    sample = joined.sample
    out = sample.prob.copy()
    if sample.fold is not None:
        for own in (sample.fold == number for number in np.unique(sample.fold)):
            out[own] = (rankdata(sample.prob[own], axis=0) - 0.5) / own.sum()
    return out


def _provenance_of_folds(runs: Sequence[RunFolder], md5: str) -> dict[str, Any]:
    """Say how all folds were made: the durations are their sums."""
    made = kept_together([_provenance(run) for run in runs], runs[0].recipe.model.backbone, "folds")
    spent = [run.provenance["durations"] for run in runs]
    durations = {what: round(sum(own[what] for own in spent), 3) for what in spent[0]}
    return {**made, "durations": durations, "hashes": {**made["hashes"], "data (MD5)": md5}}


def _history(run: RunFolder, headline: str) -> pd.DataFrame | None:
    history = run.history
    names = {"headline": headline, "val_headline": f"val_{headline}"}
    return None if history is None else history.rename(columns=names)


def _samples(split: ViewedSplit, task: Task) -> dict[str, list[TrainingSample]]:
    """A few images of each label, spread evenly over the split, so that they are the same every time."""
    out = {}
    for column, label in enumerate(task.labels):
        having = np.flatnonzero(split.y_true[:, column])
        chosen = having[np.linspace(0, len(having) - 1, min(_SAMPLES_PER_LABEL, len(having))).astype(int)]
        out[label] = [
            TrainingSample(split.images[split.index[i]], label_of(task, *split.truth_of(i))) for i in chosen
        ]
    return out


def _provenance(run: RunFolder) -> dict[str, Any]:
    made = run.provenance
    hashes = {"recipe": made["recipe_hash"], "data (MD5)": made["data_md5"]}
    # Where a copy to be shared was made is nobody's business.
    command = run.command.replace(str(run.path), run.name) if is_shared(run) else run.shared_command
    return {**made, "hashes": hashes, "command": command}
