"""The pictures of a request, from its body, in memory and nowhere else."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from penlight.api.predicting import Picture
from penlight.serve.connections import peer_of
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
_FORM = "multipart/form-data"
_LONGEST_NAME = 255
_LONGEST_FIELD = 64 << 10
_SLICE = 64 << 10
_SPARE_DELIMITERS = 64


@asynccontextmanager
async def uploads(request: Request, limits: Limits, budget: Budget) -> "AsyncIterator[list[Picture]]":
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


def _length(request: Request, limits: Limits) -> int:
    told = request.headers.get("content-length", "")
    # The length of the text first: Python reads no number of more than 4,300 digits.
    if not (told.isascii() and told.isdecimal()):
        raise RequestError(411, "The body came without its length.", "A Content-Length header.", "Send it.")
    if len(told) > 15 or int(told) > limits.upload:
        raise too_large(limits)
    return int(told)


def too_large(limits: Limits) -> RequestError:
    """413 for the bytes of a body."""
    return RequestError(413, "The body is too large.", f"At most {limits.upload:,} bytes in one request.",
                        "Send fewer or smaller pictures.")  # fmt: skip


class _Body:
    """The bytes of a body as they come, with deadlines and a count."""

    def __init__(self, request: Request, n_bytes: int, limits: Limits, budget: Budget) -> None:
        self._request, self._n_bytes, self._limits, self._budget = request, n_bytes, limits, budget
        self._peer = peer_of(request.client.host if request.client else "")
        self._received = 0

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Give the parts of the body, small enough that parsing one holds up nobody."""
        limits, loop = self._limits, asyncio.get_running_loop()
        deadline = loop.time() + limits.seconds
        stream = self._request.stream()
        try:
            while True:
                async with asyncio.timeout_at(min(deadline, loop.time() + limits.stall_seconds)):
                    part = await anext(stream, None)
                if part is None:
                    return
                self._count(len(part))
                for start in range(0, len(part), _SLICE):
                    if start:
                        await asyncio.sleep(0)
                    yield part[start : start + _SLICE]
        except TimeoutError as error:
            raise RequestError(408, f"The body did not come within {limits.seconds:g} s, or nothing of it for "
                               f"{limits.stall_seconds:g} s.", "A faster upload.",
                               "Send fewer or smaller pictures.") from error  # fmt: skip
        except ClientDisconnect as error:
            raise RequestError(400, "The connection ended before the body did.") from error

    def _count(self, n_bytes: int) -> None:
        if self._received + n_bytes > self._n_bytes:
            raise too_large(self._limits)
        self._budget.take(n_bytes, self._peer)
        self._received += n_bytes

    def release(self) -> None:
        """Give the budget what the body took of it."""
        self._budget.give(self._received, self._peer)


async def _of_body(body: _Body) -> list[Picture]:
    content = b"".join([part async for part in body.parts()])
    if not content:
        raise RequestError(400, "The body is empty.", _EXPECTED, "Send a picture.")
    return [Picture(RAW, content)]


class _FormParser(MultiPartParser):
    """Starlette's parser of forms, which keeps in memory what it would else write to disk; the body's own limit holds
    for all files together. A form that is cut off is an error here."""

    spool_max_size = 1 << 62

    def __init__(self, request: Request, body: _Body, limits: Limits) -> None:
        super().__init__(
            request.headers,
            self._to_the_end(body),
            max_files=limits.files,
            max_fields=limits.fields,
            max_part_size=_LONGEST_FIELD,
        )
        self._ended = False
        boundary = parse_options_header(request.headers["content-type"])[1].get(b"boundary", b"")
        self._delimiter = b"\r\n--" + boundary
        self._delimiters_left = limits.files + limits.fields + _SPARE_DELIMITERS

    def on_end(self) -> None:
        """Note the last boundary."""
        self._ended = True

    async def _to_the_end(self, body: _Body) -> AsyncGenerator[bytes, None]:
        async for part in body.parts():
            # What looks like a boundary and is none costs the parser a step in Python each time.
            self._delimiters_left -= part.count(self._delimiter)
            if self._delimiters_left < 0:
                raise MultiPartException("it has too many boundaries")
            yield part
        if not self._ended:
            raise MultiPartException("it is cut off")


async def _of_form(request: Request, body: _Body, limits: Limits) -> list[Picture]:
    try:
        form = await _FormParser(request, body, limits).parse()
    except (MultiPartException, ValueError) as error:
        raise _bad_form(error, limits) from error
    pictures = [_picture(file) for _, file in form.multi_items() if isinstance(file, UploadFile)]
    if not pictures:
        raise RequestError(400, "The form has no file.", _EXPECTED, "Send a file in the field 'file'.")
    return pictures


def _picture(file: UploadFile) -> Picture:
    with file.file as content:
        return Picture((file.filename or RAW)[:_LONGEST_NAME], content.read())


def _bad_form(error: Exception, limits: Limits) -> RequestError:
    message = error.message if isinstance(error, MultiPartException) else str(error)
    if message.startswith("Too many files"):
        most = limits.files
        return RequestError(413, f"More than {most} files came.", f"At most {most} files.", "Send them in parts.")
    return RequestError(400, f"The form is malformed: {message[:200]}", _EXPECTED, "Send it as HTTP clients do.")


def only(pictures: Sequence[Picture]) -> Picture:
    """Give the one picture of a request. RequestError (413) for more."""
    if len(pictures) != 1:
        raise RequestError(413, f"{len(pictures)} files came.", "One file.", "Ask for one explanation at a time.")
    return pictures[0]
