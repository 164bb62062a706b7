"""What `penlight predict` prints. One picture must not wait for a library of tables."""

import csv
import io
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.answers import CSV_HEADS, Answer
from penlight.api.predicting import Predicted
from penlight.cli.show.lines import print_json, say, say_text, terminal_width
from penlight.disk import writing_to, writing_whole
from penlight.escaping import cell, cells, label_list, quoted
from penlight.numbers import counted, decimal_text, share_cell
from penlight.runs.remote import AnswerCounts, Prediction, RemoteClassifier, predict_each
from penlight.runs.sources import count_pictures, pictures

if TYPE_CHECKING:
    from penlight.api.parts import PredictedParts

_FEW = 20


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
        print_json(result)
        return result.failed
    return _print(predictions, classifier, csv_file)


def _counted(predictions: Iterator[Prediction], paths: Sequence[Path]) -> Iterator[Prediction]:
    """Draw what is done on one line of standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield from predictions
        return
    from penlight.data.progress import count_progress

    with count_progress("Predicting", count_pictures(paths)) as bar:
        for prediction in predictions:
            bar.update(1)
            yield prediction


def _to_csv(predictions: Iterator[Prediction], classifier: RemoteClassifier, path: Path) -> Iterator[Prediction]:
    """Write each prediction as it passes; the file takes its name when all have. Names and labels are strangers'."""
    labels = classifier.labels
    with writing_to(path.parent, "Choose another file with --csv."), writing_whole(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow((*CSV_HEADS[0], *map(cell, labels), *CSV_HEADS[1]))
        of_run = _of_run(classifier.about)
        for prediction in predictions:
            rows.writerow(_csv_row(prediction, labels, of_run))
            yield prediction
        text.detach()  # which writes what it still holds, and leaves the file open


def _of_run(about: Mapping[str, Any]) -> tuple[str, str, Any]:
    """Give what a row says of the run: how it stands on test, its serious checks, the coverage of its sets."""
    on_test = about.get("on_test")
    if on_test is None:
        return "not measured", "", ""
    coverage = "" if on_test["coverage"] is None else on_test["coverage"]["value"]
    return on_test["stands"], " ".join(check["code"] for check in on_test["checks"]), coverage


def _csv_row(prediction: Prediction, labels: Sequence[str], of_run: tuple[str, str, Any]) -> list[Any]:
    answer, (stands, checks, coverage) = prediction.answer, of_run
    first = [cell(prediction.file), cell(stands), cell(checks)]
    if answer is None:
        return [*first, "", *([""] * len(labels)), "", "", "", "", "", "", cell(str(prediction.error))]
    return [
        *first,
        cells(answer.answers),
        *answer.probabilities.values(),
        "" if answer.possible is None else cells(answer.possible),
        "" if answer.possible is None else coverage,
        " ".join(_reasons(answer)),
        cell(answer.why),
        "" if answer.novelty is None else answer.novelty,
        "; ".join(warning.code for warning in prediction.unlike),
        "",
    ]


def _reasons(answer: Answer) -> list[str]:
    """Say why nothing should be read from an answer."""
    return ["several-possible"] * answer.several + ["unlike-training"] * answer.unusual


def _print(predictions: Iterator[Prediction], classifier: RemoteClassifier, csv_file: Path | None) -> int:
    first = list(itertools.islice(predictions, _FEW + 1))
    counts = AnswerCounts.of(itertools.chain(first, predictions))
    few = len(first) <= _FEW
    given = [prediction.answer for prediction in first if prediction.answer is not None] if few else []
    _print_counts(counts, classifier.about, given, _few_lines(first) if few else None)
    if csv_file is not None:
        say(csv_file)
    return counts.failed


def print_parts(made: "PredictedParts", json: bool) -> int:
    """Print what there is of predictions in parts; give how many pictures could not be read."""
    if json:
        print_json(made)
        return made.failed
    _print_counts(made.counts, made.model)
    if made.missing:
        say_text(
            f"{made.missing:,} of {counted(made.parts, 'part')} are missing. The last shard writes the summary; the "
            "same command without --shard does what is missing."
        )
    say(made.folder)
    return made.failed


def _print_counts(
    counts: AnswerCounts, about: Mapping[str, Any], given: Sequence[Answer] = (), lines: Sequence[str] | None = None
) -> None:
    """Print what the run is worth, the answers, as `lines` or counted, and what failed."""
    for line in [*_verdict_lines(about, given), ""]:
        say_text(line)
    for line in _many_lines(counts, about) if lines is None else lines:
        say_text(line)
    for failure in counts.failures:
        say_text(f"{failure.fault.error} {failure.fault.do}".strip(), error=True)
    if counts.failed > len(counts.failures):
        say(f"... and {counts.failed - len(counts.failures):,} more.", error=True)
    if counts.failed:
        say(f"{counts.failed:,} of {counts.images:,} could not be read.", error=True)
    say_text(f"{about['dataset']}, view {about['view']}. {about['notice']}")


_FEW_LABELS = 8


def _verdict_lines(about: Mapping[str, Any], answers: Sequence[Answer]) -> list[str]:
    """Say before the answers what the run is worth on test, its serious checks, and how often its sets hold the
    truth there: of all images, and of those labels that are answered, or of all where they are few."""
    on_test = about.get("on_test")
    if on_test is None:
        return ["The model was not evaluated on test."]
    lines = [on_test["verdict"], *(f"Serious, {check['code']}: {check['seen']}" for check in on_test["checks"])]
    measured = on_test["coverage"]
    if measured is None:
        return lines
    named = {label for answer in answers for label in answer.answers} if answers else set[str]()
    of_labels = [
        f"{quoted(label)} {decimal_text(share, 2)}"
        for label, share in measured["labels"].items()
        if share is not None and (label in named or len(measured["labels"]) <= _FEW_LABELS)
    ]
    wanted = "" if about["coverage"] is None else f", where {decimal_text(about['coverage'], 2)} was wanted"
    held = (
        f"The prediction set contained the true label for {decimal_text(measured['value'], 2)} of {measured['of']} "
        f"on "
        f"test ({counted(measured['images'], 'image')})"
    )
    return [*lines, f"{held}{wanted}{'; of those with ' + ', '.join(of_labels) if of_labels else ''}."]


_FEW_HEADS = ("file", "answer", "probability", "possible", "")
_REASONS = {"several-possible": "several labels are possible", "unlike-training": "it is out of distribution"}


def _few_lines(predictions: Sequence[Prediction]) -> list[str]:
    """A line for each picture; under them warnings, each once with the pictures that have it, and why an answer is
    not the most probable label."""
    answered = [(prediction, prediction.answer) for prediction in predictions if prediction.answer is not None]
    if not answered:
        return ["No image could be predicted."]
    table: list[tuple[str, ...]] = [_FEW_HEADS]
    warned: dict[str, list[str]] = {}
    for prediction, answer in answered:
        for warning in prediction.unlike:
            warned.setdefault(warning.text, []).append(prediction.file)
        why = ", and ".join(_REASONS[reason] for reason in _reasons(answer))
        named = answer.answers or (max(answer.probabilities, key=lambda k: answer.probabilities[k]),)
        table.append(
            (
                prediction.file,
                label_list(answer.answers) or "none",
                ", ".join(decimal_text(answer.probabilities[name]) for name in named)
                + ("" if answer.answers else f" at most ({named[0]})"),
                "" if answer.possible is None else label_list(answer.possible) or "none",
                f"abstains: {why}" if answer.abstains else "",
            )
        )
    return [
        *_fitting(table),
        *(f"{prediction.file}: {answer.why}" for prediction, answer in answered if answer.why),
        *(f"{files[0] if len(files) == 1 else f'{len(files)} of {len(answered)} pictures'}: {text}"
          for text, files in warned.items()),
    ]  # fmt: skip


def _many_lines(counts: AnswerCounts, about: Mapping[str, Any]) -> list[str]:
    """How often each answer was given, how many should not be read, and what was unlike train."""
    n = counts.images - counts.failed
    given = [*about["labels"]]
    if counts.answers.get("none") and "none" not in given:
        given.append("none")
    times = {name: counts.answers.get(name, 0) for name in given}
    rows = [(name, f"{count:,}", share_cell(count / max(1, n))) for name, count in times.items()]
    lines = _aligned([("answer", "images", "share, %"), *rows], numbers=(1, 2))
    lines.append(
        f"{counted(n, 'image')} answered. The model abstains on {counts.several_possible:,} since several "
        "labels are possible, and on "
        f"{counts.unusual:,} since they are unlike the training images."
    )
    return [*lines, *(f"{count:,} with the warning: {code}" for code, count in counts.warnings.items())]


def _fitting(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Align rows; on a terminal that is too narrow for them, give each as a sentence below its first cell."""
    lines, width = _aligned(rows), terminal_width()
    if width is None or max(map(len, lines)) <= width:
        return lines
    heads = rows[0]
    return [
        line
        for first, *cells in rows[1:]
        for line in (first, "  " + "; ".join(f"{h} {c}".strip() for h, c in zip(heads[1:], cells, strict=True) if c))
    ]


def _aligned(rows: Sequence[tuple[str, ...]], numbers: Sequence[int] = ()) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    cells = [[c.rjust(w) if i in numbers else c.ljust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))]
             for r in rows]  # fmt: skip
    return ["  ".join(row).rstrip() for row in cells]
