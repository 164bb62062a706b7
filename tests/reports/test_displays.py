"""Displays: their numbers against scikit-learn, and the contract that all of them keep."""

import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MplFigure
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    multilabel_confusion_matrix,
    precision_recall_curve,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from penlight.evaluation import Calibration, Score, find_row, score_seeds
from penlight.evaluation.corruptions import corruptions_for
from penlight.evaluation.proportions import wilson
from penlight.evaluation.robustness import Robustness, observe, summarise
from penlight.evaluation.subgroups import Subgroup
from penlight.reports import DISPLAYS, Display, RunContent
from penlight.reports.displays import (
    AlongTheFile,
    AnswerSets,
    ClassDistribution,
    ConfusionMatrix,
    Confusions,
    CorruptionCurves,
    CorruptionStrip,
    DecisionCurve,
    ErrorStrip,
    LabelConfusion,
    LabelRates,
    LabelScores,
    LearningCurves,
    MissStrip,
    PerImage,
    PrecisionRecallCurves,
    Presence,
    Reliability,
    RightStrip,
    RiskCurve,
    RocCurves,
    SaliencyStrip,
    ScoreBars,
    SeedCurves,
    SeedDots,
    SubgroupForest,
    Together,
    UnusualImages,
)
from penlight.reports.figure import draw_svg
from penlight.reports.palette import palette
from penlight.reports.run import run_displays
from penlight.runs.predictions import Predictions
from penlight.tasks import TASKS, MultiClass, MultiLabel, Ordinal
from tests.conftest import few_pairs


def seed_dots(c: RunContent) -> SeedDots:
    overall = score_seeds(c.task, c.test.y_true, [c.test.prob] * 2, [c.decided] * 2, resamples=10)[0]
    return SeedDots.from_rows(["0", "1"], [c.rows[0]] * 2, overall, c.baselines)


def warmer(test: Predictions) -> Predictions:
    """The same predictions as if they had not been calibrated."""
    sizes = 1 if test.task.exclusive else len(test.task.labels)
    return replace(test, prob=Calibration("temperature", (0.3,) * sizes).apply(test.task, test.prob))


def no_auc(c: RunContent) -> list[Score]:
    return [Score("auc", label, math.nan, math.nan, math.nan, 0, "no positive case") for label in c.task.labels]


_ROBUSTNESS: dict[str, Robustness] = {}


def robustness(c: RunContent) -> Robustness:
    """Of a model that turns to the first label where an image is spoilt beyond recognition: once for each content,
    which differ in their tasks."""
    if c.task.kind not in _ROBUSTNESS:
        _ROBUSTNESS[c.task.kind] = found_robustness(c)
    return _ROBUSTNESS[c.task.kind]


def found_robustness(c: RunContent) -> Robustness:
    def answering(images: np.ndarray) -> np.ndarray:
        changed = np.abs(images.astype(float) - c.images).mean(axis=(1, 2, 3)) > 40
        return np.where(changed[:, None], np.arange(len(c.task.labels)) == 0, c.decided).astype(np.uint8)

    corruptions = corruptions_for(c.dataset)
    seen = observe(c.task, c.test.y_true, c.images, c.test.index, [(answering, c.decided)] * 2, corruptions)
    model, linear = summarise(c.task, c.test.y_true, [[own] for own in seen], corruptions, resamples=40)
    return Robustness((0,), len(c.test), model, {"linear": linear})


def forest(c: RunContent) -> SubgroupForest:
    """Two sites of which one is much worse, a few images of a third, and all answers of one age right."""
    groups = [
        Subgroup("site", "A", "auc", 300, 300, 0.81, 0.78, 0.84, 0.2, 0.1, 0.3, 0.001, 0.004),
        Subgroup("site", "B", "auc", 90, 90, 0.61, 0.55, 0.68, -0.2, -0.3, -0.1, 0.001, 0.004, ("x",)),
        Subgroup("site", "C", "auc", 4, 4, note="fewer than 10 images"),
        Subgroup("age", "60-79", "auc", 40, 40, 1.0, difference=0.2, p=0.3, p_holm=0.6),
    ]
    return SubgroupForest.from_groups(groups, c.rows)


