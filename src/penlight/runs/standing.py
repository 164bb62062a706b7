"""What was measured of a run on test, for whoever reads its answers: how good it is, and what its checks say."""

from collections.abc import Sequence
from typing import Any

from penlight.evaluation.rows import Score, find_row, row_from_dict, to_json
from penlight.evaluation.standing import Measured, ahead_from_dict
from penlight.runs.folder import Run
from penlight.tasks import Task

_MOST_CHECKS = 10
_LONGEST = 500


def standing_of(run: Run, task: Task) -> dict[str, Any]:
    """Say for JSON what a run is worth on test: `verdict` in a sentence, `stands` in a few words, the serious
    `checks` by code with what was seen, and the measured `coverage` of its prediction sets, None without sets.

    Coverage is a share of test images, or of their findings, with its 95 % interval, and for each label the share of
    the images that have it whose set has it too, None where no test image does.
    """
    kept, model = run.standing
    rows = [row_from_dict(row) for row in kept["metrics"]]
    baselines = {name: [row_from_dict(row) for row in own] for name, own in kept["baselines"].items()}
    ahead = {name: ahead_from_dict(own) for name, own in kept.get("ahead", {}).items()}
    measured = Measured(task, model, rows, baselines, ahead)
    serious = [check for check in kept["checks"] if check["serious"]]
    return {
        "model": model,
        "verdict": measured.verdict,
        "stands": measured.stands,
        "checks": [{"code": own["code"], "seen": own["seen"][:_LONGEST]} for own in serious[:_MOST_CHECKS]],
        "coverage": _coverage(task, rows),
    }


def _coverage(task: Task, rows: Sequence[Score]) -> dict[str, Any] | None:
    found = find_row(rows, "coverage")
    if found is None or found.value != found.value:
        return None
    of_labels = {label: find_row(rows, "coverage", label) for label in task.labels}
    measured: dict[str, Any] = to_json(
        {
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "of": "images" if task.exclusive else f"pairs of image and {task.nouns[0]}",
            "images": found.n,
            "labels": {label: None if row is None else row.value for label, row in of_labels.items()},
        }
    )
    return measured
