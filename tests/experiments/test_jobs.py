"""Jobs of a scheduler: submitted once, seen, submitted again where they end without an answer, and cancelled. The
scheduler is one of these tests, and one of submitit's for this machine; `tests/cluster` has Slurm itself."""

import json
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import penlight as pl
from penlight.errors import ArgumentError, ClusterError, RunError, TrainingError
from penlight.experiments.executors import slurm as of_slurm
from penlight.experiments.executors import worker
from penlight.experiments.executors.following import SlurmJobs, cancel_jobs, jobs_of
from penlight.experiments.executors.jobs import Detached, Ledger, SeenJob
from penlight.experiments.executors.places import Place
from penlight.experiments.executors.prepare import submitted_to
from penlight.experiments.executors.slurm import (
    TRIES,
    Cluster,
    SilentError,
    Slurm,
    SubmittedJob,
    _minutes,
    _partitions,
)
from penlight.experiments.executors.work import WorkFailedError, do_all


class Told(pl.ProgressListener):
    def __init__(self):
        self.jobs, self.warned = [], []

    def on_job(self, name, state, about):
        self.jobs.append((name, state, about))

    def on_warning(self, what):
        self.warned.append(what)


@dataclass
class Part:
    """A part that is done when its file is there."""

    folder: Path
    name: str

    repeated = ""

    def done(self):
        return (self.folder / self.name).exists()

    def read(self, listener):
        return (self.folder / self.name).read_text()

    def to_job(self):
        return {"task": "write", "file": str(self.folder / self.name), "folder": str(self.folder)}


class Drawn(Slurm):
    """A scheduler that does with the jobs what a test says: `act` is called with the number of a job and its task."""

    def __init__(self, act=None):
        super().__init__(Cluster(ask_every=0.02, time="1h", memory="2G"))
        self.act, self.states, self.arrays, self.silent, self.cancelled = act or self.do, {}, [], False, []
        self.lock = threading.Lock()

    def require(self):
        pass

    def submit(self, folder, token, tasks, after=""):
        self.arrays.append(([task.job["task"] for task in tasks], after))
        numbers = []
        for index, task in enumerate(tasks):
            number = f"{len(self.arrays)}_{index}"
            numbers.append(number)
            self.states[token, index] = SeenJob(number, "RUNNING", "n1", "2026-01-01T00:00:00")
            state = self.act(number, task)
            self.states[token, index] = SeenJob(number, state, "n1", "2026-01-01T00:00:00", "None")
        return numbers

    def do(self, number, task):
        """Do a job as the worker would."""
        if task.job["task"] == "write":
            Path(task.job["file"]).write_text("done")
        task._say({})
        return "COMPLETED"

    def seen(self, folder):
        if self.silent:
            raise SilentError("Slurm did not answer squeue within 30 s.")
        return dict(self.states)

    def cancel(self, jobs):
        self.cancelled += jobs
        for key, job in self.states.items():
            if job.job in jobs:
                self.states[key] = SeenJob(job.job, "CANCELLED")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "study"
    made.mkdir()
    return made


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch):
    monkeypatch.setattr("penlight.experiments.executors.following.submitted_to", lambda folder: {})


def done_in(slurm, folder, names=("a", "b"), told=None, **more):
    with SlurmJobs(folder, told or Told(), slurm, **more) as place:
        return do_all(iter([Part(folder, name) for name in names]), place)


def shown(jobs):
    return [(row.name, row.state, row.job) for row in jobs.rows]


