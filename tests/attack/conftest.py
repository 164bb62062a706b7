"""A server as `penlight serve` starts it, in a thread, with limits that a test can wait for; raw sockets; and counts
of what was tried, printed when the tests have ended, also where several processes ran them."""

import json
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import uvicorn

from penlight.serve import RequestLimits, make_app, open_registry
from penlight.serve.connections import settings
from tests.serve.conftest import serving as serving_in_process
from tests.served import workers_on_demand  # noqa: F401
from tests.trained import trained

_COUNT = "attack"

QUICK = RequestLimits(head_seconds=0.6, stall_seconds=0.6, seconds=2.0, linger_seconds=0.5, idle_seconds=1)


@dataclass(frozen=True)
class Server:
    """Where a server listens."""

    port: int

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def ask(self, request, wait=10.0):
        """Send bytes on a connection of their own and give all that comes back until the server closes it."""
        with self.connect() as sock:
            sock.settimeout(wait)
            send(sock, request)
            return received(sock)

    def get(self, path="/healthz", *headers):
        lines = (f"GET {path} HTTP/1.1", f"Host: localhost:{self.port}", "Connection: close", *headers)
        return self.ask("\r\n".join((*lines, "", "")).encode())

    def lives(self, within=10.0):
        """Whether another client is answered now."""
        begun = time.monotonic()
        answer = self.get()
        took = time.monotonic() - begun
        assert (status(answer), took < within) == (200, True), (answer[:300], took)
        return True


def send(sock, content):
    """Send what the server takes; it may close before all of it has gone."""
    try:
        sock.sendall(content)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def received(sock):
    parts = []
    try:
        while part := sock.recv(1 << 16):
            parts.append(part)
    except (ConnectionResetError, TimeoutError):
        pass
    return b"".join(parts)


def status(answer):
    """The status of an answer; 0 for a connection that was closed without one."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def named(answer):
    """Whether an answer is an error in the shape that all have."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return b"application/json" in head and set(json.loads(body)) == {"error", "expected", "do"}


@pytest.fixture(scope="package")
def client():
    """The application in this process."""
    with serving_in_process() as made:
        yield made


def _warm(server):
    """Have a worker open the run, which takes longer than the limits of a test allow."""
    until = time.monotonic() + 60
    while status(server.get("/api/v1/runs/grades")) != 200:
        assert time.monotonic() < until


@contextmanager
def serving(limits=QUICK, app=None, *, warm=True, **options):
    """A server; one that is `warm` has opened its run, so that its workers have started."""
    warm = warm and app is None and "token" not in options
    if app is None:
        registry = open_registry([trained("grades")])
        app = make_app(registry, limits=limits, **{"names": {"localhost", "127.0.0.1"}, **options})
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=1, **settings(limits)))
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        made = Server(listening.getsockname()[1])
        try:
            if warm:
                _warm(made)
            yield made
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def server():
    """A server with quick limits, for all tests of a module."""
    with serving() as made:
        yield made


@pytest.fixture
def count(record_property):
    """Give a function that counts attempts of a kind: `count("pictures refused by name", 3)`."""
    return lambda what, n=1: record_property(_COUNT, (what, n))


def pytest_terminal_summary(terminalreporter):
    """Add up what the tests counted; their reports come from all processes."""
    total = Counter()
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == _COUNT:
                total[value[0]] += value[1]
    if total:
        terminalreporter.section("attacks")
        for what, n in sorted(total.items()):
            terminalreporter.line(f"{n:>9,}  {what}")
