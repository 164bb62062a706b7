"""Connections to strangers: deadlines and limits that hold before a request is understood or its sender known.

uvicorn limits how many connections there are and how long one stays idle, and no more. With httptools, which is what
it uses here, a head may come as slowly as its sender likes and be as long, an answer may stay unread for ever, and
the limit on connections turns everybody away once anybody has filled it. This subclass of uvicorn's protocol adds the
limits that are missing. All of them are in `RequestLimits`; bodies have theirs in `uploads`.
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from penlight.serve.forwarding import Proxies
from penlight.serve.limits import SECURITY_HEADERS, RequestError, RequestLimits

_SLICE = 4096
_SWEEP_SECONDS = 0.25
_BODY_HEADERS = {b"content-length", b"transfer-encoding"}


class Connections:
    """All open connections of a server: who holds how many, and a sweep that ends those past a deadline.

    One sweep four times a second for all of them, so that a request costs no timer.
    """

    def __init__(self, limits: RequestLimits, proxies: Proxies | None = None) -> None:
        self.limits, self.proxies = limits, proxies or Proxies()
        self._open: set[_Connection] = set()
        self._by_peer: Counter[str] = Counter()
        self._sweeping: asyncio.TimerHandle | None = None

    def protocol(self, **options: Any) -> asyncio.Protocol:
        """Make the protocol of one connection; this is what uvicorn's `http` setting takes."""
        return _Connection(self, **options)

    def add(self, connection: "_Connection") -> bool:
        """Take in a connection; False if it must be refused because there is no room and none can be made.

        Where one peer, or all together, have too many, that connection is ended which has waited longest for its
        peer to send or read something: a stalled one makes room for a fresh one, and a busy one never does. A listed
        proxy may have them all: each of its requests is counted for the client that it names.
        """
        limits = self.limits
        if not self.proxies.trusts(connection.address) and self._is_full(connection.peer):
            return False
        if len(self._open) >= limits.connections:
            greediest = self._by_peer.most_common(1)[0][0]
            if not self._end_stalest(c for c in self._open if c.peer == greediest):
                return False
        self._open.add(connection)
        self._by_peer[connection.peer] += 1
        if self._sweeping is None:
            self._sweeping = connection.loop.call_later(_SWEEP_SECONDS, self._sweep, connection.loop)
        return True

    def move(self, connection: "_Connection", peer: str) -> bool:
        """Count a connection for the client whose request it carries. False if that one has too many."""
        if peer == connection.peer or connection not in self._open:
            return True
        if peer != connection.own_peer and self._is_full(peer):
            return False
        self._uncount(connection.peer)
        connection.peer = peer
        self._by_peer[peer] += 1
        return True

    def remove(self, connection: "_Connection") -> None:
        """Forget a connection that has ended."""
        if connection in self._open:
            self._open.discard(connection)
            self._uncount(connection.peer)

    def _uncount(self, peer: str) -> None:
        self._by_peer[peer] -= 1
        if not self._by_peer[peer]:
            del self._by_peer[peer]

    def _is_full(self, peer: str) -> bool:
        """Say whether a peer has as many connections as it may, and each of them is busy; ends one that is not."""
        if self._by_peer[peer] < self.limits.peer_connections:
            return False
        return not self._end_stalest(c for c in self._open if c.peer == peer)

    def shed_unread(self) -> None:
        """End the connections whose peers have read nothing for longest, while all unread answers together hold more
        than `held` bytes."""
        unread = {c: size for c in self._open if (size := c.unread)}
        total = sum(unread.values())
        for connection in sorted(unread, key=lambda c: c.progress):
            if total <= self.limits.held:
                return
            total -= unread[connection]
            connection.abort()

    def _end_stalest(self, candidates: Iterable["_Connection"]) -> bool:
        waiting = [c for c in candidates if c.waits_for_peer]
        if not waiting:
            return False
        stalest = min(waiting, key=lambda c: c.progress)
        stalest.abort()
        self.remove(stalest)
        return True

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self._open):
            connection.check(now)
        again = bool(self._open)
        self._sweeping = loop.call_later(_SWEEP_SECONDS, self._sweep, loop) if again else None


