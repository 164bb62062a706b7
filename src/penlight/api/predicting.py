"""Ask a run about pictures: files, folders, arrays, uploads; thousands of them in bounded memory."""

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data.npz import Header, read_headers, read_rows
from penlight.data.pictures import LARGEST_PIXELS, SUFFIXES, Pixels, Reading, fit_pixels, is_dicom, load_picture
from penlight.errors import DataError, LargePictureError, NoPictureError, PenlightError
from penlight.runs.classifier import Answer, Classifier, Unlike, open_classifier

_CHUNK = 32
_CHUNKS_AHEAD = 2

Source = Path | tuple[str, bytes] | NDArray[np.uint8]
"""A file, a folder or an npz; an upload by its name and bytes; an image or images as an array."""


@dataclass(frozen=True)
class Prediction:
    """What came of one picture: an answer and what is unlike train in it, or an error."""

    file: str
    answer: Answer | None
    unlike: tuple[Unlike, ...] = ()
    error: PenlightError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the prediction for JSON; what failed has the keys "file" and "error" alone."""
        if self.answer is None:
            return {"file": self.file, "error": error_to_dict(self.error)}
        return {"file": self.file, **self.answer.to_dict(), "warnings": [w.to_dict() for w in self.unlike]}


@dataclass(frozen=True)
class Predicted:
    """What `predict` gives: which `model` answered (`Classifier.about`), and a prediction for each picture."""

    model: dict[str, Any]
    predictions: Sequence[Prediction]

    @property
    def failed(self) -> int:
        """How many pictures got no answer."""
        return sum(p.answer is None for p in self.predictions)

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON has it."""
        return {"model": self.model, "images": [p.to_dict() for p in self.predictions], "failed": self.failed}


def error_to_dict(error: PenlightError | None) -> dict[str, str]:
    """Give an error for JSON: its kind, what is wrong, and what to do."""
    code = {LargePictureError: "too-large", NoPictureError: "no-picture"}.get(type(error), "unreadable")  # type: ignore[arg-type]
    return {"code": code, "error": error.problem if error else "", "do": error.remedy if error else ""}


@dataclass(frozen=True)
class Picture:
    """One picture to ask about: its name, and its file, bytes or pixels, or why there are none."""

    name: str
    source: Path | bytes | Pixels | PenlightError

    def image(self, reading: Reading) -> Pixels:
        """Turn it into an image as `reading` says. Its own error is raised; others as in `pictures.load_picture`."""
        if isinstance(self.source, PenlightError):
            raise self.source
        if isinstance(self.source, np.ndarray):
            return fit_pixels(self.source, reading)
        return load_picture(self.source, reading, self.name)


def predict(run: Path, sources: Iterable[Source]) -> Predicted:
    """Ask a run about pictures; see `Source` for what they may be, `open_classifier` for errors of the run.

    What cannot be read is in the result, with its error, and stops nothing.
    """
    classifier = open_classifier(run)
    return Predicted(classifier.about(), list(predict_each(classifier, pictures(sources))))


def predict_each(
    classifier: Classifier, asked: Iterable[Picture], *, threads: int | None = None
) -> Iterator[Prediction]:
    """Give a prediction for each picture, in their order, with a bounded number of them in memory."""
    n = threads or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
    each = iter(asked)
    with ThreadPoolExecutor(n) as pool:
        waiting: deque[Future[list[Prediction]]] = deque()
        while chunk := list(itertools.islice(each, _CHUNK)):
            waiting.append(pool.submit(answer_pictures, classifier, chunk))
            if len(waiting) >= n * _CHUNKS_AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def answer_pictures(
    classifier: Classifier, asked: Sequence[Picture], *, largest: int = LARGEST_PIXELS
) -> list[Prediction]:
    """Load pictures and answer for them, in this thread; `largest` is how many pixels one may say it has."""
    loaded = [_load(classifier, picture, largest) for picture in asked]
    images = [image for image in loaded if not isinstance(image, PenlightError)]
    answers = iter(classifier.answer(np.stack([pixels for pixels, _ in images])) if images else ())
    return [
        Prediction(picture.name, None, error=own)
        if isinstance(own, PenlightError)
        else _with_novelty(picture.name, next(answers), own[1])
        for picture, own in zip(asked, loaded, strict=True)
    ]


def _with_novelty(name: str, answer: Answer, unlike: tuple[Unlike, ...]) -> Prediction:
    if answer.unusual:
        told = "It is unlike the images that the model was trained on, so its answer says nothing."
        unlike = (*unlike, Unlike("unlike-training", told))
    return Prediction(name, answer, unlike)


def _load(
    classifier: Classifier, picture: Picture, largest: int
) -> tuple[Pixels, tuple[Unlike, ...]] | PenlightError:
    if isinstance(picture.source, PenlightError):
        return picture.source
    try:
        return classifier.load(picture.source, picture.name, largest=largest)
    except PenlightError as error:
        return error


def pictures(sources: Iterable[Source]) -> Iterator[Picture]:
    """List the pictures of all sources: those of a folder and of the folders in it by their names, the rows of an
    npz. What is wrong with a source is the picture's error."""
    for number, source in enumerate(sources):
        if isinstance(source, Path):
            yield from _of_path(source)
        elif isinstance(source, tuple):
            yield Picture(*source)
        else:
            yield from _of_array(source, f"array {number}")


def count_pictures(paths: Iterable[Path]) -> int:
    """Count what `pictures` lists, without reading it."""
    return sum(_rows(path) if path.suffix.lower() == ".npz" else sum(1 for _ in _of_path(path)) for path in paths)


def _of_path(path: Path) -> Iterator[Picture]:
    if path.is_dir():
        yield from (Picture(str(file), file) for file in _files(path))
    elif path.suffix.lower() == ".npz":
        yield from _of_npz(path)
    else:
        yield Picture(str(path), path)


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (file for name in sorted(names) if _is_picture(file := Path(place, name)))


def _is_picture(file: Path) -> bool:
    if file.name.startswith("."):
        return False
    return file.suffix.lower() in SUFFIXES or (not file.suffix and file.is_file() and is_dicom(file))


def _of_npz(path: Path) -> Iterator[Picture]:
    try:
        for header in _image_arrays(path):
            for row, pixels in enumerate(read_rows(path, header)):
                yield Picture(f"{path}:{header.name}[{row}]", pixels)
    except PenlightError as error:
        yield Picture(str(path), error)


def _rows(path: Path) -> int:
    try:
        return sum(header.shape[0] for header in _image_arrays(path))
    except PenlightError:
        return 1


def _image_arrays(path: Path) -> list[Header]:
    """Choose the arrays of images: those whose names end so, or the only one."""
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


def _holds_images(header: Header) -> bool:
    whole = header.dtype == np.uint8 and len(header.shape) in (3, 4) and 0 not in header.shape[1:]
    return whole and header.shape[3:] in ((), (1,), (3,))


def _of_array(array: NDArray[np.uint8], name: str) -> Iterator[Picture]:
    """An image (H, W) or (H, W, C), or images (N, H, W, C)."""
    rows = array if array.ndim == 4 else array[np.newaxis]
    if array.dtype != np.uint8 or array.ndim not in (2, 3, 4) or array.shape[2:][-1:] not in ((), (1,), (3,)):
        wanted = "uint8 of shape (H, W), (H, W, 1), (H, W, 3) or (N, H, W, C)"
        yield Picture(name, DataError(f"{name} should be {wanted}; {array.dtype} {array.shape} came."))
        return
    yield from (Picture(name if array.ndim < 4 else f"{name}[{i}]", pixels) for i, pixels in enumerate(rows))
