"""What a request may ask for, and what becomes of it when it asks for more."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response

from penlight.errors import (
    ExplainError,
    LargePictureError,
    NoPictureError,
    PenlightError,
    PictureError,
    UnknownNameError,
)
from penlight.formats import KINDS
from penlight.records import Record, json_key, json_text

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-dns-prefetch-control", b"off"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
]
"""What every answer carries that names none of its own."""


class ErrorBody(Record):
    """Why a request was not answered."""

    error: str = json_key(about="What is wrong.")
    expected: str = json_key(about="What was expected.")
    do: str = json_key(about="What to do.")


@dataclass(frozen=True)
class RequestLimits:
    """Bounds of one request, of one peer, and of all together.

    A request: `upload` bytes of a body, `files` in it and `fields` beside them, `pixels` that a picture may say it
    has, `seconds` to receive it and as many to answer, of which `stall_seconds` may pass without a byte. Its head:
    `head_seconds` from the connection or its first byte, `head_bytes`, of which `target` for the address, `headers`;
    `pipelined` requests that follow one that is not answered yet.

    An answer: `stall_seconds` without a byte read, `answer_seconds` until all of it is. A refused peer may go on
    sending for `linger_seconds`, so that it sees why.

    All together: `held` bytes of bodies in memory at a time, and as many of unread answers; `connections`, `waiting`
    pictures that wait for a worker, and `explaining` requests for explanations. One address, which may be a proxy's,
    has at most `peer_held` and `peer_connections` of them, so that it cannot take all.
    """

    upload: int = 32 << 20
    files: int = 64
    fields: int = 32
    pixels: int = 1 << 24
    seconds: float = 20.0
    stall_seconds: float = 5.0
    head_seconds: float = 10.0
    head_bytes: int = 32 << 10
    target: int = 8 << 10
    headers: int = 100
    pipelined: int = 16
    idle_seconds: int = 15
    answer_seconds: float = 120.0
    linger_seconds: float = 2.0
    held: int = 128 << 20
    peer_held: int = 96 << 20
    connections: int = 512
    peer_connections: int = 384
    waiting: int = 256
    explaining: int = 4


class RequestError(Exception):
    """A request that is not answered: its status, what is wrong, what was expected, and what to do."""

    def __init__(
        self, status: int, error: str, expected: str = "", do: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status, self.error, self.expected, self.do, self.headers = status, error, expected, do, headers

    @property
    def body(self) -> bytes:
        """The body of the answer."""
        return json_text(ErrorBody(self.error, self.expected, self.do)).encode()

    def response(self) -> Response:
        """Give the answer."""
        return Response(self.body, self.status, self.headers, "application/json")


_TELLABLE = (PictureError, ExplainError, UnknownNameError)
_PATH = re.compile(r"(?<![\w./])(?:~|[A-Za-z]:)?[/\\]\w")
_UNTOLD = "What went wrong is in the server's own files, and is not for clients."


def for_client(
    error: PenlightError, status: int, expected: str, names: Mapping[str, str] | None = None
) -> RequestError:
    """Decide what of a Penlight error a client may read; nothing else hands one on.

    The errors that are about what the client sent are told, the others only where `names` gives what to say for each
    of the server's folders in them; and none whose text still holds a path.
    """
    problem, remedy = error.problem, error.remedy
    for folder, name in sorted((names or {}).items(), key=lambda pair: -len(pair[0])):
        problem, remedy = problem.replace(folder, name), remedy.replace(folder, name)
    # The name of a picture is the client's own, and may look like a path.
    searched = error.reason if isinstance(error, PictureError) else f"{problem} {remedy}"
    if (names is None and not isinstance(error, _TELLABLE)) or _PATH.search(searched):
        return RequestError(status, _UNTOLD, expected, "Contact the administrator of the server.")
    return RequestError(status, problem, expected, remedy)


def unread(error: PenlightError | None) -> RequestError:
    """413, 415 or 422 for a picture that cannot be read."""
    status = {LargePictureError: 413, NoPictureError: 415}.get(type(error), 422)  # type: ignore[arg-type]
    expected = f"A whole {KINDS} picture of one image."
    return RequestError(status, "", expected) if error is None else for_client(error, status, expected)


def busy(what: str) -> RequestError:
    """503: come back in a second."""
    return RequestError(503, f"The server is busy: {what}.", "Fewer requests at a time.", "Try again in a second.",
                        {"Retry-After": "1"})  # fmt: skip


class Budget:
    """Bytes of request bodies in memory, counted as they come; all of it on the event loop, so that nothing needs a
    lock. One peer may hold `of_one` of them, all of them unless given."""

    def __init__(self, limit: int, of_one: int | None = None) -> None:
        self._limit, self._of_one = limit, limit if of_one is None else of_one
        self._by_peer: Counter[str] = Counter()
        self.used = 0

    def take(self, n_bytes: int, peer: str = "") -> None:
        """Count bytes that came. RequestError (503) if there is no room for them."""
        if self.used + n_bytes > self._limit:
            raise busy("too many uploads are being received")
        if self._by_peer[peer] + n_bytes > self._of_one:
            raise busy("too many uploads are being received from one address")
        self.used += n_bytes
        self._by_peer[peer] += n_bytes

    def give(self, n_bytes: int, peer: str = "") -> None:
        """Give bytes back."""
        self.used -= n_bytes
        self._by_peer[peer] -= n_bytes
        if not self._by_peer[peer]:
            del self._by_peer[peer]
