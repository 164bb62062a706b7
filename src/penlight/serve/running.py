"""The server process: bound where it is safe, logging what it may, ending what it has begun."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from penlight.errors import ServeError
from penlight.escaping import printable
from penlight.serve.app import make_app
from penlight.serve.connections import settings
from penlight.serve.guard import is_loopback, names_of
from penlight.serve.limits import Limits
from penlight.serve.shelf import open_shelf
from penlight.serve.token import VARIABLE, check_token

_GRACE, _AT_MOST = 5, 8.0


def serve(
    paths: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    no_auth: bool = False,
    threads: int | None = None,
    limits: Limits | None = None,
    quiet: bool = False,
) -> None:
    """Serve the runs in folders until SIGTERM or SIGINT; requests that have begun are finished first.

    ServeError for an address that others can reach without a token, or the explicit wish for none.
    """
    if not is_loopback(host) and not token and not no_auth:
        raise ServeError(
            f"{host} can be reached by others, and no token was given.",
            f"Put one in a file for --token-file, or in {VARIABLE}; or give --no-auth if something else keeps others "
            "out.",
        )
    if token is not None:
        check_token(token)
    limits = limits or Limits()
    _log_to_stderr(quiet)
    shelf = open_shelf(paths)
    names = names_of(host)
    workers = threads or min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    app = make_app(shelf, token=token, names=names, limits=limits, threads=workers)
    logging.getLogger("penlight.serve").warning("%d runs at http://%s:%d", len(shelf.runs), host, port)
    # uvicorn raises what ended it again, after all is finished; that is no error here.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    Server(uvicorn.Config(app, host=host, port=port, timeout_graceful_shutdown=_GRACE, **settings(limits))).run()


class Server(uvicorn.Server):
    """A server that ends in a bounded time, whatever a thread of it is at."""

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
