"""The report of a run, of several seeds, or of a study, and its figures, from what is on disk."""

from pathlib import Path
from typing import TYPE_CHECKING

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, path_of, path_or_none
from penlight.api.results import NamedFigures, ResultPath
from penlight.disk import is_inside
from penlight.experiments.folds import fold_of, folds_content
from penlight.experiments.seeds import over_seeds
from penlight.experiments.studies import content_of_folder
from penlight.runs import RunFolder, open_run, write_text
from penlight.runs.dataset import DESCRIPTION, seen_by
from penlight.runs.folder import FOLDS, run_folders
from penlight.runs.groups import REPORT, RunGroup, kind_of, open_group
from penlight.runs.scoring import open_folds, seeds_scores

if TYPE_CHECKING:
    from penlight.reports import RunContent


@checked
def report(run: PathLike, out: PathLike | None = None, *, images: bool | None = None) -> ResultPath:
    """Write the report of a run, of several seeds or folds, or of a study, from what is on disk; give its path.

    A run's own report is part of it and stays as `train` wrote it; `out` is another file to write. With `images` it
    shows images of the dataset, without them none; with None, as each run keeps images or not.

    Examples
    --------
    >>> pl.report("runs/retina", "retina.html").name
    'retina.html'
    """
    path, out = path_of(run, "run folder"), path_or_none(out, "file for out")
    from penlight.reports import run_report, seeds_report

    kind = kind_of(path)
    if kind is None:
        runs, contents = _contents(path, images)
        return _written(runs[0], run_report(contents[0]), out)
    group = open_group(path)
    if kind == "study":
        from penlight.reports.study import study_report

        return _written(group, study_report(content_of_folder(path, images)), out)
    if kind == "folds":
        return _written(group, run_report(folds_content(open_folds(path), images=images)), out)
    from penlight.reports.content import final_model

    runs, contents = _contents(path, images)
    of_final = final_model(group.final, contents[0].dataset.modality)
    scores = over_seeds(seeds_scores(runs, "test"))
    page = seeds_report(path.name, contents, *scores, robustness=group.robustness, final=of_final)
    return _written(group, page, out)


def _written(made: RunFolder | RunGroup, page: str, out: Path | None) -> ResultPath:
    """Write a page into what it is of, or to another file."""
    if out is None:
        made.replace(REPORT, page.encode())
        return ResultPath(made.path / REPORT)
    write_text(out, page)
    return ResultPath(out)


def displays(run: PathLike) -> NamedFigures:
    """Give the figures of the report of a run, of several seeds, or of a study, by name, for a notebook.

    Each has its numbers as `.frame()` and draws by `.plot()`, onto a figure of its own or onto axes that it
    is given. Those of a study's further views have "<view>-" before their names.

    Examples
    --------
    >>> figures = pl.displays("runs/retina")
    >>> figures["confusion"].frame().shape
    (25, 4)
    """
    path = path_of(run, "run folder")
    from penlight.reports.figure import Figure
    from penlight.reports.palette import palette
    from penlight.reports.run import run_displays, seeds_displays

    kind = kind_of(path)
    if kind == "study":
        return _of_study(path)
    if kind == "folds":
        contents = [folds_content(open_folds(path))]
    else:
        runs, contents = _contents(path)
    if kind == "seeds":
        robustness = open_group(path).robustness
        found = seeds_displays(contents, *over_seeds(seeds_scores(runs, "test")), robustness=robustness)
    else:
        found = run_displays(contents[0])
    colours = palette(contents[0].task)
    return NamedFigures({name: Figure(display, f"{path.name}-{name}", colours) for name, display in found.items()})


def _of_study(path: Path) -> NamedFigures:
    from penlight.reports.figure import Figure
    from penlight.reports.study import study_colours, study_displays

    found = NamedFigures()
    for number, table in enumerate(content_of_folder(path).tables):
        before = f"{table.view}-" if number else ""
        for name, display in study_displays(table).items():
            found[before + name] = Figure(display, f"v{number}-{name}", tuple(study_colours([table])))
    return found


def _contents(path: Path, images: bool | None = None) -> tuple[list[RunFolder], list["RunContent"]]:
    """Gather the runs of a folder, one or one per seed, with what their reports show."""
    from penlight.reports.content import content_of_run

    runs = open_group(path).runs() if kind_of(path) == "seeds" else [open_run(path)]
    described = runs[0].has(DESCRIPTION) and not images
    if not described and is_inside(path.parent, FOLDS) and path in run_folders(path.parent, "fold"):
        return runs, [content_of_run(runs[0], fold_of(runs[0]), images)]
    view = seen_by(runs[0], images)
    return runs, [content_of_run(run, view, images) for run in runs]