MAKERS: dict[str, Any] = {
    "subgroups": forest,
    "bars": lambda c: ScoreBars.from_rows(c.rows, c.baselines, "cnn"),
    "rates": lambda c: LabelRates.from_predictions(c.test, c.decided),
    "labels": lambda c: LabelConfusion.from_predictions(c.test, c.decided),
    "label_scores": lambda c: LabelScores.from_rows([*c.rows, *no_auc(c)]),
    "along": lambda c: AlongTheFile(c.data.positions),
    "reliability": lambda c: Reliability.from_predictions(c.test),
    "reliability_before": lambda c: Reliability.from_predictions(c.test, before=warmer(c.test)),
    "learning": lambda c: LearningCurves.from_history(c.history, "auc", c.best_epoch),
    "classes": lambda c: ClassDistribution.from_description(c.data),
    "errors": lambda c: ErrorStrip.from_predictions(c.test, c.decided, c.images),
    "misses": lambda c: MissStrip.from_predictions(c.test, c.decided, c.images),
    "right": lambda c: RightStrip.from_predictions(c.test, c.decided, c.images),
    "risk": lambda c: RiskCurve.from_predictions(c.test, c.decided, c.conformal),
    "risk_without_sets": lambda c: RiskCurve.from_predictions(c.test, c.decided),
    "sets": lambda c: AnswerSets.from_predictions(c.test, c.conformal),
    "corrupted": lambda c: CorruptionCurves(robustness(c)),
    "corrupted_strip": lambda c: CorruptionStrip.from_images(robustness(c), c.images, c.test.index),
    "unusual": lambda c: UnusualImages.from_images(c.novelty, c.images, c.test.index, "fundus"),
    "looked": lambda c: SaliencyStrip.from_cases(c.cases, c.test, c.decided, c.images),
    "seed_dots": seed_dots,
    "seed_curves": lambda c: SeedCurves({"0": c.history, "1": c.history}, "auc"),
}


@pytest.mark.parametrize(("name", "of"), few_pairs(MAKERS, ["ordinal", "multi_label", "binary"]))
def test_contract(name: str, of: str, request: pytest.FixtureRequest) -> None:
    check(MAKERS[name](request.getfixturevalue(of)), again=of == "ordinal")


OF_FINDINGS: dict[str, Any] = {
    "presence": lambda c: Presence(c.data),
    "per_image": lambda c: PerImage(c.data.findings),
    "together": lambda c: Together(c.data.findings),
}


@pytest.mark.parametrize("name", OF_FINDINGS)
def test_contract_of_those_on_findings(name: str, multi_label: RunContent) -> None:
    check(OF_FINDINGS[name](multi_label))


def test_contract_of_the_decision_curve(content: RunContent) -> None:
    check(DecisionCurve.from_predictions(content.test))


def test_a_decision_curve_draws_the_commonest_and_has_all_in_its_frame(multi_label: RunContent) -> None:
    display = DecisionCurve.from_predictions(multi_label.test)
    positives = multi_label.test.y_true.sum(axis=0)
    shown = [int(curve.question.split()[1]) for curve in display.shown]
    assert len(shown) == 4
    assert min(positives[shown]) >= np.sort(positives)[-4]
    assert set(display.frame()["question"]) == set(multi_label.task.labels)
    chosen = DecisionCurve.from_predictions(multi_label.test, ["finding 2"])
    assert [curve.question for curve in chosen.shown] == ["finding 2"]
    none = DecisionCurve.from_predictions(multi_label.test, ["finding 8"])
    assert "no net benefit" in none.caption


