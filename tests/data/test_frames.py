"""DICOM files of several frames as a dataset: one frame is taken, where it is said which, by every command."""

from pathlib import Path

import numpy as np
import pytest

import penlight as pl
from penlight.data.pictures import DecodeOptions, load_picture
from penlight.errors import DataError
from tests.cli.conftest import penlight  # noqa: F401
from tests.data.test_dicom import compressed, dicom


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of films, whose middle frame is bright in one of them, and single pictures among them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for i in range(24):
        path = tmp_path / "films" / "ab"[i % 2] / f"{i}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = rng.integers(0, 60, (5, 28, 28), np.uint16)
        frames[2] += 150 * (i % 2)
        window = {"WindowCenter": 128, "WindowWidth": 256}
        several = {"PixelData": frames.tobytes(), "NumberOfFrames": 5} if i > 3 else {}
        path.write_bytes(dicom(frames[2], **several, **window))
    return tmp_path / "films"


def test_the_frame_is_a_line_of_the_description_that_a_run_keeps(films: Path) -> None:
    found = pl.new_dataset(films, frame="middle")
    assert 'frame = "middle"' in found.description.read_text()
    run = pl.train(found.description, "majority", out="runs/films")
    assert run.reading is not None
    assert run.reading == DecodeOptions.from_dict(run.reading.to_dict())
    for dark, bright in (("a/0.dcm", "b/1.dcm"), ("a/22.dcm", "b/23.dcm")):
        assert load_picture(films / dark, run.reading).max() < 60
        assert load_picture(films / bright, run.reading).min() >= 150
    assert all(predicted.answer for predicted in pl.predict(run, films).predictions)
    page = next(file for file in pl.show(found.description, out="shown").files if file.suffix == ".html")
    assert "as it is in its file" in page.read_text()


def test_without_it_each_file_is_named_with_the_option(films: Path, penlight) -> None:  # noqa: F811
    code, _, err = penlight("data", "new", films)
    assert code == 1
    assert "20 pictures cannot be read" in err
    assert "it has 5 frames, a volume or a film; data new takes one of them with --frame middle" in err
    code, _, err = penlight("data", "new", films, "--frame", "all")
    assert code == 1
    assert "--frame all would make several images of one file" in err
    with pytest.raises(DataError, match="frame= must be one of first, middle; 'last' came"):
        pl.new_dataset(films, frame="last")
    assert not Path("films.toml").exists()


def test_a_description_with_another_frame_is_refused(films: Path) -> None:
    found = pl.new_dataset(films, frame="first")
    found.description.write_text(found.description.read_text().replace('"first"', '"last"'))
    with pytest.raises(DataError, match="frame must be first or middle; 'last' came"):
        pl.train(found.description, "majority")


def test_stores_without_a_frame_keep_their_name() -> None:
    """It is a hash of these words among others."""
    assert repr(DecodeOptions(28, 1)) == "DecodeOptions(size=28, channels=1, fit='crop', bits=16)"
    assert "which_frame='middle'" in repr(DecodeOptions(28, 1, which_frame="middle"))


def test_warnings_of_pydicom_do_not_reach_the_terminal(films: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of headers that break the standard, and that it reads all the same."""
    (films / "a" / "odd.dcm").write_bytes(dicom(NumberOfFrames=0))
    for i, name in enumerate(("SC_jpeg_no_color_transform_2.dcm", "meta_missing_tsyntax.dcm", "badVR.dcm")):
        (films / "b" / f"odd{i}.dcm").write_bytes(compressed(name))
    found = pl.new_dataset(films, frame="first", skip_unreadable=True)
    assert len(found.problems) == 2
    predicted = pl.predict(pl.train(found.description, "majority", out="runs/odd"), films).predictions
    assert len(predicted) == 28
    pl.audit(found.description)
    out, err = capfd.readouterr()
    assert "Warning" not in out + err
    assert "pydicom" not in out + err
