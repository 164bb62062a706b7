"""The error of processes that read files of other programs."""

from penlight.errors import PenlightError


class UnreadableError(PenlightError):
    """A file, or what it holds, is not read; the reason is the end of a sentence."""
