"""Datasets: onto disk, described, audited."""

from pathlib import Path

from penlight.api.results import Audited, Shown
from penlight.data import apply_view, fetch_dataset, store
from penlight.data.audit import audit as find_problems
from penlight.data.summary import describe


def fetch(dataset: str, size: int = 28) -> Path:
    """Get a dataset onto disk, checked and ready to open; give the folder of its arrays."""
    return fetch_dataset(dataset, size)


def audit(dataset: str, size: int = 28) -> Audited:
    """Look for what would make scores false; see `penlight.data.audit`."""
    opened = store.open_dataset(dataset, size)
    return Audited(opened.info.name, find_problems(opened))


def show(dataset: str, size: int = 28, out: Path | None = None, view: str | None = None) -> Shown:
    """Describe a dataset in numbers and pictures: through a view or, without one, as stored, whatever its flaws.

    The page goes to `out`, by default runs/data-<name>-<size>, with -<view> after it.
    """
    from penlight.data.show import write_show

    opened = store.open_dataset(dataset, size)
    seen = opened if view is None else apply_view(opened, view)
    name = "-".join(["data", opened.info.name, str(size), *([view] if view else [])])
    files = write_show(seen, out or Path("runs") / name)
    return Shown(describe(seen), files)
