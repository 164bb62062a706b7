"""Pictures that lie in Parquet files, as Hugging Face has them: each opens by one line, is named by its row, and what
is wrong is said."""

import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.data import open_dataset
from penlight.data.npz import npy_bytes as array_bytes
from penlight.data.own import packed, parquet, prepare
from penlight.data.own.packed import sources
from penlight.data.own.parquet import PictureCells
from penlight.data.own.questions import UndecidedError
from penlight.data.own.row_names import packed_name
from penlight.data.own.unreadable import UnreadableError
from penlight.errors import DataError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

RANDOM = np.random.default_rng(0)
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
VALUES = RANDOM.integers(0, 256, (60, 28, 28), np.uint8)


def png(values: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(values).save(content, "PNG")
    return content.getvalue()


PNGS = [png(values) for values in VALUES]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: str, features: dict[str, Any] | None = None, *, group: int = 7, **columns: Any) -> None:
    """Write a Parquet file, with Hugging Face's description of its columns in the schema where there is one."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=group)


def classes(*names: str) -> dict[str, Any]:
    return {"label": {"names": list(names), "_type": "ClassLabel"}}


def shard(path: str, rows: Sequence[int], *, paths: bool = False, **more: Any) -> None:
    """Write a shard as `datasets` does: a struct of bytes and path, and numbers of classes."""
    cells = [{"bytes": PNGS[i], "path": f"{i}.png" if paths else None} for i in rows]
    label = pa.array([i % 2 for i in rows], pa.int64())
    write(path, classes("benign", "malignant"), image=pa.array(cells, IMAGE), label=label, **more)


def test_shards_of_splits_open_by_one_line_and_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parts = {"train-00000-of-00002": range(20), "train-00001-of-00002": range(20, 40)}
    parts |= {"validation-00000-of-00001": range(40, 50), "test-00000-of-00001": range(50, 60)}
    for name, rows in parts.items():
        shard(f"skin/data/{name}.parquet", rows, patient_id=[f"p{i // 2}" for i in rows])
    Path("skin/README.md").write_text("about it")
    found = pl.new_dataset("skin")
    assert (found.task, found.labels) == ("binary", ("benign", "malignant"))
    assert found.images == {"train": 40, "val": 10, "test": 10}
    assert found.understood is not None
    assert found.understood.examples["malignant"][0] == "data/test-00000-of-00001.parquet#1"
    assert found.understood.account["patients"] == "patient_id"
    dataset = open_dataset(found.description)
    by_image = {}
    for split in dataset.splits.values():
        for image, label, patient in zip(split.images, split.labels, split.patients, strict=True):
            by_image[image.tobytes()] = (int(label[0]), patient)
    assert by_image == {VALUES[i].tobytes(): (i % 2, f"p{i // 2}") for i in range(60)}

    # On another machine the same description makes the same arrays; what was decoded before a kill is used.
    Path("skin").rename(tmp_path / "skin")
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "other"))
    decode, left = prepare._decode_part, [0]

    def killed(*arguments: Any) -> Any:
        left[0] += 1
        if left[0] > 1:
            raise KeyboardInterrupt
        return decode(*arguments)

    monkeypatch.setattr(prepare, "_IN_PART", 16)
    monkeypatch.setattr(prepare, "_decode_part", killed)
    with pytest.raises(KeyboardInterrupt):
        open_dataset(found.description)
    read: list[str] = []
    monkeypatch.setattr(prepare, "_decode_part", decode)
    monkeypatch.setattr(prepare, "sources", lambda root, paths: read.extend(paths) or sources(root, paths))
    assert open_dataset(found.description).md5 == dataset.md5
    assert 0 < len(read) < 60


@pytest.mark.full
def test_a_file_that_changed_is_another_dataset() -> None:
    shard("t.parquet", range(40))
    found = pl.new_dataset("t.parquet", size=28)
    before = open_dataset(found.description)
    shard("t.parquet", range(10, 50))
    assert open_dataset(found.description).md5 != before.md5


def test_bytes_lists_of_labels_splits_and_metadata_of_a_plain_table() -> None:
    kinds = {"findings": {"feature": {"names": ["mass", "node", "scar"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    findings = [[i % 3, 2][: i % 2 + (i % 3 < 2)] for i in range(40)]
    objects = [{"box": [1, 2]}] * 40
    write("t.parquet", kinds, scan=PNGS[:40], findings=findings, split=["train", "dev", "train", "test"] * 10,
          age=[40 + i for i in range(40)], objects=objects)  # fmt: skip
    found = pl.new_dataset("t.parquet")
    assert (found.task, found.labels) == ("multi-label", ("mass", "node", "scar"))
    assert found.images == {"train": 20, "val": 10, "test": 10}
    assert found.understood is not None
    assert found.understood.account["not used"] == "objects"
    assert found.understood.account["files"].startswith("scan: 40 of 40")
    train = open_dataset(found.description).splits["train"]
    assert train.images[0].tobytes() == VALUES[0].tobytes()
    assert train.metadata["age"][:2].tolist() == [40, 42]
    assert train.labels[0].tolist() == [1, 0, 0]


@pytest.mark.full
def test_folders_of_the_converted_files_of_the_hub() -> None:
    for name, rows in {"train/0000": range(20), "train/0001": range(20, 40), "test/0000": range(40, 60)}.items():
        shard(f"hub/default/{name}.parquet", rows)
    assert pl.new_dataset("hub").images["test"] == 20


def light(names: Iterable[str], own: str) -> list[Any]:
    """Mark all but one for the full suite: each starts a process or several."""
    return [pytest.param(name, marks=() if name == own else pytest.mark.full) for name in names]


QUESTIONS = {
    "two columns of pictures": (
        lambda: write("t.parquet", image=PNGS, mask=PNGS, label=["a", "b"] * 30),
        {"--path-column 'image'", "--path-column 'mask'"},
    ),
    "pictures in the table and beside it": (
        lambda: [
            write("t.parquet", file=["a.png", "b.png"] * 30, small=PNGS, label=["a", "b"] * 30),
            *(Path(name).write_bytes(PNGS[0]) for name in ("a.png", "b.png")),
        ],
        {"--path-column 'small'", "--path-column 'file'"},
    ),
    "pictures without a label": (
        lambda: write("t.parquet", classes("a", "b"), image=PNGS, label=[i % 3 - 1 for i in range(60)]),
        {"--drop-unlabelled"},
    ),
    "a part of several": (
        lambda: [shard(f"t.parquet/train-0000{i}-of-00003.parquet", range(20)) for i in (0, 2)],
        {"--ignore 'train-00001-of-00003.parquet'"},
    ),
    "a split twice": (
        lambda: [shard(f"t.parquet/{name}-00000-of-00001.parquet", range(20)) for name in ("val", "validation")],
        {"val-00000-of-00001.parquet", "validation-00000-of-00001.parquet"},
    ),
}


@pytest.mark.parametrize("what", light(QUESTIONS, "two columns of pictures"))
def test_two_readings_are_asked(what: str) -> None:
    draw, options = QUESTIONS[what]
    draw()
    with pytest.raises(UndecidedError) as caught:
        pl.new_dataset("t.parquet")
    readings = [reading.option for reading in caught.value.question.readings]
    assert all(any(option in reading for reading in readings) for option in options), readings
    assert len(str(caught.value)) < 900


@pytest.mark.full
def test_one_part_of_several_is_asked_for() -> None:
    for i in range(2):
        shard(f"d/train-0000{i}-of-00002.parquet", range(20))
    with pytest.raises(DataError, match="are of its other splits or parts"):
        pl.new_dataset("d/train-00000-of-00002.parquet")


@pytest.mark.full
def test_the_column_that_was_said_is_read() -> None:
    write("t.parquet", image=PNGS, film=PNGS[::-1], label=["a", "b"] * 30)
    found = pl.new_dataset("t.parquet", path_column="film")
    assert found.understood is not None
    assert found.understood.examples["a"][0] == "t.parquet#0:film"
    rows = open_dataset(found.description).splits["train"].images
    assert {image.tobytes() for image in rows} <= {values.tobytes() for values in VALUES}


BAD = {
    "a class without a name": (
        lambda: write("t.parquet", classes("a"), image=PNGS, label=[0, 1] * 30),
        "label has the class 1, and there are names for 0 to 0",
    ),
    "lists of pictures": (
        lambda: write("t.parquet", images=[[{"bytes": each, "path": ""}] for each in PNGS], label=["a", "b"] * 30),
        "the column images holds lists of pictures; one in a row is read",
    ),
    "parts with other columns": (
        lambda: [write(f"t.parquet/train-0000{i}-of-00002.parquet", image=PNGS, **{name: ["a", "b"] * 30})
                 for i, name in enumerate(("label", "diagnosis"))],
        "has the columns image, diagnosis; train-00000-of-00002.parquet has image, label",
    ),
    "no labels": (lambda: write("t.parquet", image=PNGS), "has no labels"),
    "damage in a column of pictures": (lambda: damaged(), "t.parquet cannot be read: .*damaged, or was made to harm"),
}  # fmt: skip


def damaged() -> None:
    write("t.parquet", image=PNGS, label=["a", "b"] * 30)
    content = bytearray(Path("t.parquet").read_bytes())
    content[1000:4000] = bytes(3000)
    Path("t.parquet").write_bytes(content)


@pytest.mark.parametrize("what", light(BAD, "parts with other columns"))
def test_what_cannot_be_a_dataset_is_said(what: str) -> None:
    draw, reason = BAD[what]
    draw()
    with pytest.raises(DataError, match=reason) as caught:
        pl.new_dataset("t.parquet")
    assert len(str(caught.value)) < 700
    assert not list(Path().glob("*.toml"))


def test_cells_without_a_picture_are_named_by_their_row_and_left_out_on_request() -> None:
    cells = [None if i == 3 else b"no picture" if i == 5 else png for i, png in enumerate(PNGS)]
    write("t.parquet", image=cells, label=["a", "b"] * 30)
    with pytest.raises(
        DataError, match=r"2 pictures cannot be read. t.parquet#3: its cell is empty; t.parquet#5: it is no"
    ):
        pl.new_dataset("t.parquet")
    found = pl.new_dataset("t.parquet", skip_unreadable=True)
    assert sum(found.images.values()) == 58
    assert set(found.problems) == {"t.parquet#3", "t.parquet#5"}
    assert sum(map(len, open_dataset(found.description).splits.values())) == 58


@pytest.mark.full
def test_a_table_beside_may_name_rows() -> None:
    write("d/films.parquet", image=PNGS)
    lines = [f"films.parquet#{i},{'ab'[i // 2 % 2]}" for i in range(0, 60, 2)]
    Path("d/t.csv").write_text("\n".join(["image,label", *lines]))
    found = pl.new_dataset("d/t.csv")
    assert sum(found.images.values()) == 30


def test_rows_are_read_in_any_order_and_none_that_is_not_there() -> None:
    write("t.parquet", image=PNGS, label=["a"] * 60)
    names = [f"t.parquet#{i}" for i in (59, 0, 8, 9, 30, 29)]
    assert list(sources(Path(), names)) == [PNGS[i] for i in (59, 0, 8, 9, 30, 29)]
    for name, reason in (("t.parquet#60", "60 rows, and no row 60"), ("t.parquet#0:x", "no column of pictures x"),
                         ("../t.parquet#0", "leads out"), ("u.parquet#0", "No such file")):  # fmt: skip
        with pytest.raises(DataError, match=reason):
            list(sources(Path(), [name]))
    packed.stop_reading()


def test_names_of_rows() -> None:
    for name in ("a/b.parquet#12", "x.PARQUET#0:y:z", "X.npy#3"):
        assert str(packed_name(name)) == name
    for name in ("a.parquet", "a.png#3", "a.parquet#", "a.parquet#x", "a.parquet#-1", "#3", "a.csv#3"):
        assert packed_name(name) is None


def test_a_picture_that_stands_in_very_many_rows_is_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_SMALL", 8 << 20)
    bomb = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int32)), pa.array([bytes(1 << 20)]))
    pq.write_table(pa.table({"image": bomb}), "t.parquet", compression="zstd", store_schema=False)
    with Path("t.parquet").open("rb") as file:
        reader = PictureCells(file, "")
        assert [len(reader.row(i) or b"") for i in range(3)] == [1 << 20] * 3
        with pytest.raises(UnreadableError, match="more than 8,388,608 bytes, as none in so small a file do"):
            [reader.row(i) for i in range(1000)]


def tree_of(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from tree_of(int(child))


def memory(pid: int) -> int:
    """Bytes of a process and those that it started, what they share counted once."""
    lines = (Path(f"/proc/{each}/smaps_rollup").read_text().splitlines() for each in tree_of(pid))
    return sum(int(line.split()[1]) << 10 for own in lines for line in own if line.startswith("Pss:"))


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from Linux")
def test_a_hundred_megabytes_are_read_in_less_than_two_hundred() -> None:
    cells = [array_bytes(RANDOM.integers(0, 256, (185, 185, 3), np.uint8)) for _ in range(1000)]
    kind = pa.array([{"bytes": cell, "path": None} for cell in cells], IMAGE)
    write("t.parquet", group=100, image=kind, label=["a", "b"] * 500)
    assert Path("t.parquet").stat().st_size > 100e6
    code = "import penlight as pl; print(pl.new_dataset('t.parquet', size=64).images)"
    # Two workers decode, however many cores there are.
    words = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2]); {code}"]
    peak = 0
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                peak = max(peak, memory(process.pid))
            time.sleep(0.02)
        assert process.stdout is not None
        assert b"train" in process.stdout.read()
    assert 80e6 < peak < 200 << 20
