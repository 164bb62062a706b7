"""How a training, a study or a tuning tells of its progress."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from penlight.experiments.executors.work import JobState
    from penlight.experiments.run import RunSpec
    from penlight.experiments.studies import StudyProgress
    from penlight.recipes import Recipe
    from penlight.recipes.space import Trial
    from penlight.runs import RunFolder
    from penlight.training import Epoch


class ProgressListener:
    """Called as an experiment goes on; a command draws it, a notebook may ignore it."""

    def on_step(self, what: str) -> None:
        """Say what is being done now."""

    def on_warning(self, what: str) -> None:
        """Say, in a sentence, what a person should know of, such as a damaged checkpoint."""

    def on_fit(self, metric: str, place: str) -> None:
        """Say that a model is fitted now whose epochs are judged on val by `metric`; `place` is which of several it
        is, "seed 2 of 3", empty for one alone."""

    def on_epoch(self, row: "Epoch", planned: int) -> None:
        """Say that an epoch is done, of `planned`."""

    def on_run(self, place: "StudyProgress") -> None:
        """Say which run of a study begins."""

    def on_run_begin(self, spec: "RunSpec", group: "Path | None") -> None:
        """Say that a run begins, also one that is done already; `group` is the folder of the seeds, folds or study
        that it belongs to, None for a run by itself."""

    def on_run_end(self, run: "RunFolder") -> None:
        """Say that the run that began is complete in its folder."""

    def on_group_end(self, folder: "Path") -> None:
        """Say that all runs of a folder of several are complete, and that it is summarised and sealed."""

    def on_job(self, name: str, state: "JobState", about: str) -> None:
        """Say how far a part of an experiment is that is done elsewhere; `about` says where it runs, or why it
        failed. It may be called in any thread."""

    def on_part(self, done: int, planned: int) -> None:
        """Say that `done` parts of predictions are there, of those that were missing."""

    def on_trial(self, done: int, planned: int | None, best: float, seconds_left: float | None) -> None:
        """Say that `done` trials of a tuning are finished; `best` is NaN before the first is complete."""

    def on_trial_end(self, folder: "Path", recipe: "Recipe", trial: "Trial") -> None:
        """Say that a trial of the tuning of `recipe` in a folder is finished, and all that began before it are."""
