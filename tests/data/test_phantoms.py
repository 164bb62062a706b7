import numpy as np
import pytest
from scipy.ndimage import maximum_filter
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penlight.data.catalog import CATALOG
from penlight.errors import DataError, UnknownNameError
from penlight.phantoms import (
    FINDINGS,
    LESION_BITS,
    PHANTOMS,
    draw_chest,
    draw_retina,
    phantom_arrays,
    sample_findings,
    shared,
    split_seed,
)

GRADES = np.arange(30) % 5
ONE_EACH = np.eye(14, dtype=np.uint8)
DRAWINGS = {
    "retina-phantom": (draw_retina, GRADES),
    "chest-phantom": (draw_chest, np.concatenate([np.zeros((2, 14), np.uint8), ONE_EACH])),
}
SMALL = {"train": 12, "val": 5, "test": 6}
# Signs that alter the shape of heart or lungs, and so the film beyond their mask.
RESHAPING = ("atelectasis", "cardiomegaly", "emphysema")


def bits(masks, k):
    return (masks >> np.asarray(k).astype(masks.dtype)) & 1 == 1


@pytest.mark.parametrize("name", PHANTOMS)
@pytest.mark.parametrize("size", [28, 64, 128, 224])
def test_every_size_has_the_promised_arrays(name, size):
    draw, labels = DRAWINGS[name]
    images, masks = draw(labels[-6:], size, 3)
    channels, mask_type = (3, np.uint8) if name == "retina-phantom" else (1, np.uint16)
    assert images.shape == (6, size, size, channels)
    assert images.dtype == np.uint8
    assert masks.shape == (6, size, size)
    assert masks.dtype == mask_type
    assert images.std(axis=(1, 2, 3)).min() > 10


@pytest.mark.parametrize("name", PHANTOMS)
@pytest.mark.parametrize("size", [28, 64])
def test_an_image_depends_on_nothing_but_seed_number_and_label(name, size, monkeypatch):
    draw, labels = DRAWINGS[name]
    whole = draw(labels, size, 5)
    some = draw(labels[:7], size, 5)
    one = draw(labels[:1], size, 5)
    monkeypatch.setattr(shared, "_CHUNK_PIXELS", 4 * size**2)
    in_fours = draw(labels, size, 5)
    for all_of_them, first_seven, first, chunked in zip(whole, some, one, in_fours, strict=True):
        np.testing.assert_array_equal(first_seven, all_of_them[:7])
        np.testing.assert_array_equal(first, all_of_them[:1])
        np.testing.assert_array_equal(chunked, all_of_them)


@pytest.mark.parametrize("name", PHANTOMS)
def test_seeds_and_numbers_give_different_images(name):
    draw, labels = DRAWINGS[name]
    alike = np.repeat(labels[:1], 4, axis=0)
    images = np.concatenate([draw(alike, 28, 0)[0], draw(alike, 28, 1)[0]])
    assert len(np.unique(images.reshape(8, -1), axis=0)) == 8


@pytest.mark.parametrize("name", PHANTOMS)
def test_no_images_are_no_error(name):
    draw, labels = DRAWINGS[name]
    images, masks = draw(labels[:0], 28, 0)
    assert len(images) == len(masks) == 0


@pytest.mark.parametrize("size", [28, 64])
def test_a_grade_has_its_lesions_and_no_others(size):
    grades = np.repeat(np.arange(5), 20)
    _, masks = draw_retina(grades, size, 1)
    has = {kind: (masks & bit > 0).any(axis=(1, 2)) for kind, bit in LESION_BITS.items()}
    assert not masks[grades == 0].any()
    assert has["microaneurysm"][grades > 0].all()
    assert not has["haemorrhage"][grades == 1].any()
    assert not has["exudate"][grades == 1].any()
    assert has["haemorrhage"][grades == 3].all()
    np.testing.assert_array_equal(has["new vessels"], grades == 4)


def test_haemorrhages_are_more_in_severe_than_in_moderate_retinopathy():
    grades = np.repeat([2, 3], 40)
    _, masks = draw_retina(grades, 64, 2)
    area = (masks & LESION_BITS["haemorrhage"] > 0).mean(axis=(1, 2))
    assert area[grades == 3].mean() > 2 * area[grades == 2].mean() > 0


