"""What the commands print: for people, tables and one line of progress; for programs, JSON alone."""

import json as json_format
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from penlight.api import (
    Audited,
    FoldsScores,
    Scores,
    SeedsScores,
    Shown,
    Studied,
    Trained,
    Tuned,
    Watcher,
)
from penlight.data.audit import Shift
from penlight.data.audit.page import shift_cells
from penlight.data.summary import PER_IMAGE
from penlight.evaluation import FoldsRow, MetricRow, SeedsRow
from penlight.evaluation.checks import Check
from penlight.evaluation.operating import AS_DECIDED, OperatingPoint
from penlight.evaluation.subgroups import Subgroup
from penlight.training import Epoch

if TYPE_CHECKING:
    from penlight.api import ComparedRuns, Corrupted, Explained, Exported, Swept
    from penlight.data.own.new import Found
    from penlight.evaluation.robustness import Level, Robustness
    from penlight.recipes.plan import Plan as MadePlan
    from penlight.study import Place, Plan

_WIDTH_WITHOUT_TERMINAL = 100


def console() -> Console:
    """Standard output; without a terminal, plain text of a fixed width."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL, highlight=False, soft_wrap=False)


def print_json(values: Any) -> None:
    """Print JSON alone on standard output."""
    sys.stdout.write(json_format.dumps(values, indent=1, allow_nan=False) + "\n")


class _OneLine(Watcher):
    """Draws on one line of standard error between entering and leaving; a subclass makes `_progress`."""

    _progress: Progress

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the line."""
        self._progress.stop()


class TrainingView(_OneLine):
    """Draws a training on one line of standard error: what is done, loss, headline metric, time left."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[epochs]}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, epochs="")
        self._plain = not quiet and not self._console.is_terminal

    def step(self, what: str) -> None:
        """See `Watcher.step`."""
        self._progress.reset(self._task, description=what, total=None, epochs="")
        if self._plain:
            self._console.print(what, highlight=False)

    def epoch(self, row: Epoch, planned: int) -> None:
        """See `Watcher.epoch`."""
        text = f"epoch {row.epoch}/{planned}  loss {row.loss:.3f}  val {row.val_headline:.3f}"
        self._progress.update(self._task, total=planned, completed=row.epoch, epochs=text)


class StudyView(TrainingView):
    """Draws a study on one line of standard error: the row, its seed, the epoch, the runs done, the time left."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._progress.columns = self._progress.columns[:-1]
        self._place: Place | None = None
        self._begun = 0.0
        self._said = ""

    def run(self, place: "Place") -> None:
        """See `Watcher.run`."""
        self._place, self._begun = place, time.monotonic()
        self._draw(0, None, "")
        if self._plain:
            self._console.print(f"{_of_study(place)}  {_left(place, place.own)}".rstrip(), highlight=False)

    def step(self, what: str) -> None:
        """See `Watcher.step`; what belongs to a run stands behind its place."""
        if self._place is None or what.startswith(("Scoring ", "Comparing", "Writing the study")):
            super().step(what)
        else:
            self._draw(0, None, what.lower())

    def epoch(self, row: Epoch, planned: int) -> None:
        """See `Watcher.epoch`."""
        self._draw(row.epoch, planned, f"epoch {row.epoch}/{planned}  val {row.val_headline:.3f}")

    def _draw(self, done: int, planned: int | None, what: str) -> None:
        if self._place is None:
            return
        spent = time.monotonic() - self._begun
        own = spent / done * (planned - done) if done and planned else self._place.own
        self._progress.update(
            self._task,
            description=_of_study(self._place),
            total=planned,
            completed=done,
            epochs=f"{what}  {_left(self._place, own)}".strip(),
        )


def _of_study(place: "Place") -> str:
    return f"run {place.number}/{place.total}  {place.title}, seed {place.seed}"


def _left(place: "Place", own: float | None) -> str:
    """Say what is left: at least so much, as long as rows have not been trained yet; nothing before any is known."""
    seconds = place.after + (own or 0.0)
    if not seconds:
        return ""
    about = "about" if own is not None and place.after_known else "at least"
    minutes = math.ceil(seconds / 60)
    return f"{about} {minutes} min left" if minutes < 90 else f"{about} {minutes / 60:.1f} h left"


