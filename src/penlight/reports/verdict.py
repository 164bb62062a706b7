"""What reports say in sentences made from the numbers: their verdict, and the notes below the scores."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penlight.data.accesses import READ_BEFORE
from penlight.escaping import quoted
from penlight.evaluation import standing
from penlight.evaluation.comparison import Comparison, Difference
from penlight.evaluation.decision import WITH_TRAIN
from penlight.evaluation.rows import Score, find_row
from penlight.numbers import counted, decimal_text
from penlight.reports.words import (
    count,
    counted_images,
    interval,
    listed,
    metric_words,
    model_words,
    number,
    p_words,
    signed,
    with_interval,
)

if TYPE_CHECKING:
    from penlight.recipes.space import Trial

    # What it shows reaches pandas, and `penlight compare` needs a sentence alone.
    from penlight.reports.content import ComparedBaseline, RunContent
    from penlight.runs.scores import FoldsScores, Scores, SeedsScores

KEPT_IN = "kept_in"
"""Of several seeds or folds together: which these are, and in how many of them each model was kept."""


def compare(row: Score, baseline: Score) -> str:
    """Say how a score stands against a baseline's: `standing.compare`, by the metric's own direction."""
    return standing.compare(row, baseline, higher_is_better=metric_words(row.name).higher_is_better)


def run_verdict(content: "RunContent") -> str:
    """Say what was tested, how good it is, how sure, and whether it beats the baselines."""
    of = f" of {content.divided}" if content.folds else ""
    return _verdict(content, of, with_interval, 2, content.ahead)


def seeds_verdict(content: "RunContent", n_seeds: int) -> str:
    """Say the same of the mean over seeds, from any one of the runs with the scores of all."""
    return _verdict(content, "", _over_seeds(n_seeds), 3, {})


def scores_verdict(
    scores: "Scores | SeedsScores | FoldsScores",
    model: str = "",
    *,
    words: str = "",
    modality: str = "",
    noun: str = "",
) -> str:
    """Say the same of scores alone. `model` is the name of what was kept and `words` what it is called in a sentence,
    `modality` is that of the images, and `noun` what is ranked: "grades"; all of them may be unknown."""
    row = next(row for row in scores.metrics if row.label is None)
    seeds, folds = len(getattr(scores, "seeds", ())), getattr(scores, "divided", "")
    images = counted_images(row.n, "out-of-fold" if folds else scores.split, modality)
    return _sentence(
        row,
        row.name,
        words or (model_words(model) if model else "the model"),
        images=f"{images} of {folds}" if folds else images,
        noun=noun,
        score=_over_seeds(seeds) if seeds else with_interval,
        baselines=[(name, rows) for name, rows in scores.baselines.items() if name != model],
        decimals=3 if seeds else 2,
        ahead=getattr(scores, "ahead", {}),
    )


def _over_seeds(n_seeds: int) -> Callable[[Score], str]:
    """Write a score as its mean and deviation over seeds."""

    def score(row: Score) -> str:
        bounds = interval(row.low, row.high, 3)
        sure = f" (95 % interval {bounds})" if bounds else ""
        return f"{number(row.value, 3)} ± {number(row.sd, 3)} over {counted(n_seeds, 'seed')}{sure}"

    return score


def _verdict(
    content: "RunContent", of: str, score: Callable[[Score], str], decimals: int, ahead: Mapping[str, standing.Ahead]
) -> str:
    """Say how the headline score, written by `score`, stands against each baseline; and why, where there is none."""
    return _sentence(
        find_row(content.rows, content.task.headline),
        content.task.headline,
        _words_of(content, model_of(content))
        + instead_words(content.provenance, model_of(content))
        + final_words(content.provenance),
        images=counted_images(len(content.test), content.tested, content.dataset.modality) + of,
        noun=content.task.nouns[1],
        score=score,
        baselines=[(own.name, own.rows) for own in content.baselines if own.name != model_of(content)],
        decimals=decimals,
        ahead=ahead,
    )


def _sentence(
    row: Score | None,
    metric: str,
    model: str,
    *,
    images: str,
    noun: str,
    score: Callable[[Score], str],
    baselines: Sequence[tuple[str, Sequence[Score]]],
    decimals: int,
    ahead: Mapping[str, standing.Ahead],
) -> str:
    headline = metric_words(metric)
    if row is None:
        return f"On {images} the {headline.short} of {model} was not scored."
    if not math.isfinite(row.value):
        return f"On {images} the {headline.short} of {model} is undefined: {row.note or 'no reason was kept'}."
    higher = headline.higher_is_better
    known = standing.strongest_first("", baselines, metric, higher_is_better=higher)
    others = standing.against(row, known, decimals, higher_is_better=higher, ahead=ahead)
    return f"On {images} {model} {standing.does(metric, noun)} {headline.short} {score(row)}{others}."


def kept_words(content: "RunContent") -> str:
    """Say what a choice between the recipe's model and the linear baseline on val ended with, or that other software
    made the predictions; empty where there was neither."""
    if content.made_elsewhere:
        return (
            f"Other software made the predictions of {model_of(content)}; Penlight scored them. How it was "
            "trained, on which images and with how many choices, is not known here; the folder holds no model."
        )
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


def cut_words(content: "RunContent") -> str:
    """Say what was cut for time, and that a fallback followed; empty where nothing was cut."""
    cut = content.provenance.get("cut_for_time")
    if not cut:
        return ""
    fell = model_of(content) == "linear" != _of_recipe(content)
    then = " The linear baseline was kept in place of that network; a longer budget may change it."
    return f"The plan was cut for time. {cut}{then if fell else ''}"


def model_of(content: "RunContent") -> str:
    """Name the model that was kept: the backbone of the recipe, or what it falls back on. Of several seeds or folds
    it is the recipe's, unless all fell back."""
    return str(content.provenance.get("model") or _of_recipe(content))


