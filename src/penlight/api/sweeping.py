"""Every official set that is on disk, each trained by a plan of its own, beside the published scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, path_or_none
from penlight.api.planning import plan
from penlight.api.progress import TrainingView, shows
from penlight.data import dataset_info
from penlight.data.published import RESNET18
from penlight.data.store import list_datasets
from penlight.disk import is_inside, short_path
from penlight.errors import DataError
from penlight.evaluation import Score
from penlight.experiments.executors.places import Place
from penlight.experiments.experiment import Summary, require_group, run_group
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import RunSpec
from penlight.records import Record, json_key
from penlight.runs import RunFolder, machine, open_run, versions
from penlight.runs.files import json_text
from penlight.runs.folder import MANIFEST, run_folder_in
from penlight.runs.groups import REPORT
from penlight.runs.groups import SWEEP as SWEEP_RECORD
from penlight.tracking.tracker import tracking

if TYPE_CHECKING:
    import pandas as pd

    from penlight.reports.sweep import SweepRow

SWEEP = "medmnist2d"
"""The name by which `penlight study` knows it."""


class Swept(Record):
    """What `sweep` made: the folder, the page (None where nothing was to be trained yet), and a row for each set that
    is done; `planned` are those on disk that are not done, `absent` those that are not on disk."""

    folder: Path
    report: Path | None
    rows: Sequence["SweepRow"] = json_key("sets")
    planned: Sequence[str]
    absent: Sequence[str]

    def frame(self) -> "pd.DataFrame":
        """Give a line for each set: done, with its scores, to be trained, or not on disk."""
        import pandas as pd

        done = [{"set": row.name, "state": "done", **_leading(row.rows)} for row in self.rows]
        states = {"planned": self.planned, "not on disk": self.absent}
        others = [{"set": name, "state": state} for state, names in states.items() for name in names]
        return pd.DataFrame([*done, *others])


@checked
@shows(TrainingView)
def sweep(
    *,
    out: PathLike | None = None,
    budget: float | None = None,
    dry_run: bool = False,
    images: bool = True,
    track: str | None = None,
    on: str | None = None,
    listener: ProgressListener | None = None,
) -> Swept:
    """Train each official set that is on disk by its own plan, keeping what is done, and write the page that sets
    the scores beside the published ones; a dry run only says what would be done. `track` and `on` as in `train`.
    DataError if none is on disk.

    Examples
    --------
    >>> pl.sweep(dry_run=True).planned
    ['retinamnist']
    """
    here, absent = sets_on_disk()
    if not here:
        raise DataError(
            "None of the MedMNIST sets is on disk at 28 px.",
            "Get one with penlight data fetch NAME, or set PENLIGHT_DATA.",
        )
    folder = path_or_none(out, "folder for out") or Path("runs") / f"study-{SWEEP}"
    if dry_run:
        done = [name for name in here if is_inside(folder, f"{name}/{MANIFEST}")]
        rows = [_row_of(name, open_run(folder / name)) for name in done]
        return Swept(folder, None, rows, [name for name in here if name not in done], absent)

    require_group(folder, "sweep", "a study of several datasets")

    def summarise(runs: Sequence[RunFolder]) -> Summary[Swept]:
        rows = [_row_of(name, run) for name, run in zip(here, runs, strict=True)]
        found = Swept(folder, folder / REPORT, rows, [], absent)
        record = json_text({"schema": 1, **found.to_dict()}).encode()
        return Summary("sweep", {REPORT: _page(folder, rows, absent).encode(), SWEEP_RECORD: record}, found)

    with tracking(listener or ProgressListener(), track) as listener:
        specs = (_spec(name, run_folder_in(folder, name), budget, images, listener) for name in here)
        executor = Place.of(on).executor(folder, OpenedData(listener), listener)
        return run_group(folder, specs, summarise, executor, listener)[1]


def _leading(rows: Sequence[Score]) -> dict[str, float]:
    from penlight.reports.published import OFFICIAL

    return {row.name: row.value for row in rows if row.label is None and row.name in OFFICIAL}


def sets_on_disk(size: int = 28) -> tuple[list[str], list[str]]:
    """Name the official sets whose files are here, and those whose are not."""
    here = {row["name"] for row in list_datasets() if size in row["sizes"]}
    return [name for name in RESNET18 if name in here], [name for name in RESNET18 if name not in here]


def _page(folder: Path, rows: Sequence["SweepRow"], absent: Sequence[str]) -> str:
    from penlight.reports.sweep import SweepContent, sweep_report

    return sweep_report(
        SweepContent(
            name=SWEEP,
            title="The MedMNIST sets, each by its own plan",
            size=28,
            rows=rows,
            absent=absent,
            command=f"penlight study {SWEEP} --out {short_path(folder)}",
            provenance=[(key, str(value)) for key, value in (machine() | versions()).items()],
        )
    )


def _spec(name: str, folder: Path, budget: float | None, images: bool, listener: ProgressListener) -> RunSpec:
    """Ask for the run that is there, or for one by a plan that is made now."""
    made = None
    if not is_inside(folder, MANIFEST):
        listener.on_step(f"Planning {name}")
        made = plan(name, budget=budget)
    recipe = open_run(folder).recipe if made is None else made.recipe
    return RunSpec(recipe, 0, folder, plan=made, images=images)


def _row_of(name: str, run: RunFolder) -> "SweepRow":
    from penlight.reports.sweep import SweepRow

    made, scores = run.provenance, run.metrics
    return SweepRow(
        name=name,
        title=dataset_info(name).title,
        images=made["images"],
        kept=made["model"],
        parameters=made["parameters"],
        seconds=float(made["durations"]["total"]),
        rows=scores.metrics,
        linear=scores.baselines.get("linear", scores.metrics),
        published=RESNET18[name],
        address=f"{name}/report.html",
    )
