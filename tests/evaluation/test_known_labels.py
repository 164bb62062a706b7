"""Labels that are not known: they enter no score, and where all are known every number is the one without a mask."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from penlight.evaluation import METRICS, Conformal, Sample, find_decision, find_row, score
from penlight.evaluation.comparison import differences, paired_draws
from penlight.evaluation.operating import net_benefits, operating_points
from penlight.evaluation.robustness import balanced_error, mistakes_of
from penlight.evaluation.scores import ALL_UNKNOWN, score_seeds
from penlight.evaluation.subgroups import score_subgroups
from penlight.tasks import MultiLabel
from penlight.tasks.base import among, count_known, join_known, known_or_none, select_known, shares

TASK = MultiLabel(("a", "b", "c", "d"))
N, C = 400, 4


def drawn(seed=0, share=0.3):
    """Truth, probabilities, decisions, sets, and a mask with a share of unknown labels at random."""
    rng = np.random.default_rng(seed)
    y = (rng.random((N, C)) < [0.5, 0.3, 0.2, 0.1]).astype(np.uint8)
    prob = 1 / (1 + np.exp(-rng.normal(y * 2.0 - 1.2, 1.0)))
    prob[: N // 2] = np.round(prob[: N // 2], 1)
    sets = Conformal(0.8, ((0.5, 0.8),) * C).sets(TASK, prob)
    return y, prob, TASK.decide(prob), sets, rng.random((N, C)) >= share


def by_key(rows):
    return {(row.name, row.label): row for row in rows}


def elsewhere(known, seed=9):
    """Other values for what is not known."""
    rng = np.random.default_rng(seed)
    y, prob, decided, sets, _ = drawn()
    other = rng.random((N, C))
    y, decided = np.where(known, y, 1 - y), np.where(known, decided, 1 - decided)
    sets = np.where(known[..., None], sets, rng.integers(0, 2, sets.shape)).astype(np.uint8)
    return y, np.where(known, prob, other), decided, sets


def test_a_mask_of_all_true_changes_no_bit_of_any_score():
    y, prob, decided, sets, _ = drawn()
    groups = np.arange(N) // 3
    for patients in (None, groups):
        one, other = (
            score(TASK, y, prob, decided, sets, resamples=50, groups=patients, known=known)
            for known in (None, np.ones((N, C), bool))
        )
        assert repr(one) == repr(other)


def test_what_stands_where_nothing_is_known_changes_no_score_and_no_interval():
    y, prob, decided, sets, known = drawn()
    known[:, 3] = False
    for groups in (None, np.arange(N) // 3):
        one = score(TASK, y, prob, decided, sets, resamples=50, groups=groups, known=known)
        other = score(TASK, *elsewhere(known), resamples=50, groups=groups, known=known)
        assert repr(one) == repr(other)
    fold = np.arange(N) % 3
    one = score(TASK, y, prob, decided, sets, resamples=20, fold=fold, known=known)
    assert repr(one) == repr(score(TASK, *elsewhere(known), resamples=20, fold=fold, known=known))


@pytest.mark.parametrize("groups", [None, np.arange(N) // 3])
def test_each_label_has_the_score_and_interval_of_the_images_of_which_it_is_known(groups):
    y, prob, decided, sets, known = drawn()
    masked = by_key(score(TASK, y, prob, decided, sets, resamples=20, groups=groups, known=known))
    for c, label in enumerate(TASK.labels):
        rows = known[:, c]
        own = None if groups is None else groups[rows]
        subset = by_key(score(TASK, y[rows], prob[rows], decided[rows], sets[rows], resamples=20, groups=own))
        for metric in (METRICS[key] for key in TASK.metrics if METRICS[key].per_label):
            mine, alone = masked[metric.name, label], subset[metric.name, label]
            assert mine.value == pytest.approx(alone.value, abs=1e-12), metric.name
            assert mine.n == alone.n
            if metric.name != "average_precision":  # which is resampled, of other images
                assert (mine.low, mine.high) == pytest.approx((alone.low, alone.high), abs=1e-9, nan_ok=True)


def test_the_scores_equal_scikit_learns_on_what_is_known():
    y, prob, decided, sets, known = drawn()
    rows = by_key(score(TASK, y, prob, decided, sets, resamples=0, known=known))
    each = [(y[own, c], prob[own, c], decided[own, c]) for c, own in enumerate(known.T)]
    truth, said, called = y[known], prob[known], decided[known]
    expected = {
        "auc": np.mean([sk.roc_auc_score(t, p) for t, p, _ in each]),
        "average_precision": np.mean([sk.average_precision_score(t, p) for t, p, _ in each]),
        "f1_macro": np.mean([sk.f1_score(t, d) for t, _, d in each]),
        "f1_micro": sk.f1_score(truth, called),
        "auc_micro": sk.roc_auc_score(truth, said),
        "average_precision_micro": sk.average_precision_score(truth, said),
        "acc": sk.accuracy_score(truth, said > 0.5),
        "acc_decided": sk.accuracy_score(truth, called),
        "hamming_loss": sk.hamming_loss(truth, called),
        "brier": sk.brier_score_loss(truth, said),
        "log_loss": sk.log_loss(truth, said),
        "exact_match": sk.accuracy_score(y[known.all(axis=1)], decided[known.all(axis=1)]),
    }
    for name, value in expected.items():
        assert rows[name, None].value == pytest.approx(value, abs=1e-9), name
    assert rows["exact_match", None].n == known.all(axis=1).sum() < rows["auc", None].n
    parts = [rows[f"brier_{part}", None].value for part in ("reliability", "resolution", "uncertainty")]
    assert rows["brier", None].value == pytest.approx(parts[0] - parts[1] + parts[2], abs=1e-12)
    covered = sets[np.arange(N)[:, None], np.arange(C), y][known]
    assert rows["coverage", None].value == pytest.approx(covered.mean())
    assert rows["set_size", None].value == pytest.approx(sets.sum(axis=2)[known].mean())


def test_a_label_that_is_never_known_has_no_score_and_says_why():
    y, prob, decided, sets, known = drawn()
    known[:, 1] = False
    rows = score(TASK, y, prob, decided, sets, resamples=20, known=known)
    for row in rows:
        if row.label == "b":
            assert np.isnan([row.value, row.low, row.high]).all(), row
            assert row.note == ALL_UNKNOWN, row
    without = MultiLabel(("a", "c", "d"))
    columns = [0, 2, 3]
    own = score(without, y[:, columns], prob[:, columns], decided[:, columns], resamples=20, known=known[:, columns])
    for name in ("auc", "f1_macro", "brier", "ece", "log_loss", "acc", "hamming_loss", "aurc"):
        assert find_row(rows, name).value == pytest.approx(find_row(own, name).value, abs=1e-12), name
    assert find_row(rows, "auc").note.startswith("without b: ")
    assert find_row(rows, "exact_match").note == "no image has all labels known"
    nothing = score(TASK, y, prob, decided, sets, resamples=20, known=np.zeros((N, C), bool))
    assert all(np.isnan(row.value) and row.note for row in nothing)


def test_seeds_are_scored_on_what_is_known():
    y, prob, decided, _, known = drawn()
    other = np.clip(prob + 0.05, 0, 1)
    rows = score_seeds(TASK, y, [prob, other], [decided, TASK.decide(other)], resamples=20, known=known)
    alone = [find_row(score(TASK, y, p, TASK.decide(p), resamples=0, known=known), "auc") for p in (prob, other)]
    assert find_row(rows, "auc").value == pytest.approx(np.mean([row.value for row in alone]))


@pytest.mark.parametrize("kind", ["temperature", "isotonic"])
@pytest.mark.parametrize("rule", ["f1", "youden"])
def test_what_val_decides_rests_on_what_is_known(kind, rule):
    y, prob, _, _, known = drawn()
    prob = prob**2
    known[:, 3] = False
    how = {"rule": rule, "calibration": kind}
    decision = find_decision(TASK, y, prob, shares(y, known), **how, known=known)
    strange, other = elsewhere(known)[0], np.where(known, prob, prob[::-1])
    assert decision == find_decision(TASK, strange, other, shares(y, known), **how, known=known)
    assert decision.thresholds[3] == 0.5
    # A label alone is tuned as on the images of which it is known.
    rows = known[:, 0]
    alone = MultiLabel(("a",))
    own = find_decision(alone, y[rows, :1], prob[rows, :1], y[rows, :1].mean(axis=0), **how)
    mine = find_decision(alone, y[:, :1], prob[:, :1], y[rows, :1].mean(axis=0), **how, known=known[:, :1])
    assert (mine.thresholds, mine.conformal) == (own.thresholds, own.conformal)


def test_operating_points_and_net_benefit_are_of_what_is_known():
    y, prob, decided, _, known = drawn()
    thresholds = [0.5] * C
    points = operating_points(
        TASK, y * known, prob, decided, thresholds=thresholds, val=(y * known, prob), known=known, val_known=known
    )
    for c, own in enumerate(known.T):
        alone = MultiLabel((TASK.labels[c],))
        expected = operating_points(
            alone, y[own, c : c + 1], prob[own, c : c + 1], decided[own, c : c + 1], thresholds=[0.5],
            val=(y[own, c : c + 1], prob[own, c : c + 1]),
        )  # fmt: skip
        assert [p for p in points if p.question == TASK.labels[c]] == expected
    curves = net_benefits(TASK, y * known, prob, resamples=10, known=known)
    for c, own in enumerate(known.T):
        alone = MultiLabel((TASK.labels[c],))
        (expected,) = net_benefits(alone, y[own, c : c + 1], prob[own, c : c + 1], resamples=10)
        assert curves[c].prevalence == expected.prevalence
        for name in ("threshold", "model", "treat_all"):
            np.testing.assert_allclose(getattr(curves[c], name), getattr(expected, name), atol=1e-12)


def test_models_are_compared_on_the_labels_that_both_know():
    y, prob, decided, _, known = drawn()
    _, better, *_ = drawn(seed=3)
    better = np.clip(0.7 * y + 0.3 * better, 0, 1)
    one, other = Sample(TASK, y, prob, decided, known=known), Sample(TASK, y, better, TASK.decide(better))
    strange = replace(one, y=np.where(known, y, 1 - y))
    (found,) = differences(
        paired_draws({"one": [strange], "other": [other]}, "auc", resamples=50), [("other", "one")]
    )
    both = {"one": [one], "other": [replace(other, known=known)]}
    assert found == differences(paired_draws(both, "auc", resamples=50), [("other", "one")])[0]
    with pytest.raises(ValueError, match="same images"):
        paired_draws({"one": [Sample(TASK, 1 - y, prob, decided)], "other": [other]}, "auc")


def test_subgroups_and_corruptions_ask_only_what_is_known():
    y, prob, decided, _, known = drawn()
    site = np.where(np.arange(N) % 2, "here", "there")
    one = Sample(TASK, y, prob, decided, known=known)
    strange, said, *_ = elsewhere(known)
    other = Sample(TASK, strange, said, decided, known=known)
    found = [score_subgroups([s], {"site": site}, resamples=50, permutations=50) for s in (one, other)]
    assert found[0] == found[1]
    whole = np.ones((1, N))
    errors = [balanced_error(TASK, t, mistakes_of(TASK, t, decided, known), whole, known) for t in (y, strange)]
    assert errors[0] == errors[1]
    lost = [1 - (sk.recall_score(y[k, c], decided[k, c]) + sk.recall_score(1 - y[k, c], 1 - decided[k, c])) / 2
            for c, k in enumerate(known.T)]  # fmt: skip
    assert errors[0][0] == pytest.approx(np.mean(lost))


def test_masks_are_handled_in_one_place():
    y = np.array([[1, 0], [0, 0], [1, 1]], np.uint8)
    known = np.array([[True, False], [True, True], [True, False]])
    assert [known_or_none(np.ones((3, 2), bool)), known_or_none(None)] == [None, None]
    assert [among(None, 1), among(known, 1).tolist()] == [slice(None), [False, True, False]]
    assert [select_known(known, np.array([1])), select_known(None, np.array([1]))] == [None, None]
    assert join_known([(None, y), (None, y)]) is None
    assert join_known([(None, y), (known, y)]).tolist() == [[True, True]] * 3 + known.tolist()
    assert [count_known(None, y).tolist(), count_known(known, y).tolist()] == [[3, 3], [3, 1]]
    assert shares(y).tolist() == pytest.approx([2 / 3, 1 / 3])
    assert shares(y * known, known).tolist() == pytest.approx([2 / 3, 0])
