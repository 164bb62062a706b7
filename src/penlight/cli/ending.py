"""How a command ends that does not end well: one line on standard error, and an exit code."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from penlight.cli.show.lines import is_coloured, terminal_width, wrapped
from penlight.errors import MemoryShortError, PenlightError, is_out_of_memory
from penlight.escaping import printable

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ERROR = "Error:"
_GO_ON = "The same command resumes."


class Stopped(BaseException):
    """Ctrl-C or SIGTERM, as an exception that no library takes for an error of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise Stopped in the block for Ctrl-C and SIGTERM, so that what is open is closed; ignored signals stay so."""
    # Only the main thread may set what signals do.
    numbers = _SIGNALS if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in numbers}
    kept = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in kept:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def end(error: BaseException) -> int | None:
    """Say on standard error, in a line, why the command ended, and give its exit code; None for an error that has no
    name, which is one of Penlight's own."""
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()
        return 1
    if isinstance(error, Stopped | KeyboardInterrupt):
        number = error.number if isinstance(error, Stopped) else signal.SIGINT
        how = "Interrupted" if number == signal.SIGINT else "Stopped by SIGTERM"
        _say(f"{how}. Finished work is kept; the same command resumes.")
        return 128 + number
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # those of Typer
        from penlight.cli.help import explained

        for line in explained(error):
            _say(line)
        return int(error.exit_code)
    named = _named(error)
    if named is None:
        return None
    _say(f"{_ERROR} {named.text}")
    return 1


def _named(error: BaseException) -> PenlightError | None:
    if isinstance(error, PenlightError):
        return error
    if is_out_of_memory(error):
        return MemoryShortError(
            "There is not enough memory.",
            f"Close other programs, or use smaller images, batches or networks. {_GO_ON}",
        )
    if isinstance(error, OSError):
        from penlight.disk import storage_error

        return storage_error(error, None, _GO_ON)
    return None


def _say(text: str) -> None:
    # Where standard error is closed or its disk is full, the exit code alone says it.
    with contextlib.suppress(OSError, ValueError):
        # An error may quote a file that came from a stranger, and with it sequences that a terminal obeys.
        said = printable(text)
        if (width := terminal_width(error=True)) is not None:
            said = "\n".join(wrapped(said, width))
        if said.startswith(_ERROR) and is_coloured(error=True):
            said = f"\x1b[31m{_ERROR}\x1b[0m{said.removeprefix(_ERROR)}"
        print(said, file=sys.stderr, flush=True)  # noqa: T201
