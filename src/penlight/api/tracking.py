"""Send runs that are there to an experiment tracker."""

from collections.abc import Sequence

from penlight.api.paths import PathLike, path_of
from penlight.errors import PenlightError, TrackingError
from penlight.records import Record
from penlight.runs import open_run
from penlight.runs.groups import kind_of, open_group
from penlight.tracking.mlflow_store import shown
from penlight.tracking.tracker import Sender, open_tracker, reason_of


class Tracked(Record):
    """What `track` sent to the tracker at the address `to`: the names of runs, and how many it had already."""

    to: str
    sent: Sequence[str]
    known: int


def track(run: PathLike, to: str) -> Tracked:
    """Send a run, or a folder of several, to an experiment tracker: epochs, scores, parameters and files.

    `to` is "mlflow:URI" with the address of a server or an SQLite database, "mlflow" for MLFLOW_TRACKING_URI, or
    "tensorboard:FOLDER". What was sent before is not sent again. TrackingError for another address, and where the
    tracker does not take the run; RunError for a damaged run, MissingExtraError without the tracker's library.

    Examples
    --------
    >>> pl.track("runs/retina", to="tensorboard:logs").sent
    ['retina']
    """
    folder = path_of(run, "run folder")
    one = kind_of(folder) in (None, "tuning")
    runs = [open_run(folder)] if one else []
    tracker = open_tracker(to)
    sender = Sender(tracker)
    try:
        if one:
            total, sent = 1, [own.name for own in runs if sender.send_run(own)]
        else:
            total, sent = len(open_group(folder).folders), sender.send_group(folder)
    except PenlightError:
        raise
    except Exception as error:  # of every kind, as they are those of libraries
        raise TrackingError(
            f"{shown(to)} did not take all of {folder}: {reason_of(error, to)}.",
            "The same command sends what is missing.",
        ) from error
    finally:
        tracker.close()
    return Tracked(shown(to), sent, total - len(sent))
