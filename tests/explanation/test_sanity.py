"""Maps make sense: they point at the lesion, random weights do not, and another label has another map."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from penlight.explanation import METHODS, explain_images
from penlight.explanation.of_run import correlations, untrained, untrained_linear
from penlight.models import LinearBaseline
from penlight.recipes import Linear
from penlight.tasks import MultiClass
from tests.conftest import LABELS
from tests.explanation.conftest import new_subject, noise

SURE = 1e-4

_GAME = importlib.util.spec_from_file_location(
    "pointing_benchmark", Path(__file__).parents[2] / "benchmarks" / "pointing.py"
)
game = sys.modules[_GAME.name] = importlib.util.module_from_spec(_GAME)
_GAME.loader.exec_module(game)
Pointing, point = game.Pointing, game.point


@pytest.fixture(scope="module")
def strangers(chest):
    """The network of films with random weights, three times."""
    return [chest.random(seed) for seed in range(3)]


def dependence(subject, random, images, columns, method):
    """Correlate each image's map with that of a model whose weights are random."""
    return correlations(*(explain_images(s, images, columns, method) for s in (subject, random)))


def pointing(lesions, subject, method, finding=None):
    own = np.ones(len(lesions.columns), bool) if finding is None else lesions.columns == finding
    maps = explain_images(subject, lesions.images[own], lesions.columns[own], method)
    return point(maps, lesions.masks[own])


# On a model whose place is known, occlusion is in tests/explanation/test_methods.py.
@pytest.mark.full
@pytest.mark.parametrize("method", METHODS)
def test_maps_point_at_lesions_of_the_retina(retina, method):
    """Lesions, and a pixel round them, are a quarter to a third of these images."""
    played = pointing(retina, retina.subject, method)
    assert played.p < SURE
    assert played.expected < played.n / 3


@pytest.mark.full
@pytest.mark.parametrize("method", ["hirescam", "occlusion"])
@pytest.mark.parametrize("finding", [0, 1])
def test_maps_point_at_each_finding_of_a_film_and_with_random_weights_they_do_not(chest, strangers, method, finding):
    """A mass with a pixel round it is a twentieth of a film, a pneumothorax a tenth. Random weights mark contrast, so
    by luck of their signs some seeds hit it more often than others."""
    played = pointing(chest, chest.subject, method, finding)
    assert played.p < SURE
    assert played.hits > played.n / 2
    random = [pointing(chest, stranger, method, finding).hits for stranger in strangers]
    assert np.mean(random) < played.hits / 3


@pytest.mark.full
@pytest.mark.parametrize("method", ["hirescam", "occlusion"])
def test_another_label_has_another_map(chest, method):
    own, other = (
        explain_images(chest.subject, chest.images, columns, method) for columns in (chest.columns, 1 - chest.columns)
    )
    assert np.nanmean(correlations(own, other)) < 0.5
    right, wrong = point(own, chest.masks), point(other, chest.masks)
    # Beyond what comes by chance if both maps pointed at the finding as often as the other label's does.
    assert Pointing(right.hits, float(wrong.hits), right.n).p < 0.001


@pytest.mark.full
@pytest.mark.parametrize("method", ["gradcam", "hirescam", "occlusion"])
def test_maps_depend_on_the_weights(chest, strangers, method):
    alike = dependence(chest.subject, strangers[0], chest.images, chest.columns, method)
    assert len(alike) == len(chest.images)
    assert np.nanmean(alike) < 0.3


@pytest.mark.full
def test_a_network_is_like_itself(chest):
    alike = dependence(chest.subject, chest.subject, chest.images[:5], chest.columns[:5], "occlusion")
    np.testing.assert_allclose(alike, 1)


def test_correlations_are_spearmans():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, (2, 6, 7, 7)).astype(float)
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(correlations(one, other), expected)
    assert np.isnan(correlations(np.zeros((1, 3, 3)), other[:1, :3, :3])).all()


def test_pointing_counts_by_hand():
    masks = np.zeros((3, 5, 5), bool)
    masks[0, 2, 2] = masks[1, 0, 0] = True
    maps = np.zeros((3, 5, 5))
    maps[0, 1, 1] = 1  # beside the first lesion; the second map is empty, the third image has no lesion
    assert point(maps, masks, tolerance=0) == Pointing(0, pytest.approx(2 / 25), 2)
    assert point(maps, masks, tolerance=1) == Pointing(1, pytest.approx(9 / 25 + 4 / 25), 2)
    assert Pointing(2, 1.0, 2).p == pytest.approx(0.25)
    assert Pointing(0, 1.0, 2).p == 1


def test_an_untrained_copy_has_weights_of_its_own_and_leaves_the_network_alone():
    network = new_subject(MultiClass(LABELS)).network
    before = [w.copy() for w in network.get_weights()]
    one, same, other = (untrained(network, seed).get_weights() for seed in (0, 0, 1))
    for a, b, c, kept, now in zip(one, same, other, before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(kept, now)
        if a.ndim > 1:
            assert not np.array_equal(a, kept)
            assert not np.array_equal(a, c)


def test_an_untrained_linear_baseline_has_the_same_weights_elsewhere():
    y = np.eye(4, dtype=np.uint8).repeat(4, 0)
    model = LinearBaseline(Linear(components=4)).fit(noise(16), y, MultiClass(LABELS), mirrors=False)
    copy = untrained_linear(model)
    assert sorted(copy.weights.ravel()) == sorted(model.weights.ravel())
    assert not np.array_equal(copy.weights, model.weights)
