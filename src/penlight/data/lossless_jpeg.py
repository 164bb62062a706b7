"""Lossless JPEG (ITU T.81, annex H), as most archives of hospitals compress, decoded by NumPy.

The decoders in C for it crash for one mutated file in twenty (GDCM), or have a licence that would be everyone's
(libjpeg). Here a damaged file is an error. All is arrays, apart from one loop that goes from code to code.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

Integers = NDArray[np.int32]

DECODER_DEPENDENCIES: dict[str, tuple[str, ...]] = {}
"""What pydicom asks of a plugin: packages that it lacks."""

_SOF, _DHT, _SOS, _EOI, _DRI = 0xC3, 0xC4, 0xDA, 0xD9, 0xDD
_RESTARTS = range(0xD0, 0xD8)
_LONGEST = 16
_INVALID = 255
_BYTES_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class _Codes:
    """A Huffman table, by the 16 bits that begin with a code: the category of a difference, and the steps from the
    start of a code over it and the further bits of the difference; _INVALID where there is no code."""

    categories: NDArray[np.uint8]
    steps: NDArray[np.uint8]


def is_available(_: str) -> bool:
    """Say, as pydicom asks each plugin, whether frames of a transfer syntax can be decoded."""
    return True


def decode_frame(frame: bytes, runner: "DecodeRunner") -> bytes:
    """Decode a frame as a plugin of pydicom does."""
    values = decode(frame)
    runner.set_option("bits_allocated", values.itemsize * 8)
    runner.set_option("planar_configuration", 0)
    return values.tobytes()


def decode(frame: bytes) -> NDArray[Any]:
    """Decode a lossless JPEG into uint8 or uint16 (H, W, C). ValueError, KeyError or IndexError for one that is
    damaged, and for other kinds of JPEG."""
    codes: dict[int, _Codes] = {}
    found: Integers | None = None
    precision, interval, components, scanned, at = 0, 0, b"", b"", 2 if frame.startswith(b"\xff\xd8") else len(frame)
    while at + 4 <= len(frame) and frame[at + 1] != _EOI:
        if frame[at] != 0xFF:
            raise ValueError(f"a marker was expected at byte {at:,}")
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4])
        segment, at = frame[at + 4 : at + 2 + length], at + 2 + length
        if marker == _DHT:
            codes |= _read_codes(segment)
        elif marker == _DRI:
            interval = int.from_bytes(segment[:2])
        elif marker == _SOF and len(segment) >= 9 and found is None:
            precision, height, width = segment[0], int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
            components = segment[6::3]
            if not 2 <= precision <= 16 or any(sampling != 0x11 for sampling in segment[7::3]):
                raise ValueError("its samples have more than 16 bits, or colours have fewer samples than others")
            found = np.zeros((height, width, len(components)), np.int32)
        elif marker == _SOS and found is not None:
            at = _read_scan(frame, at, segment, found, components, codes, precision, interval)
            scanned += segment[1 : 1 + 2 * segment[0] : 2]
        elif 0xC0 <= marker <= 0xCF:
            raise ValueError("it is no lossless JPEG of one frame")
    if found is None or set(components) - set(scanned):
        raise ValueError("it is cut off before its values")
    return found.astype(np.uint8 if precision <= 8 else np.uint16)


def _read_codes(segment: bytes) -> dict[int, _Codes]:
    """Read the Huffman tables of a segment (B.2.4.2, annex C)."""
    codes = {}
    while len(segment) > _LONGEST:
        counts = segment[1 : 1 + _LONGEST]
        symbols = segment[1 + _LONGEST : 1 + _LONGEST + sum(counts)]
        lengths = np.repeat(np.arange(1, _LONGEST + 1), np.frombuffer(counts, np.uint8))
        # A code of n bits begins 2**(16 - n) of all values of 16 bits, and codes follow one another.
        spans = 1 << (_LONGEST - lengths)
        if len(symbols) < len(lengths) or spans.sum() > 1 << _LONGEST or any(symbol > 16 for symbol in symbols):
            raise ValueError("a Huffman table of it is damaged")
        unused = (1 << _LONGEST) - int(spans.sum())
        categories = np.frombuffer(symbols, np.uint8)
        # The category 16 is one difference, 32,768, and has no further bits (H.1.2.2).
        steps = lengths + categories % 16
        codes[segment[0]] = _Codes(
            *(
                np.repeat([*each, rest], [*spans, unused]).astype(np.uint8)
                for each, rest in ((categories, 0), (steps, _INVALID))
            )
        )
        segment = segment[1 + _LONGEST + sum(counts) :]
    return codes


def _read_scan(
    frame: bytes,
    at: int,
    segment: bytes,
    found: Integers,
    components: bytes,
    codes: Mapping[int, _Codes],
    precision: int,
    interval: int,
) -> int:
    """Decode the scan whose data begin at a byte into its components of `found`; give the byte where it ends."""
    n = segment[0]
    chosen = [components.index(segment[1 + 2 * i]) for i in range(n)]
    tables = [codes[segment[2 + 2 * i] >> 4] for i in range(n)]
    if all(table is tables[0] for table in tables):
        tables = tables[:1]
    predictor, shift = segment[1 + 2 * n], segment[3 + 2 * n] & 15
    height, width = found.shape[:2]
    # An interval is one of whole lines (H.1.1), each of which begins anew.
    rows = height if not interval else interval // width
    if not 1 <= predictor <= 7 or not rows or shift >= precision:
        raise ValueError("a scan of it is none of lossless JPEG")
    for top in range(0, height, rows):
        end = _end_of_interval(frame, at)
        part = found[top : top + rows]
        differences = _differences(frame[at:end].replace(b"\xff\x00", b"\xff"), tables, len(part) * width * n)
        first = 1 << (precision - shift - 1)
        for i, component in enumerate(chosen):
            lines = differences[i::n].reshape(len(part), width)
            part[..., component] = _samples(lines, predictor, first) << shift
        at = end + 2 if frame[end + 1 : end + 2] and frame[end + 1] in _RESTARTS else end
    return at


def _end_of_interval(frame: bytes, at: int) -> int:
    """Find the next marker; 0xFF of the data is followed by 0."""
    while (at := frame.find(b"\xff", at)) >= 0:
        if frame[at + 1 : at + 2] != b"\x00":
            return at
        at += 2
    return len(frame)


def _differences(data: bytes, tables: Sequence[_Codes], n: int) -> Integers:
    """Decode `n` differences, whose codes take turns among the tables."""
    content, found = np.frombuffer(data + bytes(8), np.uint8), np.empty(n, np.int32)
    done = at = 0
    for first in range(0, len(data), _BYTES_AT_ONCE):
        part = content[first : first + _BYTES_AT_ONCE + 8]
        n_bits = 8 * min(_BYTES_AT_ONCE, len(data) - first)
        starts, at = _starts(part, n_bits, at, [tables[(done + i) % len(tables)] for i in range(len(tables))])
        chosen = np.array(starts[: n - done], np.int64)
        for i in range(len(tables)):
            found[done + i : done + len(chosen) : len(tables)] = _values_at(
                part, chosen[i :: len(tables)], tables[(done + i) % len(tables)]
            )
        done += len(chosen)
        if done == n:
            return found
    raise ValueError(f"it is cut off: {done:,} values of {n:,} are there")


def _starts(part: NDArray[np.uint8], n_bits: int, at: int, tables: Sequence[_Codes]) -> tuple[list[int], int]:
    """Go from code to code: the bits of this part at which codes start, and the bit of the next part for the next."""
    wide = part[: n_bits // 8 + 2].astype(np.uint32)
    words = wide[:-2] << 16 | wide[1:-1] << 8 | wide[2:]
    codes = ((words[:, np.newaxis] >> np.arange(8, 0, -1, dtype=np.uint32)) & 0xFFFF).ravel()
    # The fastest that Python has to index are bytes, whose numbers exist.
    steps = [table.steps[codes].tobytes() for table in tables]
    starts = []
    while at < n_bits:
        for own in steps:
            starts.append(at)
            at += own[at]
            if at >= n_bits:
                break
    return starts, at - n_bits


def _values_at(part: NDArray[np.uint8], starts: NDArray[np.int64], table: _Codes) -> Integers:
    """Read the differences whose codes start at these bits (H.1.2.2)."""
    byte, bit = starts >> 3, starts & 7
    words = np.zeros(len(starts), np.int64)
    for i in range(5):
        words = words << 8 | part[byte + i]
    codes = (words >> (24 - bit)) & 0xFFFF
    categories, steps = table.categories[codes].astype(np.int64), table.steps[codes].astype(np.int64)
    if (steps == _INVALID).any():
        raise ValueError("it has a code that is in no table")
    further = (words >> (40 - bit - steps)) & ((1 << categories % 16) - 1)
    lowest = 1 << categories >> 1
    found = np.where(further < lowest, further - 2 * lowest + 1, further)
    return np.where(categories == 16, 32_768, found * (categories > 0)).astype(np.int32)


def _samples(differences: Integers, predictor: int, first: int) -> Integers:
    """Add predictions to differences (H, W), modulo 65,536: those of lines after the first are made of the samples to
    the left, above, and above that to the left (table H.1)."""
    found = differences.copy()
    found[0, 0] += first
    if predictor == 1:
        found[:, 0] = np.cumsum(found[:, 0], dtype=np.int32)
        return np.cumsum(found, axis=1, dtype=np.int32, out=found) & 0xFFFF
    found[0] = np.cumsum(found[0]) & 0xFFFF
    for above, own in itertools.pairwise(found):
        own[0] += above[0]
        if predictor == 2:
            own[1:] += above[1:]
        elif predictor == 3:
            own[1:] += above[:-1]
        elif predictor in (4, 5):
            own[1:] += (above[1:] - above[:-1]) >> (predictor - 4)
            np.cumsum(own, out=own)
        else:
            _add_to_line(own, above, predictor)
        own &= 0xFFFF
    return found


def _add_to_line(own: Integers, above: Integers, predictor: int) -> None:
    """Add the predictions 6 and 7, whose halves make each sample depend on the exact one before it."""
    samples = [int(own[0]) & 0xFFFF]
    higher = above.tolist()
    for i, difference in enumerate(own[1:].tolist(), 1):
        before = samples[-1]
        predicted = higher[i] + ((before - higher[i - 1]) >> 1) if predictor == 6 else (before + higher[i]) >> 1
        samples.append((predicted + difference) & 0xFFFF)
    own[:] = samples
