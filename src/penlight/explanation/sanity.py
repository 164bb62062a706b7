"""Whether maps say anything: do they depend on the weights, and do they point at what is known to be there?

Adebayo et al., Sanity Checks for Saliency Maps (2018); the pointing game is that of Zhang et al., Top-down Neural
Attention by Excitation Backprop (2016).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.explanation.maps import peaks
from penlight.models import LinearBaseline, load_keras

Floats = NDArray[np.float64]
Maps = NDArray[np.floating]

_APART = 2**20


def correlations(one: Maps, other: Maps) -> Floats:
    """Give Spearman's rank correlation of each pair of maps (N, H, W), (N,); NaN where a map is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (one, other)]
    a, b = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    spread = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    out: Floats = np.divide((a * b).sum(axis=1), spread, out=np.full(len(one), np.nan), where=spread > 0)
    return out


def untrained(network: Any, seed: int = 0) -> Any:
    """Copy a Keras network with weights as they are before any training, drawn anew with `seed`."""
    keras = load_keras()
    # Far from the seeds that networks are trained with, or the copy might be what training began with.
    keras.utils.set_random_seed(_APART + seed)
    return keras.models.clone_model(network)


def untrained_linear(model: LinearBaseline, seed: int = 0) -> LinearBaseline:
    """Copy a linear baseline with the weights of its pixels in a random order."""
    rng = np.random.default_rng(seed)
    return replace(model, weights=rng.permutation(model.weights.ravel()).reshape(model.weights.shape))


@dataclass(frozen=True)
class Pointing:
    """The pointing game on n images: how many maps have their highest place on what is known to be there (`hits`),
    and how many would if places were chosen at random (`expected`)."""

    hits: int
    expected: float
    n: int

    @property
    def p(self) -> float:
        """How probable so many hits are by chance: the upper tail of a binomial with the mean chance, which is
        cautious, for chances that differ vary less (Hoeffding 1956)."""
        from scipy.stats import binom

        return float(binom.sf(self.hits - 1, self.n, self.expected / self.n)) if self.n else float("nan")


def point(maps: Maps, masks: NDArray[np.bool_], tolerance: int = 1) -> Pointing:
    """Play the pointing game: maps (N, H, W) against masks (N, H, W) of what is there, grown by `tolerance` pixels.

    Images whose mask is empty do not count; an empty map is a miss.
    """
    from scipy.ndimage import binary_dilation

    square = np.ones((1, 2 * tolerance + 1, 2 * tolerance + 1), bool)
    grown: NDArray[np.bool_] = np.array(binary_dilation(masks, square), bool)
    there: NDArray[np.bool_] = np.logical_or.reduce(masks.reshape(len(masks), -1), axis=1)
    hits = [peak is not None and bool(grown[n][peak]) for n, peak in enumerate(peaks(maps)) if there[n]]
    return Pointing(sum(hits), float(grown[there].mean(axis=(1, 2)).sum()), int(there.sum()))
