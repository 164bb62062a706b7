"""Loading Keras once, quietly, with the backend that is asked for."""

import functools
import importlib.util
import os
import warnings
from types import ModuleType

from penlight.errors import MissingExtraError


@functools.cache
def load_keras() -> ModuleType:
    """Import Keras; TensorFlow is the backend unless KERAS_BACKEND says otherwise.

    MissingExtraError if Keras or its backend is not installed.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    for name in ("keras", backend):
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(
                f"Training a network needs {name}, which is not installed.",
                "Install it: pip install 'penlight[train]'",
            )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN stays on: it is the fast path, and repeatable on one machine. Its notice at start is what is not wanted.
    with warnings.catch_warnings(), quiet_stderr():
        warnings.simplefilter("ignore")
        import keras

        if backend == "tensorflow":
            import tensorflow as tf

            tf.get_logger().setLevel("ERROR")
            tf.config.experimental.enable_op_determinism()
    module: ModuleType = keras
    return module


class quiet_stderr:  # noqa: N801 - a context manager, named as contextlib names its own
    """Hold back what C++ libraries print to standard error while they load; Python errors are raised all the same."""

    def __enter__(self) -> None:
        self._saved = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)

    def __exit__(self, *_: object) -> None:
        os.dup2(self._saved, 2)
        os.close(self._saved)
