"""How long commands take from the shell, most of which is importing.

    python benchmarks/startup.py [--repeats 5] [--run RUN]

Each command runs in a process of its own: medians of wall and processor time, and how many modules are loaded when it
ends. RUN must be of `retina-phantom`; without it `penlight demo` makes one. What a command writes is deleted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _measure import print_table
from PIL import Image

_COMMAND = "from penlight.cli import main; main()"
_COUNTED = "import atexit, sys; atexit.register(lambda: print(len(sys.modules), file=sys.stderr)); " + _COMMAND


def commands(run: Path, folder: Path) -> dict[str, list[str | Path]]:
    """Give what is measured: its name and its words. Makes the files that it reads in `folder`."""
    from penlight.runs import open_run

    scores, picture = folder / "scores.csv", folder / "picture.png"
    prob = open_run(run).model_predictions("test").prob
    np.savetxt(scores, np.column_stack([np.arange(len(prob)), prob]), delimiter=",", fmt="%.17g")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)).save(picture)
    return {
        "--help": ["--help"],
        "train --help": ["train", "--help"],
        "recipes": ["recipes"],
        "data list": ["data", "list"],
        "data show DATASET": ["data", "show", "retina-phantom", "--out", folder / "shown"],
        "predict RUN PICTURE": ["predict", run, picture],
        "evaluate RUN": ["evaluate", run],
        "score FILE": ["score", scores, "--dataset", "retina-phantom", "--split", "test"],
        "compare RUN RUN:linear": ["compare", run, f"{run}:linear"],
        "report RUN": ["report", run, "--out", folder / "report.html"],
    }


def measured(words: list[str | Path]) -> tuple[float, float]:
    """Run a command: seconds on the wall, and of the processor with those of its threads."""
    begun = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", _COMMAND, *words], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} failed.")
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime


def modules(words: list[str | Path]) -> int:
    """Count the modules that are loaded when a command ends."""
    done = subprocess.run([sys.executable, "-c", _COUNTED, *words], capture_output=True, text=True, check=True)
    return int(done.stderr.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--run", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = options.run or folder / "demo"
        if options.run is None:
            measured(["demo", "--json", "--out", run])
        lines = []
        for title, words in commands(run, folder).items():
            count = modules(words)  # The first one also reads files into the cache of the system.
            times = [measured(words) for _ in range(options.repeats)]
            wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
            lines.append([title, f"{wall:.3f}", f"{cpu:.3f}", f"{count:,}"])
    print_table("Commands from the shell", ["command", "wall (s)", "CPU (s)", "modules"], lines)


if __name__ == "__main__":
    main()
