"""The kill test in full (`make test-survival`): twenty drawn points of each command, each in a place of its own."""

import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from penlight.runs.folder import is_untidy
from tests.survival.place import (
    DESCRIBE,
    FOLDS,
    LINEAR,
    NETWORK,
    PREDICT,
    SEEDS,
    STUDY,
    TUNE,
    Place,
    drawn,
    pattern_of,
    require_one_line,
    require_refused,
    require_same,
)

pytestmark = pytest.mark.survival

POINTS = 20
NAMES = ["linear", "network", "seeds", "folds", "study", "tune"]
PICTURES = ("train", "pics.toml", *LINEAR[2:])
EXPORT = ("export", "runs/tiny-cnn-1", "--to", "keras")
REPORT = ("report", "runs/tiny-linear-1")

COMMANDS = [(LINEAR,), (NETWORK,), (SEEDS,), (FOLDS,), (STUDY,), (TUNE,), (DESCRIBE,), (NETWORK, EXPORT),
            (LINEAR, REPORT)]  # fmt: skip
COMMAND_NAMES = [*NAMES, "data new", "export", "report"]


def killed(place: Place, commands, number: int, point: str) -> None:
    """Run commands in their order; kill one at a point, and give it again until it ends well."""
    for words in commands[:number]:
        assert place.run(*words).code == 0
    ended = place.run(*commands[number], kill_on=point)
    assert ended.code == -9, (point, ended.err)
    for words in commands[number:]:
        again = place.run(*words)
        # A description is written last: when it is there, all is, but for what the next command clears away.
        assert again.code == 0 or "is there already" in again.said, again.err


def points_of(commands, number, undisturbed):
    other, ended = undisturbed(*commands)
    return other, drawn(ended[number].events, POINTS, seed=number)


@pytest.mark.parametrize("number", range(POINTS))
@pytest.mark.parametrize("words", [LINEAR, NETWORK, SEEDS, FOLDS, STUDY, TUNE], ids=NAMES)
def test_a_training_killed_anywhere(undisturbed, place: Place, words, number):
    other, points = points_of((words,), 0, undisturbed)
    killed(place, (words,), 0, points[number])
    require_same(place, other)


@pytest.mark.parametrize("number", range(POINTS))
@pytest.mark.parametrize("command", [0, 1], ids=["data new", "train"])
def test_pictures_killed_anywhere(undisturbed, place: Place, command, number):
    commands = (DESCRIBE, PICTURES)
    other, points = points_of(commands, command, undisturbed)
    killed(place, commands, command, points[number])
    require_same(place, other)


@pytest.mark.parametrize("number", range(POINTS))
@pytest.mark.parametrize("commands", [(NETWORK, EXPORT), (LINEAR, REPORT)], ids=["export", "report"])
def test_an_export_and_a_report_killed_anywhere_leave_the_run_whole(undisturbed, place: Place, commands, number):
    other, (_, ended) = undisturbed(*commands)
    if number >= len(ended.events):
        pytest.skip("it changes files less often")
    killed(place, commands, 1, pattern_of(ended.events[number]))
    run = commands[1][1]
    assert place.run("evaluate", run).code == 0
    require_same(place, other)


PARTS = "small_parts(20)"


@pytest.fixture(scope="session")
def predicted(tmp_path_factory, server):
    """Give the place in which pictures were predicted in four parts, and how that ended."""
    made = Place(tmp_path_factory.mktemp("predicted") / "place", server)
    assert made.run(*LINEAR).code == 0
    ended = made.run(*PREDICT, fault=PARTS)
    assert ended.code == 0, ended.err
    return made, ended


@pytest.mark.parametrize("number", range(POINTS))
def test_predictions_in_parts_killed_anywhere(predicted, place: Place, number):
    other, ended = predicted
    shutil.copytree(other.root, place.root, dirs_exist_ok=True)
    shutil.rmtree(place.work / "runs" / "predicted")
    point = drawn(ended.events, POINTS, seed=3)[number]
    stopped = place.run(*PREDICT, fault=PARTS, kill_on=point)
    assert stopped.code == -9, (point, stopped.err)
    assert place.run(*PREDICT, fault=PARTS).code == 0
    require_same(place, other)


def test_predictions_in_parts_on_a_disk_that_is_full_from_any_write_on(predicted, place: Place):
    other, _ = predicted
    shutil.copytree(other.root, place.root, dirs_exist_ok=True)
    shutil.rmtree(place.work / "runs" / "predicted")
    for number in range(1, 200):
        ended = place.run(*PREDICT, fault=f"(full_disk({number}), {PARTS})")
        if ended.code == 0:
            break
        assert ended.code == 1
        require_one_line(ended, "Error: The disk is full:", "Free some space.")
        assert not [name for name in place.files() if name.endswith((".part", ".lock"))]
    assert number > 2
    require_same(place, other)


