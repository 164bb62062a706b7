"""Calibration errors and the parts of the Brier score, against plain loops and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from penlight.evaluation import METRICS, Sample, find_row, score
from penlight.evaluation.reliability import BINS
from penlight.tasks import OF_PROBABILITIES, Binary, MultiClass, MultiLabel
from tests.conftest import TASK_EXAMPLES, examples
from tests.evaluation.test_metrics import NAMES, scored


def pairs_stated(task, y, prob):
    """(M,) stated probabilities and what came true: the answer's of exclusive tasks, else all."""
    if not task.exclusive:
        return prob.ravel(), y.ravel()
    rows, answer = np.arange(len(y)), prob.argmax(axis=1)
    return prob[rows, answer], y[rows, answer]


def plain_ece(prob, true, adaptive=False):
    total = 0.0
    for k in range(BINS):
        if adaptive:
            place = [int(BINS * np.sum(prob < p) / len(prob)) for p in prob]
        else:
            place = [max(0, int(np.ceil(p * BINS)) - 1) for p in prob]
        inside = np.array(place) == k
        if inside.any():
            total += inside.mean() * abs(prob[inside].mean() - true[inside].mean())
    return total


def plain_parts(p, y):
    """Reliability, resolution with what is told apart within bins, and uncertainty of one column, each without the
    bias that Ferro and Fricker (2012) take off."""
    place = np.maximum(0, np.ceil(p * BINS).astype(int) - 1)
    reliability = 0.0
    for k in np.unique(place):
        gaps = p[place == k] - y[place == k]
        if len(gaps) > 1:
            reliability += len(gaps) * (gaps.mean() ** 2 - gaps.var(ddof=1) / len(gaps))
    uncertainty = y.var(ddof=1)
    reliability /= len(p)
    return reliability, reliability + uncertainty - np.mean((p - y) ** 2), uncertainty


@pytest.mark.parametrize("ties", [False, True])
def test_calibration_errors_are_those_of_plain_loops(task, ties):
    y, prob, _, rows = scored(task, n=150, ties=ties)
    stated, true = pairs_stated(task, y, prob)
    assert rows["ece", None] == pytest.approx(plain_ece(stated, true), abs=1e-12)
    assert rows["ece_adaptive", None] == pytest.approx(plain_ece(stated, true, adaptive=True), abs=1e-12)
    if not task.exclusive:
        for c, label in enumerate(task.labels):
            assert rows["ece", label] == pytest.approx(plain_ece(prob[:, c], y[:, c]), abs=1e-12)


def test_brier_and_its_parts_are_those_of_plain_loops(task):
    y, prob, _, rows = scored(task)
    y = y.astype(float)
    columns = [1] if len(task.labels) == 2 else range(len(task.labels))
    over = np.sum if task.exclusive else np.mean
    parts = [plain_parts(prob[:, c], y[:, c]) for c in columns]
    for name, values in zip(("reliability", "resolution", "uncertainty"), zip(*parts, strict=True), strict=True):
        assert rows[f"brier_{name}", None] == pytest.approx(over(values), abs=1e-12)
    assert rows["brier", None] == pytest.approx(over([brier_score_loss(y[:, c], prob[:, c]) for c in columns]))


def test_brier_of_several_classes_is_scikit_learns():
    y, prob, _, rows = scored(MultiClass(NAMES))
    assert rows["brier", None] == pytest.approx(brier_score_loss(y.argmax(axis=1), prob, scale_by_half=False))


