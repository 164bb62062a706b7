"""Count what a command asks of a disk, by strace: files opened, files and bytes written, renames, syncs and locks, by
where they lie. For what many nodes at once ask of a shared disk, see docs/explanations/scale.md.

    python benchmarks/disk_operations.py train retinamnist --recipe linear --out /tmp/run
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import penlight

CALLS = (
    "openat,open,stat,lstat,newfstatat,access,write,pwrite64,writev,rename,renameat,unlink,unlinkat,mkdir,fsync,flock"
)
_CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*?)(?:\) += (-?\d+|\?).*| <unfinished \.\.\.>)$")
_PATH = re.compile(r'<(/[^>]*)>|"((?:[^"\\]|\\.)*)"')


def places(words: list[str]) -> dict[str, list[Path]]:
    """Where files lie."""
    cache = os.environ.get("PENLIGHT_CACHE") or Path.home() / ".cache" / "penlight"
    out = words[words.index("--out") + 1]
    prefixes = [Path(sys.prefix), Path(sys.base_prefix), Path(penlight.__file__).parent]
    return {"run folder": [Path(out).resolve()], "cache": [Path(cache).resolve()], "Python": prefixes}


def main() -> None:
    """Run a command with --out, by default one that trains on drawn images, and print a table."""
    if shutil.which("strace") is None:
        print("strace is not installed.")
        return
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile("r", errors="replace") as trace:
        words = sys.argv[1:] or ["train", "retina-phantom", "--recipe", "linear", "--out", f"{folder}/run"]
        python = [sys.executable, "-c", "from penlight.cli import main; main()", *words]
        strace = ["strace", "-f", "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", trace.name]
        subprocess.run([*strace, *python], check=True, stdout=subprocess.DEVNULL)
        print_table(*counted(trace, places(words)))


def counted(
    trace: Iterable[str], known: dict[str, list[Path]]
) -> tuple[dict[str, Counter[str]], dict[str, set[str]]]:
    """Count the calls of each place by kind, and list the files written there."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    written: dict[str, set[str]] = defaultdict(set)
    for line in trace:
        if (found := _CALL.match(line)) is None:
            continue
        call, about, result = found.groups()
        # A path as the command gave it or, where that is none from the root, the folder or file that was open.
        named = [one for one in _PATH.findall(about) if one[1].startswith("/")] or _PATH.findall(about)
        path = Path("".join(named[0])) if named else Path()
        where = next((name for name, own in known.items() if any(map(path.is_relative_to, own))), None)
        if where is None:
            continue
        kind = "write" if "write" in call else "look" if "stat" in call or call == "access" else call
        counts[where][kind.removesuffix("at")] += 1
        if kind == "write" and result and result.isdigit():
            counts[where]["bytes written"] += int(result)
            written[where].add(str(path))
    return counts, written


def print_table(counts: dict[str, Counter[str]], written: dict[str, set[str]]) -> None:
    """Print a line for each place."""
    names = ["open", "look", "write", "bytes written", "rename", "unlink", "mkdir", "fsync", "flock"]
    print(f"{'':<12}" + "".join(f"{name:>15}" for name in [*names, "files written"]))
    for where in ("run folder", "cache", "Python"):
        row = [counts[where][name] for name in names] + [len(written[where])]
        print(f"{where:<12}" + "".join(f"{value:>15,}" for value in row))


if __name__ == "__main__":
    main()
