import errno
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from penlight.data import CATALOG, dataset_info, fetch_dataset, open_dataset
from penlight.errors import DataError, StorageError
from tests.data.tiny_dataset import DESCRIPTION, tiny_arrays


def store_of(tmp_path: Path) -> list[str]:
    """Name everything in the store, hidden leftovers included."""
    return sorted(path.name for path in (tmp_path / "cache" / "store").glob("*"))


def test_images_and_labels_are_those_of_the_npz(tiny) -> None:
    dataset = open_dataset(tiny())
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(dataset.splits[split].images, tiny_arrays()[f"{split}_images"])
        np.testing.assert_array_equal(dataset.splits[split].labels, tiny_arrays()[f"{split}_labels"])
    assert isinstance(dataset.splits["train"].images, np.memmap)
    assert (dataset.info.channels, dataset.size, len(dataset.md5)) == (3, 28, 32)


def test_grey_images_get_a_channel_and_flat_labels_a_column(tiny) -> None:
    arrays = tiny_arrays(channels=1)
    arrays["val_labels"] = arrays["val_labels"][:, 0].astype(">i2")
    split = open_dataset(tiny(**arrays)).splits["val"]
    assert split.images.shape == (6, 28, 28, 1)
    assert split.labels.tolist() == [[0], [1], [2], [0], [1], [2]]


def test_fortran_order_is_read_right(tiny) -> None:
    images = tiny_arrays()["train_images"]
    dataset = open_dataset(tiny(train_images=np.asfortranarray(images)))
    np.testing.assert_array_equal(dataset.splits["train"].images, images)


def test_patients_are_kept(tiny) -> None:
    dataset = open_dataset(tiny(test_patients=np.array(["a", "b", "b"])))
    assert dataset.splits["test"].patients.tolist() == ["a", "b", "b"]
    assert dataset.splits["train"].patients is None


