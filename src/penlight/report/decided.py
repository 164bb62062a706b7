"""How a run's answers were decided, and on what that was found, in sentences."""

from penlight.evaluation.decision import WITH_TRAIN
from penlight.report.content import RunContent
from penlight.report.words import count, listed


def decided_words(content: RunContent) -> list[str]:
    """Say what the answers are where they are not the most probable label, which scores are of them, and on how many
    images the decision was found; nothing where the run kept none."""
    return [*_answers(content), *_found_on(content)]


def answers_words(content: RunContent) -> list[str]:
    """Say the first of `decided_words` of every run of a recipe: without what was found for one of them."""
    if not content.task.answers:
        return []
    return [
        f"Answers are {content.task.answers}. Weighted kappa, mean error and the other scores of answers are of "
        "these; the official accuracy is of the most probable grade all the same, as in the published tables."
    ]


def _answers(content: RunContent) -> list[str]:
    said = answers_words(content)
    points = None if content.decision is None else content.decision.thresholds
    if not content.task.cut_points or points is None:
        return said
    cuts = listed([f"{point:.2f}" for point in points], most=len(points))
    return [*said, f"The expected grade is cut at {cuts}, found for the best weighted kappa."]


def _found_on(content: RunContent) -> list[str]:
    decision = content.decision
    if decision is None or decision.images is None:
        return []
    found = ["calibration"] if decision.calibration.kind != "none" else []
    found += ["thresholds"] if content.recipe.get("decide", {}).get("thresholds", "fixed") != "fixed" else []
    found += ["cut points"] if content.task.cut_points else []
    if not found:
        return []
    which = (
        "all of val, and those of train by models that had not seen them"
        if decision.found_on == WITH_TRAIN
        else f"those of {decision.found_on}"
    )
    were = "was" if found == ["calibration"] else "were"
    return [f"{listed(found).capitalize()} {were} found on {count(decision.images)} images: {which}."]
