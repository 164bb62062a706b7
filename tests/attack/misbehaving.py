"""What a worker runs in tests of workers: each item says how it misbehaves."""

import ctypes
import os
import signal
import sys
import time

from penlight.workers import begin


def handle(common, items):
    os.write(1, b"on standard output")
    os.write(2, b"on standard error")
    answers = []
    for i, (values, content) in enumerate(items):
        begin(None if common.get("together") else i)
        answers.append(_DO[values.get("do", "echo")](values, content))
    return answers


def answer(common, items):
    """Do what a worker of a server does, or misbehave on all items together."""
    from penlight.runs import answering

    if common.get("misbehave"):
        begin(None)
        _DO[common["misbehave"]]({"seconds": 60}, b"")
    return answering.handle(common, items)


def _echo(values, content):
    return {"got": values.get("value"), "pid": os.getpid()}, content[::-1]


def _loop(values, content):
    while True:
        pass


def _sleep(values, content):
    time.sleep(values["seconds"])
    return {}, b""


def _memory(values, content):
    return {}, bytes(values["bytes"])[:1]


def _crash(values, content):
    ctypes.string_at(0)


def _killed(values, content):
    os.kill(os.getpid(), signal.SIGKILL)


def _raises(values, content):
    raise ValueError("planted")


def _lies(values, content):
    """Write to the pipe what is no answer."""
    for descriptor in range(3, 30):
        try:
            os.write(descriptor, values["bytes"].encode("latin-1"))
        except OSError:
            continue
    os._exit(0)


def _imported(values, content):
    return {"modules": [name for name in values["names"] if name in sys.modules], "path": sys.path}, b""


_DO = {
    "echo": _echo, "loop": _loop, "sleep": _sleep, "memory": _memory, "crash": _crash, "killed": _killed,
    "raises": _raises, "lies": _lies, "imported": _imported,
}  # fmt: skip
