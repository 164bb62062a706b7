"""A task of another package: one file and its head, found by their entry points, go through every room."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import penlight as pl
from penlight import workers
from penlight.api.training import train_recipe
from penlight.data import open_dataset
from penlight.errors import UnknownNameError
from penlight.models import heads
from penlight.models.heads import HEADS, find_head, register_head
from penlight.recipes import Cnn, Data, Linear, Recipe, Train
from penlight.runs import open_run
from penlight.serve import make_app, open_registry
from penlight.tasks import TASKS, MultiClass, find_task, register_task, table
from tests.conftest import LABELS, small_dataset
from tests.served import own_workers  # noqa: F401

TOY = '''
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from penlight.tasks import OF_PROBABILITIES, OF_SETS, Task
from penlight.tasks.base import one_hot
from penlight.tasks.links import SOFTMAX


@dataclass(frozen=True)
class Triage(Task):
    """One of C classes, of which one is answered as soon as it is somewhat probable."""

    labels: tuple[str, ...]
    urgent: int = 0

    kind: ClassVar = "triage"
    head: ClassVar = "triage"
    link: ClassVar = SOFTMAX
    metrics: ClassVar = ("auc", "acc", "acc_decided", "f1_macro", *OF_PROBABILITIES, *OF_SETS, "label_recall",
                         "label_auc", "label_coverage")
    options: ClassVar[Mapping[str, type]] = {"urgent": int}

    @classmethod
    def described(cls, labels, options):
        return cls(labels, options.get("urgent", 0))

    def decide(self, prob, thresholds=None):
        own = np.argmax(prob, axis=1)
        return one_hot(np.where(prob[:, self.urgent] > 0.2, self.urgent, own), len(self.labels))

    def why_decided(self, prob, thresholds):
        return f"{self.labels[self.urgent]} is urgent."


def head():
    from penlight.models import load_keras
    from penlight.models.heads import Head

    def layers(features, task):
        return load_keras().layers.Dense(task.n_logits, name="triage", dtype="float32")(features)

    return Head(layers=layers, targets=lambda y: y, exclusive=True)


HEAD = head()
'''
ENTRIES = "[penlight.tasks]\ntriage = toy_triage:Triage\n\n[penlight.heads]\ntriage = toy_triage:HEAD\n"
DESCRIPTION = """name = "wards"
title = "Wards"
task = "triage"
labels = ["a", "b", "c", "d"]
urgent = 2
licence = "none"
source = "drawn in the tests"
channels = 3
files = { "28" = "wards.npz" }
"""


@pytest.fixture
def wards(tmp_path: Path, own_workers: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:  # noqa: F811
    """Install the package of the task, and write a dataset that is described with it."""
    installed = tmp_path / "installed"
    about = installed / "toy_triage-1.0.dist-info"
    about.mkdir(parents=True)
    (installed / "toy_triage.py").write_text(TOY)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-triage\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(installed))
    # Workers that other tests started do not know of the package.
    monkeypatch.setattr(workers, "_shared", {})
    drawn = small_dataset(MultiClass(LABELS), n=(40, 40, 24))
    arrays = {}
    for name, split in drawn.splits.items():
        arrays |= {f"{name}_images": split.images, f"{name}_labels": split.labels.astype(np.uint8)}
    np.savez(tmp_path / "wards.npz", **arrays)
    (tmp_path / "wards.toml").write_text(DESCRIPTION)
    yield tmp_path / "wards.toml"
    for pool in workers._shared.values():
        pool.close()
    TASKS.pop("triage", None)
    HEADS.pop("triage", None)
    sys.modules.pop("toy_triage", None)


def picture(pixels: np.ndarray) -> bytes:
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG")
    return made.getvalue()


def test_a_task_of_another_package_goes_through_every_room(wards, tmp_path):
    dataset = open_dataset(wards)
    assert (dataset.info.task.kind, dataset.info.task.urgent) == ("triage", 2)
    for name, model in {"cnn": Cnn(filters=(4,), dense=8), "linear": Linear(components=3)}.items():
        recipe = Recipe(data=Data(dataset=str(wards)), model=model, train=Train(epochs=1, batch_size=20))
        train_recipe(recipe, out=tmp_path / name)
        run = open_run(tmp_path / name)
        assert run.answers("test").predictions.task == dataset.info.task
        assert {"auc", "acc_decided", "coverage"} <= {row.name for row in pl.evaluate(tmp_path / name).metrics}
        made = pl.export(tmp_path / name, "onnx", out=tmp_path / f"{name}.onnx")
        assert made.parity.difference < 1e-5
    images = dataset.splits["test"].images[:6]
    named = [(f"{i}.png", picture(image)) for i, image in enumerate(images)]
    for method in ("gradcam", "occlusion"):
        explained = pl.explain(tmp_path / "cnn", split="test", rows=[0], method=method, out=tmp_path / method)
        assert explained.explanations[0].label in LABELS
    # In a worker, which finds the task by itself.
    answered = json.loads(json.dumps(pl.predict(tmp_path / "cnn", named).to_dict()))
    assert answered["model"]["task"] == "triage"
    assert any("c is urgent." in image["why"] for image in answered["images"])
    with TestClient(make_app(open_registry([tmp_path / "cnn"]), names={"testserver"}, threads=1)) as client:
        files = [("file", (name, content, "image/png")) for name, content in named]
        assert client.post("/api/v1/runs/cnn/predict", files=files).json() == answered


def test_a_task_and_a_head_are_registered_by_hand_too(monkeypatch):
    monkeypatch.setattr(table, "TASKS", dict(TASKS))
    monkeypatch.setattr(heads, "HEADS", dict(HEADS))

    @register_task
    class Typed(MultiClass):
        kind = "typed"

    register_head("typed", HEADS["softmax"])
    assert find_task("typed") is Typed
    assert find_head("typed") is HEADS["softmax"]
    assert find_task("nothing") is None
    with pytest.raises(UnknownNameError, match="head"):
        find_head("nothing")
