"""Displays: compute, then draw. Each is made from predictions, rows or a history, and holds numbers.

Add one by writing its dataclass after `Display`. Those that a task names in `figures` stand in `DISPLAYS` of
`reports.run`; they are made by `from_predictions(predictions, decided)`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
