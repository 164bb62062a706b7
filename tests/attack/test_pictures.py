"""Pictures that were made to harm: each is named within seconds and with little memory, and disturbs no other."""

import contextlib
import json
import time

import pytest

from penlight.data.decoding import load_files, workers
from penlight.data.pictures import DecodeOptions
from penlight.errors import PictureError
from tests.attack import hostile
from tests.cli.conftest import penlight  # noqa: F401
from tests.data.test_pictures import RAMP, saved
from tests.trained import trained

HOSTILE = {
    "jpeg2000": (hostile.jpeg2000_in_dicom, "13300 x 13300 of 1 values, and its header says 64 x 64"),
    "jpeg2000-small": (lambda: hostile.jpeg2000_in_dicom(2000), "2000 x 2000"),
    "jpeg-in-dicom": (hostile.jpeg_in_dicom, "20000 x 20000"),
    "lossless-in-dicom": (hostile.lossless_in_dicom, "20000 x 20000"),
    "scans": (lambda: hostile.scans(10_000), "scans, more than 100"),
    "more-scans": (lambda: hostile.scans(100_000), "scans, more than 100"),
    "scans-in-dicom": (lambda: hostile.scans_in_dicom(10_000), "scans, more than 100"),
    "pages": (lambda: hostile.pages(100_000), "several pages"),
    "big-pages": (lambda: hostile.big_pages(100_000), "several pages"),
    "fragments": (lambda: hostile.fragments(1_000_000), "items in sequences, more than 20,000"),
    "unknown-items": (lambda: hostile.unknown_items(1_000_000), "items in sequences, more than 20,000"),
    "unknown-nested": (lambda: hostile.unknown_nested(5_000), "cut off or damaged"),
    "animated": (lambda: hostile.animated(100_000), "several pages"),
    "texts": (lambda: hostile.texts(200), "cut off or damaged"),
    "profile": (hostile.profile, "cut off or damaged"),
    "items": (lambda: hostile.empty_items(1_000_000), "items in sequences, more than 20,000"),
    "nested": (lambda: hostile.nested(5_000), "cut off or damaged"),
    "png": (lambda: hostile.png(8000, 8000), "cut off or damaged"),
    "png-header": (lambda: hostile.png(60_000, 60_000), "more than"),
    "png-text": (hostile.text_bomb, "cut off or damaged"),
    "tile": (hostile.huge_tile, "cut off or damaged|memory"),
    "gif-frame": (lambda: hostile.gif(8, 65_000), "more than"),
    "gif-empty": (lambda: hostile.gif(8000, 8000), "cut off or damaged"),
    "webp-canvas": (lambda: hostile.webp_canvas(16_383), "more than"),
    "pgm-header": (lambda: b"P5\n60000 60000\n255\n", "more than"),
    "pgm-digits": (lambda: b"P2\n8 8\n255\n" + b"1" * 5_000_000, "cut off or damaged"),
    "bmp-runs": (lambda: hostile.bmp_of_runs(8000), "cut off or damaged"),
    "jpeg-header": (hostile.jpeg_header, "65500 x 65500|more than"),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_picture_is_named_and_its_neighbours_are_read(name):
    make, reason = HOSTILE[name]
    good = saved(RAMP)
    content = make()
    begun = time.monotonic()
    before, bad, after = load_files([good, content, good], DecodeOptions(28, 1))
    assert time.monotonic() - begun < 15
    assert isinstance(bad, PictureError)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(bad.reason)
    assert (before == after).all()


def test_very_many_elements_are_passed_over():
    """They are no reason to refuse a picture, and cost neither much time nor memory."""
    (image,) = load_files([hostile.elements(300_000)], DecodeOptions(64, 1))
    assert image.shape == (64, 64, 1)


def test_exif_that_names_itself_is_no_reason_to_refuse():
    (image,) = load_files([hostile.exif_loop()], DecodeOptions(28, 1))
    assert image.shape == (28, 28, 1)


def test_what_is_cut_off_anywhere_is_named_or_read():
    whole = [hostile.jpeg2000_in_dicom(64), hostile.scans(3), hostile.pages(1), hostile.nested(3), hostile.png(8, 8)]
    cut = [content[: len(content) * i // 12] for content in whole for i in range(12)]
    for own in load_files(cut, DecodeOptions(28, 1)):
        assert isinstance(own, PictureError) or own.shape == (28, 28, 1)


def test_a_bad_file_is_named_by_predict_and_left_out_by_data_new(penlight, tmp_path):  # noqa: F811
    for label in ("one", "two"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for i in range(8):
            (tmp_path / "pictures" / label / f"{i}.png").write_bytes(saved(RAMP // (i + 1)))
    bad = tmp_path / "pictures" / "one" / "bad.jpg"
    bad.write_bytes(hostile.scans(10_000))
    code, out, err = penlight("predict", trained("findings"), tmp_path / "pictures", "--json")
    answered = json.loads(out)
    assert (code, answered["failed"], len(answered["images"])) == (1, 1, 17)
    assert {image["file"] for image in answered["images"] if "error" in image} == {str(bad)}
    code, out, err = penlight("data", "new", tmp_path / "pictures", "--out", tmp_path)
    assert "bad.jpg" in out + err
    assert "10,0" in out + err


def test_the_workers_are_the_only_ones_that_decode(monkeypatch):
    from penlight.data import pictures

    def forbidden(*args, **options):
        raise AssertionError("a picture was decoded in this process")

    monkeypatch.setattr(pictures, "load_with_header", forbidden)
    monkeypatch.setattr(pictures, "_unpack", forbidden)
    (image,) = load_files([saved(RAMP)], DecodeOptions(28, 1))
    assert image.shape == (28, 28, 1)
    with contextlib.suppress(PictureError):
        assert workers().bounds.seconds <= 20
