"""Splits: patients stay together, labels keep their shares, the seed decides, and what is written is what is read."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penlight.data.own.listing import PictureRow
from penlight.data.own.splitting import LEFT_OUT, SplitRule, divide, read_splits_file, stratify, write_splits
from penlight.errors import DataError
from tests.conftest import examples

SHARES = np.array([0.7, 0.1, 0.2])


@st.composite
def labelled_patients(draw):
    """Indicators of up to 5 labels, rare ones among them, and patients with one to six images each."""
    n, n_labels = draw(st.integers(40, 250)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = (random.random((n, n_labels)) < random.choice([0.02, 0.1, 0.4], n_labels)).astype(np.uint8)
    groups = np.repeat(np.arange(n), random.integers(1, draw(st.integers(2, 7)), n))[:n]
    return y, groups


@settings(max_examples=examples(60), deadline=None)
@given(labelled_patients(), st.integers(0, 9))
def test_patients_stay_together_and_shares_are_kept(drawn, seed):
    y, groups = drawn
    part = stratify(y, groups, SHARES, seed)
    assert len({(g, p) for g, p in zip(groups.tolist(), part.tolist(), strict=True)}) == len(set(groups.tolist()))
    largest = np.bincount(groups).max()
    # No part is off its share of any label by more than a few of the largest patients. Labels come before sizes, so a
    # part may be off in all by a little more.
    for i, column in enumerate(np.column_stack([np.ones(len(y)), y, y.sum(axis=1) == 0]).T):
        counts = np.bincount(part, weights=column, minlength=3)
        assert np.abs(counts - SHARES * column.sum()).max() <= 3 * largest + (0 if i else 0.03 * len(y))
    np.testing.assert_array_equal(part, stratify(y, groups, SHARES, seed))


def test_one_label_without_patients_is_divided_exactly():
    y = np.repeat(np.eye(3, dtype=np.uint8), [100, 40, 10], axis=0)
    part = stratify(y, np.arange(150), SHARES, 0)
    for label, n in enumerate((100, 40, 10)):
        counts = np.bincount(part[y[:, label] > 0], minlength=3)
        np.testing.assert_array_equal(counts, np.round(SHARES * n))
    assert (part != stratify(y, np.arange(150), SHARES, 1)).any()


def test_a_rare_label_comes_to_train_first_and_beats_chance():
    """Sechidis et al.: parts lack fewer labels than at random."""
    random = np.random.default_rng(0)
    y = (random.random((1000, 8)) < 0.012).astype(np.uint8)
    lacking, lacking_by_chance = 0, 0
    for seed in range(10):
        part = stratify(y, np.arange(1000), SHARES, seed)
        chance = random.choice(3, 1000, p=SHARES)
        for p in range(3):
            lacking += (y[part == p].sum(axis=0) == 0).sum()
            lacking_by_chance += (y[chance == p].sum(axis=0) == 0).sum()
    assert lacking < lacking_by_chance / 2
    once = np.zeros((50, 1), np.uint8)
    once[7] = 1
    assert stratify(once, np.arange(50), SHARES, 3)[7] == 0


def rows(*splits, patients=None):
    names = patients or [None] * len(splits)
    return [
        PictureRow(f"{i}.png", ("a",), name, split) for i, (split, name) in enumerate(zip(splits, names, strict=True))
    ]


def test_given_splits_are_kept_and_the_rest_is_taken_from_train():
    given_rows = rows(*["train"] * 80, *["test"] * 20)
    splits = divide(given_rows, np.ones((100, 1), np.uint8), SplitRule("x.csv"))
    assert splits[80:] == ["test"] * 20
    assert (splits.count("train"), splits.count("val")) == (70, 10)


def test_a_patient_in_two_given_splits_and_too_few_are_refused():
    with pytest.raises(DataError, match="Pictures of 2 patients are in both train and test: p, q"):
        divide(
            rows("train", "test", "test", "train", patients=list("ppqq")), np.ones((4, 1), np.uint8), SplitRule("")
        )
    with pytest.raises(DataError, match="stays empty"):
        divide(rows(None, None, patients=list("pq")), np.ones((2, 1), np.uint8), SplitRule(""))


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(3, 40), st.integers(1, 8), st.integers(1, 5), st.booleans(), st.integers(0, 2**32 - 1))
def test_every_label_is_in_train_and_no_split_is_empty_that_need_not_be(n, n_labels, most, one_each, seed):
    """Also of few pictures, with as many labels as pictures of one, or more."""
    random = np.random.default_rng(seed)
    y = (random.random((n, n_labels)) < random.choice([0.02, 0.1, 0.9], n_labels)).astype(np.uint8)
    if one_each:
        y = np.eye(n_labels, dtype=np.uint8)[np.arange(n) % n_labels]
    patients = np.repeat(np.arange(n), random.integers(1, most + 1, n))[:n]
    own = np.zeros((patients.max() + 1, n_labels), np.int64)
    np.add.at(own, patients, y)
    try:
        splits = np.array(divide(rows(*[None] * n, patients=[str(p) for p in patients]), y, SplitRule("", seed=seed)))
    except DataError:
        # Whichever two patients leave train, no label may go with them, and somebody stays.
        for two in combinations(range(len(own)), 2):
            rest = np.delete(own, two, axis=0)
            assert not len(rest) or (rest.sum(axis=0)[own.sum(axis=0) > 0] == 0).any()
        return
    assert set(splits.tolist()) == {"train", "val", "test"}
    assert (y[splits == "train"].sum(axis=0)[y.sum(axis=0) > 0] > 0).all()
    assert len(set(zip(patients.tolist(), splits.tolist(), strict=True))) == len(own)


def test_what_is_written_is_read(tmp_path: Path):
    paths = ["ä/1.png", 'b,"c".png', "3.png", "4.png"]
    splits = ["train", "val", "test", LEFT_OUT]
    write_splits(tmp_path / "s.csv", paths, splits)
    assert read_splits_file(tmp_path, "s.csv", paths) == splits
    write_splits(tmp_path / "s.csv", paths, ["train", "val", "tset", "test"])
    with pytest.raises(DataError, match=r"the split of 3\.png is 'tset'"):
        read_splits_file(tmp_path, "s.csv", paths)
