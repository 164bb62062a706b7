"""The report of one run."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from penlight.data.summary import DataDescription
from penlight.evaluation.checks import serious_first
from penlight.evaluation.intervals import count_units
from penlight.evaluation.robustness import Robustness
from penlight.evaluation.rows import Score, find_row
from penlight.evaluation.subgroups import Subgroup
from penlight.reports.beside import published_displays, published_lines, published_notes
from penlight.reports.card import about
from penlight.reports.checklist import SOURCES, checklist
from penlight.reports.content import ComparedBaseline, RunContent
from penlight.reports.displays import (
    DISPLAYS,
    AlongTheFile,
    AnswerSets,
    ClassDistribution,
    CorruptionCurves,
    CorruptionStrip,
    DecisionCurve,
    Display,
    ErrorStrip,
    LabelRates,
    LabelScores,
    LearningCurves,
    MissStrip,
    PerImage,
    Presence,
    Reliability,
    RightStrip,
    RiskCurve,
    SaliencyStrip,
    ScoreBars,
    SeedCurves,
    SeedDots,
    SubgroupForest,
    Together,
    UnusualImages,
    headline_rows,
)
from penlight.reports.notes import decided_words, finding_words, read_before_words
from penlight.reports.page import PageFigure, drawn, render
from penlight.reports.palette import Colour, palette
from penlight.reports.tables import (
    difference_lines,
    label_table,
    point_heads,
    point_lines,
    provenance_groups,
    score_lines,
    split_lines,
    subgroup_lines,
)
from penlight.reports.verdict import cut_words, kept_words, model_cell, model_of, rivals_of, run_verdict
from penlight.reports.words import count, duration, image_words, interval, label_words, metric_words, number
from penlight.runs.predictions import Predictions

_OF_RANKS = ("roc", "precision_recall")


def run_report(content: RunContent) -> str:
    """Write the report of a run: one HTML page that needs nothing beside it."""
    colours = palette(content.task)
    return render(
        "run.html",
        colours,
        content=content,
        verdict=run_verdict(content),
        facts=facts(content),
        leading=leading_numbers(content),
        bars=drawn(ScoreBars.from_rows(content.rows, rivals_of(content), model_of(content)), "bars"),
        checks=None if content.checks is None else serious_first(content.checks),
        rivals=[rival.name for rival in rivals_of(content)],
        scores=score_lines(content.rows, rivals_of(content)),
        **published_values(content, content.rows, content.rivals),
        notes=[*finding_words(content), *decided_words(content), *read_before_words(content)],
        label_scores=label_scores(content.rows, content.test),
        per_label=label_table(content.rows, content.task, content.thresholds, content.decision_notes),
        points=point_lines(content.points),
        point_heads=point_heads(content.points),
        **subgroup_values(content.subgroups, content.rows, content.unavailable_groups),
        errors=_figures(content, "errors", colours),
        strips=_strips(content),
        looked=_saliency_maps(content),
        curves=_figures(content, "curves", colours),
        **robustness_values(content, content.robustness),
        fold_figures=[drawn(display, name) for name, display in folds_displays(content).items()],
        fold_lines=[(fold, number(fold.row.value), interval(fold.row.low, fold.row.high)) for fold in content.folds],
        headline=metric_words(content.task.headline).short,
        **data_values(content, colours),
        **making_values(content),
    )


def published_values(
    content: RunContent, rows: Sequence[Score], rivals: Sequence[ComparedBaseline]
) -> dict[str, Any]:
    """Give what stands beside published scores; no lines where none are published."""
    return {
        "published": published_lines(content, rows),
        "published_figures": [drawn(d, name) for name, d in published_displays(content, rows, rivals).items()],
        "published_notes": published_notes(content, rows),
    }


def facts(content: RunContent) -> list[tuple[str, str]]:
    """Say in a line what was trained, on what."""
    made = content.provenance
    sizes = " / ".join(count(n) for n in content.data.images.values())
    found = [
        ("model", model_cell(content)),
        ("seed", str(made.get("seed", "not recorded"))),
        ("view", content.view),
        ("image size", f"{content.size} × {content.size} px"),
        (" / ".join(content.data.images), sizes),
    ]
    if len(members := made.get("members", ())) > 1:
        found.append(("members", ", ".join(f"{m['model']} {number(m['weight'], 2)}" for m in members)))
    if made.get("parameters"):
        found.append(("parameters", count(made["parameters"])))
    if content.folds:
        found.append(("folds", str(len(content.folds))))
    spent = made.get("durations", {})
    return [*found, ("training time", duration(float(spent["fit"])))] if "fit" in spent else found


def leading_numbers(content: RunContent) -> list[tuple[str, str, str, bool]]:
    """Give the large numbers: name, value, interval, whether official."""
    return [
        (
            metric_words(row.name).short,
            number(row.value, 2),
            interval(row.low, row.high, 2) or row.note,
            metric_words(row.name).official,
        )
        for row in headline_rows(content.rows)
    ]


def data_values(content: RunContent, colours: Sequence[Colour]) -> dict[str, Any]:
    """Give what the section on data shows."""
    distribution = ClassDistribution.from_description(content.data)
    return {
        "splits": split_lines(content),
        "split_names": list(content.data.images),
        "distribution": drawn(distribution, "distribution", colours),
        "data_figures": [drawn(display, name, colours) for name, display in _data_displays(content).items()],
        "view_text": content.data.view_text(),
        "samples": content.samples,
        "samples_named": not content.data.task.exclusive,
        "images_noun": image_words(content.dataset.modality),
        "labels_noun": label_words(content.task),
    }


def data_displays(data: DataDescription) -> dict[str, Display]:
    """Make the displays of a dataset of findings; where an image has one label, the class distribution says it."""
    if data.findings is None:
        return {}
    return {
        "presence": Presence(data),
        "per-image": PerImage(data.findings),
        "together": Together(data.findings),
        "along": AlongTheFile(data.positions),
    }


def _data_displays(content: RunContent) -> dict[str, Display]:
    """Make the displays of the dataset, and of what in test is unlike train."""
    found = data_displays(content.data)
    if content.novelty is None or content.images is None:
        return found
    index, modality = content.test.index, content.dataset.modality
    return {**found, "unusual": UnusualImages.from_images(content.novelty, content.images, index, modality)}


def label_scores(rows: Sequence[Score], test: Predictions) -> PageFigure | None:
    """Draw the AUC of each label, where there are several."""
    return next((drawn(display, name) for name, display in labels_displays(rows, test).items()), None)


def robustness_values(content: RunContent, robustness: Robustness | None) -> dict[str, Any]:
    """Give what the section on robustness shows; `corrupted` is None where corrupted images were not asked."""
    if robustness is None:
        return {"corrupted": None, "corrupted_strip": None, "corrupted_notes": ()}
    return {
        "corrupted": drawn(CorruptionCurves(robustness), "corrupted"),
        "corrupted_strip": _corruption_strip(content, robustness),
        "corrupted_notes": robustness.notes,
    }


def _corruption_strip(content: RunContent, robustness: Robustness) -> CorruptionStrip | None:
    if content.images is None:
        return None
    return CorruptionStrip.from_images(robustness, content.images, content.test.index)


def subgroup_values(groups: Sequence[Subgroup], rows: Sequence[Score], unavailable: Sequence[str]) -> dict[str, Any]:
    """Give what the section on subgroups shows, and what it says to be unavailable."""
    found = subgroups_displays(groups, rows)
    return {
        "forest": next((drawn(display, name) for name, display in found.items()), None),
        "subgroups": subgroup_lines(groups),
        "no_subgroups": unavailable,
    }


def subgroups_displays(groups: Sequence[Subgroup], rows: Sequence[Score]) -> dict[str, Display]:
    """Make the display of the headline score of each group, where any has one."""
    # Where no group has a score the figure would be empty; the table says why.
    scored = any(math.isfinite(group.value) for group in groups)
    return {"subgroups": SubgroupForest.from_groups(groups, rows)} if scored else {}


def folds_displays(content: RunContent) -> dict[str, Display]:
    """Make the displays of the folds of a cross-validation."""
    row = find_row(content.rows, content.task.headline)
    if not content.folds or row is None:
        return {}
    names, rows = [str(fold.number) for fold in content.folds], [fold.row for fold in content.folds]
    sd = float(np.std([own.value for own in rows], ddof=1))
    found: dict[str, Display] = {
        "folds": SeedDots.from_rows(names, rows, replace(row, sd=sd), rivals_of(content), noun="fold")
    }
    histories = {str(f.number): f.history for f in content.folds if f.history is not None and len(f.history)}
    if histories:
        found["fold-curves"] = SeedCurves.from_histories(histories, content.task.headline, noun="fold")
    return found


def making_values(content: RunContent) -> dict[str, Any]:
    """Give what the sections on making and the card show."""
    return {
        "differences": difference_lines(content.recipe_differences),
        "provenance": provenance_groups(content),
        "command": content.provenance.get("command", ""),
        "kept": " ".join(filter(None, (cut_words(content), kept_words(content)))),
        "card": about(content)[1:],
        "checklist": checklist(content),
        "checklist_sources": SOURCES,
    }


def _figures(content: RunContent, section: str, colours: Sequence[Colour]) -> list[PageFigure]:
    """Draw the displays of a section, those that take the width of the page last."""
    found = [(name, display) for name, display in _displays(content).items() if display.section == section]
    return sorted((drawn(display, name, colours) for name, display in found), key=lambda figure: figure.wide)


def _displays(content: RunContent) -> dict[str, Display]:
    """Make the displays that the task names, and those that every run has."""
    found: dict[str, Display] = {
        name: DISPLAYS[name].from_predictions(
            content.ranking or content.test if name in _OF_RANKS else content.test, content.decided
        )
        for name in content.task.figures
    }
    found["rates"] = LabelRates.from_predictions(content.test, content.decided)
    found["reliability"] = Reliability.from_predictions(content.test, before=content.before)
    if content.task.questions:
        found["decision"] = DecisionCurve.from_predictions(content.test)
    found["risk"] = RiskCurve.from_predictions(content.test, content.decided, content.conformal)
    if content.conformal is not None:
        found["sets"] = AnswerSets.from_predictions(content.test, content.conformal, content.decided)
    if content.history is not None and len(content.history):
        found["learning"] = LearningCurves.from_history(content.history, content.task.headline, content.best_epoch)
    return found


def run_displays(content: RunContent) -> dict[str, Display]:
    """Give the figures of a run's report by their names in it, but for the strips of pictures."""
    bars = ScoreBars.from_rows(content.rows, rivals_of(content), model_of(content))
    corrupted = corrupted_displays(content.robustness)
    return {
        "bars": bars,
        **_displays(content),
        **corrupted,
        **labels_displays(content.rows, content.test),
        **folds_displays(content),
        **subgroups_displays(content.subgroups, content.rows),
        **published_displays(content, content.rows, content.rivals),
        **_of_data(content.data),
    }


