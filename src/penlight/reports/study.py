"""The report of a study: several recipes compared, a table for each view."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from penlight.evaluation.rows import Score
from penlight.numbers import counted
from penlight.reports.displays import Display
from penlight.reports.displays.score_bars import MOST
from penlight.reports.displays.study_confusion import ConfusionGrid, FindingGrid
from penlight.reports.displays.study_cost import CostPlot, entry_colours
from penlight.reports.displays.study_curves import StudyCurves
from penlight.reports.displays.study_differences import DifferenceBars
from penlight.reports.findings import findings, in_text, leader, network_to_take, study_verdict, which_to_take
from penlight.reports.page import PageFigure, drawn, render
from penlight.reports.palette import Colour, palette
from penlight.reports.run import data_values
from penlight.reports.study_content import MAJORITY, StudyContent, StudyRowResult, StudyTable
from penlight.reports.tables import DifferenceLine, lines_of_differences, provenance_groups
from penlight.reports.words import NO_VALUE, count, duration, interval, metric_words, number, plain, sentence
from penlight.runs.studies import Cost


@dataclass(frozen=True)
class ScoreCell:
    """A score as text: the mean, the deviation over seeds, and below them the interval over images."""

    value: str
    spread: str
    under: str
    best: bool


@dataclass(frozen=True)
class EntryLine:
    """One line of the table: an entry, its scores in the order of the columns, what it costs, how many checks
    reported a problem, and their numbers with whether they are serious."""

    title: str
    address: str
    kind: str
    seeds: int
    scores: tuple[ScoreCell, ...]
    costs: tuple[str, ...]
    taken: bool
    checks: str
    codes: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class ViewSection:
    """What the page shows of one view; `take` is the finding that recommends, `findings` are the others."""

    view: str
    view_text: str
    take: str | None
    findings: list[str]
    cost: PageFigure
    columns: list[tuple[str, bool]]
    lines: list[EntryLine]
    bars: list[PageFigure]
    differences: list[DifferenceLine]
    confusion: PageFigure
    curves: PageFigure | None
    n_test: str


_ROLES = {
    "baseline": "baseline",
    "custom": "best custom",
    "pre-trained": "best pre-trained",
    "features": "best on features",
}

COSTS = ("Parameters", "Training, a seed", "ms an image", "File, MB")


def study_report(content: StudyContent) -> str:
    """Write the report of a study: one HTML page that needs nothing beside it but links to each recipe's own."""
    main = content.tables[0]
    colours = palette(content.example.task)
    return render(
        "study.html",
        [*study_colours(content.tables), *colours],
        study=content,
        content=content.example,
        verdict=study_verdict(main, content.example.dataset.modality),
        facts=_facts(content),
        leading=_leading(main),
        parts_by_view=[_part(table, f"v{i}") for i, table in enumerate(content.tables)],
        costs=COSTS,
        recipes=[_recipe_line(entry) for table in content.tables for entry in table.entries],
        provenance=[group for group in provenance_groups(content.example) if group[0] in ("Machine", "Versions")],
        hashes=[("data (MD5)", content.example.test.data_hash)],
        **data_values(content.example, colours),
    )


def _facts(content: StudyContent) -> list[tuple[str, str]]:
    main = content.tables[0]
    most = max(len(entry.seeds) for table in content.tables for entry in table.entries)
    spent = sum(value for t in content.tables for e in t.entries for value in e.cost.fit if math.isfinite(value))
    return [
        ("dataset", content.example.dataset.name),
        ("view", main.view),
        ("image size", f"{content.example.size} × {content.example.size} px"),
        (" / ".join(main.images), " / ".join(count(n) for n in main.images.values())),
        ("recipes", str(sum(len(table.entries) for table in content.tables))),
        ("runs", f"{content.n_runs}, up to {counted(most, 'seed')} each"),
        ("training, in all", duration(spent)),
    ]


def _leading(table: StudyTable) -> list[tuple[str, str, str, str]]:
    """Give the large numbers: the best of each kind, the highest first, and which of them is the network to take."""
    taken = network_to_take(table)
    found = [table.linear, leader(table, "custom"), leader(table, "pre-trained"), taken]
    shown = list({entry.id: entry for entry in found if entry is not None}.values())
    lines = []
    for entry in sorted(shown, key=lambda entry: -_or_last(table.score(entry))):
        row = entry.row(table.headline)
        roles = [_ROLES[entry.kind]] if entry is not taken or entry is leader(table, entry.kind) else []
        roles += ["the network to take"] if entry is taken else []
        lines.append(
            (entry.title, f"{metric_words(table.headline).short}, {', '.join(roles)}", number(row.value), _sure(row))
        )
    return lines


