"""The features of images by an encoder: computed once for an image, and kept.

    features/<digest of encoder and settings>/hashes-<n>.npy     (n, 16) uint8, a hash of each image
                                             features-<n>.npy    (n, F) float32

under the cache folder. They belong to images, not to datasets: splits, folds, views and mirrored copies find what was
computed of the same pixels. Pixels go to the encoder by nodes of ONNX, which a run's model.onnx has too, so what is
trained is what is served.
"""

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.folders import private_cache_folder
from penlight.data.progress import count_progress
from penlight.data.reads import Readable, at_once, let_go, room_for
from penlight.errors import EncoderError, RunError
from penlight.models.encoder_maps import AveragedMaps, averaged_maps
from penlight.models.graph import Graph, Value
from penlight.runs.session import RemoteSession

if TYPE_CHECKING:
    from penlight.models.encoder_file import Encoder

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Hashes = NDArray[np.bytes_]
Shape = tuple[int, int, int]
Encoded = tuple[Value, Value | None]

FEATURES = "features"
_HASH = "S16"
_BATCH, _PIXELS = 16, 2**20
_KEPT_AT_ONCE = 2048
_MOST_BYTES = 8 << 30
_LUMINANCE = np.array([[0.299], [0.587], [0.114]])
"""Of ITU-R BT.601, as Pillow has it."""


def encoder_nodes(graph: Graph, encoder: "Encoder", side: int, maps: AveragedMaps | None = None) -> Encoded:
    """Add to a graph what turns its images (N, H, W, C), at `side` pixels a side, into features (N, F); give these
    and the `maps` that they are the average of, if they are named."""
    graph.properties |= encoder.named.to_property()
    x = _channels(graph, graph.pixels(), encoder.channels)
    x = _resized(graph, graph.channels_first(x), side)
    if encoder.order == "bgr" and encoder.channels == 3:
        x = graph.node("Gather", [x.name, graph.constant([2, 1, 0], np.int64)], x.shape, first=True, axis=1)
    if encoder.dtype == "uint8":
        x = graph.unary("Round", graph.minimum(graph.maximum(x, 0.0), 255.0))
    pixels = encoder.pixels
    mean, std = (np.asarray(each[: encoder.channels]) for each in (pixels.mean, pixels.std))
    if pixels.scale != 1 or mean.any() or (std != 1).any():
        x = (x * (pixels.scale / std)) - (mean / std)
    if encoder.layout == "NHWC":
        x = graph.channels_last(x)
    name = graph.node("Cast", [x.name], x.shape, to=2).name if encoder.dtype == "uint8" else x.name
    wanted: dict[str, tuple[int, ...]] = {} if maps is None else {maps.name: maps.shape}
    *inner, given = graph.embed(encoder.model, encoder.input, name, {**wanted, encoder.output: (encoder.width,)})
    features = _pooled(graph, given, encoder)
    return features, None if maps is None else replace((inner or [given])[0], shape=maps.shape, first=maps.first)


def _channels(graph: Graph, x: Value, wanted: int) -> Value:
    if x.shape[-1] == wanted:
        return x
    if wanted == 3:
        return graph.concatenate([x, x, x])
    shape = (*x.shape[:-1], 1)
    return graph.node("MatMul", [x.name, graph.constant(_LUMINANCE)], shape, dtype=np.float32)


def _resized(graph: Graph, x: Value, side: int) -> Value:
    height, width, channels = x.shape
    if (height, width) == (side, side):
        return x
    # Bicubic as Pillow's, over all pixels that a smaller one stands for.
    options: dict[str, Any] = {"mode": "cubic", "antialias": 1, "cubic_coeff_a": -0.5, "exclude_outside": 1}
    options["coordinate_transformation_mode"] = "half_pixel"
    sizes = graph.constant([side, side], np.int64)
    return graph.node("Resize", [x.name, "", "", sizes], (side, side, channels), first=True, axes=[2, 3], **options)


def _pooled(graph: Graph, x: Value, encoder: "Encoder") -> Value:
    if encoder.pooling == "first":
        return graph.node("Gather", [x.name, graph.constant(0, np.int64)], x.shape, axis=1)
    if encoder.pooling == "none":
        return x
    places = [1] if encoder.axes == 3 else [2, 3] if encoder.layout == "NCHW" else [1, 2]
    return graph.node("ReduceMean", [x.name, graph.constant(places, np.int64)], x.shape, keepdims=0)


