"""Folds of train and val: nothing is divided that belongs together, nothing is lost, test is left alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penlight.data import apply_view
from penlight.data.folds import assign_folds_by_value
from penlight.errors import DataError
from penlight.tasks import MultiClass, MultiLabel, Ordinal
from penlight.training.folds import INNER, deal, make_folds
from tests.conftest import LABELS, examples, small_dataset

TASK = Ordinal(LABELS, referable=2)


def dataset_with(task=TASK, n=(72, 24, 32), patients=True, change=lambda splits: None, **metadata):
    """A small dataset in which two images that follow each other are of one patient."""
    dataset = small_dataset(task, n=n)
    splits, start = {}, 0
    for name, split in dataset.splits.items():
        own = np.arange(len(split)) // 2 + start if patients else None
        splits[name] = replace(split, patients=own, metadata={c: v[: len(split)] for c, v in metadata.items()})
        start += len(split)
    change(splits)
    return replace(dataset, splits=splits)


def test_every_image_of_train_and_val_is_test_once_and_test_is_nowhere():
    dataset = dataset_with(age=np.arange(200.0), sex=np.array(["F", "M"] * 100))
    view = apply_view(dataset)
    folds = make_folds(view, 4, seed=0)
    left_out = []
    for number in range(4):
        fold = folds.fold(number)
        parts = fold.splits
        rows = {name: set(part.index.tolist()) for name, part in parts.items()}
        assert rows["train"] | rows["val"] | rows["test"] == set(range(96))
        assert sum(map(len, rows.values())) == 96
        assert not set(parts["test"].patients) & set(np.r_[parts["train"].patients, parts["val"].patients])
        assert not set(parts["val"].patients) & set(parts["train"].patients)
        assert (parts["train"].y_true.sum(axis=0) > 0).all()
        for name, part in parts.items():
            np.testing.assert_array_equal(part.images[part.index], fold.dataset.splits[name].images)
            np.testing.assert_array_equal(TASK.encode(fold.dataset.splits[name].labels), part.y_true)
        left_out += parts["test"].index.tolist()
        row = parts["test"].index[0]
        name, place = ("train", row) if row < 72 else ("val", row - 72)
        own = view.splits[name]
        np.testing.assert_array_equal(parts["test"].images[row], own.images[place])
        assert parts["test"].y_true[0].tolist() == own.y_true[place].tolist()
        assert parts["test"].metadata["age"][0] == own.metadata["age"][place]
        assert parts["test"].metadata["sex"][0] == own.metadata["sex"][place]
    assert sorted(left_out) == list(range(96))
    assert len({folds.fold(number).dataset.md5 for number in range(4)} | {dataset.md5}) == 5


def test_near_duplicates_stay_in_one_fold_with_their_patients():
    def copy(splits):
        rng = np.random.default_rng(0)
        for split in splits.values():
            split.images[:] = rng.integers(0, 250, split.images.shape, np.uint8)
        for name, row in (("train", 40), ("val", 3)):
            splits[name].images[row] = splits["train"].images[0] + np.uint8(2)

    folds = make_folds(apply_view(dataset_with(change=copy)), 4, seed=0)
    together = [0, 1, 40, 41, 72 + 2, 72 + 3]
    assert len(set(folds.units[together])) == 1
    assert (folds.units == folds.units[0]).sum() == 6
    assert len(set(folds.number[together])) == 1


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_what_is_dealt_is_even_by_label_whole_and_the_same_again(seed, count):
    rng = np.random.default_rng(seed)
    y = MultiClass(LABELS).encode(rng.integers(0, 4, (120, 1)))
    units = np.arange(120) // 2
    number = deal(y, units, count, seed, 2)
    np.testing.assert_array_equal(number, deal(y, units, count, seed, 2))
    assert (number.reshape(60, 2).std(axis=1) == 0).all()
    sizes = np.bincount(number[number >= 0], minlength=count)
    # The largest difference in all 50,005 cases is 12: labels come first, and patients have images of two.
    assert sizes.max() - sizes.min() <= 12
    alone = deal(y, np.arange(120), count, seed, 2)
    for column in y.T:
        of_label = np.bincount(alone[column > 0], minlength=count)
        assert of_label.max() - of_label.min() <= 1


def test_a_label_of_one_patient_alone_is_trained_on_in_every_fold():
    def one_has_it(splits):
        for split in splits.values():
            split.labels[:, 3] = 0
        splits["train"].labels[4:6, 3] = 1

    folds = make_folds(apply_view(dataset_with(MultiLabel(LABELS), change=one_has_it)), 3, seed=0)
    assert np.flatnonzero(folds.number < 0).tolist() == [4, 5]
    for number in range(3):
        assert folds.fold(number).splits["train"].y_true[:, 3].sum() == 2


def test_a_view_is_that_of_the_whole_in_every_fold():
    """Which finding is the rarest is asked of train as it is, not of a fold's."""
    view = apply_view(dataset_with(MultiLabel(LABELS), n=(60, 20, 20)), "dominant")
    folds = make_folds(view, 3, seed=1)
    np.testing.assert_array_equal(
        folds.whole.y_true, np.concatenate([view.splits[s].y_true for s in ("train", "val")])
    )
    rows = [int(row) for number in range(3) for row in folds.fold(number).splits["test"].index]
    assert sorted(rows) == sorted(folds.whole.index[folds.number >= 0].tolist())
    assert len(folds.whole) < 80


def test_too_few_are_refused_by_name():
    with pytest.raises(
        DataError, match=r"16 images in train and val of small are too few for 20 folds: .* more folds"
    ):
        make_folds(apply_view(dataset_with(n=(8, 8, 8), patients=False)), 20, seed=0)
    with pytest.raises(DataError, match=r"5 patients .* for 2 folds: the val inside fold 1 cannot give auc"):
        make_folds(apply_view(dataset_with(n=(6, 4, 8))), 2, seed=0)
    assert INNER > 2


def test_folds_by_value_keep_groups_whole_and_spread_values_whatever_the_order_of_rows():
    rng = np.random.default_rng(0)
    groups, value = rng.integers(0, 100, 400), rng.random(400)
    fold = assign_folds_by_value(value, groups, 5)
    assert all(len(np.unique(fold[groups == g])) == 1 for g in np.unique(groups))
    lowest = np.array([value[groups == g].min() for g in np.unique(groups)])
    of_group = np.array([fold[groups == g][0] for g in np.unique(groups)])
    assert (of_group == np.argsort(np.argsort(lowest)) % 5).all()
    order = rng.permutation(400)
    assert (assign_folds_by_value(value[order], 7 * groups[order] + 3, 5) == fold[order]).all()
