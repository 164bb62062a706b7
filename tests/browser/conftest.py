"""A server in this process over runs that are trained once, and a Chromium that looks at it."""

import asyncio
import importlib.util
import io
import os
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
import uvicorn
from PIL import Image

from penlight.serve import make_app, open_registry
from tests.drawn import shelf_folder
from tests.served import workers_on_demand  # noqa: F401

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--process-per-site",
)
WAIT_MS = 60_000
SCREEN = {"width": 1280, "height": 900}


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker("browser")
            item.add_marker("drawn")


def missing(what):
    """Without a browser these tests say so; where everything must run, that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} CI must have it.")
    pytest.skip(what)


# Not for the session: until it is closed, an event loop runs in this thread, in which no other test could have one.
@pytest.fixture(scope="package")
def browser():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        missing("Chromium is not installed: apt-get install chromium.")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright is not installed: pip install playwright.")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=FLAGS, timeout=2 * WAIT_MS)
        yield started
        started.close()
    # Playwright leaves its own event loop as that of this thread.
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def address():
    """Where the server listens: a free port of this machine."""
    with serving(make_app(open_registry([shelf_folder()]), names={"127.0.0.1"})) as made:
        yield made


@contextmanager
def serving(app):
    """Serve an application; gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, ws="none", log_config=None))
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


@dataclass
class Seen:
    """What a page did that it should not: messages of its console, and addresses outside the server."""

    messages: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture(scope="package")
def tab(browser, address):
    """The one page of the tests of the server's pages: each further one would be a process of Chromium's."""
    made = browser.new_context(base_url=address, viewport=SCREEN)
    made.set_default_timeout(WAIT_MS)
    yield made.new_page()
    made.close()


@pytest.fixture
def context(tab, address, seen, explains):
    """Where the page stands, as if it were new: with nothing kept, and with all seen that it does."""
    made = tab.context
    watched = {
        "console": lambda message: _note(seen, message, explains),
        "weberror": lambda error: seen.messages.append(str(error.error)),
        "request": lambda request: request.url.startswith((address, "about:")) or seen.outside.append(request.url),
    }
    for event, see in watched.items():
        made.on(event, see)
    yield made
    tab.goto("about:blank")
    for event, see in watched.items():
        made.remove_listener(event, see)
    made.unroute_all()
    tab.set_viewport_size(SCREEN)
    tab.emulate_media(media="null", color_scheme="null")
    kept = {"origin": address, "storageTypes": "local_storage,cookies"}
    made.new_cdp_session(tab).send("Storage.clearDataForOrigin", kept)
    assert seen.messages == []
    assert seen.outside == []


def _note(seen, message, explains):
    told = not explains and "501" in message.text
    if message.type in ("error", "warning") and not told:
        seen.messages.append(message.text)


@pytest.fixture
def page(tab, context):
    return tab


@pytest.fixture(scope="session")
def explains():
    """Whether this installation can explain; where it cannot, pages say so."""
    return importlib.util.find_spec("penlight.api.explaining") is not None


def png(number=0, side=28):
    """A picture that is no photograph: bytes of a PNG."""
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
