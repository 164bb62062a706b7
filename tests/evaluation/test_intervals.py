"""Resamples and the intervals they give."""

import numpy as np
import pytest

from penlight.evaluation import bootstrap_weights, find_row, score, score_seeds
from penlight.tasks import Binary, MultiClass, MultiLabel
from tests.evaluation.test_metrics import scored, sets_of


def weights_of(*args, **kwargs):
    return np.concatenate(list(bootstrap_weights(*args, **kwargs)))


def test_each_resample_draws_as_many_images_as_there_are():
    y = np.eye(4, dtype=np.uint8)[np.arange(400) % 4]
    w = weights_of(y, 50, seed=1)
    assert w.shape == (50, 400)
    assert (w.sum(axis=1) == 400).all()
    assert (weights_of(y, 50, seed=1) == w).all()
    assert (weights_of(y, 50, seed=2) != w).any()


def test_a_rare_label_is_in_every_resample():
    y = np.zeros((500, 2), np.uint8)
    y[:, 0] = 1
    y[:3] = [0, 1]
    assert (weights_of(y, 200)[:, :3].sum(axis=1) == 3).all()


def test_patients_are_drawn_whole():
    y = np.tile([[1, 0], [0, 1]], (30, 1)).astype(np.uint8)
    groups = np.repeat(np.arange(20), 3)
    w = weights_of(y, 40, groups=groups)
    assert (w.reshape(40, 20, 3).std(axis=2) == 0).all()


def test_the_interval_holds_the_value_and_narrows_with_n():
    task = MultiClass(tuple("abcde"))
    widths = []
    for n in (100, 1600):
        y, prob, decided, _ = scored(task, n=n)
        row = find_row(score(task, y, prob, decided), "auc")
        assert row.low < row.value < row.high
        widths.append(row.high - row.low)
    assert widths[0] > 3 * widths[1]


def test_coverage_of_an_accuracy_is_near_95_percent():
    task, truth, hits = Binary(("no", "yes")), 0.8, 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        y = task.encode(rng.integers(0, 2, 120))
        right = rng.random(120) < truth
        positive = np.where(right, y[:, 1], 1 - y[:, 1]) * 0.8 + 0.1
        prob = np.stack([1 - positive, positive], axis=1)
        row = find_row(score(task, y, prob, task.decide(prob), resamples=300, seed=seed), "acc")
        hits += row.low <= truth <= row.high
    assert 0.88 <= hits / 150 <= 0.99


def test_several_seeds_give_mean_sd_and_the_interval_of_the_mean():
    task = MultiLabel(tuple("abc"))
    y, prob, decided, _ = scored(task, n=200)
    _, other, other_decided, _ = scored(task, n=200, seed=5)
    sets = sets_of(task, prob)
    single = score(task, y, prob, decided, sets, resamples=200)
    same = score_seeds(task, y, [prob, prob], [decided, decided], [sets, sets], resamples=200)
    for one, two in zip(single, same, strict=True):
        assert two.mean == pytest.approx(one.value, nan_ok=True)
        assert two.sd == pytest.approx(0, abs=1e-12)
        assert two.low == pytest.approx(one.low)
    mixed = find_row(score_seeds(task, y, [prob, other], [decided, other_decided], resamples=0), "auc")
    values = [
        find_row(score(task, y, p, d, resamples=0), "auc").value for p, d in ((prob, decided), (other, other_decided))
    ]
    assert mixed.mean == pytest.approx(np.mean(values))
    assert mixed.sd == pytest.approx(np.std(values, ddof=1))
    assert np.isnan(find_row(score_seeds(task, y, [prob], [decided], resamples=0), "auc").sd)
