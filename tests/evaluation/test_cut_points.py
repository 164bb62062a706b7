"""Cut points on the expected grade: never worse than halfway, rising, and found on all held-out answers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, cohen_kappa_score

from penlight.data import apply_view
from penlight.evaluation import find_decision, score
from penlight.evaluation.decision import Decision
from penlight.evaluation.intervals import UnknownPatients
from penlight.evaluation.thresholds import best_cut_points, kappa_and_influence
from penlight.evaluation.thresholds import kappa as grade_kappa
from penlight.recipes import Decide
from penlight.runs import Predictions
from penlight.runs.facts import ModelFacts, facts_from_properties
from penlight.runs.scoring import decide_on
from penlight.tasks import Ordinal
from tests.conftest import LABELS, small_dataset

TASK = Ordinal(LABELS, rule="kappa")
EXPECTED = replace(TASK, rule="expected")


def drawn(n, seed, sharp=1.0):
    """Grades, unevenly often, and probabilities that lean to the low ones and know something."""
    rng = np.random.default_rng(seed)
    grade = rng.choice(4, n, p=[0.5, 0.1, 0.3, 0.1])
    z = sharp * rng.normal(size=(n, 4)) - 0.3 * np.arange(4) - 0.5 * np.abs(np.arange(4) - grade[:, None])
    prob = np.exp(z)
    return np.eye(4, dtype=np.uint8)[grade], prob / prob.sum(axis=1, keepdims=True)


def kappa(y, decided):
    return cohen_kappa_score(y.argmax(axis=1), decided.argmax(axis=1), weights="quadratic", labels=range(y.shape[1]))


@settings(deadline=None)
@given(n=st.integers(8, 200), seed=st.integers(0, 10_000), sharp=st.floats(0.1, 4))
def test_the_found_kappa_is_never_below_that_of_the_expected_grade(n, seed, sharp):
    y, prob = drawn(n, seed, sharp)
    points, notes = best_cut_points(TASK, y, prob)
    if notes:
        assert points == TASK.cut_points
        return
    assert (np.diff(points) > 0).all()
    best, halfway = kappa(y, TASK.decide(prob, np.array(points))), kappa(y, EXPECTED.decide(prob))
    assert best >= halfway - 1e-12
    assert best_cut_points(TASK, y, prob) == (points, notes)


@given(seed=st.integers(0, 10_000), cuts=st.lists(st.floats(0, 3), min_size=3, max_size=3, unique=True))
def test_the_answer_rises_with_the_expected_grade_whatever_the_points(seed, cuts):
    _, prob = drawn(60, seed)
    order = np.argsort(prob @ np.arange(4), kind="stable")
    answers = TASK.decide(prob, np.sort(cuts)).argmax(axis=1)[order]
    assert (np.diff(answers) >= 0).all()
    np.testing.assert_array_equal(TASK.decide(prob), EXPECTED.decide(prob))


def test_a_shifted_scale_is_cut_where_it_is_shifted_to():
    expected = np.linspace(0, 3, 601)
    low = np.minimum(expected.astype(int), 2)
    prob = np.zeros((601, 4))
    prob[np.arange(601), low], prob[np.arange(601), low + 1] = 1 - (expected - low), expected - low
    truth = np.searchsorted([0.8, 1.25, 2.6], expected, side="right")
    points, notes = best_cut_points(TASK, np.eye(4, dtype=np.uint8)[truth], prob)
    assert points == pytest.approx((0.8, 1.25, 2.6), abs=0.051)
    assert notes == []


def test_one_grade_alone_moves_nothing_and_says_so():
    _, prob = drawn(30, 0)
    points, notes = best_cut_points(TASK, np.eye(4, dtype=np.uint8)[np.ones(30, int)], prob)
    assert points == (0.5, 1.5, 2.5)
    assert "no two grades" in notes[0]


def test_official_accuracy_is_of_the_most_probable_grade_and_kappa_of_the_answers():
    y, prob = drawn(200, 5)
    for rule in ("argmax", "expected", "kappa"):
        task = replace(TASK, rule=rule)
        decision = find_decision(task, y, prob, y.mean(axis=0))
        calibrated, decided = decision.answer(task, prob)
        rows = {row.name: row.value for row in score(task, y, calibrated, decided, resamples=0) if row.label is None}
        assert rows["acc"] == accuracy_score(y.argmax(axis=1), prob.argmax(axis=1))
        assert rows["qwk"] == pytest.approx(kappa(y, decided))
        assert rows["mae"] == pytest.approx(np.abs(y.argmax(axis=1) - decided.argmax(axis=1)).mean())


def test_val_and_out_of_fold_answers_are_joined_for_all_but_the_sets():
    val, train = drawn(60, 1), drawn(300, 2)
    share = train[0].mean(axis=0)
    alone = find_decision(TASK, *val, share)
    joined = find_decision(TASK, *val, share, out_of_fold=train)
    together = find_decision(TASK, *(np.concatenate(pair) for pair in zip(val, train, strict=True)), share)
    assert joined.calibration.temperatures == together.calibration.temperatures
    assert joined.thresholds == together.thresholds
    assert joined.thresholds != alone.thresholds
    assert (alone.images, alone.found_on) == (60, "val")
    assert (joined.images, joined.found_on) == (360, "val and train")
    calibrated = joined.calibration.apply(TASK, val[1])
    assert joined.conformal == find_decision(TASK, val[0], calibrated, share, calibration="none").conformal
    assert Decision.from_dict(json.loads(json.dumps(joined.to_dict(), allow_nan=False))) == joined


def test_images_that_every_model_saw_are_left_out():
    view = apply_view(small_dataset(TASK))
    train, val = view.splits["train"], view.splits["val"]
    rng = np.random.default_rng(0)
    prob, held_out = rng.dirichlet(np.ones(4), len(val)), rng.dirichlet(np.ones(4), len(train))
    answers = Predictions(val.index, val.y_true, prob, TASK.logits(prob), TASK, "small", "native", "val")
    how = Decide(rule="kappa")
    assert decide_on(answers, view, how, held_out).images == len(val) + len(train)
    held_out[:5] = np.nan
    decision = decide_on(answers, view, how, held_out)
    assert decision.images == len(val) + len(train) - 5
    rest = train.y_true[5:], held_out[5:]
    assert decision == find_decision(TASK, val.y_true, prob, train.y_true.mean(axis=0), out_of_fold=rest)


def test_a_model_file_carries_the_points():
    said = ModelFacts(TASK, 28, 3, "small", "native", "none", (0.8, 1.2, 2.1), "linear", "0a1b", 3, "ff")
    assert facts_from_properties(said.to_properties(), "here") == said


def test_cut_points_that_do_not_help_on_images_held_out_are_not_taken():
    """Answers that have nothing to do with the grade: what 40 images suggest is noise."""
    left = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        y, prob = np.eye(4, dtype=np.uint8)[rng.integers(0, 4, 40)], rng.dirichlet(np.ones(4), 40)
        suggested, _ = best_cut_points(TASK, y, prob)
        decision = find_decision(TASK, y, prob, y.mean(axis=0), calibration="none")
        kept = decision.thresholds == suggested
        assert kept or (decision.thresholds, len(decision.notes)) == (TASK.cut_points, 1)
        assert kept or "by more than its standard error on images of val held out" in decision.notes[0]
        left += not kept
    assert left >= 9


def drawn_low(n, seed):
    """Grades whose expected grade is a little too low."""
    rng = np.random.default_rng(seed)
    grade = rng.integers(0, 4, n)
    expected = np.clip(grade - 0.15 + rng.normal(0, 0.35, n), 0, 3)
    low = np.minimum(expected.astype(int), 2)
    prob = np.zeros((n, 4))
    prob[np.arange(n), low], prob[np.arange(n), low + 1] = 1 - (expected - low), expected - low
    return np.eye(4, dtype=np.uint8)[grade], prob


@pytest.mark.full
def test_cut_points_that_few_patients_suggest_are_not_taken_for_being_there_four_times():
    taken = {"images": 0, "patients": 0}
    for seed in range(10):
        y, prob = (np.repeat(own, 4, axis=0) for own in drawn_low(60, seed))
        for name, groups in (("images", None), ("patients", np.repeat(np.arange(60), 4))):
            decision = find_decision(TASK, y, prob, y.mean(axis=0), calibration="none", groups=groups)
            taken[name] += decision.thresholds != TASK.cut_points
    assert taken["images"] >= 9
    assert taken["images"] >= taken["patients"] + 3


def test_a_decision_counts_images_of_unknown_patients_as_the_dataset_says():
    """On val alone, and with answers to train."""
    view = apply_view(small_dataset(TASK, n=(200, 200, 32)))
    y, prob = drawn_low(200, 1)
    val = view.splits["val"]
    answers = Predictions(val.index, y, prob, TASK.logits(prob), TASK, "small", "native", "val")
    held_out = np.random.default_rng(0).dirichlet(np.ones(4), len(view.splits["train"]))
    for each in (1, 40):
        own = replace(view, dataset=replace(view.dataset, info=replace(view.dataset.info, images_per_patient=each)))
        groups = None if each == 1 else UnknownPatients(each)
        for rest in (None, held_out):
            train = own.splits["train"].y_true
            joined = None if rest is None else (train, rest)
            found = decide_on(replace(answers, images_per_patient=each), own, Decide(rule="kappa"), rest)
            assert found == find_decision(
                TASK, y, prob, train.mean(axis=0), out_of_fold=joined, groups=groups, train_groups=groups
            )
            if rest is None:
                assert (found.thresholds == TASK.cut_points) == (each == 40)


@pytest.mark.parametrize("seed", range(4))
def test_the_error_of_a_kappa_is_that_of_leaving_images_out(seed):
    y, prob = drawn(300, seed)
    grade, answer = y.argmax(axis=1), np.minimum(prob.argmax(axis=1) + (seed == 3), 3)
    value, influence = kappa_and_influence(grade, answer)
    assert value == pytest.approx(cohen_kappa_score(grade, answer, weights="quadratic"))
    without = np.array([grade_kappa(np.delete(grade, i), np.delete(answer, i)) for i in range(300)])
    jackknife = np.sqrt(299 / 300 * ((without - without.mean()) ** 2).sum())
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    assert np.sqrt((influence**2).sum()) == pytest.approx(jackknife, rel=0.02)
    np.testing.assert_allclose(influence, (value - without) * 299 / 300, atol=0.03 * np.abs(influence).max())
