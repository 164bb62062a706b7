"""Resamples and the intervals they give."""

import math
import time

import numpy as np
import pytest
from sklearn import metrics as sk

from penlight.evaluation import METRICS, Sample, Score, bootstrap_weights, find_row, score, score_seeds
from penlight.records import check_record
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal
from tests.evaluation.test_metrics import scored, sets_of


def weights_of(*args, **kwargs):
    return np.concatenate(list(bootstrap_weights(*args, **kwargs)))


def test_weights_are_positive_sum_to_the_images_and_are_those_of_the_seed():
    w = weights_of(400, 50, seed=1)
    assert w.shape == (50, 400)
    assert (w > 0).all()
    np.testing.assert_allclose(w.sum(axis=1), 400)
    assert (weights_of(400, 50, seed=1) == w).all()
    assert (weights_of(400, 50, seed=2) != w).any()


@pytest.mark.parametrize("units", [12, 40, 3000])
def test_a_resampled_mean_spreads_as_students_t_does(units):
    """The standard error of a mean times the ratio of the quantiles of t and the normal; of many images it is 1."""
    from scipy.stats import norm, t

    values = np.random.default_rng(0).normal(size=units)
    draws = weights_of(units, 4000) @ values / units
    expected = values.std(ddof=1) / units**0.5 * t.ppf(0.975, units - 1) / norm.ppf(0.975)
    assert draws.std() == pytest.approx(expected, rel=0.05)


def test_patients_are_drawn_whole():
    groups = np.repeat(np.arange(20), 3)
    w = weights_of(60, 40, groups=groups)
    assert (np.ptp(w.reshape(40, 20, 3), axis=2) == 0).all()


def test_the_interval_holds_the_value_and_narrows_with_n():
    task = MultiClass(tuple("abcde"))
    widths = []
    for n in (100, 1600):
        y, prob, decided, _ = scored(task, n=n)
        row = find_row(score(task, y, prob, decided), "auc")
        assert row.low < row.value < row.high
        widths.append(row.high - row.low)
    assert widths[0] > 3 * widths[1]


@pytest.mark.full
def test_coverage_of_an_accuracy_is_near_95_percent():
    task, truth, hits = Binary(("no", "yes")), 0.8, 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        y = task.encode(rng.integers(0, 2, 120))
        right = rng.random(120) < truth
        positive = np.where(right, y[:, 1], 1 - y[:, 1]) * 0.8 + 0.1
        prob = np.stack([1 - positive, positive], axis=1)
        row = find_row(score(task, y, prob, task.decide(prob), resamples=300, seed=seed), "acc")
        hits += row.low <= truth <= row.high
    assert 0.88 <= hits / 150 <= 0.99


def test_several_seeds_give_mean_sd_and_the_interval_of_the_mean():
    task = MultiLabel(tuple("abc"))
    y, prob, decided, _ = scored(task, n=200)
    _, other, other_decided, _ = scored(task, n=200, seed=5)
    sets = sets_of(task, prob)
    single = score(task, y, prob, decided, sets, resamples=200)
    same = score_seeds(task, y, [prob, prob], [decided, decided], [sets, sets], resamples=200)
    for one, two in zip(single, same, strict=True):
        assert two.value == pytest.approx(one.value, nan_ok=True)
        assert two.sd == pytest.approx(0, abs=1e-12)
        # Shares of one model on independent images are binomial, of several they are not: nearly the same.
        assert two.low == pytest.approx(one.low, abs=0.01, nan_ok=True)
    mixed = find_row(score_seeds(task, y, [prob, other], [decided, other_decided], resamples=0), "auc")
    values = [
        find_row(score(task, y, p, d, resamples=0), "auc").value for p, d in ((prob, decided), (other, other_decided))
    ]
    assert mixed.value == pytest.approx(np.mean(values))
    assert mixed.sd == pytest.approx(np.std(values, ddof=1))
    assert np.isnan(find_row(score_seeds(task, y, [prob], [decided], resamples=0), "auc").sd)


