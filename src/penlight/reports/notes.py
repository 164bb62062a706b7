"""What stands below the scores: how answers were decided, on what that was found, and who had read test before."""

from collections.abc import Sequence

from penlight.data.accesses import READ_BEFORE
from penlight.escaping import quoted
from penlight.evaluation.decision import WITH_TRAIN
from penlight.evaluation.rows import Score, find_row
from penlight.numbers import counted, decimal_text
from penlight.reports.content import RunContent
from penlight.reports.words import count, listed, with_interval


def decided_words(content: RunContent) -> list[str]:
    """Say what the answers are where they are not the most probable label, which scores are of them, and on how many
    images the decision was found; nothing where the run kept none."""
    return [*_answers(content), *_found_on(content)]


def finding_words(content: RunContent, rows: Sequence[Score] | None = None) -> list[str]:
    """Say, of two classes of which the official positive one is not the finding, how the finding itself is answered,
    by `rows` instead of the run's own; nothing elsewhere, or where the finding is not known."""
    task, known = content.task, content.dataset.task
    if known != task or known.negative_finding is None:
        return []
    finding, official = task.labels
    found = [find_row(content.rows if rows is None else rows, "recall", label) for label in task.labels]
    if None in found:
        return []
    sensitivity, specificity = (with_interval(row) for row in found if row is not None)
    return [
        f"The finding is {quoted(finding)}. The official positive class is the other one, {quoted(official)}, and "
        f"the official AUC is of that. For the finding, {quoted(finding)}, sensitivity is {sensitivity} and "
        f"specificity {specificity}, as decided."
    ]


def answers_words(content: RunContent) -> list[str]:
    """Say the first of `decided_words` of every run of a recipe: without what was found for one of them."""
    if not content.task.answers:
        return []
    return [
        f"Answers are {content.task.answers}. Weighted kappa, mean error and the other scores of answers are of "
        "these; the official accuracy is of the most probable grade all the same, as in the published tables."
    ]


def read_before_words(content: RunContent) -> list[str]:
    """Say how many other recipes had been read on the test images before; nothing where no test image was read, or
    where the run was made before that was kept."""
    if content.folds or READ_BEFORE not in content.provenance:
        return []
    before = content.provenance[READ_BEFORE]
    if before is None:
        return ["Whether the test images had been read before is not known: the record of it could not be written."]
    if before == 0:
        return ["No other recipe had been read on the test images on this machine before this run."]
    recipes = "1 other recipe" if before == 1 else f"{count(before)} other recipes"
    return [f"The test images had been read by {recipes} on this machine before this run."]


def _answers(content: RunContent) -> list[str]:
    said = answers_words(content)
    points = None if content.decision is None else content.decision.thresholds
    if not content.task.cut_points or points is None:
        return said
    if points == content.task.cut_points:
        return [
            *said,
            "The expected grade is cut halfway between the grades: other cut points were not clearly better.",
        ]
    cuts = listed([decimal_text(point, 2) for point in points], most=len(points))
    return [*said, f"The expected grade is cut at {cuts}."]


def _found_on(content: RunContent) -> list[str]:
    decision = content.decision
    if decision is None or decision.images is None:
        return []
    found = [] if decision.calibration.changes_nothing else ["calibration"]
    if content.task.cut_points:
        found += ["cut points"] if decision.thresholds not in (None, content.task.cut_points) else []
    elif content.task.uses_thresholds and content.recipe.get("decide", {}).get("thresholds", "fixed") != "fixed":
        left = {note.split(": ", 1)[0] for note in decision.notes}
        found += ["thresholds"] if {content.task.labels[c] for c in content.task.tuned_columns} - left else []
    if not found:
        return []
    which = (
        "all of val, and those of train by models that had not seen them"
        if decision.found_on == WITH_TRAIN
        else f"those of {decision.found_on}"
    )
    were = "was" if found == ["calibration"] else "were"
    return [f"{listed(found).capitalize()} {were} found on {counted(decision.images, 'image')}: {which}."]
