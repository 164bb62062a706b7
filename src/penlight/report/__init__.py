"""Reports: displays that compute and then draw, the HTML report of a run or of several seeds, and the model card.

`run_report` and `run_card` take a `RunContent` and give text; writing it to a file is the caller's.
"""

from penlight.report.card import run_card
from penlight.report.content import Rival, RunContent
from penlight.report.displays import DISPLAYS, Display
from penlight.report.run import run_report
from penlight.report.seeds import seeds_report

__all__ = [
    "DISPLAYS",
    "Display",
    "Rival",
    "RunContent",
    "run_card",
    "run_report",
    "seeds_report",
]
