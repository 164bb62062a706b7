"""Contents of reports from small random arrays: grades, findings of which one never occurs, and two classes."""

import numpy as np
import pandas as pd
import pytest

from penlight.data.dataset import DatasetInfo
from penlight.evaluation import score
from penlight.report import Rival, RunContent
from penlight.runs.predictions import Predictions
from penlight.tasks import Binary, MultiLabel, Ordinal, Task

N = 60
EPOCHS = 6


def make_content(task: Task, y_true: np.ndarray, seed: int = 0, title: str = "Tiny set") -> RunContent:
    """A run whose predictions know something of the truth (N, C)."""
    rng = np.random.default_rng(seed)
    prob = _informed(task, y_true, rng)
    thresholds = np.full(len(task.labels), 0.5) if task.uses_thresholds else None
    decided = task.decide(prob, thresholds)
    prior = np.tile(y_true.mean(axis=0), (N, 1))
    rival = _informed(task, y_true, rng)
    images = rng.integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
    return RunContent(
        name="tiny-cnn-1",
        title=title,
        dataset=DatasetInfo("tiny", title, task, 3, None, "CC BY 4.0", "drawn at random", "fundus"),
        size=8,
        view="native",
        task=task,
        test=Predictions(np.arange(N), y_true, prob, task.logits(prob), task, "tiny", "native", "test"),
        decided=decided,
        thresholds=thresholds,
        rows=score(task, y_true, prob, decided, resamples=40),
        rivals=[
            Rival("majority", score(task, y_true, prior, task.decide(prior, thresholds), resamples=20)),
            Rival("linear", score(task, y_true, rival, task.decide(rival, thresholds), resamples=20)),
        ],
        history=history(rng),
        best_epoch=4,
        class_counts=pd.DataFrame(
            {split: y_true.sum(axis=0) for split in ("train", "val", "test")}, index=list(task.labels)
        ),
        split_sizes={"train": N, "val": N, "test": N},
        images=images,
        samples=dict.fromkeys(task.labels, images[:2]),
        recipe={"model": {"backbone": "cnn"}, "train": {"epochs": EPOCHS}},
        recipe_differences={"train.epochs": (30, EPOCHS)},
        recipe_toml="[train]\nepochs = 6\n",
        provenance={
            "seed": seed,
            "versions": {"python": "3.11"},
            "machine": {"cores": 2},
            "durations": {"train": 1.5},
            "hashes": {"data": "ab" * 16},
            "parameters": 1234,
            "command": "penlight train runs/tiny-cnn-1/recipe.toml",
        },
    )


def history(rng: np.random.Generator) -> pd.DataFrame:
    epochs = np.arange(1, EPOCHS + 1)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "loss": 2 / epochs,
            "val_loss": 2 / epochs + rng.uniform(0, 0.2, EPOCHS),
            "auc": 1 - 0.4 / epochs,
            "val_auc": 1 - 0.5 / epochs,
            "learning_rate": 1e-3,
            "seconds": 0.2,
        }
    )


def _informed(task: Task, y_true: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    raw = np.clip(0.2 * y_true + rng.uniform(0.02, 0.7, y_true.shape), 0.01, 0.99)
    return raw / raw.sum(axis=1, keepdims=True) if task.exclusive else raw


@pytest.fixture(scope="session")
def ordinal() -> RunContent:
    task = Ordinal(("none", "mild", "severe"), referable=1)
    return make_content(task, task.encode(np.arange(N) % 3))


@pytest.fixture(scope="session")
def multi_label() -> RunContent:
    """The last finding has no positive case."""
    task = MultiLabel(tuple(f"finding {i}" for i in range(9)))
    y = np.random.default_rng(1).integers(0, 2, (N, 9))
    y[:, -1] = 0
    return make_content(task, task.encode(y))


@pytest.fixture(scope="session")
def binary() -> RunContent:
    task = Binary(("healthy", "ill"))
    return make_content(task, task.encode(np.arange(N) % 2))


@pytest.fixture(params=["ordinal", "multi_label", "binary"])
def content(request: pytest.FixtureRequest) -> RunContent:
    found: RunContent = request.getfixturevalue(request.param)
    return found
