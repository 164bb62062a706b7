"""What checks look at: plain arrays and counts, from a run folder or from anybody's predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from penlight.data.record import DataRecord
from penlight.evaluation.calibration import Calibration
from penlight.evaluation.comparison import Difference, ResampledMetric, differences, paired_draws
from penlight.evaluation.duplicates import DuplicateScores
from penlight.evaluation.intervals import Groups, bootstrap_weights, count_units
from penlight.evaluation.metrics import METRICS, over_labels
from penlight.evaluation.novelty_rates import NoveltyRates
from penlight.evaluation.rows import Score
from penlight.evaluation.sample import Sample
from penlight.evaluation.standing import Ahead
from penlight.evaluation.subgroups import Subgroup
from penlight.tasks import Task
from penlight.tasks.base import shares

Floats = NDArray[np.float64]

RUN, MAJORITY, LINEAR = "run", "majority", "linear"


@dataclass(frozen=True)
class SplitAnswers:
    """What a model said of a split: the `sample` that metrics see, and `groups` (N,), patients where known."""

    sample: Sample
    groups: Groups = None

    @property
    def independent(self) -> int:
        """Count what was drawn independently: patients where images are said to be of some, else images."""
        return count_units(len(self.sample.y), self.groups)


@dataclass(frozen=True)
class Curves:
    """Learning curves of E epochs, (E,) each: loss and headline metric on val and train, learning rate."""

    loss: Floats
    val_loss: Floats
    val_headline: Floats
    learning_rate: Floats


@dataclass(frozen=True)
class Evidence:
    """What a check may look at; what is not known is None or empty, and checks that need it report nothing.

    `test` is the split that was scored, with calibrated probabilities; `split` is its name; `rows` are its scores and
    `subgroups` those of groups; `baselines` said this of the same images. `decision_notes` are "label: reason";
    `curves` are None for models without epochs, of which `epochs_planned` is what the recipe asked for. `maps_alike`
    is the mean rank correlation of saliency maps with those of random weights. `read_before`
    counts the other recipes that had been read on the same test images before. `before` are the answers without the
    `calibration`, and `coverage` is what the prediction sets of `test` promise. `duplicates` are the scores of `test`
    with and without the images that have a duplicate in another split; `novelty` says how well images unlike train
    are recognised. `made_elsewhere` says that other software made the predictions: its model may have been trained on
    other images than those of train.
    """

    test: SplitAnswers
    rows: Sequence[Score] = ()
    split: str = "test"
    val: SplitAnswers | None = None
    baselines: Mapping[str, Sample] = field(default_factory=dict)
    decision_notes: tuple[str, ...] = ()
    curves: Curves | None = None
    epochs_planned: int | None = None
    data: DataRecord | None = None
    maps_alike: float | None = None
    subgroups: Sequence[Subgroup] = ()
    read_before: int | None = None
    before: Sample | None = None
    calibration: Calibration | None = None
    coverage: float | None = None
    duplicates: DuplicateScores | None = None
    novelty: NoveltyRates | None = None
    made_elsewhere: bool = False

    @property
    def task(self) -> Task:
        """The task of the predictions."""
        return self.test.sample.task

    @property
    def headline(self) -> str:
        """Key in METRICS of the metric that choices are made by."""
        return self.task.headline

    @property
    def headline_short(self) -> str:
        """The short name of that metric: "AUC"."""
        return METRICS[self.headline].short

    @cached_property
    def prior(self) -> Floats:
        """(C,) share of each label in train; in val, or in the scored split, where train is not known."""
        if self.data is not None and "train" in self.data.counts:
            return np.array(self.data.counts["train"]) / np.maximum(1, self.data.known_of("train"))
        said = (self.test if self.val is None else self.val).sample
        return np.nan_to_num(shares(said.y, said.known))

    @cached_property
    def majority(self) -> Sample:
        """The majority-class baseline: the prior for every image."""
        prob = np.tile(self.prior, (len(self.test.sample.y), 1))
        return Sample(self.task, self.test.sample.y, prob, self.task.decide(prob), known=self.test.sample.known)

    @cached_property
    def headline_draws(self) -> dict[str, ResampledMetric]:
        """The headline metric of the run and of the baselines, resampled on the same images."""
        models = {RUN: self.test.sample, MAJORITY: self.majority}
        if LINEAR in self.baselines:
            models[LINEAR] = self.baselines[LINEAR]
        return self._draws(models, self.headline)

    def _draws(self, models: Mapping[str, Sample], metric: str) -> dict[str, ResampledMetric]:
        return paired_draws({name: [own] for name, own in models.items()}, metric, groups=self.test.groups)

    def against(self, name: str) -> Difference | None:
        """Give the paired difference of the headline metric to a baseline; None where it is not known."""
        if name not in self.headline_draws:
            return None
        return differences(self.headline_draws, [(RUN, name)])[0]

    @property
    def ahead(self) -> dict[str, Ahead]:
        """How far the headline metric is above that of each baseline, by name."""
        found = {name: self.against(name) for name in (MAJORITY, LINEAR)}
        return {name: Ahead(own.value, own.low, own.high) for name, own in found.items() if own is not None}

    def accuracy(self) -> tuple[float, Difference]:
        """Give the accuracy of the majority-class baseline, and the paired difference of the run's to it."""
        key = "acc" if "acc" in self.task.metrics else "acc_mean"
        draws = self._draws({RUN: self.test.sample, MAJORITY: self.majority}, key)
        return draws[MAJORITY].mean, differences(draws, [(RUN, MAJORITY)])[0]


def value_and_draws(answers: SplitAnswers, metric: str, columns: NDArray[np.intp], seed: int) -> tuple[float, Floats]:
    """Give a metric that is a mean over labels, over these labels alone, and its defined resampled values."""
    sample, compute = answers.sample, over_labels(metric, columns.tolist())
    chunks = bootstrap_weights(len(sample.y), seed=seed, groups=answers.groups)
    drawn = np.concatenate([compute(sample, w) for w in chunks])
    return float(compute(sample, np.ones((1, len(sample.y))))[0]), drawn[np.isfinite(drawn)]
