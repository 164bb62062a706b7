"""The pictures of a request, from its body, in memory and nowhere else."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from email.message import Message
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request

from penlight.api.predicting import Picture
from penlight.serve.limits import Budget, Limits, RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RAW = "picture"
"""The name of a picture that was sent as the body itself, without one."""

_EXPECTED = (
    "multipart/form-data with one or more files in the field 'file', or one picture as the body itself, with the "
    "content type image/png, image/jpeg, image/tiff, application/dicom or application/octet-stream."
)
_BODIES = ("image/", "application/dicom", "application/octet-stream")
_LONGEST_NAME = 255
_HEADER_BYTES = 8192


@asynccontextmanager
async def uploads(request: Request, limits: Limits, budget: Budget) -> "AsyncIterator[list[Picture]]":
    """Receive a body and give its pictures; its bytes count against the budget until the block ends.

    RequestError: 408 for a body that is too slow, 411 and 413 for one without length or too large, 415 for another
    content type, 400 for one that is malformed, 503 when the budget is spent.
    """
    n_bytes = _length(request, limits)
    kind = request.headers.get("content-type", "")
    if not kind.startswith(("multipart/form-data", *_BODIES)):
        raise RequestError(415, f"The content type '{kind[:100]}' came.", _EXPECTED, "Set the content type.")
    budget.take(n_bytes)
    try:
        body = await _receive(request, n_bytes, limits)
        if kind.startswith("multipart/form-data"):
            yield _of_form(body, kind, limits)
        else:
            yield [Picture(RAW, _some(body))]
    finally:
        budget.give(n_bytes)


def _length(request: Request, limits: Limits) -> int:
    told = request.headers.get("content-length", "")
    if not told.isdecimal():
        raise RequestError(411, "The body came without its length.", "A Content-Length header.", "Send it.")
    if int(told) > limits.upload:
        raise too_large(int(told), limits)
    return int(told)


def too_large(n_bytes: int, limits: Limits) -> RequestError:
    """413 for the bytes of a body."""
    return RequestError(413, f"{n_bytes:,} bytes came.", f"At most {limits.upload:,} bytes in one request.",
                        "Send fewer or smaller pictures.")  # fmt: skip


async def _receive(request: Request, n_bytes: int, limits: Limits) -> bytes:
    parts: list[bytes] = []
    received = 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                received += len(part)
                if received > n_bytes:
                    raise too_large(received, limits)
                parts.append(part)
    except TimeoutError as error:
        raise RequestError(408, f"The body did not come within {limits.seconds:g} s.", "A faster upload.",
                           "Send fewer or smaller pictures.") from error  # fmt: skip
    except ClientDisconnect as error:
        raise RequestError(400, "The connection ended before the body did.") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _some(body: bytes) -> bytes:
    if not body:
        raise RequestError(400, "The body is empty.", _EXPECTED, "Send a picture.")
    return body


def _of_form(body: bytes, kind: str, limits: Limits) -> list[Picture]:
    from python_multipart.exceptions import MultipartParseError
    from python_multipart.multipart import MultipartParser, parse_options_header

    _, options = parse_options_header(kind)
    boundary = options.get(b"boundary", b"")
    collected = _Collected(limits)
    try:
        parser = MultipartParser(boundary, collected.callbacks(), max_size=limits.upload)
        parser.write(body)
        parser.finalize()
    except (MultipartParseError, ValueError) as error:
        raise RequestError(
            400, f"The form is malformed: {error}.", _EXPECTED, "Send it as HTTP clients do."
        ) from error
    if not collected.pictures or not collected.ended:
        what = "The form is cut off." if collected.pictures else "The form has no file."
        raise RequestError(400, what, _EXPECTED, "Send a file in the field 'file'.")
    return collected.pictures


class _Collected:
    """What the parser of forms calls back with, put together: the files; other fields are passed over."""

    def __init__(self, limits: Limits) -> None:
        self.pictures: list[Picture] = []
        self.ended = False
        self._limits = limits
        self._begin()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part_end,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_end": self._on_end,
        }

    def _begin(self) -> None:
        self._name: str | None = None
        self._field, self._value, self._header_bytes = b"", b"", 0
        self._data: list[bytes] = []

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]
        self._grow(end - start)

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._grow(end - start)

    def _grow(self, n_bytes: int) -> None:
        self._header_bytes += n_bytes
        if self._header_bytes > _HEADER_BYTES:
            raise RequestError(400, "A part of the form has very long headers.", _EXPECTED, "Shorten them.")

    def _on_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._name = _filename(self._value)
        self._field, self._value = b"", b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._name is not None:
            self._data.append(data[start:end])

    def _on_part_end(self) -> None:
        if self._name is None:
            return
        if len(self.pictures) == self._limits.files:
            most = self._limits.files
            raise RequestError(413, f"More than {most} files came.", f"At most {most} files.", "Send them in parts.")
        self.pictures.append(Picture(self._name, b"".join(self._data)))

    def _on_end(self) -> None:
        self.ended = True


def _filename(value: bytes) -> str | None:
    """Read the name of a file from a Content-Disposition header, for the answer only; None for a plain field."""
    message = Message()
    message["content-disposition"] = value.decode("utf-8", "replace").replace("\r", " ").replace("\n", " ")
    name = message.get_filename()
    return None if name is None else (name or RAW)[:_LONGEST_NAME]


def only(pictures: Sequence[Picture]) -> Picture:
    """Give the one picture of a request. RequestError (413) for more."""
    if len(pictures) != 1:
        raise RequestError(413, f"{len(pictures)} files came.", "One file.", "Ask for one explanation at a time.")
    return pictures[0]
