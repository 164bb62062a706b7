"""The command in this process, and phantoms drawn once for all its tests."""

import sys

import pytest

from penlight.cli import main
from penlight.data import store

_DRAWN = {}


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch):
    draw = store._draw

    def remembered(info, size):
        if (info.name, size) not in _DRAWN:
            _DRAWN[info.name, size] = draw(info, size)
        return _DRAWN[info.name, size]

    monkeypatch.setattr(store, "_draw", remembered)


@pytest.fixture
def penlight(monkeypatch, capsys):
    """Run a command in this process: exit code, standard output, standard error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["penlight", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run
