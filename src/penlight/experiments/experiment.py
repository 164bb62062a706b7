"""The one way to make a folder of several runs: a list of work that is done in order, summarised and sealed.

Seeds, folds, studies, the sweep of MedMNIST and tuning are ways to write that list and to summarise it.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from penlight.disk import FolderHold, is_inside
from penlight.errors import HeldFolderError, RunError
from penlight.experiments.executors.here import Here
from penlight.experiments.executors.work import Executor, Work, WorkFailedError, announced, do_all, results_of
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import TrainedRun
from penlight.runs import RunFolder
from penlight.runs.groups import Kind, kind_of, write_group

R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True)
class Summary(Generic[T]):
    """What several runs say together: files that are sealed with them, in order, and the result for the caller;
    `final` is the run of the model that became of theirs, None where there is none."""

    kind: Kind
    files: Mapping[str, bytes]
    result: T
    final: RunFolder | None = None

    def write(self, folder: Path, runs: Sequence[RunFolder]) -> T:
        """Write the files into the folder of the runs, seal them, and give the result."""
        sealed = [*runs, *([] if self.final is None else [self.final])]
        write_group(folder, self.kind, self.files, {run.path.relative_to(folder).as_posix(): run for run in sealed})
        return self.result


def run_experiment(
    hold: Callable[[], contextlib.AbstractContextManager[object]],
    work: Iterable[Work[R] | None],
    summarise: Callable[[Sequence[R]], T],
    executor: Executor,
    on_done: Callable[[], None] = lambda: None,
    on_failed: Callable[[WorkFailedError], None] | None = None,
) -> T:
    """Hold a folder, do what is missing of the work in it, and summarise all of it.

    `work` is asked for one after the other while the folder is held, so that it may depend on what is there; that of
    a list with `on_failed` grows by what is done. A killed experiment goes on with the work that it was at. RunError
    if another process holds the folder. Where work outlives this process, the folder is held while it is
    submitted and while it is summarised: others may wait for the same work, each part of which is done once.
    """
    if not executor.outlives or on_failed is not None:
        with hold():
            with executor:
                done = do_all(iter(work), executor, on_done, on_failed)
            return summarise(done)
    with executor:
        with _when_free(hold):
            begun = [executor.submit(part) for part in work if part is not None]
            executor.flush()
        done = results_of(begun)
    with _when_free(hold):
        return summarise(done)


@contextlib.contextmanager
def _when_free(hold: Callable[[], contextlib.AbstractContextManager[object]]) -> Iterator[None]:
    """Hold a folder, after those that hold it now."""
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(hold())
                break
            except HeldFolderError:
                time.sleep(0.5)
        yield


def require_group(folder: Path, kind: Kind, what: str) -> None:
    """Raise RunError for a folder that is a run, or holds several of another kind, whose files would be replaced."""
    if is_inside(folder, "recipe.toml") or kind_of(folder) not in (kind, None):
        raise RunError(f"{folder} is not empty, and not {what}.", "Choose another folder with --out.")


def run_group(
    folder: Path,
    work: Iterable[Work[TrainedRun]],
    summarise: Callable[[Sequence[RunFolder]], Summary[T]],
    executor: Executor,
    listener: ProgressListener,
) -> tuple[list[RunFolder], T]:
    """Train the runs of a folder, and write their summary."""

    def summarised(trained: Sequence[TrainedRun]) -> tuple[list[RunFolder], T]:
        runs = [own.run for own in trained]
        return runs, summarise(runs).write(folder, runs)

    work = work if isinstance(executor, Here) else announced(work, listener)
    done = run_experiment(lambda: FolderHold(folder), work, summarised, executor)
    listener.on_group_end(folder)
    return done


def default_folder(dataset: str, name: str, continues: Callable[[Path], bool]) -> Path:
    """Find the next free runs/<dataset>-<name>-<n>, or the unfinished one that goes on with what is asked for."""
    stem = f"{Path(dataset).stem}-{name}"
    for number in range(1, 10_000):
        folder = Path("runs") / f"{stem}-{number}"
        if not folder.exists() or continues(folder):
            return folder
    raise RunError(f"There are 10,000 folders named runs/{stem}-*.", "Choose a folder with --out.")
