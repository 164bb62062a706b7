"""A Slurm cluster of one node, of this machine alone: munged, slurmctld and slurmd in a folder, without systemd.

It has no accounting, as many small clusters have none. All of it listens on loopback and ends with `stop`.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue")

CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# Jobs that were put back wait until credentials have expired.
AuthInfo=socket={folder}/munge.sock,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
KillWait=3
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 State=UNKNOWN
PartitionName=day Nodes={host} Default=YES MaxTime=1-00:00:00 State=UP
PartitionName=short Nodes={host} MaxTime=30 State=UP
"""


def missing() -> str:
    """Say why there can be no cluster here; empty if there can."""
    lacks = [name for name in NEEDED if _found(name) is None]
    if lacks:
        return f"not installed: {', '.join(lacks)} (apt-get install slurm-wlm munge)"
    return "" if os.getuid() == 0 else "slurmd must be started as root"


def _found(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


class OneNode:
    """The cluster: `start` and `stop` it, or the controller alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What Slurm's commands need to find it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self) -> None:
        for name in ("state", "spool", "log"):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        conf = CONF.format(host=socket.gethostname().split(".")[0], ports=_free_ports(), folder=self.folder)
        (self.folder / "slurm.conf").write_text(conf)
        names = {"socket": "munge.sock", "pid-file": "munged.pid", "log-file": "log/munged", "seed-file": "seed"}
        paths = [f"--{name}={self.folder / path}" for name, path in names.items()]
        # --force: the folders above may be closed to others.
        self._start("munged", "-F", "--force", f"--key-file={key}", *paths)
        _wait(lambda: (self.folder / "munge.sock").exists(), "munged")
        self.start_controller()
        self._start("slurmd", "-D")
        _wait(lambda: self.states() == {"idle"}, "the node")

    def start_controller(self) -> None:
        self._start("slurmctld", "-D")

    def kill_controller(self) -> None:
        """End the controller as a crash does."""
        daemon = self._daemons.pop("slurmctld")
        daemon.kill()
        daemon.wait()

    def stop(self) -> None:
        if "slurmctld" in self._daemons:
            subprocess.run(["scancel", "-u", "root"], env=os.environ | self.environment, timeout=20, check=False)
            time.sleep(1)
        for daemon in reversed(self._daemons.values()):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()

    def _start(self, name: str, *options: str) -> None:
        command, env = [str(_found(name)), *options], os.environ | self.environment
        with (self.folder / "log" / f"{name}.out").open("ab") as said:
            self._daemons[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=env
            )

    def states(self) -> set[str]:
        """Ask what state the node is in; an empty set if the controller does not answer."""
        try:
            asked = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, timeout=2,
                                   env=os.environ | self.environment, check=False)  # fmt: skip
        except subprocess.TimeoutExpired:
            return set()
        return {*asked.stdout.split()}


def _wait(there, what: str) -> None:
    end = time.monotonic() + 30
    while not there():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not start within 30 s")
        time.sleep(0.05)


def _free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as other:
        for own in (one, other):
            own.bind(("127.0.0.1", 0))
        return [own.getsockname()[1] for own in (one, other)]


@contextmanager
def one_node(folder: Path) -> Iterator[OneNode]:
    """Run the cluster in a folder."""
    node = OneNode(folder)
    try:
        node.start()
        yield node
    finally:
        node.stop()
