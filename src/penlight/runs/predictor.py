"""The predictor: a run's model.onnx on ONNX Runtime. It needs neither Keras nor TensorFlow."""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penlight.data.reads import at_once
from penlight.errors import DataError, RunError
from penlight.runs.facts import ModelFacts, facts_from_properties
from penlight.runs.folder import RunFolder, open_run
from penlight.runs.modelfile import Declared, check_model, require_interface
from penlight.runs.session import LocalSession, RemoteSession
from penlight.tasks import Task
from penlight.workers import begin

MODEL = "model.onnx"
FEATURES = "features"
CLASS_MAPS = "class_activation_maps"

Floats = NDArray[np.float64]
Images = NDArray[np.uint8]

# What a batch may hold at most, so that the maps of a small network stay in the processor's cache: so many images,
# and of images above 64 px so many pixels.
_BATCH = 64
_PIXELS = 2**18
# Images that a small model computes in one call though each is alone, since a call costs as much as it does.
_FEW = 8
_FEW_SIDE = 64
_SMALL_MODEL = 8 << 20
_OUTPUTS = ["logits", "probabilities"]

# How far probabilities may be from 0 to 1, and their sum from 1, by rounding in 32 bits and of quantised weights.
_NEAR = 1e-3
_HARMFUL = "It is damaged, or was made to harm: use a run that you trust, or export the run again."


class Predictor:
    """Answers for uint8 images (N, H, W, C), in batches of bounded memory; several threads may share one.

    `facts` is what the file says of its model. DataError for images of another shape or type.
    """

    def __init__(
        self,
        content: bytes,
        where: str,
        *,
        threads: int | None = None,
        spinning: bool = True,
        alone: bool = False,
        isolated: bool = False,
    ) -> None:
        """Read an ONNX file. `threads` compute one batch, all cores unless given; with `spinning` they wait busily
        for the next one, which is faster alone and a waste where many share the cores. With `alone` each image gets
        the bits that it gets by itself, whatever comes with it. An `isolated` model is computed in a process of its
        own, with limits of time and memory, as is right for a stranger's. RunError if it is damaged, not Penlight's,
        or holds what no model of Penlight does."""
        declared = check_model(content, where, beside=True)
        self.facts: ModelFacts = facts_from_properties(declared.properties, where)
        widths = {"logits": self.task.n_logits, "probabilities": len(self.labels)}
        require_interface(
            declared, (self.size, self.size, self.channels), widths, {FEATURES: 2, CLASS_MAPS: 4}, where
        )
        opened = RemoteSession if isolated else LocalSession
        self._session = opened(content, where, threads, spinning, encoders=_referred(declared, where))
        self._alone = alone
        self._is_small = len(content) <= _SMALL_MODEL and all(not weight.location for weight in declared.weights)
        self._where = where
        self._declared = declared

    @property
    def task(self) -> Task:
        """What the labels mean."""
        return self.facts.task

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the C columns of `probabilities`."""
        return self.facts.task.labels

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return self.facts.size

    @property
    def channels(self) -> int:
        """Channels of the images: 1 for grey, 3 for colour."""
        return self.facts.channels

    def logits(self, images: Images) -> Floats:
        """Give (N, K) logits, before calibration."""
        return self.answer(images)[0]

    def probabilities(self, images: Images) -> Floats:
        """Give (N, C) calibrated probabilities."""
        return self.answer(images)[1]

    def answer(self, images: Images) -> tuple[Floats, Floats]:
        """Give logits (N, K) and calibrated probabilities (N, C), of one pass."""
        require_images(images, self.size, self.channels)
        parts = [self._run(_OUTPUTS, part) for part in self._parts(images)]
        widths = (self.task.n_logits, len(self.labels))
        if any(part[i].shape[1:] != (width,) for part in parts for i, width in enumerate(widths)):
            raise self._harmful("outputs of another shape than it declares")
        logits, prob = (
            np.concatenate([np.empty((0, width)), *(part[i] for part in parts)]) for i, width in enumerate(widths)
        )
        self._require_probabilities(logits, prob)
        return logits, prob

    def _run(self, outputs: list[str], part: Images) -> list[NDArray[np.floating]]:
        """Compute a batch. RunError if the model cannot be computed, or gives another number of rows."""
        if self._alone:
            begin(None)  # each batch has the time of an item: a large encoder takes longer for all of a message
        given = self._session.run(outputs, part)
        if any(len(own) != len(part) for own in given):
            raise self._harmful("another number of answers than there are images")
        return given

    def _require_probabilities(self, logits: Floats, prob: Floats) -> None:
        """Raise RunError for what no model of Penlight answers."""
        # A comparison with NaN is false.
        inside = (prob >= -_NEAR) & (prob <= 1 + _NEAR)
        if not inside.all():
            raise self._harmful(f"{prob[~inside].flat[0]:g} where a probability is expected")
        if self.task.exclusive and len(prob) and not (np.abs(prob.sum(axis=1) - 1) <= _NEAR).all():
            raise self._harmful(f"probabilities that add up to {prob.sum(axis=1).max():g}")
        if np.isnan(logits).any():
            raise self._harmful("logits that are not numbers")
        np.clip(prob, 0, 1, out=prob)

    def _harmful(self, what: str) -> RunError:
        return RunError(f"{self._where} answered {what}.", _HARMFUL)

    @property
    def has_features(self) -> bool:
        """Say whether the file gives `features`."""
        return FEATURES in self._declared.outputs

    def features(self, images: Images) -> NDArray[np.floating]:
        """Give (N, F) what the model's last layer reads of images; only a file that has them can."""
        require_images(images, self.size, self.channels)
        features = np.concatenate([self._run([FEATURES], part)[0] for part in self._parts(images)])
        if features.ndim != 2 or not np.isfinite(features).all():
            raise self._harmful("features that are not numbers")
        return features

    @property
    def class_map_side(self) -> int:
        """Give how many places a side the file's `class_activation_maps` have; 0 where it gives none."""
        _, shape = self._declared.outputs.get(CLASS_MAPS, (0, ()))
        return min((n or 0 for n in shape[1:3]), default=0)

    def class_maps(self, images: Images) -> Floats:
        """Give (N, h, w, C) what each place of images says for each label; only a file that has them can."""
        require_images(images, self.size, self.channels)
        maps = np.concatenate([self._run([CLASS_MAPS], part)[0] for part in self._parts(images)]).astype(np.float64)
        if maps.ndim != 4 or maps.shape[3] != len(self.labels) or not np.isfinite(maps).all():
            raise self._harmful("class activation maps that are not numbers, or not of each label")
        return maps

    def _parts(self, images: Images) -> Iterator[Images]:
        batch, whole = at_once(images.shape, _BATCH, _PIXELS), len(images)
        if self._alone:
            is_quick = self._is_small and self.size <= _FEW_SIDE and len(images) >= _FEW
            batch = _FEW if is_quick and self._is_same_in_batches else 1
            whole = len(images) // batch * batch
        for start in range(0, whole, batch):
            yield np.ascontiguousarray(images[start : start + batch])
        for start in range(whole, len(images)):
            yield np.ascontiguousarray(images[start : start + 1])

    @functools.cached_property
    def _is_same_in_batches(self) -> bool:
        """Whether images get the same bits in a batch as alone. In which order a model adds up depends on shapes and
        not on values, so noise shows it."""
        shape = (_FEW, self.size, self.size, self.channels)
        noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        alone = [self._run(_OUTPUTS, noise[i : i + 1]) for i in range(_FEW)]
        together = self._run(_OUTPUTS, noise)
        return all(np.array_equal(together[i], np.concatenate([own[i] for own in alone])) for i in (0, 1))

    def decide(self, prob: Floats) -> NDArray[np.uint8]:
        """Turn calibrated probabilities (N, C) into zeros and ones, by the thresholds found on val."""
        cuts = self.facts.thresholds
        return self.task.decide(prob, None if cuts is None else np.array(cuts))


