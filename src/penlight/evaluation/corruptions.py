"""Corrupted images: what a worse camera, a smaller file or another exposure makes of them, in five severities.

Names, functions and strengths are those of MedMNIST-C (Di Salvo, Doerrich and Ledig 2024, arXiv 2406.17536; its
code is https://github.com/francescodisalvo05/medmnistc-api), which builds on Hendrycks and Dietterich (2019).
Strengths are in `corruptions.toml`: every set in `BY_MODALITY` and `BY_DATASET` has MedMNIST-C's corruptions with
its strengths, as its registry lists them. Left out are those that draw things into the picture (`stain_deposit`,
`bubble`, `characters`, `black_corner`). MedMNIST-C has two sets for films: that of ChestMNIST stands for the
modality, and PneumoniaMNIST has its own. `OTHER`, for a modality that is not known, is Penlight's choice.

What differs, since MedMNIST-C is made at 224 pixels:

- **Blur** is in pixels there. An image of another size is blurred as if each of its pixels were a block of the image
  at 224, and brought back by averaging: a photograph is out of focus by the same share of its width at any size.
- **Pixelate** is a share of the image's own size, as there: at 28 pixels it leaves very few. Boxes are exact; there
  they are rounded to whole pixels, which at 28 would make some stronger ones do less.
- **Noise** is per pixel, as there: at 28 pixels a pixel is a larger part of the picture, and noise hides more.
- Motion has an angle from -45 to 45 degrees for each image, here in steps of 3 degrees.
- Zoom is continuous, there in whole pixels. Values are rounded, there cut off.
- Of one image every severity draws the same noise, so that severities differ in strength alone.
"""

import io
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from penlight.data.dataset import DatasetInfo
from penlight.parsing import parse_toml

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]
Strength = tuple[float, ...]

SEVERITIES = (1, 2, 3, 4, 5)

# This many values stay in the processor's cache.
_BLOCK_VALUES = 1_000_000

_MADE_AT = 224
_ANGLES = np.arange(-45, 46, 3)

