"""What an answer rests on, for one picture of a request."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from penlight.api.predicting import Picture
from penlight.errors import PenlightError, PictureError
from penlight.runs.classifier import Classifier
from penlight.serve.limits import Limits, RequestError, for_client, unread
from penlight.serve.shelf import Shelved

_MOST_NEIGHBOURS = 20
_OPEN = 4

_explainers: OrderedDict[tuple[str, str], Any] = OrderedDict()
_lock = threading.Lock()


def explained(
    shelved: Shelved, classifier: Classifier, picture: Picture, asked: Mapping[str, str], limits: Limits
) -> dict[str, Any]:
    """Explain a picture as `penlight explain` does; `asked` are label, method and neighbours. RequestError: 501 where
    nothing explains, 413, 415 and 422 for a picture or a value that cannot be used."""
    try:
        from penlight.api import explaining
    except ImportError as error:
        raise RequestError(501, "This installation cannot explain.", "A version of Penlight with explanations.",
                           "Install it on the server.") from error  # fmt: skip
    neighbours = _neighbours(asked.get("neighbours", "0"))
    try:
        image, _ = classifier.load(_bytes(picture), picture.name, largest=limits.pixels)
        explainer = _explainer(explaining, shelved, asked.get("method", "auto"))
        source = explaining.Source(picture.name)
        made = explainer.explain(image[np.newaxis], [source], label=asked.get("label"), neighbours=neighbours)
    except PictureError as error:
        raise unread(error) from error
    except PenlightError as error:
        expected = "A label, a method and neighbours that the run has."
        raise for_client(error, 422, expected) from error
    values: dict[str, Any] = made.to_dict()
    # Paths are the server's own business.
    return {key: value for key, value in values.items() if key not in ("run", "files", "problems")}


def _bytes(picture: Picture) -> bytes:
    assert isinstance(picture.source, bytes)
    return picture.source


def _explainer(explaining: Any, shelved: Shelved, method: str) -> Any:
    with _lock:
        key = (shelved.id, method)
        if key not in _explainers:
            _explainers[key] = explaining.Explainer(shelved.run, method)
        _explainers.move_to_end(key)
        while len(_explainers) > _OPEN:
            _explainers.popitem(last=False)
        return _explainers[key]


def _neighbours(text: str) -> int:
    if not text.isdecimal() or len(text) > 3 or int(text) > _MOST_NEIGHBOURS:
        raise RequestError(422, "neighbours is not a number that can be given.", f"0 to {_MOST_NEIGHBOURS}.", "")
    return int(text)