def test_reliability_shows_before_and_after(ordinal: RunContent) -> None:
    before = warmer(ordinal.test)
    display = Reliability.from_predictions(ordinal.test, before=before)
    alone = Reliability.from_predictions(before)
    assert display.before is not None
    assert display.before.error == alone.error
    assert f"before calibration (open, dashed) {alone.error:.3f} and {alone.brier:.3f}" in display.caption
    np.testing.assert_array_equal(display.frame()["observed_before"], alone.observed)
    assert Reliability.from_predictions(ordinal.test, before=ordinal.test).before is None


def test_contract_of_those_that_tasks_name(content: RunContent) -> None:
    for name in content.task.figures:
        check(DISPLAYS[name].from_predictions(content.test, content.decided))


def check(display: Display, *, again: bool = False) -> None:
    """Check what holds for all; `again` that a figure drawn twice in a page is the same."""
    assert isinstance(display.frame(), pd.DataFrame)
    assert len(display.frame())
    assert display.caption.endswith(".")
    assert "nan" not in (display.caption + display.description).split()
    assert display.title
    assert display.description.endswith(".")
    drawn = draw_svg(display, "a")
    assert "<svg" in drawn
    assert not again or draw_svg(display, "b").count("<text") == drawn.count("<text")


def alone(display: Display) -> Axes:
    """Plot a display without axes, as a notebook does, and look whether all that is drawn lies in the figure."""
    ax = display.plot()
    figure = ax.get_figure(root=True)
    assert figure is not None
    assert tuple(figure.get_size_inches()) == display.layout.inches
    drawn, (width, height) = figure.get_tightbbox(), display.layout.inches
    beyond = 72 * max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height)
    assert beyond < 2, f"{type(display).__name__} is {beyond:.0f} px larger than its figure"
    for kind in ("svg", "png"):
        figure.savefig(io.BytesIO(), format=kind)
    pyplot.close(figure)
    return ax


# One alone is in tests/reports/test_reports.py, where a notebook shows it.
@pytest.mark.full
@pytest.mark.parametrize("name", ["ordinal", "multi_label"])
def test_a_display_alone_is_whole(name: str, request: pytest.FixtureRequest) -> None:
    for display in run_displays(request.getfixturevalue(name)).values():
        alone(display)


def test_a_display_draws_onto_axes_that_it_is_given(ordinal: RunContent) -> None:
    ax = MplFigure().subplots()
    assert LabelRates.from_predictions(ordinal.test, ordinal.decided).plot(ax) is ax
    assert len(ax.get_yticklabels()) == len(ordinal.task.labels)


def test_a_page_keeps_of_long_curves_what_is_drawn_of_them(ordinal: RunContent) -> None:
    roc = RocCurves.from_predictions(ordinal.test, ordinal.decided)
    assert list(roc.drawn_numbers()) == ["label", "false_positive_rate", "sensitivity"]
    assert 2 < len(roc.drawn_numbers()) <= len(roc.frame())
    risk = RiskCurve.from_predictions(ordinal.test, ordinal.decided)
    assert list(risk.drawn_numbers()) == ["share", "error"]


def test_every_figure_a_task_names_is_a_display() -> None:
    assert {name for task in TASKS.values() for name in task.figures} == set(DISPLAYS)


def test_roc_is_scikit_learns(ordinal: RunContent) -> None:
    for c, curve in enumerate(RocCurves.from_predictions(ordinal.test, ordinal.decided).curves):
        y, prob = ordinal.test.y_true[:, c], ordinal.test.prob[:, c]
        fpr, tpr, cuts = roc_curve(y, prob, drop_intermediate=False)
        np.testing.assert_allclose([curve.x, curve.y, curve.threshold], [fpr, tpr, cuts])
        assert curve.area == pytest.approx(roc_auc_score(y, prob))
        assert curve.point == pytest.approx(
            (1 - recall_score(1 - y, 1 - ordinal.decided[:, c]), recall_score(y, ordinal.decided[:, c]))
        )


