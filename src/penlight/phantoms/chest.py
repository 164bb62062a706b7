"""Chest films with the fourteen findings of ChestX-ray14, each drawn by its sign in its place.

Coordinates run from -1 to 1 over an upright body that fills the film; u points to the right of the film, which is the
left of the patient, and v down. A film shows density: 0 is air, 1 is the white of bone over the heart.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from penlight.errors import DataError
from penlight.phantoms.shared import FINDINGS, Floats, ImageStreams, bell, chunks, mottle, per_image, ramp

# Positive films of ChestMNIST's train split and its size, as published with MedMNIST.
_POSITIVES = (7996, 1950, 9261, 13914, 3988, 4375, 978, 3705, 3263, 1690, 1799, 1158, 2279, 144)
_FILMS = 78_468

# Latent correlation of any two findings, and what is added for those that come together. Chosen so that 54 % of films
# show nothing, 28 % one finding and 18 % more (NIH: 53.9, 27.5, 18.4).
_CORRELATION = 0.05
_TOGETHER = {
    ("atelectasis", "effusion"): 0.35,
    ("atelectasis", "infiltration"): 0.175,
    ("atelectasis", "consolidation"): 0.21,
    ("atelectasis", "pneumothorax"): 0.105,
    ("atelectasis", "hernia"): 0.07,
    ("cardiomegaly", "effusion"): 0.28,
    ("cardiomegaly", "edema"): 0.175,
    ("effusion", "infiltration"): 0.175,
    ("effusion", "consolidation"): 0.28,
    ("effusion", "mass"): 0.14,
    ("effusion", "pleural thickening"): 0.245,
    ("effusion", "pneumothorax"): 0.14,
    ("effusion", "edema"): 0.175,
    ("infiltration", "consolidation"): 0.14,
    ("infiltration", "edema"): 0.42,
    ("infiltration", "pneumonia"): 0.28,
    ("pneumonia", "edema"): 0.35,
    ("pneumonia", "consolidation"): 0.14,
    ("pneumothorax", "emphysema"): 0.49,
    ("mass", "nodule"): 0.28,
    ("mass", "consolidation"): 0.175,
    ("fibrosis", "pleural thickening"): 0.35,
    ("nodule", "fibrosis"): 0.14,
}

_CARDIOMEGALY = FINDINGS.index("cardiomegaly")
_ATELECTASIS = FINDINGS.index("atelectasis")
_EMPHYSEMA = FINDINGS.index("emphysema")

_DRAWS_PER_IMAGE = 1024
_DRAWS_PER_SIGN = 64

_AIR, _SOFT_TISSUE, _FLUID = 0.16, 0.62, 0.76

# A pixel belongs to a finding that covers this much of it.
_MASK_COVERAGE = 0.3


def sample_findings(n: int, seed: int) -> NDArray[np.uint8]:
    """Draw which findings n films show, (n, 14) of 0 and 1, with the prevalences of ChestMNIST's train split.

    A Gaussian copula: a finding is present where a normal number exceeds the quantile of its prevalence, and the
    normal numbers of findings that come together are correlated.
    """
    from scipy.special import ndtri

    # A key apart from those of `ImageStreams`, so that the findings are not drawn with the numbers of the anatomy.
    stream = np.random.default_rng((seed, 0, len(FINDINGS)))
    latent = stream.standard_normal((n, len(FINDINGS))) @ np.linalg.cholesky(_correlations()).T
    present: NDArray[np.bool_] = latent > -ndtri(np.array(_POSITIVES) / _FILMS)
    return present.astype(np.uint8)


def _correlations() -> NDArray[np.float64]:
    matrix = np.full((len(FINDINGS), len(FINDINGS)), _CORRELATION)
    for (one, other), extra in _TOGETHER.items():
        i, j = FINDINGS.index(one), FINDINGS.index(other)
        matrix[i, j] += extra
        matrix[j, i] += extra
    np.fill_diagonal(matrix, 1)
    return matrix


def draw_chest(findings: NDArray[np.integer], size: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Draw a frontal film for each row of `findings` (N, 14), of 0 and 1 in the order of FINDINGS.

    Gives images uint8 (N, size, size, 1) and masks uint16 (N, size, size), bit k for finding k. Image i depends on
    (seed, i, its findings, size) alone; without findings it is the same patient in health. DataError for findings of
    another shape or with other values.
    """
    present = _checked(findings)
    images = np.empty((len(findings), size, size, 1), np.uint8)
    masks = np.empty((len(findings), size, size), np.uint16)
    for part in chunks(len(findings), size):
        draws = ImageStreams(seed, part.start, part.stop, _DRAWS_PER_IMAGE)
        images[part, ..., 0], masks[part] = _draw_chunk(present[part], size, draws)
    return images, masks


