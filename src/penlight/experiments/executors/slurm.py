"""Slurm as a place where work is done: submission by submitit, and Slurm's own commands for how it goes on.

A job answers by a file, so nothing has to be unpickled here, and a scheduler without accounting does.
"""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, TypeAdapter, ValidationError

from penlight.disk import read_named, write_whole
from penlight.errors import ClusterError, MissingExtraError, first_line
from penlight.experiments.executors.jobs import GOES_ON, Seen, SeenJob
from penlight.experiments.executors.processes import threads_of
from penlight.experiments.progress import ProgressListener
from penlight.parsing import parse_toml
from penlight.recipes.recipe import Section, invalid_value
from penlight.runs.folder import checkpoints_in

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission

SETTINGS = Path("~/.config/penlight/slurm.toml")

TRIES = 4
"""So many jobs of a part may end one after the other without a further checkpoint, before it has failed."""

_ANSWERS_IN = 30.0
"""Seconds in which a command of Slurm must answer: with a dead controller it would hang."""

_UNITS = {"m": 1, "h": 60, "d": 1440}


class Cluster(Section):
    """What each job is given, as slurm.toml says it; what is not there is the cluster's own choice, or, of time and
    cpus, the least of the default and of what the partition has.

    `time` is as "90m", "4h" or "2d", `memory` as "8G", `gpus` and `cpus` are per job, `at_once` is how many jobs of
    an array may run at once. `setup` are lines of shell before each job, `extra` further options of sbatch.
    `ask_every` is after how many seconds Slurm is asked for the states of jobs again.
    """

    partition: str | None = None
    account: str | None = None
    time: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[mhd]$")] = "4h"
    memory: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}[MG]$")] | None = None
    cpus: Annotated[int, Field(ge=1, le=4096)] = 2
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    at_once: Annotated[int, Field(ge=1, le=100_000)] = 100
    setup: tuple[str, ...] = ()
    extra: dict[str, str | int | bool] = Field(default_factory=dict)
    ask_every: Annotated[float, Field(gt=0, le=600)] = 10.0

    @classmethod
    def read(cls, file: Path | None, partition: str = "") -> Self:
        """Read a file, or that of the user if there is one; `partition` goes before its own. ClusterError names the
        key that is wrong."""
        path = (file or SETTINGS).expanduser()
        values: dict[str, Any] = {}
        if file is not None or path.exists():
            try:
                values = parse_toml(read_named(path, 1 << 20), str(path), error=ClusterError)
            except OSError as error:
                raise ClusterError(
                    f"{path} cannot be read: {error.strerror}.", "Give a file with --cluster."
                ) from error
        values |= {"partition": partition} if partition else {}
        try:
            return TypeAdapter(cls).validate_json(json.dumps(values))
        except ValidationError as error:
            first = error.errors()[0]
            problem = invalid_value(".".join(map(str, first["loc"])), first)
            raise ClusterError(f"In {path}, {problem}.", f"Known keys: {', '.join(cls.model_fields)}.") from error
        except TypeError as error:
            raise ClusterError(f"In {path}, a value is of a kind that is not expected: {error}.") from error

    @property
    def minutes(self) -> int:
        """The time limit of a job in minutes."""
        return int(self.time[:-1]) * _UNITS[self.time[-1]]

    @property
    def megabytes(self) -> int | None:
        """The memory of a job in MB; None if Slurm chooses."""
        return None if self.memory is None else int(self.memory[:-1]) * (1024 if self.memory[-1] == "G" else 1)


class SilentError(ClusterError):
    """A command of Slurm gave no answer in time, or failed."""