@pytest.mark.parametrize("size", [28, 128])
def test_lesions_change_the_eye_where_the_mask_is_and_nowhere_else(size):
    grades = np.repeat(np.arange(1, 5), 4)
    sick, masks = draw_retina(grades, size, 4)
    healthy, _ = draw_retina(np.zeros_like(grades), size, 4)
    change = np.abs(sick.astype(int) - healthy).max(axis=-1)
    near = maximum_filter(masks > 0, size=(1, 3, 3))
    assert change[~near].max() == 0
    assert change[masks > 0].mean() > 20


@pytest.mark.parametrize("size", [28, 64])
def test_lesions_lie_in_the_field_of_view(size):
    _, masks = draw_retina(np.full(60, 4), size, 6)
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    outside = np.hypot(row, column) > 0.5 * size
    assert not masks[:, outside].any()
    healthy, _ = draw_retina(np.zeros(60, int), size, 6)
    assert healthy[masks > 0].max(axis=-1).min() > 20


@pytest.mark.parametrize("size", [28, 64])
def test_each_finding_is_marked_alone(size):
    findings = np.repeat(np.concatenate([np.zeros((1, 14), int), ONE_EACH]), 5, axis=0)
    _, masks = draw_chest(findings, size, 2)
    shown = bits(masks[..., None], np.arange(14)).any(axis=(1, 2))
    np.testing.assert_array_equal(shown, findings == 1)


def test_all_findings_at_once_keep_their_bits():
    _, masks = draw_chest(np.ones((8, 14), int), 64, 2)
    assert bits(masks[..., None], np.arange(14)).any(axis=(1, 2)).all()


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_changes_the_film_where_its_mask_is(finding):
    findings = np.repeat(ONE_EACH[[FINDINGS.index(finding)]], 8, axis=0)
    sick, masks = draw_chest(findings, 64, 7)
    healthy, _ = draw_chest(np.zeros_like(findings), 64, 7)
    change = sick[..., 0].astype(float) - healthy[..., 0]
    inside = masks > 0
    assert all(np.abs(c[m]).max() > 10 for c, m in zip(change, inside, strict=True))
    if finding not in RESHAPING:
        near = maximum_filter(inside, size=(1, 3, 3))
        assert np.square(change[near]).sum() > 0.7 * np.square(change).sum()
    if finding in ("pneumothorax", "emphysema"):
        assert change[inside].mean() < -5
    elif finding not in ("cardiomegaly", "hernia"):
        assert change[inside].mean() > 5


def test_findings_have_the_prevalences_of_chestmnist():
    n = 60_000
    findings = sample_findings(n, 0)
    expected = np.array([7996, 1950, 9261, 13914, 3988, 4375, 978, 3705, 3263, 1690, 1799, 1158, 2279, 144]) / 78_468
    assert findings.shape == (n, 14)
    assert findings.dtype == np.uint8
    assert (np.abs(findings.mean(axis=0) - expected) < 4.5 * np.sqrt(expected / n)).all()
    count = findings.sum(axis=1)
    assert (count == 0).mean() == pytest.approx(0.539, abs=0.01)
    assert (count == 1).mean() == pytest.approx(0.275, abs=0.015)


def test_findings_that_belong_together_come_together():
    findings = sample_findings(40_000, 1).astype(bool)
    for one, other in [("atelectasis", "effusion"), ("infiltration", "edema"), ("pneumothorax", "emphysema")]:
        first, second = findings[:, FINDINGS.index(one)], findings[:, FINDINGS.index(other)]
        assert second[first].mean() > 1.4 * second.mean()


