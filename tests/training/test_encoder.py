"""A run of an encoder with a probe: trained, written as one file, asked again, continued by its recipe."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import penlight as pl
from penlight.data.folders import encoders_folder
from penlight.errors import DataError, EncoderError, ExportError, RunError
from penlight.runs.cases import cases_from_bytes
from penlight.runs.predictor import open_predictor
from tests.cli.test_cli import in_a_new_process
from tests.models.encoders import draw_encoder
from tests.remembered import draw_once


@pytest.mark.mapped
def test_a_run_of_an_encoder_has_scores_and_one_file_that_answers_as_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    draw_once(monkeypatch, {"train": 200, "val": 60, "test": 100})
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


def test_a_run_refers_to_an_encoder_that_may_not_be_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    encoder = draw_encoder(tmp_path / "e.onnx", properties={"licence": "CC-BY-NC-4.0"})
    options = {"model.weights": "e.onnx", "model.sizes": [28]}
    run = pl.train("retina-phantom", "encoder", options=options, out="run", images=False)
    Image.fromarray(np.zeros((28, 28, 3), np.uint8)).save("eye.png")

    def answers(run: object) -> object:
        return pl.predict(run, "eye.png").frame().filter(like="prob").to_dict()  # type: ignore[arg-type]

    before = answers("run")
    assert before
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
        lambda: pl.evaluate_corrupted("run"),
    ):
        with pytest.raises(RunError, match=r"refers to the encoder e .*, which is not on this machine.*add_encoder"):
            use()
    assert pl.report("run").is_file()
    (tmp_path / "kept.onnx").write_bytes(content)
    pl.add_encoder("kept.onnx", name="another-name")
    assert answers("run") == before
    draw_encoder(encoders_folder() / "another-name" / "another-name.onnx", ends="map")
    with pytest.raises(RunError, match=r"another-name\.onnx was changed: its SHA-256 is"):
        pl.predict("run", "eye.png")


def test_an_encoder_without_licence_leaves_a_run_only_if_a_person_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
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
