"""The probe: it is scikit-learn's logistic regression, and its answers out of fold saw nothing of the patient."""

from dataclasses import dataclass, replace

import numpy as np
import onnxruntime
import pytest
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from penlight.data.folds import assign_folds
from penlight.errors import TrainingError
from penlight.exporters.features import GraphFeatures
from penlight.models.encoder import EncoderFeatures
from penlight.models.feature_classifiers import FeatureTable, prob_of
from penlight.models.graph import Graph, Value
from penlight.models.nearest import NearestProbe
from penlight.models.probe import Probe, weigh_rows
from penlight.models.ridge import Ridge as RidgeOnFeatures
from penlight.recipes import Encoded


@dataclass(frozen=True)
class Given(EncoderFeatures):
    """Features that are a graph's pixels."""

    value: Value

    def __init__(self, value: Value) -> None:
        object.__setattr__(self, "value", value)

    def nodes(self, graph: Graph) -> tuple[Value, list[Value]]:
        return self.value, []


def table(n: int = 240, f: int = 60, labels: int = 3, *, exclusive: bool, known: bool = False) -> FeatureTable:
    rng = np.random.default_rng(5)
    z = (rng.normal(size=(n, f)) * rng.uniform(0.1, 20, f) + 3).astype(np.float32)
    said = (z[:, :labels] - 3) / z[:, :labels].std(axis=0) + rng.normal(size=(n, labels))
    y = np.eye(labels, dtype=np.uint8)[said.argmax(axis=1)] if exclusive else (said > 0.5).astype(np.uint8)
    mask = rng.random(y.shape) > 0.3 if known else None
    y = y if mask is None else y * mask
    return FeatureTable(z, y, exclusive, 1, np.arange(n) // 2, mask)


def divisor(z: np.ndarray) -> np.ndarray:
    """By what features are divided: their spread and that of the usual one, as the sides of a right angle."""
    return np.hypot(z.std(axis=0), np.median(z.std(axis=0)))


@pytest.mark.parametrize("shape", [(240, 60), (60, 200)])
@pytest.mark.parametrize("strength", [1e-3, 0.1])
def test_it_is_the_regression_of_scikit_learn(shape: tuple[int, int], strength: float) -> None:
    data = table(*shape, exclusive=True)
    probe = Probe(Encoded(strength=strength)).fit(data)
    standard = (data.z - data.z.mean(axis=0)) / divisor(data.z)
    other = LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(standard, data.y.argmax(axis=1))
    np.testing.assert_allclose(
        prob_of(probe.scores(data.z), exclusive=True), other.predict_proba(standard), atol=2e-3
    )


def test_labels_are_regressions_of_their_own_on_the_images_of_which_they_are_known() -> None:
    data = table(exclusive=False, known=True)
    assert data.known is not None
    found = prob_of(Probe(Encoded(strength=0.01)).fit(data).scores(data.z), exclusive=False)
    standard = (data.z - data.z.mean(axis=0)) / divisor(data.z)
    for c in range(3):
        rows = data.known[:, c]
        other = LogisticRegression(C=0.01, max_iter=5000, tol=1e-8).fit(standard[rows], data.y[rows, c])
        np.testing.assert_allclose(found[:, c], other.predict_proba(standard)[:, 1], atol=2e-3)


def test_answers_out_of_fold_are_those_of_a_probe_that_saw_nothing_of_the_patient() -> None:
    data = table(exclusive=True)
    probe = Probe(Encoded(strength=0.01)).fit(data)
    assert data.of_patient is not None
    folds = assign_folds(data.y, data.of_patient, 5, data.seed)
    assert all(len(set(folds[data.of_patient == patient])) == 1 for patient in data.of_patient)
    standard = (data.z - data.z.mean(axis=0)) / divisor(data.z)
    for fold in range(5):
        rows = folds == fold
        other = LogisticRegression(C=0.01, max_iter=5000, tol=1e-8)
        other.fit(standard[~rows], data.y[~rows].argmax(axis=1))
        # Only how frequent classes are is known of all images.
        expected = other.predict_proba(standard[rows]) * data.y.mean(axis=0) / data.y[~rows].mean(axis=0)
        found = prob_of(probe.held_out[rows], exclusive=True)
        np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), atol=2e-3)


