from .card import run_card as run_card
from .content import ComparedBaseline as ComparedBaseline
from .content import RunContent as RunContent
from .displays import Display as Display
from .run import DISPLAYS as DISPLAYS
from .run import run_report as run_report
from .run import seeds_report as seeds_report
