"""Behind a reverse proxy: the manual's own nginx site and service, on loopback, and who may say for whom they ask."""

import configparser
import http.client
import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.testclient import TestClient

from penlight.errors import ServeError
from penlight.serve import RequestLimits, make_app, open_registry
from penlight.serve.connections import settings
from penlight.serve.forwarding import FORWARDED, proxies_of
from penlight.serve.guard import names_of
from penlight.serve.running import serve
from tests.serve.test_process import free_port
from tests.serve.test_routes import GOOD
from tests.trained import trained

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "deploy.md"
NAME = "penlight.example.org"
TOKEN = "a-long-token-of-a-test"
SUMMARY = {"schema": 1, "recipe_hash": "x", "seeds": [0, 1], "split": "test", "metrics": [], "baselines": {}}
WAIT_SECONDS = 60


def block(title):
    """A file that the manual shows."""
    return re.search(rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```$', PAGE.read_text(), re.M | re.S)[1]


def shelf_in(folder):
    """A run by itself, and two seeds of a recipe with a report that links to theirs."""
    for place in ("grades", "seeds/seed-0", "seeds/seed-1"):
        shutil.copytree(trained("grades"), folder / place)
    (folder / "seeds" / "summary.json").write_text(json.dumps(SUMMARY))
    (folder / "seeds" / "report.html").write_text('<p>Seeds <a href="seed-0/report.html">seed-0</a>')
    return folder


def multipart(content):
    return {"files": [("file", ("a.png", content, "image/png"))]}


# Whom a server believes


def scope(peer, *headers):
    return {"type": "http", "client": (peer, 1), "scheme": "http", "headers": list(headers)}


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", [b"203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", [b"1.2.3.4, 203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", [b"1.2.3.4", b"203.0.113.7, 10.0.0.8"], "203.0.113.7"),
        ("127.0.0.1", [b"10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        ("127.0.0.1", [b"203.0.113.7:4711"], "203.0.113.7"),
        ("127.0.0.1", [b"[2001:db8::1]:4711"], "2001:db8::1"),
        ("::ffff:127.0.0.1", [b"203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", [b"203.0.113.7, unknown"], "127.0.0.1"),
        ("127.0.0.1", [b"203.0.113.7, unknown, 10.0.0.8"], "10.0.0.8"),
        ("127.0.0.1", [b""], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("203.0.113.9", [b"1.2.3.4"], "203.0.113.9"),
    ],
)
def test_the_client_is_the_first_from_the_end_that_no_listed_proxy_is(peer, forwarded, client):
    asked = scope(peer, *((b"x-forwarded-for", value) for value in forwarded))
    proxies_of(["127.0.0.1,10.0.0.0/8"]).apply(asked)
    assert asked["client"][0] == client


def test_scheme_and_host_are_those_of_the_nearest_proxy_and_of_a_listed_one_alone():
    headers = [(b"x-forwarded-proto", b"http, HTTPS"), (b"x-forwarded-host", b"evil.example, penlight.example.org")]
    for peer, scheme, forwarded in (
        ("127.0.0.1", "https", {"scheme": "https", "host": NAME.encode()}),
        ("203.0.113.9", "http", None),
    ):
        asked = scope(peer, *headers)
        proxies_of(["127.0.0.1"]).apply(asked)
        assert (asked["scheme"], asked.get(FORWARDED)) == (scheme, forwarded)
    asked = scope("127.0.0.1", (b"x-forwarded-proto", b"gopher"))
    proxies_of(["127.0.0.1"]).apply(asked)
    assert (asked["scheme"], asked[FORWARDED]) == ("http", {})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"forwarded_allow_ips": ["*"]}, "takes IP addresses and networks; '*' came"),
        ({"forwarded_allow_ips": ["proxy.example.org"]}, "'proxy.example.org' came"),
        ({"allowed_hosts": ["https://penlight.example.org"]}, "takes the name of a host"),
        ({"allowed_hosts": ["penlight.example.org:443"]}, "takes the name of a host"),
        ({"allowed_hosts": [""]}, "takes the name of a host"),
        ({"root_path": "penlight"}, "takes a path as /penlight"),
        ({"root_path": "/a b"}, "takes a path as /penlight"),
        ({"root_path": '/"><script>'}, "takes a path as /penlight"),
        ({"root_path": "//evil.example"}, "takes a path as /penlight"),
        ({"root_path": "/runs/x"}, "an address of the server's own"),
    ],
)
def test_options_that_are_not_what_they_should_be_are_named(options, words):
    with pytest.raises(ServeError, match=re.escape(words)):
        serve([trained("grades")], **options)


def test_names_that_are_allowed_are_answered_beside_the_machines_own():
    assert names_of("127.0.0.1", ["Penlight.Example.org"]) == {"localhost", "127.0.0.1", "::1", NAME}
    assert names_of("0.0.0.0", [NAME]) == {"localhost", "127.0.0.1", "::1", "0.0.0.0", NAME}
    app = make_app(open_registry([trained("grades")]), names=names_of("127.0.0.1", [NAME]))
    with TestClient(app) as client:
        for host, status in ((NAME, 200), (f"{NAME}:8443", 200), ("localhost", 200), ("evil.example", 421)):
            assert client.get("/healthz", headers={"host": host}).status_code == status


def ask(port, *lines, body=b"", path="/api/v1/runs/grades"):
    """Send a request, and give the connection."""
    sock = socket.create_connection(("127.0.0.1", port), 30)
    method = "POST" if body else "GET"
    head = [f"{method} {path} HTTP/1.1", *lines, *([f"Content-Length: {len(body)}"] if body else [])]
    sock.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body[:-1])
    return sock


def status_of(sock):
    with sock:
        return int(sock.recv(4096).split(b" ", 2)[1])


@contextmanager
def listening(limits, *proxies):
    app = make_app(open_registry([trained("grades")]), names=names_of("127.0.0.1", [NAME]), limits=limits)
    server = uvicorn.Server(uvicorn.Config(app, **settings(limits, proxies_of(proxies))))
    with socket.create_server(("127.0.0.1", 0)) as own:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [own]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield own.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def test_the_origin_of_a_form_is_held_against_what_the_proxy_forwards():
    path = "/api/v1/runs/none/predict"
    forwarded = ("X-Forwarded-Proto: https", f"X-Forwarded-Host: {NAME}")
    # Through the guard, there is no such run.
    passed = 404
    with listening(RequestLimits(), "127.0.0.1") as port:
        for lines, status in (
            (("Host: 127.0.0.1", *forwarded, f"Origin: https://{NAME}"), passed),
            (("Host: 127.0.0.1", *forwarded, f"Origin: https://{NAME}:443"), passed),
            (("Host: 127.0.0.1", *forwarded, f"Origin: http://{NAME}"), 403),
            (("Host: 127.0.0.1", *forwarded, f"Origin: https://{NAME}:8443"), 403),
            (("Host: 127.0.0.1", *forwarded, "Origin: https://evil.example"), 403),
            ((f"Host: {NAME}", f"Origin: https://{NAME}"), passed),
            (("Host: 127.0.0.1", "X-Forwarded-Host: evil.example"), 421),
            (("Host: evil.example", *forwarded), 421),
        ):
            assert status_of(ask(port, *lines, body=b"x1", path=path)) == status, lines
    with listening(RequestLimits()) as port:
        lines = ("Host: 127.0.0.1", *forwarded, f"Origin: https://{NAME}")
        assert status_of(ask(port, *lines, body=b"x1", path=path)) == 403
        assert status_of(ask(port, "Host: 127.0.0.1", "X-Forwarded-Host: evil.example", path="/healthz")) == 200


def opened(port, client, n, kept):
    """Begin requests of a client whose bodies never end; how many of them stay open, of which `kept` should."""
    lines = ("Host: 127.0.0.1", "Content-Type: image/png", f"X-Forwarded-For: {client}")
    socks = [ask(port, *lines, body=b"x" * 9, path="/api/v1/runs/grades/predict") for _ in range(n)]
    until = time.monotonic() + WAIT_SECONDS
    try:
        left = [sock for sock in socks if is_open(sock)]
        while len(left) > kept and time.monotonic() < until:
            time.sleep(0.02)
            left = [sock for sock in left if is_open(sock)]
        time.sleep(0.2)
        return sum(map(is_open, left))
    finally:
        for sock in socks:
            sock.close()


def is_open(sock):
    """Say whether a connection was neither ended nor answered, as one beyond the limit is by 503."""
    sock.setblocking(False)
    try:
        sock.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def test_connections_are_counted_for_the_client_that_a_listed_proxy_names():
    limits = RequestLimits(peer_connections=3, connections=64)
    with listening(limits, "127.0.0.1") as port:
        assert opened(port, "203.0.113.7", 5, kept=3) == 3
        # Not by the proxy's own address, which has as many as all its clients together.
        lines = ("Host: 127.0.0.1", "Content-Type: image/png")
        clients = [ask(port, *lines, f"X-Forwarded-For: 203.0.113.{i}", body=b"x" * 9,
                       path="/api/v1/runs/grades/predict") for i in range(8)]  # fmt: skip
        time.sleep(0.5)
        assert all(map(is_open, clients))
        for sock in clients:
            sock.close()
    with listening(limits) as port:
        assert opened(port, "203.0.113.7", 5, kept=3) == 3


# The manual's own files


def require_nginx():
    """Skip a test where there is no nginx; where everything must run, fail."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    found, missing = (
        shutil.which("nginx", path=path),
        "nginx is missing; install it: apt-get install nginx-light openssl",
    )
    if found and shutil.which("openssl"):
        return found
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
    return ""


def certificate(folder):
    words = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2"
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    about = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([*words.split(), *files, *about], check=True, capture_output=True)


def site(folder, ports):
    """The manual's site, with the ports and the certificate of a test."""
    text = block("/etc/nginx/sites-available/penlight")
    for theirs, ours in (
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{ports['penlight']};"),
        ("listen 80;", f"listen 127.0.0.1:{ports['http']};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{ports['https']} ssl;"),
        ("/etc/ssl/penlight/", f"{folder}/"),
    ):
        assert theirs in text
        text = text.replace(theirs, ours)
    kept = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log warn;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{kept}{text}}}\n"
    )


def unit():
    made = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    made.optionxform = str
    made.read_string(block("/etc/systemd/system/penlight.service").replace("\\\n", " "))
    return made


def service(folder, port):
    """The manual's command, with the paths and the port of a test."""
    replaced = {
        "/srv/penlight/runs": str(folder / "runs"),
        "/etc/penlight/token": str(folder / "token"),
        "8000": str(port),
    }
    first, *words = shlex.split(unit()["Service"]["ExecStart"])
    assert first == "/opt/penlight/bin/penlight"
    assert replaced.keys() <= set(words)
    return [sys.executable, "-c", "from penlight.cli import main; main()", *(replaced.get(w, w) for w in words)]


class Client:
    """Asks nginx by TLS, under the public name."""

    def __init__(self, folder, ports):
        self._context = ssl.create_default_context(cafile=folder / "fullchain.pem")
        self._ports = ports

    def ask(self, path, *, method="GET", body=None, token=TOKEN, https=True, **headers):
        sent = {"Host": NAME, **({"Authorization": f"Bearer {token}"} if token else {})}
        made = http.client.HTTPConnection("127.0.0.1", self._ports["https" if https else "http"], timeout=30)
        if https:
            made.connect()
            made.sock = self._context.wrap_socket(made.sock, server_hostname=NAME)
        try:
            made.request(method, path, body, {**sent, **{k.replace("_", "-"): v for k, v in headers.items()}})
            answer = made.getresponse()
            return answer.status, answer.headers, answer.read().decode(errors="replace")
        finally:
            made.close()


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """nginx with the manual's site before the manual's service: a client of it, and the folder of all."""
    nginx = require_nginx()
    folder = tmp_path_factory.mktemp("deployed")
    shelf_in(folder / "runs")
    (folder / "token").write_text(TOKEN)
    (folder / "token").chmod(0o600)
    certificate(folder)
    ports = {name: free_port() for name in ("penlight", "http", "https")}
    (folder / "nginx.conf").write_text(site(folder, ports))
    started = []
    try:
        proxy = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        started.append(subprocess.Popen(service(folder, ports["penlight"]), stderr=subprocess.PIPE, text=True))
        started.append(subprocess.Popen(proxy, stderr=subprocess.PIPE, text=True))
        client = Client(folder, ports)
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                if client.ask("/penlight/readyz")[0] == 200:
                    break
            except OSError:
                pass
            assert time.monotonic() < until, (folder / "error.log").read_text()
            assert all(process.poll() is None for process in started)
            time.sleep(0.1)
        yield client, folder
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(60)
            process.stderr.close()


def test_every_page_link_and_address_works_below_the_prefix(proxied):
    client, _ = proxied
    seen, waiting = set(), ["/penlight/", "/penlight/compare?run=grades&run=seeds", "/penlight/groups/seeds"]
    while waiting:
        address = waiting.pop().partition("#")[0]
        if address in seen:
            continue
        seen.add(address)
        status, headers, text = client.ask(address, Accept="text/html")
        if status == 307:
            waiting.append(headers["Location"])
            continue
        assert status == 200, address
        if headers["Content-Type"].startswith("text/html"):
            found = [a for a in re.findall(r'(?:href|src|action)="([^"#][^"]*)"', text) if not a.startswith("data:")]
            # A report's own links are beside its page; all others begin with the prefix.
            own = [f"{address.rpartition('/')[0]}/{a}" if a == "seed-0/report.html" else a for a in found]
            assert all(a.startswith("/penlight/") for a in own), address
            waiting += [a for a in own if not a.endswith("/compare")]
    assert {"/penlight/runs/seeds.seed-0", "/penlight/runs/seeds.seed-0/report", "/penlight/groups/seeds/report",
            "/penlight/groups/seeds/seed-0/report.html", "/penlight/static/run.js"} <= seen  # fmt: skip


def test_addresses_in_json_and_in_the_document_have_the_prefix(proxied):
    client, _ = proxied
    listed = json.loads(client.ask("/penlight/api/v1/runs")[2])
    links = [link for own in (*listed["runs"], *listed["groups"]) for key, link in own["links"].items() if link
             and key in ("self", "report")]  # fmt: skip
    assert len(links) == 8
    assert all(link.startswith("/penlight/") and client.ask(link)[0] == 200 for link in links)
    document = json.loads(client.ask("/penlight/api/v1/openapi.json")[2])
    assert document["servers"] == [{"url": "/penlight"}]
    assert "/api/v1/runs" in document["paths"]


def test_a_redirect_stays_at_the_public_name_and_below_the_prefix(proxied):
    client, _ = proxied
    status, headers, _ = client.ask("/penlight/runs/grades/")
    assert (status, headers["Location"]) == (307, f"https://{NAME}/penlight/runs/grades")
    status, headers, _ = client.ask("/penlight/", https=False, token=None)
    assert (status, headers["Location"]) == (301, f"https://{NAME}/penlight/")


def test_a_picture_goes_through_and_is_left_nowhere(proxied):
    client, folder = proxied
    path, about = "/penlight/api/v1/runs/grades/predict", {"method": "POST", "Content_Type": "image/png"}
    status, headers, text = client.ask(path, body=GOOD, Origin=f"https://{NAME}", **about)
    assert (status, json.loads(text)["failed"]) == (200, 0)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert client.ask(path, body=GOOD, Origin="https://evil.example", **about)[0] == 403
    assert client.ask(path, body=GOOD, Origin=f"http://{NAME}", **about)[0] == 403
    assert client.ask(path, body=bytes(3 << 20), **about)[0] == 415
    assert client.ask(path, body=b"x", token=None, **about)[0] == 401
    assert client.ask("/penlight/healthz", token=None)[0] == 200
    assert client.ask("/penlight/healthz", Host="evil.example")[0] == 421
    # nginx writes what it keeps below these.
    assert [p for kind in ("client_body", "proxy") for p in (folder / kind).rglob("*") if p.is_file()] == []
    assert "buffered to a temporary file" not in (folder / "error.log").read_text()


def test_the_limit_of_a_body_is_the_same_at_the_proxy_and_behind_it():
    mega = int(re.search(r"client_max_body_size (\d+)m;", block("/etc/nginx/sites-available/penlight"))[1])
    assert mega << 20 == RequestLimits().upload


def test_the_unit_is_one_that_systemd_takes(tmp_path):
    made = unit()
    assert made["Service"]["User"] == "penlight"
    # Of all in the service's group, the server alone is asked to end: workers finish what it has begun.
    assert made["Service"]["KillMode"] == "mixed"
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is missing; the rest of the unit was read")
    file = tmp_path / "penlight.service"
    text = block("/etc/systemd/system/penlight.service").replace("/opt/penlight/bin/penlight", shutil.which("true"))
    file.write_text(text.replace("User=penlight", "User=root"))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if "penlight.service" in line] == []
    assert done.returncode == 0 or "penlight.service" not in done.stderr