def test_answers_out_of_fold_say_nothing_of_the_fold_where_features_say_nothing() -> None:
    """A rare label is rarer in train the more of it a fold has; answers that follow that would rank it backwards."""
    rng = np.random.default_rng(2)
    y = np.repeat(rng.random((75, 6)) < 0.06, 4, axis=0).astype(np.uint8)
    z = rng.normal(size=(300, 40)).astype(np.float32)
    for kind in ("logistic", "ridge"):
        probe = Probe(Encoded(probe=kind, strength=1e-5)).fit(FeatureTable(z, y, False, 0, np.arange(300) // 4))
        assert 0.4 < np.mean([roc_auc_score(y[:, c], probe.held_out[:, c]) for c in range(6)]) < 0.6


def test_the_strength_is_chosen_by_answers_out_of_fold() -> None:
    noise = table(f=150, exclusive=True)
    probe = Probe(Encoded()).fit(noise)
    losses = {
        strength: -np.log(
            (prob_of(Probe(Encoded(strength=strength)).fit(noise).held_out, exclusive=True) * noise.y).sum(1)
        ).mean()
        for strength in (1e-5, probe.strength, 10.0)
    }
    assert min(losses, key=lambda strength: losses[strength]) == probe.strength


@pytest.mark.parametrize("shape", [(240, 60), (60, 200)])
@pytest.mark.parametrize("balance", ["none", "balanced"])
def test_ridge_is_that_of_scikit_learn_and_its_answers_left_the_patient_out(
    shape: tuple[int, int], balance: str
) -> None:
    data = table(*shape, exclusive=True)
    patients = np.minimum(np.arange(shape[0]) // 2, shape[0] // 2 - 40 if shape[0] > 100 else 20)
    weight = weigh_rows(data, balance)[:, 0]
    ridge = RidgeOnFeatures.of(data.z, data.y, weight, patients)
    weights, bias, answers = ridge.fit(0.02)
    standard = (data.z - ridge.turned.mean) / ridge.turned.spread
    other = Ridge(alpha=50).fit(standard, data.y.astype(float), sample_weight=weight)
    np.testing.assert_allclose(data.z @ weights + bias, other.predict(standard), atol=2e-4)
    # One patient has more images than there are axes, others two.
    for patient in (0, 3, patients.max()):
        rows = patients == patient
        # The means stay those of all, or they would tell what the labels left out are.
        mean = np.average(data.y, axis=0, weights=weight)
        other = Ridge(alpha=50, fit_intercept=False)
        other.fit(standard[~rows], data.y[~rows] - mean, sample_weight=weight[~rows])
        np.testing.assert_allclose(answers[rows], other.predict(standard[rows]) + mean, atol=5e-4)


@pytest.mark.parametrize("probe", ["logistic", "ridge", "knn"])
@pytest.mark.parametrize("kind", ["classes", "labels", "some unknown", "balanced"])
def test_every_probe_tells_apart_what_it_was_not_fitted_to_and_its_file_answers_as_it_does(
    probe: str, kind: str
) -> None:
    exclusive = kind in ("classes", "balanced")
    data = table(400, 20, exclusive=exclusive, known=kind == "some unknown")
    rng = np.random.default_rng(3)
    mixed = data.y @ rng.normal(size=(3, 20))
    data = replace(data, z=(mixed + rng.normal(size=mixed.shape)).astype(np.float32))
    train, rest = slice(300), slice(300, None)
    known = None if data.known is None else data.known[train]
    options = Encoded(probe=probe, balance="balanced" if kind == "balanced" else "none")
    own = replace(data, z=data.z[train], y=data.y[train], of_patient=data.of_patient[train], known=known)
    model = NearestProbe(options) if probe == "knn" else Probe(options)
    model.fit(own)
    for scores, part in ((model.scores(data.z[rest]), rest), (model.held_out, train)):
        seen = np.ones(data.y[part].shape, bool) if data.known is None else data.known[part]
        aucs = [roc_auc_score(data.y[part][seen[:, c], c], scores[seen[:, c], c]) for c in range(3)]
        assert min(aucs) > 0.8
        assert np.isfinite(scores).all()
    graph = Graph((1, 1, 20))
    z = graph.node("Reshape", [graph.pixels().name, graph.constant([-1, 20], np.int64)], (20,))
    scores = GraphFeatures(graph).scores(Given(z), model, exclusive)
    session = onnxruntime.InferenceSession(graph.model({"scores": scores}, "", {}).SerializeToString())
    pixels = np.random.default_rng(0).integers(0, 60, (7, 1, 1, 20), dtype=np.uint8)
    found = session.run(None, {"image": pixels})[0]
    np.testing.assert_allclose(found, model.scores(pixels.reshape(7, 20).astype(np.float32)), atol=1e-5)


def test_a_slope_that_grades_have_in_common_is_spared_the_penalty() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 40)).astype(np.float32)
    grade = np.clip(np.rint(z[:, 0] + rng.normal(size=300) + 2), 0, 4).astype(int)
    data = FeatureTable(z, np.eye(5, dtype=np.uint8)[grade], True, 0)
    plain, ordered = (Probe(Encoded(), ordered=own).fit(data) for own in (False, True))
    losses = [-np.log((prob_of(p.held_out, exclusive=True) * data.y).sum(axis=1)).mean() for p in (plain, ordered)]
    assert losses[1] < losses[0]
    fixed = Probe(Encoded(strength=0.01), ordered=True).fit(data)
    # The same penalty on more columns, of which one is the slope.
    slope = (np.arange(5) - 2) / np.sqrt(2)
    standard = (z - z.mean(axis=0)) / divisor(z)

    def loss(flat: np.ndarray) -> float:
        own, common, bias = flat[:200].reshape(40, 5), flat[200:240], flat[240:]
        scores = standard @ (own + np.outer(common, slope)) + bias
        return float((logsumexp(scores, axis=1) - (scores * data.y).sum(axis=1)).sum() + (flat[:240] ** 2).sum() * 50)

    # No other weights have less of it than those that were found, spread as they cost least.
    found = fixed.weights * divisor(z)[:, None]
    common = found @ slope / (1 + slope @ slope)
    bias = fixed.bias + z.mean(axis=0) @ fixed.weights
    best = np.concatenate([(found - np.outer(common, slope)).ravel(), common, bias])
    for _ in range(20):
        assert loss(best) <= loss(best + 0.01 * rng.normal(size=len(best)))
    slopes = np.array([(loss(best + step) - loss(best - step)) / 2e-5 for step in 1e-5 * np.eye(len(best))[::17]])
    np.testing.assert_allclose(slopes, 0, atol=0.1)


@pytest.mark.parametrize("probe", ["logistic", "ridge", "knn"])
def test_what_is_too_little_to_learn_from_is_a_named_error_or_answered(probe: str) -> None:
    data = table(60, 10, exclusive=True)

    def fit(**changed: object) -> Probe | NearestProbe:
        own = replace(data, **changed)  # type: ignore[arg-type]
        model = NearestProbe(Encoded(probe=probe)) if probe == "knn" else Probe(Encoded(probe=probe))
        model.fit(own)
        assert np.isfinite(model.scores(own.z)).all()
        return model

    one = np.zeros_like(data.y)
    one[:, 1] = 1
    with pytest.raises(TrainingError, match="All 60 training images are of one class"):
        fit(y=one)
    with pytest.raises(TrainingError, match="All 60 training images have the same labels"):
        fit(y=one, exclusive=False)
    with pytest.raises(TrainingError, match="No label of the 60 training images is known"):
        fit(exclusive=False, known=np.zeros(data.y.shape, bool))
    with pytest.raises(TrainingError, match="not numbers"):
        fit(z=np.where(np.arange(600).reshape(60, 10) == 77, np.nan, data.z))
    # A label that no image has, or that is known of none, among others.
    labels = data.y * np.array([0, 1, 1], np.uint8)
    assert (prob_of(fit(y=labels, exclusive=False).scores(data.z)[:, :1], exclusive=False) < 0.2).all()
    known = np.ones(data.y.shape, bool)
    known[:, 2] = False
    fit(exclusive=False, known=known)
    # Features that are all the same say how often each class is, without warnings.
    shares = prob_of(fit(z=np.full((60, 10), 3, np.float32)).scores(data.z), exclusive=True)
    np.testing.assert_allclose(shares, np.broadcast_to(data.y.mean(axis=0), (60, 3)), atol=0.02)
    # Fewer images than folds, a class of one image, and one patient alone, of whom nothing can be left out.
    few = replace(data, z=data.z[:3], y=np.eye(3, dtype=np.uint8), of_patient=None)
    assert np.isfinite(fit(z=few.z, y=few.y, of_patient=None).held_out).all()
    rare = np.eye(3, dtype=np.uint8)[np.r_[0, np.ones(59, int)]]
    assert np.isfinite(fit(y=rare).held_out).all()
    assert np.isnan(fit(of_patient=np.zeros(60, int)).held_out).all()
