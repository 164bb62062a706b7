"""A run's official scores beside what is published of its set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from penlight.data.published import ON_TEST_LEFT_OUT, Published, published_rows
from penlight.evaluation.rows import Score, find_row
from penlight.reports.content import ComparedBaseline, RunContent
from penlight.reports.displays import Display, PublishedScores
from penlight.reports.displays.published import stands_to
from penlight.reports.words import NO_VALUE, metric_words, number, with_interval

_LINEAR = "linear"

OFFICIAL = ("auc", "acc")
"""The metrics that published tables give."""


@dataclass(frozen=True)
class PublishedLine:
    """One line of the table, as text; `scores` has AUC and ACC, each with where the run's own
    lies to it: "above", "below" or "level"; empty where it is not published."""

    model: str
    start: str
    chosen_on: str
    scores: tuple[tuple[str, str], ...]
    source: str


def published_of(content: RunContent) -> tuple[Published, ...]:
    """Give what is published of the images and labels that a run was scored on; none for another view, or folds."""
    if content.view != "native" or content.folds:
        return ()
    return published_rows(content.dataset.name, content.size)


def official_rows(rows: Sequence[Score]) -> dict[str, Score]:
    """Give the official AUC and ACC of a run."""
    return {name: row for name in OFFICIAL if (row := find_row(rows, name)) is not None}


def published_displays(
    content: RunContent, rows: Sequence[Score], rivals: Sequence[ComparedBaseline]
) -> dict[str, Display]:
    """Make a display of each official score of which several are published."""
    linear = next((official_rows(rival.rows) for rival in rivals if rival.name == _LINEAR), {})
    found: dict[str, Display] = {}
    for name, own in official_rows(rows).items():
        beside = linear[name].value if name in linear else math.nan
        display = PublishedScores.from_rows(own, beside, published_of(content))
        if len(display.rows) > 1:
            found[f"published-{name}"] = display
    return found


def published_lines(content: RunContent, rows: Sequence[Score]) -> list[PublishedLine]:
    """Make a line of each published row, in the order that they are kept."""
    own = official_rows(rows)
    return [
        PublishedLine(
            row.model,
            row.start or "not said",
            {"val": "val", "test": "test", "": "not said"}[row.chosen_on],
            tuple(_beside(own.get(name), getattr(row, name)) for name in ("auc", "acc")),
            row.source,
        )
        for row in published_of(content)
    ]


def _beside(own: Score | None, published: float) -> tuple[str, str]:
    if own is None or not math.isfinite(published):
        return NO_VALUE, ""
    return number(published), stands_to(own, published)


def published_notes(content: RunContent, rows: Sequence[Score]) -> list[str]:
    """Say what the run's own scores are, which rows were chosen on test, and what is left out."""
    published = published_of(content)
    if not published:
        return []
    own = [f"{metric_words(name).short} {with_interval(row, 3)}" for name, row in official_rows(rows).items()]
    on_test = [row.model for row in published if row.chosen_on == "test"]
    said = [f"This run: {', '.join(own)}."]
    if on_test:
        said.append(f"Chosen by its score on test, and so too high by an unknown amount: {'; '.join(on_test)}.")
    return [*said, ON_TEST_LEFT_OUT]