@pytest.mark.parametrize(
    ("name", "image_shape", "labels", "mask_type"),
    [("retina-phantom", (28, 28, 3), 1, np.uint8), ("chest-phantom", (28, 28), 14, np.uint16)],
)
def test_arrays_are_laid_out_as_in_medmnist(name, image_shape, labels, mask_type):
    arrays = phantom_arrays(name, 28, samples=SMALL)
    assert set(arrays) == {f"{split}_{part}" for split in SMALL for part in ("images", "labels", "masks")}
    for split, n in SMALL.items():
        assert arrays[f"{split}_images"].shape == (n, *image_shape)
        assert arrays[f"{split}_labels"].shape == (n, labels)
        assert arrays[f"{split}_labels"].dtype == np.uint8
        assert arrays[f"{split}_masks"].shape == (n, 28, 28)
        assert arrays[f"{split}_masks"].dtype == mask_type
    assert not np.array_equal(arrays["train_images"][0], arrays["val_images"][0])


def test_a_split_can_be_drawn_again_in_health():
    arrays = phantom_arrays("retina-phantom", 28, seed=3, samples=SMALL)
    healthy, _ = draw_retina(np.zeros(6, int), 28, split_seed("retina-phantom", "test", 3))
    grades = arrays["test_labels"][:, 0]
    same = (arrays["test_images"] == healthy).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(same, grades == 0)


@pytest.mark.full
def test_default_grades_are_counted_as_in_retinamnist():
    arrays = phantom_arrays("retina-phantom", 28)
    expected = {"train": [486, 128, 206, 194, 66], "val": [54, 12, 28, 20, 6], "test": [174, 46, 92, 68, 20]}
    for split, counts in expected.items():
        assert np.bincount(arrays[f"{split}_labels"][:, 0]).tolist() == counts
    assert linear_auc(arrays) == pytest.approx(0.65, abs=0.08)


def linear_auc(arrays):
    """Macro one-vs-rest AUC of a logistic regression on log-pixels: it must neither fail nor suffice."""
    train, test = (np.log1p(arrays[f"{split}_images"].reshape(-1, 28 * 28 * 3)) for split in ("train", "test"))
    model = make_pipeline(PCA(40, random_state=0), StandardScaler(), LogisticRegression(max_iter=2000))
    prob = model.fit(train, arrays["train_labels"][:, 0]).predict_proba(test)
    return roc_auc_score(arrays["test_labels"][:, 0], prob, multi_class="ovr")


@pytest.mark.parametrize("count", [5, 7, 33, 500])
def test_every_grade_is_there_when_there_is_room(count):
    arrays = phantom_arrays("retina-phantom", 28, samples={"train": count, "val": 1, "test": 1})
    assert np.bincount(arrays["train_labels"][:, 0], minlength=5).min() >= 1
    assert len(arrays["train_labels"]) == count


@pytest.mark.parametrize("name", PHANTOMS)
def test_arrays_are_the_same_twice(name):
    first, second = (phantom_arrays(name, 28, seed=1, samples=SMALL) for _ in range(2))
    assert list(first) == list(second)
    for key, values in first.items():
        np.testing.assert_array_equal(second[key], values)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "retina-fantom"}, UnknownNameError, "retina-phantom"),
        ({"size": 32}, DataError, "32"),
        ({"samples": {"val": 0}}, DataError, "val"),
        ({"samples": {"holdout": 3}}, DataError, "holdout"),
        ({"seed": -1}, DataError, "-1"),
    ],
)
def test_what_cannot_be_drawn_is_a_named_error(arguments, error, message):
    with pytest.raises(error, match=message):
        phantom_arrays(**({"name": "retina-phantom", "size": 28, "samples": SMALL} | arguments))


def test_wrong_labels_are_named_errors():
    with pytest.raises(DataError, match="0 to 4"):
        draw_retina(np.array([0, 5]), 28, 0)
    with pytest.raises(DataError, match=r"\(N,\)"):
        draw_retina(np.zeros((2, 1), int), 28, 0)
    with pytest.raises(DataError, match=r"\(N, 14\)"):
        draw_chest(np.zeros((2, 13), int), 28, 0)
    with pytest.raises(DataError, match="0 or 1"):
        draw_chest(np.full((2, 14), 2), 28, 0)


def test_the_catalog_names_the_findings_that_are_drawn():
    for name in ("chest-phantom", "chestmnist"):
        assert CATALOG[name].task.labels == FINDINGS
