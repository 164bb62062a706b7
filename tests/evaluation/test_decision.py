"""Thresholds: found on val, by rule, with a stated fallback."""

import json
import math

import numpy as np
import pytest
from sklearn import metrics as sk

from penlight.errors import RecipeError, UnknownNameError
from penlight.evaluation import Calibration, Conformal, fit_conformal
from penlight.evaluation.decision import Decision, find_decision
from penlight.evaluation.thresholds import best_cut
from penlight.tasks import MultiClass, MultiLabel

TASK = MultiLabel(("often", "seldom"))


@pytest.fixture
def val():
    rng = np.random.default_rng(0)
    y = (rng.random((400, 2)) < [0.3, 0.1]).astype(np.uint8)
    prob = 1 / (1 + np.exp(-(rng.normal(size=y.shape) + 1.5 * y - 2)))
    return y, np.round(prob, 2)


def all_cuts(prob):
    return np.r_[-1, np.unique(prob)]


@pytest.mark.parametrize("rule", ["f1", "youden"])
def test_the_threshold_is_the_best_there_is(val, rule):
    y, prob = val
    decision = find_decision(TASK, y, prob, y.mean(axis=0), rule=rule, calibration="none")

    def gain(k, cut):
        answer = prob[:, k] > cut
        if rule == "f1":
            return sk.f1_score(y[:, k], answer, zero_division=0)
        return sk.balanced_accuracy_score(y[:, k], answer)

    for k in range(2):
        best = max(gain(k, cut) for cut in all_cuts(prob[:, k]))
        assert gain(k, decision.thresholds[k]) == pytest.approx(best)


def test_a_wanted_sensitivity_or_specificity_is_reached_and_no_more(val):
    y, prob = val
    for k in range(2):
        cut = find_decision(
            TASK, y, prob, y.mean(axis=0), rule="sensitivity", wanted=0.9, calibration="none"
        ).thresholds[k]
        above = np.unique(prob[:, k])[np.unique(prob[:, k]) > cut][0]
        assert sk.recall_score(y[:, k], prob[:, k] > cut) >= 0.9
        assert sk.recall_score(y[:, k], prob[:, k] > above) < 0.9
        cut = find_decision(
            TASK, y, prob, y.mean(axis=0), rule="specificity", wanted=0.9, calibration="none"
        ).thresholds[k]
        below = np.unique(prob[:, k])[np.unique(prob[:, k]) < cut][-1]
        assert sk.recall_score(1 - y[:, k], prob[:, k] <= cut) >= 0.9
        assert sk.recall_score(1 - y[:, k], prob[:, k] < below) < 0.9


def test_a_label_that_val_cannot_tune_takes_the_prevalence_of_train_and_says_so(val):
    y, prob = val
    y[:, 1] = 0
    y[:4, 1] = 1
    decision = find_decision(TASK, y, prob, np.array([0.3, 0.05]), rule="f1", calibration="none")
    assert np.mean(prob[:, 1] > decision.thresholds[1]) == pytest.approx(0.05, abs=0.02)
    assert len(decision.notes) == 1
    assert decision.notes[0].startswith("seldom: 4 positive")


def test_fixed_and_none():
    empty = np.zeros((0, 2))
    assert find_decision(TASK, empty, empty, np.zeros(2)).thresholds == (0.5, 0.5)
    assert find_decision(TASK, empty, empty, np.zeros(2), wanted=0.3).thresholds == (0.3, 0.3)
    assert find_decision(MultiClass(("a", "b")), empty, empty, np.zeros(2), rule="f1").thresholds is None


def test_bad_rules_are_refused():
    empty = np.zeros((0, 2))
    with pytest.raises(UnknownNameError, match="youden"):
        find_decision(TASK, empty, empty, np.zeros(2), rule="yuoden")
    with pytest.raises(RecipeError, match="wanted"):
        find_decision(TASK, empty, empty, np.zeros(2), rule="sensitivity")


def test_round_trip():
    sets = Conformal(0.8, ((0.3, math.inf), (0.5, 0.6)), ("c: d",))
    decision = Decision((0.1, 0.2), Calibration("temperature", (1.5, 2.0)), "val", ("a: b",), sets)
    assert Decision.from_dict(json.loads(json.dumps(decision.to_dict(), allow_nan=False))) == decision
    assert Decision().sets(TASK, np.zeros((3, 2))) is None


def test_sets_are_fitted_on_calibrated_probabilities(val):
    y, prob = val
    decision = find_decision(TASK, y, prob, y.mean(axis=0), coverage=0.7)
    calibrated, decided = decision.answer(TASK, prob)
    assert decision.conformal == fit_conformal(TASK, y, calibrated, 0.7)
    expected = decision.conformal.sets(TASK, calibrated) | np.stack([1 - decided, decided], axis=2)
    np.testing.assert_array_equal(decision.sets(TASK, calibrated), expected)


def test_a_cut_for_full_sensitivity_keeps_a_probability_of_0():
    y = (np.arange(60) < 30).astype(np.uint8)
    prob = np.where(y == 1, 0.8, 0.2)
    prob[0] = prob[40] = 0.0
    cut = best_cut(y, prob, "sensitivity", 1.0)
    assert (prob[y == 1] > cut).all()
    assert cut < 0 or prob.min() > 0


def test_a_threshold_that_val_suggests_is_taken_only_where_it_helps_held_out():
    """Youden's index of a nearly perfect val is highest wherever one image happens to lie; of a shifted one, not."""
    task, rng = MultiLabel(("sure", "shifted")), np.random.default_rng(4)
    y = (np.arange(200) % 2).astype(np.uint8)[:, None].repeat(2, axis=1)
    sure = np.where(y[:, 0] == 1, rng.uniform(0.6, 1, 200), rng.uniform(0, 0.4, 200))
    sure[1] = 0.236
    prob = np.stack([sure, np.clip(0.2 * y[:, 1] + rng.uniform(0, 0.25, 200), 0, 1)], axis=1)
    decision = find_decision(task, y, prob, y.mean(axis=0), rule="youden", calibration="none")
    assert decision.thresholds[0] == 0.5
    assert decision.notes == (
        "sure: a threshold by youden did not raise it by more than its standard error on images of val held out; "
        "cut at 0.5",
    )
    assert 0.15 < decision.thresholds[1] < 0.3
