"""Scores of few images: formulas against others' implementations, and how often the intervals hold the truth."""

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.metrics import roc_auc_score

from penlight.evaluation import METRICS, find_row, score, score_seeds
from penlight.evaluation.comparison import paired_draws
from penlight.evaluation.delong import delong, newcombe
from penlight.evaluation.operating import operating_points
from penlight.evaluation.proportions import ratio_interval, shares, wilson
from penlight.evaluation.sample import Sample
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal

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
    # A mean over labels is as unsure as the label that it rests on; a resampled one says that it has none.
    mean = find_row(rows, "auc")
    assert mean.value - mean.low == pytest.approx((auc.value - auc.low) / 2, rel=0.05)
    ap = find_row(rows, "average_precision")
    assert np.isnan([ap.low, ap.high]).all()
    assert ap.note == "no interval: fewer than 10 positive cases of rare"
    assert find_row(rare(12)[3], "average_precision").note == ""
    assert mean.note == "the interval is not trustworthy: fewer than 10 positive cases of rare"
    assert find_row(rows, "f1_macro").note == mean.note
    assert find_row(rows, "auc", "rare").note == find_row(rows, "exact_match").note == ""
    assert find_row(rare(12)[3], "auc").note == ""


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
    alone, row = (find_row(rows, "auc", "rare") for rows in (rare(10)[3], rare(10, groups)[3]))
    assert (alone.low, alone.high) == pytest.approx(newcombe(alone.value, 10, 190))
    low, high = newcombe(row.value, 2, 190)
    assert low - 1e-9 <= row.low <= alone.low
    assert alone.high <= row.high <= high + 1e-9
    # Ten copies of two images are two cases and no more.
    y, prob, _, _ = rare(10)
    prob[:10, 0] = prob[np.arange(10) % 2, 0]
    copied = delong(y[:, 0], prob[:, 0], groups)
    assert copied.mean_interval()[0] < delong(y[:, 0], prob[:, 0]).mean_interval()[0] - 0.1


def test_a_share_of_independent_images_is_wilsons_and_of_patients_that_of_their_effective_number():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(50), 4)
    alike = np.repeat(rng.random(50) < 0.7, 4).astype(float)[None, :, None]
    of = np.ones_like(alike)
    alone = shares(alike, of, np.arange(200))
    assert (alone.low[0], alone.high[0]) == pytest.approx(tuple(map(float, wilson(alike.sum(), np.array(200.0)))))
    # Four images that say the same are one.
    assert shares(alike, of, patient).n[0] == pytest.approx(50, rel=0.1)
    own = (rng.random((1, 200, 1)) < 0.7).astype(float)
    assert 130 < shares(own, of, patient).n[0] <= 200
    # Where all are right nothing tells how alike they are, and a patient counts once.
    assert shares(of, of, patient).n[0] == pytest.approx(50, rel=0.1)
    assert (shares(of, of, np.arange(200)).low[0]) == pytest.approx(
        float(wilson(np.array(200.0), np.array(200.0))[0])
    )


def test_answers_of_one_image_count_as_a_patients_images_do():
    """Ten findings that are right or wrong together are one answer."""
    right = np.repeat((np.random.default_rng(1).random(300) < 0.8) * 10.0, 1)[None, :, None]
    assert shares(right, np.full_like(right, 10), np.arange(300)).n[0] == pytest.approx(300, rel=0.05)


@pytest.mark.parametrize(("p", "q", "n"), [(0.9, 0.2, 60), (0.5, 0.05, 200), (1.0, 0.3, 20)])
def test_the_interval_of_a_ratio_covers(p, q, n):
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(600):
        hits = rng.binomial(n, [p, q])
        low, high = wilson(hits, np.full(2, n))
        one, other = zip(hits / n, low, high, strict=True)
        ends = ratio_interval(one, other)
        held += ends[0] <= p / q <= ends[1]
    assert 0.92 <= held / 600 <= (0.985 if p < 1 else 1)


def test_a_ratio_to_nothing_is_open_above_and_of_nothing_begins_at_0():
    low, high = ratio_interval((0.9, 0.8, 0.95), (0.0, 0.0, 0.1))
    assert 0 < low < np.inf
    assert high == np.inf
    low, high = ratio_interval((0.0, 0.0, 0.1), (0.9, 0.8, 0.95))
    assert low == 0 < high < 0.2


