"""Checks: what would make a run's scores less than they seem, each with its number.

Add a check by writing a function of the evidence under its `rule`, and listing it in `CHECKS`; docs/checks.md is made
from there.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
