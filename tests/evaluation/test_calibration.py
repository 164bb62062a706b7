"""Calibration: what it keeps, what it finds, and that val is never worse for it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import log_loss

from penlight.errors import UnknownNameError
from penlight.evaluation import Calibration, find_calibration
from penlight.evaluation.calibration import KINDS, MAX_TEMPERATURE, Steps, log_losses
from penlight.evaluation.intervals import UnknownPatients, exceeds_error
from penlight.tasks import Binary, MultiClass, MultiLabel
from tests.conftest import TASK_EXAMPLES, examples, task_id

ONE_KIND = [
    pytest.param(task, marks=() if task.kind == "multi-class" else pytest.mark.full) for task in TASK_EXAMPLES
]
"""For tests that simulate much: of findings each label has a temperature of its own, which takes as often as long."""


def simulated(task, n=400, seed=0, sharpened=3.0):
    """Truth drawn from honest probabilities, and those probabilities sharpened: (N, C) both."""
    rng = np.random.default_rng(seed)
    logits = 1.2 * rng.normal(size=(n, len(task.labels)))
    if not task.exclusive:
        honest = 1 / (1 + np.exp(-logits))
        y = (rng.random(honest.shape) < honest).astype(np.uint8)
        return y, 1 / (1 + np.exp(-sharpened * logits))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = rng.multinomial(1, honest).astype(np.uint8)
    raised = honest**sharpened
    return y, raised / raised.sum(axis=1, keepdims=True)


def total_loss(task, y, prob):
    return log_losses(y, prob, task.exclusive).mean()


@pytest.mark.parametrize(
    "true", [0.5, pytest.param(1.7, marks=pytest.mark.full), pytest.param(3.0, marks=pytest.mark.full)]
)
@pytest.mark.parametrize("task", ONE_KIND, ids=task_id)
def test_a_known_temperature_is_found(task, true):
    y, prob = simulated(task, n=20_000, sharpened=true)
    found = find_calibration(task, y, prob)
    np.testing.assert_allclose(found.temperatures, true, rtol=0.06)
    assert len(found.temperatures) == (1 if task.exclusive else len(task.labels))
    assert found.notes == ()


def test_the_temperature_is_the_best_of_a_fine_grid_with_its_prior():
    """Of the sum of log losses and of a normal prior of a quarter on the logarithm."""
    task = MultiClass(tuple("abcd"))
    y, prob = simulated(task)
    (found,) = find_calibration(task, y, prob).temperatures

    def loss(t):
        after = Calibration("temperature", (t,)).apply(task, prob)
        return len(y) * total_loss(task, y, after) + np.log(t) ** 2 / (2 * 0.25**2)

    assert 2 < found < 3
    for factor in (0.97, 0.999, 1.001, 1.03):
        assert loss(found) < loss(factor * found)


@pytest.mark.parametrize("task", ONE_KIND, ids=task_id)
def test_a_hundred_images_do_not_make_calibrated_answers_worse(task):
    """In 40 draws of 120 images of val none costs the rest more than 0.01, and few cost anything; where val chose the
    epoch, nothing is sharpened."""
    costs = []
    for seed in range(40):
        y, prob = simulated(task, 120, seed, 1.0)
        y_test, prob_test = simulated(task, 2000, 1000 + seed, 1.0)
        found = find_calibration(task, y, prob)
        costs.append(total_loss(task, y_test, found.apply(task, prob_test)) - total_loss(task, y_test, prob_test))
        assert min(find_calibration(task, y, prob, epoch_chosen=True).temperatures) >= 1
    assert np.mean(np.array(costs) > 0.005) <= 0.15
    assert np.mean(costs) < 0.002


def test_patients_count_once():
    """Each of 30 patients has four copies of an image: as much is known as of 30 images."""
    task = MultiClass(tuple("abcd"))
    y, prob = simulated(task, 30, 3, 2.5)
    copied = find_calibration(task, *(np.repeat(a, 4, axis=0) for a in (y, prob)), groups=np.repeat(np.arange(30), 4))
    assert copied.temperatures == pytest.approx(find_calibration(task, y, prob).temperatures, rel=1e-6)


def test_patients_who_are_not_known_count_as_the_design_effect_says():
    """Against the sum that is minimised, written out: 400 images of which each patient has four count as 166."""
    task = MultiClass(tuple("abcd"))
    y, prob = simulated(task)
    four = UnknownPatients(4)
    (found,) = find_calibration(task, y, prob, groups=four).temperatures

    def loss(t):
        after = Calibration("temperature", (t,)).apply(task, prob)
        return len(y) / (1 + 3 * 0.47) * total_loss(task, y, after) + np.log(t) ** 2 / (2 * 0.25**2)

    for factor in (0.97, 0.999, 1.001, 1.03):
        assert loss(found) < loss(factor * found)
    assert 1 < found < find_calibration(task, y, prob).temperatures[0]


@pytest.mark.parametrize(
    "task",
    [MultiClass(tuple("abcd")), pytest.param(MultiLabel(tuple("abcd")), marks=pytest.mark.full)],
    ids=lambda task: task.kind,
)
def test_what_few_patients_suggest_is_not_kept_for_being_there_four_times(task):
    kept = {}
    for seed in range(10):
        y, prob = (np.repeat(own, 4, axis=0) for own in simulated(task, 60, seed, 1.4))
        for name, groups in (("images", None), ("patients", np.repeat(np.arange(60), 4))):
            found = find_calibration(task, y, prob, groups=groups)
            kept[name] = kept.get(name, 0) + any(t != 1 for t in found.temperatures)
            if all(t == 1 for t in found.temperatures):
                assert "by more than its standard error" in found.notes[0]
    assert kept["images"] >= kept["patients"] + 4


def test_labels_that_were_weighed_get_an_intercept():
    """At 3 % prevalence a positive weight of 30 states 0.42 on average; one temperature cannot undo it."""
    task, rng = MultiLabel(("a", "b")), np.random.default_rng(0)

    def drawn(n):
        z = rng.normal(size=(n, 2)) - 3.8
        y = (rng.random(z.shape) < 1 / (1 + np.exp(-z))).astype(np.uint8)
        return y, 1 / (1 + np.exp(-(z + np.log(30))))

    found = find_calibration(task, *drawn(4000), epoch_chosen=True)
    assert found.intercepts == pytest.approx((-np.log(30),) * 2, abs=0.3)
    y, prob = drawn(4000)
    assert prob.mean() > 0.4
    assert found.apply(task, prob).mean() == pytest.approx(y.mean(), abs=0.006)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=examples(15), deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_calibration_keeps_every_order(kind, data, seed):
    """Of the labels of an image where they are exclusive, of the images of a label where they are not."""
    for task in TASK_EXAMPLES:
        found = find_calibration(task, *simulated(task, n=60, seed=seed), kind)
        logits = data.draw(arrays(np.float64, (12, task.n_logits), elements=st.floats(-60, 60)))
        prob = task.probabilities(logits)
        out = found.apply(task, prob)
        assert ((out >= 0) & (out <= 1)).all()
        before, after = (prob, out) if task.exclusive else (prob.T, out.T)
        if task.exclusive:
            np.testing.assert_allclose(out.sum(axis=1), 1, atol=1e-9)
            np.testing.assert_array_equal(np.argmax(out, axis=1), np.argmax(prob, axis=1))
        for one, other in zip(before, after, strict=True):
            order = np.argsort(one, kind="stable")
            # Rounding may join or turn two values that are one step of floats apart, no others.
            assert (np.diff(other[order]) >= -4e-16).all()


@pytest.mark.parametrize("kind", KINDS)
def test_ranking_stays_with_every_tie_and_no_new_one(task, kind):
    y, prob = simulated(task)
    prob = np.round(prob, 3) if not task.exclusive else prob
    out = find_calibration(task, y, prob, kind).apply(task, prob)
    for one, other in zip(*((prob, out) if task.exclusive else (prob.T, out.T)), strict=True):
        np.testing.assert_array_equal(
            np.unique(one, return_inverse=True)[1], np.unique(other, return_inverse=True)[1]
        )


def test_no_calibration_and_temperature_one_change_no_bit(task):
    _, prob = simulated(task)
    ones = (1.0,) * (1 if task.exclusive else len(task.labels))
    for same in (Calibration(), Calibration("temperature", ones)):
        np.testing.assert_array_equal(same.apply(task, prob), prob)


@settings(max_examples=examples(25), deadline=None)
@given(seed=st.integers(0, 10_000), sharpened=st.floats(0.05, 30), n=st.integers(0, 60))
def test_log_loss_on_val_is_never_worse_after_temperature(seed, sharpened, n):
    for task in TASK_EXAMPLES:
        y, prob = simulated(task, n, seed, sharpened) if n else (np.zeros((0, 4), np.uint8), np.zeros((0, 4)))
        after = find_calibration(task, y, prob).apply(task, prob)
        before = log_losses(y, prob, task.exclusive).sum()
        assert log_losses(y, after, task.exclusive).sum() <= before + 1e-9 * (1 + before)


def test_log_loss_is_scikit_learns():
    for task in (MultiClass(tuple("abc")), Binary(("no", "yes"))):
        y, prob = simulated(task)
        assert total_loss(task, y, prob) == pytest.approx(log_loss(y.argmax(axis=1), prob))
    task = MultiLabel(tuple("abc"))
    y, prob = simulated(task)
    assert total_loss(task, y, prob) == pytest.approx(np.mean([log_loss(y[:, c], prob[:, c]) for c in range(3)]))


def test_log_loss_of_a_true_class_with_probability_0_is_scikit_learns():
    task = MultiClass(tuple("abc"))
    y, prob = simulated(task, 30)
    prob[0] = [1, 0, 0]
    y[0] = [0, 1, 0]
    assert total_loss(task, y, prob) == pytest.approx(log_loss(y.argmax(axis=1), prob))


def test_row_order_and_names_of_labels_do_not_matter(task):
    y, prob = simulated(task)
    order = np.random.default_rng(1).permutation(len(y))
    turn = np.arange(len(task.labels))[::-1]
    for kind in ("temperature", "isotonic"):
        out = find_calibration(task, y, prob, kind).apply(task, prob)
        shuffled = find_calibration(task, y[order], prob[order], kind).apply(task, prob)
        np.testing.assert_allclose(shuffled, out, atol=1e-7)
        turned = find_calibration(task, y[:, turn], prob[:, turn], kind).apply(task, prob[:, turn])
        np.testing.assert_allclose(turned, out[:, turn], atol=1e-7)


def test_a_label_that_val_cannot_tune_stays_and_says_so():
    task = MultiLabel(("often", "seldom", "nearly always"))
    y, prob = simulated(task)
    y[:, 1], y[:, 2] = 0, 1
    y[:4, 1], y[:2, 2] = 1, 0
    for kind in ("temperature", "isotonic"):
        found = find_calibration(task, y, prob, kind)
        np.testing.assert_array_equal(found.apply(task, prob)[:, 1:], prob[:, 1:])
        assert (found.apply(task, prob)[:, 0] != prob[:, 0]).any()
        assert [note.split(":")[0] for note in found.notes] == ["seldom", "nearly always"]
        assert "4 positive in val is too few" in found.notes[0]
        assert "2 negative in val is too few" in found.notes[1]


def test_answers_that_are_all_right_are_not_sharpened_without_end():
    task = MultiClass(tuple("ab"))
    y = task.encode(np.arange(40) % 2)
    (found,) = find_calibration(task, y, 0.1 + 0.8 * y).temperatures
    assert 0.5 < found < 0.9
    assert find_calibration(task, y, 0.1 + 0.8 * y, epoch_chosen=True).temperatures == (1.0,)


def test_sure_answers_that_are_mostly_wrong_are_flattened_to_the_bound():
    task = MultiClass(tuple("ab"))
    y = task.encode(np.r_[np.zeros(300, int), np.ones(100, int)])
    found = find_calibration(task, y, np.tile([0.001, 0.999], (400, 1)))
    assert found.temperatures == pytest.approx((MAX_TEMPERATURE,))
    assert found.at_bound == (0,)
    assert "of 8 or more" in found.notes[0]


def test_isotonic_finds_the_share_at_each_probability():
    """Labels that come true half as often as stated."""
    task = MultiLabel(("a",))
    rng = np.random.default_rng(0)
    prob = rng.random((20_000, 1))
    y = (rng.random(prob.shape) < prob / 2).astype(np.uint8)
    grid = np.linspace(0.1, 0.9, 9)[:, None]
    np.testing.assert_allclose(find_calibration(task, y, prob, "isotonic").apply(task, grid), grid / 2, atol=0.05)


def test_isotonic_never_claims_more_than_val_can_tell():
    task = MultiLabel(("a",))
    y = (np.arange(60) >= 30).astype(np.uint8)[:, None]
    out = find_calibration(task, y, np.linspace(0.1, 0.9, 60)[:, None], "isotonic").apply(task, np.array([[0], [1]]))
    assert 0 < out[0, 0] < 1 / 61
    assert 60 / 61 < out[1, 0] < 1


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_through_json(task, kind):
    y, prob = simulated(task, n=60)
    found = find_calibration(task, y, prob, kind)
    assert Calibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_steps_are_lines_between_knots():
    steps = Steps((0.2, 0.4), (0.1, 0.5))
    np.testing.assert_allclose(steps(np.array([0.0, 0.3, 1.0])), 0.999 * np.array([0.1, 0.3, 0.5]) + [0, 3e-4, 1e-3])


def test_a_kind_that_is_not_known_is_named():
    with pytest.raises(UnknownNameError, match="temperature"):
        find_calibration(MultiLabel(("a",)), np.zeros((0, 1), np.uint8), np.zeros((0, 1)), "temprature")


def test_a_gain_is_judged_by_the_units_that_it_is_of():
    """Against the standard error of a mean, of images, of patients, and times the design effect."""
    values = np.random.default_rng(0).normal(0.1, 1, 120)
    patient = np.repeat(np.arange(30), 4)
    error = values.std(ddof=1) / 120**0.5
    of_patients = values.reshape(30, 4).mean(axis=1).std(ddof=1) / 30**0.5
    influence = (values - values.mean()) / 120
    for groups, own in ((None, error), (patient, of_patients), (UnknownPatients(4), error * (1 + 3 * 0.47) ** 0.5)):
        assert exceeds_error(own * 1.0001, influence, groups)
        assert not exceeds_error(own * 0.9999, influence, groups)
    assert not exceeds_error(1.0, np.zeros(3), np.zeros(3, int))
    assert not exceeds_error(1.0, np.zeros(0), None)