def study_displays(table: StudyTable) -> dict[str, Display]:
    """Give the figures of one view in a study's report, by name."""
    grid = ConfusionGrid if table.task.exclusive else FindingGrid
    curves = StudyCurves.from_table(table)
    found: dict[str, Display] = {"cost": CostPlot.from_table(table), **_bars(table)}
    found["confusion"] = grid.from_table(table)
    return {**found, "curves": curves} if curves.curves else found


def study_colours(tables: Sequence[StudyTable]) -> list[Colour]:
    """Give the colours of the entries, in which all figures draw them."""
    return [colour for table in tables for colour in entry_colours(table.entries).values()]


def _part(table: StudyTable, key: str) -> ViewSection:
    names = _columns(table)
    take, taken = which_to_take(table), network_to_take(table)
    shown = sorted(table.entries, key=lambda entry: -_or_last(table.score(entry)))
    colours = study_colours([table])
    figures = {name: drawn(display, f"{key}-{name}", colours) for name, display in study_displays(table).items()}
    return ViewSection(
        view=table.view,
        view_text=table.view_text,
        take=take,
        findings=[sentence for sentence in findings(table) if sentence != take],
        cost=figures["cost"],
        columns=[(sentence(metric_words(name).short), metric_words(name).official) for name in names],
        lines=[_line(entry, table, names, entry is taken) for entry in shown],
        bars=[figure for name, figure in figures.items() if name.startswith("against-")],
        differences=lines_of_differences(table.differences, {entry.id: entry.title for entry in table.entries}),
        confusion=figures["confusion"],
        curves=figures.get("curves"),
        n_test=count(table.images["test"]),
    )


def _columns(table: StudyTable) -> list[str]:
    """Choose the scores of the table: the headline first, then others that may lead a report."""
    found = dict.fromkeys(row.name for entry in table.entries for row in entry.rows if row.label is None)
    leads = [name for name in found if metric_words(name).leads and name != table.headline]
    return [table.headline, *leads[: MOST - 1]]


def _line(entry: StudyRowResult, table: StudyTable, names: Sequence[str], taken: bool) -> EntryLine:
    return EntryLine(
        entry.title,
        entry.address,
        entry.kind,
        len(entry.seeds),
        tuple(_cell(entry, table, name) for name in names),
        _costs(entry.cost),
        taken,
        _counted(len(entry.checks)),
        tuple((check.code, check.serious) for check in entry.checks),
    )


def _counted(checks: int) -> str:
    return "none" if not checks else "1 check" if checks == 1 else f"{checks} checks"


def _cell(entry: StudyRowResult, table: StudyTable, name: str) -> ScoreCell:
    row = entry.row(name)
    values = [other.row(name).value for other in table.entries if math.isfinite(other.row(name).value)]
    # Most metrics that lead are higher when better; one that is not says so in its words.
    best = (max if metric_words(name).higher_is_better else min)(values, default=math.nan)
    return ScoreCell(number(row.value), _spread(row), interval(row.low, row.high) or row.note, row.value == best)


def _spread(row: Score) -> str:
    sd = number(row.sd)
    return "" if sd == NO_VALUE else f"± {sd}"


def _sure(row: Score) -> str:
    return ", ".join(text for text in (_spread(row), interval(row.low, row.high)) if text)


def _costs(cost: Cost) -> tuple[str, ...]:
    """Write parameters, training time, milliseconds per image and megabytes; a dash where there is none."""
    return (
        NO_VALUE if cost.parameters is None else count(cost.parameters),
        "< 0.1 s" if cost.fit_mean < 0.05 else duration(cost.fit_mean) if math.isfinite(cost.fit_mean) else NO_VALUE,
        "< 0.01" if cost.predict_mean < 0.005 else number(cost.predict_mean, 2),
        NO_VALUE if cost.model_bytes is None else number(cost.model_bytes / 1e6, 1),
    )


def _bars(table: StudyTable) -> dict[str, Display]:
    """Make the differences to the best and to the linear baseline; once where these are one."""
    references = {entry.id: entry for entry in (table.best, table.linear) if entry is not None}
    out: dict[str, Display] = {}
    for name, reference in references.items():
        lanes = [(e.title, table.difference(e, reference)) for e in table.entries if e.backbone != MAJORITY]
        known = [(title, found) for title, found in lanes if found is not None]
        if known:
            display = DifferenceBars.from_differences(table.headline, _reference(reference, table), known)
            out[f"against-{name.replace('.', '-')}"] = display
    return out


def _reference(entry: StudyRowResult, table: StudyTable) -> str:
    role = ", the best" if entry is table.best else ""
    return f"{in_text(entry)}{role}"


def _recipe_line(entry: StudyRowResult) -> tuple[str, str, str, str, str]:
    """Title, recipe, seeds, what it changes, hash."""
    skipped = ("data.dataset", "data.view", "data.size")
    changes = [f"{key} = {plain(this)}" for key, (_, this) in entry.changes.items() if key not in skipped]
    return entry.title, entry.id, entry.recipe, "; ".join(changes) or "defaults", entry.recipe_hash


def _or_last(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
