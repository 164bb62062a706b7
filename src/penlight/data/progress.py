"""One line of progress on standard error while bytes move, and none where nobody looks."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass
class ByteBar:
    """A progress bar in bytes, in the form that pooch expects; `total` is 0 until it is known."""

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
        """Do nothing: `byte_progress` clears the line."""


@contextlib.contextmanager
def byte_progress(text: str, total: int = 0) -> Iterator[ByteBar]:
    """Show a bar until the block ends. Where standard error is not a terminal nothing is shown."""
    if not sys.stderr.isatty():
        yield ByteBar(lambda done, total: None, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=total or None)
        yield ByteBar(lambda done, total: progress.update(task, completed=done, total=total or None), total)
