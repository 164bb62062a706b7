"""What `penlight evaluate` and `score` print: scores, operating points, subgroups, checks, corruptions."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from penlight import FoldsScores, Scores, SeedsScores
from penlight.api.verdicts import verdict_of
from penlight.cli.show.lines import print_json, say
from penlight.cli.show.output import console, interval, number, plain_table
from penlight.evaluation import Score
from penlight.evaluation.checks import CHECKS, SEEDS_CHECKS
from penlight.evaluation.metrics import metric_words
from penlight.evaluation.operating import AS_DECIDED, OperatingPoint
from penlight.evaluation.rows import row_title
from penlight.numbers import counted, signed_text
from penlight.reports.verdict import scores_verdict

if TYPE_CHECKING:
    from penlight import Corrupted
    from penlight.evaluation.checks import Check
    from penlight.evaluation.robustness import Level, Robustness
    from penlight.evaluation.subgroups import Subgroup

_FEW_QUESTIONS = 3
_SUMMARISED = 5

AnyScores = Scores | SeedsScores | FoldsScores


def print_scores(
    scores: AnyScores, json: bool = False, *, full: bool = False, run: Path | None = None, split: str = "test"
) -> None:
    """Print a verdict, five scores with the baselines beside them, and the checks; or, if `full`, everything.

    `run` is the folder that the scores are of; where there is none, the verdict names no model.
    """
    if json:
        print_json(scores)
        return
    out = console()
    out.print(scores_verdict(scores, "") if run is None else verdict_of(run, scores), style="bold")
    if not isinstance(scores, Scores) and scores.final is not None and run is not None:
        out.print(verdict_of(run, scores.final), style="bold")
    out.print()
    if full:
        print_score_tables(scores)
    else:
        whole = [row for row in scores.metrics if row.label is None]
        names = summary_names([row.name for row in whole])
        out.print(_whole_table(scores, [row for row in whole if row.name in names]))
        out.print()
        _print_check_titles(scores.checks)
        if run is not None:
            of_split = "" if split == "test" else f" --split {split}"
            out.print(
                f"All scores and notes: penlight evaluate {shlex.quote(str(run))}{of_split} --full",
                style="dim",
                soft_wrap=True,
            )
    if not isinstance(scores, Scores) and not scores.sealed:
        out.print(
            "The folder is not sealed (written by Penlight 0.1.0): its runs may have been exchanged since.",
            style="dim",
        )


def summary_names(names: Sequence[str]) -> list[str]:
    """Choose five scores of the whole by name, in their order: those that lead a report, then the first others."""
    leading = sorted(range(len(names)), key=lambda i: not metric_words(names[i]).leads)[:_SUMMARISED]
    return [names[i] for i in sorted(leading)]


def _print_check_titles(checks: "Sequence[Check]") -> None:
    """Print the serious checks as sentences, and what the others are about."""
    serious = [check for check in checks if check.serious]
    if serious or not checks:
        _print_checks(serious)
    if notes := [check for check in checks if not check.serious]:
        titles = {rule.code: rule.title for rule in CHECKS} | {rule.code: rule.title for rule in SEEDS_CHECKS}
        table = plain_table(show_heads=False)
        for check in notes:
            table.add_row(Text("note   "), check.code, titles.get(check.code, check.seen))
        console().print(table)


def print_score_tables(scores: AnyScores) -> None:
    """Print the tables of scores, what belongs to them, and the checks."""
    out = console()
    out.print(_whole_table(scores, [row for row in scores.metrics if row.label is None]))
    labels = [row for row in scores.metrics if row.label is not None]
    if labels:
        out.print(_label_table(labels))
    # One reason may stand for several scores, and names every rare label.
    for note in dict.fromkeys(row.note for row in scores.metrics if row.note and row.label is None):
        of = [row_title(r.name, scores.metrics) for r in scores.metrics if r.label is None and r.note == note]
        out.print(f"{', '.join(of)}: {note}.", style="dim")
    if isinstance(scores, Scores):
        _print_answers(scores)
    if isinstance(scores, FoldsScores):
        _print_folds(scores)
    if not isinstance(scores, Scores) and scores.final is not None:
        out.print(_whole_table(scores.final, [row for row in scores.final.metrics if row.label is None]))
    if scores.subgroups:
        out.print(_subgroup_table(scores.subgroups))
    _print_checks(scores.checks)


def _print_checks(checks: "Sequence[Check]") -> None:
    """Print what the checks report, a paragraph each: how serious, its number, what was seen and what to do."""
    out = console()
    if not checks:
        out.print("No check reported a problem.", style="dim")
        return
    table = plain_table(show_heads=False)
    for check in checks:
        mark = Text("serious", "bold red") if check.serious else Text("note")
        table.add_row(mark, check.code, Text.assemble(check.seen, " ", (check.do, "dim")))
    out.print(table)


def _print_answers(scores: Scores) -> None:
    """Print what calibration did, the operating points, and what could not be found."""
    out = console()
    now = {row.name: row.value for row in scores.metrics if row.label is None}
    if scores.before:
        changes = ", ".join(f"{name} {number(was)} to {number(now[name])}" for name, was in scores.before.items())
        out.print(f"By calibration: {changes}.")
    if scores.points:
        out.print(_points_table(scores.points))
    for what in scores.unavailable:
        out.print(f"Unavailable: {what}.", style="dim")


def _subgroup_table(groups: "Sequence[Subgroup]") -> Table:
    """One line per group: its headline score and how far it is from all others; more than chance in bold."""
    table = plain_table("group", ">n", f">{groups[0].metric}", ">95 % interval", ">difference",
                        ">interval, corrected", ">p, Holm")  # fmt: skip
    for group in groups:
        cells = [group.note, "", "", ""] if group.note else [
            interval(group.low, group.high), signed_text(group.difference),
            interval(group.difference_low, group.difference_high), number(group.p_holm),
        ]  # fmt: skip
        style = "bold" if group.more_than_chance else None
        table.add_row(f"{group.column} {group.group}", f"{group.n:,}", number(group.value), *cells, style=style)
    return table


def _print_folds(scores: FoldsScores) -> None:
    """Print the headline score of each fold, and what has no answer or no score."""
    out = console()
    own = ", ".join(number(row.value) for row in scores.by_fold)
    unread = "" if scores.final is not None else " Test was not read."
    out.print(f"{scores.by_fold[0].name} by fold: {own}.{unread}")
    for what in scores.unavailable:
        out.print(f"Unavailable: {what}.", style="dim")


def _points_table(points: Sequence[OperatingPoint]) -> Table:
    """One line per question and threshold, one column per rate; of many questions only the points decided on."""
    if len({point.question for point in points}) > _FEW_QUESTIONS:
        points = [point for point in points if point.chosen == AS_DECIDED]
    table = plain_table()
    for head in ("answered", "yes", "above"):
        table.add_column(head, no_wrap=True)
    at = f"at {points[0].stated:g}"
    names = {"sensitivity": "sens.", "specificity": "spec.", "ppv": "PPV", "npv": "NPV",
             "likelihood_ratio_positive": "LR+", "likelihood_ratio_negative": "LR-",
             "ppv_stated": f"PPV {at}", "npv_stated": f"NPV {at}"}  # fmt: skip
    shown = [name for name in names if name in points[0].rates]
    for name in shown:
        table.add_column(names[name], justify="right")
    for point in points:
        values = (number(point.rates[name].value) for name in shown)
        table.add_row(point.question, point.chosen, number(point.threshold), *values)
    return table


def _whole_table(scores: AnyScores, rows: Sequence[Score]) -> Table:
    table = plain_table(
        "out of fold" if isinstance(scores, FoldsScores) else scores.split,
        ">mean" if isinstance(scores, SeedsScores) else ">value",
        *([] if isinstance(scores, Scores) else [">sd"]),
        ">95 % interval",
        *(f">{name}" for name in scores.baselines),
    )
    for position, row in enumerate(rows):
        deviation = [] if row.sd is None else [number(row.sd)]
        baselines = [
            next((number(r.value) for r in own if r.name == row.name and r.label is None), "")
            for own in scores.baselines.values()
        ]
        cells = (number(row.value), *deviation, interval(row.low, row.high), *baselines)
        table.add_row(row_title(row.name, scores.metrics), *cells, style="bold" if position == 0 else None)
    return table


def _label_table(rows: Sequence[Score]) -> Table:
    """One line per label, one column per metric, and how many images truly have the label."""
    names = list(dict.fromkeys(row.name for row in rows))
    table = plain_table("", ">n", *(f">{name}" for name in names))
    for label in dict.fromkeys(row.label for row in rows):
        own = {row.name: row for row in rows if row.label == label}
        values = [number(own[name].value) if name in own else "" for name in names]
        table.add_row(str(label), str(next(iter(own.values())).n), *values)
    return table


def print_corrupted(corrupted: "Corrupted") -> None:
    """Print the balanced error under each corruption and severity; the last line is the path of the report."""
    out, found = console(), corrupted.robustness
    out.print(_corruption_table(found))
    over = f", mean over seeds {', '.join(map(str, found.seeds))}" if len(found.seeds) > 1 else ""
    out.print(
        f"Balanced error on {counted(found.n, 'image')} of test{over}; change is against clean images.", style="dim"
    )
    for note in found.notes:
        out.print(f"Unavailable, {note}.", style="dim")
    say(corrupted.report)


def _corruption_table(found: "Robustness") -> Table:
    """Clean, then one line per corruption with its severities, and the mean over corruptions."""
    several = len(found.seeds) > 1
    numbers = [str(s + 1) for s in range(len(found.model.rows[0].severities))]
    right = (*numbers, "mean", *(["sd"] * several), "95 % interval", "change", *found.baselines)
    table = plain_table("corruption", *(f">{name}" for name in right))

    def add(
        name: str, severities: Sequence[float], level: "Level", change: "Level | None", rivals: "Sequence[Level]"
    ) -> None:
        cells = [*(map(number, severities) if severities else [""] * len(numbers)), number(level.value)]
        cells += [number(level.sd)] * several
        cells += [interval(level.low, level.high), "" if change is None else signed_text(change.value)]
        table.add_row(name, *cells, *(number(rival.value) for rival in rivals), style=None if severities else "bold")

    model, rivals = found.model, list(found.baselines.values())
    add("clean", (), model.clean, None, [rival.clean for rival in rivals])
    for place, row in enumerate(model.rows):
        add(row.name, row.severities, row.mean, row.change, [rival.rows[place].mean for rival in rivals])
    add("mean", (), model.mean, model.change, [rival.mean for rival in rivals])
    return table
