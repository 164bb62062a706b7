"""Probabilities that mean what they say: fitted on val, applied to whatever the model says later.

Works on probabilities alone, so that predictions made by anybody are calibrated by the same lines. N images, C
labels.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penlight.errors import PredictionsError, UnknownNameError
from penlight.tasks import Task
from penlight.tasks.base import log_probability, logit, sigmoid, softmax

if TYPE_CHECKING:
    from penlight.records.run import CalibrationRecord

Floats = NDArray[np.float64]
Indicators = NDArray[np.uint8]

KINDS = ("temperature", "isotonic", "none")

FEWEST = 5
"""A label with fewer positives or negatives than this in val is not tuned."""

HOTTEST = 8.0
"""Temperatures lie between 1 / HOTTEST and HOTTEST."""


def too_few(y: NDArray[np.generic]) -> bool:
    """Whether (N,) labels of val have fewer than `FEWEST` positives or negatives."""
    positives = int(y.sum())
    return min(positives, len(y) - positives) < FEWEST


_IDENTITY_SHARE = 1e-3
_TINY = float(np.finfo(np.float64).tiny)
_BELOW_ONE = float(np.nextafter(1, 0))


@dataclass(frozen=True)
class Steps:
    """A monotone map of probabilities: straight lines between the knots (`x`, `y`), flat beyond them, mixed with a
    little of the identity, so that it rises everywhere and keeps every order."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, prob: Floats) -> Floats:
        """Map probabilities of any shape."""
        p = np.clip(prob, 0, 1)
        out: Floats = (1 - _IDENTITY_SHARE) * np.interp(p, self.x, self.y) + _IDENTITY_SHARE * p
        return out


UNCHANGED = Steps((0.0, 1.0), (0.0, 1.0))


@dataclass(frozen=True)
class Calibration:
    """How probabilities are corrected.

    `temperatures` has one value for exclusive tasks, else one per label (C,); `maps` likewise; both are empty for
    "none". `notes` say, "label: reason", what was left as it was.
    """

    kind: str = "none"
    temperatures: tuple[float, ...] = ()
    maps: tuple[Steps, ...] = ()
    notes: tuple[str, ...] = ()

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
        if self.kind == "temperature":
            return _cooled(task, prob, np.array(self.temperatures))
        if self.kind == "isotonic":
            return _mapped(task, prob, self.maps)
        return prob

    def to_dict(self) -> dict[str, Any]:
        """Give the calibration for JSON."""
        return asdict(self)


UNCALIBRATED = Calibration()


def calibration_of(values: "CalibrationRecord") -> Calibration:
    """Give the calibration that a decision holds, which was checked as it was read."""
    maps = tuple(Steps(steps.x, steps.y) for steps in values.maps)
    return Calibration(values.kind, values.temperatures, maps, values.notes)


def find_calibration(
    task: Task, y_val: Indicators, prob_val: Floats, kind: str = "temperature", found_on: str = "val"
) -> Calibration:
    """Fit a calibration to (N, C) truth and probabilities of val, or of what `found_on` names in the notes.

    "temperature" minimises the log loss (Guo et al., ICML 2017): for exclusive tasks the one T of
    p ** (1 / T), normalised; for multi-label one T per label, that log-odds are divided by. "isotonic" (Zadrozny and
    Elkan, KDD 2002) fits a monotone map per label; for exclusive tasks one map of all (image, label) pairs, then
    normalised. A label that val cannot tune stays as it is, and a note says so. UnknownNameError for another kind.
    """
    if kind not in KINDS:
        raise UnknownNameError("calibration", kind, KINDS)
    if kind == "none":
        return UNCALIBRATED
    if task.exclusive:
        return _fitted_together(task, y_val, prob_val, kind, found_on)
    return _fitted_per_label(task, y_val, prob_val, kind, found_on)


def _fitted_together(task: Task, y: Indicators, prob: Floats, kind: str, found_on: str) -> Calibration:
    temperature, steps, why = 1.0, UNCHANGED, ""
    if len(y) < FEWEST:
        why = f"{len(y)} images in {found_on} are too few to calibrate; left as they are"
    elif kind == "isotonic":
        steps = _isotonic(y.ravel(), prob.ravel())
    else:
        temperature, why = _temperature_together(task, y, prob)
    notes = (f"all: {why}",) if why else ()
    return _calibration(kind, [temperature], [steps], notes)


