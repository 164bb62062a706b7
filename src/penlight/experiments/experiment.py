"""The one way to make a folder of several runs: a list of runs, trained in order, summarised and sealed.

Seeds, folds, studies and sweeps are ways to write that list and to summarise it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from penlight.disk import FolderHold
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import RunSpec, train_run
from penlight.runs import Run
from penlight.runs.groups import Kind, write_group

T = TypeVar("T")


@dataclass(frozen=True)
class Summary(Generic[T]):
    """What several runs say together: files that are sealed with them, in order, and the result for the caller."""

    kind: Kind
    files: Mapping[str, bytes]
    result: T

    def write(self, folder: Path, runs: Sequence[Run]) -> T:
        """Write the files into the folder of the runs, seal them, and give the result."""
        write_group(folder, self.kind, self.files, {run.path.relative_to(folder).as_posix(): run for run in runs})
        return self.result


def run_experiment(
    folder: Path,
    specs: Iterable[RunSpec],
    summarise: Callable[[Sequence[Run]], Summary[T]],
    listener: ProgressListener,
) -> tuple[list[Run], T]:
    """Hold the folder, train what is missing of the runs in it, and summarise them.

    `specs` are asked for one after the other while the folder is held, so that the list may depend on what is there.
    A killed experiment goes on with the run that it was at. RunError if another process holds the folder.
    """
    with FolderHold(folder):
        runs = [train_run(spec, listener).run for spec in specs]
        return runs, summarise(runs).write(folder, runs)
