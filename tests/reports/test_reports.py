"""Reports and cards: what a page must hold, whoever the run is."""

import base64
import hashlib
import html
import io
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from penlight.data import CATALOG
from penlight.evaluation import METRICS, Score, find_row, score_seeds
from penlight.evaluation.checks import Check
from penlight.evaluation.operating import operating_points
from penlight.reports import ComparedBaseline, RunContent, run_card, run_report, seeds_report
from penlight.reports.card import checklist
from penlight.reports.figure import Figure
from penlight.reports.page import SCRIPTS
from penlight.reports.palette import palette
from penlight.reports.picture import shaded_address
from penlight.reports.run import ERRORS, run_displays, seeds_displays
from penlight.reports.tables import label_table
from penlight.reports.verdict import compare
from penlight.reports.words import image_words, interval, metric_words, number
from penlight.serve.pages import report as serve_report
from tests.conftest import is_full, sketch_figures
from tests.reports.conftest import make_data

_VOID = {"meta", "img", "br", "link", "input", "hr"}
_ADDRESS = re.compile(r"#|data:image/(png|jpeg);base64,|seed-\d+/report\.html")


class Page(HTMLParser):
    """What a page holds: elements with their attributes, its text, and tags that were never closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, *names: str) -> list[str]:
        return [value for _, attrs in self.elements for name in names if (value := attrs.get(name)) is not None]


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def check_page(page: Page) -> None:
    assert page.open == []
    assert all(_ADDRESS.match(address) for address in page.values("src", "href", "xlink:href"))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    anchors = [address[1:] for address in page.values("href", "xlink:href") if address.startswith("#")]
    assert set(anchors) <= set(ids)
    assert {name for value in page.values("aria-labelledby") for name in value.split()} <= set(ids)


def test_a_page_is_whole_and_needs_nothing_else(page: Page) -> None:
    check_page(page)


def test_every_picture_has_words(page: Page) -> None:
    pictures = [attrs for tag, attrs in page.elements if tag == "img"]
    figures = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert pictures
    assert figures
    assert all(attrs.get("alt") for attrs in pictures)
    assert all(attrs["role"] == "img" and attrs["aria-labelledby"] for attrs in figures)


def test_tables_have_captions_and_scopes(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption")
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in page.elements if tag == "th")


def test_sections_come_in_the_order_of_the_house(page: Page) -> None:
    sections = [attrs["id"] for tag, attrs in page.elements if tag == "section"]
    assert sections == ["verdict", "checks", "scores", "errors", "saliency", "curves", "data", "making", "card"]


def test_both_themes_print_and_the_notice_are_there(text: str) -> None:
    assert "prefers-color-scheme: dark" in text
    assert '[data-theme="dark"]' in text
    assert "@media print" in text
    assert text.count("Not for clinical use.") >= 2


def test_a_server_lets_the_scripts_of_a_page_run_and_no_others(text: str) -> None:
    policy = serve_report(SimpleNamespace(report=text.encode())).headers["content-security-policy"]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert len(scripts) == len(SCRIPTS) == text.count("<script")
    for script in scripts:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy


def test_every_figure_can_be_saved(text: str) -> None:
    named = re.findall(r'<figure[^>]* data-name="([^"]+)"', text)
    assert len(named) == len(set(named)) == text.count('<template class="numbers">')
    # Of pictures the script makes a drawing: strips of examples, maps, and samples.
    assert len(named) - text.count("<svg") == len(re.findall(r'class="[^"]*\bpictures"', text)) >= 4


def test_a_page_is_small(text: str) -> None:
    assert len(text) < 2_000_000


@pytest.mark.parametrize(
    "content",
    ["ordinal", "multi_label", "binary"],
    indirect=True,
)
@pytest.mark.full
def test_a_page_is_the_same_twice(content: RunContent, text: str) -> None:
    assert run_report(content) == text


def test_names_cannot_act(ordinal: RunContent) -> None:
    title = "<script>alert(1)</script>"
    hostile = replace(ordinal, title=title, name=title, dataset=replace(ordinal.dataset, title=title, source=title))
    text = run_report(hostile)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "<script" not in run_card(hostile)


@pytest.mark.drawn
def test_labels_cannot_act(ordinal: RunContent) -> None:
    labels = ("<b>none", 'mild" onload="x', "severe & worse")
    task = replace(ordinal.task, labels=labels)  # type: ignore[type-var]
    data = make_data(task, ordinal.test.y_true, ordinal.images)
    hostile = replace(ordinal, task=task, test=replace(ordinal.test, task=task), data=data)
    page = Page(run_report(hostile))
    check_page(page)
    assert "b" not in {tag for tag, _ in page.elements}
    assert not page.values("onload")


@pytest.mark.parametrize("content", ["multi_label"], indirect=True)
def test_an_undefined_score_is_a_dash_with_its_reason(content: RunContent, page: Page) -> None:
    row = find_row(content.rows, "auc", "finding 8")
    assert row is not None
    assert math.isnan(row.value)
    words = "".join(page.words)
    assert "no positive" in words
    assert "nan" not in words.lower().split()


def sketched(content: RunContent) -> str:
    """Write a report without figures, but in the full tests."""
    with pytest.MonkeyPatch.context() as patch:
        if not is_full():
            sketch_figures(patch)
        return run_report(content)


@pytest.fixture(scope="module")
def bare(ordinal: RunContent) -> str:
    """The report of a run of which little is known, not even its headline score."""
    nothing = Score("auc", None, math.nan, math.nan, math.nan, 60, "one class only")
    rows = [nothing, *ordinal.rows[1:]]
    empty = replace(ordinal, rows=rows, history=None, best_epoch=None, baselines=[], provenance={}, checks=None)
    return sketched(empty)


@pytest.fixture(scope="module")
def viewed(ordinal: RunContent) -> RunContent:
    """A run on a view that leaves images out, with checks that reported a problem."""
    data = make_data(ordinal.task, ordinal.test.y_true, ordinal.images, "referable", left_out=1234)
    checks = [
        Check("P2", False, "Little data.", "Noise.", "Add."),
        Check("P1", True, "A leak.", "Flatters.", "Split."),
    ]
    return replace(ordinal, data=data, view="referable", checks=checks)


@pytest.fixture(scope="module")
def viewed_words(viewed: RunContent) -> str:
    return " ".join(Page(sketched(viewed)).words)


def test_an_undefined_headline_is_said(bare: str) -> None:
    assert "the AUC of the cnn network is undefined: one class only." in bare


def test_what_is_missing_is_said(bare: str) -> None:
    page = Page(bare)
    words = "".join(page.words)
    assert "No learning curves" in words
    assert "not recorded" in words
    assert "checks" not in page.values("id")
    assert "No check" not in words


def test_checks_that_found_nothing_are_said(page: Page) -> None:
    assert "No check reported a problem." in "".join(page.words)


def test_serious_checks_come_first(viewed_words: str) -> None:
    assert viewed_words.index("Serious: A leak.") < viewed_words.index("Little data.")


def test_no_rival_of_oneself(ordinal: RunContent) -> None:
    linear = replace(ordinal, recipe={"model": {"backbone": "linear"}})
    verdict = run_card(linear).split("\n")[2]
    assert "the linear baseline ranks grades" in verdict
    assert "than the linear baseline" not in verdict


@pytest.mark.parametrize(
    ("name", "own", "baseline", "expected"),
    [
        ("auc", (0.80, 0.76, 0.84), (0.70, 0.66, 0.74), "better than"),
        ("auc", (0.80, 0.76, 0.84), (0.75, 0.71, 0.79), "not clearly better than"),
        ("auc", (0.74, 0.70, 0.78), (0.74, 0.70, 0.78), "no better than"),
        ("auc", (0.80, 0.76, 0.84), (0.50, math.nan, math.nan), "better than"),
        ("mae", (0.50, 0.40, 0.60), (0.80, 0.70, 0.90), "better than"),
        ("mae", (0.90, 0.80, 1.00), (0.80, 0.70, 0.90), "no better than"),
        ("auc", (0.60, 0.55, 0.65), (0.80, 0.76, 0.84), "worse than"),
        ("auc", (0.60, 0.55, 0.65), (0.70, math.nan, math.nan), "worse than"),
        ("mae", (0.90, 0.85, 0.95), (0.80, 0.78, 0.84), "worse than"),
    ],
)
def test_verdicts_are_modest(
    name: str, own: tuple[float, float, float], baseline: tuple[float, float, float], expected: str
) -> None:
    assert compare(Score(name, None, *own, n=9), Score(name, None, *baseline, n=9)) == expected


def test_a_card_has_its_sections(content: RunContent) -> None:
    card = run_card(content)
    heads = [line[3:] for line in card.split("\n") if line.startswith("## ")]
    assert heads == [
        *("Data", "Intended use", "Scores", "Calibration", "Checks", "Limits", "Licence"),
        *("How it was made", "Reporting checklist"),
    ]
    assert "## Checks\n\n- No check reported a problem.\n" in card
    assert "**Not for clinical use.**" in card
    assert "CC BY 4.0" in card
    title = "AUC" if content.task.kind == "binary" else "AUC (macro, one against rest)"
    assert f"| {title} (official MedMNIST) |" in card


def test_a_card_tells_the_checks_and_when_none_was_run(viewed: RunContent) -> None:
    assert "- Serious, P1: A leak. Split.\n- P2: Little data. Add.\n" in run_card(viewed)
    assert "- No check was run." in run_card(replace(viewed, checks=None))


def test_every_item_of_the_checklist_is_answered_or_open(content: RunContent) -> None:
    items = checklist(content)
    assert 20 <= len(items) <= 30
    assert len({item.topic for item in items}) == len(items)
    for item in items:
        assert item.answer.endswith((".", "?"))
        assert item.text.startswith("open: ") == item.open
        tripod = item.asked.split("; CLAIM")[0].split(", ") if not item.asked.startswith("CLAIM") else []
        for number_ in tripod:
            assert all(1 <= int(part) <= 27 for part in re.findall(r"\d+", number_))
    card = run_card(content)
    assert card.count(": open: ") == sum(item.open for item in items)


def test_the_checklist_knows_what_the_run_knows(ordinal: RunContent) -> None:
    known = {item.topic: item.text for item in checklist(replace(ordinal, patients={"train": 7, "test": 3}))}
    assert "patients: train 7, test 3" in known["Partition"]
    assert "1,234 parameters; 6 epochs, weights of epoch 4" in known["Model and training"]
    assert "on 60 test images" in known["Performance and how sure it is"]
    assert "CC BY 4.0" in known["Data sharing"]
    assert "“penlight train runs/tiny-cnn-1/recipe.toml” repeats" in known["Code sharing"]
    unknown = {item.topic: item.text for item in checklist(replace(ordinal, rows=[], provenance={}))}
    assert "patients are not named" in unknown["Partition"]
    assert "no headline score" in unknown["Performance and how sure it is"]
    train = {"train": {"balance": "weights", "loss": {"positive_weight": "sqrt"}}}
    balanced = checklist(replace(ordinal, recipe={**ordinal.recipe, **train}))
    assert "Balanced by weights, positive weight sqrt" in " ".join(item.text for item in balanced)


def test_a_report_folds_the_checklist(content: RunContent, page: Page) -> None:
    items = checklist(content)
    assert (
        f"Reporting checklist: {sum(not i.open for i in items)} of {len(items)} items answered, the others are open"
        in (page.words)
    )


def test_seeds_tell_their_checks_together(ordinal: RunContent) -> None:
    leak = Check("PL008", True, "A leak.", "Flatters.", "Split.")
    runs = [
        replace(ordinal, provenance={**ordinal.provenance, "seed": seed}, checks=checks)
        for seed, checks in ((3, ()), (7, (leak,)))
    ]
    rows = score_seeds(
        ordinal.task, ordinal.test.y_true, [ordinal.test.prob] * 2, [ordinal.decided] * 2, resamples=10
    )
    words = " ".join(Page(seeds_report("tiny-cnn", runs, rows, ordinal.baselines)).words)
    assert "Serious: In 1 of 2 seeds; in seed 7: A leak." in words
    silent = [replace(run, checks=None) for run in runs]
    assert "No check" not in " ".join(Page(seeds_report("tiny-cnn", silent, rows, [])).words)


@pytest.mark.drawn
def test_seeds_have_one_report(ordinal: RunContent) -> None:
    runs = [replace(ordinal, provenance={**ordinal.provenance, "seed": seed}) for seed in (3, 7)]
    rows = score_seeds(
        ordinal.task, ordinal.test.y_true, [ordinal.test.prob] * 2, [ordinal.decided] * 2, resamples=10
    )
    page = Page(seeds_report("tiny-cnn", runs, rows, ordinal.baselines))
    check_page(page)
    assert [a for a in page.values("href") if a.startswith("seed")] == ["seed-3/report.html", "seed-7/report.html"]
    assert "± 0.000 over 2 seeds" in "".join(page.words)
    assert "Confusion matrix" in page.words


def test_confusion_over_seeds_is_the_sum_and_says_so(content: RunContent) -> None:
    rng = np.random.default_rng(1)
    probs = [content.test.prob, rng.dirichlet(np.ones(content.test.prob.shape[1]), len(content.test))]
    runs = [replace(content, test=replace(content.test, prob=p), decided=content.task.decide(p)) for p in probs]
    whole = seeds_displays(runs, content.rows, content.baselines)
    names = [name for name in content.task.figures if name in ERRORS]
    assert names
    for name in names:
        alone = [ERRORS[name].from_predictions(run.test, run.decided) for run in runs]
        assert np.array_equal(whole[name].counts, alone[0].counts + alone[1].counts)
        assert whole[name].rates == pytest.approx((alone[0].rates + alone[1].rates) / 2, nan_ok=True)
        said = "Summed over 2 seeds: every image counts 2 times, and a shade is the mean over seeds. "
        assert whole[name].caption.startswith(said)
        assert not alone[0].caption.startswith("Summed")
    one = seeds_displays(runs[:1], content.rows, content.baselines)[names[0]]
    assert not one.caption.startswith("Summed")


def test_one_seed_alone_has_no_deviation(ordinal: RunContent) -> None:
    rows = score_seeds(ordinal.task, ordinal.test.y_true, [ordinal.test.prob], [ordinal.decided], resamples=10)
    page = Page(seeds_report("tiny-cnn", [ordinal], rows, [ComparedBaseline("linear", ordinal.rows)]))
    check_page(page)
    assert "nan" not in "".join(page.words).split()


@pytest.mark.parametrize("content", ["multi_label"], indirect=True)
def test_findings_are_shown_with_their_company(page: Page) -> None:
    titles = {
        "Frequency of findings in train",
        "Number of findings per image",
        "Co-occurrence of findings in train",
        "Label frequency by position in the file",
    }
    assert titles <= {word.strip() for word in page.words}
    assert "finding 3, b" in page.words
    assert "Confusions between findings" in page.words
    assert "fallback: 0 positive in val is too few to tune; cut at the prevalence in train" in page.words


@pytest.mark.parametrize("content", ["ordinal"], indirect=True)
def test_exclusive_labels_have_no_company(page: Page) -> None:
    assert "Co-occurrence of findings in train" not in page.words
    assert not any(attrs.get("class") == "lightbox named" for _, attrs in page.elements)


def test_thresholds_and_fallbacks_stand_in_the_table_of_labels(multi_label: RunContent) -> None:
    note = multi_label.decision_notes[0]
    cuts = np.linspace(0.1, 0.9, 9)
    table = label_table(multi_label.rows, multi_label.task, cuts, multi_label.decision_notes)
    assert [cut for cut, _ in table.thresholds] == [f"{cut:.3f}" for cut in cuts]
    assert [why for _, why in table.thresholds] == [""] * 8 + [note.removeprefix("finding 8: ")]


def test_operating_points_stand_in_the_page(ordinal: RunContent) -> None:
    points = operating_points(
        ordinal.task,
        ordinal.test.y_true,
        ordinal.test.prob,
        ordinal.decided,
        val=(ordinal.test.y_true, ordinal.test.prob),
        prevalence=0.15,
    )
    shown = replace(ordinal, points=points, calibration_notes=("all: 3 images in val are too few",))
    page = Page(run_report(shown))
    check_page(page)
    words = " ".join(page.words)
    assert "Pos. pred. value at prevalence 15\N{NO-BREAK SPACE}%" in words
    assert "sensitivity 0.90 on val" in words
    assert "Calibration, all: 3 images in val are too few." in words
    lines = operating_lines(shown)
    assert [chosen for chosen, _ in lines] == [point.chosen for point in points]
    assert lines[0][1][0] == number(points[0].rates["sensitivity"].value, 2)
    assert {len(cells) for _, cells in lines} == {8}


def operating_lines(content: RunContent) -> list[tuple[str, list[str]]]:
    """How each operating point of a page was chosen, and the value of each of its rates."""
    (table,) = re.findall(r'aria-label="Operating points".*?</table>', run_report(content), re.DOTALL)
    lines = re.findall(r"<tr><th scope=\"row\">.*?</tr>", table)
    assert len(re.findall(r'<th scope="col" class="n">', table)) == 8
    return [
        (
            html.unescape(re.findall(r'</th><td>[^<]*<span class="under">([^<]*)</span>', line)[0]),
            re.findall(r'<td class="n">([^<]*)<span', line),
        )
        for line in lines
    ]


def test_only_the_threshold_that_counts_is_told_of_two_classes(binary: RunContent) -> None:
    assert label_table(binary.rows, binary.task, np.array([0.5, 0.25])).thresholds == (("–", ""), ("0.250", ""))
    assert label_table(binary.rows, binary.task, np.array([0.5, 1e-5])).thresholds[1] == ("< 0.001", "")
    assert label_table(binary.rows, binary.task).thresholds == ()


def test_what_a_view_leaves_out_is_said(viewed: RunContent, viewed_words: str) -> None:
    assert viewed.data.left_out["val"].images == 1234
    for text in (viewed_words, run_card(viewed)):
        assert "every image, as one whose grade needs a referral" in text
        assert "val 1,234 of 1,294 images and 2,468 positive labels" in text


@pytest.mark.parametrize("content", ["ordinal"], indirect=True)
def test_durations_are_those_of_the_provenance(page: Page) -> None:
    words = " ".join(" ".join(page.words).split())
    assert "training time 1.5 s" in words
    assert "1 min 15 s" in words


def test_every_modality_of_the_catalog_has_words() -> None:
    assert all(image_words(info.modality) != "images" for info in CATALOG.values())


def test_every_metric_of_every_task_has_words(content: RunContent) -> None:
    for row in content.rows:
        assert metric_words(row.name, row.label) in METRICS.values()


def test_numbers_are_written_alike() -> None:
    assert number(-0.0004) == "0.000"
    assert number(-0.5, 2) == "−0.50"
    assert number(math.nan) == "–"
    assert interval(0.71, 0.789, 2) == "0.71–0.79"
    assert interval(-0.1, 0.2, 1) == "−0.1 to 0.2"
    assert interval(math.nan, 1) == ""


@pytest.mark.parametrize(
    "content",
    ["ordinal", pytest.param("multi_label", marks=pytest.mark.full), pytest.param("binary", marks=pytest.mark.full)],
    indirect=True,
)
def test_a_notebook_shows_the_figures_of_the_report(content, text):
    figures = {name: Figure(display, name, palette(content.task)) for name, display in run_displays(content).items()}
    assert {"bars", "rates", "reliability", "learning", "distribution", *content.task.figures} <= set(figures)
    for name, figure in figures.items():
        shown = figure._repr_html_()
        assert html.escape(figure.title) in shown
        assert html.escape(figure.caption) in shown
        assert f'id="{name}-title"' in text
        # What the report's sheet defines must be defined here too.
        used = set(re.findall(r"var\((--[a-z]+)\)", shown))
        assert used <= set(re.findall(r"(--[a-z]+):", shown))


def test_maps_lie_over_their_images(content: RunContent, page: Page) -> None:
    assert content.cases is not None
    heats = [attrs for tag, attrs in page.elements if tag == "img" and attrs.get("class") == "heat"]
    assert len(heats) == len(content.cases.rows)
    assert "A map shows what it shows." in "".join(page.words)


def test_a_run_without_maps_says_so(ordinal: RunContent) -> None:
    page = Page(run_report(replace(ordinal, cases=None)))
    check_page(page)
    assert "No saliency maps were computed" in "".join(page.words)


def test_maps_of_large_images_are_thinned() -> None:
    values = np.random.default_rng(0).random((224, 224))
    address = shaded_address(values)
    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert picture.size == (56, 56)
    assert picture.mode == "RGBA"
