"""Run folders as a stranger may have made them: any file changed, and the manifest made to fit."""

import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from penlight.runs.files import fingerprint, sealed

NESTED = b"[" * 100_000
WHOLE = {
    "number": b"5",
    "list": b"[]",
    "null": b"null",
    "empty": b"",
    "empty object": b"{}",
    "nested": NESTED,
    "nested in a key": b'{"metrics": ' + NESTED,
    "huge number": b"9" * 5_000,
    "NaN": b"NaN",
    "no UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"seed": 1}'.encode("utf-16"),
    "zeros": bytes(1_000),
    "surrogate": rb'{"seed": "\ud800"}',
}
"""Contents that are no JSON object, or none that can be used."""

VALUES: list[Any] = [
    None,
    True,
    -1,
    7,
    10**400,
    0.5,
    float("nan"),
    float("inf"),
    -1e308,
    "",
    "x",
    "\x1b]0;title\x07",
    "\ud800",
    "a" * 1_000_000,
    "../../../etc/passwd",
    [],
    [[]],
    [None],
    {},
    {"a": {}},
]


def reseal(folder: Path) -> None:
    """Make the manifest fit the files, as who made them can."""
    values = json.loads((folder / "manifest.json").read_text())
    known = values["files"]
    values["files"] = {
        name: fingerprint((folder / name).read_bytes()).to_dict() for name in known if (folder / name).is_file()
    }
    (folder / "manifest.json").write_text(json.dumps(sealed(values)))


def copy_of(folder: Path, to: Path) -> Path:
    """Copy a run, to be changed; what is there is replaced."""
    shutil.rmtree(to, ignore_errors=True)
    return shutil.copytree(folder, to)


def put(folder: Path, name: str, content: bytes) -> None:
    """Replace a file of a run, and its print in the manifest; the manifest itself is sealed where it can be."""
    if name != "manifest.json":
        (folder / name).write_bytes(content)
        reseal(folder)
        return
    with contextlib.suppress(ValueError, RecursionError, AttributeError, UnicodeError):
        content = json.dumps(sealed(json.loads(content))).encode()
    (folder / name).write_bytes(content)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the place of every value in JSON; of lists the first element alone."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, own in inner:
        yield from places(own, (*path, key))


def with_value(values: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Put another value at a place."""
    return _changed(values, path, lambda holder, key: holder.__setitem__(key, new))


def without(values: Any, path: tuple[Any, ...]) -> Any:
    """Leave a key or an element out."""
    return _changed(values, path, lambda holder, key: holder.__delitem__(key))


def _changed(values: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    copy = json.loads(json.dumps(values))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1])
    return copy


def mutations(content: bytes, rng: np.random.Generator, most: int) -> Iterator[tuple[str, bytes]]:
    """Give changed JSON: whole files of another kind, then files with one of `most` values changed or left out."""
    yield from WHOLE.items()
    yield "cut off", content[: len(content) // 2]
    yield "with a byte-order mark", b"\xef\xbb\xbf" + content
    yield "with keys twice", content.rstrip()[:-1] + b', "schema": 2, "seed": [], "files": 5}'
    values = json.loads(content)
    found = [path for path in places(values) if path]
    for number in rng.permutation(len(found))[:most]:
        path = found[number]
        name = ".".join(map(str, path))
        yield f"without {name}", json.dumps(without(values, path)).encode()
        for new in (VALUES[i] for i in rng.permutation(len(VALUES))[:4]):
            yield f"{name} = {str(new)[:20]!a}", json.dumps(with_value(values, path, new)).encode()
    yield "with other keys", json.dumps({**values, "__class__": "os.system", "x" * 10_000: 1}).encode()


def arrays_of(content: bytes) -> dict[str, np.ndarray]:
    """Unpack an npz."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def npz(arrays: dict[str, Any], *, packed: bool = False) -> bytes:
    """Pack an npz."""
    buffer = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def npz_mutations(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Give changed npz files: no zips, cut ones, other types, other shapes, other values of each array."""
    yield "no zip", b"no zip"
    yield "empty", b""
    yield "cut off", content[: len(content) // 2]
    yield "no arrays", npz({})
    yield "many arrays", npz({f"a{i}": np.zeros(1) for i in range(1_100)})
    arrays = arrays_of(content)
    about = json.loads(str(arrays["about"]))
    for path in places(about):
        if path:
            yield f"about without {path}", npz({**arrays, "about": np.array(json.dumps(without(about, path)))})
            for new in (None, -1, "x", [], {}, float("nan"), 10**30):
                changed = json.dumps(with_value(about, path, new))
                yield f"about: {path} = {new}", npz({**arrays, "about": np.array(changed)})
    yield "about nested", npz({**arrays, "about": np.array("[" * 10_000)})
    yield "about as a number", npz({**arrays, "about": np.array(5)})
    for name, own in arrays.items():
        yield f"without {name}", npz({key: value for key, value in arrays.items() if key != name})
        for what, new in {
            "text": np.full(own.shape, "x"),
            "complex": np.zeros(own.shape, complex),
            "flat": np.zeros(own.size) if name != "about" else np.array(["{}"]),
            "empty": own.ravel()[:0],
            "longer": np.concatenate([own, own]) if own.ndim else own,
            "no axes": np.array(1.0),
        }.items():
            yield f"{name}: {what}", npz({**arrays, name: new})
        if own.dtype.kind in "fiu" and own.size:
            for bad in (7, 2**31, -1, np.nan, np.inf):
                changed = own.astype(np.float64)
                changed.flat[0] = bad
                kind = own.dtype if np.isfinite(bad) else np.float64
                yield f"{name}: {bad}", npz({**arrays, name: changed.astype(np.int64).astype(kind)
                                                            if own.dtype.kind in "iu" and np.isfinite(bad)
                                                            else changed.astype(kind)})  # fmt: skip


@cache
def bomb(shape: tuple[int, ...]) -> bytes:
    """Pack zeros of a size that nobody has memory for, row by row."""
    buffer = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("prob.npy", "w", force_zip64=True) as stream,
    ):
        stream.write(header.getvalue())
        left, block = int(np.prod(shape)) * 8, bytes(1 << 22)
        while left:
            stream.write(block[: min(left, len(block))])
            left -= min(left, len(block))
    return buffer.getvalue()