def _fitted_per_label(task: Task, y: Indicators, prob: Floats, kind: str, found_on: str) -> Calibration:
    temperatures, maps, notes = [], [], []
    for c, label in enumerate(task.labels):
        positives = int(y[:, c].sum())
        temperature, steps, why = 1.0, UNCHANGED, ""
        if too_few(y[:, c]):
            few, what = (positives, "positive") if 2 * positives <= len(y) else (len(y) - positives, "negative")
            why = f"{few} {what} in {found_on} is too few to calibrate; left as it is"
        elif kind == "isotonic":
            steps = _isotonic(y[:, c], prob[:, c])
        else:
            temperature, why = _temperature_of_label(y[:, c], prob[:, c])
        temperatures.append(temperature)
        maps.append(steps)
        notes += [f"{label}: {why}"] if why else []
    return _calibration(kind, temperatures, maps, notes)


def _calibration(kind: str, temperatures: list[float], maps: list[Steps], notes: Iterable[str]) -> Calibration:
    """Keep what belongs to the kind."""
    if kind == "isotonic":
        return Calibration(kind, maps=tuple(maps), notes=tuple(notes))
    return Calibration(kind, tuple(temperatures), notes=tuple(notes))


def log_losses(y: Indicators, prob: Floats, exclusive: bool) -> Floats:
    """(N,) log loss of each image, natural logarithm: of its true class, or the mean over its labels.

    Probabilities are kept 1e-12 away from 0 and, where labels are not exclusive, from 1.
    """
    if exclusive:
        out: Floats = -(y * log_probability(prob)).sum(axis=1)
        return out
    per_image: Floats = _pair_losses(y, prob).mean(axis=1)
    return per_image


def _pair_losses(y: Indicators, prob: Floats) -> Floats:
    z = logit(prob)
    out: Floats = np.logaddexp(0, np.where(y == 1, -z, z))
    return out


def _temperature(slope: Callable[[float], float], loss: Callable[[float], float]) -> tuple[float, str]:
    """Give the T of the lowest `loss`, and why it is not inside its range.

    The log loss is convex in 1 / T, so its derivative by 1 / T, `slope`, has one zero. Where val would have
    probabilities sharpened without end, as when every answer is right, they stay as they are: nothing would bound the
    claim.
    """
    sharpest, flattest = HOTTEST, 1 / HOTTEST
    if slope(sharpest) < 0:
        return 1.0, "val bounds no temperature from below; left as it is"
    if slope(flattest) > 0:
        return HOTTEST, f"val asks for a temperature above {HOTTEST:g}; {HOTTEST:g} is taken"
    from scipy.optimize import brentq

    temperature = 1 / float(brentq(slope, flattest, sharpest, xtol=1e-9))
    return (temperature, "") if loss(temperature) <= loss(1.0) else (1.0, "")


def _temperature_together(task: Task, y: Indicators, prob: Floats) -> tuple[float, str]:
    log_p = log_probability(prob)
    of_truth = float((y * log_p).sum())

    def slope(inverse: float) -> float:
        return float((softmax(inverse * log_p) * log_p).sum()) - of_truth

    def loss(temperature: float) -> float:
        return float(log_losses(y, _cooled(task, prob, np.array([temperature])), exclusive=True).sum())

    return _temperature(slope, loss)


def _temperature_of_label(y: Indicators, prob: Floats) -> tuple[float, str]:
    z = logit(prob)

    def slope(inverse: float) -> float:
        return float(((sigmoid(inverse * z) - y) * z).sum())

    def loss(temperature: float) -> float:
        return float(_pair_losses(y, sigmoid(_log_odds(prob) / temperature)).sum())

    return _temperature(slope, loss)


def _log_odds(prob: Floats) -> Floats:
    """Log-odds that keep the order of probabilities as small as floats go."""
    p = np.clip(prob, _TINY, _BELOW_ONE)
    out: Floats = np.log(p) - np.log1p(-p)
    return out


def _cooled(task: Task, prob: Floats, temperatures: Floats) -> Floats:
    if (temperatures == 1).all():
        return prob
    if task.exclusive:
        return _same_answer(prob, softmax(np.log(np.maximum(prob, _TINY)) / temperatures))
    return np.where(temperatures == 1, prob, sigmoid(_log_odds(prob) / temperatures))


def _mapped(task: Task, prob: Floats, maps: tuple[Steps, ...]) -> Floats:
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


def _isotonic(y: Indicators, prob: Floats) -> Steps:
    """Fit the monotone map; (M,) truth and probabilities. M images cannot tell a probability from 0 or 1 beyond
    1 / (M + 2), Laplace's rule of succession, so the map ends there."""
    from sklearn.isotonic import IsotonicRegression

    low = 1 / (len(y) + 2)
    fitted = IsotonicRegression(y_min=low, y_max=1 - low, out_of_bounds="clip").fit(prob, y.astype(float))
    return Steps(tuple(map(float, fitted.X_thresholds_)), tuple(map(float, fitted.y_thresholds_)))