def test_parts_are_one_array_after_the_one_that_prepares_and_those_done_need_no_job(folder):
    class First(Part):
        def to_job(self):
            return {"task": "prepare"}

    slurm, told = Drawn(), Told()
    (folder / "c").write_text("before")
    assert done_in(slurm, folder, "abc", told, first=First(folder, "first")) == ["done", "done", "before"]
    assert slurm.arrays == [(["prepare"], ""), (["write", "write"], "1_0")]
    assert [job[:2] for job in told.jobs if job[0] == "a"] == [("a", "waiting"), ("a", "done")]
    assert done_in(slurm, folder, "abc") == ["done", "done", "before"]
    assert len(slurm.arrays) == 2
    jobs = jobs_of(folder, slurm)
    assert [(row.name, row.state, row.job) for row in jobs.rows] == [
        ("a", "done", "2_0"),
        ("b", "done", "2_1"),
        ("c", "done", ""),
    ]
    assert repr(jobs).endswith("3 parts: 3 done)")
    assert (folder / ".jobs").stat().st_mode & 0o777 == 0o700


def test_whoever_asks_for_the_same_work_waits_for_the_same_jobs(folder):
    slurm = Drawn(lambda number, task: waiting.append(task) or "PENDING")
    waiting: list[SubmittedJob] = []
    with pytest.raises(Detached) as left:
        done_in(slurm, folder, "a", detach=True)
    assert shown(left.value.jobs) == [("a", "waiting", "1_0")]
    threading.Timer(0.2, lambda: slurm.do("1_0", waiting[0])).start()
    assert done_in(slurm, folder, "a") == ["done"]
    assert len(slurm.arrays) == 1


def test_a_command_that_is_killed_after_it_submitted_loses_no_job(folder):
    class Killed(BaseException):
        pass

    def killed(number, task):
        waiting.append(task)
        slurm.states = {key: SeenJob(job.job, "PENDING") for key, job in slurm.states.items()}
        raise Killed

    waiting: list[SubmittedJob] = []
    slurm = Drawn(killed)
    with pytest.raises(Killed):
        done_in(slurm, folder, "a")
    threading.Timer(0.2, lambda: slurm.do("1_0", waiting[0])).start()
    assert done_in(slurm, folder, "a") == ["done"]
    assert len(slurm.arrays) == 1


def test_a_job_that_ends_without_an_answer_is_submitted_again_while_that_gets_on(folder):
    def act(number, task):
        (folder / ".state").mkdir(exist_ok=True)
        if len(slurm.arrays) < 7:
            (folder / ".state" / f"fit-{len(slurm.arrays)}.npz").touch()
            return "NODE_FAIL"
        return slurm.do(number, task)

    slurm, told = Drawn(act), Told()
    assert done_in(slurm, folder, "a", told) == ["done"]
    assert len(slurm.arrays) == 7
    assert ("a", "waiting", "again, since job 1_0 ended as NODE_FAIL") in told.jobs


@pytest.mark.parametrize(
    ("state", "said", "remedy"),
    [
        (
            "CANCELLED",
            "4 jobs ended one after the other before another epoch was done, the last one job 4_0 ended as",
            "goes on",
        ),
        (
            "TIMEOUT",
            "the last one job 4_0 reached its limit of 1h; its log ends: the last line",
            "Set a longer 'time'",
        ),
        (None, "the last one job 4_0 is gone from Slurm's list", "goes on"),
    ],
)
def test_a_part_whose_jobs_all_end_has_failed_and_the_others_are_done(folder, state, said, remedy):
    def act(number, task):
        if task.job["file"].endswith("b"):
            return slurm.do(number, task)
        (folder / ".jobs" / f"{number}_0_log.out").write_text("first\nthe last line\n")
        return state

    slurm = Drawn(act)
    if state is None:
        seen = slurm.seen
        slurm.seen = lambda place: {key: job for key, job in seen(place).items() if job.state}
    with pytest.raises(TrainingError) as failed:
        done_in(slurm, folder)
    assert "1 of 2 parts failed: a (" in str(failed.value)
    assert said in str(failed.value)
    assert remedy in str(failed.value)
    assert (folder / "b").exists()
    assert len(slurm.arrays) == TRIES


