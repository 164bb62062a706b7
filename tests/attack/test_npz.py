"""npz files made to harm: memory, disk and the process stay whole, and each is named."""

import io
import random
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import penlight as pl
from penlight.data import npz, open_dataset
from penlight.data.npz import copy_array, map_array, read_array, read_arrays, read_headers, read_rows
from penlight.errors import DataError
from tests.data.tiny_dataset import DESCRIPTION, tiny_arrays


def header(shape: object, descr: object = "'|u1'", fortran: bool = False) -> bytes:
    """The beginning of a .npy file that says anything at all."""
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def archive(members: dict[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as out:
        for name, data in members.items() if isinstance(members, dict) else members:
            out.writestr(name, data)
    return content.getvalue()


def tiny(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(folder / "tiny.npz", **{**tiny_arrays(), **arrays})
    (folder / "tiny.toml").write_text(DESCRIPTION)
    return folder / "tiny.toml"


SMALL = b"\x00" * 100
LIES = {
    "more rows than bytes": {"a.npy": header("(1000,)") + SMALL},
    "fewer rows than bytes": {"a.npy": header("(10,)") + SMALL},
    "a negative axis": {"a.npy": header("(-1, 100)") + SMALL},
    "an axis of true": {"a.npy": header("(True, 100)") + SMALL},
    "an enormous empty axis": {"a.npy": header(f"({10**18}, 0)")},
    "items of no bytes": {"a.npy": header(f"({10**12},)", "'|S0'")},
    "items of a gigabyte": {"a.npy": header("(1,)", "'|S1000000000'") + SMALL},
    "objects": {"a.npy": header("(1,)", "'|O'") + SMALL},
    "records": {"a.npy": header("(1,)", "[('a', '<f8'), ('b', '|O')]") + SMALL},
    "arrays in arrays": {"a.npy": header("(1,)", "('<f8', (100, 100))") + SMALL},
    "dates": {"a.npy": header("(1,)", "'<M8[ns]'") + SMALL},
    "complex numbers": {"a.npy": header("(1,)", "'<c16'") + SMALL[:16]},
    "a header of brackets": {"a.npy": header("(" * 4000 + ")" * 4000) + SMALL},
    "a header that is code": {"a.npy": header("__import__('os').getcwd()") + SMALL},
    "a header of 60 kB": {"a.npy": header("(" + "1," * 30_000 + ")") + SMALL},
    "no array": {"a.npy": b"hello"},
    "nothing": {"a.npy": b""},
    "a zip": {"a.npy": archive({"b.npy": b"x"})},
}


@pytest.mark.parametrize("what", LIES)
def test_an_array_that_lies_is_named(tmp_path: Path, what: str) -> None:
    content = archive(LIES[what])
    with pytest.raises(DataError, match=r"the file") as caught:
        read_headers(content, "the file")
    assert len(str(caught.value)) < 700
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError):
        read_headers(tmp_path / "a.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused() -> None:
    one, two = (header("(100,)") + bytes([value]) * 100 for value in (1, 2))
    with pytest.raises(DataError, match="several arrays named"):
        read_headers(archive([("a.npy", one), ("a.npy", two)]), "it")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_a_limit_are_refused(method: int) -> None:
    """10 MB of zeros in a few bytes: Python would unpack a piece of it whole."""
    content = archive({"a.npy": header(f"({10 << 20},)") + bytes(10 << 20)}, method)
    assert len(content) < 20_000
    with pytest.raises(DataError, match="a method that NumPy does not use"):
        read_headers(content, "it")


def test_an_encrypted_member_is_named() -> None:
    content = bytearray(archive({"a.npy": header("(100,)") + SMALL}))
    for start, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(start) + place] |= 1
    with pytest.raises(DataError, match="encrypted"):
        read_headers(bytes(content), "it")


def test_very_many_members_are_refused_before_they_are_listed() -> None:
    content = archive([(f"{i}.npy", b"") for i in range(1100)])
    with pytest.raises(DataError, match="1,100 arrays, more than 1,000"):
        read_headers(content, "it")
    # So many of long names that a zip lists them in 5 MB or more.
    content = archive([(f"{i}{'x' * 400}.txt", b"") for i in range(13_000)], zipfile.ZIP_STORED)
    with pytest.raises(DataError, match="the list of its members"):
        read_headers(content, "it")


def test_many_small_bombs_are_one_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them unpacks to less than the limit, all of them together to more, a thousand to one."""
    monkeypatch.setattr(npz, "_SMALL", 16 << 20)
    one = header(f"({15 << 20},)") + bytes(15 << 20)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for i in range(4):
            out.writestr(f"{i}.npy", one)
    assert len(content.getvalue()) < 1 << 20
    with pytest.raises(DataError, match="as no images do"):
        read_headers(content.getvalue(), "it")


def test_what_is_small_or_real_is_not_taken_for_a_bomb(tmp_path: Path) -> None:
    """Blank images and constant labels of 60 MB; noise, which packs to nothing."""
    blank = np.zeros((70_000, 28, 28), np.uint8)
    labels = np.zeros((70_000, 1), np.int64)
    np.savez_compressed(tmp_path / "a.npz", images=blank, labels=labels)
    assert read_headers(tmp_path / "a.npz")["images"].shape == blank.shape
    # Drawn masks of 224 pixels, a disc each: 230 to 1.
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:224, 0:224]
    places = rng.uniform(40, 180, (400, 3))
    masks = np.array([((y - a) ** 2 + (x - b) ** 2 < c * 9) * 255 for a, b, c in places], np.uint8)
    np.savez_compressed(tmp_path / "b.npz", images=masks)
    assert (tmp_path / "b.npz").stat().st_size * 200 < masks.nbytes
    assert read_headers(tmp_path / "b.npz")["images"].shape == masks.shape


@pytest.mark.parametrize("shape", [(5,), (7, 3), (6, 4, 5), (9, 4, 4, 3), (0, 3)])
@pytest.mark.parametrize("dtype", ["u1", "<i8", ">f4", "<U3"])
def test_fortran_order_is_turned_by_way_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], dtype: str
) -> None:
    array = np.asfortranarray(np.arange(np.prod(shape)).reshape(shape).astype(dtype))
    np.savez(tmp_path / "a.npz", a=array)
    found = read_headers(tmp_path / "a.npz")["a"]
    for limit in (0, 40, 1 << 20):
        monkeypatch.setattr(npz, "_TURNED_IN_MEMORY", limit)
        copy_array(tmp_path / "a.npz", found, tmp_path / "a.npy", lambda n: None)
        assert (np.load(tmp_path / "a.npy") == array).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "a.npz"]
    assert (map_array(tmp_path / "a.npy") == array).all()


def test_a_large_array_in_fortran_order_is_not_held_in_memory(tmp_path: Path) -> None:
    """64 MB, of which the process may add 40 MB to what it holds; unpacked and turned in memory they took 128 MB."""
    code = (
        "import re, sys, resource\nfrom pathlib import Path\nfrom penlight.data import npz\n"
        "npz._TURNED_IN_MEMORY = 8 << 20\n"
        # What is mapped is not counted; what is held is.
        "held = int(re.search(r'VmData:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) << 10\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (held + (40 << 20),) * 2)\npath = Path(sys.argv[1])\n"
        "npz.copy_array(path, npz.read_headers(path)['a'], path.with_suffix('.npy'), lambda n: None)\n"
    )
    rng = np.random.default_rng(0)
    array = np.asfortranarray(np.tile(rng.integers(0, 256, (1024, 1024), np.uint8), (64, 1)))
    np.savez(tmp_path / "a.npz", a=array)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.npz")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (map_array(tmp_path / "a.npy")[::5000] == array[::5000]).all()


def test_rows_that_are_too_large_and_rows_in_no_place_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_STORED) as out, out.open("a.npy", "w") as member:
        member.write(header("(1, 20000, 20000)"))
        for _ in range(40):
            member.write(bytes(10_000_000))
    found = read_headers(tmp_path / "a.npz")["a"]
    with pytest.raises(DataError, match="a row of a has 400,000,000 bytes"):
        next(read_rows(tmp_path / "a.npz", found))
    np.savez(tmp_path / "b.npz", b=np.zeros((100_000, 28, 28), np.uint8, order="F"))
    with pytest.raises(DataError, match=r"Fortran order.*ascontiguousarray"):
        next(read_rows(tmp_path / "b.npz", read_headers(tmp_path / "b.npz")["b"]))
    np.savez(tmp_path / "c.npz", c=np.zeros((5, 0, 0), np.uint8))
    with pytest.raises(DataError, match="0 bytes"):
        next(read_rows(tmp_path / "c.npz", read_headers(tmp_path / "c.npz")["c"]))


def test_damage_anywhere_is_a_named_error(tmp_path: Path) -> None:
    """600 mutations of a small npz: read or named, and nothing else."""
    rng = random.Random(0)
    content = io.BytesIO()
    np.savez_compressed(content, a=np.arange(200), b=np.asfortranarray(np.ones((9, 9))), c=np.array(["x", "yy"]))
    sound, named = content.getvalue(), 0
    for _ in range(600):
        broken = bytearray(sound)
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len(broken))
            if rng.random() < 0.2:
                del broken[place : place + rng.randint(1, 40)]
            else:
                broken[place] = rng.randrange(256)
        try:
            read_arrays(bytes(broken), "it", 1 << 20)
        except DataError:
            named += 1
    assert named > 300


def test_a_damaged_file_of_the_store_is_named_and_made_anew(tmp_path: Path) -> None:
    path = tiny(tmp_path)
    before = open_dataset(path)
    folder = pl.fetch(str(path), 28) and next((tmp_path.parent).rglob("store/tiny-28-*"), None)
    store = next(Path(npz_file).parent for npz_file in _stored())
    for content in (b"", b"hello", header("(9, 28, 28, 3)") + b"short", header("(1,)", "'|O'") + SMALL):
        (store / "train_images.npy").write_bytes(content)
        with pytest.raises(DataError):
            map_array(store / "train_images.npy")
        assert open_dataset(path).md5 == before.md5
        store = next(Path(npz_file).parent for npz_file in _stored())
    assert folder is None or folder.is_dir()


def _stored() -> list[Path]:
    from penlight.data.folders import cache_folder

    return sorted((cache_folder() / "store").glob("*/train_images.npy"))


def test_labels_larger_than_any_dataset_are_not_read(tmp_path: Path) -> None:
    arrays = {**tiny_arrays(), "train_labels": np.zeros((20_000_000, 1), np.int64)}
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(DataError, match=r"train_labels has 160,000,000 bytes"):
        pl.new_dataset(tmp_path / "mine.npz", task="ordinal")


def test_texts_as_long_as_books_are_no_patients(tmp_path: Path) -> None:
    patients = np.array(["x" * 5000] * 9)
    with pytest.raises(DataError, match="at most 4,096 bytes"):
        open_dataset(tiny(tmp_path, train_patients=patients))


def test_reading_one_array_is_bounded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(1000))
    found = read_headers(tmp_path / "a.npz")["a"]
    assert len(read_array(tmp_path / "a.npz", found, largest=8000)) == 1000
    with pytest.raises(DataError, match="8,000 bytes, more than 7,999"):
        read_array(tmp_path / "a.npz", found, largest=7999)
