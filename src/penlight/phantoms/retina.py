"""Fundus photographs in five grades of diabetic retinopathy, drawn with the lesions that make the grade.

Lengths are in radii of the field of view, whose centre is (0, 0); x points right and y down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.errors import DataError
from penlight.phantoms.shared import Floats, ImageStreams, bell, chunks, mottle, per_image, ramp, stamp_discs

MICROANEURYSM = 1
HAEMORRHAGE = 2
EXUDATE = 4
NEW_VESSELS = 8
LESION_BITS = {
    "microaneurysm": MICROANEURYSM,
    "haemorrhage": HAEMORRHAGE,
    "exudate": EXUDATE,
    "new vessels": NEW_VESSELS,
}

N_GRADES = 5

# Fewest and most lesions of each kind, a row for each grade; exudates come in clusters, new vessels in tangles.
_LOAD = {
    MICROANEURYSM: ((0, 0), (1, 4), (3, 9), (6, 14), (3, 9)),
    HAEMORRHAGE: ((0, 0), (0, 0), (0, 5), (9, 18), (2, 8)),
    EXUDATE: ((0, 0), (0, 0), (0, 3), (1, 4), (0, 3)),
    NEW_VESSELS: ((0, 0), (0, 0), (0, 0), (0, 0), (2, 4)),
}
_PRERETINAL_RATE = 0.5

_DRAWS_PER_IMAGE = 2048

# Reflected colours, red green blue of 255. A fundus mixes the first four.
_FUNDUS = np.array([[218, 104, 46], [196, 74, 42], [186, 128, 76], [226, 122, 92]], np.float32)
_DISC = np.array([255, 222, 150], np.float32)
_CUP = np.array([255, 246, 214], np.float32)
_VESSEL = np.array([118, 20, 12], np.float32)
_COLOURS = {
    MICROANEURYSM: np.array([120, 14, 14], np.float32),
    HAEMORRHAGE: np.array([92, 8, 10], np.float32),
    EXUDATE: np.array([255, 238, 128], np.float32),
    NEW_VESSELS: np.array([186, 22, 24], np.float32),
}
# How much of what lies below a lesion hides.
_COVER = {MICROANEURYSM: 0.6, HAEMORRHAGE: 0.8, EXUDATE: 0.8, NEW_VESSELS: 0.7}

# Lesions are never drawn with a radius below this many pixels, or small images would lose them.
_LEAST_RADIUS = 0.5
# A pixel belongs to a lesion that covers this much of it; a disc of the least radius always has such a pixel.
_MASK_COVERAGE = 0.25


def draw_retina(grades: NDArray[np.integer], size: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a fundus photograph for each of `grades` (N,), 0 to 4.

    Gives images uint8 (N, size, size, 3) and lesion masks uint8 (N, size, size), a bit for each kind in LESION_BITS.
    Image i depends on (seed, i, its grade, size) alone; at grade 0 it is the same eye without lesions. DataError for
    grades out of range.
    """
    grades = _checked(grades)
    images = np.empty((len(grades), size, size, 3), np.uint8)
    masks = np.empty((len(grades), size, size), np.uint8)
    for part in chunks(len(grades), size):
        images[part], masks[part] = _draw_chunk(
            grades[part], size, ImageStreams(seed, part.start, part.stop, _DRAWS_PER_IMAGE)
        )
    return images, masks


def _checked(grades: NDArray[np.integer]) -> NDArray[np.int64]:
    grades = np.asarray(grades)
    if grades.ndim != 1:
        raise DataError(f"Grades of shape (N,) were expected, {grades.shape} came.")
    if len(grades) and not (grades.min() >= 0 and grades.max() < N_GRADES):
        raise DataError(f"Grades must be 0 to {N_GRADES - 1}, {grades.min()} to {grades.max()} came.")
    return grades.astype(np.int64)


@dataclass(frozen=True)
class _Eye:
    """Where things are in n eyes: arrays (n,), `x` and `y` (n, H, W) the coordinates of pixels.

    `centre_x`, `centre_y` and `radius` place the field of view on the image, in pixels; `side` is 1 where the disc
    is on the right of the macula, else -1.
    """

    x: Floats
    y: Floats
    centre_x: Floats
    centre_y: Floats
    radius: Floats
    side: Floats
    disc_x: Floats
    disc_y: Floats
    disc_radius: Floats
    macula_x: Floats
    macula_y: Floats

    @property
    def canvas(self) -> Floats:
        """An empty layer, (n, H, W)."""
        return np.zeros(self.x.shape, np.float32)

    def from_disc(self, x: Floats, y: Floats) -> Floats:
        """Measure the distance of points (n, ...) from the middle of the optic disc, in disc radii."""
        wide = (-1, *(1,) * (x.ndim - 1))
        right, down = x - self.disc_x.reshape(wide), y - self.disc_y.reshape(wide)
        out: Floats = np.hypot(right, down) / self.disc_radius.reshape(wide)
        return out


