"""`penlight encoders`: what a file is, the folder that keeps encoders, and fetching from a server."""

import hashlib
import json
import stat
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from onnx import TensorProto

import penlight as pl
from penlight.data import download
from penlight.data.folders import encoders_folder
from penlight.errors import ArgumentError, DownloadError, EncoderError, PenlightError
from penlight.models import encoder_folder
from penlight.models.encoder_folder import KnownEncoder, known_encoders
from tests.models.encoders import WIDTH, draw_encoder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("PENLIGHT_DATA", raising=False)


def test_an_encoder_is_inspected_added_listed_and_named(penlight: Run, tmp_path: Path) -> None:
    file = draw_encoder(tmp_path / "net.onnx", dtype=TensorProto.FLOAT, layout="NCHW", side=28)
    shown = penlight("encoders", "inspect", file)[1]
    assert "float32 NCHW, 3 channels, as picture" in shown
    assert "28 px" in shown
    assert f"{WIDTH} features, as pool" in shown
    assert "nothing says it" in shown
    assert "penlight encoders add FILE --pixels NAME" in " ".join(shown.split())
    code, _, asked = penlight("encoders", "add", file)
    assert code == 1
    assert "nothing says how it wants pixels" in asked
    assert not encoders_folder().exists()
    added = json.loads(
        penlight("encoders", "add", file, "--name", "eyes", "--pixels", "imagenet", "--licence", "MIT",
                 "--source", "drawn", "--json")[1]
    )  # fmt: skip
    assert (added["pixels"], added["licence"], added["source"], added["features"]) == (
        "imagenet",
        "MIT",
        "drawn",
        WIDTH,
    )
    kept = encoders_folder() / "eyes"
    assert sorted(path.name for path in kept.iterdir()) == ["eyes.onnx", "eyes.toml"]
    assert (kept / "eyes.onnx").read_bytes() == file.read_bytes()
    assert stat.S_IMODE(encoders_folder().stat().st_mode) == 0o700
    again = json.loads(penlight("encoders", "inspect", "eyes", "--json")[1])
    assert again["found"]["pixels"] == again["found"]["licence"] == again["found"]["sha256"] == "eyes.toml"
    assert again["sha256"] == added["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    rows = {row["name"]: row for row in json.loads(penlight("encoders", "list", "--json")[1])}
    assert rows["eyes"]["licence"] == "MIT"
    assert set(rows) == {"eyes", *known_encoders()}
    assert "eyes" in penlight("encoders", "list")[1]


def test_a_kept_encoder_that_was_changed_is_not_used(tmp_path: Path) -> None:
    file = draw_encoder(tmp_path / "net.onnx")
    assert pl.add_encoder(file, licence="MIT").licence == "MIT"
    assert pl.add_encoder(file, licence="Apache-2.0").licence == "Apache-2.0"
    draw_encoder(tmp_path / "other" / "net.onnx" if (tmp_path / "other").mkdir() is None else file, ends="map")
    with pytest.raises(EncoderError, match=r"has another net.*name="):
        pl.add_encoder(tmp_path / "other" / "net.onnx")
    kept = encoders_folder() / "net" / "net.onnx"
    draw_encoder(kept, ends="map")
    with pytest.raises(EncoderError, match=r"net\.onnx was changed: its SHA-256 is .* expected by net\.toml"):
        pl.inspect_encoder("net")
    assert [row["name"] for row in pl.list_encoders()][:1] == ["net"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "../out"}, "no name of an encoder"),
        ({"pixels": "perhaps"}, "'pixels'"),
        ({"side": 4}, "'side'"),
        ({"licence": "\x1b[31m"}, "licence"),
        ({"layout": "NHCW"}, "'layout'"),
    ],
)
def test_what_cannot_be_said_of_an_encoder(tmp_path: Path, options: dict[str, object], said: str) -> None:
    file = draw_encoder(tmp_path / "net.onnx")
    with pytest.raises(PenlightError, match=said):
        pl.add_encoder(file, **options)
    assert not list(tmp_path.rglob("net.toml"))
    assert not any(encoders_folder().glob("*"))


class Server(HTTPServer):
    content = b""
    asked: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        if "b/" not in self.path:
            self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSES", ())
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.content = draw_encoder(tmp_path / "there.onnx", dtype=TensorProto.FLOAT, layout="NCHW").read_bytes()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def know(monkeypatch: pytest.MonkeyPatch, server: Server, n_bytes: int = 0) -> None:
    digest = hashlib.sha256(server.content).hexdigest()
    known = KnownEncoder("drawn", f"{server.url}/a/net.onnx", digest, n_bytes or len(server.content), "MIT", "clip")
    monkeypatch.setattr(encoder_folder, "known_encoders", lambda: {"drawn-1": known})


def test_a_known_encoder_is_fetched_and_ready(penlight: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, server)
    assert penlight("encoders", "list")[1].count("penlight encoders fetch drawn-1") == 1
    assert server.asked == []
    code, out, said = penlight("encoders", "fetch", "drawn-1", "--json")
    assert (code, said) == (0, "")
    fetched = json.loads(out)
    assert (fetched["pixels"], fetched["licence"], fetched["name"]) == ("clip", "MIT", "drawn-1")
    assert fetched["source"] == f"{server.url}/a/net.onnx"
    assert server.asked == ["/a/net.onnx"]
    assert sorted(path.name for path in encoders_folder().iterdir()) == ["drawn-1"]


def test_any_address_is_fetched_with_its_hash(server: Server) -> None:
    digest = hashlib.sha256(server.content).hexdigest()
    fetched = pl.fetch_encoder(f"{server.url}/b/net.onnx?raw=1", sha256=digest, pixels="0..1")
    assert (fetched.name, fetched.pixels, fetched.licence) == ("net", "0..1", "CC0-1.0")


def test_what_is_not_fetched(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match=r"only if its SHA-256 is known.*sha256=HASH"):
        pl.fetch_encoder(f"{server.url}/net.onnx")
    with pytest.raises(ArgumentError, match="no address that can be fetched"):
        pl.fetch_encoder("file:///etc/passwd", sha256="0" * 64)
    with pytest.raises(PenlightError, match="no encoder named 'mobilenet'"):
        pl.fetch_encoder("mobilenet")
    assert server.asked == []
    with pytest.raises(DownloadError, match="do not have the SHA-256 0000"):
        pl.fetch_encoder(f"{server.url}/net.onnx", sha256="0" * 64)
    know(monkeypatch, server, n_bytes=1000)
    with pytest.raises(DownloadError, match="more than 1,000 bytes"):
        pl.fetch_encoder("drawn-1")
    know(monkeypatch, server)
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"no network.*add_encoder"):
        pl.fetch_encoder("drawn-1")
    assert list(encoders_folder().iterdir()) == []
