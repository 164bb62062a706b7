"""Trials, one after the other or in several processes, in an Optuna study that outlives the process."""

import contextlib
import os
import platform
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from penlight.data import ViewedDataset, apply_view, open_referenced
from penlight.errors import MemoryShortError, StorageError, TrainingError, first_line
from penlight.experiments.processes import run_jobs
from penlight.experiments.progress import ProgressListener
from penlight.experiments.tuning.folder import DATABASE, TuningFolder, read_setup
from penlight.experiments.tuning.objective import TrialPart, parts_of, require_judgement, values_of
from penlight.experiments.tuning.samplers import distribution, from_stored, make_sampler, stored
from penlight.experiments.tuning.setup import Setup
from penlight.recipes.space import Choices, Space, Trial, with_values

DEFAULT_TRIALS = 15

PRUNE_AFTER = 5
"""So many trials must be complete before one is stopped for being worse than their median."""

_FAIR_SHARE = 3  # a trial is left alone for the first third of its epochs
_HEARTBEAT = 30  # seconds; a trial on another machine that is silent for four times that has failed
_SQLITE_PATIENCE = 60  # seconds to wait for another worker's write
_ENOUGH_FOR_IMPORTANCE = 4
_DRIVERS = {"psycopg": "'penlight[postgres]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""What to install for a driver, where that has another name."""


@dataclass(frozen=True)
class TrialLimits:
    """When to begin no further trial: at `trials` in all, or at the time `deadline` (seconds since 1970)."""

    trials: int | None
    deadline: float | None

    def allow(self, begun: int) -> bool:
        """Say whether another trial may begin."""
        return (self.trials is None or begun < self.trials) and (self.deadline is None or time.time() < self.deadline)

    def seconds_left(self, trials: Sequence[Trial], workers: int) -> float | None:
        """Estimate the time to the end; None where nothing is known yet."""
        ends = [] if self.deadline is None else [max(0.0, self.deadline - time.time())]
        if self.trials is not None and trials:
            mean = float(np.mean([t.seconds for t in trials]))
            ends.append(max(0, self.trials - len(trials)) * mean / workers)
        return min(ends, default=None)


def make_limits(trials: int | None, seconds: float | None) -> TrialLimits:
    """Give the limits from now on; a number of trials is set where neither is given."""
    if trials is None and seconds is None:
        trials = DEFAULT_TRIALS
    return TrialLimits(trials, None if seconds is None else time.time() + seconds)


@dataclass(frozen=True)
class TuningResult:
    """What a tuning found: all trials, the best complete one, the one with the recipe's own values where that was
    tried, and how much of the trials' variance each key explains (empty with too few trials)."""

    trials: Sequence[Trial]
    best: Trial
    start: Trial | None
    importance: Mapping[str, float] = field(default_factory=dict)


def open_study(storage: str, setup: Setup, *, shared: bool) -> optuna.Study:
    """Open or make the study of a setup in a storage; `shared` says that other machines may write to it too.

    StorageError if the storage cannot be opened.
    """
    pruner = optuna.pruners.MedianPruner(PRUNE_AFTER, n_warmup_steps=setup.recipe.train.epochs // _FAIR_SHARE)
    with _storage_errors(storage):
        return optuna.create_study(
            study_name=setup.study,
            storage=_storage(storage, shared),
            pruner=pruner,
            direction="maximize",
            load_if_exists=True,
        )


def sqlite_url(path: Path) -> str:
    """Name a SQLite file as Optuna does."""
    return f"sqlite:///{path.resolve()}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from logging; errors are raised all the same."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def fail_running(study: optuna.Study, *, shared: bool) -> None:
    """Mark trials that a killed process left running as failed; they are tried again.

    In a storage that other machines write to as well, only those of a process of this machine that has ended: what
    became of the others, their heartbeat tells.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not shared or _has_ended(str(trial.user_attrs.get("process", ""))):
            study.tell(trial.number, state=TrialState.FAIL)


def process_name(pid: int) -> str:
    """Name a process among those of many machines."""
    return f"{platform.node()}-{uuid.getnode():x}:{pid}"


def _has_ended(process: str) -> bool:
    machine, _, pid = process.rpartition(":")
    if not machine or process != process_name(int(pid)):
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def run_tuning(
    folder: TuningFolder,
    view: ViewedDataset,
    limits: TrialLimits,
    progress: ProgressListener,
    *,
    storage: str | None = None,
    workers: int = 1,
) -> TuningResult:
    """Go on with a folder's tuning up to the limits. `storage` is an Optuna URL; the folder's own database unless
    given. DataError before anything is trained, if the images cannot judge trials."""
    setup = folder.setup
    require_judgement(view, parts_of(view, setup.repeats, setup.seed))
    url = storage or sqlite_url(folder.path / DATABASE)
    with quiet(), storage_kept(url):
        study = open_study(url, setup, shared=storage is not None)
        fail_running(study, shared=storage is not None)
        told = -1

        def tell() -> None:
            nonlocal told
            done = records(study, setup.space)
            if len(done) != told:
                told = len(done)
                progress.on_trial(told, limits.trials, best_value(done), limits.seconds_left(done, workers))

        tell()
        if workers == 1:
            run_trials(study, setup, view, limits, folder.ask_lock, progress)
        else:
            own = {"folder": str(folder.path.resolve()), "storage": storage, "trials": limits.trials}
            run_jobs([{"task": "trials", **own, "deadline": limits.deadline}] * workers, tell)
        return found(study, setup)


def work_on_folder(folder: str, storage: str | None, trials: int | None, deadline: float | None) -> None:
    """Run trials of a tuning's folder until the limits say so, beside other processes that do the same."""
    path = Path(folder)
    setup = read_setup(path)
    data = setup.recipe.data
    view = apply_view(open_referenced(data.dataset, data.size), data.view)
    url = storage or sqlite_url(path / DATABASE)
    with quiet(), storage_kept(url):
        study = open_study(url, setup, shared=storage is not None)
        run_trials(
            study, setup, view, TrialLimits(trials, deadline), TuningFolder(path, setup).ask_lock, ProgressListener()
        )


def run_trials(
    study: optuna.Study,
    setup: Setup,
    view: ViewedDataset,
    limits: TrialLimits,
    ask_lock: Path,
    progress: ProgressListener,
) -> None:
    """Run trials until the limits say so; other processes may do the same, one of them asks at a time."""
    parts = parts_of(view, setup.repeats, setup.seed)
    lock = FileLock(ask_lock)
    while _run_one(study, setup, parts, limits, lock, progress):
        done = records(study, setup.space)
        progress.on_trial(len(done), limits.trials, best_value(done), limits.seconds_left(done, 1))


def _run_one(
    study: optuna.Study,
    setup: Setup,
    parts: list[TrialPart],
    limits: TrialLimits,
    lock: FileLock,
    progress: ProgressListener,
) -> bool:
    """Run one trial; False where the limits allow none."""
    lock.acquire()
    try:
        if not limits.allow(len(_counted(study))):
            return False
        _prepare(study, setup)
        study.optimize(lambda trial: _objective(trial, setup, parts, lock, progress), n_trials=1)
    finally:
        lock.release(force=True)
    return True


def _prepare(study: optuna.Study, setup: Setup) -> None:
    """Say what is tried next: the recipe as it is, if it lies in the space and is the first; else what the sampler
    makes of the trials so far. Those of killed processes count for nothing."""
    told = len(_counted(study))
    study.sampler = make_sampler(setup.sampler, setup.seed, told)
    start = setup.space.values_of(setup.recipe)
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    if start is not None and not told and not waiting:
        study.enqueue_trial(stored(setup.space, start))


def _objective(
    trial: optuna.Trial, setup: Setup, parts: list[TrialPart], lock: FileLock, progress: ProgressListener
) -> float:
    trial.set_user_attr("process", process_name(os.getpid()))
    values = {p.key: _suggest(trial, setup.space, p.key) for p in setup.space.parameters}
    # The others may ask as soon as they can see what is tried here.
    lock.release(force=True)

    chosen = from_stored(setup.space, values)
    # Trials of one point are the same training: what it gave is known.
    known = (t for t in records(trial.study, setup.space) if t.state == "complete" and t.params == chosen)
    if (same := next(known, None)) is not None:
        trial.set_user_attr("values", list(same.values))
        return same.value

    def report(step: int, value: float) -> None:
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        found = values_of(with_values(setup.recipe, chosen), parts, report, progress.on_epoch)
    except (TrainingError, MemoryShortError) as error:
        trial.set_user_attr("note", error.problem)
        raise optuna.TrialPruned from error
    trial.set_user_attr("values", found)
    return float(np.mean(found))


def _suggest(trial: optuna.Trial, space: Space, key: str) -> Any:
    p = next(p for p in space.parameters if p.key == key)
    if isinstance(p, Choices):
        return trial.suggest_categorical(key, distribution(p).choices)  # type: ignore[attr-defined]
    if p.whole:
        return trial.suggest_int(key, int(p.low), int(p.high), log=p.log)
    return trial.suggest_float(key, p.low, p.high, log=p.log)


def records(study: optuna.Study, space: Space) -> list[Trial]:
    """Give the finished trials in the order they began, numbered from 1; failed ones are left out."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    complete = [t for t in finished if t.state == TrialState.COMPLETE]
    return [_record(number, t, space, worth(t, complete)) for number, t in enumerate(finished, start=1)]


def _record(number: int, trial: FrozenTrial, space: Space, value: float) -> Trial:
    note = str(trial.user_attrs.get("note", ""))
    pruned = trial.state == TrialState.PRUNED
    return Trial(
        number,
        "diverged" if note else "pruned" if pruned else "complete",
        float("nan") if note else value,
        tuple(trial.user_attrs.get("values", ())),
        from_stored(space, trial.params),
        trial.duration.total_seconds() if trial.duration else 0.0,
        note,
    )


def worth(trial: FrozenTrial, complete: Sequence[FrozenTrial]) -> float:
    """Give a finished trial's value; NaN where it cannot be told.

    Of a pruned trial it is an estimate: as far from the mean of the complete ones as it was at the epoch where it
    stopped. What it had reached cannot stand for it, since folds differ more than trials do.
    """
    if trial.state == TrialState.COMPLETE:
        return float("nan") if trial.value is None else trial.value
    step = trial.last_step
    beside = [(t.intermediate_values[step], t.value) for t in complete if step in t.intermediate_values]
    if step is None or not beside:
        return float("nan")
    then, final = np.mean(np.array(beside, float), axis=0)
    return float(final + trial.intermediate_values[step] - then)


def best_value(trials: Sequence[Trial]) -> float:
    """Give the best value of the complete trials; NaN if there is none."""
    return max((t.value for t in trials if t.state == "complete"), default=float("nan"))


def found(study: optuna.Study, setup: Setup) -> TuningResult:
    """Sum a study up. TrainingError if no trial is complete."""
    trials = records(study, setup.space)
    complete = [t for t in trials if t.state == "complete"]
    if not complete:
        why = next((f" The first one: {t.note}" for t in trials if t.note), "")
        raise TrainingError(
            f"None of {len(trials)} trials is complete.{why}", "Try more, or search where training succeeds."
        )
    best = max(complete, key=lambda t: (t.value, -t.number))
    own = setup.space.values_of(setup.recipe)
    start = next((t for t in complete if t.params == own), None)
    return TuningResult(trials, best, start, _importance(study, setup, complete))


def _importance(study: optuna.Study, setup: Setup, complete: Sequence[Trial]) -> dict[str, float]:
    """Share of the complete trials' variance that each key explains (fANOVA, Hutter et al. 2014)."""
    searched = [p.key for p in setup.space.parameters if len({str(t.params[p.key]) for t in complete}) > 1]
    if len(complete) < _ENOUGH_FOR_IMPORTANCE or not searched or len({t.value for t in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=setup.seed)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator, params=searched))


def _counted(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING))


