"""What is fitted is the same, bit by bit, on any number of cores and of threads of BLAS."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from penlight.models import axes, baselines
from penlight.models.blas import one_blas_thread, side_by_side
from penlight.models.feature_classifiers import FeatureTable
from penlight.models.probe import Probe
from penlight.recipes import Encoded, Linear
from penlight.tasks import MultiClass, MultiLabel

TASKS = [MultiClass(("a", "b", "c")), MultiLabel(("a", "b", "c"))]


def on_cores(monkeypatch, fit):
    """Fit as on one core, and as on several: the same, bit by bit."""
    fitted = []
    for threads in (1, 2, 3):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        with threadpool_limits(threads, "blas"):
            fitted.append([array.tobytes() for array in fit()])
    return all(own == fitted[0] for own in fitted)


def drawn(n=90, side=28):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n)
    images = rng.integers(0, 200, (n, side, side, 1)) + 20 * labels[:, None, None, None]
    return images.astype(np.uint8), np.eye(3, dtype=np.uint8)[labels]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("held", [True, False])
def test_the_linear_baseline_is_the_same_on_any_number_of_cores(task, held, monkeypatch):
    images, y = drawn()
    monkeypatch.setattr(baselines, "_VALUES_AT_ONCE", 2**14)
    if not held:
        monkeypatch.setattr(baselines, "TABLE_BYTES", 0)

    def fit():
        model = baselines.LinearBaseline(Linear(components=20)).fit(images, y, task, mirrors=True)
        return model.weights, model.bias, model.predict(images)

    assert on_cores(monkeypatch, fit)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("probe", ["logistic", "ridge"])
def test_a_probe_is_the_same_on_any_number_of_cores(task, probe, monkeypatch):
    images, y = drawn(side=8)
    monkeypatch.setattr(axes, "_PART", 32)
    table = FeatureTable(images.reshape(len(images), -1).astype(np.float32), y, task.exclusive, 0)

    def fit():
        model = Probe(Encoded(probe=probe)).fit(table)
        return model.weights, model.bias, model.held_out

    assert on_cores(monkeypatch, fit)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_results_are_in_the_order_of_their_parts_and_few_are_held(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    made = []

    def parts():
        for number in range(20):
            made.append(number)
            yield number

    for number, result in enumerate(side_by_side(lambda part: part * 2, parts())):
        assert result == 2 * number
        assert len(made) <= number + 5
    assert len(made) == 20


def test_products_have_one_thread_of_each_blas_and_then_as_many_as_before():
    def threads():
        return {own["filepath"]: own["num_threads"] for own in threadpool_info() if own["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        before = threads()
        with one_blas_thread():
            assert set(threads().values()) == {1}
        assert before.items() <= threads().items()
