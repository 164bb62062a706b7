"""Errors a user can cause. Each says what was expected, what came, and what to do."""

import difflib
from collections.abc import Iterable


class PenlightError(Exception):
    """The base of every named error; the command prints it and exits with 1.

    `problem` says what was expected and what came; `remedy` says what to do. Both are whole sentences, which name
    options as commands have them; as a text, in Python, the error names keywords: `out=` for `--out`.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem} {remedy}".strip())
        self.problem = problem
        self.remedy = remedy

    @property
    def text(self) -> str:
        """Problem and remedy, as commands say them."""
        return f"{self.problem} {self.remedy}".strip()

    def __str__(self) -> str:
        from penlight.keywords import in_python

        return in_python(self.text)


class ArgumentError(PenlightError):
    """An argument of a function is of another kind than was needed, or out of its range."""


class DataError(PenlightError):
    """A dataset file, folder or array is missing, damaged, or not what its description says."""


class DownloadError(DataError):
    """A file could not be fetched from its official address."""


class PictureError(DataError):
    """A picture cannot be turned into an image; `reason` says why in a few words, without the picture's name."""

    def __init__(self, reason: str, remedy: str = "", name: str = "The picture") -> None:
        super().__init__(f"{name} cannot be used: {reason}.", remedy)
        self.reason = reason

    def named(self, name: str) -> "PictureError":
        """Give the same error with the name of the picture."""
        return type(self)(self.reason, self.remedy, name)


class NoPictureError(PictureError):
    """What came begins as no kind of picture that can be read."""


class LargePictureError(PictureError):
    """A picture says that it has more pixels than are unpacked here."""


class StorageError(PenlightError):
    """A folder cannot be written, or the disk is full."""


class RecipeError(PenlightError):
    """A recipe, or an override of one, is not valid."""


class RunError(PenlightError):
    """A run folder is missing, incomplete, damaged, in use, or of another kind than was needed."""


class HeldFolderError(RunError):
    """Another process is writing a folder."""


class NoEncoderError(RunError):
    """A run refers to an encoder that is not on this machine, or was changed; its texts name no folder."""


class PredictionsError(PenlightError):
    """Predictions do not fit the dataset, the view, or each other."""


class MissingExtraError(PenlightError):
    """A command needs libraries that the base installation leaves out."""


class TrainingError(PenlightError):
    """Training cannot go on, for example because the loss is no longer a number."""


class MemoryShortError(PenlightError):
    """The machine, or its accelerator, has not enough memory for what was asked."""


class ExportError(PenlightError):
    """A model cannot be written in a format, or what was written does not answer as the model does."""


class ServeError(PenlightError):
    """The server may not start as asked."""


class ClusterError(PenlightError):
    """A cluster has no such place, does not take the jobs, or does not answer."""


class TrackingError(PenlightError):
    """An experiment tracker has no such address, or did not take a run."""


class EncoderError(PenlightError):
    """A file is no encoder that can be used, or something has to be said of it."""


class ExplainError(PenlightError):
    """An explanation was asked for that a model, or what is known of it, does not allow."""


def first_line(error: BaseException) -> str:
    """Give the first line of a library's error, at most 200 characters of it, without its full stop; or its class."""
    said = error.text if isinstance(error, PenlightError) else str(error)
    lines = said.strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is that of Python, TensorFlow or JAX when memory runs out; neither is imported for it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    # JAX has one error for all that goes wrong on a device, and says which in its text.
    of_jax = type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError")
    says_so = "out of memory" in str(error).lower().replace("_", " ")
    return str(error).startswith("RESOURCE_EXHAUSTED") or (of_jax and says_so)


class UnknownNameError(PenlightError):
    """A name that is not in a table of names; the message offers the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        remedy = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."
        super().__init__(f"There is no {kind} named '{name}'.", remedy)