def _checked(findings: NDArray[np.integer]) -> NDArray[np.bool_]:
    findings = np.asarray(findings)
    if findings.ndim != 2 or findings.shape[1] != len(FINDINGS):
        raise DataError(f"Findings of shape (N, {len(FINDINGS)}) were expected, {findings.shape} came.")
    if not np.isin(findings, (0, 1)).all():
        raise DataError(f"Findings must be 0 or 1, {findings.min()} to {findings.max()} came.")
    return findings.astype(bool)


@dataclass(frozen=True)
class _Thorax:
    """The anatomy of n patients. Arrays (n, H, W), or (n, 1, 1) for one value a patient.

    `u`, `v` are the coordinates of pixels, `aside` is |u| and `side` its sign; `pixel` is the width of a pixel.
    `axis` is the distance of a lung's long axis from the midline, `apex` the top of the lungs, `dome` the height of
    each diaphragm's top, `shrunk` the side that an atelectasis is on. `to_wall` is the depth inside the lung from its
    sides and `to_diaphragm` from its base; `lung`, `heart` and `body` say how much of a pixel they fill.
    """

    u: Floats
    v: Floats
    aside: Floats
    side: Floats
    pixel: Floats
    axis: Floats
    apex: Floats
    dome: Floats
    shrunk: Floats
    to_wall: Floats
    to_diaphragm: Floats
    lung: Floats
    heart: Floats
    body: Floats

    def take(self, rows: NDArray[np.integer]) -> "_Thorax":
        """Give some of the patients."""
        return _Thorax(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def edge(self, least: float) -> Floats:
        """Give the width of a soft edge: `least`, or a pixel and a half where pixels are coarser."""
        out: Floats = np.maximum(np.float32(least), 1.5 * self.pixel)
        return out

    def fades(self, period: float) -> Floats:
        """Say how much of a pattern with this period is left when pixels average over it."""
        left: Floats = np.sinc(np.minimum(self.pixel / period, 1)).astype(np.float32)
        return left**2


# A sign adds density to the films of those who have the finding, (m, H, W), and says where it is, booleans (m, H, W).
_Sign = Callable[[_Thorax, Floats, ImageStreams], tuple[Floats, NDArray[np.bool_]]]


def _draw_chunk(
    findings: NDArray[np.bool_], size: int, draws: ImageStreams
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    thorax = _anatomy(findings, size, draws)
    density = _healthy_density(thorax, draws)
    masks = np.zeros(density.shape, np.uint16)
    for k, sign in enumerate(_SIGNS):
        rows = np.flatnonzero(findings[:, k])
        block = draws.block(rows, _DRAWS_PER_SIGN)
        if len(rows):
            change, region = sign(thorax.take(rows), density[rows], block)
            density[rows] += change
            masks[rows] |= region.astype(np.uint16) << np.uint16(k)
    return _expose(thorax, density, draws), masks


def _anatomy(findings: NDArray[np.bool_], size: int, draws: ImageStreams) -> _Thorax:
    """Place the organs; an enlarged heart, lost or trapped air in the lungs change their shape."""
    u, v, pixel = _coordinates(draws, size)
    aside, side = np.abs(u), np.sign(u)
    emphysema = per_image(draws.uniform(0.3, 1) * findings[:, _EMPHYSEMA])
    dome = 0.22 + per_image(draws.spread(0.1)) + 0.03 * np.clip(u / 0.15, -1, 1) + 0.12 * emphysema
    # A lung that has lost volume pulls its diaphragm up.
    shrunk = per_image(draws.sign())
    lift = per_image(draws.uniform(0.03, 0.12) * findings[:, _ATELECTASIS])
    dome -= lift * (side == shrunk)
    apex = per_image(draws.uniform(-0.8, -0.7))
    axis = 0.37 + 0.05 * v + per_image(draws.spread(0.015))
    half_width = per_image(draws.uniform(0.29, 0.34)) + 0.02 * emphysema
    taper = np.clip((0.1 - v) / (0.1 - apex), 0, 1)
    to_wall = half_width * np.sqrt(1 - taper**2.2) - np.abs(aside - axis) - np.maximum(apex - v, 0)
    curve = per_image(draws.uniform(1.2, 1.8)) * (1 - 0.75 * emphysema)
    to_diaphragm = dome + curve * np.minimum(np.square(np.maximum(aside, 0.18) - 0.34), 0.15) - v
    edge = np.maximum(0.025, 1.5 * pixel)
    return _Thorax(
        u=u,
        v=v,
        aside=aside,
        side=side,
        pixel=pixel,
        axis=axis,
        apex=apex,
        dome=dome,
        shrunk=shrunk,
        to_wall=to_wall,
        to_diaphragm=to_diaphragm,
        lung=ramp(np.minimum(to_wall, to_diaphragm), edge),
        heart=_heart(u, v, findings[:, _CARDIOMEGALY], edge, draws),
        body=_body(aside, v, edge, draws),
    )


def _coordinates(draws: ImageStreams, size: int) -> tuple[Floats, Floats, Floats]:
    step = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * np.float32(2 / size)
    scale, turn = draws.uniform(0.84, 1.04), draws.spread(0.06)
    right, down = step[None, None, :], step[None, :, None]
    across, along = per_image(scale * np.cos(turn)), per_image(scale * np.sin(turn))
    u = right * across + down * along + per_image(draws.spread(0.07))
    v = down * across - right * along + per_image(draws.spread(0.07))
    return u, v, per_image(scale) * np.float32(2 / size)


def _heart(u: Floats, v: Floats, enlarged: NDArray[np.bool_], edge: Floats, draws: ImageStreams) -> Floats:
    growth = 1 + draws.uniform(0.12, 0.4) * enlarged
    long, short = per_image(draws.uniform(0.31, 0.38) * growth), per_image(draws.uniform(0.23, 0.27) * growth**0.8)
    tilt = per_image(draws.uniform(0.55, 0.8))
    right, down = u - 0.1 - 0.3 * (long - 0.35), v - 0.16
    distance = np.hypot(
        (right * np.cos(tilt) + down * np.sin(tilt)) / long, (down * np.cos(tilt) - right * np.sin(tilt)) / short
    )
    heart = ramp((1 - distance) * short, edge)
    vessels = ramp(0.13 + 0.05 * np.maximum(v, -0.3) - np.abs(u - 0.02), edge) * ramp(0.35 - v, 0.1)
    knob = ramp(0.085 - np.hypot(u - 0.1, 0.8 * (v + 0.26)), edge)
    return np.maximum(heart, np.maximum(vessels, knob))


def _body(aside: Floats, v: Floats, edge: Floats, draws: ImageStreams) -> Floats:
    # The neck runs into the shoulders along the trapezius.
    neck = per_image(draws.uniform(0.2, 0.26))
    slope = np.maximum(aside - neck, 0)
    shoulder = per_image(draws.uniform(-1.02, -0.9)) + 0.28 * slope + 0.5 * np.maximum(aside - 0.75, 0) ** 1.5
    shoulder -= 0.35 * np.exp(-slope / 0.06)
    trunk = per_image(draws.uniform(0.86, 1.05)) + 0.25 * np.maximum(-v - 0.2, 0) - aside
    return ramp(np.minimum(v - shoulder, trunk), edge * 2)


def _healthy_density(thorax: _Thorax, draws: ImageStreams) -> Floats:
    """Add up what the rays pass through, (n, H, W)."""
    aside, u, v = thorax.aside, thorax.u, thorax.v
    # Lungs are thinner towards their edges, and so is the air that darkens them.
    thickness = 0.62 + 0.38 * np.clip(np.minimum(thorax.to_wall, thorax.to_diaphragm) / 0.16, 0, 1)
    open_lung = thorax.lung * (1 - 0.92 * thorax.heart)
    density: Floats = _SOFT_TISSUE - 0.12 * np.maximum(aside - 0.55, 0) - 0.16 * ramp(-0.62 - v, 0.35)
    abdomen = ramp(-thorax.to_diaphragm - 0.02, 0.12) * ramp(0.85 - aside, 0.5)
    density += open_lung * (_AIR - density) * thickness * per_image(draws.uniform(0.8, 1.0))
    density += np.maximum(0.17 * abdomen, 0.12 * thorax.heart)
    density += bell(u, 0.07) * (0.08 + 0.03 * thorax.fades(0.16) * np.sin(v * np.float32(2 * np.pi / 0.16)))
    density -= 0.1 * bell(u, 0.035) * ramp(-0.32 - v, 0.12)
    density += 0.015 * mottle(draws, u, v, 4, 16)
    density += _lung_markings(thorax, draws) * open_lung
    density += _bones(thorax, draws)
    density -= _stomach_bubble(thorax, draws)
    return density


def _lung_markings(thorax: _Thorax, draws: ImageStreams) -> Floats:
    """Draw the hila and the vessels that fan out of them."""
    right, down = thorax.aside - 0.14, thorax.v + 0.03
    distance = np.hypot(right, down)
    fan = np.arctan2(down, right) + thorax.side
    fan *= per_image(draws.uniform(10, 16))
    branching = np.maximum(np.sin(fan + 4 * np.sin(6 * distance) + per_image(draws.angle())), 0)
    hilum = bell(distance, 0.1) * per_image(draws.uniform(0.14, 0.22))
    markings: Floats = (0.02 + 0.11 * branching * thorax.fades(0.1)) * np.exp(-2.6 * distance)
    return hilum + markings


def _bones(thorax: _Thorax, draws: ImageStreams) -> Floats:
    """Draw ribs, posterior and anterior, and clavicles."""
    aside, v = thorax.aside, thorax.v
    spacing = draws.uniform(0.145, 0.17)
    turns = per_image(2 * np.pi / spacing)
    phase = per_image(draws.angle())
    cage = ramp(thorax.to_wall + 0.05, 0.06) * ramp(aside - 0.06, 0.08) * ramp(thorax.to_diaphragm + 0.1, 0.2)
    posterior = np.clip(0.4 + 1.1 * np.sin((v + 0.25 * aside - 0.75 * aside**2) * turns + phase), 0, 1)
    anterior = np.clip(0.3 + np.sin((v - 0.95 * aside) * turns + phase), 0, 1) * ramp(aside - 0.4, 0.3)
    ribs: Floats = (0.075 * posterior + 0.05 * anterior) * cage * thorax.fades(0.155)
    height = -0.53 + per_image(draws.spread(0.05)) - 0.2 * np.sin(np.minimum(aside, 0.85) * 2.1)
    clavicle = ramp(0.028 - np.abs(v - height), thorax.edge(0.015))
    clavicle *= ramp(0.82 - aside, 0.1) * ramp(aside - 0.08, 0.05)
    return ribs + 0.12 * clavicle


def _stomach_bubble(thorax: _Thorax, draws: ImageStreams) -> Floats:
    size, shown = per_image(draws.uniform(0.06, 0.12)), per_image(draws.uniform(0, 1)) < 0.6
    right = thorax.u - 0.36 - per_image(draws.spread(0.08))
    bubble = ramp(1 - np.hypot(right / (1.5 * size), (thorax.v - thorax.dome - 0.06 - size) / size), 0.5)
    return 0.22 * bubble * shown


def _expose(thorax: _Thorax, density: Floats, draws: ImageStreams) -> NDArray[np.uint8]:
    """Turn density into the grey of a film, with its exposure, contrast and noise."""
    density = np.clip(density, 0.02, 1) * (0.06 + 0.94 * thorax.body)
    grey = density ** per_image(draws.uniform(0.75, 1.3)) * per_image(draws.uniform(215, 285))
    grey += per_image(draws.uniform(-4, 14))
    grey += draws.pixel_noise(*density.shape[1:]) * per_image(draws.uniform(2, 5))
    out: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return out


def _place_in_lung(
    thorax: _Thorax, draws: ImageStreams, low: float = 0.2, high: float = 0.85
) -> tuple[Floats, Floats]:
    """Choose a point (m, 1, 1) in either lung; `low` and `high` are heights, 0 at the apex and 1 at the diaphragm."""
    side = per_image(draws.sign())
    top, base = thorax.apex, 0.15
    v = top + per_image(draws.uniform(low, high)) * (base - top)
    return side * (0.38 + 0.05 * v + per_image(draws.spread(0.14))), v


def _towards(density: Floats, target: float, cover: Floats) -> Floats:
    """Give the change that turns as much of a pixel as `cover` says into the density `target`."""
    return cover * (target - density)


def _round(thorax: _Thorax, u: Floats, v: Floats, radius: Floats, softness: float) -> Floats:
    """Cover a round spot; its edge is `softness` of its radius wide, and a pixel at least."""
    depth = radius - np.hypot(thorax.u - u, thorax.v - v)
    return ramp(depth, np.maximum(softness * radius, thorax.pixel))


def _patches(
    thorax: _Thorax, draws: ImageStreams, count: int, radius: tuple[float, float], heights: tuple[float, float]
) -> Floats:
    """Cover the lungs with `count` soft clouds of uneven density, at `heights` as in `_place_in_lung`."""
    clear = np.ones(thorax.lung.shape, np.float32)
    for _ in range(count):
        u, v = _place_in_lung(thorax, draws, *heights)
        size, stretch = per_image(draws.uniform(*radius)), per_image(draws.uniform(0.75, 1.3))
        clear *= 1 - bell(np.hypot((thorax.u - u) * stretch, (thorax.v - v) / stretch), size * 0.6)
    uneven = 1 + 0.3 * mottle(draws, thorax.u, thorax.v, 15, 45, waves=3)
    return np.clip((1 - clear) * uneven, 0, 1) * thorax.lung


def _opacity(
    density: Floats, cover: Floats, draws: ImageStreams, target: float, strength: tuple[float, float]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Turn what is covered towards `target`, by a share drawn from `strength`."""
    return _towards(density, target, cover * per_image(draws.uniform(*strength))), cover >= _MASK_COVERAGE


def _net(thorax: _Thorax, draws: ImageStreams, low: float, high: float) -> Floats:
    """Draw the lines where an uneven pattern crosses zero, 0 to 1; coarser where pixels could not show it."""
    finest = 0.5 * thorax.u.shape[-1]
    pattern = mottle(draws, thorax.u, thorax.v, min(low, 0.7 * finest), min(high, finest), waves=6)
    return 1 - np.minimum(np.abs(pattern), 1)


def _atelectasis(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """Plates of collapsed lung above the raised diaphragm."""
    cover = np.zeros(density.shape, np.float32)
    for _ in range(2):
        right = thorax.u - thorax.shrunk * per_image(draws.uniform(0.34, 0.46))
        slope = per_image(draws.spread(0.45))
        down = thorax.v - (thorax.dome - per_image(draws.uniform(0.07, 0.24))) - slope * right
        plate = ramp(per_image(draws.uniform(0.02, 0.035)) - np.abs(down), thorax.edge(0.02))
        cover = np.maximum(cover, plate * ramp(per_image(draws.uniform(0.13, 0.24)) - np.abs(right), 0.08))
    return _opacity(density, cover, draws, 0.72, (0.45, 0.85))


def _cardiomegaly(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """The heart is drawn large already."""
    return np.zeros_like(density), (thorax.heart >= 0.5) & (thorax.v > -0.15)


def _effusion(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """Fluid that fills the angle beside the diaphragm and climbs the wall."""
    side = per_image(draws.sign())
    level = thorax.dome + 0.1 - per_image(draws.uniform(0.02, 1) ** 1.5) * 0.4
    surface = level - 0.9 * np.square(np.maximum(thorax.aside - 0.3, 0))
    inside = ramp(thorax.to_wall + 0.02, thorax.edge(0.03)) * ramp(thorax.to_diaphragm + 0.1, 0.05)
    cover = ramp(thorax.v - surface, thorax.edge(0.07)) * inside * (thorax.side == side)
    return _opacity(density, cover, draws, _FLUID, (0.75, 1.0))


def _infiltration(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """Several faint, ill-defined clouds anywhere in the lungs."""
    return _opacity(density, _patches(thorax, draws, 4, (0.1, 0.19), (0.2, 0.95)), draws, 0.62, (0.25, 0.5))


def _mass(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """One large round spot."""
    u, v = _place_in_lung(thorax, draws)
    cover = _round(thorax, u, v, per_image(draws.uniform(0.095, 0.17)), 0.35)
    return _opacity(density, cover, draws, 0.74, (0.6, 1.0))


def _nodule(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """One to three small round spots."""
    several, cover = draws.uniform(0, 1), np.zeros(density.shape, np.float32)
    for least in (0, 0.6, 0.85):
        shown = per_image((several >= least).astype(np.float32))
        u, v = _place_in_lung(thorax, draws)
        radius = np.maximum(per_image(draws.uniform(0.035, 0.06)), 0.75 * thorax.pixel)
        cover = np.maximum(cover, _round(thorax, u, v, radius, 0.5) * shown)
    return _opacity(density, cover, draws, 0.72, (0.6, 1.0))


def _pneumonia(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """One uneven cloud as large as a lobe, low in a lung."""
    return _opacity(density, _patches(thorax, draws, 1, (0.24, 0.34), (0.5, 0.9)), draws, 0.68, (0.55, 0.9))


def _pneumothorax(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """A dark rim without markings around the top and the side of a lung that has come off the wall."""
    side, width = per_image(draws.sign()), per_image(draws.uniform(0.07, 0.2))
    outer = ramp(thorax.aside - thorax.axis + 0.9 * np.maximum(-0.35 - thorax.v, 0), 0.15)
    reach = ramp(per_image(draws.uniform(-0.1, 0.3)) - thorax.v, 0.25)
    there = thorax.lung * outer * reach * (thorax.side == side)
    rim = ramp(width * reach - thorax.to_wall, thorax.edge(0.015)) * there
    pleura = ramp(0.012 - np.abs(thorax.to_wall - width * reach), thorax.edge(0.012)) * there
    change = _towards(density, 0.03, rim * per_image(draws.uniform(0.75, 1.0)))
    return change + 0.16 * thorax.fades(0.05) * pleura, rim >= _MASK_COVERAGE


def _consolidation(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """A dense patch with a clear edge along a fissure, crossed by air-filled bronchi."""
    u, v = _place_in_lung(thorax, draws, 0.25, 0.85)
    size, slope = per_image(draws.uniform(0.13, 0.22)), per_image(draws.spread(0.4))
    down, right = thorax.v - v - slope * (thorax.u - u), thorax.u - u
    blob = (np.abs(right / size) ** 3 + np.abs(down / (0.75 * size)) ** 3) ** np.float32(1 / 3)
    depth = (1 - blob) * size + 0.02 * mottle(draws, thorax.u, thorax.v, 10, 30, waves=3)
    bronchi = _net(thorax, draws, 18, 30) ** 4
    cover = ramp(depth, thorax.edge(0.06)) * thorax.lung * (1 - 0.35 * bronchi)
    return _opacity(density, cover, draws, 0.74, (0.6, 0.95))


def _edema(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """Haze around both hila in the shape of a bat's wings."""
    width, height = per_image(draws.uniform(0.17, 0.24)), per_image(draws.uniform(0.2, 0.3))
    wings = bell(np.hypot((thorax.aside - 0.2) / width, (thorax.v + 0.02 - 0.2 * thorax.aside) / height), 0.85)
    uneven = 1 + 0.25 * mottle(draws, thorax.u, thorax.v, 15, 50, waves=3)
    return _opacity(density, np.clip(wings * uneven, 0, 1) * thorax.lung, draws, 0.68, (0.25, 0.7))


def _emphysema(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """Lungs darker and with fewer markings; that they are large and their diaphragms flat is drawn already."""
    cover = thorax.lung * (1 - thorax.heart)
    return _towards(density, 0.06, cover * per_image(draws.uniform(0.15, 0.5))), thorax.lung >= 0.5


def _fibrosis(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """A net of fine lines, thickest at the bases and along the walls."""
    net = _net(thorax, draws, 40, 70) ** 2
    where = thorax.lung * np.maximum(ramp(thorax.v + 0.05, 0.5), 0.5 * ramp(0.07 - thorax.to_wall, 0.06))
    change, _ = _opacity(density, where * net, draws, 0.75, (0.6, 1.0))
    return change, where >= _MASK_COVERAGE


def _pleural_thickening(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """A bright band along the side wall of a lung."""
    side, thick = per_image(draws.sign()), per_image(draws.uniform(0.055, 0.1))
    middle, length = per_image(draws.uniform(-0.3, 0.1)), per_image(draws.uniform(0.2, 0.35))
    bumpy = thick * (1 + 0.25 * mottle(draws, thorax.u, thorax.v, 8, 25, waves=2))
    wall = ramp(bumpy - thorax.to_wall, thorax.edge(0.02)) * ramp(thorax.to_wall + 0.02, thorax.edge(0.02))
    along = ramp(length - np.abs(thorax.v - middle), 0.12) * ramp(thorax.to_diaphragm, 0.05)
    cover = wall * along * (thorax.aside > thorax.axis) * (thorax.side == side)
    return _opacity(density, cover, draws, _FLUID, (0.6, 1.0))


def _hernia(thorax: _Thorax, density: Floats, draws: ImageStreams) -> tuple[Floats, NDArray[np.bool_]]:
    """A bubble of stomach behind the heart: a bright wall, air above and fluid below a level."""
    radius = per_image(draws.uniform(0.13, 0.19))
    u, v = per_image(draws.uniform(-0.02, 0.12)), thorax.dome.min(axis=(1, 2), keepdims=True) - 0.02 - 0.5 * radius
    bubble = _round(thorax, u, v, radius, 0.15)
    inner = _round(thorax, u, v, radius - 0.03, 0.25)
    air = inner * ramp(v + per_image(draws.uniform(0.3, 0.6)) * radius - thorax.v, thorax.edge(0.03))
    change = _towards(density, 0.95, 0.8 * (bubble - air)) + _towards(density, 0.3, 0.8 * air)
    return change, bubble >= _MASK_COVERAGE


_SIGNS: tuple[_Sign, ...] = (
    _atelectasis,
    _cardiomegaly,
    _effusion,
    _infiltration,
    _mass,
    _nodule,
    _pneumonia,
    _pneumothorax,
    _consolidation,
    _edema,
    _emphysema,
    _fibrosis,
    _pleural_thickening,
    _hernia,
)
