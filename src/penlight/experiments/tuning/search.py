"""Trials of a tuning: a list of work that grows, each part chosen by what those before it have shown."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from penlight.errors import MemoryShortError, StorageError, TrainingError, first_line
from penlight.experiments.executors.work import Executor, WorkFailedError
from penlight.experiments.experiment import run_experiment
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.experiments.tuning.folder import DATABASE, TRIALS, Setup, hold_tuning, read_setup
from penlight.experiments.tuning.journal import SUFFIX
from penlight.experiments.tuning.objective import TrialPart, parts_of, require_judgement, values_of
from penlight.experiments.tuning.samplers import distribution, from_stored, make_sampler, stored
from penlight.experiments.tuning.storage import (
    PROCESS,
    choosing,
    fail,
    fail_gone,
    heartbeat,
    open_study,
    process_name,
    quiet,
    running,
    sqlite_url,
    storage_kept,
)
from penlight.models.blas import one_blas_thread
from penlight.recipes.space import Space, Trial, with_values

T = TypeVar("T")

DEFAULT_TRIALS = 15
MOST_FAILURES = 5
"""A tuning ends after so many trials that could not be done elsewhere, with none done in between."""

_ENOUGH_FOR_IMPORTANCE = 4


@dataclass(frozen=True)
class TrialLimits:
    """When to begin no further trial: at `trials` in all, or at the time `deadline` (seconds since 1970)."""

    trials: int | None
    deadline: float | None

    def allow(self, begun: int) -> bool:
        """Say whether another trial may begin."""
        return (self.trials is None or begun < self.trials) and (self.deadline is None or time.time() < self.deadline)

    def seconds_left(self, trials: Sequence[Trial], workers: int) -> float | None:
        """Estimate the time to the end; None where nothing is known yet."""
        ends = [] if self.deadline is None else [max(0.0, self.deadline - time.time())]
        if self.trials is not None and trials:
            mean = float(np.mean([t.seconds for t in trials]))
            ends.append(max(0, self.trials - len(trials)) * mean / workers)
        return min(ends, default=None)


def make_limits(trials: int | None, seconds: float | None) -> TrialLimits:
    """Give the limits from now on; a number of trials is set where neither is given."""
    if trials is None and seconds is None:
        trials = DEFAULT_TRIALS
    return TrialLimits(trials, None if seconds is None else time.time() + seconds)


@dataclass(frozen=True)
class TuningResult:
    """What a tuning found: all trials, the best complete one, the one with the recipe's own values where that was
    tried, and how much of the trials' variance each key explains (empty with too few trials)."""

    trials: Sequence[Trial]
    best: Trial
    start: Trial | None
    importance: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Search:
    """A tuning that is open in this process: what decides its trials, the study that holds them, and the trainings
    that each of them is judged by. `shared` says that other machines may write to the storage."""

    setup: Setup
    study: optuna.Study
    shared: bool
    parts: list[TrialPart]


@dataclass(frozen=True)
class Tuning:
    """A tuning by its folder and its storage: an Optuna URL or the path of a journal; None for one in the folder."""

    folder: Path
    storage: str | None

    @property
    def address(self) -> str:
        """The URL of the storage, or the whole path of the journal."""
        if self.storage is None and (database := self.folder / DATABASE).exists():
            return sqlite_url(database)
        address = self.storage or str(self.folder / TRIALS)
        return str(Path(address).absolute()) if address.endswith(SUFFIX) else address

    def opened(self, data: OpenedData) -> Search:
        """Open it, once in a process. DataError if the images cannot judge trials."""
        return data.once(self, lambda: self._open(data))

    def _open(self, data: OpenedData) -> Search:
        setup = read_setup(self.folder)
        view = data.view(setup.recipe.data)
        parts = parts_of(view, setup.repeats, setup.seed)
        require_judgement(view, parts)
        return Search(setup, open_study(self.address, setup), self.storage is not None, parts)


