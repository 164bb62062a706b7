"""Runs as a service: HTTP and pages. Decodes a request, asks what the command asks, answers with the same JSON.

Loaded by `penlight serve` alone; it needs the extra `serve`.
"""

from penlight.serve.app import make_app
from penlight.serve.limits import Limits
from penlight.serve.running import serve
from penlight.serve.shelf import Shelf, open_shelf

__all__ = ["Limits", "Shelf", "make_app", "open_shelf", "serve"]
