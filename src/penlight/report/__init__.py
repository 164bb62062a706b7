"""Reports: displays that compute and then draw, the HTML report of a run or of several seeds, and the model card.

`run_report` and `run_card` take a `RunContent` and give text; writing it to a file is the caller's.
"""

from typing import TYPE_CHECKING

from penlight.lazy import names_on_request

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

# Pages use the words of reports, and must not wait for what draws.
__getattr__ = names_on_request(__name__, _PLACES)
