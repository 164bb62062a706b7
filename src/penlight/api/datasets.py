"""Datasets: onto disk, described, audited."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, name_of, path_of, path_or_none
from penlight.api.results import Audited, NameTable, ResultPath, Shown
from penlight.data import apply_view, fetch_dataset, store
from penlight.data.accesses import accesses_of
from penlight.data.audit import kept_audit, with_names
from penlight.data.catalog import find_dataset, reference_of, referenced
from penlight.data.description import Description
from penlight.data.remembered import remember_images
from penlight.data.summary import describe
from penlight.errors import DataError

if TYPE_CHECKING:
    from penlight.data.own.new import NewDataset, Understood


def list_datasets() -> NameTable:
    """List the datasets that are known, a line each: name, title, task, counts, and the sizes that are on disk.

    Examples
    --------
    >>> known = pl.list_datasets()
    >>> known.frame().loc["retinamnist", "task"]
    'ordinal'
    """
    return NameTable(store.list_datasets())


@checked
def fetch(dataset: PathLike, size: int | None = None) -> ResultPath:
    """Get a dataset onto disk, checked and ready to open; give its file, or of pictures the folder of its arrays.

    Examples
    --------
    >>> pl.fetch("retinamnist").name
    'retinamnist.npz'
    """
    name = name_of(dataset)
    reference_of(name)
    return ResultPath(fetch_dataset(name, size))


@checked
def new_dataset(
    path: PathLike,
    *,
    task: str | None = None,
    order: Sequence[str] = (),
    size: int | None = None,
    channels: int | None = None,
    bits: int | None = None,
    name: str | None = None,
    seed: int = 0,
    skip_unreadable: bool = False,
    out: PathLike | None = None,
    images: PathLike | None = None,
    label_map: PathLike | Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
    on_understood: "Callable[[Understood], None] | None" = None,
    **layout: Any,
) -> "NewDataset":
    """Describe, split and decode your own images: class folders, a CSV or Parquet table, or arrays.

    `task` is "multi-class", "ordinal", "binary" or "multi-label", inferred if the labels allow it; `order` gives the
    labels in their order, as they are written (`labels` is its old name); without a `size` one is suggested;
    `channels` is 1 (grey) or 3 (colour) and `bits` how many bits of 16 the values use, both by default what the
    pixels show; `out` is the folder for the description, by default the working folder; `images` is the folder of the
    pictures of a table, by default the table's own; `label_map` gives labels for what is written, as a dict or a
    file. `layout` are the further options of `penlight data new`, such as `label_columns=["dx"]`: see
    `penlight.data.own.listing.AskedLayout`. `on_understood` is called before anything is decoded. DataError says what
    does not fit together. Where a dataset may be read in two ways, an UndecidedError names both, and a draft is
    written that can be completed and given as `path`.

    Examples
    --------
    >>> found = pl.new_dataset("films")
    >>> found.task, sum(found.images.values())
    ('binary', 24)
    >>> run = pl.train(found.description, "linear", out="runs/films")
    """
    from penlight.data.own.asking import asked_layout
    from penlight.data.own.draft import SUFFIX, read_draft
    from penlight.data.own.new import NewDatasetOptions, describe_images

    place = path_of(path, "folder or file of images")
    if place.name.endswith(SUFFIX):
        # What is given beside a draft counts before what stands in it.
        said = {**read_draft(place), "out": out or place.parent, "on_understood": on_understood}
        told: dict[str, Any] = {
            "task": task,
            "order": order or labels,
            "size": size,
            "channels": channels,
            "bits": bits,
            "name": name,
            "seed": seed,
            "images": images,
        }
        told |= {"skip_unreadable": skip_unreadable, "label_map": label_map, **layout}
        return new_dataset(**{**said, **{key: value for key, value in told.items() if value}})
    folder, own = path_or_none(out, "folder for out") or Path(), path_or_none(images, "folder of images")
    names = label_map if isinstance(label_map, Mapping) else path_or_none(label_map, "file of label_map")
    asked = asked_layout(label_map=names, **layout)
    options = NewDatasetOptions(
        task, order or labels, size, name, seed, skip_unreadable, folder, own, asked, channels, bits
    )
    return describe_images(place, options, on_understood or (lambda understood: None))


def name_images(dataset: PathLike, folder: PathLike) -> ResultPath:
    """Name the folder of the pictures or npz files of a described dataset on this machine, which the cache remembers;
    give the folder.

    `dataset` may be a recipe file that names it. A description names pictures in or below its own folder; elsewhere
    they are read only after this. DataError if there is no such description, or no such folder.

    Examples
    --------
    >>> films = pl.new_dataset("films", out="described")
    >>> pl.name_images(films.description, "films").name
    'films'
    """
    dataset, folder = name_of(dataset), path_of(folder, "folder of images")
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
    return ResultPath(folder)


@checked
def audit(dataset: PathLike, size: int | None = None, out: PathLike | None = None) -> Audited:
    """Search a dataset for problems that make scores wrong; see `penlight.data.audit`. It is done once and kept
    beside the arrays.

    The page with the pairs goes to `out`, by default runs/audit-<name>-<size>.

    Examples
    --------
    >>> audited = pl.audit("retina-phantom")
    >>> audited.frame().columns.to_list()
    ['serious', 'seen', 'do']
    """
    dataset, out = name_of(dataset), path_or_none(out, "folder for out")
    from penlight.reports.audit import write_page

    reference_of(dataset)
    opened = store.open_dataset(dataset, size)
    found = kept_audit(opened)
    known = find_dataset(dataset)
    if isinstance(known, Description) and known.pictures and opened.splits["train"].patients is None:
        from penlight.data.own.prepare import paths_by_split

        found = with_names(found, paths_by_split(known, opened.size, opened.md5) or {})
    page = write_page(opened, found, out or Path("runs") / f"audit-{opened.info.name}-{opened.size}")
    return Audited(opened.info.name, found, page, accesses_of(opened))


@checked
def show(dataset: PathLike, size: int | None = None, out: PathLike | None = None, view: str | None = None) -> Shown:
    """Describe a dataset in numbers and pictures: through a view or, without one, as stored, whatever its flaws.

    The page goes to `out`, by default runs/data-<name>-<size>, with -<view> after it. Of a dataset of pictures it
    shows a few as they are in their files, beside the images made of them.

    Examples
    --------
    >>> shown = pl.show("retina-phantom")
    >>> shown.frame().loc["images", ["train", "val", "test"]].to_list()
    [...]
    """
    dataset, out = name_of(dataset), path_or_none(out, "folder for out")
    from penlight.data.own.originals import load_originals
    from penlight.reports.dataset import FILM_SIDE, film_to_image, rows_to_show, write_show

    reference_of(dataset)
    opened = store.open_dataset(dataset, size)
    seen = opened if view is None else apply_view(opened, view)
    name = "-".join(["data", opened.info.name, str(opened.size), *([view] if view else [])])
    known, films = find_dataset(dataset), []
    if isinstance(known, Description) and known.pictures is not None:
        rows = rows_to_show(seen)
        originals = load_originals(opened, known, "train", list(rows), FILM_SIDE)
        films = [film_to_image(seen, row, rows[row], *originals[row]) for row in originals]
    files = write_show(seen, out or Path("runs") / name, films=films)
    return Shown(describe(seen), files, accesses_of(opened))
