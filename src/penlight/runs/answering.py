"""What a worker process does for a run: it opens the run, reads pictures, and answers for them.

`runs.remote` and the server ask it by messages of `penlight.workers`. All that is sent back is checked
there: this process has read what strangers made.
"""

import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from penlight.answers import AnswerOfWorker, ErrorOfWorker, Unlike
from penlight.data.pictures import LARGEST_PIXELS, Pixels
from penlight.errors import PenlightError
from penlight.runs.classifier import Classifier, open_classifier
from penlight.workers import Item, begin

_Loaded: TypeAlias = tuple[Pixels, tuple[Unlike, ...]] | PenlightError
"""An image as the model reads it and in what the picture is unlike train, or why it cannot be read."""

_OPEN = 8
_UNUSUAL = Unlike(
    "unlike-training", "It is unlike the images that the model was trained on, so its answer says nothing."
)


def handle(common: Mapping[str, Any], items: Sequence[Item]) -> list[Item]:
    """Answer a message. Its `common` values name the folder of the run, the number of its `opening` (a run that is
    opened anew gets another one), how many `pixels` a picture may have (0 for the usual limit), and what to `do`:
    "about" to say which model answers, "answer" to answer for each picture, "image" to give it as the model reads it,
    in PNG."""
    begin(None)
    try:
        classifier = _opened(common["run"], common["opening"])
        if common["do"] == "about":
            return [({"about": classifier.about()}, b"")]
        loaded = [_loaded(classifier, number, *item, common["pixels"]) for number, item in enumerate(items)]
        begin(None)
        return (_answers if common["do"] == "answer" else _images)(classifier, loaded)
    except PenlightError as error:
        return [({"failed": ErrorOfWorker.of(error).to_dict()}, b"")] * len(items)


@functools.lru_cache(_OPEN)
def _opened(run: str, opening: int) -> Classifier:
    del opening
    return open_classifier(Path(run))


def _loaded(classifier: Classifier, number: int, values: Mapping[str, Any], content: bytes, pixels: int) -> _Loaded:
    begin(number)
    try:
        return classifier.load(source_of(values, content), largest=pixels or LARGEST_PIXELS)
    except PenlightError as error:
        return error


def source_of(values: Mapping[str, Any], content: bytes) -> Path | bytes | Pixels:
    """Give the picture in an item: a file by its path, pixels by their shape, or the bytes of a file."""
    if "path" in values:
        return Path(values["path"])
    return np.frombuffer(content, np.uint8).reshape(values["shape"]) if "shape" in values else content


def _answers(classifier: Classifier, loaded: Sequence[_Loaded]) -> list[Item]:
    images = [own[0] for own in loaded if not isinstance(own, PenlightError)]
    answers = iter(classifier.answer(np.stack(images)) if images else ())
    given: list[Item] = []
    for own in loaded:
        if isinstance(own, PenlightError):
            given.append(({"error": ErrorOfWorker.of(own).to_dict()}, b""))
            continue
        answer = next(answers)
        given.append((AnswerOfWorker(answer, (*own[1], _UNUSUAL) if answer.unusual else own[1]).to_dict(), b""))
    return given


def _images(classifier: Classifier, loaded: Sequence[_Loaded]) -> list[Item]:
    from PIL import Image

    given: list[Item] = []
    for own in loaded:
        if isinstance(own, PenlightError):
            given.append(({"error": ErrorOfWorker.of(own).to_dict()}, b""))
            continue
        image, buffer = own[0], io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image).save(buffer, "PNG")
        given.append(({}, buffer.getvalue()))
    return given
