"""Which process of the tests (`tests/forked.py`) runs what: files whole, as their tests share what is made for them;
those in one browser, or of one server of commands, together, as each process would start its own; and first what
takes long, so that all end together."""

import pytest

TOGETHER = ("tests/browser/", "tests/survival/")

LONG = (
    *TOGETHER,
    "tests/test_docs.py",
    "tests/training/",
    "tests/test_folds.py",
    "tests/test_final.py",
    "tests/cli/",
    "tests/test_run.py",
    "tests/test_notebook.py",
    "tests/test_api.py",
    "tests/test_checks.py",
    "tests/experiments/",
    "tests/tracking/",
    "tests/explanation/",
    "tests/exporters/",
    "tests/serve/",
    "tests/attack/",
    "tests/models/",
    "tests/reports/",
)
"""Longest first; the others follow in the order of their names."""


def rank(nodeid: str) -> int:
    return next((i for i, start in enumerate(LONG) if nodeid.startswith(start)), len(LONG))


def longest_first(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.nodeid))


def scope(item: pytest.Item) -> str:
    """Name what one process runs whole: a file, or a folder of `TOGETHER`."""
    return next((start for start in TOGETHER if item.nodeid.startswith(start)), item.nodeid.split("::")[0])
