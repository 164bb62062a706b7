"""What a request may ask for, and what becomes of it when it asks for more."""

from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse


@dataclass(frozen=True)
class Limits:
    """Bounds of one request, and of all together.

    `upload` bytes of a body, `files` in it, `pixels` that a picture may say it has, `seconds` to receive it and as
    many to answer; `held` bytes of all bodies in memory at a time, `waiting` pictures that wait for a worker, and
    `explaining` requests for explanations at a time.
    """

    upload: int = 32 << 20
    files: int = 64
    pixels: int = 1 << 24
    seconds: float = 20.0
    held: int = 128 << 20
    waiting: int = 256
    explaining: int = 4


class RequestError(Exception):
    """A request that is not answered: its status, what is wrong, what was expected, and what to do."""

    def __init__(
        self, status: int, error: str, expected: str = "", do: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status, self.error, self.expected, self.do, self.headers = status, error, expected, do, headers

    def to_dict(self) -> dict[str, Any]:
        """Give the body of the answer."""
        return {"error": self.error, "expected": self.expected, "do": self.do}

    def response(self) -> JSONResponse:
        """Give the answer."""
        return JSONResponse(self.to_dict(), self.status, self.headers)


def busy(what: str) -> RequestError:
    """503: come back in a second."""
    return RequestError(503, f"The server is busy: {what}.", "Fewer requests at a time.", "Try again in a second.",
                        {"Retry-After": "1"})  # fmt: skip


class Budget:
    """Bytes of request bodies in memory; all of it on the event loop, so that nothing needs a lock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    def take(self, n_bytes: int) -> None:
        """Reserve bytes. RequestError (503) if there are none left."""
        if self.used + n_bytes > self._limit:
            raise busy("too many uploads are being received")
        self.used += n_bytes

    def give(self, n_bytes: int) -> None:
        """Give bytes back."""
        self.used -= n_bytes