def test_roc_with_ties_is_scikit_learns(ordinal: RunContent) -> None:
    y = ordinal.test.y_true[:, :1].repeat(3, axis=1)
    tied = ordinal.test.prob.round(1)
    test = replace_predictions(ordinal, y, tied)
    curve = RocCurves.from_predictions(test, ordinal.decided).curves[0]
    assert curve.area == pytest.approx(roc_auc_score(y[:, 0], tied[:, 0]))
    assert len(curve.x) == len(np.unique(tied[:, 0])) + 1


def test_precision_recall_is_scikit_learns(ordinal: RunContent) -> None:
    for c, curve in enumerate(PrecisionRecallCurves.from_predictions(ordinal.test, ordinal.decided).curves):
        y, prob = ordinal.test.y_true[:, c], ordinal.test.prob[:, c]
        precision, recall, _ = precision_recall_curve(y, prob)
        np.testing.assert_allclose([curve.x, curve.y], [recall[::-1], precision[::-1]])
        assert curve.area == pytest.approx(average_precision_score(y, prob))
        assert curve.prevalence == y.mean()


def test_confusion_is_scikit_learns(ordinal: RunContent) -> None:
    display = ConfusionMatrix.from_predictions(ordinal.test, ordinal.decided)
    expected = confusion_matrix(ordinal.test.y_true.argmax(1), ordinal.decided.argmax(1))
    np.testing.assert_array_equal(display.counts, expected)
    np.testing.assert_allclose(display.rates, expected / expected.sum(axis=1, keepdims=True))


def test_confusion_of_labels_is_scikit_learns(multi_label: RunContent) -> None:
    display = LabelConfusion.from_predictions(multi_label.test, multi_label.decided)
    expected = multilabel_confusion_matrix(multi_label.test.y_true, multi_label.decided)
    np.testing.assert_array_equal(display.counts, expected[:, [1, 1, 0, 0], [1, 0, 1, 0]])
    np.testing.assert_array_equal(np.isnan(display.rates[-1]), [True, True, False, False])


def test_what_is_taken_for_what() -> None:
    """Five images: a and b; a; a; b; none."""
    task = MultiLabel(("a", "b"))
    y = np.array([[1, 1], [1, 0], [1, 0], [0, 1], [0, 0]], np.uint8)
    answers = np.array([[1, 1], [0, 1], [0, 0], [0, 1], [0, 1]], np.uint8)
    test = Predictions(np.arange(5), y, answers * 0.9, task.logits(answers * 0.9), task, "tiny", "native", "test")
    display = Confusions.from_predictions(test, answers)
    assert display.n.tolist() == [3, 2, 1]
    assert display.counts.tolist() == [[1, 1, 1], [0, 2, 0], [0, 1, 0]]
    np.testing.assert_allclose(display.rates[0], [1 / 3, 1 / 3, 1 / 3])


def test_the_diagonal_of_what_is_taken_for_what_is_sensitivity(multi_label: RunContent) -> None:
    test, decided = multi_label.test, multi_label.decided
    rates = Confusions.from_predictions(test, decided).rates
    np.testing.assert_allclose(np.diag(rates)[:8], recall_score(test.y_true[:, :8], decided[:, :8], average=None))
    assert np.isnan(rates[8]).all()
    y, d = test.y_true, decided
    for i, j in ((0, 3), (5, 2)):
        assert rates[i, j] == pytest.approx(d[(y[:, i] == 1) & (y[:, j] == 0), j].sum() / y[:, i].sum())


def test_scores_of_labels_are_sorted_and_the_undefined_come_last(multi_label: RunContent) -> None:
    frame = LabelScores.from_rows(multi_label.rows).frame()
    known = frame["value"].dropna()
    assert known.is_monotonic_decreasing
    assert len(known) == len(frame) - 1
    assert frame.iloc[-1]["label"] == "finding 8"
    assert "no positive" in frame.iloc[-1]["note"]
    assert "finding 8: no positive" in LabelScores.from_rows(multi_label.rows).description


