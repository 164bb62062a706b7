"""What every task promises, whichever it is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from penlight.errors import DataError, PredictionsError, UnknownNameError
from penlight.evaluation import METRICS
from penlight.tasks import TASKS, Binary, Ordinal, label_of, task_from_dict, task_to_dict
from tests.conftest import LABELS, TASK_EXAMPLES, labels_for


def test_every_task_has_an_example():
    assert {t.kind for t in TASK_EXAMPLES} == set(TASKS)


def test_encode_gives_indicators(task):
    y = labels_for(task, 40, np.random.default_rng(0))
    encoded = task.encode(y)
    assert encoded.shape == (40, len(task.labels))
    assert set(np.unique(encoded)) <= {0, 1}
    if task.exclusive:
        assert (encoded.sum(axis=1) == 1).all()
        assert (np.argmax(encoded, axis=1) == y[:, 0]).all()


def test_encode_refuses_labels_out_of_range(task):
    y = labels_for(task, 40, np.random.default_rng(0))
    y[7, 0] = 9
    with pytest.raises(DataError, match="row 7"):
        task.encode(y)


def test_encode_refuses_another_shape(task):
    with pytest.raises(DataError, match="shape"):
        task.encode(np.zeros((5, 2, 3), int))


@given(data=st.data())
def test_probabilities_are_probabilities(data):
    for task in TASK_EXAMPLES:
        logits = data.draw(arrays(np.float64, (6, task.n_logits), elements=st.floats(-60, 60)))
        prob = task.probabilities(logits)
        assert prob.shape == (6, len(task.labels))
        assert ((prob >= 0) & (prob <= 1)).all()
        if task.exclusive:
            np.testing.assert_allclose(prob.sum(axis=1), 1, atol=1e-12)


def test_logits_are_the_inverse_of_probabilities(task):
    logits = np.random.default_rng(1).normal(size=(50, task.n_logits))
    if task.head == "cumulative":
        logits = -np.sort(-logits, axis=1)
    prob = task.probabilities(logits)
    np.testing.assert_allclose(task.probabilities(task.logits(prob)), prob, atol=1e-9)


def test_decisions_are_indicators_of_the_right_kind(task):
    rng = np.random.default_rng(2)
    prob = task.probabilities(rng.normal(size=(60, task.n_logits)))
    decided = task.decide(prob)
    assert decided.shape == prob.shape
    if task.exclusive:
        assert (decided.sum(axis=1) == 1).all()
    if task.uses_thresholds:
        assert (task.decide(prob, np.full(len(task.labels), 0.9999))[:, -1] == (prob[:, -1] > 0.9999)).all()


def test_metrics_and_headline_exist(task):
    assert set(task.metrics) <= set(METRICS)
    assert task.headline == task.metrics[0]


def test_round_trip_through_plain_values(task):
    assert task_from_dict(task_to_dict(task)) == task


def test_another_head_keeps_the_kind(task):
    assert task.with_head(head="auto", rule="argmax").kind == task.kind


def test_a_task_that_is_not_known_is_named():
    with pytest.raises(UnknownNameError, match="ordinal"):
        task_from_dict({"kind": "ordinla", "labels": ["a"]})
    with pytest.raises(PredictionsError, match="binary"):
        task_from_dict({"kind": "binary", "labels": ["a", "b"], "referable": 1})


@pytest.mark.parametrize(
    "wrong",
    [{"referable": "1"}, {"referable": True}, {"referable": -1}, {"referable": 4}, {"rule": 3}, {"head": "\x1b[2J"},
     {"rule": "x" * 501}, {"referable": [1]}, {"labels": ["a", "a", "b", "c"]}, {"labels": ["a"]}],
)  # fmt: skip
def test_options_of_a_file_are_checked(wrong):
    written = {"kind": "ordinal", "labels": list(LABELS), "referable": 1, "head": "softmax", "rule": "argmax"}
    assert task_from_dict({**written, "of a later version": [1]}) == Ordinal(LABELS, 1, "softmax", "argmax")
    with pytest.raises(PredictionsError) as caught:
        task_from_dict({**written, **wrong})
    assert str(caught.value).isprintable()


def test_cut_points_cut_where_they_are_given_and_halfway_otherwise(task):
    points = task.cut_points
    assert len(points) in (0, len(task.labels) - 1)
    assert (np.diff(points) > 0).all()
    if points:
        assert task.answers
        prob = task.probabilities(np.random.default_rng(3).normal(size=(60, task.n_logits)))
        np.testing.assert_array_equal(task.decide(prob), task.decide(prob, np.array(points)))
        lowered = task.decide(prob, np.array(points) - 0.3)
        assert (np.argmax(lowered, axis=1) >= np.argmax(task.decide(prob), axis=1)).all()
        assert (lowered != task.decide(prob)).any()


def test_expected_grade_is_the_rounded_mean():
    prob = np.array([[0.5, 0.0, 0.0, 0.5], [0.9, 0.1, 0.0, 0.0]])
    assert np.argmax(Ordinal(tuple("abcd"), rule="expected").decide(prob), axis=1).tolist() == [2, 0]
    assert np.argmax(Ordinal(tuple("abcd")).decide(prob), axis=1).tolist() == [0, 0]


def test_cumulative_probabilities_by_hand():
    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    prob = Ordinal(tuple("abc")).probabilities(np.array([[2.0, -1.0]]))
    expected = [1 - sigmoid(2.0), sigmoid(2.0) - sigmoid(-1.0), sigmoid(-1.0)]
    np.testing.assert_allclose(prob[0], expected, atol=1e-12)


def test_binary_needs_two_labels():
    with pytest.raises(DataError, match="two labels"):
        Binary(("a", "b", "c"))


def test_label_in_words(task):
    assert label_of(task, np.eye(len(task.labels), dtype=int)[1]) == task.labels[1]
    assert label_of(task, np.zeros(len(task.labels), int)) == "none"
