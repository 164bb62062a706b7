"""Loading Keras once, quietly, with the backend that is asked for."""

import contextlib
import functools
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from penlight.errors import MissingExtraError, TrainingError, UnknownNameError

BACKENDS = {"tensorflow": "train", "jax": "jax"}
"""The libraries that Keras may compute with, in the order of preference, and the extra that brings each."""


def chosen_backend() -> str:
    """Name the backend that Keras has, if it was imported, or is to have: KERAS_BACKEND, else TensorFlow, or JAX
    where only that is installed.

    UnknownNameError for a backend that networks cannot be trained with here, TrainingError where Keras has one.
    """
    if (imported := getattr(sys.modules.get("keras"), "backend", None)) is not None:
        own = str(imported.backend())
        if own not in BACKENDS:
            raise TrainingError(
                f"Keras was imported with the backend {own}; networks are trained with {' or '.join(BACKENDS)}.",
                "Set KERAS_BACKEND to one of them before Keras is imported, and start Python again.",
            )
        return own
    installed = (name for name in BACKENDS if importlib.util.find_spec(name) is not None)
    name = os.environ.get("KERAS_BACKEND") or next(installed, "tensorflow")
    if name not in BACKENDS:
        raise UnknownNameError("backend for KERAS_BACKEND", name, BACKENDS)
    return name


@functools.cache
def load_keras() -> ModuleType:
    """Import Keras with the backend of `chosen_backend`.

    MissingExtraError if Keras or its backend is not installed.
    """
    backend = os.environ["KERAS_BACKEND"] = chosen_backend()
    for name in ("keras", backend):
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(
                f"Training a network needs {name}, which is not installed.",
                f"Install it: pip install 'penlight[{BACKENDS[backend]}]'",
            )
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


def forget_networks() -> None:
    """Number layers from 1 again where Keras was loaded: names of a network to come must not depend on networks that
    were made before, of which none is used any more."""
    if "keras" in sys.modules:
        load_keras().backend.clear_session()


def graph_of(model: Any) -> Any:
    """Give the functional network of a model, of a sequential one that of its layers; None for a layer, and for a
    model that is a subclass of its own."""
    functional = getattr(model, "_functional", None) or model
    return functional if hasattr(functional, "_run_through_graph") else None


def _set_threads(tf: ModuleType) -> None:
    """Give TensorFlow two workers, for the halves of a batch, and each kernel half of the cores; what the environment
    says goes first. A TensorFlow that already computes, as in a notebook, keeps the threads it has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threading, (within, between) = tf.config.threading, tensorflow_threads(cores)
    with contextlib.suppress(RuntimeError):
        if "TF_NUM_INTRAOP_THREADS" not in os.environ:
            threading.set_intra_op_parallelism_threads(within)
        if "TF_NUM_INTEROP_THREADS" not in os.environ:
            threading.set_inter_op_parallelism_threads(between)


def tensorflow_threads(cores: int) -> tuple[int, int]:
    """Give how many threads TensorFlow has within a kernel, which changes the last digits of what it computes, and
    how many kernels it computes at once, which does not, where a process has so many cores."""
    return max(1, cores // 2), 2


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what C++ libraries print to standard error while they load; Python errors are raised all the same."""
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
