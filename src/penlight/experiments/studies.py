"""Studies: which runs there are to be, which are done, and what all of them together say."""

import contextlib
import math
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from penlight.data import ViewedDataset, apply_view, store
from penlight.data.catalog import info_of_reference
from penlight.data.summary import DataDescription
from penlight.disk import inner_folders, is_inside, short_path
from penlight.errors import PredictionsError, RecipeError, RunError, UnknownNameError
from penlight.evaluation import Score, find_row
from penlight.evaluation.checks import check_seeds
from penlight.evaluation.comparison import Difference, differences, paired_draws
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import RunSpec
from penlight.experiments.seeds import summarise_seeds
from penlight.numbers import counted
from penlight.parsing import parse_json_object
from penlight.recipes import Cnn, Data, Linear, Majority, Pretrained, Recipe, Residual
from penlight.recipes import differences as recipe_differences
from penlight.recipes.plan import TrainingPlan
from penlight.recipes.study import Study, StudyRow, study_from_dict
from penlight.records import Record, check_record, json_key
from penlight.reports.content import content_of_run, description_of
from penlight.reports.displays import ConfusionMatrix, LabelConfusion
from penlight.reports.findings import findings
from penlight.reports.study_content import StudyContent, StudyRowResult, StudyTable, pairs
from penlight.runs import Answers, RunFolder, open_run, read_claim
from penlight.runs.dataset import seen_by
from penlight.runs.evidence import checks_kept, headline_kept
from penlight.runs.files import is_sound
from penlight.runs.folder import MANIFEST, SUMMARY, is_half_written, run_folder_in, run_folders
from penlight.runs.groups import REPORT, STUDY, open_group, unseal
from penlight.runs.holdings import is_shared
from penlight.runs.scores import SeedsSummary
from penlight.runs.studies import Cost, Kind, StudyAsked, StudyRecord

SCHEMA = 1

RESOLUTION = "resolution"
"""The study that is written for a dataset: one recipe at each of its sizes."""

PLANNED = "plan"
"""What a row names in the place of a recipe whose recipe is planned."""

State = Literal["done", "begun", "missing", "changed"]


class ImagesSeen(NamedTuple):
    """Through which view a run sees the images of a study, and at which size in pixels."""

    view: str
    size: int

    @classmethod
    def of(cls, recipe: Recipe) -> "ImagesSeen":
        """Give those of a recipe."""
        return cls(recipe.data.view, recipe.data.size)


class PlannedRun(Record):
    """One run of a study. `state`: done; begun, and to be continued; missing; or changed, when its folder holds a run
    of another recipe or of other data. `run` is the complete run in its folder, `plan` what its recipe comes from."""

    row: StudyRow = json_key(written=attrgetter("id"))
    recipe: Recipe = json_key(hidden=True)
    seed: int
    folder: Path
    state: State
    run: RunFolder | None = json_key(default=None, hidden=True)
    plan: TrainingPlan | None = json_key(default=None, hidden=True)


class StudyPlan(Record, table="runs"):
    """A study and the state of each of its runs; `left_over` are run folders in its folder that are not of it.

    `source` is what the study was read by: the name of one that ships, or a file, or "resolution".
    """

    study: Study = json_key(written=attrgetter("name"))
    source: str = json_key(hidden=True)
    folder: Path
    runs: tuple[PlannedRun, ...]
    left_over: tuple[Path, ...]

    @property
    def command(self) -> str:
        """The command that repeats the study, or goes on with it."""
        return f"penlight study {self._named(self.source)} --out {shlex.quote(str(self.folder))}"

    @property
    def shared_source(self) -> str:
        """What the study was read by, without a path of this machine."""
        return short_path(Path(self.source)) if self.source.endswith(".toml") else self.source

    @property
    def shared_command(self) -> str:
        """The command, without a path of this machine: for a report, which may be handed on."""
        return f"penlight study {self._named(self.shared_source)} --out {shlex.quote(short_path(self.folder))}"

    @property
    def command_alone(self) -> str:
        """The command without a folder, for a copy."""
        return f"penlight study {self._named(self.source)}"

    def _named(self, source: str) -> str:
        """Give what follows `penlight study` to name the study."""
        if source != RESOLUTION:
            return shlex.quote(source)
        study, row = self.study, self.study.rows[-1]
        recipe = short_path(Path(row.recipe)) if row.recipe.endswith(".toml") else row.recipe
        said = [("recipe", recipe)] if recipe != PLANNED else []
        said += [("view", study.view)] if study.view != "native" else []
        said += [("set", own) for own in row.overrides]
        options = (f"--{name} {shlex.quote(value)}" for name, value in said)
        return " ".join([source, shlex.quote(study.dataset), *options])

    def count(self, state: State) -> int:
        """Count the runs of a state."""
        return sum(run.state == state for run in self.runs)

    @property
    def views(self) -> tuple[str, ...]:
        """The views of the rows, the study's own first."""
        found = dict.fromkeys(run.recipe.data.view for run in self.runs)
        return tuple(sorted(found, key=lambda view: view != self.study.view))

    @property
    def seen(self) -> dict[ImagesSeen, Data]:
        """The data that the runs see, by view and size."""
        return {ImagesSeen.of(run.recipe): run.recipe.data for run in self.runs}


