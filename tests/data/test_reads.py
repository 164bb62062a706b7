"""Reading mapped images: the same as indexing them, and nothing of the file stays behind."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from penlight.data import reads
from penlight.data.reads import Chosen, at_once, every, put_together, read, some
from penlight.errors import StorageError
from tests.conftest import examples

SHAPE = (300, 64, 64)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> np.memmap:
    path = tmp_path_factory.mktemp("reads") / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8))
    return np.load(path, mmap_mode="r")


def resident(kind: str) -> int:
    """Bytes of this process's memory of a kind, as Linux counts them."""
    found = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(kind)]
    return int(found[0].split()[1]) * 1024


@settings(max_examples=examples(30), deadline=None)
@given(rows=arrays(np.int64, st.sampled_from([(7,), (3, 5), (0,), (1, 1)]), elements=st.integers(0, SHAPE[0] - 1)))
def test_rows_of_a_mapped_array_are_what_indexing_gives(mapped, rows) -> None:
    for images in (mapped, mapped[..., np.newaxis], mapped[10:][::-1], np.array(mapped)):
        own = rows % len(images)
        found = read(images, own)
        np.testing.assert_array_equal(found, images[own])
        assert type(found) is np.ndarray
        assert not np.shares_memory(found, images)


def test_long_runs_are_asked_for_and_read_right(mapped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "_PART_BYTES", 64 * 4096 + 1)
    rows = np.r_[100:200, 7, 250:300]
    np.testing.assert_array_equal(read(mapped, rows), mapped[rows])


@pytest.mark.parametrize("part", [slice(None), slice(5, 3), slice(None, None, -7), slice(290, 999)])
def test_slices(mapped, part) -> None:
    np.testing.assert_array_equal(read(mapped, part), mapped[part])
    chosen = Chosen(mapped[..., np.newaxis], np.arange(0, 300, 2))
    np.testing.assert_array_equal(chosen[part], mapped[::2][part][..., np.newaxis])


def test_chosen_images_have_the_shape_of_what_they_stand_for(mapped) -> None:
    chosen = Chosen(mapped[..., np.newaxis], np.array([4, 2]))
    assert (len(chosen), chosen.shape, chosen.dtype) == (2, (2, 64, 64, 1), np.uint8)


def test_some_of_chosen_images_are_chosen_of_the_same_file(mapped) -> None:
    images, rows = mapped[..., np.newaxis], np.array([9, 3, 3, 200])
    for source in (images, every(images), Chosen(images[::-1], np.arange(299, -1, -1))):
        found = some(source, rows)
        assert isinstance(found, Chosen)
        np.testing.assert_array_equal(found[:], images[rows])


@pytest.mark.parametrize(
    ("shape", "batch"),
    [((9, 28, 28, 3), 64), ((9, 64, 64, 1), 64), ((9, 224, 224, 1), 5), ((9, 2048), 64), ((0, 9999, 9999, 1), 1)],
)
def test_of_large_images_fewer_are_taken_at_once(shape, batch) -> None:
    assert at_once(shape, 64, 2**18) == batch


@pytest.mark.parametrize("most", [0, 10**9])
def test_images_put_together_are_those_of_the_parts(mapped, monkeypatch: pytest.MonkeyPatch, most) -> None:
    monkeypatch.setattr(reads, "HELD_BYTES", most)
    images = mapped[..., np.newaxis]
    found = put_together([every(images), Chosen(images, np.array([5, 5])), np.array(images[:7])])
    np.testing.assert_array_equal(found, np.concatenate([images, images[[5, 5]], images[:7]]))
    assert isinstance(found, np.memmap) == (most == 0)
    np.testing.assert_array_equal(read(found, np.array([300, 0])), images[[5, 0]])


def test_a_folder_that_takes_no_file_is_named(mapped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "HELD_BYTES", 0)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match="PENLIGHT_CACHE"):
        put_together([every(mapped[..., np.newaxis])])


def test_a_row_that_is_not_there_is_an_error(mapped) -> None:
    with pytest.raises(IndexError):
        read(mapped, np.array([300]))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts memory as Linux tells it")
def test_what_was_read_does_not_stay_in_the_process(tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (64, 1024, 1024))
    images[:] = 7
    images.flush()
    del images
    images = np.load(path, mmap_mode="r")
    before = resident("RssFile")
    for start in range(0, 64, 8):
        assert read(images, slice(start, start + 8)).sum(dtype=np.int64) == 7 * 8 * 2**20
    assert resident("RssFile") - before < 16 * 2**20
    assert int(images.sum(dtype=np.int64)) == 7 * 2**26
    assert resident("RssFile") - before > 60 * 2**20, (
        "what is read otherwise does stay, or this test would say nothing"
    )
