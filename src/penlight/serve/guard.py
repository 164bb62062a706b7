"""What stands before every route: who may ask, by which name, and what every answer carries."""

import asyncio
import base64
import hmac
import ipaddress
import logging
import time
import traceback
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penlight.serve.forwarding import FORWARDED
from penlight.serve.limits import SECURITY_HEADERS, RequestError, busy
from penlight.serve.metrics import Metrics

log = logging.getLogger("penlight.serve")

POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The content security policy of every answer that names no other one."""

_ONCE = {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"content-type",
    b"authorization",
    b"origin",
    b"sec-fetch-site",
    b"sec-fetch-mode",
}
_OPEN = ("/healthz", "/readyz")
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}


def is_loopback(host: str) -> bool:
    """Say whether an address is this machine's own alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Checks the Host header and the token, sets the headers, counts and logs.

    `token` None lets everybody in. Where `names` are given only these are answered, so that a page of another site
    cannot reach the server under a name of its own (DNS rebinding). `root_path` is where a proxy serves the pages,
    "" or "/prefix"; requests may come with it or without. Logs hold the route, never the path, a name or any content.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, token: str | None, names: set[str] | None, root_path: str = ""
    ) -> None:
        self._app, self._metrics, self._names, self._root_path = app, metrics, names, root_path
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, started = time.perf_counter(), 500, False
        self._metrics.running += 1
        # Every route that has GET answers HEAD as well, which FastAPI's do not by themselves.
        is_head = scope["method"] == "HEAD"
        inner = {**self._below_root(scope), **({"method": "GET"} if is_head else {})}

        async def send_guarded(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                _add_headers(message)
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            refused = self._refused(scope)
            if refused is None:
                await self._app(inner, receive, send_guarded)
            else:
                await refused.response()(inner, receive, send_guarded)
        except asyncio.CancelledError:
            # uvicorn ends what is left when it stops, and would log each as a failure.
            if not started:
                await busy("it is being stopped").response()(inner, receive, send_guarded)
        except Exception as error:  # one request must not reach uvicorn's log with names and paths, nor end others
            _log_failure(error)
            if not started:
                failed = RequestError(
                    500, "The server failed at this request.", "", "Contact the administrator of the server."
                )
                await failed.response()(inner, receive, send_guarded)
        finally:
            self._metrics.running -= 1
            self._record(inner, scope["method"], status, time.perf_counter() - begun)

    def _below_root(self, scope: Scope) -> Scope:
        """Give the scope as ASGI has it for an application below a prefix: the path with it, whether or not the proxy
        took it away, and the host that the client asked, which redirects name."""
        root, path = self._root_path, scope["path"]
        whole = path if path == root or path.startswith(f"{root}/") else root + path
        headers = scope["headers"]
        if host := scope.get(FORWARDED, {}).get("host"):
            headers = [(name, host if name == b"host" else value) for name, value in headers]
        return {**scope, "root_path": root, "path": f"{root}/" if whole == root else whole, "headers": headers}

    def _record(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "none")
        method = method if method in ("GET", "HEAD", "POST") else "other"
        self._metrics.count(method, path, status, seconds)
        log.info("%s %s %d %.1f ms", method, path, status, seconds * 1000)

    def _refused(self, scope: Scope) -> RequestError | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if repeated := _repeated(scope["headers"]):
            return RequestError(400, f"The header {repeated} came more than once.", "Each header once.", "Send one.")
        own = headers.get(b"host", b"")
        forwarded = scope.get(FORWARDED, {})
        host = forwarded.get("host", own)
        # A client can send X-Forwarded-Host through a proxy that does not set it; both names must be known.
        if self._names is not None and not {_name_of(own), _name_of(host)} <= self._names:
            return RequestError(421, "The request is for another host.", "A Host header with a name of this server.",
                                "Open it as http://localhost or http://127.0.0.1. Behind a proxy, who runs the "
                                "server names it with --allowed-host.")  # fmt: skip
        if _is_foreign(headers, scope["method"], host, forwarded.get("scheme")):
            return RequestError(403, "A page of another site sent this.", "A request of this site, or of a program.",
                                "Open the server's own page.")  # fmt: skip
        is_open = scope["path"].removeprefix(self._root_path) in _OPEN
        if self._token is None or is_open or self._may(headers.get(b"authorization", b"")):
            return None
        # Browsers ask their user for a name and a password; a second scheme beside Basic keeps Chromium from asking.
        return RequestError(401, "The token is missing or wrong.", "Authorization: Bearer TOKEN",
                            "Send the token that the server was started with.",
                            {"WWW-Authenticate": 'Basic realm="Penlight, token as password"'})  # fmt: skip

    def _may(self, authorization: bytes) -> bool:
        """Compare in constant time; a browser, which asks its user, sends the token as a password."""
        scheme, _, given = authorization.partition(b" ")
        if scheme.lower() == b"basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except ValueError:
                return False
        elif scheme.lower() != b"bearer":
            return False
        return hmac.compare_digest(given.strip(), self._token or b"")


def _repeated(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Name a header that decides something and came twice: who reads the first and who reads the last would not
    agree."""
    names = [name for name, _ in headers if name in _ONCE]
    return "" if len(names) == len(set(names)) else next(n for n in names if names.count(n) > 1).decode("latin-1")


def _is_foreign(headers: Mapping[bytes, bytes], method: str, host: bytes, scheme: str | None) -> bool:
    """Say whether a page of another site makes its visitor's browser send this. `host` is the one that was asked,
    with its port; `scheme` is None where a proxy may have another one than this server knows.

    What changes something, or takes work, is refused for any origin but the server's own, whatever else the headers
    say; a sandboxed report has the origin "null". Reading is refused for what another site's page loads into itself,
    and left to its links: a browser says which in Sec-Fetch-Site and Sec-Fetch-Mode, and a program sends neither.
    """
    site = headers.get(b"sec-fetch-site", b"none")
    foreign = site in (b"cross-site", b"same-site")
    if method in ("GET", "HEAD"):
        return foreign and headers.get(b"sec-fetch-mode") != b"navigate"
    origin = headers.get(b"origin")
    return foreign or not (origin is None or _is_own(origin.decode("latin-1"), host.decode("latin-1"), scheme))


def _is_own(origin: str, host: str, scheme: str | None) -> bool:
    own_scheme, _, place = origin.lower().partition("://")
    port = {"http": ":80", "https": ":443"}.get(own_scheme, ":")
    same_place = place.removesuffix(port) == host.lower().removesuffix(port) != ""
    return same_place and scheme in (None, own_scheme)


def _log_failure(error: Exception) -> None:
    """Log where an error that has no name was raised: the kind of error, and the lines of Penlight that led there.

    Its text may hold what a client sent, or a path, and is left out.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.name}:{frame.lineno}" for frame in frames if "penlight" in frame.filename]
    log.error("%s in %s", type(error).__name__, " > ".join(lines[-6:]) or "the server")


def names_of(host: str, allowed: Collection[str] = ()) -> set[str] | None:
    """Give the names under which a server at this address answers, those that are `allowed` among them; None, for
    any, where it is not loopback and none is given."""
    if not allowed and not is_loopback(host):
        return None
    return _LOCAL_NAMES | {host.lower()} | {name.lower() for name in allowed}


def _name_of(host: bytes) -> str:
    """Give the name in a Host header without its port."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _add_headers(message: Message) -> None:
    headers: list[tuple[bytes, bytes]] = list(message["headers"])
    given = {name for name, _ in headers}
    headers += [pair for pair in SECURITY_HEADERS if pair[0] not in given]
    if b"content-security-policy" not in given:
        headers.append((b"content-security-policy", POLICY.encode()))
    message["headers"] = headers
