"""Operating points and decision curves, against plain loops, Bayes and scikit-learn."""

import json
import math

import numpy as np
import pytest
from sklearn.metrics import class_likelihood_ratios, confusion_matrix, precision_score, recall_score

from penlight.evaluation.operating import (
    AS_DECIDED,
    STEPS,
    OperatingPoint,
    net_benefits,
    operating_points,
)
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal
from tests.evaluation.test_metrics import scored

ORDINAL = Ordinal(tuple("abcd"), referable=2)
ASKED = [Binary(("no", "yes")), MultiLabel(tuple("abc")), ORDINAL]


@pytest.fixture(params=ASKED, ids=lambda t: t.kind)
def asked(request):
    """Tasks with yes-or-no questions."""
    return request.param


def points_of(task, **options):
    y, prob, decided, _ = scored(task)
    y_val, prob_val, _, _ = scored(task, seed=7)
    cuts = [0.5] * len(task.labels)
    found = operating_points(task, y, prob, decided, thresholds=cuts, val=(y_val, prob_val), **options)
    return y, prob, decided, found


def test_rates_are_scikit_learns(asked):
    y, prob, decided, found = points_of(asked)
    assert len(found) == 3 * len(asked.questions)
    for question in asked.questions:
        truth, stated = question.of(y), question.of(prob)
        for point in (p for p in found if p.question == question.name):
            called = question.of(decided) if point.chosen == AS_DECIDED else stated > point.threshold
            rates = {name: rate.value for name, rate in point.rates.items()}
            assert point.prevalence == pytest.approx(truth.mean())
            assert rates["sensitivity"] == pytest.approx(recall_score(truth, called))
            assert rates["specificity"] == pytest.approx(recall_score(1 - truth, 1 - called))
            assert rates["ppv"] == pytest.approx(precision_score(truth, called))
            assert rates["npv"] == pytest.approx(precision_score(1 - truth, 1 - called))
            positive, negative = class_likelihood_ratios(truth, called)
            assert rates["likelihood_ratio_positive"] == pytest.approx(positive)
            assert rates["likelihood_ratio_negative"] == pytest.approx(negative)
            for rate in point.rates.values():
                assert rate.low <= rate.value <= rate.high or rate.note


def test_thresholds_chosen_on_val_reach_there_what_was_wanted(asked):
    y_val, prob_val, _, _ = scored(asked, seed=7)
    for question in asked.questions:
        truth, stated = question.of(y_val), question.of(prob_val)
        found = {p.chosen: p for p in points_of(asked)[3] if p.question == question.name}
        assert recall_score(truth, stated > found["sensitivity 0.90 on val"].threshold) >= 0.9
        assert recall_score(1 - truth, stated <= found["specificity 0.90 on val"].threshold) >= 0.9
    assert math.isnan(found[AS_DECIDED].threshold) == (not asked.uses_thresholds)


@pytest.mark.parametrize("prevalence", [0.001, 0.1, 0.5, 0.999])
def test_predictive_values_are_those_of_bayes(asked, prevalence):
    point = points_of(asked, prevalence=prevalence)[3][0]
    sensitivity, specificity = (point.rates[name].value for name in ("sensitivity", "specificity"))
    found, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    missed, cleared = (1 - sensitivity) * prevalence, specificity * (1 - prevalence)
    assert point.rates["ppv_stated"].value == pytest.approx(found / (found + false))
    assert point.rates["npv_stated"].value == pytest.approx(cleared / (cleared + missed))


def test_at_the_prevalence_of_test_both_predictive_values_are_the_same(asked):
    share = float(asked.questions[0].of(scored(asked)[0]).mean())
    point = points_of(asked, prevalence=share)[3][0]
    assert point.stated == share
    assert point.rates["ppv_stated"].value == pytest.approx(point.rates["ppv"].value)
    assert point.rates["npv_stated"].value == pytest.approx(point.rates["npv"].value)


