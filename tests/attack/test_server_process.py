"""The server as a process: its token is nobody's business, and it ends when it is told to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penlight.errors import ServeError
from penlight.serve.token import find_token
from tests.serve.test_process import ONE, connected, free_port, read_all
from tests.serve.test_routes import PREDICT
from tests.trained import trained

TOKEN = "correct-horse-battery"


def kept(folder, content=TOKEN, mode=0o600):
    file = folder / "token"
    file.write_text(content)
    file.chmod(mode)
    return file


def test_a_token_is_read_from_a_file_or_the_environment(tmp_path, monkeypatch):
    assert find_token(None) is None
    assert find_token(kept(tmp_path, f"{TOKEN}\n")) == TOKEN
    monkeypatch.setenv("PENLIGHT_TOKEN", f" {TOKEN} ")
    assert find_token(None) == TOKEN
    assert "PENLIGHT_TOKEN" not in os.environ


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601, 0o777])
def test_a_file_that_others_may_use_is_refused(tmp_path, mode):
    with pytest.raises(ServeError, match="chmod 600"):
        find_token(kept(tmp_path, mode=mode))


def test_on_windows_a_file_is_refused_whose_readers_are_not_known(tmp_path, monkeypatch):
    file = kept(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        with pytest.raises(ServeError, match=r"On Windows .* PENLIGHT_TOKEN instead"):
            find_token(file)


@pytest.mark.parametrize(
    "content", ["", "tiny7x", "two words long", "line\nline-two", "caf\u00e9-caf\u00e9", "x" * 5000, "esc\x1b[31mape"]
)
def test_what_is_no_token_is_refused_without_saying_it(tmp_path, content):
    with pytest.raises(ServeError, match="token") as caught:
        find_token(kept(tmp_path, content))
    assert not content or content not in str(caught.value)


def test_a_folder_a_pipe_and_nothing_are_no_files_of_tokens(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", "", "none"):
        with pytest.raises(ServeError, match="token_file="):
            find_token(tmp_path / name)


def test_the_command_line_takes_no_token():
    words = [sys.executable, "-c", "from penlight.cli import main; main()", "serve", ".", "--token", TOKEN]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--token-file" in done.stderr


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs a list of processes")
def test_a_server_shows_its_token_nowhere(tmp_path):
    port = free_port()
    words = [sys.executable, "-c", "from penlight.cli import main; main()", "serve", str(trained("grades")), "--port",
             str(port), "--token-file", str(kept(tmp_path)), *ONE]  # fmt: skip
    server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        answers = []
        for given, path in (
            (f"Bearer {TOKEN}", f"/api/v1/runs?{TOKEN}"),
            ("Bearer wrong-token-here", f"/evil%0a%1b[2J/{TOKEN}"),
            ("Bearer evil\x1b[31m", "/"),
        ):
            with connected(port) as sock:
                head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Evil: evil\r\n"
                sock.sendall(f"{head}Authorization: {given}\r\nConnection: close\r\n\r\n".encode())
                answers.append(read_all(sock)[:12])
        assert answers == [b"HTTP/1.1 200", b"HTTP/1.1 401", b"HTTP/1.1 400"]
        assert TOKEN not in Path(f"/proc/{server.pid}/cmdline").read_text()
        server.send_signal(signal.SIGTERM)
        told = server.stderr.read()
        assert server.wait(60) == 0
        assert "/api/v1/runs 200" in told
        assert TOKEN not in told
        assert "\x1b" not in told
        assert "evil" not in told.lower()
    finally:
        server.kill()
        server.stderr.close()
        server.wait()


def test_sigterm_ends_a_server_whatever_is_half_sent():
    """Heads and bodies that do not end, answers that are not read: the server goes within half a minute."""
    port = free_port()
    words = [sys.executable, "-c", "from penlight.cli import main; main()", "serve", str(trained("grades")), "--port",
             str(port), "--quiet", *ONE]  # fmt: skip
    server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    socks = [connected(port)]
    try:
        body = (
            f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 99999\r\n\r\n"
        )
        for begun in (b"", b"GET / HT", body.encode(), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n"):
            for _ in range(5):
                socks.append(connected(port))
                socks[-1].sendall(begun)
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        assert time.monotonic() - began < 30
        assert "Traceback" not in server.stderr.read()
    finally:
        server.kill()
        for sock in socks:
            sock.close()
        server.stderr.close()
        server.wait()
