"""The plan: a recipe made from what is known of a dataset and a machine, with a reason for each choice.

It is a table of rules, not a search: the same fingerprint always gives the same plan.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, InstanceOf

from penlight.data.dataset import DatasetInfo
from penlight.numbers import counted
from penlight.recipes.recipe import Augment, Cnn, Data, Decide, Recipe, Residual, Train, recipe_from_dict
from penlight.records import (
    Channels,
    Count,
    Counts,
    Flag,
    Labels,
    Name,
    Number,
    Record,
    Side,
    Text,
    json_key,
)
from penlight.tasks import Task

if TYPE_CHECKING:
    from penlight.data.views import ViewedDataset

BUDGET = 600.0
"""Seconds of training that a plan allows itself where none are given."""

LONGEST = 4.0
"""A fit is ended by the clock only after this multiple of its plan's budget."""

FEW, SOME = 3_000, 20_000
"""Up to FEW training images a set is small, up to SOME of middle size."""

_VIEWS_WANTED = 1_200_000
_EPOCHS = (8, 60)
_FEWEST_EPOCHS = 4
# A small set is given this multiple of the budget before it is shortened, and no fewer epochs than a share of those
# wanted before its network is made smaller: with a third of its epochs a network of 546 images learned nothing.
SMALL_SET_BUDGET = 3.0
_SMALL_SET_SHARE = 0.5
_WIDTHS = (32, 64, 128, 256, 512)
_SMALLEST_MAP = 4
# Small networks do not keep more cores than this busy, so a plan does not count on more.
_CORES_COUNTED = 2


class Fingerprint(Record, computed=("imbalance",)):
    """What a plan is made from.

    `images` counts by split and `positives` by label of train, in the view; `size` in pixels; `flips` as in
    `DatasetInfo`; `rate` is the number of floating-point operations that a second of one processor does in training
    steps of the chosen network, rounded coarsely: measured in processor time, it hardly depends on what else the
    machine does, and a plan does not change from day to day. `memory` in bytes, 0 where it is not known; `budget` in
    seconds during which the counted cores do nothing else.
    """

    dataset: Name
    view: Name
    size: Side
    channels: Channels
    modality: Name
    flips: Annotated[tuple[Name, ...], Field(max_length=10)]
    images: Counts
    labels: Labels
    positives: Annotated[tuple[Count, ...], Field(min_length=1, max_length=10_000)]
    ordered: Flag
    exclusive: Flag
    uses_thresholds: Flag
    cores: Count
    memory: Count | Number
    rate: Number
    budget: Number = BUDGET

    @property
    def cores_counted(self) -> int:
        """The cores that small networks keep busy."""
        return min(self.cores, _CORES_COUNTED)

    @property
    def imbalance(self) -> float:
        """How many times as many positives the most frequent label has as the rarest."""
        return round(max(self.positives) / max(1, min(self.positives)), 2)


class Reason(Record):
    """One choice: what of the recipe it is about, what was chosen, and why; whole sentences."""

    about: Name
    choice: Text
    why: Text


class ComparedCandidate(Record):
    """A model that a plan compared with others by cross-validation on train: its headline score on the `images` that
    all of them answered out of fold; by how much it is `behind` the best on these, with the standard `error` of that;
    and the processor time, in seconds, that its folds took beside features of an encoder, which are computed once."""

    name: Name
    score: Number
    behind: Number
    error: Number
    images: Count
    seconds: Number


def _tenths(seconds: float) -> float:
    return round(seconds, 1)


def _recipe_of(values: Any) -> Any:
    return recipe_from_dict(values, "A plan") if isinstance(values, dict) else values


