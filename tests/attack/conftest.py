"""Counts of what was tried, printed when the tests have ended, also where several processes ran them."""

from collections import Counter

import pytest

_COUNT = "attack"


@pytest.fixture
def count(record_property):
    """Give a function that counts attempts of a kind: `count("pictures refused by name", 3)`."""
    return lambda what, n=1: record_property(_COUNT, (what, n))


def pytest_terminal_summary(terminalreporter):
    """Add up what the tests counted; their reports come from all processes."""
    total = Counter()
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == _COUNT:
                total[value[0]] += value[1]
    if total:
        terminalreporter.section("attacks")
        for what, n in sorted(total.items()):
            terminalreporter.line(f"{n:>9,}  {what}")
