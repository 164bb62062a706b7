"""Checks from end to end: a planted fault is told by train, evaluate, score and the reports; a clean run is not."""

import json
import shutil

import numpy as np
import pytest

import penlight as pl
from penlight.api.training import train_recipe
from penlight.data import store
from penlight.evaluation import find_row
from penlight.evaluation.checks import CHECKS, run_checks
from penlight.recipes import Cnn, Data, Linear, Recipe, Train
from penlight.runs import open_run
from penlight.runs.evidence import evidence_of_run
from penlight.runs.files import sealed
from penlight.tasks import MultiClass
from tests.conftest import LABELS, small_dataset
from tests.data.test_record import with_patients
from tests.stubs import stub_fit

LINEAR = Recipe(data=Data(dataset="small"), model=Linear(components=10))


@pytest.fixture
def planted(monkeypatch):
    """Open a well learnable dataset under any name, after a change of its splits."""

    def plant(change=lambda splits: None):
        dataset = with_patients(small_dataset(MultiClass(LABELS), n=(240, 120, 144)), 1)
        change(dataset.splits)
        monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
        return dataset

    return plant


@pytest.fixture
def quick(monkeypatch):
    """Leave the report of a run out, and what a network learns; they have tests of their own."""
    monkeypatch.setattr("penlight.reports.run_report", lambda content: content.name)
    stub_fit(monkeypatch)


def codes(scores):
    return [check.code for check in scores.checks]


def test_a_clean_run_raises_none(planted, tmp_path):
    planted()
    scores = train_recipe(LINEAR, out=tmp_path / "run").scores
    assert [check.seen for check in scores.checks] == []
    assert "No check reported a problem." in (tmp_path / "run" / "report.html").read_text()
    assert "No check reported a problem." in (tmp_path / "run" / "card.md").read_text()


def leaked(splits):
    splits["test"].images[5], splits["test"].labels[5] = splits["train"].images[7], splits["train"].labels[7]


def read_twice(splits):
    splits["train"].images[3] = splits["train"].images[7]
    splits["train"].labels[3] = (splits["train"].labels[7] + 1) % 4


def underexposed(splits):
    splits["test"].images[:] = splits["test"].images // 8


def shuffled(splits):
    """In every split: where test still has its order, a network that learned nothing can score high by luck."""
    for seed, split in enumerate(splits.values()):
        split.labels[:] = np.random.default_rng(seed).permutation(split.labels)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(leaked, "PL008", marks=pytest.mark.full),
        (shuffled, "PL012"),
        pytest.param(read_twice, "PL013", marks=pytest.mark.full),
        pytest.param(underexposed, "PL011", marks=pytest.mark.full),
    ],
)
def test_a_planted_fault_raises_its_check_and_evaluate_needs_no_dataset(
    planted, quick, monkeypatch, tmp_path, change, code
):
    planted(change)
    run = tmp_path / "run"
    network = Recipe(
        data=Data(dataset="small"), model=Cnn(filters=(4,), dense=8), train=Train(epochs=1, batch_size=64)
    )
    trained = train_recipe(network if change is shuffled else LINEAR, out=run)
    assert code in codes(trained.scores)
    said = next(check for check in trained.scores.checks if check.code == code)
    assert said.seen in (run / "card.md").read_text()
    monkeypatch.setattr(store, "open_dataset", None)
    assert pl.evaluate(run).to_dict() == trained.scores.to_dict() == json.loads((run / "metrics.json").read_text())
    assert codes(pl.evaluate(run, "val")) == codes(trained.scores)


def test_evidence_of_a_run_is_what_its_files_say(planted, quick, tmp_path):
    planted()
    recipe = Recipe(
        data=Data(dataset="small"), model=Cnn(filters=(4,), dense=8), train=Train(epochs=2, batch_size=64)
    )
    scores = train_recipe(recipe, out=tmp_path / "run").scores
    run = open_run(tmp_path / "run")
    e = evidence_of_run(run, scores.metrics)
    np.testing.assert_array_equal(e.test.sample.prob, run.answers("test").predictions.prob)
    assert set(e.baselines) == {"majority", "linear"}
    np.testing.assert_allclose(e.curves.val_headline, run.history["val_headline"])
    np.testing.assert_allclose(e.curves.learning_rate, run.history["learning_rate"])
    assert e.epochs_planned == 2
    assert e.data == run.data
    assert run.data.images == {"train": 240, "val": 120, "test": 144}
    assert e.against("linear").value == pytest.approx(
        find_row(scores.metrics, "auc").value - find_row(scores.baselines["linear"], "auc").value
    )
    assert len(CHECKS) > len(run_checks(e))


def test_score_raises_what_its_evidence_shows(planted, tmp_path):
    dataset = planted(leaked)
    y = dataset.info.task.encode(dataset.splits["test"].labels)
    good = y * 0.96 + 0.01
    for name, prob in (("good", good), ("none", np.random.default_rng(0).permutation(good))):
        np.savetxt(tmp_path / f"{name}.csv", np.column_stack([np.arange(len(y)), prob]), delimiter=",")
    found = codes(pl.score(tmp_path / "good.csv", "small"))
    # The model may have been trained on other images: duplicates in this train say nothing of it.
    assert not {"PL008", "PL001", "PL003", "PL009", "PL012"} & set(found)
    assert {"PL006", "PL012"} <= set(codes(pl.score(tmp_path / "none.csv", "small")))


def test_seeds_have_their_checks_together(planted, quick, tmp_path):
    planted(leaked)
    scores = train_recipe(LINEAR, out=tmp_path / "runs", seeds=2).scores
    # The same picture under two patients is a find of its own.
    assert codes(scores) == ["PL008", "PL017"]
    assert json.loads((tmp_path / "runs" / "summary.json").read_text())["checks"] == scores.to_dict()["checks"]
    assert "PL008" in (tmp_path / "runs" / "report.html").read_text()
    assert codes(pl.evaluate(tmp_path / "runs")) == codes(scores)


def test_a_run_that_kept_no_data_is_checked_by_the_rest(planted, quick, tmp_path):
    planted(lambda splits: (leaked(splits), underexposed(splits)))
    train_recipe(LINEAR, out=tmp_path / "run")
    run = tmp_path / "run"
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["files"]["data.json"]
    (run / "manifest.json").write_text(json.dumps(sealed(manifest)))
    shutil.move(run / "data.json", tmp_path)
    assert "PL011" in codes(pl.evaluate(run))
    assert "PL008" not in codes(pl.evaluate(run))
    assert evidence_of_run(open_run(run), []).data is None
