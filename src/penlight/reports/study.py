"""The report of a study: several recipes compared, a table for each view."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penlight.evaluation.rows import Score
from penlight.numbers import counted, pixels_text
from penlight.reports.displays import Display
from penlight.reports.displays.comparison import DifferenceBars
from penlight.reports.displays.learning import StudyCurves
from penlight.reports.displays.scores import MOST_LEADING
from penlight.reports.displays.study import ConfusionGrid, CostPlot, FindingGrid, SizePlot, entry_colours
from penlight.reports.findings import findings, in_text, leader, network_to_take, study_verdict, which_to_take
from penlight.reports.page import PageFigure, drawn, render
from penlight.reports.palette import Colour, palette
from penlight.reports.run import data_displays
from penlight.reports.study_content import MAJORITY, StudyContent, StudyRowResult, StudyTable
from penlight.reports.tables import provenance_groups
from penlight.reports.words import NO_VALUE, count, duration, image_words, interval, metric_words, number, plain

_ROLES = {
    "baseline": "baseline",
    "custom": "best custom",
    "pre-trained": "best pre-trained",
    "features": "best on features",
}

COSTS = ("Parameters", "Training, a seed", "ms an image", "File, MB")


@dataclass(frozen=True)
class ViewSection:
    """What the page shows of one view: its entries, the highest first, the names of the scores it shows, and the best
    value of each. `take` is the finding that recommends, `taken` the network that it names, `findings` are the
    others; `figures` are by name, `bars` those of differences."""

    table: StudyTable
    entries: Sequence[StudyRowResult]
    metrics: Sequence[str]
    best: Mapping[str, float]
    take: str | None
    taken: StudyRowResult | None
    findings: Sequence[str]
    figures: Mapping[str, PageFigure]
    bars: Sequence[PageFigure]
    titles: Mapping[str, str]


def study_report(content: StudyContent) -> str:
    """Write the report of a study: one HTML page that needs nothing beside it but links to each recipe's own."""
    main, example = content.tables[0], content.example
    colours = palette(example.task)
    return render(
        "study.html",
        [*study_colours(content.tables), *colours],
        study=content,
        content=example,
        verdict=study_verdict(main, example.dataset.modality),
        facts=_facts(content),
        leading=_leading(main),
        views=[_section(table, f"v{i}") for i, table in enumerate(content.tables)],
        costs=COSTS,
        recipes=[(entry, _settings(entry)) for table in content.tables for entry in table.entries],
        provenance=[group for group in provenance_groups(example) if group[0] in ("Machine", "Versions")],
        data_figures=[drawn(display, name, colours) for name, display in data_displays(example).items()],
        images_noun=image_words(example.dataset.modality),
    )


def _facts(content: StudyContent) -> list[tuple[str, str]]:
    main, entries = content.tables[0], [entry for table in content.tables for entry in table.entries]
    most = max(len(entry.seeds) for entry in entries)
    spent = sum(value for entry in entries for value in entry.cost.fit if math.isfinite(value))
    return [
        ("dataset", content.example.dataset.name),
        ("view", main.view),
        ("image size", _size_text(content)),
        (" / ".join(main.images), " / ".join(count(n) for n in main.images.values())),
        ("recipes", str(len(entries))),
        ("runs", f"{content.n_runs}, up to {counted(most, 'seed')} each"),
        ("training, in all", duration(spent)),
    ]


def _size_text(content: StudyContent) -> str:
    sizes = {entry.size for table in content.tables for entry in table.entries if entry.size is not None}
    return f"{', '.join(map(str, sorted(sizes)))} px" if sizes else pixels_text(content.example.size)


