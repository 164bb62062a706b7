"""The plan's ladder: models of rising cost, compared by cross-validation on train, and the simplest good one kept.

Each candidate answers images of train that it was not fitted to. The best is that with the highest headline metric;
the cheapest that is at most one standard error of their difference behind it is kept (the rule of Breiman et al.,
Classification and Regression Trees, 1984, 3.4.3, paired by image or patient). Val and test are not read: val says
later whether what was chosen is better than the linear baseline. What was answered is kept in the cache, so that a
stopped plan goes on where it was, and a second one is the same.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data import ViewedDataset, ViewedSplit
from penlight.data.folds import image_groups
from penlight.errors import PenlightError
from penlight.evaluation import Sample
from penlight.evaluation.comparison import margin
from penlight.evaluation.metrics import METRICS, metric_words
from penlight.experiments.cache import Arrays, about_view, once
from penlight.experiments.progress import ProgressListener
from penlight.models.backend import forget_networks
from penlight.models.blas import one_blas_thread
from penlight.models.encoder_file import encoders_here
from penlight.models.ensemble import weigh
from penlight.models.feature_classifiers import prob_of, scores_of
from penlight.models.handcrafted_features import LEAST_SIDE
from penlight.numbers import counted, decimal_text
from penlight.recipes import Encoded, Ensemble, Kernel, Linear, Majority, Member, Recipe, Scratch, Train
from penlight.recipes.plan import FEW, SMALL_SET_BUDGET, SOME, ComparedCandidate, Reason, TrainingPlan
from penlight.runs import versions
from penlight.tasks import Task
from penlight.tasks.base import select_known
from penlight.training import fit
from penlight.training.folds import can_judge, deal
from penlight.training.timing import encoder_seconds

FOLDS = 5
"""Of more than `SOME` images one fold of as many is enough."""

MOST_ENCODERS = 3
"""So many encoders are tried, in the order of their names."""

_SHARE_OF_ENCODERS = 0.5
"""An encoder whose features would take more than this share of the budget is left out."""

_LEAST_SHARE = 0.05
"""A member with a smaller share of the weight of an ensemble is not worth its cost."""

_SECONDS_OF_KERNEL = 0.008
"""For each image: handcrafted features, and a kernel on them."""

_WORTH = 100.0
"""Equal weights of an ensemble count as much as this many images, which matters where there are few: found on half of
the groups of RetinaMNIST or NIH-1000, an ensemble is ahead of the best member on the other half by 0.002 to 0.008 in
AUC, with 1, 100 or 300 alike; equal weights are behind it."""

STARTS = 3
"""The network of an ensemble is trained so many times for up to `SOME` images, where the budget allows it."""

_RESAMPLES = 400

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class _Candidate:
    """A model that is compared: its `name` in tables, its recipe, how many of the folds it answers, and how many
    seconds of this machine its training on all of train is expected to take."""

    name: str
    recipe: Recipe
    folds: int
    seconds: float

    @property
    def is_network(self) -> bool:
        """Whether it has epochs."""
        return isinstance(self.recipe.model, Scratch)


@dataclass(frozen=True)
class _Division:
    """Train of a view in folds: `number` (N,) in 0..count-1, -1 for images that are always trained on; `groups` (N,)
    are never divided. `about` says for the cache what was divided, and how."""

    view: ViewedDataset
    task: Task
    number: Numbers
    groups: Numbers
    count: int

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the answers to a fold follow from beside the recipe and the number of the fold."""
        return {"what": "out of fold", "folds": self.number.tolist(), "versions": versions(), **about_view(self.view)}

    @property
    def share(self) -> float:
        """The share of train that a fold is trained on."""
        return 1 - 1 / self.count


