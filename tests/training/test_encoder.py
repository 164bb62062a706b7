"""A run of an encoder with a probe: trained, written as one file, asked again, continued by its recipe."""

from pathlib import Path

import numpy as np
import pytest

import penlight as pl
from penlight.errors import DataError, EncoderError
from penlight.runs.cases import cases_from_bytes
from penlight.runs.predictor import open_predictor
from tests.cli.test_cli import in_a_new_process
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
    # It is explained by that file, exactly and without Keras; of images that are covered no features are kept.
    cases = cases_from_bytes((tmp_path / "run/explained.npz").read_bytes())
    assert (cases.method, np.isfinite(cases.mean_alike)) == ("cam", True)
    kept = [np.load(place) for place in (tmp_path / "cache").rglob("hashes-*.npy")]
    assert sum(map(len, kept)) == 2 * sum(run.provenance["images"].values())
    explained = in_a_new_process(
        "import sys, penlight as pl; e = pl.explain('run', split='test', rows=[3]); "
        "print(e.method, e.explanations[0].map.max(), [m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    assert explained == "cam 1.0 []\n"
    assert pl.explain("run", split="test", rows=[3], method="occlusion").method == "occlusion"
    draw_encoder(tmp_path / "e.onnx", side=32)
    with pytest.raises(EncoderError, match="another encoder than the recipe's"):
        pl.train("retina-phantom", "run/recipe.toml", out="again")
    with pytest.raises(DataError, match=r"gone\.onnx was not found"):
        pl.train("retina-phantom", "encoder", options={"model.weights": "gone.onnx"}, out="gone")
    assert not Path("gone").exists()