@dataclass(frozen=True)
class StudyProgress:
    """Where a study is: run `number` of `total`, of a row and seed.

    `own` is what the run is expected to take, in seconds, from its row's other seeds, None for the first; `after` is
    what the runs after it will take, of those whose row has a done run; `after_known` says that all of them have.
    """

    title: str
    seed: int
    number: int
    total: int
    own: float | None
    after: float
    after_known: bool


def plan_study(
    study: Study,
    source: str,
    folder: Path,
    data_md5: Callable[[int], str],
    *,
    is_kept: bool = False,
    planned: Mapping[str, tuple[Recipe, TrainingPlan | None]] | None = None,
) -> StudyPlan:
    """Resolve every row and look at what is done. RecipeError, or UnknownNameError for a view, before anything runs.

    Of a study that `is_kept` in its folder, recipes that were files or plans are those of its runs: it says of them
    only their names. `data_md5` gives the hash of the dataset's file of a size; it is asked for only where there is a
    run to compare it with. `planned` are recipes, and the plans that they come from, by row, in the place of what the
    row names.
    """
    views = info_of_reference(study.dataset).task.views
    recipes, planned = {}, planned or {}
    for row in study.rows:
        if (view := study.view_of(row)) not in views:
            raise UnknownNameError(f"view of {study.dataset}", view, views)
        if is_kept and (row.recipe.endswith(".toml") or source == RESOLUTION):
            recipes[row.id] = open_run(run_folder_in(folder, row.id, "seed-0")).recipe
        else:
            recipes[row.id] = planned[row.id][0] if row.id in planned else study.recipe_of(row)
    runs = []
    for row in study.rows:
        for seed in range(study.seeds_of(row)):
            path = run_folder_in(folder, row.id, f"seed-{seed}")
            complete = is_inside(path, MANIFEST) and not is_half_written(path, recipes[row.id].hash, seed)
            found = open_run(path).read_once() if complete else None
            state = _state(path, found, recipes[row.id], seed, data_md5)
            plan = planned[row.id][1] if row.id in planned else None
            runs.append(PlannedRun(row, recipes[row.id], seed, path, state, found, plan))
    own = {run.folder for run in runs}
    left = [path for row in inner_folders(folder) for path in run_folders(folder / row, "seed") if path not in own]
    return StudyPlan(study, source, folder, tuple(runs), tuple(left))


def _state(path: Path, run: RunFolder | None, recipe: Recipe, seed: int, data_md5: Callable[[int], str]) -> State:
    if run is not None:
        kept = (run.recipe.hash, run.seed) == (recipe.hash, seed)
        return "done" if kept and run.provenance["data_md5"] == data_md5(recipe.data.size) else "changed"
    claim = read_claim(path)
    if claim is None:
        return "missing"
    return "begun" if claim == {"recipe_hash": recipe.hash, "seed": seed} else "changed"


def require_no_changed(plan: StudyPlan) -> None:
    """Raise RunError, naming them, if folders of the study hold runs of other recipes or data than it asks for."""
    changed = [str(run.folder) for run in plan.runs if run.state == "changed"]
    if not changed:
        return
    rest = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
    raise RunError(
        f"The study {plan.study.name} has changed since it began: {', '.join(changed[:5])}{rest} "
        f"{'holds a run' if len(changed) == 1 else 'hold runs'} of another recipe or another file of the dataset.",
        "Move those folders away, give the changed rows other ids, or choose another folder with --out.",
    )


