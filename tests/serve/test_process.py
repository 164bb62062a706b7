"""The server as a process: it says when it listens, answers, and ends on SIGTERM after what it has begun."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time

import penlight as pl
from tests.serve.test_routes import GOOD, PREDICT
from tests.trained import trained

ONE = ("--threads", "1")
"""A worker for each core takes longer to start than the tests do."""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def connected(port):
    for _ in range(1200):
        try:
            return socket.create_connection(("127.0.0.1", port), 60)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


def read_all(sock):
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_the_start_line_comes_when_the_server_listens_and_a_request_that_has_begun_is_finished_after_sigterm():
    port = free_port()
    code = "from penlight.cli import main; main()"
    words = [sys.executable, "-c", code, "serve", str(trained("grades")), "--port", str(port), *ONE]
    server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        line = server.stderr.readline()
        assert line.endswith(f"1 run at http://127.0.0.1:{port}/\n")
        with socket.create_connection(("127.0.0.1", port), 60) as sock:
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: image/png\r\n"
            sock.sendall(f"{head}Expect: 100-continue\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode())
            # The server says that it has begun to read.
            assert sock.recv(65536).startswith(b"HTTP/1.1 100 ")
            sock.sendall(GOOD[:100])
            server.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert server.poll() is None
            sock.sendall(GOOD[100:])
            answer_head, _, body = read_all(sock).partition(b"\r\n\r\n")
        assert answer_head.startswith(b"HTTP/1.1 200")
        assert json.loads(body) == json.loads(
            json.dumps(pl.predict(trained("grades"), [("picture", GOOD)]).to_dict())
        )
        assert server.wait(60) == 0
        told = server.stderr.read()
        assert "Traceback" not in told
        assert "/predict 200" in told
    finally:
        server.kill()
        server.stderr.close()
        server.wait()


def test_serving_loads_neither_keras_nor_what_draws():
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from starlette.testclient import TestClient\n"
        "from penlight.serve import make_app, open_registry\n"
        "with TestClient(make_app(open_registry([Path(sys.argv[1])]), threads=1)) as client:\n"
        "    for path in ('/', '/static/style.css', '/runs/grades/report', '/api/v1/runs/grades', '/metrics'):\n"
        "        assert client.get(path).status_code == 200, path\n"
        "    picture = Path(sys.argv[2]).read_bytes()\n"
        "    answer = client.post(sys.argv[3], content=picture, headers={'content-type': 'image/png'})\n"
        "    assert answer.status_code == 200\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    with tempfile.NamedTemporaryFile(suffix=".png") as picture:
        picture.write(GOOD)
        picture.flush()
        words = [sys.executable, "-c", code, str(trained("grades")), picture.name, PREDICT]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert (
        set(done.stdout.split()) & {"tensorflow", "keras", "jax", "matplotlib", "sklearn", "scipy", "pandas"} == set()
    )
