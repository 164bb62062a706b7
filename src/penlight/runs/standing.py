"""What was measured of a run on test, for whoever reads its answers: how good it is, and what its checks say."""

import math
from collections.abc import Sequence
from dataclasses import field
from typing import Annotated, Any

from pydantic import Field

from penlight.answers import MeasuredCoverage, OnTest, SeriousCheck
from penlight.evaluation.checks.check import Checks
from penlight.evaluation.rows import Rows, RowsByModel, Score, find_row
from penlight.evaluation.standing import AheadOf, Measured, final_words, model_words
from penlight.records import Name, Record
from penlight.runs.folder import RunFolder
from penlight.tasks import Task

_MOST_CHECKS = 10
_LONGEST = 500


class _KeptModel(Record):
    """What of provenance.json is said beside each answer: the model that was kept, and whether it is of several."""

    model: Name
    final: Name | None = None
    members: Annotated[Sequence[Any], Field(max_length=10_000)] = ()


class _KeptScores(Record):
    """What of metrics.json is said beside each answer: it must not wait for the schemas of all that scores hold."""

    metrics: Rows
    baselines: RowsByModel
    checks: Checks
    ahead: AheadOf = field(default_factory=dict)


def standing_of(run: RunFolder, task: Task) -> OnTest:
    """Say what a run is worth on test: `verdict` in a sentence, `stands` in a few words, the serious
    `checks` by code with what was seen, and the measured `coverage` of its prediction sets, None without sets.

    Coverage is a share of test images, or of their findings, with its 95 % interval, and for each label the share of
    the images that have it whose set has it too, NaN where no test image does.
    """
    kept, made = run.record(_KeptScores, "metrics.json"), run.record(_KeptModel, "provenance.json")
    words = run.made_elsewhere or model_words(made.model) + final_words(made.final, len(made.members))
    measured = Measured(task, made.model, kept.metrics, kept.baselines, kept.ahead, words)
    serious = [check for check in kept.checks if check.serious]
    return OnTest(
        made.model,
        measured.verdict,
        measured.stands,
        [SeriousCheck(own.code, own.seen[:_LONGEST]) for own in serious[:_MOST_CHECKS]],
        _coverage(task, kept.metrics),
    )


def _coverage(task: Task, rows: Sequence[Score]) -> MeasuredCoverage | None:
    found = find_row(rows, "coverage")
    if found is None or found.value != found.value:
        return None
    of_labels = {label: find_row(rows, "coverage", label) for label in task.labels}
    return MeasuredCoverage(
        found.value,
        found.low,
        found.high,
        "images" if task.exclusive else f"pairs of image and {task.nouns[0]}",
        found.n,
        {label: math.nan if row is None else row.value for label, row in of_labels.items()},
    )
