"""The pages: the list of runs, and each report from the run's own file."""

import base64
import hashlib
import re
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from penlight.serve.shelf import REPORT, Shelf, Shelved, ShelvedGroup

STATIC = {"style.css": ("report", "text/css; charset=utf-8")}
"""Files that pages use, by name, with the room that they lie in."""

_SCRIPT = re.compile(rb"<script[^>]*>(.*?)</script>", re.DOTALL)


def index(shelf: Shelf) -> HTMLResponse:
    """List the runs and groups."""
    page = _environment().get_template("index.html")
    runs, groups = ([own.listed for own in table.values()] for table in (shelf.runs, shelf.groups))
    return HTMLResponse(page.render(runs=runs, groups=groups))


def static(name: str) -> Response:
    """Give a file of `STATIC`."""
    room, kind = STATIC[name]
    return Response(_file(room, name), media_type=kind, headers={"cache-control": "max-age=3600"})


def run_report(shelved: Shelved) -> Response:
    """Give a run's report; RunError if it is not what was written."""
    return report(shelved.run.read(REPORT))


def group_report(group: ShelvedGroup) -> Response:
    """Give the report of a study, or of several seeds."""
    return report(group.report)


def report(page: bytes) -> Response:
    """Give a page that holds all it needs; of scripts only those that are in it may run."""
    hashes = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{value}'" for value in hashes) or "'none'"
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {scripts}; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'"
    )
    headers = {"content-security-policy": policy, "x-frame-options": "SAMEORIGIN"}
    return HTMLResponse(page, headers=headers)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("penlight.serve"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _file(room: str, name: str) -> bytes:
    # By way of the package, as importing a room for its files would load what it draws with.
    return resources.files("penlight").joinpath(room, name).read_bytes()