class TrainingPlan(Record, table="reasons"):
    """A recipe, a reason for each choice, and the seconds that its training is expected to take on a machine that
    does nothing else; `cut` says, as a sentence, what the budget was too short for, and is empty where it was not.
    `candidates` are the models that were compared, by rising cost; none where there was nothing to compare."""

    recipe: Annotated[InstanceOf[Recipe], BeforeValidator(_recipe_of)]
    reasons: Annotated[tuple[Reason, ...], Field(max_length=1_000)]
    seconds: Number = json_key(written=_tenths)
    fingerprint: Fingerprint
    cut: Text = ""
    candidates: Annotated[tuple[ComparedCandidate, ...], Field(max_length=100)] = ()

    @property
    def longest(self) -> float:
        """Seconds by the clock after which a fit of this plan is ended, however busy the machine is."""
        return LONGEST * self.fingerprint.budget

    def asks_as(self, other: "TrainingPlan") -> bool:
        """Whether another plan was made of the same data for the same time, on this machine or a busier one."""
        one, two = (replace(plan.fingerprint, rate=0.0, memory=0, cores=0) for plan in (self, other))
        return one == two


def fingerprint_of(
    info: DatasetInfo,
    view: str,
    task: Task,
    size: int,
    images: Mapping[str, int],
    positives: tuple[int, ...],
    machine: Mapping[str, float],
    budget: float = BUDGET,
) -> Fingerprint:
    """Gather a fingerprint; `machine` has cores, memory (bytes) and rate, as `Fingerprint` has."""
    return Fingerprint(
        dataset=info.name,
        view=view,
        size=size,
        channels=info.channels,
        modality=info.modality,
        flips=info.flips,
        images=dict(images),
        labels=task.labels,
        positives=positives,
        ordered=task.ordered,
        exclusive=task.exclusive,
        uses_thresholds=task.uses_thresholds,
        cores=int(machine["cores"]),
        memory=int(machine["memory"]),
        # To a power of two: machines differ by more, one machine from day to day by less.
        rate=2.0 ** round(math.log2(machine["rate"])),
        budget=budget,
    )


def fingerprint_of_view(view: "ViewedDataset", machine: Mapping[str, float], budget: float = BUDGET) -> Fingerprint:
    """Gather the fingerprint of a dataset seen through a view; see `fingerprint_of`."""
    return fingerprint_of(
        view.dataset.info,
        view.view,
        view.task,
        view.dataset.size,
        {split: len(part) for split, part in view.splits.items()},
        tuple(int(n) for n in view.splits["train"].y_true.sum(axis=0)),
        machine,
        budget,
    )


