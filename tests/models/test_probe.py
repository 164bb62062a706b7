"""The probe: it is scikit-learn's logistic regression, and its answers out of fold saw nothing of the patient."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from penlight.data.folds import assign_folds
from penlight.models.feature_classifiers import FeatureTable, prob_of
from penlight.models.probe import Probe
from penlight.recipes import Encoded


def table(n: int = 240, f: int = 60, labels: int = 3, *, exclusive: bool, known: bool = False) -> FeatureTable:
    rng = np.random.default_rng(5)
    z = (rng.normal(size=(n, f)) * rng.uniform(0.1, 20, f) + 3).astype(np.float32)
    said = (z[:, :labels] - 3) / z[:, :labels].std(axis=0) + rng.normal(size=(n, labels))
    y = np.eye(labels, dtype=np.uint8)[said.argmax(axis=1)] if exclusive else (said > 0.5).astype(np.uint8)
    mask = rng.random(y.shape) > 0.3 if known else None
    y = y if mask is None else y * mask
    return FeatureTable(z, y, {}, exclusive, 1, np.arange(n) // 2, mask)


@pytest.mark.parametrize("shape", [(240, 60), (60, 200)])
@pytest.mark.parametrize("strength", [1e-3, 0.1])
def test_it_is_the_regression_of_scikit_learn(shape: tuple[int, int], strength: float) -> None:
    data = table(*shape, exclusive=True)
    probe = Probe(Encoded(strength=strength)).fit(data)
    standard = (data.z - data.z.mean(axis=0)) / data.z.std(axis=0)
    other = LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(standard, data.y.argmax(axis=1))
    np.testing.assert_allclose(
        prob_of(probe.scores(data.z), exclusive=True), other.predict_proba(standard), atol=2e-3
    )


def test_labels_are_regressions_of_their_own_on_the_images_of_which_they_are_known() -> None:
    data = table(exclusive=False, known=True)
    assert data.known is not None
    found = prob_of(Probe(Encoded(strength=0.01)).fit(data).scores(data.z), exclusive=False)
    standard = (data.z - data.z.mean(axis=0)) / data.z.std(axis=0)
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
    standard = (data.z - data.z.mean(axis=0)) / data.z.std(axis=0)
    for fold in range(5):
        rows = folds == fold
        other = LogisticRegression(C=0.01, max_iter=5000, tol=1e-8)
        other.fit(standard[~rows], data.y[~rows].argmax(axis=1))
        found = prob_of(probe.held_out[rows], exclusive=True)
        np.testing.assert_allclose(found, other.predict_proba(standard[rows]), atol=2e-3)


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


def test_one_class_alone_and_a_label_that_no_image_has_are_answered() -> None:
    data = table(exclusive=True)
    y = np.zeros_like(data.y)
    y[:, 1] = 1
    found = prob_of(Probe(Encoded()).fit(FeatureTable(data.z, y, {}, True, 0)).scores(data.z), exclusive=True)
    assert (found[:, 1] > 0.9).all()
    none = FeatureTable(data.z, 0 * data.y, {}, False, 0)
    assert (prob_of(Probe(Encoded()).fit(none).scores(data.z), exclusive=False) < 0.1).all()
