"""The batches of an epoch: the images drawn, in their order, however they are read; and how well they are mixed."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penlight.data import ViewedSplit
from penlight.recipes import Augment, Cnn, Recipe, Train
from penlight.training import batches, fit
from penlight.training.batches import ahead, draw_epoch, epoch_blocks, epoch_order, gather
from penlight.training.checkpoints import Checkpoints
from penlight.training.engine import Block
from tests.conftest import examples

FILMS = 78_468
"""So many films has train of ChestMNIST."""


def split_of(n: int, *, side: int = 8, labels: np.ndarray | None = None, left_out: int = 0) -> ViewedSplit:
    """Images whose first two pixels say their row; the view leaves out every third of the first `left_out`."""
    images = np.zeros((n, side, side, 1), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = np.divmod(np.arange(n), 256)
    index = np.setdiff1d(np.arange(n), np.arange(0, left_out, 3))
    y = np.eye(4, dtype=np.uint8)[index % 4 if labels is None else labels[index]]
    return ViewedSplit(images, index, y)


def films(labels: np.ndarray) -> ViewedSplit:
    """A split of so many films of 224 pixels that takes no memory."""
    images = np.broadcast_to(np.zeros(1, np.uint8), (FILMS, 224, 224, 1))
    return ViewedSplit(images, np.arange(FILMS), np.eye(labels.max() + 1, dtype=np.uint8)[labels])


def rows_seen(images: np.ndarray) -> np.ndarray:
    flat = images.reshape(-1, *images.shape[-3:]).astype(np.int64)
    return flat[:, 0, 0, 0] * 256 + flat[:, 0, 1, 0]


def set_sizes(patch: pytest.MonkeyPatch, whole: int) -> None:
    """Make splits of more than `whole` images of 8 pixels large, with 32 images in a buffer and 4 in a block."""
    for name, images in (("WHOLE_BYTES", whole), ("BUFFER_BYTES", 32), ("BLOCK_BYTES", 4), ("_CALL_BYTES", 24)):
        patch.setattr(batches, name, images * 64)


def blocks_of(split: ViewedSplit, train: Train, epoch: int = 1) -> tuple[batches.EpochOrder, list[Block]]:
    drawn = draw_epoch(split, train, 5, epoch)
    targets, weights = split.y_true.astype(np.float32), split.index.astype(np.float32)
    found = epoch_blocks(split, drawn, targets, weights, train.batch_size, only_copies=train.augment.only_copies)
    return drawn, list(found)


@pytest.mark.parametrize("balance", ["none", "copies", "sampling", "weights"])
@pytest.mark.parametrize("whole", [10, 10**6])
@settings(max_examples=examples(10), deadline=None)
@given(n=st.integers(41, 400), batch=st.integers(1, 50), left_out=st.integers(0, 30))
def test_blocks_hold_the_images_that_were_drawn(balance, whole, n, batch, left_out) -> None:
    split, train = split_of(n, left_out=left_out), Train(batch_size=batch, balance=balance)
    with pytest.MonkeyPatch.context() as patch:
        set_sizes(patch, whole)
        drawn, blocks = blocks_of(split, train)
    assert (drawn.buffers is None) == (whole > n)
    shapes = [block.weight.shape for block in blocks]
    assert all(b == batch for _, b in shapes[:-1])
    assert sum(k for k, _ in shapes) == -(-len(drawn) // batch)
    wanted = split.index[drawn.rows]
    np.testing.assert_array_equal(np.concatenate([rows_seen(block.images) for block in blocks]), wanted)
    np.testing.assert_array_equal(np.concatenate([block.weight.ravel() for block in blocks]), wanted)
    np.testing.assert_array_equal(np.concatenate([b.y.reshape(-1, 4) for b in blocks]), split.y_true[drawn.rows])
    rows, copies = epoch_order(split.y_true, train, 5, 1)
    assert sorted(zip(drawn.rows, drawn.copies, strict=True)) == sorted(zip(rows, copies, strict=True))


def test_what_fits_is_shuffled_whole_and_as_ever() -> None:
    split = split_of(400)
    drawn = draw_epoch(split, Train(balance="copies"), 5, 2)
    rows, copies = epoch_order(split.y_true, Train(balance="copies"), 5, 2)
    assert drawn.buffers is None
    np.testing.assert_array_equal(drawn.rows, rows)
    np.testing.assert_array_equal(drawn.copies, copies)


def test_a_large_split_is_held_buffer_by_buffer_and_a_little_more(monkeypatch: pytest.MonkeyPatch) -> None:
    set_sizes(monkeypatch, 40)
    asked = []
    monkeypatch.setattr(batches, "gather", lambda split, rows: asked.append(rows) or gather(split, rows))
    _, blocks = blocks_of(split_of(300), Train(batch_size=7))
    assert max(map(len, asked)) <= 32 + 7
    assert sum(map(len, asked)) <= 300 + len(asked) * 7
    assert max(block.images.nbytes for block in blocks) <= 24 * 64


def test_an_epoch_depends_on_seed_and_number_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    set_sizes(monkeypatch, 40)
    split = split_of(300)
    first, again, other, later = (draw_epoch(split, Train(), *on).rows for on in ((5, 1), (5, 1), (6, 1), (5, 2)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first != later).any()


def test_reading_ahead_or_not_gives_the_same_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    set_sizes(monkeypatch, 40)
    split = split_of(300, labels=np.minimum(np.arange(300) % 20, 3))
    train = Train(batch_size=7, augment=Augment(rotation=5, only_copies=True), balance="copies")
    _, read_ahead = blocks_of(split, train)
    monkeypatch.setattr(batches, "ahead", lambda items: items)
    _, plain = blocks_of(split, train)
    for one, other in zip(read_ahead, plain, strict=True):
        for name in ("images", "y", "weight", "strength"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert 0 < sum(block.strength.sum() for block in plain) == sum(block.strength.size for block in plain) - 300


@pytest.mark.full
def test_a_stopped_training_on_a_large_set_goes_on_to_the_same_bytes(ordinal_view, tmp_path, monkeypatch) -> None:
    each = ordinal_view.splits["train"].images[:1].nbytes
    for name, images in (("WHOLE_BYTES", 20), ("BUFFER_BYTES", 12), ("BLOCK_BYTES", 3), ("_CALL_BYTES", 20)):
        monkeypatch.setattr(batches, name, images * each)
    recipe = Recipe(model=Cnn(filters=(4,), dense=0), train=Train(epochs=3, batch_size=10))
    test = ordinal_view.splits["test"]

    class PulledPlugError(Exception):
        pass

    def pull(row, planned) -> None:
        if row.epoch == 2:
            raise PulledPlugError

    undisturbed = fit(recipe, ordinal_view, ordinal_view.task, 0)
    with pytest.raises(PulledPlugError):
        fit(recipe, ordinal_view, ordinal_view.task, 0, checkpoints=Checkpoints(tmp_path / "c"), progress=pull)
    continued = fit(recipe, ordinal_view, ordinal_view.task, 0, checkpoints=Checkpoints(tmp_path / "c"))
    assert draw_epoch(ordinal_view.splits["train"], recipe.train, 0, 1).buffers is not None
    assert continued.logits(test).tobytes() == undisturbed.logits(test).tobytes()
    assert [row.loss for row in continued.history] == [row.loss for row in undisturbed.history]


def test_ahead_reads_one_more_than_is_used_and_passes_errors_on() -> None:
    made, gate = [], threading.Event()

    def items():
        for i in range(5):
            made.append(i)
            if i == 1:
                gate.set()
            yield i
        raise OSError("the disk is gone")

    reading = ahead(items())
    assert next(reading) == 0
    assert gate.wait(60), "the second is made while the first is used"
    assert made == [0, 1]
    with pytest.raises(OSError, match="gone"):
        list(reading)
    stopped = ahead(iter(range(100)))
    next(stopped)
    stopped.close()


def uneven(y: np.ndarray, batch: int = 64) -> float:
    """How much the counts of labels (C) in batches vary, against what drawing without putting back gives; 1 is a
    perfect shuffle."""
    counts = y[: len(y) // batch * batch].reshape(-1, batch, y.shape[1]).sum(axis=1)
    share = y.mean(axis=0)
    chance = batch * share * (1 - share) * (len(y) - batch) / (len(y) - 1)
    return float((counts.var(axis=0) / chance).mean())


@pytest.mark.parametrize("lying", ["sorted by label", "in runs of a patient", "mixed"])
def test_blocks_mix_well_however_the_images_lie(lying) -> None:
    rng = np.random.default_rng(1)
    labels = {
        "sorted by label": np.sort(rng.choice(14, FILMS, p=np.arange(1, 15) / 105)),
        "in runs of a patient": np.repeat(rng.integers(0, 14, FILMS), 6)[:FILMS],
        "mixed": rng.integers(0, 14, FILMS),
    }[lying]
    split = films(labels)
    drawn, later = (draw_epoch(split, Train(), 0, epoch) for epoch in (1, 2))
    place = np.arange(FILMS)
    assert sorted(drawn.rows) == list(place)
    # Blocks are some 15,700 independent draws: chance gives 0.008.
    assert abs(np.corrcoef(place, drawn.rows)[0, 1]) < 0.03
    assert abs(np.corrcoef(np.argsort(drawn.rows), np.argsort(later.rows))[0, 1]) < 0.03
    # As the docstring of BLOCK_BYTES says: 1.125 where neighbours are alike, and 1 where they are not.
    assert uneven(split.y_true[drawn.rows]) < 1.2
    assert uneven(split.y_true[rng.permutation(FILMS)]) == pytest.approx(1, abs=0.05)


def test_buffers_of_neighbours_would_not_pass() -> None:
    """The figure of the test above sees what it is for: without the shuffle of blocks, batches are of few labels."""
    labels = np.sort(np.random.default_rng(1).choice(14, FILMS, p=np.arange(1, 15) / 105))
    near = np.concatenate(
        [np.random.default_rng(2).permutation(part) for part in np.array_split(np.arange(FILMS), 30)]
    )
    assert uneven(films(labels).y_true[near]) > 10
