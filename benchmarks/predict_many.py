"""Throughput and memory of `penlight predict --out`, for many drawn images of 28 pixels in files.

    python benchmarks/predict_many.py [RUN] [--images 100000] [--pairs 3] [--form files|npz]

RUN is of images of 28 pixels, by default the demo's network. Each pair predicts all images with `--on local:1` and
with `--on local:2`, one after the other, so that other work on the machine disturbs both alike; the ratio is that of
each pair. Then a command is killed with SIGKILL in the middle and repeated, and its files are compared with those of
the first, byte for byte. Memory is the largest that one process had, and a process of `local:2` with its worker.
"""

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _measure import print_table
from PIL import Image

from penlight.api.requests import resolve_recipe
from penlight.api.training import train_recipe
from penlight.runs import open_run

_PER_FOLDER = 10_000
_COMMAND = [sys.executable, "-c", "from penlight.cli import main; main()", "predict"]
_DIFFERENT = 512


def draw(folder: Path, n: int, channels: int, form: str) -> Path:
    """Write n images, of which 512 differ; give what to predict."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (_DIFFERENT, 7, 7, channels), dtype=np.uint8)
    drawn = small.repeat(4, axis=1).repeat(4, axis=2)
    if form == "npz":
        np.savez_compressed(folder / "drawn.npz", images=np.resize(drawn, (n, *drawn.shape[1:])))
        return folder / "drawn.npz"
    for i in range(n):
        place = folder / "drawn" / f"{i // _PER_FOLDER:04}"
        place.mkdir(parents=True, exist_ok=True)
        first = folder / "drawn" / "0000" / f"{i % _DIFFERENT:06}.png"
        if i < _DIFFERENT:
            Image.fromarray(drawn[i][..., 0] if channels == 1 else drawn[i]).save(first, "PNG")
        else:
            shutil.copyfile(first, place / f"{i % _PER_FOLDER:06}.png")
    return folder / "drawn"


class Watched:
    """What a command and all that it started have used so far: `memory` in bytes at most, `cpu` in seconds."""

    def __init__(self) -> None:
        self.largest = self.largest_pair = 0
        self._cpu: dict[int, float] = {}

    @property
    def cpu(self) -> float:
        return sum(self._cpu.values())

    def look(self, root: int) -> None:
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                found[int(entry.name)] = fields
        inside, waiting = {}, [root]
        while waiting:
            parent = waiting.pop()
            if parent in found:
                inside[parent] = found[parent]
            waiting += [pid for pid, fields in found.items() if int(fields[1]) == parent]
        memory = {pid: int(fields[21]) * os.sysconf("SC_PAGE_SIZE") for pid, fields in inside.items()}
        for pid, fields in inside.items():
            self._cpu[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            below = sum(memory[other] for other, own in inside.items() if int(own[1]) == pid and pid != root)
            self.largest_pair = max(self.largest_pair, memory[pid] + below)
            self.largest = max(self.largest, memory[pid])


def measure(words: list[str]) -> tuple[float, Watched]:
    """Run a command; give its seconds and what it used."""
    begun, watched = time.perf_counter(), Watched()
    with subprocess.Popen([*_COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            watched.look(process.pid)
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"the command ended with {process.returncode}")
    return time.perf_counter() - begun, watched


def kill(words: list[str], seconds: float) -> int:
    """Kill a command after so many seconds, and what it had started with it; give how many parts it had done."""
    process = subprocess.Popen([*_COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return len(list(Path(words[words.index("--out") + 1]).glob("part-*.parquet")))


def hash_of(folder: Path) -> str:
    """Hash all files of a folder, by name."""
    files = sorted(path for path in folder.iterdir() if not path.name.endswith(".lock"))
    names = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--form", choices=("files", "npz"), default="files")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = asked.run or train_recipe(resolve_recipe("retina-phantom", "demo"), out=folder / "demo").folder
        channels = open_run(run).reading.channels
        source = draw(folder, asked.images, channels, asked.form)
        rows, ratios, hashes, seconds = [], [], set(), 0.0
        for pair in range(asked.pairs):
            taken = []
            for workers in (1, 2):
                out = folder / f"out-{pair}-{workers}"
                words = [str(run), str(source), "--out", str(out), "--on", f"local:{workers}"]
                seconds, used = measure(words)
                taken.append(seconds)
                hashes.add(hash_of(out))
                rows.append(
                    [
                        f"pair {pair + 1}, local:{workers}",
                        f"{seconds:.1f}",
                        f"{asked.images / seconds:,.0f}",
                        f"{used.cpu / asked.images * 1e3:.2f}",
                        f"{used.largest / 1e6:.0f}",
                        f"{used.largest_pair / 1e6:.0f}",
                    ]
                )
            ratios.append(taken[0] / taken[1])
        words = [str(run), str(source), "--out", str(folder / "killed"), "--on", "local:2"]
        done = kill(words, seconds / 2)
        measure(words)
        hashes.add(hash_of(folder / "killed"))
        title = f"{asked.images:,} images of 28 pixels as {asked.form}, {run.name}"
        print_table(title, ["", "s", "images/s", "CPU ms/image", "MB, a process", "MB, with its worker"], rows)
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"two workers against one: {each}, median {statistics.median(ratios):.2f}")
        print(f"killed with {done} parts done and continued: {'the same' if len(hashes) == 1 else 'OTHER'} bytes")


if __name__ == "__main__":
    main()
