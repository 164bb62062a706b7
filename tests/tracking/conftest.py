"""A tracker that keeps what it gets in memory, and a run with epochs, several seeds and folds, to send to one."""

from functools import cache
from pathlib import Path

import pytest

import penlight as pl
from penlight.tracking import tracker
from tests.conftest import leave_maps_out
from tests.once import made_once
from tests.remembered import audit_once, draw_once, leave_reports_out
from tests.stubs import stub_fit


class InMemory:
    """Keeps what it gets; `fails` is raised by every call from the one of this number on."""

    def __init__(self, fails: Exception | None = None, after: int = 0) -> None:
        self.fails, self.after, self.calls, self.closed = fails, after, 0, 0
        self.runs, self.epochs, self.scores, self.stopped = {}, {}, {}, []

    def _count(self):
        self.calls += 1
        if self.fails is not None and self.calls > self.after:
            raise self.fails

    def begin(self, run, version=""):
        self._count()
        known = self.scores.get(run.key)
        if version and known is not None and known.version == version:
            return False
        self.runs[run.key] = run
        return True

    def log(self, key, epochs):
        self._count()
        kept = self.epochs.setdefault(self.runs[key].name, {})
        for epoch in epochs:
            kept.setdefault(epoch.number, dict(epoch.metrics))

    def end(self, key, scores):
        self._count()
        self.scores[key] = scores

    def stop(self, *, failed):
        self.stopped.append(failed)

    def close(self):
        self.closed += 1

    @property
    def names(self):
        return [run.name for run in self.runs.values()]


@pytest.fixture
def memory(monkeypatch):
    """The tracker that "memory:" opens."""
    kept = InMemory()
    monkeypatch.setitem(tracker.TRACKERS, "memory", lambda rest: kept)
    return kept


_HOW = {"run": {}, "seeds": {"seeds": 2}, "folds": {"folds": 2}}


@cache
def trained(kind: str) -> Path:
    """Give the folder of a network's run, of one with two seeds, or of a cross-validation."""
    return made_once(f"tracked-{kind}", lambda out: _train(out, _HOW[kind]))


def _train(out: Path, how: dict[str, int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        few_and_stubbed(patch)
        pl.train("retina-phantom", "cnn", filters=(4,), dense=8, epochs=3, out=out, **how)


def few_and_stubbed(patch: pytest.MonkeyPatch) -> None:
    """Train phantoms of few images without the compiled step, and without pages and maps."""
    draw_once(patch, {"train": 80, "val": 40, "test": 40})
    audit_once(patch)
    leave_reports_out(patch)
    leave_maps_out(patch)
    stub_fit(patch)


@pytest.fixture
def stubbed(monkeypatch):
    """Trainings of this test are small."""
    few_and_stubbed(monkeypatch)
