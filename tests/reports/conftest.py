"""Contents of reports from small random arrays: grades, findings of which one never occurs, and two classes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from penlight.data.dataset import Dataset, DatasetInfo
from penlight.data.summary import DataDescription, describe
from penlight.data.views import LeftOut, ViewedDataset, ViewedSplit
from penlight.evaluation import Novelty, fit_conformal, score
from penlight.reports import ComparedBaseline, RunContent, run_report
from penlight.reports.content import TrainingSample
from penlight.runs.cases import ExplainedCases
from penlight.runs.predictions import Predictions
from penlight.tasks import Binary, MultiLabel, Ordinal, Task
from tests.conftest import is_full

N = 60
EPOCHS = 6


def pytest_collection_modifyitems(items):
    """Draw all figures in the full tests; elsewhere where a test looks at them, as its mark says."""
    for item in items:
        if is_full() and "tests/report" in item.path.as_posix():
            item.add_marker("drawn")


def make_content(task: Task, y_true: np.ndarray, seed: int = 0, title: str = "Tiny set") -> RunContent:
    """A run whose predictions know something of the truth (N, C)."""
    rng = np.random.default_rng(seed)
    prob = _informed(task, y_true, rng)
    thresholds = np.full(len(task.labels), 0.5) if task.uses_thresholds else None
    decided = task.decide(prob, thresholds)
    prior = np.tile(y_true.mean(axis=0), (N, 1))
    baseline = _informed(task, y_true, rng)
    images = rng.integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
    conformal = fit_conformal(task, y_true, prob, 0.8)
    sets = conformal.sets(task, prob)
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
        rows=score(task, y_true, prob, decided, sets, resamples=40),
        baselines=[
            ComparedBaseline("majority", score(task, y_true, prior, task.decide(prior, thresholds), resamples=20)),
            ComparedBaseline(
                "linear", score(task, y_true, baseline, task.decide(baseline, thresholds), resamples=20)
            ),
        ],
        history=history(rng),
        best_epoch=4,
        data=make_data(task, y_true, images),
        images=images,
        samples={
            label: [TrainingSample(images[0], label), TrainingSample(images[1], f"{label}, b")]
            for label in task.labels
        },
        recipe={"model": {"backbone": "cnn"}, "train": {"epochs": EPOCHS}},
        recipe_differences={"train.epochs": (30, EPOCHS)},
        recipe_toml="[train]\nepochs = 6\n",
        provenance={
            "seed": seed,
            "versions": {"python": "3.11"},
            "machine": {"cores": 2},
            "durations": {"fit": 1.5, "total": 75.0},
            "hashes": {"data": "ab" * 16},
            "parameters": 1234,
            "command": "penlight train runs/tiny-cnn-1/recipe.toml",
        },
        checks=(),
        conformal=conformal,
        novelty=Novelty.fit(images, images[:20]),
        cases=cases(rng, len(task.labels)),
    )


def cases(rng: np.random.Generator, labels: int) -> ExplainedCases:
    """Maps of six images, of which one is empty and one correlation is undefined."""
    maps = rng.random((6, 8, 8)).astype(np.float32)
    maps[2] = 0
    alike = np.array([0.1, -0.2, np.nan, 0.3, 0.0, 0.1])
    return ExplainedCases(np.arange(6), np.arange(6) % labels, maps, "occlusion", "A map shows what it shows.", alike)


def make_data(
    task: Task, y_true: np.ndarray, images: np.ndarray, view: str = "native", left_out: int = 0
) -> DataDescription:
    """Three splits with the same labels; a view leaves `left_out` images and twice as many positives out of each."""
    info = DatasetInfo("tiny", "Tiny set", task, 3, None, "CC BY 4.0", "drawn at random", "fundus")
    split = ViewedSplit(images, np.arange(len(y_true)), y_true)
    splits = dict.fromkeys(("train", "val", "test"), split)
    lost = dict.fromkeys(splits, LeftOut(left_out, 2 * left_out))
    return describe(ViewedDataset(Dataset(info, 8, {}, "ab" * 16), view, task, splits, lost))


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
    """The last finding has no positive case, and a threshold that could not be tuned."""
    task = MultiLabel(tuple(f"finding {i}" for i in range(9)))
    y = np.random.default_rng(1).integers(0, 2, (N, 9))
    y[:, -1] = 0
    note = "finding 8: 0 positive in val is too few to tune; cut at the prevalence in train"
    return replace(make_content(task, task.encode(y)), decision_notes=(note,))


@pytest.fixture(scope="session")
def binary() -> RunContent:
    task = Binary(("healthy", "ill"))
    return make_content(task, task.encode(np.arange(N) % 2))


@pytest.fixture(scope="session", params=["ordinal", "multi_label", pytest.param("binary", marks=pytest.mark.full)])
def content(request: pytest.FixtureRequest) -> RunContent:
    found: RunContent = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def text(content: RunContent) -> str:
    """The report of `content`, rendered once for all tests."""
    return run_report(content)
