"""What an answer rests on, for one picture of a request: made in a worker process, as all that reads pictures."""

from collections.abc import Mapping
from typing import Any

from penlight.answers import ErrorOfWorker
from penlight.errors import MissingExtraError, PictureError
from penlight.runs.sources import InputPicture
from penlight.serve.limits import RequestError, RequestLimits, for_client, unread
from penlight.serve.registry import RegisteredRun
from penlight.workers import Bounds, Item, Lost

HANDLER = "penlight.api.explaining:handle"
"""What workers run: see there for the messages."""

_MOST_NEIGHBOURS = 20
_KEYS = {"method", "meaning", "explanations"}


def question(registered: RegisteredRun, asked: Mapping[str, str], limits: RequestLimits) -> dict[str, Any]:
    """Give the common values of a message; `asked` are label, method and neighbours. RequestError (422) for a number
    of neighbours that is none."""
    return {
        "run": str(registered.run.path.absolute()),
        "opening": registered.opening,
        "method": asked.get("method", "auto"),
        "label": asked.get("label"),
        "neighbours": _neighbours(asked.get("neighbours", "0")),
        "pixels": limits.pixels,
    }


def explained(picture: InputPicture, answer: Item | Lost, bounds: Bounds) -> dict[str, Any]:
    """Read a worker's answer. RequestError: 501 where nothing explains, 413, 415 and 422 for a picture or a value
    that cannot be used."""
    if isinstance(answer, Lost):
        error = answer.as_picture(bounds, picture.name)
        raise RequestError(422, error.problem, "One picture, and a run that was not made to harm.", error.remedy)
    values, _ = answer
    if "failed" not in values:
        return {key: values[key] for key in _KEYS}
    failed = ErrorOfWorker.from_dict(values["failed"]).named(picture.name)
    if isinstance(failed, MissingExtraError):
        raise RequestError(501, "This installation cannot explain.", "One with what the method needs.",
                           "Install it on the server.") from failed  # fmt: skip
    if isinstance(failed, PictureError):
        raise unread(failed) from failed
    raise for_client(failed, 422, "A label, a method and neighbours that the run has.") from failed


def _neighbours(text: str) -> int:
    if not text.isdecimal() or len(text) > 3 or int(text) > _MOST_NEIGHBOURS:
        raise RequestError(422, "neighbours is not a number that can be given.", f"0 to {_MOST_NEIGHBOURS}.", "")
    return int(text)
