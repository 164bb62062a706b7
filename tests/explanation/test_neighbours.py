"""Similar training images: an image's own copy is found first, and what is kept is small and the same each time."""

import numpy as np
import pytest

from penlight.errors import DataError, RunError
from penlight.explanation.neighbours import Neighbours, evenly, neighbours_from_bytes
from penlight.tasks import MultiClass
from tests.conftest import LABELS
from tests.explanation.conftest import noise


class Means:
    """A model whose last layer reads the mean of each quarter of an image."""

    has_features = True

    def features(self, images):
        n, h, w, c = images.shape
        return images.reshape(n, 2, h // 2, 2, w // 2, c).mean(axis=(2, 4)).reshape(n, -1).astype(np.float32)


def labels(n):
    return MultiClass(LABELS).encode(np.arange(n) % 4)


@pytest.mark.parametrize("model", [None, Means()], ids=["pixels", "features"])
@pytest.mark.parametrize(("size", "channels"), [(28, 3), (64, 1), (96, 3)])
def test_a_copy_and_a_near_copy_are_found_first(model, size, channels):
    images = noise(40, size, channels)
    kept = Neighbours.fit(model, images, np.arange(40), labels(40))
    near = np.clip(images.astype(int) + np.random.default_rng(1).integers(-9, 10, images.shape), 0, 255)
    for asked in (images, near.astype(np.uint8)):
        found = kept.nearest(model, asked, most=3)
        assert [own[0].row for own in found] == list(range(40))
        for own in found:
            assert [n.similarity for n in own] == sorted((n.similarity for n in own), reverse=True)
            np.testing.assert_array_equal(own[0].labels, labels(40)[own[0].row])
    assert kept.nearest(model, images[:1])[0][0].similarity == pytest.approx(1, abs=1e-5)


def test_bytes_are_the_same_and_read_back_the_same():
    images = noise(30)
    one, two = (Neighbours.fit(Means(), images, np.arange(30), labels(30)).to_bytes() for _ in range(2))
    assert one == two
    again = neighbours_from_bytes(one)
    assert again.to_bytes() == one
    assert [n[0].row for n in again.nearest(Means(), images[5:8])] == [5, 6, 7]
    for damaged in (b"no", one[:-30]):
        with pytest.raises(RunError, match=r"neighbours\.npz is not what"):
            neighbours_from_bytes(damaged)


def test_rows_are_those_of_the_split_as_stored():
    images, rows = noise(30), np.array([3, 9, 20, 28])
    kept = Neighbours.fit(None, images, rows, labels(4))
    assert [n[0].row for n in kept.nearest(None, images[rows])] == [3, 9, 20, 28]
    np.testing.assert_array_equal(kept.images, images[rows])


def test_what_is_kept_is_small():
    many = np.lib.stride_tricks.as_strided(noise(1, 28, 1)[0], (5000, 28, 28, 1), (0, 28, 1, 1))
    assert len(Neighbours.fit(None, many, np.arange(5000), labels(5000)).rows) == 2000
    large = Neighbours.fit(None, noise(4, 224, 3), np.arange(4), labels(4))
    assert large.images.shape == (4, 56, 56, 3)
    np.testing.assert_array_equal(evenly(10, 4), [0, 3, 6, 9])
    np.testing.assert_array_equal(evenly(3, 10), [0, 1, 2])


def test_even_images_are_alike_and_do_no_harm():
    kept = Neighbours.fit(None, np.zeros((5, 28, 28, 1), np.uint8), np.arange(5), labels(5))
    assert [n.row for n in kept.nearest(None, np.zeros((1, 28, 28, 1), np.uint8), 2)[0]] == [0, 1]


def test_another_model_is_refused():
    kept = Neighbours.fit(Means(), noise(8), np.arange(8), labels(8))
    with pytest.raises(DataError, match="gives none"):
        kept.nearest(None, noise(1))
    with pytest.raises(DataError, match="12 features"):
        kept.nearest(Means(), noise(1, channels=1))
