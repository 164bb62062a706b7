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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penlight import disk
from penlight.data.folders import private_cache_folder
from penlight.data.progress import count_progress
from penlight.data.reads import Readable, at_once
from penlight.errors import EncoderError
from penlight.models.graph import Graph, Value
from penlight.runs.session import LocalSession

if TYPE_CHECKING:
    from penlight.models.encoder_file import Encoder

Floats = NDArray[np.float32]
Shape = tuple[int, int, int]

FEATURES = "features"
_BATCH, _PIXELS = 16, 2**20
_KEPT_AT_ONCE = 2048
_MOST_BYTES = 8 << 30
_LUMINANCE = np.array([[0.299], [0.587], [0.114]])
"""Of ITU-R BT.601, as Pillow has it."""


def encoder_nodes(graph: Graph, encoder: "Encoder", side: int) -> Value:
    """Add to a graph what turns its images (N, H, W, C), at `side` pixels a side, into features (N, F)."""
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
    given = graph.embed(encoder.model, encoder.input, name, encoder.output, (encoder.width,))
    return _pooled(graph, given, encoder)


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
    return graph.node(
        "Resize",
        [x.name, "", "", sizes],
        (side, side, channels),
        first=True,
        axes=[2, 3],
        **options,
    )


def _pooled(graph: Graph, x: Value, encoder: "Encoder") -> Value:
    if encoder.pooling == "first":
        return graph.node("Gather", [x.name, graph.constant(0, np.int64)], x.shape, axis=1)
    if encoder.pooling == "none":
        return x
    places = [1] if encoder.axes == 3 else [2, 3] if encoder.layout == "NCHW" else [1, 2]
    return graph.node("ReduceMean", [x.name, graph.constant(places, np.int64)], x.shape, keepdims=0)


class EncoderSession:
    """An encoder for images of one shape (H, W, C), on all cores."""

    def __init__(self, content: bytes, where: str) -> None:
        self._session = LocalSession(content, where, None, spinning=False)

    def run(self, images: NDArray[np.uint8]) -> Floats:
        """Give (N, F) features of images (N, H, W, C). RunError where it cannot be computed."""
        return np.asarray(self._session.run([FEATURES], images)[0], np.float32)


@dataclass(frozen=True)
class EncoderFeatures:
    """Features by an encoder of images at several `sides`, beside one another; kept where they were computed."""

    encoder: "Encoder"
    sides: tuple[int, ...]

    def of(self, images: Readable) -> Floats:
        """Give (N, F) features of images (N, H, W, C) uint8. EncoderError where one is no number."""
        return np.concatenate([_OneSide(self.encoder, side).of(images) for side in self.sides], axis=1)

    def nodes(self, graph: Graph) -> Value:
        """Add what gives the features (N, F) of a graph's images."""
        return graph.concatenate([encoder_nodes(graph, self.encoder, side) for side in self.sides])

    def sessions(self, shape: Shape) -> list[EncoderSession]:
        """Open the encoder for images of a shape (H, W, C), once for each side."""
        return [_OneSide(self.encoder, side).session(shape) for side in self.sides]


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


