"""Paired differences: against a plain loop with scikit-learn, Holm by hand, and what chance alone does."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind
from sklearn.metrics import accuracy_score, roc_auc_score

from penlight.evaluation import Sample, bootstrap_weights, find_row, score_seeds
from penlight.evaluation.comparison import Difference, ResampledMetric, differences, holm_steps, paired_draws
from penlight.tasks import MultiClass

TASK = MultiClass(("a", "b", "c"))
N = 90


def sample(skill, seed, n=N):
    """Probabilities that know more of the truth the higher `skill` is; the truth is the same for every seed."""
    y = TASK.encode(np.arange(n) % 3)
    raw = np.random.default_rng(seed).uniform(0.05, 1, (n, 3)) + skill * y
    prob = raw / raw.sum(axis=1, keepdims=True)
    return Sample(TASK, y, prob, TASK.decide(prob))


def test_draws_are_those_of_a_plain_loop_with_scikit_learn():
    models = {"one": [sample(0.3, 1), sample(0.3, 2)], "other": [sample(0.1, 3)]}
    b = 25
    drawn = {metric: paired_draws(models, metric, resamples=b, seed=4) for metric in ("auc", "acc")}
    weights = np.concatenate(list(bootstrap_weights(len(models["one"][0].y), b, seed=4)))
    by_hand = {"auc": np.empty((3, b)), "acc": np.empty((3, b))}
    for i, s in enumerate([*models["one"], *models["other"]]):
        for j, w in enumerate(weights):
            columns = [roc_auc_score(s.y[:, c], s.prob[:, c], sample_weight=w) for c in range(3)]
            by_hand["auc"][i, j] = np.mean(columns)
            by_hand["acc"][i, j] = accuracy_score(s.y.argmax(1), s.prob.argmax(1), sample_weight=w)
    for metric, values in by_hand.items():
        np.testing.assert_allclose(drawn[metric]["one"].resampled, values[:2].mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(drawn[metric]["other"].resampled, values[2], atol=1e-12)
    s = models["other"][0]
    assert drawn["auc"]["other"].mean == pytest.approx(roc_auc_score(s.y, s.prob, average="macro"), abs=1e-12)


def test_interval_and_p_are_welchs():
    """Against SciPy's Welch test, where seeds are all that varies."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.70, 0.02, 4), rng.normal(0.66, 0.005, 3)
    still = np.full(100, 0.0)
    draws = {
        "one": ResampledMetric(one, still + one.mean(), 10**6),
        "other": ResampledMetric(other, still + other.mean(), 10**6),
    }
    (found,) = differences(draws, [("one", "other")])
    expected = ttest_ind(one, other, equal_var=False)
    interval = expected.confidence_interval()
    assert found.value == pytest.approx(one.mean() - other.mean())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == found.p_holm == pytest.approx(expected.pvalue)


def test_images_and_seeds_add_up():
    models = {"one": [sample(k, 7) for k in (0.0, 0.4, 5.0)], "other": [sample(0.3, 9)]}
    both = differences(paired_draws(models, "auc"), [("one", "other")])[0]
    single = differences(paired_draws({**models, "one": models["one"][1:2]}, "auc"), [("one", "other")])[0]
    assert both.high - both.low > 3 * (single.high - single.low)


@pytest.mark.full
@pytest.mark.parametrize("n_seeds", [1, 2, 3])
def test_seeds_of_one_method_seldom_differ_from_each_other(n_seeds):
    """Networks of one method, whose seeds differ more than images make them: 5 of 100 are called apart, not 18."""
    called, repeats = 0, 150
    for k in range(repeats):
        rng = np.random.default_rng([n_seeds, k])
        skills = rng.normal(0.4, 0.1 if n_seeds > 1 else 0, (2, n_seeds))
        y = TASK.encode(np.arange(N) % 3)
        models = {}
        for name, own in zip(("one", "other"), skills, strict=True):
            raw = rng.uniform(0.05, 1, (n_seeds, N, 3)) + own[:, None, None] * y
            prob = raw / raw.sum(axis=2, keepdims=True)
            models[name] = [Sample(TASK, y, p, TASK.decide(p)) for p in prob]
        called += differences(paired_draws(models, "auc", resamples=200), [("one", "other")])[0].p < 0.05
    assert called / repeats <= 0.10


