"""A place with tiny data, and `penlight` in it as processes that can be killed, stopped and looked at."""

import hashlib
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.tiny_dataset import write_tiny
from tests.survival.server import Command

Words = tuple[str, ...]

ROOT = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
)

LINEAR = ("train", "tiny.toml", "--recipe", "linear", "--set", "model.components=3")
NETWORK = ("train", "tiny.toml", "--recipe", "cnn", "--set", "model.filters=[4]", "--set", "model.dense=4",
           "--set", "train.epochs=4", "--set", "train.batch_size=10")  # fmt: skip
SEEDS = (*LINEAR, "--seeds", "2")
FOLDS = (*LINEAR, "--folds", "2")
STUDY = ("study", "small.toml")
TUNE = ("tune", "tiny.toml", "--recipe", "linear", "--set", "model.components=3", "--space", "space.toml",
        "--trials", "2")  # fmt: skip
PREDICT = ("predict", "runs/tiny-linear-1", "pictures", "--out", "runs/predicted")
DESCRIBE = ("data", "new", "pictures", "--name", "pics", "--task", "multi-class")

STUDY_FILE = """
name = "small"
title = "A small study"
question = "Is linear better than nothing?"
dataset = "tiny.toml"
seeds = 1

[[rows]]
id = "majority"
recipe = "majority"
title = "Majority-class baseline"

[[rows]]
id = "linear"
recipe = "linear"
title = "Linear baseline"
overrides = ["model.components=3"]
"""

COMPARED = ("predictions-*.npz", "baseline-*.npz", "baseline-*.json", "novelty.npz", "decision.json", "recipe.toml",
            "best.toml", "train_images.npy", "train_labels.npy", "*-splits.csv", "part-*",
            "predictions-summary.json")  # fmt: skip
"""Files that are the same bytes each time; the others of a run hold times."""


@dataclass
class Ended:
    """How a process ended: its exit code (negative: the signal), what it said, the events that changed files, and the
    seconds it took."""

    code: int
    out: str
    err: str
    events: list[str]
    seconds: float

    @property
    def said(self) -> str:
        """The last line on standard error."""
        return self.err.strip().splitlines()[-1]


class Server:
    """The process that starts commands; see `tests.survival.server`."""

    def __init__(self, *, stub: bool, networks: bool) -> None:
        self.stub = stub
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.survival.server", *(["networks"] if networks else [])],
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, line: str) -> int:
        """Send a line, and give the number that comes back."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Process:
    """A command that runs."""

    def __init__(self, server: Server, command: Command) -> None:
        self.server, self.command, self.begun = server, command, time.monotonic()
        self.id = server.ask(command.to_json())

    def wait(self) -> Ended:
        """Wait for the end."""
        code = self.server.ask(json.dumps({"wait": self.id}))
        out, err, events = (Path(p).read_text() for p in (self.command.out, self.command.err, self.command.events))
        return Ended(code, out, err, events.splitlines(), time.monotonic() - self.begun)

    def until(self, what: str) -> None:
        """Wait until an event matches a regular expression."""
        for _ in range(60_000):
            path = Path(self.command.events)
            if path.exists() and any(re.match(what, line) for line in path.read_text().splitlines()):
                return
            time.sleep(0.002)
        raise AssertionError(f"{what} never came")


class Place:
    """A working folder with tiny data, a cache beside it, and `penlight` in it."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.root, self.server = folder, server
        self.work = folder / "work"
        self.streams = folder.with_name(f"{folder.name}-said")
        self.started = 0
        for path in (self.work, self.streams):
            path.mkdir(parents=True)
        write_tiny(self.work)
        (self.work / "small.toml").write_text(STUDY_FILE)
        (self.work / "space.toml").write_text("model.strength = { low = 0.1, high = 10, log = true }\n")
        write_pictures(self.work)

    def start(self, *words: str, **how: str | bool) -> Process:
        """Start `penlight` with some words; `how` are further fields of the `Command`."""
        self.started += 1
        said = self.streams / str(self.started)
        streams = {"out": f"{said}.out", "err": f"{said}.err", "events": f"{said}.events"}
        environment = {"HOME": str(self.root / "home"), "PENLIGHT_CACHE": str(self.root / "cache")}
        fields = {"cwd": str(self.work), "root": str(self.root), "environment": environment, **streams}
        fields |= {"stub": self.server.stub, **how}
        return Process(self.server, Command(words=list(map(str, words)), **fields))

    def run(self, *words: str, **how: str | bool) -> Ended:
        """Run `penlight` to its end."""
        return self.start(*words, **how).wait()

    def files(self) -> set[str]:
        """Name every file and folder that is there."""
        return {path.relative_to(self.root).as_posix() for path in self.root.rglob("*")}

    def prints(self) -> dict[str, str]:
        """Hash the files that are to be the same bytes."""
        found = {path for pattern in COMPARED for path in self.root.rglob(pattern)}
        return {
            path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found
        }


def write_pictures(folder: Path) -> None:
    """Write three class folders of 25 pictures each: decoded in two parts."""
    rng = np.random.default_rng(0)
    for label, name in enumerate("abc"):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(25):
            pixels = rng.integers(0, 150, (32, 32)) + 30 * label
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "pictures" / name / f"{number}.png")


def pattern_of(event: str) -> str:
    """Give a regular expression of an event, whatever its temporary file is called and whenever files were made."""
    kinds = (r"\.[a-z0-9_]{8}\.part", "[0-9a-f]{32}", r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    pieces = re.split(f"({'|'.join(kinds)})", event)
    return "".join(
        re.escape(piece) if number % 2 == 0 else next(kind for kind in kinds if re.fullmatch(kind, piece))
        for number, piece in enumerate(pieces)
    ) + "$"  # fmt: skip


def drawn(events: list[str], count: int, seed: int) -> list[str]:
    """Draw events to be killed at, one from each of as many equal stretches of them."""
    rng = random.Random(seed)
    edges = np.linspace(0, len(events), count + 1).astype(int)
    return [pattern_of(rng.choice(events[low:high])) for low, high in pairwise(edges)]


def require_same(place: Place, other: Place) -> None:
    """Check that two places hold the same files, and the same bytes where they are to be the same."""
    assert place.files() == other.files()
    assert place.prints() == other.prints()
    assert len(place.prints()) > 2


def require_one_line(ended: Ended, begins: str, *words: str) -> None:
    """Check that a command ended with one clear line that begins so and holds some words, and with no traceback."""
    assert "Traceback" not in ended.err, ended.err
    assert ended.said.startswith(begins), ended.err
    assert sum(line.startswith(begins) for line in ended.err.splitlines()) == 1
    for word in words:
        assert word in ended.said


def require_refused(place: Place, words: Words, stop: str, folder: str) -> None:
    """Stop a command before an event; check that the next is refused the folder, and that one goes on when the first
    is killed."""
    first = place.start(*words, kill_on=stop, kill_by=signal.SIGSTOP)
    first.until(stop)
    second = place.run(*words)
    assert second.code == 1
    require_one_line(second, f"Error: Another process ({first.id} on {platform.node()}) is writing {folder}.")
    os.kill(first.id, signal.SIGKILL)
    assert first.wait().code == -signal.SIGKILL
    assert place.run(*words).code == 0
