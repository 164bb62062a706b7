"""Pictures decoded in worker processes: a file that was made to harm a decoder costs seconds and is named.

`handle` is what a worker runs; the other functions ask workers and read their answers.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from penlight.answers import ErrorOfWorker
from penlight.data import pictures
from penlight.data.pictures import DecodeOptions, Frame, PictureHeader, Pixels
from penlight.errors import DataError, PictureError, RunError
from penlight.workers import Item, Lost, WorkerPool, begin, shared_pool

HANDLER = "penlight.data.decoding:handle"
"""What workers run."""

_CHUNK = 64
_BYTES_AHEAD = 4 << 20
"""Bytes of pictures that are held for each worker, while they are asked about."""
_SMALL_CHUNK = 16
"""Of files whose pixels are read, so that what is known early ends it."""
_T = TypeVar("_T")
Source = Path | bytes | PictureError
"""A picture's file or bytes, or why it has none."""


def handle(common: Mapping[str, Any], items: Sequence[Item]) -> list[Item]:
    """Answer a message in a worker: load pictures as a `reading` says, look at their headers, or give their largest
    value; each is a file by its path, or the bytes of one."""
    answers: list[Item] = []
    for number, (values, content) in enumerate(items):
        begin(number)
        source = Path(values["path"]) if "path" in values else content
        try:
            answers.append(_DO[common["do"]](common, source))
        except PictureError as error:
            answers.append(({"error": ErrorOfWorker.of(error).to_dict()}, b""))
    return answers


_DO: Mapping[str, Callable[[Mapping[str, Any], Any], Item]] = {
    "load": lambda common, source: _loaded(*pictures.load_with_header(source, DecodeOptions(**common["reading"]))),
    "whole": lambda common, source: _whole(*pictures.load_whole(source, common["side"], common["frame"])),
    "look": lambda common, source: (asdict(pictures.read_header(source)), b""),
    "colour": lambda common, source: ({"colour": pictures.has_colour(source, common["bits"])}, b""),
    "largest": lambda common, source: ({"largest": pictures.largest_value(source)}, b""),
}


def _loaded(image: Pixels, header: PictureHeader) -> Item:
    return asdict(header), image.tobytes()


def _whole(pixels: Pixels, header: PictureHeader) -> Item:
    return {**asdict(header), "shape": pixels.shape}, pixels.tobytes()


def load_whole_files(
    sources: Sequence[Source], side: int, frame: Frame = ""
) -> list[tuple[Pixels, PictureHeader] | PictureError]:
    """Load up to 200 files, or their bytes, as `pictures.load_whole` does: each gives its pixels or its error."""

    def read(values: Mapping[str, Any], content: bytes) -> tuple[Pixels, PictureHeader]:
        shape = tuple(map(int, values["shape"]))
        if len(shape) not in (2, 3) or shape[2:] not in ((), (3,)) or not all(0 < n <= side for n in shape[:2]):
            raise ValueError("this is no picture of the size asked for")
        return np.frombuffer(content, np.uint8).reshape(shape), _header_of(values)

    common = {"do": "whole", "side": side, "frame": frame}
    return _ask(common, sources, (), read, largest=side * side * 3 * len(sources))


def load_files(
    sources: Sequence[Source], reading: DecodeOptions, names: Sequence[str] = ()
) -> list[Pixels | PictureError]:
    """Load up to 200 files, or their bytes, as `pictures.load_picture` does: each gives an image or its error, as one
    does that has an error already."""
    return [
        loaded if isinstance(loaded, PictureError) else loaded[0]
        for loaded in load_with_headers(sources, reading, names)
    ]


def load_with_headers(
    sources: Sequence[Source], reading: DecodeOptions, names: Sequence[str] = ()
) -> list[tuple[Pixels, PictureHeader] | PictureError]:
    """Load up to 200 files, or their bytes, as `pictures.load_with_header` does."""
    shape = (reading.size, reading.size, reading.channels)
    n_bytes = math.prod(shape)

    def read(values: Mapping[str, Any], content: bytes) -> tuple[Pixels, PictureHeader]:
        if len(content) != n_bytes:
            raise ValueError("this is no image of the size asked for")
        return np.frombuffer(content, np.uint8).reshape(shape), _header_of(values)

    common = {"do": "load", "reading": asdict(reading)}
    return _ask(common, sources, names, read, largest=n_bytes * len(sources))


