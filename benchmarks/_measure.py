"""What benchmarks share: a command in a process of its own, measured, and one table on standard output."""

import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from penlight.runs import machine


def in_own_process(script: str, *words: str) -> dict[str, Any]:
    """Run a script of this folder with words that make it print what `measured` gave."""
    done = subprocess.run([sys.executable, script, *words], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(work: Callable[[], Any]) -> dict[str, Any]:
    """Do the work once: `seconds` of wall time, `cpu` seconds of all threads, `peak_mb` of this process so far."""
    begun, cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    unit = 1e6 if sys.platform == "darwin" else 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return {"seconds": seconds, "cpu": cpu, "peak_mb": peak, "result": result}


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under a head, the first column to the left, the others to the right, and the machine below."""
    lines = [list(head), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(line[c]) for line in lines) for c in range(len(head))]
    print(f"\n{title}")
    for line in lines:
        cells = [
            cell.ljust(w) if c == 0 else cell.rjust(w) for c, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    about = machine()
    print(f"{about['processor']}, {about['cores']} cores, Python {platform.python_version()}")


def here(file: str) -> str:
    """Give the path of a script as a word for a command."""
    return str(Path(file).resolve())
