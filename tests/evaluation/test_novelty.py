"""What is unlike the training images is found, and what is like them is let through."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score

from penlight.errors import DataError, RunError
from penlight.evaluation.novelty import Gaussian, Novelty, describe_images, evenly, novelty_from_bytes
from penlight.evaluation.novelty_rates import NoveltyRate, NoveltyRates, measure_novelty
from penlight.phantoms import PHANTOMS, phantom_arrays

SIZE = 28

LEAST_FLAGGED = {("chest", "inverted"): 0.5}
"""An inverted film is as smooth as a film, and its intensities need not be unusual ones."""


def drawn(name):
    arrays = phantom_arrays(name, SIZE, samples={"train": 300, "val": 80, "test": 200})
    return {split: with_channels(arrays[f"{split}_images"]) for split in ("train", "val", "test")}


def with_channels(images):
    return images if images.ndim == 4 else images[..., None]


def grey(images):
    return images.mean(axis=3, keepdims=True).round().astype(np.uint8)


def natural(n=120, seed=0):
    """Crops of two photographs: a temple and a flower."""
    rng = np.random.default_rng(seed)
    out = []
    for photograph in load_sample_images().images * (n // 2):
        side = int(rng.integers(60, 400))
        y, x = (int(rng.integers(0, length - side)) for length in photograph.shape[:2])
        crop = Image.fromarray(photograph[y : y + side, x : x + side])
        out.append(np.asarray(crop.resize((SIZE, SIZE), Image.Resampling.BILINEAR)))
    return np.stack(out)


@pytest.fixture(scope="module")
def sets():
    return {name: drawn(f"{name}-phantom") for name in ("retina", "chest")}


@pytest.fixture(scope="module")
def fitted(sets):
    return {name: Novelty.fit(images["train"], images["val"]) for name, images in sets.items()}


def strangers(name, sets):
    """What is not of this kind, in the shape of its images."""
    own = sets[name]["test"]
    rng = np.random.default_rng(0)
    levels = np.arange(0, 256, 5, dtype=np.uint8)[:, None, None, None]
    if name == "retina":
        other, crops = np.repeat(sets["chest"]["test"], 3, axis=3), natural()
    else:
        other, crops = grey(sets["retina"]["test"]), grey(natural())
    return {
        "the other phantom": other,
        "photographs": crops,
        "noise": rng.integers(0, 256, own.shape, dtype=np.uint8),
        "constant": np.broadcast_to(levels, (len(levels), *own.shape[1:])),
        "inverted": 255 - own,
        "shuffled": own.reshape(len(own), SIZE**2, -1)[:, rng.permutation(SIZE**2)].reshape(own.shape),
    }


@pytest.mark.parametrize("name", ["retina", "chest"])
def test_strangers_are_unusual_and_test_images_are_not(name, sets, fitted):
    novelty, own = fitted[name], sets[name]["test"]
    assert novelty.unusual(own).mean() <= 0.05
    for what, images in strangers(name, sets).items():
        score = np.r_[novelty.score(own), novelty.score(images)]
        assert roc_auc_score(np.r_[np.zeros(len(own)), np.ones(len(images))], score) > 0.98, what
        assert novelty.unusual(images).mean() > LEAST_FLAGGED.get((name, what), 0.9), what


def test_the_threshold_lets_all_but_one_in_a_hundred_through(sets):
    """Of images drawn as train and val were; the count on 200 others varies by chance."""
    novelty = Novelty.fit(sets["retina"]["train"], sets["retina"]["val"])
    assert (novelty.score(sets["retina"]["val"]) > novelty.threshold).mean() <= 0.05
    assert 0.5 < novelty.threshold < 4


def test_the_same_images_give_the_same_bytes_which_read_back_the_same(sets, fitted):
    images = sets["chest"]
    content = fitted["chest"].to_bytes()
    assert content == Novelty.fit(images["train"], images["val"]).to_bytes()
    assert len(content) < 300_000
    back = novelty_from_bytes(content)
    np.testing.assert_array_equal(back.score(images["test"]), fitted["chest"].score(images["test"]))
    assert (back.threshold, back.shape) == (fitted["chest"].threshold, (SIZE, SIZE, 1))


def test_a_score_does_not_depend_on_what_stands_beside_an_image(sets, fitted):
    test = sets["retina"]["test"][:60]
    alone = np.concatenate([fitted["retina"].score(test[i : i + 1]) for i in range(len(test))])
    np.testing.assert_allclose(fitted["retina"].score(test), alone, rtol=1e-5)
    assert fitted["retina"].score(test[:0]).shape == (0,)


def test_descriptions_by_hand():
    images = np.zeros((1, 20, 20, 1), np.uint8)
    images[0, :, 10:] = 255
    pixels, histogram, busy, shape = describe_images(images)
    np.testing.assert_allclose(pixels.reshape(10, 10), np.tile(np.r_[np.zeros(5), np.ones(5)], (10, 1)), atol=1e-6)
    np.testing.assert_allclose(histogram[0] ** 2, np.r_[0.5, np.zeros(14), 0.5])
    across, down = np.exp(busy[0]).reshape(2, 4, 4) - 1 / 255
    assert across.mean() == pytest.approx(1 / 19, rel=1e-5)
    np.testing.assert_allclose(down, 0, atol=1e-6)
    # Nine rings, each half black and half white, and three mirror images: of sides, of ends, of both.
    np.testing.assert_allclose(shape[0, :18:2], 0.5)
    np.testing.assert_allclose(np.exp(shape[0, 1:18:2]) - 1 / 255, 0.5, atol=1e-6)
    np.testing.assert_allclose(np.exp(shape[0, 18:]) - 1 / 255, [1, 0, 1], atol=1e-6)


def test_the_distance_is_mahalanobis_where_all_directions_are_kept_or_alike():
    """Two strong directions, the others alike: the model fits exactly, and its inverse is that of the covariance."""
    rng = np.random.default_rng(0)
    scale = np.r_[5.0, 3.0, np.ones(4)]
    features = rng.normal(size=(4000, 6)) * scale
    fitted = Gaussian.fit(features)
    asked = rng.normal(size=(50, 6)) * 3
    expected = ((asked - features.mean(axis=0)) ** 2 / scale**2).sum(axis=1)
    np.testing.assert_allclose(np.exp(fitted.distance(asked)), expected, rtol=0.15)


def test_with_all_directions_kept_the_distance_is_mahalanobis():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6))
    fitted = Gaussian.fit(features, whole=True)
    asked = rng.normal(size=(50, 6))
    inverse = np.linalg.inv(np.cov(features.T))
    away = asked - features.mean(axis=0)
    np.testing.assert_allclose(
        np.exp(fitted.distance(asked)), np.einsum("ij,jk,ik->i", away, inverse, away), rtol=1e-3
    )


def ultrasound(n, seed=0):
    """Draw grey speckle of many looks, with a dark mass and bright layers, (n, 28, 28, 1)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :28] / 27
    out = np.empty((n, 28, 28, 1), np.uint8)
    for image in out:
        layers = sum(
            rng.uniform(-0.2, 0.3) * np.exp(-(((y - rng.uniform(0, 1) - rng.normal(0, 0.1) * x) / 0.08) ** 2))
            for _ in range(4)
        )
        mass = np.hypot((x - rng.uniform(0.25, 0.75)) / rng.uniform(0.1, 0.3),
                        (y - rng.uniform(0.3, 0.7)) / rng.uniform(0.08, 0.25)) < 1  # fmt: skip
        tissue = np.where(mass, rng.uniform(0.05, 0.2), rng.uniform(0.25, 0.6) + layers)
        tissue = tissue * (1 + rng.uniform(-0.9, 0.5) * y) * rng.uniform(0.6, 1.4)
        speckle = gaussian_filter(rng.normal(size=(28, 28)), rng.uniform(0.3, 1, 2))
        whole = np.clip(tissue * np.exp(rng.uniform(0.15, 0.5) * speckle / speckle.std()), 0, 1)
        whole[:, : rng.choice([0, 0, 0, 4])] = 0
        image[..., 0] = 255 * gaussian_filter(whole, rng.uniform(0.4, 1.3, 2))
    return out


