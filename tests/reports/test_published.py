"""A run beside what is published of its set: the rows have sources, and what was chosen on test is said to be."""

import math
from dataclasses import replace

import numpy as np
import pytest

from penlight.data.catalog import CATALOG
from penlight.data.published import ON_TEST_LEFT_OUT, RESNET18, published_rows
from penlight.evaluation import Calibration, Decision, Score, find_row
from penlight.reports import run_card, run_report
from penlight.reports.displays import PublishedScores
from penlight.reports.published import published_displays, published_lines, published_notes
from penlight.reports.run import run_displays
from penlight.reports.verdict import answers_words, decided_words
from tests.reports.conftest import make_content


@pytest.fixture(scope="module")
def retina():
    info = CATALOG["retinamnist"]
    content = make_content(info.task, info.task.encode(np.arange(60) % 5))
    return replace(content, dataset=info, title=info.title, size=28)


def test_every_set_has_the_official_row_first_and_every_row_a_source():
    for name, info in CATALOG.items():
        rows = published_rows(name, 28)
        assert bool(rows) == bool(info.md5)
        assert not published_rows(name, 64)
        assert rows[:1] == ((RESNET18[name],) if rows else ())
        for row in rows:
            assert row.source
            assert math.isfinite(row.auc) or math.isfinite(row.acc)
            assert math.isnan(row.auc) or 0.5 < row.auc < 1
            assert math.isnan(row.acc) or 0.4 < row.acc < 1


@pytest.mark.drawn
def test_what_was_chosen_on_test_is_marked_wherever_it_stands(retina):
    chosen = {row.model for row in published_rows("retinamnist", 28) if row.chosen_on == "test"}
    assert chosen == {"ResNet-18, tuned"}
    assert {row.model for row, _ in published_lines(retina) if row.chosen_on == "test"} == chosen
    page, card = run_report(retina), run_card(retina)
    assert page.count("chosen on test") >= 2
    assert "| ResNet-18, tuned | scratch | test |" in card
    for text in (page, card):
        assert "too high by an unknown amount: ResNet-18, tuned." in text
        assert ON_TEST_LEFT_OUT in text


def test_figures_hold_the_published_values_in_order_and_where_the_run_lies(retina):
    display = published_displays(retina)["published-auc"]
    assert isinstance(display, PublishedScores)
    frame = display.frame()
    assert list(frame["value"]) == sorted(row.auc for row in published_rows("retinamnist", 28) if row.auc == row.auc)
    own = find_row(retina.rows, "auc")
    for stands, value in zip(frame["stands"], frame["value"], strict=True):
        assert stands == ("above" if own.low > value else "below" if own.high < value else "level")
    assert {"published-auc", "published-acc"} <= set(run_displays(retina))
    row = Score("auc", None, 0.74, 0.72, 0.755, 400)
    caption = PublishedScores.from_rows(row, 0.7, published_rows("retinamnist", 28)).caption
    assert "of 9 published values, 5 below it, 3 within it and 1 above it" in caption
    assert "cross" in caption


def test_a_score_that_is_not_published_has_a_dash(retina):
    info = CATALOG["chestmnist"]
    y = np.random.default_rng(0).integers(0, 2, (60, 14)).astype(np.uint8)
    content = replace(make_content(info.task, y), dataset=info, size=28)
    lines = {row.model: scores for row, scores in published_lines(content)}
    assert lines["AutoKeras"][1] == ("–", "")
    assert lines["ResNet-18"][1][0] == "0.947"
    assert set(published_displays(content)) == {"published-auc"}


def test_other_views_sizes_and_sets_stand_alone(retina, ordinal):
    for other in (replace(retina, view="referable"), replace(retina, size=64), ordinal):
        assert published_lines(other) == []
        assert published_notes(other) == []
        assert published_displays(other) == {}
        assert "Comparison with published scores" not in run_card(other)


def test_the_card_repeats_the_cautions_of_the_set(retina, ordinal):
    assert "another camera" in run_card(retina)
    assert "another camera" not in run_card(ordinal)


def test_a_report_says_how_answers_were_decided_and_on_how_many_images(retina):
    assert decided_words(retina) == []
    decision = Decision((0.8, 1.2, 2.1, 2.75), found_on="val and train", images=1200)
    told = " ".join(decided_words(replace(retina, task=replace(retina.task, rule="kappa"), decision=decision)))
    assert "cut at 0.80, 1.20, 2.10 and 2.75" in told
    assert "official accuracy is of the most probable grade" in told
    assert "Cut points were found on 1,200 images: all of val, and those of train" in told
    halfway = Decision((0.5, 1.5, 2.5, 3.5), Calibration("temperature", (1.0,)), "val and train", images=1200)
    told = decided_words(replace(retina, task=replace(retina.task, rule="kappa"), decision=halfway))
    assert [line.split(":")[0] for line in told[1:]] == ["The expected grade is cut halfway between the grades"]
    warm = replace(halfway, calibration=Calibration("temperature", (1.3,)))
    told = decided_words(replace(retina, task=replace(retina.task, rule="kappa"), decision=warm))
    assert told[2].startswith("Calibration was found on 1,200 images: all of val, and those of train")
    assert "rounded" in answers_words(replace(retina, task=replace(retina.task, rule="expected")))[0]
    assert answers_words(retina) == []
