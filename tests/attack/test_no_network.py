"""No process of Penlight looks up a name or connects off this machine, and none writes outside its folders.

Seen by strace, so that native libraries are seen too. The short form is one server and one prediction; the long one
(`make test-attack`) runs every command, and a server for 30 seconds.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from penlight import privacy
from penlight.cli import app as commands
from tests.attack.tracing import Trace, penlight, read_trace, require_strace, trace, tracing
from tests.data.tiny_dataset import write_tiny
from tests.serve.test_process import free_port
from tests.survival.place import ONE_THREAD, STUDY_FILE, write_pictures
from tests.trained import trained

SWITCHED_ON = dict.fromkeys([*privacy.SWITCHES, *privacy.COMMAND_SWITCHES], "0")
"""What a user, or another tool, may have set."""


@dataclass
class Place:
    """A home, a cache, a folder for temporary files and a working folder; commands run in it are traced."""

    root: Path

    def __post_init__(self) -> None:
        for name in ("home", "tmp", "work"):
            (self.root / name).mkdir(parents=True)

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def environment(self) -> dict[str, str]:
        own = {"HOME": str(self.root / "home"), "PENLIGHT_CACHE": str(self.root / "cache")}
        kept = {k: v for k, v in os.environ.items() if k not in privacy.FOLDERS and not k.startswith("XDG_")}
        return kept | ONE_THREAD | SWITCHED_ON | own | {"TMPDIR": str(self.root / "tmp")}

    def run(self, *words: str) -> Trace:
        return trace(self.root / "log", *words, environment=self.environment, cwd=self.work)

    def serve(self, run: Path, seconds: float) -> Trace:
        """Serve a run for some time; ask it for a page and a prediction meanwhile, then end it."""
        port = free_port()
        words = [*tracing(self.root / "log"), *penlight("serve", str(run), "--port", str(port))]
        server = subprocess.Popen(words, cwd=self.work, env=self.environment, stderr=subprocess.PIPE, text=True,
                                  start_new_session=True)  # fmt: skip
        begun = time.monotonic()
        try:
            asked = f"http://127.0.0.1:{port}/api/v1/runs/{run.name}/predict"
            picture = (self.work / "a.png").read_bytes()
            request = urllib.request.Request(asked, picture, {"Content-Type": "image/png"})
            assert "probabilities" in _answer_once_there(request, server)
            time.sleep(max(0.0, begun + seconds - time.monotonic()))
            assert server.poll() is None
        finally:
            # The group: a signal to strace alone would leave the server to itself.
            os.killpg(server.pid, signal.SIGTERM)
            _, err = server.communicate(timeout=60)
        return read_trace(self.root / "log", self.work, server.returncode, "", err)

    def require_nothing_elsewhere(self, traced: Trace) -> None:
        assert traced.lookups == []
        assert traced.connections == []
        assert traced.made_outside(self.root / "cache", self.root / "tmp", self.work) == []
        assert list((self.root / "home").rglob("*")) == []
        assert list((self.root / "tmp").rglob("*")) == []


def _answer_once_there(request: urllib.request.Request, server: subprocess.Popen) -> str:
    for _ in range(600):
        assert server.poll() is None, server.stderr.read()
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read().decode()
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.1)
    raise AssertionError("the server did not start")


@pytest.fixture
def place(tmp_path) -> Place:
    require_strace()
    made = Place(tmp_path / "place")
    Image.new("RGB", (28, 28), (90, 60, 30)).save(made.work / "a.png")
    return made


def test_the_tracer_sees_what_it_is_to_see(place: Place):
    code = """
import ctypes, os, socket, threading
def native():
    libc = ctypes.CDLL(None)
    # A datagram socket that is connected sends nothing. 192.0.2.1 is nobody's (RFC 5737).
    for port in (9, 53):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("192.0.2.1", port))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", 9))
    libc.mkdir(os.path.expanduser("~/.config").encode(), 0o700)
    open(os.path.expanduser("~/.config/id"), "w").close()
    os.rename(os.path.expanduser("~/.config/id"), os.path.expanduser("~/.config/deviceid"))
    open("inside", "w").close()
if not os.fork():
    thread = threading.Thread(target=native); thread.start(); thread.join(); os._exit(0)
