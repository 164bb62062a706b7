"""A part of an experiment that takes no training; who imports this can do it."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from penlight.experiments.executors import worker


@dataclass(frozen=True)
class Part:
    """Makes a file for each time that it is begun, in its folder; ends the process that started its own the first
    `killed` times, and then waits until `wait` is there."""

    folder: Path
    killed: int = 0
    wait: str = ""

    @property
    def name(self):
        return self.folder.name

    repeated = ""

    def done(self):
        return False

    def to_job(self):
        return {"task": "part", "folder": str(self.folder.resolve()), "killed": self.killed, "wait": self.wait}

    def read(self, listener):
        return sorted(path.name for path in self.folder.iterdir())


def do(job, data):
    folder = Path(job["folder"])
    done = len(list(folder.iterdir()))
    (folder / f"{done}-{os.getpid()}").touch()
    if done < job["killed"]:
        # As in life, after it was said that it is begun.
        time.sleep(0.1)
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    while job["wait"] and not Path(job["wait"]).exists():
        time.sleep(0.01)


worker.TASKS["part"] = do