@dataclass(frozen=True)
class _Branches:
    """Curves (n, b, steps): points, direction in radians, and half width."""

    x: Floats
    y: Floats
    heading: Floats
    width: Floats


def _draw_chunk(
    grades: NDArray[np.int64], size: int, draws: ImageStreams
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    eye = _place(draws, size)
    arcades = _arcades(eye, draws, size)
    reflectance = _fundus(eye, draws)
    _blend(reflectance, _vessel_layer(eye, arcades, draws, size), _VESSEL)
    layers = _lesions(eye, arcades, grades, draws, size)
    for kind, layer in layers.items():
        _blend(reflectance, layer * np.float32(_COVER[kind]), _COLOURS[kind])
    images = _photograph(eye, reflectance, draws)
    masks = sum((layer >= _MASK_COVERAGE).astype(np.uint8) * np.uint8(kind) for kind, layer in layers.items())
    return images, np.asarray(masks, np.uint8)


def _place(draws: ImageStreams, size: int) -> _Eye:
    radius = size * draws.uniform(0.455, 0.485)
    centre_x = (size - 1) / 2 + size * draws.spread(0.012)
    centre_y = (size - 1) / 2 + size * draws.spread(0.012)
    pixel = np.arange(size, dtype=np.float32)
    x, y = np.broadcast_arrays(
        (pixel[None, None, :] - per_image(centre_x)) / per_image(radius),
        (pixel[None, :, None] - per_image(centre_y)) / per_image(radius),
    )
    side = draws.sign()
    # Photographs are centred anywhere between the macula and the disc.
    disc_x = side * draws.uniform(0.25, 0.6)
    disc_y = draws.spread(0.08)
    return _Eye(
        x=x,
        y=y,
        centre_x=centre_x,
        centre_y=centre_y,
        radius=radius,
        side=side,
        disc_x=disc_x,
        disc_y=disc_y,
        disc_radius=draws.uniform(0.115, 0.145),
        macula_x=disc_x - side * draws.uniform(0.56, 0.66),
        macula_y=disc_y + draws.uniform(0.0, 0.1),
    )


def _fundus(eye: _Eye, draws: ImageStreams) -> Floats:
    """Give the reflected colour of background, macula and optic disc, (n, H, W, 3)."""
    mix = draws.uniform(0.2, 1, len(_FUNDUS))
    mix /= mix.sum(axis=1, keepdims=True)
    base = (mix[..., None] * _FUNDUS).sum(axis=1)
    reflectance: Floats = base[:, None, None, :] * (1 + 0.02 * mottle(draws, eye.x, eye.y, 3, 14))[..., None]
    from_macula = np.hypot(eye.x - per_image(eye.macula_x), eye.y - per_image(eye.macula_y))
    dark = bell(from_macula, 0.15) * per_image(draws.uniform(0.3, 0.5)) + bell(from_macula, 0.05) * 0.15
    reflectance *= 1 - dark[..., None] * np.array([0.75, 1, 1], np.float32)
    from_disc = eye.from_disc(eye.x, eye.y * per_image(draws.uniform(0.9, 1.0)))
    edge = np.maximum(0.18, per_image(1 / (eye.radius * eye.disc_radius)))
    _blend(reflectance, bell(from_disc, 1.5) * 0.22, _DISC)
    _blend(reflectance, ramp(1 - from_disc, edge) * per_image(draws.uniform(0.6, 0.8)), _DISC)
    _blend(reflectance, ramp(per_image(draws.uniform(0.35, 0.6)) - from_disc, 0.4) * 0.5, _CUP)
    return reflectance


def _blend(colours: Floats, cover: Floats, colour: Floats) -> None:
    """Lay `colour` (3,) over `colours` (n, H, W, 3), in place, as far as `cover` (n, H, W) hides what is below."""
    colours += cover[..., None] * (colour - colours)


def _arcades(eye: _Eye, draws: ImageStreams, size: int) -> _Branches:
    """Grow the eight great vessels out of the disc: an artery and a vein for each quadrant.

    Quadrants in order: upper temporal, lower temporal, upper nasal, lower nasal; the vein follows its artery.
    """
    up = np.array([-1, -1, 1, 1, -1, -1, 1, 1], np.float32)
    temporal = np.array([1, 1, 1, 1, 0, 0, 0, 0], np.float32)
    vein = np.array([0, 1, 0, 1, 0, 1, 0, 1], np.float32)
    # Angles from the temporal direction: the temporal arcades leave steeply and bend around the macula.
    leaves = temporal * 1.25 + (1 - temporal) * 2.2 + draws.spread(0.2, 8)
    bends = temporal * -1.35 + (1 - temporal) * 0.25 + draws.spread(0.3, 8)
    towards = -eye.side[:, None]
    heading = np.arctan2(up * np.sin(leaves), towards * np.cos(leaves))
    return _grow(
        x=eye.disc_x[:, None] + 0.02 * draws.spread(1, 8),
        y=eye.disc_y[:, None] + 0.02 * draws.spread(1, 8),
        heading=heading,
        length=temporal * 1.5 + (1 - temporal) * 0.9 + draws.spread(0.15, 8),
        turn=bends * up * towards,
        sway=draws.uniform(0.15, 0.3, 8),
        phase=draws.angle(8),
        width=(0.014 + 0.005 * vein) * draws.uniform(0.85, 1.15, 8),
        steps=max(32, size),
    )


def _grow(
    *,
    x: Floats,
    y: Floats,
    heading: Floats,
    length: Floats,
    turn: Floats,
    sway: Floats,
    phase: Floats,
    width: Floats,
    steps: int,
) -> _Branches:
    """Follow curves from their start: (n, b) each of start, direction, length, whole turn and swaying in radians."""
    along = np.linspace(0, 1, steps, dtype=np.float32)
    wave = np.sin(2 * np.pi * 1.7 * along + phase[..., None]) - np.sin(phase)[..., None]
    direction = heading[..., None] + turn[..., None] * along + sway[..., None] * wave
    step = length[..., None] / steps
    return _Branches(
        x=x[..., None] + np.cumsum(np.cos(direction) * step, axis=-1),
        y=y[..., None] + np.cumsum(np.sin(direction) * step, axis=-1),
        heading=direction,
        width=width[..., None] * (1 - 0.6 * along),
    )


def _fork(parents: _Branches, draws: ImageStreams, each: int, length: tuple[float, float], steps: int) -> _Branches:
    """Grow `each` side branches from every parent."""
    n, b, parent_steps = parents.x.shape
    count = b * each
    at = (draws.uniform(0.12, 0.9, b, each) * (parent_steps - 1)).astype(np.int64)
    aside = draws.sign(count)
    heading = np.take_along_axis(parents.heading, at, axis=-1).reshape(n, count)
    width = np.take_along_axis(parents.width, at, axis=-1).reshape(n, count)
    return _grow(
        x=np.take_along_axis(parents.x, at, axis=-1).reshape(n, count),
        y=np.take_along_axis(parents.y, at, axis=-1).reshape(n, count),
        heading=heading + aside * draws.uniform(0.4, 0.95, count),
        length=draws.uniform(*length, count),
        turn=-aside * draws.uniform(-0.2, 0.7, count),
        sway=draws.uniform(0.1, 0.35, count),
        phase=draws.angle(count),
        width=width * draws.uniform(0.5, 0.75, count),
        steps=steps,
    )


def _vessel_layer(eye: _Eye, arcades: _Branches, draws: ImageStreams, size: int) -> Floats:
    """Draw the vessel tree, (n, H, W): how much of what lies below the vessels hide."""
    branches = _fork(arcades, draws, 4, (0.3, 0.75), max(16, size // 2))
    twigs = _fork(branches, draws, 2, (0.12, 0.35), max(12, size // 4))
    layer = eye.canvas
    for curves, strength in ((arcades, 0.62), (branches, 0.52), (twigs, 0.42)):
        _stamp_field(layer, eye, curves.x, curves.y, curves.width, np.full(curves.x.shape, strength, np.float32))
    return layer


def _stamp_field(layer: Floats, eye: _Eye, x: Floats, y: Floats, radius: Floats, value: Floats) -> None:
    """Stamp discs (n, ...), given in field units, where their value is above zero and they are in the field."""
    seen = (value > 0) & (np.hypot(x, y) < 1)
    image = np.nonzero(seen)[0]
    stamp_discs(
        layer,
        image,
        eye.centre_x[image] + x[seen] * eye.radius[image],
        eye.centre_y[image] + y[seen] * eye.radius[image],
        radius[seen] * eye.radius[image],
        value[seen],
    )


def _lesions(
    eye: _Eye, arcades: _Branches, grades: NDArray[np.int64], draws: ImageStreams, size: int
) -> dict[int, Floats]:
    """Draw the lesions of each kind, (n, H, W): how much of a pixel they cover."""
    layers = {
        MICROANEURYSM: _microaneurysms(eye, _present(MICROANEURYSM, grades, draws), draws),
        EXUDATE: _exudates(eye, _present(EXUDATE, grades, draws), draws),
        HAEMORRHAGE: _haemorrhages(eye, _present(HAEMORRHAGE, grades, draws), draws),
        NEW_VESSELS: _new_vessels(eye, arcades, _present(NEW_VESSELS, grades, draws), draws, size),
    }
    pool = _preretinal(eye, draws) * per_image((grades == 4) & (draws.uniform(0, 1) < _PRERETINAL_RATE))
    layers[HAEMORRHAGE] = np.maximum(layers[HAEMORRHAGE], pool)
    clear = (np.hypot(eye.x, eye.y) < 0.98) & (eye.from_disc(eye.x, eye.y) > 1)
    return {kind: layer * clear for kind, layer in layers.items()}


def _present(kind: int, grades: NDArray[np.int64], draws: ImageStreams) -> NDArray[np.bool_]:
    """Say which of the most lesions of a kind an image has, (n, most)."""
    fewest, most = np.array(_LOAD[kind]).T
    count = fewest[grades] + np.floor(draws.uniform(0, 1) * (most - fewest + 1)[grades])
    present: NDArray[np.bool_] = np.arange(most.max()) < count[:, None]
    return present


def _scatter(eye: _Eye, draws: ImageStreams, count: int) -> tuple[Floats, Floats]:
    """Choose places (n, count) in the field and off the disc, one quadrant after the other."""
    quarter = np.arange(count, dtype=np.float32) * (np.pi / 2)
    angle = quarter + draws.uniform(0, np.pi / 2, count) + draws.angle(1)
    distance = 0.84 * draws.uniform(0.05, 1, count) ** 1.2
    x, y = distance * np.cos(angle), distance * np.sin(angle)
    away = np.maximum(1, 1.7 / np.maximum(eye.from_disc(x, y), 0.05))
    return (
        eye.disc_x[:, None] + (x - eye.disc_x[:, None]) * away,
        eye.disc_y[:, None] + (y - eye.disc_y[:, None]) * away,
    )


def _dot_layer(eye: _Eye, x: Floats, y: Floats, radius: Floats, present: NDArray[np.bool_]) -> Floats:
    """Stamp lesions made of discs (n, ...), none smaller than the least radius."""
    layer = eye.canvas
    least = (_LEAST_RADIUS / eye.radius).reshape(-1, *(1,) * (x.ndim - 1))
    shown = np.broadcast_to(present.reshape(*present.shape, *(1,) * (x.ndim - present.ndim)), x.shape)
    _stamp_field(layer, eye, x, y, np.maximum(radius, least), shown.astype(np.float32))
    return layer


def _microaneurysms(eye: _Eye, present: NDArray[np.bool_], draws: ImageStreams) -> Floats:
    count = present.shape[1]
    x, y = _scatter(eye, draws, count)
    return _dot_layer(eye, x, y, draws.uniform(0.012, 0.02, count), present)


def _haemorrhages(eye: _Eye, present: NDArray[np.bool_], draws: ImageStreams, parts: int = 5) -> Floats:
    """Draw blots, and flames stretched along a line, from overlapping discs."""
    count = present.shape[1]
    x, y = _scatter(eye, draws, count)
    size = draws.uniform(0.028, 0.06, count)[..., None]
    long = np.where(draws.uniform(0, 1, count) < 0.35, 1.6, 0.0)[..., None].astype(np.float32)
    direction = draws.angle(count)[..., None]
    along = np.linspace(-1, 1, parts, dtype=np.float32) * long * size
    part_x = x[..., None] + along * np.cos(direction) + size * draws.spread(0.6, count, parts)
    part_y = y[..., None] + along * np.sin(direction) + size * draws.spread(0.6, count, parts)
    radius = size * draws.uniform(0.5, 0.9, count, parts) * (1 - 0.25 * long)
    return _dot_layer(eye, part_x, part_y, radius, present)


def _exudates(eye: _Eye, present: NDArray[np.bool_], draws: ImageStreams, parts: int = 12) -> Floats:
    """Draw clusters of small flecks, some of them in a ring."""
    count = present.shape[1]
    x, y = _scatter(eye, draws, count)
    ring = draws.uniform(0, 1, count)[..., None] < 0.4
    reach = draws.uniform(0.05, 0.12, count)[..., None]
    distance = (
        np.where(ring, 1 + draws.spread(0.15, count, parts), np.sqrt(draws.uniform(0, 1, count, parts))) * reach
    )
    angle = draws.angle(count, parts)
    part_x, part_y = x[..., None] + distance * np.cos(angle), y[..., None] + distance * np.sin(angle)
    return _dot_layer(eye, part_x, part_y, draws.uniform(0.008, 0.022, count, parts), present)


def _new_vessels(
    eye: _Eye, arcades: _Branches, present: NDArray[np.bool_], draws: ImageStreams, size: int, curls: int = 9
) -> Floats:
    """Draw tangles of fine curls at the rim of the disc and along the arcades."""
    count = present.shape[1]
    total = count * curls
    x, y = _tangle_places(eye, arcades, draws, count)
    grown = _grow(
        x=np.repeat(x, curls, axis=1) + draws.spread(0.02, total),
        y=np.repeat(y, curls, axis=1) + draws.spread(0.02, total),
        heading=draws.angle(total),
        length=draws.uniform(0.12, 0.34, total),
        turn=draws.sign(total) * draws.uniform(1, 6, total),
        sway=draws.uniform(0.3, 0.9, total),
        phase=draws.angle(total),
        width=draws.uniform(0.008, 0.011, total),
        steps=max(12, size // 3),
    )
    return _dot_layer(eye, grown.x, grown.y, grown.width, np.repeat(present, curls, axis=1))


def _tangle_places(eye: _Eye, arcades: _Branches, draws: ImageStreams, count: int) -> tuple[Floats, Floats]:
    angle, distance = draws.angle(count), draws.uniform(1.4, 2.2, count) * eye.disc_radius[:, None]
    at_disc = draws.uniform(0, 1, count) < 0.4
    rows = np.arange(len(draws))[:, None]
    vessel = (draws.uniform(0, 1, count) * arcades.x.shape[1]).astype(np.int64)
    step = (draws.uniform(0.3, 0.55, count) * arcades.x.shape[2]).astype(np.int64)
    x = np.where(at_disc, eye.disc_x[:, None] + distance * np.cos(angle), arcades.x[rows, vessel, step])
    y = np.where(at_disc, eye.disc_y[:, None] + distance * np.sin(angle), arcades.y[rows, vessel, step])
    # An arcade may leave the field; its tangle is drawn back towards the middle.
    inwards = np.minimum(1, 0.75 / np.maximum(np.hypot(x, y), 0.01))
    return x * inwards, y * inwards


def _preretinal(eye: _Eye, draws: ImageStreams) -> Floats:
    """Draw a pool of blood before the retina: a disc cut off by its level surface."""
    x, y = _scatter(eye, draws, 1)
    radius = per_image(draws.uniform(0.14, 0.24))
    edge = per_image(1 / eye.radius)
    pool = ramp(radius - np.hypot(eye.x - per_image(x[:, 0]), eye.y - per_image(y[:, 0])), edge)
    return pool * ramp(eye.y - per_image(y[:, 0]), edge)


def _photograph(eye: _Eye, reflectance: Floats, draws: ImageStreams) -> NDArray[np.uint8]:
    """Light the fundus, cut the field of view out of the dark, and add the noise of the sensor."""
    distance = np.hypot(eye.x, eye.y)
    direction, slope = draws.angle(), draws.uniform(0, 0.18)
    light = 1.08 - per_image(draws.uniform(0.25, 0.5)) * distance**2
    light += eye.x * per_image(slope * np.cos(direction)) + eye.y * per_image(slope * np.sin(direction))
    light *= per_image(draws.uniform(0.88, 1.12)) * ramp(1 - distance, per_image(1.6 / eye.radius))
    balance = draws.uniform(0.96, 1.04, 3)[:, None, None, :]
    photograph = reflectance * np.maximum(light, 0)[..., None] * balance
    noise = draws.pixel_noise(*reflectance.shape[1:])
    photograph += noise * (1.2 + 0.012 * photograph)
    out: NDArray[np.uint8] = np.clip(np.rint(photograph), 0, 255).astype(np.uint8)
    return out