def corrupted_displays(robustness: Robustness | None) -> dict[str, Display]:
    """Make the display of corrupted images, where they were asked."""
    return {} if robustness is None else {"corrupted": CorruptionCurves(robustness)}


def _of_data(data: DataDescription) -> dict[str, Display]:
    return {"distribution": ClassDistribution.from_description(data), **data_displays(data)}


def labels_displays(rows: Sequence[Score], test: Predictions) -> dict[str, Display]:
    """Make the display of the AUC of each label, where there are several."""
    patients = None if test.units is None else {
        label: count_units(len(test), test.units, own)
        for label, own in zip(test.task.labels, test.y_true.T, strict=True)
    }  # fmt: skip
    display = LabelScores.from_rows(rows, patients)
    return {"label-scores": display} if len(display.rows) > 1 else {}


def _saliency_maps(content: RunContent) -> SaliencyStrip | None:
    if content.cases is None or content.images is None:
        return None
    modality = content.dataset.modality
    return SaliencyStrip.from_cases(content.cases, content.test, content.decided, content.images, modality=modality)


def _strips(content: RunContent) -> list[Any]:
    """Pictures of errors; misses apart only where an error need not be both. None on a page without images."""
    if content.images is None:
        return []
    kinds: list[Any] = [ErrorStrip, RightStrip] if content.task.exclusive else [ErrorStrip, MissStrip, RightStrip]
    modality = content.dataset.modality
    return [kind.from_predictions(content.test, content.decided, content.images, modality=modality) for kind in kinds]
