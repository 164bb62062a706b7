"""The record of readings of test: what is added, what a run keeps of it, and that it never stands in the way."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import penlight as pl
from penlight import disk
from penlight.api import datasets
from penlight.api.training import cross_validate_recipe, train_recipe
from penlight.data import accesses as tested
from penlight.data import record, store
from penlight.data.accesses import TestAccessLog, accesses_of, accesses_text, recipes_of
from penlight.recipes import Data, Linear, Majority, Recipe
from penlight.reports import run_card
from penlight.reports.verdict import read_before_words
from penlight.runs import open_run
from penlight.tasks import Ordinal
from tests.conftest import LABELS, small_dataset
from tests.remembered import leave_reports_out
from tests.reports.conftest import make_content

LINEAR = Recipe(data=Data(dataset="small"), model=Linear(components=3))


@pytest.fixture
def small(monkeypatch):
    """A small dataset under any name, not audited, and runs whose reports are not drawn."""
    dataset = small_dataset(Ordinal(LABELS, referable=2), channels=1, n=(60, 30, 40))
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    monkeypatch.setattr(record, "problems_of", lambda view: ())
    leave_reports_out(monkeypatch)
    return dataset


def kept(folder):
    return open_run(folder).provenance["test_readings_before"]


def test_each_run_adds_itself_and_its_baselines_and_keeps_how_many_other_recipes_came_before(small, tmp_path):
    assert accesses_text(accesses_of(small)) == "On this machine the test images have not been read for a score."
    other = LINEAR.model_copy(update={"model": Linear(components=4)})
    train_recipe(LINEAR, out=tmp_path / "a", seeds=2)
    train_recipe(other, out=tmp_path / "b")
    train_recipe(LINEAR, out=tmp_path / "c")
    found = accesses_of(small)
    assert [(t.by, t.run, t.seed) for t in found if t.by != "baseline"] == [
        ("train", "seed-0", 0),
        ("train", "seed-1", 1),
        ("train", "b", 0),
        ("train", "c", 0),
    ]
    assert recipes_of(found) == {LINEAR.hash, other.hash}
    assert {t.split for t in found} == {"test"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", t.time) for t in found)
    runs = ["a/seed-0", "a/seed-1", "b", "c"]
    assert [kept(tmp_path / run) for run in runs] == [0, 0, 1, 1]
    assert "for 2 recipes" in accesses_text(found)
    assert "(train of c)" in accesses_text(found)


def test_scoring_kept_answers_again_is_no_reading(small, tmp_path):
    train_recipe(LINEAR, out=tmp_path / "a")
    before = accesses_of(small)
    pl.evaluate(tmp_path / "a")
    pl.report(tmp_path / "a")
    assert accesses_of(small) == before


def test_a_cross_validation_is_recorded_as_what_it_is_and_counts_for_nothing(small, tmp_path):
    cross_validate_recipe(LINEAR, folds=2, test=False, out=tmp_path / "folds")
    found = accesses_of(small)
    assert {t.split for t in found} == {"fold 1 of 2", "fold 2 of 2"}
    assert recipes_of(found) == set()
    assert "test_readings_before" not in open_run(tmp_path / "folds" / "fold-1").provenance
    train_recipe(LINEAR.model_copy(update={"model": Linear(components=4)}), out=tmp_path / "a")
    assert kept(tmp_path / "a") == 0


def test_predictions_made_elsewhere_count_by_their_numbers(small, tmp_path):
    for seed in (0, 1, 1):
        prob = np.random.default_rng(seed).dirichlet(np.ones(4), len(small.splits["test"]))
        rows = (",".join(map(str, [i, *row])) for i, row in enumerate(prob))
        (tmp_path / "test.csv").write_text("\n".join(rows))
        pl.score(tmp_path / "test.csv", "small")
    found = accesses_of(small)
    assert [(t.by, t.run, t.seed) for t in found] == [("score", None, None)] * 3
    assert len(recipes_of(found)) == 2
    train_recipe(LINEAR, out=tmp_path / "a")
    assert kept(tmp_path / "a") == 2


def test_many_recipes_before_raise_the_check(small, tmp_path):
    readings = TestAccessLog(small, "train")
    for number in range(20):
        readings.add("native", f"recipe {number}")
    result = train_recipe(LINEAR, out=tmp_path / "a")
    assert "PL020" in [check.code for check in result.scores.checks]
    assert "PL020" in [check.code for check in pl.evaluate(tmp_path / "a").checks]


def test_a_cache_that_cannot_be_written_loses_the_line_and_nothing_else(small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "file"))
    result = train_recipe(Recipe(data=Data(dataset="small"), model=Majority()), out=tmp_path / "a")
    assert kept(tmp_path / "a") is None
    assert "PL020" not in [check.code for check in result.scores.checks]
    assert accesses_of(small) == []


def test_damaged_lines_are_passed_over_and_the_next_one_is_whole(small):
    readings = TestAccessLog(small, "train")
    readings.add("native", "one")
    path = tested._path(small)
    with path.open("ab") as file:
        file.write(b'{"time": "2026-11-24T')
    assert readings.add("native", "two") == 1
    assert [t.recipe for t in accesses_of(small)] == ["one", "two"]
    assert len(path.read_bytes().splitlines()) == 3
    path.write_bytes(b"[1]\n\xff\n{}\n" + path.read_bytes())
    assert [t.recipe for t in accesses_of(small)] == ["one", "two"]


def test_a_line_is_appended_whole(tmp_path):
    for text in ("a", "b"):
        disk.append_line(tmp_path / "new" / "file", text)
    assert (tmp_path / "new" / "file").read_bytes() == b"a\nb\n"


def test_show_and_audit_tell_of_the_readings(small, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "find_dataset", lambda name: small)
    TestAccessLog(small, "train").add("native", "one", 3, "a-run")
    for result in (pl.show("small", out=tmp_path / "show"), pl.audit("small", out=tmp_path / "audit")):
        told = json.loads(json.dumps(result.to_dict()))["test_readings"]
        assert (told["readings"], told["recipes"]) == (1, 1)
        assert [(t["by"], t["run"], t["seed"], t["split"]) for t in told["last"]] == [("train", "a-run", 3, "test")]


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (0, "No other recipe had been evaluated on the test images on this machine before this run."),
        (1, "The test images had been read by 1 other recipe on this machine before this run."),
        (1234, "The test images had been read by 1,234 other recipes on this machine before this run."),
        (None, "Earlier evaluations on the test images are not known: their log could not be written."),
    ],
)
def test_a_report_and_a_card_say_how_many_came_before(before, words):
    task = Ordinal(LABELS)
    content = make_content(task, task.encode(np.arange(60) % 4))
    assert read_before_words(content) == []
    told = replace(content, provenance={**content.provenance, "test_readings_before": before})
    assert read_before_words(told) == [words]
    assert run_card(told).count(words) == 2
