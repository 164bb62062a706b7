"""Datasets: what is known of them, how they come to disk and into memory, and how their labels may be read.

`open_dataset` gives images and labels by name; `apply_view` gives what a model is trained on. The catalog is in
`catalog`, data of one's own in `description` and `own`, drawn data in `phantoms`, how a file becomes an image in
`pictures`, what shows a dataset in `show`.
"""

from typing import TYPE_CHECKING

from penlight.lazy import names_on_request

if TYPE_CHECKING:
    from penlight.data.catalog import CATALOG, SIZES, dataset_info
    from penlight.data.dataset import SPLITS, Dataset, DatasetInfo, Split
    from penlight.data.listing import list_datasets
    from penlight.data.store import fetch_dataset, open_dataset, open_referenced
    from penlight.data.views import VIEWS, ViewedDataset, ViewedSplit, apply_view

# On request, since a worker process that reads one picture needs none of them.
_PLACES = {
    "catalog": "CATALOG SIZES dataset_info",
    "dataset": "SPLITS Dataset DatasetInfo Split",
    "listing": "list_datasets",
    "store": "fetch_dataset open_dataset open_referenced",
    "views": "VIEWS ViewedDataset ViewedSplit apply_view",
}
__getattr__ = names_on_request(__name__, _PLACES)

__all__ = [
    "CATALOG",
    "SIZES",
    "SPLITS",
    "VIEWS",
    "Dataset",
    "DatasetInfo",
    "Split",
    "ViewedDataset",
    "ViewedSplit",
    "apply_view",
    "dataset_info",
    "fetch_dataset",
    "list_datasets",
    "open_dataset",
    "open_referenced",
]
