"""Reports: displays that compute and then draw, the HTML report of a run or of several seeds, and the model card.

`run_report` and `run_card` take a `RunContent` and give text; writing it to a file is the caller's.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penlight.report.card import run_card
    from penlight.report.content import Rival, RunContent
    from penlight.report.displays import DISPLAYS, Display
    from penlight.report.run import run_report
    from penlight.report.seeds import seeds_report

# Which file has which names.
_PLACES = {
    "card": "run_card",
    "content": "Rival RunContent",
    "displays": "DISPLAYS Display",
    "run": "run_report",
    "seeds": "seeds_report",
}

__all__ = [
    "DISPLAYS",
    "Display",
    "Rival",
    "RunContent",
    "run_card",
    "run_report",
    "seeds_report",
]


def __getattr__(name: str) -> Any:
    """Import a part when it is asked for: pages use the words of reports, and must not wait for what draws."""
    for module, names in _PLACES.items():
        if name in names.split():
            return getattr(importlib.import_module(f"penlight.report.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
