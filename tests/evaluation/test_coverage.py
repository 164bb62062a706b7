"""The benchmark of coverage, in small: intervals hold the truth of a source that is known."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def coverage(monkeypatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("coverage_benchmark", FOLDER / "coverage.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "coverage_benchmark", module)
    spec.loader.exec_module(module)
    return module


KEYS = ("acc", "qwk", "brier", "log_loss", "sensitivity_referable")


@pytest.mark.parametrize("each", [pytest.param(1, marks=pytest.mark.full), 4])
def test_intervals_of_small_test_sets_with_rare_classes_hold_the_truth(coverage, each):
    """Of 60; where every rare class was drawn with a fixed size, 0.60 to 0.88 did."""
    found = coverage.covered(coverage.Source("DermaMNIST", each), 200, 60, 200, KEYS)
    for key in KEYS:
        assert np.mean(found[key]) >= 0.85, key


@pytest.mark.full
@pytest.mark.parametrize("each", [pytest.param(1, marks=pytest.mark.full), 4])
@pytest.mark.parametrize("name", ["RetinaMNIST", "DermaMNIST"])
def test_coverage_is_near_95_percent(coverage, name, each):
    """Within 0.92 to 0.98, give or take two standard errors of 300 repeats."""
    found = coverage.covered(coverage.Source(name, each), 400, 300, 400, (*KEYS, "auc"))
    for key, held in found.items():
        if len(held) >= 100:
            assert 0.92 - 2 * 0.0126 <= np.mean(held) <= 0.98 + 0.02, key


@pytest.mark.full
def test_the_benchmark_of_intervals_agrees_with_scikit_learn(monkeypatch):
    """In small: it once stopped at rows that scikit-learn does not have."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("intervals_benchmark", FOLDER / "intervals.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "IMAGES", 8000)
    monkeypatch.setattr(module, "RESAMPLES", 8)
    rng = np.random.default_rng(1)
    s = module.predictions()
    loop = [list(module.by_scikit_learn(s, rng.standard_exponential(8000)).values()) for _ in range(2)]
    # What has one value in all of so few resamples has no standard error.
    with np.errstate(invalid="ignore", divide="ignore"):
        same, _ = module.agreement(loop)
    assert same < 1e-9
