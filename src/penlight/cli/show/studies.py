"""What `penlight study` and `tune` print: the plan, the rows compared, the sets beside published scores, trials."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from penlight.cli.show.lines import say
from penlight.cli.show.output import console, interval, number, plain_table, print_list
from penlight.cli.show.scores import summary_names
from penlight.numbers import counted, decimal_text
from penlight.reports.verdict import tuning_verdict

if TYPE_CHECKING:
    from penlight import Studied, Swept, Tuned
    from penlight.experiments.studies import StudyPlan

_TRIALS_SHOWN = 5


def print_plan(plan: "StudyPlan") -> None:
    """Print the rows of a study with the states of their runs; the last line counts what is to be trained."""
    from penlight.experiments.studies import states_by_row

    out = console()
    out.print(plan.study.question)
    table = plain_table("row", "recipe", "view", ">runs", "state")
    for row, states in states_by_row(plan):
        said = ", ".join(f"{count} {state}" for state, count in states.items())
        table.add_row(row.id, Path(row.recipe).stem, plan.study.view_of(row), str(states.total()), said)
    out.print(table)
    if plan.count("changed"):
        out.print("changed: the folder holds a run of another recipe or data; move it away before the study runs.")
    if plan.left_over:
        out.print(f"No longer part of this study: {', '.join(map(str, plan.left_over))}")
    missing = len(plan.runs) - plan.count("done")
    _print_notes(plan.study.notes)
    say(f"{missing} of {len(plan.runs)} runs to train, in {plan.folder}")


def print_studied(result: "Studied", full: bool = False) -> None:
    """Print the verdict, and five scores of each recipe in the study's own view; or for each view costs, checks and
    findings. The last line is the path of the report."""
    out, tables = console(), result.record["tables"]
    out.print(result.verdict, style="bold")
    out.print()
    for part in tables if full else tables[:1]:
        out.print(f"view {part['view']}, {counted(part['images']['test'], 'test image')}", style="dim")
        out.print(_study_table(part) if full else _study_summary(part))
        print_list(part["findings"] if full else ())
        out.print()
    if not full:
        others = f", and the view {' and '.join(part['view'] for part in tables[1:])}" if len(tables) > 1 else ""
        out.print(f"Costs, notes and findings{others}: --full, or the report.", style="dim")
    _print_notes(result.record.get("study", {}).get("notes", ()))
    say(result.report)


def _print_notes(notes: Sequence[str]) -> None:
    """Print what a study leaves out, and how to get it."""
    for note in notes:
        console().print(note, style="dim")


def _study_summary(part: Mapping[str, Any]) -> Table:
    """One line per row, the best first: five scores, and the serious checks."""
    lines = _best_first(part)
    names = summary_names([m["name"] for m in lines[0][0]["metrics"] if m["label"] is None])
    table = plain_table("", *(f">{name}" for name in names), "serious")
    for row, _ in lines:
        values = {m["name"]: m["value"] for m in row["metrics"] if m["label"] is None}
        serious = Text(" ".join(check["code"] for check in row["checks"] if check["serious"]), "red")
        table.add_row(
            row["title"], *(_shown(values.get(name)) for name in names), serious or "-",
            style="bold" if row["id"] == part["best"] else None,
        )  # fmt: skip
    return table


def _best_first(part: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Give the rows of a study with their headline scores, the best first, and those without a score last."""
    none: dict[str, Any] = dict.fromkeys(("value", "sd", "low", "high"))
    lines = [
        (row, next((m for m in row["metrics"] if m["name"] == part["headline"] and m["label"] is None), none))
        for row in part["rows"]
    ]
    return sorted(lines, key=lambda line: math.inf if line[1]["value"] is None else -line[1]["value"])


def _study_table(part: Mapping[str, Any]) -> Table:
    """One line per row, the best first: the headline score, what it cost, the checks that report something."""
    table = plain_table("", f">{part['headline']}", ">sd", ">95 % interval", ">parameters", ">training (s)",
                        ">ms an image", "checks")  # fmt: skip
    for row, score in _best_first(part):
        cost = row["cost"]
        table.add_row(
            row["title"],
            _shown(score["value"]),
            _shown(score["sd"]),
            interval(*(math.nan if score[end] is None else score[end] for end in ("low", "high"))),
            "-" if cost["parameters"] is None else f"{cost['parameters']:,}",
            _shown(_mean_of(cost["fit_seconds"]), 1),
            _shown(_mean_of(cost["predict_ms_per_image"]), 2),
            " ".join(f"{check['code']}{'!' if check['serious'] else ''}" for check in row["checks"]) or "-",
            style="bold" if row["id"] == part["best"] else None,
        )
    return table


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _shown(value: float | None, decimals: int = 3) -> str:
    return "-" if value is None else decimal_text(value, decimals)


def print_swept(result: "Swept") -> None:
    """Print the sets beside the published scores; the last line is the path of the report, where it was written."""
    out = console()
    table = plain_table(
        "set", "model kept", ">AUC", ">95 % interval", ">linear", ">published", ">ACC", ">published", ""
    )
    for row in result.rows:
        auc, acc = row.lane("auc"), row.lane("acc")
        table.add_row(
            row.name,
            row.kept,
            number(auc.own.value),
            interval(auc.own.low, auc.own.high),
            number(auc.linear),
            number(auc.published),
            number(acc.own.value),
            number(acc.published),
            f"{auc.stands} in AUC",
        )
    if result.rows:
        out.print(table)
    if result.planned:
        out.print(f"To train: {', '.join(result.planned)}.")
    if result.absent:
        out.print(f"Not on disk: {', '.join(result.absent)}.", style="dim")
    if result.report is not None:
        say(result.report)


def print_tuned(result: "Tuned", full: bool = False) -> None:
    """Print the verdict, the best trial and the recipe as it was, or more of the best trials; the last line is the
    path of the best recipe."""
    numbered = {trial.number: trial for trial in result.trials}
    start = None if result.start is None else numbered.get(result.start)
    out = console()
    said = tuning_verdict(result.metric, result.judged_on, result.trials, numbered[result.best], start)
    out.print(said, style="bold")
    out.print()
    ranked = sorted((trial for trial in result.trials if trial.state == "complete"), key=lambda trial: -trial.value)
    table = plain_table(">trial", *(f">{name}" for name in (result.metric, *ranked[0].params)), "")
    for rank, trial in enumerate(ranked):
        if rank < (_TRIALS_SHOWN if full else 1) or trial.number == result.start:
            cells = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in trial.params.values()]
            about = "the recipe as it was" if trial.number == result.start else ""
            table.add_row(str(trial.number), number(trial.value), *cells, about, style=None if rank else "bold")
    out.print(table)
    out.print(f"{result.metric} on {result.judged_on}; test was not read.", style="dim")
    say(result.report)
    say(result.recipe)
