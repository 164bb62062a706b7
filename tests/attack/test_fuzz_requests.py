"""Requests of any kind to a live server: it never fails, never ends, and holds no more memory than before."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.attack import sizes
from tests.attack.pictures import mutated, seeds
from tests.conftest import is_full
from tests.serve.test_process import ONE, free_port
from tests.serve.test_routes import GOOD, PREDICT
from tests.trained import trained

GROWTH = 400
"""Megabytes that a server and its workers may come to hold between the first tenth of the requests and the last."""

BOUNDARY = b"----------0123456789"
_PART = b'--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: image/png\r\n\r\n%s\r\n'
_STRANGE = [
    b"\x00",
    b"\r\n",
    b"\n",
    b"%00",
    b"%2e%2e/",
    b"../",
    b"\xff\xfe",
    "ü".encode(),
    b"A" * 9000,
    b"-1",
    b"1e9",
    b";",
    b"\t",
]


class Live:
    """A server as a process, and what it has answered."""

    def __init__(self) -> None:
        self.port = free_port()
        code = "from penlight.cli import main; main()"
        words = [sys.executable, "-c", code, "serve", str(trained("grades")), "--port", str(self.port)]
        words += () if is_full() else ONE
        self.answers: Counter[str] = Counter()
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        # A pipe that nobody empties would stop the server.
        self.log = os.dup(self.process.stderr.fileno())
        os.set_blocking(self.log, False)
        self.said = b""
        for _ in range(600):
            if self.alive():
                return
            assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.1)
        raise AssertionError("the server did not start")

    def read_log(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self.log, 1 << 20):
                self.said = self.said[-1_000_000:] + part

    def alive(self) -> bool:
        """Say whether it answers for a good picture."""
        self.read_log()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{PREDICT}", GOOD, {"Content-Type": "image/png"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return "probabilities" in answer.read().decode()
        except OSError:
            return False

    def send(self, request: bytes) -> None:
        """Send bytes, end there, and count the status that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), 60) as sock:
            # It may answer and close before all is sent.
            with contextlib.suppress(ConnectionError):
                sock.sendall(request)
                sock.shutdown(socket.SHUT_WR)
            head = b""
            with contextlib.suppress(ConnectionError):
                while b"\r\n" not in head and (part := sock.recv(65536)):
                    head += part
        found = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
        self.note(int(found[1]) if found else 0, request)
        assert found or not head, (request[:300], head[:300])

    def note(self, status: int, what: object) -> None:
        """Count a status; those that say that the server failed end the test."""
        # 501, 503 and 505 are answers meant so: what cannot be done here, or not now, or in this version of HTTP.
        assert status not in range(500, 600) or status in (501, 503, 505), (status, what)
        self.answers[f"{status // 100}xx" if status else "closed without an answer"] += 1
        if not sum(self.answers.values()) % 100:
            self.read_log()

    def megabytes(self) -> float:
        """Add up what the server and its workers hold."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                parents[int(path.parent.name)] = int(fields[1]), int(fields[21])
        family = {self.process.pid}
        while more := {pid for pid, (parent, _) in parents.items() if parent in family} - family:
            family |= more
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(parents[pid][1] * page for pid in family if pid in parents) / 1e6

    def end(self) -> None:
        """End it as an operator does; it must not have failed on the way."""
        try:
            assert self.process.poll() is None
            assert self.alive()
            self.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 60
            while self.process.poll() is None and time.monotonic() < deadline:
                self.read_log()
                time.sleep(0.05)
            assert self.process.returncode == 0
            self.read_log()
            assert b"Traceback" not in self.said, self.said[-3000:]
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stderr.close()
            os.close(self.log)


@pytest.fixture
def live():
    made = Live()
    try:
        yield made
    except BaseException:
        made.process.kill()
        raise
    made.end()


def raw(number: int) -> bytes:
    """Give the raw request of that number: a good one after a few changes."""
    rng = random.Random(number)
    request = bytearray(rng.choice(_KINDS)(rng))
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        head = max(1, request.find(b"\r\n\r\n"))
        at = rng.randrange(head if rng.random() < 0.8 else len(request))
        change = rng.randrange(5)
        if change == 0:
            request[at] = rng.randrange(256)
        elif change == 1:
            request[at:at] = rng.choice(_STRANGE)
        elif change == 2:
            del request[at : at + rng.choice((1, 4, 40))]
        elif change == 3:
            request[at:at] = request[at : at + rng.choice((4, 60))] * rng.choice((1, 20))
        else:
            request[at : at + 1] = rng.choice(_STRANGE)
        if not request:
            break
    return bytes(request[: rng.randrange(1, len(request) + 1)] if request and rng.random() < 0.1 else request)


def _head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join(
        [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
    ).encode()


def _page(rng: random.Random) -> bytes:
    paths = ("/", "/runs/grades", "/runs/grades/report", "/static/style.css", "/metrics", "/healthz", "/readyz",
             "/api/v1/runs", "/api/v1/runs/grades", "/api/v1/openapi.json", "/runs/..%2f..%2fetc%2fpasswd",
             "/api/v1/runs/none", "/nowhere", "*", "http://elsewhere/")  # fmt: skip
    method = rng.choice(("GET", "GET", "GET", "HEAD", "OPTIONS", "DELETE", "PUT", "TRACE", "CONNECT"))
    strange = ("Range: bytes=0-5,1-9,3-", "Accept: text/csv", "If-None-Match: *", "Origin: http://elsewhere",
               "Authorization: Bearer x", "X-Forwarded-For: 1.2.3.4", "Expect: 100-continue",
               "Upgrade: websocket")  # fmt: skip
    return _head(method, rng.choice(paths), *rng.sample(strange, rng.randrange(3)))


def _picture(rng: random.Random) -> bytes:
    content = rng.choice((GOOD, mutated(rng.randrange(10**6))[1], rng.choice(list(seeds().values())), b""))
    kind = rng.choice(("image/png", "image/jpeg", "application/dicom", "application/octet-stream", "text/plain"))
    length = rng.choice((len(content), len(content), len(content), len(content) + 5, 0, -1, 10**12))
    path = rng.choice((PREDICT, PREDICT, f"{PREDICT}?format=csv", PREDICT.replace("predict", "explain")))
    return _head("POST", path, f"Content-Type: {kind}", f"Content-Length: {length}") + content


def _form(rng: random.Random) -> bytes:
    names = (b"a.png", b"../a", b'"', b"\xff", b"=1+1")
    contents = [mutated(rng.randrange(10**6))[1] for _ in range(rng.choice((0, 1, 2, 5)))]
    parts = [_PART % (BOUNDARY, rng.choice(names), content) for content in contents]
    body = b"".join(parts) + rng.choice((b"--%s--\r\n" % BOUNDARY, b"", b"--%s" % BOUNDARY))
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}"
    return _head("POST", PREDICT, kind, f"Content-Length: {len(body)}") + body


def _chunked(rng: random.Random) -> bytes:
    chunk = rng.choice((GOOD, GOOD[:100], b"x" * 70_000))
    size = rng.choice((f"{len(chunk):x}", "ffffffffffffffff", "-1", "0x10", f"{len(chunk):x};a=b"))
    head = _head("POST", PREDICT, "Content-Type: image/png", "Transfer-Encoding: chunked")
    return head + size.encode() + b"\r\n" + chunk + b"\r\n0\r\n\r\n"


_KINDS = (_page, _page, _picture, _picture, _form, _chunked)


def require_steady(live: Live, sent, n: int) -> None:
    """Send requests, look now and then whether the server answers others, and compare what it holds."""
    before = None
    for number in range(n):
        sent(number)
        if number == n // 10:
            before = live.megabytes()
        if not number % max(1, n // 20):
            assert live.alive(), number
    assert live.megabytes() - before < GROWTH


def attack_raw(live: Live, n: int) -> None:
    first = sizes.SEED * 10_000_000
    require_steady(live, lambda number: live.send(raw(first + number)), n)


def attack_by_schema(live: Live, n: int) -> None:
    """Send what the OpenAPI document allows, and what it does not: up to n, as small routes have few cases."""
    import schemathesis

    with urllib.request.urlopen(f"http://127.0.0.1:{live.port}/api/v1/openapi.json") as answer:
        document = json.load(answer)
    schema = schemathesis.openapi.from_dict(document)
    schema.config.base_url = f"http://127.0.0.1:{live.port}"
    operations = [found.ok() for found in schema.get_all_operations()]

    for operation in operations:

        @seed(sizes.SEED)
        @settings(max_examples=-(-n // len(operations)), deadline=None, database=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy())
        def ask(case):
            if case.path_parameters and "run" in case.path_parameters and case.method == "POST":
                case.path_parameters["run"] = "grades"
            live.note(case.call(timeout=60).status_code, case)

        ask()
        assert live.alive(), operation.label


def counted(live: Live, count) -> None:
    for what, number in live.answers.items():
        count(f"requests to a live server: {what}", number)


# In every test, tests/attack/test_http.py sends raw requests, and tests/serve/test_routes.py any body.
@pytest.mark.full
def test_a_few_raw_requests(live, count):
    attack_raw(live, sizes.FEW)
    counted(live, count)


@pytest.mark.attack
def test_many_requests(live, count):
    attack_by_schema(live, sizes.REQUESTS // 2)
    attack_raw(live, sizes.REQUESTS - sum(live.answers.values()))
    assert sum(live.answers.values()) == sizes.REQUESTS
    counted(live, count)
