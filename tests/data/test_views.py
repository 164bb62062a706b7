"""Views: which images count, and what is to be learned of them."""

from dataclasses import replace

import numpy as np
import pytest

from penlight.data import Dataset, Split, apply_view
from penlight.data.views import LeftOut
from penlight.errors import DataError, UnknownNameError
from penlight.tasks import MultiLabel, Ordinal
from tests.conftest import small_dataset

FINDINGS = ("often", "some", "seldom")
# often is in 6 rows of train, some in 3, seldom in 1.
TRAIN = [[1, 0, 0]] * 3 + [[1, 1, 0], [1, 1, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]]
VAL = [[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]


@pytest.fixture
def films() -> Dataset:
    base = small_dataset(MultiLabel(FINDINGS), channels=1)

    def split(rows, start):
        return Split(base.splits["train"].images[: len(rows)], np.array(rows), np.arange(start, start + len(rows)))

    return replace(base, splits={"train": split(TRAIN, 0), "val": split(VAL, 100), "test": split(VAL[::-1], 200)})


def classes(view, split="val"):
    return view.splits[split].y_true.argmax(axis=1).tolist()


def test_every_task_has_the_native_view_first():
    for task in (MultiLabel(FINDINGS), Ordinal(FINDINGS, referable=1), Ordinal(FINDINGS)):
        assert next(iter(task.views)) == "native"


def test_native_is_everything(films):
    view = apply_view(films)
    assert view.splits["val"].y_true.tolist() == VAL
    assert view.left_out["val"] == LeftOut(0, 0)


def test_single_keeps_images_with_exactly_one_finding(films):
    view = apply_view(films, "single")
    assert view.task.labels == FINDINGS
    assert view.splits["val"].index.tolist() == [2, 3]
    assert classes(view) == [2, 0]
    assert view.left_out["val"] == LeftOut(images=2, positives=2)
    assert view.splits["val"].patients.tolist() == [102, 103]


def test_dominant_names_the_finding_that_is_rarest_in_train(films):
    view = apply_view(films, "dominant")
    assert view.splits["train"].index.tolist() == [0, 1, 2, 3, 4, 5, 8]
    assert classes(view, "train") == [0, 0, 0, 1, 2, 1, 0]
    assert classes(view) == [1, 2, 0]
    assert view.left_out["val"] == LeftOut(images=1, positives=1)


def test_any_is_a_finding_or_none(films):
    view = apply_view(films, "any")
    assert view.task.labels == ("no finding", "finding")
    assert classes(view) == [1, 0, 1, 1]
    assert view.left_out["val"] == LeftOut(0, 0)


def test_single_and_normal_adds_a_class_for_none(films):
    view = apply_view(films, "single+normal")
    assert view.task.labels == ("no finding", *FINDINGS)
    assert view.splits["val"].index.tolist() == [1, 2, 3]
    assert classes(view) == [0, 3, 1]
    assert view.left_out["val"] == LeftOut(images=1, positives=2)


def test_referable_splits_the_grades():
    dataset = small_dataset(Ordinal(("a", "b", "c"), referable=1))
    view = apply_view(dataset, "referable")
    assert view.task.labels == ("not referable", "referable")
    assert classes(view) == (dataset.splits["val"].labels[:, 0] >= 1).astype(int).tolist()


def test_bad_input_is_named(films):
    with pytest.raises(UnknownNameError, match="single"):
        apply_view(films, "singel")
    with pytest.raises(UnknownNameError, match="referable"):
        apply_view(films, "referable")
    labels = films.splits["val"].labels.copy()
    labels[0, 1] = 2
    with pytest.raises(DataError, match="0 or 1"):
        apply_view(with_val(films, labels=labels))
    with pytest.raises(DataError, match="shape"):
        apply_view(with_val(films, labels=labels[:, :2]))
    with pytest.raises(DataError, match=r"'single' leaves no image in val"):
        apply_view(with_val(films, labels=np.array([[1, 1, 0]] * 4)), "single")
    with pytest.raises(DataError, match=r"1 patients .* both train and val"):
        apply_view(with_val(films, patients=np.array([3, 101, 102, 103])))
    zero = films.splits["train"].labels.copy()
    zero[:, 2] = 0
    with pytest.raises(DataError, match=r"has the label seldom"):
        apply_view(replace(films, splits={**films.splits, "train": replace(films.splits["train"], labels=zero)}))


def with_val(films, **changes):
    return replace(films, splits={**films.splits, "val": replace(films.splits["val"], **changes)})