def study_specs(plan: StudyPlan, images: bool, listener: ProgressListener) -> Iterator[RunSpec]:
    """List the runs of a study in the order of the rows."""
    seconds: dict[str, list[float]] = {}
    for run in plan.runs:
        if run.run is not None and run.state == "done":
            spent = run.run.provenance["durations"]["total"]
            seconds.setdefault(run.row.id, []).append(float(spent))
    for number, planned in enumerate(plan.runs, start=1):
        asked = planned.recipe, planned.seed, planned.folder
        spec = RunSpec(*asked, "study", plan=planned.plan, images=images, group=plan.folder)
        if planned.state == "done":
            yield spec
            continue
        listener.on_run(_place(plan, number, seconds))
        if not is_inside(planned.folder, MANIFEST):
            # A summary of other runs than those that will be here must not outlive them.
            unseal(planned.folder.parent)
            (planned.folder.parent / SUMMARY).unlink(missing_ok=True)
        begun = time.perf_counter()
        yield spec
        seconds.setdefault(planned.row.id, []).append(time.perf_counter() - begun)


def _place(plan: StudyPlan, number: int, seconds: Mapping[str, Sequence[float]]) -> StudyProgress:
    def expected(row: str) -> float | None:
        known = seconds.get(row)
        return sum(known) / len(known) if known else None

    now = plan.runs[number - 1]
    after = [expected(run.row.id) for run in plan.runs[number:] if run.state != "done"]
    # A row's first run tells what its other seeds will take.
    known = [value for value in after if value is not None]
    own = expected(now.row.id)
    return StudyProgress(now.row.title, now.seed, number, len(plan.runs), own, sum(known), len(known) == len(after))


def record_of(plan: StudyPlan, content: StudyContent) -> StudyRecord:
    """Give what study.json holds: the study, its tables, the differences, the findings."""
    return StudyRecord(
        SCHEMA,
        plan.shared_source,
        check_record(StudyAsked, plan.study.shared().model_dump(mode="json"), "The study"),
        content.example.dataset.name,
        content.example.test.data_hash,
        [table.record(findings(table)) for table in content.tables],
        content.left_over,
    )


def read_study(folder: Path) -> tuple[Study, str]:
    """Read the study of a folder, and its source. RunError if its study.json is missing or damaged."""
    record = open_group(folder).study
    try:
        return study_from_dict(record.study.to_dict(), str(folder / STUDY)), record.source
    except RecipeError as error:
        raise RunError(f"{folder / STUDY} is damaged. {error.problem}", "Repeat the study.") from error


def _table(
    study: Study,
    view: str,
    runs: Mapping[str, Sequence[RunFolder]],
    described: DataDescription,
    rows_of: Mapping[str, Sequence[Score]],
) -> StudyTable:
    chosen = [row for row in study.rows if study.view_of(row) == view]
    tests = {row.id: [run.answers("test") for run in runs[row.id]] for row in chosen}
    _require_same_images(tests, study)
    task = described.task
    headlines = {row.id: tuple(_headline(run, task.headline) for run in runs[row.id]) for row in chosen}
    entries = tuple(
        _entry(study, row, runs[row.id], tests[row.id], rows_of[row.id], headlines[row.id]) for row in chosen
    )
    table = StudyTable(
        view=view,
        view_text=described.view_text(),
        task=task,
        images=dict(described.images),
        entries=entries,
        differences=tuple(_differences(entries, tests, task.headline)),
    )
    vals = {row.id: [run.answers("val") for run in runs[row.id]] for row in chosen}
    _require_same_images(vals, study)
    return replace(table, on_val=_on_val(table, vals))


def _on_val(table: StudyTable, vals: Mapping[str, Sequence[Answers]]) -> StudyTable:
    """Give the table as val has it: the headline score of each entry, and the differences that follow."""
    name, first = table.headline, next(iter(vals.values()))[0].predictions
    samples = {entry: [own.sample for own in answers] for entry, answers in vals.items()}
    draws = paired_draws(samples, name, groups=first.groups)
    rows = {entry: Score(name, None, d.mean, d.low, d.high, len(first), sd=math.nan) for entry, d in draws.items()}
    entries = tuple(replace(entry, rows=[rows[entry.id]]) for entry in table.entries)
    return replace(table, entries=entries, differences=tuple(differences(draws, pairs(entries, name))))


def _require_same_images(answers: Mapping[str, Sequence[Answers]], study: Study) -> None:
    """Refuse to compare predictions of different images or labels; of images at two sizes the files differ, and their
    order and labels must be the same."""
    sizes = {row.id: study.size_of(row) for row in study.rows}
    found = [(sizes[row], own.predictions) for row, of_row in answers.items() for own in of_row]
    first, hashes = found[0][1], {size: own.data_hash for size, own in reversed(found)}
    for size, other in found:
        same = (other.dataset, other.view, other.data_hash) == (first.dataset, first.view, hashes[size])
        if not (same and np.array_equal(other.index, first.index) and other.same_truth(first)):
            raise PredictionsError(
                f"The runs of this study do not all have the same {first.split} images of {first.dataset}, view "
                f"{first.view}.",
                "Repeat the study in another folder.",
            )


