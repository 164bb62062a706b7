"""Folds that become one model: the command's promise, and what stands in its way."""

import shutil

import numpy as np
import onnx
import pytest

import penlight as pl
from penlight.api.training import cross_validate_recipe, train_recipe
from penlight.api.verdicts import verdict_of
from penlight.data import store
from penlight.data.accesses import accesses_of
from penlight.errors import ArgumentError, RecipeError, RunError
from penlight.models import LinearBaseline
from penlight.models.graph import Graph
from penlight.recipes import Ensemble, with_overrides
from penlight.runs import Predictor, open_run, predictions_from_bytes, write_json
from penlight.runs.files import sealed
from penlight.serve.gallery import gather
from penlight.serve.registry import open_registry
from penlight.tasks import Ordinal
from tests.conftest import LABELS, sketch_figures, small_dataset
from tests.remembered import leave_reports_out
from tests.stubs import stub_fit
from tests.test_folds import LINEAR, NETWORK, named


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


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The same two folds, which did not become a model yet."""
    with pytest.MonkeyPatch.context() as patch:
        leave_reports_out(patch)
        patch.setattr(store, "open_dataset", lambda name, size: named())
        return cross_validate_recipe(LINEAR, folds=2, test=False, out=tmp_path_factory.mktemp("parts") / "folds")


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
    asked = pl.predict(made, images[:5])
    assert " images the linear baseline, averaged over 2 trainings, ranks " in asked.model["on_test"]["verdict"]
    answered = asked.predictions
    assert [list(own.answer.probabilities.values()) for own in answered] == pytest.approx(calibrated[:5], abs=1e-6)


def test_it_is_calibrated_on_the_answers_out_of_fold_and_test_is_scored_once(made, small):
    run = open_run(made)
    held_out, joined = run.model_predictions("val"), predictions_of(made / "predictions-folds.npz")
    assert (len(held_out), held_out.split, run.decision.images) == (80, "folds", 80)
    assert run.decision.found_on == "train and val, out of fold"
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
    assert "The final model averages those of all folds" in page
    assert page.count('href="final/report.html"') == 3
    assert "was not read" not in page
    assert "read once after that" in (made / "card.md").read_text()
    own, card = ((made / "final" / name).read_text() for name in ("report.html", "card.md"))
    # The first screen of the folds says it too.
    for text in (own, card, page, verdict_of(made, scores.final)):
        assert "the linear baseline, averaged over 2 trainings, ranks" in text
    assert "at others chosen on train and val, out of fold" in own


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
    assert [own.detail for own in entry.parts] == ["average of 2 models", "seed 0", "seed 0"]


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


def test_repeated_folds_divide_anew_and_all_their_models_are_one(parts, small, tmp_path, unreported):
    result = cross_validate_recipe(LINEAR, folds=2, repeats=2, out=tmp_path / "folds")
    folder, scores = result.folder, result.scores
    assert (scores.folds, scores.repeats, scores.divided) == ([1, 2, 3, 4], 2, "2 folds, 2 times")
    runs = [open_run(folder / f"fold-{number}") for number in scores.folds]
    assert [run.seed for run in runs] == [0, 0, 1, 1]
    assert runs[2].command.endswith("/fold-3/recipe.toml --seed 1 --folds 2")
    own = [parts, cross_validate_recipe(LINEAR, folds=2, seed=1, test=False, out=tmp_path / "s1")]
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


def refit(recipe):
    return with_overrides(recipe, ["train.final=refit"])


def test_refit_it_is_the_recipe_once_more_on_train_and_val_for_the_median_epoch(small, tmp_path, monkeypatch):
    stub_fit(monkeypatch)
    recipe = refit(with_overrides(NETWORK, ["train.epochs=3"]))
    folder = cross_validate_recipe(recipe, folds=3, out=tmp_path / "folds").folder
    parts = [open_run(folder / f"fold-{number}") for number in (1, 2, 3)]
    final = open_run(folder)
    epochs = sorted(run.provenance["best_epoch"] for run in parts)
    assert (final.provenance["final"], final.provenance["best_epoch"]) == ("refit", epochs[1])
    assert final.recipe == recipe
    assert final.history is None
    assert pl.Run.of(final).keras_model().count_params() == final.provenance["parameters"]
    assert len(final.model_predictions("val")) == 80
    page = (folder / "final" / "report.html").read_text()
    assert "val is among the images that this model was trained on" in page
    assert pl.predict(folder, small.splits["test"].images[:1]).failed == 0


def test_a_linear_refit_is_that_of_all_images(small, tmp_path, unreported):
    folder = cross_validate_recipe(refit(LINEAR), folds=2, out=tmp_path / "folds").folder
    both = [small.splits[name] for name in ("train", "val")]
    images, labels = (np.concatenate([getattr(own, of) for own in both]) for of in ("images", "labels"))
    model = LinearBaseline(LINEAR.model)
    run = open_run(folder)
    task = run.model_predictions("test").task
    model.fit(images, task.encode(labels[:, 0]), task, mirrors=True)
    test = small.splits["test"].images
    assert run.model_predictions("test").prob == pytest.approx(model.predict(test), abs=1e-6)


def test_seeds_are_averaged_and_calibrated_on_val(small, tmp_path, monkeypatch):
    stub_fit(monkeypatch)
    result = train_recipe(NETWORK, seeds=2, ensemble=True, out=tmp_path / "seeds")
    folder, runs = result.folder, [open_run(result.folder / f"seed-{seed}") for seed in (0, 1)]
    final = open_run(folder)
    for split in ("val", "test"):
        logits = np.mean([run.model_predictions(split).logits for run in runs], axis=0)
        assert final.model_predictions(split).logits == pytest.approx(logits, abs=1e-4)
        assert final.model_predictions(split).index.tolist() == runs[0].model_predictions(split).index.tolist()
    assert final.provenance["parameters"] == 2 * runs[0].provenance["parameters"]
    assert result.scores.final.to_dict() == final.metrics.to_dict()
    assert pl.evaluate(folder).to_dict() == result.scores.to_dict()
    assert "those of its models are in their own reports" in (folder / "final" / "report.html").read_text()
    page = (folder / "report.html").read_bytes()
    assert b"averaged over 2 trainings, ranks" in page
    assert b'href="final/report.html"' in page
    assert pl.report(folder).read_bytes() == page
    assert pl.compare(folder, folder / "seed-0").comparison.models[0].seeds == (0,)
    assert open_run(folder / "seed-0").seed == 0


def test_killed_at_its_last_step_it_goes_on_there(made, small, tmp_path, unreported):
    class PulledPlugError(Exception):
        pass

    for step in ("Averaging the models", "Computing saliency maps", "Scoring all folds"):

        class Pull(pl.ProgressListener):
            final = False

            def on_run_begin(self, spec, group, step=step):
                self.final = spec.folder.name == "final"

            def on_step(self, what, step=step):
                if what == step and (self.final or "models" in step):
                    raise PulledPlugError

        with pytest.raises(PulledPlugError):
            cross_validate_recipe(LINEAR, folds=2, out=tmp_path / "folds", listener=Pull())
        assert not (tmp_path / "folds" / "summary.json").exists()
    first = (tmp_path / "folds" / "fold-1" / "manifest.json").read_bytes()
    cross_validate_recipe(LINEAR, folds=2, out=tmp_path / "folds")
    assert (tmp_path / "folds" / "fold-1" / "manifest.json").read_bytes() == first
    for name in ("final/model.onnx", "final/predictions-test.npz", "final/decision.json", "summary.json"):
        assert (tmp_path / "folds" / name).read_bytes() == (made / name).read_bytes()


def test_parts_that_share_an_encoder_hold_it_and_compute_it_once():
    """Five models with one encoder, of which only the last layer differs."""
    rng = np.random.default_rng(0)
    encoder = tiny_encoder(rng)
    parts = []
    for _ in range(5):
        graph = Graph((8, 8, 1))
        features = graph.embed(encoder, "x", graph.pixels().name, {"features": (64,)})[0]
        parts.append(graph.model({"logits": graph.dense(features, rng.normal(size=(64, 3)), None)}, "", {}))
    graph = Graph((8, 8, 1))
    logits = [graph.embed(part, "image", "image", {"logits": (3,)})[0] for part in parts]
    whole = graph.model({"logits": sum(logits[1:], start=logits[0]) * 0.2}, "", {})
    kinds = [node.op_type for node in whole.graph.node]
    assert (kinds.count("MatMul"), kinds.count("Tanh"), kinds.count("Gemm")) == (1, 1, 5)
    large = [len(own.raw_data) for own in whole.graph.initializer if len(own.raw_data) > 10_000]
    assert large == [64 * 64 * 4]
    images = rng.integers(0, 256, (4, 8, 8, 1), np.uint8)
    own, *each = [asked(model, images) for model in (whole, *parts)]
    assert own == pytest.approx(np.mean(each, axis=0), abs=1e-5)


def tiny_encoder(rng):
    weights = onnx.numpy_helper.from_array(rng.normal(size=(64, 64)).astype(np.float32), "w")
    shape = onnx.numpy_helper.from_array(np.array([-1, 64]), "shape")
    nodes = [
        onnx.helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "w"], ["hidden"]),
        onnx.helper.make_node("Tanh", ["hidden"], ["features"]),
    ]
    values = [onnx.helper.make_tensor_value_info(name, 1, ["N", *own]) for name, own in
              (("x", [8, 8, 1]), ("features", [64]))]  # fmt: skip
    graph = onnx.helper.make_graph(nodes, "encoder", values[:1], values[1:], [weights, shape])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])


def asked(model, images):
    import onnxruntime

    return onnxruntime.InferenceSession(model.SerializeToString()).run(["logits"], {"image": images})[0]


# What cannot be


def test_models_without_an_onnx_file_stay_folds_and_it_is_said(divided):
    drop_model(divided / "fold-2")
    told = Told()
    result = cross_validate_recipe(LINEAR, folds=2, out=divided, listener=told)
    assert told.said[0].startswith("No model was made of these: to be averaged, each must have a model.onnx.")
    assert result.scores.final is None
    assert not (divided / "final").exists()


def drop_model(folder):
    """Make a run one without model.onnx, as that of some estimators."""
    run = open_run(folder)
    files = {name: own for name, own in run._files.items() if name != "model.onnx"}
    (folder / "model.onnx").unlink()
    about = {"schema": 1, "recipe_hash": run.recipe_hash, "seed": run.seed, "files": files}
    write_json(folder / "manifest.json", sealed(about))


class Told(pl.ProgressListener):
    def __init__(self):
        self.said = []

    def on_warning(self, what):
        self.said.append(what)


@pytest.fixture
def divided(parts, small, tmp_path, unreported):
    """A copy of two folds that did not become a model yet."""
    return shutil.copytree(parts.folder, tmp_path / "folds")


def test_a_fold_that_was_tampered_with_is_refused_and_nothing_is_left(divided):
    file = divided / "fold-1" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(RunError, match=r"model.onnx in the run .*fold-1"):
        cross_validate_recipe(LINEAR, folds=2, out=divided)
    assert not (divided / "final").exists()


def test_a_model_of_another_shape_is_refused(divided, monkeypatch, tmp_path):
    other = small_dataset(Ordinal(LABELS, referable=2), channels=1, n=(60, 20, 20), size=12)
    with monkeypatch.context() as patch:
        patch.setattr(store, "open_dataset", lambda name, size: other)
        strange = train_recipe(LINEAR, out=tmp_path / "other").folder
    open_run(divided / "fold-1").replace("model.onnx", (strange / "model.onnx").read_bytes())
    with pytest.raises(RunError, match=r"fold-1/model.onnx is of another task or size of images .* at 12 px"):
        cross_validate_recipe(LINEAR, folds=2, out=divided)
    assert not (divided / "final").exists()


def test_a_fold_that_lost_its_manifest_is_not_taken_for_one(divided):
    (divided / "fold-2" / "manifest.json").unlink()
    with pytest.raises(RunError, match="not empty, and not a run"):
        cross_validate_recipe(LINEAR, folds=2, out=divided)


def test_another_run_in_the_place_of_the_final_one_is_refused(divided):
    cross_validate_recipe(LINEAR, folds=2, out=divided)
    final = divided / "final"
    final.rename(divided / "aside")
    (divided / "fold-1").rename(final)
    with pytest.raises(RunError, match="final holds another run than the one that"):
        open_run(divided)


def test_what_is_asked_for_must_fit(divided, tmp_path):
    out = tmp_path / "other"
    with pytest.raises(ArgumentError, match="At most 100 repeats"):
        cross_validate_recipe(LINEAR, folds=2, repeats=101, out=out)
    with pytest.raises(RunError, match="another recipe, dataset, seed or number of folds"):
        cross_validate_recipe(LINEAR, folds=2, repeats=2, out=divided)
    with pytest.raises(RunError, match="another recipe, dataset, seed or number of folds"):
        cross_validate_recipe(refit(LINEAR), folds=2, out=divided)
    with pytest.raises(RecipeError, match="no val on which its members are weighed"):
        cross_validate_recipe(refit(LINEAR.model_copy(update={"model": Ensemble()})), folds=2, out=out)
    with pytest.raises(RecipeError, match=r"'train.final' input should be 'ensemble' or 'refit'"):
        pl.train("small", "linear", final="mean", out=out)
    with pytest.raises(RecipeError, match="ensemble averages the models of several seeds"):
        pl.train("small", "linear", ensemble=True, out=out)
    with pytest.raises(RecipeError, match="repeats is for folds"):
        pl.train("small", "linear", repeats=2, out=out)
    with pytest.raises(RunError, match="not of several seeds"):
        train_recipe(LINEAR, seeds=2, ensemble=True, out=divided)
    assert not out.exists()
