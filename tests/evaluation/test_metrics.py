"""Metrics against scikit-learn and the official definitions, and what must hold of any metric."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from penlight.evaluation import METRICS, Conformal, Metric, Sample, find_row, score
from penlight.evaluation.metrics import metric_words
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal
from tests.conftest import TASK_EXAMPLES, examples, labels_for

NAMES = tuple("abcde")


def sets_of(task, prob):
    """Sets by cuts that nothing was fitted for."""
    cuts = ((0.5,),) if task.exclusive else ((0.3, 0.8),) * len(task.labels)
    return Conformal(0.8, cuts).sets(task, prob)


def scored(task, n=300, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    y = task.encode(labels_for(task, n, rng))
    prob = task.probabilities(rng.normal(size=(n, task.n_logits)) + task.logits(0.2 + 0.6 * y / y.shape[1]))
    if ties:
        prob = np.round(prob, 1)
    decided = task.decide(prob)
    rows = score(task, y, prob, decided, sets_of(task, prob), resamples=0)
    return y, prob, decided, {(r.name, r.label): r.value for r in rows}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_ordinal_rows_equal_scikit_learn(seed, ties):
    task = Ordinal(NAMES, referable=2)
    y, prob, decided, rows = scored(task, seed=seed, ties=ties)
    true, answer = y.argmax(1), decided.argmax(1)
    expected = {
        "acc": sk.accuracy_score(true, prob.argmax(1)),
        "qwk": sk.cohen_kappa_score(true, answer, weights="quadratic"),
        "mae": sk.mean_absolute_error(true, answer),
        "balanced_accuracy": sk.balanced_accuracy_score(true, answer),
        "f1_macro": sk.f1_score(true, answer, average="macro"),
        "f1_weighted": sk.f1_score(true, answer, average="weighted"),
        "auc": np.mean([sk.roc_auc_score(true == k, prob[:, k]) for k in range(5)]),
        "auc_referable": sk.roc_auc_score(true >= 2, prob[:, 2:].sum(axis=1)),
        "sensitivity_referable": sk.recall_score(true >= 2, answer >= 2),
        "specificity_referable": sk.recall_score(true < 2, answer < 2),
    }
    for name, value in expected.items():
        assert rows[name, None] == pytest.approx(value, abs=1e-9), name
    for average, key in ((sk.precision_score, "precision"), (sk.recall_score, "recall"), (sk.f1_score, "f1")):
        for label, value in zip(NAMES, average(true, answer, average=None, zero_division=np.nan), strict=True):
            assert rows[key, label] == pytest.approx(value, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("ties", [False, True])
def test_multi_label_rows_equal_scikit_learn(ties):
    task = MultiLabel(NAMES)
    y, prob, decided, rows = scored(task, ties=ties)
    expected = {
        "auc": sk.roc_auc_score(y, prob, average="macro"),
        "auc_micro": sk.roc_auc_score(y, prob, average="micro"),
        "auc_weighted": sk.roc_auc_score(y, prob, average="weighted"),
        "average_precision": sk.average_precision_score(y, prob, average="macro"),
        "average_precision_micro": sk.average_precision_score(y, prob, average="micro"),
        "average_precision_weighted": sk.average_precision_score(y, prob, average="weighted"),
        "f1_macro": sk.f1_score(y, decided, average="macro"),
        "f1_micro": sk.f1_score(y, decided, average="micro"),
        "f1_weighted": sk.f1_score(y, decided, average="weighted"),
        "exact_match": sk.accuracy_score(y, decided),
        "hamming_loss": sk.hamming_loss(y, decided),
        "acc": np.mean([sk.accuracy_score(y[:, k], prob[:, k] > 0.5) for k in range(5)]),
    }
    for name, value in expected.items():
        assert rows[name, None] == pytest.approx(value, abs=1e-9), name
    for k, label in enumerate(NAMES):
        assert rows["auc", label] == pytest.approx(sk.roc_auc_score(y[:, k], prob[:, k]), abs=1e-9)
        assert rows["specificity", label] == pytest.approx(sk.recall_score(1 - y[:, k], 1 - decided[:, k]), abs=1e-9)
        assert rows["prevalence", label] == pytest.approx(y[:, k].mean(), abs=1e-12)


def test_binary_rows_equal_scikit_learn():
    y, prob, decided, rows = scored(Binary(("no", "yes")))
    assert rows["auc", None] == pytest.approx(sk.roc_auc_score(y[:, 1], prob[:, 1]), abs=1e-9)
    assert rows["acc", None] == pytest.approx(sk.accuracy_score(y[:, 1], prob[:, 1] > 0.5), abs=1e-9)
    assert rows["sensitivity", None] == pytest.approx(sk.recall_score(y[:, 1], decided[:, 1]), abs=1e-9)
    assert rows["specificity", None] == pytest.approx(sk.recall_score(y[:, 0], decided[:, 0]), abs=1e-9)


def test_a_label_without_positives_is_nan_with_a_reason_and_left_out_of_the_mean():
    task = MultiLabel(NAMES)
    y, prob, _, _ = scored(task)
    y[:, 3] = 0
    rows = score(task, y, prob, task.decide(prob), resamples=20)
    of_label, whole = find_row(rows, "auc", "d"), find_row(rows, "auc")
    assert np.isnan(of_label.value)
    assert np.isnan(of_label.low)
    assert "no positive" in of_label.note
    assert "d" in whole.note
    defined = [sk.roc_auc_score(y[:, k], prob[:, k]) for k in (0, 1, 2, 4)]
    assert whole.value == pytest.approx(np.mean(defined), abs=1e-9)


def test_a_class_never_answered_has_no_precision_and_an_f1_of_zero():
    task = MultiClass(("a", "b"))
    y = np.array([[1, 0], [0, 1], [0, 1]], np.uint8)
    prob = np.tile([0.9, 0.1], (3, 1))
    rows = score(task, y, prob, task.decide(prob), resamples=0)
    assert np.isnan(find_row(rows, "precision", "b").value)
    assert find_row(rows, "precision", "b").note == "never predicted"
    assert find_row(rows, "f1", "b").value == 0


@settings(max_examples=examples(12), deadline=None)
@given(seed=st.integers(0, 10_000), weight=st.integers(1, 4))
def test_what_holds_of_every_metric(seed, weight):
    rng = np.random.default_rng(seed)
    for task in TASK_EXAMPLES:
        y, prob, decided, rows = scored(task, n=40, seed=seed)
        order = rng.permutation(len(y))
        sets = sets_of(task, prob)
        shuffled = score(task, y[order], prob[order], decided[order], sets[order], resamples=0)
        repeated = score(task, *(np.repeat(a, weight, axis=0) for a in (y, prob, decided, sets)), resamples=0)
        monotone = score(task, y, prob**3, decided, resamples=0)
        for row in shuffled:
            assert row.value == pytest.approx(rows[row.name, row.label], abs=1e-9, nan_ok=True)
        for row in repeated:
            if row.name.startswith("brier_"):
                continue  # What is taken off for chance falls with the number of images.
            assert row.value == pytest.approx(rows[row.name, row.label], abs=1e-9, nan_ok=True)
        for row in monotone:
            if row.name in ("auc", "average_precision") and row.label is not None:
                assert row.value == pytest.approx(rows[row.name, row.label], abs=1e-9, nan_ok=True)


@settings(max_examples=examples(12), deadline=None)
@given(seed=st.integers(0, 10_000))
def test_weights_are_repetitions(seed):
    """A row of counts gives what repeating the images that often gives: the ground of the bootstrap."""
    rng = np.random.default_rng(seed)
    for task in TASK_EXAMPLES:
        y, prob, decided, _ = scored(task, n=30, seed=seed)
        counts = rng.integers(0, 4, len(y))
        again = np.repeat(np.arange(len(y)), counts)
        if len(again) == 0:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for key in task.metrics:
                metric = METRICS[key].compute
                columns = (y, prob, decided, sets_of(task, prob))
                weighted = metric(Sample(task, *columns), counts[None].astype(float))
                repeated = metric(Sample(task, *(a[again] for a in columns)), np.ones((1, len(again))))
                np.testing.assert_allclose(weighted, repeated, atol=1e-9, err_msg=key)


def test_relabelling_an_unordered_task_moves_the_rows_with_the_labels():
    task = MultiClass(NAMES)
    y, prob, decided, rows = scored(task)
    turn = np.roll(np.arange(5), 2)
    columns = (y[:, turn], prob[:, turn], decided[:, turn], sets_of(task, prob[:, turn]))
    turned = score(MultiClass(tuple(NAMES[k] for k in turn)), *columns, resamples=0)
    for row in turned:
        assert row.value == pytest.approx(rows[row.name, row.label], abs=1e-9)


def test_answers_of_several_folds_rank_by_their_place_within_the_fold():
    """Another scale in each fold changes no ranking, and a constant answer is guessing whatever the prior."""
    task = MultiLabel(("a", "b"))
    rng = np.random.default_rng(0)
    y = (rng.random((200, 2)) < 0.3).astype(np.uint8)
    prob = np.clip(rng.random((200, 2)) * 0.5 + 0.2 * y, 0, 1)
    fold = rng.permutation(np.arange(200) % 4)
    scaled = prob ** (1 + fold[:, None])
    ones = np.ones((1, 200))

    def areas(p, folds):
        sample = Sample(task, y, p, task.decide(p), None, folds)
        return [METRICS[key].compute(sample, ones)[0] for key in ("auc", "average_precision", "auc_micro")]

    assert areas(scaled, fold)[:2] == pytest.approx(areas(prob, fold)[:2])
    assert areas(prob, fold)[0] == pytest.approx(areas(prob, None)[0], abs=0.05)
    assert areas(prob, np.zeros(200, int)) == pytest.approx(areas(prob, None))
    prior = np.array([y[fold != k].mean(axis=0) for k in range(4)])[fold]
    assert areas(prior, fold)[0] == pytest.approx(0.5, abs=1e-9)
    assert areas(prior, None)[0] < 0.5


@pytest.mark.parametrize(
    "words", [{}, {"title": "near"}, {"meaning": "Share of near answers."}, {"title": "", "meaning": ""}]
)
def test_a_metric_without_its_words_cannot_be_made(words):
    with pytest.raises((TypeError, ValueError)):
        Metric("near", lambda s, w: np.ones(len(w)), **words)


def test_scores_of_one_name_have_the_same_words():
    """A score knows its name and label alone, so that "acc" is spoken of alike in every task."""
    words = {}
    for metric in METRICS.values():
        own = (metric.title, metric.short, metric.better, metric.rate, metric.official, metric.leads)
        assert words.setdefault((metric.name, metric.per_label), own) == own
        assert metric_words(metric.name, "a" if metric.per_label else None).title == metric.title
    assert metric_words("val_loss").title == "val loss"


def test_a_metric_is_scored_by_all_tasks_that_list_it_once_it_is_in_the_table(monkeypatch):
    def near(s, w):
        return w @ (np.abs(s.decided_grade - s.grade) <= 1) / w.sum(axis=1)

    added = Metric("near", near, "accuracy within one grade", "Share of images at most one grade off.")
    monkeypatch.setitem(METRICS, "near", added)
    monkeypatch.setattr(Ordinal, "metrics", (*Ordinal(NAMES).metrics, "near"))
    task = Ordinal(NAMES)
    y, prob, decided, _ = scored(task)
    row = find_row(score(task, y, prob, decided, resamples=50), "near")
    assert row.value == np.mean(np.abs(decided.argmax(axis=1) - y.argmax(axis=1)) <= 1)
    assert row.low <= row.value <= row.high
    assert metric_words("near").short == "accuracy within one grade"
