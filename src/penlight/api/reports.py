"""Write the report of a run, of several seeds, or of a study again, from what is on disk."""

from pathlib import Path

from penlight.api.scoring import seeds_scores
from penlight.api.studies import STUDY, report_of_study
from penlight.data import apply_view, store
from penlight.runs import open_run, write_text
from penlight.runs.folder import SUMMARY, seed_folders


def report(path: Path, out: Path | None = None) -> Path:
    """Write the report of a run, of a folder with several seeds, or of a study, from what is on disk; give its path.

    A run's own report is part of it and stays as `train` wrote it; `out` is another file to write.
    """
    if (path / STUDY).exists():
        target = out or (path / "report.html")
        write_text(target, report_of_study(path))
        return target
    from penlight.report import Rival, run_report, seeds_report
    from penlight.report.gather import content_of_run

    many = (path / SUMMARY).exists()
    runs = [open_run(p) for p in seed_folders(path)] if many else [open_run(path)]
    data = runs[0].recipe.data
    view = apply_view(store.open_dataset(data.dataset, data.size), data.view)
    contents = [content_of_run(run, view) for run in runs]
    if many:
        scores = seeds_scores(runs, "test")
        rivals = [Rival(rival, rows) for rival, rows in scores.baselines.items()]
        page = seeds_report(path.name, contents, scores.metrics, rivals)
    else:
        page = run_report(contents[0])
    target = out or (path / "report.html")
    if out is not None or many:
        write_text(target, page)
    else:
        runs[0].replace("report.html", page.encode())
    return target