def _headline(run: RunFolder, name: str) -> float:
    row = find_row(run.metrics.metrics, name)
    return math.nan if row is None else row.value


def _entry(
    study: Study,
    row: StudyRow,
    runs: Sequence[RunFolder],
    tests: Sequence[Answers],
    rows: Sequence[Score],
    headline: tuple[float, ...],
) -> StudyRowResult:
    recipe = runs[0].recipe
    kept = Counter(run.kept_model for run in runs)
    # Where all seeds fell back, what the scores are of is the baseline.
    answering = recipe.of_kept(runs[0].kept_model) if len(kept) == 1 else recipe
    return StudyRowResult(
        id=row.id,
        title=row.title + _instead(kept, recipe),
        kind=_kind(answering),
        backbone=answering.model.backbone,
        recipe=Path(row.recipe).stem,
        recipe_hash=recipe.hash,
        seeds=tuple(run.seed for run in runs),
        rows=rows,
        headline_by_seed=headline,
        cost=_cost(runs),
        confusion=_confusion(tests),
        histories=tuple(run.history for run in runs if run.history is not None),
        changes=recipe_differences(recipe),
        address=f"{row.id}/report.html" if len(runs) > 1 else f"{row.id}/seed-{runs[0].seed}/report.html",
        compare_with=row.compare_with,
        size=recipe.data.size if len({study.size_of(row) for row in study.rows}) > 1 else None,
        checks=check_seeds({run.seed: checks_kept(run) for run in runs}, [headline_kept(run) for run in runs]),
        baseline=_baseline(runs[0], tests[0].predictions.task.headline),
        fell_back=bool(kept.keys() - {recipe.model.backbone}),
    )


def _baseline(run: RunFolder, name: str) -> float:
    row = find_row(run.metrics.baselines.get("linear", ()), name)
    return math.nan if row is None else row.value


def _instead(kept: Counter[str], recipe: Recipe) -> str:
    """Say which baseline was kept in the place of a recipe's model, and with how many seeds; empty where none was."""
    fell = [(model, n) for model, n in kept.items() if model != recipe.model.backbone]
    seeds = sum(kept.values())
    said = [f"{model} kept" + (f" with {n} of {seeds} seeds" if n < seeds else "") for model, n in fell]
    return f" ({', '.join(said)})" if said else ""


def _kind(recipe: Recipe) -> Kind:
    model = recipe.model
    if isinstance(model, Majority | Linear):
        return "baseline"
    if isinstance(model, Pretrained):
        return "custom" if model.weights == "random" else "pre-trained"
    return "custom" if isinstance(model, Cnn | Residual) else "features"


def _cost(runs: Sequence[RunFolder]) -> Cost:
    made = [run.provenance for run in runs]
    model = "model.keras"
    return Cost(
        parameters=made[0]["parameters"],
        model_bytes=runs[0].n_bytes(model) if runs[0].has(model) else None,
        fit=tuple(float(one["durations"]["fit"]) for one in made),
        predict=tuple(
            1000 * float(one["durations"].get("predict", math.nan)) / one["images"]["test"] for one in made
        ),
    )


def _confusion(tests: Sequence[Answers]) -> Any:
    """Counts over all seeds: of classes where an image has one, else of each finding."""
    display = ConfusionMatrix if tests[0].predictions.task.exclusive else LabelConfusion
    return sum(display.from_predictions(own.predictions, own.decided).counts for own in tests)


def _differences(
    entries: Sequence[StudyRowResult], tests: Mapping[str, Sequence[Answers]], headline: str
) -> list[Difference]:
    wanted = pairs(entries, headline)
    names = [entry.id for entry in entries if any(entry.id in pair for pair in wanted)]
    samples = {name: [own.sample for own in tests[name]] for name in names}
    first = next(iter(tests.values()))[0].predictions
    draws = paired_draws(samples, headline, groups=first.units)
    return differences(draws, wanted)


def states_by_row(plan: StudyPlan) -> list[tuple[StudyRow, Counter[State]]]:
    """Count the states of the runs of each row, in the order of the rows."""
    return [(row, Counter(run.state for run in plan.runs if run.row.id == row.id)) for row in plan.study.rows]


