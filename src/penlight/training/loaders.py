"""Images and labels as the datasets of TensorFlow and PyTorch, for training code of the user."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import Chosen
from penlight.errors import MissingExtraError


def tensorflow_dataset(images: Chosen, labels: NDArray[np.generic], batch_size: int, shuffle: int | None) -> Any:
    """Make a `tf.data.Dataset` of batches: images float32 (B, H, W, C) of 0 to 255, and their labels.

    With a seed in `shuffle` each pass has an order of its own; batches are read from disk as they are asked for.
    """
    tf: Any = _imported("tensorflow", "train")
    orders = np.random.default_rng(shuffle)

    def batches() -> Iterator[tuple[NDArray[np.float32], NDArray[np.generic]]]:
        order = np.arange(len(labels)) if shuffle is None else orders.permutation(len(labels))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield images[rows].astype(np.float32), labels[rows]

    signature = (
        tf.TensorSpec((None, *images.shape[1:]), tf.float32),
        tf.TensorSpec((None, *labels.shape[1:]), labels.dtype),
    )
    n_batches = -(-len(labels) // batch_size)
    return tf.data.Dataset.from_generator(batches, output_signature=signature).apply(
        tf.data.experimental.assert_cardinality(n_batches)
    )


def torch_dataset(images: Chosen, labels: NDArray[np.generic]) -> Any:
    """Make a `torch.utils.data.Dataset`: images float32 (C, H, W) of 0 to 1, and a class number or a row of 0 and 1.

    Images are read from disk one by one as they are asked for.
    """
    torch: Any = _imported("torch")

    class _Images(torch.utils.data.Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, row: int) -> tuple[Any, Any]:
            image = images[np.array([row])][0].astype(np.float32) / 255
            label = labels[row]
            return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.as_tensor(
                label, dtype=torch.float32 if labels.ndim > 1 else torch.long
            )

    return _Images()


def _imported(name: str, extra: str = "") -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        which = f"'penlight[{extra}]'" if extra else name
        raise MissingExtraError(
            f"This view of a dataset needs {name}.", f"Install it: pip install {which}"
        ) from error
