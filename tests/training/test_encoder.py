"""A run of an encoder with a probe: trained, written as one file, asked again, continued by its recipe."""

from pathlib import Path

import numpy as np
import pytest

import penlight as pl
from penlight.errors import DataError, EncoderError
from penlight.explanation.neighbours import neighbours_from_bytes
from penlight.runs.predictor import open_predictor
from tests.models.encoders import draw_encoder


@pytest.mark.mapped
def test_a_run_of_an_encoder_has_scores_and_one_file_that_answers_as_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    draw_encoder(tmp_path / "e.onnx")
    run = pl.train("retina-phantom", "encoder", options={"model.weights": "e.onnx"}, out="run")
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