def test_few_varied_images_of_one_kind_do_not_take_other_kinds_for_theirs(sets, fitted):
    """As many as a public set of breast ultrasound; without the shape, a part of fundus photographs passed as one."""
    images = ultrasound(824)
    novelty = Novelty.fit(images[:546], images[546:624])
    assert novelty.unusual(images[624:]).mean() <= 0.05
    assert novelty.unusual(grey(sets["retina"]["test"])).mean() > 0.9
    assert novelty.unusual(sets["chest"]["test"]).mean() > 0.9
    assert fitted["chest"].unusual(images[624:]).mean() > 0.9
    assert fitted["retina"].unusual(np.repeat(images[624:], 3, axis=3)).mean() > 0.9


def test_a_file_of_version_0_1_with_three_descriptions_is_read(sets, fitted):
    whole = fitted["chest"]
    old = Novelty(whole.parts[:3], whole.usual[:3], whole.far[:3], whole.threshold, whole.shape)
    back = novelty_from_bytes(old.to_bytes())
    np.testing.assert_array_equal(back.score(sets["chest"]["test"]), old.score(sets["chest"]["test"]))
    short = Novelty(whole.parts, whole.usual[:3], whole.far, whole.threshold, whole.shape)
    with pytest.raises(RunError, match="numbers of 4 descriptions"):
        novelty_from_bytes(short.to_bytes())


