"""Features do not depend on how an image was held, and their classifiers are what they say they are."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from penlight.errors import RecipeError
from penlight.models.ensemble import weigh
from penlight.models.feature_classifiers import FeatureTable, TreesClassifier, prob_of, scores_of
from penlight.models.handcrafted_features import HandcraftedFeatures, Ops, PatchFeatures, PixelGrid
from penlight.recipes import Trees


def pictures(n=40, side=28, channels=3, seed=0):
    """Noise in which a disc is lighter, and in every other image a spot beside its middle."""
    rng = np.random.default_rng(seed)
    images = rng.integers(20, 80, (n, side, side, channels))
    far = np.hypot(*(np.mgrid[:side, :side] - (side - 1) / 2)) * 28 / side
    images[:, far < 12] += 100
    images[1::2, side // 3 : side // 2, side // 3 : side // 2] -= 90
    return images.clip(0, 255).astype(np.uint8)


def small(images, seed=0, patches=8):
    return HandcraftedFeatures(PatchFeatures(patches)).fit(images, seed)


@pytest.mark.parametrize("side", [16, 28, 40])
@pytest.mark.parametrize("channels", [1, 3])
def test_mirror_images_have_the_same_features(side, channels):
    images = pictures(12, side, channels)
    features = small(images)
    plain = features.of(images)
    for turned in (images[:, ::-1], images[:, :, ::-1], images[:, ::-1, ::-1]):
        np.testing.assert_allclose(features.of(np.ascontiguousarray(turned)), plain, atol=1e-6)
    assert np.isfinite(plain).all()
    np.testing.assert_allclose(plain.mean(axis=0), 0, atol=1e-9)
    assert ((np.abs(plain.std(axis=0) - 1) < 1e-6) | (plain.std(axis=0) == 0)).all()


def test_grey_images_have_no_colours():
    colour, grey = (small(pictures(12, channels=c)).parts(Ops(pictures(12, channels=c))) for c in (3, 1))
    assert {name for name in colour if colour[name] and not grey[name]} == {"ratio", "correlations"}


def test_quantiles_rings_and_blur_are_numpys_own():
    images = pictures(5)
    features, place = small(images), PixelGrid(28, 28)
    parts = features.parts(Ops(images))
    light = np.log(images / 255 + 0.05)
    disc = light.reshape(5, 784, 3)[:, place.disc]
    ratio = disc[..., 0] - disc[..., 1]
    first = parts["ratio"][0].reshape(5, 5)
    np.testing.assert_allclose(first, np.percentile(ratio, [5, 25, 50, 75, 95], axis=1).T, atol=1e-12)
    inner = light.reshape(5, 784, 3)[:, place.ring(0, 4)]
    found = np.concatenate([part.reshape(5, 3) for part in parts["rings"][:2]], axis=1)
    np.testing.assert_allclose(found, np.concatenate([inner.mean(axis=1), inner.std(axis=1)], axis=1), atol=1e-12)


def test_an_image_of_one_tone_has_finite_features():
    features = small(pictures())
    for tone in (0, 255):
        assert np.isfinite(features.of(np.full((2, 28, 28, 3), tone, np.uint8))).all()


def test_too_small_images_are_refused_by_name():
    with pytest.raises(RecipeError, match="at least 16 pixels"):
        small(pictures(side=15))


def test_windows_lie_alike_from_either_side():
    pixels, radius = PatchFeatures(4).places(PixelGrid(28, 28), step=2)
    turned = 783 - pixels[::-1, ::-1]
    np.testing.assert_array_equal(np.sort(turned, axis=None), np.sort(pixels, axis=None))
    assert len(radius) == len(pixels)


def truth(n, kind):
    if kind == "labels":
        return np.stack([np.arange(n) % 2, np.arange(n) % 3 == 0], axis=1).astype(np.uint8)
    return np.eye(2 if kind == "two" else 3, dtype=np.uint8)[np.arange(n) % 2]


@pytest.mark.parametrize("kind", ["two", "three, one of which train has not", "labels"])
def test_trees_learn_and_give_probabilities(kind):
    images = pictures(60)
    z, y, exclusive = small(images).of(images), truth(60, kind), kind != "labels"
    table = FeatureTable(z, y, exclusive=exclusive, seed=3)
    classifier, again = (TreesClassifier(Trees(patches=8, trees=5)).fit(table) for _ in range(2))
    prob = prob_of(classifier.scores(z), exclusive=exclusive)
    assert prob.shape == y.shape
    assert np.isfinite(prob).all()
    assert ((prob[:, 0] > 0.5) == (y[:, 0] == 1)).mean() > 0.9
    if exclusive:
        np.testing.assert_allclose(prob.sum(axis=1), 1)
        assert prob[:, 2:].max(initial=0) < 0.01
    np.testing.assert_array_equal(again.scores(z), classifier.scores(z))


def test_the_forest_is_scikit_learns():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(80, 6))
    y = np.eye(3, dtype=np.uint8)[(z[:, 0] > 0).astype(int) + (z[:, 1] > 0)]
    classifier = TreesClassifier(Trees(trees=7, leaf=2, share=0.5)).fit(FeatureTable(z, y, exclusive=True, seed=5))
    own = ExtraTreesClassifier(7, min_samples_leaf=2, max_features=0.5, random_state=5)
    own.fit(z.astype(np.float32), y.argmax(axis=1))
    new = rng.normal(size=(50, 6)).astype(np.float32)
    np.testing.assert_allclose(classifier.forest.predict(new), own.predict_proba(new), atol=1e-12)


def test_out_of_fold_answers_do_not_know_their_own_label():
    """Labels by lot: what is said of an image that was learned is right, what is said out of fold is not."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(200, 5)), np.eye(2, dtype=np.uint8)[rng.integers(0, 2, 200)]
    model = TreesClassifier(Trees(trees=30, leaf=1)).fit(FeatureTable(z, y, exclusive=True, seed=0))
    right = [(scores.argmax(axis=1) == y.argmax(axis=1)).mean() for scores in (model.scores(z), model.held_out)]
    assert right[0] > 0.95
    assert right[1] < 0.65


