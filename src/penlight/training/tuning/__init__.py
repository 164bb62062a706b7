"""Tuning: which values of a recipe's keys do best on val, searched with Optuna and kept in a database.

`objective` says what a trial is worth, `samplers` where to look next, `search` runs trials one after the other, and
`workers` in several processes. Importing this package loads Optuna, and only `penlight tune` does.
"""

from penlight.errors import MissingExtraError

try:
    import optuna  # noqa: F401
except ImportError as error:
    raise MissingExtraError(
        "Tuning needs optuna, which is not installed.", "Install it: pip install 'penlight[train]'"
    ) from error

from penlight.training.tuning.folder import TuningFolder, default_folder
from penlight.training.tuning.objective import Repeats, choose_repeats
from penlight.training.tuning.samplers import SAMPLERS
from penlight.training.tuning.search import TrialLimits, TuningProgress, TuningResult, make_limits
from penlight.training.tuning.setup import Setup, make_setup
from penlight.training.tuning.workers import run

__all__ = [
    "SAMPLERS",
    "Repeats",
    "Setup",
    "TrialLimits",
    "TuningFolder",
    "TuningProgress",
    "TuningResult",
    "choose_repeats",
    "default_folder",
    "make_limits",
    "make_setup",
    "run",
]
