"""Published scores of the MedMNIST sets, to stand beside one's own: facts alone.

MedMNIST v2: Yang et al., Scientific Data 10:41, 2023, the tables of ResNet-18 trained on 28 px images. Chosen on val,
scored by the official definitions of AUC and ACC.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Official AUC and ACC of a model on a set's test split, on the native labels at `size` pixels."""

    model: str
    size: int
    auc: float
    acc: float


def _resnet18(auc: float, acc: float) -> Published:
    return Published("ResNet-18", 28, auc, acc)


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
