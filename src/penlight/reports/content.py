"""What a report is made from: plain values and arrays, gathered by the caller from a run folder and its dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from penlight.data.dataset import DatasetInfo
from penlight.data.summary import DataDescription
from penlight.data.views import LeftOut
from penlight.evaluation.checks import Check
from penlight.evaluation.conformal import Conformal
from penlight.evaluation.decision import Decision
from penlight.evaluation.novelty import Novelty
from penlight.evaluation.novelty_rates import NoveltyRates
from penlight.evaluation.operating import OperatingPoint
from penlight.evaluation.robustness import Robustness
from penlight.evaluation.rows import Score
from penlight.evaluation.standing import Ahead
from penlight.evaluation.subgroups import Subgroup, unavailable_subgroups
from penlight.runs.cases import ExplainedCases
from penlight.runs.predictions import Predictions
from penlight.tasks import Task


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
    cross-validation, whose `test` are the answers of each fold to the images it left out; `unanswered` says which
    have none, and `ranking` is `test` with the places of the images in their folds instead of probabilities, for
    curves of what ranks. `decision` is what made answers of `before`; None where each fold has its own.
    `no_subgroups` says by what there are no scores of groups, and why; None where the metadata of `test` says it.
    `holds` says in sentences what of the data the run folder holds. `ahead` is how far the headline score is above
    that of each baseline on the same images, empty for a run that did not keep it.
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
    rivals: Sequence[ComparedBaseline]
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
    unanswered: Sequence[str] = ()
    ranking: Predictions | None = None
    decision: Decision | None = None
    without_images: str = ""
    no_subgroups: Sequence[str] | None = None
    holds: Sequence[str] = ()
    ahead: Mapping[str, Ahead] = field(default_factory=dict)

    @property
    def unavailable_groups(self) -> Sequence[str]:
        """Say by what there are no scores of groups, and why."""
        return unavailable_subgroups(self.test.metadata) if self.no_subgroups is None else self.no_subgroups

    @property
    def leaks(self) -> str:
        """Say what the audit found of images and patients in more than one split; it ran if any check did."""
        about = "Duplicates and leaks between splits"
        if self.checks is None:
            return f"{about}: not searched for in this run."
        found = {check.code: check.seen for check in self.checks}
        said = found.get("PL008", "none was found by the audit of the data.")
        hidden = " Patients are not named, so images of one patient in two splits could not be found."
        return f"{about}: {said}{hidden if 'PL016' in found else ''}"

    @property
    def tested(self) -> str:
        """What the images that were scored are: test images, or those that each fold left out."""
        return "out-of-fold" if self.folds else "test"

    @property
    def left_out(self) -> Mapping[str, LeftOut]:
        """What the view leaves out, by split."""
        return self.data.left_out
