"""Datasets: what is known of them, how they come to disk and into memory, and how their labels may be read.

`open_dataset` gives images and labels by name; `apply_view` gives what a model is trained on. The catalog is in
`catalog`, data of one's own in `description` and `own`, drawn data in `phantoms`, how a file becomes an image in
`pictures`, what shows a dataset in `show`.
"""

from penlight.data.catalog import CATALOG, SIZES, dataset_info
from penlight.data.dataset import SPLITS, Dataset, DatasetInfo, Split
from penlight.data.listing import list_datasets
from penlight.data.store import fetch_dataset, open_dataset, open_referenced
from penlight.data.views import VIEWS, ViewedDataset, ViewedSplit, apply_view

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
