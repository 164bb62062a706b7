"""The one sentence that a report begins with, made from the numbers."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from penlight.evaluation import standing
from penlight.evaluation.rows import Score, find_row
from penlight.numbers import counted
from penlight.reports.content import ComparedBaseline, RunContent
from penlight.reports.words import (
    counted_images,
    interval,
    metric_words,
    model_words,
    number,
    with_interval,
)
from penlight.tasks import Task

KEPT_IN = "kept_in"
"""Of several seeds or folds together: which these are, and in how many of them each model was kept."""

_NOT_KNOWN: Mapping[str, standing.Ahead] = MappingProxyType({})


def compare(row: Score, rival: Score) -> str:
    """Say how a score stands against a rival's: `standing.compare`, by the metric's own direction."""
    return standing.compare(row, rival, higher_is_better=metric_words(row.name).higher_is_better)


def run_verdict(content: RunContent) -> str:
    """Say what was tested, how good it is, how sure, and whether it beats the baselines."""
    model = models_words(content)
    row = find_row(content.rows, content.task.headline)
    images = counted_images(len(content.test), content.tested, content.dataset.modality)
    images += f" of {len(content.folds)} folds" if content.folds else ""
    if row is None or not math.isfinite(row.value):
        return undefined(images, model, content.task, row)
    score = f"{metric_words(row.name).short} {with_interval(row)}"
    others = against(row, rivals_of(content), ahead=content.ahead)
    return f"On {images} {model} {standing.does(row.name, content.task)} {score}{others}."


def seeds_verdict(content: RunContent, row: Score | None, rivals: Sequence[ComparedBaseline], n_seeds: int) -> str:
    """Say the same of the mean over seeds; `content` is any one of the runs."""
    model = models_words(content)
    images = counted_images(len(content.test), "test", content.dataset.modality)
    if row is None or not math.isfinite(row.value):
        return undefined(images, model, content.task, row)
    bounds = interval(row.low, row.high, 3)
    score = (
        f"{metric_words(row.name).short} {number(row.value, 3)} ± {number(row.sd, 3)} over {counted(n_seeds, 'seed')}"
    )
    sure = f" (95 % interval {bounds})" if bounds else ""
    others = against(row, others_than(model_of(content), rivals, row.name), 3)
    return f"On {images} {model} {standing.does(row.name, content.task)} {score}{sure}{others}."


def undefined(images: str, model: str, task: Task, row: Score | None) -> str:
    """Say that there is no headline score of a model, which is in words, and why."""
    reason = "was not scored" if row is None else f"is undefined: {row.note or 'no reason was kept'}"
    return f"On {images} the {metric_words(task.headline).short} of {model} {reason}."


def against(
    row: Score,
    rivals: Iterable[ComparedBaseline],
    decimals: int = 2,
    ahead: Mapping[str, standing.Ahead] = _NOT_KNOWN,
) -> str:
    """Say how a row stands against each rival, in their order: ", better than the linear baseline at 0.74"."""
    found = [(rival.name, find_row(rival.rows, row.name)) for rival in rivals]
    known = [(name, other) for name, other in found if other is not None and math.isfinite(other.value)]
    better = metric_words(row.name).higher_is_better
    return standing.against(row, known, decimals, higher_is_better=better, ahead=ahead)


def kept_words(content: RunContent) -> str:
    """Say what a choice between the recipe's model and the linear baseline on val ended with; empty where there was
    none."""
    if KEPT_IN in content.provenance:
        return _kept_in_each(content)
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
    fell = model_of(content) == "linear" != _of_recipe(content)
    then = " The linear baseline was kept in place of that network; a longer budget may change it."
    return f"The plan was cut for time. {cut}{then if fell else ''}"


def model_of(content: RunContent) -> str:
    """Name the model that was kept: the backbone of the recipe, or what it falls back on. Of several seeds or folds
    it is the recipe's, unless all fell back."""
    return str(content.provenance.get("model") or _of_recipe(content))


def model_cell(content: RunContent) -> str:
    """Name the model that was kept, and in how many seeds or folds another was: "cnn, linear in 1 of 3 seeds"."""
    instead = _kept_instead(content)
    return model_of(content) + "".join(f", {model} in {often}" for model, often in instead)


def models_words(content: RunContent) -> str:
    """Say the same in a sentence."""
    instead = "".join(f" (in {often} {model_words(model)})" for model, often in _kept_instead(content))
    return model_words(model_of(content)) + instead


def kept_together(provenances: Sequence[Mapping[str, Any]], backbone: str, noun: str) -> dict[str, Any]:
    """Give the provenance of the runs of a recipe together, from that of each: the first, with the models that were
    kept in all "seeds" or "folds". What is of one run alone is left out where the runs differ in it."""
    kept = Counter(str(own.get("model") or backbone) for own in provenances)
    model = next(iter(kept)) if len(kept) == 1 else backbone
    cuts = dict.fromkeys(said for own in provenances if (said := own.get("cut_for_time")))
    alone: dict[str, Any] = {"ahead_of_linear_on_val": None, "cut_for_time": " ".join(cuts)}
    if len(kept) > 1:
        alone |= {"parameters": None, "members": []}
    return {**provenances[0], **alone, "model": model, KEPT_IN: (noun, dict(kept))}


def _kept_instead(content: RunContent) -> list[tuple[str, str]]:
    """Give each model that was kept in some seeds or folds in the place of `model_of`, and in how many."""
    noun, kept = content.provenance.get(KEPT_IN, ("", {}))
    n = sum(kept.values())
    return [(model, f"{own} of {n} {noun}") for model, own in kept.items() if model != model_of(content)]


def _kept_in_each(content: RunContent) -> str:
    """Say in how many seeds or folds a baseline was kept in place of the recipe's model; empty where in none."""
    (noun, kept), own = content.provenance[KEPT_IN], _of_recipe(content)
    n, fell = sum(kept.values()), [(model, often) for model, often in kept.items() if model != own]
    return " ".join(
        f"In {f'all {n}' if often == n else f'{often} of {n}'} {noun} {model_words(model)} was kept: on val "
        f"{model_words(own)} was not better by more than two standard errors."
        for model, often in fell
    )


def _of_recipe(content: RunContent) -> str:
    return str(content.recipe.get("model", {}).get("backbone", "model"))


def rivals_of(content: RunContent) -> list[ComparedBaseline]:
    """Give the rivals that are not the run's own model, the strongest first."""
    return others_than(model_of(content), content.rivals, content.task.headline)


def others_than(model: str, rivals: Iterable[ComparedBaseline], headline: str) -> list[ComparedBaseline]:
    """Give the rivals that are not this model, the strongest by the headline metric first."""
    sign = 1 if metric_words(headline).higher_is_better else -1

    def worth(rival: ComparedBaseline) -> float:
        row = find_row(rival.rows, headline)
        return sign * row.value if row is not None and math.isfinite(row.value) else -math.inf

    return sorted((rival for rival in rivals if rival.name != model), key=worth, reverse=True)