def test_every_row_that_says_the_same_has_the_same_interval():
    """Sensitivity in the score table, as recall of the last label, and at the operating point."""
    task, rng = Binary(("no", "yes")), np.random.default_rng(2)
    y = task.encode((np.arange(120) % 20 == 0).astype(int))
    positive = np.where(y[:, 1] == 1, 0.9, rng.random(120) * 0.6)
    prob = np.stack([1 - positive, positive], axis=1)
    groups = np.arange(120) // 2
    for patients in (None, groups):
        rows = score(task, y, prob, task.decide(prob), resamples=100, groups=patients)
        (point,) = operating_points(task, y, prob, task.decide(prob), groups=patients)
        for name in ("sensitivity", "specificity"):
            row, rate = find_row(rows, name), point.rates[name]
            assert (row.value, row.low, row.high) == pytest.approx((rate.value, rate.low, rate.high))
        assert find_row(rows, "sensitivity").low < 0.7


def test_metrics_have_closed_forms_and_no_interval_is_made_without_resamples():
    assert sum(metric.closed_form is not None for metric in METRICS.values()) == 29
    y, prob, decided, _ = rare(3)
    assert all(np.isnan(r.low) for r in score(MultiLabel(("rare", "common")), y, prob, decided, resamples=0))


CONSTANT = (Binary(("a", "b")), MultiClass(("a", "b", "c")), Ordinal(("a", "b", "c")), MultiLabel(("a", "b", "c")))


@pytest.mark.parametrize("task", CONSTANT, ids=lambda task: task.kind)
@pytest.mark.parametrize("patients", [None, np.arange(90) // 3], ids=["images", "patients"])
def test_one_answer_for_all_has_an_auc_of_one_half_and_nothing_varies(task, patients) -> None:
    """Its AUC is 0.5 of any images: there is no interval, in scores, of several seeds and in comparisons."""
    y = task.encode(np.arange(90) % len(task.labels)) if task.exclusive else np.random.default_rng(0).integers(
        0, 2, (90, 3)).astype(np.uint8)  # fmt: skip
    prob = np.tile(y.mean(axis=0), (90, 1))
    decided = task.decide(prob)
    rows = score(task, y, prob, decided, groups=patients)
    several = score_seeds(task, y, [prob] * 3, [decided] * 3, groups=patients)
    for row in (*rows, *several):
        if row.name == "auc":
            assert row.value == 0.5
            assert np.isnan([row.low, row.high]).all()
            assert row.note == "no interval: every resample gives the same value"
            assert row.ends == (0.5, 0.5)
    drawn = paired_draws({"majority": [Sample(task, y, prob, decided)]}, "auc", groups=patients)["majority"]
    assert drawn.mean == 0.5
    assert np.isnan([drawn.low, drawn.high]).all()


def test_a_label_with_one_answer_for_all_adds_nothing_to_the_interval_of_the_mean() -> None:
    task = MultiLabel(("a", "b"))
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, (200, 2)).astype(np.uint8)
    prob = np.clip(0.3 * y + rng.uniform(0.1, 0.6, y.shape), 0, 1)
    prob[:, 1] = 0.4
    rows = {row.label: row for row in score(task, y, prob, task.decide(prob)) if row.name == "auc"}
    assert np.isnan(rows["b"].low)
    assert rows[None].value == pytest.approx((rows["a"].value + 0.5) / 2)
    assert rows[None].value - rows[None].low == pytest.approx((rows["a"].value - rows["a"].low) / 2)
    assert rows[None].high - rows[None].value == pytest.approx((rows["a"].high - rows["a"].value) / 2)


def test_no_interval_ends_where_the_metric_cannot_be() -> None:
    """Of one missed case among few patients the spread is wider than what is left above the value."""
    task = MultiLabel(("common", "rare"))
    y = np.zeros((84, 2), np.uint8)
    y[::3, 0], y[:2, 1] = 1, 1
    decided = y.copy()
    decided[1, 1] = 0
    rows = score(task, y, np.clip(0.9 * y + 0.05, 0, 1), decided, groups=np.arange(84) // 2)
    for row in rows:
        if METRICS[next(key for key in METRICS if METRICS[key].name == row.name)].rate and np.isfinite(row.low):
            assert 0 <= row.low <= row.value + 1e-9, row
            assert row.value - 1e-9 <= row.high <= 1, row
    for row in rows:
        if row.name in ("log_loss", "brier", "hamming_loss", "aurc") and np.isfinite(row.low):
            assert row.low >= 0
