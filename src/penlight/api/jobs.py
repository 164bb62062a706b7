"""`pl.submit`, `pl.jobs` and `pl.cancel_jobs`: jobs of a cluster that nobody waits for."""

from collections.abc import Callable
from typing import Any

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, path_of, path_or_none
from penlight.errors import ArgumentError
from penlight.experiments.executors.jobs import Detached, Jobs
from penlight.experiments.executors.places import Place


@checked
def submit(
    function: Callable[..., Any],
    *arguments: Any,
    on: str = "slurm",
    cluster: PathLike | None = None,
    **keywords: Any,
) -> Jobs:
    """Submit the runs of `train`, `cross_validate` or `study` as jobs of a cluster, and do not wait for them:
    `function` is one of these, and what follows its arguments; `on` and `cluster` as in `train`.

    The function itself, called with the same arguments and `on`, waits for these jobs, and summarises what they did.
    `pl.jobs` shows how far they are, and `pl.cancel_jobs` ends them.

    Examples
    --------
    >>> jobs = pl.submit(pl.study, "study.toml", on="slurm:gpu")  # doctest: +SKIP
    >>> jobs  # doctest: +SKIP
    Jobs('runs/study-mine', 6 parts: 6 waiting)
    """
    place = Place.of(on, path_or_none(cluster, "file for cluster"), "detach")
    try:
        made = function(*arguments, on=place, **keywords)
    except Detached as left:
        return left.jobs
    raise ArgumentError(f"A function that trains several runs was expected; {type(made).__name__} came of this one.")


@checked
def jobs(folder: PathLike) -> Jobs:
    """Say how far the jobs are that were submitted from a folder: a line for each of its parts, with the last line of
    its log. RunError if none were.

    Examples
    --------
    >>> pl.jobs("runs/study-mine").frame()[["name", "state", "node"]]  # doctest: +SKIP
    """
    from penlight.experiments.executors.following import jobs_of
    from penlight.experiments.executors.slurm import Slurm

    return jobs_of(path_of(folder, "folder"), Slurm())


@checked
def cancel_jobs(folder: PathLike) -> Jobs:
    """End the jobs that were submitted from a folder; what they have done stays, and the function that submitted them
    goes on from there. RunError if there are none.

    Examples
    --------
    >>> pl.cancel_jobs("runs/study-mine").count("failed")  # doctest: +SKIP
    4
    """
    from penlight.experiments.executors.following import cancel_jobs as cancel
    from penlight.experiments.executors.slurm import Slurm

    return cancel(path_of(folder, "folder"), Slurm())
