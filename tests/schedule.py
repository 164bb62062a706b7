"""Which process of pytest-xdist runs what: files whole, as their tests share what is made for them; those in one
browser, or of one server of commands, together, as each process would start its own; and first what takes long, so
that all end together."""

import pytest

TOGETHER = ("tests/browser/", "tests/survival/")

LONG = (
    *TOGETHER,
    "tests/test_docs.py",
    "tests/training/",
    "tests/test_folds.py",
    "tests/cli/",
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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((start for start in TOGETHER if nodeid.startswith(start)), super()._split_scope(nodeid))

    config.option.loadscopereorder = False
    return Files(config, log) if config.getoption("dist") == "loadfile" else None
