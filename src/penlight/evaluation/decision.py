"""How probabilities become answers: calibration and thresholds, found on held-out answers and kept with the run."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penlight.errors import PredictionsError, RecipeError, UnknownNameError
from penlight.evaluation.calibration import (
    FOLDS,
    UNCALIBRATED,
    Calibration,
    calibration_of,
    find_calibration,
    folds_by_value,
    too_few,
)
from penlight.evaluation.conformal import COVERAGE, Conformal, conformal_of, fit_conformal
from penlight.evaluation.cut_points import best_cut_points, kappa_and_influence
from penlight.evaluation.intervals import Groups, UnknownPatients, exceeds_error, number_units
from penlight.tasks import Task

if TYPE_CHECKING:
    from penlight.records.run import DecisionRecord

Floats = NDArray[np.float64]

WITH_TRAIN = "val and train"
"""What held-out answers are called where those to train, out of fold, are among them."""

THRESHOLD_RULES = ("fixed", "f1", "youden", "sensitivity", "specificity")


BELOW_ZERO = -1e-6
"""A threshold that a probability of 0 exceeds too."""


@dataclass(frozen=True)
class Decision:
    """What turns a model's probabilities into answers.

    `calibration` corrects the probabilities; `thresholds` (C,) cut the corrected ones, or as (C-1,) cut points their
    expected grade, None for tasks that answer by the most probable class; `notes` say, "label: reason", why a
    threshold is not what was asked for. `found_on` names the answers that calibration and thresholds were found on,
    and `images` counts them, None where that was not kept.
    `conformal` makes sets of the corrected probabilities; None where no val was there to fit it on.
    """

    thresholds: tuple[float, ...] | None = None
    calibration: Calibration = UNCALIBRATED
    found_on: str = "val"
    notes: tuple[str, ...] = ()
    conformal: Conformal | None = None
    images: int | None = None

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

    def to_dict(self) -> dict[str, Any]:
        """Give the decision for JSON."""
        return {**asdict(self), "conformal": None if self.conformal is None else self.conformal.to_dict()}


def decision_of(values: "DecisionRecord") -> Decision:
    """Give the decision that decision.json holds, which was checked as it was read; one without calibration leaves
    probabilities as they are."""
    calibration, conformal = values.calibration, values.conformal
    return Decision(
        thresholds=values.thresholds,
        calibration=UNCALIBRATED if calibration is None else calibration_of(calibration),
        found_on=values.found_on,
        notes=values.notes,
        conformal=None if conformal is None else conformal_of(conformal),
        images=values.images,
    )


def find_decision(
    task: Task,
    y_val: NDArray[np.uint8],
    prob_val: Floats,
    prevalence: Floats,
    *,
    rule: str = "fixed",
    wanted: float | None = None,
    calibration: str = "temperature",
    coverage: float = COVERAGE,
    out_of_fold: tuple[NDArray[np.uint8], Floats] | None = None,
    groups: Groups = None,
    train_groups: Groups = None,
    epoch_chosen: bool = False,
) -> Decision:
    """Calibrate on held-out answers, then choose thresholds or cut points, and fit the prediction sets.

    The held-out answers are those to val and, where `out_of_fold` is given, its truth and probabilities, (M, C) each,
    of images of train, each by a model that did not see it. Sets are fitted on val alone: they promise something of
    the very model that answers later.

    `y_val` and `prob_val` (N, C) are truth and probabilities as the model gave them; `prevalence` (C,) is the share
    in train; `groups` and `train_groups` say which images belong together, `epoch_chosen` that val chose the epoch;
    `calibration` as in `find_calibration`, `coverage` as in `fit_conformal`. Thresholds are of calibrated
    probabilities: "fixed" is 0.5 (or `wanted`); "f1" and "youden" maximise F1 or sensitivity + specificity - 1;
    "sensitivity" is the highest threshold that reaches `wanted`, "specificity" the lowest. A label that val cannot
    tune takes the threshold above which val has as many images as train has positives, and a note says so. Of two
    classes the threshold is that of the finding, and the other's is its complement. One by "f1" or "youden" is kept
    only where it beats 0.5 by more than a standard error on images held out. The expected grade is cut by
    `cut_points.best_cut_points`, where the task cuts it and that beats cuts halfway between the grades in kappa,
    by more than a standard error likewise.
    """
    if rule not in THRESHOLD_RULES:
        raise UnknownNameError("threshold rule", rule, THRESHOLD_RULES)
    if rule in ("sensitivity", "specificity") and (wanted is None or not 0 < wanted <= 1):
        raise RecipeError(f"Thresholds by {rule} need the wanted value, above 0 and at most 1; {wanted} came.")
    y, prob, found_on = y_val, prob_val, "val"
    if out_of_fold is not None:
        y, prob = np.concatenate([y_val, out_of_fold[0]]), np.concatenate([prob_val, out_of_fold[1]])
        found_on = WITH_TRAIN
        groups = _joined(groups, len(y_val), train_groups, len(out_of_fold[0]))
    chosen = epoch_chosen and out_of_fold is None
    found = find_calibration(task, y, prob, calibration, found_on, groups=groups, epoch_chosen=chosen)
    calibrated = found.apply(task, prob)
    cuts, notes = None, list[str]()
    if task.uses_thresholds:
        cuts, notes = _thresholds(task, y, calibrated, prevalence, rule, wanted, found_on, groups)
    elif task.cut_points:
        cuts, notes = best_cut_points(task, y, calibrated, found_on)
        if cuts != task.cut_points and not _cut_points_help(task, y, calibrated, found_on, groups):
            notes = [
                f"all: cut points of {found_on} did not raise kappa by more than its standard error on images of "
                f"{found_on} held out; cut halfway between the grades",
            ]
            cuts = task.cut_points
    sets = fit_conformal(task, y_val, found.apply(task, prob_val), coverage)
    return Decision(cuts, found, found_on, tuple(notes), sets, len(y))


def _joined(groups: Groups, n_val: int, train_groups: Groups, n_train: int) -> Groups:
    """Join what belongs together in val and in train, whose patients have numbers of their own."""
    units = np.concatenate([number_units(n_val, groups), number_units(n_train, train_groups) + n_val])
    unknown = [own for own in (groups, train_groups) if isinstance(own, UnknownPatients)]
    return UnknownPatients(unknown[0].images_each, units) if unknown else units


def _thresholds(
    task: Task,
    y_val: NDArray[np.uint8],
    prob_val: Floats,
    prevalence: Floats,
    rule: str,
    wanted: float | None,
    found_on: str,
    groups: Groups,
) -> tuple[tuple[float, ...], list[str]]:
    """A threshold per label, and notes on those that the answers, named `found_on`, cannot tune."""
    cuts, notes = np.full(len(task.labels), 0.5 if wanted is None else wanted), list[str]()
    for c in task.tuned_columns if rule != "fixed" else ():
        label, positives = task.labels[c], int(y_val[:, c].sum())
        if too_few(y_val[:, c]):
            cuts[c] = np.quantile(prob_val[:, c], 1 - prevalence[c])
            notes.append(
                f"{label}: {positives} positive in {found_on} is too few to tune; cut at the prevalence in train"
            )
        elif rule in _SCORES and not _cut_helps(y_val[:, c], prob_val[:, c], rule, groups):
            cuts[c] = 0.5
            notes.append(
                f"{label}: a threshold by {rule} did not raise it by more than its standard error on images of "
                f"{found_on} held out; cut at 0.5"
            )
        else:
            cuts[c] = best_cut(y_val[:, c], prob_val[:, c], rule, wanted)
    others = [c for c in range(len(task.labels)) if c not in task.tuned_columns]
    cuts[others] = 1 - cuts[task.tuned_columns[0]]
    return tuple(cuts.tolist()), notes


def _f1(y: NDArray[np.uint8], answered: NDArray[np.bool_]) -> tuple[float, Floats]:
    of = max(1, int(y.sum() + answered.sum()))
    value = float(2 * (y * answered).sum() / of)
    return value, (2.0 * (y * answered) - value * (y + answered)) / of


def _youden(y: NDArray[np.uint8], answered: NDArray[np.bool_]) -> tuple[float, Floats]:
    found, false = float(answered[y == 1].mean()), float(answered[y == 0].mean())
    influence = np.where(y == 1, (answered - found) / y.sum(), (false - answered) / (1 - y).sum())
    return found - false, influence


_SCORES = {"f1": _f1, "youden": _youden}
"""What a rule that has no wanted rate maximises, of truth and answers (N,), and what each image adds to its error."""


def _cut_helps(y: NDArray[np.uint8], prob: Floats, rule: str, groups: Groups) -> bool:
    """Say whether thresholds that are found on the other folds score higher than 0.5 does, all folds together, by
    more than a standard error of the difference."""
    fold, answered = folds_by_value(prob, number_units(len(y), groups)), prob > 0.5
    fixed, fixed_influence = _SCORES[rule](y, answered)
    for number in range(FOLDS):
        inside = fold == number
        if inside.any() and not too_few(y[~inside]):
            answered[inside] = prob[inside] > best_cut(y[~inside], prob[~inside], rule, None)
    own, own_influence = _SCORES[rule](y, answered)
    return exceeds_error(own - fixed, own_influence - fixed_influence, groups)


def _cut_points_help(task: Task, y: NDArray[np.uint8], prob: Floats, found_on: str, groups: Groups) -> bool:
    """Say whether cut points found on the other folds give a higher kappa than those halfway between the grades, all
    folds together, by more than a standard error of the difference."""
    fold = folds_by_value(prob.max(axis=1), number_units(len(y), groups))
    decided = task.decide(prob, np.array(task.cut_points))
    own = decided.copy()
    for number in range(FOLDS):
        inside = fold == number
        if inside.any() and not inside.all():
            points, _ = best_cut_points(task, y[~inside], prob[~inside], found_on)
            own[inside] = task.decide(prob[inside], np.array(points))
    grade = np.argmax(y, axis=1)
    (value, influence), (halfway, of_halfway) = (
        kappa_and_influence(grade, np.argmax(answers, axis=1)) for answers in (own, decided)
    )
    return exceeds_error(value - halfway, influence - of_halfway, groups)


def best_cut(y: NDArray[np.uint8], prob: Floats, rule: str, wanted: float | None) -> float:
    """Choose the threshold of one label by a rule of `find_decision`, on (N,) truth and probabilities.

    It is a midpoint between distinct probabilities; answers are positive above it.
    """
    cuts, sensitivity, specificity, f1 = _operating_points(y, prob)
    if rule == "f1":
        return float(cuts[np.argmax(f1)])
    if rule == "youden":
        return float(cuts[np.argmax(sensitivity + specificity)])
    reached = np.flatnonzero((sensitivity if rule == "sensitivity" else specificity) >= (wanted or 0))
    return float(cuts[reached[-1] if rule == "sensitivity" else reached[0]])


def _operating_points(y: NDArray[np.uint8], prob: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Cuts from low to high, with sensitivity, specificity and F1 at each."""
    values, group = np.unique(prob, return_inverse=True)
    positive = np.bincount(group, weights=y, minlength=len(values))
    total = np.bincount(group, minlength=len(values)).astype(float)
    # Cut g calls positive all groups from g on; the last cut calls none.
    true_positive = np.r_[np.cumsum(positive[::-1])[::-1], 0]
    called = np.r_[np.cumsum(total[::-1])[::-1], 0]
    # Below the lowest value, of which 0 may be one: an answer is positive above the cut.
    lowest = values[0] / 2 if values[0] > 0 else BELOW_ZERO
    cuts = np.r_[lowest, (values[1:] + values[:-1]) / 2, (values[-1] + 1) / 2]
    sensitivity = true_positive / positive.sum()
    specificity = 1 - (called - true_positive) / (total - positive).sum()
    return cuts, sensitivity, specificity, 2 * true_positive / (called + positive.sum())
