"""The report of one recipe trained with several seeds."""

from collections.abc import Sequence
from dataclasses import replace

from penlight.evaluation.checks import Check, check_seeds
from penlight.evaluation.robustness import Robustness
from penlight.evaluation.rows import Score, find_row
from penlight.evaluation.subgroups import Subgroup
from penlight.reports.beside import published_displays
from penlight.reports.content import ComparedBaseline, RunContent
from penlight.reports.displays import Display, ScoreBars, SeedCurves, SeedDots, headline_rows
from penlight.reports.notes import answers_words, finding_words, read_before_words
from penlight.reports.page import drawn, render
from penlight.reports.palette import palette
from penlight.reports.run import (
    corrupted_displays,
    data_values,
    facts,
    label_scores,
    labels_displays,
    making_values,
    published_values,
    robustness_values,
    subgroup_values,
    subgroups_displays,
)
from penlight.reports.tables import label_table, score_lines
from penlight.reports.verdict import kept_together, model_of, others_than, seeds_verdict
from penlight.reports.words import NO_VALUE, interval, metric_words, number


def seeds_report(
    name: str,
    contents: Sequence[RunContent],
    rows: Sequence[Score],
    rivals: Sequence[ComparedBaseline],
    subgroups: Sequence[Subgroup] = (),
    robustness: Robustness | None = None,
) -> str:
    """Write the report of a folder with one run per seed; it links to `seed-<k>/report.html` of each.

    `robustness` is that of all seeds together, None where corrupted images were not asked.
    """
    first = _together(contents)
    colours = palette(first.task)
    own = others_than(model_of(first), rivals, first.task.headline)
    overall = _overall(first, rows)
    return render(
        "seeds.html",
        colours,
        name=name,
        content=first,
        verdict=seeds_verdict(first, overall, rivals, len(contents)),
        facts=[fact for fact in facts(first) if fact[0] not in ("seed", "training time")],
        leading=_leading(rows),
        bars=drawn(_bars(first, rows, own), "bars"),
        checks=_checks(contents),
        seeds=[_seed_line(content) for content in contents],
        rivals=[rival.name for rival in own],
        scores=score_lines(rows, own),
        **published_values(first, rows, rivals),
        notes=[*finding_words(first, rows), *answers_words(first), *read_before_words(first)],
        label_scores=label_scores(rows, first.test),
        per_label=label_table(rows, first.task),
        **subgroup_values(subgroups, rows, first.unavailable_groups),
        figures=[drawn(display, name) for name, display in _over_seeds(contents, overall, own).items()],
        headline=metric_words(first.task.headline).short,
        **robustness_values(first, robustness),
        **data_values(first, colours),
        **making_values(replace(first, rows=rows, subgroups=subgroups)),
    )


def _together(contents: Sequence[RunContent]) -> RunContent:
    """Give the first run, with how all were made."""
    first = contents[0]
    backbone = str(first.recipe["model"]["backbone"])
    return replace(first, provenance=kept_together([own.provenance for own in contents], backbone, "seeds"))


def _checks(contents: Sequence[RunContent]) -> list[Check] | None:
    """Give what checks reported of any seed or of all of them; None where no check was run."""
    by_seed = {_seed(c): c.checks for c in contents if c.checks is not None}
    headlines = [row for c in contents if (row := find_row(c.rows, c.task.headline)) is not None]
    return check_seeds(by_seed, headlines) if by_seed else None


def _seed(content: RunContent) -> str:
    return str(content.provenance.get("seed", content.name))


def _seed_line(content: RunContent) -> tuple[str, str, str]:
    row = find_row(content.rows, content.task.headline)
    if row is None:
        return _seed(content), number(float("nan")), ""
    return _seed(content), number(row.value), interval(row.low, row.high)


def _leading(rows: Sequence[Score]) -> list[tuple[str, str, str, bool]]:
    def spread(row: Score) -> str:
        sd = number(row.sd, 2)
        return row.note if sd == NO_VALUE else f"± {sd}, {interval(row.low, row.high, 2)}"

    return [
        (metric_words(row.name).short, number(row.value, 2), spread(row), metric_words(row.name).official)
        for row in headline_rows(rows)
    ]


def seeds_displays(
    contents: Sequence[RunContent],
    rows: Sequence[Score],
    rivals: Sequence[ComparedBaseline],
    subgroups: Sequence[Subgroup] = (),
    robustness: Robustness | None = None,
) -> dict[str, Display]:
    """Give the figures of the report of several seeds by their names in it."""
    first = _together(contents)
    own = others_than(model_of(first), rivals, first.task.headline)
    found: dict[str, Display] = {"bars": _bars(first, rows, own), **corrupted_displays(robustness)}
    over_seeds = _over_seeds(contents, _overall(first, rows), own)
    published = published_displays(first, rows, rivals)
    return {
        **found,
        **over_seeds,
        **labels_displays(rows, first.test),
        **subgroups_displays(subgroups, rows),
        **published,
    }


def _bars(first: RunContent, rows: Sequence[Score], rivals: Sequence[ComparedBaseline]) -> ScoreBars:
    return ScoreBars.from_rows(rows, rivals, model_of(first))


def _overall(first: RunContent, rows: Sequence[Score]) -> Score | None:
    return next((row for row in rows if row.name == first.task.headline and row.label is None), None)


def _over_seeds(
    contents: Sequence[RunContent], overall: Score | None, rivals: Sequence[ComparedBaseline]
) -> dict[str, Display]:
    found: dict[str, Display] = {}
    scored = [(_seed(c), find_row(c.rows, c.task.headline)) for c in contents]
    known = [(seed, row) for seed, row in scored if row is not None]
    if overall is not None and known:
        seeds, rows = zip(*known, strict=True)
        found["seeds"] = SeedDots.from_rows(seeds, rows, overall, rivals)
    histories = {_seed(c): c.history for c in contents if c.history is not None and len(c.history)}
    if histories:
        found["learning"] = SeedCurves.from_histories(histories, contents[0].task.headline)
    return found
