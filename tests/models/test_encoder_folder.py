"""The folder of encoders: which are found, by what names."""

from pathlib import Path

import pytest
from onnx import TensorProto

from penlight.data.folders import encoders_folder
from penlight.errors import DataError
from penlight.models.encoder_file import encoders_here
from penlight.runs.encoders import find_weights
from tests.models.encoders import draw_encoder


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("PENLIGHT_DATA", str(folder))
    return folder


def kept(name: str) -> Path:
    folder = encoders_folder() / name
    folder.mkdir(parents=True)
    return folder / f"{name}.onnx"


def test_encoders_that_open_without_a_question_are_found(data_folder: Path) -> None:
    assert encoders_here() == ([], {})
    draw_encoder(data_folder / "b.onnx")
    draw_encoder(data_folder / "asks.onnx", dtype=TensorProto.FLOAT, layout="NCHW")
    draw_encoder(data_folder / "own_run.onnx", producer_name="penlight", domain="run")
    (data_folder / "broken.onnx").write_bytes(b"none")
    draw_encoder(kept("a.v1"), ends="map", layout="NCHW")
    draw_encoder(kept("same"))
    assert [encoder.path.stem for encoder in encoders_here()[0]] == ["a.v1", "b"]


def test_a_recipe_names_an_encoder_by_its_file_or_its_name(data_folder: Path) -> None:
    there, here = draw_encoder(kept("eyes.v1")), draw_encoder(data_folder / "chest.onnx")
    assert find_weights("eyes.v1") == find_weights("eyes.v1.onnx") == there
    assert find_weights("chest") == find_weights("chest.onnx") == find_weights(str(here)) == here
    with pytest.raises(DataError, match=r"none\.onnx"):
        find_weights("none")
    with pytest.raises(DataError):
        find_weights("../encoders/eyes.v1")
