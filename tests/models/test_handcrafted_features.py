"""Features do not depend on how an image was held, and their classifiers are what they say they are."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from penlight.errors import RecipeError
from penlight.models.ensemble import weigh
from penlight.models.feature_classifiers import FeatureTable, KernelClassifier, _group_scales, prob_of, scores_of
from penlight.models.handcrafted_features import HandcraftedFeatures, Ops, PatchFeatures, PixelGrid
from penlight.recipes import Kernel

ALL = {"all": slice(0, 5)}


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


def test_groups_part_the_numbers_and_grey_images_have_no_colours():
    colour, grey = (small(pictures(12, channels=c)) for c in (3, 1))
    for features in (colour, grey):
        ends = [(place.start, place.stop) for place in features.groups.values()]
        assert ends[0][0] == 0
        assert ends[-1][1] == len(features.mean)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))
    assert set(colour.groups) - set(grey.groups) == {"ratio", "correlations"}


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
def test_a_kernel_learns_and_gives_probabilities(kind):
    images = pictures(60)
    features, y, exclusive = small(images), truth(60, kind), kind != "labels"
    z = features.of(images)
    table = FeatureTable(z, y, exclusive=exclusive, seed=3, groups=features.groups)
    classifier, again = (KernelClassifier(Kernel(patches=8)).fit(table) for _ in range(2))
    prob = prob_of(classifier.scores(z), exclusive=exclusive)
    assert prob.shape == y.shape
    assert np.isfinite(prob).all()
    assert ((prob[:, 0] > 0.5) == (y[:, 0] == 1)).mean() > 0.9
    if exclusive:
        np.testing.assert_allclose(prob.sum(axis=1), 1)
        assert prob[:, 2:].max(initial=0) < 0.01
    np.testing.assert_array_equal(again.scores(z), classifier.scores(z))


def test_left_out_answers_of_the_kernel_are_those_of_a_kernel_that_left_the_image_out():
    rng = np.random.default_rng(0)
    z, groups = rng.normal(size=(12, 4)), {"all": slice(0, 4)}
    y = np.eye(2, dtype=np.uint8)[rng.integers(0, 2, 12)]
    near = np.exp(-((z[:, None] * _group_scales(z, groups, 0.28) - z * _group_scales(z, groups, 0.28)) ** 2).sum(-1))
    share = y.mean(axis=0)
    weight = (y @ share**-0.5) / (y @ share**-0.5).mean()
    mean = np.average(y, axis=0, weights=weight)
    left_out = np.zeros(y.shape)
    for i in range(12):
        rest = np.arange(12) != i
        inner = near[np.ix_(rest, rest)] + np.diag(0.1 / weight[rest])
        left_out[i] = near[i, rest] @ np.linalg.solve(inner, y[rest] - mean) + mean
    expected = LogisticRegression(max_iter=1000).fit(4 * left_out, y[:, 1])
    classifier = KernelClassifier(Kernel()).fit(FeatureTable(z, y, exclusive=True, seed=0, groups=groups))
    np.testing.assert_allclose(classifier.links[:, 1], expected.coef_[0], rtol=1e-5)


@pytest.mark.parametrize("landmarks", [24, 23])
def test_the_kernel_leaves_all_images_of_a_patient_out_at_once(landmarks):
    """With every image of a patient left out, as computed by leaving it out; with landmarks, nearly so."""
    rng = np.random.default_rng(0)
    of_patient = np.repeat(np.arange(8), 3)[rng.permutation(24)]
    z, groups = rng.normal(size=(8, 4))[of_patient] + 0.1 * rng.normal(size=(24, 4)), {"all": slice(0, 4)}
    y = np.eye(2, dtype=np.uint8)[(np.arange(8) % 2)[of_patient]]
    scale = _group_scales(z, groups, 0.28)
    near = np.exp(-((z[:, None] * scale - z * scale) ** 2).sum(-1))
    left_out = np.zeros(y.shape)
    for patient in range(8):
        own, rest = of_patient == patient, of_patient != patient
        inner = near[np.ix_(rest, rest)] + 0.1 * np.eye(rest.sum())
        left_out[own] = near[np.ix_(own, rest)] @ np.linalg.solve(inner, y[rest] - 0.5) + 0.5
    expected = LogisticRegression(max_iter=1000).fit(4 * left_out, y[:, 1])
    table = FeatureTable(z, y, exclusive=True, seed=0, of_patient=of_patient, groups=groups)
    classifier = KernelClassifier(Kernel(landmarks=landmarks)).fit(table)
    np.testing.assert_allclose(classifier.links[:, 1], expected.coef_[0], rtol=1e-5 if landmarks == 24 else 0.2)
    alone = KernelClassifier(Kernel(landmarks=landmarks)).fit(replace(table, of_patient=None))
    assert np.abs(alone.links).max() > 2 * np.abs(classifier.links).max()


def test_landmarks_enough_are_the_whole_kernel():
    rng = np.random.default_rng(0)
    z, groups = rng.normal(size=(60, 5)), {"a": slice(0, 2), "b": slice(2, 5)}
    y = np.eye(3, dtype=np.uint8)[(z[:, 0] > 0).astype(int) + (z[:, 3] > 0)]
    whole, few = (
        KernelClassifier(Kernel(landmarks=m)).fit(FeatureTable(z, y, exclusive=True, seed=0, groups=groups))
        for m in (60, 59)
    )
    np.testing.assert_allclose(few.scores(z), whole.scores(z), atol=0.1)


def test_out_of_fold_answers_are_of_kernels_that_saw_no_image_of_the_patient():
    """Labels by lot for each patient, whose four images are nearly the same: one of them tells the others' label."""
    rng = np.random.default_rng(0)
    of_patient = np.repeat(np.arange(50), 4)
    z = rng.normal(size=(50, 5))[of_patient] + 0.01 * rng.normal(size=(200, 5))
    y = np.eye(2, dtype=np.uint8)[rng.integers(0, 2, 50)[of_patient]]
    right = []
    for units in (None, of_patient):
        table = FeatureTable(z, y, exclusive=True, seed=0, of_patient=units, groups=ALL)
        held_out = KernelClassifier(Kernel(width=3.0, ridge=0.01)).fit(table).held_out
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
