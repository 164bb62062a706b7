"""One line of progress on standard error while bytes move or pictures are read, and none where nobody looks."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass
class ByteBar:
    """A progress bar in bytes or things, in the form that pooch expects; `total` is 0 until it is known."""

    draw: Callable[[int, int], None]
    total: int = 0
    done: int = 0

    def update(self, n: int) -> None:
        """Advance by n bytes, at most to the total."""
        self.done = min(self.done + n, self.total) if self.total else self.done + n
        self.draw(self.done, self.total)

    def reset(self) -> None:
        """Begin again at nothing."""
        self.done = 0

    def close(self) -> None:
        """Do nothing: whoever showed the bar clears the line."""


@contextlib.contextmanager
def count_progress(text: str, total: int, amount: str = "MofNCompleteColumn") -> Iterator[ByteBar]:
    """Show a bar that counts things until the block ends, with the column of Rich named `amount`.

    Where standard error is not a terminal nothing is shown, and Rich is not imported.
    """
    if not sys.stderr.isatty():
        yield ByteBar(lambda done, total: None, total)
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (rich.TextColumn("{task.description}", markup=False), rich.BarColumn(), getattr(rich, amount)())
    console = Console(stderr=True, markup=False, emoji=False, no_color=True)
    with rich.Progress(*columns, rich.TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(text, total=total or None)
        yield ByteBar(lambda done, total: progress.update(task, completed=done, total=total or None), total)


def byte_progress(text: str, total: int = 0) -> contextlib.AbstractContextManager[ByteBar]:
    """Show a bar in bytes, as `count_progress` does of things."""
    return count_progress(text, total, "DownloadColumn")