def _ask(*command: str) -> str:
    """Give what a command of Slurm says. SilentError if it fails, or says nothing in time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWERS_IN, check=False)
    except FileNotFoundError as error:
        raise SilentError(f"There is no command {command[0]} on this machine.", _NO_SLURM) from error
    except subprocess.TimeoutExpired as error:
        raise SilentError(f"Slurm did not answer {command[0]} within {_ANSWERS_IN:.0f} s.", GOES_ON) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
        raise SilentError(f"Slurm did not answer {command[0]}: {said}.", GOES_ON)
    return done.stdout


_NO_SLURM = "Give the command on a login node of the cluster, or --on local."


class Slurm:
    """The commands of a Slurm cluster."""

    def __init__(self, asked: Cluster | None = None) -> None:
        self.asked = asked or Cluster()

    def require(self) -> None:
        """Raise ClusterError if there is no Slurm here, or not what is asked of it; MissingExtraError without
        submitit."""
        try:
            import submitit  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                "Slurm needs submitit, which is not installed.", "Install it: pip install 'penlight[slurm]'"
            ) from error
        if shutil.which("sbatch") is None:
            raise ClusterError("There is no command sbatch on this machine.", _NO_SLURM)
        default, partitions = _partitions(_ask("sinfo", "-h", "-o", "%P|%l|%m|%c"))
        name = self.asked.partition or default or "default"
        if name not in partitions:
            raise ClusterError(
                f"There is no partition '{name}'. Those of this cluster: {', '.join(partitions)}.",
                f"Give one, as --on slurm:{next(iter(partitions), 'PARTITION')}.",
            )
        asked, most = self.asked, partitions[name]
        units = {"time": " min", "memory": " MB", "cpus": ""}
        wanted = {"time": asked.minutes, "memory": asked.megabytes or 0, "cpus": asked.cpus}
        for key, value in wanted.items():
            if value > most[key] and key in asked.model_fields_set:
                raise ClusterError(
                    f"Jobs ask for {value:,}{units[key]} as '{key}', and partition '{name}' gives "
                    f"{round(most[key]):,}.",
                    f"Set '{key}' in {SETTINGS}, or in a file for --cluster.",
                )
        within: dict[str, Any] = {"cpus": int(min(asked.cpus, most["cpus"]))}
        within |= {"time": f"{int(most['time'])}m"} if asked.minutes > most["time"] else {}
        self.asked = asked.model_copy(update=within)

    def submit(self, folder: Path, token: str, tasks: Sequence["SubmittedJob"], after: str = "") -> list[str]:
        """Submit an array of jobs, and give their numbers; they wait for the end of the job `after`. ClusterError if
        Slurm does not take them."""
        import submitit

        asked = self.asked
        executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=1_000_000)
        given: dict[str, Any] = {"requeue": True}
        given |= {"dependency": f"afterany:{after}"} if after else {}
        given |= {} if asked.megabytes is None else {"mem": f"{asked.megabytes}M"}
        given |= asked.extra
        inside = shlex.quote(str(folder))
        # What a job unpickles must have been written by its own user.
        check = f'test -O {inside} && test "$(stat -c %a {inside})" = 700 || {{ echo "Not private."; exit 77; }}'
        threads = [f"export {name}={value}" for name, value in threads_of(asked.cpus).items()]
        executor.update_parameters(
            job_name=f"penlight-{token}",
            time=asked.minutes,
            cpus_per_task=asked.cpus,
            array_parallelism=asked.at_once,
            # Slurm is late by up to half a minute; half of a short limit is left to put the job back.
            signal_delay_s=min(90, asked.minutes * 30),
            stderr_to_stdout=True,
            setup=[check, *threads, *asked.setup],
            additional_parameters=given,
            **{k: v for k, v in (("partition", asked.partition), ("account", asked.account)) if v},
            **({"gpus_per_node": asked.gpus} if asked.gpus else {}),
        )
        try:
            # submitit prints what sbatch said, which is in its error, too.
            with contextlib.redirect_stderr(io.StringIO()), executor.batch():
                jobs = [executor.submit(task) for task in tasks]
        except (RuntimeError, subprocess.SubprocessError, OSError) as error:
            raise ClusterError(
                f"Slurm did not take the jobs: {_refusal(error)}.",
                f"Change what is asked for in {SETTINGS}. {GOES_ON}",
            ) from error
        return [job.job_id for job in jobs]

    def seen(self, folder: Path) -> Seen:
        """List the user's jobs whose scripts lie in a folder, also those that ended a while ago. SilentError if Slurm
        does not answer."""
        found = {}
        for line in _ask(
            "squeue", "-h", "-r", "-t", "all", "-u", str(os.getuid()), "-o", "%i|%T|%N|%V|%S|%r|%j|%o"
        ).splitlines():
            job, state, node, submitted, started, reason, name, command = line.split("|", 7)
            if name.startswith("penlight-") and Path(command).is_relative_to(folder):
                since = submitted if started in ("N/A", "") else started
                index = int(job.partition("_")[2] or 0)
                found[name.removeprefix("penlight-"), index] = SeenJob(job, state, node, since, reason)
        return found

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs. SilentError if Slurm does not answer."""
        for first in range(0, len(jobs), 500):
            _ask("scancel", *jobs[first : first + 500])


