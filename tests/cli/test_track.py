"""`--track` and `penlight track`: what is sent, printed and refused."""

import json

import pytest

from tests.tracking.conftest import memory  # noqa: F401

pytestmark = pytest.mark.usefixtures("few", "undrawn")


def test_runs_are_sent_as_they_are_trained_and_later(penlight, memory):  # noqa: F811
    code, _, _ = penlight(
        "train", "retina-phantom", "--recipe", "linear", "--seeds", 2, "--out", "two", "--track", "memory:"
    )
    assert code == 0
    assert memory.names == ["two", "seed-0", "seed-1"]
    assert "test/auc_sd" in next(iter(memory.scores.values())).metrics or len(memory.scores) == 3
    code, out, _ = penlight("track", "two", "--to", "memory:", "--json")
    assert (code, json.loads(out)) == (0, {"to": "memory:", "sent": [], "known": 2})
    code, out, _ = penlight("track", "two/seed-0", "--to", "memory:")
    assert (code, out) == (0, "Sent 0 runs; 1 run was there already.\nmemory:\n")


def test_a_tracker_that_fails_is_a_warning_of_the_command(penlight, memory):  # noqa: F811
    memory.fails = TimeoutError(110, "Connection timed out")
    code, out, err = penlight("train", "retina-phantom", "--recipe", "linear", "--out", "one", "--track", "memory:")
    assert code == 0
    assert out.endswith("one/report.html\n")
    assert " ".join(err.split()).count("Tracking stopped: Connection timed out. The run itself is not affected") == 1
    memory.fails = None
    assert penlight("track", "one", "--to", "memory:")[1].startswith("Sent 1 run.\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ["train", "retina-phantom", "--recipe", "linear", "--out", "x", "--track", "nowhere"],
            1,
            "no tracker 'nowhere'",
        ),
        (
            ["train", "retina-phantom", "--recipe", "linear", "--out", "x", "--track", "mlflow:file:./runs"],
            1,
            "plain folders",
        ),
        (["study", "retina-offline", "--out", "x", "--track", "tensorboard:"], 1, "needs a folder"),
        (["track", "x", "--to", "mlflow:sqlite:///runs.db"], 1, "no run folder x"),
        (["track", "x"], 2, "--to"),
    ],
)
def test_what_cannot_be_tracked_is_said_before_anything_is_done(penlight, own_folders, words, code, said):
    ended, _, err = penlight(*words)
    assert ended == code
    assert said in " ".join(err.split())
    assert not list((own_folders / "work").iterdir())
