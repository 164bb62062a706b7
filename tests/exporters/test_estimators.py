"""Estimators of scikit-learn in ONNX files: each answers as the estimator does, or is not written."""

import sys

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from penlight.errors import ExportError
from penlight.evaluation.calibration import UNCALIBRATED
from penlight.exporters.onnx_file import onnx_file
from penlight.models.estimator import EstimatorModel
from penlight.runs import Predictor
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal
from tests.exporters.conftest import facts

LABELS = ("one", "two", "three", "four")
TASKS = {
    "classes": MultiClass(LABELS),
    "two": Binary(("no", "yes")),
    "findings": MultiLabel(LABELS),
    "grades": Ordinal(LABELS, referable=2),
}
FORESTS = {
    "forest": RandomForestClassifier(20),
    "trees": ExtraTreesClassifier(20),
    "tree": DecisionTreeClassifier(max_depth=3),
}
OTHERS = {
    "logistic": LogisticRegression(),
    "scaled": make_pipeline(StandardScaler(), LogisticRegression()),
    "normalised": make_pipeline(MinMaxScaler(), Normalizer(), LogisticRegression()),
    "components": make_pipeline(PCA(5), LogisticRegression()),
    "boosting": GradientBoostingClassifier(n_estimators=3),
    "perceptron": MLPClassifier((8,), max_iter=400),
    "bayes": GaussianNB(),
    "calibrated": CalibratedClassifierCV(LogisticRegression(), cv=2),
    "one-vs-rest": OneVsRestClassifier(LogisticRegression()),
}


def fitted(estimator, task, absent=None):
    """Fit to 60 images of 6 px whose left and right halves tell the labels; `absent` is a class that none has."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 6, 6, 3), dtype=np.uint8)
    n = len(task.labels)
    if task.exclusive:
        y = np.eye(n, dtype=np.uint8)[np.arange(60) % n if absent is None else np.arange(60) % absent]
    else:
        y = rng.integers(0, 2, (60, n), dtype=np.uint8)
        if absent is not None:
            y[:, absent] = 0
    images[:, :, :3] //= 1 + y[:, :1, None, None]
    return EstimatorModel(estimator, 0).fit(images, y, task, mirrors=False), images


def answers_the_same(estimator, task, absent=None):
    model, images = fitted(estimator, task, absent)
    predictor = Predictor(onnx_file(model, facts(task, size=6), UNCALIBRATED), "The file")
    assert np.abs(predictor.probabilities(images) - model.predict(images)).max() < 1e-5


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("estimator", FORESTS.values(), ids=FORESTS)
def test_a_forest_needs_no_further_library(estimator, task, monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    answers_the_same(estimator, task)
    answers_the_same(estimator, task, absent=len(task.labels) - 1)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("estimator", OTHERS.values(), ids=OTHERS)
def test_it_answers_as_the_estimator_does(estimator, task):
    pytest.importorskip("skl2onnx")
    answers_the_same(estimator, task)


def test_a_class_that_train_lacks_has_probability_0_in_the_file():
    pytest.importorskip("skl2onnx")
    answers_the_same(LogisticRegression(), TASKS["classes"], absent=3)
    answers_the_same(GaussianNB(), TASKS["findings"], absent=3)


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (SVC(probability=True), "support vectors, which are images of the training split"),
        (make_pipeline(StandardScaler(), KNeighborsClassifier()), "Scan has a graph of its own"),
    ],
    ids=["vectors", "loop"],
)
@pytest.mark.filterwarnings("ignore")
def test_what_a_run_may_not_hold_is_not_written(estimator, said):
    pytest.importorskip("skl2onnx")
    model, _ = fitted(estimator, TASKS["classes"])
    with pytest.raises(ExportError, match=f"has no model file.*{said}.*train another"):
        onnx_file(model, facts(TASKS["classes"], size=6), UNCALIBRATED)
