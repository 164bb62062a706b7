"""The server process: bound where it is safe, logging what it may, ending what it has begun."""

import contextlib
import errno
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from penlight.errors import ServeError
from penlight.escaping import printable
from penlight.numbers import counted
from penlight.serve.app import make_app
from penlight.serve.connections import settings
from penlight.serve.forwarding import proxies_of
from penlight.serve.guard import is_loopback, names_of
from penlight.serve.limits import RequestLimits
from penlight.serve.registry import open_registry
from penlight.serve.token import VARIABLE, check_token

_GRACE, _AT_MOST = 5, 8.0
_LAST_PORT = 65535
_ROOT = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_OWN_PATHS = ("api", "compare", "groups", "healthz", "metrics", "readyz", "runs", "static")


def serve(
    paths: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    no_auth: bool = False,
    allowed_hosts: Sequence[str] = (),
    root_path: str = "",
    forwarded_allow_ips: Sequence[str] = (),
    threads: int | None = None,
    limits: RequestLimits | None = None,
    quiet: bool = False,
) -> None:
    """Serve the runs in folders until SIGTERM or SIGINT; requests that have begun are finished first.

    Behind a reverse proxy, `allowed_hosts` are the names under which it is asked, `root_path` the prefix
    ("/penlight") below which it serves the pages, and `forwarded_allow_ips` the addresses and networks of proxies
    whose forwarding headers are believed.

    ServeError for an address that others can reach without a token or the explicit wish for none, for one that cannot
    be listened at, and for options that are not what they should be.
    """
    if not is_loopback(host) and not token and not no_auth:
        raise ServeError(
            f"{host} can be reached by others, and no token was given.",
            f"Put one in a file for --token-file, or in {VARIABLE}; or give --no-auth if something else keeps others "
            "out.",
        )
    if token is not None:
        check_token(token)
    root, proxies = _root_of(root_path), proxies_of(forwarded_allow_ips)
    names = names_of(host, [_host_name(name) for name in allowed_hosts])
    limits = limits or RequestLimits()
    _log_to_stderr(quiet)
    with contextlib.ExitStack() as stack:
        # Before the runs are opened, which may take a while. Nobody is let in before uvicorn listens.
        sockets = [stack.enter_context(own) for own in _bound(host, port)]
        registry = open_registry(paths, root)
        workers = threads or min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
        app = make_app(registry, token=token, names=names, limits=limits, threads=workers)
        # uvicorn raises what ended it again, after all is finished; that is no error here.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        line = f"{counted(len(registry.runs), 'run')} at http://{_in_url(host)}:{port}{root}/"
        config = uvicorn.Config(app, timeout_graceful_shutdown=_GRACE, **settings(limits, proxies))
        Server(config, line).run(sockets)


def _bound(host: str, port: int) -> list[socket.socket]:
    """Bind a socket to each address of a host, not listening yet. ServeError for one that cannot be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ServeError(f"There is no host {host}.", "Give --host an address of this machine.") from error
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        own = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            own.bind(address)
            sockets.append(own)
        except OSError as error:
            own.close()
            if error.errno != errno.EADDRNOTAVAIL:
                for other in sockets:
                    other.close()
                raise _no_address(error, host, port) from error
            # "localhost" may be an IPv6 address too, on a machine that has none.
            absent = error
    if not sockets and absent is not None:
        raise _no_address(absent, host, port) from absent
    return sockets


def _no_address(error: OSError, host: str, port: int) -> ServeError:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < _LAST_PORT else 8000
        return ServeError(
            f"Port {port} of {host} is taken: another program listens there.",
            f"End that one, or give another port: --port {other}",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ServeError(f"This machine has no address {host}.", "Give --host one that it has, or leave it out.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return ServeError(
            f"Port {port} is not for this user to listen at.",
            "Give one from 1024 on; a proxy before it has ports 80 and 443 (docs/how-to/deploy.md).",
        )
    return ServeError(
        f"The server cannot listen at {host}, port {port}: {os.strerror(error.errno or 0).lower()}.",
        "Give another --host or --port.",
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _root_of(path: str) -> str:
    """Check a prefix of addresses, and give it without a slash at its end; "" for none."""
    root = path.rstrip("/")
    if root and not _ROOT.fullmatch(root):
        raise ServeError(f"--root-path takes a path as /penlight; '{path}' came.",
                         "Begin it with a slash, then letters, digits, '-', '_', '.' and '~'.")  # fmt: skip
    first = root[1:].partition("/")[0]
    if first in _OWN_PATHS:
        raise ServeError(f"--root-path may not begin with /{first}, which is an address of the server's own.",
                         "Give another prefix, as /penlight.")  # fmt: skip
    return root


def _host_name(name: str) -> str:
    """Check the name of a host, as a Host header has it without its port."""
    plain = name.removeprefix("[").removesuffix("]") if name.startswith("[") else name
    if not _HOST.fullmatch(plain):
        raise ServeError(f"--allowed-host takes the name of a host; '{name}' came.",
                         "Give it without scheme, port and path, as penlight.example.org.")  # fmt: skip
    return plain


class Server(uvicorn.Server):
    """A server that says when it listens, and ends in a bounded time, whatever a thread of it is at."""

    def __init__(self, config: uvicorn.Config, line: str) -> None:
        super().__init__(config)
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            logging.getLogger("penlight.serve").warning("%s", self._line)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish requests that have begun, but not for ever: workers end with this process."""
        last = threading.Timer(_AT_MOST, os._exit, (0,))
        last.daemon = True
        last.start()
        await super().shutdown(sockets)


def _log_to_stderr(quiet: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    # The parser of forms warns of bytes that it was sent, which are not for the log.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    # So does uvicorn of requests that are not HTTP.
    for name, level in (("penlight.serve", logging.WARNING if quiet else logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


class _Formatter(logging.Formatter):
    """One line for each message, whatever names are in it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Format a message, with what would begin another line or act on a terminal made visible."""
        return printable(super().formatMessage(record))
