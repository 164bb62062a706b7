"""Progress on one line, with a table of what is done elsewhere: of a training, a study, a tuning; in a terminal, a
log or a notebook, and as JSON for programs."""

import functools
import html
import importlib
import json
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from penlight.escaping import printable
from penlight.experiments.progress import ProgressListener
from penlight.numbers import decimal_text, time_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from penlight.experiments.executors.table import JobEvent, JobTable
    from penlight.experiments.executors.work import JobState
    from penlight.experiments.studies import StudyProgress
    from penlight.training import Epoch


P = ParamSpec("P")
T = TypeVar("T")


class OneLine(ProgressListener):
    """Draws on one line between entering and leaving: the step, a bar and a text.

    In a terminal that is a line of standard error. Where standard error is no terminal, steps are lines. In a
    notebook it is an output of the cell that is written anew: the bars of Rich and tqdm are widgets there, which need
    ipywidgets, and are empty in editors that have another version of it. `worded` says a warning, which names options
    as commands have them, as its reader does.

    Parts that are done elsewhere are counted in a table below the line; where there are only lines, each that ends is
    one. `quiet` draws nothing, and writes JSON for programs: a line of standard error for each change of such a part.
    """

    worded: Callable[[str], str] = staticmethod(lambda text: text)
    grows = False

    def __init__(self, *, timed: bool = False, quiet: bool = False) -> None:
        self._timed, self._quiet = timed, quiet
        self._description, self._about, self._done, self._total = "", "", 0, 0
        self._begun, self._drawn = time.monotonic(), float("-inf")
        self._display = None if quiet else _display_of_notebook()
        self._output: Any = None
        self._metric = ""
        self._jobs: JobTable | None = None
        self._lock = threading.RLock()
        self._bar = None if quiet or self._display or not sys.stderr.isatty() else _Bar(timed)
        self._plain = not (quiet or self._display or self._bar)

    def on_step(self, what: str) -> None:
        """See `ProgressListener.on_step`."""
        self._begun = time.monotonic()
        if self._jobs is not None and not self._jobs.open:
            self._jobs = None
        self._draw(description=what, done=0, total=0, about="")
        self._print(what)

    def on_job(self, name: str, state: "JobState", about: str) -> None:
        """See `ProgressListener.on_job`."""
        from penlight.experiments.executors.table import JobEvent, JobTable

        event = JobEvent(round(time.time(), 3), name, state, about)
        with self._lock:
            self._jobs = self._jobs or JobTable(grows=self.grows)
            if not self._jobs.tell(event):
                return
            if self._quiet:
                sys.stderr.write(f"{json.dumps(event.to_dict())}\n")
                sys.stderr.flush()
                return
            passed = time.monotonic() - self._drawn
            if self._plain:
                due = state in ("done", "failed") or (state == "running" and passed > _SELDOM)
            else:
                due = self._bar is not None or passed > _OFTEN or not self._jobs.open
            if due:
                self._drawn = time.monotonic()
                self._draw_jobs(self._jobs, event)

    def _draw_jobs(self, jobs: "JobTable", event: "JobEvent") -> None:
        """Show how far all parts are, after what became of one."""
        said, ended = f"{jobs.done} of {jobs.total} done", jobs.total - jobs.open
        self._draw(description=said, done=ended, total=jobs.total, about="")
        if self._plain:
            self._print(f"{event.words}  ({jobs.rows()[-1].words})")

    def on_fit(self, metric: str, place: str) -> None:
        """See `ProgressListener.on_fit`."""
        self._metric = metric.replace("_", " ")

    def _judged(self, row: "Epoch") -> str:
        return f"val {self._metric} {decimal_text(row.val_headline)}"

    def on_warning(self, what: str) -> None:
        """See `ProgressListener.on_warning`; it stays above the line, and is said where nothing else is."""
        what = self.worded(what)
        if self._bar:
            self._bar.warn(what)
        else:
            (sys.stdout if self._display else sys.stderr).write(f"{printable(what)}\n")

    def _print(self, text: str) -> None:
        """Print a line where nothing is drawn."""
        if self._plain:
            sys.stderr.write(f"{printable(text)}\n")

    def _draw(self, **values: Any) -> None:
        """Change the description, what is done, the total or the text, and draw the line."""
        with self._lock:
            for name, value in values.items():
                setattr(self, f"_{name}", value)
            if self._bar:
                self._bar.update(self._description, self._about, self._done, self._total, self._jobs)
            elif self._display is not None:
                shown = self._display.HTML(self._as_html())
                if self._output is None:
                    self._output = self._display.display(shown, display_id=True)
                else:
                    self._output.update(shown)

    def _as_html(self) -> str:
        bar = f'<progress max="{self._total}" value="{self._done}"></progress> ' if self._total else ""
        left = ""
        if self._timed and self._done and self._total and self._jobs is None:
            seconds = round((time.monotonic() - self._begun) / self._done * (self._total - self._done))
            left = f"  {seconds // 60}:{seconds % 60:02d} left"
        said = html.escape(printable(f"{self._about}{left}"))
        line = f'<span style="white-space:pre-wrap">{html.escape(printable(self._description))}  {bar}{said}</span>'
        return line if self._jobs is None else line + self._jobs.to_html()

    def __enter__(self) -> Self:
        """Start drawing."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the line; in a notebook it stays where it was ended by an error or by hand."""
        if self._bar:
            self._bar.stop()
        elif kind is KeyboardInterrupt:
            self._draw(about="interrupted; run the cell again to go on from here")
        elif self._display and self._output and kind is None:
            self._output.update(self._display.HTML(""))


