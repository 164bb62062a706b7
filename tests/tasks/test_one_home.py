"""What is known of a task stands in `tasks/`, and its layers in `models/heads.py`; no other room asks which it is."""

import re
from pathlib import Path

import penlight
from penlight.tasks import TASKS

SOURCE = Path(penlight.__file__).parent
CLASSES = "|".join(task.__name__ for task in TASKS.values())
ASKS = re.compile(
    rf"isinstance\([^\n]*\b(?:{CLASSES})\b"
    rf"|\b(?:{CLASSES})\.kind\b"
    r"|\btask\.(?:kind|head)\s*(?:==|!=|in\b|not in\b)"
    rf"|(?:==|!=|\[)\s*[\"'](?:{'|'.join(TASKS)})[\"']"
)


def test_no_room_asks_which_task_it_is():
    homes = ("tasks/", "models/heads.py")
    texts = {str(path.relative_to(SOURCE)): path.read_text() for path in SOURCE.rglob("*.py")}
    asked = {
        f"{name}: {found[0]}"
        for name, text in texts.items()
        if not name.startswith(homes)
        for found in ASKS.finditer(text)
    }
    assert not asked
    assert ASKS.search("if isinstance(task, Binary):")
    assert ASKS.search('if task.kind == "binary":')
