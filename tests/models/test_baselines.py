"""The baselines: what they say, and that they need no Keras."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from penlight.data import apply_view, open_dataset
from penlight.evaluation import score
from penlight.models import BASELINES, LinearBaseline, MajorityBaseline
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
