"""A run of an encoder with a probe: trained, written as one file, asked again, continued by its recipe."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import penlight as pl
from penlight.errors import DataError, EncoderError
from penlight.evaluation.decision import find_decision
from penlight.explanation.neighbours import neighbours_from_bytes
from penlight.models.feature_classifiers import FeatureTable, prob_of
from penlight.models.probe import Probe
from penlight.recipes import Encoded
from penlight.runs.predictor import open_predictor
from penlight.tasks import MultiClass
from tests.models.encoders import draw_encoder


def test_a_run_of_an_encoder_has_scores_and_one_file_that_answers_as_it_does_and_loads_no_framework(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    draw_encoder(tmp_path / "e.onnx")
    script = (
        "import sys, penlight as pl\n"
        "pl.train('retina-phantom', 'encoder', options={'model.weights': 'e.onnx'}, out='run')\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'tensorflow', 'keras', 'jax'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == ""
    run = pl.open_run("run")
    assert run.scores.frame().loc["auc", "value"] > 0.6
    assert run.recipe.model.sha256
    images, _ = pl.load("retina-phantom", split="test")
    model = open_predictor(tmp_path / "run")
    np.testing.assert_allclose(model.logits(images), run.predictions("test").logits, atol=1e-4)
    # Similar images were found by features that were kept; those of the file find them again.
    kept = neighbours_from_bytes((tmp_path / "run" / "neighbours.npz").read_bytes())
    assert kept.by == "features"
    train, _ = pl.load("retina-phantom", split="train")
    for row, found in zip(kept.rows[:5].tolist(), kept.nearest(model, train[kept.rows[:5]], 1), strict=True):
        assert (found[0].row, round(found[0].similarity, 3)) == (row, 1)
    draw_encoder(tmp_path / "e.onnx", side=32)
    with pytest.raises(EncoderError, match="another encoder than the recipe's"):
        pl.train("retina-phantom", "run/recipe.toml", out="again")
    with pytest.raises(DataError, match=r"gone\.onnx was not found"):
        pl.train("retina-phantom", "encoder", options={"model.weights": "gone.onnx"}, out="gone")
    assert not Path("gone").exists()


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
    for seed in range(10):
        rng = np.random.default_rng(seed)
        axes = np.linalg.qr(rng.normal(size=(60, 60)))[0]
        (z, y, patients), (z_val, y_val, of_val), (z_test, y_test, _) = (
            _patients(rng, n, axes) for n in (75, 50, 200)
        )
        # So weak a penalty makes it far too sure.
        probe = Probe(Encoded(strength=3.0)).fit(FeatureTable(z, y, {}, True, seed, patients))
        by_image = Probe(Encoded(strength=3.0)).fit(FeatureTable(z, y, {}, True, seed))
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
