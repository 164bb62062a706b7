"""How much the long attacks try; the environment asks for other numbers."""

import os


def _number(name: str, usual: int) -> int:
    return int(os.environ.get(f"PENLIGHT_ATTACK_{name}", usual))


PICTURES = _number("PICTURES", 30_000)
REQUESTS = _number("REQUESTS", 20_000)
KILLS = _number("KILLS", 200)
SEED = _number("SEED", 0)
"""Of all that is drawn: the same number gives the same attacks."""

FEW = 60
"""Pictures, and requests, of the short forms in `make test`."""