def test_a_single_image_that_differs_is_not_more_than_chance():
    """All weights are positive, so that no resample is without it; the test must not count resamples."""
    one = sample(5.0, 1)
    prob = one.prob.copy()
    prob[0] = prob[0][[1, 0, 2]]
    models = {"one": [one], "other": [Sample(TASK, one.y, prob, TASK.decide(prob))]}
    (found,) = differences(paired_draws(models, "acc"), [("one", "other")])
    assert found.value == pytest.approx(1 / N)
    assert found.low < 0
    assert found.p > 0.2


def test_an_interval_is_corrected_as_its_p_is():
    models = {name: [sample(0.2 + 0.05 * k, k)] for k, name in enumerate("abcdef")}
    draws = paired_draws(models, "auc")
    together = differences(draws, [(name, "a") for name in "bcdef"])
    for found in together:
        (alone,) = differences(draws, [(found.row, "a")])
        assert found.p == alone.p <= found.p_holm
        assert found.low <= alone.low + 1e-12
        assert (found.low <= 0 <= found.high) == (found.p_holm >= 0.05)


def test_a_model_has_the_interval_of_its_scores():
    models = {"one": [sample(0.3, 1), sample(0.3, 2)]}
    for metric in ("auc", "acc", "log_loss"):
        own = paired_draws(models, metric)["one"]
        samples = models["one"]
        row = find_row(
            score_seeds(TASK, samples[0].y, [s.prob for s in samples], [s.decided for s in samples]), metric
        )
        assert (own.low, own.high) == pytest.approx((row.low, row.high), abs=1e-12)


def test_holm_by_hand():
    np.testing.assert_allclose(holm_steps(np.array([0.01, 0.04, 0.03, 0.005]))[0], [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm_steps(np.array([0.4, np.nan, 0.3]))[0], [0.6, np.nan, 0.6])
    np.testing.assert_allclose(holm_steps(np.array([0.9, 0.8]))[0], [1, 1])
    assert holm_steps(np.array([]))[0].shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_and_keeps_their_order(values):
    p = np.array(values)
    corrected = holm_steps(p)[0]
    assert (corrected >= p).all()
    assert (corrected <= 1).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()
    assert corrected.max() <= len(p) * p.max() + 1e-12


def test_a_model_against_itself_is_no_difference_and_a_far_better_one_is():
    models = {"same": [sample(0.2, 1)], "again": [sample(0.2, 1)], "better": [sample(2.0, 5)]}
    found = differences(paired_draws(models, "auc", resamples=500), [("again", "same"), ("better", "same")])
    assert found[0].value == found[0].low == found[0].high == 0
    assert found[0].p == 1
    assert not found[0].more_than_chance
    assert found[1].more_than_chance
    assert found[1].low > 0
    assert found[1].to_dict()["row"] == "better"


def test_chance_alone_is_seldom_called_more():
    """Two models of the same skill, drawn anew: about one in twenty differs at 0.05; nineteen in twenty must not."""
    called = 0
    for seed in range(60):
        models = {"one": [sample(0.2, 1000 + seed)], "other": [sample(0.2, 2000 + seed)]}
        (found,) = differences(paired_draws(models, "auc", resamples=300, seed=seed), [("one", "other")])
        called += found.more_than_chance
    assert called <= 9


def test_pairs_are_compared_once_and_an_undefined_score_has_no_p():
    undefined = ResampledMetric(np.array([np.nan]), np.full(10, np.nan), 50)
    known = ResampledMetric(np.array([0.7]), np.linspace(0.6, 0.8, 10), 50)
    found = differences({"a": known, "b": undefined, "c": known}, [("a", "b"), ("a", "c"), ("a", "c")])
    assert [(d.row, d.against) for d in found] == [("a", "b"), ("a", "c")]
    assert math.isnan(found[0].p_holm)
    assert not found[0].more_than_chance
    assert found[0].to_dict()["p"] is None
    assert isinstance(found[1], Difference)


def test_other_images_are_not_compared():
    other = sample(0.2, 1)
    shifted = Sample(TASK, np.roll(other.y, 1, axis=0), other.prob, other.decided)
    with pytest.raises(ValueError, match="same images"):
        paired_draws({"one": [other], "other": [shifted]}, "auc")
