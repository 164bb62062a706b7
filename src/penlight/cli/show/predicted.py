"""What `penlight predict` prints. One picture must not wait for a library of tables."""

import csv
import io
import json as json_format
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penlight.api.predicting import (
    Predicted,
    Prediction,
    RemoteClassifier,
    count_pictures,
    pictures,
    predict_each,
)
from penlight.cli.show.lines import say
from penlight.disk import writing_to, writing_whole
from penlight.escaping import cell, cells

_FEW = 20
_FAILURES_SHOWN = 10
_REDRAW = 64


def print_predictions(run: Path, paths: Sequence[Path], csv_file: Path | None, json: bool) -> int:
    """Ask a run about the pictures of `paths` and print what it says; give how many could not be read.

    Memory does not grow with their number, but for `json`.
    """
    classifier = RemoteClassifier(run)
    predictions = _counted(predict_each(classifier, pictures(paths)), paths)
    if csv_file is not None:
        predictions = _to_csv(predictions, classifier, csv_file)
    if json:
        result = Predicted(classifier.about, list(predictions))
        sys.stdout.write(json_format.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n")
        return result.failed
    return _print(predictions, classifier, csv_file)


def _counted(predictions: Iterator[Prediction], paths: Sequence[Path]) -> Iterator[Prediction]:
    """Draw what is done on one line of standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield from predictions
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from penlight.cli.show.output import plain_console

    columns = (TextColumn("Predicting"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=plain_console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=count_pictures(paths))
        for number, prediction in enumerate(predictions, 1):
            if number % _REDRAW == 0:
                progress.update(task, completed=number)
            yield prediction


def _to_csv(predictions: Iterator[Prediction], classifier: RemoteClassifier, path: Path) -> Iterator[Prediction]:
    """Write each prediction as it passes; the file takes its name when all have. Names and labels are strangers'."""
    labels = classifier.labels
    with writing_to(path.parent, "Choose another file with --csv."), writing_whole(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(("file", "answers", *map(cell, labels), "possible", "abstains", "novelty", "warnings", "error"))
        for prediction in predictions:
            rows.writerow(_csv_row(prediction, labels))
            yield prediction
        text.detach()  # which writes what it still holds, and leaves the file open


def _csv_row(prediction: Prediction, labels: Sequence[str]) -> list[Any]:
    answer = prediction.answer
    if answer is None:
        return [cell(prediction.file), "", *([""] * len(labels)), "", "", "", "", cell(str(prediction.error))]
    return [
        cell(prediction.file),
        cells(answer.answers),
        *answer.probabilities.values(),
        "" if answer.possible is None else cells(answer.possible),
        str(answer.abstains).lower(),
        "" if answer.novelty is None else answer.novelty,
        "; ".join(w.code for w in prediction.unlike),
        "",
    ]


@dataclass
class _Tally:
    """What is kept of many predictions: the first few of them, and counts."""

    first: list[Prediction] = field(default_factory=list)
    failures: list[Prediction] = field(default_factory=list)
    total: int = 0
    failed: int = 0
    abstaining: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)

    def add(self, prediction: Prediction) -> None:
        """Count one more."""
        self.total += 1
        if self.total <= _FEW:
            self.first.append(prediction)
        if prediction.answer is None:
            self.failed += 1
            self.failures = [*self.failures, prediction][:_FAILURES_SHOWN]
            return
        self.answers.update(prediction.answer.answers or ("none",))
        self.warnings.update(w.code for w in prediction.unlike)
        self.abstaining += prediction.answer.abstains


def _print(predictions: Iterable[Prediction], classifier: RemoteClassifier, csv_file: Path | None) -> int:
    tally = _Tally()
    for prediction in predictions:
        tally.add(prediction)
    about = classifier.about
    lines = _few_lines(tally.first) if tally.total <= _FEW else _many_lines(tally, about)
    for line in lines:
        say(line)
    for failure in tally.failures:
        say(failure.error, error=True)
    if tally.failed > len(tally.failures):
        say(f"... and {tally.failed - len(tally.failures):,} more.", error=True)
    if tally.failed:
        say(f"{tally.failed:,} of {tally.total:,} could not be read.", error=True)
    say(f"{about['dataset']}, view {about['view']}. {about['notice']}")
    if csv_file is not None:
        say(csv_file)
    return tally.failed


def _few_lines(predictions: Sequence[Prediction]) -> list[str]:
    """A line for each picture, its warnings under it."""
    answered = [(p, p.answer) for p in predictions if p.answer is not None]
    if not answered:
        return ["No picture was answered."]
    table = [("file", "answer", "probability", "cannot be ruled out", "")]
    for prediction, answer in answered:
        named = answer.answers or (max(answer.probabilities, key=lambda k: answer.probabilities[k]),)
        table.append(
            (
                prediction.file,
                ", ".join(answer.answers) or "none",
                ", ".join(f"{answer.probabilities[name]:.3f}" for name in named)
                + ("" if answer.answers else f" at most ({named[0]})"),
                "" if answer.possible is None else ", ".join(answer.possible) or "none",
                "abstains" if answer.abstains else "",
            )
        )
    lines = _aligned(table)
    told = [f"{p.file}: {w.text}" for p, _ in answered for w in p.unlike]
    return [*lines, *told]


def _many_lines(tally: _Tally, about: Mapping[str, Any]) -> list[str]:
    """How often each answer was given, how many should not be read, and what was unlike train."""
    n = tally.total - tally.failed
    rows = [(name, f"{tally.answers[name]:,}", f"{tally.answers[name] / max(1, n):.1%}") for name in about["labels"]]
    if tally.answers["none"] and "none" not in about["labels"]:
        rows.append(("none", f"{tally.answers['none']:,}", f"{tally.answers['none'] / max(1, n):.1%}"))
    lines = _aligned([("answer", "images", "share"), *rows], numbers=(1, 2))
    lines.append(f"{n:,} images answered; the model abstains on {tally.abstaining:,} of them.")
    return [*lines, *(f"{count:,} with the warning: {code}" for code, count in tally.warnings.items())]


def _aligned(rows: Sequence[tuple[str, ...]], numbers: Sequence[int] = ()) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    cells = [[c.rjust(w) if i in numbers else c.ljust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))]
             for r in rows]  # fmt: skip
    return ["  ".join(row).rstrip() for row in cells]