@pytest.mark.parametrize(
    ("state", "log"),
    [("OUT_OF_MEMORY", ""), ("FAILED", "slurmstepd: error: Detected 1 oom_kill event\nsrun: error\n")],
)
def test_a_job_killed_for_memory_is_said_as_such_at_once(folder, state, log):
    def act(number, task):
        (folder / ".jobs" / f"{number}_0_log.out").write_text(log)
        return state

    slurm = Drawn(act)
    with pytest.raises(
        WorkFailedError, match=r"a failed: job 1_0 was killed for memory, of which it had 2G.*Set more 'memory'"
    ):
        done_in(slurm, folder, "a")
    assert len(slurm.arrays) == 1


def test_an_error_of_the_work_is_its_own_and_the_same_command_tries_again(folder):
    def act(number, task):
        task._say({"error": "No such dataset.", "remedy": "Fetch it."} if len(slurm.arrays) == 1 else {})
        if len(slurm.arrays) > 1:
            return slurm.do(number, task)
        return "COMPLETED"

    slurm = Drawn(act)
    with pytest.raises(WorkFailedError, match=r"a failed: No such dataset.*Fetch it\."):
        done_in(slurm, folder, "a")
    assert jobs_of(folder, slurm).rows[0].said == "No such dataset."
    assert done_in(slurm, folder, "a") == ["done"]


def test_cancelled_jobs_are_not_submitted_again_by_who_waits(folder):
    slurm = Drawn(lambda number, task: "RUNNING")
    threading.Timer(0.3, lambda: cancel_jobs(folder, slurm)).start()
    with pytest.raises(WorkFailedError, match="a failed: it was cancelled"):
        done_in(slurm, folder, "a")
    assert slurm.cancelled == ["1_0"]
    assert len(slurm.arrays) == 1
    assert [(row.state, row.said) for row in jobs_of(folder, slurm).rows] == [("failed", "It was cancelled.")]
    slurm.act = slurm.do
    assert done_in(slurm, folder, "a") == ["done"]


def test_a_scheduler_that_does_not_answer_is_said_once_and_waited_for(folder):
    def act(number, task):
        slurm.silent = True
        threading.Timer(0.3, lambda: slurm.do(number, task)).start()
        return "RUNNING"

    slurm, told = Drawn(act), Told()
    assert done_in(slurm, folder, "a", told) == ["done"]
    assert told.warned == ["Slurm did not answer squeue within 30 s. Jobs go on; their answers are waited for."]
    (folder / "b").unlink(missing_ok=True)


def test_waiting_for_a_silent_scheduler_ends(folder, monkeypatch):
    monkeypatch.setattr("penlight.experiments.executors.following._PATIENCE", 0.2)

    def act(number, task):
        slurm.silent = True
        return "RUNNING"

    slurm = Drawn(act)
    with pytest.raises(ClusterError, match="Slurm has not answered for"):
        done_in(slurm, folder, "a")
    assert [(row.state, row.said) for row in jobs_of(folder, slurm).rows] == [("waiting", "Slurm does not answer.")]


def test_jobs_of_a_list_that_grows_end_with_it(folder):
    slurm = Drawn(lambda number, task: "RUNNING")
    with SlurmJobs(folder, Told(), slurm, slots=2) as place:
        assert not place.outlives
        place.submit(Part(folder, "a"))
        place.flush()
    assert slurm.cancelled == ["1_0"]


def test_a_job_that_its_limit_ends_goes_on_while_that_gets_on(folder, monkeypatch):
    answer = folder / "answer.json"
    (folder / ".state").mkdir()
    task = SubmittedJob(Part(folder, "a").to_job(), answer, "1m")
    for epoch in range(10):
        (folder / ".state" / f"fit-{epoch}.npz").touch()
        assert task.checkpoint().function is task
    for _ in range(TRIES - 1):
        assert task.checkpoint() is not None
    assert task.checkpoint() is None
    assert json.loads(answer.read_text())["error"].startswith("4 jobs ended one after the other before another epoch")