@one_blas_thread()
def climb(base: TrainingPlan, view: ViewedDataset, listener: ProgressListener) -> TrainingPlan:
    """Compare the network of a plan with simpler models, and with all of them together: give the plan of what is
    kept, or the same plan with the reason why there was nothing to compare."""
    recipe = base.recipe
    divided = _divide(view, view.task.with_head(head=recipe.data.head, rule=recipe.decide.rule))
    if isinstance(divided, str):
        return _not_compared(base, divided)
    encoders, reasons = _encoders(base, view)
    listed = _listed(base, divided, encoders)
    if not listed[-1].folds:
        why = (
            f"Training the network takes {decimal_text(base.seconds, 0)} s here, and not even one fold more fits "
            f"into the budget of {base.fingerprint.budget:g} s, so val alone says whether it is better than the "
            "linear baseline."
        )
        return _not_compared(base, why, "none: the budget is too short")
    prob: dict[str, Floats] = {}
    seconds: dict[str, float] = {}
    for candidate in listed:
        try:
            prob[candidate.name], seconds[candidate.name] = _out_of_fold(candidate, divided, listener)
        except PenlightError as error:
            reasons.append(Reason(candidate.name, "left out", error.problem))
    rows = np.flatnonzero(np.isfinite(sum(prob.values())).all(axis=1))
    judged = _Judged(divided.task, view.splits["train"].part(rows), divided.number[rows], divided.groups[rows])
    if not judged.can_judge:
        metric = metric_words(divided.task.headline).short
        return _not_compared(
            base, f"The {counted(len(rows), 'image')} that all models answered cannot give {metric}."
        )
    prob = {name: own[rows] for name, own in prob.items()}
    made = _choose(base, judged, divided.share, [own for own in listed if own.name in prob], prob, seconds)
    return replace(made, reasons=(*reasons, *made.reasons))


def _not_compared(base: TrainingPlan, why: str, choice: str = "none: too few images") -> TrainingPlan:
    return replace(base, reasons=(Reason("comparison", choice, why), *base.reasons))


def _divide(view: ViewedDataset, task: Task) -> _Division | str:
    """Divide train into folds; say why where that cannot be done."""
    train, groups = view.splits["train"], image_groups(view, ("train",))
    units = len(np.unique(groups))
    count = min(FOLDS, units)
    what = counted(units, "image" if train.patients is None else "patient")
    few = f"{what} in train {'is' if units == 1 else 'are'} too few to compare models by cross-validation"
    if count < 2:
        return f"{few}."
    number = deal(train.y_true, groups, count, 0, fewest=count)
    judged = number >= 0
    if not can_judge(task, train.y_true[judged], select_known(train.known, judged)):
        return f"{few}: with every label in each fold, those left cannot give {metric_words(task.headline).short}."
    return _Division(view, task, number, groups, count)


def _encoders(base: TrainingPlan, view: ViewedDataset) -> tuple[list[tuple[Encoded, float]], list[Reason]]:
    """Find the encoders on disk that open without a question, each with the seconds that its features of
    all splits take; and the reasons of those that are left out."""
    opened, unusable = encoders_here()
    found: list[tuple[Encoded, float]] = []
    reasons = [Reason(name, "left out", error.text) for name, error in unusable.items()]
    images = sum(len(split) for split in view.splits.values())
    for encoder in opened:
        name = encoder.path.name
        try:
            seconds = images * encoder_seconds(encoder, view) / base.fingerprint.cores_counted
        except PenlightError as error:
            reasons.append(Reason(name, "left out", error.problem))
            continue
        if seconds > _SHARE_OF_ENCODERS * base.fingerprint.budget:
            took = f"Its features of {images:,} images would take {decimal_text(seconds, 0)} s"
            reasons.append(Reason(name, "left out", f"{took}, more than half of the budget."))
        elif len(found) == MOST_ENCODERS:
            reasons.append(Reason(name, "left out", f"{MOST_ENCODERS} encoders are compared at most."))
        else:
            found.append((Encoded(weights=name, sha256=encoder.sha256), seconds))
    return found, reasons


def _listed(base: TrainingPlan, divided: _Division, encoders: Sequence[tuple[Encoded, float]]) -> list[_Candidate]:
    """List the candidates by rising cost; the network is the last."""
    f, recipe = base.fingerprint, base.recipe
    folds = divided.count if f.images["train"] <= SOME else 1
    listed = [
        _Candidate("majority", recipe.model_copy(update={"model": Majority(), "train": Train()}), folds, 0.0),
        _Candidate("linear", recipe.model_copy(update={"model": Linear(), "train": Train()}), folds, 0.0),
    ]
    if f.images["train"] <= FEW and f.size >= LEAST_SIDE:
        kernel = recipe.model_copy(update={"model": Kernel(), "train": Train()})
        listed.append(_Candidate("kernel", kernel, folds, _SECONDS_OF_KERNEL * f.images["train"]))
    for options, seconds in encoders:
        of_encoder = recipe.model_copy(update={"model": options, "train": Train()})
        listed.append(_Candidate(options.weights, of_encoder, folds, seconds))
    left = f.budget - sum(own.seconds for own in listed) - base.seconds
    of_network = max(0, min(folds, int(left / (divided.share * base.seconds))))
    if not of_network and f.images["train"] <= FEW:
        # A small set may take longer than the budget, as its plan says.
        of_network = int(left + (SMALL_SET_BUDGET - 1) * f.budget >= divided.share * base.seconds)
    # An epoch that was chosen on the images that judge would look better there than it is.
    train = recipe.train.model_copy(update={"keep": "last"})
    network = recipe.model_copy(update={"train": train})
    return [*listed, _Candidate(recipe.model.backbone, network, of_network, base.seconds)]


