"""The record of data that a run keeps."""

from dataclasses import replace

import numpy as np

from penlight.data import apply_view, open_dataset
from penlight.data.record import DataRecord, record_of
from penlight.records import check_record
from penlight.tasks import MultiLabel
from tests.conftest import LABELS, small_dataset
from tests.remembered import draw_once


def with_patients(dataset, images_each):
    """Number the patients, other ones in each split."""
    splits = {
        name: replace(split, patients=np.arange(len(split)) // images_each + 1000 * i)
        for i, (name, split) in enumerate(dataset.splits.items())
    }
    return replace(dataset, splits=splits)


def test_it_counts_what_the_view_keeps():
    view = apply_view(small_dataset(MultiLabel(LABELS)), "single")
    record = record_of(view)
    for name, split in view.splits.items():
        assert record.images[name] == len(split)
        assert sum(record.counts[name]) == len(split)
        assert record.counts[name] == tuple(split.y_true.sum(axis=0))
    assert record.patients is None
    assert record.problems == ()
    assert check_record(DataRecord, record.to_dict(), "data.json") == record


def test_patients_are_counted_once_and_an_image_that_is_drawn_is_its_own(monkeypatch):
    draw_once(monkeypatch, {"train": 60, "val": 30, "test": 30})
    record = record_of(apply_view(with_patients(small_dataset(MultiLabel(LABELS)), 4)))
    assert record.patients == {"train": 12, "val": 6, "test": 8}
    assert check_record(DataRecord, record.to_dict(), "data.json") == record
    drawn = record_of(apply_view(open_dataset("retina-phantom")))
    assert drawn.patients == drawn.images


def test_it_holds_what_the_audit_found():
    dataset = small_dataset(MultiLabel(LABELS))
    dataset.splits["test"].images[5] = dataset.splits["train"].images[7]
    problems = record_of(apply_view(dataset)).problems
    assert any(problem.serious and "more than one split" in problem.seen for problem in problems)