def model_cell(content: "RunContent") -> str:
    """Name the model that was kept, and in how many seeds or folds another was: "cnn, linear in 1 of 3 seeds". One
    that the user handed in has the name of its function or class."""
    kept, recipe = model_of(content), content.recipe.get("model", {})
    name = f"{recipe['name']} ({kept})" if recipe.get("name") and kept == _of_recipe(content) else kept
    return name + "".join(f", {model} in {often}" for model, often in _kept_instead(content.provenance, kept))


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


def instead_words(provenance: Mapping[str, Any], model: str | None = None) -> str:
    """Say in how many seeds or folds another model than `model`, that of the provenance, was kept: " (in 1 of 3 seeds
    the linear baseline)"; empty where in none."""
    instead = _kept_instead(provenance, model or provenance["model"])
    return "".join(f" (in {often} {model_words(other)})" for other, often in instead)


def _kept_instead(provenance: Mapping[str, Any], model: str) -> list[tuple[str, str]]:
    """Give each model that was kept in some seeds or folds in the place of `model`, and in how many."""
    noun, kept = provenance.get(KEPT_IN, ("", {}))
    n = sum(kept.values())
    return [(other, f"{own} of {n} {noun}") for other, own in kept.items() if other != model]


def _kept_in_each(content: "RunContent") -> str:
    """Say in how many seeds or folds a baseline was kept in place of the recipe's model; empty where in none."""
    (noun, kept), own = content.provenance[KEPT_IN], _of_recipe(content)
    n, fell = sum(kept.values()), [(model, often) for model, often in kept.items() if model != own]
    return " ".join(
        f"In {f'all {n}' if often == n else f'{often} of {n}'} {noun} {model_words(model)} was kept: on val "
        f"{model_words(own)} was not better by more than two standard errors."
        for model, often in fell
    )


def _of_recipe(content: "RunContent") -> str:
    model = content.recipe.get("model", {})
    return str(model.get("name" if content.made_elsewhere else "backbone", "model"))


def final_words(provenance: Mapping[str, Any]) -> str:
    """Say how folds or seeds became the model, see `standing.final_words`."""
    return standing.final_words(provenance.get("final"), len(provenance.get("members", ())))


def _words_of(content: "RunContent", model: str) -> str:
    """Say a model in a sentence, one of other software by the name that it was given."""
    return model if content.made_elsewhere else model_words(model)


def baselines_of(content: "RunContent") -> list["ComparedBaseline"]:
    """Give the baselines that are not the run's own model, the strongest by the headline metric first."""
    headline = content.task.headline
    sign = 1 if metric_words(headline).higher_is_better else -1

    def worth(baseline: "ComparedBaseline") -> float:
        row = find_row(baseline.rows, headline)
        return sign * row.value if row is not None and math.isfinite(row.value) else -math.inf

    return sorted((own for own in content.baselines if own.name != model_of(content)), key=worth, reverse=True)


def decided_words(content: "RunContent") -> list[str]:
    """Say what the answers are where they are not the most probable label, which scores are of them, and on how many
    images the decision was found; nothing where the run kept none."""
    return [*_answers(content), *_found_on(content)]


def unknown_words(content: "RunContent") -> list[str]:
    """Say how many labels of the test images are not known; nothing where all are."""
    known = content.test.known
    if known is None:
        return []
    pairs, unknown = counted(known.size, "pair"), int((~known).sum())
    complete = int(known.all(axis=1).sum())
    exact = f"; exact match is of the {counted(complete, 'image')} of which all are" if complete else ""
    return [
        f"Of {pairs} of test image and {content.task.nouns[0]}, {unknown:,} are not known and enter no score{exact}."
    ]


