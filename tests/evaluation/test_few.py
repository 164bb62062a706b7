"""Scores of few images: formulas against others' implementations, and how often the intervals hold the truth."""

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.metrics import roc_auc_score

from penlight.evaluation import METRICS, find_row, score
from penlight.evaluation.few import FEW, newcombe, wilson
from penlight.evaluation.intervals import RARE
from penlight.tasks import MultiLabel

FEW_POSITIVES = (1, 2, 3, 5, 10)


def test_wilson_is_scipys():
    from scipy.stats import binomtest

    for hits, n in ((0, 1), (1, 1), (3, 7), (40, 90)):
        expected = binomtest(hits, n).proportion_ci(method="wilson")
        low, high = wilson(np.array(hits), np.array(n))
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_newcombe_holds_the_area_and_narrows_with_cases():
    for area in (0.0, 0.3, 0.85, 1.0):
        widths = []
        for positives in FEW_POSITIVES:
            low, high = newcombe(area, positives, 200)
            assert 0 <= low <= area <= high <= 1
            widths.append(high - low)
        assert all(np.diff(widths) < 0)
    assert newcombe(0.8, 7, 90) == pytest.approx(tuple(1 - np.array(newcombe(0.2, 90, 7)))[::-1], abs=1e-9)


@pytest.mark.parametrize("positives", FEW_POSITIVES)
def test_wilson_covers_a_rate_of_few_images_on_average(positives):
    """Exact: the mean over rates of the chance that the interval holds the rate; the percentile's is far lower."""
    k, rates = np.arange(positives + 1), np.linspace(0.02, 0.98, 97)
    low, high = wilson(k, np.full(len(k), positives))
    chance = binom.pmf(k, positives, rates[:, None])
    covered = (chance * ((low <= rates[:, None]) & (rates[:, None] <= high))).sum(axis=1).mean()
    assert 0.93 <= covered <= 0.99
    ends = binom.ppf([[0.025], [0.975]], positives, k / positives) / positives
    percentile = (chance * ((ends[0] <= rates[:, None]) & (rates[:, None] <= ends[1]))).sum(axis=1).mean()
    assert percentile < {1: 0.05, 2: 0.4, 3: 0.6, 5: 0.75, 10: 0.88}[positives]


def areas(positives, truth, n, rng, negatives=300):
    """Areas of n samples of a binormal score whose area is `truth`."""
    pos = rng.normal(2**0.5 * norm.ppf(truth), size=(n, positives))
    neg = np.sort(rng.normal(size=(n, negatives)), axis=1)
    return np.array([np.searchsorted(b, a).mean() / negatives for a, b in zip(pos, neg, strict=True)])


@pytest.mark.parametrize("truth", [0.65, 0.8, 0.95])
@pytest.mark.parametrize("positives", FEW_POSITIVES)
def test_newcombe_covers_an_area_of_few_positives(positives, truth):
    found = areas(positives, truth, 400, np.random.default_rng(positives))
    bounds = np.array([newcombe(area, positives, 300) for area in found])
    assert 0.91 <= ((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).mean() <= 0.995


@pytest.mark.full
@pytest.mark.parametrize("positives", [2, 5, 10, 20])
def test_rows_of_a_rare_label_cover(positives):
    """The whole way, by `score`: recall and area of a label with few positives."""
    task, truth, cut = MultiLabel(("rare", "common")), 0.8, 0.5
    mean = 2**0.5 * norm.ppf(truth)
    recall, n, hits = norm.cdf(mean - cut), 500, {"auc": 0, "recall": 0}
    for seed in range(n):
        rng = np.random.default_rng([positives, seed])
        y = np.zeros((300, 2), np.uint8)
        y[:positives, 0] = y[::2, 1] = 1
        prob = norm.cdf(rng.normal(size=y.shape) + mean * y - cut)
        rows = score(task, y, prob, task.decide(prob), resamples=100)
        for name, value in (("auc", truth), ("recall", recall)):
            row = find_row(rows, name, "rare")
            hits[name] += row.low <= value <= row.high
    assert 0.92 <= hits["auc"] / n <= 0.99
    assert 0.88 <= hits["recall"] / n <= 0.995


def rare(positives, groups=None):
    task, rng = MultiLabel(("rare", "common")), np.random.default_rng(positives)
    y = np.zeros((200, 2), np.uint8)
    y[:positives, 0] = y[::2, 1] = 1
    prob = rng.uniform(size=y.shape) * 0.7 + 0.3 * y
    decided = task.decide(prob)
    return y, prob, decided, score(task, y, prob, decided, resamples=200, groups=groups)


def test_a_label_with_one_positive_is_not_said_to_be_sure():
    y, prob, _, rows = rare(1)
    auc = find_row(rows, "auc", "rare")
    assert auc.value == pytest.approx(roc_auc_score(y[:, 0], prob[:, 0]))
    assert (auc.low, auc.high) == pytest.approx(newcombe(auc.value, 1, 199))
    assert auc.high - auc.low > 0.4
    recall = find_row(rows, "recall", "rare")
    assert recall.high - recall.low == pytest.approx(0.793, abs=0.001)
    assert "fewer than 5 positive cases of rare" in find_row(rows, "auc").note
    assert "common" not in find_row(rows, "auc").note
    assert find_row(rare(6)[3], "auc").note == ""


def test_f1_of_few_is_that_of_the_share_of_the_union():
    y, _, decided, rows = rare(3)
    row = find_row(rows, "f1", "rare")
    either = (y[:, 0] | decided[:, 0]).sum()
    both = (y[:, 0] & decided[:, 0]).sum()
    low, high = (2 * j / (1 + j) for j in wilson(both, either))
    assert (row.low, row.high) == pytest.approx((low, high))
    assert row.low <= row.value <= row.high


def test_patients_are_counted_where_there_are_any():
    """Ten positive images of two patients are two cases."""
    groups = np.concatenate([np.arange(10) % 2, np.arange(10, 200)])
    low, high = newcombe(find_row(rare(10)[3], "auc", "rare").value, 2, 190)
    row = find_row(rare(10, groups)[3], "auc", "rare")
    assert (row.low, row.high) == pytest.approx((low, high))


def test_with_enough_images_resampling_stands():
    _, _, _, rows = rare(RARE + 30)
    row = find_row(rows, "recall", "rare")
    hits = round(row.value * 60)
    low, high = wilson(np.array(hits), np.array(60))
    assert (row.low, row.high) != (low, high)
    assert (row.low, row.high) == pytest.approx((low, high), abs=0.05)


def test_every_key_is_a_metric_and_no_interval_is_made_without_resamples():
    assert set(FEW) <= set(METRICS)
    y, prob, decided, _ = rare(3)
    assert all(np.isnan(r.low) for r in score(MultiLabel(("rare", "common")), y, prob, decided, resamples=0))
