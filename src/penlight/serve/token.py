"""The token of a server: from a file of the owner's alone or from the environment, never from the command line, which
every user of the machine can read in the list of processes."""

import os
import stat
from pathlib import Path

from penlight.errors import ServeError

VARIABLE = "PENLIGHT_TOKEN"
MAKE_ONE = "Make one: openssl rand -hex 32"

_SHORTEST = 8
_LARGEST_FILE = 4096


def find_token(file: Path | None) -> str | None:
    """Give the token in a file, or else that of PENLIGHT_TOKEN, or None; white space around it is dropped.

    The variable is taken out of the environment, so that processes started from here do not inherit it. ServeError
    for a file that others than its owner may read or write, or that holds no token.
    """
    given = os.environ.pop(VARIABLE, None)
    if file is None:
        return None if given is None else check_token(given.strip())
    return check_token(_read(file))


def check_token(token: str) -> str:
    """Give the token back if it can be sent in a header and is not too short to be one; else ServeError."""
    if len(token) < _SHORTEST:
        raise ServeError(f"The token is shorter than {_SHORTEST} characters.", MAKE_ONE)
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ServeError("The token holds something else than letters, digits and punctuation of ASCII.", MAKE_ONE)
    return token


def _read(file: Path) -> str:
    if os.name == "nt":
        raise ServeError(
            "On Windows the mode of a file does not say who may read it.", f"Give the token in {VARIABLE} instead."
        )
    try:
        # A FIFO without a writer is not waited for.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            # Asked of what was opened, so that nothing can be put in its place between.
            _require_own(file, os.fstat(descriptor).st_mode)
            content = os.read(descriptor, _LARGEST_FILE + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ServeError(f"The file of the token cannot be read: {error.strerror}.", "Check --token-file.") from error
    if len(content) > _LARGEST_FILE:
        raise ServeError(f"The file of the token has more than {_LARGEST_FILE:,} bytes.", MAKE_ONE)
    return content.decode("utf-8", "replace").strip()


def _require_own(file: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise ServeError("The file of the token is no regular file.", "Check --token-file.")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ServeError(
            f"Others than its owner can use the file of the token (mode {stat.S_IMODE(mode):04o}).",
            f"Keep it to yourself: chmod 600 {file}",
        )
