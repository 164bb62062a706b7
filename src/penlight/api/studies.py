"""Several recipes with several seeds each: planned, trained where missing, compared in one report."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from penlight.api.described import seen_by
from penlight.api.results import ProgressListener, Studied
from penlight.api.training import Baselines, require_no_images, summarise, train_one
from penlight.data import ViewedDataset, apply_view, store
from penlight.data.catalog import portable
from penlight.data.summary import DataDescription
from penlight.data.tested import TestAccessLog
from penlight.disk import FolderHold, is_inside
from penlight.evaluation import SeedsRow
from penlight.recipes import Recipe
from penlight.runs import Run, open_run
from penlight.runs.files import json_text
from penlight.runs.folder import MANIFEST, SUMMARY
from penlight.runs.groups import REPORT, STUDY, open_group, unseal, write_group
from penlight.runs.holdings import is_shared

if TYPE_CHECKING:
    from penlight.experiments.studies import StudyPlan
    from penlight.recipes.study import Study
    from penlight.reports.study_content import StudyContent


def plan_study(name: str, *, out: Path | None = None, seeds: int | None = None) -> "StudyPlan":
    """List the runs of a study, by the name of one that ships or its file, and which are done; nothing is trained.

    `out` is its folder, by default runs/study-<name>; `seeds` changes how many seeds there are of rows that do not
    say so themselves.
    """
    from penlight.experiments.studies import plan_study as plan
    from penlight.recipes.study import load_study

    study = load_study(name)
    study = study.model_copy(update={"dataset": portable(study.dataset)})
    study = study if seeds is None else study.model_copy(update={"seeds": seeds})
    folder = out or Path("runs") / f"study-{study.name}"
    return plan(study, name, folder, cache(lambda: store.open_referenced(study.dataset, study.size).md5))


def study(
    name: str,
    *,
    out: Path | None = None,
    seeds: int | None = None,
    images: bool = True,
    watcher: ProgressListener | None = None,
) -> Studied:
    """Train what is missing of a study, keep what is done, compare all, and write study.json and the report.

    Arguments as in `plan_study`, `images` as in `train`. RunError, naming them, if finished runs are of another
    recipe than the study's, or keep images where none were to be kept. DataError if a file of weights is missing,
    before anything is trained.
    """
    from penlight.experiments.studies import record_of, require_no_changed, run_plan
    from penlight.models.pretrained import require_weights
    from penlight.reports.study import study_report

    watcher = watcher or ProgressListener()
    watcher.step("Reading the study")
    plan = plan_study(name, out=out, seeds=seeds)
    require_no_changed(plan)
    for run in plan.runs:
        if run.state == "done" and not images:
            require_no_images(open_run(run.folder))
        if run.state != "done":
            require_weights(run.recipe.model)
    watcher.step("Opening the dataset")
    dataset = store.open_referenced(plan.study.dataset, plan.study.size)
    views = {view: apply_view(dataset, view) for view in plan.views}
    baselines = {
        view: Baselines(views[view], watcher, TestAccessLog(views[view].dataset, "study")) for view in plan.views
    }

    def train_run(recipe: Recipe, seed: int, folder: Path) -> Run:
        view = recipe.data.view
        if not is_inside(folder, MANIFEST):
            # A summary of other runs than those that will be here must not outlive them.
            unseal(folder.parent)
            (folder.parent / SUMMARY).unlink(missing_ok=True)
        return train_one(recipe, views[view], seed, folder, baselines[view], watcher, images=images)

    with FolderHold(plan.folder):
        runs = run_plan(plan, train_run, watcher.run)
        content = _compare(plan, runs, views, watcher)
        watcher.step("Writing the study's report")
        record = record_of(plan, content)
        files = {REPORT: study_report(content).encode(), STUDY: json_text(record).encode()}
        own = {run.path.relative_to(plan.folder).as_posix(): run for some in runs.values() for run in some}
        write_group(plan.folder, "study", files, own)
    return Studied(plan.folder, plan.folder / "report.html", record)


def _compare(
    plan: "StudyPlan",
    runs: Mapping[str, Sequence[Run]],
    views: Mapping[str, ViewedDataset | DataDescription],
    watcher: ProgressListener,
    images: bool | None = None,
) -> "StudyContent":
    """Score the rows of a study over their seeds, and compare them; `images` as in `content_of_run`."""
    from penlight.experiments.studies import content_of_study, rows_of_one

    rows: dict[str, Sequence[SeedsRow]] = {}
    for name, own in runs.items():
        watcher.step(f"Scoring {name}")
        view = views[own[0].recipe.data.view]
        rows[name] = rows_of_one(own[0]) if len(own) == 1 else _summary_rows(plan.folder / name, own, view)
    watcher.step("Comparing the recipes")
    return content_of_study(plan, runs, views, rows, images)


def _summary_rows(folder: Path, runs: Sequence[Run], view: ViewedDataset | DataDescription) -> Sequence[SeedsRow]:
    """Read the scores over seeds from the summary that is there, if it is of these runs; else write it."""
    from penlight.experiments.studies import rows_of_summary

    wanted = runs[0].recipe.hash, [run.seed for run in runs]
    if is_inside(folder, SUMMARY) and is_inside(folder, REPORT):
        known = rows_of_summary(folder, *wanted)
        if known is not None:
            return known
    return summarise(folder, runs, view).metrics


def content_of_folder(folder: Path, images: bool | None = None) -> "StudyContent":
    """Compare the runs of a study's folder; RunError if one of them is missing. `images` as in `content_of_run`."""
    from penlight.experiments.studies import plan_study, read_study, require_complete

    kept, source = read_study(folder)
    if _is_copy(folder, kept) and not images:
        return _content_of_copy(folder, kept, source)
    dataset = store.open_referenced(kept.dataset, kept.size)
    plan = plan_study(kept, source, folder, lambda: dataset.md5, is_kept=True)
    require_complete(plan)
    open_group(folder).runs()
    views = {view: apply_view(dataset, view) for view in plan.views}
    return _compare(plan, _runs_of(plan), views, ProgressListener(), images)


def _is_copy(folder: Path, kept: "Study") -> bool:
    first = folder / kept.rows[0].id / "seed-0"
    return is_inside(first, MANIFEST) and is_shared(open_run(first))


def _content_of_copy(folder: Path, kept: "Study", source: str) -> "StudyContent":
    """Compare the runs of a copy of a study, by the descriptions of the dataset that they have."""
    from penlight.experiments.studies import plan_of_copy

    plan = plan_of_copy(kept, source, folder)
    runs = _runs_of(plan)
    views = {own[0].recipe.data.view: seen_by(own[0]) for own in runs.values()}
    content = _compare(plan, runs, views, ProgressListener())
    return replace(content, command=f"penlight study {shlex.quote(source)}")


def _runs_of(plan: "StudyPlan") -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {}
    for run in plan.runs:
        runs.setdefault(run.row.id, []).append(open_run(run.folder))
    return runs
