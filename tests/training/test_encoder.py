"""A run of an encoder with a probe: trained, written as one file, asked again, continued by its recipe."""

import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from starlette.testclient import TestClient

import penlight as pl
from penlight.data.folders import encoders_folder
from penlight.errors import DataError, EncoderError, ExportError, NoEncoderError
from penlight.evaluation.decision import find_decision
from penlight.explanation.neighbours import neighbours_from_bytes
from penlight.models.encoder_file import find_encoder
from penlight.models.feature_classifiers import FeatureTable, prob_of
from penlight.models.probe import Probe
from penlight.recipes import Encoded
from penlight.runs.cases import cases_from_bytes
from penlight.runs.predictor import open_predictor
from penlight.serve import make_app, open_registry
from penlight.tasks import MultiClass
from tests.cli.test_cli import in_a_new_process
from tests.conftest import is_full
from tests.models.encoders import WIDTH, draw_encoder
from tests.remembered import draw_once, leave_reports_out


@pytest.mark.mapped
def test_a_run_of_an_encoder_has_scores_and_one_file_that_answers_as_it_does_and_loads_no_framework(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    few = {"train": 240, "val": 60, "test": 60}
    draw_once(monkeypatch, few)
    draw_encoder(tmp_path / "e.onnx")
    # It is explained by that file too, exactly and without Keras.
    said = in_a_new_process(
        "import sys, penlight as pl\n"
        "from pytest import MonkeyPatch\n"
        "from tests.conftest import sketch_figures\n"
        "from tests.remembered import draw_once\n"
        "patch = MonkeyPatch()\n"
        f"draw_once(patch, {few})\n"
        "sketch_figures(patch)\n"
        "pl.train('retina-phantom', 'encoder', options={'model.weights': 'e.onnx'}, out='run')\n"
        "e = pl.explain('run', split='test', rows=[3])\n"
        "print(e.method, e.explanations[0].map.max())\n"
        "print(*sorted({'torch', 'tensorflow', 'keras', 'jax'} & set(sys.modules)))\n",
        PYTHONPATH=os.pathsep.join(sys.path),
    )
    assert said.splitlines()[-2:] == ["cam 1.0", ""]
    run = pl.open_run("run")
    assert run.scores.frame().loc["auc", "value"] > 0.6
    assert run.recipe.model.sha256
    assert " test fundus photographs the probe on an encoder's features ranks " in (run.path / "card.md").read_text()
    images, _ = pl.load("retina-phantom", split="test")
    model = open_predictor(tmp_path / "run")
    np.testing.assert_allclose(model.logits(images), run.predictions("test").logits, atol=1e-4)
    # Of images that are covered no features are kept.
    cases = cases_from_bytes((tmp_path / "run/explained.npz").read_bytes())
    assert (cases.method, np.isfinite(cases.mean_alike)) == ("cam", True)
    kept = [np.load(place) for place in (tmp_path / "cache").rglob("hashes-*.npy")]
    assert sum(map(len, kept)) == 2 * sum(run.provenance["images"].values())
    assert pl.explain("run", split="test", rows=[3], method="occlusion").method == "occlusion"
    # Similar images were found by features that were kept; those of the file find them again.
    kept = neighbours_from_bytes((tmp_path / "run" / "neighbours.npz").read_bytes())
    assert kept.by == "features"
    train, _ = pl.load("retina-phantom", split="train")
    for row, found in zip(kept.rows[:5].tolist(), kept.nearest(model, train[kept.rows[:5]], 1), strict=True):
        assert (found[0].row, round(found[0].similarity, 3)) == (row, 1)
    # The run is an encoder for another dataset, and not for its own.
    found = find_encoder(Encoded(weights="run"))
    assert (found.width, found.side, found.output) == (2 * WIDTH, 28, "features")
    with pytest.raises(EncoderError, match="run was trained on the images of retina-phantom"):
        pl.train("retina-phantom", "encoder", options={"model.weights": "run"}, out="of-itself")
    assert not Path("of-itself").exists()
    draw_encoder(tmp_path / "e.onnx", side=32)
    with pytest.raises(EncoderError, match="another encoder than the recipe's"):
        pl.train("retina-phantom", "run/recipe.toml", out="again")
    with pytest.raises(DataError, match=r"gone\.onnx was not found"):
        pl.train("retina-phantom", "encoder", options={"model.weights": "gone.onnx"}, out="gone")
    assert not Path("gone").exists()


def test_a_run_refers_to_an_encoder_that_may_not_be_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    draw_once(monkeypatch, {"train": 100, "val": 40, "test": 40})
    leave_reports_out(monkeypatch)
    encoder = draw_encoder(tmp_path / "e.onnx", properties={"licence": "CC-BY-NC-4.0"})
    options = {"model.weights": "e.onnx", "model.sizes": [28]}
    run = pl.train("retina-phantom", "encoder", options=options, out="run", images=False)
    Image.fromarray(np.zeros((28, 28, 3), np.uint8)).save("eye.png")

    def answers(run: object) -> object:
        return pl.predict(run, "eye.png").frame().filter(like="prob").to_dict()  # type: ignore[arg-type]

    before = answers("run")
    assert before
    said = "Encoder e: CC-BY-NC-4.0. The run refers to it and does not contain it; SHA-256"
    assert said in (run.path / "card.md").read_text().replace("\\", "")
    # Weights of the encoder are in no file of the run, and in no copy of it.
    weights = next(each.raw_data for each in onnx.load(encoder).graph.initializer if each.name == "w2")
    shared = pl.export_for_sharing("run").folder
    exported = pl.export("run", out="out.onnx").file
    for file in (*run.path.rglob("*"), *shared.rglob("*"), exported):
        assert not file.is_file() or weights[:400] not in file.read_bytes(), file
    assert answers(shared) == before
    content = encoder.read_bytes()
    encoder.unlink()
    for use in (
        lambda: pl.predict("run", "eye.png"),
        lambda: pl.export("run"),
        lambda: pl.explain("run", "eye.png"),
    ):
        with pytest.raises(NoEncoderError, match=r"refers to the encoder e .* is not on this machine.*add_encoder"):
            use()
    with TestClient(make_app(open_registry([run.path]), names={"testserver"})) as served:
        asked = served.post("/api/v1/runs/run/predict", files={"files": Path("eye.png").read_bytes()})
    assert asked.status_code == 503
    assert "refers to the encoder e " in asked.json()["error"]
    (tmp_path / "kept.onnx").write_bytes(content)
    pl.add_encoder("kept.onnx", name="another-name")
    assert answers("run") == before
    draw_encoder(encoders_folder() / "another-name" / "another-name.onnx", ends="map")
    with pytest.raises(NoEncoderError, match=r"another-name\.onnx was changed: its SHA-256 is"):
        pl.predict("run", "eye.png")


def test_an_encoder_without_licence_leaves_a_run_only_if_a_person_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    draw_once(monkeypatch, {"train": 100, "val": 40, "test": 40})
    leave_reports_out(monkeypatch)
    draw_encoder(tmp_path / "e.onnx", properties={"licence": ""})
    pl.train("retina-phantom", "encoder", options={"model.weights": "e.onnx", "model.sizes": [28]}, out="run")
    assert pl.export("run").file == Path("run/model.onnx")
    for export in (
        pl.export_for_sharing,
        pl.export_without_images,
        lambda run, **own: pl.export(run, out="o", **own),
    ):
        with pytest.raises(ExportError, match=r"licence is not known\. If it may, say so with licence_checked"):
            export("run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "e.onnx", "run"]
    assert pl.export_for_sharing("run", licence_checked=True).folder.is_dir()
    assert pl.export("run", out="o.onnx", licence_checked=True).file.is_file()


def _patients(rng: np.random.Generator, n: int, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of images of n patients, four each: what a patient has, of which a part says the class, and noise."""
    own = rng.normal(size=(n, len(axes)))
    said = own[:, :3] + rng.normal(size=(n, 3))
    z = np.repeat(own, 4, axis=0) @ axes + 0.3 * rng.normal(size=(4 * n, len(axes)))
    y = np.repeat(np.eye(3, dtype=np.uint8)[said.argmax(axis=1)], 4, axis=0)
    return z.astype(np.float32), y, np.repeat(np.arange(n), 4)


def test_answers_out_of_fold_by_patient_calibrate_and_prediction_sets_cover() -> None:
    """What is said of a patient left out is as good as what is said of a new one, and teaches how sure to be."""
    task, found = MultiClass(("a", "b", "c")), []
    for seed in range(10 if is_full() else 4):
        rng = np.random.default_rng(seed)
        axes = np.linalg.qr(rng.normal(size=(60, 60)))[0]
        (z, y, patients), (z_val, y_val, of_val), (z_test, y_test, _) = (
            _patients(rng, n, axes) for n in (75, 50, 200)
        )
        # So weak a penalty makes it far too sure.
        probe = Probe(Encoded(strength=3.0)).fit(FeatureTable(z, y, True, seed, patients))
        by_image = Probe(Encoded(strength=3.0)).fit(FeatureTable(z, y, True, seed))
        val, test, left_out, alone = (
            prob_of(scores, exclusive=True)
            for scores in (probe.scores(z_val), probe.scores(z_test), probe.held_out, by_image.held_out)
        )
        few = slice(20)
        how = {"groups": of_val[few], "train_groups": patients}
        both = find_decision(task, y_val[few], val[few], y.mean(axis=0), out_of_fold=(y, left_out), **how)
        sets = find_decision(task, y_val, val, y.mean(axis=0), groups=of_val, train_groups=patients)
        measured = [_log_loss(y_test, p) for p in (test, both.calibration.apply(task, test))]
        measured += [_log_loss(y, left_out), _log_loss(y, alone)]
        measured += [_error(y_test, p) for p in (test, both.calibration.apply(task, test))]
        given = sets.sets(task, sets.calibration.apply(task, test))
        assert given is not None
        found.append([*measured, given.reshape(len(y_test), -1)[y_test == 1].mean()])
    plain, calibrated, left_out, alone, error, less, covered = np.mean(found, axis=0)
    assert calibrated < plain - 0.05
    assert less < error / 2
    # Images of the same patient in train would make answers look better than those to new patients are.
    assert alone < left_out / 2
    assert abs(left_out - plain) < 0.2 * plain
    assert covered > 0.88


def _log_loss(y: np.ndarray, prob: np.ndarray) -> float:
    return float(-np.log(prob[y == 1]).mean())


def _error(y: np.ndarray, prob: np.ndarray) -> float:
    """How far from right the surest answers are: stated confidence less accuracy."""
    return abs(float(prob.max(axis=1).mean() - y[np.arange(len(y)), prob.argmax(axis=1)].mean()))
