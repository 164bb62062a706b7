"""What goes wrong around a command, put into its process before it begins."""

import errno
import os


def full_disk(number: int) -> None:
    """From write number `number` on, counted from 1, the disk takes no more."""
    count, own = 0, os.fsync

    def fsync(handle):
        nonlocal count
        count += 1
        if count >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        own(handle)

    os.fsync = fsync


def read_only(part: str) -> None:
    """Folders whose path has this part are on a file system that takes no more new files."""
    own = os.open

    def opened(path, flags, *rest, **how):
        if flags & os.O_CREAT and part in str(path) and str(path).endswith(".part"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return own(path, flags, *rest, **how)

    os.open = opened


def no_memory(epoch: int, *, of_backend: bool = False) -> None:
    """In this epoch there is no memory: for Python, or for the backend that Keras runs on."""
    from penlight.training.loop import Trainer

    own = Trainer.epoch

    def train(self):
        if len(self.history) + 1 == epoch:
            raise _no_memory_of_backend() if of_backend else MemoryError
        return own(self)

    Trainer.epoch = train


def _no_memory_of_backend() -> Exception:
    """Make the error that the backend in use raises when memory runs out, as the backend makes it."""
    from penlight.models import load_keras

    if load_keras().backend.backend() == "jax":
        import jax

        return jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4294967296 bytes.")
    import tensorflow as tf

    return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def no_memory_to_score() -> None:
    """There is no memory where scores are computed, which is of no training."""
    from penlight.experiments import run as training

    def scores_of(*_):
        raise MemoryError

    training.scores_of = scores_of


def small_parts(pictures: int) -> None:
    """Predictions are written in parts of so many pictures."""
    from penlight.experiments import parts

    parts.PART = pictures
