"""Sets of answers: coverage within its bound, scores against a plain loop, and what must hold of any set."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penlight.errors import RecipeError
from penlight.evaluation import Decision
from penlight.evaluation.conformal import (
    SETS,
    Conformal,
    adaptive_scores,
    candidate_labels,
    contiguous_scores,
    fit_conformal,
    quantile,
)
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal
from tests.conftest import TASK_EXAMPLES, examples, labels_for

LABELS = tuple("abcde")
MANY = 4000
"""Repetitions of a simulation; the mean of their coverages is known to 0.005 or better."""


def drawn(task, n, seed=0, skill=1.0):
    """Truth and probabilities (N, C) that know something of it, without ties."""
    rng = np.random.default_rng(seed)
    y = task.encode(labels_for(task, n, rng))
    return y, task.probabilities(
        skill * rng.normal(size=(n, task.n_logits)) + task.logits(0.2 + 0.6 * y / y.shape[1])
    )


def test_every_task_has_a_kind_of_set(task):
    assert task.sets in SETS


@pytest.mark.parametrize("kind", [pytest.param("adaptive", marks=pytest.mark.full), "contiguous"])
def test_coverage_is_within_its_bound_on_exchangeable_images(kind):
    """Probabilities that say nothing of the truth, so that few scores of the truth are 0 and tied: the bound is tight
    but for those, and is held for any n that is large enough."""
    rng = np.random.default_rng(0)
    k = 30
    for n, coverage in ((19, 0.9), (12, 0.8), (9, 0.9)):
        prob = rng.dirichlet(np.ones(k), MANY * (n + 1))
        score = SETS[kind].scores(prob[:, None])[np.arange(len(prob)), 0, rng.integers(0, k, len(prob))]
        score = score.reshape(MANY, n + 1)
        cut = np.array([quantile(row, coverage) for row in np.sort(score[:, :-1], axis=1)])
        reached = (score[:, -1] <= cut).mean()
        assert coverage - 0.015 <= reached <= coverage + 1 / (n + 1) + 0.015


def test_coverage_of_both_answers_of_a_finding_is_reached_apart():
    """Rare and common alike: of the images with the finding, and of those without, nine in ten have the truth."""
    task = MultiLabel(("rare", "common"))
    rng = np.random.default_rng(0)
    reached = []
    for _ in range(300):
        y = (rng.random((900, 2)) < [0.06, 0.5]).astype(np.uint8)
        prob = 1 / (1 + np.exp(3 - rng.normal(size=y.shape) - 1.5 * y))
        sets = fit_conformal(task, y[:450], prob[:450], 0.9).sets(task, prob[450:])
        truth = candidate_labels(task, y[450:])
        reached.append((sets * truth).sum(axis=0) / truth.sum(axis=0))
    np.testing.assert_array_less(0.89, np.mean(reached, axis=0))
    assert np.mean(reached, axis=0)[1].max() < 0.9 + 1 / 200 + 0.01


def plain_adaptive(prob):
    return [[sum(q for q in row if q > p) for p in row] for row in prob]


def plain_contiguous(row):
    """Grow a list of grades from the mode, and note the mass before each joins."""
    grades = [max(range(len(row)), key=lambda g: row[g])]
    score = {grades[0]: 0.0}
    while len(grades) < len(row):
        below, above = min(grades) - 1, max(grades) + 1
        upwards = below < 0 or (above < len(row) and row[above] >= row[below])
        chosen = above if upwards else below
        score[chosen] = sum(row[g] for g in grades)
        grades.append(chosen)
    return [score[g] for g in range(len(row))]


@pytest.mark.parametrize("decimals", [1, 12])
def test_scores_are_those_of_a_plain_loop(decimals):
    prob = np.round(np.random.default_rng(0).dirichlet(np.ones(5), 60), decimals)
    np.testing.assert_allclose(adaptive_scores(prob[:, None])[:, 0], plain_adaptive(prob))
    np.testing.assert_allclose(contiguous_scores(prob[:, None])[:, 0], [plain_contiguous(row) for row in prob])


def test_the_quantile_is_the_corrected_one():
    scores = np.arange(1.0, 20.0)
    assert quantile(scores, 0.9) == 18
    assert quantile(scores, 0.95) == 19
    assert quantile(scores, 0.96) == math.inf
    assert quantile(scores[:9], 0.9) == 9
    assert quantile(scores[:0], 0.1) == math.inf


@settings(max_examples=examples(20), deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), skill=st.sampled_from([0.0, 1.0, 4.0]))
def test_what_holds_of_every_set(seed, n, skill):
    """Never empty, larger for a larger coverage, the same for an image whatever stands beside it."""
    rng = np.random.default_rng(seed)
    for task in TASK_EXAMPLES:
        y, prob = drawn(task, n, seed, skill)
        _, other = drawn(task, 30, seed + 1, skill)
        before = np.zeros(1)
        for coverage in (0.05, 0.3, 0.5, 0.7, 0.9, 0.99):
            fitted = fit_conformal(task, y, prob, coverage)
            sets = fitted.sets(task, other)
            assert sets.shape == candidate_labels(task, other).shape
            assert (sets.sum(axis=2) >= 1).all()
            assert (sets >= before).all()
            before = sets
            order = rng.permutation(n)
            assert fit_conformal(task, y[order], prob[order], coverage) == fitted
            np.testing.assert_array_equal(fitted.sets(task, other[::-1]), sets[::-1])
            assert Conformal.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 10_000), coverage=st.floats(0.01, 0.99))
def test_sets_of_grades_are_intervals_around_the_most_probable(seed, coverage):
    task = Ordinal(LABELS)
    y, prob = drawn(task, 80, seed)
    sets = fit_conformal(task, y, prob, coverage).sets(task, prob)[:, 0]
    assert (np.abs(np.diff(np.pad(sets.astype(int), ((0, 0), (1, 1))), axis=1)).sum(axis=1) == 2).all()
    assert sets[np.arange(80), prob.argmax(axis=1)].all()


@pytest.mark.parametrize("task", [MultiClass(LABELS), MultiLabel(LABELS), Ordinal(LABELS, head="softmax")])
def test_relabelling_moves_the_sets_with_the_labels(task):
    """Any order of classes and findings; of grades, the reverse, where no two are equally probable."""
    y, prob = drawn(task, 200)
    turn = np.arange(5)[::-1] if task.ordered else np.array([3, 1, 4, 0, 2])
    axis = 2 if task.exclusive else 1
    sets = fit_conformal(task, y, prob, 0.8).sets(task, prob)
    turned = fit_conformal(task, y[:, turn], prob[:, turn], 0.8).sets(task, prob[:, turn])
    np.testing.assert_array_equal(turned, np.take(sets, turn, axis=axis))


def test_a_finding_with_too_few_images_in_val_may_always_be_either_and_says_so():
    task = MultiLabel(("often", "seldom", "never", "nearly always"))
    y, prob = drawn(task, 300)
    y[:, 1:3] = 0
    y[:7, 1] = 1
    y[4:, 3], y[:4, 3] = 1, 0
    fitted = fit_conformal(task, y, prob, 0.9)
    sets = fitted.sets(task, prob)
    assert sets[:, [2, 3]].all()
    assert sets[:, 1, 1].all()
    assert not sets[:, 1, 0].all()
    assert not sets[:, 0].all()
    assert [note.split(": ")[0] for note in fitted.notes] == ["seldom", "never", "nearly always"]
    assert "7 images of val in which it is present" in fitted.notes[0]
    assert "0 images of val with it and 300 without are too few" in fitted.notes[1]


def test_a_val_that_is_too_small_rules_nothing_out_and_says_so():
    task = Binary(("no", "yes"))
    y, prob = drawn(task, 8)
    fitted = fit_conformal(task, y, prob, 0.9)
    assert fitted.sets(task, prob).all()
    assert fitted.notes == ("8 images in val are too few for coverage 0.9; every class is always possible",)
    assert not fit_conformal(task, *drawn(task, 9), 0.9).notes


def test_a_finding_that_is_told_apart_has_no_gap_between_its_answers():
    """Absent up to 0.2, present from 0.8: half way between is where the answer turns."""
    task = MultiLabel(("clear",))
    y = (np.arange(40) % 2)[:, None].astype(np.uint8)
    prob = np.where(y, 0.8 + 0.005 * np.arange(40)[:, None], 0.2 - 0.005 * np.arange(40)[:, None])
    fitted = fit_conformal(task, y, prob, 0.9)
    asked = np.array([[0.1], [0.3], [0.49], [0.51], [0.9]])
    assert fitted.sets(task, asked)[:, 0].tolist() == [[1, 0]] * 3 + [[0, 1]] * 2


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 1.5, math.nan])
def test_a_coverage_that_cannot_be_wanted_is_refused(coverage):
    task = Binary(("no", "yes"))
    with pytest.raises(RecipeError, match="coverage above 0 and below 1"):
        fit_conformal(task, *drawn(task, 20), coverage)


def test_json_has_no_infinity():
    fitted = Conformal(0.9, ((0.25, math.inf), (0.5, 0.75)), ("a: b",))
    assert fitted.to_dict() == {"coverage": 0.9, "cuts": [[0.25, None], [0.5, 0.75]], "notes": ["a: b"]}
    assert Conformal.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


def test_the_answer_is_always_in_its_own_set_and_grades_have_no_gap():
    """Cut points may answer a grade that is far from the most probable one."""
    task = Ordinal(LABELS, rule="kappa")
    _, prob = drawn(task, 200)
    decision = Decision((0.1, 0.2, 0.3, 3.9), conformal=Conformal(0.5, ((0.0,),)))
    _, decided = decision.answer(task, prob)
    sets = decision.sets(task, prob)
    assert (sets[:, 0] >= decided).all()
    assert (sets[:, 0] >= decision.conformal.sets(task, prob)[:, 0]).all()
    assert (decided != decision.conformal.sets(task, prob)[:, 0]).any()
    for row in sets[:, 0]:
        there = np.flatnonzero(row)
        assert (np.diff(there) == 1).all()