def test_rates_are_of_test_and_of_drawn_images_of_another_modality(sets, fitted):
    rates = measure_novelty(fitted["chest"], sets["chest"]["test"], "film")
    assert rates.test == NoveltyRate(200, int(fitted["chest"].unusual(sets["chest"]["test"]).sum()))
    assert list(rates.drawn) == ["retina-phantom"]
    assert rates.drawn["retina-phantom"].share > 0.9
    assert list(measure_novelty(fitted["retina"], sets["retina"]["test"], "fundus").drawn) == ["chest-phantom"]
    assert list(measure_novelty(fitted["retina"], sets["retina"]["test"], "").drawn) == [*PHANTOMS]
    assert NoveltyRates.from_dict(rates.to_dict()) == rates


def test_many_images_are_thinned_evenly():
    rows = evenly(100_000)
    assert len(rows) == 2000
    assert (rows[0], rows[-1]) == (0, 99_999)
    assert np.ptp(np.diff(rows)) <= 1
    assert evenly(3).tolist() == [0, 1, 2]


def test_another_shape_or_a_damaged_file_is_refused_by_name(fitted):
    with pytest.raises(DataError, match=r"\(N, 28, 28, 3\) were expected, \(1, 28, 28, 1\) came"):
        fitted["retina"].score(np.zeros((1, 28, 28, 1), np.uint8))
    with pytest.raises(RunError, match=r"runs/x/novelty\.npz"):
        novelty_from_bytes(b"nonsense", "runs/x/novelty.npz")
    content = io.BytesIO()
    with np.load(io.BytesIO(fitted["retina"].to_bytes())) as arrays:
        about = str(arrays["about"]).replace('"schema": 1', '"schema": 9')
        np.savez(content, **{**dict(arrays), "about": np.array(about)})
    with pytest.raises(RunError, match="another version"):
        novelty_from_bytes(content.getvalue())


def test_identical_images_are_fitted_too():
    """Without any variance everything else is unusual, and nothing is divided by zero."""
    same = np.full((20, 8, 8, 1), 90, np.uint8)
    novelty = Novelty.fit(same, same)
    assert not novelty.unusual(same).any()
    assert novelty.unusual(same + 40).all()


def test_images_of_one_patient_leave_none_to_fit_to_without_them(sets):
    train, val = (sets["chest"][name] for name in ("train", "val"))
    novelty = Novelty.fit(train[:60], val, np.full(60, "p"))
    assert novelty_from_bytes(novelty.to_bytes()).usual == novelty.usual
    assert (novelty.score(natural(20).mean(axis=3, keepdims=True).astype(np.uint8)) > novelty.threshold).any()
