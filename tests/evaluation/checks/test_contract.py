"""What holds for every check: a number, whole sentences, one planted fault that raises it, and silence else."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penlight.data.problems import Problem
from penlight.evaluation import Sample
from penlight.evaluation.checks import (
    CHECKS,
    SEEDS_CHECKS,
    Check,
    Evidence,
    SplitAnswers,
    describe_checks,
    run_checks,
)
from penlight.evaluation.checks.splits import kind_of
from tests.conftest import TASK_EXAMPLES
from tests.evaluation.checks.cases import CASES, seeds_far_apart
from tests.evaluation.checks.evidence import TASK, clean

RULES = sorted([*CHECKS, *SEEDS_CHECKS], key=lambda rule: rule.code)


@pytest.fixture(params=RULES, ids=lambda rule: rule.code)
def rule(request):
    return request.param


def test_numbers_are_in_order_and_stay():
    assert [rule.code for rule in RULES] == [f"PL{n:03}" for n in range(1, len(RULES) + 1)]


def test_each_says_when_why_and_what_to_do_in_sentences(rule):
    assert not rule.title.endswith(".")
    for text in (rule.when, rule.why, rule.do):
        assert re.fullmatch(r"[A-Z0-9].*\.", text)
        assert "  " not in text


def test_each_reports_its_fault(rule):
    make, serious, words = CASES[rule.code]
    check = rule(make())
    assert check is not None
    assert check.serious == serious
    assert all(word in check.seen for word in words), check.seen
    assert (check.code, check.why, check.do) == (rule.code, rule.why, rule.do)
    assert Check.from_dict(check.to_dict()) == check


@pytest.mark.parametrize(
    "code", [pytest.param(rule.code, marks=pytest.mark.full if i % 2 else ()) for i, rule in enumerate(CHECKS)]
)
def test_a_fault_raises_little_else(code):
    """What goes together anyway: an answer that lost a label is wrong in other ways too."""
    also = {
        "PL001": {"PL003", "PL006"},
        "PL003": {"PL011"},
        "PL004": {"PL006", "PL011"},
        "PL006": {"PL011"},
        "PL005": {"PL002", "PL004", "PL014", "PL015"},
        "PL012": {"PL005", "PL006"},
        "PL013": {"PL017"},
        "PL014": {"PL002"},
    }
    raised = {check.code for check in run_checks(CASES[code][0]())}
    assert code in raised
    assert raised - {code} <= also.get(code, set())


@pytest.mark.parametrize("task", TASK_EXAMPLES, ids=lambda t: f"{t.kind}-{t.head}")
def test_a_clean_run_raises_none(task):
    assert [check.seen for check in run_checks(clean(task, seed=1))] == []


@pytest.mark.full
def test_chance_alone_seldom_raises_any():
    raised = [check.code for seed in range(10, 18) for check in run_checks(clean(seed=seed))]
    assert len(raised) <= 1


def test_predictions_alone_are_enough_and_only_what_they_show_is_said(task):
    e = clean(task)
    assert run_checks(Evidence(e.test)) == []


def test_one_class_and_one_image_are_no_crash(task):
    for n in (1, 7):
        y = np.zeros((n, len(task.labels)), np.uint8)
        y[:, 0] = 1
        prob = np.full(y.shape, 1 / len(task.labels))
        answers = SplitAnswers(Sample(task, y, prob, task.decide(prob)))
        for check in run_checks(Evidence(answers, val=answers)):
            assert "nan" not in check.seen


def test_the_order_of_images_and_patients_by_themselves_change_nothing():
    e = CASES["PL006"][0]()
    order = np.random.default_rng(0).permutation(len(e.test.sample.y))
    s = e.test.sample
    turned = Sample(TASK, s.y[order], s.prob[order], s.decided[order])
    grouped = replace(e, test=SplitAnswers(turned, np.arange(len(order))))
    assert [c.code for c in run_checks(grouped)] == [c.code for c in run_checks(e)]


def test_serious_checks_come_first_then_by_number():
    e = CASES["PL012"][0]()
    found = run_checks(replace(e, data=replace(e.data, patients=None)))
    assert [c.serious for c in found] == sorted((c.serious for c in found), reverse=True)
    serious = [c.code for c in found if c.serious]
    assert serious == sorted(serious)
    assert found[-1].code == "PL016"


def test_the_page_of_the_docs_is_that_of_the_table():
    page = Path(__file__).parents[3] / "docs" / "checks.md"
    assert page.read_text(encoding="utf-8") == describe_checks()
    for rule in RULES:
        assert f"## {rule.code} {rule.title}\n" in describe_checks()


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        ({"code": "patients-across", "seen": "3 patients."}, "across"),
        ({"code": "near-across", "seen": "3 pairs."}, "across"),
        ({"code": "duplicates-conflict", "seen": "2 images in more than one split."}, "conflict"),
        ({"code": "images-shifted", "seen": "A classifier tells train from test."}, "shift"),
        ({"code": "absent-label", "seen": "No image of val has the label x."}, "absent"),
        ({"code": "few-of-label", "seen": "Fewer than 5 images of val have the label x (3)."}, "absent"),
        ({"code": "near-patients", "seen": "2 pairs."}, "other"),
        ({"code": "blank", "seen": "2 images have one value everywhere."}, "other"),
        ({"seen": "2 patients are in both train and val, for example 3."}, "across"),
    ],
)
def test_problems_are_known_by_their_code_or_else_by_their_words(problem, kind):
    assert kind_of(Problem(problem.get("code", ""), serious=False, seen=problem["seen"], do="")) == kind


def test_seeds_that_agree_are_silent():
    (rule,) = SEEDS_CHECKS
    rows = seeds_far_apart()
    assert rule([replace(row, low=row.value - 0.05, high=row.value + 0.05) for row in rows]) is None
    assert rule(rows[:1]) is None
    assert rule([replace(rows[0], low=np.nan), *rows[1:]]) is None
