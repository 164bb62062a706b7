"""The Optuna study of a tuning, in a storage that outlives the process and may be shared with other machines."""

import contextlib
import os
import platform
import threading
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from penlight.errors import StorageError, first_line
from penlight.experiments.tuning.folder import Setup

PRUNE_AFTER = 5
"""So many trials must be complete before one is stopped for being worse than their median."""

_FAIR_SHARE = 3  # a trial is left alone for the first third of its epochs
_HEARTBEAT = 30  # seconds; a trial on another machine that is silent for four times that has failed
_SQLITE_PATIENCE = 60  # seconds to wait for another worker's write
_DRIVERS = {"psycopg": "'penlight[postgres]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""What to install for a driver, where that has another name."""


def open_study(url: str, setup: Setup, *, shared: bool) -> tuple[optuna.Study, optuna.storages.RDBStorage]:
    """Open or make the study of a setup in a storage; `shared` says that other machines may write to it too.

    StorageError if the storage cannot be opened.
    """
    pruner = optuna.pruners.MedianPruner(PRUNE_AFTER, n_warmup_steps=setup.recipe.train.epochs // _FAIR_SHARE)
    options: dict[str, Any] = {}
    if url.startswith("sqlite"):
        options["engine_kwargs"] = {"connect_args": {"timeout": _SQLITE_PATIENCE}}
    if shared:
        options |= {"heartbeat_interval": _HEARTBEAT, "grace_period": 4 * _HEARTBEAT}
    with _storage_errors(url):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # heartbeats are marked as experimental
            storage = optuna.storages.RDBStorage(url, **options)
        study = optuna.create_study(
            study_name=setup.study, storage=storage, pruner=pruner, direction="maximize", load_if_exists=True
        )
    return study, storage


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


def fail_silent(study: optuna.Study) -> None:
    """Mark trials of other machines as failed whose heartbeat has been silent for long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are marked as experimental
        optuna.storages.fail_stale_trials(study)


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


@contextlib.contextmanager
def heartbeat(storage: optuna.storages.RDBStorage, trial: int) -> Iterator[None]:
    """Tell other machines, now and then, that a trial is still being done, where the storage is shared."""
    if storage.get_heartbeat_interval() is None:
        yield
        return
    ended = threading.Event()

    def beat() -> None:
        storage.record_heartbeat(trial)
        while not ended.wait(_HEARTBEAT):
            storage.record_heartbeat(trial)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


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
