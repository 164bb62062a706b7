"""Tuning: which values of a recipe's keys do best on val, searched with Optuna and kept in a database.

`objective` says what a trial is worth, `samplers` where to look next, `search` runs trials, here or in several
processes. Importing this package loads Optuna, and only `penlight tune` does.
"""

import warnings

from penlight.errors import MissingExtraError

try:
    with warnings.catch_warnings():
        # Its progress bar, which is not used here, would have a notebook install widgets.
        warnings.simplefilter("ignore")
        import optuna  # noqa: F401
except ImportError as error:
    raise MissingExtraError(
        "Tuning needs optuna, which is not installed.", "Install it: pip install 'penlight[train]'"
    ) from error
