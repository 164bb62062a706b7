"""Folds that become one model: the command's promise, and what stands in its way."""

import numpy as np
import pytest

import penlight as pl
from penlight.api.training import cross_validate_recipe
from penlight.data import store
from penlight.data.accesses import accesses_of
from penlight.errors import RunError
from penlight.runs import Predictor, open_run
from penlight.serve.gallery import gather
from penlight.serve.registry import open_registry
from tests.conftest import sketch_figures
from tests.test_folds import LINEAR, named


@pytest.fixture
def small(monkeypatch):
    dataset = named()
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    return dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two folds of the linear recipe, and the model that they became."""
    with pytest.MonkeyPatch.context() as patch:
        sketch_figures(patch)
        patch.setattr(store, "open_dataset", lambda name, size: named())
        return cross_validate_recipe(LINEAR, folds=2, out=tmp_path_factory.mktemp("made") / "folds").folder


def part_files(folder):
    return [(folder / f"fold-{number}" / "model.onnx").read_bytes() for number in (1, 2)]


def test_the_folder_answers_as_one_model_which_is_the_mean_of_the_folds(made, small):
    images = small.splits["test"].images
    logits = np.mean([Predictor(content, "part").logits(images) for content in part_files(made)], axis=0)
    run = open_run(made)
    test = run.model_predictions("test")
    assert run.path == made / "final"
    assert np.abs(test.prob - test.task.probabilities(logits)).max() < 1e-6
    calibrated, _ = run.decision.answer(test.task, test.task.probabilities(logits))
    answered = pl.predict(made, images[:5]).predictions
    assert [list(own.answer.probabilities.values()) for own in answered] == pytest.approx(calibrated[:5], abs=1e-6)


def test_it_is_calibrated_on_the_answers_out_of_fold_and_test_is_scored_once(made, small):
    run = open_run(made)
    held_out = run.model_predictions("val")
    joined = (made / "predictions-folds.npz").read_bytes()
    assert (made / "final" / "predictions-val.npz").read_bytes() == joined
    assert (len(held_out), held_out.split, run.decision.images) == (80, "folds", 80)
    scores = pl.evaluate(made)
    assert scores.final.to_dict() == run.metrics.to_dict()
    assert (scores.split, scores.final.split) == ("folds", "test")
    opened = pl.open_run(made)
    assert opened.scores.to_dict() == scores.to_dict()
    assert opened.final.path == run.path
    page = (made / "report.html").read_text()
    assert "The model of all folds" in page
    assert 'href="final/report.html"' in page
    assert "was not read" not in page
    assert "read once after that" in (made / "card.md").read_text()


def test_every_command_takes_the_folder(made, small, tmp_path):
    compared = pl.compare(made, f"{made}:majority")
    assert len(compared.differences) == 1
    assert pl.export(made, out=tmp_path / "one.onnx").parity.difference < 1e-6
    assert len(pl.explain(made, split="test", rows=[0], out=tmp_path / "maps").frame())
    for folder in (made, made / "final"):
        page = (folder / "report.html").read_bytes()
        pl.report(folder)
        assert (folder / "report.html").read_bytes() == page
    registry = open_registry([made])
    (group,) = registry.groups.values()
    assert [registry.runs[name].folder.name for name in group.runs] == ["final", "fold-1", "fold-2"]
    (entry,) = [own for part in gather(registry).groups for own in part.entries]
    assert (entry.detail, [own.opens for own in entry.parts]) == ("answers of 2 folds", [True] * 3)


def test_a_copy_to_be_shared_answers_too(made, small, tmp_path):
    copied = pl.export_for_sharing(made, out=tmp_path / "copy")
    assert copied.runs == 3
    assert not copied.unknown
    images = small.splits["test"].images[:2]
    assert pl.predict(copied.folder, images).to_dict()["images"] == pl.predict(made, images).to_dict()["images"]


def test_without_test_there_is_no_model_and_the_same_command_can_make_it_later(made, small, tmp_path, unreported):
    folder = tmp_path / "folds"
    cross_validate_recipe(LINEAR, folds=2, test=False, out=folder)
    assert not [own for own in accesses_of(small) if own.split == "test"]
    with pytest.raises(RunError, match="a cross-validation, with one run for each fold"):
        pl.predict(folder, small.splits["test"].images[:1])
    first = (folder / "fold-1" / "manifest.json").read_bytes()
    cross_validate_recipe(LINEAR, folds=2, out=folder)
    assert (folder / "fold-1" / "manifest.json").read_bytes() == first
    assert (folder / "final" / "model.onnx").read_bytes() == (made / "final" / "model.onnx").read_bytes()
    read = [(own.by, own.run) for own in accesses_of(small) if own.split == "test" and own.by != "baseline"]
    assert read == [("train", "final")]
