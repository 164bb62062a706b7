"""What labels mean. A task turns labels into indicators, logits into probabilities, and those into decisions.

Every task speaks (N, C), binary included, so that one metric serves all. Add a task by writing its dataclass and
putting it into `TASKS`; the contract test then covers it.
"""

from penlight.tasks.base import OF_PROBABILITIES, OF_SETS, Question, Task, label_of
from penlight.tasks.binary import Binary
from penlight.tasks.multi_class import MultiClass
from penlight.tasks.multi_label import MultiLabel
from penlight.tasks.ordinal import Ordinal
from penlight.tasks.table import TASKS, task_from_dict, task_of, task_to_dict

__all__ = [
    "OF_PROBABILITIES",
    "OF_SETS",
    "TASKS",
    "Binary",
    "MultiClass",
    "MultiLabel",
    "Ordinal",
    "Question",
    "Task",
    "label_of",
    "task_from_dict",
    "task_of",
    "task_to_dict",
]