def _out_of_fold(candidate: _Candidate, divided: _Division, listener: ProgressListener) -> tuple[Floats, float]:
    """Answer the images of a candidate's folds by models that were fitted to the others: (N, C) probabilities of all
    of train, NaN where it says nothing, and the seconds of processor time that this takes."""
    prob, seconds = np.full(divided.view.splits["train"].y_true.shape, np.nan), 0.0
    for fold in range(candidate.folds):
        listener.on_step(f"Comparing models on train: {candidate.name}, fold {fold + 1} of {candidate.folds}")
        about = {**divided.about, "recipe": candidate.recipe.hash, "fold": fold}
        compute = partial(_fit_fold, candidate.recipe, divided, fold, listener)
        found = once(about, compute, lambda arrays: {name: arrays[name] for name in ("prob", "seconds")})
        prob[divided.number == fold] = found["prob"]
        seconds += float(found["seconds"])
    return prob, seconds


def _fit_fold(recipe: Recipe, divided: _Division, fold: int, listener: ProgressListener) -> Arrays:
    train, task, begun = divided.view.splits["train"], divided.task, time.process_time()
    parts = {"train": train.part(divided.number != fold), "val": train.part(divided.number == fold)}
    fitted = fit(recipe, replace(divided.view, splits=parts), task, 0, progress=listener.on_epoch)
    prob = task.probabilities(np.asarray(fitted.logits(parts["val"]), np.float64))
    if fitted.network is not None:
        # It looks through all of memory, which takes longer than fitting a linear model.
        forget_networks()
    return {"prob": prob, "seconds": np.array(time.process_time() - begun)}


@dataclass(frozen=True)
class _Judged:
    """The images of train that all candidates answered: their truth, the numbers of their folds and groups (n,)."""

    task: Task
    train: ViewedSplit
    number: Numbers
    groups: Numbers

    @property
    def can_judge(self) -> bool:
        """Whether the headline metric can be had of them."""
        return can_judge(self.task, self.train.y_true, self.train.known)

    def compare(self, prob: Mapping[str, Floats], seconds: Mapping[str, float]) -> list[ComparedCandidate]:
        """Compare what candidates say, (n, C) each, with what the best of them does."""
        y, known = self.train.y_true, self.train.known
        samples = {
            name: Sample(self.task, y, p, self.task.decide(p), fold=self.number, known=known)
            for name, p in prob.items()
        }
        compute, whole = METRICS[self.task.headline].compute, np.ones((1, len(y)))
        values = {name: float(compute(sample, whole)[0]) for name, sample in samples.items()}
        best = samples[max(values, key=lambda name: values[name])]
        ahead = {
            name: margin(best, sample, resamples=_RESAMPLES, groups=self.groups) for name, sample in samples.items()
        }
        return [
            ComparedCandidate(name, values[name], by.value, by.error, len(y), round(seconds[name], 1))
            for name, by in ahead.items()
        ]

    def weigh(self, scores: Floats, rows: NDArray[np.bool_] | None = None) -> Floats:
        """Find weights (M,) of members by their scores (M, n, C) of all images or some, 0 for members that add next
        to nothing."""
        rows = np.ones(len(self.groups), bool) if rows is None else rows
        y, known = self.train.y_true[rows], select_known(self.train.known, rows)
        kept = list(range(len(scores)))
        while True:
            given = np.full(len(kept), 1 / len(kept))
            found = weigh(scores[kept][:, rows], y, given, _WORTH, exclusive=self.task.exclusive, known=known)
            least = int(np.argmin(found))
            if len(kept) == 1 or found[least] >= _LEAST_SHARE * found.sum():
                break
            del kept[least]
        weights = np.zeros(len(scores))
        weights[kept] = found
        return weights

    def together(self, scores: Floats) -> Floats:
        """Give the probabilities (n, C) of members together, by weights that were found on images of other groups."""
        part = deal(self.train.y_true, self.groups, min(FOLDS, len(np.unique(self.groups))), 0, fewest=1)
        total = np.zeros(scores.shape[1:])
        for number in np.unique(part):
            rows = part == number
            total[rows] = np.tensordot(self.weigh(scores, ~rows), scores[:, rows], axes=1)
        return prob_of(total, exclusive=self.task.exclusive)


