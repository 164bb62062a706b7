"""Where the work of an experiment is to be done, as `--on` names it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from penlight.errors import ArgumentError, MissingExtraError
from penlight.experiments.executors.here import Here
from penlight.experiments.executors.processes import Processes
from penlight.experiments.executors.work import Executor, Work
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener

MOST_PROCESSES = 256

Then = Literal["wait", "detach", "status", "cancel"]


@dataclass(frozen=True)
class Place:
    """A place by its kind, and what follows its colon: the number of processes, the partition, the address.

    `cluster` is the file that says what jobs of Slurm are given. What is to be done there is `then`: the work, which
    is waited for; with "detach" it is not. "status" and "cancel" do nothing but show or end the jobs of a folder.
    """

    kind: Literal["local", "slurm", "dask"] = "local"
    about: str = ""
    cluster: Path | None = None
    then: Then = "wait"

    @classmethod
    def of(cls, text: "str | Place | None", cluster: Path | None = None, then: Then = "wait") -> "Place":
        """Read local, local:N, slurm, slurm:PARTITION or dask:ADDRESS; None is local, this process, or Slurm where
        only that makes sense. ArgumentError for anything else, and where the others need Slurm."""
        if isinstance(text, Place):
            return text
        if text is None and then in ("status", "cancel"):
            text = "slurm"
        if (cluster is not None or then != "wait") and (text or "").partition(":")[0] != "slurm":
            raise ArgumentError("--cluster and --detach are for jobs of Slurm.", "Give --on slurm, too.")
        if text is None:
            return cls()
        kind, _, about = text.partition(":")
        known = kind in ("local", "slurm", "dask") and bool(about) == (":" in text)
        processes = about.isdecimal() and 1 <= int(about[:9]) <= MOST_PROCESSES
        if not known or (kind == "local" and about and not processes) or (kind == "dask" and not about):
            raise ArgumentError(
                f"A place was expected: local, local:N with N of 1 to {MOST_PROCESSES}, slurm, slurm:PARTITION or "
                f"dask:ADDRESS; '{text}' came.",
                "Give one, as --on local:2.",
            )
        return cls(cast("Literal['local', 'slurm', 'dask']", kind), about, cluster, then)

    @property
    def is_here(self) -> bool:
        """Say whether parts are done in this process, one after the other."""
        return self.kind == "local" and int(self.about or 1) == 1

    def executor(
        self,
        folder: Path,
        data: OpenedData,
        listener: ProgressListener,
        *,
        first: Work[None] | None = None,
        slots: int | None = None,
    ) -> Executor:
        """Give the place for the work of an experiment in a folder; this process, with the data that it has opened,
        is a place, too. Other machines do the part `first` before all others. Of a list that grows, `slots` is how
        many parts are submitted at once where the place does not say it. Detached, which has the jobs, where they are
        only shown or ended."""
        if self.kind == "slurm":
            from penlight.experiments.executors.following import SlurmJobs, cancel_jobs, jobs_of
            from penlight.experiments.executors.jobs import Detached
            from penlight.experiments.executors.slurm import Cluster, Slurm

            slurm = Slurm(Cluster.read(self.cluster, self.about))
            if self.then in ("status", "cancel"):
                raise Detached((jobs_of if self.then == "status" else cancel_jobs)(folder, slurm))
            return SlurmJobs(folder, listener, slurm, first=first, slots=slots, detach=self.then == "detach")
        if self.kind == "dask":
            try:
                from penlight.experiments.executors.dask import Dask
            except ImportError as error:
                raise MissingExtraError(
                    f"Work by Dask needs {error.name}, which is not installed.",
                    "Install it: pip install 'penlight[dask]'",
                ) from error
            return Dask(self.about, folder, listener, first)
        return Here(data, listener) if self.is_here else Processes(int(self.about), listener)
