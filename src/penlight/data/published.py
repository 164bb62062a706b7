"""Published scores of the MedMNIST sets, of `published.toml`, to stand beside a run's: each with its source.

All are on the official test split at 28 px, by the official definitions of AUC and ACC. What a source does not say is
left open: NaN for a score, no word for how a model was started or chosen.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from penlight.parsing import parse_toml

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


def _rows() -> dict[str, tuple[Published, ...]]:
    table = parse_toml(_TABLE.read_bytes(), _TABLE.name)
    missing = {"size": 28, "auc": math.nan, "acc": math.nan}
    return {
        name: tuple(Published(**{**missing, **row, "source": table["sources"][row["source"]]}) for row in rows)
        for name, rows in table["sets"].items()
    }


_TABLE = Path(__file__).with_suffix(".toml")
_ROWS = _rows()

RESNET18: Mapping[str, Published] = {name: rows[0] for name, rows in _ROWS.items()}
"""MedMNIST's ResNet-18, by the name of the set."""


def published_rows(name: str, size: int) -> tuple[Published, ...]:
    """Give what is published of a set's native labels at a size in pixels; empty for other sets and sizes."""
    return tuple(row for row in _ROWS.get(name, ()) if row.size == size)
