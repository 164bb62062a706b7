"""Baselines are fitted once for a dataset, view and decision, whichever process asks; a damaged entry counts for
nothing."""

import hashlib
import io
import json
import pickle

import numpy as np
import pytest

import penlight as pl
from penlight.api.training import train_recipe
from penlight.data import apply_view
from penlight.data.accesses import BASELINE, TestAccessLog, accesses_of
from penlight.experiments import baselines as own
from penlight.experiments.baselines import Baselines
from penlight.privacy import cache_folder
from penlight.recipes import Data, Decide, Linear, Recipe
from penlight.runs import to_bytes
from penlight.tasks import Binary, MultiLabel, Ordinal
from tests.conftest import LABELS, small_dataset

pytestmark = pytest.mark.fitted
RECIPE = Recipe(data=Data(dataset="small"), model=Linear(components=4))


def entries():
    return sorted((cache_folder() / "fitted").glob("*.npz"))


def asked(dataset, recipe=RECIPE):
    """What baselines say, as a process of its own would hear it."""
    view = apply_view(dataset)
    found = Baselines(view, pl.ProgressListener(), TestAccessLog(dataset, "train"))
    said = []
    for name in ("majority", "linear"):
        baseline = found.fitted(name, recipe)
        tested = found.tested(baseline)
        logits = baseline.model.logits(view.splits["val"])
        said.append(
            (
                to_bytes(baseline.val),
                to_bytes(tested.answers.before),
                tested.rows,
                baseline.decision,
                logits.tobytes(),
            )
        )
    rates = {name: (rate.images, rate.unusual) for name, rate in found.novelty_rates.drawn.items()}
    return repr(said), found.novelty.to_bytes(), rates


@pytest.fixture
def fits(monkeypatch):
    begun, fit = [], own.fit
    monkeypatch.setattr(own, "fit", lambda recipe, *rest, **how: begun.append(recipe) or fit(recipe, *rest, **how))
    return begun


@pytest.mark.parametrize("task", [Ordinal(LABELS, referable=2), MultiLabel(LABELS), Binary(LABELS[:2])])
def test_they_are_fitted_once_and_say_the_same_when_they_are_found(task, fits):
    dataset = small_dataset(task)
    first = asked(dataset)
    assert len(fits) == 2
    assert asked(dataset) == first
    assert len(fits) == 2
    assert len(entries()) == 5
    assert all(path.stat().st_mode & 0o077 == 0 for path in entries())
    assert [reading.by for reading in accesses_of(dataset)] == [BASELINE] * 2


def test_other_labels_decisions_or_code_are_other_baselines(fits, monkeypatch):
    dataset = small_dataset(Ordinal(LABELS, referable=2))
    asked(dataset)
    asked(dataset, RECIPE.model_copy(update={"decide": Decide(coverage=0.8)}))
    assert len(fits) == 4
    dataset.splits["train"].labels[:] = dataset.splits["train"].labels[::-1].copy()
    asked(dataset)
    assert len(fits) == 6
    monkeypatch.setattr("penlight.experiments.cache.code_hash", lambda: "another version")
    asked(dataset)
    assert len(fits) == 8


def _forged(path):
    """Give a file the hash of its content, which holds a pickle."""
    buffer = io.BytesIO()
    np.savez(buffer, shares=np.array([Raises()], object), weights=np.array([Raises()], object))
    digest = hashlib.sha256(buffer.getvalue()).hexdigest().encode()
    path.write_bytes(b"Penlight fitted 1\n" + digest + b"\n" + buffer.getvalue())


class Raises:
    """Would end the test if it were unpickled."""

    def __reduce__(self):
        return pytest.exit, ("A pickle of the cache was opened.",)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        pytest.param(lambda path: path.write_bytes(b""), marks=pytest.mark.full),
        pytest.param(lambda path: path.write_bytes(pickle.dumps(Raises())), marks=pytest.mark.full),
        _forged,
        lambda path: (path.unlink(), path.symlink_to("/etc/hostname")),
        pytest.param(lambda path: (path.unlink(), path.mkdir()), marks=pytest.mark.full),
    ],
)
def test_a_damaged_or_foreign_entry_is_fitted_again(damage, fits):
    dataset = small_dataset(Ordinal(LABELS, referable=2))
    first = asked(dataset)
    for path in entries():
        damage(path)
    assert asked(dataset) == first
    assert len(fits) == 4


def test_without_a_cache_they_are_fitted_all_the_same(fits, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "file"))
    asked(small_dataset(Ordinal(LABELS, referable=2)))
    assert len(fits) == 2


def test_a_cache_that_cannot_be_locked_keeps_nothing(fits, monkeypatch):
    def refused(path):
        raise PermissionError("read-only")

    dataset = small_dataset(Ordinal(LABELS, referable=2))
    asked(dataset)
    monkeypatch.setattr("penlight.disk.locked", refused)
    asked(dataset)
    assert len(fits) == 4


def test_the_cache_keeps_what_was_used_last(monkeypatch):
    monkeypatch.setattr("penlight.experiments.cache._MOST_ENTRIES", 5)
    one, other = small_dataset(Ordinal(LABELS, referable=2)), small_dataset(MultiLabel(LABELS))
    asked(one)
    before = entries()
    asked(other)
    assert len(entries()) == 5
    assert not set(before) & set(entries())


def test_runs_of_several_commands_share_them(fits, monkeypatch, tmp_path):
    from penlight.data import store

    dataset = small_dataset(Ordinal(LABELS, referable=2))
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    train_recipe(RECIPE, out=tmp_path / "one")
    count = len(fits)
    train_recipe(RECIPE, out=tmp_path / "two", seed=1)
    assert len(fits) == count
    files = [json.loads((tmp_path / run / "manifest.json").read_text())["files"] for run in ("one", "two")]
    beside = [name for name in files[0] if name.startswith("baseline-")] + ["novelty.npz"]
    assert len(beside) >= 4
    assert [files[0][name] for name in beside] == [files[1][name] for name in beside]
