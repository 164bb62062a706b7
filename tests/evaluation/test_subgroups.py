"""Scores of subgroups: what is planted is found, what is alike raises nothing, and small groups say so."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from penlight.evaluation import Sample, bootstrap_weights
from penlight.evaluation.comparison import holm_steps
from penlight.evaluation.subgroups import (
    FEWEST_CASES,
    FEWEST_UNITS,
    MOST_GROUPS,
    UNKNOWN,
    Subgroup,
    groups_of,
    score_subgroups,
    unavailable_subgroups,
)
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal
from tests.conftest import examples

TASK = MultiClass(("a", "b", "c"))
FEW = {"resamples": 100, "permutations": 200}


def answered(n=240, seed=0, task=TASK, weak=None):
    """Answers that know something of the truth, and nothing of it where `weak` (n,)."""
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, len(task.labels), (n, 1))
    y = task.encode(stored) if task.exclusive else (rng.random((n, len(task.labels))) < 0.3).astype(np.uint8)
    known = 1.5 * y if weak is None else 1.5 * y * ~weak[:, None]
    raw = 1 / (1 + np.exp(-(rng.normal(0, 1, y.shape) + known)))
    prob = raw / raw.sum(axis=1, keepdims=True) if task.exclusive else raw
    return Sample(task, y, prob, task.decide(prob))


def sexes(n, seed=1, share=0.4):
    return np.where(np.random.default_rng(seed).random(n) < share, "F", "M")


def turned(sample, order):
    return Sample(sample.task, sample.y[order], sample.prob[order], sample.decided[order])


@pytest.mark.parametrize("task", [TASK, Ordinal(("a", "b", "c")), Binary(("n", "y")), MultiLabel(("a", "b", "c"))])
def test_a_planted_difference_is_found_and_of_the_right_size(task):
    sex = sexes(300)
    s = answered(300, task=task, weak=sex == "F")
    female, male = score_subgroups([s], {"sex": sex}, **FEW)
    for row, inside in ((female, sex == "F"), (male, sex == "M")):
        by_hand = [roc_auc_score(s.y[inside, c], s.prob[inside, c]) for c in range(len(task.labels))]
        assert row.value == pytest.approx(np.mean(by_hand))
        assert row.low < row.value < row.high
        assert row.more_than_chance
        assert (row.n, row.units, row.left_out, row.note) == (inside.sum(), inside.sum(), (), "")
    assert female.difference == pytest.approx(female.value - male.value) == pytest.approx(-male.difference)
    assert female.others == pytest.approx(male.value)
    assert female.difference_high < 0 < male.difference_low
    # Each is the rest of the other: one comparison, which Holm counts once.
    assert female.p == male.p == female.p_holm == pytest.approx(1 / 201)


def test_intervals_are_those_of_the_resamples_that_all_share():
    sex = sexes(240)
    s = answered()
    (female, _) = score_subgroups([s], {"sex": sex}, resamples=40, permutations=1)
    weights = np.concatenate(list(bootstrap_weights(len(s.y), 40)))
    of = {
        name: [
            np.mean([roc_auc_score(s.y[i, c], s.prob[i, c], sample_weight=w[i]) for c in range(3)]) for w in weights
        ]
        for name, i in (("in", sex == "F"), ("out", sex == "M"))
    }
    assert (female.low, female.high) == pytest.approx(tuple(np.percentile(of["in"], [2.5, 97.5])))
    apart = np.subtract(of["in"], of["out"])
    half = 1.96 * apart.std(ddof=1)
    expected = female.difference - half, female.difference + half
    assert (female.difference_low, female.difference_high) == pytest.approx(expected, abs=1e-3)


@pytest.mark.full
def test_groups_that_are_alike_raise_nothing_beyond_the_level():
    """30 splits of 6 groups each: 5 % of p below 0.05, and hardly any corrected one."""
    p, raised = [], 0
    for seed in range(30):
        rng = np.random.default_rng([seed, 7])
        metadata = {"sex": sexes(150, seed), "age": rng.uniform(0, 95, 150)}
        rows = score_subgroups([answered(150, seed)], metadata, resamples=60, permutations=100)
        p += [row.p for row in rows if row.group != "M"]
        raised += any(row.more_than_chance for row in rows)
    assert np.mean(np.array(p) < 0.05) < 0.08
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.12)
    assert raised <= 2


def test_another_share_of_labels_alone_is_no_difference():
    """Half of the images of one site have the label, a tenth of the other's; given the label they are alike."""
    raised = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        site = np.where(rng.random(200) < 0.5, "A", "B")
        y = Binary(("n", "y")).encode((rng.random(200) < np.where(site == "A", 0.5, 0.1)).astype(int)[:, None])
        yes = 1 / (1 + np.exp(-(rng.normal(0, 1, 200) + y[:, 1])))
        prob = np.stack([1 - yes, yes], axis=1)
        s = Sample(Binary(("n", "y")), y, prob, Binary(("n", "y")).decide(prob))
        raised += any(row.more_than_chance for row in score_subgroups([s], {"site": site}, **FEW))
    assert raised <= 2


