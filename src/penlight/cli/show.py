"""What the commands print: for people, tables and one line of progress; for programs, JSON alone."""

import json as json_format
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from penlight.api import Scores, SeedsScores, Shown, Trained, Watcher
from penlight.data.summary import PER_IMAGE
from penlight.evaluation import MetricRow, SeedsRow
from penlight.training import Epoch

_WIDTH_WITHOUT_TERMINAL = 100


def console() -> Console:
    """Standard output; without a terminal, plain text of a fixed width."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL, highlight=False, soft_wrap=False)


def print_json(values: Any) -> None:
    """Print JSON alone on standard output."""
    sys.stdout.write(json_format.dumps(values, indent=1, allow_nan=False) + "\n")


class TrainingView(Watcher):
    """Draws a training on one line of standard error: what is done, loss, headline metric, time left."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[epochs]}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, epochs="")
        self._plain = not quiet and not self._console.is_terminal

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the line."""
        self._progress.stop()

    def step(self, what: str) -> None:
        """See `Watcher.step`."""
        self._progress.reset(self._task, description=what, total=None, epochs="")
        if self._plain:
            self._console.print(what, highlight=False)

    def epoch(self, row: Epoch, planned: int) -> None:
        """See `Watcher.epoch`."""
        text = f"epoch {row.epoch}/{planned}  loss {row.loss:.3f}  val {row.val_headline:.3f}"
        self._progress.update(self._task, total=planned, completed=row.epoch, epochs=text)


def print_trained(result: Trained, json: bool) -> None:
    """Print what `train` made; the last line is the path of the report."""
    if json:
        print_json(result.to_dict())
        return
    _print_scores(result.scores)
    print(result.report)  # noqa: T201


def print_scores(scores: Scores | SeedsScores, json: bool) -> None:
    """Print scores with intervals, the baselines beside them."""
    if json:
        print_json(scores.to_dict())
    else:
        _print_scores(scores)


def _print_scores(scores: Scores | SeedsScores) -> None:
    out = console()
    out.print(_whole_table(scores))
    labels = [row for row in scores.metrics if row.label is not None]
    if labels:
        out.print(_label_table(labels))
    for row in scores.metrics:
        if row.note and row.label is None:
            out.print(f"{row.name}: {row.note}.", style="dim")


def _whole_table(scores: Scores | SeedsScores) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    over_seeds = isinstance(scores, SeedsScores)
    table.add_column(scores.split)
    table.add_column("mean" if over_seeds else "value", justify="right")
    if over_seeds:
        table.add_column("sd", justify="right")
    table.add_column("95 % interval", justify="right")
    for name in scores.baselines:
        table.add_column(name, justify="right")
    for position, row in enumerate(r for r in scores.metrics if r.label is None):
        rivals = [_value_of(rows, row.name) for rows in scores.baselines.values()]
        table.add_row(row.name, *_cells(row), *rivals, style="bold" if position == 0 else None)
    return table


def _cells(row: MetricRow | SeedsRow) -> list[str]:
    interval = f"{_number(row.low)} to {_number(row.high)}"
    if isinstance(row, SeedsRow):
        return [_number(row.mean), _number(row.sd), interval]
    return [_number(row.value), interval]


def _label_table(rows: Sequence[MetricRow | SeedsRow]) -> Table:
    """One line per label, one column per metric, and how many images truly have the label."""
    names = list(dict.fromkeys(row.name for row in rows))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("n", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    for label in dict.fromkeys(row.label for row in rows):
        own = {row.name: row for row in rows if row.label == label}
        values = [_number(_main(own[name])) if name in own else "" for name in names]
        table.add_row(str(label), str(next(iter(own.values())).n), *values)
    return table


def _main(row: MetricRow | SeedsRow) -> float:
    return row.mean if isinstance(row, SeedsRow) else row.value


def _value_of(rows: Sequence[MetricRow], name: str) -> str:
    return next((_number(row.value) for row in rows if row.name == name and row.label is None), "")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def print_recipes(recipes: Sequence[Mapping[str, str]], json: bool) -> None:
    """Print the presets with their headers."""
    if json:
        print_json(list(recipes))
        return
    for recipe in recipes:
        console().print(recipe["name"], style="bold")
        console().print(recipe["about"] + "\n", markup=False)


def print_datasets(datasets: Sequence[Mapping[str, Any]], json: bool) -> None:
    """Print the catalog as a table."""
    if json:
        print_json(list(datasets))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("name", "task", "images", "on disk (px)", "licence"):
        table.add_column(name, justify="right" if name == "images" else "left")
    for row in datasets:
        images = "" if row["samples"] is None else f"{sum(row['samples'].values()):,}"
        table.add_row(row["name"], row["task"], images, ", ".join(map(str, row["sizes"])) or "-", row["licence"])
    console().print(table)


def print_path(path: Path, json: bool) -> None:
    """Print where something is."""
    if json:
        print_json({"path": str(path)})
    else:
        print(path)  # noqa: T201


def print_description(shown: Shown, json: bool) -> None:
    """Print the view, the table of splits and labels, and what is to see; the last line is the path of the page."""
    if json:
        print_json(shown.to_dict())
        return
    about = shown.description
    out = console()
    out.print(about.view_text(), style="dim", markup=False)
    out.print(_split_table(about.rows, about.counts, about.images, "label"))
    if about.findings is not None:
        out.print(_split_table(PER_IMAGE, about.findings.per_image, about.images, "in one image"))
        out.print(about.findings.together_text(), markup=False)
    out.print(about.positions.text(), markup=False)
    print(shown.files[-1])  # noqa: T201


def _split_table(
    rows: Sequence[str], counts: Mapping[str, Sequence[int]], images: Mapping[str, int], head: str
) -> Table:
    """One line per row with its count and share by split, and a last line with the images."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(head)
    for split in images:
        table.add_column(split, justify="right")
        table.add_column("share", justify="right")
    for i, label in enumerate(rows):
        cells = [(f"{counts[s][i]:,}", f"{counts[s][i] / n:.1%}") for s, n in images.items()]
        table.add_row(label, *(cell for pair in cells for cell in pair))
    table.add_row("images", *(cell for n in images.values() for cell in (f"{n:,}", "")), style="bold")
    return table
