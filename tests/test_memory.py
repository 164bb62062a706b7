"""A set that lies on disk is never held whole: what steps of a run hold of it, as copies and as pages."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penlight.data import Dataset, DatasetInfo, Split, ViewedDataset, apply_view, open_dataset, reads
from penlight.data.arrays import md5_of
from penlight.data.audit import thumbs
from penlight.data.audit.checks import _exact_groups
from penlight.data.audit.thumbs import make_thumbs
from penlight.data.reads import every, put_together, read
from penlight.evaluation import novelty
from penlight.evaluation.novelty import Novelty
from penlight.explanation import neighbours
from penlight.explanation.neighbours import Neighbours
from penlight.exporters.parity import _in_batches
from penlight.models import LinearBaseline, baselines
from penlight.recipes import Linear, Train
from penlight.reports.displays.strips import UnusualImages
from penlight.tasks import MultiLabel
from penlight.training import batches
from penlight.training.batches import draw_epoch, epoch_blocks
from penlight.training.folds import Folds

ROOT = Path(__file__).parent.parent
COUNTS = {"train": 600, "val": 60, "test": 200}
SIDE = 224
LABELS = ("a", "b", "c")
MB = 2**20
MOST = 9 * MB

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts memory as Linux tells it")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> ViewedDataset:
    """Films of 43 MB, mapped: a level that says their first finding, and rows that differ."""
    folder, rng, splits = tmp_path_factory.mktemp("films"), np.random.default_rng(0), {}
    for name, n in COUNTS.items():
        y = rng.integers(0, 2, (n, len(LABELS)), np.uint8)
        rows = (60 + 40 * y[:, :1] + rng.integers(0, 60, (n, SIDE))).astype(np.uint8)
        np.save(folder / f"{name}.npy", np.repeat(rows[..., np.newaxis], SIDE, axis=2))
        splits[name] = Split(np.load(folder / f"{name}.npy", mmap_mode="r")[..., np.newaxis], y)
    info = DatasetInfo("films", "Films", MultiLabel(LABELS), 1, None, "none", "drawn in the tests")
    return apply_view(Dataset(info, SIDE, splits, md5="0" * 32))


def few(view: ViewedDataset) -> ViewedDataset:
    """Some of the films, in memory."""
    splits = {name: Split(np.array(s.images[:40]), s.labels[:40]) for name, s in view.dataset.splits.items()}
    return apply_view(replace(view.dataset, splits=splits))


def of_files() -> int:
    """Bytes of files that are resident in this process."""
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("RssFile"))
    return int(line.split()[1]) * 1024


def read_epoch(view: ViewedDataset) -> None:
    split = view.splits["train"]
    drawn = draw_epoch(split, Train(), 0, 1)
    assert (drawn.buffers is None) == (len(split) == 40)
    weights = np.ones(len(split), np.float32)
    for _ in epoch_blocks(split, drawn, split.y_true.astype(np.float32), weights, 32, only_copies=False):
        pass


def fit_linear(view: ViewedDataset) -> None:
    train = view.splits["train"]
    model = LinearBaseline(Linear(components=3)).fit(train.chosen, train.y_true, view.task, mirrors=False)
    assert model.predict(view.splits["test"].chosen)[:, 0].std() > 0.1


def keep_neighbours(view: ViewedDataset) -> None:
    train = view.splits["train"]
    Neighbours.fit(None, train.images, train.index, train.y_true)


def compare_a_file(view: ViewedDataset) -> None:
    test = view.splits["test"]
    _in_batches(lambda images: (np.zeros((len(images), 3)), np.full((len(images), 3), images.mean())), test.chosen, 7)


def show_unusual(view: ViewedDataset) -> None:
    test = view.splits["test"]
    UnusualImages.from_images(Novelty.fit(test.chosen, test.chosen), test.images, test.index)


def divide(view: ViewedDataset) -> None:
    train = view.splits["train"]
    folds = Folds(view, train, np.arange(len(train)), np.arange(len(train)) % 3, 3, 0)
    fold = replace(folds, whole=replace(train, images=put_together([every(train.images)]))).fold(1)
    assert (len(train) == 40) != isinstance(fold.dataset.splits["train"].images, np.memmap)
    stored, own = fold.dataset.splits["test"].images, fold.splits["test"]
    np.testing.assert_array_equal(read(stored, slice(5)), train.images[np.flatnonzero(folds.number == 1)[:5]])
    np.testing.assert_array_equal(own.chosen[:5], read(stored, slice(5)))


STEPS: dict[str, Callable[[ViewedDataset], object]] = {
    "the batches of an epoch": read_epoch,
    "the linear baseline": fit_linear,
    "the audit's thumbs": lambda view: make_thumbs(view.dataset),
    "the audit's hashes": lambda view: _exact_groups(view.dataset),
    "what images look like": lambda view: Novelty.fit(view.splits["train"].chosen, view.splits["val"].chosen),
    "similar images": keep_neighbours,
    "the parity of a file": compare_a_file,
    "unusual images": show_unusual,
    "the folds of a cross-validation": divide,
    "the hash of pictures": lambda view: md5_of({name: s.images for name, s in view.dataset.splits.items()}),
}


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make parts so small that a set of 43 MB is large."""
    sizes = {
        batches: {"WHOLE_BYTES": 4 * MB, "BUFFER_BYTES": 2 * MB, "BLOCK_BYTES": MB // 4, "_CALL_BYTES": MB // 2},
        baselines: {"TABLE_BYTES": 0, "CELLS": 8, "_VALUES_AT_ONCE": MB // 4},
        reads: {"_PART_BYTES": MB, "HELD_BYTES": 4 * MB},
        thumbs: {"_BLOCK_VALUES": MB},
        neighbours: {"_BLOCK": 32},
        novelty: {"_CHUNK_VALUES": MB // 4},
    }
    for module, values in sizes.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=pytest.mark.full if step == "unusual images" else ()) for step in STEPS]
)
def test_no_step_holds_a_split(films: ViewedDataset, step: str) -> None:
    """Of 30 MB of train and 10 MB of test few are held at once, and few stay mapped."""
    STEPS[step](few(films))  # first what is loaded and kept anyway
    before = of_files()
    tracemalloc.start()
    try:
        STEPS[step](films)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held < MOST
    assert of_files() - before < MOST