@settings(max_examples=examples(8), deadline=None)
@given(st.integers(0, 1000))
def test_scores_do_not_depend_on_the_order_of_rows(seed):
    sex, s = sexes(120), answered(120)
    order = np.random.default_rng(seed).permutation(120)
    rows = score_subgroups([s], {"sex": sex}, resamples=10, permutations=20)
    again = score_subgroups([turned(s, order)], {"sex": sex[order]}, resamples=10, permutations=20)
    for one, other in zip(rows, again, strict=True):
        assert (one.group, one.n, one.left_out) == (other.group, other.n, other.left_out)
        assert one.value == pytest.approx(other.value, abs=1e-12)
        assert one.difference == pytest.approx(other.difference, abs=1e-12)


def test_patients_are_drawn_whole_and_counted():
    """Ten copies of each image are no more evidence than one: the interval and p stay as wide."""
    s, sex = answered(80), sexes(80)
    copies = np.repeat(np.arange(80), 10)
    once = score_subgroups([s], {"sex": sex}, **FEW)
    grouped = score_subgroups([turned(s, copies)], {"sex": sex[copies]}, groups=copies, **FEW)
    loose = score_subgroups([turned(s, copies)], {"sex": sex[copies]}, **FEW)
    for one, whole, single in zip(once, grouped, loose, strict=True):
        assert (whole.n, whole.units, single.units) == (10 * one.n, one.n, 10 * one.n)
        assert whole.high - whole.low == pytest.approx(one.high - one.low, rel=0.3)
        assert single.high - single.low < 0.6 * (one.high - one.low)
        assert whole.p == pytest.approx(one.p, abs=0.15)


def test_a_patient_in_two_groups_is_a_unit_of_each():
    s, view = answered(200), np.array(["PA", "AP"] * 100)
    rows = score_subgroups([s], {"view": view}, groups=np.repeat(np.arange(100), 2), **FEW)
    assert [row.units for row in rows] == [100, 100]
    assert not any(row.more_than_chance for row in rows)


def test_groups_of_few_have_no_score_and_say_why():
    site = np.array(["big"] * 200 + ["other"] * 31 + ["small"] * (FEWEST_UNITS - 1))
    rows = {row.group: row for row in score_subgroups([answered(240)], {"site": site}, **FEW)}
    assert rows["small"].note == "fewer than 10 images"
    assert np.isnan(rows["small"].value)
    assert not rows["small"].more_than_chance
    assert np.isfinite(rows["big"].value)
    lone = np.where(np.arange(240) < 3, "few", "most")
    few, most = score_subgroups([answered(240)], {"site": lone}, **FEW)
    assert (few.note, most.note) == ("fewer than 10 images", "fewer than 10 images in other groups")
    one_patient = np.where(np.arange(240) < 100, "P", "Q")
    patients = np.where(np.arange(240) < 100, 0, np.arange(240))
    of_one, _ = score_subgroups([answered(240)], {"site": one_patient}, groups=patients, **FEW)
    assert (of_one.n, of_one.units, of_one.note) == (100, 1, "fewer than 10 patients")


