"""Runs as a service: HTTP and pages. Decodes a request, asks what the command asks, answers with the same JSON.

Loaded by `penlight serve` alone; it needs the extra `serve`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
