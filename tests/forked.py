"""Runs tests in several processes: `pytest --workers 3`. Each is a fork of the one that has imported and collected,
which takes ten seconds of processor time that each would else spend. A fork is safe here: no other thread of Python
runs, and TensorFlow and ONNX Runtime are imported but have computed nothing.

Files are given out whole, in the order of `tests/schedule.py`, to whichever process is free. A process that dies
fails the test that it ran, and another takes up the rest of the file.
"""

import atexit
import fcntl
import gc
import itertools
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait

import pytest

from penlight.models import load_keras
from penlight.models.backend import chosen_backend
from tests.once import shared_folder
from tests.schedule import scope


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--workers", type=int, default=0, help="run tests in so many forks of this process")


EARLY = "tests/browser/"
"""Tests that a process of its own collects and runs while the others are collected: they need no Keras."""

_WORKERS = pytest.StashKey["_Workers"]()


def pytest_collection(session: pytest.Session) -> None:
    config = session.config
    if config.option.workers and not config.option.collectonly:
        config.stash[_WORKERS] = workers = _Workers(session)
        if config.args_source is config.ArgsSource.TESTPATHS:
            workers.start(early=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    workers = session.config.stash.get(_WORKERS, None)
    if workers is None:
        return None
    try:
        if session.testsfailed:
            return None
        workers.run()
    finally:
        workers.end()
    return True


@dataclass
class _Worker:
    process: int
    early: bool
    item: pytest.Item | None = None
    """The test that it runs."""


class _Workers:
    """The processes that run tests, as the one sees them that has collected these and tells what becomes of them."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.running: dict[Connection, _Worker] = {}
        self.started = itertools.count()
        # What all processes share is made before them.
        shared_folder()
        session.config._tmp_path_factory.getbasetemp()

    def run(self) -> None:
        """Give out the tests, and tell what is heard of them."""
        self.items = {item.nodeid: item for item in self.session.items}
        self.scopes = [list(items) for _, items in itertools.groupby(self.session.items, scope)]
        # Whoever reads two bytes has the scope of that number, and nobody else can have it.
        self.waiting, given = os.pipe()
        for number, items in enumerate(self.scopes):
            if not (self.running and items[0].nodeid.startswith(EARLY)):
                os.write(given, number.to_bytes(2))
        os.close(given)
        gc.disable()
        # JAX starts threads when it is imported.
        if chosen_backend() == "tensorflow":
            load_keras()
        gc.freeze()
        gc.enable()
        for _ in range(self.session.config.option.workers - len(self.running)):
            self.start()
        while self.running:
            for ready in wait(list(self.running)):
                self.hear(ready)

    def end(self) -> None:
        """End the processes that are left, of a run that was stopped."""
        for worker in self.running.values():
            os.kill(worker.process, signal.SIGKILL)
            os.waitpid(worker.process, 0)

    def take(self) -> list[pytest.Item]:
        number = os.read(self.waiting, 2)
        return self.scopes[int.from_bytes(number)] if number else []

    def start(self, first: Sequence[pytest.Item] = (), early: bool = False) -> None:
        """Start a process with the `first` tests and all that it can have after them, or with the `early` ones."""
        heard, told = Pipe(duplex=False)
        if early and hasattr(fcntl, "F_SETPIPE_SZ"):
            # Nobody listens until all others are collected.
            fcntl.fcntl(told, fcntl.F_SETPIPE_SZ, 2**20)
        name = f"worker{next(self.started)}"
        with warnings.catch_warnings():
            # Python 3.12 warns of threads; those of jemalloc and ONNX Runtime wait for work.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if not process:
            heard.close()
            _work(self.session, name, self._early() if early else self._all(first), told)
        told.close()
        self.running[heard] = _Worker(process, early)

    def _early(self) -> Iterator[pytest.Item]:
        self.session.perform_collect([EARLY])
        if self.session.testsfailed:
            raise RuntimeError(f"{EARLY} cannot be collected.")
        yield from self.session.items

    def _all(self, first: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
        yield from first
        while more := self.take():
            yield from more

    def hear(self, ready: Connection) -> None:
        worker, hook = self.running[ready], self.session.config.hook
        try:
            kind, said = ready.recv()
        except EOFError:
            kind, said = "died", None
        match kind:
            case "starts":
                worker.item = self.items[said]
                hook.pytest_runtest_logstart(nodeid=said, location=worker.item.location)
            case "report":
                self.report(hook.pytest_report_from_serializable(config=self.session.config, data=said))
            case "ends":
                hook.pytest_runtest_logfinish(nodeid=said, location=worker.item.location)
            case "broken":
                raise RuntimeError(f"A process of the tests broke down.\n{said}")
            case "done" | "died":
                del self.running[ready]
                ready.close()
                code = os.waitstatus_to_exitcode(os.waitpid(worker.process, 0)[1])
                if kind == "died" and worker.item is None:
                    raise RuntimeError(f"A process of the tests ended with exit code {code} before its first.")
                if kind == "died":
                    self.report(_died(worker.item, code))
                    self.start(self.after(worker.item))
                elif worker.early:
                    self.start()

    def report(self, report: pytest.TestReport) -> None:
        self.session.config.hook.pytest_runtest_logreport(report=report)
        if self.session.shouldfail:
            raise self.session.Failed(self.session.shouldfail)

    def after(self, item: pytest.Item) -> list[pytest.Item]:
        """Give the tests of the scope of `item` that come after it."""
        whole = next(items for items in self.scopes if item in items)
        return whole[whole.index(item) + 1 :]


def _died(item: pytest.Item, code: int) -> pytest.TestReport:
    said = f"The process that ran it ended with exit code {code}."
    return pytest.TestReport(item.nodeid, item.location, {}, "failed", said, "call")


class _Told:
    """What becomes of tests, told to the process that writes it."""

    def __init__(self, config: pytest.Config, told: Connection) -> None:
        self.config, self.told = config, told

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.told.send(("starts", nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        self.told.send(("report", data))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.told.send(("ends", nodeid))


def _work(session: pytest.Session, name: str, items: Iterator[pytest.Item], told: Connection) -> None:
    """Run tests, in a process that has just been forked, and end it."""
    code = 1
    try:
        atexit._clear()
        _part(session.config, name)
        session.config.pluginmanager.register(_Told(session.config, told))
        item = next(items, None)
        while item is not None:
            following = next(items, None)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            item = following
        threading._shutdown()
        atexit._run_exitfuncs()
        told.send(("done", None))
        code = 0
    except KeyboardInterrupt:
        pass
    except BaseException:
        told.send(("broken", traceback.format_exc()))
    finally:
        # Not as Python ends: what it would do is the other process's.
        os._exit(code)


def _part(config: pytest.Config, name: str) -> None:
    """Part with what the other process has too: its terminal, its folder, the file that holds what tests print."""
    plugins = config.pluginmanager
    plugins.unregister(name="terminalreporter")
    folder = config._tmp_path_factory.getbasetemp() / name
    folder.mkdir(mode=0o700)
    config._tmp_path_factory._basetemp = folder
    capturing = plugins.get_plugin("capturemanager")
    capturing.stop_global_capturing()
    capturing.start_global_capturing()
