"""Studies done by the jobs of a Slurm cluster, which these tests start: `make test-cluster`.

PENLIGHT_CLUSTER_TRIES is how often each disturbance is tried, at random moments; 2 unless it is set.
"""

import json
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

import penlight as pl
from penlight.errors import ClusterError, RunError
from tests.cluster.conftest import rows

pytestmark = pytest.mark.cluster

TRIES = int(os.environ.get("PENLIGHT_CLUSTER_TRIES", "2"))
EPOCHS = 300
"""Enough that a run is still trained when it is disturbed, also on a quick machine."""
RUN = "cnn/seed-0"


def logs(folder: Path) -> list[Path]:
    return sorted((folder / ".jobs").glob("*_log.out"))


def test_two_submissions_at_once_train_each_run_once_with_the_bytes_of_here(place):
    (place.folder / "study.toml").write_text(rows(linear=2, cnn=1))
    both = [place.on_slurm("study.toml", "there") for _ in range(2)]
    for process in both:
        assert "linear" in place.end(process)
    place.end(place.study("study.toml", "here"))
    for run in ("linear/seed-0", "linear/seed-1", "cnn/seed-0"):
        assert place.bytes_of("there", run) == place.bytes_of("here", run)
    # A job that prepares, and one for each run.
    assert len(logs(place.folder / "there")) == 4
    assert {row.tries for row in place.rows("there").values()} == {1}
    assert [entry.name for entry in (place.folder / "there").iterdir() if entry.name == ".lock"] == []
    assert (place.folder / "there" / ".jobs").stat().st_mode & 0o777 == 0o700


@pytest.fixture(scope="module")
def undisturbed(node, tmp_path_factory):
    """What the run of the tests that disturb it is, where nothing does."""
    kept: dict[str, list[bytes]] = {}

    def of(place):
        if not kept:
            place.end(place.study("study.toml", "here"))
            kept["run"] = place.bytes_of("here", RUN)
        return kept["run"]

    return of


def kill_worker(place, job):
    """End the process of the job as the kernel does."""
    found = re.compile(rf"SLURM_ARRAY_JOB_ID={job}\0|SLURM_JOB_ID={job}\0".encode())
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name, env = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if b"submitit.core._submit" in name and b"srun\0" not in name and found.search(env):
            os.kill(int(process.name), signal.SIGKILL)
            return
    raise AssertionError(f"job {job} has no process")


def cancel_by_hand(place, job):
    place.slurm("scancel", job)


def restart_controller(place, job):
    place.node.kill_controller()
    time.sleep(random.uniform(0, 3))
    place.node.start_controller()


@pytest.mark.parametrize("disturb", [kill_worker, cancel_by_hand, restart_controller])
@pytest.mark.parametrize("number", range(TRIES))
def test_a_disturbed_study_ends_with_the_same_bytes(place, undisturbed, disturb, number):
    (place.folder / "study.toml").write_text(rows(cnn=1, epochs=EPOCHS))
    process = place.on_slurm("study.toml", "there")
    state = place.folder / "there" / RUN / ".state"
    place.wait_for(lambda: any(state.glob("*.npz")), "a checkpoint", process)
    time.sleep(random.uniform(0, 2))
    job = place.rows("there")[RUN].job
    disturb(place, job)
    place.end(process)
    assert place.bytes_of("there", RUN) == undisturbed(place)
    assert len(logs(place.folder / "there")) <= (1 if disturb is restart_controller else 2)


@pytest.mark.full
def test_a_run_longer_than_its_limit_ends_with_the_same_bytes(place):
    """The limit is a minute, the least that Slurm has; it sees that it has passed some seconds later."""
    (place.folder / "study.toml").write_text(rows(cnn=1, epochs=EPOCHS))
    begun = time.monotonic()
    place.end(place.study("study.toml", "short"))
    epochs = int(EPOCHS * 110 / (time.monotonic() - begun)) + EPOCHS
    (place.folder / "study.toml").write_text(rows(cnn=1, epochs=epochs))
    (place.folder / "cluster.toml").write_text('cpus = 1\nask_every = 1.0\ntime = "1m"\n')
    place.end(place.on_slurm("study.toml", "there"))
    place.end(place.study("study.toml", "here"))
    assert place.bytes_of("there", RUN) == place.bytes_of("here", RUN)
    said = "".join(log.read_text() for log in logs(place.folder / "there"))
    assert "Requeued job" in said or len(logs(place.folder / "there")) > 1


def test_a_detached_study_is_seen_and_gone_on_with(place):
    (place.folder / "study.toml").write_text(rows(linear=2))
    said = place.end(place.on_slurm("study.toml", "there", "--detach"))
    assert "2 parts: 2 waiting" in said
    assert "with --cancel ends them" in said
    seen = json.loads(place.end(place.study("study.toml", "there", "--status", "--json")))
    assert [row["name"] for row in seen["rows"]] == ["linear/seed-0", "linear/seed-1"]
    assert {row["state"] for row in seen["rows"]} <= {"waiting", "running"}
    assert all(re.fullmatch(r"\d+_\d", row["job"]) for row in seen["rows"])
    before = logs(place.folder / "there")
    place.end(place.on_slurm("study.toml", "there"))
    assert len(logs(place.folder / "there")) == 3 >= len(before)
    seen = json.loads(place.end(place.study("study.toml", "there", "--status", "--json")))
    assert {row["state"] for row in seen["rows"]} == {"done"}


