"""Balanced errors of corrupted images: against plain loops and scikit-learn, and what is kept of them."""

import json
import math

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from penlight.evaluation.corruptions import OTHER, SEVERITIES
from penlight.evaluation.robustness import (
    Level,
    Robustness,
    balanced_error,
    mistakes_of,
    observe,
    summarise,
)
from penlight.records import check_record
from penlight.tasks import MultiLabel, Task
from tests.conftest import labels_for

N = 90
FEW = OTHER[:3]


def truth_and_answers(task: Task, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = task.encode(labels_for(task, N, rng))
    guess = task.encode(labels_for(task, N, rng))
    return y, np.where(rng.random((N, 1)) < 0.5, y, guess).astype(np.uint8)


def by_loop(task: Task, y: np.ndarray, decided: np.ndarray, weights: np.ndarray) -> float:
    if task.exclusive:
        return 1 - balanced_accuracy_score(y.argmax(1), decided.argmax(1), sample_weight=weights)
    own = [balanced_accuracy_score(y[:, c], decided[:, c], sample_weight=weights) for c in range(y.shape[1])]
    return 1 - float(np.mean(own))


def test_balanced_error_is_scikit_learns(task: Task) -> None:
    y, decided = truth_and_answers(task)
    w = np.random.default_rng(3).integers(0, 3, (5, N)).astype(float)
    w[0] = 1
    got = balanced_error(task, y, mistakes_of(task, y, decided), w)
    np.testing.assert_allclose(got, [by_loop(task, y, decided, row) for row in w])
    assert balanced_error(task, y, mistakes_of(task, y, y), w).max() == 0


def test_a_finding_without_a_positive_case_is_left_out() -> None:
    task = MultiLabel(("a", "b", "c"))
    y, decided = (part[:, :3].copy() for part in truth_and_answers(MultiLabel(("a", "b", "c", "d"))))
    y[:, 2] = 0
    pair, ones = MultiLabel(("a", "b")), np.ones((1, N))
    whole = balanced_error(task, y, mistakes_of(task, y, decided), ones)
    assert whole == pytest.approx(by_loop(pair, y[:, :2], decided[:, :2], np.ones(N)))
    none = np.zeros_like(y)
    assert np.isnan(balanced_error(task, none, mistakes_of(task, none, decided), ones)).all()


def observed(task: Task, seeds: int = 1):
    """A model that knows the answers to clean images by heart, and gives the first label for every darker one."""
    y, decided = truth_and_answers(task)
    rng = np.random.default_rng(1)
    images = rng.integers(60, 200, (N + 5, 8, 8, 1), dtype=np.uint8)
    index = np.arange(5, N + 5)

    def answering(shift: int):
        def answer(spoilt: np.ndarray) -> np.ndarray:
            known = spoilt.astype(int).sum(axis=(1, 2, 3)) % 7 >= shift + 2
            return np.where(known[:, None], decided, np.arange(y.shape[1]) == 0).astype(np.uint8)

        return answer

    models = [(answering(s), decided) for s in range(seeds)]
    return y, decided, images, index, models, observe(task, y, images, index, models, FEW)


def test_errors_are_those_of_asking_one_by_one(task: Task) -> None:
    y, decided, images, index, models, (seen,) = observed(task)
    (found,) = summarise(task, y, [[seen]], FEW, resamples=50)
    ones = np.ones(N)
    assert found.clean.value == pytest.approx(by_loop(task, y, decided, ones))
    for corruption, row in zip(FEW, found.rows, strict=True):
        errors = [
            by_loop(task, y, models[0][0](corruption.apply(images[index], severity)), ones) for severity in SEVERITIES
        ]
        assert row.name == corruption.name
        assert row.severities == pytest.approx(errors)
        assert row.mean.value == pytest.approx(np.mean(errors))
        assert row.change.value == pytest.approx(np.mean(errors) - found.clean.value)
        assert row.mean.low <= row.mean.value + 0.02
        assert row.mean.high >= row.mean.value - 0.02
        assert row.change.low <= row.change.high
    assert found.mean.value == pytest.approx(np.mean([row.mean.value for row in found.rows]))
    assert found.change.value == pytest.approx(np.mean([row.change.value for row in found.rows]))
    assert math.isnan(found.clean.sd)


def test_the_change_is_paired(task: Task) -> None:
    """A model that corruption does not touch changes by nothing, in every resample."""
    y, decided = truth_and_answers(task)
    images = np.full((N, 8, 8, 1), 100, np.uint8)
    seen = observe(task, y, images, np.arange(N), [(lambda spoilt: decided, decided)], FEW)
    (found,) = summarise(task, y, [seen], FEW, resamples=50)
    assert found.clean.low < found.clean.high
    for row in found.rows:
        assert (row.change.value, row.change.low, row.change.high) == pytest.approx((0, 0, 0), abs=1e-6)


def test_seeds_are_averaged(task: Task) -> None:
    y, *_, seen = observed(task, seeds=3)
    alone = summarise(task, y, [[own] for own in seen], FEW, resamples=30)
    (together,) = summarise(task, y, [seen], FEW, resamples=30)
    values = [own.mean.value for own in alone]
    assert together.mean.value == pytest.approx(np.mean(values))
    assert together.mean.sd == pytest.approx(np.std(values, ddof=1))
    for r, row in enumerate(together.rows):
        assert row.severities == pytest.approx(np.mean([own.rows[r].severities for own in alone], axis=0))


def test_large_splits_are_asked_in_parts(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    y, decided = truth_and_answers(task)
    sizes = []

    def answer(spoilt: np.ndarray) -> np.ndarray:
        sizes.append(len(spoilt))
        return decided[: len(spoilt)]

    monkeypatch.setattr("penlight.evaluation.robustness._CHUNK_VALUES", 64 * 40)
    observe(task, y, np.full((N, 8, 8, 1), 9, np.uint8), np.arange(N), [(answer, decided)], FEW[:1])
    assert sizes == [40, 40, 10] * len(SEVERITIES)


def test_what_is_kept_is_read_again(task: Task) -> None:
    y, *_, seen = observed(task, seeds=2)
    model, linear = summarise(task, y, [[own] for own in seen], FEW, resamples=20)
    found = Robustness((3,), N, model, {"linear": linear}, ("a note",))
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert check_record(Robustness, json.loads(text), "corruptions.json").to_dict() == found.to_dict()
    assert [row.name for row in model.worst_first()] == list(
        model.frame().sort_values("change", ascending=False, kind="stable")["corruption"]
    )


def test_without_resamples_there_is_no_interval(task: Task) -> None:
    y, *_, seen = observed(task)
    (found,) = summarise(task, y, [seen], FEW, resamples=0)
    assert isinstance(found.clean, Level)
    assert math.isnan(found.clean.low)
