"""Trackers by their addresses, and the listener that sends them runs while these are trained."""

import contextlib
import functools
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from penlight.data.catalog import info_of_reference
from penlight.errors import TrackingError, TrainingError, first_line
from penlight.experiments.progress import ProgressListener
from penlight.runs import RunFolder
from penlight.runs.groups import open_group
from penlight.tracking.mlflow_store import MlflowStore, shown
from penlight.tracking.record import (
    TrackedEpoch,
    TrackedRun,
    TrackedScores,
    epochs_of,
    scores_of_group,
    scores_of_run,
    scores_of_tuning,
    tracked_epoch,
    tracked_group,
    tracked_run,
    tracked_trial,
)
from penlight.tracking.tensorboard import TensorboardFolder

if TYPE_CHECKING:
    from penlight.experiments.executors.work import JobState
    from penlight.experiments.run import RunSpec
    from penlight.experiments.studies import StudyProgress
    from penlight.recipes import Recipe
    from penlight.recipes.space import Trial
    from penlight.training import Epoch

# When the work is done, a tracker that takes nothing for the first time, or not all in the second, is left.
_SILENCE, _LONGEST = 20.0, 60.0
# So long a command that was interrupted waits for the tracker to hear of it.
_FAREWELL = 3.0


class Tracker(Protocol):
    """A place that runs are sent to. Any error may be raised; what was sent before one stays."""

    def begin(self, run: TrackedRun, version: str = "") -> bool:
        """Begin a run, or go on with the one of its key that is not finished; its parent was begun before. False
        where the run of this `version` is there already, with all that belongs to it."""

    def log(self, key: str, epochs: Sequence[TrackedEpoch]) -> None:
        """Add epochs, but for those that are there already."""

    def end(self, key: str, scores: TrackedScores) -> None:
        """Add scores and files where these are not there yet, and finish the run."""

    def stop(self, *, failed: bool) -> None:
        """Say that the runs that are not finished were interrupted, and may go on, or have `failed`."""

    def close(self) -> None:
        """Close what is open."""


TRACKERS: dict[str, Callable[[str], Tracker]] = {"mlflow": MlflowStore, "tensorboard": TensorboardFolder}
"""Kinds of trackers by the word that an address begins with; each takes what follows the colon."""


def open_tracker(address: str) -> Tracker:
    """Open a tracker by its address: "mlflow:URI", "mlflow" (MLFLOW_TRACKING_URI) or "tensorboard:FOLDER".

    TrackingError for an address that no tracker has, MissingExtraError where its library is not installed. Whether a
    server answers is not known yet.
    """
    kind, _, rest = address.partition(":")
    if kind not in TRACKERS:
        raise TrackingError(
            f"There is no tracker '{shown(address)}'.",
            "Give mlflow:sqlite:///runs.db, mlflow:http://HOST:PORT or tensorboard:FOLDER.",
        )
    return TRACKERS[kind](rest)


@contextlib.contextmanager
def tracking(listener: ProgressListener, address: str | None) -> Iterator[ProgressListener]:
    """Give a listener that also sends runs to the tracker of an address; the listener itself without one. Errors as
    in `open_tracker`; what goes wrong later is a warning."""
    if address is None:
        yield listener
        return
    tracked = TrackingListener(listener, open_tracker(address), address)
    try:
        yield tracked
    except BaseException as error:
        tracked.stop(failed=isinstance(error, TrainingError))
        raise
    tracked.close()


