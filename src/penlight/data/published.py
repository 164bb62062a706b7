"""Published scores of the MedMNIST sets, to stand beside one's own: facts alone, each with its source.

All are on the official test split at 28 px, by the official definitions of AUC and ACC. What a source does not say is
left open: NaN for a score, no word for how a model was started or chosen.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MEDMNIST = "MedMNIST v2: Yang et al., Scientific Data 10:41, 2023, table 3"
_TUNED = "github.com/rapotekhin/RetinaMNIST_Research"
_PLUS = "MedMNIST+ study: Doerrich et al., Scientific Reports 15, 2025, arXiv 2404.15786"

ON_TEST_LEFT_OUT = (
    "Higher figures in print at 28 px, as of the MedViT family, took the epoch that was best on test; they are left "
    "out."
)
"""Why what a reader may have seen elsewhere is not among the rows."""


@dataclass(frozen=True)
class Published:
    """Official AUC and ACC of a model on a set's test split, on the native labels at `size` pixels; NaN where not
    published.

    `source` is where they stand. `start` says whether the model began with random weights ("scratch") or with those
    of other images ("pre-trained"), and `chosen_on` on which split its epoch and settings were chosen; each is empty
    where the source does not say.
    """

    model: str
    size: int
    auc: float
    acc: float
    source: str
    start: Literal["scratch", "pre-trained", ""] = ""
    chosen_on: Literal["val", "test", ""] = ""


def _resnet18(auc: float, acc: float) -> Published:
    # Chosen on val: github.com/MedMNIST/experiments, issue 5.
    return Published("ResNet-18", 28, auc, acc, MEDMNIST, "scratch", "val")


def _resnet50(auc: float, acc: float = math.nan) -> Published:
    return Published("ResNet-50", 28, auc, acc, MEDMNIST, "scratch", "val")


def _tool(model: str, auc: float, acc: float = math.nan) -> Published:
    return Published(model, 28, auc, acc, MEDMNIST)


RESNET18: Mapping[str, Published] = {
    "pathmnist": _resnet18(0.983, 0.907),
    "chestmnist": _resnet18(0.768, 0.947),
    "dermamnist": _resnet18(0.917, 0.735),
    "octmnist": _resnet18(0.943, 0.743),
    "pneumoniamnist": _resnet18(0.944, 0.854),
    "retinamnist": _resnet18(0.717, 0.524),
    "breastmnist": _resnet18(0.901, 0.863),
    "bloodmnist": _resnet18(0.998, 0.958),
    "tissuemnist": _resnet18(0.930, 0.676),
    "organamnist": _resnet18(0.997, 0.935),
    "organcmnist": _resnet18(0.992, 0.900),
    "organsmnist": _resnet18(0.972, 0.782),
}
"""By the name of the set."""

_MORE: Mapping[str, tuple[Published, ...]] = {
    "retinamnist": (
        _resnet50(0.726, 0.528),
        _tool("auto-sklearn", 0.690, 0.515),
        _tool("AutoKeras", 0.719, 0.503),
        _tool("Google AutoML Vision", 0.750, 0.531),
        # With images enlarged to 224 px from the same 28.
        Published("ResNet-18, enlarged to 224", 28, 0.710, 0.493, MEDMNIST, "scratch", "val"),
        Published("ResNet-50, enlarged to 224", 28, 0.716, 0.511, MEDMNIST, "scratch", "val"),
        # Its README tells the settings one after the other: the one kept was best on test, and another on val.
        Published("ResNet-18, tuned", 28, 0.759, 0.545, _TUNED, "scratch", "test"),
        # Two models: the one with the highest AUC, and the one with the highest ACC, of the study's at 28 px, means
        # of three seeds. Each chose its epoch on val; that they are the highest is known of test. The study's figures
        # at larger sizes are printed as pictures, and none is here.
        Published("VGG16, end to end", 28, 0.7535, math.nan, _PLUS, "pre-trained", "val"),
        Published("ViT-B/16, linear probe", 28, math.nan, 0.5425, _PLUS, "pre-trained", "val"),
    ),
    "chestmnist": (
        _resnet50(0.769),
        _tool("auto-sklearn", 0.649),
        _tool("AutoKeras", 0.742),
        _tool("Google AutoML Vision", 0.778),
        Published("VGG16, end to end", 28, 0.7616, math.nan, _PLUS, "pre-trained", "val"),
    ),
}


def published_rows(name: str, size: int) -> tuple[Published, ...]:
    """Give what is published of a set's native labels at a size in pixels; empty for other sets and sizes."""
    rows = (*([RESNET18[name]] if name in RESNET18 else []), *_MORE.get(name, ()))
    return tuple(row for row in rows if row.size == size)