def print_plan(plan: "Plan", json: bool) -> None:
    """Print the rows of a study with the states of their runs; the last line counts what is to be trained."""
    if json:
        print_json(plan.to_dict())
        return
    from penlight.study import states_by_row

    out = console()
    out.print(plan.study.question, markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("row", "recipe", "view", "runs", "state"):
        table.add_column(name, justify="right" if name == "runs" else "left")
    for row, states in states_by_row(plan):
        said = ", ".join(f"{count} {state}" for state, count in states.items())
        table.add_row(row.id, Path(row.recipe).stem, plan.study.view_of(row), str(states.total()), said)
    out.print(table)
    if plan.count("changed"):
        out.print("changed: the folder holds a run of another recipe or data; move it away before the study runs.")
    if plan.left_over:
        out.print(f"Not of this study any more: {', '.join(map(str, plan.left_over))}", markup=False)
    missing = len(plan.runs) - plan.count("done")
    print(f"{missing} of {len(plan.runs)} runs to train, in {plan.folder}")  # noqa: T201


def print_studied(result: Studied, json: bool) -> None:
    """Print a table for each view and its findings; the last line is the path of the report."""
    if json:
        print_json(result.to_dict())
        return
    out = console()
    for part in result.record["tables"]:
        out.print(f"view {part['view']}, {part['images']['test']:,} test images", style="dim")
        out.print(_study_table(part))
        for sentence in part["findings"]:
            out.print(f"- {sentence}", markup=False)
        out.print()
    print(result.report)  # noqa: T201


def _study_table(part: Mapping[str, Any]) -> Table:
    """One line per row, the best first: the headline score and what it cost."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in (part["headline"], "sd", "95 % interval", "parameters", "training (s)", "ms an image"):
        table.add_column(name, justify="right")
    table.add_column("checks")
    lines = [(row, _headline_of(row, part["headline"])) for row in part["rows"]]
    lines.sort(key=lambda line: -math.inf if line[1]["mean"] is None else -line[1]["mean"])
    for row, score in lines:
        cost = row["cost"]
        table.add_row(
            row["title"],
            _shown(score["mean"]),
            _shown(score["sd"]),
            f"{_shown(score['low'])} to {_shown(score['high'])}",
            "-" if cost["parameters"] is None else f"{cost['parameters']:,}",
            _shown(_mean_of(cost["fit_seconds"]), 1),
            _shown(_mean_of(cost["predict_ms_per_image"]), 2),
            _codes(row["checks"]),
            style="bold" if row["id"] == part["best"] else None,
        )
    return table


def _codes(checks: Sequence[Mapping[str, Any]]) -> str:
    """Give the numbers of the checks that spoke up, the serious ones marked."""
    return " ".join(f"{check['code']}{'!' if check['serious'] else ''}" for check in checks) or "-"


def _headline_of(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    none = dict.fromkeys(("mean", "sd", "low", "high"))
    return next((m for m in row["metrics"] if m["name"] == name and m["label"] is None), none)


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _shown(value: float | None, decimals: int = 3) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


class TuningView(_OneLine):
    """Draws a tuning on one line of standard error: the trial, the best so far, the epoch, time left."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[about]}"),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, about="")
        self._plain = not quiet and not self._console.is_terminal
        self._about = ""
        self._end: float | None = None

    def step(self, what: str) -> None:
        """See `Watcher.step`."""
        self._progress.reset(self._task, description=what, total=None, about="")
        if self._plain:
            self._console.print(what)

    def trial(self, done: int, planned: int | None, best: float, seconds_left: float | None) -> None:
        """See `Watcher.trial`."""
        of = f"{done}/{planned}" if planned else f"{done}"
        self._about = f"{of} trials  best {_number(best)}"
        self._end = None if seconds_left is None else time.monotonic() + seconds_left
        self._progress.update(self._task, total=planned, completed=done, about=self._line())
        if self._plain:
            self._console.print(self._line())

    def epoch(self, row: Epoch, planned: int) -> None:
        """See `Watcher.epoch`."""
        self._progress.update(self._task, about=f"{self._line()}  epoch {row.epoch}/{planned}")

    def _line(self) -> str:
        if self._end is None:
            return self._about
        left = max(0, round(self._end - time.monotonic()))
        return f"{self._about}  about {left // 60}:{left % 60:02d} left"


_TRIALS_SHOWN = 5
_FILES_SHOWN = 10


