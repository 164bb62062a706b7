"""A server under requests that never end: others are answered meanwhile, it says how it is, and it ends in time."""

import contextlib
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.attack import hostile
from tests.attack.test_model_file import endless, run_with
from tests.serve.test_process import connected, free_port, read_all
from tests.serve.test_routes import GOOD
from tests.trained import trained


def post(port, run, content):
    """Send a picture as the body, and give the status and the seconds it took; 0 if the connection was closed."""
    begun = time.monotonic()
    head = f"POST /api/v1/runs/{run}/predict HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n"
    with connected(port) as sock:
        sock.sendall(f"{head}Content-Type: image/png\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
        with contextlib.suppress(OSError):
            answer = read_all(sock)
            return int(answer.split()[1]) if answer else 0, time.monotonic() - begun
    return 0, time.monotonic() - begun


def get(port, path):
    with connected(port) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
        return int(read_all(sock).split()[1])


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    run_with(endless(), folder / "endless")
    port = free_port()
    code = "from penlight.cli import main; main()"
    words = ["serve", str(folder / "endless"), str(trained("grades")), "--port", str(port), "--threads", "2"]
    process = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.DEVNULL)
    try:
        connected(port).close()
        assert post(port, "grades", GOOD)[0] == 200
        yield process, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def started(n, port, run, content):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(post(port, run, content))) for _ in range(n)]
    for thread in threads:
        thread.start()
    return threads, answers


ATTACKS = {
    "models that never end": ("endless", lambda: GOOD, 12),
    "scans": ("grades", lambda: hostile.scans(10_000), 8),
    "pages": ("grades", lambda: hostile.pages(60_000), 8),
    "items": ("grades", lambda: hostile.empty_items(400_000), 8),
    "JPEG 2000": ("grades", hostile.jpeg2000_in_dicom, 8),
    "text in PNG": ("grades", hostile.text_bomb, 8),
}


def _repeat(port, run, content, n):
    def post_on():
        while True:
            with contextlib.suppress(OSError):
                post(port, run, content)

    threads = [threading.Thread(target=post_on, daemon=True) for _ in range(n)]
    for thread in threads:
        thread.start()
    threads[0].join()


@pytest.mark.attack
@pytest.mark.parametrize("attack", ATTACKS)
def test_others_are_answered_within_a_second(server, attack, capsys):
    _, port = server
    run, content, n = ATTACKS[attack]
    attacker = multiprocessing.get_context("fork").Process(target=_repeat, args=(port, run, content(), n))
    attacker.start()
    try:
        time.sleep(1)
        answered = [post(port, "grades", GOOD) for _ in range(40)]
        assert attacker.is_alive()
    finally:
        attacker.kill()
        attacker.join()
    took = sorted(took for _, took in answered)
    with capsys.disabled():
        print(f"{n} x {attack}: others after {took[20]:.3f} s, at most {took[-1]:.3f} s")  # noqa: T201
    assert {status for status, _ in answered} == {200}
    assert took[-1] < 1


# Who gets a worker and who gives way is in tests/serve/test_pool.py, and how a server ends by SIGTERM in
# tests/serve/test_process.py and tests/attack/test_server_process.py.
@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_others_are_answered_while_requests_never_end_and_the_server_ends_in_time(server):
    process, port = server
    stuck, answers = started(3, port, "endless", GOOD)
    answered = [post(port, "grades", GOOD) for _ in range(5)]
    assert {status for status, _ in answered} == {200}
    assert all(thread.is_alive() for thread in stuck)
    assert get(port, "/readyz") == 200
    # More than there are workers: the oldest give way.
    more, _ = started(6, port, "endless", GOOD)
    for _ in range(1500):
        if len(workers := children(process.pid)) >= 3:
            break
        time.sleep(0.02)
    assert len(workers) >= 3
    assert post(port, "grades", GOOD)[0] == 200
    assert post(port, "grades", hostile.scans(10_000))[0] == 422
    workers += children(process.pid)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert time.monotonic() - begun < 30
    for thread in (*stuck, *more):
        thread.join(60)
    assert all(status in (0, 500, 503, 504) for status, _ in answers)
    for pid in workers:
        for _ in range(1500):
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.02)
        assert not Path(f"/proc/{pid}").exists()
