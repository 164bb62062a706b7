"""A few test images of a run with maps of what the model looked at, as `train` computed them."""

import io
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.errors import RunError

EXPLAINED = "explained.npz"
SCHEMA = 1


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
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            rows, columns, maps, alike = (arrays[name] for name in ("rows", "columns", "maps", "alike"))
    except Exception as error:
        raise RunError(f"{where} is not what Penlight writes, or it is damaged.", "Repeat the run.") from error
    if about.get("schema") != SCHEMA:
        raise RunError(f"{where} was written by another version of Penlight.", "Repeat the run.")
    return ExplainedCases(rows, columns, maps.astype(np.float32) / 255, about["method"], about["meaning"], alike)