def print_tuned(result: Tuned, json: bool) -> None:
    """Print the best trials and the recipe as it was; the last line is the path of the best recipe."""
    if json:
        print_json(result.to_dict())
        return
    ranked = sorted((t for t in result.trials if t.state == "complete"), key=lambda t: -t.value)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("trial", justify="right")
    for name in (result.metric, *ranked[0].params):
        table.add_column(name, justify="right")
    table.add_column("")
    for rank, trial in enumerate(ranked):
        if rank < _TRIALS_SHOWN or trial.number == result.start:
            cells = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in trial.params.values()]
            about = "the recipe as it was" if trial.number == result.start else ""
            style = None if rank else "bold"
            table.add_row(str(trial.number), _number(trial.value), *cells, about, style=style)
    out = console()
    out.print(table)
    out.print(f"{result.metric} on {result.judged_on}; test was not read.", style="dim")
    print(result.report)  # noqa: T201
    print(result.recipe)  # noqa: T201


def print_plan_made(plan: "MadePlan | None", json: bool) -> None:
    """Print a plan before it is trained: each choice with its reason; nothing where no plan was made."""
    if plan is None or json:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("plan", "", "why"):
        table.add_column(name)
    for reason in plan.reasons:
        table.add_row(reason.about, reason.choice, Text(reason.why, "dim"))
    out = console()
    out.print(table)
    out.print(f"About {plan.seconds:.0f} s of training a seed on this machine.\n", style="dim", highlight=False)


def print_swept(result: "Swept", json: bool) -> None:
    """Print the sets beside the published scores; the last line is the path of the report, where it was written."""
    if json:
        print_json(result.to_dict())
        return
    out = console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("set", "model kept", "AUC", "95 % interval", "linear", "published", "ACC", "published", ""):
        table.add_column(name, justify="left" if name in ("set", "model kept", "") else "right")
    for row in result.rows:
        auc, acc = row.lane("auc"), row.lane("acc")
        table.add_row(
            row.name,
            row.kept,
            _number(auc.own.value),
            f"{_number(auc.own.low)} to {_number(auc.own.high)}",
            _number(auc.linear),
            _number(auc.published),
            _number(acc.own.value),
            _number(acc.published),
            f"{auc.stands} in AUC",
        )
    if result.rows:
        out.print(table)
    if result.planned:
        out.print(f"To train: {', '.join(result.planned)}.")
    if result.absent:
        out.print(f"Not on disk: {', '.join(result.absent)}.", style="dim")
    if result.report is not None:
        print(result.report)  # noqa: T201


def print_trained(result: Trained, json: bool) -> None:
    """Print what `train` made; the last line is the path of the report."""
    if json:
        print_json(result.to_dict())
        return
    _print_scores(result.scores)
    _print_kept(result)
    print(result.report)  # noqa: T201


def _print_kept(result: Trained) -> None:
    """Say where a plan ended with the linear baseline."""
    linear = result.kept.count("linear")
    if result.plan is None or not linear:
        return
    seeds = "" if len(result.kept) == 1 else f" with {linear} of {len(result.kept)} seeds"
    console().print(
        f"The linear baseline is the model that was kept{seeds}: on val the network was not better by more than the "
        "standard error.",
        style="bold",
    )


def print_compared(result: "ComparedRuns", json: bool) -> None:
    """Print the verdict, the models and their differences; the last line is the page, if one was written."""
    if json:
        print_json(result.to_dict())
        return
    from penlight.report.comparison import comparison_verdict
    from penlight.report.words import p_value

    found, out = result.comparison, console()
    out.print(comparison_verdict(found, result.modality), style="bold", markup=False)
    scores = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    scores.add_column(f"{found.split}, {found.metric}")
    for name in ("seeds", "mean", "sd", "95 % interval"):
        scores.add_column(name, justify="right")
    for m in found.models:
        interval = f"{_number(m.low)} to {_number(m.high)}"
        scores.add_row(m.name, str(len(m.seeds)), _number(m.mean), _number(m.sd), interval)
    out.print(scores)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("difference")
    table.add_column("against")
    for name in ("", "95 % interval", "p", "p, Holm"):
        table.add_column(name, justify="right")
    for d in found.differences:
        interval = f"{_number(d.low)} to {_number(d.high)}"
        style = "bold" if d.more_than_chance else None
        table.add_row(d.row, d.against, _number(d.value), interval, p_value(d.p), p_value(d.p_holm), style=style)
    out.print(table)
    if result.page is not None:
        print(result.page)  # noqa: T201


