import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from penlight.data import catalog, open_dataset
from penlight.data import download as room
from penlight.data.download import download
from penlight.errors import DownloadError, StorageError

CONTENT = bytes(range(256)) * 1000
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers each request with the next behaviour, the last one again and again."""

    behaviours: list[str]
    asked: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        behaviours = self.server.behaviours
        behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        if behaviour.isdigit():
            self.send_error(int(behaviour))
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if behaviour == "whole":
            self.wfile.write(CONTENT)
        elif behaviour == "wrong":
            self.wfile.write(bytes(len(CONTENT)))
        else:  # "drop": the connection closes in the middle
            self.wfile.write(CONTENT[: len(CONTENT) // 2])

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(room, "PAUSES", (0.0, 0.0, 0.0))
    with Server(("127.0.0.1", 0), Handler) as server:
        server.behaviours, server.asked = ["whole"], []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("before", [[], ["drop"], ["503", "drop", "429"]])
def test_a_file_arrives_whole_after_failures(server: Server, tmp_path: Path, before: list[str]) -> None:
    server.behaviours = [*before, "whole"]
    target = tmp_path / "new" / "file.npz"
    download(f"{server.url}/file.npz", target, MD5)
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == len(before) + 1
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("behaviour", "attempts", "message"),
    [
        ("wrong", 1, "do not have the MD5"),
        ("404", 1, "answered with status 404"),
        ("500", 4, "answered with status 500"),
        ("drop", 4, "There is no network, or it broke off"),
    ],
)
def test_a_failure_leaves_nothing(
    server: Server, tmp_path: Path, behaviour: str, attempts: int, message: str
) -> None:
    server.behaviours = [behaviour]
    with pytest.raises(DownloadError, match=message) as caught:
        download(f"{server.url}/file.npz", tmp_path / "new" / "file.npz", MD5)
    assert caught.value.remedy
    assert len(server.asked) == attempts
    assert not (tmp_path / "new").exists()


def test_without_a_network_the_error_says_where_to_put_the_file(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "PAUSES", ())
    monkeypatch.setattr(catalog, "BASE_URL", "http://127.0.0.1:1")
    with pytest.raises(
        DownloadError, match=r"no network.*Put retinamnist_64.npz into ~/.medmnist or set PENLIGHT_DATA"
    ):
        open_dataset("retinamnist", 64)
    assert list(home.iterdir()) == []
    assert not (tmp_path / "cache").exists()


def test_the_official_address_is_asked_for_the_file_alone(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "BASE_URL", server.url)
    with pytest.raises(DownloadError, match="do not have the MD5 bd4c0672f1bba3e3a89f0e4e876791e4"):
        open_dataset("retinamnist")
    assert server.asked == ["/retinamnist.npz?download=1"]
    assert list(home.iterdir()) == []


def test_what_was_there_before_stays(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "other.npz"
    other.write_bytes(b"mine")
    leftover = tmp_path / ".file.npz.abc.part"
    leftover.mkdir()
    download(f"{server.url}/file.npz", tmp_path / "file.npz", MD5)
    assert other.read_bytes() == b"mine"
    assert not leftover.exists()


def test_a_file_that_another_process_fetched_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.npz").write_bytes(CONTENT)
    download(f"{server.url}/file.npz", tmp_path / "file.npz", MD5)
    assert server.asked == []


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written.*PENLIGHT_DATA"):
        download(f"{server.url}/file.npz", tmp_path / "file" / "file.npz", MD5)
    assert server.asked == []