def test_a_converted_set_opens_without_reading_the_npz_again(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny()
    first = open_dataset(path)
    monkeypatch.setattr("penlight.data.store.convert", None)
    assert open_dataset(path).md5 == first.md5


def test_a_converted_set_opens_when_the_npz_is_gone(tiny) -> None:
    path = tiny()
    open_dataset(path)
    path.with_suffix(".npz").unlink()
    assert len(open_dataset(path).splits["train"]) == 9


def test_a_touched_npz_is_known_by_its_hash(tiny, tmp_path: Path) -> None:
    path = tiny()
    open_dataset(path)
    before = store_of(tmp_path)
    os.utime(path.with_suffix(".npz"), (1, 1))
    open_dataset(path)
    assert store_of(tmp_path) == before


def test_a_changed_npz_is_read_anew(tiny) -> None:
    first = open_dataset(tiny())
    second = open_dataset(tiny(train_images=np.zeros((9, 28, 28, 3), np.uint8)))
    assert first.md5 != second.md5
    assert not second.splits["train"].images.any()


@pytest.mark.parametrize("damage", ["cut", "gone", "about"])
def test_a_damaged_store_is_made_again(tiny, tmp_path: Path, damage: str) -> None:
    path = tiny()
    open_dataset(path)
    folder = next((tmp_path / "cache" / "store").glob("tiny-*"))
    if damage == "cut":
        os.truncate(folder / "train_images.npy", 500)
    elif damage == "gone":
        (folder / "val_labels.npy").unlink()
    else:
        (folder / "about.json").write_text("{")
    np.testing.assert_array_equal(open_dataset(path).splits["train"].images, tiny_arrays()["train_images"])


def test_arrays_that_are_made_again_and_are_the_same_stay_mapped(tiny, tmp_path: Path) -> None:
    path = tiny()
    open_dataset(path)
    folder = next((tmp_path / "cache" / "store").glob("tiny-*"))
    before = {file.name: file.stat().st_ino for file in folder.glob("*.npy")}
    (folder / "about.json").unlink()
    assert open_dataset(path).splits["train"].images.shape[0] == 9
    assert {file.name: file.stat().st_ino for file in folder.glob("*.npy")} == before
    (folder / "about.json").unlink()
    with (folder / "train_images.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    np.testing.assert_array_equal(open_dataset(path).splits["train"].images, tiny_arrays()["train_images"])
    assert (folder / "train_images.npy").stat().st_ino != before["train_images.npy"]
    assert len(store_of(tmp_path)) == 1


def test_the_store_holds_nothing_else(tiny, tmp_path: Path) -> None:
    open_dataset(tiny())
    assert len(store_of(tmp_path)) == 1
    folder = tmp_path / "cache" / "store" / store_of(tmp_path)[0]
    assert {path.stem for path in folder.iterdir()} == {*tiny_arrays(), "about"}


def test_data_folders_are_searched_in_order(tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny().parent
    monkeypatch.setenv("PENLIGHT_DATA", os.pathsep.join([str(tmp_path / "none"), str(folder)]))
    assert fetch_dataset("tiny") == folder / "tiny.npz"


def test_a_description_may_lie_apart_from_its_npz(tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny()
    elsewhere = path.rename(tmp_path / "tiny.toml")
    monkeypatch.setenv("PENLIGHT_DATA", str(path.parent))
    assert len(open_dataset(elsewhere).splits["val"]) == 6


BAD_ARRAYS = [
    ({"val_labels": None}, "has no array val_labels"),
    ({"train_images": np.zeros((9, 28, 28, 3), np.float32)}, "train_images must be uint8"),
    ({"train_images": np.zeros((9, 32, 32, 3), np.uint8)}, r"train_images must have the shape \(N, 28, 28\)"),
    ({"train_images": np.zeros((9, 28, 28, 4), np.uint8)}, "train_images must have the shape"),
    ({"train_images": np.zeros((9, 28, 28), np.uint8)}, "some splits are grey"),
    ({"train_labels": np.zeros((8, 1), np.uint8)}, "9 images and 8 labels"),
    ({"train_labels": np.zeros((9, 2), np.uint8)}, r"train_labels must have the shape \(N, 1\)"),
    ({"train_labels": np.zeros((9, 1))}, "train_labels must be integers"),
    ({"train_labels": np.full((9, 1), 3, np.uint8)}, "Labels must be 0 to 2; 9 are not, the first is 3"),
    ({"train_labels": np.full((9, 1), -1)}, "Labels must be 0 to 2"),
    ({"test_images": np.zeros((0, 28, 28, 3), np.uint8), "test_labels": np.zeros((0, 1), int)}, "test has no images"),
    ({"train_patients": np.arange(3)}, r"train_patients must have the shape \(9,\), one for each image"),
    ({"train_labels": np.array([[object()]] * 9)}, "pickled objects are never loaded"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_ARRAYS)
def test_bad_arrays_are_refused_and_nothing_is_left(tiny, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(tiny(**changes))
    assert caught.value.remedy
    assert store_of(tmp_path) == []
    assert not (tmp_path / "cache").exists()
    assert (tmp_path / "data" / "tiny.npz").exists()


def test_channels_and_counts_must_be_those_described(tiny) -> None:
    with pytest.raises(DataError, match=r"must have 1 channel\(s\)"):
        open_dataset(tiny(DESCRIPTION + "channels = 1\n"))
    with pytest.raises(DataError, match="train must have 8 images"):
        open_dataset(tiny(DESCRIPTION + "samples = { train = 8, val = 6, test = 3 }\n"))


def test_findings_must_have_a_column_each(tiny) -> None:
    with pytest.raises(DataError, match=r"shape \(N, 3\) for this multi-label task"):
        open_dataset(tiny(DESCRIPTION.replace("ordinal", "multi-label")))


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_cut_off_npz_is_named(tiny, tmp_path: Path, keep: float) -> None:
    path = tiny()
    npz = path.with_suffix(".npz")
    os.truncate(npz, int(keep if keep > 1 else keep * npz.stat().st_size))
    with pytest.raises(DataError, match=r"not a whole npz file.*delete it and get it again"):
        open_dataset(path)
    assert npz.exists()


def test_flipped_bits_inside_an_array_are_found(tiny, tmp_path: Path) -> None:
    path = tiny()
    npz = path.with_suffix(".npz")
    content = bytearray(npz.read_bytes())
    content[2000] ^= 0xFF
    npz.write_bytes(content)
    with pytest.raises(DataError, match="not a whole npz file"):
        open_dataset(path)
    assert store_of(tmp_path) == []


def npy_header(shape: tuple[int, ...], n_bytes: int) -> bytes:
    """An npy file that claims `shape` and has `n_bytes`."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return out.getvalue() + bytes(n_bytes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy_header((10**9, 28, 28), 784), "says it holds 784,000,000,000 bytes"),
        (npy_header((1, 28, 28), 10**6), "says it holds 784 bytes"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(10**5), "not an array in npy format"),
        (b"\x93NUMPY\x03\x00" + bytes(100), r"npy format \(3, 0\)"),
        (b"hello", "not an array in npy format"),
    ],
)
def test_headers_that_lie_are_refused(tiny, content: bytes, message: str) -> None:
    path = tiny()
    with zipfile.ZipFile(path.with_suffix(".npz"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_images.npy", content)
    with pytest.raises(DataError, match=message):
        open_dataset(path)


def test_an_honest_bomb_is_stopped_before_it_fills_the_disk(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny()
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(StorageError, match="its disk has 0 MB free"):
        open_dataset(path)


def test_an_official_file_with_another_hash_is_refused_and_kept(home: Path, tmp_path: Path) -> None:
    official = home / ".medmnist" / "retinamnist.npz"
    official.parent.mkdir()
    counts = CATALOG["retinamnist"].samples
    arrays = {f"{s}_images": np.zeros((n, 28, 28, 3), np.uint8) for s, n in counts.items()}
    np.savez_compressed(official, **arrays, **{f"{s}_labels": np.zeros((n, 1), int) for s, n in counts.items()})
    with pytest.raises(DataError, match=r"MD5 bd4c0672f1bba3e3a89f0e4e876791e4; it has [0-9a-f]{32}"):
        open_dataset("retinamnist")
    assert official.exists()
    assert not (tmp_path / "cache").exists()


def test_a_described_file_that_is_missing_is_named_with_its_places(home: Path) -> None:
    with pytest.raises(DataError, match=r"nih1000.npz was not found.*\.medmnist.*PENLIGHT_DATA"):
        open_dataset("nih1000")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(("name", "size"), [("retinamnist", 32), ("nih1000", 224), ("retina-phantom", 100)])
def test_a_size_that_does_not_exist(name: str, size: int) -> None:
    with pytest.raises(DataError, match=f"{size} was asked for"):
        open_dataset(name, size)


def test_an_unwritable_cache(tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match=r"cannot be written.*Set PENLIGHT_CACHE"):
        open_dataset(tiny())


def test_a_full_disk_leaves_nothing(tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tiny()
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(StorageError, match=r"disk is full.*Set PENLIGHT_CACHE"):
            open_dataset(path)
    assert not (tmp_path / "cache").exists()
    assert len(open_dataset(path).splits["train"]) == 9


def first_row(path: str) -> int:
    return int(open_dataset(path).splits["train"].images[0].sum())


def test_two_processes_at_once_do_no_harm(tiny, tmp_path: Path) -> None:
    path = str(tiny())
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sums = pool.map(first_row, [path] * 4, chunksize=1)
    assert set(sums) == {int(tiny_arrays()["train_images"][0].sum())}
    assert len(store_of(tmp_path)) == 1


STOPPED = """
import sys, time
from penlight.data import mapped, open_dataset
copy = mapped.copy_array
def copy_and_wait(*arguments):
    copy(*arguments)
    print("copied", flush=True)
    time.sleep(60)
mapped.copy_array = copy_and_wait
open_dataset(sys.argv[1])
"""


def test_what_a_killed_process_left_is_removed(tiny, tmp_path: Path) -> None:
    path = tiny()
    with subprocess.Popen([sys.executable, "-c", STOPPED, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "copied\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert any(name.endswith(".part") for name in store_of(tmp_path))
    open_dataset(path)
    assert len(store_of(tmp_path)) == 1


def test_a_file_that_changes_while_it_is_read_is_refused(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penlight.data import mapped

    path = tiny()
    read = mapped.read_splits

    def read_and_touch(*arguments):
        os.utime(path.with_suffix(".npz"), (time.time() + 5, time.time() + 5))
        return read(*arguments)

    monkeypatch.setattr(mapped, "read_splits", read_and_touch)
    with pytest.raises(DataError, match="changed while it was read"):
        open_dataset(path)
    assert store_of(tmp_path) == []


def test_importing_makes_no_folder_and_loads_nothing_heavy(home: Path, tmp_path: Path) -> None:
    code = (
        "import sys, penlight.data; "
        "print([m for m in ('matplotlib', 'pandas', 'requests', 'pooch', 'keras', 'sklearn') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
    assert list(home.iterdir()) == []
    assert not (tmp_path / "cache").exists()


def test_phantoms_are_drawn_alike_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from penlight import phantoms

    samples = {"train": 10, "val": 5, "test": 5}
    draw = phantoms.phantom_arrays
    monkeypatch.setattr(phantoms, "phantom_arrays", lambda name, size: draw(name, size, samples=samples))
    monkeypatch.setitem(
        CATALOG,
        "retina-phantom",
        type(CATALOG["retina-phantom"])(**{**vars(CATALOG["retina-phantom"]), "samples": samples}),
    )
    first, second = open_dataset("retina-phantom"), open_dataset("retina-phantom")
    assert first.md5 == second.md5
    assert first.splits["train"].images.shape == (10, 28, 28, 3)
    with pytest.raises(DataError, match="nothing to fetch"):
        fetch_dataset("retina-phantom")


@pytest.mark.real
@pytest.mark.usefixtures("real_data")
def test_the_real_retinamnist() -> None:
    dataset = open_dataset("retinamnist")
    assert dataset.md5 == dataset_info("retinamnist").md5[28]
    assert np.bincount(dataset.splits["test"].labels[:, 0]).tolist() == [174, 46, 92, 68, 20]
    assert dataset.splits["train"].images.shape == (1080, 28, 28, 3)


@pytest.mark.real
@pytest.mark.usefixtures("real_data")
@pytest.mark.parametrize("size", [28, 64])
def test_the_real_nih1000(size: int) -> None:
    dataset = open_dataset("nih1000", size)
    assert dataset.splits["train"].images.shape == (623, size, size, 1)
    assert dataset.splits["val"].labels.sum(axis=0)[-1] == 0
    patients = [set(split.patients.tolist()) for split in dataset.splits.values()]
    assert not patients[0] & patients[1]
    assert not patients[0] & patients[2]


def test_what_a_killed_process_left_of_a_whole_dataset_is_cleared_away_unless_another_makes_it(
    tiny, tmp_path
) -> None:
    from penlight import disk

    name = tiny()
    open_dataset(name)
    store = tmp_path / "cache" / "store"
    (whole,) = store_of(tmp_path)
    for left in (".tiny-28.abcdefgh.part", ".tiny-28.parts", ".tiny-64.abcdefgh.part"):
        (store / left).mkdir()
        (store / left / "half.npy").write_bytes(b"half")
    with disk.locked(store / ".tiny-28.lock"):
        open_dataset(name)
        assert len(store_of(tmp_path)) == 5
    (store / ".tiny-28.lock").touch()
    open_dataset(name)
    assert store_of(tmp_path) == [".tiny-64.abcdefgh.part", whole]
