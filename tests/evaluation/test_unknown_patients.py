"""Several images of a patient, without saying whose an image is: all intervals widen by one design effect."""

import numpy as np
import pytest

from penlight.evaluation import Sample, bootstrap_weights, find_row, score
from penlight.evaluation.checks import SplitAnswers
from penlight.evaluation.checks.certainty import errors_by_chance
from penlight.evaluation.comparison import differences, paired_draws
from penlight.evaluation.delong import delong
from penlight.evaluation.intervals import CORRELATION, UnknownPatients, count_units, units_of
from penlight.evaluation.subgroups import score_subgroups
from penlight.tasks import Binary, Ordinal
from tests.evaluation.test_coverage import coverage  # noqa: F401
from tests.evaluation.test_metrics import scored, sets_of

FOUR = UnknownPatients(4)
EFFECT = 1 + 3 * CORRELATION


def test_standard_errors_are_those_of_the_upper_end_of_what_was_found():
    assert FOUR.design_effect**0.5 == pytest.approx(1.55, abs=0.005)
    assert UnknownPatients(1).design_effect == 1


def test_what_is_known_of_patients_decides():
    named = np.array([3, 3, 7])
    assert units_of(named, 4) is named
    assert units_of(None, 4) == FOUR
    assert units_of(None, 1) is None
    assert [count_units(9, groups) for groups in (None, FOUR, np.arange(9) // 2)] == [9, 3, 5]
    assert count_units(9, FOUR, np.arange(9) < 4) == 1


def test_a_resampled_mean_spreads_by_the_effect():
    values = np.random.default_rng(0).normal(size=600)
    spread = [
        (np.concatenate(list(bootstrap_weights(600, 4000, groups=groups))) @ values).std() for groups in (None, FOUR)
    ]
    assert spread[1] / spread[0] == pytest.approx(EFFECT**0.5, rel=0.05)


def test_a_share_has_wilsons_interval_of_so_many_fewer_images():
    """Against statsmodels' formula written out: centre and half width of n images less."""
    task = Binary(("no", "yes"))
    y = task.encode(np.arange(400) % 2)
    wrong = np.arange(400) < 100
    prob = np.where(wrong[:, None], 1 - y, y).astype(float) * 0.8 + 0.1
    row = find_row(score(task, y, prob, task.decide(prob), resamples=10, groups=FOUR), "acc")
    n, p, z = 400 / EFFECT, 0.75, 1.959963984540054
    centre, half = (p + z**2 / (2 * n)), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    assert (row.low, row.high) == pytest.approx(((centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)))


def test_an_area_has_the_variance_times_the_effect():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 400)
    scores = y + rng.normal(size=400)
    found, plain = delong(y, scores, FOUR), delong(y, scores)
    assert found.covariance == pytest.approx(EFFECT * plain.covariance)
    (low, high), (near, far) = found.mean_interval(), plain.mean_interval()
    assert low < near < far < high


@pytest.mark.parametrize("task", [Binary(("no", "yes")), Ordinal(tuple("abc"), referable=1)])
def test_every_interval_is_wider(task):
    y, prob, decided, _ = scored(task, n=240)
    sets = sets_of(task, prob)
    before = score(task, y, prob, decided, sets, resamples=300)
    after = score(task, y, prob, decided, sets, resamples=300, groups=FOUR)
    known = [(a, b) for a, b in zip(before, after, strict=True) if np.isfinite(a.high - a.low) and a.low < a.high]
    assert len(known) > 10
    for a, b in known:
        assert b.value == a.value
        assert b.high - b.low > 1.15 * (a.high - a.low), a


def test_a_difference_is_less_sure():
    task = Binary(("no", "yes"))
    rng = np.random.default_rng(2)
    y = task.encode(rng.integers(0, 2, 300))

    def answers(skill):
        p = 1 / (1 + np.exp(-(skill * (2.0 * y[:, 1] - 1) + rng.normal(size=300))))
        prob = np.stack([1 - p, p], axis=1)
        return [Sample(task, y, prob, task.decide(prob))]

    models = {"one": answers(0.9), "other": answers(0.4)}
    p = [
        differences(paired_draws(models, "auc", groups=groups), [("one", "other")])[0].p_holm
        for groups in (None, FOUR)
    ]
    assert p[0] < p[1]


def test_subgroups_take_the_p_of_the_difference_not_of_images_drawn_anew():
    task = Binary(("no", "yes"))
    y, prob, decided, _ = scored(task, n=400)
    metadata = {"sex": np.where(np.arange(400) % 2, "f", "m")}
    one, other = (
        score_subgroups([Sample(task, y, prob, decided)], metadata, resamples=300, permutations=200, groups=g)
        for g in (None, FOUR)
    )
    assert other[0].difference_high - other[0].difference_low > 1.3 * (one[0].difference_high - one[0].difference_low)
    assert (other[0].p < 0.05) == (other[0].difference_low > 0 or other[0].difference_high < 0)


def test_chance_makes_larger_calibration_errors():
    task = Binary(("no", "yes"))
    y, prob, decided, _ = scored(task, n=400)
    sample = Sample(task, y, prob, decided)
    plain, several = (np.quantile(errors_by_chance(SplitAnswers(sample, g)), 0.99) for g in (None, FOUR))
    assert several > 1.2 * plain


@pytest.mark.full
def test_intervals_hold_the_truth_where_nobody_says_whose_an_image_is(coverage):  # noqa: F811
    keys = ("acc", "brier", "log_loss")
    held = coverage.covered(coverage.Source("RetinaMNIST", 4, named=False), 200, 60, 200, keys)
    for key in keys:
        assert np.mean(held[key]) >= 0.9, key
