"""Datasets: onto disk, described, audited."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penlight.api.results import Audited, Shown
from penlight.data import apply_view, fetch_dataset, store
from penlight.data.audit import kept_audit
from penlight.data.summary import describe
from penlight.data.tested import readings_of

if TYPE_CHECKING:
    from penlight.data.own.new import Found


def fetch(dataset: str, size: int = 28) -> Path:
    """Get a dataset onto disk, checked and ready to open; give the folder of its arrays."""
    return fetch_dataset(dataset, size)


def new_dataset(
    path: Path,
    *,
    task: str | None = None,
    labels: Sequence[str] = (),
    size: int = 28,
    name: str | None = None,
    seed: int = 0,
    skip_unreadable: bool = False,
    out: Path | None = None,
) -> "Found":
    """Describe and prepare images of one's own; see `penlight.data.own.new`.

    `labels` gives their order, as they are written; `out` is the folder for the description, by default the working
    folder.
    """
    from penlight.data.own.new import Asked, describe_images

    return describe_images(path, Asked(task, labels, size, name, seed, skip_unreadable, out or Path()))


def audit(dataset: str, size: int = 28, out: Path | None = None) -> Audited:
    """Look for what would make scores false; see `penlight.data.audit`. It is done once and kept beside the arrays.

    The page with the pairs goes to `out`, by default runs/audit-<name>-<size>.
    """
    from penlight.data.audit.page import write_page

    opened = store.open_dataset(dataset, size)
    found = kept_audit(opened)
    page = write_page(opened, found, out or Path("runs") / f"audit-{opened.info.name}-{size}")
    return Audited(opened.info.name, found, page, readings_of(opened))


def show(dataset: str, size: int = 28, out: Path | None = None, view: str | None = None) -> Shown:
    """Describe a dataset in numbers and pictures: through a view or, without one, as stored, whatever its flaws.

    The page goes to `out`, by default runs/data-<name>-<size>, with -<view> after it.
    """
    from penlight.data.show import write_show

    opened = store.open_dataset(dataset, size)
    seen = opened if view is None else apply_view(opened, view)
    name = "-".join(["data", opened.info.name, str(size), *([view] if view else [])])
    files = write_show(seen, out or Path("runs") / name)
    return Shown(describe(seen), files, readings_of(opened))
