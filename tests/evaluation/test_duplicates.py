"""Scores with and without the test images that have a duplicate in another split."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from penlight.data import apply_view
from penlight.data.record import DataRecord, record_of
from penlight.evaluation.checks import run_checks
from penlight.evaluation.duplicates import DuplicateScores, score_duplicates
from penlight.evaluation.intervals import UnknownPatients
from penlight.evaluation.sample import Sample
from penlight.records import check_record
from penlight.tasks import Binary, MultiClass
from tests.conftest import small_dataset
from tests.evaluation.checks.cases import TASK, audited, leaked
from tests.evaluation.checks.evidence import sample


def remembered():
    """A binary model that is right on every duplicate and says little of the others."""
    task = Binary(("no", "yes"))
    rng = np.random.default_rng(0)
    y, duplicate = rng.integers(0, 2, 200), rng.random(200) < 0.3
    score = np.where(duplicate, 0.2 + 0.6 * y, np.clip(0.5 + 0.1 * (2 * y - 1) + 0.2 * rng.normal(size=200), 0, 1))
    return sample(task, task.encode(y), np.stack([1 - score, score], axis=1)), y, score, duplicate


@pytest.mark.parametrize(
    "groups", [None, np.arange(200) // 4, UnknownPatients(4)], ids=["images", "named", "unnamed"]
)
def test_scores_of_each_kind_are_those_of_its_images_alone(groups):
    s, y, score, duplicate = remembered()
    found = score_duplicates(s, duplicate, groups)
    assert (found.duplicates, found.images) == (duplicate.sum(), 200)
    for rows, chosen in ((found.without, ~duplicate), (found.alone, duplicate)):
        auc, acc = rows
        assert (auc.name, acc.name) == ("auc", "acc")
        assert auc.value == pytest.approx(roc_auc_score(y[chosen], score[chosen]))
        assert acc.value == pytest.approx(((score[chosen] > 0.5) == y[chosen]).mean())
        assert auc.low <= auc.value <= auc.high
        assert auc.n == chosen.sum()
    assert found.without[0].high < found.alone[0].value
    kept = check_record(DuplicateScores, found.to_dict(), "metrics.json")
    assert kept.to_dict() == found.to_dict()


def test_what_one_kind_lacks_is_undefined_with_the_reason():
    s, y, _, _ = remembered()
    only = np.flatnonzero(y)[:3]
    auc, acc = score_duplicates(s, np.isin(np.arange(200), only)).alone
    assert np.isnan(auc.value)
    assert auc.note
    assert np.isfinite(acc.value)
    assert score_duplicates(s, np.ones(200, bool)).without == []


def test_the_record_names_the_rows_of_exact_and_near_duplicates_in_other_splits():
    dataset = small_dataset(TASK)
    train, test = dataset.splits["train"], dataset.splits["test"]
    test.images[5] = test.images[9] = train.images[7]
    near = train.images[3].astype(int)
    test.images[2] = np.clip(near + np.random.default_rng(0).integers(-1, 2, near.shape), 0, 255)
    record = record_of(apply_view(dataset))
    assert record.duplicates == {"train": (3, 7), "val": (), "test": (2, 5, 9)}
    assert check_record(DataRecord, record.to_dict(), "data.json") == record
    assert record_of(apply_view(small_dataset(TASK))).duplicates == {}


def test_the_check_gives_both_scores_with_intervals():
    s, _, _, duplicate = remembered()
    found = score_duplicates(s, duplicate)
    (leak,) = [check for check in run_checks(replace(audited(leaked), duplicates=found)) if check.code == "PL008"]
    without, alone = found.without[0], found.alone[0]
    assert f"{duplicate.sum()} of 200 test images have a duplicate in another split" in leak.seen
    assert (
        f"Without them, AUC is {without.value:.3f} (95 % interval {without.low:.3f} to {without.high:.3f})"
        in leak.seen
    )
    assert f"alone, AUC is {alone.value:.3f}" in leak.seen
    assert "unknown amount" not in leak.why
    (leak,) = [check for check in run_checks(audited(leaked)) if check.code == "PL008"]
    assert "Without" not in leak.seen


def test_a_part_of_a_sample_is_a_part_of_all_of_it():
    task = MultiClass(("a", "b", "c"))
    y = np.eye(3, dtype=np.uint8)[[0, 1, 2, 0]]
    whole = Sample(task, y, y * 0.8 + 0.1 / 1.5, y, y[:, None], np.arange(4))
    part = whole.part(np.array([True, False, True, False]))
    for name in ("y", "prob", "decided", "sets", "fold"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[[0, 2]])
    assert part.task is task
    assert Sample(task, y, y * 1.0, y).part(np.zeros(4, bool)).fold is None
