"""Every shipped preset: same recipe and seed, same bytes, however images are read and whatever else ran."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from penlight.data import ViewedDataset, apply_view
from penlight.models import load_keras
from penlight.models.backbones import build_network
from penlight.recipes import (
    Cnn,
    Ensemble,
    FineTune,
    Member,
    Pretrained,
    Recipe,
    Residual,
    load_recipe,
    plan,
    preset_names,
)
from penlight.tasks import MultiLabel, Ordinal, Task
from penlight.training import batches, fit, transfer
from tests.conftest import LABELS, is_full, small_dataset
from tests.models.encoders import draw_encoder

GRADES = Ordinal(LABELS, head="softmax")
ALWAYS = ("chest-cnn", "linear", "majority")
"""Presets that are always tested; the others only where slow tests are run: each has its network compiled twice."""


def cases() -> list[object]:
    """All presets."""
    return [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.full) for name in preset_names()]


def quick(member: Member) -> Member:
    """The member with few of everything; what is planned has time for one epoch."""
    few = {"patches": 8, "trees": 4, "starts": 1, "epochs": 2, "budget": 0.001}
    own = {key: value for key, value in few.items() if key in type(member.model).model_fields}
    return member.model_copy(update={"model": member.model.model_copy(update=own)})


def small(name: str) -> Recipe:
    """The preset for one epoch, and one of fine-tuning, with fewer blocks; what is pre-trained begins with random
    weights."""
    recipe = load_recipe(name)
    changes: dict[str, object] = {"train": recipe.train.model_copy(update={"epochs": 1, "batch_size": 20})}
    if isinstance(recipe.model, Ensemble):
        changes["model"] = Ensemble(members=tuple(map(quick, recipe.model.members)))
    if isinstance(recipe.model, Cnn):
        filters = (4, 8) if is_full() else (4,)
        few = {"filters": filters, "block_dropout": recipe.model.block_dropout[: len(filters)], "dense": 8}
        changes["model"] = recipe.model.model_copy(update=few)
    if isinstance(recipe.model, Residual):
        changes["model"] = recipe.model.model_copy(update={"widths": (4, 8)})
    if isinstance(recipe.model, Pretrained):
        tuned = FineTune(layers=min(recipe.model.fine_tune.layers, 6), epochs=1)
        known = {"weights": "random", "input_size": 32, "fine_tune": tuned}
        changes["model"] = recipe.model.model_copy(update=known)
    return recipe.model_copy(update=changes)


def view_for(name: str) -> ViewedDataset:
    """Images with a task that the preset is for."""
    films = name.startswith(("chest", "film"))
    head = load_recipe(name).data.head
    task: Task = MultiLabel(LABELS) if films else Ordinal(LABELS) if head == "cumulative" else GRADES
    return apply_view(small_dataset(task, channels=1 if films else 3))


def answers(name: str) -> bytes:
    # The weights of a base that is not read from a file are Keras' to draw.
    load_keras().utils.set_random_seed(0)
    transfer._FEATURES.clear()
    view = view_for(name)
    return fit(small(name), view, view.task, seed=3).logits(view.splits["test"]).tobytes()


def many_ahead(items: Iterator[object]) -> Iterator[object]:
    """Read by a thread of its own for each item, all of them before the first is used."""
    read: list[object] = []
    end = object()
    while not read or read[-1] is not end:
        thread = threading.Thread(target=lambda: read.append(next(items, end)))
        thread.start()
        thread.join()
    yield from read[:-1]


def other_work() -> None:
    """Draw from every generator that there is, and make and ask another network."""
    np.random.default_rng().random(7)
    np.random.seed(1)  # noqa: NPY002 - what a notebook may do
    network = build_network(Cnn(filters=(2,), dense=0), GRADES, (28, 28, 3), seed=11)
    network(load_keras().random.uniform((1, 28, 28, 3)), training=True)


@pytest.mark.parametrize("name", cases())
def test_same_recipe_same_bytes_whatever_reads_and_runs_beside(name, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    draw_encoder(tmp_path / "encoder.onnx")
    # The 48 images of train count as more than memory holds: they come in buffers of 16, in blocks of 4.
    image = view_for(name).splits["train"].images[:1].nbytes
    for sizes, count in (("WHOLE_BYTES", 10), ("BUFFER_BYTES", 16), ("BLOCK_BYTES", 4), ("_CALL_BYTES", 20)):
        monkeypatch.setattr(batches, sizes, count * image)
    monkeypatch.setattr(plan, "_WIDTHS", (4,))
    first = answers(name)
    other_work()
    monkeypatch.setattr(batches, "ahead", many_ahead)
    assert answers(name) == first
