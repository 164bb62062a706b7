"""Count what a command asks of a disk, by strace: files opened, files and bytes written, renames, syncs and locks, by
where they lie. For what many nodes at once ask of a shared disk, see docs/explanations/scale.md.

    python benchmarks/disk_operations.py train retinamnist --recipe linear --out /tmp/run
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

CALLS = (
    "openat,open,stat,lstat,newfstatat,access,write,pwrite64,writev,rename,renameat,unlink,unlinkat,mkdir,fsync,flock"
)
_CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*?)(?:\) += (-?\d+|\?).*| <unfinished \.\.\.>)$")
_PATH = re.compile(r'<(/[^>]*)>|"((?:[^"\\]|\\.)*)"')


def places() -> dict[str, Path]:
    """Where files lie, the most special first."""
    cache = os.environ.get("PENLIGHT_CACHE") or Path.home() / ".cache" / "penlight"
    out = Path(sys.argv[sys.argv.index("--out") + 1]) if "--out" in sys.argv else Path("runs")
    return {"run folder": out.resolve(), "cache": Path(cache).resolve(), "Python": Path(sys.prefix).resolve(),
            "Python ": Path(sys.base_prefix).resolve()}  # fmt: skip


def main() -> None:
    """Run the command, and print a table."""
    known = places()
    with tempfile.NamedTemporaryFile("r", errors="replace") as trace:
        words = [sys.executable, "-c", "from penlight.cli import main; main()", *sys.argv[1:]]
        strace = ["strace", "-f", "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", trace.name]
        subprocess.run([*strace, *words], check=True, stdout=subprocess.DEVNULL)
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        written: dict[str, set[str]] = defaultdict(set)
        for line in trace:
            if (found := _CALL.match(line)) is None:
                continue
            call, about, result = found.groups()
            # A path as the command gave it or, where that is none from the root, the folder or file that was open.
            named = [one for one in _PATH.findall(about) if one[1].startswith("/")] or _PATH.findall(about)
            path = Path("".join(named[0])) if named else Path()
            where = next((name.strip() for name, folder in known.items() if path.is_relative_to(folder)), None)
            if where is None:
                continue
            kind = "write" if "write" in call else "look" if "stat" in call or call == "access" else call
            counts[where][re.sub(r"at$|64$", "", kind)] += 1
            if kind == "write" and result and result.isdigit():
                counts[where]["bytes written"] += int(result)
                written[where].add(str(path))
    names = ["open", "look", "write", "bytes written", "rename", "unlink", "mkdir", "fsync", "flock"]
    print(f"{'':<12}" + "".join(f"{name:>15}" for name in [*names, "files written"]))
    for where in ("run folder", "cache", "Python"):
        row = [counts[where][name] for name in names] + [len(written[where])]
        print(f"{where:<12}" + "".join(f"{value:>15,}" for value in row))


if __name__ == "__main__":
    main()
