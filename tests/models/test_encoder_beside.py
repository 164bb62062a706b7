"""Encoders whose weights lie beside them, and those that a run refers to."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.external_data_helper import convert_model_to_external_data

from penlight.errors import EncoderError
from penlight.models import encoder_file
from penlight.models.encoder import EncoderFeatures
from penlight.models.encoder_file import find_encoder, open_encoder
from penlight.models.encoder_folder import keep_encoder
from penlight.recipes import Encoded
from penlight.runs import encoders
from penlight.runs.encoders import is_free
from tests.models.encoders import WIDTH, draw_encoder


@pytest.fixture(autouse=True)
def own_folders(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("PENLIGHT_DATA", raising=False)


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 28, 28, 3), dtype=np.uint8)


def divided(folder: Path, name: str = "parts/weights.bin") -> Path:
    """Write an encoder with its weights beside it."""
    folder.mkdir(exist_ok=True)
    model = onnx.load(draw_encoder(folder / "whole.onnx", side=28))
    convert_model_to_external_data(model, location=name, size_threshold=0)
    (folder / name).parent.mkdir(exist_ok=True)
    onnx.save(model, folder / "e.onnx")
    return folder / "e.onnx"


def test_weights_beside_an_encoder_are_part_of_it(tmp_path: Path) -> None:
    path = divided(tmp_path / "there")
    wanted = EncoderFeatures(open_encoder(tmp_path / "there" / "whole.onnx"), (28,)).of(images())
    encoder = open_encoder(path)
    np.testing.assert_array_equal(EncoderFeatures(encoder, (28,)).of(images()), wanted)
    assert find_encoder(Encoded(weights=str(path))).original == encoder.sha256
    kept = keep_encoder(path, {}, "kept")
    assert sorted(each.name for each in kept.path.parent.rglob("*")) == [
        "kept.onnx",
        "kept.toml",
        "parts",
        "weights.bin",
    ]
    assert kept.sha256 == encoder.sha256
    # The hash is of all together.
    data = kept.path.parent / "parts" / "weights.bin"
    data.write_bytes(data.read_bytes()[:-1] + b"\0")
    with pytest.raises(EncoderError, match=r"kept\.onnx was changed"):
        open_encoder(kept.path)


def test_an_encoder_is_read_once_as_long_as_its_files_are_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, count = divided(tmp_path / "there"), 0

    def counted(path: Path) -> encoders.EncoderFile:
        nonlocal count
        count += 1
        return encoders.read_encoder(path)

    monkeypatch.setattr(encoder_file, "read_encoder", counted)
    options = Encoded(weights=str(path))
    opened = find_encoder(options)
    assert opened is find_encoder(options.model_copy(update={"sha256": opened.sha256, "sizes": (28,)}))
    assert EncoderFeatures(opened, (28,)).of(images()).shape == (6, WIDTH)
    assert count == 1
    # It is read again after any of them was written: the file, what lies beside it, or what is said of it.
    beside, said = path.parent / "parts" / "weights.bin", path.with_suffix(".toml")
    for place in (path, beside, said):
        place.write_bytes(b'licence = "MIT"' if place == said else place.read_bytes())
        before, opened = opened, find_encoder(options)
        assert opened is not before, place
    assert (opened.licence, count) == ("MIT", 4)


def _place(path: Path, **said: str) -> None:
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[1].external_data:
        entry.value = said.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"location": "../outside.bin"}, "leads out of the folder"),
        ({"location": "/etc/passwd"}, "leads out of the folder"),
        ({"location": "parts/link.bin"}, "links are not followed"),
        ({"location": "linked/weights.bin"}, "links are not followed"),
        ({"location": "pipe"}, "not a regular file"),
        ({"location": "parts"}, "not a regular file|directory"),
        ({"location": "gone.bin"}, "No such file"),
        ({"location": ""}, "does not say as ONNX does"),
        ({"offset": "999999999"}, "beyond the end of"),
        ({"length": "999999999"}, "beyond the end of"),
        ({"length": "8"}, "too small for|is no ONNX network"),
        ({"offset": "-5"}, "does not say as ONNX does"),
    ],
)
def test_weights_lie_in_the_folder_of_an_encoder_or_it_is_refused(
    tmp_path: Path, said: dict[str, str], reason: str
) -> None:
    import os

    path = divided(tmp_path / "there")
    there = path.parent
    (tmp_path / "outside.bin").write_bytes((there / "parts" / "weights.bin").read_bytes())
    (there / "parts" / "link.bin").symlink_to(there / "parts" / "weights.bin")
    (there / "linked").symlink_to(there / "parts")
    os.mkfifo(there / "pipe")
    _place(path, **said)
    with pytest.raises(EncoderError, match=reason) as caught:
        open_encoder(path)
    assert caught.value.remedy


def test_weights_beside_an_encoder_count_towards_what_it_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = divided(tmp_path / "there")
    monkeypatch.setattr(encoders, "LARGEST_ENCODER", path.stat().st_size + 1000)
    with pytest.raises(EncoderError, match=r"more than 1,000"):
        open_encoder(path)


def test_weights_of_an_attribute_lie_nowhere_else(tmp_path: Path) -> None:
    path = draw_encoder(tmp_path / "e.onnx", side=28)
    model = onnx.load(path)
    tensor = onnx.helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="t.bin")
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["t"], value=tensor))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EncoderError, match="lie in another file"):
        open_encoder(path)


@pytest.mark.parametrize("beside", [False, True])
def test_a_large_encoder_is_referred_to_and_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    path = divided(tmp_path / "there") if beside else draw_encoder(tmp_path / "e.onnx", side=28)
    wanted = EncoderFeatures(open_encoder(path), (28,)).of(images())
    monkeypatch.setattr(encoder_file, "LARGEST_CONTAINED", 1000)
    monkeypatch.setattr(encoder_file, "_SMALL", 100)
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "other"))
    encoder = open_encoder(path)
    assert encoder.refers
    assert len(encoder.model.SerializeToString()) < path.stat().st_size or beside
    np.testing.assert_array_equal(EncoderFeatures(encoder, (28,)).of(images()), wanted)
    assert (encoder.width, encoder.licence) == (WIDTH, "CC0-1.0")


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        *((name, True) for name in ("Apache-2.0", "apache 2.0", "Apache License, Version 2.0", "MIT", "MIT License")),
        *((name, True) for name in ("BSD-3-Clause", "CC BY 4.0", "CC0 1.0", "The Unlicense", "public domain")),
        *((name, False) for name in ("CC-BY-NC-4.0", "proprietary", "", "see LICENSE", "MIT-like, no sharing")),
    ],
)
def test_licences_that_let_weights_be_passed_on_are_known_by_name(licence: str, free: bool) -> None:
    assert is_free(licence) == free
