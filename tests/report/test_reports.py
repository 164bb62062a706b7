"""Reports and cards: what a page must hold, whoever the run is."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from penlight.evaluation import MetricRow, find_row, score_seeds
from penlight.report import Check, Rival, RunContent, run_card, run_report, seeds_report
from penlight.report.verdict import compare
from penlight.report.words import METRIC_WORDS, interval, number

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


@pytest.fixture
def page(content: RunContent) -> Page:
    return Page(run_report(content))


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
    assert sections == ["verdict", "checks", "scores", "errors", "curves", "data", "making", "card"]


def test_both_themes_print_and_the_notice_are_there(content: RunContent) -> None:
    text = run_report(content)
    assert "prefers-color-scheme: dark" in text
    assert '[data-theme="dark"]' in text
    assert "@media print" in text
    assert text.count("Not for clinical use.") >= 2


def test_a_page_is_small_and_the_same_twice(content: RunContent) -> None:
    assert len(run_report(content)) < 2_000_000
    assert run_report(content) == run_report(content)


def test_names_cannot_act(ordinal: RunContent) -> None:
    title = "<script>alert(1)</script>"
    hostile = replace(ordinal, title=title, name=title, dataset=replace(ordinal.dataset, title=title, source=title))
    assert "<script>alert" not in run_report(hostile)
    assert "&lt;script&gt;alert" in run_report(hostile)
    assert "<script" not in run_card(hostile)


def test_labels_cannot_act(ordinal: RunContent) -> None:
    labels = ("<b>none", 'mild" onload="x', "severe & worse")
    task = replace(ordinal.task, labels=labels)  # type: ignore[type-var]
    hostile = replace(
        ordinal, task=task, test=replace(ordinal.test, task=task), class_counts=ordinal.class_counts.set_axis(labels)
    )
    page = Page(run_report(hostile))
    check_page(page)
    assert "b" not in {tag for tag, _ in page.elements}
    assert not page.values("onload")


def test_an_undefined_score_is_a_dash_with_its_reason(multi_label: RunContent) -> None:
    row = find_row(multi_label.rows, "auc", "finding 8")
    assert row is not None
    assert math.isnan(row.value)
    words = "".join(Page(run_report(multi_label)).words)
    assert "no positive" in words
    assert "nan" not in words.lower().split()


def test_an_undefined_headline_is_said(ordinal: RunContent) -> None:
    nothing = MetricRow("auc", None, math.nan, math.nan, math.nan, 60, "one class only")
    text = run_report(replace(ordinal, rows=[nothing, *ordinal.rows[1:]]))
    assert "the AUC of the cnn network is undefined: one class only." in text


def test_what_is_missing_is_said(ordinal: RunContent) -> None:
    words = "".join(Page(run_report(replace(ordinal, history=None, best_epoch=None, rivals=[], provenance={}))).words)
    assert "No learning curves" in words
    assert "not recorded" in words
    assert "No check spoke up" in words


def test_serious_checks_come_first(ordinal: RunContent) -> None:
    checks = [
        Check("P2", False, "Little data.", "Noise.", "Add."),
        Check("P1", True, "A leak.", "Flatters.", "Split."),
    ]
    words = "".join(Page(run_report(replace(ordinal, checks=checks))).words)
    assert words.index("Serious: A leak.") < words.index("Little data.")


def test_no_rival_of_oneself(ordinal: RunContent) -> None:
    linear = replace(ordinal, recipe={"model": {"backbone": "linear"}})
    verdict = run_card(linear).split("\n")[2]
    assert "the linear baseline ranks grades" in verdict
    assert "than the linear baseline" not in verdict


@pytest.mark.parametrize(
    ("name", "own", "rival", "expected"),
    [
        ("auc", (0.80, 0.76, 0.84), (0.70, 0.66, 0.74), "better than"),
        ("auc", (0.80, 0.76, 0.84), (0.75, 0.71, 0.79), "not clearly better than"),
        ("auc", (0.74, 0.70, 0.78), (0.74, 0.70, 0.78), "no better than"),
        ("auc", (0.80, 0.76, 0.84), (0.50, math.nan, math.nan), "better than"),
        ("mae", (0.50, 0.40, 0.60), (0.80, 0.70, 0.90), "better than"),
        ("mae", (0.90, 0.80, 1.00), (0.80, 0.70, 0.90), "no better than"),
    ],
)
def test_verdicts_are_modest(
    name: str, own: tuple[float, float, float], rival: tuple[float, float, float], expected: str
) -> None:
    assert compare(MetricRow(name, None, *own, n=9), MetricRow(name, None, *rival, n=9)) == expected


def test_a_card_has_its_sections(content: RunContent) -> None:
    card = run_card(content)
    heads = [line[3:] for line in card.split("\n") if line.startswith("## ")]
    assert heads == ["Data", "Intended use", "Scores", "Limits", "Licence", "How it was made"]
    assert "**Not for clinical use.**" in card
    assert "CC BY 4.0" in card
    assert "| AUC (macro, one against rest) (official MedMNIST) |" in card


def test_seeds_have_one_report(ordinal: RunContent) -> None:
    runs = [replace(ordinal, provenance={**ordinal.provenance, "seed": seed}) for seed in (3, 7)]
    rows = score_seeds(
        ordinal.task, ordinal.test.y_true, [ordinal.test.prob] * 2, [ordinal.decided] * 2, resamples=10
    )
    page = Page(seeds_report("tiny-cnn", runs, rows, ordinal.rivals))
    check_page(page)
    assert [a for a in page.values("href") if a.startswith("seed")] == ["seed-3/report.html", "seed-7/report.html"]
    assert "± 0.000 over 2 seeds" in "".join(page.words)


def test_one_seed_alone_has_no_deviation(ordinal: RunContent) -> None:
    rows = score_seeds(ordinal.task, ordinal.test.y_true, [ordinal.test.prob], [ordinal.decided], resamples=10)
    page = Page(seeds_report("tiny-cnn", [ordinal], rows, [Rival("linear", ordinal.rows)]))
    check_page(page)
    assert "nan" not in "".join(page.words).split()


def test_every_metric_of_every_task_has_words(content: RunContent) -> None:
    assert {row.name for row in content.rows if row.label is None} <= set(METRIC_WORDS)


def test_numbers_are_written_alike() -> None:
    assert number(-0.0004) == "0.000"
    assert number(-0.5, 2) == "−0.50"
    assert number(math.nan) == "–"
    assert interval(0.71, 0.789, 2) == "0.71–0.79"
    assert interval(-0.1, 0.2, 1) == "−0.1 to 0.2"
    assert interval(math.nan, 1) == ""
