"""Encoders: what a file is, what it wants of pixels, and that features are what it gives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

from penlight.data import reads
from penlight.data.reads import Chosen
from penlight.errors import EncoderError
from penlight.models import encoder as features_of_encoders
from penlight.models.encoder import EncoderFeatures, encoder_features
from penlight.models.encoder_file import PIXELS, open_encoder
from tests.models.encoders import WIDTH, draw_encoder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))


def images(n: int = 6, side: int = 28, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, channels), dtype=np.uint8)


def given_by(path: Path, pixels: np.ndarray, output: str) -> np.ndarray:
    """What ONNX Runtime gives for pixels that are the encoder's own."""
    model = onnx.load(path)
    model.graph.ClearField("output")
    model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"picture": pixels})[0]


def test_features_are_those_of_the_file_at_the_size_that_pillow_would_make(tmp_path: Path) -> None:
    path = draw_encoder(tmp_path / "e.onnx")
    encoder = open_encoder(path)
    assert (encoder.width, encoder.layout, encoder.dtype, encoder.free) == (WIDTH, "NHWC", "uint8", True)
    assert (encoder.licence, encoder.pooling, encoder.side) == ("CC0-1.0", "none", 224)
    found = EncoderFeatures(encoder, (56,)).of(images())
    by_channel = [
        np.stack(
            [np.asarray(Image.fromarray(c.astype(np.float32)).resize((56, 56), 3)) for c in np.moveaxis(x, 2, 0)]
        )
        for x in images()
    ]
    pixels = np.rint(np.clip(np.moveaxis(np.stack(by_channel), 1, 3), 0, 255)).astype(np.uint8)
    np.testing.assert_allclose(found, given_by(path, pixels, "pool"), rtol=2e-4, atol=1e-5)