def test_few_positives_are_not_judged_against_guessing() -> None:
    rows = [Score("auc", "rare", 0.2, 0.1, 0.3, 2), Score("auc", "common", 0.3, 0.2, 0.4, 90)]
    caption = LabelScores.from_rows(rows).caption
    assert caption.startswith("Worse than guessing: common;")
    assert "Open dots rest on fewer than 10 positive images" in caption
    assert "Every interval is above guessing" in LabelScores.from_rows([replace(rows[1], low=0.6, high=0.8)]).caption


def test_examples_are_found_in_the_whole_split(ordinal: RunContent) -> None:
    moved = replace(ordinal.test, index=ordinal.test.index + 5)
    whole = np.concatenate([np.zeros_like(ordinal.images[:5]), ordinal.images])
    here = ErrorStrip.from_predictions(ordinal.test, ordinal.decided, ordinal.images).examples
    there = ErrorStrip.from_predictions(moved, ordinal.decided, whole).examples
    assert [e.index + 5 for e in here] == [e.index for e in there]
    np.testing.assert_array_equal([e.image for e in here], [e.image for e in there])


def test_reliability_is_scikit_learns(multi_label: RunContent) -> None:
    display = Reliability.from_predictions(multi_label.test)
    observed, predicted = calibration_curve(multi_label.test.y_true.ravel(), multi_label.test.prob.ravel(), n_bins=10)
    full = display.counts > 0
    np.testing.assert_allclose(display.observed[full], observed)
    np.testing.assert_allclose(display.predicted[full], predicted)
    expected = np.average(np.abs(observed - predicted), weights=display.counts[full])
    assert display.error == pytest.approx(expected)


@pytest.mark.parametrize("each", [1, 4], ids=["of independent images", "of four a patient"])
def test_intervals_of_bins_and_sets_are_wilsons_on_the_effective_number(ordinal: RunContent, each: int) -> None:
    test = replace(ordinal.test, images_per_patient=each, groups=None)
    effect = 1 + (each - 1) * 0.47
    curve = Reliability.from_predictions(test)
    full = curve.counts > 0
    n = np.maximum(curve.counts[full] / effect, 1)
    np.testing.assert_allclose(np.stack([curve.low, curve.high])[:, full], wilson(curve.observed[full] * n, n))
    assert np.isnan(curve.low[~full]).all()
    sets = AnswerSets.from_predictions(test, ordinal.conformal).frame()
    n = np.maximum(sets["n"] / effect, 1)
    np.testing.assert_allclose(sets[["low", "high"]].T, wilson(sets["coverage"] * n, n))
    patients = np.arange(len(test)) // 4
    if each == 4:
        known = AnswerSets.from_predictions(replace(test, groups=patients), ordinal.conformal).frame()
        assert not np.allclose(known["low"], sets["low"])


def test_the_risk_curve_ends_at_the_error_of_all_and_marks_the_single_answers(content: RunContent) -> None:
    display = RiskCurve.from_predictions(content.test, content.decided, content.conformal)
    wrong = content.decided != content.test.y_true
    assert display.error[-1] == pytest.approx((wrong.any(axis=1) if content.task.exclusive else wrong).mean())
    assert display.share[-1] == 1
    assert display.area == pytest.approx(find_row(content.rows, "aurc").value)
    share, error = display.point
    assert share == pytest.approx(find_row(content.rows, "single_answers").value)
    assert 1 - error == pytest.approx(find_row(content.rows, "acc_single").value)


def test_coverage_of_sets_is_that_of_the_rows(content: RunContent) -> None:
    frame = AnswerSets.from_predictions(content.test, content.conformal).frame().set_index(content.task.nouns[0])
    for label in content.task.labels:
        assert frame.loc[label, "coverage"] == pytest.approx(
            find_row(content.rows, "coverage", label).value, nan_ok=True
        )
    if content.task.exclusive:
        assert frame.loc["all images", "coverage"] == pytest.approx(find_row(content.rows, "coverage").value)


