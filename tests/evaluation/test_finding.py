"""Two classes of which the official positive one is not the finding, and answers by thresholds that were found."""

from dataclasses import replace

import numpy as np
import pytest

from penlight.data import CATALOG
from penlight.data.description import description_of
from penlight.errors import DataError, PredictionsError
from penlight.evaluation import find_decision, find_row, score
from penlight.evaluation.operating import operating_points
from penlight.evaluation.rows import row_title
from penlight.evaluation.thresholds import _SCORES
from penlight.reports.tables import score_lines
from penlight.reports.verdict import finding_words
from penlight.tasks import Binary, Ordinal, task_from_dict, task_to_dict
from tests.reports.conftest import make_content

TASK = Binary(("malignant", "normal, benign"), finding="malignant")


def sample(seed=0, n=200):
    rng = np.random.default_rng(seed)
    y = TASK.encode((rng.random(n) < 0.7).astype(int))
    p = np.clip(0.3 * y[:, 1] + rng.uniform(0.1, 0.65, n), 0, 1)
    return y, np.stack([1 - p, p], axis=1)


def test_rates_of_the_finding_stand_beside_those_of_the_official_class():
    y, prob = sample()
    decided = TASK.decide(prob, np.array([0.6, 0.4]))
    rows = score(TASK, y, prob, decided, resamples=20)
    ill, called = y[:, 0] == 1, prob[:, 1] <= 0.4
    assert find_row(rows, "sensitivity").value == pytest.approx((~called[~ill]).mean())
    assert find_row(rows, "sensitivity_finding").value == pytest.approx(called[ill].mean())
    assert find_row(rows, "specificity_finding").value == pytest.approx((~called[~ill]).mean())
    assert find_row(rows, "acc_decided").value == pytest.approx((called == ill).mean())
    assert find_row(rows, "acc").value == pytest.approx(((prob[:, 0] > prob[:, 1]) == ill).mean())
    assert find_row(rows, "sensitivity_finding").low == find_row(rows, "recall", "malignant").low
    assert row_title("sensitivity", rows) == "sensitivity (normal, benign)"
    assert row_title("specificity_finding", rows) == "specificity (malignant)"
    titles = [line.title for line in score_lines(rows, [])]
    assert {"AUC", "Accuracy as decided", "Sensitivity (normal, benign)", "Sensitivity (malignant)"} < set(titles)
    ours = [row.name for row in score(replace(TASK, finding=None), y, prob, decided, resamples=0)]
    assert "sensitivity_finding" not in ours


def test_the_operating_points_are_of_the_finding_first():
    y, prob = sample()
    decided = TASK.decide(prob, np.array([0.6, 0.4]))
    points = operating_points(TASK, y, prob, decided, thresholds=(0.6, 0.4))
    assert [(point.question, point.threshold) for point in points] == [("malignant", 0.6), ("normal, benign", 0.4)]
    assert points[0].rates["sensitivity"].value == pytest.approx((prob[y[:, 0] == 1, 0] >= 0.6).mean())


def test_a_wanted_sensitivity_is_that_of_the_finding():
    y, prob = sample()
    found = find_decision(TASK, y, prob, y.mean(axis=0), rule="sensitivity", wanted=0.95, calibration="none")
    _, decided = found.answer(TASK, prob)
    assert (decided[y[:, 0] == 1, 0] == 1).mean() >= 0.95
    assert sum(found.thresholds) == pytest.approx(1)
    plain = find_decision(replace(TASK, finding=None), y, prob, y.mean(axis=0), rule="sensitivity", wanted=0.95,
                          calibration="none")  # fmt: skip
    _, decided = plain.answer(TASK, prob)
    assert (decided[y[:, 1] == 1, 1] == 1).mean() >= 0.95


