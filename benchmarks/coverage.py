"""How often 95 % intervals hold the truth: test sets drawn again and again from a source whose truth is known.

Graded images in the shares of RetinaMNIST and DermaMNIST, answered by a calibrated model; images of one patient have
one grade and half of the noise in common. Prints, for each metric, the share of test sets whose interval holds the
value that a very large test set has. Means over labels count only where every label has ten images or more.

    python benchmarks/coverage.py [--repeats 600] [--images 120 400] [--patients 1 4] [--resamples 1000]
        [--shares RetinaMNIST DermaMNIST] [--unnamed]

With --unnamed, intervals know how many images a patient has and not whose an image is.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from _measure import print_table

from penlight.evaluation import METRICS, Sample
from penlight.evaluation.intervals import Groups, units_of
from penlight.evaluation.scores import metric_intervals
from penlight.tasks import Ordinal

SHARES = {
    "RetinaMNIST": (486, 128, 206, 194, 66),
    "DermaMNIST": (228, 359, 769, 80, 779, 4693, 99),
}
"""Images of each class in the official train splits."""

METRICS_SHOWN = (
    "acc", "qwk", "brier", "log_loss", "auc", "sensitivity_referable", "specificity_referable", "balanced_accuracy",
    "f1_macro", "mae", "aurc", "brier_reliability", "brier_resolution", "label_recall", "label_auc",
)  # fmt: skip
MEANS = ("auc", "balanced_accuracy", "f1_macro")
FEWEST = 10
_SKILL, _SHARED, _TRUTH = 1.2, 0.5, 400_000


@dataclass(frozen=True)
class Source:
    """Where images come from: classes in shares, `each` images of a patient, who are `named` or not."""

    name: str
    each: int
    named: bool = True

    @property
    def task(self) -> Ordinal:
        return Ordinal(tuple(f"grade {k}" for k in range(len(SHARES[self.name]))), head="softmax", referable=2)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Sample, Groups]:
        """Draw n images with the answers of a calibrated model, and what is known of the patient of each."""
        share = np.array(SHARES[self.name]) / sum(SHARES[self.name])
        patients = -(-n // self.each)
        patient = np.repeat(np.arange(patients), self.each)[:n]
        grade = rng.choice(len(share), patients, p=share)[patient]
        common = rng.normal(size=(patients, len(share)))[patient] * (_SHARED if self.each > 1 else 0) ** 0.5
        own = rng.normal(size=(n, len(share))) * (1 - _SHARED if self.each > 1 else 1) ** 0.5
        y = np.eye(len(share), dtype=np.uint8)[grade]
        # The posterior of a class whose coordinate is moved by the skill, so that probabilities are calibrated.
        z = np.log(share) + _SKILL * (_SKILL * y + common + own)
        prob = np.exp(z - z.max(axis=1, keepdims=True))
        prob /= prob.sum(axis=1, keepdims=True)
        groups = units_of(patient if self.named and self.each > 1 else None, self.each)
        return Sample(self.task, y, prob, self.task.decide(prob)), groups


def covered(source: Source, n: int, repeats: int, resamples: int, keys: Sequence[str]) -> Mapping[str, list[bool]]:
    """Say for each metric and test set whether the interval held the truth; of labels, of every one."""
    rng = np.random.default_rng([n, source.each, len(source.task.labels)])
    whole, _ = source.draw(_TRUTH, rng)
    truth = {key: np.atleast_1d(METRICS[key].compute(whole, np.ones((1, _TRUTH)))[0]) for key in keys}
    found: dict[str, list[bool]] = defaultdict(list)
    for seed in range(repeats):
        sample, groups = source.draw(n, rng)
        enough = sample.y.sum(axis=0).min() >= FEWEST
        for key in keys:
            if key in MEANS and not enough:
                continue
            low, high, _ = metric_intervals(sample, key, resamples=resamples, seed=seed, groups=groups)
            known = np.isfinite(low)
            found[key] += ((low <= truth[key]) & (truth[key] <= high))[known].tolist()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=600)
    parser.add_argument("--images", type=int, nargs="+", default=[120, 400])
    parser.add_argument("--patients", type=int, nargs="+", default=[1, 4], help="images of a patient")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--shares", nargs="+", default=list(SHARES), choices=list(SHARES))
    parser.add_argument("--unnamed", action="store_true", help="patients are not known by name")
    parser.add_argument("--metrics", nargs="+", default=list(METRICS_SHOWN))
    given = parser.parse_args()
    begun = time.process_time()
    cases = [
        (Source(name, each, not given.unnamed), n)
        for name in given.shares
        for n in given.images
        for each in given.patients
    ]
    found = [covered(source, n, given.repeats, given.resamples, given.metrics) for source, n in cases]
    heads = [f"{source.name} {n}, {source.each} a patient" for source, n in cases]
    rows = [[key, *(_share(own[key]) for own in found)] for key in given.metrics]
    print_table(
        f"Share of {given.repeats} test sets whose 95 % interval holds the truth "
        f"({given.resamples} resamples; {time.process_time() - begun:.0f} s of processor time)",
        ["", *heads],
        rows,
    )


def _share(held: Sequence[bool]) -> str:
    return f"{np.mean(held):.3f}" if len(held) >= 100 else "too few"


if __name__ == "__main__":
    main()