def test_sets_are_counted_by_size_or_by_answer(ordinal: RunContent, multi_label: RunContent) -> None:
    of_grades = AnswerSets.from_predictions(ordinal.test, ordinal.conformal)
    size = ordinal.conformal.sets(ordinal.task, ordinal.test.prob).sum(axis=(1, 2))
    assert of_grades.counts[0].tolist() == [(size == k).sum() for k in (1, 2, 3)]
    assert of_grades.kinds == ("1 grade", "2 grades", "3 grades")
    assert (of_grades.counts[1:].sum(axis=0) == of_grades.counts[0]).all()
    of_findings = AnswerSets.from_predictions(multi_label.test, multi_label.conformal)
    assert of_findings.kinds == ("absent", "present", "either")
    assert of_findings.counts[-1].tolist() == [0, 0, 60]
    assert "Always possible, one answer or any, as val has too few: finding 8." in of_findings.caption


def test_the_most_unusual_images_come_first(ordinal: RunContent) -> None:
    strange = ordinal.images.copy()
    strange[37] = 255
    display = UnusualImages.from_images(ordinal.novelty, strange, ordinal.test.index[20:], "fundus")
    assert display.index[0] == 37
    np.testing.assert_array_equal(display.images[0], strange[37])
    assert display.unusual == ordinal.novelty.unusual(strange[20:]).sum()
    assert f"of {len(ordinal.test) - 20} test fundus photographs" in display.caption


def test_rates_of_a_label_without_cases_are_undefined(multi_label: RunContent) -> None:
    display = LabelRates.from_predictions(multi_label.test, multi_label.decided)
    assert np.isnan(display.sensitivity[-1])
    assert np.isfinite(display.specificity).all()
    assert (display.frame()["sensitivity_low"].dropna() <= display.frame()["sensitivity"].dropna()).all()


def test_a_label_without_cases_has_no_curve_and_says_why(multi_label: RunContent) -> None:
    for kind in (RocCurves, PrecisionRecallCurves):
        curve = kind.from_predictions(multi_label.test, multi_label.decided).curves[-1]
        assert np.isnan(curve.area)
        assert curve.note == "no positive case"


def test_of_two_exclusive_labels_one_curve_is_drawn(binary: RunContent) -> None:
    curves = RocCurves.from_predictions(binary.test, binary.decided).curves
    assert [curve.label for curve in curves] == ["ill"]


def test_errors_are_wrong_and_sorted(content: RunContent) -> None:
    frame = ErrorStrip.from_predictions(content.test, content.decided, content.images).frame()
    assert (frame["truth"] != frame["answer"]).all()
    assert frame["probability"].is_monotonic_decreasing
    assert frame["index"].is_unique


def test_the_surest_error_comes_first(ordinal: RunContent) -> None:
    strip = ErrorStrip.from_predictions(ordinal.test, ordinal.decided, ordinal.images)
    wrong = (ordinal.decided == 1) & (ordinal.test.y_true == 0)
    row = int(np.argmax(np.where(wrong, ordinal.test.prob, 0).max(axis=1)))
    assert strip.examples[0].index == row
    np.testing.assert_array_equal(strip.examples[0].image, ordinal.images[row])


def test_learning_curves_say_which_epoch_was_kept(ordinal: RunContent) -> None:
    assert ordinal.history is not None
    caption = LearningCurves.from_history(ordinal.history, "auc", 4).caption
    assert "Epoch 4 of 6 was kept, with AUC 0.88 on val" in caption


def test_shares_are_of_the_split(ordinal: RunContent) -> None:
    data = replace(ordinal.data, images={"train": 120, "val": 60, "test": 240})
    display = ClassDistribution.from_description(data)
    np.testing.assert_allclose(display.shares.loc["mild"], [20 / 120, 20 / 60, 20 / 240])


