"""What strangers may send before anybody knows who they are: none of it takes the server from others."""

import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest

from penlight.answers import ErrorOfWorker
from penlight.errors import ExplainError, PictureError, RunError, UnknownNameError
from penlight.runs.sources import InputPicture
from penlight.serve import RequestLimits
from penlight.serve.connections import peer_of
from penlight.serve.explaining import explained
from penlight.serve.limits import Budget, RequestError, for_client
from penlight.workers import Bounds
from tests.attack.conftest import QUICK, named, received, send, serving, status
from tests.serve.test_routes import GOOD, PREDICT
from tests.trained import trained

HOST = b"Host: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST


def post(headers=b"", path=PREDICT, kind=b"image/png"):
    return f"POST {path} HTTP/1.1\r\n".encode() + HOST + b"Content-Type: " + kind + b"\r\n" + headers


def with_body(body, **options):
    return post(b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body), **options) + body


def test_half_sent_requests_do_not_keep_others_out():
    """As many as there are connections, from one address, which is also the one that asks in between."""
    halves = (b"GET / HTTP/1.1\r\nHost: local", post(b"Content-Length: 1000\r\n\r\nabc"), b"", b"G", GET)
    with serving(RequestLimits(connections=120, peer_connections=100), warm=False) as server, ExitStack() as stack:
        for i in range(300):
            sock = stack.enter_context(server.connect())
            send(sock, halves[i % len(halves)])
            if i % 50 == 49:
                assert server.lives()
        assert server.lives()


def test_bodies_that_never_come_do_not_fill_the_line_of_a_cold_server():
    """Each of them names a run whose model has not been opened yet."""
    with serving(RequestLimits(waiting=8), warm=False) as server, ExitStack() as stack:
        for _ in range(40):
            send(stack.enter_context(server.connect()), post(b"Content-Length: 1000\r\n\r\nabc"))
        assert status(server.ask(with_body(GOOD), 30)) == 200


def test_who_waits_longest_makes_room_and_who_is_fresh_stays():
    with serving(RequestLimits(connections=20, peer_connections=10), warm=False) as server, ExitStack() as stack:
        first = stack.enter_context(server.connect())
        kept = stack.enter_context(server.connect())
        for _ in range(20):
            send(kept, GET + b"\r\n")
            # Head and body may come one after the other.
            answer = kept.recv(4096)
            while answer and not answer.endswith(b"}\n"):
                answer += kept.recv(4096) or b"}\n"
            assert b"200 OK" in answer
            send(stack.enter_context(server.connect()), b"GET /")
        first.settimeout(2)
        assert received(first) == b""


@pytest.mark.parametrize(
    "begun",
    [b"", b"G", b"GET / HTTP/1.1\r\n", GET + b"X: ", b"\r\n", post(b"Content-Length: 5\r\n")],
    ids=["nothing", "letter", "line", "header", "line-end", "post"],
)
def test_a_head_that_does_not_end_is_ended(server, begun):
    with server.connect() as sock:
        send(sock, begun)
        time.sleep(0.3)
        send(sock, begun[:0] or b"\r\n" if begun == b"\r\n" else b"")
        began = time.monotonic()
        answer = received(sock)
    assert time.monotonic() - began < 9
    assert status(answer) == 408
    assert named(answer)


def test_bytes_that_trickle_do_not_put_the_deadline_off(server):
    with server.connect() as sock:
        sock.settimeout(0.1)
        began, answer = time.monotonic(), b""
        for letter in GET + b"X: " + b"y" * 1000:
            if not send(sock, bytes([letter])) or (answer := received(sock)):
                break
        assert time.monotonic() - began < 9
        assert status(answer) == 408


def test_line_ends_after_an_answer_do_not_keep_a_connection(server):
    with server.connect() as sock:
        send(sock, GET + b"\r\n")
        assert b"200 OK" in sock.recv(4096)
        sock.settimeout(0.1)
        began = time.monotonic()
        while send(sock, b"\r\n") and not received(sock) and time.monotonic() - began < 9.5:
            pass
        assert time.monotonic() - began < 9


