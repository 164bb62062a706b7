"""Learning curves on disk: history.csv, an epoch a line."""

import csv

import numpy as np
from numpy.typing import NDArray

from penlight.errors import RunError

HISTORY = "history.csv"
COLUMNS = ("epoch", "loss", "val_loss", "headline", "val_headline", "learning_rate", "seconds")

_MOST_EPOCHS = 100_000
_LONGEST_LINE = 1_000
_REMEDY = "Repeat the run, or get it again from where it came."


def read_history(content: bytes, what: str) -> dict[str, NDArray[np.generic]]:
    """Read learning curves by name, (epochs,) each: `epoch` int64, the others float64.

    RunError, naming `what`, for other columns than COLUMNS, for very many or very long lines, and for what is no
    number.
    """
    try:
        lines = content.decode("ascii").splitlines()
        if len(lines) > _MOST_EPOCHS or max(map(len, lines), default=0) > _LONGEST_LINE:
            raise RunError(f"{what} has more than {_MOST_EPOCHS:,} lines, or longer ones than numbers need.", _REMEDY)
        header, *rows = csv.reader(lines, strict=True)
        if tuple(header) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
            raise ValueError(f"the columns {', '.join(COLUMNS)} were expected")
        table = np.array([[float(cell) for cell in row] for row in rows], np.float64).reshape(len(rows), len(COLUMNS))
        epochs = [int(row[0]) for row in rows]
        if epochs != list(range(1, len(rows) + 1)):
            raise ValueError("epochs were expected to be counted from 1")
    except (ValueError, csv.Error) as error:
        raise RunError(f"{what} is damaged: {str(error)[:200]}.", _REMEDY) from error
    return {"epoch": np.array(epochs, np.int64)} | {
        name: table[:, place] for place, name in enumerate(COLUMNS) if name != "epoch"
    }
