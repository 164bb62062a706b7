"""Every command killed at moments drawn at random, and given again (`make test-attack`).

`tests/survival` kills at chosen events; here the moment is any, between events and in native code too.
"""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.attack import sizes
from tests.survival.conftest import place, server, undisturbed  # noqa: F401
from tests.survival.place import DESCRIBE, FOLDS, LINEAR, NETWORK, SEEDS, STUDY, TUNE, Place

pytestmark = pytest.mark.attack

RUN, NETWORK_RUN = "runs/tiny-linear-1", "runs/tiny-cnn-1"
PICTURE = "pictures/a/0.png"
SCORES = "scores.csv"

# The commands before, which are left alone, and the one that is killed.
COMMANDS = {
    "train": ((), LINEAR),
    "train a network": ((), NETWORK),
    "train seeds": ((), SEEDS),
    "train folds": ((), FOLDS),
    "study": ((), STUDY),
    "tune": ((), TUNE),
    "tune with workers": ((), (*TUNE, "--workers", "2")),
    "data new": ((), DESCRIBE),
    "data audit": ((), ("data", "audit", "tiny.toml")),
    "data show": ((), ("data", "show", "tiny.toml")),
    "evaluate": ((LINEAR,), ("evaluate", RUN)),
    "report": ((LINEAR,), ("report", RUN)),
    "predict": ((LINEAR,), ("predict", RUN, PICTURE)),
    "explain": ((LINEAR,), ("explain", RUN, PICTURE)),
    "compare": ((LINEAR,), ("compare", RUN, f"{RUN}:majority")),
    "score": ((), ("score", SCORES, "--dataset", "tiny.toml")),
    "export": ((LINEAR,), ("export", RUN)),
    "export to Keras": ((NETWORK,), ("export", NETWORK_RUN, "--to", "keras")),
    "export for sharing": ((LINEAR,), ("export", RUN, "--for-sharing")),
}
NAMES = list(COMMANDS)
# Which trials run beside which is not the same each time, nor where explanations of an earlier run are written.
NOT_COMPARED = {"tune with workers", "explain", "export for sharing"}


def prepared(undisturbed, place: Place, before) -> None:  # noqa: F811
    """Make a place as it is when some commands have run, without running them again."""
    (place.work / SCORES).write_text("".join(f"{row},0.2,0.3,0.5\n" for row in range(15)))
    if before:
        other, _ = undisturbed(*before)
        shutil.rmtree(place.root)
        shutil.copytree(other.root, place.root, symlinks=True)
        (place.work / SCORES).write_text("".join(f"{row},0.2,0.3,0.5\n" for row in range(15)))


def processes_in(folder: Path) -> list[int]:
    """List processes whose working folder is this one."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == folder:
                found.append(int(link.parent.name))
        except OSError:
            continue
    return found


def require_nobody_left(place: Place) -> None:  # noqa: F811
    """Check that what a killed command had started ends by itself."""
    deadline = time.monotonic() + 60
    while (left := processes_in(place.work)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


@pytest.mark.parametrize("name", NAMES)
def test_killed_at_any_moment_a_command_goes_on_when_it_is_given_again(
    undisturbed, server, tmp_path, name, count  # noqa: F811
):  # fmt: skip
    before, words = COMMANDS[name]
    reference = Place(tmp_path / "reference" / "place", server)
    prepared(undisturbed, reference, before)
    ended = reference.run(*words)
    assert ended.code == 0, ended.err
    kills = sizes.KILLS // len(NAMES) + (NAMES.index(name) < sizes.KILLS % len(NAMES))
    rng = random.Random(f"{sizes.SEED} {name}")
    seconds, hit = ended.seconds, 0
    for number in range(4 * kills):
        place = Place(tmp_path / str(number) / "place", server)  # noqa: F811
        prepared(undisturbed, place, before)
        process = place.start(*words)
        # The last file that is made before the command begins; without it there is nothing to read afterwards.
        while not Path(process.command.events).exists():
            time.sleep(0.001)
        time.sleep(seconds * rng.random())
        os.kill(process.id, signal.SIGKILL)
        stopped = process.wait()
        assert stopped.code in (-signal.SIGKILL, 0)
        if stopped.code == 0:
            # It was quicker than what the moment was drawn from.
            seconds = min(seconds, stopped.seconds)
            continue
        hit += 1
        require_nobody_left(place)
        again = place.run(*words)
        assert again.code == 0 or "is there already" in again.said, (number, again.err)
        left = [path for path in place.files() if path.endswith((".part", ".lock"))]
        assert left == [], number
        if name not in NOT_COMPARED:
            finished(place, words)
            # Not `require_same`: some of these commands write nothing but the dataset's store.
            assert (place.files(), place.prints()) == (reference.files(), reference.prints())
        shutil.rmtree(place.root.parent)
        if hit == kills:
            break
    count(f"kills: {name}", hit)
    count("kills in all", hit)
    assert hit == kills


def finished(place: Place, words) -> None:  # noqa: F811
    """Remove what a command leaves that was done before it was given again: a second folder."""
    for path in (place.work / "runs").glob("*-2"):
        shutil.rmtree(path)
