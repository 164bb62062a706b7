"""The report of one run, and that of one recipe trained with several seeds."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from penlight.evaluation.checks import Check, check_seeds, serious_first
from penlight.evaluation.intervals import count_units
from penlight.evaluation.robustness import Robustness
from penlight.evaluation.rows import Score, find_row
from penlight.evaluation.subgroups import Subgroup
from penlight.numbers import pixels_text
from penlight.reports import displays
from penlight.reports.card import SOURCES, about, checklist
from penlight.reports.content import ComparedBaseline, FinalModel, RunContent
from penlight.reports.displays.confusion import over_seeds
from penlight.reports.page import PageFigure, drawn, render
from penlight.reports.palette import Colour, palette
from penlight.reports.published import published_displays, published_lines, published_notes
from penlight.reports.tables import label_table, provenance_groups, score_lines
from penlight.reports.verdict import (
    answers_words,
    baselines_of,
    cut_words,
    decided_words,
    finding_words,
    kept_together,
    kept_words,
    model_cell,
    model_of,
    read_before_words,
    run_verdict,
    seeds_verdict,
    unknown_words,
)
from penlight.reports.words import NO_VALUE, count, duration, image_words, interval, label_words, metric_words, number
from penlight.runs.predictions import Predictions

ERRORS: dict[str, type[Any]] = {
    "confusion": displays.ConfusionMatrix,
    "confusion_labels": displays.LabelConfusion,
    "confusions": displays.Confusions,
}
CURVES: dict[str, type[Any]] = {"roc": displays.RocCurves, "precision_recall": displays.PrecisionRecallCurves}
DISPLAYS = ERRORS | CURVES
"""The figures that a task may name in `figures`; each is made by `from_predictions(predictions, decided)`."""

Displays = Mapping[str, displays.Display]
"""Displays by the name of their figure, which is unique in a page."""


def run_report(content: RunContent) -> str:
    """Write the report of a run: one HTML page that needs nothing beside it."""
    colours = palette(content.task)
    return render(
        "run.html",
        colours,
        **_shared_values(content, _drawn({**_shared_sections(content), **_run_sections(content)}, colours)),
        verdict=run_verdict(content),
        facts=_facts(content),
        leading=_leading(content.rows, lambda row: interval(row.low, row.high, 2) or row.note),
        checks=None if content.checks is None else serious_first(content.checks),
        notes=[
            *finding_words(content),
            *decided_words(content),
            *unknown_words(content),
            *read_before_words(content),
        ],
        per_label=label_table(content.rows, content.task, content.thresholds, content.decision_notes),
        final=score_lines(
            content.final.rows if content.final else (), [ComparedBaseline("out of fold", content.rows)]
        ),
        strips=_strips(content),
        looked=_saliency_maps(content),
    )


def seeds_report(
    name: str,
    contents: Sequence[RunContent],
    rows: Sequence[Score],
    baselines: Sequence[ComparedBaseline],
    subgroups: Sequence[Subgroup] = (),
    robustness: Robustness | None = None,
    final: FinalModel | None = None,
) -> str:
    """Write the report of a folder with one run per seed; it links to `seed-<k>/report.html` of each.

    `rows`, `baselines`, `subgroups`, `robustness` are those of all seeds together; without the last, corrupted images
    were not asked. `final` is the model that became of all of them, if one did.
    """
    whole = replace(_together(contents, rows, baselines, subgroups, robustness), final=final)
    colours = palette(whole.task)
    own = {"errors": _errors_over_seeds(contents), "seeds": _over_seeds(contents, whole)}
    sections = {**_shared_sections(whole), **own, "data": data_displays(whole)}
    return render(
        "seeds.html",
        colours,
        **_shared_values(whole, _drawn(sections, colours)),
        name=name,
        verdict=seeds_verdict(whole, len(contents)),
        facts=[fact for fact in _facts(whole) if fact[0] not in ("seed", "training time")],
        leading=_leading(rows, _spread),
        checks=_checks(contents),
        notes=[*finding_words(whole), *answers_words(whole), *read_before_words(whole)],
        per_label=label_table(rows, whole.task),
        seeds=_headlines(contents),
    )


def run_displays(content: RunContent) -> dict[str, displays.Display]:
    """Give the figures of a run's report by their names in it, but for the strips of pictures."""
    found = _flat({**_shared_sections(content), **_run_sections(content)})
    return {name: display for name, display in found.items() if not isinstance(display, displays.UnusualImages)}


def seeds_displays(
    contents: Sequence[RunContent],
    rows: Sequence[Score],
    baselines: Sequence[ComparedBaseline],
    subgroups: Sequence[Subgroup] = (),
    robustness: Robustness | None = None,
) -> dict[str, displays.Display]:
    """Give the figures of the report of several seeds by their names in it."""
    whole = _together(contents, rows, baselines, subgroups, robustness)
    own = {"errors": _errors_over_seeds(contents), "seeds": _over_seeds(contents, whole)}
    return _flat({**_shared_sections(whole), **own})