@pytest.fixture(scope="module")
def patient():
    """A server with the usual limits, whose model no test opens."""
    with serving(RequestLimits(seconds=20), warm=False) as made:
        yield made


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (GET + b"X: y\r\n" * 101 + b"\r\n", 431),
        (GET + b"".join(b"X%d:\r\n" % i for i in range(5000)), 431),
        (GET + b"X: " + b"y" * 200_000, 431),
        (GET + b"y" * 200_000, 431),
        (b"GET /" + b"y" * 200_000, 431),
        (b"GET /" + b"y" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (GET + b"Cookie: " + b"a=b; " * 6_000_000, 431),
        (GET + b"X: y\r\n" * 90 + b"Connection: close\r\n\r\n", 200),
        (b"GET /healthz?" + b"y" * 8000 + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", 200),
    ],
    ids=["count", "many", "value", "name", "endless-address", "address", "megabytes", "90", "8000"],
)
def test_a_head_has_limits(patient, request_, expected):
    answer = patient.ask(request_)
    assert status(answer) == expected
    assert expected == 200 or named(answer)
    assert patient.lives()


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", {421}),
        (GET + b"Host: other\r\n\r\n", {400}),
        (post(b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), {400}),
        (post(b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), {400}),
        (post(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), {400}),
        (post(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), {400}),
        (post(b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), {411}),
        (post(b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc"), {400, 411}),
        (post(b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), {400, 411}),
        (post(b"Content-Length: -1\r\n\r\n"), {400}),
        (post(b"Content-Length: +3\r\n\r\nabc"), {400}),
        (post(b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"), {400, 413}),
        (post(b"Content-Length: 99999999999\r\n\r\n"), {413}),
        (b"GET http://evil.example/healthz HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
        (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
        (b"GET healthz HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
        (b"BREW /healthz HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
        (b"get /healthz HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
        (b"TRACE /healthz HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
        (b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n", {400}),
        (b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n", {400, 505}),
        (b"GET /healthz\r\n\r\n", {505}),
        (b"GET /\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
        (b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
        (b"GET /%00%0d%0aX: y HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
        (GET + b"X: a\x00b\r\n\r\n", {400}),
        (GET + b"X : a\r\n\r\n", {400}),
        (GET + b"X: a\r\n b\r\n\r\n", {200, 400}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), {400}),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    ],
)  # fmt: skip
def test_what_is_read_in_two_ways_or_is_not_http_is_refused(server, request_, expected):
    answer = server.ask(request_, 3)
    assert status(answer) in expected
    assert status(answer) == 200 or named(answer)
    assert server.lives()


def test_old_and_upgrading_clients_are_answered(server):
    assert status(server.ask(b"GET /healthz HTTP/1.0\r\n" + HOST + b"\r\n")) == 200
    upgrade = GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert status(server.ask(upgrade, 3)) == 200
    assert server.ask(upgrade + b"\x81\x05hello" * 1000, 3).count(b"HTTP/1.1 ") == 1
    h2c = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    body = b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD
    answer = server.ask(post(h2c + body), 5)
    assert (status(answer), named(answer)) == (400, True)


def test_expect_is_answered_only_where_a_body_is_wanted(server):
    with server.connect() as sock:
        send(sock, post(b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(GOOD)))
        assert sock.recv(4096).startswith(b"HTTP/1.1 100 ")
        send(sock, GOOD)
        assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
    refused = server.ask(post(b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", path="/none"), 3)
    assert status(refused) == 404


def test_a_body_that_stalls_is_ended_and_holds_no_more_than_came(server):
    with server.connect() as sock:
        send(sock, post(b"Content-Length: 1000000\r\n\r\n") + GOOD[:100])
        began = time.monotonic()
        answer = received(sock)
    assert (status(answer), named(answer)) == (408, True)
    assert time.monotonic() - began < 9


def test_a_body_that_trickles_has_a_deadline():
    with serving(replace(QUICK, seconds=1.0)) as server, server.connect() as sock:
        send(sock, post(b"Content-Length: 1000000\r\n\r\n"))
        sock.settimeout(0.1)
        began, answer = time.monotonic(), b""
        while send(sock, b"x") and not (answer := received(sock)) and time.monotonic() - began < 9.5:
            pass
    assert status(answer) == 408
    assert time.monotonic() - began < 9


def test_claimed_bytes_take_nothing_from_others():
    limits = replace(QUICK, stall_seconds=5.0, upload=1 << 20, held=1 << 20)
    with serving(limits) as server, ExitStack() as stack:
        for _ in range(8):
            sock = stack.enter_context(server.connect())
            send(sock, post(b"Content-Length: 1000000\r\n\r\n") + b"x" * 10)
        assert status(server.ask(with_body(GOOD))) == 200


def test_one_peer_cannot_take_all_the_memory_for_bodies():
    budget = Budget(100, 60)
    budget.take(60, "a")
    with pytest.raises(RequestError, match="from one address"):
        budget.take(1, "a")
    budget.take(40, "b")
    with pytest.raises(RequestError, match="uploads"):
        budget.take(1, "c")
    budget.give(60, "a")
    budget.take(60, "c")
    assert budget.used == 100


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_network_of_ipv6_is_one_peer(host, peer):
    assert peer_of(host) == peer


def form(parts):
    return b"".join(parts) + b"--b--\r\n"


FORM = b"multipart/form-data; boundary=b"
TINY = [b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'] * 600_000
FORMS = {
    "fields": form(TINY),
    "files": form([b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n\r\n'] * 400_000),
    "headers": form([b"--b\r\n" + b"A: b\r\n" * 5_000_000]),
    "no-end": b"--b\r\n" + b"A: " + b"x" * 30_000_000,
    "preamble": b"\r\n" * 15_000_000,
    "hyphens": b"-" * 30_000_000,
    "boundaries": b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + b"\r\n--bx" * 5_000_000,
    "nearly": b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + b"\r\n--\r\n--" * 3_700_000,
}


@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_form_of_many_parts_holds_up_nobody(patient, name):
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(patient.ask(with_body(FORMS[name], kind=FORM), 30)), daemon=True
    )
    asking.start()
    slowest = 0.0
    while asking.is_alive():
        began = time.monotonic()
        assert status(patient.get()) == 200
        slowest = max(slowest, time.monotonic() - began)
    asking.join()
    assert slowest < 3
    assert status(answers[0]) in (400, 408, 413, 415)
    assert named(answers[0])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (b"multipart/form-data", 400),
        (b"multipart/form-data; boundary=", 400),
        (b"multipart/form-data; boundary=" + b"b" * 300, 400),
        (b"multipart/form-data; boundary=b; charset=utf-16; x=" + b"y" * 6000, 400),
        (b"multipart/form-data; " + b"a=b; " * 1200 + b"boundary=b", 400),
        (b'multipart/form-data; boundary="' + b'\\"' * 3000, 400),
        (b"multipart/form-data; boundary*0=b; boundary*1=c", 400),
        (b"Multipart/Form-Data; boundary=b", 400),
        (b"text/plain", 415),
    ],
)
def test_content_types_of_forms_are_malformed_by_name(server, kind, expected):
    answer = server.ask(with_body(b'--c\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n--c--\r\n', kind=kind))
    assert (status(answer), named(answer)) == (expected, True)


def test_names_of_files_are_cut_and_kept_as_text(server):
    names = (b"a" * 3000, b"%2e%2e%2fetc%2fpasswd", b"../../etc/passwd", b"a\x1b[31m.png", "ü.png".encode())
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n\r\n%s\r\n' % (n, GOOD) for n in names
    ]
    answer = server.ask(with_body(form(parts), kind=FORM))
    assert status(answer) == 200
    assert b"a" * 256 not in answer


def test_a_refused_body_is_not_read_and_the_answer_arrives():
    """32 MB for a route that is not there, or without a token: the sender sees why, and no body is kept."""
    body = bytes(30 << 20)
    with serving(RequestLimits(), token="a-long-token") as server:
        for path in (PREDICT, "/none", "/"):
            answer = server.ask(with_body(body, path=path))
            assert status(answer) == 401
        authorised = b"Authorization: Bearer a-long-token\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert status(server.ask(post(authorised, path="/none") + body)) == 404
        assert status(server.ask(post(authorised, path="/") + body)) == 405
        endless = post(b"Content-Length: 99999999999999\r\n\r\n", path="/none")
        began = time.monotonic()
        with server.connect() as sock:
            assert send(sock, endless)
            while send(sock, body):
                pass
        assert time.monotonic() - began < 5


def test_a_flood_of_pipelined_requests_is_cut(server):
    answer = server.ask((GET + b"\r\n") * 100_000, 5)
    assert answer.count(b"HTTP/1.1 200") <= 200
    assert server.lives()
    few = server.ask((GET + b"\r\n") * 9 + GET + b"Connection: close\r\n\r\n")
    assert few.count(b"HTTP/1.1 200") == 10


async def large(scope, receive, send):
    """An application whose answer is far larger than what the kernel keeps of it."""
    if scope["type"] != "http":
        return
    size = 16 << 20 if scope["path"] == "/large" else 2
    headers = [(b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(size)})


def taken(sock):
    """How many bytes of the 16 MB come, of a connection that ends by itself."""
    sock.settimeout(5)
    total = 0
    with suppress(ConnectionResetError):
        while part := sock.recv(1 << 16):
            total += len(part)
    return total


@pytest.mark.parametrize(
    "limits",
    [replace(QUICK, stall_seconds=60.0, held=20 << 20), replace(QUICK, stall_seconds=0.5)],
    ids=["memory", "deadline"],
)
def test_answers_that_nobody_reads_are_dropped(limits):
    """Either too many of them hold too much, or each has its deadline; a reader gets its own whole."""
    ask = b"GET /large HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    with serving(limits, large) as server, ExitStack() as stack:
        socks = [stack.enter_context(server.connect()) for _ in range(6)]
        for sock in socks:
            send(sock, ask)
            assert server.lives()
        if limits.stall_seconds < 1:
            time.sleep(1.5)
        assert max(taken(sock) for sock in socks[:4]) < 16 << 20
        assert len(server.ask(ask)) > 16 << 20


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:{port}"}, 200),
        ({"Origin": "https://localhost:{port}"}, 200),
        ({"Origin": "http://LOCALHOST:{port}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://localhost"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Origin": "http://127.0.0.1:{port}"}, 403),
        ({"Origin": "http://localhost:{port}.evil.example"}, 403),
        ({"Origin": "http://localhost:{port}/"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_a_foreign_origin_may_not_ask_whatever_else_is_said(server, headers, expected):
    lines = "".join(f"{name}: {value.format(port=server.port)}\r\n" for name, value in headers.items())
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Type: image/png\r\n{lines}"
    answer = server.ask(f"{head}Content-Length: {len(GOOD)}\r\nConnection: close\r\n\r\n".encode() + GOOD)
    assert status(answer) == expected


def test_another_site_may_link_here_and_load_nothing(server):
    for mode, expected in (("navigate", 200), ("no-cors", 403), ("cors", 403)):
        answer = server.get("/api/v1/runs", "Sec-Fetch-Site: cross-site", f"Sec-Fetch-Mode: {mode}")
        assert status(answer) == expected


def shaped(answer):
    return set(answer.json()) == {"error", "expected", "do"}


def test_every_error_has_one_shape_and_the_right_status(client):
    for method, path, expected in [
        ("GET", "/runs/grades/example?number=-1", 422),
        ("GET", "/runs/grades/example?number=x%1b[31m", 422),
        ("GET", "/compare", 400),
        ("GET", "/compare?run=none&run=grades", 404),
        ("GET", "/api/v1/none", 404),
        ("GET", "/%00", 404),
        ("GET", "/runs/" + "a" * 5000, 404),
        ("GET", PREDICT, 405),
        ("DELETE", "/api/v1/runs", 405),
        ("POST", "/", 405),
        ("PUT", "/healthz", 405),
    ]:
        answer = client.request(method, path)
        assert (answer.status_code, shaped(answer)) == (expected, True), path
        assert "\x1b" not in answer.text
        if expected == 405:
            assert ("HEAD" in answer.headers["allow"]) == ("GET" in answer.headers["allow"])


def test_head_is_get_without_its_body_and_options_names_the_methods(client):
    for path in ("/", "/healthz", "/api/v1/runs", "/api/v1/openapi.json", "/static/style.css", "/runs/grades/report"):
        head, got = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers == got.headers
    assert client.head(PREDICT).status_code == 405
    assert client.head("/none").status_code == 404
    options = client.options(PREDICT)
    assert (options.status_code, options.headers["allow"]) == (204, "OPTIONS, POST")
    assert "access-control-allow-origin" not in options.headers


def test_what_is_raised_raw_reaches_neither_client_nor_log(client, monkeypatch, caplog):
    def fails(*args):
        raise ValueError("secret in /home/someone/file")

    monkeypatch.setattr("penlight.serve.pages.index", fails)
    with caplog.at_level("DEBUG"):
        for accept in ("text/html", "*/*"):
            answer = client.get("/", headers={"accept": accept})
            assert answer.status_code == 500
            assert "secret" not in answer.text
            assert "Traceback" not in answer.text
    assert shaped(answer)
    assert "secret" not in caplog.text
    assert "ValueError in " in caplog.text


FOLDER = "/srv/hospital/runs/one"


@pytest.mark.parametrize(
    ("error", "names", "told"),
    [
        (RunError(f"{FOLDER} is damaged.", "Repeat it."), None, False),
        (RunError(f"{FOLDER} is damaged.", "Repeat it."), {FOLDER: "one"}, True),
        (RunError(f"{FOLDER}/x and /srv/hospital/secret.", ""), {FOLDER: "one"}, False),
        (RunError("runs/one is damaged.", ""), None, False),
        (ExplainError("cam does not fit this model.", "Use --method auto."), None, True),
        (ExplainError("cam does not fit /srv/x.", ""), None, False),
        (ExplainError("cam does not fit C:\\runs.", ""), None, False),
        (UnknownNameError("label", "a", ["PNG/JPEG", "b"]), None, True),
        (PictureError("it is cut off", "", "/etc/passwd"), None, True),
        (PictureError("no file at /tmp/x", "", "a.png"), None, False),
    ],
)
def test_one_place_decides_what_of_an_error_a_client_reads(error, names, told):
    made = for_client(error, 422, "x", names)
    assert ("Contact the administrator" not in made.do) == told
    assert "/srv" not in made.error + made.do
    assert "/tmp" not in made.error


def test_explain_names_no_folder_of_the_server():
    place = str(trained("grades"))
    failed = ErrorOfWorker.of(RunError(f"{place}/neighbours.npz is damaged.", f"Repeat {place}.")).to_dict()
    with pytest.raises(RequestError) as found:
        explained(InputPicture("a.png", GOOD), ({"failed": failed}, b""), Bounds())
    assert found.value.status == 422
    assert place not in found.value.error + found.value.do
