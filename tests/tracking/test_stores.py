"""MLflow and TensorBoard as they are: what was logged is read back, by MLflow's own client and from event files.

`make test-tracking` has their packages, in an environment of its own; elsewhere these tests are skipped. A server of
MLflow runs on this machine.
"""

import importlib.util
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import pytest

import penlight as pl
from penlight.errors import RunError, TrackingError
from penlight.tracking import tracker
from penlight.tracking.record import FILES, epochs_of, scores_of_run
from penlight.tracking.tensorboard import _plain
from penlight.tracking.tracker import open_tracker
from tests.attack.test_no_network import Place
from tests.attack.tracing import penlight, require_strace
from tests.tracking.conftest import trained
from tests.tracking.test_listener import Heard


def needs(package):
    """Skip without a package, or fail where all are to be there."""
    if importlib.util.find_spec(package) is None:
        said = f"{package} is not installed; make test-tracking has it"
        (pytest.fail if os.environ.get("PENLIGHT_TRACKING") else pytest.skip)(said)


@dataclass
class Logged:
    """A run as it is read back: `points` are values by metric and step, `parent` the name of the one it is in."""

    parameters: dict[str, str] = field(default_factory=dict)
    points: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    parent: str | None = None
    is_whole: bool = False
    files: set[str] = field(default_factory=set)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server of MLflow with files of its own; its address."""
    needs("mlflow")
    needs("flask")
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The server is not Penlight's: what is switched off in a process of Penlight is not inherited from it.
    how = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    words = ["--backend-store-uri", "sqlite:///server.db", "--artifacts-destination", "files", "--workers", "1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *words, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder, env={**os.environ, **how}, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.fixture(params=["tensorboard", "sqlite", "server"])
def address(request, tmp_path, monkeypatch):
    """The address of an empty tracker."""
    if request.param == "tensorboard":
        needs("tensorboardX")
        return f"tensorboard:{tmp_path}/events"
    needs("mlflow")
    if request.param == "sqlite":
        return f"mlflow:sqlite:///{tmp_path}/runs.db"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", tmp_path.name)
    return f"mlflow:{request.getfixturevalue('server')}"


def read_back(address):
    """Give what a tracker has, by the names of its runs; "NAME again" for a second one of a name."""
    kind, _, rest = address.partition(":")
    return _events(Path(rest)) if kind == "tensorboard" else _mlflow(rest)


def _mlflow(uri):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri, uri)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    experiments = [e for e in client.search_experiments() if e.name == (name or "retina-phantom")]
    runs = client.search_runs([e.experiment_id for e in experiments])
    names = {run.info.run_id: run.info.run_name for run in runs}
    found = {}
    for run in runs:
        own = Logged(dict(run.data.params), is_whole=run.info.status == "FINISHED")
        own.parent = names.get(run.data.tags.get("mlflow.parentRunId"))
        own.files = {file.path for file in client.list_artifacts(run.info.run_id)}
        for metric in run.data.metrics:
            for point in client.get_metric_history(run.info.run_id, metric):
                own.points.setdefault((metric, point.step), []).append(point.value)
        found[f"{run.info.run_name} again" if run.info.run_name in found else run.info.run_name] = own
    return found


def _events(folder):
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        place = file.parent.relative_to(folder / "retina-phantom")
        own = found.setdefault(place.name, Logged(files={"report.html", "model.onnx"}))
        own.parent = place.parent.name or None
        own.is_whole = len((file.parent / "penlight.txt").read_text().splitlines()[1]) == 64
        content = file.read_bytes()
        while content:
            size = struct.unpack("<Q", content[:8])[0]
            event, content = Event.FromString(content[12 : 12 + size]), content[16 + size :]
            for value in event.summary.value:
                if value.HasField("tensor"):
                    rows = [line.split("|") for line in value.tensor.string_val[0].decode().splitlines()[2:]]
                    own.parameters = {row[1].strip(): row[2].strip() for row in rows}
                else:
                    own.points.setdefault((value.tag, event.step), []).append(value.simple_value)
    return found


def wanted(run):
    epochs = epochs_of(run)
    scores = scores_of_run(run, len(epochs))
    points = {(name, scores.step): [value] for name, value in scores.metrics.items()}
    for epoch in epochs:
        points |= {(name, epoch.number): [value] for name, value in epoch.metrics.items()}
    return points


def same(points, address):
    """Values as the tracker keeps them: TensorBoard has 32 bits."""
    close = 1e-6 if address.startswith("tensorboard") else 0
    return {key: pytest.approx(values, rel=close, abs=close) for key, values in points.items()}


def test_every_value_of_a_run_is_read_back_once_however_often_it_is_sent(address):
    run = pl.open_run(trained("run"))
    assert list(pl.track(run, address).sent) == [run.path.name]
    (own,) = read_back(address).values()
    assert own.points == same(wanted(run), address)
    assert len(own.points) > 3 * 6 + 20
    assert {own.parameters[key] for key in ("seed", "train.epochs", "model.backbone")} == {"0", "3", "cnn"}
    assert own.parameters["recipe_hash"] == run.recipe.hash
    assert own.is_whole
    assert {"report.html", "model.onnx"} <= own.files
    assert pl.track(run, address).known == 1
    assert read_back(address)[run.path.name].points == own.points


@pytest.mark.parametrize("kind", ["seeds", "folds"])
def test_seeds_and_folds_are_nested(address, kind):
    runs = pl.open_run(trained(kind))
    if address.startswith("mlflow"):
        # It stays one run that was sent by itself before; in TensorBoard's folders it is in both places.
        pl.track(runs[0], address)
    assert len(pl.track(runs, address).sent) >= 1
    assert pl.track(runs, address).known == 2
    found = read_back(address)
    parent = found[runs.path.name]
    assert parent.is_whole
    names = ("seed-0", "seed-1") if kind == "seeds" else ("fold-1", "fold-2")
    assert [found[name].parent for name in names] == [runs.path.name] * 2
    for name, run in zip(names, runs, strict=True):
        assert found[name].points == same(wanted(run), address)
    auc = next(row for row in runs.scores.metrics if row.name == "auc" and row.label is None)
    ends = {f"{runs.scores.split}/auc": auc.value, f"{runs.scores.split}/auc_sd": auc.sd}
    ends |= {f"{runs.scores.split}/auc_low": auc.low, f"{runs.scores.split}/auc_high": auc.high}
    shown = {(name, 1): parent.points[name, 1] for name in ends}
    assert shown == same({(name, 1): [value] for name, value in ends.items()}, address)


@pytest.mark.usefixtures("stubbed")
def test_a_run_is_sent_as_it_goes_on_and_continued_where_it_was_killed(address, tmp_path, monkeypatch):
    class Killed(Heard):
        def on_epoch(self, row, planned):
            super().on_epoch(row, planned)
            if row.epoch == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(tracker, "_FAREWELL", 60.0)
    how = {"epochs": 4, "out": tmp_path / "run", "track": address}
    with pytest.raises(KeyboardInterrupt):
        pl.train("retina-phantom", "cnn", listener=Killed(), **how)
    (half,) = read_back(address).values()
    assert ("val/auc", 1) in half.points
    assert ("test/auc", 5) not in half.points
    assert not half.is_whole
    heard = Heard()
    run = pl.train("retina-phantom", "cnn", listener=heard, **how)
    assert not heard.warnings
    (own,) = read_back(address).values()
    assert own.points == same(wanted(run), address)
    assert own.is_whole
    assert pl.track(run, address).known == 1


@pytest.mark.usefixtures("stubbed")
def test_a_server_that_is_down_is_a_warning(tmp_path):
    needs("mlflow")
    heard = Heard()
    run = pl.train("retina-phantom", "cnn", epochs=2, track="mlflow:http://127.0.0.1:9", listener=heard)
    assert run.scores
    (said,) = heard.warnings
    assert said.startswith("Tracking stopped: Connection refused. The run itself is not affected; send it")
    assert said.endswith("penlight track RUN --to mlflow:http://127.0.0.1:9")


def test_nothing_of_a_run_is_sent_that_it_does_not_name(tmp_path):
    """A run from somebody else may have a link in the place of a file."""
    needs("mlflow")
    hostile = tmp_path / "hostile"
    shutil.copytree(trained("run"), hostile)
    (hostile / "card.md").unlink()
    (hostile / "card.md").symlink_to("/etc/passwd")
    uri = f"sqlite:///{tmp_path}/runs.db"
    with pytest.raises(RunError, match=r"card\.md"):
        pl.track(hostile, f"mlflow:{uri}")
    (own,) = _mlflow(uri).values()
    assert not own.is_whole
    assert "card.md" not in own.files


def test_what_is_missing_after_a_failure_is_added_and_nothing_twice(tmp_path, monkeypatch):
    needs("mlflow")
    from mlflow.tracking import MlflowClient

    run, uri = pl.open_run(trained("run")), f"sqlite:///{tmp_path}/runs.db"
    keep, kept = MlflowClient.log_artifact, []

    def full(client, own, file):
        kept.append(file)
        if len(kept) == 3:
            raise OSError(28, "No space left on device")
        keep(client, own, file)

    monkeypatch.setattr(MlflowClient, "log_artifact", full)
    with pytest.raises(TrackingError, match="No space left on device"):
        pl.track(run, f"mlflow:{uri}")
    (half,) = _mlflow(uri).values()
    assert (len(half.files), half.is_whole) == (2, False)
    pl.track(run, f"mlflow:{uri}")
    (own,) = _mlflow(uri).values()
    assert own.points == wanted(run)
    assert (own.files, own.is_whole) == ({name for name in FILES if (run.path / name).is_file()}, True)


def of_mlflow():
    return {name: value for name, value in os.environ.items() if name.startswith("MLFLOW")}


def test_files_lie_beside_the_database_and_the_environment_stays(tmp_path):
    needs("mlflow")
    run, before = trained("run"), of_mlflow()
    pl.track(run, f"mlflow:sqlite:///{tmp_path}/my.db")
    assert {place.name for place in tmp_path.iterdir()} == {"my.db", "my-files"}
    assert of_mlflow() == before
    assert not list(Path().iterdir())


def test_telemetry_of_mlflow_is_off():
    needs("mlflow")
    open_tracker("mlflow:http://127.0.0.1:9").close()
    from mlflow.telemetry.client import get_telemetry_client
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()
    assert get_telemetry_client() is None


def test_a_database_needs_no_network_and_nothing_is_written_elsewhere(tmp_path):
    """As strace sees it, with the switches of telemetry set the other way before."""
    needs("mlflow")
    require_strace()
    place = Place(tmp_path / "place")
    shutil.copytree(trained("run"), place.work / "run")
    for address in ("mlflow:sqlite:///runs.db", "tensorboard:events"):
        traced = place.run(*penlight("track", "run", "--to", address))
        assert traced.code == 0, traced.err
        assert traced.err == ""
        place.require_nothing_elsewhere(traced)


def test_names_of_a_run_from_somebody_else_lead_nowhere():
    assert [_plain(name) for name in ("../../etc", "..", "a/b", "C:\\x", "", "retina-phantom")] == [
        *("_.._etc", "_", "a_b", "C__x", "_", "retina-phantom"),
    ]


@pytest.mark.usefixtures("stubbed")
def test_another_run_of_the_same_name_has_events_of_its_own(tmp_path):
    needs("tensorboardX")
    for place in ("a", "b"):
        pl.train("retina-phantom", "linear", out=tmp_path / place / "run", track=f"tensorboard:{tmp_path}/events")
    assert len(read_back(f"tensorboard:{tmp_path}/events")) == 2
