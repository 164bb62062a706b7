"""What a worker process does for a run: it opens the run, reads pictures, and answers for them.

`penlight.api.predicting` and the server ask it by messages of `penlight.workers`. All that is sent back is checked
there: this process has read what strangers made.
"""

import io
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penlight.answers import Answer, AnswerOfWorker, ErrorOfWorker, Unlike
from penlight.data.pictures import LARGEST_PIXELS, Pixels
from penlight.errors import PenlightError
from penlight.runs.classifier import Classifier, open_classifier
from penlight.workers import Item, begin

_OPEN = 8
_UNUSUAL = Unlike(
    "unlike-training", "It is unlike the images that the model was trained on, so its answer says nothing."
)

_opened: OrderedDict[tuple[str, int], Classifier] = OrderedDict()


def handle(common: Mapping[str, Any], items: Sequence[Item]) -> list[Item]:
    """Answer a message. Its `common` values name the folder of the run, the number of its `opening` (a run that is
    opened anew gets another one), how many `pixels` a picture may have (0 for the usual limit), and what to `do`:
    "about" to say which model answers, "answer" to answer for each picture, "image" to give it as the model reads it,
    in PNG."""
    begin(None)
    try:
        classifier = _classifier(common)
        if common["do"] == "about":
            return [({"about": classifier.about()}, b"")]
        return _DO[common["do"]](classifier, _load_all(classifier, items, common["pixels"] or LARGEST_PIXELS))
    except PenlightError as error:
        return [({"failed": ErrorOfWorker.of(error).to_dict()}, b"")] * len(items)


def _classifier(common: Mapping[str, Any]) -> Classifier:
    key = (common["run"], common["opening"])
    if key not in _opened:
        _opened[key] = open_classifier(Path(common["run"]))
    _opened.move_to_end(key)
    while len(_opened) > _OPEN:
        _opened.popitem(last=False)
    return _opened[key]


def _load_all(
    classifier: Classifier, items: Sequence[Item], largest: int
) -> list[tuple[Pixels, tuple[Unlike, ...]] | PenlightError]:
    loaded: list[tuple[Pixels, tuple[Unlike, ...]] | PenlightError] = []
    for number, (values, content) in enumerate(items):
        begin(number)
        try:
            loaded.append(classifier.load(source_of(values, content), largest=largest))
        except PenlightError as error:
            loaded.append(error)
    return loaded


def source_of(values: Mapping[str, Any], content: bytes) -> Path | bytes | Pixels:
    """Give the picture in an item: a file by its path, pixels by their shape, or the bytes of a file."""
    if "path" in values:
        return Path(values["path"])
    return np.frombuffer(content, np.uint8).reshape(values["shape"]) if "shape" in values else content


def _answers(
    classifier: Classifier, loaded: Sequence[tuple[Pixels, tuple[Unlike, ...]] | PenlightError]
) -> list[Item]:
    images = [own[0] for own in loaded if not isinstance(own, PenlightError)]
    begin(None)
    answers = iter(classifier.answer(np.stack(images)) if images else ())
    return [
        ({"error": ErrorOfWorker.of(own).to_dict()}, b"")
        if isinstance(own, PenlightError)
        else (_with_warnings(next(answers), own[1]).to_dict(), b"")
        for own in loaded
    ]


def _with_warnings(answer: Answer, unlike: tuple[Unlike, ...]) -> AnswerOfWorker:
    return AnswerOfWorker(answer, (*unlike, _UNUSUAL) if answer.unusual else unlike)


def _images(
    classifier: Classifier, loaded: Sequence[tuple[Pixels, tuple[Unlike, ...]] | PenlightError]
) -> list[Item]:
    return [
        ({"error": ErrorOfWorker.of(own).to_dict()}, b"") if isinstance(own, PenlightError) else ({}, _png(own[0]))
        for own in loaded
    ]


def _png(image: Pixels) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image).save(buffer, "PNG")
    return buffer.getvalue()


_DO = {"answer": _answers, "image": _images}
