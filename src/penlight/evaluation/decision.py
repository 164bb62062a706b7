"""How probabilities become answers: calibration and thresholds, found on held-out answers and kept with the run."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from penlight.errors import PredictionsError, RecipeError, UnknownNameError
from penlight.evaluation.calibration import UNCALIBRATED, Calibration, Kind, find_calibration
from penlight.evaluation.conformal import COVERAGE, Conformal, fit_conformal
from penlight.evaluation.intervals import Groups, UnknownPatients, number_units
from penlight.evaluation.thresholds import find_cut_points, find_thresholds
from penlight.records import Count, Finite, Name, Notes, Record
from penlight.tasks import KnownLabels, Task
from penlight.tasks.base import join_known

Floats = NDArray[np.float64]

WITH_TRAIN = "val and train"
"""What held-out answers are called where those to train, out of fold, are among them."""

OUT_OF_FOLD = "train and val, out of fold"
"""What held-out answers are called where all are of models of folds that did not see the image."""

THRESHOLD_RULES = ("fixed", "f1", "youden", "sensitivity", "specificity")


def _uncalibrated_if_null(value: Any) -> Any:
    return UNCALIBRATED if value is None else value


class Decision(Record):
    """What turns a model's probabilities into answers.

    `calibration` corrects the probabilities; `thresholds` (C,) cut the corrected ones, or as (C-1,) cut points their
    expected grade, None for tasks that answer by the most probable class; `notes` say, "label: reason", why a
    threshold is not what was asked for. `found_on` names the answers that calibration and thresholds were found on,
    and `images` counts them, None where that was not kept.
    `conformal` makes sets of the corrected probabilities; None where no val was there to fit it on.
    """

    thresholds: Annotated[tuple[Finite, ...], Field(max_length=10_000)] | None = None
    calibration: Annotated[Calibration, BeforeValidator(_uncalibrated_if_null)] = UNCALIBRATED
    found_on: Name = "val"
    notes: Notes = ()
    conformal: Conformal | None = None
    images: Count | None = None

    def answer(self, task: Task, prob: Floats) -> tuple[Floats, NDArray[np.uint8]]:
        """Turn (N, C) probabilities as the model gave them into calibrated ones, and those into zeros and ones.
        PredictionsError for a decision of another task."""
        self._require_fits(task)
        calibrated = self.calibration.apply(task, prob)
        return calibrated, task.decide(calibrated, None if self.thresholds is None else np.array(self.thresholds))

    def _require_fits(self, task: Task) -> None:
        cuts = None if self.thresholds is None else len(self.thresholds)
        wanted = len(task.labels) if task.uses_thresholds else len(task.cut_points) or cuts
        if cuts is not None and cuts != wanted:
            raise PredictionsError(
                f"A decision about {len(task.labels)} labels needs {wanted} thresholds, {cuts} came.",
                "Take the decision that was made for this model.",
            )

    def sets(self, task: Task, calibrated: Floats) -> NDArray[np.uint8] | None:
        """Turn calibrated probabilities (N, C) into prediction sets (N, Q, K), see `Conformal.sets_with`."""
        if self.conformal is None:
            return None
        decided = task.decide(calibrated, None if self.thresholds is None else np.array(self.thresholds))
        return self.conformal.sets_with(task, calibrated, decided)


def find_decision(
    task: Task,
    y_val: NDArray[np.uint8],
    prob_val: Floats,
    prevalence: Floats,
    *,
    rule: str = "fixed",
    wanted: float | None = None,
    calibration: Kind = "temperature",
    coverage: float = COVERAGE,
    out_of_fold: tuple[NDArray[np.uint8], Floats] | None = None,
    groups: Groups = None,
    train_groups: Groups = None,
    epoch_chosen: bool = False,
    found_on: str = "val",
    known: KnownLabels = None,
    train_known: KnownLabels = None,
) -> Decision:
    """Calibrate on held-out answers, then choose thresholds or cut points, and fit the prediction sets.

    The held-out answers are those to val, whose truth and probabilities are `y_val` and `prob_val` (N, C), and those
    `out_of_fold`, (M, C) each, of images of train by models that did not see them. `known` (N, C) says which labels
    of val are known, and `train_known` (M, C) which of those of train. `groups` and `train_groups` say
    which images belong together, `prevalence` (C,) is the share in train, `epoch_chosen` says that val chose the
    epoch, and `found_on` what val is. `calibration` as in `find_calibration`; `coverage` as in `fit_conformal`, whose
    sets are fitted on val alone: they promise something of the very model that answers later.

    Thresholds are of calibrated probabilities: "fixed" is 0.5 (or `wanted`); "f1" and "youden" maximise F1 or
    sensitivity + specificity - 1, and are kept only where they beat 0.5 by more than a standard error on images held
    out; "sensitivity" is the highest threshold that reaches `wanted`, "specificity" the lowest. A label that val
    cannot tune takes the threshold above which val has as many images as train has positives, and a note says so. Of
    two classes the threshold is that of the finding, and the other's is its complement. Where the task cuts the
    expected grade, see `thresholds.find_cut_points`.
    """
    if rule not in THRESHOLD_RULES:
        raise UnknownNameError("threshold rule", rule, THRESHOLD_RULES)
    if rule in ("sensitivity", "specificity") and (wanted is None or not 0 < wanted <= 1):
        raise RecipeError(f"Thresholds by {rule} need the wanted value, above 0 and at most 1; {wanted} came.")
    y, prob, of_val, of_all = y_val, prob_val, groups, known
    if out_of_fold is not None:
        of_all = join_known([(known, y_val), (train_known, out_of_fold[0])])
        y, prob = np.concatenate([y_val, out_of_fold[0]]), np.concatenate([prob_val, out_of_fold[1]])
        found_on, epoch_chosen = WITH_TRAIN, False
        groups = _joined(groups, len(y_val), train_groups, len(out_of_fold[0]))
    found = find_calibration(
        task, y, prob, calibration, found_on, groups=groups, epoch_chosen=epoch_chosen, known=of_all
    )
    calibrated = found.apply(task, prob)
    cuts, notes = None, list[str]()
    if task.uses_thresholds:
        cuts, notes = find_thresholds(task, y, calibrated, prevalence, rule, wanted, found_on, groups, of_all)
    elif task.cut_points:
        cuts, notes = find_cut_points(task, y, calibrated, found_on, groups)
    sets = fit_conformal(task, y_val, found.apply(task, prob_val), coverage, groups=of_val, known=known)
    return Decision(cuts, found, found_on, tuple(notes), sets, len(y))


def _joined(groups: Groups, n_val: int, train_groups: Groups, n_train: int) -> Groups:
    """Join what belongs together in val and in train, whose patients have numbers of their own."""
    if groups is None and train_groups is None:
        return None
    units = np.concatenate([number_units(n_val, groups), number_units(n_train, train_groups) + n_val])
    unknown = [own for own in (groups, train_groups) if isinstance(own, UnknownPatients)]
    return UnknownPatients(unknown[0].images_each, units) if unknown else units
