"""Predictions: what selects images selects every row of what is known of them."""

from dataclasses import fields

import numpy as np
import pytest

from penlight.data.views import ViewedSplit
from penlight.errors import PredictionsError
from penlight.runs import Predictions
from penlight.tasks import Binary

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