def test_an_image_of_its_own_size_is_not_touched(tmp_path: Path) -> None:
    path = draw_encoder(tmp_path / "e.onnx", side=28)
    found = encoder_features(open_encoder(path), (), 28).of(images())
    np.testing.assert_allclose(found, given_by(path, images(), "pool"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ends", ["map", "tokens"])
def test_maps_and_tokens_are_averaged(tmp_path: Path, ends: str) -> None:
    plain = open_encoder(draw_encoder(tmp_path / "p.onnx", layout="NCHW", side=28))
    other = open_encoder(draw_encoder(tmp_path / "o.onnx", layout="NCHW", side=28, ends=ends))
    assert (other.pooling, other.width) == ("average", WIDTH)
    np.testing.assert_allclose(
        EncoderFeatures(other, (28,)).of(images()), EncoderFeatures(plain, (28,)).of(images()), rtol=1e-5, atol=1e-6
    )


def test_of_a_classifier_the_features_are_what_its_last_dense_layer_reads(tmp_path: Path) -> None:
    encoder = open_encoder(draw_encoder(tmp_path / "c.onnx", ends="classes"))
    assert (encoder.output, encoder.width) == ("pool", WIDTH)
    assert "classifier" in encoder.why["output"]
    assert open_encoder(tmp_path / "c.onnx", {"output": "classes"}).width == 1000


def test_what_it_wants_of_pixels_is_said_and_never_guessed(tmp_path: Path) -> None:
    path = draw_encoder(tmp_path / "f.onnx", dtype=TensorProto.FLOAT, layout="NCHW", side=28)
    with pytest.raises(EncoderError, match="nothing says how it wants pixels"):
        open_encoder(path)
    plain = EncoderFeatures(open_encoder(path, {"pixels": "0..255"}), (28,)).of(images())
    np.testing.assert_allclose(plain, given_by(path, images().transpose(0, 3, 1, 2).astype(np.float32), "pool"), 1e-5)
    (tmp_path / "f.toml").write_text('pixels = "imagenet"\norder = "bgr"\nlicence = "MIT"\n')
    encoder = open_encoder(path)
    assert encoder.why["pixels"] == "f.toml"
    assert (encoder.licence, encoder.order) == ("MIT", "bgr")
    p = PIXELS["imagenet"]
    scaled = (images()[..., ::-1] * p.scale - np.array(p.mean)) / np.array(p.std)
    wanted = given_by(path, scaled.transpose(0, 3, 1, 2).astype(np.float32), "pool")
    np.testing.assert_allclose(EncoderFeatures(encoder, (28,)).of(images()), wanted, rtol=1e-4, atol=1e-5)
    assert open_encoder(path, {"pixels": "0..1"}).why["pixels"] == "as given"


def test_grey_images_go_to_encoders_of_colour_and_the_other_way(tmp_path: Path) -> None:
    grey = images(channels=1)
    colour = open_encoder(draw_encoder(tmp_path / "c.onnx", side=28))
    same = EncoderFeatures(colour, (28,)).of(np.repeat(grey, 3, axis=3))
    np.testing.assert_allclose(EncoderFeatures(colour, (28,)).of(grey), same, rtol=1e-6)
    path = draw_encoder(tmp_path / "g.onnx", side=28, channels=1)
    luminance = np.stack([np.asarray(Image.fromarray(x).convert("L")) for x in images()])[..., None]
    found = EncoderFeatures(open_encoder(path), (28,)).of(images())
    np.testing.assert_allclose(found, given_by(path, luminance, "pool"), rtol=0.02, atol=2e-3)


def test_features_are_computed_once_for_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = open_encoder(draw_encoder(tmp_path / "e.onnx"))
    first = EncoderFeatures(encoder, (28, 56)).of(images())
    assert first.shape == (6, 2 * WIDTH)

    def refuse(*_: object) -> None:
        raise AssertionError("it was computed again")

    with monkeypatch.context() as patched:
        patched.setattr(features_of_encoders._OneSide, "session", refuse)
        np.testing.assert_array_equal(EncoderFeatures(encoder, (28, 56)).of(images()[[3, 1]]), first[[3, 1]])
        with pytest.raises(AssertionError, match="again"):
            EncoderFeatures(replace(encoder, sha256="0" * 64), (28,)).of(images())
    # What was damaged is computed anew.
    for place in (tmp_path / "cache").rglob("features-*.npy"):
        place.write_bytes(place.read_bytes()[:50])
    np.testing.assert_array_equal(EncoderFeatures(encoder, (28, 56)).of(images()), first)
    # What another process keeps of the same images at the same time stays: a third may have it mapped.
    (place, *_) = (tmp_path / "cache").rglob("features-*.npy")
    before = place.stat().st_ino
    with monkeypatch.context() as patched:
        patched.setattr(features_of_encoders._Store, "refresh", lambda store: None)
        np.testing.assert_array_equal(EncoderFeatures(encoder, (28, 56)).of(images()), first)
    assert place.stat().st_ino == before


def test_features_of_many_images_are_streamed_to_a_file_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, many = open_encoder(draw_encoder(tmp_path / "e.onnx")), images(40)
    wanted = EncoderFeatures(replace(encoder, sha256="0" * 64), (28, 56)).of(many)
    monkeypatch.setattr(reads, "HELD_BYTES", 1000)
    monkeypatch.setattr(features_of_encoders, "_KEPT_AT_ONCE", 8)
    features = EncoderFeatures(encoder, (28, 56))
    found = features.of(Chosen(many, np.arange(40)))
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, wanted)
    parts = sorted((tmp_path / "cache").rglob("features-*.npy"))
    assert len(parts) == 2 + 2 * 5
    # Images in another order, of which a part is gone by now, and some are new.
    parts[0].unlink()
    rows = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(features.of(many[rows]), wanted[rows])
    np.testing.assert_array_equal(EncoderFeatures(encoder, (28, 56)).of(many[rows]), wanted[rows])
    assert EncoderFeatures(encoder, (28,)).of(many[:0]).shape == (0, WIDTH)


def test_sizes_follow_the_images_but_no_further_than_the_encoders_own(tmp_path: Path) -> None:
    free = open_encoder(draw_encoder(tmp_path / "e.onnx"))
    assert [encoder_features(free, (), side).sides for side in (28, 64, 224)] == [(56, 112), (128, 224), (224,)]
    assert encoder_features(free, (96,), 28).sides == (96,)
    fixed = open_encoder(draw_encoder(tmp_path / "f.onnx", side=32))
    assert encoder_features(fixed, (), 28).sides == (32,)
