"""Answering where one is sure: metrics of sets and the risk-coverage curve against plain loops."""

import numpy as np
import pytest

from penlight.evaluation import METRICS, Sample, find_row, score
from penlight.evaluation.conformal import candidate_labels
from penlight.evaluation.selective import RiskCoverage, errors_and_confidence, is_singleton
from penlight.tasks import MultiClass, MultiLabel
from tests.evaluation.test_metrics import scored, sets_of

LABELS = tuple("abcd")


def plain_area(wrong, confidence, parts=4000):
    """Each answer cut into many small ones, and the error of the surest averaged over how many are kept; of equally
    sure ones, each small part has the error of all."""
    errors = np.array([wrong[confidence == c].mean() for c in confidence])
    in_order = np.repeat(errors[np.argsort(-confidence, kind="stable")], parts)
    return np.mean(np.cumsum(in_order) / np.arange(1, len(in_order) + 1))


@pytest.mark.parametrize("decimals", [1, 12])
def test_the_area_is_that_of_a_plain_loop(decimals):
    rng = np.random.default_rng(0)
    for n in (1, 7, 60):
        confidence = np.round(rng.random((n, 2)), decimals)
        wrong = rng.random((n, 2)) > confidence
        area = RiskCoverage.of(wrong, confidence).area(np.ones((1, n)))
        assert area[0] == pytest.approx(plain_area(wrong.ravel(), confidence.ravel()), abs=2e-3)


def test_the_area_without_ties_is_near_the_mean_over_answers():
    """What is usually computed: the mean over n of the error among the n surest."""
    rng = np.random.default_rng(1)
    confidence = rng.random((3000, 1))
    wrong = rng.random((3000, 1)) > confidence
    in_order = wrong[np.argsort(-confidence[:, 0])][:, 0]
    usual = np.mean(np.cumsum(in_order) / np.arange(1, 3001))
    assert RiskCoverage.of(wrong, confidence).area(np.ones((1, 3000)))[0] == pytest.approx(usual, abs=1e-3)


def test_the_area_of_resamples_is_that_of_repeated_images():
    task = MultiLabel(LABELS)
    y, prob, decided, _ = scored(task, n=50, ties=True)
    weights = np.random.default_rng(0).multinomial(50, np.full(50, 1 / 50), 20).astype(float)
    areas = METRICS["aurc"].compute(Sample(task, y, prob, decided), weights)
    for w, area in zip(weights, areas, strict=True):
        again = np.repeat(np.arange(50), w.astype(int))
        wrong, confidence = errors_and_confidence(task, y[again], prob[again], decided[again])
        assert area == pytest.approx(plain_area(wrong.ravel(), confidence.ravel(), parts=400), abs=5e-3)


def test_sure_answers_that_are_right_give_a_smaller_area_than_chance_and_sure_errors_a_larger_one():
    confidence = np.linspace(0.99, 0.5, 100)[:, None]
    late, early = np.arange(100)[:, None] >= 80, np.arange(100)[:, None] < 20
    areas = [RiskCoverage.of(wrong, confidence).area(np.ones((1, 100)))[0] for wrong in (late, early)]
    assert areas[0] < 0.05 < 0.2 < areas[1]
    equal = RiskCoverage.of(early, np.full((100, 1), 0.7))
    assert equal.area(np.ones((1, 100)))[0] == pytest.approx(0.2)
    assert [values.tolist() for values in equal.curve()] == [[1.0], [0.2]]


def test_the_curve_is_that_of_a_plain_loop(task):
    y, prob, decided, _ = scored(task, n=80, ties=True)
    wrong, confidence = errors_and_confidence(task, y, prob, decided)
    curve = RiskCoverage.of(wrong, confidence)
    for cut, share, error in zip(curve.confidence, *curve.curve(), strict=True):
        kept = confidence >= cut
        assert share == pytest.approx(kept.mean())
        assert error == pytest.approx(wrong[kept].mean())


def test_confidence_is_of_the_answer_given():
    y, prob = np.array([[1, 0, 0], [0, 0, 1]], np.uint8), np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
    wrong, confidence = errors_and_confidence(
        MultiClass(tuple("abc")), y, prob, np.array([[1, 0, 0], [0, 1, 0]], np.uint8)
    )
    assert wrong.tolist() == [[False], [True]]
    assert confidence.tolist() == [[0.6], [0.5]]
    wrong, confidence = errors_and_confidence(
        MultiLabel(tuple("abc")), y, prob, np.array([[1, 0, 0], [0, 1, 0]], np.uint8)
    )
    assert wrong.tolist() == [[False] * 3, [False, True, True]]
    np.testing.assert_allclose(confidence, [[0.6, 0.7, 0.9], [0.8, 0.5, 0.7]])


def test_metrics_of_sets_are_those_of_a_plain_loop(task):
    y, prob, decided, rows = scored(task, n=90)
    sets = sets_of(task, prob)
    truth, chosen = candidate_labels(task, y), candidate_labels(task, decided)
    pairs = [(i, q) for i in range(sets.shape[0]) for q in range(sets.shape[1])]
    held = {(i, q): bool(sets[i, q, truth[i, q].argmax()]) for i, q in pairs}
    alone = [(i, q) for i, q in pairs if sets[i, q].sum() == 1 and sets[i, q].argmax() == chosen[i, q].argmax()]
    assert rows["coverage", None] == pytest.approx(np.mean(list(held.values())))
    assert rows["set_size", None] == pytest.approx(np.mean([sets[pair].sum() for pair in pairs]))
    assert rows["single_answers", None] == pytest.approx(len(alone) / len(pairs))
    assert rows["acc_single", None] == pytest.approx(np.mean([held[pair] for pair in alone]))
    for c, label in enumerate(task.labels):
        having = [held[i, 0 if task.exclusive else c] for i in range(len(y)) if y[i, c]]
        assert rows["coverage", label] == pytest.approx(np.mean(having))


def test_a_set_that_rules_the_decision_out_is_no_answer():
    sets = np.array([[[1, 0]], [[0, 1]], [[1, 1]]], np.uint8)
    assert is_singleton(sets, np.array([[[1, 0]]] * 3, np.uint8)).tolist() == [[True], [False], [False]]


def test_without_sets_their_rows_are_undefined_and_say_why(task):
    y, prob, decided, _ = scored(task, n=60)
    rows = score(task, y, prob, decided, resamples=20)
    for name in ("coverage", "set_size", "single_answers", "acc_single"):
        row = find_row(rows, name)
        assert np.isnan(row.value)
        assert "no sets" in row.note
    assert "no sets" in find_row(rows, "coverage", task.labels[0]).note
    assert np.isfinite(find_row(rows, "aurc").value)
