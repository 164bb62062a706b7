"""Predict pictures with a run: files, folders, arrays, uploads; thousands of them in bounded memory.

Pictures are decoded, and the run's model computed, in worker processes (`penlight.workers`): both may be a
stranger's. This module loads neither NumPy nor ONNX Runtime where files are asked about.
"""

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from penlight.answers import Answer, AnsweringModel, ErrorOfWorker, Unlike, answering_model, read_answer
from penlight.api.paths import PathLike, listed, path_of
from penlight.errors import (
    DataError,
    LargePictureError,
    NoPictureError,
    PenlightError,
    RunError,
)
from penlight.records import Record, check_record, json_key, shorten
from penlight.workers import ANSWERING, Bounds, Item, Lost, WorkerPool, shared_pool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from penlight.data.npz import Header
    from penlight.data.pictures import Pixels

_CHUNK = 32
_CHUNKS_AHEAD = 2
_SHOWN = 4
_HARMFUL = "It is damaged, or was made to harm: use a run that you trust."

Source: TypeAlias = "PathLike | tuple[str, bytes] | NDArray[np.uint8]"
"""A file, a folder or an npz; an upload by its name and bytes; an image or images as an array."""


class PictureFault(Record):
    """Why a picture has no answer."""

    code: Literal["too-large", "no-picture", "unreadable"]
    error: str
    do: str


def _fault_of(error: PenlightError) -> PictureFault:
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
    error: PenlightError | None = json_key(default=None, if_known=True, written=_fault_of)

    @property
    def warnings(self) -> tuple[Unlike, ...] | None:
        """In what the picture is unlike train; None where it could not be read."""
        return None if self.answer is None else self.unlike


class Predicted(Record, computed=("failed",), table="predictions"):
    """What `predict` gives: which `model` answered (`Classifier.about`), and a prediction for each picture."""

    model: dict[str, Any] = json_key(written=answering_model)
    predictions: Sequence[Prediction] = json_key("images")

    @property
    def failed(self) -> int:
        """How many pictures got no answer."""
        return sum(p.answer is None for p in self.predictions)

    def __repr__(self) -> str:
        said = [
            f"{p.file}: {'not read' if p.answer is None else ', '.join(p.answer.answers) or 'none'}"
            for p in self.predictions[:_SHOWN]
        ]
        more = ", ..." if len(self.predictions) > _SHOWN else ""
        return shorten(f"Predicted({len(self.predictions):,} images; {'; '.join(said)}{more})")


@dataclass(frozen=True)
class InputPicture:
    """One picture to ask about: its name, and its file, bytes or pixels, or why there are none."""

    name: str
    source: "Path | bytes | Pixels | PenlightError"

    def item(self) -> Item:
        """Give it for a message to a worker."""
        if isinstance(self.source, Path):
            return {"path": os.path.abspath(self.source)}, b""  # noqa: PTH100
        if isinstance(self.source, bytes):
            return {}, self.source
        assert not isinstance(self.source, PenlightError)
        return {"shape": self.source.shape}, self.source.tobytes()


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


def predict(run: PathLike, sources: "Source | Iterable[Source]") -> Predicted:
    """Predict images with a run: its answer for each, calibrated probabilities, and what is unlike train.

    `run` is a run or its folder. `sources` is one or several of: an image file of `penlight.formats.KINDS`, a
    folder of them, an npz of images, an array uint8 (H, W), (H, W, C), (N, H, W) or (N, H, W, C), a file's name with
    its bytes.
    What cannot be read is in the result, with its error, and stops nothing. RunError for what is no run with a model.

    Examples
    --------
    >>> found = pl.predict("runs/retina", "eye.png")
    >>> found.predictions[0].answer.answers
    ('...',)
    >>> found.frame()[["file", "answers"]].shape
    (1, 2)
    """
    classifier = RemoteClassifier(path_of(run, "run folder"))
    return Predicted(classifier.about, list(predict_each(classifier, pictures(listed(sources)))))


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