def _choose(
    base: TrainingPlan,
    judged: _Judged,
    share: float,
    listed: Sequence[_Candidate],
    prob: dict[str, Floats],
    seconds: dict[str, float],
) -> TrainingPlan:
    """Keep the first candidate that is at most a standard error behind the best, and say why."""
    members = [own for own in listed if own.name != "majority"]
    scores = np.stack([scores_of(prob[own.name], exclusive=judged.task.exclusive) for own in members])
    weights = judged.weigh(scores)
    together = [(own, float(weight)) for own, weight in zip(members, weights, strict=True) if weight]
    if len(together) > 1:
        prob["ensemble"] = judged.together(scores)
        seconds["ensemble"] = sum(seconds[own.name] for own, _ in together)
    table = judged.compare(prob, seconds)
    chosen = next(row for row in table if row.behind <= row.error or row.behind == 0)
    reasons = _reasons(table, chosen, metric_words(judged.task.headline).short)
    if chosen.name == "ensemble":
        starts = _starts(base, listed, share)
        recipe = _ensemble(base.recipe, together, starts)
        expected = sum(own.seconds * (starts if own.is_network else 1) for own, _ in together)
        said = ", ".join(f"{own.name} {decimal_text(weight, 2)}" for own, weight in together)
        reasons.append(Reason("weights", said, "They explain the answers out of fold best, from equal weights on."))
        if starts > 1:
            why = "Their mean is steadier than one network, and the budget has time for it."
            reasons.append(Reason("networks", f"{starts}, from other random weights each", why))
    else:
        kept = next(own for own in listed if own.name == chosen.name)
        recipe, expected = (base.recipe if kept is listed[-1] else kept.recipe), kept.seconds
    has_network = recipe.model == base.recipe.model or (chosen.name == "ensemble" and together[-1][0] is listed[-1])
    decide = recipe.decide.model_copy(update={"fallback": "linear-if-better"})
    why = "Cross-validation chose without val, which is asked once."
    fallback = Reason("fallback", "the linear baseline, where it is better on val", why)
    rest = [own for own in base.reasons if own.about != "fallback" and (has_network or own.about == "decision")]
    return replace(
        base,
        recipe=recipe.model_copy(update={"decide": decide}),
        reasons=(*reasons, *rest, fallback),
        seconds=expected,
        cut=base.cut if has_network else "",
        candidates=tuple(table),
    )


def _reasons(table: Sequence[ComparedCandidate], chosen: ComparedCandidate, metric: str) -> list[Reason]:
    """Say of each candidate how far it is behind the best, and which is kept."""
    best, said = next(row for row in table if row.behind == 0), []
    for row in table:
        choice = f"{metric} {decimal_text(row.score)}{', kept' if row is chosen else ''}"
        near = "the simplest within one" if row is chosen else "within one" if row.behind <= row.error else "further"
        far = f"{decimal_text(row.behind)} behind {best.name}, with a standard error of {decimal_text(row.error)}: "
        whole = f"The best of those compared, out of fold on {counted(row.images, 'image')} of train."
        said.append(Reason(row.name, choice, whole if row is best else f"{far}{near}."))
    return said


def _starts(base: TrainingPlan, listed: Sequence[_Candidate], share: float) -> int:
    """Count how often the network is trained in the end: once, or more often where there is time for it beside folds,
    each of which takes `share` of the training."""
    if base.fingerprint.images["train"] > SOME:
        return 1
    spent = sum(own.seconds * (share * own.folds if own.is_network else 1) for own in listed)
    return max(1, min(STARTS, int((base.fingerprint.budget - spent) / base.seconds)))


def _ensemble(recipe: Recipe, together: Sequence[tuple[_Candidate, float]], starts: int) -> Recipe:
    members = []
    for own, weight in together:
        copies = starts if own.is_network else 1
        member = {"model": own.recipe.model, "weight": round(weight / copies, 4), "train": own.recipe.train}
        members += [Member.model_validate(member)] * copies
    model = Ensemble(members=tuple(members), weigh="given")
    return recipe.model_copy(update={"model": model, "train": Train()})
