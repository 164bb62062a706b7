"""MLflow: a server (`http:`, `https:`) or an SQLite database (`sqlite:`)."""

import contextlib
import logging
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penlight.errors import MissingExtraError, TrackingError
from penlight.tracking.record import TrackedEpoch, TrackedRun, TrackedScores

_ADDRESSES = "Give a database, mlflow:sqlite:///runs.db, or a server, mlflow:http://HOST:PORT."
_PARENT, _KEY = "mlflow.parentRunId", "penlight.key"
# The version of the run whose scores are there, and of the one that is there with its files.
_SCORED, _VERSION = "penlight.scored", "penlight.version"
# So many parameters, and metrics, are taken at once; of epochs as many as stay below the latter.
_AT_ONCE, _METRICS = 100, 1_000
# MLflow itself asks a server that is down for minutes. What the user has set stays.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "8"}
# Of these the first logs each table of a new database, the last each try to reach a server.
_LOGGERS = {"alembic": logging.WARNING, "mlflow": logging.WARNING, "urllib3.connectionpool": logging.ERROR}


class MlflowStore:
    """Runs in an MLflow tracking store: an experiment for each dataset, or the one that MLFLOW_EXPERIMENT_NAME names;
    runs of a folder of several are nested in it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        self._require_address()
        self._ids: dict[str, str] = {}
        self._epochs: dict[str, int] = {}
        self._open = contextlib.ExitStack()
        self._open.enter_context(_hurried())
        self._client: Any = _client(self.uri)

    def begin(self, run: TrackedRun, version: str = "") -> bool:
        """See `Tracker`."""
        if run.key in self._ids:
            return True
        experiment = self._experiment(run.dataset)
        parent = {} if run.parent is None else {_PARENT: self._ids[run.parent]}
        whole = version and self._find(experiment, f"tags.`{_VERSION}` = '{version}'", "status = 'FINISHED'")
        if whole:
            self._client.set_tag(whole.info.run_id, _KEY, run.key)
            for tag, value in parent.items():
                self._client.set_tag(whole.info.run_id, tag, value)
            return False
        left = "status != 'FAILED'" + ("" if run.several else " and attributes.status != 'FINISHED'")
        found = self._find(experiment, f"tags.`{_KEY}` = '{run.key}'", left)
        if found:
            self._ids[run.key] = own = found.info.run_id
            self._client.update_run(own, status="RUNNING")
            logged = self._client.get_metric_history(own, "train/loss")
            self._epochs[run.key] = max((point.step for point in logged), default=0)
        else:
            self._create(experiment, run, parent)
        return True

    def log(self, key: str, epochs: Sequence[TrackedEpoch]) -> None:
        """See `Tracker`."""
        new = [epoch for epoch in epochs if epoch.number > self._epochs.get(key, 0)]
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            values = [(name, value, epoch.number) for epoch in some for name, value in epoch.metrics.items()]
            self._log(self._ids[key], values)
            self._epochs[key] = some[-1].number

    def end(self, key: str, scores: TrackedScores) -> None:
        """See `Tracker`."""
        own = self._ids[key]
        tags = self._client.get_run(own).data.tags
        if tags.get(_SCORED) != scores.version:
            self._log(own, [(name, value, scores.step) for name, value in scores.metrics.items()])
            self._client.set_tag(own, _SCORED, scores.version)
        if tags.get(_VERSION) != scores.version:
            self._keep_files(own, scores)
            self._client.set_tag(own, _VERSION, scores.version)
        self._client.set_terminated(own)
        del self._ids[key]

    def _keep_files(self, own: str, scores: TrackedScores) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name in scores.files:
                file = Path(folder) / name
                file.write_bytes(scores.read(name))
                self._client.log_artifact(own, str(file))
                file.unlink()

    def stop(self, *, failed: bool) -> None:
        """See `Tracker`."""
        for own in self._ids.values():
            self._client.set_terminated(own, "FAILED" if failed else "KILLED")

    def close(self) -> None:
        """See `Tracker`."""
        self._open.close()

    def _require_address(self) -> None:
        uri = self.uri
        if not uri:
            raise TrackingError("MLflow needs an address, and MLFLOW_TRACKING_URI is not set.", _ADDRESSES)
        scheme = uri.partition(":")[0]
        if scheme == "file" or ":" not in uri:
            raise TrackingError(f"MLflow keeps no runs in plain folders any more, and {uri} is one.", _ADDRESSES)
        if scheme == "sqlite" and re.fullmatch(r"sqlite:///.+", uri):
            return
        if scheme in ("http", "https") and _is_server(uri):
            return
        raise TrackingError(f"{shown(uri)} is no address of MLflow that Penlight sends runs to.", _ADDRESSES)

    def _log(self, own: str, metrics: Sequence[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        listed = [Metric(name, value, now, step) for name, value, step in metrics]
        for start in range(0, len(listed), _METRICS):
            self._client.log_batch(own, metrics=listed[start : start + _METRICS])

    def _experiment(self, dataset: str) -> str:
        """Find or create the experiment. Files of runs lie beside an SQLite database; MLflow would write them to the
        working folder."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or dataset
        if (found := self._client.get_experiment_by_name(name)) is not None:
            return str(found.experiment_id)
        place = None
        if self.uri.startswith("sqlite:"):
            database = Path(self.uri.removeprefix("sqlite:///")).absolute()
            place = (database.parent / f"{database.stem}-files").as_uri()
        return str(self._client.create_experiment(name, artifact_location=place))

    def _create(self, experiment: str, run: TrackedRun, tags: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        made = self._client.create_run(experiment, tags={_KEY: run.key, **tags}, run_name=run.name)
        self._ids[run.key] = own = made.info.run_id
        parameters = [Param(name, value) for name, value in run.parameters.items()]
        for start in range(0, len(parameters), _AT_ONCE):
            self._client.log_batch(own, params=parameters[start : start + _AT_ONCE])

    def _find(self, experiment: str, tagged: str, status: str) -> Any:
        found = self._client.search_runs([experiment], f"{tagged} and attributes.{status}", max_results=1)
        return found[0] if found else None


def shown(uri: str) -> str:
    """Give an address without the name and password that it may hold."""
    scheme, mark, rest = uri.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _is_server(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _client(uri: str) -> Any:
    needed = ("mlflow", "sqlalchemy", "alembic") if uri.startswith("sqlite:") else ("mlflow",)
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"Tracking with MLflow needs {', '.join(missing)}, which is not installed.",
            "Install it: pip install 'penlight[mlflow]'",
        )
    # Its telemetry was switched off before, see `privacy`. Here, and not in the thread that sends: two threads that
    # import at once may each get half of a module.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        for name, level in _LOGGERS.items():
            logging.getLogger(name).setLevel(level)
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextlib.contextmanager
def _hurried() -> Iterator[None]:
    """Have MLflow give up soon, and log warnings only, as long as Penlight uses it, not for good: a notebook may have
    its own uses of it."""
    before: Mapping[str, int] = {name: logging.getLogger(name).level for name in _LOGGERS}
    new = [name for name in _PATIENCE if name not in os.environ]
    os.environ.update({name: _PATIENCE[name] for name in new})
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
        for name in new:
            os.environ.pop(name, None)
