"""DeLong's areas: against scikit-learn, a plain double loop, the bootstrap, and the paired comparison."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score

from penlight.evaluation import METRICS, Sample, bootstrap_weights
from penlight.evaluation.comparison import differences, paired_draws
from penlight.evaluation.delong import delong, newcombe
from penlight.tasks import Binary, MultiLabel
from tests.conftest import examples


def p_of_difference(areas):
    """Two-sided p of two correlated areas being equal (DeLong et al. 1988); 1 for scores that rank alike."""
    difference, c = areas.auc[0] - areas.auc[1], areas.covariance
    variance = c[0, 0] + c[1, 1] - 2 * c[0, 1]
    return 1.0 if difference == 0 else 2 * ndtr(-abs(difference) / variance**0.5)


def drawn(n=200, share=0.4, skill=(1.0, 0.6), seed=0, shared=0.5):
    """Truth (N,) and correlated scores (S, N)."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) < share * n).astype(np.uint8)
    both = rng.normal(size=n)
    own = rng.normal(size=(len(skill), n))
    return y, np.outer(skill, y) + shared**0.5 * both + (1 - shared) ** 0.5 * own


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 10_000), decimals=st.integers(0, 3), n=st.integers(4, 60))
def test_areas_are_scikit_learns_and_the_covariance_is_that_of_the_definition(seed, decimals, n):
    y, scores = drawn(n, 0.5, seed=seed)
    scores = scores.round(decimals)
    areas = delong(y, scores)
    np.testing.assert_allclose(areas.auc, [roc_auc_score(y, s) for s in scores], atol=1e-12)
    pairs = np.array([[[(a > b) + (a == b) / 2 for b in s[y == 0]] for a in s[y == 1]] for s in scores])
    by_hand = np.cov(pairs.mean(axis=2)) / (y == 1).sum() + np.cov(pairs.mean(axis=1)) / (y == 0).sum()
    np.testing.assert_allclose(areas.covariance, by_hand, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_its_interval_is_near_that_of_the_bootstrap(seed):
    y, scores = drawn(300, skill=(1.0,), seed=seed)
    prob = 1 / (1 + np.exp(-scores.T))
    task = MultiLabel(("a",))
    sample = Sample(task, y[:, None], prob, task.decide(prob))
    draws = np.concatenate([METRICS["auc"].compute(sample, w) for w in bootstrap_weights(len(y), 2000)])
    areas = delong(y, scores)
    assert draws.std() == pytest.approx(areas.covariance[0, 0] ** 0.5, rel=0.12)
    width = np.subtract(*np.percentile(draws, [97.5, 2.5]))
    np.testing.assert_allclose(areas.mean_interval(), np.percentile(draws, [2.5, 97.5]), atol=0.15 * width)


@pytest.mark.parametrize(("skill", "seed"), [((1.0, 0.6), 1), ((0.8, 0.8), 2), ((1.0, 0.8), 3), ((0.5, 0.9), 4)])
def test_its_paired_test_is_near_that_of_compare(skill, seed):
    y, scores = drawn(300, skill=skill, seed=seed)
    task = Binary(("no", "yes"))
    models = {}
    for name, s in zip(("one", "other"), scores, strict=True):
        positive = 1 / (1 + np.exp(-s))
        prob = np.stack([1 - positive, positive], axis=1)
        models[name] = [Sample(task, task.encode(y), prob, task.decide(prob))]
    (found,) = differences(paired_draws(models, "auc", resamples=4000), [("one", "other")])
    areas = delong(y, scores)
    assert found.value == pytest.approx(areas.auc[0] - areas.auc[1], abs=1e-12)
    assert found.p == pytest.approx(p_of_difference(areas), abs=0.05)
    half = 1.96 * (areas.covariance[0, 0] + areas.covariance[1, 1] - 2 * areas.covariance[0, 1]) ** 0.5
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.12)


def test_whole_patients_are_what_varies():
    """Images that are copies of their patient's say no more than the patient; Obuchowski's sums for others."""
    y, scores = drawn(120)
    alone = delong(y, scores)
    copies = delong(np.repeat(y, 3), np.repeat(scores, 3, axis=1), np.repeat(np.arange(120), 3))
    np.testing.assert_allclose(copies.auc, alone.auc, atol=1e-12)
    np.testing.assert_allclose(copies.covariance, alone.covariance, atol=1e-12)
    groups = np.arange(120) // 4
    found = delong(y, scores, groups)
    pairs = np.array([(s[y == 1][:, None] > s[y == 0]) * 1.0 for s in scores])
    m, n = pairs.shape[1:]
    x = pairs.mean(axis=2) - alone.auc[:, None]
    z = pairs.mean(axis=1) - alone.auc[:, None]
    of, by_hand = np.unique(groups), np.zeros((2, 2))
    sums = [np.array([v[:, groups[y == k] == g].sum(axis=1) for g in of]).T for v, k in ((x, 1), (z, 0))]
    i10, i01, i = len(np.unique(groups[y == 1])), len(np.unique(groups[y == 0])), len(of)
    by_hand += i10 / (i10 - 1) * sums[0] @ sums[0].T / m**2 + i01 / (i01 - 1) * sums[1] @ sums[1].T / n**2
    cross = i / (i - 1) * sums[0] @ sums[1].T / (m * n)
    np.testing.assert_allclose(found.covariance, by_hand + cross + cross.T, atol=1e-12)


def test_pairs_of_two_folds_are_not_compared():
    """A perfect ranking within folds whose probabilities are not on one scale has an area of 1."""
    y = np.tile([0, 0, 1], 20).astype(np.uint8)
    fold = np.repeat([0, 1], 30)
    scores = y * 0.1 + 0.5 * fold
    assert roc_auc_score(y, scores) < 0.8
    assert delong(y, scores, fold=fold).auc[0] == 1
    task = MultiLabel(("a",))
    prob = scores[:, None]
    folded = Sample(task, y[:, None], prob, task.decide(prob), fold=fold)
    for key in ("auc", "auc_micro", "average_precision"):
        assert METRICS[key].compute(folded, np.ones((1, 60)))[0] == 1


def test_coverage_is_near_95_percent():
    from scipy.stats import norm

    truth, hits = norm.cdf(1 / 2**0.5), 0
    for seed in range(400):
        y, scores = drawn(80, skill=(1.0,), seed=seed)
        low, high = delong(y, scores).mean_interval()
        hits += low <= truth <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_what_is_undefined_is_nan():
    y = np.array([1, 0, 0, 1], np.uint8)
    assert np.isnan(delong(np.zeros(4, np.uint8), np.arange(4.0)).auc).all()
    one = delong(np.array([1, 0, 0, 0]), np.arange(4.0))
    assert one.auc[0] == 0
    assert np.isnan(one.covariance).all()
    assert delong(y, np.array([3.0, 0, 1, 2])).mean_interval() == newcombe(1.0, 2, 2)
    same = delong(y, np.array([[0.3, 0.1, 0.7, 0.2]] * 2))
    assert p_of_difference(same) == 1
