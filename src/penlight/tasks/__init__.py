"""What labels mean. A task turns labels into indicators, logits into probabilities, and those into decisions.

Every task speaks (N, C), binary included, so that one metric serves all. Add a task by writing its dataclass and
putting it into `TASKS`, or by `register_task` from another package; the contract test covers those in `TASKS`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
