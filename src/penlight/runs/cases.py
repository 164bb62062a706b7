"""A few test images of a run with saliency maps, as `train` computed them."""

import io
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.data.archives import Wanted, read_archive
from penlight.errors import RunError
from penlight.records.run import ExplainedRecord

EXPLAINED = "explained.npz"
SCHEMA = 1

_WANTED = {
    "rows": Wanted(np.int64, 1),
    "columns": Wanted(np.int64, 1),
    "maps": Wanted(np.uint8, 3),
    "alike": Wanted(np.float64, 1),
}
_LARGEST = 64 << 20
_MOST = 10_000
_LARGEST_SIDE = 4096
_TINY = 1e-6


@dataclass(frozen=True)
class ExplainedCases:
    """Maps of n test images.

    `rows` (n,) of the test split's predictions, `columns` (n,) of the label that each map is about, `maps` (n, H, W)
    float32 of 0 to 1; `method` names how they were made, `meaning` says what a map shows; `alike` (n,) correlates
    each with the map of a model whose weights are random, NaN where it is undefined.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    maps: NDArray[np.float32]
    method: str
    meaning: str
    alike: NDArray[np.float64]

    @property
    def mean_alike(self) -> float:
        """The mean of `alike` over the images where it is known; NaN where it is for none."""
        known = self.alike[np.isfinite(self.alike)]
        return float(known.mean()) if len(known) else float("nan")


def cases_to_bytes(cases: ExplainedCases) -> bytes:
    """Give cases as the bytes of a compressed npz, maps in steps of 1/255; the same cases give the same bytes."""
    about = {"schema": SCHEMA, "method": cases.method, "meaning": cases.meaning}
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        about=np.array(json.dumps(about, sort_keys=True)),
        rows=cases.rows,
        columns=cases.columns,
        maps=np.rint(255 * cases.maps).astype(np.uint8),
        alike=cases.alike,
    )
    return buffer.getvalue()


def cases_from_bytes(content: bytes, where: str = EXPLAINED) -> ExplainedCases:
    """Read what `cases_to_bytes` gave. RunError, naming `where`, if it is damaged or of another schema."""
    about, arrays = read_archive(
        ExplainedRecord, content, _WANTED, where, "Repeat the run.", largest=_LARGEST, schema=SCHEMA
    )
    rows, columns, maps, alike = arrays["rows"], arrays["columns"], arrays["maps"], arrays["alike"]
    n = len(rows)
    if any(len(part) != n for part in (columns, maps, alike)) or (n and min(rows.min(), columns.min()) < 0):
        raise RunError(f"{where} does not have a row, a label and a map for each image.", "Repeat the run.")
    if n > _MOST or not all(1 <= side <= _LARGEST_SIDE for side in maps.shape[1:]):
        raise RunError(f"{where} has maps of the shape {maps.shape}.", "Repeat the run.")
    if np.isinf(alike).any() or (np.abs(alike) > 1 + _TINY).any():
        raise RunError(f"alike in {where} must hold correlations, from -1 to 1.", "Repeat the run.")
    return ExplainedCases(
        rows, columns, maps.astype(np.float32) / np.float32(255), about.method, about.meaning, alike
    )


def surest(where: NDArray[np.bool_], sureness: NDArray[np.float64], most: int) -> list[tuple[int, int]]:
    """Give rows and columns of the surest cells among `where` (N, C), one per row, the surest first."""
    masked = np.where(where, sureness, -np.inf)
    best = masked.max(axis=1)
    rows = np.argsort(-best, kind="stable")[:most]
    return [(int(r), int(np.argmax(masked[r]))) for r in rows if np.isfinite(best[r])]


def surest_of_each(where: NDArray[np.bool_], sureness: NDArray[np.float64], most: int) -> list[tuple[int, int]]:
    """Give rows and columns of the surest cells of each column in turn, an equal number of each, at most `most`."""
    each = max(1, most // where.shape[1])
    chosen: list[tuple[int, int]] = []
    for c in range(where.shape[1]):
        only = np.zeros_like(where)
        only[:, c] = where[:, c]
        chosen += surest(only, sureness, each)
    return chosen[:most]
