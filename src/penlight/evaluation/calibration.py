"""Calibrated probabilities: a correction that is fitted on held-out answers and applied to all later ones.

Works on probabilities alone, so that predictions made by anybody are calibrated by the same lines. A correction is
kept only where cross-validation says that it lowers the log loss of images that it was not fitted on. N images, C
labels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from penlight.errors import PredictionsError, UnknownNameError
from penlight.evaluation.intervals import (
    Groups,
    count_cases,
    count_units,
    design_effect,
    exceeds_error,
    number_units,
    select_groups,
    unit_noun,
)
from penlight.numbers import counted
from penlight.records import Finite, Notes, Record, Share
from penlight.tasks import KnownLabels, Task
from penlight.tasks.base import among
from penlight.tasks.links import log_probability, logit, sigmoid, softmax

Floats = NDArray[np.float64]
Indicators = NDArray[np.uint8]

Kind = Literal["temperature", "isotonic", "none"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FEWEST = 5
"""A label with fewer positives or negatives than this in val is not tuned."""

MAX_TEMPERATURE = 8.0
"""Temperatures lie between 1 / MAX_TEMPERATURE and MAX_TEMPERATURE."""

_PRIOR_SD, _INTERCEPT_SD = 0.25, 2.0
"""Standard deviations of the normal priors about 0 of the logarithm of a temperature and of an intercept. A
hundred images do not know their temperature to better than a quarter, while a loss that weighs positives moves
log-odds by the logarithm of the weight."""

_NEWTON_STEPS, _FLAT = 100, 1e-9

FOLDS = 5
"""Parts of held-out answers by which is judged whether what was found on the others helps."""


def too_few(y: NDArray[np.generic], groups: Groups = None) -> bool:
    """Whether (N,) labels of val have fewer than `FEWEST` positives or negatives, or fewer of `groups`, such as
    patients, that have any."""
    return min(count_cases(y, groups)) < FEWEST


def how_few(y: NDArray[np.generic], found_on: str, groups: Groups = None, *, of: str = "") -> str:
    """Say how many positives or negatives there are, whichever are fewer: "3 positive in val is too few"; of images,
    `of` says of how many, " of 30"."""
    positives, negatives = count_cases(y, groups)
    n, kind = (positives, "positive") if positives <= negatives else (negatives, "negative")
    if groups is None:
        return f"{n} {kind}{of} in {found_on} is too few"
    return f"{counted(n, 'patient')} with a {kind} case in {found_on} {'is' if n == 1 else 'are'} too few"


_IDENTITY_SHARE = 1e-3
_EPSILON = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_BELOW_ONE = float(np.nextafter(1, 0))


Knots = Annotated[tuple[Share, ...], Field(min_length=1, max_length=100_000)]
Temperature = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


class Steps(Record):
    """A monotone map of probabilities: straight lines between the knots (`x`, `y`), flat beyond them, mixed with a
    little of the identity, so that it rises everywhere and keeps every order."""

    x: Knots
    y: Knots

    def __call__(self, prob: Floats) -> Floats:
        """Map probabilities of any shape."""
        p = np.clip(prob, 0, 1)
        out: Floats = (1 - _IDENTITY_SHARE) * np.interp(p, self.x, self.y) + _IDENTITY_SHARE * p
        return out


UNCHANGED = Steps((0.0, 1.0), (0.0, 1.0))


class Calibration(Record):
    """How probabilities are corrected.

    `temperatures` has one value for exclusive tasks, else one per label (C,); `maps` likewise; both are empty for
    "none". `intercepts` (C,) are added to log-odds divided by the temperature, for labels whose positives were
    weighed in training; empty where none is. `notes` say, "label: reason", what was left as it was.
    """

    kind: Kind = "none"
    temperatures: Annotated[tuple[Temperature, ...], Field(max_length=10_000)] = ()
    maps: Annotated[tuple[Steps, ...], Field(max_length=10_000)] = ()
    notes: Notes = ()
    intercepts: Annotated[tuple[Finite, ...], Field(max_length=10_000)] = ()

    def apply(self, task: Task, prob: Floats) -> Floats:
        """Correct (N, C) probabilities; rows of exclusive tasks sum to 1.

        The order of the labels of an image (exclusive tasks) and of the images of a label (multi-label) stays.
        PredictionsError for the calibration of another task.
        """
        found = {"temperature": self.temperatures, "isotonic": self.maps}.get(self.kind)
        wanted = 1 if task.exclusive else len(task.labels)
        if found is not None and len(found) != wanted:
            raise PredictionsError(
                f"A calibration of {len(task.labels)} labels needs {wanted} {self.kind} value{'s' * (wanted > 1)}, "
                f"{len(found)} came.",
                "Take the decision that was made for this model.",
            )
        if self.intercepts and (task.exclusive or len(self.intercepts) != wanted):
            raise PredictionsError(
                f"One intercept for each of {len(task.labels)} findings was expected, {len(self.intercepts)} came.",
                "Take the decision that was made for this model.",
            )
        if self.kind == "temperature":
            return _apply_temperature(task, prob, np.array(self.temperatures), np.array(self.intercepts or (0.0,)))
        if self.kind == "isotonic":
            return _apply_maps(task, prob, self.maps)
        return prob

    @property
    def changes_nothing(self) -> bool:
        """Whether probabilities stay as they are."""
        return (
            all(t == 1 for t in self.temperatures)
            and not any(self.intercepts)
            and all(steps == UNCHANGED for steps in self.maps)
        )

    @property
    def at_bound(self) -> tuple[int, ...]:
        """Places of the temperatures that are as high as they may be, within rounding."""
        return tuple(k for k, t in enumerate(self.temperatures) if t >= MAX_TEMPERATURE * 0.999)


UNCALIBRATED = Calibration()


def find_calibration(
    task: Task,
    y_val: Indicators,
    prob_val: Floats,
    kind: Kind = "temperature",
    found_on: str = "val",
    *,
    groups: Groups = None,
    epoch_chosen: bool = False,
    known: KnownLabels = None,
) -> Calibration:
    """Fit a calibration to (N, C) truth and probabilities of val, or of what `found_on` names in the notes.

    "temperature" minimises the log loss (Guo et al., ICML 2017): for exclusive tasks the one T of p ** (1 / T),
    normalised; for multi-label one T per label, that log-odds are divided by, and with it an intercept (Platt 1999)
    where that helps more. The logarithm of T is shrunk to 0 by a normal prior, and T is 1 or more where the answers
    also chose the epoch (`epoch_chosen`): they then look better than others will. "isotonic" (Zadrozny and Elkan, KDD
    2002) fits a monotone map per label; for exclusive tasks one map of all (image, label) pairs, then normalised.

    Each is kept only where it lowers the log loss of images that it was not fitted on by more than a standard error
    (`intervals.exceeds_error`); else, and where val cannot tune a label, it stays as it is, and a note says so. The
    images of one of `groups`, such as a patient, are in one fold and count as one; of patients who are not known by
    name they count as the design effect says. A label is fitted on the images of which it is `known` (N, C).
    UnknownNameError for another kind.
    """
    if kind not in KINDS:
        raise UnknownNameError("calibration", kind, KINDS)
    if kind == "none":
        return UNCALIBRATED
    held_out = _HeldOut(number_units(len(y_val), groups), groups, found_on, epoch_chosen)
    if task.exclusive:
        fits, notes = _fit_together(task, y_val, prob_val, kind, held_out)
    else:
        fits, notes = _fit_per_label(task, y_val, prob_val, kind, held_out, known)
    if kind == "isotonic":
        return Calibration(kind, maps=tuple(fit.steps for fit in fits), notes=notes)
    intercepts = tuple(fit.intercept for fit in fits)
    temperatures = tuple(fit.temperature for fit in fits)
    return Calibration(kind, temperatures, notes=notes, intercepts=intercepts if any(intercepts) else ())


@dataclass(frozen=True)
class _Fit:
    """One correction: a temperature with an intercept, or a map."""

    temperature: float = 1.0
    intercept: float = 0.0
    steps: Steps = UNCHANGED


_NO_CHANGE = _Fit()
Fitting = Callable[[NDArray[np.int64]], _Fit]
Losses = Callable[[_Fit], Floats]
Fits = tuple[list[_Fit], tuple[str, ...]]


@dataclass(frozen=True)
class _HeldOut:
    """What is known of held-out answers: the number of the unit of each (N,), what units are, their name, whether
    they chose the epoch."""

    unit: NDArray[np.int64]
    groups: Groups
    called: str
    epoch_chosen: bool

    @property
    def lowest(self) -> float:
        """The lowest logarithm of a temperature."""
        return 0.0 if self.epoch_chosen else -float(np.log(MAX_TEMPERATURE))

    @property
    def no_gain(self) -> str:
        """Say that a correction did not help."""
        return (
            f"it did not lower the log loss of images of {self.called} held out by more than its standard error; "
            "left as it is"
        )

    def of(self, rows: NDArray[np.bool_] | slice) -> "_HeldOut":
        """Give what is known of some of them."""
        if isinstance(rows, slice):
            return self
        return replace(self, unit=self.unit[rows], groups=select_groups(self.groups, rows))

    def weight(self, rows: NDArray[np.int64]) -> float:
        """Give the weight of an image in the likelihood of `rows`, in which a unit counts once: images of a patient
        say little more than one."""
        return len(np.unique(self.unit[rows])) / max(1, len(rows)) / design_effect(self.groups)

    def gains(self, fittings: list[Fitting], losses: Losses, key: Floats) -> Floats:
        """(F, N): how much each fit lowers the log loss of each image, by fits to other folds of whole units."""
        fold, before, out = folds_by_value(key, self.unit), losses(_NO_CHANGE), []
        for fitting in fittings:
            after = before.copy()
            for number in range(FOLDS):
                inside = fold == number
                if inside.any() and not inside.all():
                    after[inside] = losses(fitting(np.flatnonzero(~inside)))[inside]
            out.append(before - after)
        return np.array(out)

    def helps(self, gains: Floats) -> bool:
        """Say whether the mean of gains (N,) is above 0 by more than its standard error."""
        mean = float(gains.mean()) if len(gains) else 0.0
        return exceeds_error(mean, (gains - mean) / max(len(gains), 1), self.groups)

    def fit_to_all(self, fitting: Fitting, losses: Losses) -> tuple[_Fit, str]:
        """Fit to all answers, and say what is to be known about it."""
        fit, before = fitting(np.arange(len(self.unit))), losses(_NO_CHANGE)
        if not losses(fit).mean() <= before.mean():
            return _NO_CHANGE, self.no_gain
        most = f"{MAX_TEMPERATURE:g}"
        at_bound = f"{self.called} asks for a temperature of {most} or more; {most} is taken"
        return fit, at_bound if fit.temperature >= MAX_TEMPERATURE * 0.999 else ""


def _fit_together(task: Task, y: Indicators, prob: Floats, kind: Kind, held_out: _HeldOut) -> Fits:
    """Fit one correction to all labels of an exclusive task."""
    units = count_units(len(y), held_out.groups)
    if units < FEWEST:
        few = f"{counted(units, unit_noun(held_out.groups))} in {held_out.called}: too few to calibrate"
        return [_NO_CHANGE], (f"all: {few}; left as they are",)

    def temperature(rows: NDArray[np.int64]) -> _Fit:
        return _fit_temperature(y[rows], log_probability(prob[rows]), held_out.weight(rows), held_out.lowest)

    def isotonic(rows: NDArray[np.int64]) -> _Fit:
        return _fit_isotonic(y[rows].ravel(), prob[rows].ravel())

    def losses(fit: _Fit) -> Floats:
        moved = (
            _apply_maps(task, prob, (fit.steps,))
            if kind == "isotonic"
            else _apply_temperature(task, prob, np.array([fit.temperature]), np.zeros(1))
        )
        return log_losses(y, moved, exclusive=True)

    fitting = isotonic if kind == "isotonic" else temperature
    fit, why = _NO_CHANGE, held_out.no_gain
    if held_out.helps(held_out.gains([fitting], losses, prob.max(axis=1))[0]):
        fit, why = held_out.fit_to_all(fitting, losses)
    return [fit], (f"all: {why}",) if why else ()


def _fit_per_label(
    task: Task, y: Indicators, prob: Floats, kind: Kind, held_out: _HeldOut, known: KnownLabels
) -> Fits:
    own, why = dict[int, tuple[list[Fitting], Losses, Floats]](), dict[int, str]()
    for c in range(len(task.labels)):
        rows = among(known, c)
        truth, p, inside = y[rows, c], prob[rows, c], held_out.of(rows)
        if too_few(truth, inside.groups):
            why[c] = f"{how_few(truth, held_out.called, inside.groups)} to calibrate; left as it is"
        elif np.ptp(p) == 0:
            why[c] = f"every image of {held_out.called} has the same probability; left as it is"
        else:
            fittings, losses = _fittings_of(truth, p, kind, inside)
            gains = inside.gains(fittings, losses, p)
            own[c] = fittings, losses, gains if known is None else _scattered(gains, known[:, c])
    fits = [_NO_CHANGE] * len(task.labels)
    # All labels together say whether a temperature alone or an intercept too helps; a few positives each say little.
    together = np.sum([gains for *_, gains in own.values()], axis=0) if own else np.zeros((1, len(y)))
    best = int(np.argmax(together.sum(axis=1)))
    helps = held_out.helps(together[best])
    for c, (fittings, losses, gains) in own.items():
        why[c] = held_out.no_gain
        if helps and gains[best].sum() > 0:
            fits[c], why[c] = held_out.of(among(known, c)).fit_to_all(fittings[best], losses)
    return fits, tuple(f"{task.labels[c]}: {why[c]}" for c in sorted(why) if why[c])


def _scattered(gains: Floats, known: NDArray[np.bool_]) -> Floats:
    """Put gains (F, M) of the images of which a label is known among all, (F, N); the others gain nothing."""
    out = np.zeros((len(gains), len(known)))
    out[:, known] = gains
    return out


def _fittings_of(y: Indicators, prob: Floats, kind: Kind, held_out: _HeldOut) -> tuple[list[Fitting], Losses]:
    """Give what may be fitted to the truth and probabilities (N,) of a label, and the losses (N,) of a fit."""
    if kind == "isotonic":
        return [lambda rows: _fit_isotonic(y[rows], prob[rows])], lambda fit: pair_losses(y, fit.steps(prob))
    z = logit(prob)

    def scaled(rows: NDArray[np.int64], with_intercept: bool) -> _Fit:
        return _fit_slope(y[rows], z[rows], held_out.weight(rows), held_out.lowest, with_intercept)

    def losses(fit: _Fit) -> Floats:
        return pair_losses(y, sigmoid(z / fit.temperature + fit.intercept))

    return [lambda rows: scaled(rows, False), lambda rows: scaled(rows, True)], losses


def folds_by_value(value: Floats, unit: NDArray[np.int64]) -> NDArray[np.int64]:
    """Assign images to `FOLDS` folds by `data.folds.assign_folds_by_value`."""
    from penlight.data.folds import assign_folds_by_value  # for fitting alone; answering reads this module too

    return assign_folds_by_value(value, unit, FOLDS)


def log_losses(y: Indicators, prob: Floats, exclusive: bool) -> Floats:
    """(N,) log loss of each image, natural logarithm: of its true class, or the mean over its labels.

    Probabilities are kept the epsilon of 64-bit floats, 2.2e-16, away from 0 and 1, as scikit-learn does.
    """
    if exclusive:
        out: Floats = -(y * np.log(np.clip(prob, _EPSILON, 1 - _EPSILON))).sum(axis=1)
        return out
    per_image: Floats = pair_losses(y, prob).mean(axis=1)
    return per_image


def pair_losses(y: Indicators, prob: Floats) -> Floats:
    """Give the log loss of each pair of image and label, of truth and probabilities of any one shape."""
    p = np.clip(prob, _EPSILON, 1 - _EPSILON)
    out: Floats = -np.where(y == 1, np.log(p), np.log1p(-p))
    return out


def _fit_temperature(y: Indicators, log_p: Floats, share: float, lowest: float) -> _Fit:
    """Find the T of the lowest sum of the log loss of (N, C) truth, each image of weight `share`, and the penalty of
    log T."""
    from scipy.optimize import minimize_scalar

    def loss(u: float) -> float:
        z = log_p * np.exp(-u)
        shifted = z - z.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(shifted).sum(axis=1))
        penalty: float = u**2 / (2 * _PRIOR_SD**2)
        return share * float((log_sum - (y * shifted).sum(axis=1)).sum()) + penalty

    bounds = (lowest, float(np.log(MAX_TEMPERATURE)))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return _Fit(float(np.exp(found.x)))


def _fit_slope(y: Indicators, z: Floats, share: float, lowest: float, with_intercept: bool) -> _Fit:
    """Fit log-odds z / T + b to the truth (N,), both with their priors; b is 0 without intercept.

    By Newton's method in (log T, b): a general optimiser takes ten times as long, and this is fitted to every label
    and fold.
    """
    low, high = lowest, float(np.log(MAX_TEMPERATURE))

    def loss(at: Floats) -> tuple[float, Floats, Floats]:
        """Value, gradient (2,) and Hessian (2, 2)."""
        sloped = np.exp(-at[0]) * z
        raised = sloped + at[1]
        off = sigmoid(raised) - y
        spread = np.abs(off) * (1 - np.abs(off))
        value = share * float(np.logaddexp(0, np.where(y == 1, -raised, raised)).sum())
        gradient = share * np.array([-(off @ sloped), off.sum()])
        bend, cross = float(spread @ sloped**2), -float(spread @ sloped)
        # Far from the best T the loss may curve down; without this term it never does.
        turn = max(float(off @ sloped), 0.0)
        hessian = share * np.array([[bend + turn, cross], [cross, float(spread.sum())]])
        precision = np.array([_PRIOR_SD, _INTERCEPT_SD]) ** -2.0
        return value + float(precision @ at**2) / 2, gradient + precision * at, hessian + np.diag(precision)

    at = np.array([max(low, 0.0), 0.0])
    value, gradient, hessian = loss(at)
    for _ in range(_NEWTON_STEPS):
        at_end = (at[0] <= low and gradient[0] > 0) or (at[0] >= high and gradient[0] < 0)
        free = np.flatnonzero([not at_end, with_intercept])
        if not len(free) or np.abs(gradient[free]).max() < _FLAT:
            break
        step = np.zeros(2)
        step[free] = -np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        for shorter in 0.5 ** np.arange(40):
            moved = at + shorter * step
            moved[0] = np.clip(moved[0], low, high)
            after = loss(moved)
            if after[0] < value:
                break
        else:
            break
        at, (value, gradient, hessian) = moved, after
    return _Fit(float(np.exp(at[0])), float(at[1]))


def _apply_temperature(task: Task, prob: Floats, temperatures: Floats, intercepts: Floats) -> Floats:
    same = (temperatures == 1) & (intercepts == 0)
    if same.all():
        return prob
    if task.exclusive:
        return _same_answer(prob, softmax(np.log(np.maximum(prob, _TINY)) / temperatures))
    # Log-odds that keep the order of probabilities as small as floats go.
    p = np.clip(prob, _TINY, _BELOW_ONE)
    return np.where(same, prob, sigmoid((np.log(p) - np.log1p(-p)) / temperatures + intercepts))


def _apply_maps(task: Task, prob: Floats, maps: tuple[Steps, ...]) -> Floats:
    if all(steps == UNCHANGED for steps in maps):
        return prob
    if task.exclusive:
        raised = maps[0](prob)
        return _same_answer(prob, raised / raised.sum(axis=1, keepdims=True))
    columns = [p if steps == UNCHANGED else steps(p) for steps, p in zip(maps, prob.T, strict=True)]
    return np.stack(columns, axis=1)


def _same_answer(before: Floats, after: Floats) -> Floats:
    """Keep the most probable label of each row where rounding made it equal to another."""
    rows = np.arange(len(before))
    answer = np.argmax(before, axis=1)
    tied = np.argmax(after, axis=1) != answer
    after[rows[tied], answer[tied]] = np.nextafter(after[tied].max(axis=1), np.inf)
    return after


def _fit_isotonic(y: Indicators, prob: Floats) -> _Fit:
    """Fit the monotone map; (M,) truth and probabilities. M images cannot tell a probability from 0 or 1 beyond
    1 / (M + 2), Laplace's rule of succession, so the map ends there."""
    from sklearn.isotonic import IsotonicRegression

    low = 1 / (len(y) + 2)
    fitted = IsotonicRegression(y_min=low, y_max=1 - low, out_of_bounds="clip").fit(prob, y.astype(float))
    return _Fit(steps=Steps(tuple(map(float, fitted.X_thresholds_)), tuple(map(float, fitted.y_thresholds_))))
