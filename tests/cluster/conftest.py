"""A cluster of one node for all tests of this folder, and a study of small runs that they do on it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from penlight.experiments.executors.jobs import Ledger
from tests.cluster.slurm import OneNode, missing, one_node
from tests.data.tiny_dataset import write_tiny

# A shell starts what it does not wait for with Ctrl-C ignored, as it may have started these tests.
COMMAND = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from penlight.cli import main; main()",
]
COMPARED = ("predictions-test.npz", "predictions-val.npz", "decision.json")
HEAD = 'name = "small"\ntitle = "Small"\nquestion = "Which one?"\ndataset = "tiny.toml"\nseeds = 1\n'
ROW = '[[rows]]\nid = "{name}"\nrecipe = "{recipe}"\ntitle = "The {name}"\nseeds = {seeds}\noverrides = {overrides}\n'
NETWORK = ["train.batch_size=10", "model.filters=[4]", "model.dense=8"]


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """The cluster; without Slurm the tests are skipped, but in CI they fail."""
    if lacks := missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"Slurm cannot be started here: {lacks}")
    with one_node(tmp_path_factory.mktemp("slurm")) as up:
        yield up


def rows(linear: int = 0, cnn: int = 0, epochs: int = 3) -> str:
    """A study of so many seeds of the linear model and of a network."""
    said = HEAD
    if linear:
        said += ROW.format(name="linear", recipe="linear", seeds=linear, overrides='["model.components=5"]')
    if cnn:
        said += ROW.format(name="cnn", recipe="cnn", seeds=cnn, overrides=str([*NETWORK, f"train.epochs={epochs}"]))
    return said


@dataclass
class Place:
    """A working folder in which a study is done, and a cluster that does it."""

    node: OneNode
    folder: Path

    def study(self, file: str, out: str, *options: str) -> "subprocess.Popen[str]":
        """Begin the command."""
        words = ["study", file, "--out", out, *options]
        return subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                cwd=self.folder, env=os.environ | self.node.environment)  # fmt: skip

    def on_slurm(self, file: str, out: str, *options: str) -> "subprocess.Popen[str]":
        return self.study(file, out, "--on", "slurm", "--cluster", "cluster.toml", *options)

    def end(self, process: "subprocess.Popen[str]", code: int = 0) -> str:
        """Wait for its end, and give what it said."""
        try:
            said, errors = process.communicate(timeout=600)
        finally:
            process.kill()
        assert process.returncode == code, said + errors
        return said + errors

    def slurm(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True,
                              env=os.environ | self.node.environment)  # fmt: skip
        return done.stdout

    def bytes_of(self, out: str, run: str) -> list[bytes]:
        return [(self.folder / out / run / name).read_bytes() for name in COMPARED]

    def rows(self, out: str):
        return Ledger(self.folder / out).rows()

    def wait_for(self, there, what: str, process: "subprocess.Popen[str] | None" = None) -> None:
        end = time.monotonic() + 300
        while not there():
            assert process is None or process.poll() is None, process.communicate()
            assert time.monotonic() < end, f"{what} did not come within 300 s"
            time.sleep(0.05)


@pytest.fixture
def place(node, own_folders):
    """The cluster, and a folder with a dataset and a file that says what jobs are given."""
    folder = own_folders / "work"
    write_tiny(folder)
    (folder / "cluster.toml").write_text("cpus = 1\nask_every = 1.0\n")
    return Place(node, folder)


@pytest.fixture
def environment(node, monkeypatch):
    """Slurm's commands find the cluster from this process too."""
    for name, value in node.environment.items():
        monkeypatch.setenv(name, value)
