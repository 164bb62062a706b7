"""Starts commands as processes of their own, quickly: all is imported once, and each command is a fork of that.

A fork is a whole process: it has its own folders, streams and signals, and dies of SIGKILL as any other does. It is
safe here because no other thread runs and TensorFlow has computed nothing when it is made. What a command does to
files it tells by Python's audit events, so that it can be killed at any of them without a hook in Penlight.

Read as JSON, a line each, from standard input: a `Command`, answered by its process id; {"wait": id}, answered by its
exit code, negative for a signal.
"""

import json
import os
import re
import signal
import sys
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from tests.conftest import leave_maps_out
from tests.stubs import stub_fit
from tests.survival import faults

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}


@dataclass
class Command:
    """Words of `penlight`, where and how to run them: standard streams go to files `out` and `err`.

    Events that change files below the folder `root` are logged to the file `events`; the process gets the signal
    `kill_by` before the first that matches the regular expression `kill_on`. `fault` is a call of
    `tests.survival.faults`. With `stub`, a network's compiled step (`tests.stubs`) and maps of answers are left out.
    """

    words: list[str]
    cwd: str
    out: str
    err: str
    root: str
    events: str
    kill_on: str = ""
    kill_by: int = signal.SIGKILL
    environment: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    stub: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def _watch(command: Command) -> None:
    """Log what changes files, and kill this process before the event that `kill_on` names."""
    log = os.open(command.events, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    wanted, came = re.compile(command.kill_on or r"\Z."), []

    def see(event, values):
        if event == "open":
            if not isinstance(values[0], str | bytes) or not (values[2] or 0) & _WRITES:
                return
        elif event not in _CHANGES:
            return
        handle = values[-1] if event != "open" and isinstance(values[-1], int) else -1
        # A path from a folder that is open: told of a run, and not of the removal of a tree, which has no order.
        start = Path.cwd() if handle < 0 else Path(f"/proc/self/fd/{handle}").resolve()
        if handle >= 0 and "runs" not in start.parts:
            return
        path = start / os.fsdecode(values[0])
        if path.is_relative_to(command.root) and _may_change(event, path):
            line = f"{event} {path.relative_to(command.root).as_posix()}"
            os.write(log, f"{line}\n".encode())
            if wanted.match(line) and not came:
                came.append(line)
                os.kill(os.getpid(), command.kill_by)

    sys.addaudithook(see)


def _may_change(event: str, path: Path) -> bool:
    """Say whether what is asked for can be done: making what is there, or removing what is not, changes nothing."""
    if event == "os.mkdir":
        return not path.exists()
    if event == "os.rmdir":
        return path.is_dir() and not any(path.iterdir())
    return event == "open" or path.exists()


def _run(command: Command) -> None:
    """Be the command: streams, folder and environment first, then `penlight`."""
    for place, path in ((1, command.out), (2, command.err)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, place)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(command.cwd)
    os.environ.update(command.environment)
    sys.argv = ["penlight", *command.words]
    # A shell that starts tests in the background has them ignore this signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if command.stub:
        patch = pytest.MonkeyPatch()
        leave_maps_out(patch)
        if "keras" in sys.modules:
            stub_fit(patch)
    if command.fault:
        eval(command.fault, vars(faults))
    _watch(command)
    from penlight.cli import main

    main()


def _fork(command: Command) -> int:
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        _run(command)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def serve() -> None:
    """Import what commands need, then answer until standard input ends."""
    if "networks" in sys.argv:
        import keras  # noqa: F401
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import optuna  # noqa: F401
    import sklearn.decomposition
    import sklearn.linear_model  # noqa: F401

    import penlight.api
    import penlight.api.progress
    import penlight.api.studies
    import penlight.api.training
    import penlight.cli.app
    import penlight.cli.show.scores
    import penlight.cli.show.studies
    import penlight.cli.show.trained
    import penlight.data.audit
    import penlight.experiments.studies
    import penlight.experiments.tuning
    import penlight.exporters.onnx_file
    import penlight.models.baselines
    import penlight.models.keras_files
    import penlight.reports.content
    import penlight.reports.page
    import penlight.reports.run

    # Figures are half of what a command takes, and nothing here looks at them. What a killed process has written, the
    # system holds without being asked to.
    penlight.reports.page.draw_svg = lambda *_: "<svg/>"
    os.fsync = lambda handle: None
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    assert threading.active_count() == 1
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(asked['wait'], 0)[1])}\n")
        else:
            answers.write(f"{_fork(Command(**asked))}\n")


if __name__ == "__main__":
    serve()
