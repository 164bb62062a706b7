"""An estimator of scikit-learn that the user hands in, and what is wrong with one."""

import sys

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import penlight as pl
from penlight.data import store
from penlight.errors import RecipeError, RunError, TrainingError
from penlight.models.estimator import EstimatorModel
from penlight.recipes import Recipe
from penlight.runs import open_predictor, open_run
from penlight.serve import open_registry
from penlight.serve.gallery import gather
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal
from penlight.training.own import own_model
from tests.conftest import LABELS, small_dataset

TASKS = {
    "classes": MultiClass(LABELS),
    "two": Binary(("no", "yes")),
    "findings": MultiLabel(LABELS),
    "grades": Ordinal(LABELS, referable=2),
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    datasets = {name: small_dataset(task, n=(60, 30, 30)) for name, task in TASKS.items()}
    monkeypatch.setattr(store, "open_dataset", lambda name, size: datasets[name])


def train(estimator, out, dataset="classes", **how):
    return pl.train(dataset, Recipe(), model=estimator, out=out, **how).path


def forest(**options):
    return RandomForestClassifier(n_estimators=20, **options)


def test_a_forest_gets_all_that_a_network_gets(tmp_path):
    folder = train(forest(max_depth=5), tmp_path / "run")
    run = open_run(folder)
    model = run.recipe.model
    assert (model.backbone, model.name) == ("estimator", "RandomForestClassifier")
    assert repr(pl.open_run(folder)).startswith(f"Run('{folder}', RandomForestClassifier on classes, seed 0, ")
    (entry,) = (entry for group in gather(open_registry([folder])).groups for entry in group.entries)
    assert entry.recipe == "RandomForestClassifier"
    assert entry.opens
    assert model.options == "RandomForestClassifier(max_depth=5, n_estimators=20)"
    assert run.metrics.metrics[0].value > 0.9
    assert set(run.baselines) == {"majority", "linear"}
    assert not any(name.endswith((".pkl", ".joblib", ".keras")) for name in run._files)
    assert "RandomForestClassifier" in run.read("card.md").decode()
    assert "RandomForestClassifier" in run.read("report.html").decode()
    images = store.open_dataset("classes", 28).splits["test"].images[:]
    found = pl.predict(folder, images).frame()
    own = run.answers("test").predictions.prob
    assert np.abs(found[[f"probabilities.{label}" for label in LABELS]].to_numpy() - own).max() < 1e-5
    assert pl.explain(folder, split="test", rows=[0], out=tmp_path / "maps").method == "occlusion"
    assert pl.export(folder, out=tmp_path / "forest.onnx").parity.difference < 1e-5
    pl.evaluate(folder)
    other = train(GaussianNB(), tmp_path / "other")
    models = pl.compare([str(folder), str(other)]).comparison.models
    assert [own.name for own in models] == ["run", "other"]


def test_one_without_a_form_in_onnx_gets_all_but_a_file_and_says_so(tmp_path, capsys):
    pytest.importorskip("skl2onnx")
    folder = train(KNeighborsClassifier(), tmp_path / "run")
    run = open_run(folder)
    assert not any(name.endswith((".pkl", ".joblib", ".keras", ".onnx")) for name in run._files)
    said = "KNeighborsClassifier has no model file. Its form in ONNX cannot be used: the operator Scan"
    for text in (run.read("card.md").decode(), run.read("report.html").decode(), capsys.readouterr().err):
        assert said in text
    for ask in (
        lambda: open_predictor(run),
        lambda: pl.predict(folder, np.zeros((1, 28, 28, 3), np.uint8)),
        lambda: pl.export(folder),
        lambda: pl.explain(folder, split="test", rows=[0]),
    ):
        with pytest.raises(RunError, match=rf"(?s){said}.*another estimator"):
            ask()


def test_without_skl2onnx_it_says_how_to_get_it(tmp_path, unreported, monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    run = open_run(train(GaussianNB(), tmp_path / "run"))
    with pytest.raises(RunError, match=r"GaussianNB has no model file: skl2onnx, which writes it.*sklearn-onnx"):
        open_predictor(run)


@pytest.mark.parametrize("dataset", TASKS)
def test_it_answers_every_task(tmp_path, unreported, dataset):
    run = open_run(train(forest(), tmp_path / "run", dataset))
    prob = run.model_predictions("test").prob
    assert prob.shape == (30, len(TASKS[dataset].labels))
    assert np.isfinite(prob).all()
    assert prob.min() >= 0


def test_findings_by_an_estimator_of_one(tmp_path, unreported):
    pipeline = make_pipeline(StandardScaler(), GaussianNB())
    run = open_run(train(pipeline, tmp_path / "run", "findings"))
    assert run.recipe.model.name == "GaussianNB"
    assert run.model_predictions("test").prob.shape == (30, 4)


def test_what_each_fit_warns_of_is_said_once(tmp_path, unreported):
    with pytest.warns(ConvergenceWarning) as told:
        train(LogisticRegression(max_iter=1), tmp_path / "run", "findings")
    assert len({str(own.message) for own in told}) == len(told)


def test_seeds_and_folds_set_random_state_and_leave_the_estimator_as_it_was(tmp_path, unreported):
    estimator = make_pipeline(StandardScaler(), forest(random_state=99))
    folder = train(estimator, tmp_path / "run", seeds=2)
    one, other = (open_run(folder / f"seed-{n}") for n in (0, 1))
    assert not np.array_equal(one.model_predictions("test").prob, other.model_predictions("test").prob)
    again = open_run(train(estimator, tmp_path / "again"))
    assert np.array_equal(one.model_predictions("test").prob, again.model_predictions("test").prob)
    assert estimator.get_params()["randomforestclassifier__random_state"] == 99
    assert not hasattr(estimator[-1], "estimators_")


def test_a_class_that_train_lacks_has_probability_0():
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1), dtype=np.uint8)
    y = np.eye(4, dtype=np.uint8)[np.arange(20) % 3]
    model = EstimatorModel(forest(), 0).fit(images, y, TASKS["classes"], mirrors=False)
    assert (model.predict(images)[:, 3] == 0).all()
    lonely = np.c_[y[:, :2], np.zeros(20, np.uint8), np.ones(20, np.uint8)]
    model = EstimatorModel(forest(), 0).fit(images, lonely, TASKS["findings"], mirrors=False)
    assert (model.predict(images)[:, 2:] == [0, 1]).all()