def test_out_of_fold_answers_are_of_trees_that_saw_no_image_of_the_patient():
    """Labels by lot for each patient, whose four images are nearly the same: one of them tells the others' label."""
    rng = np.random.default_rng(0)
    of_patient = np.repeat(np.arange(50), 4)
    z = rng.normal(size=(50, 5))[of_patient] + 0.01 * rng.normal(size=(200, 5))
    y = np.eye(2, dtype=np.uint8)[rng.integers(0, 2, 50)[of_patient]]
    right = []
    for units in (None, of_patient):
        table = FeatureTable(z, y, exclusive=True, seed=0, of_patient=units)
        held_out = TreesClassifier(Trees(trees=30, leaf=1)).fit(table).held_out
        right.append((held_out.argmax(axis=1) == y.argmax(axis=1)).mean())
    assert right[0] > 0.95
    assert right[1] < 0.7


def test_weights_stay_where_val_is_small_and_move_where_it_is_large():
    rng = np.random.default_rng(0)
    y = np.eye(2, dtype=np.uint8)[rng.integers(0, 2, 4000)]
    good = scores_of(np.clip(0.8 * y + 0.1 + rng.normal(0, 0.1, y.shape), 0.01, 0.99), exclusive=True)
    noise = scores_of(np.clip(rng.random(y.shape), 0.01, 0.99), exclusive=True)
    given = np.array([0.2, 0.8])
    few, many = (weigh(np.stack([good[:n], noise[:n]]), y[:n], given, 300, exclusive=True) for n in (5, 4000))
    assert np.abs(few - given).max() < 0.2
    assert many[1] < 0.25 < 0.7 < many[0]
    held = weigh(np.stack([good, noise]), y, given, 1e9, exclusive=True)
    np.testing.assert_allclose(held, given, atol=1e-3)


def test_scores_and_probabilities_undo_one_another():
    prob = np.array([[0.2, 0.3, 0.5], [0.98, 0.01, 0.01]])
    np.testing.assert_allclose(prob_of(scores_of(prob, exclusive=True), exclusive=True), prob)
    np.testing.assert_allclose(prob_of(scores_of(prob, exclusive=False), exclusive=False), prob)


def test_plain_operations_average_large_images_down():
    images = pictures(3, side=56)
    place = PixelGrid(56, 56)
    small_ones = Ops(images).pixels(place.down, place.across)
    assert small_ones.shape == (3, 3, 28, 28)
    expected = images.reshape(3, 28, 2, 28, 2, 3).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(np.moveaxis(small_ones, 1, 3), expected, atol=1e-7)