def _shared_sections(content: RunContent) -> dict[str, Displays]:
    """Make the displays that runs and seeds have, by section; a section without any is empty."""
    rows, robustness = content.rows, content.robustness
    labels = displays.LabelScores.from_rows(rows, _patients_by_label(content.test))
    # Where no group has a score the figure would be empty; the table says why.
    scored = any(math.isfinite(group.value) for group in content.subgroups)
    return {
        "verdict": {"bars": displays.ScoreBars.from_rows(rows, baselines_of(content), model_of(content))},
        "robustness": {} if robustness is None else {"corrupted": displays.CorruptionCurves(robustness)},
        "labels": {"label-scores": labels} if len(labels.rows) > 1 else {},
        "subgroups": {"subgroups": displays.SubgroupForest.from_groups(content.subgroups, rows)} if scored else {},
        "published": published_displays(content),
    }


def _patients_by_label(test: Predictions) -> dict[str, int] | None:
    """Count the patients with a positive image of each label; None where they are not known."""
    if test.units is None:
        return None
    columns = zip(test.task.labels, test.y_true.T, strict=True)
    return {label: count_units(len(test), test.units, positive) for label, positive in columns}


def _run_sections(content: RunContent) -> dict[str, Displays]:
    """Make the displays that one run has, by section."""
    test, decided = content.test, content.decided
    of_task = {name: DISPLAYS[name] for name in content.task.figures}
    errors = {name: own.from_predictions(test, decided) for name, own in of_task.items() if name in ERRORS}
    curves: dict[str, displays.Display] = {
        name: own.from_predictions(content.ranking or test, decided)
        for name, own in of_task.items()
        if name in CURVES
    }
    curves["reliability"] = displays.Reliability.from_predictions(test, before=content.before)
    if content.task.questions:
        curves["decision"] = displays.DecisionCurve.from_predictions(test)
    curves["risk"] = displays.RiskCurve.from_predictions(test, decided, content.conformal)
    if content.conformal is not None:
        curves["sets"] = displays.AnswerSets.from_predictions(test, content.conformal, decided)
    if content.history is not None and len(content.history):
        curves["learning"] = displays.LearningCurves.from_history(
            content.history, content.task.headline, content.best_epoch
        )
    return {
        "errors": {**errors, "rates": displays.LabelRates.from_predictions(test, decided)},
        "curves": curves,
        "folds": _of_folds(content),
        "data": data_displays(content),
    }


def _of_folds(content: RunContent) -> Displays:
    row = find_row(content.rows, content.task.headline)
    if not content.folds or row is None:
        return {}
    names, rows = [str(fold.number) for fold in content.folds], [fold.row for fold in content.folds]
    overall = replace(row, sd=float(np.std([own.value for own in rows], ddof=1)))
    dots = displays.SeedDots.from_rows(names, rows, overall, baselines_of(content), noun="fold")
    histories = {str(f.number): f.history for f in content.folds if f.history is not None and len(f.history)}
    if not histories:
        return {"folds": dots}
    return {"folds": dots, "fold-curves": displays.SeedCurves(histories, content.task.headline, noun="fold")}


def _over_seeds(contents: Sequence[RunContent], whole: RunContent) -> Displays:
    found: dict[str, displays.Display] = {}
    overall = find_row(whole.rows, whole.task.headline)
    known = [(seed, row) for seed, row in _headlines(contents) if row is not None]
    if overall is not None and known:
        seeds, rows = zip(*known, strict=True)
        found["seeds"] = displays.SeedDots.from_rows(seeds, rows, overall, baselines_of(whole))
    histories = {_seed(c): c.history for c in contents if c.history is not None and len(c.history)}
    if histories:
        found["learning"] = displays.SeedCurves(histories, whole.task.headline)
    return found


def _errors_over_seeds(contents: Sequence[RunContent]) -> Displays:
    """Make the confusion matrices of all seeds together; the classes that have them are those of a single run."""
    makers = {name: ERRORS[name] for name in contents[0].task.figures if name in ERRORS}
    return {
        name: over_seeds([own.from_predictions(content.test, content.decided) for content in contents])
        for name, own in makers.items()
    }


def data_displays(content: RunContent) -> Displays:
    """Make the displays of the dataset, the distribution of labels first; where an image has one label, that says it.
    The last is of what in test is unlike train, where that is known."""
    data = content.data
    found: dict[str, displays.Display] = {"distribution": displays.ClassDistribution.from_description(data)}
    if data.findings is not None:
        found |= {"presence": displays.Presence(data), "per-image": displays.PerImage(data.findings)}
        found |= {"together": displays.Together(data.findings), "along": displays.AlongTheFile(data.positions)}
    if content.novelty is not None and content.images is not None:
        index, modality = content.test.index, content.dataset.modality
        found["unusual"] = displays.UnusualImages.from_images(content.novelty, content.images, index, modality)
    return found


def _drawn(sections: Mapping[str, Displays], colours: Sequence[Colour]) -> dict[str, list[PageFigure]]:
    """Draw the displays of each section; of errors and curves those that take the width of the page last."""
    found = {key: [drawn(own, name, colours) for name, own in of.items()] for key, of in sections.items()}
    for key in ("errors", "curves"):
        found[key] = sorted(found.get(key, []), key=lambda figure: figure.wide)
    return found


