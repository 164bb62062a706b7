"""Progress on one line of standard error: a training, a study, a tuning."""

import math
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

from penlight import ProgressListener
from penlight.cli.show.output import number, plain_console
from penlight.numbers import decimal_text

if TYPE_CHECKING:
    from penlight.experiments.studies import StudyProgress
    from penlight.training import Epoch


class _OneLine(ProgressListener):
    """Draws on one line of standard error between entering and leaving: the step, a bar and a text.

    `trailing` are further columns of Rich. Where standard error is no terminal, steps are lines.
    """

    def __init__(self, *trailing: ProgressColumn, quiet: bool) -> None:
        self._console = plain_console(stderr=True, quiet=quiet)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[about]}", markup=False),
            *trailing,
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, about="")
        self._plain = not quiet and not self._console.is_terminal

    def on_step(self, what: str) -> None:
        """See `ProgressListener.on_step`."""
        self._progress.reset(self._task, description=what, total=None, about="")
        self._print(what)

    def _print(self, text: str) -> None:
        """Print a line where nothing is drawn."""
        if self._plain:
            self._console.print(text)

    def on_warning(self, what: str) -> None:
        """See `ProgressListener.on_warning`; it stays above the line, and is said where nothing else is."""
        out = plain_console(stderr=True) if self._console.quiet else self._console
        out.print(what, soft_wrap=True)

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the line."""
        self._progress.stop()


class TrainingView(_OneLine):
    """Draws a training on one line of standard error: what is done, loss, headline metric, time left."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(TimeRemainingColumn(compact=True), quiet=quiet)

    def on_epoch(self, row: "Epoch", planned: int) -> None:
        """See `ProgressListener.on_epoch`."""
        text = f"epoch {row.epoch}/{planned}  loss {decimal_text(row.loss)}  val {decimal_text(row.val_headline)}"
        self._progress.update(self._task, total=planned, completed=row.epoch, about=text)


class StudyView(_OneLine):
    """Draws a study on one line of standard error: the row, its seed, the epoch, the runs done, the time left."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._place: StudyProgress | None = None
        self._begun = 0.0

    def on_run(self, place: "StudyProgress") -> None:
        """See `ProgressListener.on_run`."""
        self._place, self._begun = place, time.monotonic()
        self._draw(0, None, "")
        self._print(f"{_of_study(place)}  {_left(place, place.own)}".rstrip())

    def on_step(self, what: str) -> None:
        """See `ProgressListener.on_step`; what belongs to a run stands behind its place."""
        if self._place is None or what.startswith(("Scoring ", "Comparing", "Writing the study")):
            super().on_step(what)
        else:
            self._draw(0, None, what.lower())

    def on_epoch(self, row: "Epoch", planned: int) -> None:
        """See `ProgressListener.on_epoch`."""
        self._draw(row.epoch, planned, f"epoch {row.epoch}/{planned}  val {decimal_text(row.val_headline)}")

    def _draw(self, done: int, planned: int | None, what: str) -> None:
        if self._place is None:
            return
        spent = time.monotonic() - self._begun
        own = spent / done * (planned - done) if done and planned else self._place.own
        self._progress.update(
            self._task,
            description=_of_study(self._place),
            total=planned,
            completed=done,
            about=f"{what}  {_left(self._place, own)}".strip(),
        )


def _of_study(place: "StudyProgress") -> str:
    return f"run {place.number}/{place.total}  {place.title}, seed {place.seed}"


def _left(place: "StudyProgress", own: float | None) -> str:
    """Say what is left: at least so much, as long as rows have not been trained yet; nothing before any is known."""
    seconds = place.after + (own or 0.0)
    if not seconds:
        return ""
    about = "about" if own is not None and place.after_known else "at least"
    minutes = math.ceil(seconds / 60)
    return f"{about} {minutes} min left" if minutes < 90 else f"{about} {decimal_text(minutes / 60, 1)} h left"


class TuningView(_OneLine):
    """Draws a tuning on one line of standard error: the trial, the best so far, the epoch, time left."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._about = ""
        self._end: float | None = None

    def on_trial(self, done: int, planned: int | None, best: float, seconds_left: float | None) -> None:
        """See `ProgressListener.on_trial`."""
        of = f"{done}/{planned}" if planned else f"{done}"
        self._about = f"{of} trials  best {number(best)}"
        self._end = None if seconds_left is None else time.monotonic() + seconds_left
        self._progress.update(self._task, total=planned, completed=done, about=self._line())
        self._print(self._line())

    def on_epoch(self, row: "Epoch", planned: int) -> None:
        """See `ProgressListener.on_epoch`."""
        self._progress.update(self._task, about=f"{self._line()}  epoch {row.epoch}/{planned}")

    def _line(self) -> str:
        if self._end is None:
            return self._about
        left = max(0, round(self._end - time.monotonic()))
        return f"{self._about}  about {left // 60}:{left % 60:02d} left"