def test_an_error_of_putting_a_job_back_is_none_of_the_work(folder, monkeypatch):
    def work(job, data):
        made.checkpoint()
        raise OSError("scontrol died")

    monkeypatch.setitem(worker.TASKS, "write", work)
    made = SubmittedJob(Part(folder, "a").to_job(), folder / "answer.json", "1m")
    made()
    assert not made.answer.exists()
    monkeypatch.setitem(worker.TASKS, "write", lambda job, data: None)
    made()
    assert made.answer.read_text() == "{}"


# What others may have put there.


def test_what_others_could_write_to_is_refused(folder):
    for mode, place in ((0o777, folder), (0o755, folder / ".jobs")):
        place.mkdir(exist_ok=True)
        before = place.stat().st_mode
        place.chmod(mode)
        with pytest.raises(ClusterError, match=r"must be a folder of yours that nobody else may write to"):
            done_in(Drawn(), folder, "a")
        place.chmod(before)


def test_a_link_in_the_place_of_the_jobs_is_refused(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (folder / ".jobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ClusterError, match="must be a folder of yours"):
        done_in(Drawn(), folder, "a")


def test_a_strangers_folder_is_read_as_json_alone(folder, tmp_path, monkeypatch):
    """No pickle in it is opened, no link followed, no job of the user is ended that another folder submitted."""
    jobs = folder / ".jobs"
    (jobs / "answers").mkdir(parents=True)
    row = {"name": "a\x1b[31m", "token": "t", "index": 0, "job": "7"}
    (jobs / "ledger.json").write_text(json.dumps({"schema": 1, "parts": [row]}))
    with pytest.raises(RunError, match="is not what Penlight writes"):
        pl.jobs(folder)
    (jobs / "ledger.json").write_text(json.dumps({"schema": 1, "parts": [row | {"name": "a"}]}))
    for name in ("7_submitted.pkl", "7_0_result.pkl"):
        (jobs / name).write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "run").encode() + b"'\ntR.")
    (tmp_path / "secret").write_text("secret")
    (jobs / "7_0_log.out").symlink_to(tmp_path / "secret")
    said = "\n".join(("7|RUNNING|n1|t|t|None|penlight-t|/home/me/other/.jobs/x.sh", "8|RUNNING|n|t|t|None|mine|x"))
    asked = []
    monkeypatch.setattr(of_slurm, "_ask", lambda *words: asked.append(words) or said)
    shown = pl.jobs(folder)
    assert [(row.state, row.said) for row in shown.rows] == [
        ("failed", "Its job is gone. The same command goes on from there.")
    ]
    with pytest.raises(ClusterError, match="must be a folder of yours"):
        pl.cancel_jobs(folder)
    jobs.chmod(0o700)
    (jobs / "answers").chmod(0o700)
    pl.cancel_jobs(folder)
    assert not (tmp_path / "run").exists()
    assert all(words[0] == "squeue" for words in asked)


# What is asked of a cluster.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cpu = 2\n", "'cpu' is not a known key (did you mean cpus?). Known keys: partition, account, time"),
        ("cpus = 0\n", "'cpus' input should be greater than or equal to 1"),
        ('time = "soon"\n', "'time' string should match pattern"),
        ("time = 2026-01-01\n", "a value is of a kind that is not expected"),
        ("cpus = \n", "is not valid TOML"),
        ('[extra]\nqos = ["a"]\n', "'extra.qos"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path, text, said):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ClusterError) as error:
        Cluster.read(tmp_path / "c.toml")
    assert said in str(error.value)
    assert "c.toml" in str(error.value)


def test_the_file_of_the_user_is_read_and_a_partition_goes_before_its_own(own_folders):
    assert Cluster.read(None) == Cluster()
    place = own_folders / ".config" / "penlight" / "slurm.toml"
    place.parent.mkdir(parents=True)
    place.write_text('partition = "day"\ntime = "2d"\nmemory = "3G"\nextra = { qos = "low" }\n')
    read = Cluster.read(None, "gpu")
    assert (read.partition, read.minutes, read.megabytes, read.extra) == ("gpu", 2880, 3072, {"qos": "low"})
    with pytest.raises(ClusterError, match=r"none\.toml cannot be read: No such file"):
        Cluster.read(Path("none.toml"))