@pytest.mark.parametrize("number", range(POINTS))
def test_a_training_killed_at_any_time(undisturbed, place: Place, number):
    """Between the events too, as within an epoch; the moments are drawn, and as long as this machine takes."""
    other, (ended,) = undisturbed(NETWORK)
    process = place.start(*NETWORK)
    time.sleep(ended.seconds * random.Random(number).random())
    os.kill(process.id, signal.SIGKILL)
    # It may have been quicker this time, and done.
    assert process.wait().code in (-9, 0)
    if not (place.work / "runs" / "tiny-cnn-1" / "manifest.json").exists() or is_untidy(
        place.work / "runs/tiny-cnn-1"
    ):
        assert place.run(*NETWORK).code == 0
    require_same(place, other)


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("commands", COMMANDS, ids=COMMAND_NAMES)
def test_stopped_by_a_signal_any_command_says_one_line_and_goes_on(undisturbed, place: Place, commands, number):
    other, ended = undisturbed(*commands)
    for words in commands[:-1]:
        place.run(*words)
    chosen = [signal.SIGTERM, signal.SIGINT][number % 2]
    # After the last two, nothing is left to stop.
    point = drawn(ended[-1].events[:-2], 5, seed=number)[number]
    stopped = place.run(*commands[-1], kill_on=point, kill_by=chosen)
    assert stopped.code == 128 + chosen, stopped.err
    require_one_line(stopped, "Interrupted." if chosen == signal.SIGINT else "Stopped by SIGTERM.", "resumes")
    again = place.run(*commands[-1])
    assert again.code == 0 or "is there already" in again.said
    require_same(place, other)


@pytest.mark.parametrize("commands", COMMANDS, ids=COMMAND_NAMES)
def test_a_disk_that_is_full_from_any_write_on(undisturbed, place: Place, commands):
    """Each write in turn is the first that fails, until none does; a part of what is finished stays each time."""
    other, _ = undisturbed(*commands)
    for words in commands[:-1]:
        place.run(*words)
    for number in range(1, 200):
        ended = place.run(*commands[-1], fault=f"full_disk({number})")
        if ended.code == 0:
            break
        assert ended.code == 1
        require_one_line(ended, "Error: The disk is full:", "Free some space.")
        assert not [name for name in place.files() if name.endswith((".part", ".lock"))]
    assert number > 2
    require_same(place, other)


@pytest.mark.parametrize(
    ("words", "stop", "folder"),
    [
        (FOLDS, "open work/runs/tiny-linear-1/fold-2/.recipe", "runs/tiny-linear-1"),
        (STUDY, "open work/runs/study-small/linear/seed-0/.recipe", "runs/study-small"),
        (TUNE, "open work/runs/tiny-tune-1/.best.toml", "runs/tiny-tune-1"),
    ],
    ids=["folds", "study", "tune"],
)
def test_the_second_process_is_refused_and_the_third_goes_on(undisturbed, place: Place, words, stop, folder):
    other, _ = undisturbed(words)
    require_refused(place, words, stop, folder)
    require_same(place, other)


@pytest.fixture
def small_disk(place: Place):
    """A disk of its own under runs/ that holds so many bytes; skipped where none can be had."""
    runs = place.work / "runs"
    runs.mkdir()

    def mount(n_bytes):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", runs], capture_output=True)
        if done.returncode:
            pytest.skip("no disk can be mounted here")

    yield mount
    subprocess.run(["umount", runs], capture_output=True)


@pytest.mark.parametrize(
    ("words", "n_bytes"),
    [(NETWORK, 4096), (NETWORK, 40_960), (NETWORK, 163_840), (TUNE, 4096), (TUNE, 24_576), (TUNE, 40_960)],
)
def test_a_real_disk_that_is_too_small_is_named_and_a_larger_one_goes_on(
    undisturbed, place: Place, small_disk, words, n_bytes
):
    small_disk(n_bytes)
    ended = place.run(*words)
    assert ended.code == 1
    require_one_line(ended, "Error: The disk is full:", "runs/tiny-", "Free some space")
    subprocess.run(["mount", "-o", "remount,size=64m", place.work / "runs"], check=True)
    assert place.run(*words).code == 0
    require_same(place, undisturbed(words)[0])


def test_a_folder_that_nobody_may_change_is_named(place: Place):
    """Also where the system lets its administrator write anywhere."""
    (place.work / "runs").mkdir()
    if subprocess.run(["chattr", "+i", place.work / "runs"], capture_output=True).returncode:
        pytest.skip("no folder can be closed here")
    try:
        ended = place.run(*LINEAR)
    finally:
        subprocess.run(["chattr", "-i", place.work / "runs"], check=True)
    assert ended.code == 1
    require_one_line(ended, "Error: runs/tiny-linear-1 cannot be written: Operation not permitted.", "--out")