@dataclass(frozen=True)
class _OneSide:
    encoder: "Encoder"
    side: int

    def of(self, images: Readable) -> Floats:
        store = _Store(self._key(tuple(images.shape[1:])), self.encoder.width)
        out = np.empty((len(images), self.encoder.width), np.float32)
        known, session = store.known(), None
        step = at_once(images.shape, _KEPT_AT_ONCE, 2**26)
        with contextlib.ExitStack() as stack:
            bar = None
            for start in range(0, len(images), step):
                part = images[start : start + step]
                hashes = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in part]
                missing = [i for i, each in enumerate(hashes) if each not in known]
                if missing:
                    session = session or self.session(tuple(images.shape[1:]))
                    bar = bar or stack.enter_context(count_progress("computing features", len(images) - start))
                    computed = np.concatenate([session.run(few) for few in _few(part, missing)])
                    self._require_numbers(computed)
                    store.add([hashes[i] for i in missing], computed)
                    known |= {hashes[i]: row for i, row in zip(missing, computed, strict=True)}
                for i, each in enumerate(hashes):
                    out[start + i] = known[each]
                if bar is not None:
                    bar.update(len(part))
        return out

    def session(self, shape: Shape) -> EncoderSession:
        """Open the encoder for images of a shape (H, W, C)."""
        graph = Graph(shape)
        made = graph.model({FEATURES: encoder_nodes(graph, self.encoder, self.side)}, "", {})
        return EncoderSession(made.SerializeToString(), self.encoder.path.name)

    def _require_numbers(self, features: Floats) -> None:
        if not np.isfinite(features).all():
            n = int((~np.isfinite(features)).any(axis=1).sum())
            raise EncoderError(
                f"{self.encoder.path.name} gives features that are not numbers for {n} of {len(features)} images.",
                "Check how it wants pixels: --set model.pixels=NAME says it.",
            )

    def _key(self, shape: Shape) -> str:
        import onnxruntime

        e = self.encoder
        about = (
            e.sha256,
            self.side,
            e.pixels,
            e.order,
            e.output,
            e.pooling,
            e.layout,
            shape,
            onnxruntime.__version__,
        )
        return hashlib.sha256(repr(about).encode()).hexdigest()[:32]


def _few(images: NDArray[np.uint8], rows: list[int]) -> Iterator[NDArray[np.uint8]]:
    step = at_once(images.shape, _BATCH, _PIXELS)
    for start in range(0, len(rows), step):
        yield images[rows[start : start + step]]


class _Store:
    """Kept features of one encoder and settings; where the cache cannot be written nothing is kept."""

    def __init__(self, key: str, width: int) -> None:
        self._width = width
        self._folder: Path | None = None
        with contextlib.suppress(OSError):
            self._folder = private_cache_folder(FEATURES) / key
            disk.private_folder(self._folder)
            os.utime(self._folder)

    def known(self) -> dict[bytes, Floats]:
        """Map hashes of images to their features, which stay on disk until they are read."""
        found: dict[bytes, Floats] = {}
        for place in sorted(self._folder.glob("hashes-*.npy")) if self._folder is not None else []:
            with contextlib.suppress(OSError, ValueError):
                hashes = np.load(place, allow_pickle=False)
                features = np.load(place.with_name(place.name.replace("hashes", "features")), "r", allow_pickle=False)
                if hashes.shape == (len(features), 16) and features.shape[1:] == (self._width,):
                    found |= {one.tobytes(): row for one, row in zip(hashes, features, strict=True)}
        return found

    def add(self, hashes: list[bytes], features: Floats) -> None:
        """Keep the features (n, F) of images with these hashes."""
        if self._folder is None:
            return
        name = hashlib.blake2b(b"".join(hashes), digest_size=8).hexdigest()
        arrays: dict[str, NDArray[Any]] = {
            "features": features,
            "hashes": np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16),
        }
        with contextlib.suppress(OSError):
            for kind, array in arrays.items():
                with disk.writing_whole(self._folder / f"{kind}-{name}.npy") as file:
                    np.save(file, array, allow_pickle=False)
            _forget_oldest(self._folder.parent, keep=self._folder)


def _forget_oldest(folder: Path, keep: Path) -> None:
    """Remove what was not used for longest where features take much of the disk."""
    sizes = {
        place: sum(file.stat().st_size for file in place.iterdir()) for place in folder.iterdir() if place.is_dir()
    }
    for place in sorted(sizes, key=lambda place: place.stat().st_mtime):
        if sum(sizes.values()) <= _MOST_BYTES:
            break
        if place != keep:
            shutil.rmtree(place, ignore_errors=True)
            del sizes[place]
