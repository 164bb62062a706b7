"""Augmentation inside the training step: one affine map and one change of light per image, on whole batches.

Written with `keras.ops`, so that it is compiled with the step on every backend.
"""

import math
from typing import Any

from penlight.models import load_keras
from penlight.recipes import Augment

Tensor = Any


def is_active(options: Augment) -> bool:
    """Say whether the recipe asks for any change at all."""
    return options.model_copy(update={"only_copies": False}) != Augment()


def augment(images: Tensor, strength: Tensor, options: Augment, seed: Any) -> Tensor:
    """Change images (B, H, W, C) float32, 0 to 255, at random; `strength` (B,) is 0 for those to leave alone.

    `seed` is a `keras.random.SeedGenerator`. Places from outside the image take the nearest pixel.
    """
    return _light(_place(images, strength, options, seed), strength, options, seed)


def _uniform(strength: Tensor, half_width: float, seed: Any) -> Tensor:
    """(B,) values from -half_width to half_width, 0 where the image is to be left alone."""
    keras = load_keras()
    return strength * keras.random.uniform(keras.ops.shape(strength), -half_width, half_width, seed=seed)


def _sign(strength: Tensor, wanted: bool, seed: Any) -> Tensor:
    """(B,) of 1, or of -1 with probability one half where a flip is wanted."""
    keras = load_keras()
    if not wanted:
        return keras.ops.ones_like(strength)
    heads = keras.random.uniform(keras.ops.shape(strength), seed=seed) < 0.5
    return 1.0 - 2.0 * strength * keras.ops.cast(heads, strength.dtype)


def _place(images: Tensor, strength: Tensor, options: Augment, seed: Any) -> Tensor:
    """Rotate, zoom, shift and flip about the centre, with one bilinear look-up per pixel."""
    if not _moves(options):
        return images
    ops = load_keras().ops
    height, width = images.shape[1], images.shape[2]
    angle = _uniform(strength, math.radians(options.rotation), seed)
    scale = 1.0 + _uniform(strength, options.zoom, seed)
    across = scale * _sign(strength, options.flip_horizontal, seed)
    down = scale * _sign(strength, options.flip_vertical, seed)
    cos, sin = ops.cos(angle), ops.sin(angle)
    # Output (x, y) reads input (a x + b y + c, d x + e y + f); c and f keep the centre where it is, then shift.
    a, b, d, e = cos * across, -sin * down, sin * across, cos * down
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    c = middle_x - a * middle_x - b * middle_y + _uniform(strength, options.shift * width, seed)
    f = middle_y - d * middle_x - e * middle_y + _uniform(strength, options.shift * height, seed)
    zero = ops.zeros_like(a)
    transform = ops.stack([a, b, c, d, e, f, zero, zero], axis=1)
    return ops.image.affine_transform(images, transform, interpolation="bilinear", fill_mode="nearest")


def _moves(options: Augment) -> bool:
    return any((options.rotation, options.zoom, options.shift, options.flip_horizontal, options.flip_vertical))


def _light(images: Tensor, strength: Tensor, options: Augment, seed: Any) -> Tensor:
    """Change contrast about the image's mean, then brightness; stay within 0 to 255."""
    if not (options.brightness or options.contrast):
        return images
    ops = load_keras().ops
    contrast = (1.0 + _uniform(strength, options.contrast, seed))[:, None, None, None]
    brightness = _uniform(strength, 255.0 * options.brightness, seed)[:, None, None, None]
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    return ops.clip(mean + contrast * (images - mean) + brightness, 0.0, 255.0)