def test_what_is_undefined_is_nan_with_its_reason():
    task = Binary(("no", "yes"))
    y = task.encode(np.arange(40) % 2)
    prob = np.tile([0.9, 0.1], (40, 1))
    (point,) = operating_points(task, y, prob, task.decide(prob))
    assert point.rates["sensitivity"].value == 0
    assert math.isnan(point.rates["ppv"].value)
    assert point.rates["ppv"].note == "never answered yes"
    perfect = operating_points(task, y, y * 0.8 + 0.1, y)[0]
    assert math.isnan(perfect.rates["likelihood_ratio_positive"].value)
    assert perfect.rates["likelihood_ratio_positive"].note == "no negative case is answered yes"


def test_a_question_that_val_cannot_tell_has_no_points_of_val():
    y, prob, decided, _ = scored(ORDINAL)
    val = (ORDINAL.encode(np.zeros(30, int)), np.tile([0.7, 0.1, 0.1, 0.1], (30, 1)))
    found = operating_points(ORDINAL, y, prob, decided, val=val)
    assert [math.isnan(p.rates["ppv"].value) for p in found] == [False, True, True]
    assert "0 positive of 30 in val" in found[1].note


def test_classes_hold_no_question():
    y, prob, decided, _ = scored(MultiClass(tuple("abc")))
    assert operating_points(MultiClass(tuple("abc")), y, prob, decided) == []
    assert net_benefits(MultiClass(tuple("abc")), y, prob) == []


def test_points_round_trip_through_json(asked):
    for point in points_of(asked, prevalence=0.1)[3]:
        kept = point.to_dict()
        assert OperatingPoint.from_dict(json.loads(json.dumps(kept, allow_nan=False))).to_dict() == kept


def test_net_benefit_is_that_of_a_plain_loop(asked):
    y, prob, _, _ = scored(asked, ties=True)
    for question, curve in zip(asked.questions, net_benefits(asked, y, prob, resamples=0), strict=True):
        truth, stated = question.of(y), np.clip(question.of(prob), 0, 1)
        assert len(curve.threshold) == STEPS + 1
        for t, value, everyone in zip(curve.threshold, curve.model, curve.treat_all, strict=True):
            _, false, _, true = confusion_matrix(truth, stated > t, labels=[0, 1]).ravel()
            assert value == pytest.approx((true - false * t / (1 - t)) / len(y), abs=1e-12)
            all_false = len(y) - truth.sum()
            assert everyone == pytest.approx((truth.sum() - all_false * t / (1 - t)) / len(y), abs=1e-12)
        assert curve.treat_all[0] == pytest.approx(truth.mean())
        assert curve.threshold[-1] < 1


def test_the_band_holds_the_curve_and_rows_and_names_do_not_matter(asked):
    y, prob, _, _ = scored(asked)
    order = np.random.default_rng(0).permutation(len(y))
    shuffled = net_benefits(asked, y[order], prob[order], resamples=40)
    for curve, other in zip(net_benefits(asked, y, prob, resamples=40), shuffled, strict=True):
        inside = (curve.low <= curve.model + 1e-12) & (curve.model <= curve.high + 1e-12)
        assert inside.mean() > 0.9
        better = np.maximum(curve.treat_all, 0)
        assert (curve.gain_low <= curve.model - better + 1e-12).mean() > 0.9
        # On the same resamples, treating all at threshold 0 gains nothing over itself.
        assert curve.gain_low[0] == pytest.approx(0, abs=1e-12)
        np.testing.assert_allclose(other.model, curve.model, atol=1e-12)


def test_a_finding_without_positives_says_why_it_has_no_curve():
    task = MultiLabel(tuple("abc"))
    y, prob, _, _ = scored(task)
    y[:, 1] = 0
    assert [curve.note for curve in net_benefits(task, y, prob, resamples=5)] == [
        "",
        "no positive or no negative case",
        "",
    ]