def _referred(declared: Declared, where: str) -> dict[str, Path]:
    """Find the encoders that a model refers to. NoEncoderError if one is not on this machine."""
    if not any(weight.location for weight in declared.weights):
        return {}
    from penlight.runs.encoders import find_referred, named_encoders

    return find_referred(named_encoders(declared, where))


def require_images(images: Images, size: int, channels: int) -> None:
    """Raise DataError if images are not (N, size, size, channels) uint8."""
    wanted = (size, size, channels)
    if images.dtype != np.uint8 or images.shape[1:] != wanted:
        raise DataError(
            f"Images of shape (N, {', '.join(map(str, wanted))}), uint8, were expected; "
            f"{images.shape}, {images.dtype} came.",
            "Bring them to the size and channels that the model was trained on.",
        )


def open_predictor(
    source: RunFolder | Path,
    *,
    threads: int | None = None,
    spinning: bool = True,
    alone: bool = False,
    isolated: bool = True,
) -> Predictor:
    """Open the model of a run, given as `RunFolder` or by its folder, or an exported ONNX file.

    See `Predictor` for the options. RunError for a run without model.onnx.
    """
    if isinstance(source, Path) and source.suffix == ".onnx":
        content, where = _file(source), str(source)
    else:
        run = open_run(source) if isinstance(source, Path) else source
        content, where = _of_run(run), str(run.path / MODEL)
    return Predictor(content, where, threads=threads, spinning=spinning, alone=alone, isolated=isolated)


def _of_run(run: RunFolder) -> bytes:
    if not run.has(MODEL) and (name := run.made_elsewhere):
        raise no_model(run, name)
    if not run.has(MODEL):
        if reason := run.no_model_file:
            raise RunError(f"The run {run.path} has no {MODEL}.", reason)
        raise RunError(f"The run {run.path} has no {MODEL}.", f"Make it: penlight export {run.path} --to onnx")
    return run.read(MODEL)


def no_model(run: RunFolder, name: str) -> RunError:
    """Say that a run of predictions made elsewhere has no model."""
    return RunError(
        f"The run {run.path} has no model: it was scored from predictions of {name}, which other software made.",
        "Ask that software, and score what it says with `penlight score`.",
    )


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}.", "Check the path.") from error
