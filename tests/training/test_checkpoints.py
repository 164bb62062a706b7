"""Checkpoints: the last two epochs, known to be whole by a hash; damage is said and gone back from, never loaded."""

import hashlib
import io
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penlight.data import apply_view
from penlight.recipes import Cnn, Data, Recipe, Train
from penlight.tasks import Ordinal
from penlight.training import Checkpoints, fit
from tests.conftest import LABELS, examples, small_dataset
from tests.stubs import stub_fit

RECIPE = Recipe(data=Data(dataset="small"), model=Cnn(filters=(4,), dense=4), train=Train(epochs=4, batch_size=24))


class PulledPlugError(Exception):
    pass


def kept(folder, tell=lambda what: None, **about):
    return Checkpoints(folder / "checkpoint", about, tell)


def state(epoch):
    return {"weights": np.full(3, epoch, np.float32), "epoch": np.array(epoch)}


def read(checkpoints):
    """The epoch that is gone on from, and its state."""
    found = {}
    return checkpoints.read(lambda arrays: found.update(arrays) or True), found


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_last_two_epochs_are_kept_and_the_newest_comes_back(tmp_path):
    for epoch in range(1, 12):
        kept(tmp_path).write(epoch, state(epoch))
    assert names(tmp_path) == ["checkpoint-10.npz", "checkpoint-11.npz"]
    epoch, found = read(kept(tmp_path))
    assert epoch == found["epoch"] == 11
    assert found["weights"].tolist() == [11, 11, 11]


def test_a_damaged_one_falls_back_to_the_one_before_and_says_so(tmp_path):
    told = []
    for epoch in (1, 2, 3):
        kept(tmp_path).write(epoch, state(epoch))
    newest = tmp_path / "checkpoint-3.npz"
    newest.write_bytes(newest.read_bytes()[:-1])
    epoch, found = read(kept(tmp_path, told.append))
    assert epoch == found["epoch"] == 2
    assert told == ["The checkpoint of epoch 3 is damaged, or of other data: going back to that of epoch 2."]
    (tmp_path / "checkpoint-2.npz").write_bytes(b"")
    told.clear()
    assert read(kept(tmp_path, told.append)) == (0, {})
    assert [what.rpartition(": ")[2] for what in told] == [
        "going back to that of epoch 2.",
        "training begins from the start.",
    ]
    # From the start again, damaged ones of later epochs do not outlive what is written now.
    kept(tmp_path).write(1, state(1))
    assert names(tmp_path) == ["checkpoint-1.npz"]


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), change=st.one_of(st.none(), st.integers(1, 255)))
def test_no_flipped_byte_and_no_cut_goes_unseen(tmp_path, place, change):
    kept(tmp_path).write(1, state(1))
    file = tmp_path / "checkpoint-1.npz"
    content = bytearray(file.read_bytes())
    at = int(place * len(content))
    if change is None:
        del content[at:]
    else:
        content[at] ^= change
    file.write_bytes(content)
    assert read(kept(tmp_path)) == (0, {})


def test_a_pickle_is_refused_even_with_the_right_hash(tmp_path):
    content = io.BytesIO()
    np.savez(content, weights=np.array([{"an": "object"}], object), epoch=np.array(1))
    digest = hashlib.sha256(content.getvalue()).hexdigest().encode()
    for body in (content.getvalue(), content.getvalue()[:40], b"\x80\x04N."):
        digest = hashlib.sha256(body).hexdigest().encode()
        (tmp_path / "checkpoint-1.npz").write_bytes(b"Penlight checkpoint 1\n" + digest + b"\n" + body)
        assert read(kept(tmp_path)) == (0, {})


def test_those_of_other_data_are_not_gone_on_from(tmp_path):
    kept(tmp_path, data="one").write(1, state(1))
    assert read(kept(tmp_path, data="other")) == (0, {})
    assert read(kept(tmp_path, data="one"))[0] == 1


@pytest.fixture(scope="module", autouse=True)
def stub():
    """What a network learns is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        stub_fit(patch)
        yield


@pytest.fixture(scope="module")
def view():
    return apply_view(small_dataset(Ordinal(LABELS, referable=2)))


@pytest.fixture(scope="module")
def undisturbed(view):
    return fit(RECIPE, view, view.task, 0).logits(view.splits["test"]).tobytes()


@pytest.fixture(scope="module")
def stopped(view, tmp_path_factory):
    """What is there of a training whose plug was pulled after three epochs."""

    def pull(row, planned):
        if row.epoch == 3:
            raise PulledPlugError

    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(PulledPlugError):
        fit(RECIPE, view, view.task, 0, checkpoints=kept(folder), progress=pull)
    return folder


@pytest.mark.parametrize(
    ("damaged", "first"),
    [
        pytest.param((), 4, id="none", marks=pytest.mark.full),
        pytest.param((3,), 3, id="the newest"),
        pytest.param((3, 2), 1, id="both", marks=pytest.mark.full),
    ],
)
def test_training_gives_the_same_bytes_whatever_is_damaged(
    view, undisturbed, stopped, tmp_path, monkeypatch, damaged, first
):
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    for epoch in damaged:
        path = tmp_path / f"checkpoint-{epoch}.npz"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    told, trained = [], []
    own = Checkpoints.write
    monkeypatch.setattr(Checkpoints, "write", lambda self, epoch, a: trained.append(epoch) or own(self, epoch, a))
    model = fit(RECIPE, view, view.task, 0, checkpoints=kept(tmp_path, told.append))
    assert model.logits(view.splits["test"]).tobytes() == undisturbed
    assert trained == list(range(first, 5))
    assert len(told) == len(damaged)


def test_a_state_of_another_network_does_not_fit(view, undisturbed, tmp_path):
    other = RECIPE.model_copy(update={"model": Cnn(filters=(6,), dense=4)})
    fit(other, view, view.task, 0, checkpoints=kept(tmp_path))
    told = []
    model = fit(RECIPE, view, view.task, 0, checkpoints=kept(tmp_path, told.append))
    assert model.logits(view.splits["test"]).tobytes() == undisturbed
    assert len(told) == 2