def _partitions(said: str) -> tuple[str, dict[str, dict[str, float]]]:
    """Read what sinfo says of partitions: which is the default, and the time, memory and cores that each gives."""
    default, partitions = "", dict[str, dict[str, float]]()
    for line in said.splitlines():
        name, limit, memory, cpus = line.split("|")
        default = name.rstrip("*") if name.endswith("*") else default
        now = {"time": _minutes(limit), "memory": float(memory.rstrip("+")), "cpus": float(cpus.rstrip("+"))}
        # A partition has a line for each kind of its nodes.
        before = partitions.get(name.rstrip("*"), now)
        partitions[name.rstrip("*")] = {key: max(value, before[key]) for key, value in now.items()}
    return default, partitions


def _minutes(limit: str) -> float:
    """Read a time limit of Slurm: days-hours:minutes:seconds, of which the first may be missing, or infinite."""
    if not re.fullmatch(r"(\d+-)?\d+(:\d+)*", limit):
        return float("inf")
    days, _, rest = limit.rpartition("-")
    seconds = 0
    for part in rest.split(":"):
        seconds = 60 * seconds + int(part)
    return int(days or 0) * 1440 + seconds / 60


def _refusal(error: Exception) -> str:
    """Find what sbatch said in the text of submitit's error."""
    said = [line for line in str(error).splitlines() if "error" in line.lower()]
    return (said[-1] if said else first_line(error)).removeprefix("sbatch: error: ").rstrip(".")


@dataclass
class SubmittedJob:
    """What a job does: the part in JSON, answered by a file. A job that is to end is put back as this, too."""

    job: Mapping[str, Any]
    answer: Path
    limit: str
    tries: int = 1
    progress: str = ""
    ends: bool = False

    def __call__(self) -> None:
        """Do the part, and answer, unless it was ended by its limit or for another job, which is no error of it."""
        from penlight.experiments.executors.worker import do_job
        from penlight.experiments.opened import OpenedData

        self.ends = False
        answer = do_job(self.job, OpenedData(ProgressListener()))
        if not self.ends:
            self._say(answer)

    def checkpoint(self) -> "DelayedSubmission | None":
        """Say how to go on: as before, unless that does not get on.

        submitit calls it when Slurm says that the job is to end, puts the job back, and ends the work by an
        exception. It may fail at that, as Slurm does not wait for long.
        """
        from submitit.helpers import DelayedSubmission

        self.ends = True
        now = progress_of(self.job)
        self.tries = self.tries + 1 if now == self.progress else 1
        self.progress = now
        if self.tries > TRIES:
            self._say({"error": stalled(TRIES, f"at the limit of {self.limit}"), "remedy": MORE_TIME})
            return None
        return DelayedSubmission(self)

    def _say(self, answer: Mapping[str, str]) -> None:
        write_whole(self.answer, json.dumps(answer).encode(), private=True)


MORE_TIME = f"Set a longer 'time' in {SETTINGS}, or in a file for --cluster; {GOES_ON[0].lower()}{GOES_ON[1:]}"


def stalled(tries: int, how: str) -> str:
    """Say that jobs of a part ended before there was more to go on from."""
    return f"{tries} jobs ended one after the other before another epoch was done, the last one {how}"


def progress_of(job: Mapping[str, Any]) -> str:
    """Name the checkpoints that a part would go on from."""
    return " ".join(sorted(checkpoints_in(Path(job["folder"])))) if "folder" in job else ""
