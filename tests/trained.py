"""Runs of small drawn data, trained once for all tests that ask one."""

from functools import cache
from pathlib import Path

import pytest

from penlight.api.training import train_recipe
from penlight.data import record, store
from penlight.experiments import run as training
from penlight.recipes import Data, Linear, Recipe
from penlight.tasks import MultiLabel, Ordinal, Task
from tests.conftest import LABELS, keep_maps, small_dataset
from tests.once import made_once

REPORT = "<!doctype html><title>A report</title><style>p {}</style><script>document.title = 'read'</script>"

TASKS: dict[str, tuple[Task, int]] = {
    "grades": (Ordinal(LABELS, referable=2), 3),
    "findings": (MultiLabel(LABELS), 1),
}


@cache
def trained(name: str) -> Path:
    """Train the linear baseline, which takes no time and needs no Keras; give its folder."""
    return made_once(name, lambda out: _train(name, out))


def _train(name: str, out: Path) -> None:
    task, channels = TASKS[name]
    dataset = small_dataset(task, channels=channels, n=(60, 60, 30))
    with pytest.MonkeyPatch.context() as patch:
        keep_maps(patch)
        patch.setattr(store, "open_dataset", lambda name, size: dataset)
        # The audit and the drawing of a report take longest, and nothing here reads them.
        patch.setattr(record, "problems_of", lambda view: ())
        patch.setattr(training, "_write_report", lambda writer, *_: writer.write("report.html", REPORT))
        train_recipe(Recipe(data=Data(dataset="small"), model=Linear(components=5)), out=out)
