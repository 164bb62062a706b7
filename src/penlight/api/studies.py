"""Several recipes with several seeds each: planned, trained where missing, compared in one report."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, name_of, path_or_none
from penlight.api.progress import StudyView, shows
from penlight.api.results import Studied
from penlight.data import store
from penlight.data.catalog import portable
from penlight.experiments.executors import Here
from penlight.experiments.experiment import Summary, require_group, run_group
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import require_no_images
from penlight.experiments.studies import compare_rows
from penlight.runs import RunFolder
from penlight.runs.files import json_text
from penlight.runs.groups import REPORT, STUDY
from penlight.tracking.tracker import tracking

if TYPE_CHECKING:
    from penlight.experiments.studies import StudyPlan


@checked
def plan_study(name: PathLike, *, out: PathLike | None = None, seeds: int | None = None) -> "StudyPlan":
    """List the runs of a study, by the name of one that ships or its file, and which are done; nothing is trained.

    `out` is its folder, by default runs/study-<name>; `seeds` changes how many seeds there are of rows that do not
    say so themselves.

    Examples
    --------
    >>> plan = pl.plan_study("study.toml")
    >>> plan.count("missing")
    2
    """
    from penlight.experiments.studies import plan_study as plan
    from penlight.recipes.study import load_study

    source = name_of(name, "study")
    study = load_study(source)
    study = study.model_copy(update={"dataset": portable(study.dataset)})
    study = study if seeds is None else study.model_copy(update={"seeds": seeds})
    folder = path_or_none(out, "folder for out") or Path("runs") / f"study-{study.name}"
    return plan(study, source, folder, cache(lambda: store.open_referenced(study.dataset, study.size).md5))


@checked
@shows(StudyView)
def study(
    name: PathLike,
    *,
    out: PathLike | None = None,
    seeds: int | None = None,
    images: bool = True,
    track: str | None = None,
    listener: ProgressListener | None = None,
) -> Studied:
    """Train what is missing of a study, keep what is done, compare all, and write study.json and the report.

    Arguments as in `plan_study`, `images` and `track` as in `train`. RunError, naming them, if finished runs are of
    another recipe than the study's, or keep images where none were to be kept. DataError if a file of weights is
    missing, before anything is trained.

    Examples
    --------
    >>> studied = pl.study("study.toml")
    >>> studied.frame()[["recipe", "metric", "value"]].shape
    (2, 3)
    """
    from penlight.experiments.studies import record_of, require_no_changed, study_specs
    from penlight.models.weights import require_weights
    from penlight.reports.findings import study_verdict
    from penlight.reports.study import study_report

    with tracking(listener or ProgressListener(), track) as listener:
        listener.on_step("Reading the study")
        plan = plan_study(name, out=out, seeds=seeds)
        require_no_changed(plan)
        require_group(plan.folder, "study", "a study")
        for run in plan.runs:
            if run.run is not None and run.state == "done" and not images:
                require_no_images(run.run)
            if run.state != "done":
                require_weights(run.recipe.model)
        listener.on_step("Opening the dataset")
        here = Here(listener)
        asked = {run.recipe.data.view: run.recipe.data for run in plan.runs}
        views = {view: here.data.view(asked[view]) for view in plan.views}
        verdict = ""

        def summarise(runs: Sequence[RunFolder]) -> Summary[dict[str, Any]]:
            nonlocal verdict
            rows: dict[str, list[RunFolder]] = {}
            for planned, run in zip(plan.runs, runs, strict=True):
                rows.setdefault(planned.row.id, []).append(run)
            content = compare_rows(plan, rows, views, listener)
            verdict = study_verdict(content.tables[0], content.example.dataset.modality)
            listener.on_step("Writing the study's report")
            record = record_of(plan, content)
            files = {REPORT: study_report(content).encode(), STUDY: json_text(record).encode()}
            return Summary("study", files, record.to_dict())

        _, record = run_group(plan.folder, study_specs(plan, images, listener), summarise, here, listener)
    return Studied(plan.folder, plan.folder / REPORT, record, verdict)
