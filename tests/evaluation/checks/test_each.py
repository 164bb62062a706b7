"""What each check measures: against closed forms and scikit-learn, and where it must be silent."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.metrics import accuracy_score, roc_auc_score

from penlight.data.problems import Problem
from penlight.evaluation.calibration import Calibration
from penlight.evaluation.checks import Evidence, SplitAnswers, check_seeds, run_checks
from penlight.evaluation.checks.certainty import calibration_error, not_calibrated, simulated_errors
from penlight.evaluation.checks.check import Check, listed, number
from penlight.evaluation.checks.skill import (
    accuracy_of_the_majority,
    learned_nothing,
    never_answered,
    seeds_disagree,
    still_improving,
)
from penlight.evaluation.checks.splits import ks_distance, shifted, val_and_test_apart
from penlight.evaluation.reliability import outcome_errors
from penlight.evaluation.rows import Score
from tests.evaluation.checks.cases import CASES
from tests.evaluation.checks.evidence import FINDINGS, TASK, calibrated, clean, curves, sample, with_test


def test_the_difference_to_linear_is_of_the_same_images():
    e = clean()
    y, own, rival = e.test.sample.y, e.test.sample.prob, e.baselines["linear"].prob
    found = e.against("linear")
    assert found.value == pytest.approx(roc_auc_score(y, own, average="macro") - roc_auc_score(y, rival))
    assert found.low < found.value < found.high
    assert replace(e, baselines={}).against("linear") is None


def test_the_majority_is_that_of_train_and_else_of_val():
    e = clean()
    counts = {**e.data.counts, "train": (10, 400, 20, 30)}
    moved = replace(e, data=replace(e.data, counts=counts))
    assert moved.majority.decided[:, 1].all()
    rate, found = moved.accuracy()
    truth = e.test.sample.y.argmax(axis=1)
    assert rate == pytest.approx(np.mean(truth == 1))
    assert rate + found.value == pytest.approx(accuracy_score(truth, e.test.sample.prob.argmax(axis=1)))
    alone = replace(e, data=None)
    np.testing.assert_allclose(alone.prior, e.val.sample.y.mean(axis=0))


def test_accuracy_of_findings_is_official_and_only_a_note():
    y, _ = calibrated(FINDINGS, 300, 0, lean=0.0)
    rare = (y * (np.random.default_rng(0).random(y.shape) < 0.1)).astype(np.uint8)
    s = sample(FINDINGS, rare, np.full(y.shape, 0.1))
    seen = accuracy_of_the_majority.find(Evidence(SplitAnswers(s)))
    assert not seen.serious
    assert number(float((rare == 0).mean())) in seen.text


def test_a_label_nobody_has_is_not_missed():
    e = clean()
    y = e.test.sample.y.copy()
    y[y[:, 3] == 1] = [1, 0, 0, 0]
    prob = e.test.sample.prob * [1, 1, 1, 0] + 1e-12
    s = sample(TASK, y, prob / prob.sum(axis=1, keepdims=True))
    assert never_answered.find(with_test(e, s)) is None


def test_a_reversed_ranking_has_learned_nothing_either():
    e = clean()
    s = sample(TASK, e.test.sample.y, np.roll(e.test.sample.prob, 1, axis=1))
    assert learned_nothing.find(with_test(e, s)).serious


def test_val_and_test_are_compared_over_labels_that_both_have():
    """A label that val never has would change the mean; without it the two are alike."""
    e = clean()
    y = e.val.sample.y.copy()
    y[:, 3] = 0
    y[y.sum(axis=1) == 0] = [1, 0, 0, 0]
    e = replace(e, val=SplitAnswers(sample(TASK, y, e.val.sample.prob)))
    columns = roc_auc_score(e.test.sample.y[:, :3], e.test.sample.prob[:, :3])
    seen = val_and_test_apart.find(replace(e, val=SplitAnswers(sample(TASK, *calibrated(TASK, 400, 9, spread=0.3)))))
    assert seen is not None
    lost = replace(e, val=SplitAnswers(sample(TASK, y, np.random.default_rng(0).permutation(e.val.sample.prob))))
    assert number(columns) in val_and_test_apart.find(lost).text


def test_val_apart_speaks_in_both_directions_and_not_without_val():
    low, high = (SplitAnswers(sample(TASK, *calibrated(TASK, 400, 3, spread=s))) for s in (0.5, 4.0))
    test = clean(spread=1.5)
    assert "difference −" in val_and_test_apart.find(replace(test, val=low)).text
    assert "difference 0." in val_and_test_apart.find(replace(test, val=high)).text
    assert val_and_test_apart.find(replace(test, val=None)) is None


@given(st.integers(0, 10_000), st.integers(5, 60))
def test_errors_of_calibration_are_those_of_a_plain_loop(seed, n):
    rng = np.random.default_rng(seed)
    stated, true = rng.random(n), rng.integers(0, 2, n).astype(float)
    by_hand = 0.0
    for low in np.linspace(0, 1, 11)[:-1]:
        inside = (stated > low) & (stated <= low + 0.1) if low else stated <= 0.1
        by_hand += abs((stated[inside] - true[inside]).sum()) / n
    assert outcome_errors(stated, true[None])[0] == pytest.approx(by_hand, abs=1e-9)


def test_errors_by_chance_cover_what_calibrated_probabilities_have():
    errors, limits = [], []
    for seed in range(60):
        y, prob = calibrated(TASK, 200, seed)
        own = sample(TASK, y, prob)
        errors.append(calibration_error(own))
        limits.append(np.quantile(simulated_errors(own.predicted.prob.ravel(), seed=seed)[:200], 0.9))
    above = int(np.sum(np.array(errors) > np.array(limits)))
    # One in ten of sixty; 15 or more would come in under one of a thousand repetitions.
    assert 0 < above < 15


def test_large_samples_are_simulated_less_often_and_alike():
    stated = np.random.default_rng(0).random(300_000)
    errors = simulated_errors(stated)
    assert len(errors) < 1000
    assert errors.max() < 0.01


@given(st.integers(0, 10_000))
def test_the_distance_is_that_of_scipy(seed):
    rng = np.random.default_rng(seed)
    one, other = np.round(rng.random(rng.integers(1, 40)), 1), rng.random(rng.integers(1, 40)) ** 2
    assert ks_distance(one, other) == pytest.approx(ks_2samp(one, other).statistic)


def test_outputs_that_moved_are_a_shift_and_patients_count_once():
    e = clean(spread=1.0)
    logits = TASK.logits(e.test.sample.prob) + np.array([1.5, 0, 0, 0])
    moved = with_test(e, sample(TASK, e.test.sample.y, TASK.probabilities(logits)))
    assert "a (distance 0." in shifted.find(moved).text
    patients = np.arange(400) // 100
    few = replace(moved, val=replace(moved.val, groups=patients), test=replace(moved.test, groups=patients))
    assert shifted.find(few) is None


def test_a_shift_of_the_audit_is_told_in_its_words_and_as_serious():
    e = clean()
    problem = Problem("images-shifted", serious=True, seen="A classifier tells train from test.", do="Look.")

    def seen(**more):
        return shifted.find(replace(e, data=replace(e.data, problems=(replace(problem, **more),))))

    assert seen(splits=["train", "test"]).text == seen().text == problem.seen
    assert seen().serious
    assert seen(splits=["train", "val"]) is None


def test_shares_that_the_audit_speaks_of_are_told_once():
    e = clean()
    counts = {**e.data.counts, "train": (700, 300, 300, 300)}
    data = replace(e.data, counts=counts, images={**e.data.images, "train": 1600})
    problem = Problem("labels-shifted", serious=False, seen="Labels of test differ.", do="Look.")
    assert shifted.find(replace(e, data=data)).text.startswith("Labels have other shares in train and test: a 43.8 %")
    assert shifted.find(replace(e, data=replace(data, problems=(problem,)))).text == "Labels of test differ."


@pytest.mark.parametrize(
    ("val", "rate", "speaks"),
    [
        ((0.6, 0.7, 0.8), (1e-3, 1e-3, 1e-3), True),
        ((0.6, 0.8, 0.7), (1e-3, 1e-3, 1e-3), False),
        ((0.6, 0.8, 0.8), (1e-3, 1e-3, 1e-3), False),
        ((0.6, 0.8, 0.801), (1e-3, 1e-3, 1e-3), False),
        ((0.6, 0.7, 0.8), (1e-3, 5e-4, 1e-5), False),
        ((0.8,), (1e-3,), False),
    ],
)
def test_training_ended_too_soon_only_if_it_went_on_rising_at_full_rate(val, rate, speaks):
    e = replace(clean(), curves=replace(curves(*val), learning_rate=np.array(rate)))
    assert (still_improving.find(e) is not None) == speaks


def test_without_a_headline_on_val_its_loss_is_looked_at():
    falling = replace(curves(0.1, 0.5, 0.9), val_headline=np.full(3, np.nan))
    assert "loss 0.100, before it at best 0.500" in still_improving.find(replace(clean(), curves=falling)).text


def test_over_seeds_a_check_is_told_once():
    one, other, same = (Check("PL001", s, f"seen {i}", "Why.", "Do.") for i, s in ((1, False), (2, True), (1, False)))
    note = Check("PL016", False, "No patients.", "Why.", "Do.")
    found = check_seeds({0: [note, one], 1: [note], 2: [note, other]}, [])
    assert [c.code for c in found] == ["PL001", "PL016"]
    assert found[0].seen == "In 2 of 3 seeds; in seed 2: seen 2"
    assert found[0].serious
    assert found[1] == note
    assert check_seeds({0: [one], 1: [same]}, []) == [one]
    assert check_seeds({0: [], 1: []}, []) == []


def test_undefined_scores_are_not_compared():
    y = np.tile([1, 0, 0, 0], (30, 1)).astype(np.uint8)
    s = sample(TASK, y, calibrated(TASK, 30, 0)[1])
    e = Evidence(SplitAnswers(s), val=SplitAnswers(s), baselines={"linear": s})
    assert math.isnan(e.against("linear").low)
    assert {c.code for c in run_checks(e)} <= {"PL005", "PL006"}


def test_long_lists_are_counted():
    assert listed(["a", "b"]) == "a, b"
    assert listed([*"abcdefgh"]) == "a, b, c, d, e, f and 2 more"
    assert number(-0.0001) == "0.000"
    assert number(-0.25, 2) == "−0.25"


def test_images_of_a_patient_are_not_called_uncalibrated_for_being_alike():
    """Calibrated probabilities of 100 patients with four images each, which are right or wrong together."""
    raised = {True: 0, False: 0}
    for seed in range(60):
        y, prob = (np.repeat(part, 4, axis=0) for part in calibrated(TASK, 100, seed))
        patients = np.repeat(np.arange(100), 4)
        for known in raised:
            e = Evidence(SplitAnswers(sample(TASK, y, prob), patients if known else None))
            raised[known] += not_calibrated.find(e) is not None
    assert raised[True] <= 3 < raised[False]


def test_what_calibration_did_is_said():
    e = CASES["PL006"][0]()
    with_both = replace(e, before=e.test.sample, calibration=Calibration("temperature", (1.1,)))
    assert "They are calibrated (temperature); before it they were off by 0." in not_calibrated.find(with_both).text
    without = replace(e, calibration=Calibration())
    assert "They were not calibrated" in not_calibrated.find(without).text


def test_seeds_that_differ_by_a_hair_agree_on_any_number_of_images():
    rows = [Score("auc", None, value, value - 0.001, value + 0.001, 22_000) for value in (0.77, 0.79)]
    assert seeds_disagree.find(rows) is None


def test_what_is_not_quite_one_is_not_printed_as_one():
    assert [number(value) for value in (0.9996, 0.99996, 1.0, 0.9994, -0.0001)] == [
        "0.9996", "0.99996", "1.000", "0.999", "0.000",
    ]  # fmt: skip