def test_what_sinfo_says_is_read():
    said = "day*|1-00:00:00|16000|4\nnight|infinite|8000+|8\nnight|infinite|9000|2\n"
    assert _partitions(said) == (
        "day",
        {
            "day": {"time": 1440, "memory": 16000, "cpus": 4},
            "night": {"time": float("inf"), "memory": 9000, "cpus": 8},
        },
    )
    assert [_minutes(text) for text in ("30", "30:00", "1:30:00", "2-00:00:00", "UNLIMITED")] == [
        0.5,
        30,
        90,
        2880,
        float("inf"),
    ]


@pytest.mark.parametrize(
    ("on", "then"), [(None, "detach"), ("local:2", "detach"), ("local", "status"), ("dask:x", "cancel")]
)
def test_jobs_are_asked_of_slurm_alone(on, then):
    with pytest.raises(ArgumentError, match="for jobs of Slurm"):
        Place.of(on, None, then)


def test_what_trains_no_runs_cannot_be_submitted():
    with pytest.raises(ArgumentError, match="A function that trains several runs was expected; NoneType came"):
        pl.submit(lambda on: None)


# submitit itself, on this machine.


class Local(Slurm):
    """submitit's executor of this machine, whose jobs are processes."""

    def __init__(self):
        super().__init__(Cluster(ask_every=0.2))
        self.jobs = {}

    def require(self):
        pass

    def submit(self, folder, token, tasks, after=""):
        import submitit

        executor = submitit.LocalExecutor(folder=folder)
        executor.update_parameters(stderr_to_stdout=True, timeout_min=10)
        made = {(token, index): executor.submit(task) for index, task in enumerate(tasks)}
        self.jobs |= made
        return [job.job_id for job in made.values()]

    def seen(self, folder):
        states = {"FINISHED": "COMPLETED", "INTERRUPTED": "FAILED"}
        return {key: SeenJob(job.job_id, states.get(job.state, job.state), "here") for key, job in self.jobs.items()}

    def cancel(self, jobs):
        for job in self.jobs.values():
            job.cancel()


@pytest.fixture
def known(tmp_path, monkeypatch):
    """Lets the processes of jobs know the task of `Part`; they are asked whether all is the same there."""
    monkeypatch.setattr("penlight.experiments.executors.following.submitted_to", submitted_to)
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, time\n"
        "from penlight.experiments.executors import worker\n"
        "def do(job, data):\n"
        "    file = pathlib.Path(job['file'])\n"
        "    tries = len(list(file.parent.glob(f'{file.name}.*')))\n"
        "    file.with_name(f'{file.name}.{tries}').write_text(str(os.getpid()))\n"
        "    if tries == 0:\n"
        "        time.sleep(60)\n"
        "    file.write_text('done')\n"
        "worker.TASKS['write'] = do\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


@pytest.mark.parametrize("number", [pytest.param(signal.SIGKILL, marks=pytest.mark.full), signal.SIGUSR2])
def test_a_job_of_submitit_that_is_killed_or_told_to_end_goes_on(folder, known, number):
    def end():
        first = folder / "a.0"
        for _ in range(600):
            if first.exists() and first.read_text():
                os.kill(int(first.read_text()), number)
                return
            time.sleep(0.05)

    local = Local()
    thread = threading.Thread(target=end)
    thread.start()
    assert done_in(local, folder, "a") == ["done"]
    thread.join()
    assert sorted(path.name for path in folder.glob("a.*")) == ["a.0", "a.1"]
    # Told to end, a job is put back; killed, another is submitted.
    assert len(local.jobs) == (2 if number == signal.SIGKILL else 1)
    for job in local.jobs.values():
        job._process.wait()
    assert Ledger(folder).rows()["a"].tries == (2 if number == signal.SIGKILL else 1)
