"""A run's official scores beside what is published of its set."""

import math

from penlight.data.published import ON_TEST_LEFT_OUT, Published, published_rows
from penlight.evaluation.rows import Score, find_row
from penlight.reports.content import RunContent
from penlight.reports.displays import Display, PublishedScores
from penlight.reports.displays.published import stands_to
from penlight.reports.words import NO_VALUE, metric_words, number, with_interval

OFFICIAL = ("auc", "acc")
"""The metrics that published tables give."""


def published_displays(content: RunContent) -> dict[str, Display]:
    """Make a display of each official score of which several are published."""
    linear = next((baseline.rows for baseline in content.baselines if baseline.name == "linear"), ())
    found: dict[str, Display] = {}
    for own in _official(content):
        beside = find_row(linear, own.name)
        value = math.nan if beside is None else beside.value
        display = PublishedScores.from_rows(own, value, _published(content))
        if len(display.rows) > 1:
            found[f"published-{own.name}"] = display
    return found


def published_lines(content: RunContent) -> list[tuple[Published, list[tuple[str, str]]]]:
    """Give each published row, in the order of the record, with its AUC and accuracy as text, and where the run's
    own lies to each: "above", "below" or "level"; empty where either is not known."""
    own = {row.name: row for row in _official(content)}

    def cell(name: str, value: float) -> tuple[str, str]:
        if name not in own or not math.isfinite(value):
            return NO_VALUE, ""
        return number(value), stands_to(own[name], value)

    return [(row, [cell(name, getattr(row, name)) for name in OFFICIAL]) for row in _published(content)]


def published_notes(content: RunContent) -> list[str]:
    """Say what the run's own scores are, which rows were chosen on test, and what is left out."""
    published = _published(content)
    if not published:
        return []
    own = [f"{metric_words(row.name).short} {with_interval(row, 3)}" for row in _official(content)]
    on_test = [row.model for row in published if row.chosen_on == "test"]
    said = [f"This run: {', '.join(own)}."]
    if on_test:
        said.append(f"Chosen by its score on test, and so too high by an unknown amount: {'; '.join(on_test)}.")
    return [*said, ON_TEST_LEFT_OUT]


def _published(content: RunContent) -> tuple[Published, ...]:
    """Give what is published of the images and labels that a run was scored on; none for another view, or folds."""
    if content.view != "native" or content.folds:
        return ()
    return published_rows(content.dataset.name, content.size)


def _official(content: RunContent) -> list[Score]:
    return [row for name in OFFICIAL if (row := find_row(content.rows, name)) is not None]