def compare_rows(
    plan: StudyPlan,
    runs: Mapping[str, Sequence[RunFolder]],
    views: Mapping[ImagesSeen, ViewedDataset | DataDescription],
    listener: ProgressListener,
    images: bool | None = None,
) -> StudyContent:
    """Score the rows of a study over their seeds, and compare them; `images` as in `content_of_run`."""
    rows: dict[str, Sequence[Score]] = {}
    for name, own in runs.items():
        listener.on_step(f"Scoring {name}")
        if len(own) > 1:
            rows[name] = _summary_rows(plan.folder / name, own, views[ImagesSeen.of(own[0].recipe)])
        else:
            rows[name] = [replace(row, sd=math.nan) for row in own[0].metrics.metrics]
    listener.on_step("Comparing the recipes")
    described = {seen.view: description_of(own) for seen, own in reversed([*views.items()])}
    tables = tuple(_table(plan.study, view, runs, described[view], rows) for view in plan.views)
    shown = [entry.id for entry in (tables[0].best, *tables[0].entries) if entry is not None]
    # The images that the report shows are of the study's own size, where there are several.
    first = next((name for name in shown if runs[name][0].recipe.data.size == plan.study.size), shown[0])
    return StudyContent(
        name=plan.study.name,
        title=plan.study.title,
        question=plan.study.question,
        tables=tables,
        example=content_of_run(runs[first][0], views[ImagesSeen.of(runs[first][0].recipe)], images),
        left_over=tuple(str(path.relative_to(plan.folder)) for path in plan.left_over),
        command=plan.shared_command,
        notes=plan.study.notes,
    )


def _summary_rows(folder: Path, runs: Sequence[RunFolder], view: ViewedDataset | DataDescription) -> Sequence[Score]:
    """Read the scores over seeds from the summary that is there, if it is sealed and of these runs; else write it."""
    wanted, what = (runs[0].recipe.hash, [run.seed for run in runs]), str(folder / SUMMARY)
    if is_inside(folder, SUMMARY) and is_inside(folder, REPORT):
        with contextlib.suppress(RunError):
            values = parse_json_object(open_group(folder).read(SUMMARY), what, error=RunError)
            summary = check_record(SeedsSummary, values, what)
            if is_sound(values) and (summary.recipe_hash, [*summary.seeds]) == wanted:
                return summary.metrics
    return summarise_seeds(folder, runs, view).write(folder, runs).metrics


def content_of_folder(folder: Path, images: bool | None = None) -> StudyContent:
    """Compare the runs of a study's folder; RunError if one of them is missing. `images` as in `content_of_run`."""
    kept, source = read_study(folder)
    first = folder / kept.rows[0].id / "seed-0"
    if not images and is_inside(first, MANIFEST) and is_shared(open_run(first)):
        # A copy has no files of recipes to compare its runs with, and descriptions of the dataset.
        plan = _plan_of_copy(kept, source, folder)
        runs = _runs_of(plan)
        seen = {ImagesSeen.of(own[0].recipe): seen_by(own[0]) for own in runs.values()}
        content = compare_rows(plan, runs, seen, ProgressListener())
        return replace(content, command=plan.command_alone)
    opened = cache(lambda size: store.open_referenced(kept.dataset, size))
    plan = plan_study(kept, source, folder, lambda size: opened(size).md5, is_kept=True)
    missing = [str(run.folder) for run in plan.runs if run.state != "done"]
    if missing:
        raise RunError(
            f"The study in {plan.folder} is not complete: {counted(len(missing), 'run')} to do, first {missing[0]}.",
            f"Go on with it: {plan.command}",
        )
    open_group(folder).runs([run.run for run in plan.runs if run.run is not None])
    views = {seen: apply_view(opened(seen.size), seen.view) for seen in plan.seen}
    return compare_rows(plan, _runs_of(plan), views, ProgressListener(), images)


def _plan_of_copy(study: Study, source: str, folder: Path) -> StudyPlan:
    """List the runs of a study's copy as they lie there."""
    runs = []
    for row in study.rows:
        for seed in range(study.seeds_of(row)):
            path = folder / row.id / f"seed-{seed}"
            run = open_run(path).read_once()
            runs.append(PlannedRun(row, run.recipe, seed, path, "done", run))
    return StudyPlan(study, source, folder, tuple(runs), ())


def _runs_of(plan: StudyPlan) -> dict[str, list[RunFolder]]:
    runs: dict[str, list[RunFolder]] = {}
    for run in plan.runs:
        runs.setdefault(run.row.id, []).append(run.run or open_run(run.folder))
    return runs
