"""The Optuna study of a tuning, in a storage that outlives the process and may be shared with other machines."""

import contextlib
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from penlight.errors import StorageError, first_line
from penlight.experiments.tuning.folder import Setup
from penlight.experiments.tuning.journal import SUFFIX, Journal, locked_journal

PRUNE_AFTER = 5
"""So many trials must be complete before one is stopped for being worse than their median."""

PROCESS = "process"
"""The attribute of a trial that names the process of the command which chose it."""

_FAIR_SHARE = 3  # a trial is left alone for the first third of its epochs
_HEARTBEAT = 60  # seconds
_SILENCE = 10 * _HEARTBEAT
_SQLITE_PATIENCE = 60  # seconds to wait for another worker's write
_DRIVERS = {"psycopg": "'penlight[postgres]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""What to install for a driver, where that has another name."""


def open_study(address: str, setup: Setup) -> optuna.Study:
    """Open or make the study of a setup in a storage: an Optuna URL, or the path of a journal.

    StorageError if the storage cannot be opened.
    """
    pruner = optuna.pruners.MedianPruner(PRUNE_AFTER, n_warmup_steps=setup.recipe.train.epochs // _FAIR_SHARE)
    with _storage_errors(address):
        storage = _open(address)
        return optuna.create_study(
            study_name=setup.study, storage=storage, pruner=pruner, direction="maximize", load_if_exists=True
        )


def _open(address: str) -> BaseStorage:
    if address.endswith(SUFFIX):
        return Journal(Path(address))
    patient = {"connect_args": {"timeout": _SQLITE_PATIENCE}} if address.startswith("sqlite") else None
    return optuna.storages.RDBStorage(address, engine_kwargs=patient)


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


def fail_gone(study: optuna.Study) -> None:
    """Mark trials as failed whose command has ended: on this machine, where its process is no more; on another, where
    it has been silent for ten minutes. They are tried again.

    Clocks of machines must agree to some minutes, as those of clusters do: Slurm's own messages need that, too.
    """
    said = study.user_attrs
    for trial in running(study):
        process = str(trial.user_attrs.get(PROCESS))
        last = said.get(process)
        silent = isinstance(last, int) and time.time() - last > _SILENCE
        if process != process_name(os.getpid()) and (silent or _has_ended(process)):
            fail(study, trial)


@contextlib.contextmanager
def choosing(address: str, *, shared: bool) -> Iterator[None]:
    """Let one command at a time count the trials of a journal and choose the next, so that none is chosen twice."""
    if not (shared and address.endswith(SUFFIX)):
        yield
        return
    with locked_journal(Path(f"{address}.choice")):
        yield


@contextlib.contextmanager
def heartbeat(study: optuna.Study) -> Iterator[None]:
    """Tell other machines, now and then, that this command goes on."""
    ended = threading.Event()

    def beat() -> None:
        study.set_user_attr(process_name(os.getpid()), int(time.time()))

    def go_on() -> None:
        # What is wrong with the storage is met by the trials, too, and told there.
        with contextlib.suppress(Exception):
            while not ended.wait(_HEARTBEAT):
                beat()

    beat()
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def fail(study: optuna.Study, trial: FrozenTrial) -> None:
    """Mark a trial as failed, which does not count, unless it has ended."""
    with contextlib.suppress(UpdateFinishedTrialError):
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def process_name(pid: int) -> str:
    """Name a process among those of many machines."""
    return f"{platform.node()}-{uuid.getnode():x}:{pid}"


def running(study: optuna.Study) -> list[FrozenTrial]:
    """Give the trials that were chosen and have not ended."""
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _has_ended(process: str) -> bool:
    pid = process.rpartition(":")[2]
    if not pid.isdecimal() or process != process_name(int(pid)):
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


@contextlib.contextmanager
def _storage_errors(address: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        driver = getattr(error.__cause__, "name", None) or make_url(address).get_driver_name()
        raise StorageError(
            f"The storage {_shown(address)} is reached through {driver}, which is not installed.",
            f"Install it: pip install {_DRIVERS.get(driver, driver)}. Or leave --storage out.",
        ) from error
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ValueError, RuntimeError) as error:
        raise _storage_error(
            address,
            error,
            "cannot be opened",
            f"Give a file that ends in {SUFFIX}, or an Optuna storage URL, as postgresql+psycopg://user@host/name, "
            "with --storage; or choose another folder with --out.",
        ) from error


@contextlib.contextmanager
def storage_kept(address: str) -> Iterator[None]:
    """Turn errors of a storage that was open, such as a full disk, into StorageError."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        remedy = "See that it can be reached; the same command goes on after the last trial."
        raise _storage_error(address, error, "can no longer be used", remedy) from error


def _storage_error(address: str, error: Exception, what: str, remedy: str) -> StorageError:
    """Name what happened to a storage; Optuna and SQLAlchemy say the reason in the first line of the first error."""
    first = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else None
    reason = first_line(first or error)
    if "disk is full" in reason:
        return StorageError(
            f"The disk is full: the storage {_shown(address)} cannot take more.",
            "Free some space; the same command goes on after the last trial.",
        )
    return StorageError(f"The storage {_shown(address)} {what}: {reason}.", remedy)


def _shown(address: str) -> str:
    try:
        return make_url(address).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "that was given"