def test_holding_a_split_would_be_seen(films: ViewedDataset) -> None:
    before = of_files()
    tracemalloc.start()
    copy = np.array(films.splits["train"].images)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held >= copy.nbytes > 3 * MOST
    assert of_files() - before > 2 * MOST


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_conversion_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Callable[..., None]) -> None:
    arrays = {"train_images": np.zeros((1000, SIDE, SIDE), np.uint8), "train_labels": np.arange(1000) % 2}
    for split in ("val", "test"):
        arrays |= {f"{split}_images": np.zeros((4, SIDE, SIDE), np.uint8), f"{split}_labels": np.arange(4) % 2}
    save(tmp_path / "films.npz", **arrays)
    del arrays
    (tmp_path / "films.toml").write_text(
        'name = "films"\ntitle = "Films"\ntask = "binary"\nlabels = ["no", "yes"]\nlicence = "CC0"\n'
        f'source = "drawn"\nfiles = {{ "{SIDE}" = "films.npz" }}\n'
    )
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    tracemalloc.start()
    dataset = open_dataset(tmp_path / "films.toml", SIDE)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(dataset.splits["train"]) == 1000
    assert held < MOST < 1000 * SIDE**2 / 4


@pytest.mark.full
def test_a_run_on_a_large_set_stays_below_its_limit() -> None:
    """A run of 16,000 films of 224 pixels, 560 MB of them in train, in a process of its own."""
    script = ROOT / "benchmarks" / "larger_than_memory.py"
    done = subprocess.run([sys.executable, script, "--films", "16000"], check=True, capture_output=True, text=True)
    assert done.stdout.count("peak below 1,500 MB") == 2, done.stdout
