"""The pictures of a request, from its body, in memory and nowhere else.

Forms are taken apart by the parser under Starlette's, with callbacks of our own: Starlette makes a temporary file and
an upload of each part, which costs as much again as all the rest of receiving a small picture.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from penlight.runs.sources import InputPicture
from penlight.serve.connections import peer_of
from penlight.serve.limits import Budget, RequestError, RequestLimits

RAW = "picture"
"""The name of a picture that was sent as the body itself, without one."""

_EXPECTED = (
    "multipart/form-data with one or more files in the field 'file', or one picture as the body itself, with the "
    "content type image/png, image/jpeg, image/tiff, application/dicom or application/octet-stream."
)
_BODIES = ("image/", "application/dicom", "application/octet-stream")
_FORM = "multipart/form-data"
_LONGEST_NAME = 255
_HEADER_BYTES = 8192
_SLICE = 64 << 10
_SPARE_DELIMITERS = 64


@asynccontextmanager
async def uploads(request: Request, limits: RequestLimits, budget: Budget) -> AsyncIterator[list[InputPicture]]:
    """Receive a body and give its pictures; its bytes count against the budget, as they come, until the block ends.

    RequestError: 408 for a body that is too slow, 411 and 413 for one without length or too large, 415 for another
    content type, 400 for one that is malformed, 503 when the budget is spent.
    """
    n_bytes = _length(request, limits)
    kind = request.headers.get("content-type", "").lower()
    if not kind.startswith((_FORM, *_BODIES)):
        raise RequestError(415, f"The content type '{kind[:100]}' came.", _EXPECTED, "Set the content type.")
    body = _Body(request, n_bytes, limits, budget)
    try:
        yield await (_of_form(request, body, limits) if kind.startswith(_FORM) else _of_body(body))
    finally:
        body.release()


def _length(request: Request, limits: RequestLimits) -> int:
    told = request.headers.get("content-length", "")
    # The length of the text first: Python reads no number of more than 4,300 digits.
    if not (told.isascii() and told.isdecimal()):
        raise RequestError(411, "The body came without its length.", "A Content-Length header.", "Send it.")
    if len(told) > 15 or int(told) > limits.upload:
        raise too_large(limits)
    return int(told)


def too_large(limits: RequestLimits) -> RequestError:
    """413 for the bytes of a body."""
    return RequestError(413, "The body is too large.", f"At most {limits.upload:,} bytes in one request.",
                        "Send fewer or smaller pictures.")  # fmt: skip


class _Body:
    """The bytes of a body as they come, with deadlines and a count."""

    def __init__(self, request: Request, n_bytes: int, limits: RequestLimits, budget: Budget) -> None:
        self._request, self._n_bytes, self._limits, self._budget = request, n_bytes, limits, budget
        self._peer = peer_of(request.client.host if request.client else "")
        self._received = 0

    async def receive(self, take: Callable[[bytes], object]) -> None:
        """Hand the body to `take` as it comes, in slices small enough that taking one holds up nobody."""
        limits, now, more = self._limits, asyncio.get_running_loop().time, True
        deadline = now() + limits.seconds
        while more:
            try:
                async with asyncio.timeout_at(min(deadline, now() + limits.stall_seconds)):
                    message = await self._request.receive()
            except TimeoutError as error:
                raise _too_slow(limits) from error
            if message["type"] == "http.disconnect":
                raise RequestError(400, "The connection ended before the body did.")
            part, more = message.get("body", b""), message.get("more_body", False)
            self._count(len(part))
            take(part[:_SLICE])
            for start in range(_SLICE, len(part), _SLICE):
                await asyncio.sleep(0)
                take(part[start : start + _SLICE])

    def _count(self, n_bytes: int) -> None:
        if self._received + n_bytes > self._n_bytes:
            raise too_large(self._limits)
        self._budget.take(n_bytes, self._peer)
        self._received += n_bytes

    def release(self) -> None:
        """Give the budget what the body took of it."""
        self._budget.give(self._received, self._peer)


def _too_slow(limits: RequestLimits) -> RequestError:
    what = f"The body did not come within {limits.seconds:g} s, or nothing of it for {limits.stall_seconds:g} s."
    return RequestError(408, what, "A faster upload.", "Send fewer or smaller pictures.")


async def _of_body(body: _Body) -> list[InputPicture]:
    parts: list[bytes] = []
    await body.receive(parts.append)
    content = b"".join(parts)
    if not content:
        raise RequestError(400, "The body is empty.", _EXPECTED, "Send a picture.")
    return [InputPicture(RAW, content)]


async def _of_form(request: Request, body: _Body, limits: RequestLimits) -> list[InputPicture]:
    form = _Form(limits)
    try:
        form.begin(request.headers["content-type"])
        await body.receive(form.write)
    except (FormParserError, ValueError) as error:
        raise _bad_form(f"The form is malformed: {str(error)[:200]}.") from error
    if not form.pictures or not form.ended:
        raise _bad_form("The form is cut off." if form.pictures else "The form has no file.")
    return form.pictures


def _bad_form(what: str) -> RequestError:
    return RequestError(400, what, _EXPECTED, "Send it as HTTP clients do, with a file in the field 'file'.")


class _Form:
    """The files of a form; other fields are passed over."""

    def __init__(self, limits: RequestLimits) -> None:
        self.pictures: list[InputPicture] = []
        self.ended = False
        self._limits = limits
        self._parts = 0
        self._delimiters_left = limits.files + limits.fields + _SPARE_DELIMITERS

    def begin(self, content_type: str) -> None:
        """Read the boundary. FormParserError or ValueError for one that is none."""
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary:
            raise ValueError("it has no boundary")
        self._delimiter = b"\r\n--" + boundary
        self._parser = MultipartParser(boundary, self._callbacks(), max_size=self._limits.upload)

    def write(self, data: bytes) -> None:
        """Take a slice of the body."""
        # What looks like a boundary and is none costs the parser a step in Python each time.
        self._delimiters_left -= data.count(self._delimiter)
        if self._delimiters_left < 0:
            raise ValueError("it has too many boundaries")
        self._parser.write(data)

    def _callbacks(self) -> Any:
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
        self._parts += 1
        if self._parts > self._limits.files + self._limits.fields:
            raise ValueError("it has too many parts")
        self._name: str | None = None
        self._field, self._value, self._header_bytes = b"", b"", 0
        self._data: list[bytes] = []

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._grow(end - start)
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._grow(end - start)
        self._value += data[start:end]

    def _grow(self, n_bytes: int) -> None:
        self._header_bytes += n_bytes
        if self._header_bytes > _HEADER_BYTES:
            raise ValueError("a part has very long headers")

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
        self.pictures.append(InputPicture(self._name, b"".join(self._data)))

    def _on_end(self) -> None:
        self.ended = True


def _filename(disposition: bytes) -> str | None:
    """Read the name of a file from a Content-Disposition header, for the answer only; None for a plain field."""
    name = parse_options_header(disposition)[1].get(b"filename")
    return None if name is None else (name.decode("utf-8", "replace") or RAW)[:_LONGEST_NAME]


def only(pictures: Sequence[InputPicture]) -> InputPicture:
    """Give the one picture of a request. RequestError (413) for more."""
    if len(pictures) != 1:
        raise RequestError(413, f"{len(pictures)} files came.", "One file.", "Ask for one explanation at a time.")
    return pictures[0]