class EncoderSession:
    """An encoder for images of one shape (H, W, C), on all cores. It may be a stranger's, and has a process of its
    own. EncoderError where it cannot be computed at its `side`."""

    def __init__(self, content: bytes, encoder: "Encoder", side: int) -> None:
        self._side = side
        refers = {encoder.sha256: encoder.path} if encoder.refers else {}
        with self._computing():
            self._session = RemoteSession(content, encoder.path.name, None, spinning=False, encoders=refers)

    def run(self, images: NDArray[np.uint8]) -> Floats:
        """Give (N, F) features of images (N, H, W, C)."""
        with self._computing():
            return np.asarray(self._session.run([FEATURES], images)[0], np.float32)

    def seconds(self) -> float:
        """Give the seconds of processor time that computing has taken, or of the clock where they are not known."""
        known = self._session.processor_time()
        return time.perf_counter() if known is None else known

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        try:
            yield
        except RunError as error:
            raise EncoderError(
                f"{error.problem} It was asked for features of images of {self._side} px.",
                "Give sizes that it takes: --set model.sizes=[N]",
            ) from error


@dataclass(frozen=True)
class EncoderFeatures:
    """Features by an encoder of images at several `sides`, beside one another; kept where they were computed."""

    encoder: "Encoder"
    sides: tuple[int, ...]

    def of(self, images: Readable) -> Floats:
        """Give (N, F) features of images (N, H, W, C) uint8, in a mapped file where they are many. EncoderError where
        one is no number."""
        width = self.encoder.width
        out = room_for((len(images), width * len(self.sides)), np.float32)
        for number, one in enumerate(self._of_sides):
            one.fill(out[:, number * width : (number + 1) * width], images)
        return out

    @cached_property
    def _of_sides(self) -> "list[_OneSide]":
        return [_OneSide(self.encoder, side) for side in self.sides]

    def nodes(self, graph: Graph) -> tuple[Value, list[Value]]:
        """Add what gives the features (N, F) of a graph's images; give them, and the maps (h, w, F) of each side that
        they are the average of, none where they are something else."""
        made = [encoder_nodes(graph, self.encoder, side, averaged_maps(self.encoder, side)) for side in self.sides]
        return graph.concatenate([features for features, _ in made]), [maps for _, maps in made if maps is not None]

    def sessions(self, shape: Shape) -> list[EncoderSession]:
        """Open the encoder for images of a shape (H, W, C), once for each side."""
        return [one.session(shape) for one in self._of_sides]


def encoder_features(encoder: "Encoder", sides: Sequence[int], side: int) -> EncoderFeatures:
    """Give the features of images of `side` pixels a side, at the `sides` that are given, or those that suit it: its
    own where that is fixed, else twice and four times the images' own, but no larger than what it was trained at.

    Whole multiples keep the pixels' edges where the encoder's grid is. On RetinaMNIST's train and val (28 px, five
    folds, three repeats) EfficientNet-Lite0 has a mean AUC of 0.767 at 56 px, 0.761 at 84, 0.770 at 112, 0.759 at
    140, 0.753 at 224, and 0.778 at 56 and 112 together.
    """
    if not encoder.free:
        return EncoderFeatures(encoder, (encoder.side,))
    usual = {min(times * side, encoder.side) for times in (2, 4)}
    return EncoderFeatures(encoder, tuple(sides) or tuple(sorted(usual)))


class _OneSide:
    """An encoder at one size; its session and what is kept of it are opened when they are first needed."""

    def __init__(self, encoder: "Encoder", side: int) -> None:
        self.encoder, self.side = encoder, side
        self._stores: dict[Shape, _Store] = {}
        self._sessions: dict[Shape, EncoderSession] = {}

    def fill(self, out: Floats, images: Readable) -> None:
        """Write the features of images (N, H, W, C) into `out` (N, F): kept ones, or computed now and kept."""
        _, height, width, channels = images.shape
        shape = height, width, channels
        store = self._stores.setdefault(shape, _Store(self._key(shape), self.encoder.width))
        store.refresh()
        step = at_once(images.shape, _KEPT_AT_ONCE, 2**26)
        with contextlib.ExitStack() as stack:
            bar = None
            for start in range(0, len(images), step):
                part, own = images[start : start + step], out[start : start + step]
                hashes = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in part]
                missing = store.read(np.array(hashes, _HASH), own)
                if len(missing):
                    bar = bar or stack.enter_context(count_progress("computing features", len(images) - start))
                    computed = np.concatenate([self.session(shape).run(few) for few in _few(part, missing)])
                    if n := int((~np.isfinite(computed)).any(axis=1).sum()):
                        raise EncoderError(
                            f"{self.encoder.path.name} gives features that are not numbers for {n} of "
                            f"{len(computed)} images.",
                            "Check how it wants pixels: --set model.pixels=NAME says it.",
                        )
                    store.add([hashes[i] for i in missing], computed)
                    own[missing] = computed
                let_go(out)
                if bar is not None:
                    bar.update(len(part))
        if bar is not None:
            store.make_room()

    def session(self, shape: Shape) -> EncoderSession:
        """Open the encoder for images of a shape (H, W, C)."""
        if shape not in self._sessions:
            graph = Graph(shape)
            made = graph.model({FEATURES: encoder_nodes(graph, self.encoder, self.side)[0]}, "", {})
            self._sessions[shape] = EncoderSession(made.SerializeToString(), self.encoder, self.side)
        return self._sessions[shape]

    def _key(self, shape: Shape) -> str:
        import onnxruntime

        e, version = self.encoder, onnxruntime.__version__
        about = e.sha256, self.side, e.pixels, e.order, e.output, e.pooling, e.layout, shape, version
        return hashlib.sha256(repr(about).encode()).hexdigest()[:32]