def pictures(sources: Iterable[Source]) -> Iterator[InputPicture]:
    """List the pictures of all sources: those of a folder and of the folders in it by their names, the rows of an
    npz. What is wrong with a source is the picture's error."""
    for number, source in enumerate(sources):
        if isinstance(source, str | os.PathLike):
            yield from _of_path(Path(source))
        elif isinstance(source, tuple):
            yield InputPicture(*source)
        elif hasattr(source, "shape"):
            yield from _of_array(source, f"array {number}")
        else:
            raise DataError(
                f"A file, a folder or an array of images was expected; {type(source).__name__} came.",
                "Give paths, or arrays uint8 (N, H, W) or (N, H, W, C).",
            )


def count_pictures(paths: Iterable[Path]) -> int:
    """Count what `pictures` lists, without reading it."""
    return sum(_rows(path) if path.suffix.lower() == ".npz" else sum(1 for _ in _of_path(path)) for path in paths)


def _of_path(path: Path) -> Iterator[InputPicture]:
    if path.is_dir():
        yield from (InputPicture(str(file), file) for file in _files(path))
    elif path.suffix.lower() == ".npz":
        from penlight.data.npz import read_rows

        try:
            for header in _image_arrays(path):
                for row, pixels in enumerate(read_rows(path, header)):
                    yield InputPicture(f"{path}:{header.name}[{row}]", pixels)
        except PenlightError as error:
            yield InputPicture(str(path), error)
    else:
        yield InputPicture(str(path), path)


def _files(folder: Path) -> Iterator[Path]:
    """List the pictures in a folder and in those below it, those of kinds that are not read too, so that they are
    named; hidden ones are left out."""
    from penlight.data.pictures import is_dicom
    from penlight.formats import SUFFIXES, not_read_ending

    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in (Path(place, name) for name in sorted(names) if not name.startswith(".")):
            known = file.suffix.lower() in SUFFIXES or not_read_ending(file.name)
            if known or (not file.suffix and file.is_file() and is_dicom(file)):
                yield file


def _rows(path: Path) -> int:
    try:
        return sum(header.shape[0] for header in _image_arrays(path))
    except PenlightError:
        return 1


def _image_arrays(path: Path) -> "list[Header]":
    """Choose the arrays of images: those whose names end so, or the only one."""
    from penlight.data.npz import read_headers

    headers = read_headers(path)
    chosen = [header for name, header in headers.items() if name.endswith("images")] or list(headers.values())
    odd = [header for header in chosen if not _holds_images(header)]
    if odd or (len(chosen) > 1 and not chosen[0].name.endswith("images")):
        held = ", ".join(f"{h.name} {h.dtype} {h.shape}" for h in headers.values())
        raise DataError(
            f"{path} should hold images as uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3) arrays whose names end in "
            f"'images', or as its only array; it holds {held}.",
            "Save it so, with numpy.savez_compressed.",
        )
    return chosen


def _holds_images(header: "Header") -> bool:
    whole = header.dtype == "uint8" and len(header.shape) in (3, 4) and 0 not in header.shape[1:]
    return whole and header.shape[3:] in ((), (1,), (3,))


def _of_array(array: "NDArray[np.uint8]", name: str) -> Iterator[InputPicture]:
    """An image (H, W) or (H, W, C), or images (N, H, W, C)."""
    rows = array if array.ndim == 4 else array[None]
    if array.dtype != "uint8" or array.ndim not in (2, 3, 4) or array.shape[2:][-1:] not in ((), (1,), (3,)):
        wanted = "uint8 of shape (H, W), (H, W, 1), (H, W, 3) or (N, H, W, C)"
        yield InputPicture(name, DataError(f"{name} should be {wanted}; {array.dtype} {array.shape} came."))
        return
    yield from (InputPicture(name if array.ndim < 4 else f"{name}[{i}]", pixels) for i, pixels in enumerate(rows))
