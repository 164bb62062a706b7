"""What stands before every route: who may ask, by which name, and what every answer carries."""

import asyncio
import base64
import hmac
import ipaddress
import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penlight.serve.limits import RequestError
from penlight.serve.metrics import Metrics

log = logging.getLogger("penlight.serve")

POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The content security policy of every answer that names no other one."""

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
]
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

    `token` None lets everybody in. On a loopback address (`names` given) only its own names are answered, so that a
    page of another site cannot reach the server under a name of its own (DNS rebinding). Logs hold the route, never
    the path, a name or any content.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, token: str | None, names: set[str] | None) -> None:
        self._app, self._metrics, self._names = app, metrics, names
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500
        self._metrics.running += 1

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message)
            await send(message)

        try:
            refused = self._refused(scope)
            if refused is None:
                await self._app(scope, receive, send_guarded)
            else:
                await refused.response()(scope, receive, send_guarded)
        except asyncio.CancelledError:
            status = 499
            raise
        finally:
            self._metrics.running -= 1
            self._record(scope, status, time.perf_counter() - begun)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "none")
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
        self._metrics.count(method, path, status, seconds)
        log.info("%s %s %d %.1f ms", method, path, status, seconds * 1000)

    def _refused(self, scope: Scope) -> RequestError | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._names is not None and _name_of(headers.get(b"host", b"")) not in self._names:
            return RequestError(421, "The request is for another host.", "A Host header with a name of this machine.",
                                "Open it as http://localhost or http://127.0.0.1.")  # fmt: skip
        if headers.get(b"sec-fetch-site") == b"cross-site" and scope["method"] != "GET":
            return RequestError(403, "A page of another site sent this.", "A request of this site, or of a program.",
                                "Open the server's own page.")  # fmt: skip
        if self._token is None or scope["path"] in _OPEN or self._may(headers.get(b"authorization", b"")):
            return None
        return RequestError(401, "The token is missing or wrong.", "Authorization: Bearer TOKEN",
                            "Send the token that the server was started with.",
                            {"WWW-Authenticate": 'Basic realm="Penlight, token as password", Bearer'})  # fmt: skip

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


def names_of(host: str) -> set[str] | None:
    """Give the names under which a server at this address answers; None, for any, where it is not loopback."""
    return _LOCAL_NAMES | {host} if is_loopback(host) else None


def _name_of(host: bytes) -> str:
    """Give the name in a Host header without its port."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _add_headers(message: Message) -> None:
    headers: list[tuple[bytes, bytes]] = list(message["headers"])
    given = {name for name, _ in headers}
    headers += [pair for pair in _HEADERS if pair[0] not in given]
    if b"content-security-policy" not in given:
        headers.append((b"content-security-policy", POLICY.encode()))
    message["headers"] = headers
