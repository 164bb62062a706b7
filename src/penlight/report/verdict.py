"""The one sentence that a report begins with, made from the numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from penlight.evaluation import standing
from penlight.evaluation.rows import MetricRow, SeedsRow, find_row
from penlight.report.content import Rival, RunContent
from penlight.report.displays.score_bars import as_metric_row
from penlight.report.words import (
    count,
    image_words,
    interval,
    metric_words,
    model_words,
    number,
    with_interval,
)
from penlight.tasks import Task

_NOT_KNOWN: Mapping[str, standing.Ahead] = MappingProxyType({})


def compare(row: MetricRow, rival: MetricRow) -> str:
    """Say how a score stands against a rival's: `standing.compare`, by the metric's own direction."""
    return standing.compare(row, rival, higher_is_better=metric_words(row.name).higher_is_better)


def run_verdict(content: RunContent) -> str:
    """Say what was tested, how good it is, how sure, and whether it beats the baselines."""
    model = model_of(content)
    row = find_row(content.rows, content.task.headline)
    images = f"{count(len(content.test))} {content.tested} {image_words(content.dataset.modality)}"
    images += f" of {len(content.folds)} folds" if content.folds else ""
    if row is None or not math.isfinite(row.value):
        return undefined(images, model, content.task, row)
    score = f"{metric_words(row.name).short} {with_interval(row)}"
    others = against(row, rivals_of(content), ahead=content.ahead)
    return f"On {images} {model_words(model)} {standing.does(row.name, content.task)} {score}{others}."


def seeds_verdict(content: RunContent, row: SeedsRow | None, rivals: Sequence[Rival], n_seeds: int) -> str:
    """Say the same of the mean over seeds; `content` is any one of the runs."""
    model = model_of(content)
    images = f"{count(len(content.test))} test {image_words(content.dataset.modality)}"
    if row is None or not math.isfinite(row.mean):
        return undefined(images, model, content.task, None if row is None else as_metric_row(row))
    bounds = interval(row.low, row.high, 3)
    score = f"{metric_words(row.name).short} {number(row.mean, 3)} ± {number(row.sd, 3)} over {n_seeds} seeds"
    sure = f" (95 % interval {bounds})" if bounds else ""
    others = against(as_metric_row(row), others_than(model, rivals, row.name), 3)
    return f"On {images} {model_words(model)} {standing.does(row.name, content.task)} {score}{sure}{others}."


def undefined(images: str, model: str, task: Task, row: MetricRow | None) -> str:
    """Say that there is no headline score, and why."""
    reason = "was not scored" if row is None else f"is undefined: {row.note or 'no reason was kept'}"
    return f"On {images} the {metric_words(task.headline).short} of {model_words(model)} {reason}."


def against(
    row: MetricRow, rivals: Iterable[Rival], decimals: int = 2, ahead: Mapping[str, standing.Ahead] = _NOT_KNOWN
) -> str:
    """Say how a row stands against each rival, in their order: ", better than the linear baseline at 0.74"."""
    found = [(rival.name, find_row(rival.rows, row.name)) for rival in rivals]
    known = [(name, other) for name, other in found if other is not None and math.isfinite(other.value)]
    better = metric_words(row.name).higher_is_better
    return standing.against(row, known, decimals, higher_is_better=better, ahead=ahead)


def kept_words(content: RunContent) -> str:
    """Say what a choice between the recipe's model and the linear baseline on val ended with; empty where there was
    none."""
    ahead = content.provenance.get("ahead_of_linear_on_val")
    if ahead is None:
        return ""
    network = model_words(str(content.recipe["model"]["backbone"]))
    kept = "so it was kept" if model_of(content) != "linear" else "so the linear baseline was kept"
    by, error = ahead["value"], ahead["error"]
    if by is None or error is None:
        return f"On val {network} could not be compared with the linear baseline, {kept}."
    of = "" if ahead.get("epoch") is None else f", judged by its last epoch ({ahead['epoch']}) whichever val chose,"
    return (
        f"On val {network}{of} was {number(abs(by))} {'ahead of' if by >= 0 else 'behind'} the linear baseline in "
        f"{metric_words(content.task.headline).short}, with a standard error of {number(error)}, {kept}."
    )


def cut_words(content: RunContent) -> str:
    """Say what was cut for time, and that a fallback followed; empty where nothing was cut."""
    cut = content.provenance.get("cut_for_time")
    if not cut:
        return ""
    fell = content.provenance.get("ahead_of_linear_on_val") is not None and model_of(content) == "linear"
    then = " The linear baseline was kept in place of that network; a longer budget may change it."
    return f"The plan was cut for time. {cut}{then if fell else ''}"


def model_of(content: RunContent) -> str:
    """Name the model that was kept: the backbone of the recipe, or what it falls back on."""
    return str(content.provenance.get("model") or content.recipe.get("model", {}).get("backbone", "model"))


def rivals_of(content: RunContent) -> list[Rival]:
    """Give the rivals that are not the run's own model, the strongest first."""
    return others_than(model_of(content), content.rivals, content.task.headline)


def others_than(model: str, rivals: Iterable[Rival], headline: str) -> list[Rival]:
    """Give the rivals that are not this model, the strongest by the headline metric first."""
    sign = 1 if metric_words(headline).higher_is_better else -1

    def worth(rival: Rival) -> float:
        row = find_row(rival.rows, headline)
        return sign * row.value if row is not None and math.isfinite(row.value) else -math.inf

    return sorted((rival for rival in rivals if rival.name != model), key=worth, reverse=True)
