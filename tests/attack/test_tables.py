"""Tables made to harm: CSV and Parquet are bounded in bytes, rows, columns and cells, and each fault is named."""

import csv
import gzip
import math
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.data import open_dataset
from penlight.data.own import tables
from penlight.data.own.cells import age_in_years
from penlight.data.own.listing import PictureRow, require_labels
from penlight.data.own.prepare import _numbers_or_texts
from penlight.data.own.tables import as_path_cell, path_of_cell, read_table
from penlight.errors import DataError, PenlightError, PredictionsError
from penlight.escaping import cell
from tests.remembered import draw_once

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def table(folder: Path, content: bytes, name: str = "t.csv") -> Path:
    (folder / name).write_bytes(content)
    return folder


BAD = {
    "1,000,000 columns": (b"a," * 1_000_000 + b"a\n", "columns, more than 2,000"),
    "10,000,000 columns": (b"a," * 10_000_000 + b"a\n", "columns, more than 2,000"),
    "3,000 columns of one name": (b"a," * 1999 + b"a\n", "several columns named"),
    "a quotation that never ends": (b'path,label\n"' + b"x\n" * 100_000, "not a CSV file"),
    "a cell of megabytes": (b"path,label\n" + b"x" * 3_000_000 + b",a\n", "not a CSV file.*limit"),
    "UTF-16 cut off": ("path,label\na.png,x\n".encode("utf-16")[:-1], "not a whole text in utf-16"),
    "a zero": (b"path,label\na\x00.png,x\n", "zero bytes"),
    "a picture": (b"\xff\xd8\xff\xe0\x00JFIF,label\n", "so it is no table"),
    "rows of other lengths": (b"path,label\na\n", "row 2 has 1 cells"),
    "nothing": (b"", "has no rows"),
    "blank lines": (b"\n" * 1000, "has no rows"),
}


@pytest.mark.parametrize(
    "what", [pytest.param(own, marks=pytest.mark.full) if own == "10,000,000 columns" else own for own in BAD]
)
def test_a_bad_table_is_named(tmp_path: Path, what: str) -> None:
    content, message = BAD[what]
    begun = time.process_time()
    with pytest.raises(DataError, match=message) as caught:
        read_table(table(tmp_path, content), "t.csv")
    assert len(str(caught.value)) < 700
    assert time.process_time() - begun < 20