@settings(max_examples=examples(25), deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_parts_sum_to_the_score_and_have_their_signs(seed):
    rng = np.random.default_rng(seed)
    for task in TASK_EXAMPLES:
        y, prob, decided, _ = scored(task, n=40, seed=seed)
        w = rng.integers(0, 3, (3, 40)).astype(float) + 0.1
        sample = Sample(task, y, prob, decided)
        total, reliability, resolution, uncertainty, ece, adaptive = (
            METRICS[name].compute(sample, w)
            for name in (*(f"brier{end}" for end in ("", "_reliability", "_resolution", "_uncertainty")),
                         "ece", "ece_adaptive")
        )  # fmt: skip
        np.testing.assert_allclose(reliability - resolution + uncertainty, total, atol=1e-12)
        assert ((ece >= 0) & (ece <= 1) & (adaptive >= 0) & (adaptive <= 1)).all()
        # No binning can average away more than all errors of stated probabilities.
        stated, true = (a.reshape(40, -1) for a in pairs_stated(task, y, prob))
        most = w @ np.abs(stated - true).mean(axis=1) / w.sum(axis=1)
        assert (np.maximum(ece, adaptive) <= most + 1e-12).all()


def test_the_shares_of_the_labels_are_reliable_and_resolve_nothing(task):
    y, _, _, _ = scored(task)
    prob = np.tile(y.mean(axis=0), (len(y), 1))
    rows = {(r.name, r.label): r.value for r in score(task, y, prob, task.decide(prob), resamples=0)}
    near = rows["brier", None] / (len(y) - 1)
    assert rows["brier", None] == pytest.approx(rows["brier_uncertainty", None] * (len(y) - 1) / len(y))
    # Shares of the very images that are scored fit them better than chance would.
    assert rows["brier_reliability", None] == pytest.approx(-near)
    assert rows["brier_resolution", None] == pytest.approx(0, abs=1e-12)
    assert rows["ece_adaptive", None] == pytest.approx(0, abs=1e-12)


def test_the_reliability_of_calibrated_probabilities_is_0_on_average():
    """The plain sum of squared gaps is not: of 100 images it is about 0.02."""
    task, found = Binary(("no", "yes")), []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        p = rng.uniform(size=100)
        prob = np.stack([1 - p, p], axis=1)
        s = Sample(task, task.encode((rng.random(100) < p).astype(int)), prob, task.decide(prob))
        found.append(METRICS["brier_reliability"].compute(s, np.ones((1, 100)))[0])
    assert abs(np.mean(found)) < 3 * np.std(found) / 20
    assert np.std(found) / 20 < 0.001


def test_adaptive_bins_hold_equally_many_pairs_where_equal_bins_would_hold_all_in_one():
    """Of rare findings, too low among the lower half and too high among the upper: one equal bin averages it away."""
    task = MultiLabel(("a",))
    prob = np.r_[np.linspace(0.01, 0.02, 500), np.linspace(0.03, 0.04, 500)][:, None]
    y = np.r_[np.zeros(500), np.ones(25), np.zeros(475)].astype(np.uint8)[:, None]
    rows = score(task, y, prob, task.decide(prob), resamples=0)
    assert find_row(rows, "ece").value == pytest.approx(0, abs=1e-9)
    assert find_row(rows, "ece_adaptive").value > 0.014


def test_a_calibration_error_has_no_interval_and_says_why_and_reliability_has_one_about_it():
    task = Binary(("no", "yes"))
    rng = np.random.default_rng(3)
    p = rng.uniform(0.05, 0.95, 400)
    y = task.encode((rng.random(400) < p).astype(int))
    prob = np.stack([1 - p, p], axis=1)
    rows = score(task, y, prob, task.decide(prob), resamples=400)
    for name in ("ece", "ece_adaptive"):
        row = find_row(rows, name)
        assert np.isnan([row.low, row.high]).all()
        assert "PL006" in row.note
    row = find_row(rows, "brier_reliability")
    assert row.low < row.value < row.high < 0.05


def test_answers_that_tell_images_apart_the_wrong_way_round_resolve_less_than_nothing():
    task = Binary(("no", "yes"))
    y = task.encode((np.arange(200) % 3 == 0).astype(int))
    p = np.where(y[:, 1] == 1, 0.32, 0.38)
    prob = np.stack([1 - p, p], axis=1)
    row = find_row(score(task, y, prob, task.decide(prob), resamples=100), "brier_resolution")
    assert row.low < row.value < row.high < 0


def test_every_task_has_the_metrics_of_probabilities(task):
    assert set(OF_PROBABILITIES) <= set(task.metrics)
