"""The methods in one table, and the choice among them. Add one by writing its two functions and a row."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.errors import ExplainError, UnknownNameError
from penlight.explanation import networks
from penlight.explanation.maps import Floats, Images, Subject, enlarged, relative
from penlight.explanation.occlusion import occlusion
from penlight.tasks.links import Columns

AUTO = "auto"


@dataclass(frozen=True)
class Method:
    """A way to say what an answer rests on.

    `fits` says whether a subject has what it needs; `raw` gives maps (N, h, w) whose positive values speak for the
    labels `columns` (N,) of images (N, H, W, C); `title` names it, `meaning` says in one sentence what a map shows
    and what it does not; `needs` ends the sentence "It needs ..."; `inside` says that it looks into a Keras network.
    """

    title: str
    meaning: str
    needs: str
    fits: Callable[[Subject], bool]
    raw: Callable[[Subject, Images, Columns], Floats]
    inside: bool = True


_NETWORK = "the Keras file of a network with maps, and Keras with its backend"

METHODS: dict[str, Method] = {
    "cam": Method(
        "class activation map",
        "A map shows the exact share of each place of the network's last maps in what speaks for the label; those "
        "maps are coarse, and each of their places sees much of the image.",
        "a network whose last maps are averaged and read by one dense layer, and no cumulative grades, or an encoder "
        "whose maps are averaged",
        networks.has_linear_end,
        networks.cam,
    ),
    "gradcam": Method(
        "Grad-CAM",
        "A map sums the network's last maps, each weighted by how much it raises the label's odds on average over "
        "the image; it is coarse, and where a dense layer reads each place by its own weights it loses the places.",
        _NETWORK,
        networks.has_maps,
        networks.gradcam,
    ),
    "hirescam": Method(
        "HiResCAM",
        "A map sums the network's last maps, each place weighted by how much it raises the label's odds; it is "
        "coarse, and an estimate to first order of what the network used.",
        _NETWORK,
        networks.has_maps,
        networks.hirescam,
    ),
    "occlusion": Method(
        "occlusion",
        "A map shows how far the label's odds fall when a square of a seventh of the side is covered with its own "
        "mean; what two places say together, or either alone as well, it does not show.",
        "nothing but answers",
        # Anything that answers can be asked again with a part covered.
        lambda subject: True,
        occlusion,
        inside=False,
    ),
}

# Of small images occlusion takes milliseconds, and points about as well as what looks inside
# (benchmarks/pointing.py); it needs no Keras, so a server gives the map that the command gives. Of large ones each of
# its passes is dear, and a network's last maps are fine enough.
_SMALL = 64
_OF_SMALL = ("occlusion",)
_OF_LARGE = ("cam", "hirescam", "occlusion")
# An encoder's maps are exact and cost one pass. On drawn films of 28 px, where they have 4 places a side, their
# highest place was on the finding in 6 of 60 images, which is chance; occlusion's, of 49 windows, in 26.
_FINE = 7


def candidates(side: int, method: str = AUTO) -> tuple[str, ...]:
    """Name the methods to try where the model computes with images of `side` pixels, in their order: the one asked
    for, or with "auto" occlusion for small images, and for those above 64 px cam, hirescam and occlusion.

    UnknownNameError for a name that is not in the table.
    """
    if method == AUTO:
        return _OF_SMALL if side <= _SMALL else _OF_LARGE
    if method not in METHODS:
        raise UnknownNameError("method of explanation", method, [AUTO, *METHODS])
    return (method,)


def choose(subject: Subject, side: int, method: str = AUTO) -> str:
    """Give the first of the `candidates` that fits, with "auto" of a model that gives class activation maps those,
    if they are fine enough. ExplainError where none does."""
    names = ("cam",) if method == AUTO and subject.map_side >= _FINE else candidates(side, method)
    for name in names:
        if METHODS[name].fits(subject):
            return name
    raise ExplainError(
        f"{names[0]} does not fit this model. It needs {METHODS[names[0]].needs}.", "Use --method auto."
    )


def explain_images(subject: Subject, images: Images, columns: Columns, method: str = AUTO) -> NDArray[np.float32]:
    """Give a map (N, H, W) of 0 to 1 for images (N, H, W, C) and a label's column of each, (N,).

    0 is where nothing speaks for the label, 1 the place of that map where most does; each map is by itself, so two
    maps cannot be compared in strength. A map is 0 everywhere where nothing in the image speaks for the label. The
    same model and images give the same maps.
    """
    if not len(images):
        return np.zeros(images.shape[:3], np.float32)
    raw = METHODS[choose(subject, images.shape[1], method)].raw(subject, images, np.asarray(columns, np.int64))
    return relative(enlarged(raw, *images.shape[1:3])).astype(np.float32)