def test_draws_are_those_of_a_plain_loop_with_scikit_learn():
    """All rows of a multi-label score, ties and a rare label among them, resample by resample."""
    task, rng = MultiLabel(tuple("abc")), np.random.default_rng(3)
    y = (rng.random((90, 3)) < [0.5, 0.3, 0.06]).astype(np.uint8)
    prob = (0.3 * y + rng.uniform(0, 0.7, y.shape)).round(1)
    decided = task.decide(prob)
    sample, drawn = Sample(task, y, prob, decided), weights_of(len(y), 6, seed=5)
    computed = {key: METRICS[key].compute(sample, drawn) for key in task.metrics}
    draws = {(METRICS[key].name, None): own for key, own in computed.items() if own.ndim == 1}
    draws |= {
        (METRICS[key].name, label): column
        for key, own in computed.items()
        if own.ndim == 2
        for label, column in zip(task.labels, own.T, strict=True)
    }
    for b, w in enumerate(drawn):
        expected = {
            ("auc", None): sk.roc_auc_score(y, prob, sample_weight=w),
            ("auc_micro", None): sk.roc_auc_score(y, prob, average="micro", sample_weight=w),
            ("average_precision", None): sk.average_precision_score(y, prob, sample_weight=w),
            ("average_precision_micro", None): sk.average_precision_score(y, prob, average="micro", sample_weight=w),
            ("f1_micro", None): sk.f1_score(y, decided, average="micro", sample_weight=w),
            ("exact_match", None): sk.accuracy_score(y, decided, sample_weight=w),
            ("hamming_loss", None): sk.hamming_loss(y, decided, sample_weight=w),
        }
        for c, label in enumerate(task.labels):
            expected["auc", label] = sk.roc_auc_score(y[:, c], prob[:, c], sample_weight=w)
            expected["average_precision", label] = sk.average_precision_score(y[:, c], prob[:, c], sample_weight=w)
            expected["recall", label] = sk.recall_score(y[:, c], decided[:, c], sample_weight=w)
        for row, value in expected.items():
            assert draws[row][b] == pytest.approx(value, abs=1e-12), row


def test_draws_do_not_depend_on_who_waits_for_them():
    slow = []
    for chunk in bootstrap_weights(60_000, 30, seed=9):
        time.sleep(0.01)
        slow.append(chunk)
    assert len(slow) > 2
    assert (np.concatenate(slow) == weights_of(60_000, 30, seed=9)).all()
    next(bootstrap_weights(60_000, 30, seed=9)).sum()


def test_no_interval_has_no_width_and_no_undefined_one_lacks_its_reason():
    """A perfect model on few images, whose resamples are all alike."""
    for task in (Ordinal(("none", "mild", "severe"), referable=1), MultiLabel(tuple("abc")), Binary(("no", "yes"))):
        y = np.tile(np.eye(len(task.labels), dtype=np.uint8), (6, 1))
        prob = np.where(y == 1, 0.9, 0.1 / max(1, len(task.labels) - 1))
        for row in score(task, y, prob, task.decide(prob), sets_of(task, prob), resamples=200):
            if np.isfinite(row.value):
                assert row.high > row.low or row.note, row


def coverage(n_samples, resamples, n=150):
    """Share of samples whose interval holds the truth of each row, for graded images whose truth is known."""
    task, rng = Ordinal(("none", "mild", "severe"), referable=1), np.random.default_rng(11)

    def drawn(m):
        grade = rng.choice(3, m, p=[0.5, 0.3, 0.2])
        raw = rng.uniform(0.05, 1, (m, 3)) + 0.45 * np.eye(3)[grade] + 0.1 * (grade == 1)[:, None]
        prob = raw / raw.sum(axis=1, keepdims=True)
        return task.encode(grade), prob, task.decide(prob)

    names = [("auc", None), ("acc", None), ("qwk", None), ("mae", None), ("recall", "severe"), ("auc", "severe")]
    truth = {(r.name, r.label): r.value for r in score(task, *drawn(200_000), resamples=0)}
    hits = dict.fromkeys(names, 0)
    for seed in range(n_samples):
        rows = score(task, *drawn(n), resamples=resamples, seed=seed)
        for name, label in names:
            row = find_row(rows, name, label)
            hits[name, label] += row.low <= truth[name, label] <= row.high
    return {name: count / n_samples for name, count in hits.items()}


@pytest.mark.full
def test_coverage_is_near_95_percent():
    """Of 150 samples, 0.95 give or take three standard errors; a percentile interval of 150 images is a bit short."""
    for name, share in coverage(150, 200).items():
        assert 0.88 <= share <= 0.995, name


@pytest.mark.full
def test_coverage_is_near_95_percent_in_many_samples():
    """The bounds are those that Penlight promises: DeLong's on the logit is a little wide for a rare label."""
    for name, share in coverage(1500, 1000).items():
        assert 0.92 <= share <= 0.98, name


@pytest.mark.parametrize(("key", "sd"), [("mean", None), ("mean", 0.02), ("value", 0.02)])
def test_scores_over_seeds_are_read_as_this_version_and_0_1_0_wrote_them(key, sd):
    kept = {"name": "auc", "label": None, key: 0.75, "sd": sd, "low": 0.7, "high": 0.8, "n": 60, "note": ""}
    read = check_record(Score, kept, "summary.json")
    assert (read.value, read.low, read.high) == (0.75, 0.7, 0.8)
    assert read.sd == pytest.approx(math.nan if sd is None else sd, nan_ok=True)
    assert "mean" not in read.to_dict()
    assert read.to_dict() == {key if key != "mean" else "value": own for key, own in kept.items()}
    del kept["sd"]
    assert check_record(Score, kept, "metrics.json").sd is None
