"""What there is: every dataset that can be named here, without opening any."""

from typing import Any

from penlight.data.catalog import CATALOG, SIZES, find_dataset, is_phantom
from penlight.data.dataset import DatasetInfo
from penlight.data.description import Description, described_names
from penlight.data.store import on_disk


def list_datasets() -> list[dict[str, Any]]:
    """List the catalog, then the described datasets: name, title, task, channels, samples, sizes and licence.

    `sizes` are those that open without a network; `channels` and `samples` are None where only the file knows.
    DataError for a description that is not valid.
    """
    described = [name for name in described_names() if name not in CATALOG]
    return [_row(find_dataset(name)) for name in (*CATALOG, *described)]


def _row(known: DatasetInfo | Description) -> dict[str, Any]:
    info = known.info if isinstance(known, Description) else known
    return {
        "name": info.name,
        "title": info.title,
        "task": info.task.kind,
        "channels": info.channels or None,
        "samples": None if info.samples is None else dict(info.samples),
        "sizes": _sizes(known),
        "licence": info.licence,
    }


def _sizes(known: DatasetInfo | Description) -> list[int]:
    if isinstance(known, DatasetInfo) and is_phantom(known):
        return list(SIZES)
    sizes = SIZES if isinstance(known, DatasetInfo) else known.sizes
    return [size for size in sizes if on_disk(known, size)]
