"""The page of a tuning: what was found, how much to believe of it, and the space in pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from penlight.escaping import cell
from penlight.numbers import decimal_text
from penlight.recipes import Linear, Recipe
from penlight.recipes.space import Parameter, Range, Space, Trial, value_at
from penlight.reports.displays.tuning import KeyImportance, ParallelTrials, SpaceScatter, TuningHistory, trial_frame
from penlight.reports.page import drawn, render
from penlight.reports.verdict import tuning_verdict
from penlight.reports.words import duration, listed, metric_words, plain

_FEWEST_LINES = 2  # complete trials that a parallel plot needs to say something

_SAMPLERS = {"gp": "Gaussian process", "tpe": "tree-structured Parzen estimators"}


@dataclass(frozen=True)
class TuningContent:
    """What the page of a tuning is made from.

    `judged_on` says what images gave the values, "3 folds of train"; `importance` is empty where it could not be
    told; `start` is the trial with the recipe's own values, if there was one; `provenance` is lines of name and
    value; `command` trains the best recipe.
    """

    name: str
    title: str
    metric: str
    judged_on: str
    sampler: str
    space: Space
    trials: Sequence[Trial]
    best: Trial
    start: Trial | None
    importance: Mapping[str, float]
    recipe: Recipe
    best_recipe: Recipe
    command: str
    provenance: Sequence[tuple[str, str]]


def tuning_files(content: TuningContent) -> dict[str, bytes]:
    """Give trials.csv, best.toml and report.html of a tuning's folder."""
    return {
        "trials.csv": _csv(content).encode(),
        "best.toml": _best_toml(content).encode(),
        "report.html": tuning_report(content).encode(),
    }


def _csv(content: TuningContent) -> str:
    repeats = max(len(t.values) for t in content.trials)
    parts = [dict(zip((f"value_{i}" for i in range(1, repeats + 1)), t.values, strict=False)) for t in content.trials]
    frame = pd.concat([trial_frame(content.trials), pd.DataFrame(parts)], axis=1)
    texts = frame.select_dtypes(exclude="number").columns
    frame[texts] = frame[texts].map(lambda value: cell(value) if isinstance(value, str) else value)
    return str(frame.rename(columns=cell).to_csv(index=False, lineterminator="\n"))


def _best_toml(content: TuningContent) -> str:
    best = content.best
    return (
        f"# Found by penlight tune: trial {best.number} of {len(content.trials)}, "
        f"{metric_words(content.metric).short} {decimal_text(best.value)} on {content.judged_on}.\n#\n"
        f"# Command   {content.command}\n\n{content.best_recipe.to_toml()}"
    )


def tuning_report(content: TuningContent) -> str:
    """Write the page as HTML."""
    trials, parameters, metric = content.trials, content.space.parameters, content.metric
    start = float("nan") if content.start is None else content.start.value
    history = [drawn(TuningHistory(trials, metric, start), "history")]
    if content.importance:
        history.append(drawn(KeyImportance.from_shares(content.importance), "importance"))
    space = [drawn(SpaceScatter.from_trials(trials, content.space, metric), "scatter")]
    parallel = ParallelTrials.from_trials(trials, content.space, metric)
    if len(parallel.trials) >= _FEWEST_LINES and len(parameters) > 1:
        space.append(drawn(parallel, "parallel"))
    # Those without a value of their own come last.
    best_first = sorted(trials, key=lambda t: (t.state != "complete", -t.value if t.value == t.value else 1.0))
    return render(
        "tuning.html",
        (),
        setting=_setting,
        name=content.name,
        title=content.title,
        verdict=tuning_verdict(content.metric, content.judged_on, content.trials, content.best, content.start),
        cautions=cautions(content),
        facts=_facts(content),
        history=history,
        space=space,
        keys=[p.key for p in parameters],
        lines=[(trial, _state_words(content, trial)) for trial in best_first],
        metric=metric_words(content.metric).short,
        changed=[
            (p.key, _bounds(p), value_at(content.recipe, p.key), value_at(content.best_recipe, p.key))
            for p in parameters
        ],
        recipe_toml=content.best_recipe.to_toml(),
        command=content.command,
        provenance=content.provenance,
    )


def cautions(content: TuningContent) -> list[str]:
    """Say what flatters the values."""
    found = [
        "The best of many trials on the same images is partly luck: expect a lower score on test.",
        "Test was not read. Train the best recipe to see its scores there.",
    ]
    if not isinstance(content.recipe.model, Linear):
        found.append(
            "Each training's epoch was chosen on the images that judge it, which raises the score of every trial."
        )
    if "fold" in content.judged_on:
        found.append(
            "Val is small, so trials were judged on parts of train left out in turn; val took no part. Each training "
            "had fewer images than the recipe will have."
        )
    return found


def _facts(content: TuningContent) -> list[tuple[str, str]]:
    states = [t.state for t in content.trials]
    return [
        ("trials", f"{len(states)} ({states.count('pruned')} stopped early, {states.count('diverged')} diverged)"),
        ("judged on", content.judged_on),
        ("sampler", _SAMPLERS.get(content.sampler, content.sampler)),
        ("time in trials", duration(sum(t.seconds for t in content.trials))),
    ]


def _state_words(content: TuningContent, trial: Trial) -> str:
    words = {"pruned": "stopped early", "diverged": "diverged"}
    if trial.number == content.best.number:
        return "the best"
    if content.start is not None and trial.number == content.start.number:
        return "as it was"
    return words.get(trial.state, "")


def _bounds(parameter: Parameter) -> str:
    if isinstance(parameter, Range):
        return f"{parameter.low:g} to {parameter.high:g}{', by ratio' if parameter.log else ''}"
    return listed([plain(c) for c in parameter.choices], most=8)


def _setting(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else plain(value)
