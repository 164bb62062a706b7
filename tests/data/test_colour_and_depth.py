"""Colour, depth and format of the user's own images are what their pixels show, in training and in use."""

import io
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.data import open_dataset
from penlight.data.decoding import load_with_headers
from penlight.data.own.draft import read_draft
from penlight.data.own.questions import UndecidedError
from penlight.data.pictures import (
    DecodeOptions,
    OriginalPictures,
    PictureHeader,
    has_colour,
    load_picture,
    load_with_header,
    read_header,
)
from penlight.errors import DataError, PictureError
from penlight.formats import KINDS, SUFFIXES
from penlight.runs.classifier import unlike
from tests.data.test_own_images import place  # noqa: F401
from tests.data.test_pictures import COLOUR, RAMP, saved

RANDOM = np.random.default_rng(7)
FILM = np.clip(RAMP[..., None] + RANDOM.normal(0, 6, (40, 40, 3)), 0, 255).astype(np.uint8)
"""Grey, with noise of its own in each channel."""


def put(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **options)


def films(root: Path, n: int, ways=(("L", "png"),)) -> Path:
    for i in range(n):
        mode, ending = ways[i % len(ways)]
        kind = {"jfif": {"format": "JPEG"}}.get(ending, {})
        put(root / "ab"[i // len(ways) % 2] / f"{i:03d}.{ending}", RAMP + RANDOM.integers(0, 9, RAMP.shape, np.uint8),
            mode, **kind)  # fmt: skip
    return root


WAYS = [
    ("L", "png"), ("RGB", "png"), ("RGBA", "png"), ("LA", "png"), ("P", "png"), ("RGB", "jpg"), ("CMYK", "jpg"),
    ("RGB", "tif"), ("RGB", "bmp"), ("L", "pgm"), ("RGB", "ppm"), ("RGB", "webp"), ("L", "gif"), ("RGB", "jfif"),
]  # fmt: skip


def test_films_saved_in_any_way_are_grey(place: Path) -> None:  # noqa: F811
    films(place / "films", 112, WAYS)
    found = pl.new_dataset("films")
    assert (found.channels, sum(found.images.values())) == (1, 112)
    assert f"{112 * 9 // 14} of them saved in colour" in found.understood.account["images"]
    assert not any("colour" in note for note in found.notes)
    dataset = open_dataset(found.description)
    assert dataset.originals == OriginalPictures(True, False, False, 40, 1.0)
    for path in sorted((place / "films").rglob("*.*"))[::5]:
        image, look = load_with_header(path, dataset.reading)
        assert image.shape == (28, 28, 1)
        assert unlike(look, dataset.reading, dataset.originals) == ()


@pytest.mark.full
def test_a_run_warns_of_no_picture_that_it_was_trained_on(place: Path) -> None:  # noqa: F811
    films(place / "films", 112, WAYS)
    put(place / "films" / "a" / "painted.png", COLOUR[:25])
    found = pl.new_dataset("films", size=32)
    run = pl.train(found.description, "majority", out="run")
    assert json.loads((run.path / "data.json").read_text())["originals"]["colour"] is True
    answers = pl.predict("run", "films").predictions
    assert len(answers) == 113
    assert {warning.code for answer in answers for warning in answer.unlike} <= {"unlike-training"}
    put(Path("small.png"), COLOUR[:24])
    assert {"small", "aspect"} <= {warning.code for warning in pl.predict("run", "small.png").predictions[0].unlike}


def test_few_pictures_in_colour_are_named_and_many_are_kept(place: Path) -> None:  # noqa: F811
    films(place / "few", 60)
    put(place / "few" / "a" / "painted.png", COLOUR)
    found = pl.new_dataset("few")
    assert found.channels == 1
    said = "fewer than 1 in 50 is in colour, 1 of 61 pictures: a/painted.png; --channels 3 keeps their colours"
    assert said in found.understood.account["images"]
    assert said in found.description.read_text()
    assert open_dataset("few.toml").originals.colour
    found = pl.new_dataset("few", channels=3, name="kept")
    assert found.channels == 3
    assert "given with --channels" in found.understood.account["images"]
    assert any(note.startswith("60 of 61 pictures are grey, and are read in colour") for note in found.notes)
    put(place / "few" / "b" / "painted.png", COLOUR)
    found = pl.new_dataset("few", name="many")
    assert found.channels == 3
    assert "in colour: 2 of 62 pictures, such as" in found.understood.account["images"]
    found = pl.new_dataset("few", channels=1, name="grey")
    assert "2 of 62 pictures are in colour, and are read in grey like the others: a/painted.png, b/painted.png." in (
        found.notes
    )
    with pytest.raises(DataError, match=r"channels= must be 1 .grey. or 3 .colour.; 2 came"):
        pl.new_dataset("few", channels=2, name="two")


@pytest.mark.parametrize("quality", [10, 50, 75, 95])
def test_noise_of_a_jpegs_chroma_is_no_colour_and_a_marked_film_is_none(tmp_path: Path, quality: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(saved(FILM, "JPEG", quality=quality))
    assert read_header(path).colour
    assert not has_colour(path)
    assert not load_with_header(path, DecodeOptions(28, 1))[1].colour
    large = np.repeat(np.repeat(FILM, 10, 0), 10, 1)
    large[10:30, 10:30] = (255, 0, 0)
    path.write_bytes(saved(large))
    assert not has_colour(path)
    path.write_bytes(saved(np.stack([RAMP, RAMP * 0.8, RAMP * 0.7], -1).astype(np.uint8), "JPEG", quality=quality))
    assert has_colour(path)
    assert load_with_header(path, DecodeOptions(28, 1))[1].colour


def test_warnings_are_of_what_the_pictures_of_the_dataset_were_not() -> None:
    wide, reading = PictureHeader(90, 40, False, 8, animated=True), DecodeOptions(64, 3)
    assert [w.code for w in unlike(wide, reading)] == ["grey", "animated", "small", "aspect"]
    assert unlike(wide, reading, OriginalPictures(True, True, True, 40, 2.25)) == ()
    assert [w.code for w in unlike(wide, reading, OriginalPictures(True, True, True, 41, 2.2))] == ["small", "aspect"]
    assert [w.code for w in unlike(wide, reading, OriginalPictures(False, True, True, 40, 3.0))] == ["grey"]


def deep(root: Path, n: int = 60, top: int = 3900, ending: str = "png") -> Path:
    for i in range(n):
        put(root / "ab"[i % 2] / f"{i:03d}.{ending}", RANDOM.integers(0, top, (30, 30), np.uint16))
    return root


def test_bits_are_those_of_the_largest_value_of_all_pictures(place: Path) -> None:  # noqa: F811
    deep(place / "films")
    values = np.full((28, 28), 4095, np.uint16)
    put(place / "films" / "a" / "white.tif", values)
    found = pl.new_dataset("films", size=28)
    assert found.understood.account["depth"] == (
        "12 bits (the largest value in 61 pictures with 16 bits is 4,095, in a/white.tif)"
    )
    assert tomllib.loads(found.description.read_text())["images"]["bits"] == 12
    assert (open_dataset(found.description).splits["train"].images.max(axis=(1, 2, 3)) == 255).any()
    values[3, 3] = 5000
    put(place / "films" / "a" / "white.tif", values)
    assert "14 bits" in pl.new_dataset("films", name="fourteen").understood.account["depth"]
    with pytest.raises(DataError, match=r"white.tif: it holds the value 5000, .* 12 bits: data new bits=13"):
        pl.new_dataset("films", name="twelve", bits=12)
    assert pl.new_dataset("films", name="sixteen", bits=16).understood.account["depth"] == (
        "16 bits (given with --bits)"
    )


def test_one_picture_of_another_scale_is_asked_about(place: Path) -> None:  # noqa: F811
    deep(place / "films")
    values = RANDOM.integers(0, 3900, (30, 30), np.uint16)
    values[0, 0] = 60_000
    put(place / "films" / "a" / "hot.png", values)
    with pytest.raises(UndecidedError, match=r"60 use 12 of them. Values up to 60,000 are in a/hot.png") as caught:
        pl.new_dataset("films")
    assert [each.option for each in caught.value.question.readings] == ["--bits 12 --skip-unreadable", "--bits 16"]
    draft = Path("films.draft.toml")
    draft.write_text(draft.read_text().replace("# bits = 12", "bits = 12").replace("# skip", "skip"))
    assert read_draft(draft)["bits"] == 12
    assert list(pl.new_dataset(draft).problems) == ["a/hot.png"]


def test_full_range_is_known_from_a_sample_and_dark_pictures_are_counted(place: Path) -> None:  # noqa: F811
    deep(place / "full", 70, 65_536)
    assert (
        "each of 64 that were looked at, of 70 with 16 bits, needs them all"
        in (pl.new_dataset("full").understood.account["depth"])
    )
    deep(place / "full", 20)
    assert (
        "20 use 12 bits or fewer and come out dark, such as a/000.png"
        in (pl.new_dataset("full", name="mixed").understood.account["depth"])
    )


def test_a_pgm_states_its_own_largest_value() -> None:
    values = (RAMP.astype(np.uint16) * 10).astype(">u2")
    content = b"P5\n40 40\n4095\n" + values.tobytes()
    for bits in (12, 16):
        image, header = load_with_header(content, DecodeOptions(40, 1, bits=bits))
        np.testing.assert_allclose(image[..., 0], values / 4095 * 255, atol=0.51)
        assert header.bits == 0


def colours_of_16_bits(values: np.ndarray) -> bytes:
    """A PNG of three values of 16 bits for each pixel, which Pillow cannot write."""
    import struct
    import zlib

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    chunks = [struct.pack(">I", len(b)) + t + b + struct.pack(">I", zlib.crc32(t + b)) for t, b in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_colours_of_sixteen_bits_are_read_or_refused_and_never_black(tmp_path: Path) -> None:
    whole = colours_of_16_bits(COLOUR.astype(np.uint16) * 257)
    for bits in (12, 16):
        np.testing.assert_array_equal(load_picture(whole, DecodeOptions(40, 3, bits=bits)), COLOUR)
    dark = colours_of_16_bits(COLOUR.astype(np.uint16) * 16)
    with pytest.raises(PictureError, match="several values of 16 bits for each pixel and uses 12 of them"):
        load_picture(dark, DecodeOptions(40, 3, bits=12))
    for i in range(12):
        (tmp_path / "x" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / "ab"[i % 2] / f"{i}.png").write_bytes(dark)
    with pytest.raises(DataError, match="uses 12 of them, which cannot be scaled"):
        pl.new_dataset(tmp_path / "x", out=tmp_path)


FORMATS = {
    ".bmp": {"format": "BMP"}, ".dib": {"format": "BMP"}, ".pgm": {"format": "PPM"}, ".ppm": {"format": "PPM"},
    ".pnm": {"format": "PPM"}, ".webp": {"format": "WEBP", "lossless": True}, ".gif": {"format": "GIF"},
    ".jfif": {"format": "JPEG", "quality": 100}, ".jpe": {"format": "JPEG", "quality": 100},
}  # fmt: skip


@pytest.mark.parametrize("ending", FORMATS)
def test_a_format_gives_its_pixels(ending: str) -> None:
    assert ending in SUFFIXES
    stream = io.BytesIO()
    Image.fromarray(RAMP).save(stream, **FORMATS[ending])
    for (loaded,) in (
        load_with_headers([stream.getvalue()], DecodeOptions(40, 1)),
        [load_with_header(stream.getvalue(), DecodeOptions(40, 1))],
    ):
        image, header = loaded
        assert np.abs(image[..., 0].astype(int) - RAMP).max() <= (1 if "jp" in ending or "jf" in ending else 0)
        assert header == PictureHeader(40, 40, False, 8)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_the_first_frame_of_an_animated_picture_is_read_and_said(place: Path, kind: str) -> None:  # noqa: F811
    films(place / "films", 20)
    frames = [Image.fromarray(np.full((40, 40), value, np.uint8)) for value in (30, 90, 200)]
    path = place / "films" / "a" / f"film.{kind.lower()}"
    frames[0].save(
        path, kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    image, header = load_with_header(path, DecodeOptions(28, 1))
    assert (image == 30).all()
    assert header.animated
    found = pl.new_dataset("films")
    assert f"The first frame of 1 animated picture is read: a/film.{kind.lower()}." in found.understood.notes
    assert [w.code for w in unlike(header, DecodeOptions(28, 1))] == ["animated"]
    assert not unlike(header, DecodeOptions(28, 1), open_dataset(found.description).originals)


def test_a_description_without_endings_reads_what_0_1_did(place: Path) -> None:  # noqa: F811
    films(place / "films", 20)
    put(place / "films" / "a" / "scan.bmp", RAMP)
    found = pl.new_dataset("films")
    assert sum(found.images.values()) == 21
    text = found.description.read_text()
    assert 'endings = [".bmp"]' in text
    found.description.write_text("\n".join(line for line in text.splitlines() if not line.startswith("endings")))
    splits = Path("films-splits.csv")
    splits.write_text("\n".join(line for line in splits.read_text().splitlines() if "scan.bmp" not in line) + "\n")
    assert sum(map(len, open_dataset(found.description).splits.values())) == 20
    found.description.write_text(text.replace('[".bmp"]', '[".nii"]'))
    with pytest.raises(DataError, match=r"endings has .nii; read are .bmp"):
        open_dataset(found.description)


def test_kinds_that_are_not_read_are_named_with_their_number(place: Path) -> None:  # noqa: F811
    films(place / "films", 20)
    for name in ("a/x.nii.gz", "a/y.nii.gz", "b/z.jp2"):
        (place / "films" / name).write_bytes(b"x")
    with pytest.raises(UndecidedError, match=r"3 pictures of kinds that are not read .*beside 20 pictures") as caught:
        pl.new_dataset("films")
    assert caught.value.question.readings[0].option == "--ignore '*.jp2' --ignore '*.nii.gz'"
    rows = [
        f"films/{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(Path("films").rglob("*.png"))
    ]
    Path("t.csv").write_text("\n".join(["path,label", *rows]))
    assert pl.new_dataset("t.csv").understood.left_out == {
        ".jp2, which is not read": 1,
        ".nii.gz, which is not read": 2,
    }
    Path("t.csv").write_text("path,label\nfilms/a/x.nii.gz,a\nfilms/b/z.jp2,b\n")
    with pytest.raises(DataError, match=f"2 pictures cannot be read. films/a/x.nii.gz: it is no {KINDS} picture"):
        pl.new_dataset("t.csv", name="volumes")


def test_manual_help_and_errors_have_one_list_of_formats() -> None:
    docs = Path(__file__).parents[2] / "docs"
    for page in ("how-to/predict.md", "how-to/own-folder.md", "serving.md", "reference/commands.md"):
        assert KINDS in " ".join((docs / page).read_text(encoding="utf-8").split()), page
    with pytest.raises(PictureError, match=f"it is no {KINDS} picture"):
        load_picture(b"x" * 200, DecodeOptions(28, 1))
