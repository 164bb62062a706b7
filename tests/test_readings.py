"""The record of readings of test: what is added, what a run keeps of it, and that it never stands in the way."""

import json
import platform
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
from penlight.data.accesses import TestAccessLog, accesses_of, accesses_text, merge_reading, recipes_of
from penlight.errors import RunError
from penlight.experiments.run import RunSpec
from penlight.recipes import Data, Linear, Majority, Recipe
from penlight.records import check_record
from penlight.records.run import MachineReading
from penlight.reports import run_card
from penlight.reports.tables import provenance_groups
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


def test_what_another_machine_read_is_added_once_by_the_machine_that_waited_for_it(small, tmp_path, monkeypatch):
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "there"))
    with monkeypatch.context() as there:
        there.setattr(platform, "node", lambda: "node7")
        train_recipe(LINEAR, out=tmp_path / "a", seeds=2)
    spec = RunSpec(LINEAR, 0, tmp_path / "a" / "seed-0", group=tmp_path / "a")
    # Where the cache is one, nothing is added.
    lines = accesses_of(small)
    spec.read(pl.ProgressListener())
    assert accesses_of(small) == lines
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "here"))
    assert accesses_of(small) == []
    for _ in range(2):
        spec.read(pl.ProgressListener())
        train_recipe(LINEAR, out=tmp_path / "a", seeds=2)
        found = accesses_of(small)
        assert found == [line for line in lines if line.by != "baseline"]
        assert [(line.run, line.node) for line in found] == [("seed-0", "node7"), ("seed-1", "node7")]
    assert accesses_text(found).startswith("On 2 machines the test images have been read 2 times, for 1 recipe,")
    other = LINEAR.model_copy(update={"model": Linear(components=4)})
    train_recipe(other, out=tmp_path / "b")
    assert kept(tmp_path / "b") == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"dataset": "../../../outside"},
        {"dataset": "a/b"},
        {"dataset": ".hidden"},
        {"data_md5": "../../x"},
        {"test_reading": None},
    ],
)
def test_a_run_that_names_something_else_adds_nothing(small, tmp_path, changed):
    train_recipe(LINEAR, out=tmp_path / "a")
    before = accesses_of(small), sorted(tmp_path.rglob("*"))
    merge_reading({**open_run(tmp_path / "a").provenance, **changed}, "a")
    assert (accesses_of(small), sorted(tmp_path.rglob("*"))) == before


@pytest.mark.parametrize(
    "changed",
    [
        {"time": "2026-11-24T10:00:00Z\nx"},
        {"time": "1826-11-24T10:00:00Z"},
        {"time": 3},
        {"by": "x" * 501},
        {"by": "\x1b[31m"},
        {"node": ["node7"]},
        {"node": None},
    ],
)
def test_a_reading_that_is_none_is_refused_with_its_run(changed):
    own = {"time": "2026-11-24T10:00:00Z", "by": "train", "node": "node7"}
    check_record(MachineReading, own, "a reading")
    with pytest.raises(RunError, match="a reading"):
        check_record(MachineReading, own | changed, "a reading")


def test_the_record_is_held_while_a_line_is_added(small, monkeypatch):
    """Appending is not whole on a shared disk: lines of two machines would overwrite one another."""
    held, locked = [], disk.locked
    monkeypatch.setattr(disk, "locked", lambda path: (held.append(path.name), locked(path))[1])
    TestAccessLog(small, "train").add("native", "a" * 64)
    assert [name.endswith(".jsonl.lock") for name in held] == [True]


def test_names_of_machines_stay_with_their_owner(small, tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "secret-host-7")
    train_recipe(LINEAR, out=tmp_path / "a")
    made = open_run(tmp_path / "a").provenance
    assert made["machine"]["node"] == made["test_reading"]["node"] == "secret-host-7"
    assert made["machine"]["processor"]
    assert made["machine"]["blas_threads"] >= 1
    pl.export_for_sharing(tmp_path / "a", tmp_path / "copy")
    for folder in ("a", "copy"):
        for path in (tmp_path / folder).rglob("*"):
            if path.is_file() and path != tmp_path / "a" / "provenance.json":
                assert b"secret-host-7" not in path.read_bytes(), path
    assert open_run(tmp_path / "copy").provenance["machine"]["processor"] == made["machine"]["processor"]
    content = make_content(Ordinal(LABELS), Ordinal(LABELS).encode(np.arange(60) % 4))
    shown = dict(provenance_groups(replace(content, provenance=made)))
    assert "blas threads" in dict(shown["Machine"])
    assert "secret-host-7" not in repr(shown)


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
