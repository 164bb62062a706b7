"""What a view is said to leave out is what it leaves out."""

import numpy as np
import pytest

from penlight.data import Dataset, Split, apply_view
from penlight.data.dataset import DatasetInfo
from penlight.tasks import MultiLabel, Ordinal


@pytest.mark.parametrize("findings", [1, 2, 3])
@pytest.mark.parametrize(
    ("view", "kept"),
    [
        ("native", lambda y: y.sum()),
        ("any", lambda y: y.sum()),
        ("single", lambda y: y[y.sum(axis=1) == 1].sum()),
        ("dominant", lambda y: (y.sum(axis=1) > 0).sum()),
        ("single+normal", lambda y: y[y.sum(axis=1) <= 1].sum()),
    ],
)
def test_positive_labels_left_out_are_those_that_no_label_of_the_view_speaks_of(view, kept, findings):
    rng = np.random.default_rng(findings)
    labels = np.array([[1] * findings, [0] * findings, *np.eye(findings), *rng.integers(0, 2, (9, findings))])
    task = MultiLabel(("a", "b", "c")[:findings])
    info = DatasetInfo("own", "Own", task, 1, None, "-", "-")
    split = Split(np.zeros((len(labels), 2, 2, 1), np.uint8), labels.astype(np.uint8))
    seen = apply_view(Dataset(info, 2, dict.fromkeys(("train", "val", "test"), split), "0" * 32), view)
    assert seen.left_out["test"].positives == labels.sum() - kept(labels)
    assert seen.left_out["test"].images == len(labels) - len(seen.splits["test"])


def test_whether_a_grade_is_referable_leaves_no_grade_out():
    for grades in (2, 3):
        info = DatasetInfo("own", "Own", Ordinal(("a", "b", "c")[:grades], referable=1), 1, None, "-", "-")
        split = Split(np.zeros((6, 2, 2, 1), np.uint8), (np.arange(6) % grades)[:, None])
        seen = apply_view(Dataset(info, 2, dict.fromkeys(("train", "val", "test"), split), "0" * 32), "referable")
        assert (seen.left_out["test"].positives, seen.left_out["test"].images) == (0, 0)
