"""Reports: displays that compute and then draw, the HTML report of a run or of several seeds, and the model card.

`run_report` and `run_card` take a `RunContent` and give text; writing it to a file is the caller's.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