def make_plan(f: Fingerprint, dataset: str = "") -> TrainingPlan:
    """Choose backbone, epochs, augmentation, loss and balance, batch size and decision, each with its reason.

    `dataset` is what the recipe names as its data, by default the fingerprint's name; a description is named by path.
    """
    model, on_model = _model(f)
    batch, on_batch = _batch(f)
    seconds = _epoch_seconds(f, model)
    epochs, on_epochs = _epochs(f, seconds)
    cut = [on_epochs.why] if epochs < _epochs_wanted(f) else []
    if epochs < _fewest_epochs(f) and isinstance(model, Residual):
        model = model.model_copy(update={"widths": tuple(width // 2 for width in model.widths)})
        on_model = Reason(
            on_model.about, "a residual network of half the width", f"{on_epochs.why} So the network is made smaller."
        )
        seconds = _epoch_seconds(f, model)
        epochs, on_epochs = _epochs(f, seconds)
        cut = [on_model.why, *([on_epochs.why] if epochs < _epochs_wanted(f) else [])]
    augment, on_augment = _augment(f)
    decide, on_decide = _decide(f)
    train = Train(
        epochs=epochs,
        batch_size=batch,
        optimizer="adamw",
        # It grows with the square root of the batch (Krizhevsky 2014), from 0.001 at 32.
        learning_rate=round(1e-3 * math.sqrt(batch / 32), 4),
        weight_decay=0.01,
        schedule="cosine",
        warmup_epochs=1 if epochs < 20 else 3,
        augment=augment,
    )
    data = Data(dataset=dataset or f.dataset, size=f.size, view=f.view)
    recipe = Recipe(data=data, model=model, train=train, decide=decide)
    reasons = (on_model, on_epochs, on_batch, on_augment, _on_balance(f), *on_decide)
    return TrainingPlan(recipe, reasons, epochs * seconds, f, " ".join(dict.fromkeys(cut)))


def training_operations(recipe: Recipe, size: int, channels: int) -> float:
    """Count the operations of one image in a training step: forward, and about twice as many back."""
    assert isinstance(recipe.model, Cnn | Residual)
    return 3 * operations_of(recipe.model, size, channels)


def operations_of(model: Cnn | Residual, size: int, channels: int) -> float:
    """Count the multiplications and additions of one image going forward, in convolutions and dense layers."""
    if isinstance(model, Cnn):
        return _cnn_operations(model, size, channels)
    return _residual_operations(model, size, channels)


def _convolution(kernel: int, side: int, given: int, made: int) -> float:
    return 2.0 * kernel * kernel * side * side * given * made


def _cnn_operations(model: Cnn, side: int, given: int) -> float:
    total = 0.0
    for filters in model.filters:
        for _ in range(model.convolutions):
            total += _convolution(3, side, given, filters)
            given = filters
        side //= 2
    features = given * (side * side if model.pooling == "flatten" else 1)
    return total + 2.0 * features * model.dense


def _residual_operations(model: Residual, side: int, given: int) -> float:
    side = -(-side // 2)
    total = _convolution(5, side, given, model.widths[0])
    given = model.widths[0]
    for stage, width in enumerate(model.widths):
        side = -(-side // 2) if stage else side
        for block in range(model.blocks):
            shortcut = _convolution(1, side, given, width) if (stage and not block) or given != width else 0.0
            total += shortcut + _convolution(3, side, given, width) + _convolution(3, side, width, width)
            given = width
    return total


def _epoch_seconds(f: Fingerprint, model: Cnn | Residual) -> float:
    operations = 3 * operations_of(model, f.size, f.channels)
    return f.images["train"] * operations / (f.rate * f.cores_counted)


def _model(f: Fingerprint) -> tuple[Cnn | Residual, Reason]:
    n, exposed = f.images["train"], f.modality == "film"
    beside = " Each film's own exposure is taken away, since it says nothing of the patient." if exposed else ""
    if exposed and n <= FEW:
        plain = Cnn(
            exposure="per-image",
            filters=(32, 64, 128),
            convolutions=2,
            normalise=True,
            block_dropout=(0.2, 0.3, 0.4),
            pooling="average",
            dense=256,
            dropout=0.4,
        )
        why = f"For {n:,} films, few, a plain network with much dropout learns most from augmented copies.{beside}"
        return plain, Reason("model", "a convolutional network of three blocks", why)
    stages = min(max(3, round(math.log2(f.size / _SMALLEST_MAP))), len(_WIDTHS))
    model = Residual(exposure="per-image" if exposed else "fixed", widths=_WIDTHS[:stages], dropout=0.3)
    why = f"It halves a {f.size} px image to maps of about {_SMALLEST_MAP} px, and learns most per second on a CPU."
    return model, Reason("model", f"a residual network of {stages} stages", why + beside)


def _batch(f: Fingerprint) -> tuple[int, Reason]:
    n = f.images["train"]
    size = 32 if n <= FEW else 64 if n <= SOME else 128
    why = (
        f"{n:,} training images are few, and small batches make more steps of them."
        if n <= FEW
        else f"With {n:,} training images there are steps enough, and larger batches keep the cores busy."
    )
    return size, Reason("batch size", str(size), why)


def _epochs_wanted(f: Fingerprint) -> int:
    return min(max(round(_VIEWS_WANTED / f.images["train"]), _EPOCHS[0]), _EPOCHS[1])


def _fewest_epochs(f: Fingerprint) -> int:
    """Give the fewest epochs that a network is trained for rather than made smaller."""
    return int(_SMALL_SET_SHARE * _epochs_wanted(f)) if f.images["train"] <= FEW else _FEWEST_EPOCHS


def _epochs(f: Fingerprint, epoch_seconds: float) -> tuple[int, Reason]:
    n, wanted = f.images["train"], _epochs_wanted(f)
    allowed = f.budget * (SMALL_SET_BUDGET if n <= FEW else 1)
    affordable = max(1, int(allowed / epoch_seconds))
    if affordable < wanted:
        why = (
            f"{counted(wanted, 'epoch')} would be wanted for {counted(n, 'image')}; {affordable} fit into "
            f"{_minutes(allowed)} here."
        )
        return affordable, Reason("epochs", str(affordable), why)
    why = f"So {wanted * n:,} images are seen in all, which is enough for {n:,}."
    if wanted * epoch_seconds > f.budget:
        why += f" That takes longer than {_minutes(f.budget)}: a small set is not shortened for it."
    return wanted, Reason("epochs", str(wanted), why)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


_STAINED = Augment(rotation=20, brightness=0.05, contrast=0.1)
# How images of a modality may be changed in training, and why so.
_CHANGES = {
    "fundus": (Augment(rotation=15, zoom=0.1), "a camera is held a little differently each time"),
    "film": (Augment(rotation=10, zoom=0.15, shift=0.07), "patients stand and breathe differently"),
    "histology": (_STAINED, "a slide has no up, and its stain varies"),
    "blood smear": (_STAINED, "a smear has no up, and its stain varies"),
    "dermoscopy": (Augment(rotation=20, zoom=0.1, contrast=0.1), "skin has no up, and light varies"),
    "kidney cortex microscope": (Augment(rotation=20, contrast=0.1), "cells have no up"),
    "OCT": (Augment(rotation=5, shift=0.05, contrast=0.1), "the retina lies level, with small tilts"),
    "ultrasound": (Augment(rotation=5, zoom=0.1, shift=0.05, contrast=0.1), "the probe is held a little differently"),
    "abdominal CT": (Augment(rotation=5, zoom=0.1, shift=0.05), "the cut around an organ varies a little"),
}
_MILD = (Augment(rotation=5, shift=0.03), "the modality is not known, so the changes are mild")


def _augment(f: Fingerprint) -> tuple[Augment, Reason]:
    changes, why = _CHANGES.get(f.modality, _MILD)
    options = changes.model_copy(
        update={"flip_horizontal": "horizontal" in f.flips, "flip_vertical": "vertical" in f.flips}
    )
    said = ["turned by up to " + f"{options.rotation:g} degrees"]
    said += ["zoomed"] * bool(options.zoom) + ["shifted"] * bool(options.shift)
    said += ["lit differently"] * bool(options.brightness or options.contrast)
    said += {0: [], 1: ["mirrored"], 2: ["mirrored both ways"]}[len(f.flips)]
    flips = {
        0: "A mirrored image would be another anatomy.",
        1: "It is never seen upside down.",
        2: "It has no side and no up.",
    }[len(f.flips)]
    return options, Reason("augmentation", ", ".join(said), f"{why[0].upper()}{why[1:]}. {flips}")


def _on_balance(f: Fingerprint) -> Reason:
    rarest = f.labels[f.positives.index(min(f.positives))]
    return Reason(
        "balance",
        "none",
        f"The rarest label, {rarest}, has {min(f.positives):,} of {f.images['train']:,} images "
        f"({f.imbalance:.3g} times fewer than the most frequent); weights would distort the probabilities, "
        "and what is decided from them can be chosen afterwards.",
    )


def _decide(f: Fingerprint) -> tuple[Decide, tuple[Reason, ...]]:
    why_fallback = "A network that is not better on val by two standard errors has not earned its cost."
    fallback = Reason("fallback", "the linear baseline", why_fallback)
    if f.uses_thresholds and f.exclusive:
        why = "Sensitivity and specificity count alike."
        return Decide(thresholds="youden", fallback="linear"), (_found_on_val("youden", why), fallback)
    if f.uses_thresholds:
        why = "Findings are rare, and F1 weighs those missed and those made up alike."
        return Decide(thresholds="f1", fallback="linear"), (_found_on_val("f1", why), fallback)
    if f.ordered:
        why = "A grade beside the true one is a smaller error than one far off."
        return Decide(rule="expected", fallback="linear"), (
            Reason("decision", "the mean grade, rounded", why),
            fallback,
        )
    return Decide(fallback="linear"), (Reason("decision", "the most probable class", "Errors count alike."), fallback)


def _found_on_val(rule: str, why: str) -> Reason:
    return Reason("decision", f"thresholds by {rule}, found on val", why)
