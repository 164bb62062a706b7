"""What a process asks of the system, seen by strace: look-ups of names, connections, and files that it makes.

Python's audit hooks see Python alone; native libraries, such as ONNX Runtime, make threads and sockets of their own.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

# How a name is looked up on Linux: a question to port 53, or to a service of this machine.
_RESOLVERS = re.compile(r"htons\(53\)|/nscd/socket|systemd\.resolve|/resolve/io\.")
_ADDRESS = re.compile(r'(?:inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)")')
_LOOPBACK = re.compile(r"127\.|::1$|::ffff:127\.|0\.0\.0\.0$|::$")
_MAKING = (
    "open", "openat", "creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink",
    "symlinkat", "mknod", "mknodat",
)  # fmt: skip
_MAKES = re.compile(rf"\b({'|'.join(_MAKING)})\(")
_CALLS = ",".join(("network", *_MAKING))
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')


@dataclass
class Trace:
    """What a process did: how it ended, the look-ups of names, addresses off loopback, and paths that it made."""

    code: int
    out: str
    err: str
    lookups: list[str]
    connections: list[str]
    made: list[Path]

    def made_outside(self, *allowed: Path) -> list[Path]:
        """Give the paths made that are in none of these folders; what Python compiles beside its sources, and
        devices, do not count."""
        roots = [path.resolve() for path in (*allowed, Path("/dev"), Path("/proc"))]
        return [
            path
            for path in self.made
            if "__pycache__" not in path.parts and not any(path.is_relative_to(root) for root in roots)
        ]


def require_strace() -> None:
    """Skip a test where there is no strace, or where it may not trace; where everything must run, fail."""
    reason = None
    if not shutil.which("strace"):
        reason = "strace is missing; install it: apt-get install strace"
    elif subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode:
        reason = "processes may not be traced here"
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def tracing(log: Path) -> list[str]:
    """Give the words that go before a command so that it and its children are logged."""
    # Threads follow; the kernel's filter leaves other calls at full speed; -y names folders that are open.
    return ["strace", "-f", "-qq", "--seccomp-bpf", "-y", "-s", "4096", "-e", f"trace={_CALLS}", "-o", str(log)]


def trace(log: Path, *words: str, environment: dict[str, str], cwd: Path) -> Trace:
    """Run a command to its end."""
    command = [*tracing(log), *words]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return read_trace(log, cwd, done.returncode, done.stdout, done.stderr)


def read_trace(log: Path, cwd: Path, code: int = 0, out: str = "", err: str = "") -> Trace:
    """Read strace's log of a process that has ended."""
    found = Trace(code, out, err, [], [], [])
    for line in _whole_lines(log.read_text(errors="replace")):
        if _RESOLVERS.search(line):
            found.lookups.append(line)
        if re.search(r"\b(connect|sendto|sendmsg|sendmmsg)\(", line):
            for match in _ADDRESS.finditer(line):
                if not _LOOPBACK.match(match[1] or match[2]):
                    found.connections.append(line)
        call = _MAKES.search(line)
        if call and not re.search(r"= -1 E", line) and ("open" not in call[1] or "O_CREAT" in line):
            # Of two paths the second is the one that is made.
            folder, name = _PATH.findall(line)[-1]
            found.made.append(Path(os.path.normpath(cwd / (folder or ".") / name)))
    return found


def _whole_lines(text: str) -> list[str]:
    """Put calls together that strace wrote in two parts, because another thread came between."""
    begun: dict[str, str] = {}
    whole = []
    for line in text.splitlines():
        process, _, rest = line.partition(" ")
        rest = rest.lstrip()
        if rest.endswith("<unfinished ...>"):
            begun[process] = rest.removesuffix("<unfinished ...>")
        elif match := re.match(r"<\.\.\. \w+ resumed>", rest):
            whole.append(begun.pop(process, "") + rest[match.end() :])
        else:
            whole.append(rest)
    # What never came back, as a thread that was in connect() when the process ended.
    return whole + list(begun.values())


def penlight(*words: str) -> list[str]:
    """Give the command with some words, as this interpreter runs it."""
    return [sys.executable, "-c", "from penlight.cli import main; main()", *words]