class Odd(ClassifierMixin, BaseEstimator):
    """An estimator that fits and predicts as it is told to."""

    def __init__(self, what="fine"):
        self.what = what

    def fit(self, x, y):
        if self.what == "raises":
            raise ValueError("too few")
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        if self.what == "sums":
            return np.full((len(x), len(self.classes_)), 0.9)
        return np.full((len(x), len(self.classes_)), np.nan)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("raises", "Odd could not be fitted: ValueError: too few. It gets pixels"),
        (
            "sums",
            "Odd could not predict: ValueError: predict_proba gave probabilities of an image that do not sum to 1",
        ),
        ("nan", "Odd could not predict: ValueError: .*not all probabilities"),
    ],
)
def test_an_estimator_that_fails_leaves_nothing(tmp_path, unreported, what, said):
    with pytest.raises(TrainingError, match=said):
        train(Odd(what), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_without_probabilities_is_refused():
    with pytest.raises(RecipeError, match=r"RidgeClassifier has no predict_proba.*CalibratedClassifierCV"):
        own_model(RidgeClassifier())
    with pytest.raises(
        RecipeError, match=r"The class RandomForestClassifier is no network.*RandomForestClassifier\(\)"
    ):
        own_model(RandomForestClassifier)
    with pytest.raises(RecipeError, match=r"fresh and callbacks are for networks"):
        own_model(forest(), fresh=True)


def test_its_recipe_alone_trains_nothing(tmp_path, unreported):
    folder = train(forest(), tmp_path / "run")
    with pytest.raises(RecipeError, match=r"an estimator of scikit-learn, RandomForestClassifier.*pl.train"):
        pl.train(folder / "recipe.toml", out=tmp_path / "again")


def test_no_address_of_memory_is_in_the_recipe():
    one = own_model(make_pipeline(FunctionTransformer(lambda x: x), forest()))
    assert "0x" not in one.section.options