def print_exported(result: "Exported", json: bool) -> None:
    """Print how a file compares with the model: probabilities, then each metric; the last line is its path."""
    if json:
        print_json(result.to_dict())
        return
    out, parity = console(), result.parity
    out.print(
        f"{result.to}, {result.precision}, {result.bytes:,} bytes. Over {parity.images:,} images of {parity.split} "
        f"the largest difference of a probability is {parity.difference:.1e}.",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(parity.split)
    for name in ("model", "file", "change"):
        table.add_column(name, justify="right")
    for change in parity.changes:
        if change.label is None:
            moved = change.file - change.model
            table.add_row(change.name, _number(change.model), _number(change.file), f"{moved:+.4f}")
    out.print(table)
    print(result.file)  # noqa: T201


def print_corrupted(corrupted: "Corrupted", json: bool) -> None:
    """Print the balanced error under each corruption and severity; the last line is the path of the report."""
    if json:
        print_json(corrupted.to_dict())
        return
    out, found = console(), corrupted.robustness
    out.print(_corruption_table(found))
    over = f", mean over seeds {', '.join(map(str, found.seeds))}" if len(found.seeds) > 1 else ""
    out.print(f"Balanced error on {found.n:,} images of test{over}; change is against clean images.", style="dim")
    for note in found.notes:
        out.print(f"Unavailable, {note}.", style="dim")
    print(corrupted.report)  # noqa: T201


def _corruption_table(found: "Robustness") -> Table:
    """Clean, then one line per corruption with its severities, and the mean over corruptions."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("corruption")
    several = len(found.seeds) > 1
    numbers = [str(s + 1) for s in range(len(found.model.rows[0].severities))]
    for name in (*numbers, "mean", *(["sd"] * several), "95 % interval", "change", *found.baselines):
        table.add_column(name, justify="right")

    def add(
        name: str, severities: Sequence[float], level: "Level", change: "Level | None", rivals: "Sequence[Level]"
    ) -> None:
        cells = [*(map(_number, severities) if severities else [""] * len(numbers)), _number(level.value)]
        cells += [_number(level.sd)] * several
        cells += [f"{_number(level.low)} to {_number(level.high)}", "" if change is None else _signed(change.value)]
        table.add_row(name, *cells, *(_number(rival.value) for rival in rivals), style=None if severities else "bold")

    model, rivals = found.model, list(found.baselines.values())
    add("clean", (), model.clean, None, [rival.clean for rival in rivals])
    for place, row in enumerate(model.rows):
        add(row.name, row.severities, row.mean, row.change, [rival.rows[place].mean for rival in rivals])
    add("mean", (), model.mean, model.change, [rival.mean for rival in rivals])
    return table


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.3f}"


def print_scores(scores: Scores | SeedsScores | FoldsScores, json: bool) -> None:
    """Print scores with intervals, the baselines beside them."""
    if json:
        print_json(scores.to_dict())
    else:
        _print_scores(scores)


def _print_scores(scores: Scores | SeedsScores | FoldsScores) -> None:
    out = console()
    out.print(_whole_table(scores))
    labels = [row for row in scores.metrics if row.label is not None]
    if labels:
        out.print(_label_table(labels))
    for row in scores.metrics:
        if row.note and row.label is None:
            out.print(f"{row.name}: {row.note}.", style="dim")
    if isinstance(scores, Scores):
        _print_answers(scores)
    if isinstance(scores, FoldsScores):
        _print_folds(scores)
    if scores.subgroups:
        out.print(_subgroup_table(scores.subgroups))
    _print_checks(scores.checks)


def _print_checks(checks: Sequence[Check]) -> None:
    """Print what spoke up, a paragraph each: how serious, its number, what was seen and what to do."""
    out = console()
    if not checks:
        out.print("No check spoke up.", style="dim")
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for check in checks:
        mark = Text("serious", "bold red") if check.serious else Text("note")
        table.add_row(mark, check.code, Text.assemble(check.seen, " ", (check.do, "dim")))
    out.print(table)


def _print_answers(scores: Scores) -> None:
    """Print what calibration did, the operating points, and what could not be found."""
    out = console()
    now = {row.name: row.value for row in scores.metrics if row.label is None}
    if scores.before:
        changes = ", ".join(f"{name} {_number(was)} to {_number(now[name])}" for name, was in scores.before.items())
        out.print(f"Calibrated on val: {changes}.")
    if scores.points:
        out.print(_points_table(scores.points))
    for what in scores.unavailable:
        out.print(f"Unavailable: {what}.", style="dim")


def _subgroup_table(groups: Sequence[Subgroup]) -> Table:
    """One line per group: its headline score and how far it is from all others; more than chance in bold."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("group")
    for name in ("n", groups[0].metric, "95 % interval", "difference", "95 % interval", "p, Holm"):
        table.add_column(name, justify="right")
    for g in groups:
        cells = [g.note, "", "", ""] if g.note else [
            f"{_number(g.low)} to {_number(g.high)}", _number(g.difference),
            f"{_number(g.difference_low)} to {_number(g.difference_high)}", _number(g.p_holm),
        ]  # fmt: skip
        style = "bold" if g.more_than_chance else None
        table.add_row(f"{g.column} {g.group}", f"{g.n:,}", _number(g.value), *cells, style=style)
    return table


def _print_folds(scores: FoldsScores) -> None:
    """Print the headline score of each fold, and what has no answer or no score."""
    out = console()
    own = ", ".join(_number(row.value) for row in scores.by_fold)
    out.print(f"{scores.by_fold[0].name} by fold: {own}. Test was not read.")
    for what in (*scores.unanswered, *scores.unavailable):
        out.print(f"Unavailable: {what}.", style="dim")


_FEW_QUESTIONS = 3


def _points_table(points: Sequence[OperatingPoint]) -> Table:
    """One line per question and threshold, one column per rate; of many questions only the points decided on."""
    if len({point.question for point in points}) > _FEW_QUESTIONS:
        points = [point for point in points if point.chosen == AS_DECIDED]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
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
        values = (_number(point.rates[name].value) for name in shown)
        table.add_row(point.question, point.chosen, _number(point.threshold), *values)
    return table


def _whole_table(scores: Scores | SeedsScores | FoldsScores) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("out of fold" if isinstance(scores, FoldsScores) else scores.split)
    table.add_column("mean" if isinstance(scores, SeedsScores) else "value", justify="right")
    if not isinstance(scores, Scores):
        table.add_column("sd", justify="right")
    table.add_column("95 % interval", justify="right")
    for name in scores.baselines:
        table.add_column(name, justify="right")
    for position, row in enumerate(r for r in scores.metrics if r.label is None):
        rivals = [_value_of(rows, row.name) for rows in scores.baselines.values()]
        table.add_row(row.name, *_cells(row), *rivals, style="bold" if position == 0 else None)
    return table


def _cells(row: MetricRow | SeedsRow) -> list[str]:
    interval = f"{_number(row.low)} to {_number(row.high)}"
    if isinstance(row, SeedsRow):
        return [_number(row.mean), _number(row.sd), interval]
    return [_number(row.value), *([_number(row.sd)] if isinstance(row, FoldsRow) else []), interval]


def _label_table(rows: Sequence[MetricRow | SeedsRow]) -> Table:
    """One line per label, one column per metric, and how many images truly have the label."""
    names = list(dict.fromkeys(row.name for row in rows))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("n", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    for label in dict.fromkeys(row.label for row in rows):
        own = {row.name: row for row in rows if row.label == label}
        values = [_number(_main(own[name])) if name in own else "" for name in names]
        table.add_row(str(label), str(next(iter(own.values())).n), *values)
    return table


def _main(row: MetricRow | SeedsRow) -> float:
    return row.mean if isinstance(row, SeedsRow) else row.value


def _value_of(rows: Sequence[MetricRow], name: str) -> str:
    return next((_number(row.value) for row in rows if row.name == name and row.label is None), "")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def print_explained(explained: "Explained", json: bool) -> None:
    """Print a line for each image and label, and what a map means; the last line is the path of the picture."""
    if json:
        print_json(explained.to_dict())
        return
    out = console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    truths = any(e.source.truth is not None for e in explained.explanations)
    for name in ("image", *(["truth"] if truths else []), "answer", "label", "probability", "peak (row, column)"):
        table.add_column(name, justify="right" if name.startswith(("prob", "peak")) else "left")
    for e in explained.explanations:
        peak = "nowhere" if e.peak is None else f"{e.peak[0]}, {e.peak[1]}"
        truth = [e.source.truth or ""] if truths else []
        table.add_row(e.source.name, *truth, e.answer, e.label, _number(e.probability), peak)
    out.print(table)
    for e in explained.explanations:
        if e.alike is not None:
            like = ", ".join(f"train {n['row']} ({' and '.join(n['labels']) or 'none'})" for n in e.alike)
            out.print(f"{e.source.name} is most like {like}.", markup=False)
    out.print(f"By {explained.method}. {explained.meaning}", style="dim", markup=False)
    for path, reason in explained.problems.items():
        out.print(f"{path} was left out: {reason}.", markup=False)
    print(explained.files[-1])  # noqa: T201


def print_recipes(recipes: Sequence[Mapping[str, str]], json: bool) -> None:
    """Print the presets with their headers."""
    if json:
        print_json(list(recipes))
        return
    for recipe in recipes:
        console().print(recipe["name"], style="bold")
        console().print(recipe["about"] + "\n", markup=False)


def print_datasets(datasets: Sequence[Mapping[str, Any]], json: bool) -> None:
    """Print the catalog as a table."""
    if json:
        print_json(list(datasets))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("name", "task", "images", "on disk (px)", "licence"):
        table.add_column(name, justify="right" if name == "images" else "left")
    for row in datasets:
        images = "" if row["samples"] is None else f"{sum(row['samples'].values()):,}"
        table.add_row(row["name"], row["task"], images, ", ".join(map(str, row["sizes"])) or "-", row["licence"])
    console().print(table)


def print_path(path: Path, json: bool) -> None:
    """Print where something is."""
    if json:
        print_json({"path": str(path)})
    else:
        print(path)  # noqa: T201


def print_found(found: "Found", json: bool) -> None:
    """Print what was found and written; the last line is the next command."""
    if json:
        print_json(found.to_dict())
        return
    out = console()
    out.print(f"{found.task}: {found.reason}", markup=False)
    out.print(_split_table(found.labels, found.counts, found.images, "label"))
    for what, listed in (
        ("left out", [f"{path}: {reason}" for path, reason in found.problems.items()]),
        ("ignored", list(found.ignored)),
    ):
        if listed:
            noun = "file" if len(listed) == 1 else "files"
            more = "; ..." if len(listed) > _FILES_SHOWN else ""
            out.print(f"{len(listed):,} {noun} {what}: {'; '.join(listed[:_FILES_SHOWN])}{more}", markup=False)
    for note in found.notes:
        out.print(f"- {note}", markup=False)
    for path in (found.description, *([found.splits] if found.splits else [])):
        print(path)  # noqa: T201
    print(f"Next: {found.next}")  # noqa: T201


def print_description(shown: Shown, json: bool) -> None:
    """Print the view, the table of splits and labels, and what is to see; the last line is the path of the page."""
    if json:
        print_json(shown.to_dict())
        return
    about = shown.description
    out = console()
    out.print(about.view_text(), style="dim", markup=False)
    out.print(_split_table(about.rows, about.counts, about.images, "label"))
    if about.findings is not None:
        out.print(_split_table(PER_IMAGE, about.findings.per_image, about.images, "in one image"))
        out.print(about.findings.together_text(), markup=False)
    out.print(about.positions.text(), markup=False)
    print(shown.files[-1])  # noqa: T201


def _split_table(
    rows: Sequence[str], counts: Mapping[str, Sequence[int]], images: Mapping[str, int], head: str
) -> Table:
    """One line per row with its count and share by split, and a last line with the images."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(head)
    for split in images:
        table.add_column(split, justify="right")
        table.add_column("share", justify="right")
    for i, label in enumerate(rows):
        cells = [(f"{counts[s][i]:,}", f"{counts[s][i] / n:.1%}") for s, n in images.items()]
        table.add_row(label, *(cell for pair in cells for cell in pair))
    table.add_row("images", *(cell for n in images.values() for cell in (f"{n:,}", "")), style="bold")
    return table


def print_audit(audited: Audited, json: bool) -> None:
    """Print the problems, the serious ones first, and the shifts; the last line is the path of the page."""
    if json:
        print_json(audited.to_dict())
        return
    out = console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for problem in audited.problems:
        mark = Text("serious", style="bold") if problem.serious else Text("note")
        table.add_row(mark, Text(f"{problem.seen} {problem.do}"))
    out.print(table if audited.problems else f"Nothing was found in {audited.dataset}.")
    if audited.audit.shifts:
        out.print(_shift_table(audited.audit.shifts))
    print(audited.page)  # noqa: T201


def _shift_table(shifts: Sequence[Shift]) -> Table:
    """One line per split: whether its images and its labels can be told from train's."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("against train", "AUC by images", "95 % interval", "p", "p by labels", "most apart"):
        table.add_column(name, justify="left" if name in ("against train", "most apart") else "right")
    for name in ("train, %", "here, %"):
        table.add_column(name, justify="right")
    for shift in shifts:
        table.add_row(*map(Text, shift_cells(shift)))
    return table
