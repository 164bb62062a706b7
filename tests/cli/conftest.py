"""The command in this process, and phantoms drawn and audited once for all its tests."""

import sys

import pytest

from penlight.cli import main
from penlight.cli.show import lines
from tests.remembered import audit_once, draw_once, leave_reports_out


@pytest.fixture(autouse=True)
def made_once(monkeypatch):
    draw_once(monkeypatch)
    audit_once(monkeypatch)


@pytest.fixture
def few(monkeypatch):
    """Phantoms of few images."""
    draw_once(monkeypatch, {"train": 200, "val": 60, "test": 100})


@pytest.fixture
def undrawn(monkeypatch):
    """Reports are left out."""
    leave_reports_out(monkeypatch)


@pytest.fixture
def penlight(monkeypatch, capsys):
    """Run a command in this process: exit code, standard output, standard error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["penlight", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def terminal(monkeypatch):
    """Make standard output and error a terminal of a width, as far as Penlight asks; Rich sees none."""

    def of(width):
        monkeypatch.setattr(lines, "is_terminal", lambda *, error=False: True)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("NO_COLOR", "1")

    return of