def _few(images: NDArray[np.uint8], rows: Rows) -> Iterator[NDArray[np.uint8]]:
    step = at_once(images.shape, _BATCH, _PIXELS)
    for start in range(0, len(rows), step):
        yield images[rows[start : start + step]]


class _Store:
    """Kept features of one encoder and settings; where the cache cannot be written nothing is kept.

    In memory are the hashes alone, 24 bytes an image. Parts are opened when they are read, and closed: open files are
    few, and another process may have removed them.
    """

    def __init__(self, key: str, width: int) -> None:
        self._width = width
        self._folder: Path | None = None
        self._parts: list[tuple[Path, int]] = []
        self._hashes, self._places = np.empty(0, _HASH), np.empty((0, 2), np.int32)
        with contextlib.suppress(OSError):
            self._folder = private_cache_folder(FEATURES) / key
            disk.private_folder(self._folder)
            os.utime(self._folder)

    def refresh(self) -> None:
        """Find what is kept by now, by this process or by others."""
        with contextlib.suppress(OSError):
            found = sorted(self._folder.glob("features-*.npy")) if self._folder is not None else []
            parts = [(place, place.stat().st_mtime_ns) for place in found]
            if parts != self._parts:
                self._parts = parts
                self._index()

    def _index(self) -> None:
        hashes, places = [self._hashes[:0]], [self._places[:0]]
        for number, (place, _) in enumerate(self._parts):
            with contextlib.suppress(OSError, ValueError):
                own = np.load(place.with_name(place.name.replace(FEATURES, "hashes", 1)), allow_pickle=False)
                if own.dtype == np.uint8 and own.shape == (len(_opened(place, self._width)), 16):
                    hashes.append(np.ascontiguousarray(own).view(_HASH)[:, 0])
                    rows = np.arange(len(own), dtype=np.int32)
                    places.append(np.stack([np.full_like(rows, number), rows], axis=1))
        together = np.concatenate(hashes)
        order = np.argsort(together)
        self._hashes, self._places = together[order], np.concatenate(places)[order]

    def read(self, hashes: Hashes, out: Floats) -> Rows:
        """Copy what is kept of images with these hashes (n,) into `out` (n, F); give the rows of the others."""
        known = np.zeros(len(hashes), bool)
        if len(self._hashes):
            at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
            known = self._hashes[at] == hashes
            for number in np.unique(self._places[at[known], 0]).tolist():
                rows = np.flatnonzero(known & (self._places[at, 0] == number))
                try:
                    out[rows] = _opened(self._parts[number][0], self._width)[self._places[at[rows], 1]]
                except (OSError, ValueError, IndexError):
                    known[rows] = False
        return np.flatnonzero(~known)

    def add(self, hashes: list[bytes], features: Floats) -> None:
        """Keep the features (n, F) of images with these hashes."""
        if self._folder is None:
            return
        name = hashlib.blake2b(b"".join(hashes), digest_size=8).hexdigest()
        if self._keeps(name, len(hashes)):
            # Another process computed the same: a file that a third has mapped is not replaced under it.
            return
        arrays: dict[str, NDArray[Any]] = {
            "hashes": np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16),
            FEATURES: features,
        }
        with contextlib.suppress(OSError):
            for kind, array in arrays.items():
                with disk.writing_whole(self._folder / f"{kind}-{name}.npy") as file:
                    np.save(file, array, allow_pickle=False)

    def _keeps(self, name: str, n: int) -> bool:
        with contextlib.suppress(OSError, ValueError):
            assert self._folder is not None
            hashes = np.load(self._folder / f"hashes-{name}.npy", allow_pickle=False)
            return hashes.shape == (n, 16) and len(_opened(self._folder / f"features-{name}.npy", self._width)) == n
        return False

    def make_room(self) -> None:
        """Remove what was not used for longest where features take much of the disk."""
        with contextlib.suppress(OSError):
            others = [] if self._folder is None else [own for own in self._folder.parent.iterdir() if own.is_dir()]
            sizes = {place: sum(file.stat().st_size for file in place.iterdir()) for place in others}
            for place in sorted(sizes, key=lambda place: place.stat().st_mtime):
                if sum(sizes.values()) > _MOST_BYTES and place != self._folder:
                    shutil.rmtree(place, ignore_errors=True)
                    del sizes[place]


def _opened(place: Path, width: int) -> Floats:
    features: Floats = np.load(place, "r", allow_pickle=False)
    if features.dtype != np.float32 or features.shape[1:] != (width,):
        raise ValueError(f"{place.name} holds other features")
    return features