def picture_headers(sources: Iterable[Source]) -> Iterator[PictureHeader | PictureError]:
    """Read the headers of any number of files, in their order, as `pictures.read_header` does: each gives its header
    or its error."""

    def read(values: Mapping[str, Any], content: bytes) -> PictureHeader:
        return _header_of(values)

    return in_chunks(lambda chunk: _ask({"do": "look"}, chunk, (), read), sources, _CHUNK)


def _header_of(values: Mapping[str, Any]) -> PictureHeader:
    width, height, bits = (int(values[name]) for name in ("width", "height", "bits"))
    return PictureHeader(width, height, bool(values["colour"]), bits, bool(values["animated"]))


def largest_values(sources: Iterable[Source]) -> Iterator[int | PictureError]:
    """Give the largest value of any number of 16-bit files, in their order, as `pictures.largest_value` does, or the
    error of each."""

    def read(values: Mapping[str, Any], content: bytes) -> int:
        return int(values["largest"])

    return in_chunks(lambda chunk: _ask({"do": "largest"}, chunk, (), read), sources, _SMALL_CHUNK)


def colours(sources: Iterable[Source], bits: int) -> Iterator[bool | PictureError]:
    """Say of any number of files, in their order, whether their pixels show colour, as `pictures.has_colour` does, or
    give the error of each."""

    def read(values: Mapping[str, Any], content: bytes) -> bool:
        return bool(values["colour"])

    return in_chunks(lambda chunk: _ask({"do": "colour", "bits": bits}, chunk, (), read), sources, _SMALL_CHUNK)


def in_chunks(ask: Callable[[Sequence[Any]], list[_T]], items: Iterable[Any], n: int) -> Iterator[_T]:
    """Ask workers about many items, some at a time, on all cores; answers come in their order. Items with bytes are
    not held in any number."""
    each, ahead = iter(items), 2 * workers().processes
    # One more than there are workers, so that none waits while an answer is used, as for writing it to disk.
    threads = ThreadPoolExecutor(workers().processes + 1)
    going: deque[tuple[Future[list[_T]], int]] = deque()
    held, most = 0, _BYTES_AHEAD * workers().processes
    try:
        while chunk := list(itertools.islice(each, n)):
            going.append((threads.submit(ask, chunk), _n_bytes(chunk)))
            held += going[-1][1]
            del chunk
            while len(going) > ahead or (held > most and len(going) > 1):
                held -= going[0][1]
                yield from going.popleft()[0].result()
        while going:
            yield from going.popleft()[0].result()
    finally:
        threads.shutdown(cancel_futures=True)


def _n_bytes(item: object) -> int:
    if isinstance(item, bytes):
        return len(item)
    return sum(map(_n_bytes, item)) if isinstance(item, tuple | list) else 0


def workers() -> WorkerPool:
    """Give the workers that decode for this process."""
    return shared_pool(HANDLER)


def _ask(
    common: Mapping[str, Any],
    sources: Sequence[Source],
    names: Sequence[str],
    read: Callable[[Mapping[str, Any], bytes], _T],
    largest: int = 0,
) -> list[_T | PictureError]:
    if len(sources) > 1 and _n_bytes(list(sources)) > _BYTES_AHEAD // 2:
        middle = len(sources) // 2
        first = _ask(common, sources[:middle], names[:middle], read, largest)
        return first + _ask(common, sources[middle:], names[middle:], read, largest)
    items: list[Item] = [
        ({"path": str(source.absolute())}, b"") if isinstance(source, Path) else ({}, source)
        for source in sources
        if not isinstance(source, PictureError)
    ]
    answers = iter(workers().call(common, items, largest=largest))
    every = names or [str(source) if isinstance(source, Path) else "The picture" for source in sources]
    return [
        source if isinstance(source, PictureError) else _read(next(answers), name, read)
        for source, name in zip(sources, every, strict=True)
    ]


def _read(answer: Item | Lost, name: str, read: Callable[[Mapping[str, Any], bytes], _T]) -> _T | PictureError:
    if isinstance(answer, Lost):
        return answer.as_picture(workers().bounds, name)
    values, content = answer
    try:
        if "error" not in values:
            return read(values, content)
        error = ErrorOfWorker.from_dict(values["error"]).named(name)
    except (KeyError, TypeError, ValueError, OverflowError, RunError) as cause:
        raise DataError(
            f"{name} was not read as a picture is: {cause}.", "Leave it out: it was made to harm."
        ) from cause
    if not isinstance(error, PictureError):
        raise error
    return error