# A log has a line for each part that ends, and at most one in so many seconds otherwise; a notebook is not written
# anew more often than that can be read.
_SELDOM, _OFTEN = 10.0, 0.2

_BAR = 24
_SHORTEST_BAR = 6
# The line itself, heads, the sum of all rows, the one that counts rows that are left out, and the terminal's own.
_LINES_ABOVE = 5


def fitting(description: str, about: str, room: int) -> tuple[str, str, int]:
    """Give what of a line fits into `room` columns, and the width of its bar. Rich would cut the end, with the time
    left: first the bar goes, then the second of the parts of `about`, such as the loss, then what stands in brackets
    and the whole of the description."""
    parts = about.split("  ")
    short = "  ".join([*parts[:1], *parts[2:]])
    for text, said in (
        (description, about),
        (description, short),
        (description.partition(" (")[0], short),
        ("", short),
    ):
        bar = room - len(text) - len(said)
        if bar >= 0:
            return text, said, min(bar, _BAR) if bar >= _SHORTEST_BAR else 0
    return "", parts[0][: max(0, room)], 0


class _Bar:
    """A line of Rich on standard error, in no colour but that of the terminal, and below it the table of what is done
    elsewhere."""

    def __init__(self, timed: bool) -> None:
        from rich import progress
        from rich.console import Console
        from rich.default_styles import DEFAULT_STYLES
        from rich.live import Live
        from rich.theme import Theme

        plain = Theme({name: "none" for name in DEFAULT_STYLES if name.startswith(("progress.", "bar."))})
        self._console = Console(stderr=True, markup=False, emoji=False, highlight=False, theme=plain)
        self._column = progress.BarColumn(bar_width=_BAR, style="dim", complete_style="bold", pulse_style="bold")
        # A spinner, the time left, and spaces between columns.
        self._taken = 13 if timed else 5
        self._progress = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            self._column,
            progress.TextColumn("{task.fields[about]}", markup=False),
            *([progress.TimeRemainingColumn(compact=True)] if timed else []),
            console=self._console,
        )
        self._task = self._progress.add_task("", total=None, about="")
        self._columns = self._progress.columns
        self._description = ""
        self._jobs: JobTable | None = None
        live = Live(console=self._console, transient=True, refresh_per_second=10, get_renderable=self._rendered)
        self.start, self.stop = live.start, live.stop

    def _rendered(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        jobs = self._jobs
        if jobs is None:
            return self._progress
        width, height = self._console.size
        failures = jobs.failure_lines(width)
        lines = jobs.lines(width, max(1, height - len(failures) - _LINES_ABOVE))
        shown = [Text(line) for line in (*lines, *failures)]
        for text in shown[len(lines) :]:
            text.highlight_regex(r"^\S+ failed(?=:)", "red")
        return Group(self._progress, *shown)

    def update(self, description: str, about: str, done: int, total: int, jobs: "JobTable | None") -> None:
        self._jobs = jobs
        # What is left is in the table.
        self._progress.columns = self._columns if jobs is None else self._columns[:4]
        room = self._console.width - self._taken
        description, about, self._column.bar_width = fitting(printable(description), printable(about), room)
        values: dict[str, Any] = {"total": total or None, "about": about}
        if description != self._description:
            self._description = description
            self._progress.reset(self._task, description=description, completed=done, **values)
        else:
            self._progress.update(self._task, completed=done, **values)

    def warn(self, what: str) -> None:
        self._console.print(printable(what), style="yellow", soft_wrap=True)


def _display_of_notebook() -> Any:
    """Give IPython's module that shows things in a cell; None outside the kernel of a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return None if getattr(shell, "kernel", None) is None else importlib.import_module("IPython.display")


class TrainingView(OneLine):
    """Draws a training on one line: what is done, which seed, loss, headline metric, time left."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(timed=True, quiet=quiet)

    def on_fit(self, metric: str, place: str) -> None:
        """See `ProgressListener.on_fit`."""
        super().on_fit(metric, place)
        if place:
            self._draw(description=f"{self._description} ({place})")

    def on_epoch(self, row: "Epoch", planned: int) -> None:
        """See `ProgressListener.on_epoch`."""
        text = f"epoch {row.epoch}/{planned}  loss {decimal_text(row.loss)}  {self._judged(row)}"
        self._draw(total=planned, done=row.epoch, about=text)


class StudyView(OneLine):
    """Draws a study on one line: the row, its seed, the epoch, the runs done, the time left."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._place: StudyProgress | None = None

    def on_run(self, place: "StudyProgress") -> None:
        """See `ProgressListener.on_run`."""
        self._place, self._begun = place, time.monotonic()
        self._draw_run(0, 0, "")
        self._print(f"{_of_study(place)}  {_left(place, place.own)}".rstrip())

    def on_step(self, what: str) -> None:
        """See `ProgressListener.on_step`; what belongs to a run stands behind its place."""
        if self._place is None or what.startswith(("Scoring ", "Comparing", "Writing the study")):
            super().on_step(what)
        else:
            self._draw_run(0, 0, what.lower())

    def on_epoch(self, row: "Epoch", planned: int) -> None:
        """See `ProgressListener.on_epoch`."""
        self._draw_run(row.epoch, planned, f"epoch {row.epoch}/{planned}  {self._judged(row)}")

    def _draw_run(self, done: int, planned: int, what: str) -> None:
        if self._place is None:
            return
        spent = time.monotonic() - self._begun
        own = spent / done * (planned - done) if done and planned else self._place.own
        about = f"{what}  {_left(self._place, own)}".strip()
        self._draw(description=_of_study(self._place), total=planned, done=done, about=about)


def _of_study(place: "StudyProgress") -> str:
    return f"run {place.number}/{place.total}  {place.title}, seed {place.seed}"


def _left(place: "StudyProgress", own: float | None) -> str:
    """Say what is left: at least so much, as long as rows have not been trained yet; nothing before any is known."""
    text = time_text(place.after + (own or 0.0), own is not None and place.after_known)
    return f"{text} left" if text else ""


class TuningView(OneLine):
    """Draws a tuning on one line: the trial, the best so far, the epoch, time left."""

    grows = True

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._trials = ""
        self._end: float | None = None

    def on_trial(self, done: int, planned: int | None, best: float, seconds_left: float | None) -> None:
        """See `ProgressListener.on_trial`."""
        of = f"{done}/{planned}" if planned else f"{done}"
        self._trials = f"{of} trials  best {decimal_text(best)}"
        self._end = None if seconds_left is None else time.monotonic() + seconds_left
        self._draw(total=planned or 0, done=done, about=self._line())
        self._print(self._line())

    def on_epoch(self, row: "Epoch", planned: int) -> None:
        """See `ProgressListener.on_epoch`."""
        self._draw(about=f"{self._line()}  epoch {row.epoch}/{planned}")

    def _draw_jobs(self, jobs: "JobTable", event: "JobEvent") -> None:
        """See `OneLine`; how many trials there are, and what is left, is known by `on_trial`."""
        self._draw(about=self._line())
        if event.state != "done":
            self._print(event.words)

    def _line(self) -> str:
        if self._end is None:
            return self._trials
        left = max(0, round(self._end - time.monotonic()))
        return f"{self._trials}  about {left // 60}:{left % 60:02d} left"


class PredictingView(OneLine):
    """Draws predictions in parts on one line: the parts done, the time left."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(timed=True, quiet=quiet)

    def on_part(self, done: int, planned: int) -> None:
        """See `ProgressListener.on_part`."""
        if self._jobs is None:
            self._draw(total=planned, done=done, about=f"part {done:,}/{planned:,}")


def shows(view: "Callable[[], OneLine]") -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function whose `listener` is not given draw its progress by `view`."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def shown(*args: P.args, **values: P.kwargs) -> T:
            if values.get("listener") is not None:
                return function(*args, **values)
            from penlight.keywords import in_python

            with view() as drawn:
                drawn.worded = in_python
                return function(*args, **{**values, "listener": drawn})  # type: ignore[arg-type]

        return shown

    return decorate