def test_grades_are_one_hue_and_categories_are_not() -> None:
    labels = ("a", "b", "c", "d")
    assert palette(Ordinal(labels)) != palette(MultiClass(labels))
    assert len({colour.day for colour in palette(Ordinal(labels))}) == 4
    assert len(set(palette(MultiClass(tuple("abcdefghijk"))))) == 1


def test_figures_follow_day_and_night_and_are_the_same_twice(ordinal: RunContent) -> None:
    display = RocCurves.from_predictions(ordinal.test, ordinal.decided)
    svg = draw_svg(display, "roc", palette(ordinal.task))
    assert svg == draw_svg(display, "roc", palette(ordinal.task))
    assert "currentColor" in svg
    assert f"var(--c-{palette(ordinal.task)[0].day[1:]}" in svg
    assert '<title id="roc-title">ROC curves</title>' in svg
    assert "<metadata" not in svg


def replace_predictions(content: RunContent, y_true: np.ndarray, prob: np.ndarray) -> Any:
    return replace(content.test, y_true=y_true, prob=prob)


def test_short_paths_leave_the_numbers_in_text_alone():
    from penlight.reports.figure import _compact

    assert _compact('<path d="M 1.23456 7.5"/><text x="0.98765">0.754</text>') == (
        '<path d="M 1.23 7.5"/><text x="0.99">0.754</text>'
    )


def test_corruption_curves_name_the_worst(ordinal: RunContent) -> None:
    display = CorruptionCurves(robustness(ordinal))
    worst = max(display.robustness.model.rows, key=lambda row: row.change.value)
    assert display.rows[0] == worst
    assert worst.name.replace("_", " ") in display.caption
    assert list(display.frame()["corruption"]) == [c.name for c in corruptions_for(ordinal.dataset)]


def test_what_was_looked_at_holds_the_cases_and_their_peaks(ordinal: RunContent) -> None:
    assert ordinal.cases is not None
    display = SaliencyStrip.from_cases(ordinal.cases, ordinal.test, ordinal.decided, ordinal.images)
    frame = display.frame()
    assert list(frame["index"]) == list(range(6))
    assert list(frame["right"]) == [bool(y) for y in ordinal.test.y_true[np.arange(6), np.arange(6) % 3]]
    for n, (row, column) in enumerate(zip(frame["row"], frame["column"], strict=True)):
        own = ordinal.cases.maps[n]
        assert math.isnan(row) if n == 2 else own[int(row), int(column)] == own.max()
    assert display.random_correlation == pytest.approx(0.06)
    assert "for mild speaks most at row" in display.description
    assert "for severe speaks nowhere" in display.description


def test_maps_that_random_weights_make_too_are_said_to_show_nothing_learned(ordinal: RunContent) -> None:
    assert ordinal.cases is not None

    def caption(alike: float) -> str:
        cases = replace(ordinal.cases, alike=np.full(6, alike))  # type: ignore[type-var]
        return SaliencyStrip.from_cases(cases, ordinal.test, ordinal.decided, ordinal.images).caption

    assert "more than what was learned" in caption(0.9)
    assert "depend on what was learned" in caption(0.1)
    assert "random weights" not in caption(math.nan)


def test_the_forest_names_the_groups_that_differ_and_marks_them_by_shape(ordinal: RunContent) -> None:
    display = forest(ordinal)
    assert display.caption.startswith("More than chance apart, drawn as diamonds: site A (0.81, all others 0.61)")
    assert "site C: fewer than 10 images" in display.description
    assert display.frame()["differs"].tolist() == [True, True, False, False]
    assert display.whole == ordinal.rows[0].value
    alone = SubgroupForest.from_groups(display.groups[2:], ordinal.rows)
    assert alone.caption.startswith("None of 1 groups differs")
    assert SubgroupForest.from_groups(display.groups[2:3], ordinal.rows).caption.startswith("No group has enough")
    for some in (display, alone):
        assert "<svg" in draw_svg(some, "forest", palette(ordinal.task))