def _flat(sections: Mapping[str, Displays]) -> dict[str, displays.Display]:
    return {name: display for found in sections.values() for name, display in found.items()}


def _shared_values(content: RunContent, figures: Mapping[str, Sequence[PageFigure]]) -> dict[str, Any]:
    """Give what the pages of runs and of seeds show alike."""
    strip, images, robustness = None, content.images, content.robustness
    if images is not None and robustness is not None:
        strip = displays.CorruptionStrip.from_images(robustness, images, content.test.index)
    return {
        "content": content,
        "figures": figures,
        "baselines": [baseline.name for baseline in baselines_of(content)],
        "scores": score_lines(content.rows, baselines_of(content)),
        "published": published_lines(content),
        "published_notes": published_notes(content),
        "corrupted_strip": strip,
        "headline": metric_words(content.task.headline).short,
        "images_noun": image_words(content.dataset.modality),
        "labels_noun": label_words(content.task),
        "provenance": provenance_groups(content),
        "kept": " ".join(filter(None, (cut_words(content), kept_words(content)))),
        "card": about(content)[1:],
        "checklist": checklist(content),
        "checklist_sources": SOURCES,
    }


def _facts(content: RunContent) -> list[tuple[str, str]]:
    """Say in a line what was trained, on what."""
    made = content.provenance
    found = [
        ("model", model_cell(content)),
        ("predictions", "made elsewhere")
        if content.made_elsewhere
        else ("seed", str(made.get("seed", "not recorded"))),
        ("view", content.view),
        ("image size", pixels_text(content.size)),
        (" / ".join(content.data.images), " / ".join(count(n) for n in content.data.images.values())),
    ]
    if len(members := made.get("members", ())) > 1:
        found.append(("members", ", ".join(f"{m['model']} {number(m['weight'], 2)}" for m in members)))
    if made.get("parameters"):
        found.append(("parameters", count(made["parameters"])))
    if content.folds:
        found.append(("folds", content.divided.removesuffix(" folds")))
    spent = made.get("durations", {})
    return [*found, ("training time", duration(float(spent["fit"])))] if "fit" in spent else found


def _leading(rows: Iterable[Score], sure: Callable[[Score], str]) -> list[tuple[str, str, str, bool]]:
    """Give the large numbers: name, value, what `sure` says of it, whether official."""
    words = [(row, metric_words(row.name)) for row in displays.headline_rows(rows)]
    return [(name.short, number(row.value, 2), sure(row), name.official) for row, name in words]


def _spread(row: Score) -> str:
    sd = number(row.sd, 2)
    return row.note if sd == NO_VALUE else ", ".join(filter(None, (f"± {sd}", interval(row.low, row.high, 2))))


def _saliency_maps(content: RunContent) -> displays.SaliencyStrip | None:
    if content.cases is None or content.images is None:
        return None
    modality = content.dataset.modality
    return displays.SaliencyStrip.from_cases(
        content.cases, content.test, content.decided, content.images, modality=modality
    )


def _strips(content: RunContent) -> dict[str, Any]:
    """Pictures of errors; misses apart only where an error need not be both. None on a page without images."""
    images, modality = content.images, content.dataset.modality
    if images is None:
        return {}
    kinds: dict[str, Any] = {
        "errors": displays.ErrorStrip,
        "misses": displays.MissStrip,
        "right-answers": displays.RightStrip,
    }
    if content.task.exclusive:
        del kinds["misses"]
    return {
        name: kind.from_predictions(content.test, content.decided, images, modality=modality)
        for name, kind in kinds.items()
    }


def _together(
    contents: Sequence[RunContent],
    rows: Sequence[Score],
    baselines: Sequence[ComparedBaseline],
    subgroups: Sequence[Subgroup],
    robustness: Robustness | None,
) -> RunContent:
    """Give the first run with the scores of all seeds, and with how all were made."""
    first = contents[0]
    backbone = str(first.recipe["model"]["backbone"])
    provenance = kept_together([own.provenance for own in contents], backbone, "seeds")
    return replace(
        first, rows=rows, baselines=baselines, subgroups=subgroups, robustness=robustness, provenance=provenance
    )


def _checks(contents: Sequence[RunContent]) -> list[Check] | None:
    """Give what checks reported of any seed or of all of them; None where no check was run."""
    by_seed = {_seed(c): c.checks for c in contents if c.checks is not None}
    headlines = [row for _, row in _headlines(contents) if row is not None]
    return check_seeds(by_seed, headlines) if by_seed else None


def _headlines(contents: Sequence[RunContent]) -> list[tuple[str, Score | None]]:
    """Give the seed of each run, and its headline row; None where it was not scored."""
    return [(_seed(content), find_row(content.rows, content.task.headline)) for content in contents]


def _seed(content: RunContent) -> str:
    return str(content.provenance.get("seed", content.name))
