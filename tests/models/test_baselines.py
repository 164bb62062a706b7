"""The baselines: what they say, and that they need no Keras."""

import tracemalloc

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from penlight.data import apply_view, open_dataset
from penlight.evaluation import score
from penlight.models import BASELINES, LinearBaseline, MajorityBaseline, baselines
from penlight.recipes import Linear, Majority
from penlight.tasks import MultiClass
from tests.conftest import LABELS, small_dataset

OPTIONS = {"majority": Majority(), "linear": Linear(components=5)}


def parts(task):
    view = apply_view(small_dataset(task))
    return view.splits["train"], view.splits["test"]


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_every_baseline_gives_probabilities_of_every_task(name, task):
    train, test = parts(task)
    model = BASELINES[name](OPTIONS[name]).fit(train.images, train.y_true, task, mirrors=True)
    prob = model.predict(test.images)
    assert prob.shape == test.y_true.shape
    assert ((prob >= 0) & (prob <= 1)).all()
    if task.exclusive:
        np.testing.assert_allclose(prob.sum(axis=1), 1)


def test_majority_answers_with_the_most_frequent_class():
    y = np.eye(3, dtype=np.uint8)[[0, 1, 1, 1, 2]]
    prob = MajorityBaseline(Majority()).fit(
        np.zeros((5, 2, 2, 1), np.uint8), y, MultiClass(tuple("abc")), mirrors=False
    )
    np.testing.assert_allclose(prob.predict(np.zeros((2, 2, 2, 1), np.uint8)), [[0.2, 0.6, 0.2]] * 2)


def test_linear_learns_what_is_linear(task):
    train, test = parts(task)
    model = LinearBaseline(Linear(components=10)).fit(train.images, train.y_true, task, mirrors=False)
    column = -1 if task.exclusive else 0
    assert roc_auc_score(test.y_true[:, column], model.predict(test.images)[:, column]) > 0.9


def test_with_mirrors_linear_cannot_tell_left_from_right():
    images = np.full((40, 8, 8, 1), 50, np.uint8)
    images[::2, :, :3] = 200
    images[1::2, :, 5:] = 200
    y = np.eye(2, dtype=np.uint8)[np.arange(40) % 2]
    task = MultiClass(("left", "right"))
    blind = LinearBaseline(Linear(components=3)).fit(images, y, task, mirrors=True).predict(images)
    seeing = LinearBaseline(Linear(components=3)).fit(images, y, task, mirrors=False).predict(images)
    np.testing.assert_allclose(blind, 0.5, atol=1e-3)
    assert (seeing.argmax(axis=1) == y.argmax(axis=1)).all()


def test_a_class_that_train_lacks_gets_nothing():
    y = np.eye(4, dtype=np.uint8)[[0, 1] * 10]
    images = np.random.default_rng(0).integers(0, 255, (20, 4, 4, 1), dtype=np.uint8)
    prob = LinearBaseline(Linear(components=2)).fit(images, y, MultiClass(LABELS), mirrors=False).predict(images)
    assert (prob[:, 2:] == 0).all()


@pytest.mark.real
def test_linear_on_the_real_retinas(real_data):
    view = apply_view(open_dataset("retinamnist"))
    train, test = view.splits["train"], view.splits["test"]
    prob = LinearBaseline(Linear()).fit(train.images, train.y_true, view.task, mirrors=True).predict(test.images)
    rows = {
        r.name: r.value
        for r in score(view.task, test.y_true, prob, view.task.decide(prob), resamples=0)
        if not r.label
    }
    assert rows["auc"] >= 0.73
    assert rows["acc"] >= 0.54


def many_films(n=300, side=70, channels=1):
    """Smooth noise, and in half of the images a bright corner that says their class; the other half is without."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(20, 200, (n, 7, 7, channels), dtype=np.uint8)
    images = np.repeat(np.repeat(coarse, -(-side // 7), axis=1), -(-side // 7), axis=2)[:, :side, :side].copy()
    classes = np.arange(n) % 2
    images[classes == 1, : side // 4, : side // 3] //= 2
    return images, np.eye(2, dtype=np.uint8)[classes]


def by_hand(images, y, mirrors, cells):
    """The same model by scikit-learn alone, on means over whole cells, which must divide the side."""
    copies = [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]] if mirrors else [images]
    x = np.concatenate([np.log(copy / 255 + 0.1) for copy in copies])
    by = images.shape[1] // cells
    x = x.reshape(len(x), cells, by, cells, by, -1).mean(axis=(2, 4)).reshape(len(x), -1)
    model = make_pipeline(PCA(5, svd_solver="full"), LogisticRegression(max_iter=1000))
    return model.fit(x, np.tile(y.argmax(axis=1), len(copies))).predict_proba(x[: len(images)])


@pytest.mark.parametrize("mirrors", [False, True])
@pytest.mark.parametrize(("side", "channels", "cells"), [(14, 1, 14), (14, 3, 14), (32, 3, 16), (48, 1, 16)])
def test_a_table_too_large_for_memory_is_streamed_to_the_same_model(monkeypatch, mirrors, side, channels, cells):
    images, y = many_films(150, side, channels)
    for name, value in (("TABLE_BYTES", 0), ("CELLS", 16), ("_VALUES_AT_ONCE", 2**16)):
        monkeypatch.setattr(baselines, name, value)
    model = LinearBaseline(Linear(components=5)).fit(images, y, MultiClass(("a", "b")), mirrors=mirrors)
    assert model.weights.shape == (side * side * channels, 2)
    np.testing.assert_allclose(model.predict(images), by_hand(images, y, mirrors, cells), atol=2e-4)


def test_cells_need_not_divide_the_side(monkeypatch):
    images, y = many_films(side=75)
    monkeypatch.setattr(baselines, "TABLE_BYTES", 0)
    model = LinearBaseline(Linear(components=10)).fit(images, y, MultiClass(("a", "b")), mirrors=False)
    assert roc_auc_score(y[:, 1], model.predict(images)[:, 1]) > 0.9


def test_memory_for_the_linear_baseline_does_not_grow_with_the_images(monkeypatch):
    monkeypatch.setattr(baselines, "TABLE_BYTES", 0)
    monkeypatch.setattr(baselines, "_VALUES_AT_ONCE", 2**16)
    peaks = []
    for n in (200, 2000):
        images, y = many_films(n, 40)
        tracemalloc.start()
        LinearBaseline(Linear(components=3)).fit(images, y, MultiClass(("a", "b")), mirrors=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Beside the covariance, each image has its three places in 64 bits, a few times over, and never its pixels.
    assert peaks[1] - peaks[0] < 1800 * 4 * 3 * 8 * 8 < 1800 * 40 * 40
