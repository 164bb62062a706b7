"""Folds that become one model: the command's promise, and what stands in its way."""

import numpy as np
import pytest

import penlight as pl
from penlight.api.training import cross_validate_recipe
from penlight.api.verdicts import verdict_of
from penlight.data import store
from penlight.data.accesses import accesses_of
from penlight.errors import RunError
from penlight.runs import Predictor, open_run, predictions_from_bytes
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


def predictions_of(place):
    return predictions_from_bytes(place.read_bytes(), str(place))


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
    held_out, joined = run.model_predictions("val"), predictions_of(made / "predictions-folds.npz")
    assert (len(held_out), held_out.split, run.decision.images) == (80, "folds", 80)
    assert held_out.index.tolist() == joined.index.tolist()
    # The folds for which an image was val were not trained on it either.
    inner = [open_run(made / f"fold-{number}").model_predictions("val") for number in (1, 2)]
    alone = ~np.isin(joined.index, np.concatenate([own.index for own in inner]))
    assert 0 < alone.sum() < 80
    assert held_out.logits[alone] == pytest.approx(joined.logits[alone])
    row = joined.index == inner[0].index[0]
    assert held_out.logits[row] == pytest.approx((joined.logits[row] + inner[0].logits[:1]) / 2)
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


def test_repeated_folds_divide_anew_and_all_their_models_are_one(small, tmp_path, unreported):
    result = cross_validate_recipe(LINEAR, folds=2, repeats=2, out=tmp_path / "folds")
    folder, scores = result.folder, result.scores
    assert (scores.folds, scores.repeats, scores.divided) == ([1, 2, 3, 4], 2, "2 folds, 2 times")
    runs = [open_run(folder / f"fold-{number}") for number in scores.folds]
    assert [run.seed for run in runs] == [0, 0, 1, 1]
    assert runs[2].command.endswith("/fold-3/recipe.toml --seed 1 --folds 2")
    own = [
        cross_validate_recipe(LINEAR, folds=2, seed=seed, test=False, out=tmp_path / f"s{seed}") for seed in (0, 1)
    ]
    for row, one, other in zip(scores.metrics, *(each.scores.metrics for each in own), strict=True):
        assert row.value == pytest.approx((one.value + other.value) / 2, nan_ok=True)
    final = open_run(folder)
    assert [member["model"] for member in final.provenance["members"]] == [f"fold-{n}" for n in scores.folds]
    logits = [(predictions_of(each.folder / "predictions-folds.npz")).logits for each in own]
    assert predictions_of(folder / "predictions-folds.npz").logits == pytest.approx(np.mean(logits, axis=0))
    assert (final.decision.images, final.model_predictions("val").index.tolist()) == (80, list(range(80)))
    assert pl.evaluate(folder).to_dict() == scores.to_dict()
    assert pl.report(folder / "fold-3")
    assert "80 out-of-fold images of 2 folds, 2 times" in verdict_of(folder, scores)
