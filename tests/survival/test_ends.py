"""Commands that end before they are done say why in one line, and keep what is finished: signals, a full disk, a
folder that cannot be written, no memory, a loss that is no number, another process in the folder."""

import json
import signal

import pytest

from penlight.runs import open_run
from tests.survival.place import LINEAR, NETWORK, SEEDS, Place, require_one_line, require_refused, require_same

RUN = "work/runs/tiny-cnn-1"


def test_ctrl_c_ends_a_run_in_one_line_and_the_same_command_goes_on(undisturbed, place: Place):
    other, _ = undisturbed(LINEAR)
    stop = "os.rename work/runs/tiny-linear-1/.predictions-test"
    ended = place.run(*LINEAR, kill_on=stop, kill_by=signal.SIGINT)
    assert ended.code == 130
    require_one_line(ended, "Interrupted.", "the same command resumes")
    assert not [name for name in place.files() if name.endswith((".part", ".lock"))]
    ended = place.run(*LINEAR, "--json")
    assert json.loads(ended.out)["split"] == "test"
    require_same(place, other)


# In this process, what is damaged among checkpoints is in tests/training/test_checkpoints.py.
@pytest.mark.full
def test_ctrl_c_ends_a_run_that_goes_on_from_a_whole_checkpoint(undisturbed, place: Place):
    other, _ = undisturbed(NETWORK)
    ended = place.run(*NETWORK, kill_on=rf"os.rename {RUN}/.state/.checkpoint-3", kill_by=signal.SIGINT)
    assert ended.code == 130
    require_one_line(ended, "Interrupted.", "the same command resumes")
    assert not [name for name in place.files() if name.endswith((".part", ".lock"))]
    assert {name for name in place.files() if "checkpoint" in name} == {
        f"{RUN}/.state/checkpoint-1.npz",
        f"{RUN}/.state/checkpoint-2.npz",
    }
    newest = place.root / RUN / ".state" / "checkpoint-2.npz"
    newest.write_bytes(newest.read_bytes()[:-1])
    ended = place.run(*NETWORK, "--json")
    assert "The checkpoint of epoch 2 is damaged, or of other data: going back to that of epoch 1.\n" in ended.err
    assert json.loads(ended.out)["split"] == "test"
    require_same(place, other)


@pytest.mark.full
def test_sigterm_ends_a_run_and_damaged_checkpoints_are_said(undisturbed, place: Place):
    other, _ = undisturbed(NETWORK)
    ended = place.run(*NETWORK, kill_on=rf"os.rename {RUN}/.predictions-test", kill_by=signal.SIGTERM)
    assert ended.code == 143
    require_one_line(ended, "Stopped by SIGTERM.", "the same command resumes")
    # Both damaged: from the start, which is said where nothing else is, too.
    for file in (place.root / RUN / ".state").glob("checkpoint-*"):
        file.write_bytes(b"")
    ended = place.run(*NETWORK, "--json")
    assert json.loads(ended.out)["split"] == "test"
    assert [line.rpartition(": ")[2] for line in ended.err.splitlines() if "checkpoint" in line] == [
        "going back to that of epoch 3.",
        "training begins from the start.",
    ]
    require_same(place, other)


def test_a_full_disk_wherever_it_is_full(undisturbed, place: Place):
    other, _ = undisturbed(LINEAR)
    # In the conversion, which is done after the second, then between the claim of the folder and the manifest.
    # The full form has every write.
    for number in (2, 6, 19):
        ended = place.run(*LINEAR, fault=f"full_disk({number})")
        assert ended.code == 1, number
        require_one_line(ended, "Error: The disk is full:", "Free some space.")
        assert not [name for name in place.files() if name.endswith((".part", ".lock"))]
    assert place.run(*LINEAR).code == 0
    require_same(place, other)


def test_a_folder_that_can_only_be_read_is_named(place: Place):
    ended = place.run(*LINEAR, fault="read_only('runs')")
    assert ended.code == 1
    require_one_line(ended, "Error: runs/tiny-linear-1", "Read-only file system", "--out")
    assert "work/runs" not in place.files()


# In this process, what a training says that has no memory is in tests/training/test_training.py.
@pytest.mark.full
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no_memory(2)", ["cnn", "28 px", "--set train.batch_size=5"]),
        ("no_memory(3, of_backend=True)", ["not enough memory", "cnn", "28 px", "--set train.batch_size=5"]),
        ("no_memory_to_score()", ["not enough memory"]),
    ],
)
def test_no_memory_is_named_and_the_run_goes_on(undisturbed, place: Place, fault, words):
    other, _ = undisturbed(NETWORK)
    ended = place.run(*NETWORK, fault=fault)
    assert ended.code == 1
    require_one_line(ended, "Error: There is not enough memory", *words)
    assert place.run(*NETWORK).code == 0
    require_same(place, other)


# In this process, that of a run is in tests/training/test_training.py and tests/runs/test_damage.py.
@pytest.mark.full
def test_a_loss_that_is_no_number_leaves_nothing_and_another_recipe_takes_the_name(undisturbed, place: Place):
    assert place.run(*LINEAR).code == 0
    before = place.files()
    diverging = (*NETWORK, "--set", "train.optimizer=sgd", "--set", "train.learning_rate=1e30")
    ended = place.run(*diverging, stub=False)
    assert ended.code == 1
    require_one_line(ended, "Error: The loss was no longer a number in epoch", "Lower the learning rate")
    assert place.files() == before
    assert open_run(place.work / "runs" / "tiny-linear-1").model_predictions("test").prob.shape == (15, 3)
    other, _ = undisturbed(NETWORK)
    assert place.run(*NETWORK).code == 0
    assert {name for name in place.files() if name.startswith(RUN)} == {
        name for name in other.files() if name.startswith(RUN)
    }


@pytest.mark.parametrize(
    ("words", "stop", "folder"),
    [
        pytest.param(LINEAR, "os.rename work/runs/tiny-linear-1/.report", "runs/tiny-linear-1", id="run"),
        *(
            pytest.param(words, stop, folder, id=name, marks=pytest.mark.full)
            for words, stop, folder, name in (
                (NETWORK, rf"os.rename {RUN}/.state/.checkpoint-2", "runs/tiny-cnn-1", "network"),
                (SEEDS, "os.rename work/runs/tiny-linear-1/.report", "runs/tiny-linear-1", "seeds"),
            )
        ),
    ],
)
def test_the_second_process_is_refused_and_the_third_goes_on(undisturbed, place: Place, words, stop, folder):
    other, _ = undisturbed(words)
    require_refused(place, words, stop, folder)
    require_same(place, other)
