"""Storages of tunings whose tables are made once: Optuna makes them by some hundred statements."""

from pathlib import Path
from tempfile import TemporaryDirectory

import optuna

_STORAGE = optuna.storages.RDBStorage
_TABLES = []


class _OfTables(_STORAGE):
    """A storage that is a copy of an empty one where its file is new."""

    def __init__(self, url, **options):
        path = Path(url.removeprefix("sqlite:///"))
        if url.startswith("sqlite:///") and path.parent.is_dir() and not path.exists():
            path.write_bytes(_tables())
        super().__init__(url, **options)


def _tables():
    if not _TABLES:
        with TemporaryDirectory() as folder:
            made = _STORAGE(f"sqlite:///{folder}/empty.db")
            made.engine.dispose()
            _TABLES.append((Path(folder) / "empty.db").read_bytes())
    return _TABLES[0]


def make_tables_once(monkeypatch):
    """Make the tables of a tuning's storage once for all tests of a process."""
    monkeypatch.setattr(optuna.storages, "RDBStorage", _OfTables)
