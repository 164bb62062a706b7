"""Phantoms are drawn once for all tests of the command."""

import pytest

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