def finding_words(content: "RunContent") -> list[str]:
    """Say, of two classes of which the official positive one is not the finding, how the finding itself is answered;
    nothing elsewhere, or where the finding is not known."""
    task, known = content.task, content.dataset.task
    if known != task or known.negative_finding is None:
        return []
    finding, official = task.labels
    found = [find_row(content.rows, "recall", label) for label in task.labels]
    if None in found:
        return []
    sensitivity, specificity = (with_interval(row) for row in found if row is not None)
    return [
        f"The finding is {quoted(finding)}. The official positive class is the other one, {quoted(official)}, and "
        f"the official AUC is of that. For the finding, {quoted(finding)}, sensitivity is {sensitivity} and "
        f"specificity {specificity}, as decided."
    ]


def answers_words(content: "RunContent") -> list[str]:
    """Say the first of `decided_words` of every run of a recipe: without what was found for one of them."""
    if not content.task.answers:
        return []
    return [
        f"Answers are {content.task.answers}. Weighted kappa, mean error and the other scores of answers are of "
        "these; the official accuracy is of the most probable grade all the same, as in the published tables."
    ]


def read_before_words(content: "RunContent") -> list[str]:
    """Say how many other recipes had been read on the test images before; nothing where no test image was read, or
    where the run was made before that was kept."""
    if content.folds or READ_BEFORE not in content.provenance:
        return []
    before = content.provenance[READ_BEFORE]
    if before is None:
        return ["Earlier evaluations on the test images are not known: their log could not be written."]
    if before == 0:
        return ["No other recipe had been evaluated on the test images on this machine before this run."]
    recipes = "1 other recipe" if before == 1 else f"{count(before)} other recipes"
    return [f"The test images had been read by {recipes} on this machine before this run."]


def _answers(content: "RunContent") -> list[str]:
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


def _found_on(content: "RunContent") -> list[str]:
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


def comparison_verdict(found: Comparison, modality: str) -> str:
    """Say in one sentence which models differ by more than chance, and where none does, how much could be hidden."""
    words, images = metric_words(found.metric), counted_images(found.images, found.split, modality)
    known = [d for d in found.differences if math.isfinite(d.p)]
    if not known:
        return f"On {images} the {words.short} is undefined, so nothing can be compared."
    if len(known) == 1:
        return f"On {images} {_of_two(found, known[0])}"
    if found.against is None:
        clear = sum(d.more_than_chance for d in known)
        return f"On {images} {clear or 'none'} of {len(known)} pairs differ by more than chance in {words.short}."
    better = [d.row for d in known if d.more_than_chance and _gain(found, d) > 0]
    worse = [d.row for d in known if d.more_than_chance and _gain(found, d) < 0]
    parts = [f"{listed(names)} {'is' if len(names) == 1 else 'are'} {which} than {found.against}"
             for names, which in ((better, "better"), (worse, "worse")) if names]  # fmt: skip
    if not parts:
        none = f"none of {len(known)} models differs from {found.against} by more than chance"
        return f"On {images} {none} in {words.short}."
    return f"On {images} {', and '.join(parts)} by more than chance in {words.short}."


def _of_two(found: Comparison, d: Difference) -> str:
    words = metric_words(found.metric)
    scores = f"{words.short} {number(found.model(d.row).mean)} against {number(found.model(d.against).mean)}"
    sure = f"a difference of {signed(d.value)}"
    if bounds := interval(d.low, d.high):
        sure += f" (95 % interval {bounds}), {p_words(d.p_holm)}"
    else:
        sure += " on every resample of the images"
    if d.more_than_chance:
        which = "better" if _gain(found, d) > 0 else "worse"
        return f"{d.row} is {which} than {d.against} by more than chance: {scores}, {sure}."
    return f"{d.row} and {d.against} do not differ by more than chance: {scores}, {sure}."


def _gain(found: Comparison, d: Difference) -> float:
    return d.value if metric_words(found.metric).higher_is_better else -d.value


def tuning_verdict(
    metric: str, judged_on: str, trials: "Sequence[Trial]", best: "Trial", start: "Trial | None"
) -> str:
    """Say in a sentence or two what the best trial of a tuning is worth beside the recipe as it was."""
    short = metric_words(metric).short
    said = f"The best of {counted(len(trials), 'trial')} reaches {short} {number(best.value)} on {judged_on}"
    if start is None:
        return f"{said}; the recipe as it was lies outside the space, so there is nothing to compare it with."
    if start.number == best.number:
        return f"{said}: it is the recipe as it was. No other values did better."
    return f"{said}; the recipe as it was has {number(start.value)}. {_gain_words(judged_on, best, start)}"


def _gain_words(judged_on: str, best: "Trial", start: "Trial") -> str:
    gain, n = number(best.value - start.value), len(best.values)
    if n == 1:
        return f"A gain of {gain} in a single training each may be chance."
    each = "folds" if "fold" in judged_on else "seeds"
    better = sum(a > b for a, b in zip(best.values, start.values, strict=True))
    if better == n:
        return f"The gain of {gain} holds on all {better} {each}."
    return f"The gain of {gain} holds on {better} of {n} {each}, so it may be chance."