def run_tuning(
    tuning: Tuning,
    setup: Setup,
    limits: TrialLimits,
    executor: Executor,
    data: OpenedData,
    listener: ProgressListener,
    summarise: Callable[[TuningResult], T],
) -> T:
    """Hold a tuning's folder, go on with its trials up to the limits, and summarise them.

    DataError before anything is trained, if the images cannot judge trials; TrainingError if no trial is complete.
    """

    told, failures = 0, 0

    def tell() -> None:
        nonlocal told, failures
        failures = 0
        study = tuning.opened(data).study
        done = records(study, setup.space)
        # The number of a trial is final once no trial that began before it still goes on.
        states = [trial.state for trial in _counted(study)]
        final = states.index(TrialState.RUNNING) if TrialState.RUNNING in states else len(done)
        for trial in done[told:final]:
            listener.on_trial_end(tuning.folder, setup.recipe, trial)
        told = max(told, final)
        best = max((trial.value for trial in done if trial.state == "complete"), default=float("nan"))
        listener.on_trial(len(done), limits.trials, best, limits.seconds_left(done, executor.slots or 1))

    def fails(error: WorkFailedError) -> None:
        nonlocal failures
        failures += 1
        _give_up(tuning.opened(data).study, error)
        if failures == MOST_FAILURES:
            raise TrainingError(
                f"{failures} trials failed one after the other. The last one, {error.name}: {error.why}", error.remedy
            )

    def trials() -> Iterator[TrialSpec | None]:
        listener.on_step("Tuning")
        tell()
        yield from next_trials(tuning, data, limits)

    @contextlib.contextmanager
    def held() -> Iterator[None]:
        with hold_tuning(tuning.folder, setup):
            search = tuning.opened(data)
            with heartbeat(search.study) if search.shared else contextlib.nullcontext():
                yield

    def summarised(_: Sequence[None]) -> T:
        return summarise(found(tuning.opened(data)))

    with quiet(), storage_kept(tuning.address):
        return run_experiment(held, trials(), summarised, executor, tell, fails)


@dataclass(frozen=True)
class TrialSpec:
    """One trial, by its number in the storage, which also takes what comes of it; `values` says its own of the
    searched keys."""

    tuning: Tuning
    trial: int
    values: str = ""

    def to_job(self) -> dict[str, Any]:
        """See `Work`."""
        folder = str(self.tuning.folder.resolve())
        return {"task": "trial", "folder": folder, "storage": self.tuning.address, "trial": self.trial}

    @classmethod
    def of_job(cls, job: Mapping[str, Any]) -> "TrialSpec":
        """Read what `to_job` gave."""
        return cls(Tuning(Path(job["folder"]), job["storage"]), job["trial"])

    @property
    def name(self) -> str:
        """See `Work`."""
        return f"trial-{self.trial}"

    def done(self) -> None:
        """See `Work`: a trial is given once."""

    @property
    def repeated(self) -> str:
        """See `Work`."""
        return f"Repeat {self.name} here by the same command without --on; its values: {self.values}."

    def read(self, listener: ProgressListener) -> None:
        """See `Work`: what came of it is in the storage."""

    @one_blas_thread()
    def do(self, data: OpenedData, listener: ProgressListener) -> None:
        """Train the trial's recipe, and write what it is worth, unless the trial has ended: it was done before, or is
        taken to have failed, since the command that chose it has been silent."""
        with quiet(), storage_kept(self.tuning.address):
            search = self.tuning.opened(data)
            left = next((t for t in running(search.study) if t._trial_id == self.trial), None)
            if left is None:
                return
            trial, begun = optuna.trial.Trial(search.study, self.trial), time.monotonic()
            try:
                value = _value_of(trial, left, search, listener)
                trial.set_user_attr(_SECONDS, time.monotonic() - begun)
                if value is None or np.isnan(value):
                    search.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
                else:
                    search.study.tell(trial, value, skip_if_finished=True)
            except UpdateFinishedTrialError:
                return
            except (Exception, KeyboardInterrupt):
                fail(search.study, left)
                raise