# Weights of red, green and blue in grey (ITU-R 601-2), as Pillow has them.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Corruption:
    """One way to spoil an image: a key of `FUNCTIONS`, and what that function takes at severities 1 to 5."""

    name: str
    strengths: tuple[Strength, Strength, Strength, Strength, Strength]

    def apply(self, images: Images, severity: int, seed: int = 0) -> Images:
        """Corrupt images (N, H, W, C) uint8, C 1 or 3, with `severity` 1 to 5; the same every time for one seed."""
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        out = np.empty(images.shape, np.uint8)
        block = max(1, _BLOCK_VALUES // max(1, images[0].size if len(images) else 1))
        for start in range(0, len(images), block):
            part = slice(start, start + block)
            out[part] = FUNCTIONS[self.name](images[part], self.strengths[severity - 1], rng)
        return out


def corruptions_for(info: DatasetInfo) -> tuple[Corruption, ...]:
    """Give the corruptions that fit a dataset: its own, else those of its modality, else `OTHER`."""
    return BY_DATASET.get(info.name) or BY_MODALITY.get(info.modality) or OTHER


def _to_uint8(values: NDArray[np.floating[Any]]) -> Images:
    whole: Images = np.rint(values).clip(0, 255).astype(np.uint8)
    return whole


def _pixelate(images: Images, strength: Strength, rng: np.random.Generator) -> Images:
    """Average over boxes, whose number is a share of the pixels, and enlarge these again."""
    height, width = (_there_and_back(side, max(1, int(side * strength[0]))) for side in images.shape[1:3])
    return _to_uint8((height @ _planes(images) @ width.T).transpose(0, 2, 3, 1))


def _there_and_back(side: int, boxes: int) -> Floats:
    """(side, side) weights that average into boxes, and these into pixels, each by the length that lies within."""
    ends, box_ends = np.arange(side + 1), np.linspace(0, side, boxes + 1)
    reach = np.minimum(ends[1:], box_ends[1:, None]) - np.maximum(ends[:-1], box_ends[:-1, None])
    within = np.maximum(reach, 0)
    weights: Floats = (within.T @ (within * boxes / side)).astype(np.float32)
    return weights


def _planes(images: Images) -> Floats:
    """(N, C, H, W) float32, so that rows and columns are products of matrices."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)


def _jpeg_compression(images: Images, strength: Strength, rng: np.random.Generator) -> Images:
    """Write as JPEG of a quality and read again."""
    quality = int(strength[0])
    grey = images.shape[3] == 1

    def one(image: Images) -> Images:
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if grey else image).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file)).reshape(image.shape)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return np.stack(list(threads.map(one, images)))


def _noise(
    of: Callable[[Floats, Strength, np.random.Generator], Floats],
) -> Callable[[Images, Strength, np.random.Generator], Images]:
    """Make a corruption of a noise `of` colour images from 0 to 1. A grey image is taken as colour and its three
    noisy channels become grey again, as MedMNIST-C does it: the noise is weaker for it."""

    def corrupt(images: Images, strength: Strength, rng: np.random.Generator) -> Images:
        colour = np.broadcast_to(images, (*images.shape[:3], 3)).astype(np.float32) / np.float32(255)
        noisy = of(colour, strength, rng).clip(0, 1)
        return _to_uint8(255 * (noisy if images.shape[3] == 3 else (noisy @ _LUMA)[..., None]))

    return corrupt


def _impulse_noise(images: Floats, strength: Strength, rng: np.random.Generator) -> Floats:
    """Make a share of the values black or white, half of them each."""
    drawn, half = rng.random(images.shape, np.float32), np.float32(strength[0] / 2)
    return np.where(drawn < half, np.float32(0), np.where(drawn >= 1 - half, np.float32(1), images))


def _brightness(images: Images, strength: Strength, rng: np.random.Generator) -> Images:
    """Multiply by a factor."""
    return _to_uint8(np.arange(256) * strength[0])[images]


def _gamma(images: Images, strength: Strength, rng: np.random.Generator) -> Images:
    """Raise to a power; above 1 the image is darker."""
    return _to_uint8(255 * (np.arange(256) / 255) ** strength[0])[images]


def _contrast(images: Images, strength: Strength, rng: np.random.Generator) -> Images:
    """Multiply the distance from the image's mean grey by a factor."""
    luma = _LUMA if images.shape[3] == 3 else np.ones(1, np.float32)
    mean = np.rint(images.mean(axis=(1, 2), dtype=np.float32) @ luma)[:, None, None, None]
    return _to_uint8(mean + np.float32(strength[0]) * (images - mean))


def _saturate(images: Images, strength: Strength, rng: np.random.Generator) -> Images:
    """Add to the saturation of hue, saturation, value; what has no hue becomes red, as there. Colour images only."""
    x = images.astype(np.float32)
    high, low = x.max(axis=3, keepdims=True), x.min(axis=3, keepdims=True)
    was = (high - low) / np.maximum(high, 1)
    will = np.minimum(was + np.float32(strength[0]), 1)
    # In these terms a channel is value * (1 - saturation * how far it is from the highest to the lowest one).
    place = np.where(high > low, (high - x) / np.maximum(high - low, 1), np.array([0, 1, 1], np.float32))
    return _to_uint8(high * (1 - will * place))


def _zoom_blur(images: Images, strength: Strength, rng: np.random.Generator) -> Images:
    """Average the image with itself at zooms from 1 to a largest one, in steps."""
    largest, step = strength
    zooms = np.arange(1, largest, step)
    planes = _planes(images)
    summed = planes.copy()
    for zoom in zooms:
        height, width = (_zoomed(side, float(zoom)) for side in images.shape[1:3])
        summed += height @ planes @ width.T
    return _to_uint8((summed / (len(zooms) + 1)).transpose(0, 2, 3, 1))


def _zoomed(side: int, zoom: float) -> Floats:
    """(side, side) weights of a linear zoom about the middle."""
    middle = (side - 1) / 2
    place = middle + (np.arange(side) - middle) / zoom
    weights: Floats = np.maximum(1 - np.abs(place[:, None] - np.arange(side)), 0).astype(np.float32)
    return weights


def _defocus_blur(images: Images, strength: Strength, rng: np.random.Generator) -> Images:
    """Spread each point over a disk of a radius, whose rim is softened a little."""
    from scipy.signal import fftconvolve

    radius, rim = strength
    reach = max(8, int(np.ceil(radius)))
    x = np.arange(-reach, reach + 1)
    disk = (x[:, None] ** 2 + x**2 <= radius**2).astype(float)
    soft = np.exp(-(np.arange(-1, 2) ** 2) / (2 * rim**2))
    soft /= soft.sum()
    return _blurred(images, fftconvolve(disk, soft[:, None] * soft, mode="full"), "reflect")


def _gaussian_blur(images: Images, strength: Strength, rng: np.random.Generator) -> Images:
    """Blur with a kernel of the given number of pixels; its deviation follows from these, as torchvision has it."""
    size = int(strength[0])
    x = np.arange(size) - size // 2
    line = np.exp(-(x**2) / (2 * (0.15 * size + 0.35) ** 2))
    return _blurred(images, line[:, None] * line, "reflect")


def _motion_blur(images: Images, strength: Strength, rng: np.random.Generator) -> Images:
    """Draw each point out into a trail, which fades as one half of a Gaussian does, as ImageMagick has it."""
    angle = rng.choice(_ANGLES, len(images))
    out = np.empty_like(images)
    for degrees in np.unique(angle):
        chosen = angle == degrees
        out[chosen] = _blurred(images[chosen], _trail(strength, float(np.deg2rad(degrees))), "edge")
    return out


def _trail(strength: Strength, angle: float) -> NDArray[np.float64]:
    """Weights of a trail of 2 radius + 1 pixels from the middle on."""
    radius, deviation = strength
    reach = 2 * int(np.ceil(radius))
    along = np.arange(reach + 1)
    x, y = (np.ceil(along * part - 0.5).astype(int) for part in (np.cos(angle), np.sin(angle)))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    np.add.at(kernel, (reach + y, reach + x), np.exp(-(along**2) / (2 * deviation**2)))
    return kernel


def _blurred(images: Images, kernel: NDArray[np.float64], border: str) -> Images:
    """Convolve with a kernel that is for 224 pixels; `border` as in `np.pad`."""
    from scipy.signal import fftconvolve

    own = _scaled(kernel, images.shape[1] / _MADE_AT)
    reach = len(own) // 2
    spread = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    padded = np.pad(images.astype(np.float32), spread, mode="edge" if border == "edge" else "reflect")
    return _to_uint8(fftconvolve(padded, own[None, :, :, None], mode="valid", axes=(1, 2)))


def _scaled(kernel: NDArray[np.float64], scale: float) -> Floats:
    """Bring a kernel to an image that is `scale` times as large, weights summing to 1.

    Blowing up by blocks, blurring and averaging over blocks weights each distance by the overlap of two blocks, a
    triangle; at the size it was made for a kernel stays as it is.
    """
    reach = len(kernel) // 2
    far = int(np.ceil(reach * scale))
    gap = np.abs(np.arange(-far, far + 1)[:, None] / scale - np.arange(-reach, reach + 1))
    overlap = np.maximum(1 - gap * min(scale, 1), 0)
    own = overlap @ kernel @ overlap.T
    weights: Floats = (own / own.sum()).astype(np.float32)
    return weights


FUNCTIONS: Mapping[str, Callable[[Images, Strength, np.random.Generator], Images]] = {
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
    "gaussian_noise": _noise(lambda x, s, rng: x + np.float32(s[0]) * rng.standard_normal(x.shape, np.float32)),
    # Noise that grows with the light.
    "speckle_noise": _noise(lambda x, s, rng: x + np.float32(s[0]) * x * rng.standard_normal(x.shape, np.float32)),
    "impulse_noise": _noise(_impulse_noise),
    # Photons are counted, as many as the strength in full light.
    "shot_noise": _noise(lambda x, s, rng: (rng.poisson(x * np.float32(s[0])) / np.float32(s[0])).astype(np.float32)),
    "defocus_blur": _defocus_blur,
    "motion_blur": _motion_blur,
    "zoom_blur": _zoom_blur,
    "gaussian_blur": _gaussian_blur,
    "brightness_up": _brightness,
    "brightness_down": _brightness,
    "contrast_up": _contrast,
    "contrast_down": _contrast,
    "gamma_corr_up": _gamma,
    "gamma_corr_down": _gamma,
    "saturate": _saturate,
}
"""Images (N, H, W, C), what the corruption takes, randomness -> images of the same shape; all uint8."""


def _set(strengths: Mapping[str, Sequence[float | list[float]]]) -> tuple[Corruption, ...]:
    """Make corruptions of five strengths each, single numbers or several."""
    return tuple(
        Corruption(name, tuple(tuple(own) if isinstance(own, list) else (own,) for own in five))  # type: ignore[arg-type]
        for name, five in strengths.items()
    )


_FILE = Path(__file__).with_suffix(".toml")
_TABLE = parse_toml(_FILE.read_bytes(), _FILE.name)

BY_MODALITY: Mapping[str, tuple[Corruption, ...]] = {name: _set(own) for name, own in _TABLE["modality"].items()}
BY_DATASET: Mapping[str, tuple[Corruption, ...]] = {name: _set(own) for name, own in _TABLE["dataset"].items()}
OTHER = _set(_TABLE["other"])
"""For images of a modality that is not known; Penlight's choice."""