def test_accuracy_as_decided_is_there_where_answers_are_not_the_most_probable_grade():
    names = ("none", "mild", "severe")
    assert "acc_decided" not in Ordinal(names).metrics
    assert "acc_decided" in Ordinal(names, rule="kappa").metrics
    task = Ordinal(names, rule="kappa")
    y, prob = task.encode(np.array([0, 1, 2])), np.array([[0.5, 0.1, 0.4], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]])
    rows = score(task, y, prob, task.decide(prob, np.array([0.5, 1.5])), resamples=0)
    assert (find_row(rows, "acc").value, find_row(rows, "acc_decided").value) == (1, pytest.approx(2 / 3))


@pytest.mark.parametrize("rule", sorted(_SCORES))
def test_the_error_of_what_a_threshold_gains_is_that_of_leaving_images_out(rule):
    y, prob = sample(n=300)
    truth, answered = y[:, 1], prob[:, 1] > 0.5
    value, influence = _SCORES[rule](truth, answered)
    without = np.array([_SCORES[rule](np.delete(truth, i), np.delete(answered, i))[0] for i in range(len(truth))])
    jackknife = np.sqrt((len(truth) - 1) / len(truth) * ((without - without.mean()) ** 2).sum())
    assert np.sqrt((influence**2).sum()) == pytest.approx(jackknife, rel=0.02)
    assert value == pytest.approx(
        {"f1": 2 * (truth * answered).sum() / (truth.sum() + answered.sum()),
         "youden": answered[truth == 1].mean() - answered[truth == 0].mean()}[rule]
    )  # fmt: skip


def test_a_threshold_is_kept_only_where_it_gains_more_than_its_standard_error():
    rng = np.random.default_rng(2)
    for n, shift, kept in ((400, 0.25, True), (60, 0.02, False)):
        y = (np.arange(n) % 2).astype(int)
        p = np.clip(0.5 - shift + 0.3 * (y - 0.5) + rng.normal(0, 0.12, n), 0.01, 0.99)
        task = Binary(("no", "yes"))
        found = find_decision(task, task.encode(y), np.stack([1 - p, p], axis=1), np.array([0.5, 0.5]),
                              rule="youden", calibration="none")  # fmt: skip
        assert (found.thresholds[1] != 0.5) == kept
        assert bool(found.notes) != kept


def test_the_catalog_and_descriptions_say_which_class_is_the_finding():
    assert {name: info.task.finding for name, info in CATALOG.items() if info.task.kind == "binary"} == {
        "breastmnist": "malignant",
        "pneumoniamnist": "pneumonia",
    }


def described(tmp_path, **more):
    values = {"name": "own", "title": "Own", "task": "binary", "labels": ["ill", "well"], "licence": "-",
              "source": "-", "files": {"28": "own.npz"}, **more}  # fmt: skip
    return description_of(values, tmp_path / "own.toml").info.task


def test_a_description_says_which_class_is_the_finding(tmp_path):
    assert described(tmp_path).finding is None
    assert described(tmp_path, positive="ill").sought == 0
    with pytest.raises(DataError, match="positive must be one of the labels; 'sick' came"):
        described(tmp_path, positive="sick")
    with pytest.raises(DataError, match="positive belongs to a binary task"):
        described(tmp_path, task="multi-class", positive="ill")


def test_the_finding_travels_with_the_task_and_changes_no_other():
    assert task_from_dict(task_to_dict(TASK)).finding == "malignant"
    assert "finding" not in task_to_dict(Binary(("a", "b")))
    assert replace(TASK, finding=None) == TASK
    with pytest.raises(PredictionsError, match="none of its labels"):
        task_from_dict({**task_to_dict(TASK), "finding": "other"})


def test_a_report_says_plainly_that_the_official_class_is_not_the_finding():
    content = make_content(TASK, TASK.encode(np.arange(60) % 2))
    content = replace(content, dataset=replace(content.dataset, task=TASK))
    (said,) = finding_words(content)
    recall = find_row(content.rows, "recall", "malignant").value
    assert said.startswith('The finding is malignant. The official positive class is the other one, "normal, benign"')
    assert f"sensitivity is {recall:.2f} (" in said
    other = replace(TASK, finding="normal, benign")
    assert finding_words(replace(content, dataset=replace(content.dataset, task=other))) == []