class _Connection(HttpToolsProtocol):
    """One connection.

    `head_since` is when the head that is being received began, or the connection; None while a request is being
    answered or its body received. `progress` is when the peer last sent something or read something of an answer.
    `address` is the other end's and `own_peer` what it is counted by; `peer` is that of the client where a listed
    proxy passes on a request.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._connections, self._limits = connections, connections.limits
        # Counted per peer in `Connections`; uvicorn's own limit would turn away everybody.
        self.limit_concurrency = None
        self.address = self.peer = self.own_peer = ""
        self.progress = 0.0
        self.head_since: float | None = None
        self._head_bytes = 0
        self._unread = 0
        self._unread_since: float | None = None
        self._closing_since: float | None = None
        self._discarded = 0
        self._refusal: RequestError | None = None
        self._is_deaf = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take in a connection, or refuse it."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self.peer = self.own_peer = peer_of(self.address)
        self.progress = self.head_since = self.loop.time()
        if not self._connections.add(self):
            self._answer(_too_many())

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._connections.remove(self)
        if exc is not None:
            # uvicorn leaves this timer running when a connection breaks.
            self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came: a head in small pieces, so that its limits hold before it is whole, and a body at once."""
        self.progress = self.loop.time()
        if self._closing_since is not None:
            self._discard(len(data))
            return
        if self.head_since is None and (self.cycle is None or self.cycle.response_complete):
            self.head_since = self.progress
        while data and self._closing_since is None and not self._is_deaf and not self.transport.is_closing():
            if self.head_since is None:
                piece, data = data, b""
            else:
                piece, data = data[:_SLICE], data[_SLICE:]
            self._feed(piece)
            if self.head_since is not None and self._closing_since is None:
                self._head_bytes += len(piece)
                self._check_head()

    def _feed(self, piece: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            # The request is answered as any other, which is how HTTP refuses an upgrade; what follows it is of a
            # protocol that is not spoken here.
            self._is_deaf = True
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()
        except httptools.HttpParserError:
            self._answer(self._refusal or _malformed("The request is not HTTP."))

    def pause_writing(self) -> None:
        """Note that the peer does not read as fast as it is answered."""
        super().pause_writing()
        self._connections.shed_unread()

    # What the parser calls. An exception here becomes an HttpParserError of `feed_data`.

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._head_bytes = 0
        if self.head_since is None:
            self.head_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """Begin to answer a request, or refuse it by its head."""
        self._refusal = self._refused_head() or self._refused_client()
        if self._refusal is not None:
            raise ValueError(self._refusal.error)
        self.head_since = None
        super().on_headers_complete()

    def _refused_head(self) -> RequestError | None:
        if len(self.pipeline) >= self._limits.pipelined:
            return RequestError(429, "Too many requests came before the first was answered.",
                                f"At most {self._limits.pipelined} at a time on one connection.",
                                "Wait for answers.")  # fmt: skip
        if len(self.headers) > self._limits.headers:
            return self._long_head()
        if len(self.url) > self._limits.target:
            return RequestError(
                414, "The address is too long.", f"At most {self._limits.target:,} bytes.", "Shorten it."
            )
        if self.parser.should_upgrade() and {name for name, _ in self.headers} & _BODY_HEADERS:
            return _malformed("The request asks for another protocol, and has a body.")
        if self.parser.get_http_version() not in ("1.1", "1.0"):
            return RequestError(505, "The request is of another version of HTTP.", "HTTP/1.1.", "Set the version.")
        if not self.url.startswith(b"/"):
            return _malformed("The request is for a proxy, or its address is not one of this server.")
        return None

    def _refused_client(self) -> RequestError | None:
        self._connections.proxies.apply(self.scope)
        client = self.scope["client"]
        peer = peer_of(client[0] if client else "")
        return None if self._connections.move(self, peer) else _too_many()

    def on_response_complete(self) -> None:
        """Go on with the next request; but not after one whose body was not read, which is not for reading now."""
        super().on_response_complete()
        if not self.pipeline:
            self._connections.move(self, self.own_peer)
        self._head_bytes = 0
        if self.cycle is not None and self.cycle.response_complete and self.cycle.more_body:
            # RFC 9112, 9.6: closed at once, the peer might lose the answer to its own unfinished sending.
            self._linger()

    # Deadlines.

    @property
    def waits_for_peer(self) -> bool:
        """Whether nothing happens here until the peer sends or reads something."""
        cycle = self.cycle
        return (
            self._closing_since is not None
            or self.unread > 0
            or cycle is None
            or cycle.response_complete
            # Its body is awaited, and none of it lies here unread by the route.
            or (cycle.more_body and not cycle.body and not self.flow.read_paused)
        )

    @property
    def unread(self) -> int:
        """Bytes of answers that the peer has not taken yet."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def check(self, now: float) -> None:
        """End the connection if it is past a deadline."""
        if self._closing_since is not None:
            if now - self._closing_since > self._limits.linger_seconds:
                self.abort()
            return
        if self._is_unread(now):
            self.abort()
        elif self.head_since is not None and now - self.head_since > self._limits.head_seconds and not self._is_busy:
            self._answer(RequestError(408, f"No whole request came within {self._limits.head_seconds:g} s.",
                                      "A request line and headers.", "Send them at once."))  # fmt: skip

    def abort(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_unread(self, now: float) -> bool:
        size = self.unread
        if not size:
            self._unread, self._unread_since = 0, None
            return False
        if self._unread_since is None:
            self._unread_since = self.progress = now
        elif size < self._unread:
            self.progress = now
        self._unread = size
        return (
            now - self.progress > self._limits.stall_seconds or now - self._unread_since > self._limits.answer_seconds
        )

    # Refusals.

    def _check_head(self) -> None:
        n_headers = len(self.headers or ())
        if self._head_bytes > self._limits.head_bytes or n_headers > self._limits.headers:
            self._answer(self._long_head())

    def _long_head(self) -> RequestError:
        most = f"At most {self._limits.headers} headers and {self._limits.head_bytes:,} bytes."
        return RequestError(431, "The head of the request is too long.", most, "Send less.")

    def _answer(self, refusal: RequestError) -> None:
        """Refuse what cannot reach the application, and close; without a word where another answer has begun."""
        if self._is_busy:
            if self.pipeline or self.cycle.response_started:
                self.transport.close()
                return
            # What the application still answers to the damaged request goes nowhere.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.is_closing():
            return
        body = refusal.body
        status = HTTPStatus(refusal.status)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
                   (b"connection", b"close"), *SECURITY_HEADERS]  # fmt: skip
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() + lines + b"\r\n" + body)
        self._linger()

    def _linger(self) -> None:
        """Send nothing more, and drop what still comes until the peer closes, or a moment later."""
        self._unset_keepalive_if_required()
        self._closing_since = self.loop.time()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _discard(self, n_bytes: int) -> None:
        self._discarded += n_bytes
        if self._discarded > self._limits.upload:
            self.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer in the shape of every other error."""
        self._answer(_malformed("The request is not HTTP."))


def settings(limits: RequestLimits, proxies: Proxies | None = None) -> dict[str, Any]:
    """Give uvicorn's settings for how requests are received and answered; what `proxies` forward is believed."""
    return {
        "http": Connections(limits, proxies).protocol,
        "timeout_keep_alive": limits.idle_seconds,
        "ws": "none",
        "access_log": False,
        "server_header": False,
        # uvicorn would read them too late for what is counted by peer, and leave out the host; see `Proxies`.
        "proxy_headers": False,
        "log_config": None,
    }


@lru_cache(maxsize=1024)
def peer_of(host: str) -> str:
    """Give what one holder of addresses is counted by: an IPv4 address, or the 64 bits of an IPv6 network, which one
    holder has whole."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host


def _malformed(what: str) -> RequestError:
    return RequestError(
        400, what, "A request of HTTP/1.1 for an address of this server.", "Send it as HTTP clients do."
    )


def _too_many() -> RequestError:
    return RequestError(503, "The server is busy: too many connections are open.", "Fewer connections at a time.",
                        "Try again in a second.", {"Retry-After": "1"})  # fmt: skip