os.wait()
"""
    traced = place.run(sys.executable, "-c", code)
    assert traced.code == 0, traced.err
    assert len(traced.lookups) == 1
    assert len(traced.connections) == 2
    home = place.root / "home"
    assert traced.made_outside(place.work) == [home / ".config", home / ".config/id", home / ".config/deviceid"]
    assert place.work / "inside" in traced.made


@pytest.mark.parametrize("seconds", [2, pytest.param(12, marks=pytest.mark.full)])
def test_a_prediction_and_a_server_that_outlives_the_first_upload_of_telemetry(place: Place, seconds):
    """ONNX Runtime's telemetry, where it is on, looks up its host nine seconds after the import."""
    run = trained("grades")
    traced = place.run(*penlight("predict", str(run), "a.png", "--json"))
    assert json.loads(traced.out)
    place.require_nothing_elsewhere(traced)
    place.require_nothing_elsewhere(place.serve(run, seconds))


def test_switches_are_off_whatever_they_were_and_before_any_library():
    code = (
        "import os, sys, penlight\n"
        "print(*(os.environ[name] for name in penlight.privacy.SWITCHES))\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        env=os.environ | SWITCHED_ON,
        capture_output=True,
        text=True,
        check=True,
    )
    values, modules = done.stdout.splitlines()
    assert values == " ".join(privacy.SWITCHES.values())
    # Which gives names on request, and imports nothing else.
    assert modules.split() == ["__main__", "lazy_loader", "penlight"]


def test_a_library_that_came_first_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", object())
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    with pytest.warns(RuntimeWarning, match="imported before penlight"):
        privacy.switch_off_telemetry()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    privacy.switch_off_telemetry()


def test_libraries_of_a_command_write_into_the_cache_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("MPLCONFIGDIR", "chosen")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "false")
    privacy.keep_files_in_cache()
    assert os.environ["KERAS_HOME"] == str(tmp_path / "cache" / "keras")
    assert os.environ["MPLCONFIGDIR"] == "chosen"
    assert os.environ["OTEL_SDK_DISABLED"] == "true"
    for folder in (tmp_path / "cache", tmp_path / "cache" / "keras"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "cache" / "matplotlib").exists()


def test_a_cache_that_cannot_be_made_stops_no_command(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    privacy.keep_files_in_cache()
    assert os.environ["KERAS_HOME"].endswith("file/cache/keras")


COMMANDS = """
train tiny.toml --recipe linear --set model.components=3
train tiny.toml --recipe cnn --set model.filters=[4] --set model.dense=4 --set train.epochs=1
train tiny.toml --recipe majority --seeds 2
study small.toml
tune tiny.toml --recipe linear --set model.components=3 --space space.toml --trials 2 --workers 2
evaluate runs/tiny-linear-1
explain runs/tiny-cnn-1 a.png
explain runs/tiny-linear-1 a.png --method occlusion
score scores.csv --dataset tiny.toml
compare runs/tiny-linear-1 runs/tiny-cnn-1
report runs/tiny-linear-1
export runs/tiny-cnn-1
export runs/tiny-cnn-1 --to keras
predict runs/tiny-cnn-1 a.png
recipes
completion bash
data list
data fetch tiny.toml
data new pictures --name pics --task multi-class
data show tiny.toml
data audit pics.toml
demo
"""


@pytest.mark.attack
def test_every_command(place: Place, count):
    write_tiny(place.work)
    write_pictures(place.work)
    (place.work / "small.toml").write_text(STUDY_FILE)
    (place.work / "space.toml").write_text("model.strength = { low = 0.1, high = 10, log = true }\n")
    (place.work / "scores.csv").write_text("".join(f"{row},0.2,0.3,0.5\n" for row in range(15)))
    lines = [shlex.split(line) for line in COMMANDS.strip().splitlines()]
    named = {words[0] if words[0] != "data" else f"data {words[1]}" for words in lines}
    # What is sent by track is traced in tests/tracking, where its library is.
    assert named == _all_commands() - {"serve", "track"}
    for words in lines:
        traced = place.run(*penlight(*words))
        assert traced.code == 0, (words, traced.err)
        place.require_nothing_elsewhere(traced)
        count("commands traced: no look-up, no connection, no file elsewhere")
        count("files and folders that they made, all inside", len(traced.made))


def _all_commands() -> set[str]:
    def names(group, prefix):
        return {prefix + (c.name or c.callback.__name__).replace("_", "-") for c in group.registered_commands}

    return names(commands.app, "") | names(commands.data, "data ")


@pytest.mark.attack
def test_a_server_of_half_a_minute(place: Place, count):
    place.require_nothing_elsewhere(place.serve(trained("grades"), 30))
    count("seconds of a server traced: no look-up, no connection, no file elsewhere", 30)
