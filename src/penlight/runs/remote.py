"""A run's model asked from another process: pictures are decoded, and the model is computed, in worker processes
(`penlight.workers`), since both may be a stranger's. What these send back is checked here.

This module loads neither NumPy nor ONNX Runtime.
"""

import itertools
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from penlight.answers import Answer, AnsweringModel, ErrorOfWorker, Unlike, read_answer
from penlight.errors import LargePictureError, NoPictureError, PenlightError, RunError
from penlight.records import Count, Name, Record, check_record, json_key
from penlight.runs.sources import InputPicture
from penlight.workers import ANSWERING, Bounds, Item, Lost, WorkerPool, shared_pool

_CHUNK = 32
_CHUNKS_AHEAD = 2
_FAILURES = 10
_HARMFUL = "It is damaged, or was made to harm: use a run that you trust."

_ManyCounts = Annotated[Mapping[Name, Count], Field(max_length=10_001)]


class PictureFault(Record):
    """Why a picture has no answer."""

    code: Literal["too-large", "no-picture", "unreadable"]
    error: str
    do: str


def fault_of(error: PenlightError) -> PictureFault:
    """Put the error of a picture into JSON."""
    if isinstance(error, LargePictureError):
        return PictureFault("too-large", error.problem, error.remedy)
    return PictureFault(
        "no-picture" if isinstance(error, NoPictureError) else "unreadable", error.problem, error.remedy
    )


class Prediction(Record, computed=("warnings",)):
    """What came of one picture: an answer and what is unlike train in it, or an error. In JSON what failed has the
    keys "file" and "error" alone."""

    file: str = json_key(about="The name that the picture came with.")
    answer: Answer | None = json_key(inline=True)
    unlike: tuple[Unlike, ...] = json_key(default=(), hidden=True)
    error: PenlightError | None = json_key(default=None, if_known=True, written=fault_of)

    @property
    def warnings(self) -> tuple[Unlike, ...] | None:
        """In what the picture is unlike train; None where it could not be read."""
        return None if self.answer is None else self.unlike


class FailedPicture(Record):
    """A picture without an answer, and why."""

    file: str
    fault: PictureFault = json_key(inline=True)


class AnswerCounts(Record):
    """How often each answer was given for many pictures, what was said of them, and the first few that failed."""

    images: Count
    failed: Count
    several_possible: Count
    unusual: Count
    answers: _ManyCounts = json_key(about="How often each label is an answer; `none` is no label.")
    warnings: _ManyCounts
    failures: tuple[FailedPicture, ...]

    @classmethod
    def of(cls, predictions: Iterable[Prediction]) -> Self:
        """Count predictions, of which none is held."""
        images = several = unusual = 0
        answers, warnings = Counter[str](), Counter[str]()
        failures, failed = list[FailedPicture](), 0
        for own in predictions:
            images += 1
            if own.answer is None:
                failed += 1
                if own.error is not None and len(failures) < _FAILURES:
                    failures.append(FailedPicture(unicode_text(own.file), fault_of(own.error)))
                continue
            answers.update(own.answer.answers or ("none",))
            warnings.update(warning.code for warning in own.unlike)
            several += own.answer.several
            unusual += own.answer.unusual
        return cls(images, failed, several, unusual, answers, warnings, tuple(failures))

    @classmethod
    def of_parts(cls, parts: Iterable["AnswerCounts"]) -> Self:
        """Add counts up."""
        parts = list(parts)
        answers, warnings = Counter[str](), Counter[str]()
        for own in parts:
            answers.update(own.answers)
            warnings.update(own.warnings)
        failures = itertools.chain.from_iterable(own.failures for own in parts)
        return cls(
            sum(own.images for own in parts),
            sum(own.failed for own in parts),
            sum(own.several_possible for own in parts),
            sum(own.unusual for own in parts),
            answers,
            warnings,
            tuple(itertools.islice(failures, _FAILURES)),
        )


