"""All rows of multi-label predictions with intervals: Penlight against a loop over scikit-learn.

22,433 images and 14 findings with the frequencies of ChestMNIST, drawn at random; 1,000 resamples. The loop calls
scikit-learn once per resample for each metric, and is run for a few resamples and extrapolated. Before anything is
timed, both must agree: figure by figure on the same resamples, and on their own resamples within resampling error.

    python benchmarks/intervals.py [--loop RESAMPLES]
"""

import argparse
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from _measure import here, in_own_process, measured, print_table
from sklearn import metrics as sk

from penlight.evaluation import METRICS, Sample, bootstrap_weights, score
from penlight.tasks import MultiLabel

IMAGES, RESAMPLES = 22_433, 1000
FINDINGS = {
    "atelectasis": 7996, "cardiomegaly": 1950, "effusion": 9261, "infiltration": 13914, "mass": 3988, "nodule": 4375,
    "pneumonia": 978, "pneumothorax": 3705, "consolidation": 3263, "edema": 1690, "emphysema": 1799, "fibrosis": 1158,
    "pleural": 2279, "hernia": 144,
}  # fmt: skip
TRAIN = 78_468
TASK = MultiLabel(tuple(FINDINGS))

Rows = Mapping[tuple[str, str | None], float]


def predictions() -> Sample:
    """Draw findings by frequency, probabilities that rank them with an AUC near 0.78, as many answers as cases."""
    rng = np.random.default_rng(2)
    share = np.array(list(FINDINGS.values())) / TRAIN
    y = (rng.random((IMAGES, len(share))) < share).astype(np.uint8)
    logits = rng.normal(size=y.shape) + 1.1 * y + np.log(share / (1 - share))
    prob = 1 / (1 + np.exp(-logits))
    cuts = np.array([np.quantile(prob[:, c], 1 - share[c]) for c in range(len(share))])
    return Sample(TASK, y, prob, TASK.decide(prob, cuts))


def by_scikit_learn(s: Sample, w: np.ndarray) -> Rows:
    """The rows of Penlight that scikit-learn has too, of weighted images."""
    of = {"sample_weight": w}
    support = w @ s.y
    auc, ap = (f(s.y, s.prob, average=None, **of) for f in (sk.roc_auc_score, sk.average_precision_score))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(s.y, s.decided, zero_division=np.nan, **of)
    specificity = sk.recall_score(1 - s.y, 1 - s.decided, average=None, **of)
    half = (s.prob > 0.5).astype(np.uint8)
    whole = {
        "auc": auc.mean(),
        "acc": np.mean([sk.accuracy_score(s.y[:, c], half[:, c], **of) for c in range(len(FINDINGS))]),
        "auc_micro": sk.roc_auc_score(s.y, s.prob, average="micro", **of),
        "auc_weighted": np.average(auc, weights=support),
        "average_precision": ap.mean(),
        "average_precision_micro": sk.average_precision_score(s.y, s.prob, average="micro", **of),
        "average_precision_weighted": np.average(ap, weights=support),
        "f1_macro": f1.mean(),
        "f1_micro": sk.f1_score(s.y, s.decided, average="micro", **of),
        "f1_weighted": np.average(f1, weights=support),
        "exact_match": sk.accuracy_score(s.y, s.decided, **of),
        "hamming_loss": sk.hamming_loss(s.y, s.decided, **of),
    }
    labels = {"auc": auc, "average_precision": ap, "f1": f1, "recall": recall, "specificity": specificity,
              "precision": precision, "prevalence": support / w.sum()}  # fmt: skip
    rows: dict[tuple[str, str | None], float] = {(name, None): float(value) for name, value in whole.items()}
    for name, values in labels.items():
        rows |= {(name, label): float(value) for label, value in zip(FINDINGS, values, strict=True)}
    return rows


def penlight() -> Any:
    s = predictions()
    return measured(lambda: len(score(TASK, s.y, s.prob, s.decided, resamples=RESAMPLES)))


def loop(resamples: int) -> Any:
    """Give the mean over the loop's own resamples of each row, and its seconds."""
    s, rng = predictions(), np.random.default_rng(1)

    def work() -> list[list[float]]:
        drawn = (np.bincount(rng.integers(0, IMAGES, IMAGES), minlength=IMAGES) for _ in range(resamples))
        return [list(by_scikit_learn(s, w.astype(float)).values()) for w in drawn]

    return measured(work)


def draws_of(s: Sample) -> dict[tuple[str, str | None], np.ndarray]:
    """Give the (RESAMPLES,) values of each row of the scores, by its name and label."""
    chunks = [[METRICS[key].compute(s, w) for key in s.task.metrics] for w in bootstrap_weights(len(s.y), RESAMPLES)]
    out: dict[tuple[str, str | None], np.ndarray] = {}
    for key, *drawn in zip(s.task.metrics, *chunks, strict=True):
        values, name = np.concatenate(drawn), METRICS[key].name
        columns = {None: values} if values.ndim == 1 else dict(zip(s.task.labels, values.T, strict=True))
        out |= {(name, label): column for label, column in columns.items()}
    return out


def agreement(drawn_by_loop: list[list[float]]) -> tuple[float, float]:
    """Give the largest difference on the same resamples, and that of means over own resamples in standard errors."""
    s = predictions()
    weights = next(bootstrap_weights(len(s.y), 2))
    own = draws_of(s)
    theirs = [by_scikit_learn(s, w) for w in weights]
    names = list(theirs[0])
    assert set(names) <= set(own)
    same = max(abs(found[name] - own[name][b]) for b, found in enumerate(theirs) for name in names)
    means = dict(zip(names, np.mean(drawn_by_loop, axis=0), strict=True))
    apart = max(abs(means[n] - own[n].mean()) / (own[n].std() / len(drawn_by_loop) ** 0.5) for n in names)
    return float(same), float(apart)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", type=int, default=12, help="resamples of the loop")
    parser.add_argument("--only", choices=["penlight", "loop"])
    given = parser.parse_args()
    if given.only:
        print(json.dumps(penlight() if given.only == "penlight" else loop(given.loop)))
        return
    theirs = in_own_process(here(__file__), "--only", "loop", "--loop", str(given.loop))
    same, apart = agreement(theirs["result"])
    assert same < 1e-9, f"a figure differs by {same} on the same resamples"
    # The largest of 110 normal deviates is below 5 in all but one of ten thousand cases.
    assert apart < 5, f"a mean over resamples is {apart:.1f} standard errors apart"
    ours = in_own_process(here(__file__), "--only", "penlight")
    seconds = theirs["seconds"] / given.loop * RESAMPLES
    print_table(
        f"{ours['result']} rows, {IMAGES:,} images, {len(FINDINGS)} findings, {RESAMPLES:,} resamples; "
        f"largest difference {same:.0e} on the same resamples, {apart:.1f} standard errors on others",
        ["", "seconds", "ratio", "peak MB", "CPU/wall"],
        [
            ["Penlight", f"{ours['seconds']:.1f}", "1", f"{ours['peak_mb']:.0f}", f"{_share(ours):.2f}"],
            [f"scikit-learn, from {given.loop} resamples", f"{seconds:.0f}", f"{seconds / ours['seconds']:.0f}",
             f"{theirs['peak_mb']:.0f}", f"{_share(theirs):.2f}"],
        ],
    )  # fmt: skip


def _share(found: Mapping[str, float]) -> float:
    return found["cpu"] / found["seconds"]


if __name__ == "__main__":
    main()
