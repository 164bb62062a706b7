"""Pictures of a dataset as they are in their files, for a page that shows them beside the images made of them."""

from collections.abc import Sequence

from penlight.data.dataset import Dataset
from penlight.data.decoding import load_whole_files
from penlight.data.description import Description
from penlight.data.own.layouts import find_source, pictures_of
from penlight.data.own.packed import sources, stop_reading
from penlight.data.own.prepare import paths_by_split
from penlight.data.pictures import PictureHeader, Pixels
from penlight.errors import PictureError


def load_originals(
    dataset: Dataset, description: Description, split: str, rows: Sequence[int], side: int
) -> dict[int, tuple[Pixels, PictureHeader]]:
    """Load the pictures of rows of a split, numbered as stored, as `pictures.load_whole` does; none where the files
    that are there now are not those of the dataset, and without those that cannot be read."""
    paths = paths_by_split(description, dataset.size, dataset.md5)
    if paths is None:
        return {}
    files = list(sources(find_source(description)[0], [paths[split][row] for row in rows]))
    loaded = load_whole_files(files, side, pictures_of(description).frame)
    stop_reading()
    return {row: own for row, own in zip(rows, loaded, strict=True) if not isinstance(own, PictureError)}