def unicode_text(text: str) -> str:
    """Give a text that may be the name of a file in another encoding with escapes for what is no Unicode."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


_openings = itertools.count()


class RemoteClassifier:
    """A run's model in worker processes, where it is opened. RunError as in `runs.classifier.open_classifier`."""

    def __init__(self, run: Path, pool: WorkerPool | None = None) -> None:
        self.run = run
        self._pool = pool or shared_pool(ANSWERING)
        self._opening = next(_openings)
        (answer,) = self._pool.call(self.message("about"), [({}, b"")])
        self.about: dict[str, Any] = about_of(answer, self._pool.bounds, run)
        """Which model answers, and how it decides, for JSON: see `runs.classifier.Classifier.about`."""

    @property
    def processes(self) -> int:
        """How many workers answer at a time."""
        return self._pool.processes

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that probabilities are of."""
        return tuple(self.about["labels"])

    def message(self, do: str, pixels: int = 0) -> dict[str, Any]:
        """Give the common values of a message to a worker."""
        return message(self.run, self._opening, do, pixels)

    def answer(self, asked: Sequence[InputPicture]) -> list[Prediction]:
        """Load pictures and answer for them, in a worker. RunError if the model harms it."""
        sent = [picture.item() for picture in asked if not isinstance(picture.source, PenlightError)]
        answers = self._pool.call(self.message("answer"), sent) if sent else []
        return predictions_of(asked, answers, self.labels, self._pool.bounds, self.run)


def message(run: Path, opening: int, do: str, pixels: int = 0) -> dict[str, Any]:
    """Give the common values of a message to a worker: see `penlight.runs.answering.handle`."""
    return {"run": os.path.abspath(run), "opening": opening, "do": do, "pixels": pixels}  # noqa: PTH100


def about_of(answer: Item | Lost, bounds: Bounds, run: Path) -> dict[str, Any]:
    """Read what a worker says of a run. RunError if it cannot be opened, or harms the worker that opens it."""
    values = _values(answer, bounds, run)
    return check_record(AnsweringModel, values.get("about"), f"What the run {run} says of itself", _HARMFUL).to_dict()


def predictions_of(
    asked: Sequence[InputPicture], answers: Sequence[Item | Lost], labels: Sequence[str], bounds: Bounds, run: Path
) -> list[Prediction]:
    """Read a worker's answers for those of the pictures that were sent to it. RunError for what no run answers."""
    each = iter(answers)
    return [
        Prediction(picture.name, None, error=picture.source)
        if isinstance(picture.source, PenlightError)
        else _prediction(picture.name, next(each), labels, bounds, run)
        for picture in asked
    ]


def image_of(picture: InputPicture, answer: Item | Lost, bounds: Bounds, run: Path) -> bytes:
    """Read a worker's answer with a picture as a model reads it, as a PNG. PictureError if it cannot be read."""
    if isinstance(answer, Lost) and not answer.everything:
        raise answer.as_picture(bounds, picture.name)
    values = _values(answer, bounds, run)
    if "error" in values:
        raise ErrorOfWorker.from_dict(values["error"]).named(picture.name)
    content = answer[1] if isinstance(answer, tuple) else b""
    if not content.startswith(b"\x89PNG"):
        raise RunError(f"The run {run} gave what is no image.", _HARMFUL)
    return content


def _prediction(name: str, answer: Item | Lost, labels: Sequence[str], bounds: Bounds, run: Path) -> Prediction:
    if isinstance(answer, Lost) and not answer.everything:
        return Prediction(name, None, error=answer.as_picture(bounds, name))
    values = _values(answer, bounds, run)
    try:
        if "error" in values:
            return Prediction(name, None, error=ErrorOfWorker.from_dict(values["error"]).named(name))
        found = read_answer(values, labels)
        return Prediction(name, found.answer, found.warnings)
    except (KeyError, TypeError, ValueError, RunError) as error:
        raise RunError(f"The run {run} answered what no run answers: {error}.", _HARMFUL) from error


def _values(answer: Item | Lost, bounds: Bounds, run: Path) -> Mapping[str, Any]:
    """Give the values of an item. RunError if the run cannot be opened or its model ended the worker."""
    if isinstance(answer, Lost):
        raise RunError(f"The model of {run} was ended: {answer.reason(bounds)}.", _HARMFUL)
    values, _ = answer
    if "failed" in values:
        raise ErrorOfWorker.from_dict(values["failed"]).named(str(run))
    return values


def predict_each(classifier: RemoteClassifier, asked: Iterable[InputPicture]) -> Iterator[Prediction]:
    """Give a prediction for each picture, in their order, with a bounded number of them in memory."""
    n = classifier.processes
    each = iter(asked)
    first = list(itertools.islice(each, _CHUNK))
    if len(first) < _CHUNK:
        yield from classifier.answer(first)
        return
    with ThreadPoolExecutor(n) as pool:
        waiting: deque[Future[list[Prediction]]] = deque([pool.submit(classifier.answer, first)])
        while chunk := list(itertools.islice(each, _CHUNK)):
            waiting.append(pool.submit(classifier.answer, chunk))
            if len(waiting) >= n * _CHUNKS_AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