def test_bytes_rows_and_cells_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "t.csv").open("wb") as file:
        file.truncate(tables.LARGEST_TABLE + 1)
    with pytest.raises(DataError, match="bytes, more than"):
        read_table(tmp_path, "t.csv")
    monkeypatch.setattr(tables, "MOST_ROWS", 100)
    with pytest.raises(DataError, match="more than 100 rows"):
        read_table(table(tmp_path, b"path,label\n" + b"a,b\n" * 101), "t.csv")
    assert len(read_table(table(tmp_path, b"path,label\n" + b"a,b\n" * 100), "t.csv")["path"]) == 100
    monkeypatch.setattr(tables, "MOST_CELLS", 100)
    with pytest.raises(DataError, match="more than 50 rows of 2 columns"):
        read_table(table(tmp_path, b"path,label\n" + b"a,b\n" * 51), "t.csv")


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, b"\xef\xbb\xbfpath;label\r\na.png;x\r\n"), "t.csv")
    assert found == {"path": ["a.png"], "label": ["x"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_common_encodings_and_separators_are_read(tmp_path: Path, encoding: str, mark: str) -> None:
    content = f"path{mark}label\r\nä.png{mark}x y\r\n".encode(encoding)
    for name, told in (("t.csv", content), ("t.csv.gz", gzip.compress(content)), ("t.tsv", content)):
        assert read_table(table(tmp_path, told, name), name) == {"path": ["ä.png"], "label": ["x y"]}


def test_a_separator_that_is_said_trailing_commas_and_json_lines_are_read(tmp_path: Path) -> None:
    assert read_table(table(tmp_path, b"sep=|\na|b\n1,0|2\n"), "t.csv") == {"a": ["1,0"], "b": ["2"]}
    assert read_table(table(tmp_path, b"a,b,,\n1,2,,\n3,4\n5,6,,,\n"), "t.csv") == {
        "a": ["1", "3", "5"],
        "b": ["2", "4", "6"],
    }
    assert read_table(table(tmp_path, b",a\n0,x\n1,y\n"), "t.csv") == {"column 1": ["0", "1"], "a": ["x", "y"]}
    lines = b'{"file_name": "a.png", "label": 1, "box": {"x": 1}}\n\n{"file_name": "b.png", "all": ["c", "d"]}\n'
    assert read_table(table(tmp_path, lines, "t.jsonl"), "t.jsonl") == {
        "file_name": ["a.png", "b.png"], "label": ["1", ""], "all": ["", '["c", "d"]'],
    }  # fmt: skip


def test_what_a_gzip_file_unpacks_to_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGEST_TABLE", 1 << 20)
    with pytest.raises(DataError, match="unpacks to more than"):
        read_table(table(tmp_path, gzip.compress(b"a,b\n" * (1 << 19)), "t.csv.gz"), "t.csv.gz")
    for cut in (gzip.compress(b"a,b\n1,2\n")[:-9], b"no"):
        with pytest.raises(DataError, match="not a whole gzip file"):
            read_table(table(tmp_path, cut, "t.csv.gz"), "t.csv.gz")
    with pytest.raises(DataError, match="line 1 has more than 40 levels"):
        read_table(table(tmp_path, b"[" * 50_000, "t.jsonl"), "t.jsonl")


# Numbers that are none, or too long for Python to turn into one.

LONG = "9" * 5000
DIGITS = ["²", "٣", "Ⅳ", "1٣", "", "007", LONG, "9" * 4301, "1" * 18, "-1"]


@pytest.mark.parametrize("text", DIGITS)
def test_no_text_is_taken_for_a_number_that_it_is_not(text: str) -> None:
    assert _numbers_or_texts([text, "1"]).dtype.kind == "U"
    assert require_labels([PictureRow("a", (text or "x",)), PictureRow("b", ("2",))], "it")[0] == "2"
    assert math.isnan(age_in_years(text + "Z"))


def test_ages_are_numbers_of_years() -> None:
    for text in (LONG, "٣", "1e5", "nan", "inf", "-3", "1" * 10):
        assert math.isnan(age_in_years(text))
    assert age_in_years("058Y") == 58
    assert age_in_years("61.123456789012345") == pytest.approx(61.123456789)


def test_a_dataset_of_such_numbers_opens_or_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    with Path("t.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "patient"))
        for i in range(40):
            Image.fromarray(rng.integers(0, 256, (28, 28), np.uint8)).save(f"{i}.png")
            rows.writerow((f"{i}.png", "²٣"[i % 2], f"{i}{LONG}"))
    found = pl.new_dataset(Path("t.csv"))
    assert sum(len(split) for split in open_dataset(found.description).splits.values()) == 40


def test_very_many_labels_are_refused() -> None:
    with pytest.raises(DataError, match="5,000 different labels, more than 1,000"):
        require_labels([PictureRow(f"{i}", (f"{i}",)) for i in range(5000)], "it")


@pytest.mark.parametrize("text", ["=1+1", "+a", "-b", "@c", "\tx", "./=x", "././+x"])
def test_a_path_is_no_formula_and_comes_back(text: str) -> None:
    assert as_path_cell(text)[0] == "."
    assert path_of_cell(as_path_cell(text)) == text
    assert cell("=cmd|' /C calc'!A0")[0] == "'"


@pytest.mark.parametrize("text", ["a/b.png", "./a.png", ".hidden", "a=b"])
def test_other_paths_stay(text: str) -> None:
    assert as_path_cell(text) == path_of_cell(text) == text


# Predictions made elsewhere.


PREDICTIONS = {
    "too many rows": ("0,1\n" * 100_000, "more than .* rows"),
    "too many columns": (",".join(["1"] * 10_000) + "\n", "10,000 columns"),
    "a cell of megabytes": ("0," + "1" * 3_000_000 + "\n", "cannot be read|not numbers"),
    "no numbers": ("0,x" + "y" * 50_000 + "\n", "not numbers"),
    "no rows": ("", "rows of one length"),
    "a quotation that never ends": ('0,"' + "1\n" * 90_000, "cannot be read|not numbers"),
}


@pytest.fixture
def phantom(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_once(monkeypatch, {"train": 9, "val": 9, "test": 9})


@pytest.mark.usefixtures("phantom")
@pytest.mark.parametrize("what", PREDICTIONS)
def test_predictions_of_others_are_bounded(tmp_path: Path, what: str) -> None:
    content, message = PREDICTIONS[what]
    (tmp_path / "s.csv").write_text(content)
    with pytest.raises(PredictionsError, match=message) as caught:
        pl.score(tmp_path / "s.csv", "retina-phantom")
    assert len(str(caught.value)) < 700


@pytest.mark.usefixtures("phantom")
def test_a_pipe_is_no_predictions(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.csv")
    with pytest.raises(PredictionsError, match="not a regular file"):
        pl.score(tmp_path / "s.csv", "retina-phantom")


# Parquet, in a process of its own.


def parquet(folder: Path, **options) -> bytes:
    rows = {
        "path": [f"films/p{i}.png" for i in range(60)],
        "label": pa.array(["sick", "well"] * 30).dictionary_encode(),
        "age": pa.array([20.0 + i if i % 7 else None for i in range(60)]),
        "patient": list(range(60)),
        "right": [bool(i % 3) for i in range(60)],
    }
    pq.write_table(pa.table(rows), folder / "t.parquet", **options)
    return (folder / "t.parquet").read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.full),
        pytest.param({"compression": "zstd"}, marks=pytest.mark.full),
        {"compression": "gzip", "data_page_size": 100},
    ],
)
def test_parquet_is_read_as_texts(tmp_path: Path, options: dict[str, object]) -> None:
    parquet(tmp_path, **options)
    found = read_table(tmp_path, "t.parquet")
    assert found["path"][:2] == ["films/p0.png", "films/p1.png"]
    assert found["label"][:2] == ["sick", "well"]
    assert found["age"][:3] == ["", "21", "22"]
    assert found["patient"][59] == "59"
    assert found["right"][:2] == ["False", "True"]


def test_parquet_of_a_data_frame_has_no_row_numbers(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"path": ["a", "b"], "label": ["x", "y"]}, index=[5, 7])
    frame.to_parquet(tmp_path / "t.parquet", engine="pyarrow")
    assert read_table(tmp_path, "t.parquet") == {"path": ["a", "b"], "label": ["x", "y"]}


NESTED = {
    "lists": pa.array([[1, 2], [3]]),
    "tables": pa.array([{"size": 3, "path": "a"}, None]),
    "bytes": pa.array([b"x", b"y"], pa.binary(1)),
}


@pytest.mark.parametrize("what", [pytest.param(n, marks=pytest.mark.full if i else ()) for i, n in enumerate(NESTED)])
def test_columns_of_lists_tables_and_bytes_are_named(tmp_path: Path, what: str) -> None:
    pq.write_table(pa.table({"path": ["a", "b"], "image": NESTED[what]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="the columns image hold lists, tables or bytes"):
        read_table(tmp_path, "t.parquet")


def test_a_parquet_bomb_ends_its_own_process_alone(tmp_path: Path) -> None:
    """A text of 4 MB for 100,000 rows, in 20 kB: 400 GB; columns and rows without number."""
    text = pa.array(["x" * (4 << 20)])
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), text)
    pq.write_table(pa.table({"path": column}), tmp_path / "t.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "t.parquet").stat().st_size < 1 << 20
    with pytest.raises(DataError, match="cannot be read as a Parquet file"):
        read_table(tmp_path, "t.parquet")
    pq.write_table(pa.table({f"c{i}": [1] for i in range(3000)}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="3,000 columns, more than 2,000"):
        read_table(tmp_path, "t.parquet")
    pq.write_table(pa.table({"path": pa.nulls(3_000_000)}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="3,000,000 rows, more than 2,000,000"):
        read_table(tmp_path, "t.parquet")
    pq.write_table(pa.table({"path": ["x" * 200_000]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="200,000 characters"):
        read_table(tmp_path, "t.parquet")


@pytest.mark.full
def test_a_damaged_parquet_file_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Six of the mutations that benchmarks ran 1,500 of; each costs a process."""
    sound, rng, named = parquet(tmp_path), random.Random(0), []
    for number in range(6):
        broken = bytearray(sound)
        for _ in range(rng.randint(1, 30)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        (tmp_path / "t.parquet").write_bytes(bytes(broken[: len(broken) // (1 + number % 2)]))
        try:
            read_table(tmp_path, "t.parquet")
        except PenlightError as error:
            named.append(str(error))
    assert len(named) > 2
    assert max(map(len, named)) < 900
    assert capfd.readouterr() == ("", "")


def test_the_reader_is_not_looked_for_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet(tmp_path)
    for name in ("pyarrow.py", "csv.py", "penlight.py"):
        (tmp_path / name).write_text("raise SystemExit(open('ran', 'w').write('x'))")
    monkeypatch.chdir(tmp_path)
    assert len(read_table(tmp_path, "t.parquet")["path"]) == 60
    assert not (tmp_path / "ran").exists()
