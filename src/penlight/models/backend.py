"""Loading Keras once, quietly, with the backend that is asked for."""

import contextlib
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
            _set_threads(tf)
    module: ModuleType = keras
    return module


def _set_threads(tf: ModuleType) -> None:
    """Give TensorFlow two workers, for the halves of a batch, and each kernel half of the cores; what the environment
    says goes first. A TensorFlow that already computes, as in a notebook, keeps the threads it has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threading = tf.config.threading
    with contextlib.suppress(RuntimeError):
        if "TF_NUM_INTRAOP_THREADS" not in os.environ:
            threading.set_intra_op_parallelism_threads(max(1, cores // 2))
        if "TF_NUM_INTEROP_THREADS" not in os.environ:
            threading.set_inter_op_parallelism_threads(2)


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