def test_labels_with_few_cases_in_a_group_are_left_out_on_both_sides():
    s, sex = answered(240, task=MultiLabel(("a", "b", "c"))), sexes(240)
    s.y[(sex == "F"), 1] = 0
    s.y[np.flatnonzero(sex == "F")[: FEWEST_CASES - 1], 1] = 1
    female, male = score_subgroups([s], {"sex": sex}, **FEW)
    assert female.left_out == male.left_out == ("b",)
    i = sex == "M"
    assert male.value == pytest.approx(np.mean([roc_auc_score(s.y[i, c], s.prob[i, c]) for c in (0, 2)]))
    s.y[:] = 1
    assert all("no label has 5 images" in row.note for row in score_subgroups([s], {"sex": sex}, **FEW))


def test_several_seeds_are_scored_by_their_mean():
    sex = sexes(240)
    one = answered(240, 0)
    other = Sample(TASK, one.y, answered(240, 5).prob, one.decided)
    both, first, second = (score_subgroups(s, {"sex": sex}, **FEW) for s in ([one, other], [one], [other]))
    for mean, a, b in zip(both, first, second, strict=True):
        assert mean.value == pytest.approx((a.value + b.value) / 2)


def test_the_same_answers_give_the_same_rows_and_json_gives_them_back():
    s, metadata = answered(), {"sex": sexes(240), "age": np.random.default_rng(0).uniform(0, 90, 240)}
    rows = score_subgroups([s], metadata, **FEW)
    assert rows == score_subgroups([s], metadata, **FEW)
    few = score_subgroups([s], {"site": np.where(np.arange(240) < 3, "few", "most")}, **FEW)
    for row in [*rows, *few]:
        again = Subgroup.from_dict(json.loads(json.dumps(row.to_dict(), allow_nan=False)))
        assert repr(again) == repr(row)
    p = {row.group: row.p for row in rows if row.group != "M"}
    corrected = dict(zip(p, holm_steps(np.array(list(p.values())))[0], strict=True))
    assert all(row.p_holm == pytest.approx(corrected[row.group]) for row in rows if row.group != "M")


def test_perfect_groups_have_no_interval_of_their_difference():
    """Every resample gives 1 less 1: that says nothing of how far apart they may be."""
    y = TASK.encode(np.arange(120) % len(TASK.labels))
    prob = 0.02 / len(TASK.labels) + 0.98 * y
    sample = Sample(TASK, y, prob / prob.sum(axis=1, keepdims=True), y)
    for row in score_subgroups([sample], {"sex": np.where(np.arange(120) < 60, "F", "M")}):
        assert (row.value, row.difference, row.p) == (1, 0, 1)
        assert np.isnan([row.low, row.high, row.difference_low, row.difference_high]).all()
        assert not row.more_than_chance


def test_ages_are_in_bands_and_texts_are_their_own_names():
    ages = np.array([0, 17.9, 18, 59.5, 60, 80, 101, np.nan])
    found = {name: np.flatnonzero(inside).tolist() for name, inside in groups_of("age", ages)}
    assert found == {
        "under 18": [0, 1],
        "18-39": [2],
        "40-59": [3],
        "60-79": [4],
        "80 and over": [5, 6],
        UNKNOWN: [7],
    }
    names = [name for name, _ in groups_of("site", np.array(["b", "", "a", "b"]))]
    assert names == ["a", "b", UNKNOWN]
    assert [name for name, _ in groups_of("site", np.array([2, 1, 2]))] == ["1", "2"]
    sites = np.array([f"site {i:02}" for i in range(30)] + ["site 29"])
    many = groups_of("site", sites)
    assert "scores by every site: 30 are named, and the 20 most" in unavailable_subgroups({"site": sites})[-1]
    assert len(many) == MOST_GROUPS
    assert many[-1][0] == "site 29"


def test_columns_without_groups_are_said_to_be_unavailable():
    assert unavailable_subgroups({}) == ["scores by site, age, sex, view: the dataset does not name them"]
    known = {"sex": np.array(["F", "M"]), "view": np.array(["PA", "PA"]), "age": np.array([np.nan, np.nan])}
    assert unavailable_subgroups(known) == [
        "scores by site, age: the dataset does not name them",
        "scores by view: all images are of the group PA",
    ]
    assert score_subgroups([answered(20)], {"view": np.array(["PA"] * 20)}) == []
    assert score_subgroups([answered(20)], {}) == []
