"""Shifts between splits: planted ones are found, and exchangeable splits raise no more alarms than the level."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from penlight.data.audit import audit, checks, shift
from penlight.data.audit.shift import LEVEL, _areas, _auc, image_shift, label_shift
from tests.data.test_audit import drawn

REPEATS = 100
# At a true rate of 5 %, more than 11 of 100 happen less than once in 200 times (binomial).
MOST_ALARMS = 11


def indicators(classes, n_classes=4):
    return np.eye(n_classes, dtype=np.uint8)[classes]


def test_a_planted_image_shift_is_found():
    dataset = drawn(n=(120, 60, 80))
    dataset.splits["test"].images[:] = dataset.splits["test"].images // 2
    (problem,) = audit(dataset).problems
    assert problem.code == "images-shifted"
    assert problem.serious
    assert problem.splits == ("train", "test")
    assert problem.numbers["low"] >= checks.LARGE_AUC
    assert problem.numbers["p"] == 1 / (shift._SHUFFLES + 1)
    assert problem.seen.endswith("Patients are not known: if they have several images each, this p is too small.")


def test_a_shift_says_what_is_known_of_patients():
    """Shuffled images of patients of four call seven of ten splits shifted that are alike; of whole patients not."""
    dataset = drawn(n=(120, 60, 80))
    dataset.splits["test"].images[:] = dataset.splits["test"].images // 2
    several = replace(dataset, info=replace(dataset.info, images_per_patient=4))
    assert "Each patient has 4 images, and it is not known whose" in audit(several).problems[0].seen
    splits = {
        name: replace(split, patients=np.array([f"{name} {i}" for i in range(len(split))]))
        for name, split in dataset.splits.items()
    }
    assert "this p" not in audit(replace(dataset, splits=splits)).problems[0].seen


def test_a_planted_label_shift_is_found():
    dataset = drawn(n=(120, 60, 80))
    dataset.splits["val"].labels[:52] = 2
    problem = audit(dataset).problems[0]
    assert problem.code == "labels-shifted"
    assert problem.serious
    assert problem.splits == ("train", "val")
    assert problem.numbers["train_share"] == pytest.approx(0.25)
    assert problem.numbers["share"] == pytest.approx(54 / 60)
    assert "c is 25.0 % of train and 90.0 % of val" in problem.seen


def test_a_duplicate_within_a_split_is_no_sign_of_a_shift():
    twice = drawn(n=(60, 30, 40))
    twice.splits["val"].images[15:] = twice.splits["val"].images[:15]
    images = audit(twice).shifts[0].images
    assert np.isnan(images.auc)
    assert "fewer than 20" in images.note


@pytest.mark.parametrize("per_patient", [1, pytest.param(4, marks=pytest.mark.full)])
def test_exchangeable_images_raise_few_alarms(per_patient):
    rng, alarms = np.random.default_rng(11), 0
    for _ in range(REPEATS):
        n = np.repeat(np.arange(60), per_patient)
        x = (rng.normal(0, 1, (60, 12))[n] + 0.3 * rng.normal(0, 1, (len(n), 12))).astype(np.float32)
        cut = 36 * per_patient
        groups = (None, None) if per_patient == 1 else (n[:cut], n[cut:])
        alarms += image_shift(x[:cut], x[cut:], *groups, rng=rng).p <= LEVEL
    assert alarms <= MOST_ALARMS


@pytest.mark.parametrize("per_patient", [1, 4])
@pytest.mark.parametrize("exclusive", [True, False])
def test_exchangeable_labels_raise_few_alarms(per_patient, exclusive):
    rng, alarms = np.random.default_rng(12), 0
    for _ in range(REPEATS):
        n = np.repeat(np.arange(60), per_patient)
        y = indicators(rng.integers(0, 4, 60)) if exclusive else (rng.random((60, 4)) < 0.2).astype(np.uint8)
        cut = 36 * per_patient
        groups = (None, None) if per_patient == 1 else (n[:cut], n[cut:])
        labels = label_shift(y[n][:cut], y[n][cut:], *groups, tuple("abcd"), exclusive=exclusive, rng=rng)
        alarms += labels.p <= LEVEL
    assert alarms <= MOST_ALARMS


def test_the_area_and_its_error_are_delongs():
    rng = np.random.default_rng(2)
    side, score = np.repeat([0, 1], [40, 25]), np.round(rng.normal(0, 1, 65), 1)
    got = _auc(score, side, np.arange(65))
    assert got.auc == pytest.approx(roc_auc_score(side, score))
    untied = score + np.linspace(0, 1e-6, 65)
    assert _areas(untied[:, None], side[:, None])[0] == pytest.approx(roc_auc_score(side, untied))
    a, b = score[side == 1], score[side == 0]
    wins = (a[:, None] > b) + 0.5 * (a[:, None] == b)
    error = np.sqrt(wins.mean(axis=1).var(ddof=1) / 25 + wins.mean(axis=0).var(ddof=1) / 40)
    assert got.high - got.low == pytest.approx(2 * 1.96 * error)


def test_images_of_one_patient_count_as_one():
    rng = np.random.default_rng(2)
    side, score = np.repeat([0, 1], [40, 25]), rng.normal(0, 1, 65)
    once = _auc(score, side, np.arange(65))
    thrice = _auc(np.repeat(score, 3), np.repeat(side, 3), np.repeat(np.arange(65), 3))
    assert thrice.auc == pytest.approx(once.auc)
    assert thrice.low == pytest.approx(once.low)


def test_labels_of_one_patient_count_as_one():
    rng = np.random.default_rng(0)
    y = indicators(rng.integers(0, 4, 100))
    y[60:, 1] |= rng.random(40) < 0.25
    args = (tuple("abcd"),)
    once = label_shift(y[:60], y[60:], None, None, *args, exclusive=False, rng=np.random.default_rng(1))
    y3, n3 = np.repeat(y, 3, axis=0), np.repeat(np.arange(100), 3)
    grouped = label_shift(
        y3[:180], y3[180:], n3[:180], n3[180:], *args, exclusive=False, rng=np.random.default_rng(1)
    )
    assert grouped == once
    ignored = label_shift(y3[:180], y3[180:], None, None, *args, exclusive=False, rng=np.random.default_rng(1))
    assert ignored.p < once.p


def test_too_few_and_constant_images_are_undefined_with_a_reason():
    rng = np.random.default_rng(0)
    few = image_shift(np.zeros((30, 4), np.float32), np.ones((19, 4), np.float32), rng=rng)
    same = image_shift(np.zeros((30, 4), np.float32), np.zeros((30, 4), np.float32), rng=rng)
    labels = label_shift(
        indicators([0] * 19), indicators([1] * 30), None, None, tuple("abcd"), exclusive=True, rng=rng
    )
    assert np.isnan([few.auc, few.p, same.auc, labels.p, labels.h]).all()
    assert "fewer than 20" in few.note
    assert "the same" in same.note
    assert "fewer than 20" in labels.note