def next_trials(tuning: Tuning, data: OpenedData, limits: TrialLimits) -> Iterator[TrialSpec | None]:
    """Choose one trial after the other, as long as the limits allow; None where they do not, unless one fails.

    Those that a killed command left are taken up again, by their number: a job of it may still do one. In a storage
    that others write to as well, they come again as trials of their own.
    """
    search = tuning.opened(data)
    if not search.shared:
        # Its folder is held: there is no other command.
        for index, trial in enumerate(_counted(search.study)):
            if trial.state == TrialState.RUNNING:
                if len(trial.params) == len(search.setup.space.parameters) and limits.allow(index):
                    yield _spec_of(tuning, search, trial)
                else:
                    fail(search.study, trial)
    while True:
        with choosing(tuning.address, shared=search.shared):
            if search.shared:
                fail_gone(search.study)
            counted = _counted(search.study)
            chosen = _ask(search, _next_proposal(counted)) if limits.allow(len(counted)) else None
        yield None if chosen is None else _spec_of(tuning, search, chosen)


def _spec_of(tuning: Tuning, search: Search, trial: optuna.Trial | FrozenTrial) -> TrialSpec:
    values = from_stored(search.setup.space, trial.params)
    return TrialSpec(tuning, trial._trial_id, ", ".join(f"{key}={value}" for key, value in values.items()))


_PROPOSAL, _SECONDS, _NOTE = "proposal", "seconds", "note"


def _next_proposal(counted: Sequence[FrozenTrial]) -> int:
    """Give the first number of a proposal that no trial has: that of a trial that was killed comes again, while one
    that began after it may be complete."""
    taken = [trial.user_attrs.get(_PROPOSAL, number) for number, trial in enumerate(counted)]
    return next(number for number in itertools.count() if number not in taken)


def _give_up(study: optuna.Study, error: WorkFailedError) -> None:
    """Say of a trial that it failed elsewhere, so that its proposal comes again; if that failed before, as one that
    takes too much memory does, it is counted as one that cannot be trained."""
    trial = next((t for t in running(study) if f"trial-{t._trial_id}" == error.name), None)
    if trial is None:
        return
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    number = trial.user_attrs.get(_PROPOSAL)
    again = any(_NOTE in t.user_attrs and t.user_attrs.get(_PROPOSAL) == number for t in failed)
    with contextlib.suppress(UpdateFinishedTrialError):
        optuna.trial.Trial(study, trial._trial_id).set_user_attr(_NOTE, error.why)
        study.tell(trial.number, state=TrialState.PRUNED if again else TrialState.FAIL, skip_if_finished=True)


def _ask(search: Search, number: int) -> optuna.Trial:
    """Choose the trial of a proposal: the recipe as it is, if it lies in the space and is the first; else what the
    sampler makes of the trials so far."""
    study, setup = search.study, search.setup
    about = {PROCESS: process_name(os.getpid()), _PROPOSAL: number}
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    if not waiting:
        # With what it is known by from the first moment, so that it is missed whenever this process is killed.
        start = None if number else setup.space.values_of(setup.recipe)
        study.enqueue_trial(stored(setup.space, start) if start else {}, user_attrs=about)
    study.sampler = make_sampler(setup.sampler, setup.seed, number)
    trial = study.ask({p.key: distribution(p) for p in setup.space.parameters})
    # A trial that is taken up again asks the sampler, too, and must not wait for it.
    study.sampler = optuna.samplers.RandomSampler(seed=setup.seed)
    if waiting:
        for name, value in about.items():
            trial.set_user_attr(name, value)
    return trial


