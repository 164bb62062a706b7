"""The one sentence that a report begins with, made from the numbers."""

import math
from collections.abc import Iterable, Sequence

from penlight.evaluation.rows import MetricRow, SeedsRow, find_row
from penlight.report.content import Rival, RunContent
from penlight.report.displays.score_bars import as_metric_row
from penlight.report.words import (
    count,
    image_words,
    interval,
    label_words,
    metric_words,
    model_words,
    number,
    with_interval,
)
from penlight.tasks import Task

BETTER, UNCLEAR, NO_BETTER, WORSE = "better than", "not clearly better than", "no better than", "worse than"


def compare(row: MetricRow, rival: MetricRow) -> str:
    """Say how a score stands against a rival's, cautiously.

    "better than" only if the two 95 % intervals do not touch; with the better value but intervals that overlap,
    "not clearly better than"; with the worse value "worse than" if they do not touch, else "no better than".
    Intervals that overlap can still hide a difference that a paired test would find: the rule errs towards modesty.
    A rival without an interval counts as exactly its value.
    """
    sign = 1 if metric_words(row.name).higher_is_better else -1
    own_worst = _or_value(row, row.low if sign > 0 else row.high)
    rival_best = _or_value(rival, rival.high if sign > 0 else rival.low)
    if sign * (own_worst - rival_best) > 0:
        return BETTER
    own_best = _or_value(row, row.high if sign > 0 else row.low)
    rival_worst = _or_value(rival, rival.low if sign > 0 else rival.high)
    if sign * (rival_worst - own_best) > 0:
        return WORSE
    return UNCLEAR if sign * (row.value - rival.value) > 0 else NO_BETTER


def run_verdict(content: RunContent) -> str:
    """Say what was tested, how good it is, how sure, and whether it beats the baselines."""
    model = model_of(content)
    row = find_row(content.rows, content.task.headline)
    images = f"{count(len(content.test))} {content.tested} {image_words(content.dataset.modality)}"
    images += f" of {len(content.folds)} folds" if content.folds else ""
    if row is None or not math.isfinite(row.value):
        return undefined(images, model, content.task, row)
    score = f"{metric_words(row.name).short} {with_interval(row)}"
    others = against(row, rivals_of(content))
    return f"On {images} {model_words(model)} {_does(row.name, content.task)} {score}{others}."


def seeds_verdict(content: RunContent, row: SeedsRow | None, rivals: Sequence[Rival], n_seeds: int) -> str:
    """Say the same of the mean over seeds; `content` is any one of the runs."""
    model = model_of(content)
    images = f"{count(len(content.test))} test {image_words(content.dataset.modality)}"
    if row is None or not math.isfinite(row.mean):
        return undefined(images, model, content.task, None if row is None else as_metric_row(row))
    bounds = interval(row.low, row.high, 3)
    score = f"{metric_words(row.name).short} {number(row.mean, 3)} ± {number(row.sd, 3)} over {n_seeds} seeds"
    sure = f" (95 % interval over images {bounds})" if bounds else ""
    others = against(as_metric_row(row), others_than(model, rivals, row.name), 3)
    return f"On {images} {model_words(model)} {_does(row.name, content.task)} {score}{sure}{others}."


def undefined(images: str, model: str, task: Task, row: MetricRow | None) -> str:
    """Say that there is no headline score, and why."""
    reason = "was not scored" if row is None else f"is undefined: {row.note or 'no reason was kept'}"
    return f"On {images} the {metric_words(task.headline).short} of {model_words(model)} {reason}."


def against(row: MetricRow, rivals: Iterable[Rival], decimals: int = 2) -> str:
    """Say how a row stands against each rival, in their order: ", better than the linear baseline at 0.74"."""
    found = [(rival.name, find_row(rival.rows, row.name)) for rival in rivals]
    known = [(name, other) for name, other in found if other is not None and math.isfinite(other.value)]
    parts = [f"{compare(row, other)} {model_words(name)} at {number(other.value, decimals)}" for name, other in known]
    return "".join(f", {part}" if i == 0 else f" and {part}" for i, part in enumerate(parts))


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


def _does(metric: str, task: Task) -> str:
    """Say what a score is of."""
    return f"ranks {label_words(task)} with" if metric.startswith("auc") else "reaches"


def _or_value(row: MetricRow, bound: float) -> float:
    return bound if math.isfinite(bound) else row.value
