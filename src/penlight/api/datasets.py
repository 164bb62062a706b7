"""Datasets: onto disk, described, audited."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penlight.api.results import Audited, Shown
from penlight.data import apply_view, fetch_dataset, store
from penlight.data.accesses import accesses_of
from penlight.data.audit import kept_audit
from penlight.data.catalog import find_dataset, reference_of, referenced
from penlight.data.description import Description
from penlight.data.remembered import remember_images
from penlight.data.summary import describe
from penlight.errors import DataError

if TYPE_CHECKING:
    from penlight.data.own.new import NewDataset


def fetch(dataset: str, size: int = 28) -> Path:
    """Get a dataset onto disk, checked and ready to open; give the folder of its arrays."""
    reference_of(dataset)
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
    images: Path | None = None,
) -> "NewDataset":
    """Describe and prepare your own images; see `penlight.data.own.new`.

    `labels` gives their order, as they are written; `out` is the folder for the description, by default the working
    folder; `images` is the folder of the pictures of a table, by default the table's own.
    """
    from penlight.data.own.new import NewDatasetOptions, describe_images

    return describe_images(
        path, NewDatasetOptions(task, labels, size, name, seed, skip_unreadable, out or Path(), images)
    )


def name_images(dataset: str, folder: Path) -> None:
    """Name the folder of the pictures or npz files of a described dataset on this machine, which the cache remembers.

    `dataset` may be a recipe file that names it. A description names pictures in or below its own folder; elsewhere
    they are read only after this. DataError if there is no such description, or no such folder.
    """
    from penlight.api.requests import is_recipe_file
    from penlight.recipes import load_recipe

    if dataset.endswith(".toml") and is_recipe_file(Path(dataset)):
        description = find_dataset(referenced(load_recipe(dataset).data.dataset))
    else:
        description = find_dataset(dataset)
    if not isinstance(description, Description):
        raise DataError(f"{dataset} has no description that names pictures.", "Leave --images out.")
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", "Check the path that --images gives.")
    named = [description.pictures.source] if description.pictures else description.files.values()
    for source in named:
        remember_images(description.file, source, folder)


def audit(dataset: str, size: int = 28, out: Path | None = None) -> Audited:
    """Search a dataset for problems that make scores wrong; see `penlight.data.audit`. It is done once and kept
    beside the arrays.

    The page with the pairs goes to `out`, by default runs/audit-<name>-<size>.
    """
    from penlight.reports.audit import write_page

    reference_of(dataset)
    opened = store.open_dataset(dataset, size)
    found = kept_audit(opened)
    page = write_page(opened, found, out or Path("runs") / f"audit-{opened.info.name}-{size}")
    return Audited(opened.info.name, found, page, accesses_of(opened))


def show(dataset: str, size: int = 28, out: Path | None = None, view: str | None = None) -> Shown:
    """Describe a dataset in numbers and pictures: through a view or, without one, as stored, whatever its flaws.

    The page goes to `out`, by default runs/data-<name>-<size>, with -<view> after it.
    """
    from penlight.reports.dataset import write_show

    reference_of(dataset)
    opened = store.open_dataset(dataset, size)
    seen = opened if view is None else apply_view(opened, view)
    name = "-".join(["data", opened.info.name, str(size), *([view] if view else [])])
    files = write_show(seen, out or Path("runs") / name)
    return Shown(describe(seen), files, accesses_of(opened))