def _value_of(trial: optuna.Trial, left: FrozenTrial, search: Search, listener: ProgressListener) -> float | None:
    """Train on every part, and give the mean of what they are worth, None if the trial is pruned; `left` is the trial
    as it was found, with what a process that was killed has reported."""
    space = search.setup.space
    chosen = from_stored(space, trial.params)
    # Trials of one point are the same training: what it gave is known.
    known = (t for t in records(search.study, space) if t.state == "complete" and t.params == chosen)
    if (same := next(known, None)) is not None:
        trial.set_user_attr("values", list(same.values))
        return same.value

    last = -1 if left.last_step is None else left.last_step

    def report(step: int, value: float) -> None:
        if step < last:
            return
        if step > last:
            trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        values = values_of(with_values(search.setup.recipe, chosen), search.parts, report, listener.on_epoch)
    except optuna.TrialPruned:
        return None
    except (TrainingError, MemoryShortError) as error:
        trial.set_user_attr(_NOTE, error.problem)
        return None
    trial.set_user_attr("values", values)
    return float(np.mean(values))


def records(study: optuna.Study, space: Space) -> list[Trial]:
    """Give the finished trials in the order they began, numbered from 1; failed ones are left out."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    complete = [t for t in finished if t.state == TrialState.COMPLETE]
    try:
        return [_record(number, t, space, worth(t, complete)) for number, t in enumerate(finished, start=1)]
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"The storage has a trial that is not of this tuning: {first_line(error)}.", "Choose another storage."
        ) from error


def _record(number: int, trial: FrozenTrial, space: Space, value: float) -> Trial:
    note = str(trial.user_attrs.get(_NOTE, ""))
    pruned = trial.state == TrialState.PRUNED
    return Trial(
        number,
        "diverged" if note else "pruned" if pruned else "complete",
        float("nan") if note else value,
        tuple(trial.user_attrs.get("values", ())),
        from_stored(space, trial.params),
        trial.user_attrs.get(_SECONDS, trial.duration.total_seconds() if trial.duration else 0.0),
        note,
    )


def worth(trial: FrozenTrial, complete: Sequence[FrozenTrial]) -> float:
    """Give a finished trial's value; NaN where it cannot be told.

    Of a pruned trial it is an estimate: as far from the mean of the complete ones as it was at the epoch where it
    stopped. What it had reached cannot stand for it, since folds differ more than trials do.
    """
    if trial.state == TrialState.COMPLETE:
        return float("nan") if trial.value is None else trial.value
    step = trial.last_step
    beside = [(t.intermediate_values[step], t.value) for t in complete if step in t.intermediate_values]
    if step is None or not beside:
        return float("nan")
    then, final = np.mean(np.array(beside, float), axis=0)
    return float(final + trial.intermediate_values[step] - then)


def found(search: Search) -> TuningResult:
    """Sum a tuning up. TrainingError if no trial is complete."""
    setup, trials = search.setup, records(search.study, search.setup.space)
    complete = [t for t in trials if t.state == "complete"]
    if not complete:
        why = next((f" The first one: {t.note}" for t in trials if t.note), "")
        raise TrainingError(
            f"None of {len(trials)} trials is complete.{why}", "Try more, or search where training succeeds."
        )
    best = max(complete, key=lambda t: (t.value, -t.number))
    own = setup.space.values_of(setup.recipe)
    start = next((t for t in complete if t.params == own), None)
    return TuningResult(trials, best, start, _importance(search.study, setup, complete))


def _importance(study: optuna.Study, setup: Setup, complete: Sequence[Trial]) -> dict[str, float]:
    """Share of the complete trials' variance that each key explains (fANOVA, Hutter et al. 2014)."""
    searched = [p.key for p in setup.space.parameters if len({str(t.params[p.key]) for t in complete}) > 1]
    if len(complete) < _ENOUGH_FOR_IMPORTANCE or not searched or len({t.value for t in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=setup.seed)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator, params=searched))


def _counted(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING))
