"""Several recipes with several seeds each: planned, trained where missing, compared in one report."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.api.arguments import checked
from penlight.api.options import Options
from penlight.api.paths import PathLike, name_of, path_or_none
from penlight.api.progress import StudyView, shows
from penlight.api.resolution import resolution_study
from penlight.api.results import Studied
from penlight.data import store
from penlight.data.catalog import portable
from penlight.errors import ArgumentError
from penlight.experiments.executors.places import Place
from penlight.experiments.executors.prepare import Prepare
from penlight.experiments.experiment import Summary, require_group, run_group
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import require_no_images
from penlight.experiments.studies import RESOLUTION, compare_rows
from penlight.recipes import Recipe
from penlight.runs import RunFolder
from penlight.runs.files import json_text
from penlight.runs.groups import REPORT, STUDY
from penlight.tracking.tracker import tracking

if TYPE_CHECKING:
    from penlight.experiments.studies import StudyPlan


@checked
def plan_study(
    name: PathLike,
    dataset: PathLike | None = None,
    *,
    recipe: PathLike | Recipe | None = None,
    view: str | None = None,
    budget: float | None = None,
    out: PathLike | None = None,
    seeds: int | None = None,
    options: Options | None = None,
    listener: ProgressListener | None = None,
) -> "StudyPlan":
    """List the runs of a study, by the name of one that ships or its file, and which are done; nothing is trained.

    The study "resolution" is of a `dataset`: a `recipe` with `options`, at each size that is on disk; ArgumentError
    if another study is given these. By default it is the plan for `budget` seconds at the largest size; to make it,
    models are compared on train. `out` is its folder, by default runs/study-<name>; `seeds` changes how many seeds
    there are of rows that do not say so themselves.

    Examples
    --------
    >>> plan = pl.plan_study("study.toml")
    >>> plan.count("missing")
    2
    """
    from penlight.experiments.studies import plan_study as plan
    from penlight.recipes.study import load_study

    source, folder, planned = name_of(name, "study"), path_or_none(out, "folder for out"), None
    if source == RESOLUTION:
        if dataset is None:
            raise ArgumentError("A study of resolution needs a dataset.", "penlight study resolution DATASET")
        study, folder, planned = resolution_study(
            name_of(dataset), recipe, options, folder, view, budget, listener or ProgressListener()
        )
    elif dataset is not None or recipe is not None or view is not None or budget is not None or options:
        raise ArgumentError(
            f"The study {source} says itself what it trains, and on which dataset.",
            "Leave out the dataset, --recipe, --view, --budget and --set, which are for the study resolution.",
        )
    else:
        study = load_study(source)
        study = study.model_copy(update={"dataset": portable(study.dataset)})
        folder = folder or Path("runs") / f"study-{study.name}"
    study = study if seeds is None else study.model_copy(update={"seeds": seeds})
    md5 = cache(lambda size: store.open_referenced(study.dataset, size).md5)
    return plan(study, source, folder, md5, planned=planned)


@checked
@shows(StudyView)
def study(
    name: PathLike,
    dataset: PathLike | None = None,
    *,
    recipe: PathLike | Recipe | None = None,
    view: str | None = None,
    budget: float | None = None,
    out: PathLike | None = None,
    seeds: int | None = None,
    images: bool = True,
    track: str | None = None,
    on: str | Place | None = None,
    cluster: PathLike | None = None,
    listener: ProgressListener | None = None,
    options: Options | None = None,
) -> Studied:
    """Train what is missing of a study, keep what is done, compare all, and write study.json and the report.

    Arguments as in `plan_study`, `images`, `track`, `on` and `cluster` as in `train`. RunError, naming them, if
    finished runs are of another recipe than the study's, or keep images where none were to be kept. DataError if a
    file of weights is missing, before anything is trained.

    Examples
    --------
    >>> studied = pl.study("study.toml")
    >>> studied.frame()[["recipe", "metric", "value"]].shape
    (2, 3)
    """
    from penlight.experiments.studies import record_of, require_no_changed, study_specs
    from penlight.models.encoder_file import require_weights
    from penlight.reports.findings import study_verdict, which_to_take
    from penlight.reports.study import study_report

    with tracking(listener or ProgressListener(), track) as listener:
        listener.on_step("Reading the study")
        place = Place.of(on, path_or_none(cluster, "file for cluster"))
        of_sizes: dict[str, Any] = {"recipe": recipe, "view": view, "budget": budget, "options": options}
        plan = plan_study(name, dataset, **of_sizes, out=out, seeds=seeds, listener=listener)
        require_no_changed(plan)
        require_group(plan.folder, "study", "a study")
        for run in plan.runs:
            if run.run is not None and run.state == "done" and not images:
                require_no_images(run.run)
            if run.state != "done":
                require_weights(run.recipe.model)
        listener.on_step("Opening the dataset")
        opened = OpenedData(listener)
        views = {seen: opened.view(data) for seen, data in plan.seen.items()}
        verdict = ""

        def summarise(runs: Sequence[RunFolder]) -> Summary[dict[str, Any]]:
            nonlocal verdict
            rows: dict[str, list[RunFolder]] = {}
            for planned, run in zip(plan.runs, runs, strict=True):
                rows.setdefault(planned.row.id, []).append(run)
            content = compare_rows(plan, rows, views, listener)
            main = content.tables[0]
            take = which_to_take(main) if main.sizes else None
            verdict = " ".join(filter(None, (study_verdict(main, content.example.dataset.modality), take)))
            listener.on_step("Writing the study's report")
            record = record_of(plan, content)
            files = {REPORT: study_report(content).encode(), STUDY: json_text(record).encode()}
            return Summary("study", files, record.to_dict())

        first = Prepare([run.recipe for run in plan.runs if run.state != "done"])
        executor = place.executor(plan.folder, opened, listener, first=first)
        specs = study_specs(plan, images, listener if place.is_here else ProgressListener())
        _, record = run_group(plan.folder, specs, summarise, executor, listener)
    return Studied(plan.folder, plan.folder / REPORT, record, verdict)
