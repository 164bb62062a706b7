"""How probabilities become answers: thresholds, found on val alone and kept with the run."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.errors import RecipeError, UnknownNameError
from penlight.tasks import Task

Floats = NDArray[np.float64]

THRESHOLD_RULES = ("fixed", "f1", "youden", "sensitivity", "specificity")

FEWEST = 5
"""A label with fewer positives or negatives than this in val is not tuned; it takes the fallback."""


@dataclass(frozen=True)
class Decision:
    """What turns probabilities into answers.

    `thresholds` (C,), None for tasks that answer by the most probable class; `notes` says, for a label, why its
    threshold is not what was asked for.
    """

    thresholds: tuple[float, ...] | None = None
    temperature: float = 1.0
    found_on: str = "val"
    notes: tuple[str, ...] = ()

    def decide(self, task: Task, prob: Floats) -> NDArray[np.uint8]:
        """Turn (N, C) probabilities into (N, C) zeros and ones."""
        return task.decide(prob, None if self.thresholds is None else np.array(self.thresholds))

    def to_dict(self) -> dict[str, Any]:
        """Give the decision for JSON."""
        return asdict(self)


def decision_from_dict(values: dict[str, Any]) -> Decision:
    """Read what `Decision.to_dict` gave."""
    cuts = values["thresholds"]
    return Decision(
        None if cuts is None else tuple(float(t) for t in cuts),
        float(values["temperature"]),
        str(values["found_on"]),
        tuple(values["notes"]),
    )


def find_decision(
    task: Task,
    y_val: NDArray[np.uint8],
    prob_val: Floats,
    prevalence: Floats,
    *,
    rule: str = "fixed",
    wanted: float | None = None,
) -> Decision:
    """Choose a threshold per label on val: (N, C) truth and probabilities; `prevalence` (C,) is the share in train.

    "fixed" is 0.5 (or `wanted`); "f1" and "youden" maximise F1 or sensitivity + specificity - 1; "sensitivity" is the
    highest threshold that reaches `wanted`, "specificity" the lowest. A label that val cannot tune takes the
    threshold above which val has as many images as train has positives, and a note says so.
    """
    if rule not in THRESHOLD_RULES:
        raise UnknownNameError("threshold rule", rule, THRESHOLD_RULES)
    if rule in ("sensitivity", "specificity") and (wanted is None or not 0 < wanted <= 1):
        raise RecipeError(f"Thresholds by {rule} need the wanted value, above 0 and at most 1; {wanted} came.")
    if not task.uses_thresholds:
        return Decision()
    if rule == "fixed":
        return Decision((0.5 if wanted is None else wanted,) * len(task.labels))
    cuts, notes = [], []
    for c, label in enumerate(task.labels):
        positives = int(y_val[:, c].sum())
        if min(positives, len(y_val) - positives) < FEWEST:
            cuts.append(float(np.quantile(prob_val[:, c], 1 - prevalence[c])))
            notes.append(f"{label}: {positives} positive in val is too few to tune; cut at the prevalence in train")
        else:
            cuts.append(_best_cut(y_val[:, c], prob_val[:, c], rule, wanted))
    return Decision(tuple(cuts), notes=tuple(notes))


def _best_cut(y: NDArray[np.uint8], prob: Floats, rule: str, wanted: float | None) -> float:
    """Choose among the midpoints between distinct probabilities; answers are positive above the cut."""
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
    cuts = np.r_[values[0] / 2, (values[1:] + values[:-1]) / 2, (values[-1] + 1) / 2]
    sensitivity = true_positive / positive.sum()
    specificity = 1 - (called - true_positive) / (total - positive).sum()
    return cuts, sensitivity, specificity, 2 * true_positive / (called + positive.sum())
