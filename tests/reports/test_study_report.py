"""The findings of a study, rule by rule, its displays, and its page."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from penlight.evaluation import Score
from penlight.evaluation.checks import Check
from penlight.evaluation.comparison import Difference
from penlight.reports import findings as f
from penlight.reports.displays.comparison import DifferenceBars
from penlight.reports.displays.learning import StudyCurves
from penlight.reports.displays.scores import MOST_LEADING
from penlight.reports.displays.study import ConfusionGrid, CostPlot, FindingGrid, SizePlot
from penlight.reports.figure import draw_svg
from penlight.reports.page import unbroken
from penlight.reports.palette import MUTED
from penlight.reports.study import study_report
from penlight.reports.study_content import StudyContent, StudyRowResult, StudyTable, pairs
from penlight.reports.words import metric_words
from penlight.runs.studies import Cost
from penlight.tasks import MultiClass, MultiLabel
from tests.reports.test_displays import alone

TASK = MultiClass(("a", "b", "c"))
KINDS = {"majority": "baseline", "linear": "baseline", "cnn": "custom", "mobile": "pre-trained"}
TITLES = {
    "majority": "Majority answer",
    "linear": "Linear baseline",
    "cnn": "CNN",
    "cnn-augmented": "CNN with augmentation",
    "frozen": "Frozen MobileNet",
    "tuned": "Fine-tuned MobileNet",
}


def entry(name, auc, *, backbone=None, seconds=10.0, compare_with=None, task=TASK, epochs=3, half=0.03):
    backbone = backbone or ("mobile" if name in ("frozen", "tuned") else name.split("-")[0])
    network = backbone in ("cnn", "mobile")
    loss, headline = np.linspace(1, 0.5, epochs), np.linspace(0.5, auc, epochs)
    history = pd.DataFrame({"epoch": range(1, epochs + 1), "val_loss": loss, "val_headline": headline})
    counts = np.array([[8, 1, 1], [3, 6, 1], [0, 5, 5]]) if task.exclusive else np.tile([4, 2, 1, 13], (3, 1))
    seeds = (0, 1) if network else (0,)
    rows = [
        Score("auc", None, auc, auc - half, auc + half, 30, sd=0.01 if network else np.nan),
        Score("acc", None, auc - 0.2, auc - 0.25, auc - 0.15, 30, sd=0.02 if network else np.nan),
        Score("auc", "a", auc, np.nan, np.nan, 10, "undefined here", np.nan),
    ]
    return StudyRowResult(
        id=name,
        title=TITLES[name],
        kind=KINDS[backbone],
        backbone=backbone,
        recipe=name,
        recipe_hash="0" * 16,
        seeds=seeds,
        rows=rows,
        headline_by_seed=(auc,) * len(seeds),
        cost=Cost(
            1000 if network else None, 5_000_000 if network else None, (seconds,) * len(seeds), (seconds / 10,)
        ),
        confusion=counts,
        histories=(history,) * 2 if network else (),
        changes={"train.epochs": (30, epochs)},
        address=f"{name}/report.html",
        compare_with=compare_with,
    )


def table(*entries, p=None, half=0.02, task=TASK):
    """Every pair that a study compares; `p` has the corrected p of some, others are 0.5."""
    by_id = {e.id: e for e in entries}
    p = p or {}
    found = []
    for row, against in pairs(entries, "auc"):
        value = by_id[row].row("auc").value - by_id[against].row("auc").value
        known = p.get((row, against), p.get((against, row), 0.5))
        found.append(Difference(row, against, value, value - half, value + half, known, known))
    return StudyTable(
        "native", "Labels as stored.", task, {"train": 90, "val": 30, "test": 30}, entries, tuple(found)
    )


MAJORITY, LINEAR = entry("majority", 0.5, seconds=0.001, half=0), entry("linear", 0.74, seconds=0.5)


def test_each_is_compared_with_the_best_with_linear_and_with_what_it_is_a_variant_of():
    entries = [
        MAJORITY,
        LINEAR,
        entry("cnn", 0.72),
        entry("cnn-augmented", 0.71, compare_with="cnn"),
        entry("frozen", 0.70),
        entry("tuned", 0.76, compare_with="frozen"),
    ]
    found = {frozenset(pair) for pair in pairs(entries, "auc")}
    with_best = [{name, "tuned"} for name in ("linear", "cnn", "cnn-augmented", "frozen")]
    with_linear = [{name, "linear"} for name in ("cnn", "cnn-augmented", "frozen")]
    assert found == {frozenset(pair) for pair in [*with_best, *with_linear, {"cnn", "cnn-augmented"}]}
    assert len(pairs(entries, "auc")) == len(found)


def test_no_network_beats_the_linear_baseline():
    one = table(MAJORITY, LINEAR, entry("cnn", 0.72), entry("frozen", 0.75))
    assert f.networks_against_linear(one) == "No network beats the linear baseline by more than chance."
    below = table(MAJORITY, LINEAR, entry("cnn", 0.65), p={("cnn", "linear"): 0.004})
    assert f.networks_against_linear(below) == (
        "No network beats the linear baseline by more than chance. The CNN (p = 0.004) falls below it by more "
        "than chance."
    )


def test_the_networks_that_beat_the_linear_baseline_are_named_with_p():
    p = {("frozen", "linear"): 0.0002, ("tuned", "linear"): 0.012}
    one = table(LINEAR, entry("cnn", 0.75), entry("frozen", 0.80), entry("tuned", 0.81), p=p)
    assert f.networks_against_linear(one) == (
        "The frozen MobileNet (p < 0.001) and the fine-tuned MobileNet (p = 0.012) beat the linear baseline "
        "by more than "
        "chance."
    )
    assert f.networks_against_linear(table(entry("cnn", 0.8))) is None


def test_a_custom_network_against_a_pretrained_one():
    cnn, frozen = entry("cnn", 0.72, seconds=8), entry("frozen", 0.73, seconds=80)
    same = f.custom_against_pretrained(table(LINEAR, cnn, frozen))
    assert same.startswith("Between the best custom network (CNN) and the best pre-trained one (Frozen MobileNet) no")
    assert "A difference of up to 0.03 could have gone unseen." in same
    assert same.endswith("The custom network trains 10 times as fast and answers 10 times as fast.")
    p = {("cnn", "frozen"): 0.01}
    worse = f.custom_against_pretrained(table(LINEAR, cnn, entry("frozen", 0.79, seconds=4), p=p))
    assert worse.startswith("The best pre-trained one (Frozen MobileNet) beats the best custom network (CNN) by more")
    assert "takes 2.0 times as long to train" in worse
    better = f.custom_against_pretrained(table(LINEAR, cnn, entry("frozen", 0.60, seconds=9), p=p))
    assert better.startswith("The best custom network (CNN) beats the best pre-trained one")
    assert "The custom network" not in better
    assert f.custom_against_pretrained(table(LINEAR, cnn)) is None


def test_variants_are_said_to_change_something_only_if_they_do():
    cnn = entry("cnn", 0.72)
    augmented = entry("cnn-augmented", 0.70, compare_with="cnn")
    text = f.variants(table(LINEAR, cnn, augmented))
    assert text.startswith("The CNN with augmentation in place of the CNN changes the AUC no more than chance does")
    assert "−0.020 (corrected interval −0.040 to 0.000), p = 0.500" in text
    p = {("cnn", "cnn-augmented"): 0.03}
    assert "lowers the AUC by more than chance" in f.variants(table(LINEAR, cnn, augmented, p=p))
    raised = entry("cnn-augmented", 0.76, compare_with="cnn")
    assert "raises the AUC by more than chance" in f.variants(table(LINEAR, cnn, raised, p=p))
    assert f.variants(table(LINEAR, cnn)) is None


def test_what_may_be_guessing_is_named():
    one = table(MAJORITY, LINEAR, entry("cnn", 0.52))
    assert f.no_better_than_guessing(one) == "CNN is not clearly better than guessing: the interval holds 0.5."
    assert f.no_better_than_guessing(table(MAJORITY, LINEAR)) is None
    none = table(MAJORITY, entry("linear", 0.515), entry("cnn", 0.52))
    assert f.which_to_take(none) == "Take none of them: not even the best, the CNN, is clearly better than guessing."
    assert f.network_to_take(none) is None


def test_how_small_a_difference_could_be_seen():
    one = table(LINEAR, entry("cnn", 0.72), half=0.034)
    assert f.seen_at_all(one) == "With 30 test images, differences under about 0.03 cannot be told from chance."
    assert f.seen_at_all(table(LINEAR)) is None


def test_the_linear_baseline_is_taken_where_no_network_is_better():
    cnn, frozen = entry("cnn", 0.73, seconds=8), entry("frozen", 0.75, seconds=80)
    text = f.which_to_take(table(MAJORITY, LINEAR, cnn, frozen, half=0.04))
    assert text == (
        "Take the linear baseline: no network is shown to be better, and it trains in 0.5 s. If it is to be a "
        "network, take "
        "the CNN, the fastest to train of those that keep up with the best (AUC 0.730, 8.0 s of training a seed)."
    )
    p = {("cnn", "linear"): 0.01}
    alone = f.which_to_take(table(MAJORITY, LINEAR, entry("cnn", 0.6), p=p))
    assert "No network keeps up with the linear baseline: each lies more than a standard error below it." in alone


def test_the_cheapest_network_that_keeps_up_with_the_best_is_taken():
    frozen, tuned = entry("frozen", 0.78, seconds=5), entry("tuned", 0.80, seconds=90)
    beats = {("tuned", "linear"): 0.01, ("frozen", "linear"): 0.01}
    one = table(LINEAR, frozen, tuned, p=beats, half=0.04)
    assert f.network_to_take(one).id == "frozen"
    assert f.which_to_take(one).startswith("Take the frozen MobileNet, the fastest to train of those that keep up")
    # A standard error is the interval's half width over 1.96: 0.0204 here, 0.0194 below.
    only = table(LINEAR, frozen, tuned, p=beats, half=0.038)
    assert (
        f.which_to_take(only) == "Take the fine-tuned MobileNet, the best (AUC 0.800, 1 min 30 s of training a seed)."
    )


def test_where_a_network_beats_the_linear_baseline_one_that_does_not_is_not_taken():
    cnn, tuned = entry("cnn", 0.75, seconds=5), entry("tuned", 0.80, seconds=90)
    one = table(LINEAR, cnn, tuned, p={("tuned", "linear"): 0.01}, half=0.2)
    assert f.which_to_take(one).startswith(
        "Take the fine-tuned MobileNet, the best, and the only network shown to be better than the linear baseline"
    )
    assert f.network_to_take(table(LINEAR, cnn, tuned, half=0.2)).id == "cnn"


def test_what_may_be_guessing_is_not_taken():
    guessing = entry("linear", 0.51, seconds=0.5)
    cnn, tuned = entry("cnn", 0.55, seconds=5, half=0.06), entry("tuned", 0.56, seconds=90)
    one = table(guessing, cnn, tuned, half=0.2)
    assert f.which_to_take(one).startswith("Take the fine-tuned MobileNet, the best (AUC 0.560")


def seen_on_val(one, p=None, half=0.02, **scores):
    """The table with these scores on val, by id."""
    on_val = [
        replace(e, rows=[replace(e.row("auc"), value=scores.get(e.id, e.row("auc").value))]) for e in one.entries
    ]
    return replace(one, on_val=table(*on_val, p=p, half=half))


def test_the_recommendation_is_chosen_on_val_and_reports_test():
    cnn, frozen = entry("cnn", 0.72, seconds=8), entry("frozen", 0.78, seconds=80)
    one = seen_on_val(table(LINEAR, cnn, frozen), p={("cnn", "linear"): 0.01}, cnn=0.82, frozen=0.75, linear=0.70)
    assert f.network_to_take(one) is one.entry("cnn")
    assert f.which_to_take(one) == (
        "Take the CNN, the best on val, and the only network shown to be better than the linear baseline (on test "
        "AUC 0.720, 8.0 s of training a seed)."
    )
    assert f.how_it_was_chosen(one) == (
        "That was chosen by the scores on 30 val images, among 3 recipes. The epochs of networks were also chosen "
        "on val, "
        "which raises their val scores; test was not used for the choice."
    )
    none = seen_on_val(table(LINEAR, cnn, frozen), cnn=0.6, frozen=0.6)
    assert f.which_to_take(none) == (
        "Take the linear baseline (on test AUC 0.740 (95 % interval 0.710–0.770)): no network is shown to be better "
        "on val, and it trains in 0.5 s. No network keeps up with the linear baseline on val: each lies more than a "
        "standard error below it."
    )
    # What test says, val does not: its best there is not what is taken.
    assert one.best.id == "frozen"
    assert one.record().to_dict()["on_val"] == {"linear": 0.70, "cnn": 0.82, "frozen": 0.75}


def test_a_network_keeps_up_within_one_standard_error_however_wide_the_corrected_interval_is():
    one = table(LINEAR, entry("cnn", 0.72), half=0.1)
    assert f.network_to_take(one).id == "cnn"
    narrow = replace(one, differences=tuple(replace(d, error=0.01) for d in one.differences))
    assert f.network_to_take(narrow) is None


def test_the_verdict_compares():
    assert f.study_verdict(table(MAJORITY, LINEAR, entry("cnn", 0.72)), "fundus") == (
        "On 30 test fundus photographs the linear baseline ranks classes best, with AUC 0.740 (95 % interval "
        "0.710–0.770), "
        "above every network, though not by more than chance: the nearest, the CNN, has 0.720."
    )
    one = table(LINEAR, entry("cnn", 0.76))
    assert f.study_verdict(one, "").endswith(", not above the linear baseline at 0.740 by more than chance.")
    assert "± 0.010 over 2 seeds" in f.study_verdict(one, "")
    clear = table(LINEAR, entry("cnn", 0.80), p={("cnn", "linear"): 0.002})
    assert f.study_verdict(clear, "").endswith(", more than chance above the linear baseline at 0.740 (p = 0.002).")
    assert "undefined" in f.study_verdict(table(entry("cnn", np.nan)), "")


def test_an_undefined_score_is_in_no_sentence():
    one = table(MAJORITY, LINEAR, entry("cnn", np.nan), entry("frozen", 0.73))
    assert not any(re.search(r"\bnan\b|\bCNN\b", sentence) for sentence in f.findings(one))


FULL = table(
    MAJORITY,
    LINEAR,
    entry("cnn", 0.72),
    entry("cnn-augmented", 0.73, seconds=14, compare_with="cnn"),
    entry("frozen", 0.70, seconds=60),
    entry("tuned", 0.75, seconds=200, compare_with="frozen"),
)


@pytest.mark.parametrize(
    "display",
    [
        CostPlot.from_table(FULL),
        CostPlot.from_table(table(MAJORITY)),
        StudyCurves.from_table(FULL),
        ConfusionGrid.from_table(FULL),
        ConfusionGrid.from_table(table(MAJORITY)),
        DifferenceBars.from_differences("auc", "the best", [("CNN", d) for d in FULL.differences[:3]]),
    ],
    ids=lambda d: type(d).__name__,
)
def test_a_display_says_what_it_draws(display):
    svg = draw_svg(display, "name")
    assert f'<title id="name-title">{display.title.replace("&", "&amp;")}' in svg
    assert display.caption.endswith(".")
    assert display.description.endswith(".")
    assert isinstance(display.frame(), pd.DataFrame)


def sizes(small, middle, large, *, on_val=(), p=None, half=0.02):
    """A recipe at three sizes, on test and on val, beside the linear baseline of the smallest."""

    def at(*scores):
        found = [
            replace(
                entry("cnn", score, seconds=size / 4), id=f"{size}px", title=f"CNN at {size} px", size=size,
                baseline=0.7, recipe="cnn", compare_with=f"{size // 2}px" if size > 28 else None,
            )
            for size, score in zip((28, 56, 112), scores, strict=True)
        ]  # fmt: skip
        return table(replace(LINEAR, title="Linear baseline at 28 px", size=28), *found, p=p, half=half)

    return replace(at(small, middle, large), on_val=at(*on_val) if on_val else None)


CLEAR = dict.fromkeys([(f"{size}px", "linear") for size in (28, 56, 112)], 0.001)


@pytest.mark.parametrize(
    ("on_val", "half", "said"),
    [
        ((0.80, 0.83, 0.84), 0.02, "Take 56 px, the smallest that keeps up with the best on val, 112 px (on test AUC "
         "0.820"),
        ((0.80, 0.83, 0.84), 0.009, "Take 112 px, the best on val (on test AUC 0.810"),
        ((0.84, 0.83, 0.80), 0.02, "Take 28 px, the best on val (on test AUC 0.790"),
    ],
)  # fmt: skip
def test_the_smallest_size_that_keeps_up_on_val_is_recommended_whatever_test_says(on_val, half, said):
    found = sizes(0.79, 0.82, 0.81, on_val=on_val, p=CLEAR, half=half)
    assert f.which_to_take(found).startswith(said)
    assert f.network_to_take(found).title in said.replace("Take ", "CNN at ")[:14]
    assert "among 3 sizes" in f.how_it_was_chosen(found)
    assert {frozenset((d.row, d.against)) for d in found.differences} >= {
        frozenset(("28px", "56px")), frozenset(("56px", "112px")), frozenset(("28px", "112px")),
    }  # fmt: skip


def test_a_size_that_is_not_shown_to_be_better_than_linear_says_so():
    take = f.which_to_take(sizes(0.74, 0.75, 0.76, on_val=(0.74, 0.75, 0.76)))
    assert "though it is not shown to be better on val than the linear baseline at 28 px" in take
    guessing = f.which_to_take(sizes(0.51, 0.52, 0.515))
    assert guessing == "Take none of them: not even the best, the CNN at 56 px, is clearly better than guessing."
    assert "differences between sizes under about 0.02" in f.seen_at_all(sizes(0.7, 0.8, 0.8))


def test_the_size_plot_has_scores_of_linear_and_costs_at_each_size():
    plot = SizePlot.from_table(sizes(0.7, 0.8, 0.79))
    assert [*plot.frame()["size"]] == [28, 56, 112]
    assert [*plot.frame()["seconds"]] == [7, 14, 28]
    assert "Highest on test at 56 px" in plot.caption
    alone(plot)
    svg = draw_svg(plot, "sizes")
    assert all(f">{text}<" in svg for text in ("28 px", "14.0 s", "CNN", "linear baseline"))


def test_long_names_of_recipes_lie_within_the_figure():
    longer = [replace(e, title=f"{e.title}, trained twice as long") for e in FULL.entries]
    for display in (StudyCurves.from_table(table(*longer)), CostPlot.from_table(table(*longer))):
        alone(display)


def test_the_cost_plot_has_one_labelled_dot_per_recipe_and_intervals_both_ways():
    plot = CostPlot.from_table(FULL)
    assert list(plot.frame()["title"]) == [e.title for e in FULL.entries if e.id != "majority"]
    first = plot.frame().set_index("title").loc["CNN"]
    assert (first["score"], first["low"], first["high"]) == pytest.approx((0.72, 0.69, 0.75))
    assert first["least"] <= first["cost"] <= first["most"]
    svg = draw_svg(plot, "cost")
    assert all(svg.count(f">{dot.title}<") == 1 for dot in plot.dots)


def test_an_entry_has_the_same_colour_in_every_figure_and_no_other_one_has_it():
    dots = {dot.title: dot.colour for dot in CostPlot.from_table(FULL).dots}
    curves = {curve.title: curve.colour for curve in StudyCurves.from_table(FULL).curves}
    assert {title: dots[title] for title in curves} == curves
    assert dots["CNN"] != dots["Frozen MobileNet"] != dots["Linear baseline"]
    # A kind is told by its sign alone.
    assert dots["Linear baseline"] == MUTED


def test_curves_are_means_over_seeds_and_a_variant_has_the_colour_of_its_original():
    curves = {c.title: c for c in StudyCurves.from_table(FULL).curves}
    assert set(curves) == {TITLES[n] for n in ("cnn", "cnn-augmented", "frozen", "tuned")}
    assert curves["CNN"].colour == curves["CNN with augmentation"].colour != curves["Frozen MobileNet"].colour
    assert curves["CNN with augmentation"].dashed
    assert not curves["CNN"].dashed
    one, other = entry("cnn", 0.7, epochs=2), entry("cnn", 0.9, epochs=3)
    both = StudyCurves.from_table(table(replace(one, histories=(one.histories[0], other.histories[0]))))
    np.testing.assert_allclose(both.curves[0].headline, [0.5, (0.7 + 0.7) / 2, 0.9])
    assert both.curves[0].epoch == (1, 2, 3)


def test_confusion_is_by_rate_and_leaves_the_majority_answer_out():
    grid = ConfusionGrid.from_table(FULL)
    assert "Majority answer" not in grid.titles
    np.testing.assert_allclose(grid.rates[0], [[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0, 0.5, 0.5]])
    assert "Hardest for all: c, found in 50 % at best" in grid.caption


def test_findings_are_shown_with_their_false_alarms():
    task = MultiLabel(TASK.labels)
    grid = FindingGrid.from_table(table(entry("cnn", 0.7, task=task), task=task))
    np.testing.assert_allclose(grid.found, [[4 / 6] * 3])
    np.testing.assert_allclose(grid.alarms, [[1 / 14] * 3])
    assert "false alarms" in draw_svg(grid, "grid")


@pytest.fixture
def page(ordinal):
    other = replace(FULL, view="single", view_text="View single: images with one finding.")
    content = StudyContent(
        "tiny", "Tiny study", "Which?", (FULL, other), ordinal, ("old/seed-0",), "penlight study tiny --out here"
    )
    return study_report(content)


def test_the_page_answers_and_links(page):
    assert unbroken(f.study_verdict(FULL, "fundus")) in page
    assert page.count(unbroken(f.which_to_take(FULL))) == 2  # once for each view
    assert all(unbroken(s) in page for s in f.findings(FULL))
    assert unbroken("0.5 s, 3 min 13 s, 95 % of 2 seeds") == "0.5\xa0s, 3\xa0min 13\xa0s, 95\xa0% of 2 seeds"
    assert page.count('href="cnn/report.html"') == 2
    assert "its scores cannot be compared with those above" in page
    assert "old/seed-0" in page
    assert "penlight study tiny --out here" in page
    assert "Not for clinical use" in page


def test_the_table_has_f1_whatever_else_leads(ordinal):
    rows = ordinal.rows
    leads = [row.name for row in rows if row.label is None and metric_words(row.name).leads]
    assert leads.index("f1_macro") >= MOST_LEADING
    one = table(MAJORITY, replace(entry("cnn", 0.72), rows=rows))
    said = study_report(StudyContent("tiny", "Tiny study", "Which?", (one,), ordinal, (), "penlight study tiny"))
    assert "F1 (macro)" in said
    assert said.index("AUC") < said.index("F1 (macro)")


@pytest.mark.drawn
def test_the_page_is_whole(page):
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert all(target in ids for target in re.findall(r'href="#([^"]+)"', page))
    assert not re.search(r"(?:src|href)=\"https?:", page)
    assert "nan" not in re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL).lower().replace("finan", "")


def test_a_row_counts_its_checks_and_names_them(ordinal):
    checks = (Check("PL001", True, "Seen.", "Why.", "Do."), Check("PL016", False, "Seen.", "Why.", "Do."))
    one = table(MAJORITY, replace(LINEAR, checks=checks[1:]), replace(entry("cnn", 0.72), checks=checks))
    said = study_report(StudyContent("tiny", "Tiny study", "Which?", (one,), ordinal, (), "penlight study tiny"))
    assert '2 checks<span class="under"><strong>PL001</strong> PL016 </span>' in said
    assert '1 check<span class="under">PL016 </span>' in said
    assert 'none<span class="under"></span>' in said
    assert [row["checks"] for row in one.record().to_dict()["rows"]][2][0]["code"] == "PL001"
