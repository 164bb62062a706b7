"""How good, and how sure: metrics, intervals, calibration, decisions. NumPy alone; whoever made the predictions.

Add a metric by writing its function and its `Metric` in `metrics.py`; a task then lists its key.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
