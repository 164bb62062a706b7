"""Asks a run about mutated pictures, in a process of its own: `python -m tests.attack.predicting RUN FIRST COUNT`.

Before a batch its first number is printed, so that a crash names it; at the end, in JSON, what became of them.
"""

import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import penlight as pl
from penlight.errors import PenlightError
from tests.attack.pictures import mutated

BATCH = 50


def main(run: str, first: int, count: int) -> None:
    """Print the outcomes; a picture whose error has no name ends the process."""
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for start in range(first, first + count, BATCH):
        print(start, flush=True)  # noqa: T201
        pictures = [mutated(number) for number in range(start, min(start + BATCH, first + count))]
        begun = time.monotonic()
        sent = [(f"{start + i} {kind}", content) for i, (kind, content) in enumerate(pictures)]
        for picture in pl.predict(Path(run), sent).predictions:
            if picture.error is None:
                outcomes["answered"] += 1
                continue
            assert isinstance(picture.error, PenlightError), picture
            assert len(str(picture.error)) < 600, picture
            outcomes[type(picture.error).__name__] += 1
        slowest = max(slowest, time.monotonic() - begun)
    # The maximum that getrusage gives of this process is that of the one that started it, where that was larger.
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    memory = (int(own.split()[1]) / 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
    print(json.dumps({"outcomes": outcomes, "slowest": slowest, "memory": max(memory)}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