def test_a_cancelled_study_is_not_submitted_again_by_who_waits_but_goes_on_by_its_command(place):
    (place.folder / "study.toml").write_text(rows(cnn=1, epochs=4 * EPOCHS))
    process = place.on_slurm("study.toml", "there")
    state = place.folder / "there" / RUN / ".state"
    place.wait_for(lambda: any(state.glob("*.npz")), "a checkpoint", process)
    assert "1 part: 1 failed" in place.end(place.study("study.toml", "there", "--cancel"))
    assert "it was cancelled" in place.end(process, 1)
    assert len(logs(place.folder / "there")) == 1
    place.end(place.on_slurm("study.toml", "there"))
    assert len(logs(place.folder / "there")) == 2


def test_ctrl_c_leaves_the_jobs(place):
    (place.folder / "study.toml").write_text(rows(cnn=1, epochs=EPOCHS))
    process = place.on_slurm("study.toml", "there")
    place.wait_for(lambda: (place.folder / "there" / ".jobs" / "ledger.json").exists(), "the ledger", process)
    place.wait_for(lambda: place.rows("there")[RUN].job, "the job", process)
    process.send_signal(signal.SIGINT)
    said = place.end(process, 130)
    assert "go on without this command" in said
    assert "--cancel" in said
    place.end(place.on_slurm("study.toml", "there"))
    assert len(logs(place.folder / "there")) == 1


@pytest.mark.parametrize(
    ("on", "file", "said"),
    [
        (
            "slurm:night",
            "cpus = 1\n",
            "no partition 'night'. Those of this cluster: day, short. Give one, as on=",
        ),
        ("slurm:short", 'cpus = 1\ntime = "1h"\n', "60 min as 'time', and partition 'short' gives 30"),
        ("slurm", 'cpus = 1\nmemory = "20G"\n', "20,480 MB as 'memory', and partition 'day' gives 16,000"),
        ("slurm", "cpus = 64\n", "64 as 'cpus', and partition 'day' gives 4"),
        ("slurm", 'cpus = 1\nextra = { qos2 = "none" }\n', "did not take the jobs: sbatch: unrecognized option"),
    ],
)
def test_what_the_cluster_does_not_have_is_said_before_a_job_is_there(place, environment, on, file, said):
    (place.folder / "cluster.toml").write_text(file)
    with pytest.raises(ClusterError, match=re.escape(said)):
        pl.train("tiny.toml", "linear", seeds=2, out="none", on=on, cluster="cluster.toml")
    assert not Path("none/.jobs").exists()
    with pytest.raises(RunError, match="No jobs were submitted from none"):
        pl.jobs("none")


def test_no_slurm_on_this_machine(place, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        ClusterError, match=r"There is no command sbatch on this machine. Give the command on a login"
    ):
        pl.train("tiny.toml", "linear", seeds=2, on="slurm", cluster="cluster.toml")


def test_a_dead_controller_is_said_in_time(place, environment, monkeypatch):
    monkeypatch.setattr("penlight.experiments.executors.slurm._ANSWERS_IN", 2.0)
    place.node.kill_controller()
    try:
        with pytest.raises(ClusterError, match=r"Slurm did not answer sinfo"):
            pl.train("tiny.toml", "linear", seeds=2, on="slurm", cluster="cluster.toml")
    finally:
        place.node.start_controller()
        place.wait_for(place.node.states, "the controller")


def test_the_time_from_submission_to_the_answer_is_printed(place, environment, capsys):
    """Beside what the job's own process takes: no time is asserted."""
    told: dict[str, float] = {}

    class Told(pl.ProgressListener):
        def on_job(self, name, state, about):
            told.setdefault(state, time.time())

    (place.folder / "cluster.toml").write_text("cpus = 1\n")
    runs = pl.train("tiny.toml", "majority", seeds=2, out="out", on="slurm", cluster="cluster.toml", listener=Told())
    assert len(runs) == 2
    place.slurm("squeue")
    own = [log for log in logs(Path("out")) if "_0_0_" in log.name or "_1_0_" in log.name]
    first = min(_stamp(log.read_text().splitlines()[0]) for log in own)
    last = max(_stamp(log.read_text().splitlines()[-1]) for log in own)
    prepared = next(log for log in logs(Path("out")) if log not in own)
    ahead = _stamp(prepared.read_text().splitlines()[-1])
    with capsys.disabled():
        print(  # noqa: T201
            f"\nOn Slurm: from the end of the preparing job to the start of the next {first - ahead:.1f} s, "
            f"from the end of the last to the end of waiting {told['done'] - last:.1f} s or less"
        )


def _stamp(line: str) -> float:
    found = re.search(r"\((\d+-\d+-\d+ [\d:]+),(\d+)\)", line)
    return time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M:%S")) + int(found[2]) / 1000