def _leading(table: StudyTable) -> list[tuple[str, str, str, str]]:
    """Give the large numbers: the best of each kind, or each size of a recipe, the highest first, and which of them
    is the one to take."""
    taken = network_to_take(table)
    found = [table.linear, leader(table, "custom"), leader(table, "pre-trained"), taken]
    if table.sizes:
        found = [table.linear, *table.sizes]
    shown = list({entry.id: entry for entry in found if entry is not None}.values())
    lines = []
    for entry in _highest_first(table, shown):
        row = entry.row(table.headline)
        is_named = entry is leader(table, entry.kind) or not (table.sizes or entry is taken)
        roles = [_ROLES[entry.kind]] if is_named else []
        roles += [f"the {'size' if table.sizes else 'network'} to take"] if entry is taken else []
        role = ", ".join([metric_words(table.headline).short, *roles])
        lines.append((entry.title, role, number(row.value), _sure(row)))
    return lines


def study_displays(table: StudyTable) -> dict[str, Display]:
    """Give the figures of one view in a study's report, by name."""
    grid = ConfusionGrid if table.task.exclusive else FindingGrid
    curves = StudyCurves.from_table(table)
    cost = SizePlot.from_table(table) if table.sizes else CostPlot.from_table(table)
    found: dict[str, Display] = {"cost": cost, **_bars(table)}
    found["confusion"] = grid.from_table(table)
    return {**found, "curves": curves} if curves.curves else found


def study_colours(tables: Sequence[StudyTable]) -> list[Colour]:
    """Give the colours of the entries, in which all figures draw them."""
    return [colour for table in tables for colour in entry_colours(table.entries).values()]


def _section(table: StudyTable, key: str) -> ViewSection:
    take, colours, metrics = which_to_take(table), study_colours([table]), _metrics(table)
    figures = {name: drawn(display, f"{key}-{name}", colours) for name, display in study_displays(table).items()}
    return ViewSection(
        table,
        _highest_first(table, table.entries),
        metrics,
        {name: _best(table, name) for name in metrics},
        take,
        network_to_take(table),
        [sentence for sentence in findings(table) if sentence != take],
        figures,
        [figure for name, figure in figures.items() if name.startswith("against-")],
        {entry.id: entry.title for entry in table.entries},
    )


def _metrics(table: StudyTable) -> list[str]:
    """Choose the scores of the table: the headline first, then others that may lead a report, F1 always."""
    found = dict.fromkeys(row.name for entry in table.entries for row in entry.rows if row.label is None)
    leads = [name for name in found if metric_words(name).leads and name != table.headline]
    chosen = [table.headline, *leads[: MOST_LEADING - 1], *(name for name in leads if name == "f1_macro")]
    return list(dict.fromkeys(chosen))


def _best(table: StudyTable, name: str) -> float:
    values = [value for entry in table.entries if math.isfinite(value := entry.row(name).value)]
    # Most metrics that lead are higher when better; one that is not says so in its words.
    return (max if metric_words(name).higher_is_better else min)(values, default=math.nan)


def _highest_first(table: StudyTable, entries: Sequence[StudyRowResult]) -> list[StudyRowResult]:
    """Sort entries by their headline score, undefined ones last."""
    return sorted(entries, key=lambda entry: -table.score(entry) if math.isfinite(table.score(entry)) else math.inf)


def _sure(row: Score) -> str:
    sd = number(row.sd)
    return ", ".join(filter(None, ("" if sd == NO_VALUE else f"± {sd}", interval(row.low, row.high))))


def _bars(table: StudyTable) -> dict[str, Display]:
    """Make the differences to the best and to the linear baseline; once where these are one."""
    references = {entry.id: entry for entry in (table.best, table.linear) if entry is not None}
    out: dict[str, Display] = {}
    for name, reference in references.items():
        lanes = [(e.title, table.difference(e, reference)) for e in table.entries if e.backbone != MAJORITY]
        known = [(title, found) for title, found in lanes if found is not None]
        if known:
            against = f"{in_text(reference)}{', the best' if reference is table.best else ''}"
            display = DifferenceBars.from_differences(table.headline, against, known)
            out[f"against-{name.replace('.', '-')}"] = display
    return out


def _settings(entry: StudyRowResult) -> str:
    """Say what a recipe sets, but for the data, which is that of the study."""
    skipped = ("data.dataset", "data.view", "data.size")
    changes = [f"{key} = {plain(this)}" for key, (_, this) in entry.changes.items() if key not in skipped]
    return "; ".join(changes) or "defaults"