class Sender:
    """Sends run folders, and what is known of one that is not finished, to a tracker. Errors are the tracker's."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self._best: dict[Path, Mapping[str, float]] = {}

    def send_epochs(self, spec: "RunSpec", group: Path | None, rows: Sequence["Epoch"]) -> None:
        """Send epochs of a run that is being trained."""
        info = info_of_reference(spec.recipe.data.dataset)
        parent = self._begin_group(group, None if spec.by == "study" else spec.recipe, info.name)
        run = tracked_run(spec.folder, spec.recipe, spec.seed, info.name, parent)
        if self.tracker.begin(run):
            self.tracker.log(run.key, [tracked_epoch(row, info.task.headline) for row in rows])

    def send_run(self, run: RunFolder, group: Path | None = None, *, of_study: bool = False) -> bool:
        """Send what the tracker does not have yet of a run; False if that is nothing. RunError for a damaged run."""
        dataset = str(run.provenance["dataset"])
        parent = self._begin_group(group, None if of_study else run.recipe, dataset)
        own, epochs = tracked_run(run.path, run.recipe, run.seed, dataset, parent), epochs_of(run)
        scores = scores_of_run(run, len(epochs))
        if not self.tracker.begin(own, scores.version):
            return False
        self.tracker.log(own.key, epochs)
        self.tracker.end(own.key, scores)
        return True

    def send_group(self, folder: Path) -> list[str]:
        """Send the runs of a folder of several, and its own scores; give the names of the runs that were sent."""
        group = open_group(folder)
        above = None if group.kind == "sweep" else folder
        runs = [*group.runs(), *([] if group.final is None else [group.final])]
        sent = [run for run in runs if self.send_run(run, above, of_study=group.kind == "study")]
        self.end_group(folder)
        return [run.path.relative_to(folder).as_posix() for run in sent]

    def send_trial(self, folder: Path, recipe: "Recipe", trial: "Trial") -> None:
        """Send a finished trial of the tuning of a recipe, as a run inside that of its folder."""
        info = info_of_reference(recipe.data.dataset)
        parent = self._begin_group(folder, recipe, info.name)
        assert parent is not None
        run, scores = tracked_trial(recipe, trial, info.task.headline, info.name, parent)
        name = f"trial/{info.task.headline}"
        best, own = self._best.get(folder, {}), scores.metrics
        if trial.state == "complete" and own.get(name, -math.inf) > best.get(name, -math.inf):
            self._best[folder] = own
        if self.tracker.begin(run, scores.version):
            self.tracker.end(run.key, scores)

    def end_group(self, folder: Path) -> None:
        """Send the scores of a folder of several runs or trials that were sent; a sweep has none of its own."""
        group = open_group(folder)
        if group.kind == "sweep":
            return
        if group.kind == "tuning":
            from penlight.experiments.tuning.folder import read_setup

            recipe = read_setup(folder).recipe
            own = self._begin_group(folder, recipe, info_of_reference(recipe.data.dataset).name)
            scores = scores_of_tuning(group, self._best.get(folder, {}))
        else:
            runs = group.runs()
            shared = None if group.kind == "study" else runs[0].recipe
            own = self._begin_group(folder, shared, str(runs[0].provenance["dataset"]))
            scores = scores_of_group(group, runs)
        if own is not None:
            self.tracker.end(own.key, scores)

    def _begin_group(self, folder: Path | None, recipe: "Recipe | None", dataset: str) -> TrackedRun | None:
        if folder is None:
            return None
        own = tracked_group(folder, recipe, dataset)
        self.tracker.begin(own)
        return own


class _OfThread(threading.local):
    """The run that began in a thread: those that are done elsewhere are told of in several."""

    run: "tuple[RunSpec, Path | None] | None" = None


class TrackingListener(ProgressListener):
    """Sends runs to a tracker, from a thread of its own so that training does not wait, and passes all on to another
    listener. After the first failure nothing more is sent; it is one warning."""

    def __init__(self, listener: ProgressListener, tracker: Tracker, address: str) -> None:
        self._listener, self._sender, self._address = listener, Sender(tracker), address
        self._own = _OfThread()
        self._epochs: queue.SimpleQueue[Epoch] = queue.SimpleQueue()
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._warned = self._tunes = False
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="penlight-tracking", daemon=True)
        self._thread.start()

    def on_step(self, what: str) -> None:
        """See `ProgressListener.on_step`."""
        self._listener.on_step(what)

    def on_warning(self, what: str) -> None:
        """See `ProgressListener.on_warning`."""
        self._listener.on_warning(what)

    def on_fit(self, metric: str, place: str) -> None:
        """See `ProgressListener.on_fit`."""
        self._listener.on_fit(metric, place)

    def on_run(self, place: "StudyProgress") -> None:
        """See `ProgressListener.on_run`."""
        self._listener.on_run(place)

    def on_job(self, name: str, state: "JobState", about: str) -> None:
        """See `ProgressListener.on_job`."""
        self._listener.on_job(name, state, about)

    def on_part(self, done: int, planned: int) -> None:
        """See `ProgressListener.on_part`."""
        self._listener.on_part(done, planned)

    def on_trial(self, done: int, planned: int | None, best: float, seconds_left: float | None) -> None:
        """See `ProgressListener.on_trial`."""
        self._listener.on_trial(done, planned, best, seconds_left)

    def on_trial_end(self, folder: Path, recipe: "Recipe", trial: "Trial") -> None:
        """See `ProgressListener.on_trial_end`."""
        self._listener.on_trial_end(folder, recipe, trial)
        self._tunes = True
        self._do(self._sender.send_trial, folder, recipe, trial)

    def on_run_begin(self, spec: "RunSpec", group: Path | None) -> None:
        """See `ProgressListener.on_run_begin`; the tracker gets the run with its first epoch."""
        self._listener.on_run_begin(spec, group)
        self._own.run = spec, group

    def on_epoch(self, row: "Epoch", planned: int) -> None:
        """See `ProgressListener.on_epoch`."""
        self._listener.on_epoch(row, planned)
        if self._own.run is not None:
            self._epochs.put(row)
            self._do(self._send_epochs, *self._own.run)

    def on_run_end(self, run: RunFolder) -> None:
        """See `ProgressListener.on_run_end`."""
        self._listener.on_run_end(run)
        if self._own.run is not None:
            spec, group = self._own.run
            self._do(self._sender.send_run, run, group, of_study=spec.by == "study")
            self._own.run = None

    def on_group_end(self, folder: Path) -> None:
        """See `ProgressListener.on_group_end`."""
        self._listener.on_group_end(folder)
        self._do(self._sender.end_group, folder)

    def close(self) -> None:
        """Wait for what is not sent yet, a minute at most, and warn where it could not be."""
        self._jobs.put(None)
        longest = time.monotonic() + _LONGEST
        while self._thread.is_alive() and time.monotonic() < min(longest, self._last + _SILENCE):
            self._thread.join(0.05)
        if self._thread.is_alive():
            self._failure = self._failure or TimeoutError()
        self._leave()
        self._warn()

    def stop(self, *, failed: bool) -> None:
        """Say that the runs that are not finished were interrupted, or have `failed`, and wait for that a moment."""
        self._jobs.put(functools.partial(self._sender.tracker.stop, failed=failed))
        self._jobs.put(None)
        self._thread.join(_FAREWELL)
        self._leave()

    def _leave(self) -> None:
        with contextlib.suppress(Exception):
            self._sender.tracker.close()

    def _do(self, job: Callable[..., object], *values: object, **more: object) -> None:
        self._warn()
        if self._failure is None:
            self._jobs.put(functools.partial(job, *values, **more))

    def _warn(self) -> None:
        """Warn, from the thread that trains: a listener draws from one thread."""
        if self._failure is not None and not self._warned:
            self._warned = True
            later = f"; send it when it is done: penlight track RUN --to {shown(self._address)}"
            rest = "The tuning itself is not affected." if self._tunes else f"The run itself is not affected{later}"
            self._listener.on_warning(f"Tracking stopped: {reason_of(self._failure, self._address)}. {rest}")

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._last = time.monotonic()
            if self._failure is None:
                try:
                    job()
                except Exception as error:  # of every kind, as they are those of libraries
                    self._failure = error
            self._last = time.monotonic()

    def _send_epochs(self, spec: "RunSpec", group: Path | None) -> None:
        # Those that came while the tracker was busy go together.
        rows = [self._epochs.get() for _ in range(self._epochs.qsize())]
        if rows:
            self._sender.send_epochs(spec, group, rows)


def reason_of(error: BaseException, address: str) -> str:
    """Give the cause of a tracker's error in the words of the system, such as "Connection refused", or its
    first line, without a password that its address holds."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError) and not cause.strerror:
            return "it did not answer in time"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    secret, _, _ = address.partition("://")[2].rpartition("@")
    return first_line(error).replace(f"{secret}@", "") if secret else first_line(error)
