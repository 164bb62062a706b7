"""Predictions: what selects images selects every row of what is known of them."""

import io
from dataclasses import fields, replace

import numpy as np
import pytest

from penlight.data.views import ViewedSplit
from penlight.errors import PredictionsError
from penlight.runs import Predictions
from penlight.runs.predictions import predictions_from_bytes, to_bytes
from penlight.tasks import Binary, MultiLabel

N = 200


def everything() -> Predictions:
    """Predictions of `N` images in which row i holds i wherever an array can hold it."""
    number = np.arange(N)
    prob = np.stack([1 - number / N, number / N], axis=1)
    task = Binary(("no", "yes"))
    return Predictions(
        index=number,
        y_true=np.stack([number % 2 == 0, number % 2 == 1], axis=1).astype(np.uint8),
        prob=prob,
        logits=task.logits(prob),
        task=task,
        dataset="own",
        view="native",
        split="val",
        groups=number // 4,
        metadata={"age": number.astype(float), "site": np.array([f"s{i}" for i in number])},
    )


def findings() -> Predictions:
    """Predictions of findings, of which every third one is not known."""
    base, task = everything(), MultiLabel(("a", "b"))
    known = np.arange(2 * N).reshape(N, 2) % 3 > 0
    return replace(base, task=task, y_true=base.y_true * known, logits=task.logits(base.prob), known=known)


ROWS = {
    "the first": slice(64),
    "numbers": np.array([5, 3, 3, 199]),
    "a mask": np.arange(N) % 3 == 0,
    "none": np.array([], np.int64),
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_a_part_of_predictions_is_a_part_of_every_array(rows) -> None:
    whole = everything()
    part, expected = whole.part(rows), np.arange(N)[rows]
    assert len(part) == len(expected)
    arrays = [f.name for f in fields(whole) if isinstance(getattr(whole, f.name), np.ndarray)]
    assert {"index", "y_true", "prob", "logits", "groups"} <= set(arrays)
    for name in arrays:
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[expected])
    assert part.metadata["age"].tolist() == expected.tolist()
    assert part.metadata["site"].tolist() == [f"s{i}" for i in expected]


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_a_part_of_a_split_is_a_part_of_every_array(rows) -> None:
    whole, number = everything(), np.arange(N)
    images = np.zeros((N, 2, 2, 1), np.uint8)
    split = ViewedSplit(images, number, whole.y_true, number // 4, whole.metadata)
    part, expected = split.part(rows), number[rows]
    assert part.images is images
    for name in ("index", "y_true", "patients"):
        np.testing.assert_array_equal(getattr(part, name), getattr(split, name)[expected])
    assert part.metadata["age"].tolist() == expected.tolist()


def test_arrays_of_another_length_are_refused() -> None:
    whole = everything()
    for name, values in (("groups", np.arange(3)), ("metadata", {"age": np.arange(3.0)})):
        with pytest.raises(PredictionsError, match="For 200 images"):
            Predictions(**{f.name: getattr(whole, f.name) for f in fields(whole)} | {name: values})


def test_what_is_not_known_is_kept_on_disk_and_only_where_something_is_not() -> None:
    whole = findings()
    read = predictions_from_bytes(to_bytes(whole), "predictions")
    np.testing.assert_array_equal(read.known, whole.known)
    assert to_bytes(read) == to_bytes(whole)
    part = whole.part(np.array([3, 7]))
    assert part.known is not None
    assert part.known.tolist() == whole.known[[3, 7]].tolist()  # type: ignore[index]
    # As every file before there was a mask.
    full = replace(whole, known=np.ones((N, 2), bool))
    assert full.known is None
    assert to_bytes(full) == to_bytes(replace(whole, known=None))
    assert b"known" not in to_bytes(full)
    assert predictions_from_bytes(to_bytes(full), "predictions").known is None


def test_two_files_of_one_truth_may_know_different_parts_of_it() -> None:
    whole = findings()
    more = replace(whole, known=None)
    assert whole.same_truth(more)
    assert more.same_truth(whole)
    assert not whole.same_truth(replace(whole, y_true=(1 - whole.y_true) * whole.known))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"known": np.ones((N, 3), bool)}, "known of shape"),
        ({"known": np.zeros((N, 2), np.uint8)}, "must be true or false"),
        ({"y_true": np.ones((N, 2), np.uint8)}, "must be 0"),
    ],
)
def test_a_damaged_mask_is_refused(change: dict[str, np.ndarray], says: str) -> None:
    arrays = dict(np.load(io.BytesIO(to_bytes(findings()))))
    buffer = io.BytesIO()
    np.savez(buffer, **{**arrays, **change})
    with pytest.raises(PredictionsError, match=says):
        predictions_from_bytes(buffer.getvalue(), "predictions")


def test_classes_have_no_unknown_labels() -> None:
    with pytest.raises(PredictionsError, match="for findings"):
        replace(everything(), known=np.zeros((N, 2), bool))