def _storage(url: str, shared: bool) -> optuna.storages.BaseStorage:
    options: dict[str, Any] = {}
    if url.startswith("sqlite"):
        options["engine_kwargs"] = {"connect_args": {"timeout": _SQLITE_PATIENCE}}
    if shared:
        options |= {"heartbeat_interval": _HEARTBEAT, "grace_period": 4 * _HEARTBEAT}
    with warnings.catch_warnings():
        # Heartbeats are marked as experimental.
        warnings.simplefilter("ignore")
        return optuna.storages.RDBStorage(url, **options)


@contextlib.contextmanager
def _storage_errors(url: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        driver = getattr(error.__cause__, "name", None) or make_url(url).get_driver_name()
        raise StorageError(
            f"The storage {_without_password(url)} is reached through {driver}, which is not installed.",
            f"Install it: pip install {_DRIVERS.get(driver, driver)}. Or leave --storage out.",
        ) from error
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ValueError, RuntimeError) as error:
        raise _storage_error(
            url,
            error,
            "cannot be opened",
            "Give an Optuna storage URL, as postgresql+psycopg://user@host/name, with --storage; "
            "or choose another folder with --out.",
        ) from error


@contextlib.contextmanager
def storage_kept(url: str) -> Iterator[None]:
    """Turn errors of a storage that was open, such as a full disk, into StorageError."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        remedy = "See that it can be reached; the same command goes on after the last trial."
        raise _storage_error(url, error, "can no longer be used", remedy) from error


def _storage_error(url: str, error: Exception, what: str, remedy: str) -> StorageError:
    """Name what happened to a storage; Optuna and SQLAlchemy say the reason in the first line of the first error."""
    first = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else None
    reason = first_line(first or error)
    if "disk is full" in reason:
        return StorageError(
            f"The disk is full: the storage {_without_password(url)} cannot take more.",
            "Free some space; the same command goes on after the last trial.",
        )
    return StorageError(f"The storage {_without_password(url)} {what}: {reason}.", remedy)


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "that was given"
